"""The regression references belong to today's chapters, profiles and bounds."""

from __future__ import annotations

import pytest
from helpers import ROOT

from digits_cli.book import code_cells, list_chapters, read_notebook, tags
from digits_cli.references import FOLDER, why_stale_reference

CHAPTERS = list_chapters(ROOT)
ADVICE = "run `digits run NN`, then `digits references NN`, and read the difference"

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def test_there_is_one_for_each_chapter_and_no_other():
    found = sorted(path.stem for path in (ROOT / FOLDER).glob("*.ipynb"))
    assert found == [chapter.name for chapter in CHAPTERS], ADVICE


@each_chapter
def test_it_has_todays_code_quick_values_and_bounds(chapter):
    assert why_stale_reference(ROOT, chapter) == "", ADVICE


@each_chapter
def test_something_in_it_must_stay_the_same_to_the_letter(chapter):
    path = ROOT / FOLDER / f"{chapter.name}.ipynb"
    assert path.is_file(), ADVICE
    reference = read_notebook(path)
    checked = [cell for cell in reference.cells if "nbval-check-output" in tags(cell)]
    assert checked, 'tag a cell whose output must never change "nbval-check-output"'
    assert all(cell.outputs for cell in checked)
    others = code_cells(reference, "nbval-check-output")
    assert not any(cell.outputs for cell in others), "they would change with every machine"
