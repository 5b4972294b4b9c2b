"""Ask for feedback: a line at the end of every page, and an issue button that names the page.

The theme's own button opens an issue titled with the page's path. Both links here carry the page's
title, and say in the body which page and which version of the site it was.
"""

from __future__ import annotations

import html
import re
from urllib.parse import quote

from sphinx.application import Sphinx

AFTER_THE_THEME = 900  # its own handlers run at 501
WITHOUT_TEXT = ("search", "genindex", "404")


def issue_link(repository: str, title: str, pagename: str) -> str:
    """Return the address of a new issue about a page.

    Parameters
    ----------
    repository : str
        Its address on GitHub.
    title : str
        The page's.
    pagename : str
        Such as ``notebooks/03_base_cnn``.
    """
    subject = quote(f"On the page “{title}”", safe="")
    body = quote(f"Page: {pagename}\n\nWhat is unclear or wrong, and where?\n\n", safe="")
    return f"{repository.rstrip('/')}/issues/new?title={subject}&body={body}"


def ask(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Rewrite the theme's issue button, and add the line to pages that have a text."""
    repository = app.config.html_theme_options.get("repository_url", "")
    title = re.sub(r"<[^>]+>", "", html.unescape(context.get("title") or ""))
    if not repository or not title:
        return
    link = issue_link(repository, title, pagename)
    for button in context.get("header_buttons", []):
        for entry in [button, *button.get("buttons", [])]:
            if entry.get("label") == "source-issues-button":
                entry["url"] = link
    if doctree is not None and "body" in context and pagename not in WITHOUT_TEXT:
        context["body"] += (
            '\n<p class="feedback small mt-5">Something unclear on this page? '
            f'<a class="reference external" href="{html.escape(link)}">Tell us</a>.</p>\n'
        )


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("html-page-context", ask, priority=AFTER_THE_THEME)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
