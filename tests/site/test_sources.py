"""What the site is made of, before it is built: pages, README."""

import re

import pytest
from facts import read_chapters
from site_files import ROOT

PAGES = sorted((ROOT / "book").glob("*.md")) + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

assert PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_measured_result_is_typed_by_hand(page):
    """A percentage with decimals is a measurement; only the original post's are typed."""
    typed = []
    for paragraph in re.split(r"\n\s*\n", page.read_text(encoding="utf-8")):
        if "https://github.com/naingthet/mnist" not in paragraph:
            typed += re.findall(r"\b\d\d\.\d+ ?%|\b0\.9\d{2,}\b", paragraph)
    assert typed == []


def test_the_readme_lists_every_chapter_as_it_describes_itself():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| \d+ \| .*$", text, re.M)
    expected = [
        f"| {int(c.stem[:2])} | [{c.title}](notebooks/{c.stem}.ipynb) | {c.question} | {c.time} |"
        for c in read_chapters(ROOT)
    ]
    message = "the table 'The chapters' in README.md is out of date, expected:\n"
    assert found == expected, message + "\n".join(expected)


def test_links_of_the_readme_and_contributing_exist():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        assert [to for to in links if "://" not in to and not (ROOT / to).exists()] == []
