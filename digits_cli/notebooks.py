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

    Metadata named ``digits`` that is no run's record is dropped. Raises FileNotFoundError, and
    RunnerError when the file is not a notebook.
    """
    import nbformat

    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise RunnerError(f"{path} is not a readable notebook: {error}") from error
    if not _is_run_record(notebook.metadata.get("digits", {})):
        del notebook.metadata["digits"]  # somebody's own; a notebook without one is stale
    return notebook


def _is_run_record(found: Any) -> bool:
    """Tell whether this has the form of what a run leaves in a notebook's metadata."""
    if not isinstance(found, dict):
        return False
    fingerprint = found.get("fingerprint", {})
    if not isinstance(fingerprint, dict):
        return False
    parts = [fingerprint.get(part, {}) for part in ("modules", "files", "parameters", "packages")]
    return all(isinstance(part, dict) for part in [*parts, found.get("parameters", {})])


def write_notebook(path: Path, notebook: Any) -> None:
    """Write a notebook atomically, in the layout Jupyter itself uses."""
    import nbformat

    from digit_utils.files import write_atomically

    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    write_atomically(path, text.encode("utf-8"))


def tags(cell: Any) -> list[str]:
    """Return a cell's tags, empty when it has none."""
    return list(cell.metadata.get("tags", []))


def cells_tagged(notebook: Any, tag: str) -> list[Any]:
    """Return the cells that carry a tag, in order."""
    return [cell for cell in notebook.cells if tag in tags(cell)]


def title(notebook: Any) -> str:
    """Return the first ``# `` heading without its sign, empty when there is none."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return ""


def code_sources(notebook: Any) -> list[str]:
    """Return the sources of the code cells in order: what the chapter computes.

    What papermill injected is left out, and so is the cell that installs the helpers: a release
    changes the tag in it, and with it no result.
    """
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and not {"injected-parameters", INSTALL_TAG} & set(tags(cell))
    ]


def without_colour(text: str) -> str:
    """Remove a terminal's colour codes from a text."""
    return ANSI.sub("", text)


def join_streams(outputs: list[Any]) -> list[Any]:
    """Join neighbouring pieces of a cell's printed text, and drop TensorFlow's start-up notes.

    The outputs given are changed as well.
    """
    joined: list[Any] = []
    for output in outputs:
        if output.output_type != "stream":
            joined.append(output)
        elif joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream" and output.name == "stderr":
            output.text = without_chatter(output.text)
    return [o for o in joined if o.output_type != "stream" or o.text]
