"""Set tables and numbers as a printer would, where they were written for a notebook.

pandas gives a table's named rows a head of their own, one name beside empty cells, and Python
writes a minus as a hyphen. On the page the name stands in the corner, and a minus is a minus.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx

# A hyphen that begins a number: not the one of 2026-11-25, of 1e-05 or of F-1.
HYPHEN = re.compile(r"(?<![\w.,:/)\]%-])-(?=\.?\d)")
MINUS = "\N{MINUS SIGN}"
HEAD = re.compile(r"(?<=<thead>).*?(?=</thead>)", re.DOTALL)
ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL)
HEAD_CELL = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
BODY_CELL = re.compile(r"(?<=<td>)[^<]*(?=</td>)")
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
        One row less; the same if the last row holds anything but names and empty cells, or if
        the corner above the names is taken.
    """
    rows = ROW.findall(head)
    if len(rows) < 2:
        return head
    names = HEAD_CELL.findall(rows[-1])
    n_names = names.index("") if "" in names else 0
    if n_names == 0 or any(names[n_names:]) or rows[-2].count(EMPTY) < n_names:
        return head
    above = rows[-2]
    if HEAD_CELL.findall(above)[:n_names] != [""] * n_names:
        return head
    for name in names[:n_names]:
        above = above.replace(EMPTY, f"<th>{name}</th>", 1)
    return head.replace(rows[-1], "").replace(rows[-2], above)


def set_table(html: str) -> str:
    """Set one table by pandas: `put_names_in_corner`, and minus signs in the body."""
    html = HEAD.sub(lambda head: put_names_in_corner(head[0]), html)
    return BODY_CELL.sub(lambda cell: HYPHEN.sub(MINUS, cell[0]), html)


def may_hold_minus(text: nodes.Text) -> bool:
    """Say whether a piece of text is prose."""
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, LEFT_ALONE):
            return False
        in_paragraph = in_paragraph or isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def set_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Set the tables and the prose of one page."""
    for raw in list(doctree.findall(nodes.raw)):
        html = raw.astext()
        if raw.get("format") == "html" and 'class="dataframe"' in html:
            raw.replace_self(nodes.raw("", set_table(html), **raw.attributes))
    for text in list(doctree.findall(nodes.Text)):
        if HYPHEN.search(text) and may_hold_minus(text):
            text.parent.replace(text, nodes.Text(HYPHEN.sub(MINUS, text)))


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("doctree-resolved", set_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
