"""Point a chapter's two header buttons where a reader expects them to lead.

The theme hides Colab in a menu of one entry, and its *Show source* opens the raw JSON of
the ``.ipynb``. Here Colab is one click, and the source is the ``.py`` half of the pair:
the form that is edited, and the one that reads as text.
"""

from __future__ import annotations

from sphinx.application import Sphinx

# After the theme has collected its buttons (its own handlers run at 501).
AFTER_THE_THEME = 900


def adjust_buttons(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Rewrite the buttons of chapter pages; every other page keeps the theme's."""
    if not pagename.startswith("notebooks/"):
        return
    buttons = context.get("header_buttons", [])
    for position, button in enumerate(buttons):
        entries = button.get("buttons", [])
        if button.get("label") == "launch-buttons" and len(entries) == 1:
            tooltip = "Run this chapter on Colab"
            buttons[position] = {**entries[0], "label": "launch-colab", "tooltip": tooltip}
        for entry in entries:
            if entry.get("label") == "source-file-button":
                entry["url"] = entry["url"].replace(".ipynb?plain=1", ".py")


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("html-page-context", adjust_buttons, priority=AFTER_THE_THEME)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
