"""Keep what a sweep's finished runs measured in one file that is committed: the book's evidence.

A run counts as made if the file holds one with the same parameters, whatever has become of the
chapter's code since: each entry names its commit. What a chapter derives from a record it reports
under the record's name, and that is never kept: a run does not depend on what is recorded.
"""

import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from digit_utils.io import (
    FolderUnavailable,
    claim_folder,
    parse_json,
    read_bytes,
    write_atomically,
)
from digits_cli.book import build_folder, shown
from digits_cli.errors import RunnerError, did_you_mean
from digits_cli.sweep_file import Sweep, SweepRun

KEPT = {
    "parameters": dict, "results": dict, "seconds": int | float, "commit": str | None,
    "date": str | None, "machine": str | None, "versions": dict | None,
}  # fmt: skip


class SweepRecord:
    """The file, read anew whenever it is needed: git may have changed it meanwhile."""

    def __init__(self, root: Path, file: Path, sweep: Sweep, parameters: Collection[str]):
        """`file` holds the sweep, and `parameters` are those that its chapter has today."""
        self.path = root / "digit_utils" / "recorded" / f"{sweep.record}.json"
        self.folder = build_folder(root) / "records" / self.path.stem  # whoever holds it may write
        self.command = f"digits sweep {Path(os.path.relpath(file.resolve(), root)).as_posix()}"
        self.chapter, self.parameters, self._lock = sweep.chapter, parameters, threading.Lock()

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the record until the block ends; RunnerError if another sweep is adding to it."""
        with ExitStack() as held:
            try:
                held.enter_context(claim_folder(self.folder))
            except FolderUnavailable as error:
                if error.owner is None:
                    raise
                told = f"another sweep is adding to {shown(self.path)}"
                raise RunnerError(f"{told} ({error.owner}); wait for it to end.") from error
            yield

    def fill(self, runs: Sequence[SweepRun]) -> list[SweepRun]:
        """Return the runs, those that the file holds as finished; RunnerError if it is damaged."""
        made, ended = self._read(), {"status": "ok", "error": None}
        return [
            run if run.ok or _key(run.parameters) not in made
            else replace(run, record=ended | made[_key(run.parameters)])
            for run in runs
        ]  # fmt: skip

    def keep(self, runs: Sequence[SweepRun]) -> None:
        """Add the finished runs that the file does not hold, a line for each."""
        with self._lock:
            made = self._read()
            for run in runs:
                if run.ok:
                    made.setdefault(_key(run.parameters), self._entry(run.record))
            entries = sorted(made.items(), key=lambda one: json.dumps(sorted(one[0])))
            lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for _, entry in entries)
            head = json.dumps({"command": self.command})[:-1]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, f'{head}, "runs": [\n{lines}\n]}}\n'.encode())

    def _entry(self, record: Mapping[str, Any]) -> dict[str, Any]:
        measured = dict(record["results"] or {})
        measured.pop(self.path.stem, None)
        return {name: record.get(name) for name in KEPT} | {"results": measured}

    def _read(self) -> dict[frozenset, dict[str, Any]]:
        """Return the entries of the file by their parameters."""
        made: dict[frozenset, dict[str, Any]] = {}
        try:
            for number, one in enumerate(parse_json(read_bytes(self.path))["runs"], start=1):
                if not all(isinstance(one[name], kind) for name, kind in KEPT.items()):
                    raise TypeError(f"run {number} is not whole")
                made.setdefault(_key(one["parameters"]), self._entry(one))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError) as error:
            told = f"{shown(self.path)} is damaged ({error}); restore it with git, or delete it"
            raise RunnerError(f"{told} to have all of its runs made anew.") from error
        for name in sorted({name for key in made for name, _ in key} - set(self.parameters)):
            told = f"{shown(self.path)} has runs with {name}, which is no parameter of "
            told += f"{self.chapter.name}.{did_you_mean(name, self.parameters)}"
            raise RunnerError(f"{told} Rename it in the file, or delete those runs there.")
        return made


def _key(parameters: Mapping[str, Any]) -> frozenset:
    return frozenset(parameters.items())
