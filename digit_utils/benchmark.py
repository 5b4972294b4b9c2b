"""What follows from the times a benchmark measured; `make bench` and chapter 7 both ask here.

A ``result`` is what ``python -m benchmarks`` writes as JSON: ``recipes`` by name, each with the
timed ``epoch_seconds`` by number of images and with its ``runs``, and ``n_train``, the images of an
epoch in those runs. Times are seconds, accuracies go from 0 to 1.
"""

from __future__ import annotations

from statistics import mean, median

# Accuracies to reach; the second is the post's best epoch.
TARGETS = (0.99, 0.9946, 0.996)


def seconds_an_epoch(result: dict, name: str) -> float:
    """Return the seconds of an epoch, from the largest number of images that was timed."""
    timed = result["recipes"][name]["epoch_seconds"]
    largest = max(timed, key=int)
    return median(timed[largest]) * result["n_train"] / int(largest)


def epochs_to(runs: list[dict], target: float) -> int | None:
    """Return the first epoch after which the mean over the runs reaches the target."""
    for epoch in range(min((len(run["accuracy"]) for run in runs), default=0)):
        if mean(run["accuracy"][epoch] for run in runs) >= target:
            return epoch + 1
    return None


def best_epoch(runs: list[dict]) -> tuple[int, float]:
    """Return the epoch with the highest mean accuracy, counted from 1, and that accuracy."""
    length = min(len(run["accuracy"]) for run in runs)
    means = [mean(run["accuracy"][epoch] for run in runs) for epoch in range(length)]
    best = max(means)
    return means.index(best) + 1, best


def startup_seconds(runs: list[dict]) -> float:
    """Return what building and compiling take: how much longer a run's first epoch is."""
    return mean(run["epoch_seconds"][0] - mean(run["epoch_seconds"][1:]) for run in runs)


def speed_up(result: dict) -> dict | None:
    """Compare the fast recipe with the post's double-conv recipe up to its best epoch.

    The fast recipe counts to its end, compilation included, whatever it reached on the way.
    """
    slow, fast = (result["recipes"][name] for name in ("post_double_conv", "fast"))
    if not slow["runs"] or not fast["runs"]:
        return None
    epoch, accuracy = best_epoch(slow["runs"])
    slow_seconds = epoch * seconds_an_epoch(result, "post_double_conv")
    # Both from epochs timed in turn.
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
