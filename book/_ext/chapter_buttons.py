"""Point a chapter's header buttons where a reader expects them to lead.

The theme hides Colab in a menu of one entry, knows no Kaggle, and its *Show source* opens the raw
JSON of the ``.ipynb``. Here Colab and Kaggle are one click each, and the source is the ``.py`` half
of the pair: the form that is edited, and the one that reads as text.
"""

from __future__ import annotations

from sphinx.application import Sphinx

# After the theme has collected its buttons (its own handlers run at 501).
AFTER_THE_THEME = 900


def kaggle_button(repository: str, branch: str, pagename: str) -> dict[str, str]:
    """Return a button that copies a chapter from GitHub into a notebook on Kaggle.

    Parameters
    ----------
    repository : str
        Its address on GitHub.
    branch : str
    pagename : str
        Such as ``notebooks/03_base_cnn``.
    """
    notebook = f"{repository.rstrip('/')}/blob/{branch}/{pagename}.ipynb"
    return {
        "type": "link",
        "text": "Kaggle",
        "tooltip": "Run this chapter on Kaggle",
        "icon": "fab fa-kaggle",
        "url": f"https://kaggle.com/kernels/welcome?src={notebook}",
        "label": "launch-kaggle",
    }


def adjust_buttons(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Rewrite the buttons of chapter pages; every other page keeps the theme's."""
    if not pagename.startswith("notebooks/"):
        return
    options = app.config.html_theme_options
    buttons = []
    for button in context.get("header_buttons", []):
        entries = button.get("buttons", [])
        for entry in entries:
            if entry.get("label") == "source-file-button":
                entry["url"] = entry["url"].replace(".ipynb?plain=1", ".py")
        if button.get("label") == "launch-buttons" and len(entries) == 1:
            tooltip = "Run this chapter on Colab"
            buttons.append({**entries[0], "label": "launch-colab", "tooltip": tooltip})
            address, branch = options["repository_url"], options["repository_branch"]
            buttons.append(kaggle_button(address, branch, pagename))
        else:
            buttons.append(button)
    context["header_buttons"][:] = buttons


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("html-page-context", adjust_buttons, priority=AFTER_THE_THEME)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
