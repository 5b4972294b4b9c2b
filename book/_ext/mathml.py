"""Render ``$...$`` and ``$$...$$`` to MathML while the book is built.

Sphinx's usual renderer leaves the work to a MathJax script loaded from another host.
MathML needs no script, so the pages read the same without a network. Every current
browser displays it.
"""

import html
import xml.etree.ElementTree as ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# latex2mathml drops a missing argument silently; these elements need exactly so many children.
CHILDREN = dict.fromkeys(("mfrac", "msub", "msup", "mover", "munder"), 2)
CHILDREN |= {"msubsup": 3, "munderover": 3}
# Not the usual "math": the theme lays that class out for MathJax.
CLASSES = "mathml notranslate nohighlight"


def to_mathml(latex: str, display: str = "inline") -> str:
    """Convert a formula; ValueError for one that the converter would pass on as literal text."""
    try:
        mathml = convert(latex.strip(), display=display)
        tree = ElementTree.fromstring(mathml)
    except Exception as error:  # latex2mathml raises many unrelated types
        raise ValueError(f"{type(error).__name__}: {error}") from error
    for element in tree.iter():
        name = element.tag.rpartition("}")[2]  # without its namespace
        if len(element) != CHILDREN.get(name, len(element)):
            raise ValueError(f"<{name}> has {len(element)} parts, expected {CHILDREN[name]}")
        if element.text and element.text.startswith("\\") and name != "mtext":
            raise ValueError(f"unknown command {element.text}")
    return mathml


def mathml_or_warning(node: nodes.Element, display: str) -> str:
    """Convert a node's formula; one that cannot be rendered is a warning, and shows as code."""
    latex = node.astext()
    try:
        return to_mathml(latex, display)
    except ValueError as error:
        logger.warning(
            "cannot render the formula %r: %s. Write it with commands latex2mathml knows.",
            latex,
            error,
            location=node,
            type="mathml",
        )
        return f"<code>{html.escape(latex)}</code>"


def visit_inline(translator, node: nodes.math) -> None:
    """Write an inline formula."""
    translator.body.append(translator.starttag(node, "span", "", CLASS=CLASSES))
    translator.body.append(mathml_or_warning(node, "inline") + "</span>")
    raise nodes.SkipNode


def visit_block(translator, node: nodes.math_block) -> None:
    """Write a displayed formula, with its number when it is labelled."""
    translator.body.append(translator.starttag(node, "div", CLASS=CLASSES))
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(mathml_or_warning(node, "block") + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
