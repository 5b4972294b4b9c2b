"""Measure what the search and the sweep themselves cost, and what a second worker gains.

``cost`` measures what the plain search adds to a trial; what Ray's driver spends on a trial and on
an epoch's report; the trials of ``searches/post_space.py`` by the plain engine, one worker, two,
and two with early stopping; and a sweep's bookkeeping, up to a thousand empty runs. Nothing else
should run. ``sweep`` runs ``sweeps/batch_size.yaml``. Chapter 8 reads both records.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import nbformat

from digit_utils.provenance import processors, provenance
from digit_utils.search import run_search
from digit_utils.search.ray import run_ray_search
from digits_cli import sweep as sweeps
from digits_cli.reports import RESULT, gather
from digits_cli.search_command import load_objective, load_search
from experiments import RECORDED, ROOT, make_book, write_record

EPOCHS = 5
WORK = ROOT / "_build"  # on the disk, not in memory as temporary files may be
FILE = ROOT / "searches" / "post_space.py"
TASK = load_search(FILE)


def silent(settings: Any) -> float:
    return settings["dropout_1"] + 1 / settings["dense_units"]


def reporting(settings: Any, report: Any) -> float:
    for epoch in range(1, EPOCHS + 1):
        report(epoch, silent(settings) / epoch)
    return silent(settings)


def say(found: Any) -> Any:
    print(found, file=sys.stderr, flush=True)
    return found


def timed(search: Any, *arguments: Any, **options: Any) -> tuple[float, Any]:
    """Run a search in a folder of its own; return its seconds and the search."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        start = time.perf_counter()
        found = search(*arguments, Path(folder) / "search", **options)
        return time.perf_counter() - start, found


def bookkeeping_of_a_search() -> list[dict[str, float]]:
    rows = []
    for n in (50, 200, 1000):
        seconds, _ = timed(run_search, reporting, TASK.SPACE, TASK.ALGORITHM, n)
        rows.append(say({"trials": n, "milliseconds_a_trial": 1000 * seconds / n}))
    return rows


def driver_of_ray() -> dict[str, float]:
    """Measure the processor time that Ray's driver spends on trials that do nothing.

    Wall time would be mostly waiting, which does not grow with the number of workers.
    """
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    each = {}
    for objective in (silent, reporting):
        used = []
        for n in (20, 220):  # the difference leaves out the start
            start = time.process_time()
            timed(run_ray_search, objective, TASK.SPACE, TASK.ALGORITHM, n, jobs=2)
            used.append(time.process_time() - start)
        each[objective] = (used[1] - used[0]) / 200
    ray.shutdown()
    report = 1000 * (each[reporting] - each[silent]) / EPOCHS
    return say({"milliseconds_a_trial": 1000 * each[silent], "milliseconds_a_report": report})


def trials_of_the_book(trials: int) -> dict[str, dict[str, float]]:
    """Time real trials with each engine, without the start of the workers."""
    load = partial(load_objective, FILE.read_text(encoding="utf-8"), str(FILE))
    request = (TASK.objective, TASK.SPACE, TASK.ALGORITHM)
    rows = {}
    for name, jobs, asha in (
        ("plain", 0, None),
        ("one worker", 1, None),
        ("two workers", 2, None),
        ("two workers, early stopping", 2, TASK.ASHA),
    ):
        engine = partial(run_ray_search, jobs=jobs, load=load, asha=asha) if jobs else run_search
        jobs = max(jobs, 1)
        ended: list[float] = []
        seconds, found = timed(
            engine, *request, jobs * trials, depends_on=TASK.DEPENDS_ON,
            progress=lambda trials, of, ended=ended: ended.append(time.perf_counter()),
        )  # fmt: skip
        n = len(found.trials)
        rows[name] = {
            "trials": n,
            "epochs": found.epochs,
            "stopped": sum(trial.status == "stopped" for trial in found.trials),
            "best_loss": found.best.loss,
            "seconds": seconds,
            # When each worker has ended its first trial, what comes once is behind them.
            "trials_a_minute": 60 * (n - jobs) / (ended[-1] - ended[jobs - 1]),
            "seconds_inside_a_trial": sum(trial.seconds for trial in found.trials) / n,
        }
        say({name: rows[name]})
    return rows


def bookkeeping_of_a_sweep() -> list[dict[str, float]]:
    """Time sweeps whose runs are not executed: what is left is the bookkeeping."""

    def run_nothing(plan: Any, go_on: Any) -> dict[str, Any]:
        plan.output.write_text(nbformat.writes(plan.notebook), encoding="utf-8")
        return {"status": "ok", "notebook": plan.output.name, "results": {"x": 0.5}, "seconds": 0.0}

    rows = []
    for n in (50, 200, 500, 1000):
        with (
            tempfile.TemporaryDirectory(dir=WORK) as scratch,
            mock.patch.object(sweeps, "run_here", run_nothing),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            book, row = Path(scratch), {"runs": n}
            sweep = f"chapter: 01\nseeds: {list(range(n))}\n"
            make_book(book, {"sweep.yaml": sweep}, "SEED: int = 0  # of nothing\n", "")
            for name in ("milliseconds_a_run", "milliseconds_a_run_already_there"):
                start = time.perf_counter()
                sweeps.run_sweep(book / "sweep.yaml", root=book, jobs=2)
                row[name] = 1000 * (time.perf_counter() - start) / n
        rows.append(say(row))
    return rows


def example_sweep() -> dict[str, Any]:
    """Run the example sweep; return what its report is drawn from."""
    file = ROOT / "sweeps" / "batch_size.yaml"
    sweep, runs, place = sweeps.run_sweep(file, root=ROOT, jobs=2)
    if not all(run.ok for run in runs):
        raise SystemExit(f"a run of {file.name} failed; see {place.report}")
    columns = ["run", *sweep.varied, "SEED", f"{RESULT}{sweep.metric}"]
    table = gather(runs)[columns].rename(columns=lambda name: name.removeprefix(RESULT))
    return {
        "file": file.read_text(encoding="utf-8"),
        "metric": sweep.metric,
        "varied": sweep.varied,
        "runs": table.to_dict("list"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["cost", "sweep"])
    parser.add_argument("--trials", type=int, default=12, help="real trials a worker")
    options = parser.parse_args()
    made = provenance(ROOT)
    WORK.mkdir(exist_ok=True)
    if options.step == "sweep":
        write_record(RECORDED / "example_sweep.json", {**example_sweep(), "provenance": made})
    else:
        record = {
            "search": bookkeeping_of_a_search(),
            "sweep": bookkeeping_of_a_sweep(),
            "ray_driver": driver_of_ray(),
            "trials": trials_of_the_book(options.trials),
            "processors": processors(),
            "provenance": made,
        }
        write_record(RECORDED / "search_cost.json", record)


if __name__ == "__main__":
    main()
