"""Where the built site is and how to read it; shared by the tests in this folder."""

import functools
import re
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))

# An empty list would skip tests, and a skipped guard looks like a passed one.
assert CHAPTERS, f"no chapters in {ROOT / 'notebooks'}"


def toc_files() -> list[str]:
    """Files that _toc.yml names, root first; read as text, apart from the code under test."""
    text = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"^\s*(?:- )?(?:root|file):\s*(\S+)", text, re.M)


def site_pages() -> list[str]:
    """Pages a reader can open, relative to the site's root."""
    return [f"{name}.html" for name in toc_files()] + ["search.html", "genindex.html"]


@functools.cache
def parse(path: Path) -> BeautifulSoup:
    """Parse a page once for all tests. Do not change what it returns."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def tags_of(page: BeautifulSoup) -> dict[str, str]:
    """A page's tags for shared links, by name; one that is there twice is an error."""
    found = [(tag.get("name") or tag.get("property"), tag.get("content")) for tag in page("meta")]
    found = [(n, c) for n, c in found if re.match(r"description$|og:|twitter:", n or "")]
    assert len(found) == len(dict(found)), "a tag is there twice"
    return dict(found)
