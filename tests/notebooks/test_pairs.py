"""Every chapter: both halves equal, and built the way the book's readers rely on."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
from helpers import ROOT
from jupytext import TextFileContentsManager
from jupytext.cli import jupytext as jupytext_command

from digit_utils import results
from digits_cli.book import (
    cells_tagged,
    code_cells,
    code_sources,
    list_chapters,
    prose,
    read_notebook,
    tags,
)
from digits_cli.bound import MARKER
from digits_cli.cli import main
from digits_cli.pairing import check_pairs, read_script
from digits_cli.parameters import declared_parameters
from digits_cli.plan import profile_values
from digits_cli.references import BOUNDS, read_bounds

CHAPTERS = list_chapters(ROOT)
PROFILE_FILES = sorted((ROOT / "profiles").glob("*/*"))

# An empty list would skip every test below, and a skipped guard looks like a passed one.
assert CHAPTERS, f"no chapters in {ROOT / 'notebooks'}"

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def markdown(chapter) -> str:
    return prose(read_script(chapter.script))


@each_chapter
def test_both_halves_are_equal(chapter):
    assert check_pairs(ROOT, [chapter]) == [], "run `make sync`"


def open_and_save(paths):
    """As JupyterLab with jupytext's extension does."""
    manager = TextFileContentsManager(root_dir=str(paths[0].parents[1]))
    for path in paths:
        name = f"notebooks/{path.name}"
        notebook = manager.get(name)["content"]
        notebook.metadata.language_info.version = "3.13.1"
        manager.save({"type": "notebook", "content": notebook}, name)


def sync_with_jupytext(paths):
    assert jupytext_command(["--sync", *map(str, paths)]) == 0


@pytest.mark.parametrize("newer", ["py", "ipynb"])
@pytest.mark.parametrize(
    ("act", "added"), [(open_and_save, ['   "version": "3.13.1"']), (sync_with_jupytext, [])]
)
def test_jupyter_and_jupytext_leave_every_chapter_as_it_is(tmp_path, act, added, newer):
    shutil.copy(ROOT / "jupytext.toml", tmp_path)
    (tmp_path / "notebooks").mkdir()
    before = {}
    for path in (half for chapter in CHAPTERS for half in (chapter.script, chapter.notebook)):
        copy = Path(shutil.copy(path, tmp_path / "notebooks"))
        os.utime(copy, (9, 9) if copy.suffix == f".{newer}" else (1, 1))
        before[copy] = copy.read_text(encoding="utf-8").splitlines()
    act(list(before))
    for path, old in before.items():
        new = path.read_text(encoding="utf-8").splitlines()
        assert set(new) - set(old) == set(added if path.suffix == ".ipynb" else []), path.name
        assert len(new) == len(old)


@each_chapter
def test_it_is_published_with_the_outputs_of_its_code(chapter):
    code = code_cells(read_notebook(chapter.notebook))
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), (
        "some code has no output, or has changed since its outputs were published: `make publish`"
    )
    assert all(output.output_type != "error" for cell in code for output in cell.outputs)
    assert results.read(chapter.notebook), "report() names no result"


# What would give a chapter the sealed labels; 06 may open the seal, by the one function for it.
SEALED = re.compile(
    r"sealed_test_labels|split_bundled_mnist|mnist\.npz|keras\.datasets|fetch_openml"
)


@each_chapter
def test_the_seal_is_opened_by_chapter_6_alone(chapter):
    code = "\n".join(code_sources(read_script(chapter.script)))
    assert SEALED.findall(code) == []
    assert ("score_sealed_test" in code) == (chapter.name == "06_final_model")


@each_chapter
def test_it_opens_with_a_title_the_colab_cell_and_the_parameters(chapter):
    notebook = read_script(chapter.script)
    opens = notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    assert opens, "open with a markdown cell that begins with '# Title'"
    assert len(re.findall(r"^# ", markdown(chapter), re.M)) == 1, "one title a chapter"
    assert {"colab", "remove-cell"} <= set(tags(code_cells(notebook)[0])), (
        'begin the code with an empty cell, # %% tags=["colab", "remove-cell"], and let '
        "`digits install-cell` fill it"
    )
    for tag in ("colab", "parameters"):
        assert len(cells_tagged(notebook, tag)) == 1, f"tag exactly one cell {tag}"


@each_chapter
def test_its_parameters_are_typed_literals_with_a_comment_each_and_papermill_sees_them(chapter):
    notebook = read_script(chapter.script)
    declared = declared_parameters(notebook, chapter.name)
    missing = {"SEED", "ARTIFACTS"} - set(declared)
    assert not missing, f"declare {missing} in the parameters cell, as the other chapters do"
    uses_digits = any("load_digits(" in source for source in code_sources(notebook))
    assert ("DATA" in declared) == uses_digits, "DATA goes with load_digits(DATA)"
    for parameter in declared.values():
        assert parameter.name == parameter.name.upper()
        assert parameter.comment, f"{parameter.name} has no comment"
    assert declared["ARTIFACTS"].default == "artifacts"
    assert not uses_digits or declared["DATA"].default == ""
    assert list(papermill.inspect_notebook(str(chapter.notebook))) == list(declared)


