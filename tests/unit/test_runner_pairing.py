"""The two halves of a chapter: equal by content, outputs kept, files left alone."""

import os
import subprocess
import sys

import nbformat
import pytest
from helpers import ROOT
from jupytext import TextFileContentsManager
from nbconvert import ScriptExporter
from runner_books import FIRST, SECOND, edit, make_book, pretend_run

from digit_utils import __version__
from digits_cli.book import code_cells, list_chapters, read_notebook, write_notebook
from digits_cli.cli import main
from digits_cli.errors import RunnerError
from digits_cli.pairing import METADATA, check_pairs, read_script, sync_pair


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.chdir(make_book(tmp_path, c01_first=FIRST, c02_second=SECOND))
    return tmp_path


def first(book):
    return list_chapters(book)[0]


def fill(path):
    """Give every code cell an output of its own; return these by the cells' sources."""
    notebook = read_notebook(path)
    for number, cell in enumerate(code_cells(notebook), start=1):
        cell.execution_count = number
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"out {number}")]
    write_notebook(path, notebook)
    return outputs(path)


def outputs(path):
    return {c.source: [o.text for o in c.outputs] for c in code_cells(read_notebook(path))}


def type_into(path, text, *new_cells):
    """Add a paragraph to the first cell, and cells, in the notebook alone."""
    notebook = read_notebook(path)
    notebook.cells[0].source += f"\n\n{text}"
    notebook.cells += map(nbformat.v4.new_markdown_cell, new_cells)
    write_notebook(path, notebook)


def commit(book):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "Both halves"]):
        subprocess.run(["git", *command], cwd=book, check=True)


