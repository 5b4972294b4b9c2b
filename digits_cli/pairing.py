"""Keep each .ipynb equal to the .py it comes from: by content, never by date."""

from __future__ import annotations

import difflib
import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digits_cli.code_form import code_forms
from digits_cli.errors import RunnerError
from digits_cli.notebooks import read_notebook, write_notebook
from digits_cli.paths import Chapter, list_chapters, shown

COMPARED = ("tags", "mystnb")  # of a cell's metadata; the rest is an editor's
# What JupyterLab and jupytext put into a notebook when they save it, so that nothing differs after
# that but Python's version. The settings are those of jupytext.toml, which a wheel does not hold.
METADATA = {
    "jupytext": {
        "cell_metadata_filter": "tags,mystnb,-all",
        "comment_magics": False,
        "notebook_metadata_filter": "-all",
    },
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": "3.11.0",
    },
}


@dataclass(frozen=True)
class Difference:
    """One thing in which the two halves of a chapter disagree."""

    chapter: str
    what: str  # a sentence, with the cell's number where there is one

    def __str__(self) -> str:
        return f"{self.chapter}: {self.what}"


def read_script(path: Path) -> Any:
    """Read a py:percent script as a notebook without outputs, with stable cell ids.

    It has the metadata of `METADATA`, and of cells tags, alt texts and the empty lines below.
    Raises RunnerError when the file cannot be read.
    """
    import jupytext
    import nbformat

    percent = {"extension": ".py", "format_name": "percent", **METADATA["jupytext"]}
    try:
        notebook = jupytext.reads(path.read_text(encoding="utf-8-sig"), fmt=percent)
    except Exception as error:
        raise RunnerError(f"{shown(path)} cannot be read as py:percent: {error}") from error
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(_kept_metadata(cell, "lines_to_next_cell"))
    set_stable_ids(notebook)
    return notebook


def read_chapter(chapter: Chapter) -> Any:
    """Read the notebook that is run; an installed chapter's is its script's, without outputs."""
    return read_script(chapter.script) if chapter.installed else read_notebook(chapter.notebook)


def notebook_bytes(chapter: Chapter) -> bytes:
    """Return the bytes of the notebook that is run; see `read_chapter`."""
    import nbformat

    if chapter.installed:
        return nbformat.writes(read_chapter(chapter), version=4).encode("utf-8")
    return chapter.notebook.read_bytes()


def _kept_metadata(cell: Any, *more: str) -> dict[str, Any]:
    """Keep the compared keys and `more`; JupyterLab's empty list of tags counts as none."""
    keys = [key for key in (*COMPARED, *more) if cell.metadata.get(key, []) != []]
    return {key: cell.metadata[key] for key in keys}


def set_stable_ids(notebook: Any) -> None:
    """Name each cell, in place, after its content: inserting one leaves the others' ids alone."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = _digest(cell)
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _digest(cell: Any) -> str:
    return hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]


def keep_outputs(fresh: Any, old: Any) -> None:
    """Carry outputs, and what they came from, over to the code cells that do the same as before.

    `fresh` is just read from the script and changed in place; `old` has the outputs. A cell whose
    comments or layout alone have changed does the same. The cell that installs the helpers keeps
    its own as well.
    """
    fresh_code = [cell for cell in fresh.cells if cell.cell_type == "code"]
    old_code = [cell for cell in old.cells if cell.cell_type == "code"]
    matcher = difflib.SequenceMatcher(None, code_forms(old), code_forms(fresh), autojunk=False)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            source, target = old_code[block.a + step], fresh_code[block.b + step]
            target.outputs = source.get("outputs", [])
            target.execution_count = source.get("execution_count")
    if "digits" in old.metadata:
        fresh.metadata["digits"] = old.metadata["digits"]


def compare(fresh: Any, old: Any) -> list[str]:
    """List what differs between a script's content and the notebook on disk, outputs aside.

    One sentence for each difference, "and perhaps more" after five; empty when the two agree.
    """
    found = []
    if len(fresh.cells) != len(old.cells):
        found.append(f"the .py has {len(fresh.cells)} cells, the .ipynb {len(old.cells)}")
    for number, (ours, theirs) in enumerate(zip(fresh.cells, old.cells, strict=False), start=1):
        label = _label(number, ours)
        if ours.cell_type != theirs.cell_type:
            found.append(f"{label} is {ours.cell_type} in the .py, {theirs.cell_type} in the other")
        elif ours.source != theirs.source:
            found.append(f"{label} has another text in the .ipynb")
        elif _kept_metadata(ours) != _kept_metadata(theirs):
            found.append(
                f"{label} has metadata {_kept_metadata(ours)} in the .py, "
                f"{_kept_metadata(theirs)} in the .ipynb"
            )
        if len(found) >= 5:
            found.append("and perhaps more")
            return found
    return found


def _label(number: int, cell: Any) -> str:
    line = next((line for line in cell.source.splitlines() if line.strip()), "empty")
    return f"cell {number} ({line if len(line) <= 48 else line[:45] + '...'})"


def check_pair(chapter: Chapter) -> list[Difference]:
    """Compare the two halves of a chapter; one that came with the package is a script alone."""
    found = []
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
    """Compare both halves of some chapters; None means all of them."""
    chosen = list_chapters(root) if chapters is None else chapters
    return [difference for chapter in chosen for difference in check_pair(chapter)]


def refuse_to_lose(chapter: Chapter, fresh: Any, old: Any) -> None:
    """Raise RunnerError when the notebook on disk, `old`, holds text somebody typed into it.

    That is a cell which no sync wrote, for its id is not that of its text; which is neither in the
    script, `fresh`, nor in the commit; and in whose place the script is as it was in the commit.
    """
    here = [cell.source for cell in fresh.cells]
    typed = [
        cell.source.strip()
        and cell.source not in here
        and not cell.get("id", "").startswith(_digest(cell))
        for cell in old.cells
    ]
    if not any(typed):
        return
    committed, found = _committed_sources(chapter) or set(here), []
    matcher = difflib.SequenceMatcher(None, [c.source for c in old.cells], here, autojunk=False)
    for _, start, end, first, last in matcher.get_opcodes():
        lost = [n for n in range(start, end) if typed[n] and old.cells[n].source not in committed]
        if len(lost) > sum(source not in committed for source in here[first:last]):
            found += [_label(n + 1, old.cells[n]) for n in lost]
    if found:
        raise RunnerError(
            f"{shown(chapter.notebook)} holds text that {chapter.name}.py does not: "
            f"{', '.join(found)}. Copy it into the .py, or drop it: digits sync --force."
        )


def _committed_sources(chapter: Chapter) -> set[str]:
    """Return the cells' texts in the last commit's notebook; none where git knows of no such."""
    import nbformat

    command = ["git", "-C", str(chapter.folder), "show", f"HEAD:./{chapter.notebook.name}"]
    try:
        text = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")
        return {cell.source for cell in nbformat.reads(text, as_version=4).cells}
    except (OSError, ValueError, subprocess.CalledProcessError):
        return set()


def sync_pair(chapter: Chapter, force: bool = False) -> bool:
    """Regenerate one notebook from its script, and tell whether it changed.

    A notebook that is already right is not touched. `force` lets go of text that was typed into the
    notebook alone. Raises RunnerError when there is no script, or text that would be lost.
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
        if not force:
            refuse_to_lose(chapter, fresh, old)
        keep_outputs(fresh, old)
        if nbformat.writes(fresh) == nbformat.writes(old):
            return False
    write_notebook(chapter.notebook, fresh)
    return True
