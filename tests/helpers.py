"""What tests in several folders share. Nothing here imports TensorFlow."""

import json
import os
import re
import shutil
import subprocess
import sys
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


def copy_committed(folder: Path, *patterns: str, new: bool = False) -> None:
    for path in committed(*patterns, new=new):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def keep_in_record(file: str, /, *path: str, **values: Any) -> None:
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


def run_outside(command: list, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that knows nothing of this one's packages."""
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    options = {"env": environ, "capture_output": True, "encoding": "utf-8", **more}
    return subprocess.run([str(part) for part in command], cwd=cwd, timeout=1800, **options)


def must(command: list, cwd: Path = ROOT, **more: Any) -> str:
    """Run such a command, which must do well; return what it said."""
    done = run_outside(command, cwd, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def uv(*arguments: object) -> str:
    """Run uv, which comes with the environment."""
    return must([sys.executable, "-m", "uv", *arguments])


def write_competition(folder: Path, n_labelled: int, n_test: int) -> None:
    """Write Kaggle's two files with some of the book's images."""
    import pandas as pd

    from digit_utils.data import load_digits
    from digit_utils.kaggle import PIXEL_COLUMNS

    digits = load_digits("")
    folder.mkdir(parents=True, exist_ok=True)
    test = pd.DataFrame(digits.test_images[:n_test].reshape(n_test, -1), columns=PIXEL_COLUMNS)
    test.to_csv(folder / "test.csv", index=False)
    train = pd.DataFrame(digits.images[:n_labelled].reshape(n_labelled, -1), columns=PIXEL_COLUMNS)
    train.insert(0, "label", digits.labels[:n_labelled])
    train.to_csv(folder / "train.csv", index=False)


def addresses_in(text: str) -> list[str]:
    """List the GitHub repositories a text names, in order, with repeats."""
    return re.findall(r"https://github\.com/[\w-]+/(?:(?!\.git\b)[\w.-])*[\w-]", text)
