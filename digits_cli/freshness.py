"""Whether outputs, published or of a run, are still what today's code would make, and why not.

A run's fingerprint says what its outputs come from, part by part: the chapter's code, its
parameters, the modules of digit_utils it imports (and those they import), the files of the package
it reads, and the versions of the packages that compute. What cannot change a result is not in it:
prose, comments, formatting, docstrings, the cell that sets up Colab, `digits`, and Python itself.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import digit_utils
from digit_utils.io import parse_json
from digit_utils.provenance import installed_version, keras_backend
from digits_cli.book import INSTALL_TAG, Chapter, code_cells, read_notebook, run_folder
from digits_cli.normalised_code import cell_facts, closure, short_hash
from digits_cli.pairing import read_script
from digits_cli.parameters import declared_parameters
from digits_cli.plan import PlannedRun, profile_values

# The package that a kernel imports, wherever it was installed from.
PACKAGE = Path(digit_utils.__file__).resolve().parent
# Results one chapter hands to another; a copy is with the package, for the later one to run alone.
RECORDED = ("best_parameters",)
# The runtime packages that compute or draw, by the name they are imported by.
PACKAGES = {
    "cleanlab": "cleanlab", "hyperopt": "hyperopt", "keras": "keras", "matplotlib": "matplotlib",
    "numpy": "numpy", "pandas": "pandas", "scipy": "scipy", "seaborn": "seaborn",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "statsmodels": "statsmodels",
    "tensorflow": "tensorflow",
}  # fmt: skip
PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
NO_FINGERPRINT = "not published: it holds no fingerprint of a run"

Fingerprint = dict[str, dict[str, Any]]


def take_fingerprint(
    notebook: Any,
    chapter: str,
    parameters: Mapping[str, Any],
    folder: Path | None = None,
    pins: Mapping[str, list[str]] | None = None,
) -> Fingerprint:
    """Take the fingerprint of a run about to start, or of one that would be made today.

    `parameters` go before the chapter's own, and what an earlier chapter left in the artifacts of
    `folder`, where the chapter runs, before the copy recorded with the book. `pins`, several where
    Python's version decides, stand in for the versions installed.
    """
    values = {name: p.default for name, p in declared_parameters(notebook, chapter).items()}
    values |= parameters
    # Parameters count by their values.
    cells = code_cells(notebook, INSTALL_TAG, "parameters", "injected-parameters")
    code = [cell_facts(cell.source) for cell in cells if cell.source.strip()]
    modules = closure(PACKAGE, [name for facts in code for name in facts.imported])
    everything = [*code, *modules.values()]
    texts = {text for facts in everything for text in facts.texts}
    tops = {name.partition(".")[0] for facts in everything for name in facts.imported}
    artifacts = folder / str(values.get("ARTIFACTS", "artifacts")) if folder else None
    files = {}
    for path in sorted([*PACKAGE.glob("assets/*"), *PACKAGE.glob("recorded/*")]):
        # A text may be a file's name by chance: better a run too many than stale outputs.
        if path.is_file() and {path.name, path.stem} & texts:
            made = artifacts / path.name if artifacts and path.stem in RECORDED else path
            data = (made if made.is_file() else path).read_bytes()
            files[f"digit_utils/{path.relative_to(PACKAGE).as_posix()}"] = short_hash(data)
    packages = {PACKAGES[name] for name in tops & PACKAGES.keys()}
    if "keras" in packages:
        # What it computes with is imported nowhere in our code; the book is made with TensorFlow.
        packages.add(keras_backend() if pins is None else "tensorflow")
    return {
        "code": {"cells": short_hash("".join(facts.digest for facts in code).encode())},
        "parameters": values,
        "modules": {f"digit_utils/{name}": facts.digest for name, facts in modules.items()},
        "files": files,
        "packages": {
            name: installed_version(name) if pins is None else pins.get(name, [])
            for name in sorted(packages)
        },
    }


def differences(recorded: Mapping[str, Any], today: Fingerprint) -> list[str]:
    """Say in short sentences what has changed since a fingerprint was recorded; empty if fresh."""
    found = ["its code has changed"] * (recorded.get("code") != today["code"])
    for part in ("modules", "files", "parameters", "packages"):
        old, new = recorded.get(part, {}), today[part]
        for name in sorted(old.keys() | new.keys()):
            if told := _difference(part, old.get(name), new.get(name)):
                found.append(f"{'parameter ' * (part == 'parameters')}{name} {told}")
    return found


def brief(reasons: list[str]) -> str:
    """Join the first three reasons, and say how many more there are."""
    more = [f"and {len(reasons) - 3} more"] if len(reasons) > 3 else []
    return "; ".join(reasons[:3] + more)


def _difference(part: str, was: Any, now: Any) -> str:
    """Say how one thing differs, None being one that is not there; empty if it does not."""
    allowed = now if isinstance(now, list) else [now]
    if any(json.dumps(was) == json.dumps(each) for each in allowed):  # 1 is not 1.0
        return ""
    if now is None:
        return "is gone" if part == "parameters" else "is no longer used"
    if part == "packages":
        return f"is {' or '.join(allowed) or 'in no lock'}, was {was or 'not used'}"
    if part == "parameters":
        return "is new" if was is None else f"is {now!r}, was {was!r}"
    return "is used now" if was is None else "has changed"


def to_publish(root: Path, chapter: Chapter) -> Fingerprint:
    """Take today's fingerprint for profile `full`, recorded files and, of a lock, its versions."""
    pins, lock = None, root / "requirements.lock"
    if lock.is_file():
        pins = defaultdict(list)
        for name, version in PIN.findall(lock.read_text(encoding="utf-8", errors="replace")):
            pins[name].append(version)
    values = profile_values(root, "full", chapter)
    return take_fingerprint(read_script(chapter.script), chapter.name, values, pins=pins)


