"""Record what a published run measured, and where, as one small JSON file a chapter."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "hyperopt", "papermill")


def make_record(chapter: str, run: dict[str, Any], results: dict[str, Any], root: Path) -> dict:
    """Put a chapter's results beside what is needed to measure them again.

    Results that begin with ``sealed`` come from the sealed test labels: the record of such a
    chapter is also the record that the seal was opened.

    Parameters
    ----------
    chapter : str
    run : dict
        The ``digits`` metadata of the executed notebook: profile, seconds, memory.
    results : dict
        What the chapter reported.
    root : pathlib.Path
        The checkout.

    Returns
    -------
    dict
    """
    return {
        "chapter": chapter,
        "results": results,
        "profile": run.get("profile"),
        "seconds": run.get("seconds"),
        "peak_memory_mb": run.get("peak_memory_mb"),
        # Where it was published from: the run's code is the same, or publishing refuses.
        "published": {
            "commit": _commit(root),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
            "versions": {"python": platform.python_version(), **_versions()},
        },
    }


def same_run(old: Path, record: dict) -> bool:
    """Whether a file records the same run already, by another commit or version or not.

    Parameters
    ----------
    old : pathlib.Path
    record : dict
        From `make_record`.

    Returns
    -------
    bool
    """
    try:
        known = json.loads(old.read_bytes())
    except (OSError, ValueError):
        return False
    keys = ("results", "profile", "seconds", "peak_memory_mb")
    return isinstance(known, dict) and all(known.get(key) == record[key] for key in keys)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit(root: Path) -> str | None:
    """The commit published from; None outside a git checkout."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()
