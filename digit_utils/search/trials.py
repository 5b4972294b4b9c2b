"""Keep the trials of a search in a folder: one JSON file a trial, written whole or not at all.

No trial that was written is ever lost, whatever moment the process is stopped at. Beside the
trials lies ``search.json``, which says what is searched; a folder with trials is never continued
with another definition. Nothing here knows hyperopt or Keras, so any engine can use it.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from digit_utils.files import json_bytes, read_bytes, write_atomically
from digit_utils.folder_lock import FolderUnavailable, claim_folder
from digit_utils.strict_json import parse_json

FORMAT = 2
DEFINITION = "search.json"
# What each entry of a trial may be; the loss is looked at together with the status.
NUMBER = (int, float)
KINDS: dict[str, Any] = {
    "number": int, "parameters": dict, "seed": int, "status": str,
    "error": (str, type(None)), "seconds": NUMBER, "curve": list, "details": dict, "versions": dict,
}  # fmt: skip


class SearchError(ValueError):
    """A search cannot start or go on; the message says what was found and what to do."""


@dataclass(frozen=True)
class Trial:
    """What came of one trial."""

    number: int  # from 1
    parameters: dict[str, Any]  # values, not hyperopt's positions
    seed: int  # of the random numbers that proposed the parameters
    status: str  # "ok", "failed", or "stopped" early because others did better
    loss: float | None  # to be made small; of a stopped trial the last reported, None if failed
    error: str | None  # why it failed
    seconds: float  # what the objective took; 0 if its outcome was taken over
    curve: list[float] = field(default_factory=list)  # losses reported, one an epoch
    details: dict[str, Any] = field(default_factory=dict)  # what else the objective returned
    versions: dict[str, str] = field(default_factory=dict)  # of the packages it ran with

    @property
    def ok(self) -> bool:
        """Whether it came to a good end."""
        return self.status == "ok"


class TrialStore:
    """The folder of a search; use it with ``with``, so that no other process can.

    The folder is made if it does not exist. ``definition`` holds all that a trial's outcome depends
    on (space, objective and so on), as JSON has it. Entering raises SearchError if the folder is in
    use, cannot be written, or holds another search.
    """

    def __init__(self, folder: str | Path, definition: Mapping[str, Any]):
        self.folder = Path(os.path.expanduser(folder))
        self.definition = json.loads(json_bytes(definition, "definition"))
        self._held = contextlib.ExitStack()

    def __enter__(self) -> TrialStore:
        try:
            self._held.enter_context(claim_folder(self.folder))
        except FolderUnavailable as error:
            raise SearchError(str(error)) from error
        try:
            self._check_definition()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self._held.close()

    def _check_definition(self) -> None:
        path = self.folder / DEFINITION
        if next(self._files(), None) is None:  # nothing done yet that could be mixed up
            write_atomically(path, json_bytes({"format": FORMAT, **self.definition}))
            return
        if not path.exists():
            raise SearchError(
                f"{self.folder}: holds trials but no {DEFINITION}, so it is not known what they "
                "tried; name another folder"
            )
        known = _read(path, "name another folder, or restore the file")
        known.pop("format")
        if known != self.definition:
            raise SearchError(
                f"{self.folder}: holds another search. The difference (-: there, +: asked for):\n"
                f"{_difference(known, self.definition)}\n"
                "Name another folder, or ask for the search that is there."
            )

    def _files(self) -> Iterator[tuple[int, Path]]:
        """Yield number and path of each trial's file, in order."""
        found = []
        for path in self.folder.iterdir():
            # Exactly the names that `write` gives: another spelling would be a trial twice.
            match = re.fullmatch(r"trial_([0-9]{4}|[1-9][0-9]{4,})\.json", path.name)
            if match:
                found.append((int(match[1]), path))
        yield from sorted(found)

    def read(self) -> list[Trial]:
        """Return the finished trials, in order of their numbers.

        Raises SearchError if a file is damaged, cut short, empty, or written by a newer version.
        """
        return [self._read_trial(number, path) for number, path in self._files()]

    def _read_trial(self, number: int, path: Path) -> Trial:
        advice = "delete the file to have this trial run again"
        values = _read(path, advice)
        if values.pop("format") == 1:
            values["curve"] = []
        names = {known.name for known in fields(Trial)}
        if set(values) != names:
            raise SearchError(
                f"{path}: found the entries {sorted(values)!s:.300}, "
                f"expected {sorted(names)}; {advice}"
            )
        odd = [name for name, kind in KINDS.items() if not _is(values[name], kind)]
        if not odd and not all(_is(loss, NUMBER) for loss in values["curve"]):
            odd = ["curve"]
        if odd:
            raise SearchError(
                f"{path}: found {odd[0]} {_short(values[odd[0]])}, which it cannot be; {advice}"
            )
        trial = Trial(**values)
        if trial.number != number:
            raise SearchError(f"{path}: holds trial {trial.number!r}; {advice}")
        right_loss = (
            _is(trial.loss, NUMBER)
            if trial.status in {"ok", "stopped"}
            else trial.status == "failed" and trial.loss is None
        )
        if not right_loss:
            raise SearchError(
                f"{path}: found status {trial.status!r:.60} with loss "
                f"{_short(trial.loss)}, expected 'ok' or 'stopped' with a number, or 'failed' "
                f"without; {advice}"
            )
        return trial

    def write(self, trial: Trial) -> Path:
        """Keep a finished trial.

        Raises OSError if the disk is full, for example; the folder is then as it was.
        """
        path = self.folder / f"trial_{trial.number:04}.json"
        return write_atomically(path, json_bytes({"format": FORMAT, **asdict(trial)}, path.name))


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
    if not isinstance(values, dict) or "format" not in values:
        raise SearchError(
            f"{path}: has no entry 'format', expected a file of this project; {advice}"
        )
    if not _is(values["format"], int) or values["format"] < 1:
        raise SearchError(
            f"{path}: found format {_short(values['format'])}, expected 1 to {FORMAT}; {advice}"
        )
    if values["format"] > FORMAT:
        raise SearchError(
            f"{path}: was written by a newer version (format {values['format']}, this one knows "
            f"{FORMAT}); install a newer digit_utils, or name another folder"
        )
    return values


def _short(value: Any) -> str:
    try:
        return f"{value!r:.60}"
    except ValueError:  # Python does not write numbers of very many digits
        return "a very large number"


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
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
        return [
            line
            for key in sorted(value)
            for line in _lines(value[key], f"{name}.{key}" if name else key)
        ]
    if isinstance(value, str) and "\n" in value:
        return [f"{name}: {line}" for line in value.splitlines()]
    return [f"{name}: {json.dumps(value, ensure_ascii=False)}"]
