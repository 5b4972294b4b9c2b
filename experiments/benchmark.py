"""Compare training recipes on this machine: `make bench`, or `make bench FULL=1`.

Each recipe has its own process. Epochs are timed in turn, round after round, so that a machine that
slows down slows all; the fastest of each recipe counts. Quick (two to six minutes) trains only the
fast recipe to its end and takes the others' epochs from the recorded full run. Full (forty minutes
or more) trains all but the repeatable recipe to their ends. Writes _build/bench/benchmark.json and
benchmark.md; --full --record also writes digit_utils/recorded/benchmark.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from statistics import median

from digit_utils.benchmark import TARGETS, best_epoch, epochs_to, seconds_an_epoch, speed_up
from digit_utils.hosts import settle
from digit_utils.io import write_atomically
from digit_utils.provenance import keras_backend, provenance
from experiments import RECORDED, ROOT, write_record
from experiments.benchmark_worker import answer_requests

OUTPUT = ROOT / "_build" / "bench"
RECORD = RECORDED / "benchmark.json"
RECIPES = ("post_base", "post_double_conv", "keras_io", "fast", "fast_longer", "fast_repeatable")
RECORDED_SEEDS = 5  # fewer trainings of the fast recipe are not worth publishing
N_TRAIN = 33_600  # images of an epoch in the runs: the post's four fifths of 42,000


class RecipeProcess:
    """A worker process that answers one request at a time; its memory is its own."""

    def __init__(self, name: str):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=answer_requests, args=(name, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that its end is noticed here

    def ask(self, do: str, **arguments) -> dict:
        """Send a request and wait for the answer; SystemExit if the process has ended."""
        try:
            self.pipe.send((do, arguments))
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            raise SystemExit(
                f"the process of {self.name} ended with code {self.process.exitcode} while asked "
                f"to {do}; its last words, if any, stand above. -9 usually means that the memory "
                "ran out: about 10 GB are needed."
            ) from None

    def close(self) -> None:
        self.pipe.close()
        self.process.join()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="experiments/benchmark.py", description=__doc__)
    parser.add_argument("--full", action="store_true", help="train every recipe to its end")
    parser.add_argument("--seeds", type=int, help="trainings of the fast recipe")
    parser.add_argument(
        "--record", action="store_true", help="with --full: keep it as the published run"
    )
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
    recipes = {name: RecipeProcess(name) for name in names}
    try:
        result = measure(recipes, options.full, seeds)
    finally:
        for recipe in recipes.values():
            recipe.close()
    table = as_markdown(result)
    write_atomically(OUTPUT / "benchmark.md", table.encode())
    write_record(OUTPUT / "benchmark.json", result)
    if options.record:
        write_record(RECORD, result)
    print(table)
    return 0


def measure(recipes: dict[str, RecipeProcess], full: bool, seeds: int) -> dict:
    """Take all measurements; see the module's docstring."""
    found = {name: recipe.ask("describe") for name, recipe in recipes.items()}
    made = provenance(ROOT)
    peaks = [ask_for_peak()]
    sizes = (5_000, 14_000, 42_000) if full else (2_000, 4_000)
    for name in recipes:
        found[name].update(epoch_seconds={}, predicted=[])
    for n_images in sizes:
        # What is compared is an epoch of the largest size.
        largest = n_images == sizes[-1]
        time_epochs(recipes, found, n_images, rounds=(4 if full else 3) if largest else 2)
        peaks.append(ask_for_peak())
    for _ in range(3):
        for name, recipe in recipes.items():
            say(f"{found[name]['title']}: predicting")
            predicted = recipe.ask("predict", n_images=28_000 if full else 5_000)
            found[name]["predicted"].append(predicted["n_images"] / predicted["seconds"])
    for name, recipe in recipes.items():
        found[name]["predicted_a_second"] = median(found[name].pop("predicted"))
        found[name]["peak_memory_mb"] = recipe.ask("memory")["peak_mb"]

    recorded = {} if full else read_recorded()
    for name, recipe in recipes.items():
        title, many = found[name]["title"], name in {"fast", "fast_longer"}
        if name == "fast_repeatable":
            runs = []  # it is there for the time it takes
        elif full or name == "fast":
            runs = []
            for seed in range(seeds if many else 1):
                say(f"{title}: training to the end, seed {seed}")
                runs.append(recipe.ask("run", seed=seed))
        else:
            runs = recorded.get(name, {}).get("runs", [])
        found[name]["runs"] = runs
        found[name]["runs_are"] = "of this run" if full or name == "fast" else "recorded"
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
    say("the fastest matrix product of this machine")
    roof = RecipeProcess("fast")  # of its own: the matrices are not part of a recipe's memory
    try:
        return roof.ask("sgemm_peak")["flops_a_second"]
    finally:
        roof.close()


