"""What is made from executed chapters: the site and the published notebooks."""

import json
import shutil
import subprocess
import sys
from pathlib import PureWindowsPath

import nbformat
import pytest
from runner_books import FIRST, SECOND, add_pages, change, edit, make_book, pretend_run

import digits_cli.publish
from digit_utils import results
from digits_cli.book import cells_tagged, code_cells, read_notebook, write_notebook
from digits_cli.cli import main
from digits_cli.errors import RunnerError
from digits_cli.pairing import METADATA, check_pairs
from digits_cli.publish import machine_traces, publish
from digits_cli.site import stage_site

NAMES = ["01_first", "02_second"]


@pytest.fixture
def book(tmp_path, monkeypatch):
    book = make_book(tmp_path, c01_first=FIRST, c02_second=SECOND)
    add_pages(book)
    edit(book / "_toc.yml", "02_second", "02_second.ipynb")  # as one may write, too
    monkeypatch.chdir(book)
    return book


def staged(book, name="01_first"):
    return read_notebook(book / f"_build/site/notebooks/{name}.ipynb")


# --- the site


def test_staging_starts_afresh_and_takes_prose_from_now_and_outputs_from_the_run(book):
    pretend_run(book, "01_first", parameters={"SEED": 3})
    pretend_run(book, "02_second")
    leftover = book / "_build/site/notebooks/00_gone.ipynb"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("{}")
    change(book, "notebooks/01_first.py", "A first chapter", "The first chapter")
    pages = stage_site(book, "quick")
    assert pages == ["book/index", "notebooks/01_first", "notebooks/02_second"]
    assert not leftover.exists() and (book / "_build/site/book/index.md").is_file()
    first = staged(book)
    assert first.cells[0].source.startswith("# The first chapter")
    assert first.cells[3].outputs[0].text == "3\n"
    (injected,) = cells_tagged(first, "injected-parameters")
    assert injected.source == "# Parameters\nSEED = 3"
    assert first.metadata.digits.profile == "quick"
    assert first.metadata.digits.stale == ["parameter SEED is 0, was 3"]
    assert staged(book, "02_second").metadata.digits.stale == []


def test_what_a_site_cannot_be_made_of_is_named_with_the_command_that_mends_it(book):
    def refused():
        with pytest.raises(RunnerError) as error:
            stage_site(book, "quick")
        return str(error.value)

    pretend_run(book, "01_first")
    change(book, "notebooks/01_first.py", "1 + 1", "1 + 2")
    told = refused()
    assert "code changed since the run: 01_first; not run yet: 02_second" in told
    assert "`digits run 01_first 02_second --profile quick`" in told
    for name in NAMES:
        pretend_run(book, name)
    profile = book / "profiles/quick/01_first.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("SEED: 41\n")
    assert "values changed since the run: 01_first" in refused()
    change(book, "_toc.yml", "01_first", "01_frist")
    listed = "_toc.yml lists notebooks/01_frist, which is no chapter; notebooks/01_first is not in"
    assert listed in refused()


def test_a_bad_build_leaves_the_last_good_site_and_a_good_one_replaces_it(
    book, monkeypatch, capsys
):
    """Jupyter Book is stood in for: the real one is tried in the tests of the site."""
    for name in NAMES:
        pretend_run(book, name)
    html, real = book / "_build/html", subprocess.Popen
    html.mkdir()
    for name in ("index", "stale"):
        (html / f"{name}.html").write_text("old")
    every = ["index", "book/index", *(f"notebooks/{name}" for name in NAMES)]
    for code, pages, told in (
        (2, every, "exit code 2"),
        (0, every[:3], "no page for notebooks/02_second"),
        (0, every, ""),
    ):
        script = (
            "import sys, pathlib\n"
            "work = pathlib.Path(sys.argv[sys.argv.index('--path-output') + 1])\n"
            f"for page in {pages!r}:\n"
            "    path = work / '_build' / 'html' / f'{page}.html'\n"
            "    path.parent.mkdir(parents=True, exist_ok=True)\n"
            "    path.write_text('new')\n"
            f"print('building', sys.argv[1:])\nprint('=' * 40)\nprint('in .book')\nsys.exit({code})"
        )
        monkeypatch.setattr(
            "digits_cli.site.subprocess.Popen",
            lambda command, script=script, **options: real(
                [sys.executable, "-c", script, *command[3:]], **options
            ),
        )
        assert (main(["site"]) == 0) == (told == "")
        shown = capsys.readouterr()
        assert "'-n', '-W', '--keep-going'" in shown.out and "in .book" not in shown.out
        assert told in shown.err and ("still the last good site" in shown.err) == bool(told)
        assert (html / "index.html").read_text() == ("old" if told else "new")
    assert "html/index.html" in shown.out.splitlines()[-1]
    assert not (html / "stale.html").exists(), "it is replaced whole"
    assert sorted(path.name for path in (book / "_build").iterdir()) == ["html", "runs", "site"]


