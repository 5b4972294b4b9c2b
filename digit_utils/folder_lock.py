"""Claim a folder, so that two processes do not write to it at the same time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from digit_utils.files import write_atomically

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
