"""Keep a sweep's runs in a folder of this machine, or in a place that papermill can write to.

A run's record is written last and atomically, so that a record vouches for its run.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digit_utils.files import json_bytes, read_bytes, write_atomically
from digit_utils.folder_lock import FolderUnavailable, claim_folder
from digit_utils.strict_json import parse_json
from digits_cli.errors import RunnerError, UsageError
from digits_cli.paths import folder_here, shown

FORMAT = 1
RECORD = "run.json"
REPORT = "report.html"
PLAIN_NAME = re.compile(r"\w[\w.-]*")
GATHERED = ("runs.csv", REPORT)  # what is text; Parquet stays here


def place_of(out: str | Path | None, default: Path) -> FolderPlace | RemotePlace:
    """Return the place `out` names: a folder, or an address such as ``s3://bucket/sweep``.

    `default` is the folder for None; beside it lies the local copy of a remote place. Raises
    UsageError for a web address (http).
    """
    if out and "://" in str(out):
        address = str(out).rstrip("/")
        if address.startswith("http"):
            raise UsageError(
                f"--out is {address}; a web server keeps no folders, use s3:// or alike"
            )
        # Of its own: what was run for one place is not yet at another.
        digest = hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return RemotePlace(address, default.with_name(f"{default.name}-{digest}"))
    return FolderPlace(folder_here(out, "--out") if out else default)


class FolderPlace:
    """A folder of this machine."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def report(self) -> str:
        """Where the report is, for messages."""
        return shown(self.folder / REPORT)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock the place; RunnerError if another process holds it, or it cannot be written."""
        try:
            with claim_folder(self.folder):
                yield
        except FolderUnavailable as error:
            raise RunnerError(str(error)) from error

    def read(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        """Return the records of those runs that have ended, by key."""
        found = {}
        for key in keys:
            try:
                found[key] = read_bytes(self.folder / key / RECORD).decode("utf-8")
            except (OSError, UnicodeDecodeError):
                continue
        return _known(found)

    def start(self, key: str) -> Path:
        """Return a run's work folder, without an old record; what the run leaves is kept."""
        folder = self.folder / key
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        return folder

    def keep(self, key: str, record: dict[str, Any]) -> None:
        """Write a run's record; call this last. A success removes the notebooks of failed tries."""
        folder = self.folder / key
        if record["status"] == "ok":
            for path in folder.glob("*.failed.ipynb"):
                path.unlink()
        write_atomically(folder / RECORD, json_bytes(record))

    def publish(self, keys: list[str]) -> None:
        """Do nothing: everything is where it belongs."""


