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

from digit_utils.files import json_bytes, read_bytes, write_atomically
from digit_utils.strict_json import parse_json

RECORDED_FOLDER = Path(__file__).resolve().parent / "recorded"


class ArtifactError(ValueError):
    """An artifact is missing or unreadable."""


def save_json(folder: str | Path, name: str, payload: Mapping[str, Any]) -> Path:
    """Save a mapping as ``folder/name.json``, whole or not at all.

    Parameters
    ----------
    folder : str or Path
        The artifacts folder; made if it does not exist.
    name : str
        File name, with or without ``.json``.
    payload : mapping
        Numbers, text, arrays, lists and dictionaries. NaN and infinity are refused.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If a number is NaN or infinite, or ``name`` is not a plain file name.
    TypeError
        If the payload is not a mapping or cannot be written as JSON.

    Notes
    -----
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

    Parameters
    ----------
    folder : str or Path
        The artifacts folder; it need not exist.
    name : str
        File name, with or without ``.json``.
    made_by : str
        The chapter that makes it, for example ``"05_hyperopt"``; named in notices and errors.

    Returns
    -------
    payload : dict
        What was saved.
    origin : str
        ``"artifacts"``, or ``"recorded"`` for the copy that comes with the book; a one-line
        notice is printed for the latter.

    Raises
    ------
    ArtifactError
        If there is no such artifact, or it is empty, cut short or not a JSON object. A damaged
        file in the artifacts folder is an error: the recorded copy does not stand in for it.

    Notes
    -----
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
    """Load the copy recorded with the book, whatever runs here have left.

    Parameters
    ----------
    name : str
        File name, with or without ``.json``.

    Returns
    -------
    dict

    Raises
    ------
    ArtifactError
        If no such copy is there, or it is damaged.

    Notes
    -----
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
