"""Walk from the post's training to the book's fast recipe, one change a step, and time each.

``tuning`` tries AdamW and Muon on one grid, on images held out of the training images.
``variants`` trains the recipe with the best of either, and fed as the post feeds; ``ladder`` trains
the steps. All resume: each training is in the record as soon as it is done. One that was timed
while the machine was slow is made again by the next call. No test label is used.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from digit_utils import hosts

hosts.settle()  # before Keras: the record is made without anybody's keras.json

import keras
import numpy as np

from digit_utils.augment import RandomAffine
from digit_utils.cost import sgemm_peak
from digit_utils.data import load_digits, prepare_images, split_train_validation
from digit_utils.fast import OnDeviceImages, Recipe, make_batches, make_optimizer
from digit_utils.io import to_plain, write_atomically
from digit_utils.models import build_double_conv_cnn, build_fast_cnn
from digit_utils.optimizers import OneCycle
from digit_utils.provenance import provenance
from digit_utils.training import forget_networks, set_seed
from experiments import RECORDED, ROOT
from experiments.benchmark_recipes import PostDoubleConv, Watch

RECORD = RECORDED / "speed_ladder.json"
SEEDS, TUNING_SEEDS = range(5), range(100, 103)
SLOW = 0.8  # of the fastest matrix product: below it others used the machine
DECAYS = (0.02, 0.2)
RATES = {"muon": (0.015, 0.03, 0.06, 0.12, 0.24), "adamw": (0.0025, 0.005, 0.01, 0.02, 0.04)}


@dataclass(frozen=True)
class Step(Recipe):
    """The fast recipe, or what leads to it; without a warm-up the rate falls on a plateau."""

    network: str = "lean"  # or "double_conv", the post's second network
    feeding: str = "device"  # or "generator", the post's


POST = Step(
    network="double_conv", feeding="generator", optimizer="rmsprop", learning_rate=0.001,
    warmup=0.0, weight_decay=0.0, epochs=30, batch_size=128, normalization="none",
    label_smoothing=0.0,
)  # fmt: skip
CHANGES: dict[str, dict[str, Any]] = {
    "the post's training": {},
    "images beside the network": {"feeding": "device"},
    "10 epochs": {"epochs": 10},
    "one cycle": {"warmup": 0.25},
    "lean network": {"network": "lean"},
    "batch normalisation": {"normalization": "fused"},
    "Muon": {"optimizer": "muon", "learning_rate": 0.06, "weight_decay": 0.02},
    "label smoothing": {"label_smoothing": 0.05},
    "batches of 256": {"batch_size": 256},
    "3 epochs": {"epochs": 3},
}


def ladder() -> dict[str, Step]:
    """Return the steps by name; the last is the recipe."""
    steps, step = {}, POST
    for name, changes in CHANGES.items():
        step = steps[name] = replace(step, **changes)
    return steps


def grid() -> dict[str, Step]:
    """Return the recipe with every optimizer, rate and weight decay that is tried."""
    return {
        f"{optimizer} {rate} {decay}": Step(
            optimizer=optimizer, learning_rate=rate, weight_decay=decay
        )
        for optimizer, rates in RATES.items()
        for rate in rates
        for decay in DECAYS
    }


def variants(tuning: dict[str, Any]) -> dict[str, Step]:
    """Return the recipe fed by a generator, and with the best settings of each optimizer."""
    chosen = {"fed by the generator": Step(feeding="generator")}
    for optimizer in RATES:
        tried = [one for one in tuning.values() if one["settings"]["optimizer"] == optimizer]
        best = max(tried, key=lambda one: np.mean([run["accuracy"][-1] for run in one["runs"]]))
        chosen[f"{optimizer}, tuned"] = Step(**best["settings"])
    return chosen


def train_step(step: Step, data: tuple, seed: int) -> dict[str, Any]:
    """Train on the first and second of `data`, images and labels; score on the other two."""
    images, others, labels, their_labels = data
    start = time.perf_counter()
    set_seed(seed)
    lean = step.network == "lean"
    network = build_fast_cnn(step.width, step.normalization) if lean else build_double_conv_cnn()
    in_epoch = -(-len(images) // step.batch_size)
    if step.feeding == "generator":
        feeder = PostDoubleConv()
        feeder.batch_size = step.batch_size
        trainer, batches, at_once = network, feeder.batches(images, labels, seed), 1
    else:
        augmenter = RandomAffine(step.rotation, step.zoom, step.shift, seed=seed)
        rows = keras.layers.Input((), dtype="int32")
        trainer = keras.Sequential([rows, OnDeviceImages(images), augmenter, network])
        batches, at_once = make_batches(labels, step.batch_size, seed), min(in_epoch, 32)
    rate, steps = step.learning_rate, in_epoch * step.epochs
    if step.optimizer == "rmsprop":
        schedule = OneCycle(rate, steps, step.warmup) if step.warmup else rate
        optimizer = keras.optimizers.RMSprop(schedule)
    else:
        optimizer = make_optimizer(step, steps)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=lean, label_smoothing=step.label_smoothing
    )
    trainer.compile(optimizer, loss, steps_per_execution=at_once)
    watch = Watch(prepare_images(others), their_labels, network)
    plateau = keras.callbacks.ReduceLROnPlateau("val_accuracy", mode="max", patience=3)
    built = time.perf_counter() - start
    trainer.fit(
        **batches, epochs=step.epochs, verbose=0,
        callbacks=[watch] if step.warmup else [watch, plateau],
    )  # fmt: skip
    watch.seconds[0] += built
    return {
        "seconds": sum(watch.seconds),
        "epoch_seconds": watch.seconds,
        "accuracy": watch.accuracy,
        "mistakes": watch.mistakes,
    }


def measure(step: Step, data: tuple, seed: int) -> dict[str, Any]:
    """Train; say as well how fast the machine was before or after, whichever is slower."""
    before = sgemm_peak()
    found = train_step(step, data, seed)
    forget_networks()
    ceiling = min(before, sgemm_peak())
    made = provenance(ROOT)
    when = {name: made[name] for name in ("commit", "date", "machine")}
    return {"seed": seed, **found, "sgemm_peak": ceiling, **when}


def forget_slow(record: dict[str, Any]) -> None:
    """Drop what was timed while the machine was slow."""
    entries = [entry for name in ("variants", "ladder") for entry in record[name].values()]
    best = max((run["sgemm_peak"] for entry in entries for run in entry["runs"]), default=0)
    for entry in entries:
        entry["runs"] = [run for run in entry["runs"] if run["sgemm_peak"] >= SLOW * best]


def fill(
    record: dict[str, Any], part: str, steps: dict[str, Step], data: tuple, seeds: Iterable[int]
) -> None:
    """Train what is missing, seed by seed, so that a slow hour slows all steps alike."""
    for seed in seeds:
        for name, step in steps.items():
            entry = record[part].setdefault(name, {"settings": {}, "runs": []})
            if entry["settings"] != asdict(step):  # of other settings, or new
                entry |= {"settings": asdict(step), "runs": []}
            if seed in [run["seed"] for run in entry["runs"]]:
                continue
            print(time.strftime("%X"), part, name, f"seed {seed}", file=sys.stderr, flush=True)
            entry["runs"].append(measure(step, data, seed))
            entry["runs"].sort(key=lambda run: run["seed"])
            # In one line: there are thousands of numbers, and nobody reads them one by one.
            write_atomically(RECORD, json.dumps(to_plain(record)).encode() + b"\n")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="experiments/speed_ladder.py", description=__doc__)
    parts = ("tuning", "variants", "ladder")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(parts)}; or all")
    wanted = parser.parse_args(arguments).parts or parts
    if unknown := set(wanted) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; expected {', '.join(parts)}")
    empty = {"command": "python experiments/speed_ladder.py", **{part: {} for part in parts}}
    record = json.loads(RECORD.read_bytes()) if RECORD.exists() else empty
    forget_slow(record)
    digits = load_digits()
    data = split_train_validation(digits.images, digits.labels)
    within = split_train_validation(data[0], data[2], seed=1)
    record |= {"n_train": len(data[0]), "n_validation": len(data[1])}
    # The first training of a process starts threads and libraries; it is not timed.
    train_step(replace(POST, epochs=1), tuple(part[:256] for part in data), 0)
    if "tuning" in wanted:
        fill(record, "tuning", grid(), within, TUNING_SEEDS)
    if "variants" in wanted:
        if any(name not in record["tuning"] for name in grid()):
            parser.error("variants need what tuning finds; run that first")
        fill(record, "variants", variants(record["tuning"]), data, SEEDS)
    if "ladder" in wanted:
        fill(record, "ladder", ladder(), data, SEEDS)


if __name__ == "__main__":
    main()
