"""Compare training recipes on this machine: `make bench`, or `make bench FULL=1`.

Each recipe has its own process. Epochs are timed in turn, round after round, so that a machine that
slows down slows all; the fastest of each recipe counts. Without --full only the fast recipe is
trained to its end; the others' epochs are those of the recorded full run. Writes benchmark.json and
benchmark.md into _build/bench.
"""

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cache
from statistics import mean, median
from typing import Any

from digit_utils.benchmark import TARGETS, seconds_an_epoch, startup_seconds
from digit_utils.hosts import settle
from digit_utils.io import write_atomically
from digit_utils.provenance import keras_backend, provenance
from experiments import RECORDED, ROOT, write_record

OUTPUT = ROOT / "_build" / "bench"
RECORD = RECORDED / "benchmark.json"
RECIPES = ("post_base", "post_double_conv", "keras_io", "fast", "fast_longer", "fast_repeatable")
RECORDED_SEEDS = 5  # fewer trainings of the fast recipe are not worth publishing
N_TRAIN = 33_600  # images of an epoch in the runs: the post's four fifths of 42,000


class RecipeProcess(ProcessPoolExecutor):
    """A process with a recipe's `Worker`, which answers one request at a time."""

    def __init__(self, name: str):
        super().__init__(1, multiprocessing.get_context("spawn"), end_with_the_driver)
        self.name = name
        self.submit(answer, name, "describe", {})  # it starts while others do

    def ask(self, do: str, **arguments) -> Any:
        """Send a request and wait for the answer; SystemExit if the process has ended."""
        print(time.strftime("%X"), self.name, do, *arguments.values(), file=sys.stderr, flush=True)
        try:
            return self.submit(answer, self.name, do, arguments).result()
        except BrokenProcessPool:
            raise SystemExit(
                f"the process of {self.name} ended while asked to {do}; its last words, if any, "
                "stand above. Without any, the memory ran out: about 10 GB are needed."
            ) from None


def end_with_the_driver() -> None:
    """Let this process end at once when the driver is gone, even during a training."""

    def wait_for_it() -> None:
        multiprocessing.parent_process().join()
        os._exit(0)

    threading.Thread(target=wait_for_it, daemon=True).start()


@cache
def worker(name: str):
    from experiments.benchmark_recipes import Worker  # Keras is for the workers alone

    return Worker(name)


def answer(name: str, do: str, arguments: dict) -> Any:
    return getattr(worker(name), do)(**arguments)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="experiments/benchmark.py", description=__doc__)
    parser.add_argument("--full", action="store_true", help="train every recipe to its end")
    parser.add_argument("--seeds", type=int, help="trainings of the fast recipe")
    parser.add_argument("--record", action="store_true", help="keep a full run as the published")
    options = parser.parse_args(arguments)
    settle()  # several processes share a GPU; no keras.json has a say
    if options.record and not options.full:
        parser.error("--record keeps a full run: add --full")
    seeds = (10 if options.full else 1) if options.seeds is None else options.seeds
    least = RECORDED_SEEDS if options.record else 1
    if seeds < least:
        parser.error(f"expected at least {least} seeds, found {seeds}")
    # Only TensorFlow has the switch for the repeatable one.
    names = RECIPES if keras_backend() == "tensorflow" else RECIPES[:-1]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        recipes = {name: stack.enter_context(RecipeProcess(name)) for name in names}
        result = measure(recipes, options.full, seeds)
    table = as_markdown(result)
    write_atomically(OUTPUT / "benchmark.md", table.encode())
    write_record(OUTPUT / "benchmark.json", result)
    if options.record:
        write_record(RECORD, result)
    print(table)


def measure(recipes: dict[str, RecipeProcess], full: bool, seeds: int) -> dict:
    """Take all measurements; see the module's docstring."""
    made = provenance(ROOT)
    found = {
        name: recipe.ask("describe") | {"epoch_seconds": {}} for name, recipe in recipes.items()
    }
    peaks = [ask_for_peak()]
    recorded = {} if full else json.loads(RECORD.read_bytes())["recipes"]
    # What is compared is an epoch of the largest size.
    sizes = {5_000: 2, 14_000: 2, 42_000: 4} if full else {2_000: 2, 4_000: 3}
    for n_images, rounds in sizes.items():
        for name, recipe in recipes.items():
            found[name]["flops_an_image"] = recipe.ask("prepare", n_images=n_images)
            found[name]["epoch_seconds"][str(n_images)] = []
        for _ in range(rounds):
            for name, recipe in recipes.items():
                found[name]["epoch_seconds"][str(n_images)].append(recipe.ask("train_epoch"))
        peaks.append(ask_for_peak())
    predicted = {name: [] for name in recipes}
    for _ in range(3):
        for name, recipe in recipes.items():
            predicted[name].append(recipe.ask("predict", n_images=28_000 if full else 5_000))
    for name, recipe in recipes.items():
        found[name]["predicted_a_second"] = median(predicted[name])
        found[name]["peak_memory_mb"] = recipe.ask("memory")

    for name, recipe in recipes.items():
        here = full or name == "fast"
        runs = [] if here else recorded.get(name, {"runs": []})["runs"]
        if here and name != "fast_repeatable":  # that is there for the time it takes
            many = seeds if name in {"fast", "fast_longer"} else 1
            runs = [recipe.ask("run", seed=seed) for seed in range(many)]
        found[name] |= {"runs": runs, "runs_are": "of this run" if here else "recorded"}
    return {
        "mode": "full" if full else "quick",
        "n_train": N_TRAIN,
        "sgemm_peak": max(peaks),
        "sgemm_peaks": peaks,
        "recipes": found,
        "provenance": made,
    }


