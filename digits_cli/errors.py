"""Errors the command line shows as plain text, each with its exit code."""

import difflib
from collections.abc import Iterable


class RunnerError(Exception):
    """Something the reader can put right; shown without a Python traceback.

    The message says what was found, where, what was expected and what to do.
    """

    exit_code = 1


class UsageError(RunnerError):
    """The request itself is wrong: nothing has been started."""

    exit_code = 2


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Return, for example, ``" Did you mean EPOCHS?"``; empty when no known name is close."""
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(found.lower(), by_lower_case, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(by_lower_case[name] for name in close)}?" if close else ""
