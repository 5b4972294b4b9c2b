"""Write files whole or not at all, and turn values into plain JSON.

An interrupted run must never leave half a file under the final name: the next chapter
would read it and fail in a place far from the cause.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn


def write_atomically(path: str | Path, data: bytes) -> Path:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one.

    The bytes go to a temporary file beside it, are flushed to disk and renamed; on failure the old
    file is unharmed. A symbolic link is followed. Returns ``path`` as given. Raises
    FileNotFoundError if its folder does not exist, IsADirectoryError if it is a folder, and
    OSError, which names the file, if it cannot be written.
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
    _sync_folder(target.parent)
    return path


def read_bytes(path: Path) -> bytes:
    """Read a whole file; raise OSError for a pipe or a device, which might never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device, expected a file", str(path))
    return path.read_bytes()


def _sync_folder(folder: Path) -> None:
    """Flush the rename itself, where the operating system lets a folder be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def to_plain(value: Any, name: str = "value") -> Any:
    """Turn NumPy scalars, arrays, tuples and mappings into what JSON can hold.

    Whole-number keys become strings, as JSON has no others. Raises ValueError for NaN, infinity or
    two keys that become the same string, TypeError for another type; ``name`` is what to call the
    value there.
    """
    import numpy as np  # here and below: `digits --help` need not wait for either

    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    # int(), float() and str() shed subclasses (an IntEnum, say) that would read back otherwise.
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(
                f"{name} is {float(value)}, which JSON cannot hold; "
                "find out why it is not a finite number, or leave it out"
            )
        return float(value)
    if isinstance(value, list | tuple):
        return [to_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return _plain_mapping(value, name)
    raise TypeError(
        f"{name} is of type {type(value).__name__}, expected numbers, text, None, arrays, "
        "lists or dictionaries of these; convert it first"
    )


def _plain_mapping(mapping: Mapping, name: str) -> dict[str, Any]:
    import numpy as np

    plain: dict[str, Any] = {}
    for key, item in mapping.items():
        if isinstance(key, bool) or not isinstance(key, str | int | np.integer):
            raise TypeError(
                f"{name} has the key {key!r} of type {type(key).__name__}, expected text "
                "or a whole number; convert it first"
            )
        text = str(key)
        if text in plain:
            raise ValueError(f"{name} has two keys that read {text!r}; rename one of them")
        plain[text] = to_plain(item, f"{name}[{text!r}]")
    return plain


def json_bytes(payload: Mapping, name: str = "payload") -> bytes:
    """Encode a mapping as indented UTF-8 JSON with a final newline, keys in their own order."""
    plain = to_plain(payload, name)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


DEEPEST = 100  # far below what a reader that calls itself for each level could not follow


def parse_json(raw: bytes) -> Any:
    """Parse JSON, and refuse what Python's reader lets pass.

    Returns None, bool, int, finite float, str, list or dict. Raises ValueError, which says why, if
    it is not JSON, is nested deeper than `DEEPEST`, names an entry twice, or holds NaN, an infinite
    number, one too large for a float, or half a character.
    """
    try:
        value = json.loads(
            raw, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_each_once
        )
        # "\ud800" is JSON and no text: it could not be written or shown.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return value
        level = [item for each in level for item in _items(each)]
    raise ValueError("it is nested too deeply")


def _items(value: dict | list) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"it names {name!r:.40} twice")
        values[name] = value
    return values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse(text)
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text:.40} is not a JSON number")


_LOCK, _OWNER = ".lock", ".owner"


class FolderUnavailable(OSError):
    """A folder is in use (``owner``: ``process 123``, say) or not writable (``owner``: None)."""

    def __init__(self, message: str, owner: str | None = None):
        super().__init__(message)
        self.owner = owner


@contextlib.contextmanager
def claim_folder(folder: str | Path) -> Iterator[Path]:
    """Make a folder and hold it until the block ends.

    The operating system lets go of it when the process ends, however it ends. Raises
    FolderUnavailable if another process holds it, or it cannot be made or written.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    lock = FileLock(folder / _LOCK)
    owner = folder / _OWNER
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
