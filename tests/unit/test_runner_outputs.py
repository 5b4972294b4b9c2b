"""What is made from executed chapters: the site and the published notebooks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import PureWindowsPath

import nbformat
import pytest
from runner_books import FIRST, SECOND, make_book, pretend_run

import digits_cli.publish
from digit_utils import results
from digits_cli.book import cells_tagged, code_cells, list_chapters, read_notebook, write_notebook
from digits_cli.errors import RunnerError
from digits_cli.pairing import METADATA, check_pairs, sync_pair
from digits_cli.publish import machine_traces, publish
from digits_cli.site import build_site, stage_site

NAMES = ["01_first", "02_second"]


@pytest.fixture
def book(tmp_path):
    book = make_book(tmp_path, c01_first=FIRST, c02_second=SECOND)
    (book / "_config.yml").write_text("title: Tiny\nexecute:\n  execute_notebooks: 'off'\n")
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n  - caption: All\n    chapters:\n"
        "      - file: notebooks/01_first\n      - file: notebooks/02_second.ipynb\n"
    )
    (book / "book").mkdir()
    (book / "book" / "index.md").write_text("# Welcome\n")
    return book


@pytest.fixture
def ran(book):
    """The book, its chapters run with profile `quick`, and a site built before."""
    for name in NAMES:
        pretend_run(book, name)
    (book / "_build/html").mkdir()
    (book / "_build/html/index.html").write_text("old")
    return book


def change(book, name, old, new):
    script = book / "notebooks" / f"{name}.py"
    assert old in script.read_text()
    script.write_text(script.read_text().replace(old, new))
    for found in list_chapters(book):
        sync_pair(found)


# --- the site


def test_staging_starts_afresh_and_takes_prose_from_now_and_outputs_from_the_run(book):
    pretend_run(book, "01_first", parameters={"SEED": 3})
    pretend_run(book, "02_second")
    leftover = book / "_build/site/notebooks/00_gone.ipynb"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("{}")
    change(book, "01_first", "A first chapter", "The first chapter")
    pages = stage_site(book, "quick")
    assert pages == ["book/index", "notebooks/01_first", "notebooks/02_second"]
    assert not leftover.exists()
    staged = read_notebook(book / "_build/site/notebooks/01_first.ipynb")
    assert staged.cells[0].source.startswith("# The first chapter")
    assert staged.cells[3].outputs[0].text == "3\n"
    (injected,) = cells_tagged(staged, "injected-parameters")
    assert injected.source == "# Parameters\nSEED = 3"
    assert staged.metadata.digits.profile == "quick"
    assert staged.metadata.digits.stale == ["parameter SEED is 0, was 3"]
    other = read_notebook(book / "_build/site/notebooks/02_second.ipynb")
    assert other.metadata.digits.stale == []
    assert (book / "_build/site/book/index.md").is_file()


def test_runs_that_are_missing_or_of_other_code_are_listed_with_the_command_that_makes_them(book):
    pretend_run(book, "01_first")
    change(book, "01_first", "1 + 1", "1 + 2")
    with pytest.raises(RunnerError) as error:
        stage_site(book, "quick")
    told = str(error.value)
    assert "code changed since the run: 01_first; not run yet: 02_second" in told
    assert "`digits run 01_first 02_second --profile quick`" in told


def test_a_run_with_other_values_than_the_profiles_is_out_of_date(ran):
    profile = ran / "profiles/quick/01_first.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("SEED: 41\n")
    with pytest.raises(RunnerError, match="values changed since the run: 01_first"):
        stage_site(ran, "quick")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("format: jb-book\nroot: book/index\nchapters:\n- file: notebooks/01_frist\n",
         "_toc.yml lists notebooks/01_frist, which is no chapter; notebooks/01_first is not in"),
        ("root: [\n", "_toc.yml, line 2: this is not YAML"),
        (None, "_toc.yml is missing"),
    ],
)  # fmt: skip
def test_the_table_of_contents_must_list_every_chapter_and_no_other(book, text, told):
    (book / "_toc.yml").unlink()
    if text:
        (book / "_toc.yml").write_text(text)
    with pytest.raises(RunnerError) as error:
        stage_site(book, "quick")
    assert told in str(error.value)


def fake_jupyter_book(monkeypatch, code=0, pages=("index", "book/index")):
    """Stand in for Jupyter Book: the real one is tried in the tests of the site."""
    script = (
        "import sys, pathlib\nwork = pathlib.Path(sys.argv[sys.argv.index('--path-output') + 1])\n"
        "html = work / '_build' / 'html'\n"
        f"for page in {list(pages)!r}:\n"
        "    path = html / f'{page}.html'\n"
        "    path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_text('new')\n"
        f"print('building', sys.argv[1:])\nprint('=' * 40)\nprint('in .book')\nsys.exit({code})"
    )
    real = subprocess.Popen

    def start(command, **options):
        assert command[0] == sys.executable
        return real([sys.executable, "-c", script, *command[3:]], **options)

    monkeypatch.setattr("digits_cli.site.subprocess.Popen", start)


ALL_PAGES = ("index", "book/index", *(f"notebooks/{name}" for name in NAMES))


def test_a_good_build_replaces_the_old_site_whole(ran, monkeypatch, capsys):
    (ran / "_build/html/stale.html").write_text("old")
    fake_jupyter_book(monkeypatch, pages=ALL_PAGES)
    assert build_site(root=ran) == 0
    out = capsys.readouterr().out
    assert "'-n', '-W', '--keep-going'" in out
    assert ".book'" in out and "in .book" not in out
    assert "html/index.html" in out.splitlines()[-1]
    assert not (ran / "_build/html/stale.html").exists()
    assert (ran / "_build/html/index.html").read_text() == "new"
    assert sorted(path.name for path in (ran / "_build").iterdir()) == ["html", "runs", "site"]


@pytest.mark.parametrize(
    ("code", "pages", "told"),
    [(2, ALL_PAGES, "exit code 2"), (0, ALL_PAGES[:3], "no page for notebooks/02_second")],
)
def test_a_bad_build_leaves_the_last_good_site(ran, monkeypatch, capsys, code, pages, told):
    fake_jupyter_book(monkeypatch, code, pages)
    if code:
        assert build_site(root=ran) == code
        error = capsys.readouterr().err
    else:
        with pytest.raises(RunnerError) as raised:
            build_site(root=ran)
        error = str(raised.value)
    assert told in error
    assert "still the last good site" in error
    assert (ran / "_build/html/index.html").read_text() == "old"


# --- published notebooks


def published(book, *wanted):
    """Publish what has been run; return what was said and what is left."""
    said: list[str] = []
    left = publish(wanted, run=False, root=book, say=said.append)
    return [line.replace(str(book) + "/", "") for line in said], left


def test_publishing_copies_outputs_and_nothing_of_the_run_itself(book):
    pretend_run(book, "01_first", "full", parameters={"SEED": 0})  # the default, set all the same
    pretend_run(book, "02_second", "full")
    said, left = published(book)
    ends = ("results/{}.json", "notebooks/{}.ipynb")
    assert said == [f"{name}: wrote {end.format(name)}" for name in NAMES for end in ends]
    assert left == []
    record = json.loads((book / "results/01_first.json").read_text())
    assert record["chapter"] == "01_first"
    assert record["results"] == results.read(book / "_build/runs/full/01_first.ipynb")
    assert record["provenance"] == {"commit": "abc"}
    notebook = read_notebook(book / "notebooks/01_first.ipynb")
    assert set(notebook.metadata) == {*METADATA, "digits"}
    assert set(notebook.metadata.digits) == {"fingerprint", "outputs"}
    assert not cells_tagged(notebook, "injected-parameters")
    code = code_cells(notebook)
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert all(cell.outputs for cell in code)
    assert check_pairs(book) == [], "published outputs do not part the halves"
    assert published(book) == (["01_first: fresh", "02_second: fresh"], [])
    assert not (book / "digit_utils").exists()


def test_publishing_refuses_other_parameters_old_code_and_paths_of_this_machine(book):
    before = (book / "notebooks/01_first.ipynb").read_bytes()
    _, left = published(book)
    assert left == NAMES
    pretend_run(book, "01_first", "full", parameters={"SEED": 3})
    assert published(book, "01")[1] == ["01_first"], "other values than the profile's"
    profile = book / "profiles/full/01_first.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("SEED: 3\n")
    path = pretend_run(book, "01_first", "full")
    notebook = read_notebook(path)
    notebook.cells[3].outputs[0].text = f"saved in {book}/x"
    write_notebook(path, notebook)
    with pytest.raises(RunnerError) as error:
        published(book)
    assert "it ran with SEED=3 instead of its defaults" in str(error.value)
    assert f"cell 3 prints {book}" in str(error.value)
    assert (book / "notebooks/01_first.ipynb").read_bytes() == before
    change(book, "01_first", "1 + 1", "1 + 2")
    assert published(book)[1] == NAMES, "its code has changed"


def test_a_new_run_of_a_chapter_published_before_is_taken_when_it_is_named(book):
    for name in NAMES:
        pretend_run(book, name, "full")
    published(book)
    pretend_run(book, "02_second", "full", accuracy=0.5)
    assert published(book)[0] == ["01_first: fresh", "02_second: fresh"]
    said, _ = published(book, "02")
    assert said[-1] == "02_second: wrote notebooks/02_second.ipynb"
    assert results.read(book / "notebooks/02_second.ipynb") == {"accuracy": 0.5}
    assert published(book, "02")[0] == ["02_second: fresh, and as its full run"]


def test_the_site_can_be_made_of_the_published_notebooks(book):
    with pytest.raises(RunnerError, match="Not published, or changed since: 01_first, 02_second"):
        stage_site(book, None)
    for name in NAMES:
        pretend_run(book, name, "full")
    published(book)
    shutil.rmtree(book / "_build")
    stage_site(book, None)
    staged = read_notebook(book / "_build/site/notebooks/01_first.ipynb")
    assert (staged.metadata.digits.profile, staged.metadata.digits.stale) == ("full", [])
    assert code_cells(staged)[0].outputs


# --- what names this machine


def printing(text):
    output = nbformat.v4.new_output("stream", name="stdout", text=text)
    cell = nbformat.v4.new_code_cell("print(text)", outputs=[output])
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.mark.parametrize(
    "text",
    [
        r"C:\Users\ada\book\notebooks\01_eda.py", r"C:\Users\ada\other",
        r"C:\Temp\ipykernel_12\34.py", "C:/Users/ada/book/x",
    ],
)  # fmt: skip
def test_folders_of_windows_are_found_in_outputs(monkeypatch, text):
    class Home(PureWindowsPath):
        @classmethod
        def home(cls):
            return cls(r"C:\Users\ada")

    monkeypatch.setattr(digits_cli.publish, "Path", Home)
    root = Home(r"C:\Users\ada\book")
    assert machine_traces(printing(text), root)
    assert machine_traces(printing("C: the letter"), root) == []


def test_folders_of_this_machine_are_found_in_outputs(tmp_path):
    assert machine_traces(printing(f"{tmp_path}/x"), tmp_path)
    assert machine_traces(printing("/tmp/ipykernel_12/34.py"), tmp_path)
    assert machine_traces(printing("nothing"), tmp_path) == []
