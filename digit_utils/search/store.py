"""Keep the trials of a search in a folder: one JSON file a trial, written whole or not at all.

No trial that was written is ever lost, whatever moment the process is stopped at. Beside the
trials lies ``search.json``, which says what is searched; a folder with trials is never continued
with another definition.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from digit_utils.io import json_bytes, parse_json, read_bytes, write_atomically
from digit_utils.search.trial import Trial

FORMAT = 2
DEFINITION = "search.json"
# What each entry of a trial may be; the loss is looked at together with the status.
NUMBER = (int, float)
KINDS: dict[str, Any] = {
    "number": int, "parameters": dict, "seed": int, "status": str,
    "error": (str, type(None)), "seconds": NUMBER, "curve": list, "details": dict, "versions": dict,
}  # fmt: skip


class SearchError(ValueError):
    """A search cannot start or be resumed; the message says what was found and what to do."""


def read_trials(folder: Path, definition: Mapping[str, Any]) -> list[Trial]:
    """Return a folder's finished trials, in order of their numbers; without any, write what it is.

    ``definition`` holds all that a trial's outcome depends on, as JSON has it. Raises SearchError
    if the folder holds another search, or a file is damaged or written by a newer version.
    """
    # Exactly the names that `write_trial` gives: another spelling would be a trial twice.
    name = re.compile(r"trial_([0-9]{4}|[1-9][0-9]{4,})\.json")
    found = [(name.fullmatch(path.name), path) for path in folder.iterdir()]
    numbered = sorted((int(match[1]), path) for match, path in found if match)
    path = folder / DEFINITION
    if not numbered:  # nothing done yet that could be mixed up
        write_atomically(path, json_bytes({"format": FORMAT, **definition}))
        return []
    if not path.exists():
        raise SearchError(
            f"{folder}: holds trials but no {DEFINITION}, so it is not known what they tried; "
            "name another folder"
        )
    known = _read(path, "name another folder, or restore the file")
    del known["format"]
    if known != definition:
        raise SearchError(
            f"{folder}: holds another search. The difference (-: there, +: asked for):\n"
            f"{_difference(known, definition)}\n"
            "Name another folder, or ask for the search that is there."
        )
    return [_read_trial(number, path) for number, path in numbered]


def write_trial(folder: Path, trial: Trial) -> None:
    """Keep a finished trial; OSError, the disk being full, say, leaves the folder as it was."""
    path = folder / f"trial_{trial.number:04}.json"
    write_atomically(path, json_bytes({"format": FORMAT, **asdict(trial)}, path.name))


def _read_trial(number: int, path: Path) -> Trial:
    advice = "delete the file to have this trial run again"
    values = _read(path, advice)
    if values.pop("format") == 1:
        values["curve"] = []
    names = sorted(known.name for known in fields(Trial))
    if sorted(values) != names:
        raise SearchError(
            f"{path}: found the entries {sorted(values)!s:.300}, expected {names}; {advice}"
        )
    for name, kind in KINDS.items():
        inner = values["curve"] if name == "curve" and _is(values["curve"], list) else []
        if not _is(values[name], kind) or not all(_is(loss, NUMBER) for loss in inner):
            raise SearchError(
                f"{path}: found {name} {values[name]!r:.60}, which it cannot be; {advice}"
            )
    trial = Trial(**values)
    if trial.number != number:
        raise SearchError(f"{path}: holds trial {trial.number!r:.60}; {advice}")
    expected = {"ok": NUMBER, "stopped": NUMBER, "failed": type(None)}.get(trial.status, ())
    if not _is(trial.loss, expected):
        raise SearchError(
            f"{path}: found status {trial.status!r:.60} with loss {trial.loss!r:.60}, expected "
            f"'ok' or 'stopped' with a number, or 'failed' without; {advice}"
        )
    return trial


def _read(path: Path, advice: str) -> dict[str, Any]:
    """Read a JSON object that holds a format we know."""
    try:
        raw = read_bytes(path)
    except OSError as error:
        raise SearchError(f"{path}: cannot be read ({error.strerror}); {advice}") from error
    try:
        values = parse_json(raw)
    except ValueError as error:
        what = "is empty" if not raw.strip() else f"is damaged or cut short ({error})"
        raise SearchError(f"{path}: {what}, expected a JSON object; {advice}") from error
    known: Any = values.get("format") if isinstance(values, dict) else None
    if not _is(known, int) or known < 1:
        raise SearchError(f"{path}: found format {known!r:.60}, expected 1 to {FORMAT}; {advice}")
    if known > FORMAT:
        raise SearchError(
            f"{path}: was written by a newer version (format {known}, this one knows {FORMAT}); "
            "install a newer digit_utils, or name another folder"
        )
    return values


def _is(value: Any, kind: Any) -> bool:
    """Tell whether a value is of a kind; a truth value is no number, nor is one beyond floats."""
    if isinstance(value, bool):
        return False
    return isinstance(value, kind) and not (isinstance(value, int) and abs(value) >= 2**1023)


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    compared = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=0)
    return "\n".join(f"  {line}" for line in compared if not line.startswith(("---", "+++", "@@")))


def _lines(value: Any, name: str = "") -> list[str]:
    """Write nested values one a line, each with its full name; code keeps its own lines."""
    if isinstance(value, dict) and value:
        inner = ((f"{name}.{key}" if name else key, value[key]) for key in sorted(value))
        return [line for key, item in inner for line in _lines(item, key)]
    if isinstance(value, str) and "\n" in value:
        return [f"{name}: {line}" for line in value.splitlines()]
    return [f"{name}: {json.dumps(value, ensure_ascii=False)}"]
