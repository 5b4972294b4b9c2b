"""Where the built site is and how to read it; shared by the tests in this folder."""

from __future__ import annotations

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