def test_a_notebook_is_minimal_and_valid_and_its_ids_are_stable(book):
    def ids():
        return [cell.id for cell in read_notebook(first(book).notebook).cells]

    notebook = nbformat.read(first(book).notebook, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == METADATA
    assert ScriptExporter().from_notebook_node(notebook)[1]["output_extension"] == ".py"
    assert notebook.cells[1].metadata == {"tags": ["parameters"]}
    before = ids()
    edit(first(book).script, "# %% [markdown]\n", "# %%\n1\n\n# %%\n1\n\n# %% [markdown]\n")
    sync_pair(first(book))
    assert ids()[2:] == before and len(set(ids())) == len(ids())


def test_what_is_no_difference_is_told_as_none_and_only_metadata_is_cleaned(book, capsys):
    chapter = first(book)
    fill(chapter.notebook)
    os.utime(chapter.notebook, (1, 1))
    assert main(["sync", "--check"]) == 0, "outputs alone"
    assert "Every .ipynb equals its .py" in capsys.readouterr().out
    assert not sync_pair(chapter)
    assert chapter.notebook.stat().st_mtime == 1, "not touched, whatever the dates"
    before = chapter.notebook.read_bytes()
    notebook = read_notebook(chapter.notebook)
    notebook.metadata["language_info"]["version"] = "3.9.1"
    notebook.metadata["colab"] = {"provenance": []}
    notebook.cells[0].metadata |= {"id": "abc", "tags": [], "editable": True}
    write_notebook(chapter.notebook, notebook)
    for path in (chapter.script, chapter.notebook):  # a byte order mark
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert check_pairs(book) == []
    assert sync_pair(chapter)
    assert chapter.notebook.read_bytes() == before


def test_outputs_of_unchanged_code_are_kept_and_of_changed_code_dropped(book):
    chapter = first(book)
    before = fill(chapter.notebook)
    edit(chapter.script, "1 + 1", "1 + 2")
    edit(chapter.script, "A first chapter", "The first chapter")
    assert main(["sync"]) == 0
    del before["1 + 1"]
    assert outputs(chapter.notebook) == {**before, "1 + 2": []}
    assert read_notebook(chapter.notebook).cells[0].source.startswith("# The first chapter")


def test_check_names_what_differs_and_changes_nothing(book, capsys):
    chapter = first(book)
    script, notebook = chapter.script.read_bytes(), chapter.notebook.read_bytes()
    for old, new, told in (
        ("1 + 1", "1 + 2", "cell 4 (1 + 2) has another text in the .ipynb"),
        ('tags=["nbval-check-output"]', "", "cell 4 (1 + 1) has metadata {}"),
        ("# %% [markdown]", "# %%", "cell 1 (# # A first chapter) is code in the .py"),
        ("# %%\nfrom", "from", "the .py has 4 cells, the .ipynb 5"),
    ):
        edit(chapter.script, old, new)
        assert main(["sync", "--check"]) == 1
        found = capsys.readouterr()
        assert f"01_first: {told}" in found.out and "digits sync" in found.err
        assert chapter.notebook.read_bytes() == notebook
        chapter.script.write_bytes(script)


def test_what_cannot_be_synced_is_told_last_and_the_others_are_made(book, monkeypatch, capsys):
    monkeypatch.chdir(book / "notebooks")  # the book is found from below
    (book / "notebooks/01_first.py").unlink()
    (book / "notebooks/03_new.py").write_text("# %%\n1\n")
    (book / "notebooks/04_broken.py").write_text("# %%\n1\n")
    (book / "notebooks/04_broken.ipynb").write_text("{not json")
    assert main(["sync", "--check", "2"]) == 0
    assert main(["sync", "--check", "1", "3"]) == 1
    out = capsys.readouterr().out
    assert "01_first: there is an .ipynb but no .py" in out
    assert "03_new: there is a .py but no .ipynb\n" in out
    assert main(["sync"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == ["as it was: 02_second.ipynb", "wrote: 03_new.ipynb"]
    assert "01_first.ipynb has no 01_first.py" in told.err
    assert "04_broken.ipynb is not a readable notebook" in told.err
    assert (book / "notebooks/01_first.ipynb").is_file(), "nothing is deleted"


def test_a_deleted_notebook_comes_back_from_git_with_its_outputs(book, capsys):
    fill(first(book).notebook)
    commit(book)
    first(book).notebook.unlink()
    advice = "`git restore notebooks/01_first.ipynb` brings it back with its outputs"
    assert main(["sync", "--check"]) == 1
    assert f"01_first: there is a .py but no .ipynb; {advice}" in capsys.readouterr().out
    assert main(["sync"]) == 0
    assert f"01_first.ipynb was gone and has no outputs now; {advice}." in capsys.readouterr().err
    subprocess.run(advice.split("`")[1].split(), cwd=book, check=True)
    assert main(["sync", "--check"]) == 0
    assert all(outputs(first(book).notebook).values())


def test_a_copy_beside_the_chapters_is_no_chapter(book, capsys):
    for name in ("01_first-Copy1", "my_copy"):
        (book / f"notebooks/{name}.ipynb").write_bytes(first(book).notebook.read_bytes())
    for command in (["sync", "--check"], ["sync"], ["status", "1"]):
        main(command)
        out = capsys.readouterr().out
        assert out.count("01_first-Copy1.ipynb, my_copy.ipynb") == out.count("my_copy") == 1
    assert main(["run", "notebooks/my_copy.ipynb"]) == 2
    assert "papermill notebooks/my_copy.ipynb output.ipynb" in capsys.readouterr().err


# What jupytext takes for a commented magic unless it is told otherwise.
COMMENTS = """# copy the weights
# rm victim.txt
# Why?
# %s of the images
# %timeit 1
#!ls
1"""


def test_a_comment_stays_one_and_a_magic_too(book):
    """The chapter is opened in Jupyter, by its own means and jupytext's, and saved."""
    sources = [COMMENTS, "%timeit -n 1 1\nlisted = !ls", "%%bash\necho hello"]
    first(book).script.write_text("\n\n".join([FIRST, *(f"# %%\n{each}" for each in sources)]))
    (book / "jupytext.toml").write_bytes((ROOT / "jupytext.toml").read_bytes())
    sync_pair(first(book))
    manager = TextFileContentsManager(root_dir=str(book))
    for half in (first(book).script, first(book).notebook):
        name = half.relative_to(book).as_posix()
        manager.save({"type": "notebook", "content": manager.get(name)["content"]}, name)
    for notebook in (read_notebook(first(book).notebook), read_script(first(book).script)):
        assert [cell.source for cell in notebook.cells[-3:]] == sources


def test_what_was_typed_into_a_notebook_is_not_destroyed(book, capsys):
    chapter = first(book)
    type_into(chapter.notebook, "A thought.", "Another thought.", "")
    typed = chapter.notebook.read_bytes()
    edit(chapter.script, "1 + 1", "1 + 2")  # which the notebook does not know yet
    pretend_run(book, "01_first", "full")
    for command in ("sync", "publish"):
        assert main([command]) == 1
        told = "cell 1 (# A first chapter), cell 6 (Another thought.). Copy them into the .py, or"
        assert told in capsys.readouterr().err
        assert chapter.notebook.read_bytes() == typed
    assert main(["sync", "--force"]) == 0
    assert check_pairs(book) == []


TYPED = [{"source": "x"}, {"source": "x"}, {"metadata": {"tags": ["mine"]}}]
ELSEWHERE = [("SEED: int = 0", "SEED: int = 1"), ("# %%", "# %%\n2\n\n# %%"), ("1 + 1", "1 + 2")]


@pytest.mark.parametrize(("typed", "script"), list(zip(TYPED, ELSEWHERE, strict=True)))
def test_what_was_typed_is_kept_whatever_the_script_does_elsewhere(book, typed, script):
    chapter = first(book)
    commit(book)
    notebook = read_notebook(chapter.notebook)
    notebook.cells[0].update(typed)
    write_notebook(chapter.notebook, notebook)
    edit(chapter.script, *script)
    with pytest.raises(RunnerError, match="cell 1 "):
        sync_pair(chapter)
    assert sync_pair(chapter, force=True)


@pytest.mark.parametrize("committed", ["before", "after"])
def test_a_script_changed_since_jupyter_saved_both_halves_is_the_newer(book, committed):
    chapter = first(book)
    if committed == "before":
        commit(book)
    type_into(chapter.notebook, "A thought.", "A cell.")
    question, cell = "**Is one more than zero?**", "\n# %% [markdown]\n# A cell.\n"
    edit(chapter.script, question, f"{question}\n#\n# A thought.")
    chapter.script.write_text(chapter.script.read_text() + cell)
    assert check_pairs(book) == []
    script = chapter.script.read_bytes()
    if committed == "after":
        commit(book)
        edit(chapter.script, cell, "")
    edit(chapter.script, "A thought", "A second thought")
    assert sync_pair(chapter)
    type_into(chapter.notebook, "In the notebook alone.")
    if committed == "after":
        chapter.script.write_bytes(script)
        with pytest.raises(RunnerError, match="cell 1 "):
            sync_pair(chapter)


def test_a_full_disk_or_a_missing_package_is_told_without_a_traceback(book, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "notebooks/01_first.ipynb")

    monkeypatch.setattr("digits_cli.pairing.sync_pair", full)
    assert main(["sync"]) == 1
    assert "No space left on device: 'notebooks/01_first.ipynb'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "jupytext", None)
    assert main(["sync", "--check"]) == 1
    assert "has no jupytext. Install the book's tools" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["sync", "01", "frist"], "There is no chapter 'frist'."),
        (["run", "01", "-p", "NAME"], "-p needs a NAME and a VALUE, found only 'NAME'"),
        (["run", "-p", "SED", "1", "--profile", "quick", "01"], "Did you mean SEED?"),
        (["run", "01", "SEED=1"], "no chapter 'SEED=1'. A parameter goes after -p."),
        # With two slashes it is an address.
        (["sweep", "good.yaml", "--out", "s3:/b/mine"], "--out is s3:/b/mine, expected a folder"),
        (["run", "01", "--out", "s3://b/mine"], "--out is s3://b/mine, expected a folder"),
        (["search", "mine.py", "--trials", "1", "--out", "s3://b/mine"], "--out is s3://b/mine"),
        (["run", "--frob"], "unrecognized arguments: --frob"),
        (["site", "01"], "unrecognized arguments: 01"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_requests_exit_2_and_start_nothing(book, capsys, command, told):
    (book / "good.yaml").write_text("chapter: 01_first\nseeds: [0]\n")
    try:
        code = main(command)
    except SystemExit as ended:  # argparse's own
        code = ended.code
    assert code == 2
    assert told in capsys.readouterr().err
    assert not (book / "_build").exists() and not (book / "s3:").exists()


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"digits {__version__}\n"