class RemotePlace(FolderPlace):
    """An address that papermill can write to, such as ``s3://bucket/sweep``.

    Runs work and stay in `folder` on this machine, which also locks out a second sweep here.
    Notebooks and records are copied to the address as soon as they exist; a failed copy is tried
    again.
    """

    def __init__(self, address: str, folder: Path):
        super().__init__(folder)
        self.address = address

    @property
    def report(self) -> str:
        """Where the report is, for messages."""
        return f"{self.address}/{REPORT} and {super().report}"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock the local folder; RunnerError, before any run, if the address cannot be written."""
        with super().hold():
            self._write("sweep.json", json.dumps({"format": FORMAT}))
            yield

    def read(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        """Return the records of runs that have ended, there or here, by key.

        A success takes precedence over a failure. Raises RunnerError if the address cannot be read.
        """
        there, here = self._there(keys), super().read(keys)
        good = {key: record for key, record in here.items() if _better(record, there.get(key))}
        return {**there, **good}

    def keep(self, key: str, record: dict[str, Any]) -> None:
        """Write a run's record here, then copy its notebook and, last, its record to the address.

        A failed copy only prints a note.
        """
        super().keep(key, record)
        try:
            self._copy(key, record)
        except RunnerError as error:  # no reason to end the others: it is tried again at the end
            print(f"note: run {key} is not copied yet: {error}", file=sys.stderr, flush=True)

    def publish(self, keys: list[str]) -> None:
        """Copy the report, and runs not copied before; RunnerError if that fails."""
        there = self._there(keys)
        for key, record in super().read(keys).items():
            if _better(record, there.get(key)):
                self._copy(key, record)
        for name in GATHERED:
            self._write(name, (self.folder / name).read_text(encoding="utf-8"))

    def _there(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        names = self._names("")
        return _known({key: self._read(key) for key in keys if key in names})

    def _copy(self, key: str, record: dict[str, Any]) -> None:
        if record["notebook"]:
            text = (self.folder / key / record["notebook"]).read_text(encoding="utf-8")
            self._write(f"{key}/{record['notebook']}", text)
        self._write(f"{key}/{RECORD}", json_bytes(record).decode())

    def _names(self, below: str) -> set[str]:
        """Return the names of folders and files at the address, or in a folder below it."""
        from papermill.iorw import papermill_io

        with _told(f"{self.address} cannot be read"):
            found = papermill_io.listdir(f"{self.address}/{below}")
        # Some stores list a folder's children, some everything below; some texts, some objects.
        paths = [str(getattr(item, "name", item)) for item in found]
        return {part for path in paths for part in path.split("/")}

    def _read(self, key: str) -> str:
        """Return a run's record as text; empty if it has none yet."""
        from papermill.iorw import papermill_io

        try:
            return papermill_io.read(f"{self.address}/{key}/{RECORD}")
        except Exception as error:
            # Each kind of store has its own error for a file that is not there. Whatever else goes
            # wrong must not pass for it: the run would be made again.
            if RECORD not in self._names(f"{key}/"):
                return ""
            raise RunnerError(
                f"{self.address}/{key}/{RECORD} cannot be read ({type(error).__name__}: {error}); "
                "try again"
            ) from error

    def _write(self, name: str, text: str) -> None:
        from papermill.iorw import papermill_io

        with _told(f"{self.address} cannot be written"):
            # Any ending is as good as another: papermill expects notebooks and would warn.
            papermill_io.write(text, f"{self.address}/{name}", extensions=None)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever a store raises into one RunnerError."""
    from papermill.exceptions import PapermillException, PapermillOptionalDependencyException

    try:
        yield
    except PapermillOptionalDependencyException as error:
        raise RunnerError(
            f"{what}: a package is missing; install it, for s3:// with: "
            f"pip install 'papermill[s3]' ({error})"
        ) from error
    except PapermillException as error:
        raise RunnerError(f"{what}: papermill knows no such address ({error}).") from error
    except Exception as error:
        raise RunnerError(
            f"{what} ({type(error).__name__}: {error}); check the name and your rights to it."
        ) from error


def _better(record: dict[str, Any], other: dict[str, Any] | None) -> bool:
    """Tell whether a record says more than another one of the same run, or than none."""
    return other is None or (record["status"] == "ok" and other.get("status") != "ok")


def _known(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Parse records; leave out damaged and foreign ones."""
    found = {}
    for key, text in texts.items():
        try:
            record = parse_json(text.encode("utf-8"))
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("run") == key and _is_whole(record):
            found[key] = record
    return found


def _is_whole(record: dict[str, Any]) -> bool:
    """Tell whether a record holds what a report and another run rely on."""
    notebook, error = record.get("notebook", ""), record.get("error", "")
    return (
        record.get("format") == FORMAT
        and record.get("status") in ("ok", "failed")
        # A plain name: a shared bucket must not lead a report, or us, to another file.
        and (notebook is None or bool(isinstance(notebook, str) and PLAIN_NAME.fullmatch(notebook)))
        and (error is None or isinstance(error, str))
        and type(record.get("seconds")) in (int, float)
        and isinstance(record.get("parameters"), dict)
        and isinstance(record.get("results", {}), dict)
        and isinstance(record.get("commit"), str | None)
        and type(record.get("peak_memory_mb")) in (int, float, type(None))
    )
