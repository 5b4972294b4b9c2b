"""Measure what a second worker gains, and what Ray's driver spends on each trial and report.

The trials are those of ``searches/post_space.py``. Nothing else should run. The page
``book/how_to_run_advanced.md`` cites the record.
"""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

from digit_utils.provenance import processors, provenance
from digit_utils.search.ray import run_ray_search
from digits_cli.search_command import load_objective, load_search
from experiments import RESULTS, ROOT, write_record

EPOCHS = 5
WORK = ROOT / "_build"  # on the disk, not in memory as temporary files may be
FILE = ROOT / "searches" / "post_space.py"
TASK = load_search(FILE)


def silent(settings: Any) -> float:
    return float(sum(len(str(value)) for value in settings.values()))  # all must be read


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
    """Time real trials with one worker and with two, without the workers' start."""
    load = partial(load_objective, FILE.read_text(encoding="utf-8"), str(FILE))
    rows = {}
    for name, jobs in (("one worker", 1), ("two workers", 2)):
        ended: list[float] = []
        seconds, found = timed(
            run_ray_search, TASK.objective, TASK.SPACE, TASK.ALGORITHM, jobs * trials,
            jobs=jobs, load=load, depends_on=TASK.DEPENDS_ON,
            progress=lambda trials, of, ended=ended: ended.append(time.perf_counter()),
        )  # fmt: skip
        n = len(found.trials)
        rows[name] = {
            "trials": n,
            "seconds": seconds,
            # When each worker has ended its first trial, what comes once is behind them.
            "trials_a_minute": 60 * (n - jobs) / (ended[-1] - ended[jobs - 1]),
        }
        say({name: rows[name]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=12, help="real trials a worker")
    options = parser.parse_args()
    made = provenance(ROOT)
    WORK.mkdir(exist_ok=True)
    driver, trials = driver_of_ray(), trials_of_the_book(options.trials)
    one, two = (trials[name]["trials_a_minute"] for name in ("one worker", "two workers"))
    record = {
        "ray_driver": driver,
        "trials": trials,
        "gain_of_a_second_worker": two / one,
        "processors": processors(),
        "provenance": made,
    }
    write_record(RESULTS / "search_cost.json", record)


if __name__ == "__main__":
    main()
