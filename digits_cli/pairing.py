"""Keep each .ipynb equal to the .py it comes from: by content, never by date."""

import difflib
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digits_cli.book import Chapter, code_cells, list_chapters, read_notebook, shown, write_notebook
from digits_cli.errors import RunnerError
from digits_cli.normalised_code import normalised_cells, short_hash

COMPARED = ("tags", "mystnb")  # of a cell's metadata; the rest is an editor's
# What JupyterLab and jupytext, as jupytext.toml sets it, put into a notebook when they save it.
METADATA: dict[str, dict[str, Any]] = {
    "jupytext": {
        "cell_metadata_filter": "tags,mystnb,-all", "comment_magics": False,
        "notebook_metadata_filter": "-all",
    },
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3",
    },
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py",
        "mimetype": "text/x-python", "name": "python", "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3", "version": "3.11.0",
    },
}  # fmt: skip


def read_script(path: Path) -> Any:
    """Read a py:percent script as a notebook without outputs, with stable cell ids.

    Of its cells it has the tags, the alt texts and the number of empty lines below.
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


def _kept_metadata(cell: Any, *more: str) -> dict[str, Any]:
    """Keep the compared keys and `more`; JupyterLab's empty list of tags counts as none."""
    keys = [key for key in (*COMPARED, *more) if cell.metadata.get(key, []) != []]
    return {key: cell.metadata[key] for key in keys}


def set_stable_ids(notebook: Any) -> None:
    """Name each cell, in place, after its content: inserting one leaves the others' ids alone."""
    seen = Counter()
    for cell in notebook.cells:
        digest = _digest(cell)
        seen[digest] += 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _digest(cell: Any) -> str:
    return short_hash(f"{cell.cell_type}\n{cell.source}".encode())[:8]


def check_pairs(root: Path, chapters: Sequence[Chapter] | None = None) -> list[str]:
    """List in sentences what but outputs differs between the halves of some chapters, or all."""
    found = []
    for chapter in list_chapters(root) if chapters is None else chapters:
        if not chapter.script.is_file():
            told = ["there is an .ipynb but no .py; the .py is the half that is edited"]
        elif chapter.installed:
            told = []
        elif not chapter.notebook.is_file():
            told = [f"there is a .py but no .ipynb{advise_restoring(chapter)}"]
        else:
            told = _compare(read_script(chapter.script), read_notebook(chapter.notebook))
        found += [f"{chapter.name}: {what}" for what in told]
    return found


def advise_restoring(chapter: Chapter) -> str:
    """Return how to bring a notebook that is gone back with its outputs, empty if git has none."""
    if chapter.notebook.is_file() or not _committed_cells(chapter):
        return ""
    return f"; `git restore {shown(chapter.notebook)}` brings it back with its outputs"


def refuse_unlike(root: Path, chapters: Sequence[Chapter]) -> None:
    """Raise RunnerError unless both halves of each of these chapters agree."""
    if differences := check_pairs(root, chapters):
        told = "Notebooks and scripts disagree; run `digits sync` (or `make sync`) first:"
        last = "\nIt writes the .ipynb from the .py, and loses nothing typed into the .ipynb."
        raise RunnerError("\n  ".join([told, *differences]) + last)


def _compare(fresh: Any, old: Any) -> list[str]:
    found = []
    if len(fresh.cells) != len(old.cells):
        found.append(f"the .py has {len(fresh.cells)} cells, the .ipynb {len(old.cells)}")
    for number, (ours, theirs) in enumerate(zip(fresh.cells, old.cells, strict=False), start=1):
        label, one, other = _label(number, ours), _kept_metadata(ours), _kept_metadata(theirs)
        if ours.cell_type != theirs.cell_type:
            found.append(f"{label} is {ours.cell_type} in the .py, {theirs.cell_type} in the other")
        elif ours.source != theirs.source:
            found.append(f"{label} has another text in the .ipynb")
        elif one != other:
            found.append(f"{label} has metadata {one} in the .py, {other} in the .ipynb")
    return found if len(found) < 5 else [*found[:5], "and perhaps more"]


def _label(number: int, cell: Any) -> str:
    line = next((line for line in cell.source.splitlines() if line.strip()), "empty")
    return f"cell {number} ({line if len(line) <= 48 else line[:45] + '...'})"


def sync_pair(chapter: Chapter, force: bool = False) -> bool:
    """Regenerate one notebook from its script, unless it is right; tell whether it changed.

    `force` lets go of text that was typed into the notebook alone, for a RunnerError otherwise.
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
        carry_outputs(fresh, old)
        if nbformat.writes(fresh) == nbformat.writes(old):
            return False
    write_notebook(chapter.notebook, fresh)
    return True


def carry_outputs(fresh: Any, old: Any) -> None:
    """Carry outputs, and what they came from, over to the cells that do the same as before."""
    fresh_code, old_code = (code_cells(each, "injected-parameters") for each in (fresh, old))
    matcher = difflib.SequenceMatcher(
        None, normalised_cells(old), normalised_cells(fresh), autojunk=False
    )
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            source, target = old_code[block.a + step], fresh_code[block.b + step]
            target.outputs = source.get("outputs", [])
            target.execution_count = source.get("execution_count")
    if "digits" in old.metadata:
        fresh.metadata["digits"] = old.metadata["digits"]


def refuse_to_lose(chapter: Chapter, fresh: Any, old: Any) -> None:
    """Raise RunnerError when the notebook on disk, `old`, holds what was typed into it alone.

    A sync names each cell after its text, so a cell of another name was typed into. It is lost when
    it is new, or when the script, `fresh`, has the cell as it was; else the script is the newer.
    """
    scripted, committed = {cell.id: cell for cell in fresh.cells}, _committed_cells(chapter)
    known = {cell.source for cell in [*scripted.values(), *committed.values()]}
    lost = []
    for number, cell in enumerate(old.cells, start=1):
        name = cell.get("id", "")
        there, before = scripted.get(name), committed.get(name)
        if cell.source.strip() and cell.source not in known and not name.startswith(_digest(cell)):
            gone = there is not None or before is None
        else:
            one, other = (each and _kept_metadata(each) for each in (there, before))
            gone = one is not None and one == other != _kept_metadata(cell)
        lost += [_label(number, cell)] if gone else []
    if lost:
        raise RunnerError(
            f"{shown(chapter.notebook)} holds text, tags or alt texts that {chapter.name}.py does "
            f"not: {', '.join(lost)}. Copy them into the .py, or drop them: digits sync --force."
        )


def _committed_cells(chapter: Chapter) -> dict[str, Any]:
    import nbformat

    command = ["git", "-C", str(chapter.folder), "show", f"HEAD:./{chapter.notebook.name}"]
    try:
        text = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8-sig")
        return {cell.get("id", ""): cell for cell in nbformat.reads(text, as_version=4).cells}
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}  # git knows of no such
