"""Record what a published run measured, and where, as one small JSON file a chapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digit_utils.files import read_bytes
from digit_utils.strict_json import parse_json


def make_record(chapter: str, run: dict[str, Any], results: dict[str, Any]) -> dict:
    """Put a chapter's results beside what is needed to measure them again.

    Results that begin with ``sealed`` come from the sealed test labels: the record of such a
    chapter is also the record that the seal was opened.

    Parameters
    ----------
    chapter : str
    run : dict
        The ``digits`` metadata of the executed notebook: profile, seconds, memory, provenance.
    results : dict
        What the chapter reported.

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
        "provenance": run.get("provenance"),
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
        known = parse_json(read_bytes(old))
    except (OSError, ValueError):
        return False
    keys = ("results", "profile", "seconds", "peak_memory_mb")
    return isinstance(known, dict) and all(known.get(key) == record[key] for key in keys)
