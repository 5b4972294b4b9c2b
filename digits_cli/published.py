"""Prepare copies of the published notebooks that nbval runs again and compares.

The published outputs come from one machine and one set of trainings. What another run must share
is which outputs there are, their words, and the reported values within bounds.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from digits_cli.code_form import cell_tree
from digits_cli.errors import RunnerError
from digits_cli.freshness import RECORDED
from digits_cli.notebooks import tags, write_notebook
from digits_cli.pairing import set_stable_ids
from digits_cli.paths import find_checkout, select_chapters, shown
from digits_cli.references import bounds_cell, flatten
from digits_cli.staging import number_cells, published_chapters
from digits_cli.yaml_source import YamlSource

FOLDER = Path("_build/regression/published")
RULES = Path("tests/regression/published.yaml")
_SENTENCES = {"text/markdown", "text/html"}
_RESULTS = "application/vnd.digits.results+json"
IGNORE = "nbval-ignore-output"
# A line that updates itself: nbval does not follow updates and would compare its first words with
# the last ones. These names show one, and so does a chapter's own function that uses them.
_UPDATES = ("display_id", "LiveProgress", "SearchProgress")


@dataclass(frozen=True)
class Rules:
    """What may differ; `tests/regression/published.yaml` says why."""

    words_follow_luck: tuple[str, ...] = ()  # chapters whose sentences and tables are not compared
    free: tuple[str, ...] = ()  # `chapter/name` patterns of values that are not compared
    counted: tuple[str, ...] = ()  # such patterns of counts that a training decides


def read_rules(path: Path) -> Rules:
    """Read the rules; RunnerError if the file is missing or holds anything but the three lists."""
    expected = ", ".join(Rules.__dataclass_fields__)
    found = YamlSource(path, RunnerError).values
    if not isinstance(found, dict) or set(found) - set(Rules.__dataclass_fields__):
        raise RunnerError(f"{shown(path)} is expected to hold {expected}, and nothing else.")
    for name, words in found.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise RunnerError(f"{shown(path)}: {name} is {words!r}, expected a list of words.")
    return Rules(**{name: tuple(words) for name, words in found.items()})


def stage_published(wanted: Sequence[str] = (), root: Path | str | None = None) -> list[Path]:
    """Write copies of the published notebooks that nbval can compare; return their paths.

    A last cell checks the reported values against bounds around the published ones. Each copy has a
    folder of its own with the recorded artifacts, so none sees what another makes. `wanted` as for
    `publish`; empty means all. `root` None: found from the working directory. Raises RunnerError
    when a chapter is not published or reports nothing, or, with all chapters, a rule fits nothing.
    """
    from digit_utils import results

    root = find_checkout(root)
    rules = read_rules(root / RULES)
    chapters = select_chapters(root, wanted)
    notebooks = published_chapters(root, chapters)
    try:
        values = {chapter.name: results.read(chapter.notebook) for chapter in chapters}
    except results.ResultsError as error:
        raise RunnerError(str(error)) from error
    if not wanted:
        _refuse_idle_rules(rules, values)
    shutil.rmtree(root / FOLDER, ignore_errors=True)
    written = []
    for name, notebook in notebooks.items():
        folder = root / FOLDER / name
        (folder / "artifacts").mkdir(parents=True)
        for recorded in RECORDED:
            shutil.copy(root / f"digit_utils/recorded/{recorded}.json", folder / "artifacts")
        prepare(notebook, name, values[name], rules)
        written.append(folder / f"{name}.ipynb")
        write_notebook(written[-1], notebook)
    return written


def prepare(notebook: Any, chapter: str, values: Mapping[str, Any], rules: Rules) -> None:
    """Turn a published notebook, in place, into one that nbval can compare.

    `values` is what the chapter reported.
    """
    import nbformat

    notebook.metadata.pop("digits", None)
    updates = set(_UPDATES)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        updating = _uses(cell.source, updates)
        if updating:
            updates |= _functions_that_use(cell.source, updates)
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        by_luck = chapter in rules.words_follow_luck and kinds & _SENTENCES
        # The report's values are JSON, which no pattern for text reaches: the last cell has them.
        if _RESULTS in kinds or by_luck or updating:
            cell.metadata["tags"] = [*tags(cell), IGNORE]
    source = f"the published values and {RULES.as_posix()}"
    code = bounds_cell(bounds_around(values, chapter, rules), source, flat=True)
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    set_stable_ids(notebook)
    number_cells(notebook)


def _uses(source: str, names: set[str]) -> bool:
    return any(re.search(rf"(?<![\w.]){name}\b", source) for name in names)


def _functions_that_use(source: str, names: set[str]) -> set[str]:
    """Return the functions of a cell whose bodies use one of the names."""
    functions = [node for node in cell_tree(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if _uses(ast.unparse(ast.Module(node.body, [])), names)}


def bounds_around(values: Mapping[str, Any], chapter: str, rules: Rules) -> dict[str, Any]:
    """Return the bounds for another run, by name as in `flatten`: [low, high] or the exact value.

    `values` is what the published run reported; names that `rules.free` lists have no bounds.
    """
    bounds: dict[str, Any] = {}
    for name, value in flatten(values).items():
        full_name = f"{chapter}/{name}"
        if _listed(full_name, rules.free):
            continue
        if isinstance(value, float):
            share = 0 <= value <= 1
            room = max(0.003, min(value, 1 - value) / 2) if share else abs(value) / 2
            low, high = value - room, value + room
            bounds[name] = [max(low, 0.0), min(high, 1.0)] if share else [low, high]
        elif _listed(full_name, rules.counted):
            room = max(10, value // 2)
            bounds[name] = [max(value - room, 0), value + room]
        else:
            bounds[name] = value
    return bounds


def _listed(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _refuse_idle_rules(rules: Rules, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a rule that fits nothing: what it was meant for is now compared otherwise."""
    names = [f"{chapter}/{name}" for chapter in values for name in flatten(values[chapter])]
    idle = [name for name in rules.words_follow_luck if name not in values]
    idle += [
        pattern
        for pattern in (*rules.free, *rules.counted)
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    if idle:
        raise RunnerError(
            f"{RULES} names what no chapter has or reports: {', '.join(idle)}. Take it out, or "
            "correct it."
        )
