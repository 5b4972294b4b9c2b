"""Measure what the search and the sweep themselves cost, and what a second worker gains.

    python scripts/measure_search.py cost       # about ten minutes; nothing else should run
    python scripts/measure_search.py sweep      # runs sweeps/batch_size.yaml, ten minutes or so

``cost`` measures what the plain search adds to a trial; what Ray's driver spends on a trial and on
an epoch's report; the trials of ``searches/post_space.py`` by the plain engine, one worker, two,
and two with early stopping; and a sweep's bookkeeping, up to a thousand empty runs. Writes
``results/search_cost.json`` and ``results/example_sweep.json``, with copies in
``digit_utils/recorded``, which chapter 8 reads.
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

from digit_utils.artifacts import RECORDED_FOLDER
from digit_utils.files import json_bytes, write_atomically
from digit_utils.provenance import processors, provenance
from digit_utils.search import run_search
from digit_utils.search.ray import run_ray_search
from digits_cli import sweep as sweeps
from digits_cli.pairing import sync_pair
from digits_cli.paths import list_chapters
from digits_cli.search_command import load_objective, load_search
from digits_cli.sweep_report import RESULT, gather, write_report

ROOT = Path(__file__).resolve().parents[1]
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


def loss_of(settings: Any) -> float:
    """Return a loss at once."""
    return sum(settings[f"dropout_{n}"] for n in (1, 2, 3, 4)) + (
        (settings["optimizer"] == "adam") / settings["dense_units"]
    )


def nothing(settings: Any, report: Any) -> float:
    """Report some epochs and do nothing else."""
    for epoch in range(1, EPOCHS + 1):
        report(epoch, loss_of(settings) / epoch)
    return loss_of(settings)


def silent(settings: Any) -> float:
    """Do nothing and report nothing."""
    return loss_of(settings)


def timed(search: Any, *arguments: Any, **options: Any) -> tuple[float, Any]:
    """Run a search in a folder of its own; return its seconds and the search."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        start = time.perf_counter()
        found = search(*arguments, Path(folder) / "search", **options)
        return time.perf_counter() - start, found


def bookkeeping_of_a_search() -> list[dict[str, float]]:
    """Time whole searches of trials that take no time."""
    rows = []
    for n in (50, 200, 1000):
        seconds, _ = timed(run_search, nothing, SPACE, ALGORITHM, n)
        rows.append({"trials": n, "milliseconds_a_trial": 1000 * seconds / n})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def driver_of_ray() -> dict[str, float]:
    """Measure the processor time that Ray's driver spends on trials that do nothing.

    Wall time would be mostly waiting, which does not grow with the number of workers.
    """
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    used = {}
    for name, objective in (("silent", silent), ("reporting", nothing)):
        for n in (20, 220):  # the difference leaves out the start
            start = time.process_time()
            timed(run_ray_search, objective, SPACE, ALGORITHM, n, jobs=2)
            used[name, n] = time.process_time() - start
    ray.shutdown()
    each = {name: (used[name, 220] - used[name, 20]) / 200 for name in ("silent", "reporting")}
    found = {
        "milliseconds_a_trial": 1000 * each["silent"],
        "milliseconds_a_report": 1000 * (each["reporting"] - each["silent"]) / EPOCHS,
    }
    print(found, file=sys.stderr, flush=True)
    return found


def trials_of_the_book(trials: int) -> dict[str, dict[str, float]]:
    """Time real trials with each engine; the start of the workers is reported separately."""
    task = load_search(TASK)
    load = partial(load_objective, TASK.read_text(encoding="utf-8"), str(TASK))
    request = (task.objective, task.SPACE, task.ALGORITHM)
    rows = {}
    for name, jobs, n, options in (
        ("plain", 1, trials, None),
        ("one worker", 1, trials, {}),
        ("two workers", 2, 2 * trials, {}),
        ("two workers, early stopping", 2, 2 * trials, {"asha": task.ASHA}),
    ):
        ended: list[float] = []
        common = {
            "depends_on": task.DEPENDS_ON,
            "progress": lambda trials, of, ended=ended: ended.append(time.perf_counter()),
        }
        start = time.perf_counter()
        if options is None:
            seconds, found = timed(run_search, *request, n, **common)
        else:
            seconds, found = timed(
                run_ray_search, *request, n, jobs=jobs, load=load, **options, **common
            )
        rows[name] = _row(seconds, found)
        # When each worker has ended its first trial, what comes once is behind them.
        rows[name]["trials_a_minute"] = 60 * (n - jobs) / (ended[-1] - ended[jobs - 1])
        rows[name]["seconds_to_first_end"] = ended[0] - start
        print(name, rows[name], file=sys.stderr, flush=True)
    return rows


def _row(seconds: float, found: Any) -> dict[str, float]:
    return {
        "trials": len(found.trials),
        "epochs": found.epochs,
        "stopped": sum(trial.status == "stopped" for trial in found.trials),
        "best_loss": found.best.loss,
        "seconds": seconds,
        "trials_a_minute": 60 * len(found.trials) / seconds,
        "seconds_inside_a_trial": sum(trial.seconds for trial in found.trials) / len(found.trials),
    }


def bookkeeping_of_a_sweep() -> list[dict[str, float]]:
    """Time sweeps whose runs are not executed: what is left is the bookkeeping."""

    def run_nothing(
        sweep: Any, notebook: bytes, run: Any, folder: Path, go_on: Any
    ) -> dict[str, Any]:
        (folder / "01_nothing.ipynb").write_bytes(notebook)
        return {
            "format": 1, "run": run.key, "status": "ok", "notebook": "01_nothing.ipynb",
            "parameters": run.parameters, "results": {"x": 0.5}, "seconds": 0.0,
        }  # fmt: skip

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
                    sweeps.run_sweep(book / "sweep.yaml", root=book, jobs=2, report=write_report)
                    row[name] = 1000 * (time.perf_counter() - start) / n
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
    finally:
        sweeps.run_here = executing
    return rows


def example_sweep() -> dict[str, Any]:
    """Run the example sweep; return what its report is drawn from."""
    file = ROOT / "sweeps" / "batch_size.yaml"
    sweep, runs, place = sweeps.run_sweep(file, root=ROOT, jobs=2, report=write_report)
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
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["cost", "sweep"])
    parser.add_argument("--trials", type=int, default=12, help="real trials a worker")
    options = parser.parse_args()
    made = provenance(ROOT)
    WORK.mkdir(exist_ok=True)
    if options.step == "sweep":
        name, record = "example_sweep.json", example_sweep()
    else:
        name, record = (
            "search_cost.json",
            {
                "search": bookkeeping_of_a_search(),
                "sweep": bookkeeping_of_a_sweep(),
                "ray_driver": driver_of_ray(),
                "trials": trials_of_the_book(options.trials),
                "processors": processors(),
            },
        )
    record["provenance"] = made
    for folder in (ROOT / "results", RECORDED_FOLDER):
        write_atomically(folder / name, json_bytes(record))
        print(f"wrote {(folder / name).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
