"""Compare TPE with random search over several seeds, and the winner with the post's settings.

    python scripts/compare_searches.py search          # about an hour on two cores
    python scripts/compare_searches.py final           # half an hour

``search`` runs both methods on the small trials of ``searches/post_space.py``, 50 trials each, with
the same random trials at the start, once a seed; the seed changes proposals and trainings. Each
winner is trained again with fresh seeds and scored on images that no search saw. ``final`` trains
the post's network at half width with TPE's settings of seed 0 and with the post's, on 25,200 images
for 15 epochs, five times each.

Interim results are kept in ``_build/search_comparison``, so that a second start resumes. Writes
``results/search_comparison.json`` and its copy in ``digit_utils/recorded``, which chapter 5 reads.
Uses no test label.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import keras
import numpy as np
from hyperopt import rand

from digit_utils.artifacts import RECORDED_FOLDER
from digit_utils.augment import RandomAffine
from digit_utils.cost import training_flops
from digit_utils.data import prepare_images
from digit_utils.evaluate import accuracy
from digit_utils.io import json_bytes, to_plain, write_atomically
from digit_utils.models import build_double_conv_cnn
from digit_utils.provenance import provenance
from digit_utils.search import run_search
from digit_utils.training import forget_networks, set_seed, with_augmentation
from digits_cli.search_command import load_search

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "results" / "search_comparison.json"
WORK = ROOT / "_build" / "search_comparison"
TASK = load_search(ROOT / "searches" / "post_space.py")

N_TRIALS, SEEDS, FRESH_SEEDS = 50, 5, 3
POST_SETTINGS = {
    "dropout_1": 0.5, "dropout_2": 0.4, "dropout_3": 0.2, "dropout_4": 0.1,
    "optimizer": "adam", "dense_units": 512,
}  # fmt: skip
FINAL_WIDTH, FINAL_EPOCHS, FINAL_SEEDS = 16, 15, 5


def kept(name: str, make: Callable[[], Any], of: Any = None) -> Any:
    """Return the value in a file of the work folder; make it if absent or of another `of`."""
    path = WORK / name
    found = json.loads(path.read_bytes()) if path.exists() else {}
    if "value" not in found or found.get("of") != of:
        found = {"of": of, "value": make()}
        write_atomically(path, json_bytes(found))
    return found["value"]


def compare(seed: int) -> dict[str, Any]:
    """Run both methods with one seed, and train both winners again."""

    def objective(settings, report):
        network = TASK.train(settings, seed, report)
        return -accuracy(TASK.validation_labels, TASK.predict(network, TASK.x_validation))

    found, known = {}, []
    for name, algorithm in (("tpe", TASK.ALGORITHM), ("random", rand.suggest)):
        search = run_search(
            objective, TASK.SPACE, algorithm, N_TRIALS, WORK / f"{name}_{seed}", seed,
            TASK.DEPENDS_ON, known=known,
            progress=lambda trials, of, name=name: print(
                f"seed {seed}, {name}: {len(trials)} of {of}", file=sys.stderr, flush=True
            ),
        )  # fmt: skip
        known = [*known, *search.trials]
        found[name] = {
            "settings": [list(trial.parameters.values()) for trial in search.trials],
            "losses": [trial.loss for trial in search.trials],
            "curves": [trial.curve for trial in search.trials],
            "trained": sum(trial.seconds > 0 for trial in search.trials),
            "seconds": round(sum(trial.seconds for trial in search.trials), 1),
            "best": search.best.parameters,
        }
        best = search.best.parameters
        found[name]["retrained"] = kept(
            f"retrained_{name}_{seed}.json",
            lambda best=best: retrain(best, seed),
            of=[best, FRESH_SEEDS, TASK.EPOCHS, TASK.WIDTH],
        )
    return found


def retrain(settings: dict[str, Any], seed: int) -> list[dict[str, float]]:
    """Train with fresh seeds; score on validation images and on those no search saw."""
    x_confirm = prepare_images(TASK.confirm_images)
    scores = []
    for fresh in range(1000 * (seed + 1), 1000 * (seed + 1) + FRESH_SEEDS):
        network = TASK.train(settings, fresh)
        scores.append(
            {
                "validation": accuracy(
                    TASK.validation_labels, TASK.predict(network, TASK.x_validation)
                ),
                "confirmation": accuracy(TASK.confirm_labels, TASK.predict(network, x_confirm)),
            }
        )
    return scores


def train_final(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train the post's network at half width on the whole pool; score it after each epoch."""
    start = time.perf_counter()
    forget_networks()
    set_seed(seed)
    dropout = [settings[f"dropout_{place}"] for place in (1, 2, 3, 4)]
    network = build_double_conv_cnn(FINAL_WIDTH, dropout, settings["dense_units"])
    trainer = with_augmentation(network, RandomAffine(seed=seed))
    trainer.compile(settings["optimizer"], "sparse_categorical_crossentropy")
    x_confirm = prepare_images(TASK.confirm_images)
    scores = []

    def score(epoch, logs):
        scores.append(accuracy(TASK.confirm_labels, TASK.predict(network, x_confirm)))

    trainer.fit(
        prepare_images(TASK.pool_images), TASK.pool_labels, batch_size=128, epochs=FINAL_EPOCHS,
        verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=score)],
    )  # fmt: skip
    print(f"{settings}, seed {seed}: {scores[-1]:.4f}", file=sys.stderr, flush=True)
    return {"confirmation": scores, "seconds": round(time.perf_counter() - start, 1)}


