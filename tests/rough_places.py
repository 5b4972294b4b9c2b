"""Places that are not as one wishes: read-only, full, small, and with names nobody expects."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ODD = "Zahlen & Ziffern ü/a 'b' $c"


def without_roots_rights() -> None:
    """In a child, before it becomes another program: obey permission bits even as root."""
    if sys.platform == "linux" and os.geteuid() == 0:
        for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            assert ctypes.CDLL(None).prctl(24, right, 0, 0, 0) == 0  # PR_CAPBSET_DROP


@contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Take everybody's right to write anywhere in some folders, for a while."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        yield
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)


def run_as_anybody(
    folder: Path, *arguments: str, first: Callable[[], None] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the `digits` command without root's rights, to its end."""

    def before() -> None:
        without_roots_rights()
        if first is not None:
            first()

    return subprocess.run(
        [sys.executable, "-m", "digits_cli", *arguments],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, encoding="utf-8",
        preexec_fn=before, timeout=300,
    )  # fmt: skip


def assert_told(done: subprocess.CompletedProcess[str], *says: str, code: int = 1) -> None:
    """Look for one clear message and the right exit code, and no traceback of Python's."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    for text in says:
        assert text in done.stderr, done.stderr