# --- published notebooks


@pytest.fixture
def published(book, capsys):
    """Publish what has been run; return what was said and what is left."""

    def published(*wanted):
        left = publish(wanted, run=False)
        return capsys.readouterr().out.splitlines(), left

    return published


def test_publishing_copies_outputs_and_nothing_of_the_run_itself(book, published):
    with pytest.raises(RunnerError, match="Not published, or changed since: 01_first, 02_second"):
        stage_site(book, None)
    pretend_run(book, "01_first", "full", parameters={"SEED": 0})  # the default, set all the same
    pretend_run(book, "02_second", "full")
    said, left = published()
    ends = ("results/{}.json", "notebooks/{}.ipynb")
    assert said == [f"{name}: wrote {end.format(name)}" for name in NAMES for end in ends]
    assert left == []
    record = json.loads((book / "results/01_first.json").read_text())
    assert record["chapter"] == "01_first" and record["provenance"] == {"commit": "abc"}
    assert record["results"] == results.read(book / "_build/runs/full/01_first.ipynb")
    notebook = read_notebook(book / "notebooks/01_first.ipynb")
    assert set(notebook.metadata) == {*METADATA, "digits"}
    assert set(notebook.metadata.digits) == {"fingerprint", "outputs"}
    assert not cells_tagged(notebook, "injected-parameters")
    code = code_cells(notebook)
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert all(cell.outputs for cell in code)
    assert check_pairs(book) == [], "published outputs do not part the halves"

    # A new run of what was published before is taken when it is named.
    pretend_run(book, "02_second", "full", accuracy=0.5)
    assert published() == (["01_first: fresh", "02_second: fresh"], [])
    assert published("02")[0][-1] == "02_second: wrote notebooks/02_second.ipynb"
    assert results.read(book / "notebooks/02_second.ipynb") == {"accuracy": 0.5}
    assert published("02")[0] == ["02_second: fresh, and as its full run"]

    # A site can be made of it.
    shutil.rmtree(book / "_build")
    stage_site(book, None)
    made = staged(book).metadata.digits
    assert (made.profile, made.stale) == ("full", [])
    assert code_cells(staged(book))[0].outputs


def test_the_published_table_shows_the_published_values(book, published):
    path = pretend_run(book, "01_first", "full", accuracy=0.99)
    notebook = read_notebook(path)
    for output in notebook.cells[-1].outputs:
        if results.MIME_TYPE in output.get("data", {}):
            old = results.tabulate({"accuracy": 0.99}, {"accuracy": 0.98})
            output.data |= {"text/markdown": old, "text/plain": old}
    write_notebook(path, notebook)
    assert published("01")[1] == []
    assert "| accuracy | 0.99 | 0.99 |" in (book / "notebooks/01_first.ipynb").read_text()
    assert published("01")[0] == ["01_first: fresh, and as its full run"]


def test_publishing_refuses_other_parameters_old_code_and_paths_of_this_machine(book, published):
    before = (book / "notebooks/01_first.ipynb").read_bytes()
    assert published()[1] == NAMES
    pretend_run(book, "01_first", "full", parameters={"SEED": 3})
    assert published("01")[1] == ["01_first"], "other values than the profile's"
    profile = book / "profiles/full/01_first.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("SEED: 3\n")
    path = pretend_run(book, "01_first", "full")
    notebook = read_notebook(path)
    notebook.cells[3].outputs[0].text = f"saved in {book}/x"
    write_notebook(path, notebook)
    with pytest.raises(RunnerError) as error:
        published()
    assert "it ran with SEED=3 instead of its defaults" in str(error.value)
    assert f"cell 3 prints {book}" in str(error.value)
    assert (book / "notebooks/01_first.ipynb").read_bytes() == before
    change(book, "notebooks/01_first.py", "1 + 1", "1 + 2")
    assert published()[1] == NAMES, "its code has changed"


def test_folders_of_windows_are_found_in_outputs_too(monkeypatch):
    class Home(PureWindowsPath):
        @classmethod
        def home(cls):
            return cls(r"C:\Users\ada")

    monkeypatch.setattr(digits_cli.publish, "Path", Home)
    for text, n_found in (
        (r"C:\Users\ada\other", 1),
        ("C:/Users/ada/x", 1),
        (r"C:\Temp\ipykernel_12\34.py", 1),
        ("C: the letter", 0),
    ):
        output = nbformat.v4.new_output("stream", name="stdout", text=text)
        cell = nbformat.v4.new_code_cell("print(text)", outputs=[output])
        notebook = nbformat.v4.new_notebook(cells=[cell])
        assert len(machine_traces(notebook, Home(r"D:\book"))) == n_found
