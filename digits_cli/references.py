"""Make the notebooks that nbval runs again in the regression tests."""

from __future__ import annotations

import ast
import math
import pprint
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from digits_cli.child import injected_values
from digits_cli.errors import RunnerError
from digits_cli.notebooks import (
    cells_tagged,
    code_sources,
    read_notebook,
    tags,
    write_notebook,
)
from digits_cli.pairing import read_script, set_stable_ids
from digits_cli.paths import (
    Chapter,
    find_checkout,
    list_chapters,
    run_folder,
    select_chapters,
    shown,
)
from digits_cli.plan import profile_values
from digits_cli.staging import executed_chapters, machine_traces, number_cells
from digits_cli.yaml_source import YamlSource

FOLDER = Path("tests/regression/reference")
BOUNDS = Path("tests/regression/bounds.yaml")
SOURCE = f"{BOUNDS.as_posix()}, written by `digits references`"
# nbval runs a notebook in the notebook's own folder. What a chapter leaves behind goes to the
# build folder, one folder a chapter: none sees another's artifacts, so chapters that need some
# take the recorded copy, whatever ran before.
ARTIFACTS = "../../../_build/regression/{chapter}"
CHECKED = "nbval-check-output"
_PICTURES = ("image/png", "image/jpeg")  # the types nbval does not compare


def make_references(root: Path | str | None = None, wanted: Sequence[str] = ()) -> list[Path]:
    """Write a reference for each chapter from its quick run; return their paths.

    A reference holds the chapter's code with the quick parameters, the outputs that nbval compares,
    and a last cell that checks the reported values against `bounds.yaml`. `wanted` holds names,
    unique prefixes or paths; empty means all. `root` None: found from the working directory. Raises
    RunnerError when a quick run is missing or out of date, a chapter has no bounds, a quick run's
    own values lie outside them, or an output names a folder of this machine.
    """
    from digit_utils import results

    root = find_checkout(root)
    names = [chapter.name for chapter in list_chapters(root)]
    notebooks = executed_chapters(root, "quick", select_chapters(root, wanted))
    bounds = read_bounds(root / BOUNDS)
    problems = [f"{name} is no chapter" for name in bounds if name not in names]
    for name, notebook in notebooks.items():
        if name not in bounds:
            problems.append(f"{name} has no bounds; add what its quick run must report")
            continue
        try:
            found = results.read(run_folder(root, "quick") / f"{name}.ipynb")
        except results.ResultsError as error:
            problems.append(str(error))
            continue
        problems += [f"{name}: {p}" for p in outside(found, bounds[name])]
        _turn_into_reference(notebook, name, bounds[name])
        problems += [f"{name}, {trace}" for trace in machine_traces(notebook, root)]
    if problems:
        raise RunnerError(f"See {BOUNDS}:\n" + "\n".join(f"  {problem}" for problem in problems))
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.ipynb"):
        if stale.stem not in names:
            stale.unlink()
    for name, notebook in notebooks.items():
        write_notebook(folder / f"{name}.ipynb", notebook)
    return [folder / f"{name}.ipynb" for name in notebooks]


def why_stale_reference(root: Path, chapter: Chapter) -> str:
    """Return what has changed since a chapter's reference was made; empty when nothing has."""
    path = root / FOLDER / f"{chapter.name}.ipynb"
    bounds = read_bounds(root / BOUNDS).get(chapter.name)
    if not bounds:
        return f"{BOUNDS.as_posix()} has no bounds for it"
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
    return "" if check == bounds_cell(bounds, SOURCE) else "its bounds have changed"


def _turn_into_reference(notebook: Any, chapter: str, bounds: Mapping[str, Any]) -> None:
    import nbformat

    notebook.metadata.pop("digits", None)
    for cell in notebook.cells:
        # What is not compared, times for one, would differ from one reference to the next.
        if cell.cell_type == "code" and CHECKED not in tags(cell):
            cell.outputs = []
        for output in cell.get("outputs", []):
            for kind in _PICTURES:
                output.get("data", {}).pop(kind, None)
    _redirect_artifacts(notebook, ARTIFACTS.format(chapter=chapter))
    notebook.cells.append(nbformat.v4.new_code_cell(bounds_cell(bounds, SOURCE)))
    set_stable_ids(notebook)
    number_cells(notebook)


