"""Join a chapter as it is written now with the outputs of its last run."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digit_utils.files import read_bytes
from digit_utils.strict_json import parse_json
from digits_cli.code_form import same_code
from digits_cli.errors import RunnerError
from digits_cli.notebooks import cells_tagged, read_notebook, tags
from digits_cli.pairing import read_script
from digits_cli.paths import Chapter, run_folder, shown
from digits_cli.plan import profile_values


def executed_chapters(root: Path, profile: str, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return a profile's executed notebooks by chapter, with injected parameters if any.

    Prose comes from the script, so a corrected sentence needs no new run; outputs come from the
    run. Raises RunnerError when a chapter has not been run with this profile, or its code or the
    profile's values have changed since.
    """
    folder = run_folder(root, profile)
    found, missing, changed, moved = {}, [], [], []
    for chapter in chapters:
        path = folder / f"{chapter.name}.ipynb"
        if not path.is_file():
            missing.append(chapter.name)
            continue
        current, executed = read_script(chapter.script), read_notebook(path)
        ran_with = executed.metadata.get("digits", {}).get("parameters", {})
        asked = profile_values(root, profile, chapter)
        if not same_code(current, executed):
            changed.append(chapter.name)
        elif any(name not in ran_with or ran_with[name] != asked[name] for name in asked):
            moved.append(chapter.name)
        else:
            found[chapter.name] = with_outputs(current, executed)
    problems = []
    if missing:
        problems.append(f"not run yet: {', '.join(missing)}")
    if changed:
        problems.append(f"code changed since the run: {', '.join(changed)}")
    if moved:
        problems.append(f"the profile's values changed since the run: {', '.join(moved)}")
    if problems:
        command = f"digits run {' '.join(missing + changed + moved)} --profile {profile}"
        raise RunnerError(
            f"{shown(folder)} is not up to date: {'; '.join(problems)}.\nRun `{command}` first."
        )
    return found


def published_chapters(root: Path, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return the published notebooks by chapter, with what `results/` records of their runs.

    Raises RunnerError when a chapter has code without outputs: never published, or changed since.
    """
    found, bare = {}, []
    for chapter in chapters:
        notebook = read_notebook(chapter.notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if any(cell.execution_count is None and cell.source.strip() for cell in code):
            bare.append(chapter.name)
        record = root / "results" / f"{chapter.name}.json"
        if record.is_file():
            run = _read_record(record)
            kept = ("profile", "seconds", "peak_memory_mb")
            notebook.metadata.setdefault("digits", {}).update({key: run.get(key) for key in kept})
        found[chapter.name] = notebook
    if bare:
        raise RunnerError(
            f"Not published, or changed since: {', '.join(bare)}.\nRun `digits publish`."
        )
    return found


def _read_record(path: Path) -> dict[str, Any]:
    try:
        run = parse_json(read_bytes(path))
    except (OSError, ValueError) as error:
        raise RunnerError(
            f"{shown(path)} cannot be read: {error}. Run `digits publish`."
        ) from error
    if not isinstance(run, dict):
        raise RunnerError(f"{shown(path)} holds no record of a run. Run `digits publish`.")
    return run


def with_outputs(current: Any, executed: Any) -> Any:
    """Copy outputs, injected parameters and metadata from a run of the same code into `current`.

    Changes `current` in place and returns it.
    """
    injected = cells_tagged(executed, "injected-parameters")
    ran = (
        cell
        for cell in executed.cells
        if cell.cell_type == "code" and "injected-parameters" not in tags(cell)
    )
    cells = []
    for cell in current.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            source = next(ran)
            cell.outputs = copy.deepcopy(source.outputs)
            cell.execution_count = source.execution_count
            if "parameters" in tags(cell):
                cells += copy.deepcopy(injected)
    current.cells = cells
    if "digits" in executed.metadata:
        current.metadata["digits"] = executed.metadata["digits"]
    return current


def number_cells(notebook: Any) -> None:
    """Number the executed code cells 1, 2, 3 in place, as after a fresh run."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip():
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count


def machine_traces(notebook: Any, root: Path) -> list[str]:
    """Return one sentence for each output that names a folder of this machine."""
    home = Path.home()
    places = {str(root), sys.prefix, "ipykernel_"}
    if home != Path("/"):
        places |= {f"{home}/", f"{home}\\", f"{home.as_posix()}/"}
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            text = json.dumps([output.get("text", ""), data], ensure_ascii=False)
            found += [
                f"cell {number} prints {place}"
                for place in sorted(places)
                # As it stands in JSON, which writes a backslash twice.
                if json.dumps(place, ensure_ascii=False)[1:-1] in text
            ]
    return found
