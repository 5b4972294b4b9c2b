"""Small facts about a notebook held as nbformat's dictionaries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from digit_utils.hosts import without_chatter
from digits_cli.errors import RunnerError

INSTALL_TAG = "colab"  # of the cell that installs the helpers where they are missing
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_notebook(path: Path) -> Any:
    """Read an ipynb file as version 4.

    Metadata named ``digits`` that is no run's record is dropped: a notebook without one is stale.
    Raises FileNotFoundError, and RunnerError when the file is not a notebook.
    """
    import nbformat

    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise RunnerError(f"{path} is not a readable notebook: {error}") from error
    record = notebook.metadata.get("digits", {})
    try:
        parts = [record.get("parameters", {}), *record.get("fingerprint", {}).values()]
        damaged = not all(isinstance(part, dict) for part in parts)
    except AttributeError:
        damaged = True
    if damaged:
        del notebook.metadata["digits"]
    return notebook


def write_notebook(path: Path, notebook: Any) -> None:
    """Write a notebook atomically, in the layout Jupyter itself uses."""
    import nbformat

    from digit_utils.io import write_atomically

    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    write_atomically(path, text.encode("utf-8"))


def tags(cell: Any) -> list[str]:
    """Return a cell's tags, empty when it has none."""
    return list(cell.metadata.get("tags", []))


def cells_tagged(notebook: Any, tag: str) -> list[Any]:
    """Return the cells that carry a tag, in order."""
    return [cell for cell in notebook.cells if tag in tags(cell)]


def code_cells(notebook: Any, *without: str) -> list[Any]:
    """Return the code cells in order, but for those with one of some tags."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [cell for cell in cells if not set(without) & set(tags(cell))]


def title(notebook: Any) -> str:
    """Return the first ``# `` heading without its sign, empty when there is none."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^# (.*)", prose, re.MULTILINE)
    return found[1].strip() if found else ""


def code_sources(notebook: Any) -> list[str]:
    """Return the sources of the code cells in order: what the chapter computes.

    What papermill injected is left out, and so is the cell that installs the helpers: a release
    changes the tag in it, and with it no result.
    """
    return [cell.source for cell in code_cells(notebook, "injected-parameters", INSTALL_TAG)]


def without_colour(text: str) -> str:
    """Remove a terminal's colour codes from a text."""
    return ANSI.sub("", text)


def join_streams(outputs: list[Any]) -> list[Any]:
    """Join neighbouring pieces of a cell's printed text, and drop TensorFlow's start-up notes.

    The outputs given are changed as well.
    """
    joined: list[Any] = []
    for output in outputs:
        printed = output.output_type == "stream"
        if printed and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.get("name") == "stderr":
            output.text = without_chatter(output.text)
    return [output for output in joined if output.get("text", True)]
