"""Whether outputs, published or of a run, are still what today's code would make, and why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digit_utils import results
from digit_utils.files import read_bytes
from digit_utils.strict_json import parse_json
from digits_cli.code_facts import short_hash
from digits_cli.fingerprint import Fingerprint, differences, locked_versions, take
from digits_cli.notebooks import code_sources, read_notebook
from digits_cli.pairing import read_script
from digits_cli.paths import Chapter, run_folder
from digits_cli.plan import PlannedRun, profile_values

# Results one chapter hands to another; a copy is kept with the package, so that the later
# chapter runs on its own.
RECORDED = ("best_parameters",)

NO_FINGERPRINT = "no fingerprint: published before fingerprints were kept"


def to_publish(root: Path, chapter: Chapter) -> Fingerprint:
    """Take today's fingerprint for profile `full`, the recorded files and the locked versions."""
    values = profile_values(root, "full", chapter)
    return take(read_script(chapter.script), chapter.name, values, pins=locked_versions(root))


def why_stale(root: Path, chapter: Chapter) -> list[str]:
    """Say in short sentences why a chapter's published outputs are stale; empty when fresh."""
    stale = _why(chapter.notebook, to_publish(root, chapter), "not published")
    return stale or _other_outputs(chapter) or _other_results(root, chapter)


def outputs_hash(notebook: Any) -> str:
    """Hash what the cells show, but for the number of the execution."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [{**output, "execution_count": None} for output in outputs]
    return short_hash(json.dumps(shown, sort_keys=True).encode("utf-8"))


def _other_outputs(chapter: Chapter) -> list[str]:
    """Say if the outputs were changed by hand, or by a run in Jupyter."""
    notebook = read_notebook(chapter.notebook)
    same = notebook.metadata["digits"].get("outputs") == outputs_hash(notebook)
    return [] if same else ["its outputs are not those that were published"]


def _other_results(root: Path, chapter: Chapter) -> list[str]:
    """Say if the outputs and the record beside them tell two things, after a merge for example."""
    record = root / "results" / f"{chapter.name}.json"
    try:
        recorded = parse_json(read_bytes(record))
        shown = results.read(chapter.notebook)
    except FileNotFoundError:
        return [f"results/{record.name} is missing"]
    except (OSError, ValueError):  # whose words name folders of this machine
        return [f"its outputs cannot be compared with results/{record.name}: one cannot be read"]
    same = isinstance(recorded, dict) and recorded.get("results") == shown
    return [] if same else [f"results/{record.name} records other results than its outputs show"]


def why_not_from_run(root: Path, chapter: Chapter) -> list[str]:
    """Say why a chapter cannot be published from its full run in _build; empty when it can."""
    run = run_folder(root, "full") / f"{chapter.name}.ipynb"
    return _why(run, to_publish(root, chapter), "not run yet") or _missing_artifacts(run)


def why_run_again(plan: PlannedRun) -> list[str]:
    """Say why a planned run would not come out as its folder's last one; empty if it would."""
    return _why_run(read_notebook(plan.snapshot), plan.chapter.name, plan.parameters, plan.output)


def why_run_is_stale(root: Path, chapter: Chapter, profile: str) -> list[str]:
    """Say why the last run of a chapter with a profile is stale; empty when it is fresh."""
    values = profile_values(root, profile, chapter)
    output = run_folder(root, profile) / f"{chapter.name}.ipynb"
    return _why_run(read_script(chapter.script), chapter.name, values, output)


def _why_run(notebook: Any, name: str, values: Mapping[str, Any], output: Path) -> list[str]:
    today = take(notebook, name, values, output.parent)
    return _why(output, today, "not run yet") or _missing_artifacts(output)


def _why(executed: Path, today: Fingerprint, nothing: str) -> list[str]:
    if not executed.is_file():
        return [nothing]
    notebook = read_notebook(executed)
    recorded = notebook.metadata.get("digits", {}).get("fingerprint")
    found = [NO_FINGERPRINT] if recorded is None else differences(recorded, today)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    if not found and any(cell.execution_count is None for cell in code):
        # Changed, synchronised, and changed back: the outputs were dropped on the way.
        found = ["some of its code has no output"]
    return found


def saved_artifacts(notebook: Any, folder: Path) -> list[Path]:
    """List the recorded artifacts that a chapter saves, where a run in `folder` leaves them."""
    code = code_sources(notebook)
    return [
        folder / "artifacts" / f"{name}.json"
        for name in RECORDED
        if any("save_json" in source and name in source for source in code)
    ]


def _missing_artifacts(output: Path) -> list[str]:
    saved = saved_artifacts(read_notebook(output), output.parent)
    return [f"artifacts/{path.name} is missing" for path in saved if not path.is_file()]
