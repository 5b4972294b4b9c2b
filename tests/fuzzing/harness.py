"""Try one case within a time limit, and say what came of it; change good bytes into bad ones."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

LONGEST_MESSAGE = 20_000


class Escape(AssertionError):
    """A case that was neither accepted rightly nor refused with the project's own error."""


class Refused(Exception):
    """For a target whose refusal is no exception: what it read counts as nothing."""


class _OutOfTime(BaseException):
    """Not an Exception, so that no handler under test takes it for one of its own."""


@dataclass(frozen=True)
class Target:
    """Something that reads what people hand to it.

    Attributes
    ----------
    name : str
    cases : hypothesis strategy
    read : function
        Takes a case and an empty folder. Reads the case, checks what it read, and returns; or
        lets the project's own error through. Must raise AssertionError for a wrong reading.
    refusals : tuple of exception classes
        The project's own errors.
    seconds : float
        What a case may take.
    share : float
        Of the cases asked for: what is slow gets fewer.
    memory_limit : bool
        Whether it may run with little memory. TensorFlow may not.
    """

    name: str
    cases: st.SearchStrategy
    read: Callable[[Any, Path], None]
    refusals: tuple[type[Exception], ...]
    seconds: float = 10.0
    share: float = 1.0
    memory_limit: bool = True


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise Escape when the block takes longer; end the process if even that does not help."""

    def ring(*_: Any) -> None:
        raise _OutOfTime

    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    # Code that never comes back to Python hears no signal.
    faulthandler.dump_traceback_later(10 * seconds + 30, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _OutOfTime:
        raise Escape(f"no answer within {seconds} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def try_case(target: Target, case: Any, folder: Path) -> str:
    """Try one case.

    Parameters
    ----------
    target : Target
    case : object
        One of ``target.cases``.
    folder : pathlib.Path
        Empty; what the target leaves there is removed.

    Returns
    -------
    str
        ``"accepted"`` or ``"refused"``.

    Raises
    ------
    Escape
        If neither is right.
    """
    try:
        with time_limit(target.seconds):
            target.read(case, folder)
    except Escape:
        raise
    except AssertionError as error:
        raise Escape(f"wrong reading: {error}") from error
    except (Refused, *target.refusals) as error:
        message = str(error)
        if not message.strip() or len(message) > LONGEST_MESSAGE:
            raise Escape(f"refused with a message of {len(message)} characters") from error
        return "refused"
    except (Exception, SystemExit) as error:
        raise Escape(f"{type(error).__name__}: {error!s:.500}") from error
    finally:
        _empty(folder)
    return "accepted"


def _empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@contextlib.contextmanager
def leaves_nothing_behind(folder: Path) -> Iterator[None]:
    """Raise Escape if the block, however it ends, adds, removes or changes a file."""

    def state() -> dict[str, bytes | None]:
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in folder.parent.rglob("*")
        }

    before = state()
    try:
        yield
    finally:
        if state() != before:
            raise Escape(f"files changed: {set(state()) ^ set(before) or 'in content'}")


@st.composite
def damaged(
    draw: Any, good: bytes, tokens: Sequence[bytes] = (), most: int = 3, least: int = 0
) -> bytes:
    """Bytes near to good ones: some flipped, cut, doubled, swapped, or tokens put among them."""
    raw = good
    insert = st.binary(max_size=8)
    if tokens:
        insert = st.sampled_from(list(tokens)) | insert
    for _ in range(draw(st.integers(least, most))):
        at = draw(st.integers(0, len(raw)))
        length = draw(st.integers(0, 12) | st.integers(0, len(raw)))
        kind = draw(st.sampled_from(["flip", "insert", "replace", "cut", "end", "double", "swap"]))
        if kind == "flip" and at < len(raw):
            flipped = raw[at] ^ (1 << draw(st.integers(0, 7)))
            raw = raw[:at] + bytes([flipped]) + raw[at + 1 :]
        elif kind == "insert":
            raw = raw[:at] + draw(insert) + raw[at:]
        elif kind == "replace":
            raw = raw[:at] + draw(insert) + raw[at + length :]
        elif kind == "cut":
            raw = raw[:at] + raw[at + length :]
        elif kind == "end":
            raw = raw[:at]
        elif kind == "double" and len(raw) < 4 * len(good) + 100:
            raw = raw[: at + length] + raw[at:]
        elif kind == "swap":
            middle = min(len(raw), at + length)
            end = min(len(raw), middle + length)
            raw = raw[:at] + raw[middle:end] + raw[at:middle] + raw[end:]
    return raw
