"""The test of the tests: break a helper on purpose, and the regression must turn red.

Each fault of faults.yaml is a change of a few words in a copy of the package, of the kind that
slips through a review. It is run against the one reference notebook that notices it soonest, which
must be green before. `where` is a word of what must turn red: the name of a reported value, a part
of the printed output that no longer agrees, or of the error in which a chapter ends whose network
has learned nothing. With DIGITS_RECORD=1 what turned red is kept in results/seeded_faults.json.

Slow: about ten minutes in all.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
import yaml
from helpers import ROOT, keep_in_record

from digits_cli.book import without_colour
from digits_cli.references import FOLDER

FAULTS = yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text("utf-8"))
assert len({fault["name"] for fault in FAULTS}) == len(FAULTS) >= 24
assert len({(fault["file"], fault["old"], fault["new"]) for fault in FAULTS}) == len(FAULTS)


def copy_book(folder: Path, notebook: str) -> None:
    """Lay out what a reference needs: the package, and the reference where it expects to be."""
    ignored = shutil.ignore_patterns("__pycache__", "assets")
    shutil.copytree(ROOT / "digit_utils", folder / "digit_utils", ignore=ignored)
    (folder / "digit_utils/assets").symlink_to(ROOT / "digit_utils/assets")
    (folder / FOLDER).mkdir(parents=True)
    shutil.copy(ROOT / FOLDER / f"{notebook}.ipynb", folder / FOLDER)


def run_reference(folder: Path, notebook: str) -> subprocess.CompletedProcess:
    """Run the reference with the package in this folder, up to the first thing that is red."""
    # -vv: of outputs that differ, nbval would otherwise show the ends alone.
    command = [sys.executable, "-m", "pytest", "-x", "-vv", "-p", "no:cacheprovider", "--color=no"]
    command += ["--nbval-lax", "--nbval-current-env", str(folder / FOLDER / f"{notebook}.ipynb")]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def red_untouched(tmp_path_factory):
    """Return a function that says, once for each reference, what is red before any fault."""

    @cache
    def check(notebook: str) -> str:
        folder = tmp_path_factory.mktemp("green")
        copy_book(folder, notebook)
        done = run_reference(folder, notebook)
        return "" if done.returncode == 0 else done.stdout[-4000:]

    return check


def first_red(output: str) -> tuple[str, list[str]]:
    """Name the cell that turned red first, with what made it red.

    That is the lines in which the outputs differ, or the error's own words. The cell's code, which
    nbval prints as well, is left out: it names every bound, the ones kept too.
    """
    output = without_colour(output)
    (cell,) = re.findall(r"^FAILED \S+::(Cell \d+)", output, re.M)
    said = output.split("\nTraceback:\n", 1)[1].split("\n=====", 1)[0]
    if " mismatch '" in said:
        return cell, re.findall(r"^  [-+] +(.*)", said, re.M)
    *_, error = re.finditer(r"^\w*(?:Error|Exception): ", said, re.M)
    words = said[error.start() :].strip().removeprefix("AssertionError: Results out of bounds:\n")
    return cell, words.splitlines()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['notebook']}: {fault['name']}")
def test_the_regression_turns_red(fault, red_untouched, tmp_path):
    notebook, old, where = fault["notebook"], fault["old"], fault["where"]
    copy_book(tmp_path, notebook)
    path = tmp_path / "digit_utils" / fault["file"]
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, "the code has changed: seed this fault anew"
    path.write_text(text.replace(old, fault["new"]), encoding="utf-8")
    compile(path.read_text(encoding="utf-8"), fault["file"], "exec")
    assert not red_untouched(notebook), f"red before:\n{red_untouched(notebook)}"
    started = time.monotonic()
    done = run_reference(tmp_path, notebook)
    assert done.returncode == 1, f"not noticed by {notebook}\n{done.stdout[-2000:]}"
    cell, said = first_red(done.stdout)
    noticed = next((line for line in said if where in line), "")
    assert where in "\n".join(said), f"red for another reason: {done.stdout[-3000:]}"
    keep_in_record(
        "seeded_faults.json",
        fault["name"],
        file=f"digit_utils/{fault['file']}",
        reference=notebook,
        turned_red=f"{cell}: {noticed:.200}",
        seconds=round(time.monotonic() - started, 1),
    )


def test_the_record_is_of_these_faults():
    record = json.loads((ROOT / "results" / "seeded_faults.json").read_bytes())
    assert record.keys() == {fault["name"] for fault in FAULTS}
