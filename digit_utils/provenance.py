"""Say where, when and with what something was measured."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from digit_utils.hosts import keras_backend, processors

PACKAGES = (
    "tensorflow", "jax", "torch", "keras",
    "numpy", "pandas", "scikit-learn", "hyperopt", "papermill",
)  # fmt: skip


def provenance(root: str | Path) -> dict[str, Any]:
    """Describe this moment: commit, day, kind of machine, versions.

    Nothing in it names a person, a host or a folder.

    Parameters
    ----------
    root : str or Path
        The checkout.

    Returns
    -------
    dict
        ``commit`` (None outside a git checkout; ends in ``+`` if files were changed since),
        ``date``, ``machine``, Keras's ``backend`` and ``versions``.
    """
    return {
        "commit": _commit(Path(root)),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {processors()} CPU cores",
        "backend": keras_backend(),
        "versions": {"python": platform.python_version(), **package_versions()},
    }


def package_versions() -> dict[str, str]:
    """Return the versions of those packages that are installed, by name."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit(root: Path) -> str | None:
    def git(*arguments: str) -> str:
        asked = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
        return asked.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def peak_memory_mb(of_children: bool = False) -> float | None:
    """Return the most memory this process, or its finished children, have held, in MB.

    Parameters
    ----------
    of_children : bool

    Returns
    -------
    float or None
        None on Windows, which keeps no such record.
    """
    try:
        import resource
    except ImportError:
        return None
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss
    # Linux counts in kB, macOS in bytes.
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
