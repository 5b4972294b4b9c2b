"""The published outputs and the regression references belong to today's code, values and bounds."""

import pytest
from helpers import ROOT

from digits_cli.book import code_cells, list_chapters, read_notebook, tags
from digits_cli.freshness import why_stale
from digits_cli.references import FOLDER, why_stale_reference

CHAPTERS = list_chapters(ROOT)
ADVICE = "run `digits run NN`, then `digits references NN`, and read the difference"
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def test_there_is_a_reference_for_each_chapter_and_no_other():
    found = sorted(path.stem for path in (ROOT / FOLDER).glob("*.ipynb"))
    assert found and found == [chapter.name for chapter in CHAPTERS], ADVICE


@each_chapter
def test_the_published_outputs_are_fresh(chapter):
    assert why_stale(ROOT, chapter) == [], "`make publish` refreshes what is stale"


@each_chapter
def test_its_reference_is_fresh_and_something_in_it_must_stay_the_same_to_the_letter(chapter):
    assert why_stale_reference(ROOT, chapter) == "", ADVICE
    reference = read_notebook(ROOT / FOLDER / f"{chapter.name}.ipynb")
    for cell in code_cells(reference):
        checked = "nbval-check-output" in tags(cell)
        assert bool(cell.outputs) == checked, "others would change with every machine"
    assert any(cell.outputs for cell in code_cells(reference)), (
        'tag a cell whose output must never change "nbval-check-output"'
    )
