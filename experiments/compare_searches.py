"""Compare TPE with random search over several seeds, and the winner with the post's settings.

``search`` runs both methods on the small trials of ``searches/post_space.py``, with the same random
trials at the start, once per seed, which changes proposals and trainings. Each winner is trained
again with fresh seeds and scored on images that no search saw. ``final`` trains the post's network
at half width with TPE's settings of seed 0 and with the post's. Both resume; no test label is used.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import keras
from hyperopt import rand

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
from experiments import RECORDED, ROOT

RECORD = RECORDED / "search_comparison.json"
WORK = ROOT / "_build" / "search_comparison"
TASK = load_search(ROOT / "searches" / "post_space.py")
X_CONFIRM = prepare_images(TASK.confirm_images)

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


def build(settings: dict[str, Any], width: int) -> keras.Model:
    """Build the double-conv network with a trial's settings."""
    dropout = [settings[f"dropout_{place}"] for place in (1, 2, 3, 4)]
    return build_double_conv_cnn(width, dropout, settings["dense_units"])


def compare(seed: int) -> dict[str, Any]:
    """Run both methods with one seed, and train both winners again."""

    def objective(settings, report):
        network = TASK.train(settings, seed, report)
        return -accuracy(TASK.validation_labels, TASK.predict(network, TASK.x_validation))

    def progress(trials, of):
        print(f"seed {seed}: {len(trials)} of {of}", file=sys.stderr, flush=True)

    found, known = {}, []
    for name, algorithm in (("tpe", TASK.ALGORITHM), ("random", rand.suggest)):
        search = run_search(
            objective, TASK.SPACE, algorithm, N_TRIALS, WORK / f"{name}_{seed}", seed,
            TASK.DEPENDS_ON, known=known, progress=progress,
        )  # fmt: skip
        trials, best = search.trials, search.best.parameters
        known = [*known, *trials]
        of = [best, FRESH_SEEDS, TASK.EPOCHS, TASK.WIDTH]
        found[name] = {
            "settings": [list(trial.parameters.values()) for trial in trials],
            "losses": [trial.loss for trial in trials],
            "curves": [trial.curve for trial in trials],
            "trained": sum(trial.seconds > 0 for trial in trials),
            "seconds": round(sum(trial.seconds for trial in trials), 1),
            "best": best,
            "retrained": kept(f"retrained_{name}_{seed}.json", partial(retrain, best, seed), of),
        }
    return found


def retrain(settings: dict[str, Any], seed: int) -> list[dict[str, float]]:
    """Train with fresh seeds; score on validation images and on those no search saw."""
    scores = []
    for fresh in range(1000 * (seed + 1), 1000 * (seed + 1) + FRESH_SEEDS):
        network = TASK.train(settings, fresh)
        validation = accuracy(TASK.validation_labels, TASK.predict(network, TASK.x_validation))
        confirmation = accuracy(TASK.confirm_labels, TASK.predict(network, X_CONFIRM))
        scores.append({"validation": validation, "confirmation": confirmation})
    return scores


def train_final(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train the post's network at half width on the whole pool; score it after each epoch."""
    start = time.perf_counter()
    forget_networks()
    set_seed(seed)
    network = build(settings, FINAL_WIDTH)
    trainer = with_augmentation(network, RandomAffine(seed=seed))
    trainer.compile(settings["optimizer"], "sparse_categorical_crossentropy")
    scores = []

    def score(epoch, logs):
        scores.append(accuracy(TASK.confirm_labels, TASK.predict(network, X_CONFIRM)))

    trainer.fit(
        prepare_images(TASK.pool_images), TASK.pool_labels, batch_size=128, epochs=FINAL_EPOCHS,
        verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=score)],
    )  # fmt: skip
    print(f"{settings}, seed {seed}: {scores[-1]:.4f}", file=sys.stderr, flush=True)
    return {"confirmation": scores, "seconds": round(time.perf_counter() - start, 1)}


def search() -> dict[str, Any]:
    """Return what the searches found, and what a small trial and one of the post's cost."""
    small, whole = build(POST_SETTINGS, TASK.WIDTH), build(POST_SETTINGS, 32)
    return {
        "parameters": list(TASK.SPACE),
        "n_trials": N_TRIALS,
        "n_startup": TASK.ALGORITHM.keywords["n_startup_jobs"],
        "epochs": TASK.EPOCHS,
        "n_train": TASK.N_TRAIN,
        "flops": {
            "trial": float(training_flops(small, TASK.N_TRAIN) * TASK.EPOCHS),
            "trial_of_the_post": float(training_flops(whole, 33_600) * 30),
        },
        "seeds": {str(seed): compare(seed) for seed in range(SEEDS)},
    }


def final(best: dict[str, Any]) -> dict[str, Any]:
    """Return what the trainings of the best settings and of the post's reached."""
    found = {"width": FINAL_WIDTH, "epochs": FINAL_EPOCHS, "n_train": len(TASK.pool_images)}
    for name, settings in (("ours", best), ("post", POST_SETTINGS)):
        of = [settings, FINAL_WIDTH, FINAL_EPOCHS]
        trainings = [
            kept(f"final_{name}_{seed}.json", partial(train_final, settings, seed), of)
            for seed in range(2000, 2000 + FINAL_SEEDS)
        ]
        found[name] = {"settings": settings, "trainings": trainings}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["search", "final"])
    step = parser.parse_args().step
    WORK.mkdir(parents=True, exist_ok=True)
    made = kept(f"made_{step}.json", lambda: provenance(ROOT))
    if step == "search":
        record = {**search(), "provenance": {}}
    else:
        record = json.loads(RECORD.read_bytes())
        record["final"] = final(record["seeds"]["0"]["tpe"]["best"])
    record["provenance"][step] = made
    # In one line: there are thousands of numbers, and nobody reads them one below another.
    write_atomically(RECORD, json.dumps(to_plain(record)).encode() + b"\n")
    print(f"wrote {RECORD.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
