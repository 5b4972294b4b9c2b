"""Link the first use of a glossary's word on each page to its entry.

The chapters are read on Colab and GitHub as well, so their text holds plain words; the links are
added where the glossary is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from docutils import nodes
from sphinx.application import Sphinx

GLOSSARY = "book/glossary"
# Where a link would be in the way: headings, other links, code, and what a cell printed.
LEFT_ALONE = (
    nodes.title,
    nodes.reference,
    nodes.literal,
    nodes.FixedTextElement,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.Invisible,
    nodes.thead,
)
# After references are resolved, links of the theme included.
AFTER_REFERENCES = 900


def spellings(terms: list[str]) -> dict[str, str]:
    """Return the singular and plural spellings, in lower case, each with its term in lower case."""
    found = {}
    for term in map(str.lower, terms):
        plurals = [f"{term}s", f"{term}es"]
        if term.endswith("y"):
            plurals.append(f"{term[:-1]}ies")
        found.update(dict.fromkeys([term, *plurals], term))
    return found


def pattern_of(words: Iterable[str]) -> re.Pattern:
    """Match any of the words, in either case and not as part of another; the longest first."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(
        rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE
    )


def may_hold_links(text: nodes.Text) -> bool:
    """Say whether a piece of text is prose."""
    node = text.parent
    in_paragraph = False
    while node is not None:
        if isinstance(node, LEFT_ALONE) or "cell_output" in node.get("classes", ()):
            return False
        in_paragraph = in_paragraph or isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def split(
    text: str, term_of: dict[str, str], pattern: re.Pattern, used: set[str]
) -> Iterator[tuple[str, str | None]]:
    """Cut a text at its first uses of terms.

    Parameters
    ----------
    text : str
    term_of : dict of str
        From `spellings`.
    pattern : re.Pattern
        From `pattern_of`, of these spellings.
    used : set of str
        Terms the page has had already, lower-case; those found are added.

    Yields
    ------
    piece : str
    term : str or None
        Lower-case; None for what lies between.
    """
    end = 0
    for found in pattern.finditer(text):
        term = term_of[found[1].lower()]
        if term in used:
            continue
        used.add(term)
        if found.start() > end:
            yield text[end : found.start()], None
        yield found[0], term
        end = found.end()
    if end < len(text):
        yield text[end:], None


def link_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the links into one page."""
    terms = app.env.domaindata["std"]["terms"]
    if docname in {GLOSSARY, app.config.root_doc} or not terms:
        return
    lower = {term.lower(): place for term, place in terms.items()}
    term_of, used = spellings(list(lower)), set()
    pattern = pattern_of(term_of)
    for text in list(doctree.findall(nodes.Text)):
        if not may_hold_links(text):
            continue
        pieces = list(split(text.astext(), term_of, pattern, used))
        if all(term is None for _, term in pieces):
            continue
        linked = []
        for piece, term in pieces:
            if term is None:
                linked.append(nodes.Text(piece))
                continue
            target, label = lower[term]
            uri = f"{app.builder.get_relative_uri(docname, target)}#{label}"
            reference = nodes.reference(
                "", "", internal=True, refuri=uri, classes=["glossary-link"]
            )
            reference += nodes.inline(piece, piece)
            linked.append(reference)
        text.parent.replace(text, linked)


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("doctree-resolved", link_terms, priority=AFTER_REFERENCES)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
