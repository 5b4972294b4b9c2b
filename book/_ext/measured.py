"""The ``{measured}`` role: a measured number, read from its record while the site is built.

``{measured}`draw_page time.median_ms number``` shows ``time.median_ms`` of the record
``results/draw_page.json``. The last word says how:

========== ================================ ==================
word       what the record holds            what the page shows
========== ================================ ==================
percent    a share, 0.9725                  97.2%
whole      a share, 0.9725                  97%
interval   two shares, [0.951, 0.985]       95.1% to 98.5%
number     a number, 28000 or 11.6          28,000 or 12
text       words or a date                  the words
========== ================================ ==================
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

logger = logging.getLogger(__name__)

FORMATS = {
    "percent": lambda value: f"{value:.1%}",
    "whole": lambda value: f"{value:.0%}",
    "interval": lambda value: f"{value[0]:.1%} to {value[1]:.1%}",
    "number": lambda value: f"{value:,.0f}",
    "text": str,
}


def read_measured(folder: Path, request: str) -> tuple[str, Path]:
    """Look up a value and format it.

    Parameters
    ----------
    folder : Path
        Where the records are.
    request : str
        Record, path in it, and format, with blanks between.

    Returns
    -------
    text : str
    record : Path

    Raises
    ------
    ValueError
        If the request or the record is not as expected.
    """
    parts = request.split()
    if len(parts) != 3 or parts[2] not in FORMATS:
        raise ValueError(
            f"found {request!r}, expected a record, a path in it and one of {', '.join(FORMATS)}, "
            "for example 'draw_page time.median_ms number'"
        )
    name, path, style = parts
    record = folder / f"{name}.json"
    try:
        value: Any = json.loads(record.read_bytes())
        for key in path.split("."):
            value = value[key]
        return FORMATS[style](value), record
    except FileNotFoundError as error:
        raise ValueError(f"results/{record.name}: no such record; measure first") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"results/{record.name} holds no {style} at {path} ({error!r}); measure again, or "
            "put the page right"
        ) from error


class Measured(SphinxRole):
    """``{measured}``: a value of a record in ``results/``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the formatted value; what is wrong is a warning, which fails the build."""
        try:
            text, record = read_measured(Path(self.env.srcdir) / "results", self.text)
        except ValueError as error:
            logger.warning("%s", error, location=self.get_location(), type="measured")
            return [nodes.problematic(text=self.rawtext)], []
        self.env.note_dependency(str(record))
        return [nodes.inline(text=text, classes=["measured"])], []


def setup(app: Sphinx) -> dict:
    """Register the role."""
    app.add_role("measured", Measured())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