@each_chapter
def test_it_reports_once_under_what_we_found(chapter):
    cells = read_script(chapter.script).cells
    calls = [
        index
        for index, cell in enumerate(cells)
        for _ in re.findall(r"^(?:results\.)?report\(", cell.source, re.M)
        if cell.cell_type == "code"
    ]
    assert len(calls) == 1, "call report() exactly once"
    before = "\n\n".join(c.source for c in cells[: calls[0]] if c.cell_type == "markdown")
    last = ["no heading", *re.findall(r"^## (.*)", before, re.M)][-1]
    assert last.lower().startswith("what we found"), f"report() stands under '## {last}'"


@each_chapter
def test_it_closes_with_exercises_that_have_solutions_and_what_is_next(chapter):
    text = markdown(chapter)
    headings = [heading.lower() for heading in re.findall(r"^## (.*)", text, re.M)]
    expected = ["what we found", "exercises", "what's next"]
    ends = [h.startswith(w) for h, w in zip(headings[-3:], expected, strict=False)]
    assert ends == [True] * 3, f"the last headings are {headings[-3:]}, expected {expected}"
    (exercises,) = re.findall(r"^## Exercises[^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    n_solutions = exercises.count("<details>")
    assert 2 <= n_solutions <= 4, f"{n_solutions} solutions in <details>, expected two to four"
    for mark in ("</details>", "<summary>", "</summary>"):
        assert exercises.count(mark) == n_solutions, f"each <details> needs one {mark}"
    # GitHub and Colab render what is inside only after an empty line.
    assert exercises.count("</summary>\n\n") == n_solutions, "an empty line after </summary>"


@each_chapter
def test_its_prose_reads_on_every_surface_and_no_measured_result_is_typed(chapter):
    """A percentage with decimals is a measurement: only the post's own figures are typed."""
    text = markdown(chapter)
    found = re.findall(r"\{[a-z][\w:-]*\}`|^:{3,}.*|^```+\{.*", text, re.M)
    assert found == [], "MyST shows as raw text on Colab and GitHub; keep it to book/"
    typed = []
    text = re.sub(r"^```.*?^```", "", MARKER.sub("", text), flags=re.M | re.S)  # what code prints
    for paragraph in re.split(r"\n\s*\n", text):  # bound numbers: see test_bound_numbers.py
        quoted = paragraph.lstrip().startswith(">")
        sourced = re.search(r"\bpost\b|\]\(https?://", paragraph)
        if not quoted and not sourced:
            typed += re.findall(r"\b\d\d\.\d+ ?%|\b0\.9\d{2,}\b", paragraph)
    assert typed == [], "bind each number to what measured it, as CONTRIBUTING.md says"


@pytest.mark.parametrize("path", PROFILE_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_profiles_name_only_declared_parameters_of_the_right_type(path):
    chapters = {chapter.name: chapter for chapter in CHAPTERS}
    assert path.suffix == ".yaml"
    assert path.stem in chapters, "a profile for no chapter"
    declared = declared_parameters(read_script(chapters[path.stem].script), path.stem)
    profile_values(ROOT, path.parent.name, chapters[path.stem], declared)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of what `digits new` reads and writes, to stand in."""
    for name in ("_toc.yml", "README.md", "_config.yml", "jupytext.toml", BOUNDS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_chapter_has_all_that_is_asked_of_one(copy, capsys):
    last = CHAPTERS[-1].name
    n = int(last[:2]) + 1
    name = f"{n:02}_my_idea"
    assert main(["new", name]) == 0
    assert f"digits run {n}; digits references {n}; digits publish {n}" in capsys.readouterr().out
    listed = f"file: notebooks/{last}\n      - file: notebooks/{name}\n"
    assert listed in (copy / "_toc.yml").read_text(encoding="utf-8")
    row = rf"\(notebooks/{last}\.ipynb\).*\n\| {n} \| \[My idea\]\(notebooks/{name}\.ipynb\) "
    assert re.search(row, (copy / "README.md").read_text(encoding="utf-8"))
    assert read_bounds(copy / BOUNDS)[name]
    assert {path.parent.name for path in copy.glob(f"profiles/*/{name}.yaml")} == {"quick"}
    made = list_chapters(copy)[-1]
    checks = [f for f in globals().values() if each_chapter.mark in getattr(f, "pytestmark", [])]
    checks.remove(test_it_is_published_with_the_outputs_of_its_code)  # needs a run
    assert len(checks) > 5
    for check in checks:
        check(made)
    for command in (["check"], ["format", "--check"]):
        options = ["--config", str(ROOT / "pyproject.toml"), str(made.script)]
        subprocess.run([sys.executable, "-m", "ruff", *command, *options], check=True)


def test_a_new_chapter_of_another_name_is_refused_and_nothing_is_written(copy, capsys):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for name, told in (
        ("my_idea", "no chapter's name, expected one such as"),
        ("77-My", "no chapter's name, expected one such as"),
        (f"{CHAPTERS[0].name[:2]}_mine", f"is the number of {CHAPTERS[0].name}; "),
        ("77_mine", f"77 is not next; {int(CHAPTERS[-1].name[:2]) + 1} is free"),
    ):
        assert main(["new", name]) == 2
        assert told in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
