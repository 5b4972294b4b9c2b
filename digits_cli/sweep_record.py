"""Keep a sweep's finished runs in one file that is committed: the book's evidence.

A run counts as made if the file holds one with the same parameters, whatever has become of the
chapter's code since: each entry names its commit. To make them all anew, delete the file.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from digit_utils.io import parse_json, read_bytes, write_atomically
from digits_cli.errors import RunnerError
from digits_cli.sweep_file import SweepRun

KEPT = ("parameters", "results", "seconds", "commit", "date", "machine", "versions")


class SweepRecord:
    """The file, and the runs in it."""

    def __init__(self, path: Path, command: str):
        """Read the file, if it exists; `command` makes it. A damaged one raises RunnerError."""
        self.path, self.command, self._lock = path, command, threading.Lock()
        self.runs: list[dict[str, Any]] = []
        try:
            self.runs = parse_json(read_bytes(path))["runs"]
            self._find({})
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError) as error:
            text = f"{path} is damaged ({error}); restore it with git, or delete it"
            raise RunnerError(f"{text} to make all of its runs anew.") from error

    def fill(self, runs: Sequence[SweepRun]) -> list[SweepRun]:
        """Return the runs, those that the file holds as finished."""
        return [run if run.ok else replace(run, **self._find(run.parameters)) for run in runs]

    def keep(self, run: SweepRun) -> None:
        """Add a finished run, one line of the file."""
        with self._lock:
            self.runs.append({name: run.record.get(name) for name in KEPT})
            self.runs.sort(key=lambda one: json.dumps(one["parameters"], sort_keys=True))
            lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in self.runs)
            head = json.dumps({"command": self.command})[:-1]
            write_atomically(self.path, f'{head}, "runs": [\n{lines}\n]}}\n'.encode())

    def _find(self, parameters: dict[str, Any]) -> dict[str, Any]:
        made = [one for one in self.runs if one["parameters"] == parameters]
        return {"record": {"status": "ok", "error": None, **made[0]}} if made else {}
