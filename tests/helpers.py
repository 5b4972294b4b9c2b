"""What tests in several folders share. Nothing here imports TensorFlow."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from digit_utils.io import json_bytes, write_atomically
from digit_utils.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
PASSED = pytest.StashKey[bool]()  # whether a test's own lines did, for what runs after it


def committed(*patterns: str, new: bool = False) -> list[Path]:
    """Return this repository's files, as ``git ls-files`` matches them; `new`: uncommitted too."""
    more = ["--cached", "--others", "--exclude-standard"] if new else []
    command = ["git", "ls-files", "-z", *more, "--", *patterns]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def keep_in_record(file: str, *path: str, **values: Any) -> None:
    """Keep values, with commit and day, at a place in a file of ``results/``, if asked to."""
    if os.environ.get("DIGITS_RECORD") != "1":
        return
    target = ROOT / "results" / file
    record = json.loads(target.read_bytes()) if target.is_file() else {}
    made, entry = provenance(ROOT), record
    for name in path:
        entry = entry.setdefault(name, {})
    entry.clear()
    entry |= values | {name: made[name] for name in ("commit", "date", "machine")}
    write_atomically(target, json_bytes(record))


def addresses_in(text: str) -> list[str]:
    """List the GitHub repositories a text names, in order, with repeats."""
    return re.findall(r"https://github\.com/[\w-]+/(?:(?!\.git\b)[\w.-])*[\w-]", text)
