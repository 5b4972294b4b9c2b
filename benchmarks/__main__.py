"""Compare training recipes on this machine: `make bench`, or `make bench FULL=1`.

Each recipe has its own process. Epochs are timed in turn, round after round, so that a machine that
slows down slows all; the fastest of each recipe counts. Quick (two to six minutes) trains only the
fast recipe to its end and takes the others' epochs from the recorded full run. Full (forty minutes
or more) trains all but the repeatable recipe to their ends. Writes _build/bench/benchmark.json and
benchmark.md; --full --record also writes results/benchmark.json and its copy in
digit_utils/recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.table import as_markdown
from digit_utils.hosts import settle
from digit_utils.io import json_bytes, write_atomically
from digit_utils.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "_build" / "bench"
PARTIAL = OUTPUT / "unfinished.json"
# The recorded run: once with its provenance among the long runs, once where a reader on Colab,
# who has only the package, finds it. A test keeps the two the same.
RECORDED = (
    ROOT / "results" / "benchmark.json",
    ROOT / "digit_utils" / "recorded" / "benchmark.json",
)
RECIPES = (
    "post_base",
    "post_double_conv",
    "keras_io",
    "fast",
    "fast_longer",
    "fast_repeatable",
)
RECORDED_SEEDS = 5  # fewer trainings of the fast recipe are not worth publishing
N_TRAIN = 33_600  # images of an epoch in the runs: the post's four fifths of 42,000


class RecipeProcess:
    """A worker process that answers one request at a time."""

    def __init__(self, name: str):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def ask(self, do: str, **arguments) -> dict:
        """Send a request and wait for the answer; SystemExit if the process has ended."""
        line = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"the process of {self.name} ended with code {self.process.wait()} while asked to "
                f"{do}; its last words, if any, stand above. -9 usually means that the memory ran "
                f"out: about 10 GB are needed. What was measured until now is in {PARTIAL.name} in "
                f"{OUTPUT.relative_to(ROOT)}."
            )
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def names() -> list[str]:
    """Return the recipes to compare; only TensorFlow has the switch for the repeatable one."""
    import keras

    if keras.backend.backend() == "tensorflow":
        return list(RECIPES)
    return [name for name in RECIPES if name != "fast_repeatable"]


def positive(text: str) -> int:
    """Read a number of at least 1 from the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, expected at least 1")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Measure, write JSON and Markdown, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="train every recipe to its end")
    parser.add_argument("--seeds", type=positive, help="trainings of the fast recipe")
    parser.add_argument(
        "--record", action="store_true", help="with --full: keep it as the published run"
    )
    options = parser.parse_args(arguments)
    settle()  # several processes share a GPU; no keras.json has a say
    if options.record and not options.full:
        parser.error("--record keeps a full run: add --full")
    seeds = options.seeds or (10 if options.full else 1)
    if options.record and seeds < RECORDED_SEEDS:
        parser.error(f"--record needs at least {RECORDED_SEEDS} seeds, found {seeds}")
    recipes = {name: RecipeProcess(name) for name in names()}
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        result = measure(recipes, options.full, seeds, keep=keep_unfinished)
    finally:
        for recipe in recipes.values():
            recipe.close()
    table = as_markdown(result)
    write_atomically(OUTPUT / "benchmark.json", json_bytes(result))
    write_atomically(OUTPUT / "benchmark.md", table.encode())
    if options.record:
        for path in RECORDED:
            write_atomically(path, json_bytes(result))
    PARTIAL.unlink(missing_ok=True)
    print(table)
    print(f"written to {OUTPUT.relative_to(ROOT)}/benchmark.json and benchmark.md")
    return 0


def keep_unfinished(found: dict) -> None:
    """Keep what was measured so far, in case the rest fails."""
    write_atomically(PARTIAL, json_bytes({"recipes": found}))


def measure(
    recipes: dict[str, RecipeProcess],
    full: bool,
    seeds: int,
    keep: Callable[[dict], None] = lambda found: None,
) -> dict:
    """Take all measurements; see the module's docstring."""
    found = {name: recipe.ask("describe") for name, recipe in recipes.items()}
    made = provenance(ROOT)
    peaks = [ask_for_peak()]
    sizes = (5_000, 14_000, 42_000) if full else (2_000, 4_000)
    n_predicted = 28_000 if full else 5_000
    for name in recipes:
        found[name].update(epoch_seconds={}, predicted=[])
    for n_images in sizes:
        # What is compared is an epoch of the largest size.
        largest = n_images == sizes[-1]
        time_epochs(recipes, found, n_images, rounds=(4 if full else 3) if largest else 2)
        keep(found)
        peaks.append(ask_for_peak())
    for _ in range(3):
        for name, recipe in recipes.items():
            say(f"{found[name]['title']}: predicting")
            predicted = recipe.ask("predict", n_images=n_predicted)
            found[name]["predicted"].append(predicted["n_images"] / predicted["seconds"])
    for name, recipe in recipes.items():
        found[name]["predicted_a_second"] = median(found[name].pop("predicted"))
        found[name]["peak_memory_mb"] = recipe.ask("memory")["peak_mb"]

    recorded = None if full else read_recorded()
    for name, recipe in recipes.items():
        if name == "fast" or (name == "fast_longer" and full):
            runs = [run(recipe, found, seed) for seed in range(seeds)]
        elif name == "fast_repeatable":
            runs = []  # it is there for the time it takes
        elif full:
            runs = [run(recipe, found, 0)]
        else:
            runs = recorded["recipes"].get(name, {}).get("runs", []) if recorded else []
        found[name]["runs"] = runs
        found[name]["runs_are"] = "of this run" if full or name == "fast" else "recorded"
        keep(found)
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


def run(recipe: RecipeProcess, found: dict, seed: int) -> dict:
    """Train a recipe to its end."""
    say(f"{found[recipe.name]['title']}: training to the end, seed {seed}")
    return recipe.ask("run", seed=seed)


def read_recorded() -> dict | None:
    """Return the recorded full run, or None."""
    try:
        return json.loads(RECORDED[0].read_bytes())
    except FileNotFoundError:
        return None


def say(text: str) -> None:
    """Print a progress line, with the time, to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
