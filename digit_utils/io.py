"""Read and write files so that nothing is ever half there: whole writes, strict JSON, held folders.

An interrupted run must never leave half a file under the final name: the next chapter
would read it and fail in a place far from the cause.
"""

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DEEPEST = 100  # levels of JSON: far below what a function that calls itself could not follow


def write_atomically(path: str | Path, data: bytes) -> Path:
    """Write ``data`` so that a reader sees the old file or the new one; return ``path`` as given.

    On failure the old file is unharmed. A symbolic link is followed. Raises FileNotFoundError if
    the folder does not exist, IsADirectoryError if ``path`` is one, and OSError, which names the
    file, if it cannot be written.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "expected a file name, found a folder; add a file name", str(path)
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "its folder does not exist; create the folder first", str(path)
        )
    # The name is kept short: a long one plus a suffix could pass the file system's limit.
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tmp")
    # os.open with 0o666 honours the user's umask; tempfile would make a file only they can read.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:  # such as: no space left
            what = f"{error.strerror}; nothing was written"
            raise OSError(error.errno, what, str(path)) from error
        raise
    return path


def read_bytes(path: Path) -> bytes:
    """Read a whole file; raise OSError for a pipe or a device, which might never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device, expected a file", str(path))
    return path.read_bytes()


def to_plain(value: Any, name: str = "value") -> Any:
    """Turn NumPy scalars, arrays, tuples and mappings into what JSON can hold.

    Whole-number keys become strings. Raises ValueError for NaN, infinity or two keys that become
    the same string, TypeError for another type; ``name`` is what to call the value there.
    """
    import numpy as np  # as filelock below: `digits --help` need not wait for them

    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"{name} is {float(value)}, which JSON cannot hold; "
            "find out why it is not a finite number, or leave it out"
        )
    for kind in (int, str, float):  # sheds subclasses (an IntEnum, say): they would read otherwise
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, list | tuple):
        return [to_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{name} is of type {type(value).__name__}, expected numbers, text, None, arrays, "
            "lists or dictionaries of these; convert it first"
        )
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(key, bool) or not isinstance(key, str | int | np.integer):
            raise TypeError(
                f"{name} has the key {key!r} of type {type(key).__name__}, expected text "
                "or a whole number; convert it first"
            )
        if str(key) in plain:
            raise ValueError(f"{name} has two keys that read {str(key)!r}; rename one of them")
        plain[str(key)] = to_plain(item, f"{name}[{str(key)!r}]")
    return plain


def json_bytes(payload: Mapping, name: str = "payload") -> bytes:
    """Encode a mapping as indented UTF-8 JSON with a final newline; raises as `to_plain` does."""
    text = json.dumps(to_plain(payload, name), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def parse_json(raw: bytes) -> Any:
    """Parse JSON, and refuse what Python's reader lets pass.

    Raises ValueError, which says why, if it is not JSON, is nested deeper than `DEEPEST`, names an
    entry twice, or holds what could not be written again: NaN, infinity, half a character.
    """
    try:
        value = json.loads(raw, object_pairs_hook=_each_once)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
        if _levels(value) <= DEEPEST:
            return value
    except RecursionError:
        pass
    raise ValueError("it is nested too deeply")


def _levels(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    items = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_levels, items), default=0)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"it names {name!r:.40} twice")
        values[name] = value
    return values


class FolderUnavailable(OSError):
    """A folder is in use (``owner``: ``process 123``, say) or not writable (``owner``: None)."""

    def __init__(self, message: str, owner: str | None = None):
        super().__init__(message)
        self.owner = owner


@contextlib.contextmanager
def claim_folder(folder: str | Path) -> Iterator[Path]:
    """Make a folder and hold it until the block or the process ends, however it ends.

    Raises FolderUnavailable if another process holds it, or it cannot be made or written.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    lock, owner = FileLock(folder / ".lock"), folder / ".owner"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        write_atomically(owner, f"{os.getpid()}\n".encode())
    except Timeout:
        who = "another process"
        with contextlib.suppress(OSError):
            who = f"process {owner.read_text().strip()}"
        raise FolderUnavailable(
            f"{folder}: is in use by {who}; wait for it to end, or name another folder", who
        ) from None
    except OSError as error:
        lock.release()
        raise FolderUnavailable(
            f"{folder}: cannot be written ({error.strerror}); make it writable or name another"
        ) from error
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            owner.unlink()
        lock.release()
