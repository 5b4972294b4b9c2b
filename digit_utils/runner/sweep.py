"""Run a chapter once for each point of a sweep; finished runs are never run again.

Each run has a folder of its own, named by a hash of the notebook's code and of the values, and
leaves ``run.json`` there as its last act. A run whose folder holds one that says *ok* is skipped,
so a sweep that was stopped at any moment goes on with the same command, and a changed notebook or
changed values run anew. Helpers are not part of the name; each record holds the commit it was made
at, and a sweep that mixes several says so.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_utils.files import json_bytes, write_atomically
from digit_utils.folder_lock import FolderUnavailable, claim_folder
from digit_utils.runner.errors import RunnerError, UsageError
from digit_utils.runner.execute import ChapterRun, run_one
from digit_utils.runner.notebooks import code_sources, read_notebook, without_colour
from digit_utils.runner.pairing import check_pairs
from digit_utils.runner.paths import find_root
from digit_utils.runner.plan import PlannedRun
from digit_utils.runner.progress import duration
from digit_utils.runner.sweep_file import Sweep, label, read_sweep

FORMAT = 1
RECORD = "run.json"


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: asked for, and perhaps finished.

    Attributes
    ----------
    key : str
        Names its folder.
    number : int
        Its place in the sweep, from 1.
    parameters : dict
    folder : pathlib.Path
    record : dict
        What ``run.json`` holds; empty before the run has ended.
    """

    key: str
    number: int
    parameters: dict[str, Any]
    folder: Path
    record: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether it has come to a good end."""
        return self.record.get("status") == "ok"


def run_sweep(
    file: Path | str,
    out: Path | str | None = None,
    jobs: int = 1,
    root: Path | str | None = None,
    only_list: bool = False,
    report: Callable[[Sweep, list[SweepRun], Path], Any] | None = None,
) -> tuple[Sweep, list[SweepRun]]:
    """Run what a sweep asks for and has not got yet.

    Parameters
    ----------
    file : path
        The sweep's YAML file.
    out : path, optional
        Folder for the runs; ``_build/sweeps/<name of the file>`` by default.
    jobs : int
        Runs at a time, each in a process of its own.
    root : path, optional
        The checkout; found from the working directory by default.
    only_list : bool
        Whether to print what would run, and stop.
    report : function, optional
        Called with the sweep, its runs and their folder at the end, while the folder is held.

    Returns
    -------
    sweep : Sweep
    runs : list of SweepRun
        In the order of the file. Those that failed are among them.

    Raises
    ------
    UsageError
        For a request that cannot work, before anything is started.
    RunnerError
        When a notebook and its script disagree, or the folder is in use.
    """
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}, expected at least 1.")
    root, file = find_root(root), Path(file)
    sweep = read_sweep(file, root)
    differences = check_pairs(root, [sweep.chapter])
    if differences:
        raise RunnerError(
            "Notebook and script disagree; run `digits sync` (or `make sync`) first:\n"
            + "\n".join(f"  {difference}" for difference in differences)
        )
    if out and "://" in str(out):
        raise UsageError(f"--out is {out}, expected a folder on this machine; copy it from there.")
    folder = Path(out).absolute() if out else root / "_build" / "sweeps" / file.stem
    runs = _plan(sweep, folder)
    if only_list:
        for run in runs:
            print(
                f"{run.key}  {'finished' if run.ok else 'to run':8}  {label(run.parameters, sweep)}"
            )
        return sweep, runs
    try:
        with claim_folder(folder):
            runs = _run_all(sweep, _plan(sweep, folder), jobs)
            if report is not None:
                report(sweep, runs, folder)
            return sweep, runs
    except FolderUnavailable as error:
        raise RunnerError(str(error)) from error


def _plan(sweep: Sweep, folder: Path) -> list[SweepRun]:
    code = code_sources(read_notebook(sweep.chapter.notebook))
    runs = []
    for number, point in enumerate(sweep.points, start=1):
        identity = {"chapter": sweep.chapter.name, "code": code, "parameters": point}
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        place = folder / key
        runs.append(SweepRun(key, number, point, place, _read_record(place, key)))
    return runs


def _read_record(folder: Path, key: str) -> dict[str, Any]:
    """Return what a finished run left; a damaged or foreign record counts as none."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    known = isinstance(record, dict) and record.get("format") == FORMAT and record.get("run") == key
    return record if known else {}


