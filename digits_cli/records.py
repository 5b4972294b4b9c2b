"""Record what a published run measured, and where, as one small JSON file a chapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digit_utils.files import read_bytes
from digit_utils.strict_json import parse_json


def make_record(chapter: str, run: dict[str, Any], results: dict[str, Any]) -> dict:
    """Join a chapter's results with what is needed to measure them again.

    `run` is the ``digits`` metadata of the executed notebook. Results that begin with ``sealed``
    come from the sealed test labels, so such a record also documents that the seal was opened.
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
    """Tell whether a file already records the same run, whatever its commit or versions.

    A file that is missing or unreadable counts as another run.
    """
    try:
        known = parse_json(read_bytes(old))
    except (OSError, ValueError):
        return False
    keys = ("results", "profile", "seconds", "peak_memory_mb")
    return isinstance(known, dict) and all(known.get(key) == record[key] for key in keys)
