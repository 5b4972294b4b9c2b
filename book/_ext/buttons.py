"""Point a page's header buttons where a reader expects them to lead, and ask for feedback below.

The theme hides Colab in a menu of one entry, knows no Kaggle, its *Show source* opens the raw JSON
of the ``.ipynb``, and its issues are titled with the page's path. Here Colab and Kaggle are one
click each, the source is the ``.py`` half of the pair, and an issue names page and title.
"""

import html
from urllib.parse import quote

from markupsafe import Markup
from sphinx.application import Sphinx

AFTER_THE_THEME = 900  # its own handlers run at 501


def launch_buttons(colab: dict, notebook: str) -> list[dict]:
    """Return a button for Colab, made of the theme's menu entry, and one for Kaggle."""
    kaggle = {
        "type": "link",
        "text": "Kaggle",
        "tooltip": "Run this chapter on Kaggle",
        "icon": "fab fa-kaggle",
        "url": f"https://kaggle.com/kernels/welcome?src={notebook}",
        "label": "launch-kaggle",
    }
    return [{**colab, "label": "launch-colab", "tooltip": "Run this chapter on Colab"}, kaggle]


def issue_link(repository: str, title: str, pagename: str) -> str:
    """Return the address of a new issue about a page."""
    subject = quote(f"On the page “{title}”", safe="")
    body = quote(f"Page: {pagename}\n\nWhat is unclear or wrong, and where?\n\n", safe="")
    return f"{repository}/issues/new?title={subject}&body={body}"


def adjust(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Rewrite the theme's buttons, and add the line to pages that have a text."""
    options = app.config.html_theme_options
    repository = options.get("repository_url", "").rstrip("/")
    title = Markup(context.get("title") or "").striptags()
    if not repository or not title:
        return
    issue = issue_link(repository, title, pagename)
    buttons = []
    for button in context.get("header_buttons", []):
        entries = button.get("buttons", [])
        for entry in [button, *entries]:
            if entry.get("label") == "source-issues-button":
                entry["url"] = issue
            elif entry.get("label") == "source-file-button":
                entry["url"] = entry["url"].replace(".ipynb?plain=1", ".py")
        if button.get("label") == "launch-buttons" and len(entries) == 1:
            branch = options["repository_branch"]
            notebook = f"{repository}/blob/{branch}/{pagename}.ipynb"
            buttons += launch_buttons(entries[0], notebook)
        else:
            buttons.append(button)
    context["header_buttons"] = buttons
    if doctree is not None:
        context["body"] += (
            '\n<p class="feedback small mt-5">Something unclear on this page? '
            f'<a class="reference external" href="{html.escape(issue)}">Tell us</a>.</p>\n'
        )


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", adjust, priority=AFTER_THE_THEME)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