def bounds_cell(bounds: Mapping[str, Any], source: str, flat: bool = False) -> str:
    """Return the code of a last cell that checks what the chapter reported.

    `source` is where the bounds are from. `flat`: they name values inside lists and dictionaries,
    as `flatten` does.
    """
    literal = pprint.pformat(dict(bounds), width=90, sort_dicts=False)
    return (
        f"# From {source}.\n"
        "from digit_utils import results\n"
        f"from digits_cli.references import check_bounds{', flatten' if flat else ''}\n"
        "\n"
        f"bounds = {literal}\n"
        f"check_bounds({'flatten(results.latest())' if flat else 'results.latest()'}, bounds)"
    )


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Name the values inside dictionaries and lists ``name/key`` and ``name/0``."""
    return dict(_leaves("", values))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        inside: Any = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    else:
        yield name, value
        return
    for key, each in inside:
        yield from _leaves(f"{name}/{key}" if name else str(key), each)


def _redirect_artifacts(notebook: Any, folder: str) -> None:
    """Set ARTIFACTS in the injected cell, adding that cell when the profile needed none."""
    import nbformat

    declares = any("ARTIFACTS" in cell.source for cell in cells_tagged(notebook, "parameters"))
    if not declares:
        return
    injected = cells_tagged(notebook, "injected-parameters")
    if not injected:
        cell = nbformat.v4.new_code_cell("# Parameters\n")
        cell.metadata["tags"] = ["injected-parameters"]
        place = notebook.cells.index(cells_tagged(notebook, "parameters")[0])
        notebook.cells.insert(place + 1, cell)
        injected = [cell]
    tree = ast.parse(injected[0].source)
    kept = [ast.unparse(s) for s in tree.body if not ast.unparse(s).startswith("ARTIFACTS =")]
    injected[0].source = "\n".join(["# Parameters", *kept, f'ARTIFACTS = "{folder}"'])


def read_bounds(path: Path) -> dict[str, dict[str, Any]]:
    """Read the bounds by chapter and result: [low, high] or an exact value.

    Raises RunnerError when the file is missing or of another shape.
    """
    if not path.exists():
        raise RunnerError(
            f"{shown(path)} is missing. It holds, for each chapter, the results to check:\n"
            "  03_base_cnn:\n    validation_accuracy: [0.93, 1.0]\n    n_train: 6000"
        )
    bounds = YamlSource(path, RunnerError).values
    if not isinstance(bounds, dict):
        raise RunnerError(f"{shown(path)}: expected chapters at the top level.")
    for chapter, named in bounds.items():
        if not isinstance(named, dict) or not named:
            raise RunnerError(f"{shown(path)}: {chapter} names no result to check.")
        for name, bound in named.items():
            if isinstance(bound, dict) or (isinstance(bound, list) and not _is_range(bound)):
                raise RunnerError(
                    f"{shown(path)}: {chapter}, {name} is {bound!r}, expected [low, high] with "
                    "low <= high, or one exact value."
                )
    return bounds


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(bound: list[Any]) -> bool:
    return len(bound) == 2 and all(_is_number(v) for v in bound) and bound[0] <= bound[1]


def outside(values: Mapping[str, Any], bounds: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each value that is missing or out of bounds.

    A bound is [low, high], both included, or an exact value; values without a bound are not
    checked.
    """
    problems = []
    for name, bound in bounds.items():
        if name not in values:
            problems.append(f"{name} was not reported; found {', '.join(values) or 'nothing'}")
        elif isinstance(bound, list):
            value = values[name]
            if not (_is_number(value) and bound[0] <= value <= bound[1]):
                problems.append(f"{name} is {value!r}, expected {bound[0]} to {bound[1]}")
        elif values[name] != bound:
            problems.append(f"{name} is {values[name]!r}, expected exactly {bound!r}")
    return problems


def check_bounds(values: Mapping[str, Any], bounds: Mapping[str, Any]) -> None:
    """Raise AssertionError naming every value out of bounds; the references' last cell calls it."""
    problems = outside(values, bounds)
    if problems:
        raise AssertionError("Results out of bounds:\n" + "\n".join(problems))
