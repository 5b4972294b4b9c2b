"""Make the notebooks that nbval runs again: the references of the tests, and the nightly copies.

A reference is a chapter's quick run. A nightly copy is a published notebook: its outputs come from
one machine and one set of trainings, so another run must share which outputs there are, their
words, and the reported values within bounds. `digits references` and `digits stage-published` call
the two functions that are not private.
"""

import ast
import re
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import nbformat

from digit_utils import results
from digits_cli import book
from digits_cli.book import cells_tagged, code_cells, tags, write_notebook
from digits_cli.errors import RunnerError
from digits_cli.freshness import RECORDED
from digits_cli.normalised_code import cell_tree
from digits_cli.pairing import set_stable_ids
from digits_cli.publish import executed_chapters, machine_traces, number_cells, published_chapters
from digits_cli.references import BOUNDS, FOLDER, SOURCE, check_cell, flatten, outside, read_bounds
from digits_cli.yaml_source import YamlSource

NIGHTLY = Path("_build/regression/published")
RULES = Path("tests/regression/published.yaml")
# nbval runs a notebook in its own folder. Each chapter's artifacts go to a folder of the build, so
# that none sees another's and all take the recorded copies, whatever ran before.
ARTIFACTS = "../../../_build/regression/{chapter}"
COMPARED, IGNORED = "nbval-check-output", "nbval-ignore-output"
# A line that updates itself: nbval does not follow updates and would compare its first words with
# the last ones. These names show one, and so does a chapter's own function that uses them.
_UPDATES = ("display_id", "LiveProgress", "SearchProgress")


def make_references(root: Path, wanted: Sequence[str] = ()) -> list[Path]:
    """Write a reference for each chapter from its quick run; return their paths.

    It holds the chapter's code with the quick parameters, the outputs that nbval compares, and a
    last cell that checks the reported values against `bounds.yaml`.
    """
    names = [chapter.name for chapter in book.list_chapters(root)]
    notebooks = executed_chapters(root, "quick", book.select_chapters(root, wanted))
    bounds = read_bounds(root / BOUNDS)
    problems = [f"{name} is no chapter" for name in bounds if name not in names]
    for name, notebook in notebooks.items():
        if name not in bounds:
            problems.append(f"{name} has no bounds; add what its quick run must report")
            continue
        _turn_into_reference(notebook, name, bounds[name])
        problems += [f"{name}, {trace}" for trace in machine_traces(notebook, root)]
        try:
            found = results.read(book.run_folder(root, "quick") / f"{name}.ipynb")
            problems += [f"{name}: {p}" for p in outside(found, bounds[name])]
        except results.ResultsError as error:
            problems.append(str(error))
    if problems:
        raise RunnerError(f"See {BOUNDS}:\n" + "\n".join(f"  {problem}" for problem in problems))
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for stale in {path.stem for path in folder.glob("*.ipynb")}.difference(names):
        (folder / f"{stale}.ipynb").unlink()
    for name, notebook in notebooks.items():
        write_notebook(folder / f"{name}.ipynb", notebook)
    return [folder / f"{name}.ipynb" for name in notebooks]


def _turn_into_reference(notebook: Any, chapter: str, bounds: Mapping[str, Any]) -> None:
    for cell in code_cells(notebook):
        # What is not compared, times for one, would differ from one reference to the next.
        cell.outputs = cell.outputs if COMPARED in tags(cell) else []
        for output in cell.outputs:
            for kind in ("image/png", "image/jpeg"):  # nbval does not compare them
                output.get("data", {}).pop(kind, None)
    for declared in cells_tagged(notebook, "parameters"):
        if "ARTIFACTS" not in declared.source:
            continue
        if not cells_tagged(notebook, "injected-parameters"):  # the profile sets none
            tagged = {"tags": ["injected-parameters"]}
            cell = nbformat.v4.new_code_cell("# Parameters", metadata=tagged)
            notebook.cells.insert(notebook.cells.index(declared) + 1, cell)
        (injected,) = cells_tagged(notebook, "injected-parameters")
        injected.source += f'\nARTIFACTS = "{ARTIFACTS.format(chapter=chapter)}"'
    _finish(notebook, bounds, SOURCE)


