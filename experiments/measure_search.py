"""Measure what the search and the sweep themselves cost, and what a second worker gains.

``cost`` measures what the plain search adds to a trial; what Ray's driver spends on a trial and on
an epoch's report; the trials of ``searches/post_space.py`` by the plain engine, one worker, two,
and two with early stopping; and a sweep's bookkeeping, up to a thousand empty runs. Nothing else
should run. ``sweep`` runs ``sweeps/batch_size.yaml``. Chapter 8 reads both records.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from hyperopt import hp, tpe

from digit_utils.provenance import processors, provenance
from digit_utils.search import run_search
from digit_utils.search.ray import run_ray_search
from digits_cli import sweep as sweeps
from digits_cli.book import list_chapters
from digits_cli.pairing import sync_pair
from digits_cli.reports import RESULT, gather
from digits_cli.search_command import load_objective, load_search
from experiments import RECORDED, ROOT, write_record

WORK = ROOT / "_build"  # on the disk, not in memory as temporary files may be
TASK = ROOT / "searches" / "post_space.py"
EPOCHS = 5

SPACE = {
    **{f"dropout_{n}": hp.choice(f"dropout_{n}", [0.1, 0.2, 0.3, 0.4, 0.5]) for n in (1, 2, 3, 4)},
    "optimizer": hp.choice("optimizer", ["adam", "rmsprop"]),
    "dense_units": hp.choice("dense_units", [128, 256, 512]),
}  # as that of the book's trials, without what those load
ALGORITHM = partial(tpe.suggest, n_startup_jobs=12)

CHAPTER = """# %% [markdown]
# # A chapter that does nothing

# %% tags=["parameters"]
SEED: int = 0  # of nothing

# %%
print(SEED)
"""


def silent(settings: Any) -> float:
    return sum(settings[f"dropout_{n}"] for n in (1, 2, 3, 4)) + (
        (settings["optimizer"] == "adam") / settings["dense_units"]
    )


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
        seconds, _ = timed(run_search, reporting, SPACE, ALGORITHM, n)
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
            timed(run_ray_search, objective, SPACE, ALGORITHM, n, jobs=2)
            used.append(time.process_time() - start)
        each[objective] = (used[1] - used[0]) / 200
    ray.shutdown()
    return say(
        {
            "milliseconds_a_trial": 1000 * each[silent],
            "milliseconds_a_report": 1000 * (each[reporting] - each[silent]) / EPOCHS,
        }
    )


def trials_of_the_book(trials: int) -> dict[str, dict[str, float]]:
    """Time real trials with each engine; the start of the workers is reported separately."""
    task = load_search(TASK)
    load = partial(load_objective, TASK.read_text(encoding="utf-8"), str(TASK))
    request = (task.objective, task.SPACE, task.ALGORITHM)
    rows = {}
    for name, jobs, options in (
        ("plain", 1, None),
        ("one worker", 1, {}),
        ("two workers", 2, {}),
        ("two workers, early stopping", 2, {"asha": task.ASHA}),
    ):
        engine: Any = run_search
        if options is not None:
            engine = partial(run_ray_search, jobs=jobs, load=load, **options)
        ended: list[float] = []
        start = time.perf_counter()
        seconds, found = timed(
            engine, *request, jobs * trials, depends_on=task.DEPENDS_ON,
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
            "seconds_to_first_end": ended[0] - start,
        }
        say({name: rows[name]})
    return rows


def bookkeeping_of_a_sweep() -> list[dict[str, float]]:
    """Time sweeps whose runs are not executed: what is left is the bookkeeping."""

    def run_nothing(plan: Any, go_on: Any) -> dict[str, Any]:
        plan.output.write_bytes(plan.source)
        ended = {"status": "ok", "notebook": plan.output.name}
        return {**ended, "results": {"x": 0.5}, "seconds": 0.0}

    rows = []
    executing, sweeps.run_here = sweeps.run_here, run_nothing
    try:
        for n in (50, 200, 500, 1000):
            with (
                tempfile.TemporaryDirectory(dir=WORK) as scratch,
                open(os.devnull, "w") as quiet,
                contextlib.redirect_stderr(quiet),
            ):
                book = Path(scratch)
                (book / "notebooks").mkdir()
                (book / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
                (book / "notebooks" / "01_nothing.py").write_text(CHAPTER)
                sync_pair(list_chapters(book)[0])
                (book / "sweep.yaml").write_text(f"chapter: 01\nseeds: {list(range(n))}\n")
                row = {"runs": n}
                for name in ("milliseconds_a_run", "milliseconds_a_run_already_there"):
                    start = time.perf_counter()
                    sweeps.run_sweep(book / "sweep.yaml", root=book, jobs=2)
                    row[name] = 1000 * (time.perf_counter() - start) / n
            rows.append(say(row))
    finally:
        sweeps.run_here = executing
    return rows


def example_sweep() -> dict[str, Any]:
    """Run the example sweep; return what its report is drawn from."""
    file = ROOT / "sweeps" / "batch_size.yaml"
    sweep, runs, place = sweeps.run_sweep(file, root=ROOT, jobs=2)
    if not all(run.ok for run in runs):
        raise SystemExit(f"a run of {file.name} failed; see {place.report}")
    table = gather(runs)
    columns = ["run", *sweep.varied, "SEED", f"{RESULT}{sweep.metric}"]
    return {
        "file": file.read_text(encoding="utf-8"),
        "metric": sweep.metric,
        "varied": sweep.varied,
        "runs": table[columns]
        .rename(columns=lambda name: name.removeprefix(RESULT))
        .to_dict("list"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["cost", "sweep"])
    parser.add_argument("--trials", type=int, default=12, help="real trials a worker")
    options = parser.parse_args()
    made = provenance(ROOT)
    WORK.mkdir(exist_ok=True)
    if options.step == "sweep":
        write_record(RECORDED / "example_sweep.json", {**example_sweep(), "provenance": made})
        return 0
    record = {
        "search": bookkeeping_of_a_search(),
        "sweep": bookkeeping_of_a_sweep(),
        "ray_driver": driver_of_ray(),
        "trials": trials_of_the_book(options.trials),
        "processors": processors(),
        "provenance": made,
    }
    write_record(RECORDED / "search_cost.json", record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
