"""Every chapter as a reader on Colab runs it: a notebook alone in an empty folder.

Each file in ``hosts/`` lists the versions of a published image. The test makes that environment,
lets the chapter's own first cell install the book, and runs the chapter with the quick profile in
that environment's kernel, driven from here. One thing is exchanged, and not in the notebook: git is
told to take the repository's address for a copy of this checkout.

Slow: about fifteen minutes for both hosts, and the packages have to be fetched once. With
DIGITS_RECORD=1 the outcome of each chapter is kept in results/hosts.json.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers import ROOT, copy_committed, keep_in_record, must, run_outside, uv, write_competition

from digit_utils import __version__, results
from digit_utils.data import load_digits, sealed_test_labels
from digits_cli.book import INSTALL_TAG, cells_tagged, list_chapters, read_notebook, without_colour
from digits_cli.plan import profile_file
from digits_cli.references import BOUNDS, outside, read_bounds
from digits_cli.repository import configured

HOST_FILES = sorted((Path(__file__).parent / "hosts").glob("*.txt"))
CHAPTERS = list_chapters(ROOT)
# What pip needs of the repository to install the book.
PACKAGED = ("digit_utils", "digits_cli", "notebooks", "profiles", "*.toml", "README.md", "LICENSE")

assert HOST_FILES and CHAPTERS


class Host:
    """An environment with exactly the versions that a file in ``hosts/`` lists."""

    def __init__(self, listed: Path, repository: Path) -> None:
        self.name, self.listed = listed.stem, listed
        folder = ROOT / "_build" / "hosts" / self.name
        self.python = folder / "bin" / "python"
        if not self.python.exists():
            version = re.match(r"# python: (3\.\d+)\n", listed.read_text(encoding="utf-8"))[1]
            uv("venv", "-q", "--clear", "--python", find_python(version), folder)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))},
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": configured(ROOT)[0],
        }

    def restore(self) -> dict[str, str]:
        """Put the environment back to what the file lists; return name and version of each."""
        # No resolver: the image is taken as published, gaps included.
        uv("pip", "sync", "-q", "--python", self.python, self.listed)
        return self.versions()

    def versions(self) -> dict[str, str]:
        listing = uv("pip", "list", "--format", "json", "--python", self.python)
        return {each["name"]: each["version"] for each in json.loads(listing)}

    def run(self, code: str, folder: Path = ROOT) -> str:
        return must([self.python, "-c", code], folder, env=self.environment)

    def run_notebook(self, notebook: Path, output: Path, values: Path) -> str:
        """Execute a notebook in its own folder with this environment's kernel.

        Return what went wrong; nothing when all went well.
        """
        kernel = output.parent / "jupyter" / "kernels" / "host"
        kernel.mkdir(parents=True)
        start = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": start, "display_name": "host", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        command = [sys.executable, "-m", "papermill", notebook, output, "-k", "host"]
        command += ["--cwd", notebook.parent, "--no-progress-bar", "-f", values]
        environment = {**self.environment, "JUPYTER_PATH": str(kernel.parents[1])}
        done = run_outside(command, ROOT, env=environment)
        return without_colour(done.stderr)[-3000:] if done.returncode else ""


def find_python(version: str) -> str:
    """Prefer an interpreter that is here, pyenv's too; otherwise uv looks for one or fetches it."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    here = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(here[-1]) if here else version


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """Return a git repository with the book as it is here, committed or not."""
    folder = tmp_path_factory.mktemp("book") / "repository"
    copy_committed(folder, *PACKAGED, new=True)
    for command in (
        ["init", "-q", "-b", configured(ROOT)[1]],
        ["add", "--force", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "as it is here"],
        # What the chapters install: the branch's name, or, in a release, a tag's.
        ["tag", f"v{__version__}"],
        ["config", "uploadpack.allowFilter", "true"],  # pip fetches as little as it can
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session", params=HOST_FILES, ids=lambda path: path.stem)
def host(request, repository) -> Host:
    return Host(request.param, repository)


def run_chapter(host: Host, chapter: str, folder: Path, what: str = "") -> dict:
    """Run a chapter, alone in a folder; keep how it went, and return what it reported."""
    before, started = host.versions(), time.monotonic()
    notebook = Path(shutil.copy(ROOT / "notebooks" / f"{chapter}.ipynb", folder))
    output = folder.parent / "out.ipynb"
    problem = host.run_notebook(notebook, output, profile_file(ROOT, "quick", chapter))
    found = {} if problem else results.read(output)
    if not problem and not what:
        problem = "\n".join(outside(found, read_bounds(ROOT / BOUNDS)[chapter]))
    python = host.run("import platform; print(platform.python_version())").strip()
    keep_in_record(
        "hosts.json", host.name, "chapters", f"{chapter}{what}",
        outcome="failed" if problem else "passed",
        python=python,
        seconds=round(time.monotonic() - started, 1),
        installed=[f"{n}=={v}" for n, v in host.versions().items() if n not in before],
    )  # fmt: skip
    assert not problem, problem
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_a_chapter_runs_where_nothing_of_the_book_is(host, chapter, tmp_path):
    before = host.restore()
    assert "digit-utils" not in before
    alone = tmp_path / "content"
    alone.mkdir()
    run_chapter(host, chapter.name, alone)
    after = host.versions()
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
    assert host.run(code, tmp_path).split("AGAIN")[1].strip() == "[]"


SEEN_AS_KAGGLE = """
from pathlib import Path
from digit_utils import kaggle
kaggle.KAGGLE_FOLDERS = (Path({root!r}, "input/digit-recognizer"),)
kaggle.KAGGLE_OUTPUT = Path({root!r}, "working")
"""


def test_on_kaggle_the_data_are_found_and_the_submission_is_where_it_is_looked_for(host, tmp_path):
    """Chapter 6 with Kaggle's files at a mount, and its working folder, both under a root of ours.

    The book is installed beforehand: the paths have to be exchanged before the kernel starts.
    """
    host.restore()
    (cell,) = cells_tagged(read_notebook(CHAPTERS[0].notebook), INSTALL_TAG)
    host.run(cell.source, tmp_path)
    kaggle, exchanged = tmp_path / "kaggle", tmp_path / "exchanged"
    write_competition(kaggle / "input" / "digit-recognizer", n_labelled=9000, n_test=700)
    working = kaggle / "working"
    working.mkdir()
    exchanged.mkdir()
    (exchanged / "sitecustomize.py").write_text(SEEN_AS_KAGGLE.format(root=str(kaggle)))
    host.environment["PYTHONPATH"] = str(exchanged)
    try:
        found = run_chapter(host, "06_final_model", working, what=", Kaggle")
    finally:
        del host.environment["PYTHONPATH"]
    assert found["sealed_available"] is False, "the labels of Kaggle's images are not known"
    submission = pd.read_csv(working / "submission.csv")
    assert submission["ImageId"].tolist() == list(range(1, 701))
    # Few enough to score against the book's own labels, which this test may look at.
    assert (submission["Label"] == sealed_test_labels(load_digits())[:700]).mean() > 0.9
