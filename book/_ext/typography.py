"""Set tables and numbers as a printer would, where they were written for a notebook.

pandas gives a table's named rows a head of their own, one name beside empty cells, and Python
writes a minus as a hyphen. On the page the name stands in the corner, and a minus is a minus.
"""

from __future__ import annotations

import operator
import re
from functools import partial
from itertools import takewhile

from docutils import nodes
from sphinx.application import Sphinx

# A hyphen that begins a number, after a space or what is open: not that of 2026-11-25 or of F-1.
INSIDE = re.compile(r"(?<=[\s(\[=<>±≈])-(?=\.?\d)")
HYPHEN = re.compile(rf"^-(?=\.?\d)|{INSIDE.pattern}")
MINUS = "\N{MINUS SIGN}"
HEAD = re.compile(r"(?<=<thead>).*?(?=</thead>)", re.DOTALL)
ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL)
HEAD_CELL = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
BODY_CELL = re.compile(r"(?<=>)[^<>]+(?=</t[dh]>)")
EMPTY = "<th></th>"
# What is to be typed or is code stays as it is.
LEFT_ALONE = (nodes.literal, nodes.math, nodes.raw, nodes.FixedTextElement)


def put_names_in_corner(head: str) -> str:
    """Move the names of the rows into the row of the columns' names.

    Parameters
    ----------
    head : str
        What stands between ``<thead>`` and ``</thead>`` of a table by pandas.

    Returns
    -------
    str
        One row less; the same if the corner above the names is taken.
    """
    rows = ROW.findall(head)
    if len(rows) < 2:
        return head
    *_, above, last = rows
    names, corner = HEAD_CELL.findall(last), HEAD_CELL.findall(above)
    while names and not names[-1]:
        names.pop()
    if not names or any(corner[: len(names)]) or above.count(EMPTY) < len(names):
        return head
    filled = above
    for name in names:
        filled = filled.replace(EMPTY, f"<th>{name or ' '}</th>", 1)
    return head.replace(last, "").replace(above, filled)


def set_table(html: str) -> str:
    """Set one table by pandas: `put_names_in_corner`, and minus signs in the body."""
    head, end, body = html.partition("</thead>")
    head = HEAD.sub(lambda found: put_names_in_corner(found[0]), head + end)
    return head + BODY_CELL.sub(lambda cell: HYPHEN.sub(MINUS, cell[0]), body)


def may_hold_minus(text: nodes.Text) -> bool:
    """Say whether a piece of text is prose."""
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, LEFT_ALONE):
            return False
        in_paragraph = in_paragraph or isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def begins_a_word(text: nodes.Text) -> bool:
    """Say whether nothing but a space or a bracket comes before, be it in other markup."""
    node = text
    while not isinstance(node, nodes.paragraph):
        before = list(takewhile(partial(operator.is_not, node), node.parent.children))
        if before:
            return before[-1].astext()[-1:] in {" ", "\n", "("}
        node = node.parent
    return True


def set_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Set the tables and the prose of one page."""
    for raw in list(doctree.findall(nodes.raw)):
        html = raw.astext()
        if raw.get("format") == "html" and 'class="dataframe"' in html:
            raw.replace_self(nodes.raw("", set_table(html), **raw.attributes))
    for text in list(doctree.findall(nodes.Text)):
        if HYPHEN.search(text) and may_hold_minus(text):
            pattern = HYPHEN if begins_a_word(text) else INSIDE
            text.parent.replace(text, nodes.Text(pattern.sub(MINUS, text)))


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("doctree-resolved", set_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
