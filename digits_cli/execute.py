"""Run chapters one after the other, each in a process of its own."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digits_cli.book import read_notebook
from digits_cli.claims import hold_runs
from digits_cli.errors import RunnerError
from digits_cli.freshness import why_run_again
from digits_cli.plan import PlannedRun, plan_runs
from digits_cli.process import watch
from digits_cli.progress import Reporter, make_reporter


@dataclass(frozen=True)
class Failure:
    """Where and why a notebook stopped."""

    message: str  # one line for the terminal
    cell: int = 0  # number from 1; 0 when no cell had started
    source: str = ""  # of the failing cell
    traceback: str = ""  # what Python printed; may hold colour codes


@dataclass(frozen=True)
class ChapterRun:
    """What came of running one chapter."""

    name: str
    profile: str
    output: Path  # the executed notebook; `NN_name.failed.ipynb` after a failure
    seconds: float
    peak_memory_mb: int | None = None  # of the kernel; None on Windows or after a failure
    results: dict[str, Any] = field(default_factory=dict)  # see `digit_utils.results`
    failure: Failure | None = None
    # See `digit_utils.provenance`; empty if that is not known.
    provenance: dict[str, Any] = field(default_factory=dict)
    skipped: bool = False  # not run, because an earlier run stands

    @property
    def ok(self) -> bool:
        """Whether every cell ran."""
        return self.failure is None


def run_chapters(
    wanted: Sequence[str] = (),
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    keep_going: bool = False,
    root: Path | str | None = None,
    reporter: Reporter | None = None,
    skip_fresh: bool = False,
) -> list[ChapterRun]:
    """Run chapters in book order with papermill, checking every request first.

    - wanted: names, unique prefixes or paths; empty means all chapters.
    - profile: ``quick``, ``full``, ``seed``, or a folder that a reader added to `profiles/`.
    - parameters: values that go before the profile's.
    - out: folder for the executed notebooks; ``_build/runs/<profile>`` by default, and
      ``_build/runs/<profile>-changed`` when `parameters` are given.
    - keep_going: run later chapters after one has failed.
    - root: the checkout; found from the working directory by default.
    - reporter: by default a bar on a terminal and plain lines elsewhere.
    - skip_fresh: leave chapters alone whose last run in that folder would come out the same.

    Returns one ChapterRun for each chapter that was started or skipped. Raises UsageError for an
    unknown chapter, profile or parameter, and RunnerError when a notebook and its script disagree
    or a chapter is being run there already, before anything is started.
    """
    runs = []
    with tempfile.TemporaryDirectory(prefix="digits-") as scratch:
        planned = plan_runs(wanted, profile, parameters, out, root, snapshots=Path(scratch))
        with hold_runs(planned), reporter or make_reporter(len(planned)) as show:
            for number, plan in enumerate(planned, start=1):
                # Asked when its turn comes: an earlier chapter may have left it something new.
                if skip_fresh and not why_run_again(plan):
                    show.skip(number, plan.chapter.name)
                    runs.append(_earlier_run(plan))
                    continue
                show.start(number, plan.chapter.name)
                run = run_one(plan, Path(scratch), show)
                show.finish(run)
                runs.append(run)
                if not run.ok and not keep_going:
                    break
    return runs


def _earlier_run(plan: PlannedRun) -> ChapterRun:
    run = read_notebook(plan.output).metadata["digits"]
    return ChapterRun(
        plan.chapter.name,
        plan.profile,
        plan.output,
        run["seconds"],
        run.get("peak_memory_mb"),
        read_results(plan.output),
        provenance=run.get("provenance", {}),
        skipped=True,
    )


def run_one(plan: PlannedRun, scratch: Path, show: Reporter) -> ChapterRun:
    """Run one planned chapter, and keep what it leaves.

    `scratch` is a temporary folder of the caller's own; it is deleted if the runner is killed.
    """
    started = time.monotonic()
    executed = scratch / f"{plan.chapter.name}.executed.ipynb"
    request = {
        "input": str(plan.snapshot),
        "output": str(executed),
        "cwd": str(plan.folder),
        # Installed chapters have no commit; a virtual environment may lie in another project's.
        "checkout": str(scratch if plan.chapter.installed else plan.chapter.folder),
        "scratch": str(scratch),
        "profile": plan.profile,
        "parameters": plan.parameters,
        "started": started,
    }
    log = scratch / f"{plan.chapter.name}.log"
    failure: Failure | None = None
    peak = None
    last: dict[str, Any] = {"event": "nothing"}
    for event in watch(request, log, scratch):
        if event["event"] == "tick":
            show.tick()
        elif event["event"] == "cell":
            show.cell(event["index"] + 1, event["n_cells"])
            last = event
        else:
            last = event
    if last["event"] == "done":
        peak = last["peak_memory_mb"]
    elif last["event"] == "failed":
        failure = _explain(plan.chapter.name, last)
    else:
        failure = Failure(
            f"{plan.chapter.name}: the process that ran it ended early "
            f"(exit code {last.get('code')}). Its last words:",
            cell=last.get("index", -1) + 1,
            traceback=log.read_text(encoding="utf-8", errors="replace")[-4000:],
        )
    output = plan.output if failure is None else plan.failed_output
    if executed.is_file():
        from digit_utils.io import write_atomically

        write_atomically(output, executed.read_bytes())
    if failure is None:
        plan.failed_output.unlink(missing_ok=True)
    return ChapterRun(
        plan.chapter.name,
        plan.profile,
        output,
        time.monotonic() - started,
        peak,
        read_results(output) if failure is None else {},
        failure,
        last.get("provenance", {}),
    )


def _explain(name: str, event: dict[str, Any]) -> Failure:
    where = f"{name}, cell {event['index'] + 1} of {event['n_cells']}"
    what = f"the kernel died: {event['died']}" if event.get("died") else "the cell failed"
    return Failure(f"{where}: {what}.", event["index"] + 1, event["source"], event["traceback"])


def read_results(notebook: Path) -> dict[str, Any]:
    """Read what an executed chapter reported; empty when it reported nothing."""
    from digit_utils import results

    try:
        return results.read(notebook)
    except results.ResultsError:
        return {}


def check_can_run() -> None:
    """Raise RunnerError unless the packages that execute notebooks are installed."""
    import importlib.util

    missing = [
        name
        for name in ("papermill", "nbclient", "ipykernel", "jupytext")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise RunnerError(
            f"{sys.executable} has no {', '.join(missing)}. "
            "Install the book's tools: pip install -e '.[book]'."
        )