def why_stale(root: Path, chapter: Chapter) -> list[str]:
    """Say in short sentences why a chapter's published outputs are stale; empty when fresh."""
    stale = _why(chapter.notebook, to_publish(root, chapter), "not published")
    return stale or _other_outputs(root, chapter)


def _other_outputs(root: Path, chapter: Chapter) -> list[str]:
    """Say if the outputs are not the published ones, or tell other results than the record does."""
    from digit_utils import results
    from digit_utils.io import read_bytes

    notebook = read_notebook(chapter.notebook)
    if notebook.metadata["digits"].get("outputs") != outputs_hash(notebook):
        return ["its outputs are not those that were published"]  # by hand, or a run in Jupyter
    record = f"results/{chapter.name}.json"
    try:
        same = parse_json(read_bytes(root / record))["results"] == results.read(chapter.notebook)
    except FileNotFoundError:
        return [f"{record} is missing"]
    except (OSError, ValueError, LookupError, TypeError):  # its words name folders of this machine
        return [f"its outputs cannot be compared with {record}: one cannot be read"]
    return [] if same else [f"{record} records other results than its outputs show"]


def outputs_hash(notebook: Any) -> str:
    """Hash what the cells show, but for the number of the execution."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [{**output, "execution_count": None} for output in outputs]
    return short_hash(json.dumps(shown, sort_keys=True).encode("utf-8"))


def why_not_from_run(root: Path, chapter: Chapter) -> list[str]:
    """Say why a chapter cannot be published from its full run in _build; empty when it can."""
    return _why_run(run_folder(root, "full") / chapter.notebook.name, to_publish(root, chapter))


def why_run_again(plan: PlannedRun) -> list[str]:
    """Say why a planned run would not come out as its folder's last one; empty if it would."""
    today = take_fingerprint(plan.notebook, plan.chapter.name, plan.parameters, plan.folder)
    return _why_run(plan.output, today)


def why_run_is_stale(root: Path, chapter: Chapter, profile: str) -> list[str]:
    """Say why the last run of a chapter with a profile is stale; empty when it is fresh."""
    values, folder = profile_values(root, profile, chapter), run_folder(root, profile)
    today = take_fingerprint(read_script(chapter.script), chapter.name, values, folder)
    return _why_run(folder / chapter.notebook.name, today)


def _why_run(executed: Path, today: Fingerprint) -> list[str]:
    return _why(executed, today, "not run yet") or [
        f"artifacts/{path.name} is missing"
        for path in saved_artifacts(read_notebook(executed), executed.parent)
        if not path.is_file()
    ]


def _why(executed: Path, today: Fingerprint, nothing: str) -> list[str]:
    if not executed.is_file():
        return [nothing]
    notebook = read_notebook(executed)
    recorded = notebook.metadata.get("digits", {}).get("fingerprint")
    found = [NO_FINGERPRINT] if recorded is None else differences(recorded, today)
    # Changed, synchronised, and changed back: the outputs were dropped on the way.
    return found or ["some of its code has no output"] * lacks_outputs(notebook)


def code_with_outputs(notebook: Any) -> list[Any]:
    """Return the code cells that are executed: those that are not empty."""
    return [cell for cell in code_cells(notebook) if cell.source.strip()]


def lacks_outputs(notebook: Any) -> bool:
    """Tell whether some code was not executed."""
    return any(cell.execution_count is None for cell in code_with_outputs(notebook))


def saved_artifacts(notebook: Any, folder: Path) -> list[Path]:
    """List the recorded artifacts that a chapter saves, where a run in `folder` leaves them."""
    saving = [cell.source for cell in code_cells(notebook) if "save_json" in cell.source]
    saved = [name for name in RECORDED if any(name in source for source in saving)]
    return [folder / "artifacts" / f"{name}.json" for name in saved]
