"""What the Sphinx extensions of book/_ext make of a small book whose address is known."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
from PIL import Image
from site_files import ROOT, parse, tags_of

ADDRESS = "https://example.org/digits-book"
CONF = f"""
import sys
sys.path.append({str(ROOT / "book" / "_ext")!r})
extensions = ["myst_nb", "facts", "glossary_links", "mathml", "shared_links", "whole_book"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"repository_url": "https://github.com/a/b"}}
html_title = "The Book"
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
root_doc = "book/index"
templates_path = [{str(ROOT / "book" / "_templates")!r}]
notfound_template = "404.html"
notfound_context = {{"title": "404"}}
"""
RECORD = {"a": {"share": 0.9725, "interval": [0.951, 0.9854], "n": 28000, "day": "2026-11-25"}}
SHOWN = {
    "a.share percent": "97.2%",
    "a.share whole": "97%",
    "a.interval interval": "95.1% to 98.5%",
    "a.n number": "28,000",
    "a.day text": "2026-11-25",
}
NOT_MEASURED = {
    "some a.share pounds": "expected a record",
    "other a.share percent": "no such record",
    "some a.b percent": "holds no percent at a.b",
}
FORMULAS = {
    "28 \\times 28": "<mn>28</mn><mo>×</mo><mn>28</mn>",
    "a < b": "<mo>&lt;</mo>",
    "\\frac{1}{n} \\sum_{i=1}^{n} x_i": "<mfrac>",
    "\\mathrm{softmax}(z)": "mathvariant",
}
REFUSED = ("\\nosuchcommand + 1", "\\frac{1}", "a & b", "\\frac{1")
PAGES = {
    "index": "# The Book\n\nA start. It leads on to all the pages.\n\n"
    "```{toctree}\n:glob:\n\n/notebooks/*\n/book/[!i]*\n```",
    "glossary": "# Words\n\n```{glossary}\nbatch\n  B.\n\nbatch size\n  S.\n\nfilter\n  F.\n\n"
    "Probability\n  P.\n```",
    "words": "# Batches\n\nA Batch size, two batches, no filtering, no filter-like; filters. "
    "Probabilities. `filter`\n\nAnother batch.",
    "short": "# R&D: “enough”?\n\n- a list.\n\nRead it. Run it. Break it, and mend it again. End.",
    "tables": "# Tables\n\n```{chapters}\n```\n\n```{timings}\n```\n\n```{versions}\n```",
    "records": "# Records\n\n"
    + "\n\n".join(f"{{measured}}`{r}`" for r in [*(f"some {r}" for r in SHOWN), *NOT_MEASURED]),
    "formulas": "# Formulas\n\n" + "\n\n".join(f"${latex}$" for latex in (*FORMULAS, *REFUSED))
    + "\n\n$$b$$",
}  # fmt: skip
RUNS = {
    "01_a": {"profile": "quick", "seconds": 41.7, "peak_memory_mb": 1234.5, "stale": []},
    "02_b": {"stale": ["a_b.py has changed", "parameter N is 'a|b', was 'c'", "three", "four"]},
    "03_c": {},
}
OPENING = "# A *title*\n\n**How far?**\n\n| Before | |\n| --- | --- |\n| Time | 5 minutes |\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Build the small book; give its folder and what Sphinx warned of."""
    source = tmp_path_factory.mktemp("small")
    for folder in ("book", "notebooks", "results"):
        (source / folder).mkdir()
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    (source / "results" / "some.json").write_text(json.dumps(RECORD))
    for name, text in PAGES.items():
        (source / "book" / f"{name}.md").write_text(text, encoding="utf-8")
    for stem, run in RUNS.items():
        opening = OPENING if run else "# A title alone"
        cells = [nbformat.v4.new_markdown_cell(opening)]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"digits": run})
        nbformat.write(notebook, source / "notebooks" / f"{stem}.ipynb")
    out = source / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", source, out]
    environ = {**os.environ, "DIGITS_BOOK_URL": ADDRESS}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out, re.sub(r"\x1b\[\d+m", "", done.stderr)


def page_of(small, name):
    return parse(small[0] / f"{name}.html")


def test_a_shared_link_shows_a_card_and_whole_sentences(small):
    tags = tags_of(page_of(small, "notebooks/01_a"))
    assert tags["og:title"] == "A title"
    assert tags["description"] == tags["og:image:alt"] == "How far?"
    assert tags["og:url"] == f"{ADDRESS}/notebooks/01_a.html"
    assert tags["twitter:card"] == "summary_large_image"
    card = small[0] / tags["og:image"].removeprefix(f"{ADDRESS}/")
    with Image.open(card) as picture:
        assert picture.size == (int(tags["og:image:width"]), int(tags["og:image:height"]))
        drawn = len({picture.getpixel((x, 540)) for x in range(picture.width)})
    assert drawn > 20, "no digits"
    assert card.stat().st_size <= 60_000
    tags = tags_of(page_of(small, "book/short"))
    assert tags["og:title"] == "R&D: “enough”?"
    assert tags["description"] == "Read it. Run it. Break it, and mend it again."


def test_the_lost_page_knows_the_sites_path(small):
    page = page_of(small, "404")
    links = [e.get("href") or e.get("src") for e in page.select("link, script[src], article a")]
    own = [link for link in links if "://" not in link]
    assert len(own) > 10
    assert [link for link in own if not link.startswith("/digits-book/")] == []


def test_tables_tell_how_chapters_ran(small):
    chapters, timings, versions = (
        [[cell.get_text() for cell in row.select("td")] for row in table.select("tbody tr")]
        for table in page_of(small, "book/tables").select("article table")
    )
    assert chapters[0] == ["1", "A title", "How far?", "5 minutes"]
    stale = "stale: a_b.py has changed; parameter N is ‘a|b’, was ‘c’; three; and 1 more"
    assert [row[1:] for row in timings] == [
        ["quick", "42", "1,234", "fresh"], ["–", "–", "–", stale], ["–", "–", "–", "–"]
    ]  # fmt: skip
    assert dict(versions)["tensorflow"]
    # A chapter that does not state its facts is named.
    assert "notebooks/03_c: no question and no time found" in small[1]
    assert "notebooks/02_b: no" not in small[1]


def test_a_measured_number_is_read_from_its_record(small):
    page = page_of(small, "book/records")
    assert [e.get_text() for e in page.select(".measured")] == list(SHOWN.values())
    for words in NOT_MEASURED.values():
        assert words in small[1]


def test_formulas_become_mathml_or_are_refused(small):
    formulas = page_of(small, "book/formulas").select("article .mathml math")
    assert [f["display"] for f in formulas] == ["inline"] * len(FORMULAS) + ["block"]
    for formula, expected in zip(formulas, FORMULAS.values(), strict=False):
        assert expected in str(formula)
    for latex in REFUSED:
        assert f"cannot render the formula {latex!r}" in small[1]


def test_a_word_of_the_glossary_is_linked_once_and_whole(small):
    article = page_of(small, "book/words").find("article")
    links = [(a.get_text(), a["href"]) for a in article.select("a.glossary-link")]
    assert links == [
        ("Batch size", "glossary.html#term-batch-size"),
        ("batches", "glossary.html#term-batch"),
        ("filters", "glossary.html#term-filter"),
        ("Probabilities", "glossary.html#term-Probability"),
    ]
