"""Write a self-contained HTML page: the report of a sweep or a search."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from string import Template
from typing import Any

from digit_utils.io import write_atomically

# Replaced by the colour of the page's text, whether that is light or dark.
_INK = "#010203"


def write_page(path: Any, title: str, parts: Sequence[str]) -> Any:
    """Write a page of a plain title and HTML `parts` below it; return its path."""
    title = html.escape(title)
    body = "\n".join([f"<h1>{title}</h1>", *parts])
    page = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
    return write_atomically(path, page.substitute(title=title, body=body).encode())


def page_style() -> AbstractContextManager[None]:
    """Style the figures drawn inside so that they fit a light and a dark page."""
    import matplotlib

    style: dict[Any, Any] = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
    )
    style |= {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titleweight": "bold",
        "figure.constrained_layout.use": True,
        "text.parse_math": False,  # names and values may hold a dollar sign
        "svg.hashsalt": "digits",
        "svg.fonttype": "none",
    }
    return matplotlib.rc_context(style)


def drawing(figure: Any, description: str, caption: str = "") -> str:
    """Return a matplotlib figure, drawn within `page_style`, as HTML; both texts are plain."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = buffer.getvalue().replace(_INK, "currentColor")
    alt = html.escape(description)
    svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{alt}"', 1)
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{below}</figure>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], errors: Sequence[str | None]) -> str:
    """Return a table; `rows` hold HTML, `heads` and the `errors` below the rows plain text."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(head)}</th>" for head in heads) + "</tr>"]
    for cells, error in zip(rows, errors, strict=True):
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        if error:
            text = html.escape(error)
            lines.append(f'<tr class="error"><td colspan="{len(heads)}">{text}</td></tr>')
    return f'<div class="wide" tabindex="0"><table>{"".join(lines)}</table></div>'
