"""What follows from the times a benchmark measured; `make bench` and chapter 7 both ask here.

A ``result`` is what ``experiments/benchmark.py`` writes as JSON: ``recipes`` by name, each with the
timed ``epoch_seconds`` by number of images and with its ``runs``, and ``n_train``, the images of an
epoch in those runs. Times are seconds, accuracies go from 0 to 1.
"""

from statistics import mean, median

# Accuracies to reach; the second is the post's best epoch.
TARGETS = (0.99, 0.9946, 0.996)


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


def epochs_to(runs: list[dict], target: float) -> int | None:
    """Return the first epoch, from 1, with a mean accuracy of at least the target, or None."""
    means = enumerate(_mean_accuracies(runs), start=1)
    return next((epoch for epoch, accuracy in means if accuracy >= target), None)


def best_epoch(runs: list[dict]) -> tuple[int, float]:
    """Return the epoch with the highest mean accuracy, counted from 1, and that accuracy."""
    means = _mean_accuracies(runs)
    return means.index(max(means)) + 1, max(means)


def _mean_accuracies(runs: list[dict]) -> list[float]:
    return [mean(epoch) for epoch in zip(*(run["accuracy"] for run in runs), strict=False)]


def startup_seconds(runs: list[dict]) -> float:
    """Return the seconds to build and compile: first less fastest later epoch, median over runs."""
    return median(run["epoch_seconds"][0] - min(run["epoch_seconds"][1:]) for run in runs)


def speed_up(result: dict) -> dict | None:
    """Compare the fast recipe with the post's double-conv recipe up to its best epoch.

    The fast recipe counts to its end, compilation included, whatever it reached on the way. None if
    either has no runs.
    """
    slow, fast = (result["recipes"][name] for name in ("post_double_conv", "fast"))
    if not slow["runs"] or not fast["runs"]:
        return None
    epoch, accuracy = best_epoch(slow["runs"])
    slow_seconds = epoch * seconds_an_epoch(result, "post_double_conv")
    epochs = len(fast["runs"][0]["epoch_seconds"])
    fast_seconds = startup_seconds(fast["runs"]) + epochs * seconds_an_epoch(result, "fast")
    return {
        "slow_epoch": epoch,
        "slow_accuracy": accuracy,
        "slow_seconds": slow_seconds,
        "fast_seconds": fast_seconds,
        "fast_accuracy": mean(run["accuracy"][-1] for run in fast["runs"]),
        "fast_seeds": len(fast["runs"]),
        "ratio": slow_seconds / fast_seconds,
    }