def _run_all(sweep: Sweep, runs: list[SweepRun], jobs: int) -> list[SweepRun]:
    todo = [run for run in runs if not run.ok]
    if len(todo) < len(runs):
        print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished already", file=sys.stderr)
    done = {run.key: run for run in runs}
    stop = threading.Event()
    started = time.monotonic()
    # All runs are made from the notebook as it is now, whatever is edited meanwhile. In the folder
    # that is held and not among temporary files, where a killed sweep would leave it behind.
    snapshot = runs[0].folder.parent / f".{sweep.chapter.notebook.name}"
    write_atomically(snapshot, sweep.chapter.notebook.read_bytes())
    waiting: set[Any] = set()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            for run in todo:
                waiting.add(pool.submit(_run_point, sweep, run, snapshot, stop.is_set))
            ended = 0
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    run = future.result()
                    done[run.key] = run
                    ended += 1
                    _tell(sweep, run, ended, len(todo), time.monotonic() - started)
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise
    snapshot.unlink(missing_ok=True)
    ended_runs = [done[run.key] for run in runs]
    commits = {run.record.get("commit") for run in ended_runs}
    if len(commits) > 1:
        print(
            f"note: these runs were made at {len(commits)} different commits (column commit); name "
            "another folder to run all of them with the code as it is now",
            file=sys.stderr,
        )
    return ended_runs


def _tell(sweep: Sweep, run: SweepRun, ended: int, of: int, seconds: float) -> None:
    left = f", about {duration(seconds / ended * (of - ended))} left" if ended < of else ""
    state = "done" if run.ok else "failed"
    print(
        f"[{ended}/{of}] {run.key} {state} after {duration(run.record['seconds'])}: "
        f"{label(run.parameters, sweep)}{left}",
        file=sys.stderr,
        flush=True,
    )
    if not run.ok:
        print(f"    {run.record['error']}", file=sys.stderr, flush=True)


def _run_point(
    sweep: Sweep, run: SweepRun, snapshot: Path, stopped: Callable[[], bool]
) -> SweepRun:
    """Run one point and keep its record: written last, it vouches for the rest."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / RECORD).unlink(missing_ok=True)
    plan = PlannedRun(sweep.chapter, sweep.profile, run.parameters, run.folder, snapshot)
    with tempfile.TemporaryDirectory(prefix="digits-") as scratch:
        result = run_one(plan, Path(scratch), _StopWhenAsked(stopped))
    record = _make_record(run, result)
    write_atomically(run.folder / RECORD, json_bytes(record))
    return SweepRun(run.key, run.number, run.parameters, run.folder, record)


def _make_record(run: SweepRun, result: ChapterRun) -> dict[str, Any]:
    error = None
    if result.failure is not None:
        lines = without_colour(result.failure.traceback).strip().splitlines()
        error = " ".join([result.failure.message, *lines[-1:]])
    return {
        "format": FORMAT,
        "run": run.key,
        "status": "ok" if result.ok else "failed",
        "notebook": result.output.name if result.output.is_file() else None,
        "commit": result.provenance.get("commit"),
        "versions": result.provenance.get("versions"),
        "parameters": run.parameters,
        "results": result.results,
        "seconds": round(result.seconds, 1),
        "peak_memory_mb": result.peak_memory_mb,
        "error": error,
    }


class _StopWhenAsked:
    """A reporter that shows nothing and ends its run when the sweep is stopped."""

    def __init__(self, stopped: Callable[[], bool]):
        self.stopped = stopped

    def start(self, number: int, name: str) -> None:
        """Nothing to show."""

    def finish(self, run: Any) -> None:
        """Nothing to show."""

    def cell(self, index: int, n_cells: int) -> None:
        """Look up from work."""
        self.tick()

    def tick(self) -> None:
        """End the run's process if the sweep has been stopped."""
        if self.stopped():
            raise KeyboardInterrupt

    def __enter__(self) -> _StopWhenAsked:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
