"""Run a chapter once for each point of a sweep; finished runs are never run again.

Each run's folder is named by a hash of the notebook's code and the values. ``run.json`` is written
last and atomically, so that it vouches for the rest. Helpers are not part of the hash: records hold
the commit of the checkout, and a sweep that mixes several says so.
"""

import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from digit_utils.io import claim_folder, json_bytes, parse_json, read_bytes, write_atomically
from digits_cli import book
from digits_cli.book import Chapter, folder_here, shown
from digits_cli.errors import RunnerError, UsageError
from digits_cli.execute import check_can_run, run_one
from digits_cli.normalised_code import short_hash
from digits_cli.pairing import read_chapter, refuse_unlike
from digits_cli.parameters import declared_parameters
from digits_cli.plan import PlannedRun
from digits_cli.progress import duration
from digits_cli.reports import write_report
from digits_cli.sweep_file import Sweep, SweepRun, digest, read_sweep
from digits_cli.sweep_record import SweepRecord

RECORD, REPORT = "run.json", "report.html"
FORMAT = 1  # of the records
Execute = Callable[[PlannedRun, Callable[..., None]], dict[str, Any]]  # see `run_here`
RECORD_TYPES: dict[str, Any] = {
    "notebook": str | None, "error": str | None, "commit": str | None, "parameters": dict,
    "results": dict | None, "seconds": int | float, "peak_memory_mb": int | float | None,
}  # fmt: skip


