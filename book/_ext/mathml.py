"""Render ``$...$`` and ``$$...$$`` to MathML while the book is built.

Sphinx's usual renderer leaves the work to a MathJax script loaded from another host.
MathML needs no script, so the pages read the same without a network. Every current
browser displays it.
"""

from __future__ import annotations

import html
import xml.etree.ElementTree as ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
# latex2mathml drops a missing argument silently; these elements need exactly so many children.
CHILDREN = {
    "mfrac": 2,
    "msub": 2,
    "msup": 2,
    "mover": 2,
    "munder": 2,
    "msubsup": 3,
    "munderover": 3,
}


# Not the usual "math": the theme lays that class out for MathJax.
CLASSES = "mathml notranslate nohighlight"


class UnsupportedMath(ValueError):
    """The formula holds something the converter does not understand."""


def to_mathml(latex: str, display: str = "inline") -> str:
    """Convert one formula, refusing what would render wrongly.

    Parameters
    ----------
    latex : str
        The formula, without its dollar signs.
    display : {"inline", "block"}
        How the formula sits on the page.

    Returns
    -------
    str
        A ``<math>`` element.

    Raises
    ------
    UnsupportedMath
        If a command is unknown or an argument is missing. The converter itself would
        pass both through as literal text.
    """
    try:
        mathml = convert(latex.strip(), display=display)
        tree = ElementTree.fromstring(mathml)
    except Exception as error:  # latex2mathml raises many unrelated types
        raise UnsupportedMath(f"{type(error).__name__}: {error}") from error
    for element in tree.iter():
        name = element.tag.removeprefix(NAMESPACE)
        if name in CHILDREN and len(element) != CHILDREN[name]:
            raise UnsupportedMath(f"<{name}> has {len(element)} parts, expected {CHILDREN[name]}")
        if element.text and element.text.startswith("\\") and name != "mtext":
            raise UnsupportedMath(f"unknown command {element.text}")
    return mathml


def _mathml_or_warning(node: nodes.Element, display: str) -> str:
    latex = node.astext()
    try:
        return to_mathml(latex, display)
    except UnsupportedMath as error:
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
    translator.body.append(_mathml_or_warning(node, "inline") + "</span>")
    raise nodes.SkipNode


def visit_block(translator, node: nodes.math_block) -> None:
    """Write a displayed formula, with its number when it is labelled."""
    translator.body.append(translator.starttag(node, "div", CLASS=CLASSES))
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(_mathml_or_warning(node, "block") + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    """Register the renderer; ``html_math_renderer: mathml`` switches it on."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
