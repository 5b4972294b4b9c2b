"""What follows from the times a benchmark measured; `make bench` and chapter 7 both ask here.

A ``result`` is what ``experiments/benchmark.py`` writes as JSON: ``recipes`` by name, each with the
timed ``epoch_seconds`` by number of images and with its ``runs``, and ``n_train``, the images of an
epoch in those runs. Times are seconds, accuracies go from 0 to 1.
"""

from statistics import median

TARGETS = (0.99, 0.9946, 0.996)  # accuracies to reach; the second is the post's best epoch


def epochs_timed(result: dict, name: str) -> list[float]:
    """Return the seconds of every epoch that was timed on the most images, or trained in a run.

    The first are scaled to the images of an epoch in the runs. A run's first epoch, which holds its
    compilation, is left out, as are recorded runs, made on another machine.
    """
    recipe = result["recipes"][name]
    largest = max(recipe["epoch_seconds"], key=int)
    scale = result["n_train"] / int(largest)
    seconds = [scale * timed for timed in recipe["epoch_seconds"][largest]]
    if recipe["runs_are"] != "recorded":
        seconds += [one for run in recipe["runs"] for one in run["epoch_seconds"][1:]]
    return seconds


def seconds_an_epoch(result: dict, name: str) -> float:
    """Return the seconds of a recipe's fastest epoch; a shared machine only ever slows one down."""
    return min(epochs_timed(result, name))


def startup_seconds(runs: list[dict]) -> float:
    """Return the seconds to build and compile: first less fastest later epoch, median over runs."""
    return median(run["epoch_seconds"][0] - min(run["epoch_seconds"][1:]) for run in runs)