def count_flops(trial: dict[str, Any]) -> dict[str, float]:
    """Count the operations of one small trial and one of the post's, both with these settings."""
    dropout = [trial[f"dropout_{place}"] for place in (1, 2, 3, 4)]
    small = build_double_conv_cnn(TASK.WIDTH, dropout, trial["dense_units"])
    whole = build_double_conv_cnn(32, dropout, trial["dense_units"])
    return {
        "trial": float(training_flops(small, TASK.N_TRAIN) * TASK.EPOCHS),
        "trial_of_the_post": float(training_flops(whole, 33_600) * 30),
    }


def main() -> int:
    """Run one step, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["search", "final"])
    step = parser.parse_args().step
    WORK.mkdir(parents=True, exist_ok=True)
    made = kept(f"made_{step}.json", lambda: provenance(ROOT))
    record = json.loads(RECORD.read_bytes()) if RECORD.exists() else {}
    if step == "search":
        record["parameters"] = list(TASK.SPACE)
        record["n_trials"], record["fresh_seeds"] = N_TRIALS, FRESH_SEEDS
        record["n_startup"] = TASK.ALGORITHM.keywords["n_startup_jobs"]
        record["epochs"], record["n_train"] = TASK.EPOCHS, TASK.N_TRAIN
        record["flops"] = count_flops(POST_SETTINGS)
        record["seeds"] = {str(seed): compare(seed) for seed in range(SEEDS)}
        if (
            record.get("final", {}).get("ours", {}).get("settings")
            != record["seeds"]["0"]["tpe"]["best"]
        ):
            record.pop("final", None)  # of another winner
    else:
        ours = record["seeds"]["0"]["tpe"]["best"]
        final = {"width": FINAL_WIDTH, "epochs": FINAL_EPOCHS, "n_train": len(TASK.pool_images)}
        final["ours"], final["post"] = (
            {"settings": settings, "trainings": []} for settings in (ours, POST_SETTINGS)
        )
        for seed in range(2000, 2000 + FINAL_SEEDS):
            for name in ("ours", "post"):
                settings = final[name]["settings"]
                final[name]["trainings"].append(
                    kept(
                        f"final_{name}_{seed}.json",
                        lambda settings=settings, seed=seed: train_final(settings, seed),
                        of=[settings, FINAL_WIDTH, FINAL_EPOCHS],
                    )
                )
        final["mean_difference"] = float(
            np.mean([t["confirmation"][-1] for t in final["ours"]["trainings"]])
            - np.mean([t["confirmation"][-1] for t in final["post"]["trainings"]])
        )
        record["final"] = final
    record.setdefault("provenance", {})[step] = made
    for path in (RECORD, RECORDED_FOLDER / RECORD.name):
        # In one line: there are thousands of numbers, and nobody reads them one below another.
        write_atomically(path, json.dumps(to_plain(record)).encode() + b"\n")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
