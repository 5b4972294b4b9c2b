"""What a chapter's outputs come from, part by part, so that a change can be named.

The parts are the chapter's code, its parameters, the modules of digit_utils it imports (and those
they import), the files of the package it reads, and the versions of the packages that compute.
What cannot change a result is not in it: prose, comments, formatting, docstrings, the cell that
sets up Colab, `digits` itself, tools for tests. Python itself is left out, for the book is
tested with several versions.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import digit_utils
from digit_utils.provenance import installed_version, keras_backend
from digits_cli.code_facts import cell_facts, closure, merge, short_hash
from digits_cli.notebooks import INSTALL_TAG, tags
from digits_cli.parameters import declared_parameters

# The package that a kernel imports, wherever it was installed from.
PACKAGE = Path(digit_utils.__file__).resolve().parent
FOLDERS = ("assets", "recorded")  # of the package: files that chapters read
LOCK = "requirements.lock"

# The runtime packages that compute or draw, by the name they are imported by.
PACKAGES = {
    "cleanlab": "cleanlab", "hyperopt": "hyperopt", "keras": "keras", "matplotlib": "matplotlib",
    "numpy": "numpy", "pandas": "pandas", "scipy": "scipy", "seaborn": "seaborn",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "statsmodels": "statsmodels",
    "tensorflow": "tensorflow",
}  # fmt: skip
# The others in pyproject.toml: they run the chapters, and hand on what was computed.
HANDS_ON = {
    "filelock", "ipykernel", "ipython", "jupytext", "nbclient", "nbformat", "packaging",
    "papermill", "pyarrow", "pyyaml", "rich",
}  # fmt: skip
PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)

Fingerprint = dict[str, dict[str, Any]]


def take(
    notebook: Any,
    chapter: str,
    parameters: Mapping[str, Any],
    folder: Path | None = None,
    pins: Mapping[str, list[str]] | None = None,
) -> Fingerprint:
    """Take the fingerprint of a run about to start, or of one that would be made today.

    `parameters` go before the chapter's own. `folder` is where the chapter runs: what an earlier
    chapter left in its artifacts folder goes before the copy recorded with the book; None takes the
    recorded one. `pins`, from `locked_versions`, count as today's versions; None takes those
    installed. Returns ``code``, ``parameters``, ``modules``, ``files`` and ``packages``, each by
    name: a hash, a parameter's value, or a version (with `pins` a list of versions).
    """
    declared = {k: p.default for k, p in declared_parameters(notebook, chapter).items()}
    values = {**declared, **parameters}
    code = merge(cell_facts(cell.source) for cell in _own_cells(notebook))
    modules = closure(PACKAGE, code.modules)
    everything = merge([code, *modules.values()])
    artifacts = folder / str(values.get("ARTIFACTS", "artifacts")) if folder else None
    # What a chapter leaves for itself is of its own making.
    handed_on = everything.loaded - everything.saved
    return {
        "code": {"cells": code.digest},
        "parameters": values,
        "modules": {f"digit_utils/{name}": facts.digest for name, facts in modules.items()},
        "files": {
            f"digit_utils/{path.relative_to(PACKAGE).as_posix()}": _file_hash(
                _as_read(path, artifacts if path.stem in handed_on else None)
            )
            for path in _files(everything.texts)
        },
        "packages": {
            name: installed_version(name) if pins is None else pins.get(name, [])
            for name in _packages(everything.packages, published=pins is not None)
        },
    }


def differences(recorded: Mapping[str, Any], today: Fingerprint) -> list[str]:
    """Say what has changed since a fingerprint was recorded in a run's metadata.

    One short sentence for each part that differs from `today`; empty when the outputs are fresh.
    """
    found = []
    if recorded.get("code") != today["code"]:
        found.append("its code has changed")
    for part in ("modules", "files"):
        old, new = recorded.get(part, {}), today[part]
        for name in sorted(old.keys() | new.keys()):
            if name not in new:
                found.append(f"{name} is no longer used")
            elif name not in old:
                found.append(f"{name} is used now")
            elif old[name] != new[name]:
                found.append(f"{name} has changed")
    old, new = recorded.get("parameters", {}), today["parameters"]
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old:
            found.append(f"parameter {name} is {'gone' if name in old else 'new'}")
        elif json.dumps(old[name]) != json.dumps(new[name]):
            found.append(f"parameter {name} is {new[name]!r}, was {old[name]!r}")
    old, new = recorded.get("packages", {}), today["packages"]
    for name in sorted(old.keys() | new.keys()):
        allowed = new.get(name) or []
        allowed = [allowed] if isinstance(allowed, str) else allowed
        if name not in new:
            found.append(f"{name} is no longer used")
        elif old.get(name) not in allowed:
            found.append(
                f"{name} is {' or '.join(allowed) or 'in no lock'}, was {old.get(name, 'not used')}"
            )
    return found


def locked_versions(root: Path) -> dict[str, list[str]] | None:
    """Read the versions the lock pins, several where Python's version decides; None if no lock."""
    path = root / LOCK
    if not path.is_file():
        return None
    found: dict[str, list[str]] = {}
    # Names and versions are ASCII; whatever else is damaged, it is in no version.
    for name, pinned in PIN.findall(path.read_text(encoding="utf-8", errors="replace")):
        found.setdefault(name, []).append(pinned)
    return found


def _own_cells(notebook: Any) -> list[Any]:
    """Return the code cells whose text counts; the parameters count by their values."""
    others = {INSTALL_TAG, "parameters", "injected-parameters"}
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip() and not others & set(tags(cell))
    ]


def _files(texts: frozenset[str]) -> list[Path]:
    """Return the package's files that are named, with or without their ending."""
    # A text that happens to be a file's name counts too: better a run too many than stale outputs.
    return sorted(
        path
        for folder in FOLDERS
        if (PACKAGE / folder).is_dir()
        for path in (PACKAGE / folder).iterdir()
        if path.is_file() and (path.name in texts or path.stem in texts)
    )


def _as_read(path: Path, artifacts: Path | None) -> Path:
    """Return the file a chapter finds in place of a recorded one, see `digit_utils.artifacts`."""
    made = artifacts / path.name if artifacts and path.parent.name == "recorded" else None
    return made if made is not None and made.is_file() else path


def _packages(imported: frozenset[str], published: bool) -> list[str]:
    found = {PACKAGES[name] for name in imported if name in PACKAGES}
    # What Keras computes with is imported nowhere in our code; the book is made with TensorFlow.
    backend = "tensorflow" if published else keras_backend()
    return sorted(found | ({backend} if "keras" in found else set()))


def _file_hash(path: Path) -> str:
    found = path.stat()
    return _hash_of(path, found.st_mtime_ns, found.st_size)


@functools.cache
def _hash_of(path: Path, *_: int) -> str:
    """Hash a file once for all the chapters that read it, as long as it stays as it is."""
    return short_hash(path.read_bytes())