def time_epochs(recipes: dict[str, RecipeProcess], found: dict, n_images: int, rounds: int) -> None:
    """Time epochs on `n_images` images, the recipes taking turns."""
    for name, recipe in recipes.items():
        say(f"{found[name]['title']}: compiling for {n_images:,} images")
        operations = recipe.ask("prepare", n_images=n_images)["flops"]
        found[name]["flops_an_image"] = operations / n_images
        found[name]["epoch_seconds"][str(n_images)] = []
    for number in range(rounds):
        for name, recipe in recipes.items():
            say(f"{found[name]['title']}: {n_images:,} images, round {number + 1} of {rounds}")
            answer = recipe.ask("train_epoch")
            found[name]["epoch_seconds"][str(n_images)].append(answer["seconds"])


def read_recorded() -> dict:
    """Return the recipes of the recorded full run; none without it."""
    return json.loads(RECORD.read_bytes())["recipes"] if RECORD.exists() else {}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def as_markdown(result: dict) -> str:
    """Return tables and a summary sentence."""
    recipes, peak = result["recipes"], result["sgemm_peak"]
    targets = [f"to {target:.2%}" for target in TARGETS]
    sizes = list(next(iter(recipes.values()))["epoch_seconds"])
    rates, runs, times = [], [], []
    for name, recipe in recipes.items():
        seconds = seconds_an_epoch(result, name)
        operations = recipe["flops_an_image"] * result["n_train"]
        memory = recipe["peak_memory_mb"]
        rates.append(
            [
                recipe["title"],
                f"{seconds:.1f}",
                f"{operations / 1e9:,.0f}",
                f"{operations / seconds / 1e9:.0f}",
                f"{operations / seconds / peak:.0%}",
                f"{recipe['predicted_a_second']:,.0f}",
                "unknown" if memory is None else f"{memory:,.0f} MB",
            ]
        )
        runs.append([recipe["title"], "none", *[""] * (1 + len(TARGETS))])
        if recipe["runs"]:
            epoch, accuracy = best_epoch(recipe["runs"])
            needed = [epochs_to(recipe["runs"], target) for target in TARGETS]
            runs[-1][1:] = [
                f"{len(recipe['runs'])} {recipe['runs_are']}",
                f"{epoch}, {accuracy:.2%}",
                *(f"{n} epochs, {n * seconds:,.0f} s" if n else "not reached" for n in needed),
            ]
        fastest = [f"{min(recipe['epoch_seconds'][size]):.2f}" for size in sizes]
        times.append([recipe["title"], *fastest])
    heads = ["s an epoch", "GFLOP an epoch", "GFLOP/s", "of peak", "images/s predicted"]
    lines = [
        f"# Recipes compared ({result['mode']})",
        "",
        f"{result['provenance']['machine']}; fastest matrix product {peak / 1e9:.0f} GFLOP/s. "
        f"An epoch is {result['n_train']:,} images; accuracies are on 8,400 held-out images.",
        "",
        *_table(["recipe", *heads, "peak memory"], rates),
        "",
        *_table(["recipe", "runs", "best epoch, mean accuracy", *targets], runs, words=3),
        "",
        "Seconds to an accuracy are epochs times the seconds of the recipe's fastest one; "
        "compilation is left out.",
        "",
        *_table(["seconds an epoch of", *(f"{int(size):,} images" for size in sizes)], times),
    ]
    compared = speed_up(result)
    if compared:
        quick = (
            "The epochs of the others are those of the recorded full run, the seconds scaled up to "
            f"{result['n_train']:,} images. "
        )
        many = "s" if compared["fast_seeds"] > 1 else ""
        lines += [
            "",
            "" if result["mode"] == "full" else quick,
            f"The fast recipe ends at {compared['fast_accuracy']:.2%} (mean of "
            f"{compared['fast_seeds']} training{many}) after {compared['fast_seconds']:.1f} s, "
            f"compilation included. The post's double-conv recipe takes "
            f"{compared['slow_seconds']:,.0f} s to its best epoch, {compared['slow_epoch']}, with "
            f"{compared['slow_accuracy']:.2%}: **{compared['ratio']:.0f} times** as long.",
        ]
    return "\n".join(lines) + "\n"


def _table(heads: list[str], rows: list[list[str]], words: int = 1) -> list[str]:
    """Return a table's lines; the first columns hold words, the others numbers."""
    marks = ["---"] * words + ["---:"] * (len(heads) - words)
    return [f"| {' | '.join(cells)} |" for cells in (heads, marks, *rows)]


if __name__ == "__main__":
    sys.exit(main())
