"""The package as a stranger gets it: built, installed into an empty environment, run from nowhere.

And the pip part of environment.yml, installed with pip itself as conda would. With
``DIGITS_RECORD=1`` what was measured goes to ``results/wheel.json`` and ``environment.json``.
"""

import os
import re
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from helpers import ROOT, keep_in_record, must, run_outside, uv

from digit_utils import results
from digits_cli.book import read_notebook

LARGEST_WHEEL = 13_500_000  # bytes
CHAPTER = "03_base_cnn"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """An sdist of this checkout, a wheel of it, and a wheel of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("dist")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d"]
    must([*hatchling, folder])
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    must([*hatchling, folder / "again", "-t", "wheel"], source)
    (again,) = (folder / "again").glob("*.whl")
    return {"sdist": sdist, "wheel": wheel, "wheel of the sdist": again}


@pytest.fixture(scope="module")
def scripts(built, tmp_path_factory) -> Path:
    """The ``bin`` of an environment that holds the wheel and what it asks for, nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    versions = re.sub(r" \\\n +--hash=\S+", "", (ROOT / "requirements.lock").read_text())
    (folder / "constraints.txt").write_text(versions)
    bin_ = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    uv("venv", "-q", "--python", sys.executable, folder / "venv")
    to = ["--python", bin_ / "python", "-c", folder / "constraints.txt"]
    uv("pip", "install", "-q", *to, built["wheel"])
    return bin_


def contents(path: Path) -> dict[str, int]:
    """Files of a wheel with their checksums, what describes the wheel itself aside."""
    with zipfile.ZipFile(path) as archive:
        return {i.filename: i.CRC for i in archive.infolist() if ".dist-info/" not in i.filename}


def test_the_wheel_is_small_and_carries_the_chapters_and_nothing_else(built):
    size = built["wheel"].stat().st_size
    assert size <= LARGEST_WHEEL, f"{size} bytes"
    names = set(contents(built["wheel"]))
    assert {name.split("/")[0] for name in names} == {"digit_utils", "digits_cli"}
    for part in ("notebooks", "profiles"):
        own = {
            f"digits_cli/installed/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / part).rglob("*")
            if path.suffix in {".py", ".yaml"} and ".ipynb_checkpoints" not in path.parts
        }
        assert own and own == {n for n in names if n.startswith(f"digits_cli/installed/{part}/")}
    reported = {f"digit_utils/published/{p.name}" for p in ROOT.glob("results/[0-9][0-9]_*.json")}
    assert reported == {name for name in names if name.startswith("digit_utils/published/")}
    assert "digit_utils/py.typed" in names
    assert not [name for name in names if name.endswith((".ipynb", ".pyc"))]


def test_a_wheel_of_the_sdist_is_the_same(built):
    assert contents(built["wheel of the sdist"]) == contents(built["wheel"])


def test_a_chapter_runs_outside_any_checkout(built, scripts, tmp_path):
    installed = must(
        [scripts / "python", "-c", "import digits_cli; print(digits_cli.__path__[0])"], tmp_path
    ).strip()
    assert ROOT not in Path(installed).parents
    before = sorted(Path(installed, "installed").rglob("*"))
    assert before
    digits = scripts / "digits"
    start = time.monotonic()
    said = must([digits, "run", CHAPTER, "--profile", "quick"], tmp_path)
    seconds = time.monotonic() - start
    executed = tmp_path / "_build" / "runs" / "quick" / f"{CHAPTER}.ipynb"
    found = results.read(executed)
    assert found["validation_accuracy"] > 0.9
    assert read_notebook(executed).metadata["digits"]["provenance"]["commit"] is None
    assert sorted(Path(installed, "installed").rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["_build"]
    keep_in_record(
        "wheel.json",
        wheel_bytes=built["wheel"].stat().st_size,
        sdist_bytes=built["sdist"].stat().st_size,
        command=f"digits run {CHAPTER} --profile quick",
        exit_code=0,
        said=[line for line in said.splitlines() if line.strip()],
        seconds=round(seconds, 1),
        results=found,
    )


def test_a_sweep_can_be_listed_there_and_what_needs_a_checkout_says_so(scripts, tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text("chapter: 03\ngrid: {BATCH_SIZE: [32, 64]}\n")
    assert must([scripts / "digits", "sweep", file, "--list"], tmp_path).count("to run") == 2
    done = run_outside([scripts / "digits", "publish"], tmp_path)
    assert done.returncode == 2
    assert "not inside a checkout of the book, which this command needs" in done.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_the_pip_part_installs_and_the_chapters_are_found(tmp_path):
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    (lines,) = [d["pip"] for d in yaml.safe_load(text)["dependencies"] if isinstance(d, dict)]
    # Conda puts these lines into a file beside environment.yml, and gives that to pip.
    listed = ROOT / f".environment-{os.getpid()}.txt"
    own = re.search(r"^#   (pip install .*)$", text, re.M)[1].split()
    must([sys.executable, "-m", "venv", tmp_path / "venv"])
    bin_ = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, start = bin_ / "python", time.monotonic()
    try:
        listed.write_text("\n".join(lines) + "\n")
        must([python, "-m", "pip", "install", "-q", "-U", "-r", listed])
    finally:
        listed.unlink()
    seconds = time.monotonic() - start
    must([python, "-m", *own])
    must([python, "-m", "pip", "check"])
    assert "Every .ipynb equals its .py." in must([bin_ / "digits", "sync", "--check"])
    frozen = must([python, "-m", "pip", "freeze", "--exclude-editable"])
    installed = {
        f"{re.sub('[._]', '-', name.lower())}=={version}"
        for name, version in re.findall(r"^([^=\s]+)==(.+)$", frozen, re.M)
    }
    lock = (ROOT / "requirements.lock").read_text()
    locked = re.findall(r"^([a-z0-9][^\s;\[]*)(?:\[.*\])?(==[^\s;\\]+)", lock, re.M)
    assert installed <= {f"{name}{pin}" for name, pin in locked}
    keep_in_record(
        "environment.json",
        command=f"pip install {' '.join(lines)}",
        exit_code=0,
        packages=len(installed),
        seconds=round(seconds, 1),
    )
