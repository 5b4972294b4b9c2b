"""State what a chapter found, for readers and for programs, in one place.

Each chapter's *What we found* cell calls `report` once with the values it measured. The reader
sees them beside the published ones; sweeps and tests read them out of the executed notebook.
"""

import contextlib
import copy
import re
import sys
from pathlib import Path
from typing import Any

from digit_utils.io import parse_json, read_bytes, to_plain

MIME_TYPE = "application/vnd.digits.results+json"
# What the chapters reported as they were published: in a wheel (see pyproject.toml), in a checkout.
_PACKAGE = Path(__file__).resolve().parent
PUBLISHED = (_PACKAGE / "published", _PACKAGE.parent / "results")
TABLE = "| result | this run | as published |\n| --- | --- | --- |"

_latest: dict[str, Any] | None = None


class ResultsError(ValueError):
    """Results are missing, repeated or unreadable."""


def report(markdown: str | None = None, /, **values: Any) -> None:
    """Record values and show them, *this run* beside *as published*, or a text in their place.

    Values are numbers, text, lists, dictionaries or NumPy's; the table has those that are one
    number or text. The published ones are of the chapter that reported the same names. Raises
    ValueError for NaN or infinity and TypeError for what JSON cannot hold; the message names the
    value.
    """
    global _latest
    if not isinstance(markdown, str | None):
        raise TypeError(f"markdown is of type {type(markdown).__name__}, expected text")
    _latest = {name: to_plain(value, name) for name, value in values.items()}
    shown = tabulate(_latest, _published(_latest)) if markdown is None else markdown
    # A running IPython has been imported already; importing it only to ask would take long.
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(shown)
        return
    from IPython.display import display

    bundle = {"text/markdown": shown, "text/plain": shown, MIME_TYPE: latest()}
    display(bundle, raw=True)


def tabulate(values: dict[str, Any], published: dict[str, Any]) -> str:
    """Write plain values beside the published ones as a Markdown table."""
    names = [name for name, value in values.items() if not isinstance(value, dict | list)]
    rows = (
        f"| {name.replace('_', ' ')} | {_cell(values[name])} | {_cell(published.get(name, '–'))} |"
        for name in names
    )
    return "\n".join([TABLE, *rows])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return " ".join(str(value).replace("|", "\\|").split())


def _published(values: dict[str, Any]) -> dict[str, Any]:
    """Return what the chapter that reports these very names was published with, or nothing."""
    for path in (path for folder in PUBLISHED for path in folder.glob("[0-9][0-9]_*.json")):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            published = parse_json(read_bytes(path))["results"]
            if published.keys() == values.keys():
                return published
    return {}


def latest() -> dict[str, Any]:
    """Return a copy of the values last given to `report` here; ResultsError if there are none."""
    if _latest is None:
        raise ResultsError(
            "no results in this process: report() has not been called yet; "
            "run the chapter's 'What we found' cell first"
        )
    return copy.deepcopy(_latest)


def read(notebook_path: str | Path) -> dict[str, Any]:
    """Read the values that `report` left in an executed notebook, without a kernel.

    Raises ResultsError if the file is not a notebook, or holds no results, or several.
    """
    path = Path(notebook_path)
    try:
        outputs = [
            (number, output, output.get("data", {}))
            for number, cell in enumerate(parse_json(read_bytes(path))["cells"], start=1)
            for output in cell.get("outputs", [])
        ]
        found = [
            (number, data[MIME_TYPE])
            for number, _, data in outputs
            if isinstance(data.get(MIME_TYPE), dict)
        ]
    except FileNotFoundError as error:
        raise ResultsError(f"{path}: no such notebook; run the chapter first") from error
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{path}: is not a notebook ({error}); expected the JSON of an .ipynb file; "
            "run the chapter again"
        ) from error
    if not found:
        failed = [(n, output) for n, output, _ in outputs if output.get("output_type") == "error"]
        failure = "".join(f" (cell {n} failed: {_error_line(output)})" for n, output in failed[:1])
        raise ResultsError(
            f"{path}: found no results{failure}; expected one output made by "
            "digit_utils.results.report; execute the notebook to its end"
        )
    if len(found) > 1:
        places = ", ".join(str(number) for number, _ in found)
        raise ResultsError(
            f"{path}: found {len(found)} results, in cells {places}; expected one; "
            "call report() once in a chapter"
        )
    return found[0][1]


def _error_line(output: dict) -> str:
    """Return the name and first line of a failed cell's error, without colour codes."""
    value = str(output.get("evalue", "")).strip().partition("\n")[0]
    line = f"{output.get('ename', 'error')}: {value}"
    return re.sub(r"\x1b\[[0-9;]*m", "", line)[:300]
