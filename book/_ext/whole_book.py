"""Make ``book/whole_book.html``: every page of the book below one another, to print or to keep.

Sphinx has a builder for that, but it would read everything a second time, and it loses the
pictures of a book whose first page lies in a folder. Here the finished pages are put together
instead: anchors get their page's name in front, links between pages lead to the place on this one,
and what needs a script (buttons, things to play with) is left out.
"""

import posixpath
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

HOME = "book/index"  # its head and looks are taken
NAME = "book/whole_book"
LEFT_OUT = {HOME, "book/draw_a_digit"}
LEFT_BEHIND = ".output:has(script), script, button, noscript, a.headerlink, p.feedback"
TITLE = "The whole book on one page"
INTRODUCTION = (
    "This is the whole book on one page. To print it, or to save it as a PDF, use your browser's "
    "<em>Print</em>. What can be played with is only on the pages themselves. "
    '<a href="index.html">Back to the first page</a>'
)
NAMES_AN_ID = ("id", "for", "headers", "aria-labelledby", "aria-describedby", "aria-controls")
# After book/_ext/lean_theme.py has finished the pages.
AFTER_THE_PAGES = 900


def anchor(page: str, fragment: str = "") -> str:
    """Return the id on this page of a place on another: ``notebooks-03_base_cnn--the-network``."""
    return page.replace("/", "-") + (f"--{fragment}" if fragment else "")


def resolve(link: str, page: str, pages: list[str]) -> str:
    """Say where a link of ``page`` leads from the whole book, which holds ``pages``."""
    url = urlsplit(link)
    if url.scheme or url.netloc:
        return link
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), url.path))
    linked = target.removesuffix(".html") if url.path else page
    if linked in pages:
        return f"#{anchor(linked, url.fragment)}"
    relative = posixpath.relpath(target, posixpath.dirname(NAME))
    return relative + (f"#{url.fragment}" if url.fragment else "")


def rewrite(article: Tag, page: str, pages: list[str]) -> None:
    """Make a page's article fit to stand among others; changed in place."""
    for element in article.select(LEFT_BEHIND):
        element.decompose()
    for picture in article.find_all("img", loading=True):
        del picture["loading"]  # paper cannot wait until a figure comes near
    for element in article.find_all(True):
        for name in NAMES_AN_ID:
            if element.has_attr(name):
                value = element[name]
                words = value if isinstance(value, list) else value.split()
                element[name] = " ".join(anchor(page, word) for word in words)
        for name in ("href", "src"):
            if element.has_attr(name) and not element[name].startswith("data:"):
                element[name] = resolve(element[name], page, pages)
    for level in range(5, 0, -1):  # below the title of the whole
        for heading in article.find_all(f"h{level}"):
            heading.name = f"h{level + 1}"
    article["id"] = anchor(page)
    article.name = "section"
    article["class"] = ["whole-book-page"]


def make_whole_book(app: Sphinx, exception: Exception | None) -> None:
    """Write the page from those that were built."""
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    order = [HOME, *app.env.toctree_includes.get(HOME, [])]
    pages = [page for page in order if page not in LEFT_OUT and (out / f"{page}.html").is_file()]
    whole = BeautifulSoup((out / f"{HOME}.html").read_text(encoding="utf-8"), "html.parser")
    unwanted = (
        ".bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-footer, #jb-print-docs-body, "
        ".bd-header-article, #pst-primary-sidebar-checkbox, .search-button__wrapper, "
        "script[src*=search], link[rel=next], link[rel=prev], link[rel=canonical], "
        "meta[name=description], meta[property^=og], meta[name^=twitter]"
    )
    for element in whole.select(unwanted):
        element.decompose()
    whole.title.string = f"{TITLE} — {app.config.html_title}"
    whole.body["class"] = ["whole-book"]
    article = whole.select_one("article")
    opening = [article.h1, article.p, *article.select("img.hero")]
    article.h1.a.decompose()
    article.clear()
    start = (
        f'<header class="book-title"><p>{app.config.author}</p></header>'
        f'<p class="noprint">{INTRODUCTION}</p><h2>Contents</h2><ul></ul>'
    )
    article.append(BeautifulSoup(start, "html.parser"))
    article.header.extend(opening)
    article.header.append(article.header.p)
    contents = article.ul
    for page in pages:
        soup = BeautifulSoup((out / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        part = soup.select_one("article")
        title = part.h1.find(string=True, recursive=False).strip()
        rewrite(part, page, pages)
        article.append(part)
        entry = BeautifulSoup(f'<li><a href="#{anchor(page)}"></a></li>', "html.parser")
        entry.a.string = title
        contents.append(entry)
    path = out / f"{NAME}.html"
    path.write_text(str(whole), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", make_whole_book, priority=AFTER_THE_PAGES)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
