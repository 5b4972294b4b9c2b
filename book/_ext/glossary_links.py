"""Link the first use of a glossary's word on each page to its entry.

The chapters are read on Colab and GitHub as well, so their text holds plain words; the links are
added where the glossary is.
"""

import re

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
AFTER_REFERENCES = 900  # links of the theme included


def spellings(terms: list[str]) -> dict[str, str]:
    """Return singular and plural spellings, each with its term, all in lower case."""
    found = {}
    for term in map(str.lower, terms):
        plurals = [f"{term}s", f"{term}es"]
        if term.endswith("y"):
            plurals.append(f"{term[:-1]}ies")
        found.update(dict.fromkeys([term, *plurals], term))
    return found


def is_prose(text: nodes.Text) -> bool:
    """Say whether a piece of text may hold links."""
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, LEFT_ALONE) or "cell_output" in node.get("classes", ()):
            return False
        in_paragraph = in_paragraph or isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def link_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the links into one page."""
    places = {t.lower(): place for t, place in app.env.domaindata["std"]["terms"].items()}
    if docname in {GLOSSARY, app.config.root_doc} or not places:
        return
    term_of, used = spellings(list(places)), set()
    # The longest first, in either case, and not as part of another word.
    words = "|".join(map(re.escape, sorted(term_of, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w-])({words})(?![\w-])", re.IGNORECASE)
    for text in [text for text in doctree.findall(nodes.Text) if is_prose(text)]:
        linked, end = [], 0
        for found in pattern.finditer(text):
            term = term_of[found[0].lower()]
            if term in used:
                continue
            used.add(term)
            target, label = places[term]
            uri = f"{app.builder.get_relative_uri(docname, target)}#{label}"
            link = nodes.reference("", "", internal=True, refuri=uri, classes=["glossary-link"])
            link += nodes.inline(found[0], found[0])
            linked += [nodes.Text(text[end : found.start()]), link]
            end = found.end()
        if linked:
            text.parent.replace(text, [*linked, nodes.Text(text[end:])])


def setup(app: Sphinx) -> dict:
    app.connect("doctree-resolved", link_terms, priority=AFTER_REFERENCES)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
