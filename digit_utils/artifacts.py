"""Hand a result from one chapter to the next, as small JSON files.

A chapter that needs an earlier one's result (the best settings of a search, say) reads it from
the artifacts folder. When the earlier chapter has not been run here, the copy recorded with the
book takes its place, so every chapter runs on its own.
"""

from __future__ import annotations

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

    The folder is made if it does not exist; ``name`` may end in ``.json``. Raises ValueError for
    NaN, infinity or a ``name`` that is not a plain file name, TypeError for a payload that is not a
    mapping or that JSON cannot hold.

    Taught in 05_hyperopt.
    """
    file_name = _file_name(name)
    if not isinstance(payload, Mapping):
        raise TypeError(
            f"{file_name}: payload is of type {type(payload).__name__}, expected a dictionary; "
            "wrap it, for example {'trials': payload}"
        )
    data = json_bytes(payload, file_name)
    folder = Path(os.path.expanduser(folder))
    folder.mkdir(parents=True, exist_ok=True)
    return write_atomically(folder / file_name, data)


def load_json(folder: str | Path, name: str, made_by: str) -> tuple[dict[str, Any], str]:
    """Load what an earlier chapter saved, or the copy recorded with the book.

    Returns the payload and its origin: ``"artifacts"``, or ``"recorded"`` with a printed notice.
    The folder need not exist; ``name`` may end in ``.json``; ``made_by``, the chapter that makes
    it, is for notices and errors. Raises ArtifactError if there is no such artifact, or it is
    empty, cut short or not a JSON object (the recorded copy does not stand in for a damaged file),
    ValueError for a ``name`` that is not a plain file name.

    Taught in 06_final_model.
    """
    file_name = _file_name(name)
    own = Path(os.path.expanduser(folder)) / file_name
    if own.exists():
        advice = f"run {made_by} again, or delete the file to use the recorded copy"
        return _read_object(own, advice), "artifacts"
    recorded = RECORDED_FOLDER / file_name
    if recorded.exists():
        payload = _read_object(recorded, "install digit_utils again")
        print(
            f"Using the recorded copy of {file_name}: {Path(folder).name or '.'}/ has none. "
            f"Run {made_by} to make your own."
        )
        return payload, "recorded"
    raise ArtifactError(
        f"{own}: no such artifact, and no copy of {file_name} is recorded with the book; "
        f"run {made_by} first"
    )


def load_recorded(name: str) -> dict[str, Any]:
    """Load the book's recorded copy, whatever runs here left; ArtifactError if missing or damaged.

    Taught in 09_is_it_really_better.
    """
    return _read_object(RECORDED_FOLDER / _file_name(name), "install digit_utils again")


def _file_name(name: str) -> str:
    stem = name.removesuffix(".json")
    # A name such as "../x" would write outside the artifacts folder.
    if not stem or stem.startswith(".") or any(mark in stem for mark in "/\\:\0"):
        raise ValueError(
            f"found {name!r} as an artifact's name, expected a plain file name; "
            "for example 'best_settings'"
        )
    return f"{stem}.json"


def _read_object(path: Path, advice: str) -> dict[str, Any]:
    try:
        raw = read_bytes(path)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); {advice}") from error
    if not raw.strip():
        raise ArtifactError(f"{path}: is empty, expected a JSON object; {advice}")
    try:
        payload = parse_json(raw)
    except ValueError as error:  # bad JSON or bad UTF-8; both messages say where
        raise ArtifactError(
            f"{path}: is damaged or cut short ({error}), expected a JSON object; {advice}"
        ) from error
    if not isinstance(payload, dict):
        raise ArtifactError(
            f"{path}: found a JSON {type(payload).__name__}, expected a JSON object; {advice}"
        )
    return payload