def run_sweep(
    file: Path | str,
    out: Path | str | None = None,
    jobs: int | None = None,
    root: Path | str | None = None,
    only_list: bool = False,
    engine: str = "local",
    address: str | None = None,
) -> tuple[Sweep, list[SweepRun], "Place"]:
    """Run what a sweep asks for and has not got yet; return it, its runs and their place.

    `out` None: ``_build/sweeps/<name of the file>``; `jobs` None: one at a time, or with Ray one
    per processor. Runs are in the order of the file. Raises UsageError for a request that cannot
    work, FolderUnavailable, and RunnerError when script, address or cluster stand in the way.
    """
    check_can_run()
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs is {jobs}, expected at least 1.")
    if engine != "ray" and address is not None:
        raise UsageError("--address is for --engine ray.")
    root, file = book.find_root(root), Path(file)
    sweep = read_sweep(file, root)
    refuse_unlike(root, [sweep.chapter])
    place = Place(out, book.build_folder(root) / "sweeps" / file.stem)
    # Read once: what is run is what the runs are named by, whatever is edited meanwhile.
    notebook = read_chapter(sweep.chapter)
    named = {"chapter": sweep.chapter.name, "code": book.code_sources(notebook)}
    points = {digest({**named, "parameters": point})[:12]: point for point in sweep.points}
    known = declared_parameters(notebook, sweep.chapter.name)
    record = SweepRecord(book.find_checkout(root), file, sweep, known) if sweep.record else None

    def find_runs() -> list[SweepRun]:
        runs = place.runs(points)
        return record.fill(runs) if record else runs

    if only_list:
        runs = find_runs()
        for run in runs:
            state = "finished" if run.ok else "to run  "
            print(f"{run.key}  {state}  {sweep.label(run.parameters)}")
        _tell(f"{sum(run.ok for run in runs)} of {len(runs)} runs are finished")
        return sweep, runs, place
    with claim_folder(place.folder), record.claim() if record else nullcontext():
        if place.address:  # can it be written?
            place.papermill("write", "sweep.json", json.dumps({"format": FORMAT}))
        runs = find_runs()
        if record:  # what an earlier sweep was ended before; and it shows that we can
            record.keep(runs)
        todo = [run for run in runs if not run.ok]
        # Everything with one seed first, so that an unfinished sweep can be compared.
        todo.sort(key=lambda run: run.parameters.get("SEED", 0))
        if len(todo) < len(runs):
            _tell(f"{len(runs) - len(todo)} of {len(runs)} runs are finished already")
        if todo:
            local = nullcontext((run_here, jobs or 1))
            with _on_ray(address, jobs) if engine == "ray" else local as workers:
                done = _run_all(sweep, notebook, todo, place, record, *workers)
            runs = [done.get(run.key, run) for run in runs]
        commits = {run.record["commit"] for run in runs if run.record.get("commit")}
        if len(commits) > 1:
            text = f"note: these runs were made at {len(commits)} different commits (column commit)"
            text += f"; delete {shown(record.path)} and" if record else ";"
            _tell(f"{text} name another place to run all of them with the code as it is now")
        write_report(sweep, runs, place.folder)
        place.copy(runs, "runs.csv", REPORT)  # what is text; Parquet stays here
    return sweep, runs, place


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run_all(
    sweep: Sweep,
    notebook: Any,
    todo: list[SweepRun],
    place: "Place",
    record: SweepRecord | None,
    execute: Execute,
    jobs: int,
) -> dict[str, SweepRun]:
    """Run points, `jobs` at a time; return the finished runs by key."""
    stop = threading.Event()
    started = time.monotonic()
    done: dict[str, SweepRun] = {}

    def go_on(*_: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    def run_point(run: SweepRun) -> SweepRun:
        folder, head = place.start(run.key), {"format": FORMAT, "run": run.key}
        plan = PlannedRun(sweep.chapter, sweep.profile, run.parameters, folder, notebook)
        run = replace(run, record=head | {"parameters": run.parameters} | execute(plan, go_on))
        (run.record.get("results") or {}).pop(sweep.record, None)  # derived, see `SweepRecord`
        place.keep(run)
        if record:
            record.keep([run])
        return run

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            waiting: set[Any] = {pool.submit(run_point, run) for run in todo}
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for run in (future.result() for future in finished):
                    done[run.key] = run
                    rest = (time.monotonic() - started) * (len(todo) / len(done) - 1)
                    left = f", about {duration(rest)} left" if rest else ""
                    how = "done" if run.ok else "failed"
                    values = f"{duration(run.record['seconds'])}: {sweep.label(run.parameters)}"
                    _tell(f"[{len(done)}/{len(todo)}] {run.key} {how} after {values}{left}")
                    if not run.ok:
                        _tell(f"    {run.record['error']}")
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def run_here(plan: PlannedRun, go_on: Callable[..., None]) -> dict[str, Any]:
    """Run in a process of its own, leaving the executed notebook in a folder; return the record.

    `go_on` is called every half second, and raises to end the run.
    """
    result = run_one(plan, SimpleNamespace(tick=go_on, cell=go_on))  # which show nothing
    error = None
    if result.failure is not None:
        message, _, traceback = result.failure
        lines = book.without_colour(traceback).strip().splitlines()
        error = " ".join([message, *lines[-1:]])
    made = result.record.get("provenance", {})
    return {
        "status": "ok" if error is None else "failed",
        "error": error,
        "seconds": round(result.seconds, 1),
        "notebook": result.output.name if result.output.is_file() else None,
        **{name: made.get(name) for name in ("commit", "date", "machine", "versions")},
        "results": result.results,
        "peak_memory_mb": result.record.get("peak_memory_mb"),
    }


@contextmanager
def _on_ray(address: str | None, jobs: int | None) -> Iterator[tuple[Execute, int]]:
    """Give a function as `run_here` that runs on Ray's workers, and the number of runs at a time.

    Workers need this package but no checkout; the files of a run are copied back to this machine.
    `address` None starts a cluster here. RunnerError if Ray is missing or does not answer.
    """
    from digit_utils.search.ray import ClusterUnavailable, connect, outcome

    try:
        with connect(_run_there, {"cpu": 1}, address, jobs) as (task, workers):

            def execute(plan: PlannedRun, go_on: Callable[..., None]) -> dict[str, Any]:
                result, lost = outcome(task.remote(plan), go_on)
                if lost:
                    return {"status": "failed", "error": lost, "seconds": 0.0}
                record, files = result
                for name, content in files.items():
                    (plan.folder / name).parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(plan.folder / name, content)
                return record

            yield execute, workers
    except ClusterUnavailable as error:
        raise RunnerError(str(error)) from error


def _run_there(plan: PlannedRun) -> tuple[dict, dict[str, bytes]]:
    """Run on a worker; return the record and the files that the run left."""
    with tempfile.TemporaryDirectory(prefix="digits-") as temporary:
        folder, chapter = Path(temporary), plan.chapter
        if not chapter.folder.is_dir():  # another machine has no checkout, or elsewhere
            chapter = Chapter(chapter.name, folder)
        record = run_here(replace(plan, chapter=chapter, folder=folder), lambda *_: None)
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return record, {str(path.relative_to(folder)): path.read_bytes() for path in paths}


class Place:
    """Where runs are kept: a folder of this machine, and an address, if asked for.

    Notebooks and records are copied there as soon as they exist; what could not be, at the end.
    """

    def __init__(self, out: str | Path | None, default: Path):
        """`out`: a folder, an address such as ``s3://bucket/sweep``, or None for `default`."""
        self.address = str(out).rstrip("/") if "://" in str(out) else ""
        self.folder = folder_here(out, "--out") if out and not self.address else default
        self.copied: set[str] = set()  # runs whose record is at the address
        if self.address.startswith("http"):
            text = "a web server keeps no folders, use s3:// or alike"
            raise UsageError(f"--out is {self.address}; {text}")
        if self.address:  # what was run for one place is not yet at another
            named = short_hash(self.address.encode("utf-8", "surrogateescape"))[:8]
            self.folder = default.with_name(f"{default.name}-{named}")
        self.report = f"{self.address}/{REPORT} and " * bool(self.address)  # for messages
        self.report += shown(self.folder / REPORT)

    def runs(self, points: dict[str, dict[str, Any]]) -> list[SweepRun]:
        """Return the runs of keyed points, each with its record if it has ended, here or there.

        A success goes before a failure; damaged and foreign records count as none. Raises
        RunnerError if the address cannot be read.
        """
        runs = []
        names = self._names("") if self.address else set()
        for key, point in points.items():
            here = there = {}
            with suppress(OSError):
                here = _parse_record(key, read_bytes(self.folder / key / RECORD))
            if key in names and RECORD in self._names(f"{key}/"):
                there = _parse_record(key, self.papermill("read", f"{key}/{RECORD}"))
            record = here if here.get("status") == "ok" or not there else there
            if there.get("status") == record.get("status"):
                self.copied.add(key)
            runs.append(SweepRun(key, point, record))
        return runs

    def start(self, key: str) -> Path:
        """Return a run's folder, without an old record; what the run leaves is kept."""
        folder = self.folder / key
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        self.copied.discard(key)
        return folder

    def keep(self, run: SweepRun) -> None:
        """Write a run's record, the last of its files; a success removes what failed tries left."""
        for path in (self.folder / run.key).glob("*.failed.ipynb") if run.ok else ():
            path.unlink()
        write_atomically(self.folder / run.key / RECORD, json_bytes(run.record))
        try:
            self.copy([run])
        except RunnerError as error:  # no reason to end the others
            _tell(f"note: run {run.key} is not copied yet: {error}")

    def copy(self, runs: list[SweepRun], *names: str) -> None:
        """Copy runs not copied before, and other files; RunnerError if that fails."""
        for run in runs if self.address else ():
            # A run that a record of the book vouches for has no files.
            if "run" in run.record and run.key not in self.copied:
                notebook = run.record.get("notebook")
                self._write(*([f"{run.key}/{notebook}"] if notebook else []), f"{run.key}/{RECORD}")
                self.copied.add(run.key)
        self._write(*names)

    def _write(self, *names: str) -> None:
        for name in names if self.address else ():
            self.papermill("write", name, (self.folder / name).read_text(encoding="utf-8"))

    def _names(self, below: str) -> set[str]:
        """Return the names of folders and files at the address, or in a folder below it."""
        # Some stores list a folder's children, some everything below; some texts, some objects.
        found = [getattr(item, "name", item) for item in self.papermill("listdir", below)]
        return {part for path in found for part in str(path).split("/")}

    def papermill(self, act: str, name: str, *content: str) -> Any:
        """List, read or write with papermill; turn whatever a store raises into a RunnerError."""
        from papermill.exceptions import PapermillOptionalDependencyException
        from papermill.iorw import papermill_io

        path = f"{self.address}/{name}"
        try:
            return getattr(papermill_io.get_handler(path), act)(*content, path)
        except Exception as error:
            advice = "check the name and your rights to it."
            if isinstance(error, PapermillOptionalDependencyException):
                advice = "install what is missing, for s3:// with: pip install 'papermill[s3]'"
            what = f"{path if act == 'read' else self.address} cannot be "
            what += "written" if act == "write" else "read"
            raise RunnerError(f"{what} ({type(error).__name__}: {error}); {advice}") from error


def _parse_record(key: str, raw: Any) -> dict[str, Any]:
    """Read a run's record; one that is not whole or not of this run is empty."""
    with suppress(ValueError):
        record = parse_json(raw)
        if (
            isinstance(record, dict)
            and (record.get("format"), record.get("run")) == (FORMAT, key)
            and record.get("status") in ("ok", "failed")
            and all(isinstance(record.get(name), kind) for name, kind in RECORD_TYPES.items())
            # A plain name: a shared bucket must not lead a report, or us, to another file.
            and re.fullmatch(r"\w[\w.-]*", record.get("notebook") or "none")
        ):
            return record
    return {}
