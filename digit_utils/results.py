"""State what a chapter found, for readers and for programs, in one place.

A number typed into prose goes stale. Each chapter's *What we found* cell therefore builds
its sentence from the values it measured, and calls `report` once. The reader sees the
sentence; sweeps and tests read the values behind it out of the executed notebook.
"""

from __future__ import annotations

import copy
import re
import sys
from pathlib import Path
from typing import Any

from digit_utils.io import parse_json, read_bytes, to_plain

MIME_TYPE = "application/vnd.digits.results+json"

_latest: dict[str, Any] | None = None


class ResultsError(ValueError):
    """Results are missing, repeated or unreadable."""


def report(markdown: str, /, **values: Any) -> None:
    """Show a sentence and record the values it was made of, as one output.

    Values are numbers, text, lists, dictionaries or NumPy's. Raises ValueError for NaN or infinity
    and TypeError for what JSON cannot hold; the message names the value.
    """
    global _latest
    if not isinstance(markdown, str):
        raise TypeError(f"markdown is of type {type(markdown).__name__}, expected text")
    plain = {name: to_plain(value, name) for name, value in values.items()}
    _latest = plain
    if not _running_in_ipython():
        print(markdown)
        return
    from IPython.display import display

    bundle = {"text/markdown": markdown, "text/plain": markdown, MIME_TYPE: copy.deepcopy(plain)}
    display(bundle, raw=True)


def _running_in_ipython() -> bool:
    # A running IPython has been imported already; importing it only to ask would take long.
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


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
    cells = _read_cells(path)
    found: list[tuple[int, Any]] = []
    failure = None
    for number, cell in enumerate(cells, start=1):
        for output in _outputs(path, number, cell):
            data = output.get("data", {})
            if MIME_TYPE in data:
                found.append((number, data[MIME_TYPE]))
            if output.get("output_type") == "error" and failure is None:
                failure = f" (cell {number} failed: {_error_line(output)})"
    if not found:
        raise ResultsError(
            f"{path}: found no results{failure or ''}; expected one output made by "
            "digit_utils.results.report; execute the notebook to its end"
        )
    if len(found) > 1:
        places = ", ".join(str(number) for number, _ in found)
        raise ResultsError(
            f"{path}: found {len(found)} results, in cells {places}; expected one; "
            "call report() once in a chapter"
        )
    return _decode(path, *found[0])


def _error_line(output: dict) -> str:
    """Return the name and first line of a failed cell's error, without colour codes."""
    value = str(output.get("evalue", "")).strip().partition("\n")[0]
    line = f"{output.get('ename', 'error')}: {value}"
    return re.sub(r"\x1b\[[0-9;]*m", "", line)[:300]


def _read_cells(path: Path) -> list:
    try:
        notebook = parse_json(read_bytes(path))
    except FileNotFoundError as error:
        raise ResultsError(f"{path}: no such notebook; run the chapter first") from error
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise ResultsError(
            f"{path}: is not a notebook ({error}); expected the JSON of an .ipynb file; "
            "run the chapter again"
        ) from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise ResultsError(
            f"{path}: is not a notebook of format 4 (it has no list of cells); "
            "run the chapter again"
        )
    return cells


def _outputs(path: Path, number: int, cell: dict) -> list[dict]:
    outputs = cell.get("outputs", [])
    if not isinstance(outputs, list) or not all(
        isinstance(output, dict) and isinstance(output.get("data", {}), dict) for output in outputs
    ):
        raise ResultsError(
            f"{path}, cell {number}: its outputs are not those of a notebook; run the chapter again"
        )
    return outputs


def _decode(path: Path, number: int, values: Any) -> dict[str, Any]:
    # Some tools store JSON outputs as text, or as a list of lines, like other outputs.
    if isinstance(values, list):
        values = "".join(str(line) for line in values)
    if isinstance(values, str):
        try:
            values = parse_json(values.encode("utf-8"))
        except ValueError as error:
            raise ResultsError(
                f"{path}, cell {number}: the results are not JSON ({error}); run the chapter again"
            ) from error
    if not isinstance(values, dict):
        raise ResultsError(
            f"{path}, cell {number}: found {type(values).__name__} as results, expected a "
            "dictionary; run the chapter again"
        )
    return values
