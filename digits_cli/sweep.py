"""Run a chapter once for each point of a sweep; finished runs are never run again.

Each run's folder is named by a hash of the notebook's code and the values. ``run.json`` is written
last; a run whose record says *ok* is skipped, so an interrupted sweep resumes with the same
command, and changed code or values run anew. Helpers are not part of the hash: each record holds
the commit of its checkout, if any, and a sweep that mixes several says so.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from digits_cli.errors import RunnerError, UsageError
from digits_cli.notebooks import code_sources
from digits_cli.pairing import check_pairs, notebook_bytes
from digits_cli.paths import build_folder, find_root
from digits_cli.progress import duration
from digits_cli.sweep_engine import Execute, Request, on_ray, run_here
from digits_cli.sweep_file import Sweep, label, read_sweep
from digits_cli.sweep_place import FolderPlace, place_of


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: requested, and perhaps finished."""

    key: str  # names its folder
    parameters: dict[str, Any]
    record: dict[str, Any] = field(default_factory=dict)  # of run.json; empty until the end

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.record.get("status") == "ok"


def run_sweep(
    file: Path | str,
    out: Path | str | None = None,
    jobs: int | None = None,
    root: Path | str | None = None,
    only_list: bool = False,
    report: Callable[[Sweep, list[SweepRun], Path], Any] | None = None,
    engine: str = "local",
    address: str | None = None,
) -> tuple[Sweep, list[SweepRun], FolderPlace]:
    """Run what a sweep asks for and has not got yet; return it, its runs and their place.

    Runs are in the order of the file, failed ones included. Raises UsageError for a request that
    cannot work, before anything starts; RunnerError when notebook and script disagree, the place is
    in use or cannot be written, or the cluster does not answer.

    out: folder, or address that papermill can write to; None: ``_build/sweeps/<name of the file>``.
    jobs: runs at a time, each in its own process; None: one, or with Ray one per processor.
    root: the checkout; None: found from the working directory.
    only_list: print what would run, and stop.
    report: called at the end with the sweep, its runs and a folder, while the place is held.
    engine: ``local`` or ``ray``.
    address: of a running Ray cluster; None starts one.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs is {jobs}, expected at least 1.")
    if engine != "ray" and address is not None:
        raise UsageError("--address is for --engine ray.")
    root, file = find_root(root), Path(file)
    sweep = read_sweep(file, root)
    differences = check_pairs(root, [sweep.chapter])
    if differences:
        raise RunnerError(
            "Notebook and script disagree; run `digits sync` (or `make sync`) first:\n"
            + "\n".join(f"  {difference}" for difference in differences)
            + "\n`digits sync` writes the .ipynb from the .py: what only the .ipynb has is lost."
        )
    place = place_of(out, build_folder(root) / "sweeps" / file.stem)
    # Read once: what is run is what the runs are named by, whatever is edited meanwhile.
    notebook = notebook_bytes(sweep.chapter)
    if only_list:
        runs = _plan(sweep, place, notebook)
        for run in runs:
            print(
                f"{run.key}  {'finished' if run.ok else 'to run':8}  {label(run.parameters, sweep)}"
            )
        finished = sum(run.ok for run in runs)
        print(f"{finished} of {len(runs)} runs are finished", file=sys.stderr)
        return sweep, runs, place
    with place.hold():
        runs = _plan(sweep, place, notebook)
        todo = [run for run in runs if not run.ok]
        if len(todo) < len(runs):
            print(
                f"{len(runs) - len(todo)} of {len(runs)} runs are finished already", file=sys.stderr
            )
        if todo:
            with _engine(engine, address, jobs) as (execute, at_a_time):
                done = _run_all(sweep, notebook, todo, place, execute, at_a_time)
            runs = [done.get(run.key, run) for run in runs]
        _tell_commits(runs)
        if report is not None:
            report(sweep, runs, place.folder)
            place.publish([run.key for run in runs])
    return sweep, runs, place


@contextmanager
def _engine(name: str, address: str | None, jobs: int | None) -> Iterator[tuple[Execute, int]]:
    if name == "ray":
        with on_ray(address, jobs) as ready:
            yield ready
    else:
        yield run_here, jobs or 1


def _plan(sweep: Sweep, place: FolderPlace, notebook: bytes) -> list[SweepRun]:
    import nbformat

    code = code_sources(nbformat.reads(notebook.decode("utf-8"), as_version=4))
    points = {}
    for point in sweep.points:
        identity = {"chapter": sweep.chapter.name, "code": code, "parameters": point}
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        points[key] = point
    records = place.read(list(points))
    return [SweepRun(key, point, records.get(key, {})) for key, point in points.items()]


def _run_all(
    sweep: Sweep,
    notebook: bytes,
    todo: list[SweepRun],
    place: FolderPlace,
    execute: Execute,
    jobs: int,
) -> dict[str, SweepRun]:
    """Run points, `jobs` at a time; return the finished runs by key."""
    stop = threading.Event()
    started = time.monotonic()
    done: dict[str, SweepRun] = {}

    def run_point(run: SweepRun) -> SweepRun:
        request = Request(run.key, sweep.chapter, sweep.profile, run.parameters, notebook)
        folder = place.start(run.key)
        record = execute(request, folder, stop.is_set)
        place.keep(run.key, record)  # written last, it vouches for the rest
        return replace(run, record=record)

    waiting: set[Any] = set()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            waiting = {pool.submit(run_point, run) for run in todo}
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    run = future.result()
                    done[run.key] = run
                    _tell(sweep, run, len(done), len(todo), time.monotonic() - started)
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise
    return done


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


def _tell_commits(runs: list[SweepRun]) -> None:
    commits = {run.record["commit"] for run in runs if run.record.get("commit")}
    if len(commits) > 1:
        print(
            f"note: these runs were made at {len(commits)} different commits (column commit); name "
            "another place to run all of them with the code as it is now",
            file=sys.stderr,
        )
