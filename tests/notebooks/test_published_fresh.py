"""Nothing stale is published: every chapter's outputs are those of today's code and lock."""

from __future__ import annotations

import pytest
from helpers import ROOT

from digits_cli.book import list_chapters
from digits_cli.freshness import why_stale

CHAPTERS = list_chapters(ROOT)

assert CHAPTERS, f"no chapters in {ROOT / 'notebooks'}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_the_published_outputs_are_fresh(chapter):
    assert why_stale(ROOT, chapter) == [], "`make publish` refreshes what is stale"