def ask_for_peak() -> float:
    """Measure the fastest matrix product of this machine at this moment, in FLOP/s."""
    # In a process of its own: the matrices are not part of a recipe's memory.
    with RecipeProcess("fast") as process:
        return process.ask("sgemm_peak")


def as_markdown(result: dict) -> str:
    """Return tables and a summary sentence."""
    peak, n_train = result["sgemm_peak"], result["n_train"]
    rates, trained, times, courses = [], [], [], {}
    for name, recipe in result["recipes"].items():
        title, runs, memory = recipe["title"], recipe["runs"], recipe["peak_memory_mb"]
        seconds = seconds_an_epoch(result, name)
        operations = recipe["flops_an_image"] * n_train
        rates.append(
            {
                "recipe": title,
                "s an epoch": f"{seconds:.1f}",
                "GFLOP an epoch": f"{operations / 1e9:,.0f}",
                "GFLOP/s": f"{operations / seconds / 1e9:.0f}",
                "of peak": f"{operations / seconds / peak:.0%}",
                "images/s predicted": f"{recipe['predicted_a_second']:,.0f}",
                "peak memory": "unknown" if memory is None else f"{memory:,.0f} MB",
            }
        )
        row = {"recipe": title, "runs": "none", "best epoch, mean accuracy": ""}
        epochs = zip(*(run["accuracy"] for run in runs), strict=True)
        course = courses[name] = [mean(epoch) for epoch in epochs]
        if runs:
            row["runs"] = f"{len(runs)} {recipe['runs_are']}"
            row["best epoch, mean accuracy"] = "{}, {:.2%}".format(*_best(course))
        for target in TARGETS:
            n = next((n for n, score in enumerate(course, start=1) if score >= target), None)
            reached = f"{n} epochs, {n * seconds:,.0f} s" if n else "not reached"
            row[f"to {target:.2%}"] = reached if runs else ""
        trained.append(row)
        fastest = {int(size): min(timed) for size, timed in recipe["epoch_seconds"].items()}
        shown = {f"{size:,} images": f"{least:.2f}" for size, least in fastest.items()}
        times.append({"seconds an epoch of": title, **shown})
    parts = [
        f"# Recipes compared ({result['mode']})",
        f"{result['provenance']['machine']}; fastest matrix product {peak / 1e9:.0f} GFLOP/s. "
        f"An epoch is {n_train:,} images; accuracies are on 8,400 held-out images.",
        _table(rates),
        _table(trained, words=3),
        "Seconds to an accuracy are epochs times the seconds of the recipe's fastest one; "
        "compilation is left out.",
        _table(times),
    ]
    slow, fast = courses["post_double_conv"], courses["fast"]
    if slow and fast:
        if result["mode"] == "quick":
            parts.append(
                "The epochs of the others are those of the recorded full run, the seconds scaled "
                f"up to {n_train:,} images."
            )
        best, score = _best(slow)
        slow_seconds = best * seconds_an_epoch(result, "post_double_conv")
        runs = result["recipes"]["fast"]["runs"]
        seconds = startup_seconds(runs) + len(fast) * seconds_an_epoch(result, "fast")
        many = "s" if len(runs) > 1 else ""
        parts.append(
            f"The fast recipe ends at {fast[-1]:.2%} (mean of {len(runs)} training{many}) after "
            f"{seconds:.1f} s, compilation included. The post's double-conv recipe takes "
            f"{slow_seconds:,.0f} s to its best epoch, {best}, with {score:.2%}: "
            f"**{slow_seconds / seconds:.0f} times** as long."
        )
    return "\n\n".join(parts) + "\n"


def _best(course: list[float]) -> tuple[int, float]:
    return course.index(max(course)) + 1, max(course)


def _table(rows: list[dict[str, str]], words: int = 1) -> str:
    """Return a table; the first columns hold words, the others numbers."""
    marks = ["---"] * words + ["---:"] * (len(rows[0]) - words)
    lines = (rows[0], marks, *(row.values() for row in rows))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
