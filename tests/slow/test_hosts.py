"""Every chapter as a reader on Colab runs it: a notebook alone in an empty folder.

Each file in ``hosts/`` lists the versions of a published image. The test makes that environment,
lets the chapter's own first cell install the book, and runs the chapter with the quick profile in
that environment's kernel, driven from here. One thing is exchanged, and not in the notebook: git is
told to take the repository's address for a copy of this checkout.

Slow: about fifteen minutes for both hosts, and the packages have to be fetched once. With
DIGITS_RECORD=1 the outcome of each chapter is kept in results/hosts.json.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, committed, is_recording

from digit_utils import __version__, results
from digit_utils.io import json_bytes, write_atomically
from digit_utils.provenance import provenance
from digits_cli.book import INSTALL_TAG, cells_tagged, list_chapters, read_notebook, without_colour
from digits_cli.plan import profile_file
from digits_cli.references import BOUNDS, outside, read_bounds
from digits_cli.repository import configured

RECORD = ROOT / "results" / "hosts.json"
HOST_FILES = sorted((Path(__file__).parent / "hosts").glob("*.txt"))
CHAPTERS = list_chapters(ROOT)
# What pip needs of the repository to install the book.
PACKAGED = ("digit_utils", "digits_cli", "notebooks", "profiles", "*.toml", "README.md", "LICENSE")

assert HOST_FILES, "no host to test on"
assert CHAPTERS, "no chapter to test"


class Host:
    """An environment with exactly the versions that a file in ``hosts/`` lists."""

    def __init__(self, listed: Path, repository: Path) -> None:
        self.name, self.listed = listed.stem, listed
        self.folder = ROOT / "_build" / "hosts" / self.name
        self.python = self.folder / "bin" / "python"
        version = re.match(r"# python: (3\.\d+)\n", listed.read_text(encoding="utf-8"))[1]
        if not self.python.exists():
            uv("venv", "-q", "--clear", "--python", find_python(version), str(self.folder))
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))},
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": configured(ROOT)[0],
        }

    def restore(self) -> dict[str, str]:
        """Put the environment back to what the file lists; return name and version of each."""
        # No resolver: the image is taken as published, gaps included.
        uv("pip", "sync", "-q", "--python", str(self.python), str(self.listed))
        return self.versions()

    def versions(self) -> dict[str, str]:
        listing = uv("pip", "list", "--format", "json", "--python", str(self.python))
        return {each["name"]: each["version"] for each in json.loads(listing)}

    def run(self, code: str, folder: Path) -> subprocess.CompletedProcess:
        command = [str(self.python), "-c", code]
        return subprocess.run(
            command, cwd=folder, env=self.environment, capture_output=True, text=True
        )

    def run_notebook(self, notebook: Path, output: Path, values: Path, extra=()) -> str:
        """Execute a notebook in its own folder with this environment's kernel.

        Return what went wrong; nothing when all went well.
        """
        kernel = output.parent / "jupyter" / "kernels" / "host"
        kernel.mkdir(parents=True)
        start = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": start, "display_name": "host", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        command = [sys.executable, "-m", "papermill", str(notebook), str(output), "-k", "host"]
        command += ["--cwd", str(notebook.parent), "--no-progress-bar", "-f", str(values), *extra]
        environment = {**self.environment, "JUPYTER_PATH": str(kernel.parents[1])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return without_colour(done.stderr)[-3000:] if done.returncode else ""


def uv(*arguments: str) -> str:
    """Run uv, which comes with the environment."""
    done = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"uv {' '.join(arguments)}\n{done.stderr}"
    return done.stdout


def find_python(version: str) -> str:
    """Prefer an interpreter that is here, pyenv's too; otherwise uv looks for one or fetches it."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    here = sorted(pyenv.glob(f"{version}.*/bin/python")) if pyenv.is_dir() else []
    return str(here[-1]) if here else version


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """Return a git repository with the book as it is here, committed or not."""
    folder = tmp_path_factory.mktemp("book") / "repository"
    folder.mkdir()
    for path in committed(*PACKAGED, new=True):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (
        ["init", "-q", "-b", configured(ROOT)[1]],
        ["add", "--force", "."],
        [*author, "commit", "-q", "-m", "as it is here"],
        # What the chapters install: the branch's name, or, in a release, a tag's.
        ["tag", f"v{__version__}"],
        ["config", "uploadpack.allowFilter", "true"],  # pip fetches as little as it can
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session", params=HOST_FILES, ids=lambda path: path.stem)
def host(request, repository) -> Host:
    return Host(request.param, repository)


def keep_record(host: Host, chapter: str, seconds: float, problem: str, added: list[str]) -> None:
    if not is_recording():
        return
    record = json.loads(RECORD.read_bytes()) if RECORD.is_file() else {}
    kept = record.setdefault(host.name, {"python": None, "chapters": {}})
    version = host.run("import platform; print(platform.python_version())", ROOT)
    kept["python"] = version.stdout.strip()
    kept["chapters"][chapter] = {
        "outcome": "failed" if problem else "passed",
        "seconds": round(seconds, 1),
        "installed": added,
        "commit": provenance(ROOT)["commit"],
        "date": provenance(ROOT)["date"],
    }
    kept["chapters"] = dict(sorted(kept["chapters"].items()))
    write_atomically(RECORD, json_bytes(dict(sorted(record.items()))))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_a_chapter_runs_where_nothing_of_the_book_is(host, chapter, tmp_path):
    before = host.restore()
    assert "digit-utils" not in before
    alone = tmp_path / "content"
    alone.mkdir()
    notebook = shutil.copy(chapter.notebook, alone)
    values = profile_file(ROOT, "quick", chapter.name)
    started = time.monotonic()
    problem = host.run_notebook(Path(notebook), tmp_path / "out.ipynb", values)
    seconds = time.monotonic() - started
    after = host.versions()
    added = [f"{name}=={version}" for name, version in after.items() if name not in before]
    if not problem:
        found = results.read(tmp_path / "out.ipynb")
        problem = "\n".join(outside(found, read_bounds(ROOT / BOUNDS)[chapter.name]))
    keep_record(host, chapter.name, seconds, problem, added)
    assert not problem, problem
    assert {name: after.get(name) for name in before} == before, "a version of the host was changed"
    assert "digit-utils" in after


def test_the_first_cell_run_again_does_nothing_and_says_nothing(host, tmp_path):
    host.restore()
    (cell,) = cells_tagged(read_notebook(CHAPTERS[0].notebook), INSTALL_TAG)
    code = f"""
cell = {cell.source!r}
exec(cell)
print("AGAIN")
def refuse(*_, **__):
    raise SystemExit("a process was started")
subprocess.run = subprocess.check_call = subprocess.Popen = refuse
exec(cell)
import sys
print([name for name in ("tensorflow", "keras", "numpy") if name in sys.modules])
"""
    done = host.run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("AGAIN")[1].strip() == "[]"


def test_the_hosts_tensorflow_knows_the_variable_that_shares_a_gpu(host):
    """No GPU here to try it on; that the library still reads the variable can be seen."""
    host.restore()
    (library,) = host.folder.glob(
        "lib/python*/site-packages/tensorflow/libtensorflow_framework.so.2"
    )
    with (
        library.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        assert content.find(b"TF_FORCE_GPU_ALLOW_GROWTH") != -1


SEEN_AS_KAGGLE = """
from pathlib import Path
try:
    from digit_utils import kaggle
except ModuleNotFoundError:
    pass  # the first cell has not run yet
else:
    kaggle.KAGGLE_FOLDERS = (Path({root!r}, "input/digit-recognizer"),)
    kaggle.KAGGLE_OUTPUT = Path({root!r}, "working")
"""


def write_competition(folder: Path, n_labelled: int, n_test: int) -> None:
    """Write Kaggle's two files with some of the book's images, in Kaggle's format."""
    from digit_utils.data import load_digits

    folder.mkdir(parents=True)
    digits = load_digits()
    pixels = ",".join(f"pixel{index}" for index in range(784))
    rows = np.column_stack([digits.labels, digits.images.reshape(-1, 784)])[:n_labelled]
    np.savetxt(
        folder / "train.csv", rows, fmt="%d", delimiter=",", header=f"label,{pixels}", comments=""
    )
    rows = digits.test_images.reshape(-1, 784)[:n_test]
    np.savetxt(folder / "test.csv", rows, fmt="%d", delimiter=",", header=pixels, comments="")


def test_on_kaggle_the_data_are_found_and_the_submission_is_where_it_is_looked_for(host, tmp_path):
    """Chapter 6 with Kaggle's files at a mount, and its working folder, both under a root of ours.

    The book is installed beforehand: the paths have to be exchanged before the kernel starts.
    """
    import pandas as pd

    host.restore()
    (cell,) = cells_tagged(read_notebook(CHAPTERS[0].notebook), INSTALL_TAG)
    assert host.run(cell.source, tmp_path).returncode == 0
    kaggle = tmp_path / "kaggle"
    write_competition(kaggle / "input" / "digit-recognizer", n_labelled=9000, n_test=700)
    working = kaggle / "working"
    working.mkdir()
    exchanged = tmp_path / "exchanged"
    exchanged.mkdir()
    (exchanged / "sitecustomize.py").write_text(SEEN_AS_KAGGLE.format(root=str(kaggle)))
    host.environment["PYTHONPATH"] = str(exchanged)
    chapter = next(chapter for chapter in CHAPTERS if chapter.name == "06_final_model")
    notebook = Path(shutil.copy(chapter.notebook, working))
    values = profile_file(ROOT, "quick", chapter.name)
    started = time.monotonic()
    try:
        problem = host.run_notebook(notebook, tmp_path / "out.ipynb", values)
    finally:
        del host.environment["PYTHONPATH"]
    keep_record(host, "06_final_model, Kaggle", time.monotonic() - started, problem, [])
    assert not problem, problem
    found = results.read(tmp_path / "out.ipynb")
    assert found["sealed_available"] is False, "the labels of Kaggle's images are not known"
    submission = pd.read_csv(working / "submission.csv")
    assert submission["ImageId"].tolist() == list(range(1, 701))
    assert submission["Label"].isin(range(10)).all()
    # Few enough to score against the book's own labels, which this test may look at.
    from digit_utils.data import load_digits, sealed_test_labels

    right = submission["Label"].to_numpy() == sealed_test_labels(load_digits())[:700]
    assert right.mean() > 0.9