def _finish(notebook: Any, bounds: Mapping[str, Any], source: str) -> None:
    """Add the last cell, and make the notebook one that was never run as a chapter."""
    notebook.metadata.pop("digits", None)
    notebook.cells.append(nbformat.v4.new_code_cell(check_cell(bounds, source)))
    set_stable_ids(notebook)
    number_cells(notebook)


def stage_published(root: Path, wanted: Sequence[str] = ()) -> list[Path]:
    """Write copies of the published notebooks that nbval can compare; return their paths.

    A last cell checks the reported values against bounds around the published ones, and each copy
    has a folder of its own with the recorded artifacts.
    """
    rules = read_rules(root / RULES)
    chapters = book.select_chapters(root, wanted)
    notebooks = published_chapters(root, chapters)
    try:
        values = {chapter.name: results.read(chapter.notebook) for chapter in chapters}
    except results.ResultsError as error:
        raise RunnerError(str(error)) from error
    shutil.rmtree(root / NIGHTLY, ignore_errors=True)
    written = []
    for name, notebook in notebooks.items():
        folder = root / NIGHTLY / name
        (folder / "artifacts").mkdir(parents=True)
        for recorded in RECORDED:
            shutil.copy(root / f"digit_utils/recorded/{recorded}.json", folder / "artifacts")
        _turn_into_copy(notebook, name, values[name], rules)
        written.append(folder / f"{name}.ipynb")
        write_notebook(written[-1], notebook)
    return written


def read_rules(path: Path) -> dict[str, list[str]]:
    """Read what may differ; the file says why. All three lists are there, empty if not in it.

    ``words_follow_luck``: chapters whose sentences and tables are not compared; ``free`` and
    ``counted``: patterns, as chapter/name, of values that are not compared, and of counts that a
    training decides.
    """
    source = YamlSource(path, RunnerError)
    rules: dict[str, list[str]] = {"words_follow_luck": [], "free": [], "counted": []}
    if not isinstance(source.values, dict) or set(source.values) - set(rules):
        raise source.error((), f"is expected to hold {', '.join(rules)}, and nothing else")
    for name, words in source.values.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise source.error((name,), f"{name} is {words!r}, expected a list of words")
    return rules | source.values


def _turn_into_copy(
    notebook: Any, chapter: str, values: Mapping[str, Any], rules: Mapping[str, list[str]]
) -> None:
    updates = set(_UPDATES)
    for cell in code_cells(notebook):
        updating = _uses(cell.source, updates)
        for function in cell_tree(cell.source).body if updating else ():
            if isinstance(function, ast.FunctionDef):
                body = ast.unparse(ast.Module(function.body, []))
                updates |= {function.name} if _uses(body, updates) else set()
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        by_luck = chapter in rules["words_follow_luck"] and kinds & {"text/markdown", "text/html"}
        # The report's values are JSON, which no pattern for text reaches: the last cell has them.
        if results.MIME_TYPE in kinds or by_luck or updating:
            cell.metadata["tags"] = [*tags(cell), IGNORED]
    bounds = _bounds_around(values, chapter, rules)
    _finish(notebook, bounds, f"the published values and {RULES.as_posix()}")


def _uses(source: str, names: set[str]) -> bool:
    return any(re.search(rf"(?<![\w.]){name}\b", source) for name in names)


def _bounds_around(
    values: Mapping[str, Any], chapter: str, rules: Mapping[str, list[str]]
) -> dict[str, Any]:
    """Return the bounds for another run, as in `outside`, around the published values."""

    def is_one_of(kind: str, name: str) -> bool:
        return any(fnmatchcase(f"{chapter}/{name}", pattern) for pattern in rules[kind])

    bounds = {n: value for n, value in flatten(values).items() if not is_one_of("free", n)}
    for name, value in bounds.items():
        if isinstance(value, float):
            share = 0 <= value <= 1
            room = max(0.003, min(value, 1 - value) / 2) if share else abs(value) / 2
            low, high = value - room, value + room
            bounds[name] = [max(low, 0.0), min(high, 1.0)] if share else [low, high]
        elif is_one_of("counted", name):
            room = max(10, value // 2)
            bounds[name] = [max(value - room, 0), value + room]
    return bounds
