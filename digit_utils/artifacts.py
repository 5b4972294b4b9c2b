"""Hand a result from one chapter to the next, as small JSON files.

A chapter that needs an earlier one's result (the best settings of a search, say) reads it from
the artifacts folder. When the earlier chapter has not been run here, the copy recorded with the
book takes its place, so every chapter runs on its own.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digit_utils.io import json_bytes, parse_json, read_bytes, write_atomically

RECORDED_FOLDER = Path(__file__).resolve().parent / "recorded"


class ArtifactError(ValueError):
    """An artifact is missing or unreadable."""


def save_json(folder: str | Path, name: str, payload: Mapping[str, Any]) -> Path:
    """Save a mapping as ``folder/name.json``, whole or not at all, and return that path.

    The folder is made if it does not exist. Raises ValueError for NaN or infinity, TypeError for
    what JSON cannot hold. Taught in 05_hyperopt.
    """
    data = json_bytes(payload, f"{name}.json")
    folder = Path(os.path.expanduser(folder))
    folder.mkdir(parents=True, exist_ok=True)
    return write_atomically(folder / f"{name}.json", data)


def load_json(folder: str | Path, name: str, made_by: str) -> tuple[dict[str, Any], str]:
    """Load what an earlier chapter saved, or the copy recorded with the book.

    Returns the payload and its origin: ``"artifacts"``, or ``"recorded"`` with a printed notice.
    The folder need not exist; ``made_by``, the chapter that makes it, is for notices and errors.
    Raises ArtifactError if there is no such artifact, or it is damaged: the recorded copy does not
    stand in for a damaged file. Taught in 06_final_model.
    """
    own = Path(os.path.expanduser(folder)) / f"{name}.json"
    if own.exists():
        advice = f"run {made_by} again, or delete the file to use the recorded copy"
        return _read_object(own, advice), "artifacts"
    if not (RECORDED_FOLDER / own.name).exists():
        raise ArtifactError(
            f"{own}: no such artifact, and no copy of {own.name} is recorded with the book; "
            f"run {made_by} first"
        )
    payload = load_recorded(name)
    print(
        f"Using the recorded copy of {own.name}: {Path(folder).name or '.'}/ has none. "
        f"Run {made_by} to make your own."
    )
    return payload, "recorded"


def load_recorded(name: str) -> dict[str, Any]:
    """Load the book's recorded copy, whatever runs here left; ArtifactError if missing or damaged.

    Taught in 09_is_it_really_better.
    """
    return _read_object(RECORDED_FOLDER / f"{name}.json", "install digit_utils again")


def _read_object(path: Path, advice: str) -> dict[str, Any]:
    try:
        payload = parse_json(read_bytes(path))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); {advice}") from error
    except ValueError as error:  # bad JSON or bad UTF-8; both messages say where
        what = "is damaged or cut short" if path.stat().st_size else "is empty"
        raise ArtifactError(
            f"{path}: {what} ({error}), expected a JSON object; {advice}"
        ) from error
    if not isinstance(payload, dict):
        raise ArtifactError(
            f"{path}: found a JSON {type(payload).__name__}, expected a JSON object; {advice}"
        )
    return payload
