"""The chapters' regression references: their bounds, and whether they belong to today's code."""

import ast
import math
import pprint
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from digits_cli.book import Chapter, cells_tagged, code_sources, find_checkout, read_notebook
from digits_cli.errors import RunnerError
from digits_cli.pairing import read_script
from digits_cli.plan import profile_values
from digits_cli.yaml_source import YamlSource

FOLDER = Path("tests/regression/reference")
BOUNDS = Path("tests/regression/bounds.yaml")
SOURCE = f"{BOUNDS.as_posix()}, written by `digits references`"
MAKER = Path("tests/regression/make_references.py")  # which is no part of the package


def call_maker(function: str, wanted: Sequence[str] = ()) -> list[Path]:
    """Call a function of `MAKER` for some chapters, or all; return the files it wrote."""
    root = find_checkout()
    if not (root / MAKER).is_file():
        raise RunnerError(f"{root / MAKER} is missing; restore it with git.")
    return runpy.run_path(str(root / MAKER))[function](root, wanted)


def why_stale_reference(root: Path, chapter: Chapter) -> str:
    """Return what has changed since a chapter's reference was made; empty when nothing has."""
    path = root / FOLDER / f"{chapter.name}.ipynb"
    bounds = read_bounds(root / BOUNDS).get(chapter.name)
    if not bounds:
        return f"{BOUNDS.as_posix()} has no bounds for it: add what its quick run must report"
    if not path.is_file():
        return "it has none"
    reference = read_notebook(path)
    *own, check = code_sources(reference) or [""]
    values = injected_values(reference)
    values.pop("ARTIFACTS", None)  # each reference keeps its artifacts to itself
    if own != code_sources(read_script(chapter.script)):
        return "its code has changed"
    if values != profile_values(root, "quick", chapter):
        return "the quick profile has changed"
    return "" if check == check_cell(bounds, SOURCE) else "its bounds have changed"


def injected_values(notebook: Any) -> dict[str, Any]:
    """Read back the values that a run injected; empty when it injected none."""
    cells = cells_tagged(notebook, "injected-parameters")
    lines: list[Any] = [line for cell in cells for line in ast.parse(cell.source).body]
    return {line.targets[0].id: ast.literal_eval(line.value) for line in lines}


def check_cell(bounds: Mapping[str, Any], source: str) -> str:
    """Return the code of a last cell that checks what the chapter reported."""
    return (
        f"# From {source}.\n"
        "from digit_utils import results\n"
        "from digits_cli.references import check_bounds\n"
        "\n"
        f"bounds = {pprint.pformat(dict(bounds), width=90, sort_dicts=False)}\n"
        "check_bounds(results.latest(), bounds)"
    )


def read_bounds(path: Path) -> dict[str, dict[str, Any]]:
    """Read the bounds by chapter and result: [low, high] or an exact value."""
    source = YamlSource(path, RunnerError)
    source.need(isinstance(source.values, dict), (), "expected chapters at the top level")
    for chapter, named in source.values.items():
        listed = isinstance(named, dict) and named
        source.need(listed, (chapter,), f"{chapter} names no result to check")
        for name, bound in named.items():
            told = f"{chapter}, {name} is {bound!r}, expected [low, high] with low <= high, or one "
            plain = not isinstance(bound, dict | list) or _is_range(bound)
            source.need(plain, (chapter, name), f"{told}exact value")
    return source.values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(bound: Any) -> bool:
    numbers = isinstance(bound, list) and len(bound) == 2 and all(map(_is_number, bound))
    return numbers and bound[0] <= bound[1]


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Name the values inside dictionaries and lists ``name/key`` and ``name/0``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inside: Any = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if isinstance(inside, Mapping):
            flat |= {f"{name}/{key}": each for key, each in flatten(inside).items()}
        else:
            flat[str(name)] = value
    return flat


def outside(values: Mapping[str, Any], bounds: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each value that is missing or out of bounds.

    A bound is [low, high], both included, or an exact value; it names a value as `flatten` does.
    """
    values = flatten(values)
    problems = []
    for name, bound in bounds.items():
        value = values.get(name)
        if name not in values:
            problems.append(f"{name} was not reported; found {', '.join(values) or 'nothing'}")
        elif isinstance(bound, list):
            if not (_is_number(value) and bound[0] <= value <= bound[1]):
                problems.append(f"{name} is {value!r}, expected {bound[0]} to {bound[1]}")
        elif value != bound:
            problems.append(f"{name} is {value!r}, expected exactly {bound!r}")
    return problems


def check_bounds(values: Mapping[str, Any], bounds: Mapping[str, Any]) -> None:
    """Raise AssertionError naming every value out of bounds; the references' last cell calls it."""
    if problems := outside(values, bounds):
        raise AssertionError("Results out of bounds:\n" + "\n".join(problems))
