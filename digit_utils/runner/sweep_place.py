"""Where a sweep's runs are kept: a folder of this machine, or a place that papermill can write to.

Either way a run's record is written last and whole, so that a record vouches for its run.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digit_utils.files import json_bytes, write_atomically
from digit_utils.folder_lock import FolderUnavailable, claim_folder
from digit_utils.runner.errors import RunnerError
from digit_utils.runner.paths import shown

FORMAT = 1
RECORD = "run.json"
REPORT = "report.html"
GATHERED = ("runs.csv", REPORT)  # what is text; Parquet stays here


def place_of(out: str | Path | None, default: Path) -> FolderPlace | RemotePlace:
    """Return the place that somebody named.

    Parameters
    ----------
    out : str, path or None
        A folder, an address such as ``s3://bucket/sweep``, or None.
    default : pathlib.Path
        The folder for None. Beside a remote place it holds a copy of the report.

    Returns
    -------
    FolderPlace or RemotePlace
    """
    if out and "://" in str(out):
        return RemotePlace(str(out).rstrip("/"), default)
    return FolderPlace(Path(out).absolute() if out else default)


class FolderPlace:
    """A folder of this machine.

    Parameters
    ----------
    folder : pathlib.Path
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def report(self) -> str:
        """Where the report is, for people."""
        return shown(self.folder / REPORT)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the place, so that no other process writes there.

        Raises
        ------
        RunnerError
            If another process holds it, or it cannot be written.
        """
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
                found[key] = (self.folder / key / RECORD).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
        return _known(found)

    @contextmanager
    def work(self, key: str) -> Iterator[Path]:
        """Yield the folder that a run works in; what it leaves there is kept."""
        folder = self.folder / key
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        yield folder

    def keep(self, key: str, folder: Path, record: dict[str, Any]) -> None:
        """Keep a run's record: the last act."""
        write_atomically(folder / RECORD, json_bytes(record))

    def publish(self) -> None:
        """The report is where it belongs."""


class RemotePlace(FolderPlace):
    """An address that papermill can write to, such as ``s3://bucket/sweep``.

    Notebooks and records are kept there; other files of a run are not. The report is made in a
    local folder, which is also what keeps a second sweep of this machine away, and copied.

    Parameters
    ----------
    address : str
    folder : pathlib.Path
        For the report.
    """

    def __init__(self, address: str, folder: Path):
        super().__init__(folder)
        self.address = address

    @property
    def report(self) -> str:
        """Where the report is, for people."""
        return f"{self.address}/{REPORT} and {super().report}"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the local folder, and see whether the address can be written.

        Raises
        ------
        RunnerError
            If it cannot; nothing has been run.
        """
        with super().hold():
            self._write("sweep.json", json.dumps({"format": FORMAT}))
            yield

    def read(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        """Return the records of those runs that have ended, by key.

        Raises
        ------
        RunnerError
            If the address cannot be read.
        """
        from papermill.iorw import papermill_io

        with _told(f"{self.address} cannot be read"):
            there = papermill_io.listdir(f"{self.address}/")
        names = {str(path).rstrip("/").rpartition("/")[2] for path in there}
        found = {}
        for key in keys:
            if key not in names:
                continue
            try:
                found[key] = papermill_io.read(f"{self.address}/{key}/{RECORD}")
            except Exception:  # each kind of store has its own; without a record it runs again
                continue
        return _known(found)

    @contextmanager
    def work(self, key: str) -> Iterator[Path]:
        """Yield a folder that a run works in, gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="digits-") as temporary:
            yield Path(temporary)

    def keep(self, key: str, folder: Path, record: dict[str, Any]) -> None:
        """Copy the notebook of a run there, and then its record.

        Raises
        ------
        RunnerError
            If the address cannot be written any more.
        """
        if record["notebook"]:
            text = (folder / record["notebook"]).read_text(encoding="utf-8")
            self._write(f"{key}/{record['notebook']}", text)
        self._write(f"{key}/{RECORD}", json_bytes(record).decode())

    def publish(self) -> None:
        """Copy the report there."""
        for name in GATHERED:
            self._write(name, (self.folder / name).read_text(encoding="utf-8"))

    def _write(self, name: str, text: str) -> None:
        from papermill.iorw import papermill_io

        with _told(f"{self.address} cannot be written"):
            # Any ending is as good as another: papermill expects notebooks and would warn.
            papermill_io.write(text, f"{self.address}/{name}", extensions=None)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever a store raises into one clear error."""
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


def _known(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Parse records; a damaged or foreign one counts as none."""
    found = {}
    for key, text in texts.items():
        try:
            record = json.loads(text)
        except ValueError:
            continue
        if (
            isinstance(record, dict)
            and record.get("format") == FORMAT
            and record.get("run") == key
            and isinstance(record.get("results", {}), dict)
        ):
            found[key] = record
    return found
