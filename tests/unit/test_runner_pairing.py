"""The two halves of a chapter: equal by content, outputs kept, files left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nbformat
import pytest
from helpers import ROOT
from jupytext import TextFileContentsManager
from runner_books import FIRST, SECOND, make_book, pretend_run

from digit_utils import __version__
from digits_cli.cli import main
from digits_cli.errors import RunnerError
from digits_cli.notebooks import code_cells, read_notebook, write_notebook
from digits_cli.pairing import METADATA, check_pairs, read_script, sync_pair
from digits_cli.paths import list_chapters


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


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


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


def test_a_notebook_is_minimal_and_valid(book):
    notebook = nbformat.read(first(book).notebook, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == METADATA
    assert notebook.cells[1].metadata == {"tags": ["parameters"]}
    assert notebook.cells[2].metadata == {"mystnb": {"image": {"alt": "Nothing to see"}}}


def test_syncing_again_touches_nothing_whatever_the_dates(book):
    notebook = first(book).notebook
    os.utime(notebook, (1, 1))
    assert not sync_pair(first(book))
    assert notebook.stat().st_mtime == 1


def test_ids_are_stable_and_an_insertion_moves_no_other(book):
    def ids():
        return [cell.id for cell in read_notebook(first(book).notebook).cells]

    before = ids()
    first(book).notebook.unlink()
    sync_pair(first(book))
    assert ids() == before
    edit(first(book).script, "# %% [markdown]\n", "# %% [markdown]\n# New\n\n# %% [markdown]\n")
    sync_pair(first(book))
    assert ids()[1:] == before
    make_book(book, c03_twins="# %%\n1\n\n# %%\n1\n")
    twins = [cell.id for cell in read_notebook(book / "notebooks/03_twins.ipynb").cells]
    assert len(set(twins)) == 2


def test_outputs_of_unchanged_code_are_kept_and_of_changed_code_dropped(book):
    chapter = first(book)
    before = fill(chapter.notebook)
    edit(chapter.script, "1 + 1", "1 + 2")
    edit(chapter.script, "A first chapter", "The first chapter")
    assert sync_pair(chapter)
    del before["1 + 1"]
    assert outputs(chapter.notebook) == {**before, "1 + 2": []}
    assert read_notebook(chapter.notebook).cells[0].source.startswith("# The first chapter")


def test_metadata_that_other_tools_left_is_no_difference_and_is_cleaned(book):
    notebook = read_notebook(first(book).notebook)
    notebook.metadata["language_info"]["version"] = "3.9.1"
    notebook.metadata["kernelspec"]["display_name"] = "My kernel"
    notebook.metadata["colab"] = {"provenance": []}
    notebook.cells[0].metadata |= {"id": "abc", "tags": [], "editable": True}
    write_notebook(first(book).notebook, notebook)
    assert check_pairs(book) == []
    assert sync_pair(first(book))
    assert "colab" not in read_notebook(first(book).notebook).metadata


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("1 + 1", "1 + 2", "cell 4 (1 + 2) has another text in the .ipynb"),
        ('tags=["nbval-check-output"]', "", "cell 4 (1 + 1) has metadata {}"),
        (
            "Nothing to see",
            "A curve",
            "cell 3 (import os) has metadata {'mystnb': {'image': {'alt'",
        ),
        ("# %% [markdown]", "# %%", "cell 1 (# # A first chapter) is code in the .py"),
        ("# %%\nfrom", "from", "the .py has 4 cells, the .ipynb 5"),
    ],
)
def test_check_names_what_differs(book, capsys, old, new, told):
    edit(first(book).script, old, new)
    before = first(book).notebook.read_bytes()
    assert main(["sync", "--check"]) == 1
    found = capsys.readouterr()
    assert f"01_first: {told}" in found.out
    assert "digits sync" in found.err
    assert first(book).notebook.read_bytes() == before


def test_outputs_alone_are_no_difference(book, capsys):
    fill(first(book).notebook)
    assert main(["sync", "--check"]) == 0
    assert "Every .ipynb equals its .py" in capsys.readouterr().out


def test_orphans_are_told(book, capsys):
    (book / "notebooks/02_second.py").unlink()
    (book / "notebooks/03_new.py").write_text("# %%\n1\n")
    assert main(["sync", "--check"]) == 1
    out = capsys.readouterr().out
    assert "02_second: there is an .ipynb but no .py" in out
    assert "03_new: there is a .py but no .ipynb" in out
    assert main(["sync"]) == 1
    assert "02_second.ipynb has no 02_second.py" in capsys.readouterr().err
    assert (book / "notebooks/02_second.ipynb").is_file(), "nothing is deleted"
    assert (book / "notebooks/03_new.ipynb").is_file(), "the others are still made"


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


def through_jupytext(book, edit=lambda notebook: None):
    """Open a chapter in Jupyter, by its own means and jupytext's, and save it."""
    manager = TextFileContentsManager(root_dir=str(book))
    for half in (first(book).script, first(book).notebook):
        name = half.relative_to(book).as_posix()
        model = manager.get(name)
        edit(model["content"])
        manager.save({"type": "notebook", "content": model["content"]}, name)


@pytest.mark.parametrize("source", [COMMENTS, "%timeit -n 1 1\nlisted = !ls", "%%bash\necho hello"])
def test_a_comment_stays_one_and_a_magic_too(book, source):
    first(book).script.write_text(FIRST + f"\n# %%\n{source}\n")
    (book / "jupytext.toml").write_bytes((ROOT / "jupytext.toml").read_bytes())
    sync_pair(first(book))
    through_jupytext(book)
    assert read_notebook(first(book).notebook).cells[-1].source == source
    assert read_script(first(book).script).cells[-1].source == source


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


