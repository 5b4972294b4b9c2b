"""What tests in several folders share. Nothing here imports TensorFlow."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What came of a test's own lines, for what runs after it: "passed", "failed" or "skipped".
OUTCOME = pytest.StashKey[str]()


def committed(*patterns: str, new: bool = False) -> list[Path]:
    """Return this repository's files that match, or all of them.

    Parameters
    ----------
    *patterns : str
        As ``git ls-files`` takes them.
    new : bool
        Also files that are not committed yet, but for those that git ignores.

    Returns
    -------
    list of Path
        Only what is there: a file that was just removed is left out.
    """
    more = ["--cached", "--others", "--exclude-standard"] if new else []
    listing = subprocess.run(
        ["git", "ls-files", "-z", *more, "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def is_recording() -> bool:
    """Tell whether what is measured shall be kept in ``results/``."""
    return os.environ.get("DIGITS_RECORD") == "1"


def addresses_in(text: str) -> list[str]:
    """List the GitHub repositories a text names, in order, with repeats."""
    return re.findall(r"https://github\.com/[\w-]+/(?:(?!\.git\b)[\w.-])*[\w-]", text)
