"""Keep each .ipynb equal to the .py it comes from: by content, never by date."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_utils.runner.errors import RunnerError
from digit_utils.runner.notebooks import INSTALL_TAG, read_notebook, tags, write_notebook
from digit_utils.runner.paths import CHAPTER_NAME, Chapter, list_chapters, shown

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
KEPT_METADATA = ("tags", "mystnb")


@dataclass(frozen=True)
class Difference:
    """One thing in which the two halves of a chapter disagree.

    Parameters
    ----------
    chapter : str
    what : str
        A sentence, with the cell's number where there is one.
    """

    chapter: str
    what: str

    def __str__(self) -> str:
        """Chapter and sentence, for the terminal."""
        return f"{self.chapter}: {self.what}"


def read_script(path: Path) -> Any:
    """Read a py:percent script as a notebook without outputs, with stable cell ids.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    nbformat.NotebookNode
        Only the metadata a reader or a tool needs: the kernel, tags and alt texts.

    Raises
    ------
    RunnerError
        When jupytext cannot read the file.
    """
    import jupytext
    import nbformat

    try:
        notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    except Exception as error:
        raise RunnerError(f"{shown(path)} cannot be read as py:percent: {error}") from error
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(_kept_metadata(cell))
    set_stable_ids(notebook)
    return notebook


def read_chapter(chapter: Chapter) -> Any:
    """Read the notebook that is run.

    Parameters
    ----------
    chapter : Chapter

    Returns
    -------
    nbformat.NotebookNode
        The ipynb half; made from the script when the chapter came with the package, which leaves
        the published outputs out.
    """
    return read_script(chapter.script) if chapter.installed else read_notebook(chapter.notebook)


def notebook_bytes(chapter: Chapter) -> bytes:
    """Bytes of the notebook that is run; see `read_chapter`.

    Parameters
    ----------
    chapter : Chapter

    Returns
    -------
    bytes
    """
    import nbformat

    if chapter.installed:
        return nbformat.writes(read_chapter(chapter), version=4).encode("utf-8")
    return chapter.notebook.read_bytes()


def _kept_metadata(cell: Any) -> dict[str, Any]:
    return {key: cell.metadata[key] for key in KEPT_METADATA if key in cell.metadata}


def set_stable_ids(notebook: Any) -> None:
    """Name each cell after its content, so that inserting one leaves the others' ids alone.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Changed in place.
    """
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def keep_outputs(fresh: Any, old: Any) -> None:
    """Carry outputs over to the code cells whose source has not changed.

    The cell that installs the helpers keeps its own as well: it prints nothing of the chapter.

    Parameters
    ----------
    fresh : nbformat.NotebookNode
        Just read from the script; changed in place.
    old : nbformat.NotebookNode
        The notebook with outputs.
    """
    fresh_code = [cell for cell in fresh.cells if cell.cell_type == "code"]
    old_code = [cell for cell in old.cells if cell.cell_type == "code"]
    matcher = difflib.SequenceMatcher(
        None, [_identity(c) for c in old_code], [_identity(c) for c in fresh_code], autojunk=False
    )
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            source, target = old_code[block.a + step], fresh_code[block.b + step]
            target.outputs = source.get("outputs", [])
            target.execution_count = source.get("execution_count")


def _identity(cell: Any) -> str:
    return INSTALL_TAG if INSTALL_TAG in tags(cell) else cell.source


def compare(fresh: Any, old: Any) -> list[str]:
    """List what differs between a script and its notebook, outputs aside.

    Parameters
    ----------
    fresh, old : nbformat.NotebookNode
        The script's content and the notebook on disk.

    Returns
    -------
    list of str
        One sentence for each difference; empty when the two agree.
    """
    found = []
    if len(fresh.cells) != len(old.cells):
        found.append(f"the .py has {len(fresh.cells)} cells, the .ipynb {len(old.cells)}")
    for number, (ours, theirs) in enumerate(zip(fresh.cells, old.cells, strict=False), start=1):
        label = f"cell {number} ({_first_line(ours.source)})"
        if ours.cell_type != theirs.cell_type:
            found.append(f"{label} is {ours.cell_type} in the .py, {theirs.cell_type} in the other")
        elif ours.source != theirs.source:
            found.append(f"{label} has another text in the .ipynb")
        elif dict(ours.metadata) != dict(theirs.metadata):
            found.append(
                f"{label} has metadata {dict(ours.metadata)} in the .py, "
                f"{dict(theirs.metadata)} in the .ipynb"
            )
        if len(found) >= 5:
            found.append("and perhaps more")
            return found
    for key in ("kernelspec", "language_info"):
        if fresh.metadata[key] != old.metadata.get(key):
            found.append(f"the notebook's {key} is {old.metadata.get(key)}")
    return found


def _first_line(source: str) -> str:
    line = next((line for line in source.splitlines() if line.strip()), "empty")
    return line if len(line) <= 48 else line[:45] + "..."


def check_pair(chapter: Chapter) -> list[Difference]:
    """Compare the two halves of one chapter.

    Parameters
    ----------
    chapter : Chapter

    Returns
    -------
    list of Difference
    """
    found = []
    if not CHAPTER_NAME.fullmatch(chapter.name):
        found.append("its name is not of the form NN_snake_case")
    if not chapter.script.is_file():
        found.append("there is an .ipynb but no .py; the .py is the half that is edited")
    elif chapter.installed:
        pass  # a script alone: nothing to disagree with
    elif not chapter.notebook.is_file():
        found.append("there is a .py but no .ipynb")
    else:
        found += compare(read_script(chapter.script), read_notebook(chapter.notebook))
    return [Difference(chapter.name, what) for what in found]


def check_pairs(root: Path, chapters: Sequence[Chapter] | None = None) -> list[Difference]:
    """Compare both halves of every chapter.

    Parameters
    ----------
    root : pathlib.Path
    chapters : sequence of Chapter, optional
        All of them by default.

    Returns
    -------
    list of Difference
    """
    chosen = list_chapters(root) if chapters is None else chapters
    return [difference for chapter in chosen for difference in check_pair(chapter)]


def sync_pair(chapter: Chapter) -> bool:
    """Regenerate one notebook from its script.

    Parameters
    ----------
    chapter : Chapter

    Returns
    -------
    bool
        Whether the notebook changed; when it is already right the file is not touched.

    Raises
    ------
    RunnerError
        When there is a notebook without a script.
    """
    import nbformat

    if not chapter.script.is_file():
        raise RunnerError(
            f"{shown(chapter.notebook)} has no {chapter.name}.py. The .py is the half that is "
            "edited: bring it back, or delete the notebook."
        )
    fresh = read_script(chapter.script)
    if chapter.notebook.is_file():
        old = read_notebook(chapter.notebook)
        keep_outputs(fresh, old)
        if nbformat.writes(fresh) == nbformat.writes(old):
            return False
    write_notebook(chapter.notebook, fresh)
    return True