@pytest.mark.parametrize(
    ("script", "number", "told"),
    [
        (("SEED: int = 0", "SEED: int = 1"), 0, "cell 1 "),  # the next cell has changed
        (("# %% [markdown]", "# %% [markdown]\n# New.\n\n# %% [markdown]"), 0, "cell 1 "),
        (("one more", "two more"), 5, "cell 6 "),  # a new cell, a changed one beside it
        (("1 + 1", "1 + 2"), 4, "cell 5 "),
    ],
    ids=["neighbour", "inserted before", "new", "far"],
)
def test_typed_text_is_kept_whatever_the_script_does_elsewhere(book, script, number, told):
    chapter = first(book)
    sync_pair(chapter)
    commit(book)
    notebook = read_notebook(chapter.notebook)
    if number < len(notebook.cells):
        notebook.cells[number].source += "\n\n# Typed."
    else:
        notebook.cells.append(nbformat.v4.new_markdown_cell("Typed."))
    write_notebook(chapter.notebook, notebook)
    edit(chapter.script, *script)
    with pytest.raises(RunnerError, match=told):
        sync_pair(chapter)
    assert sync_pair(chapter, force=True)


def test_tags_given_in_jupyter_are_not_destroyed_either(book):
    chapter = first(book)
    commit(book)
    notebook = read_notebook(chapter.notebook)
    notebook.cells[0].metadata.tags = ["mine"]
    write_notebook(chapter.notebook, notebook)
    with pytest.raises(RunnerError, match="cell 1 "):
        sync_pair(chapter)


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


def test_a_byte_order_mark_is_no_text(book):
    before = first(book).notebook.read_bytes()
    for path in (first(book).script, first(book).notebook):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert check_pairs(book) == []
    first(book).notebook.unlink()
    sync_pair(first(book))
    assert first(book).notebook.read_bytes() == before


def test_a_broken_notebook_is_told(book, capsys):
    first(book).notebook.write_text("{not json")
    assert main(["sync", "--check"]) == 1
    assert "01_first.ipynb is not a readable notebook" in capsys.readouterr().err


def test_the_command_line_finds_the_book_from_below(book, monkeypatch, capsys):
    monkeypatch.chdir(book / "notebooks")
    edit(first(book).script, "1 + 1", "1 + 2")
    assert main(["sync"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["wrote: 01_first.ipynb", "as it was: 02_second.ipynb"]


def test_status_lists_titles_and_last_runs(book, capsys):
    pretend_run(book, "01_first")
    assert main(["status"]) == 1, "neither is published"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["chapter", "title", "published", "quick", "full", "seed"]
    assert lines[1].startswith("01_first   A first chapter   stale      1.0 s on ")
    assert lines[2].split()[:5] == ["02_second", "A", "second", "chapter", "stale"]
    assert lines[2].split()[5:] == ["never"] * 3


def test_help_is_quick_and_loads_nothing_heavy(book):
    code = (
        "import sys\nfrom digits_cli.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"tensorflow", "keras", "numpy", "papermill", "nbformat", "jupytext", "rich", "yaml"}
    assert not loaded & heavy


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"digits {__version__}\n"


def test_wrong_requests_exit_2(book, capsys):
    (book / "good.yaml").write_text("chapter: 01_first\nseeds: [0]\n")
    assert main(["run", "09"]) == 2
    assert main(["run", "01", "-p", "NAME"]) == 2
    assert main(["run", "-p", "SED", "1", "--profile", "quick", "01"]) == 2
    assert "Did you mean SEED?" in capsys.readouterr().err
    assert main(["run", "01", "SEED=1"]) == 2
    assert "no chapter 'SEED=1'. A parameter goes after -p." in capsys.readouterr().err
    for *command, out in (
        ["run", "01", "s3://bucket/mine"],
        ["search", "any.py", "--trials", "1", "s3://bucket/mine"],
        ["sweep", "good.yaml", "s3:/bucket/mine"],  # with two it is an address
    ):
        assert main([*command, "--out", out]) == 2
        assert f"--out is {out}, expected a folder on this machine." in capsys.readouterr().err
    assert not (book / "s3:").exists()
    for wrong in (["run", "--frob"], ["sync", "01"], [], ["nothing"]):
        with pytest.raises(SystemExit) as error:
            main(wrong)
        assert error.value.code == 2
    assert not (book / "_build").exists(), "nothing was started"


def test_a_full_disk_or_a_missing_package_is_told_without_a_traceback(book, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "notebooks/01_first.ipynb")

    monkeypatch.setattr("digits_cli.pairing.sync_pair", full)
    assert main(["sync"]) == 1
    assert "No space left on device: 'notebooks/01_first.ipynb'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "jupytext", None)
    assert main(["sync", "--check"]) == 1
    assert "has no jupytext. Install the book's tools" in capsys.readouterr().err


def test_outside_a_book_the_command_says_where_it_looked(tmp_path):
    # Installed from a checkout, the package finds that checkout; so only the error is tested.
    from digits_cli import paths
    from digits_cli.errors import UsageError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "__file__", str(tmp_path / "a" / "b.py"))
        with pytest.raises(UsageError, match="not inside a checkout"):
            paths.find_root(tmp_path)
