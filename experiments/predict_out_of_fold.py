"""Predict labelled images by twins of the shipped networks that have not learned from them.

The labelled images lie in five folds, as in `train_final_model`. For each of the first ``--folds``
the members are trained on the other four by the recipe that shipped, and answer it: the first one
alone, and all together, their probabilities pooled. Resumes; opens no seal.
"""

import argparse
from dataclasses import asdict

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import numpy as np

from digit_utils.calibration import as_logits, fit_temperature
from digit_utils.data import load_digits, prepare_images
from digit_utils.ensemble import average_probabilities
from digit_utils.fast import Recipe, train
from digit_utils.io import claim_folder
from digit_utils.predictions import save_predictions
from digit_utils.provenance import provenance
from digit_utils.shipped import load_final_model, load_networks, save_networks
from digit_utils.training import forget_networks
from experiments import RECORDED, ROOT
from experiments.train_final_model import as_shipped

WORK = ROOT / "_build" / "out_of_fold"
FOLDS = 5


def answer(fold: int, seed: int, recipe: Recipe, digits, in_fold: np.ndarray) -> np.ndarray:
    """Return a twin's probabilities for the images of a fold; train it unless that was done."""
    path = WORK / f"fold_{fold}_seed_{seed}.npz"
    if not path.exists():
        trained = train(recipe, digits.images[~in_fold], digits.labels[~in_fold], seed)
        info = {"recipe": asdict(recipe), "seconds": trained.seconds}
        save_networks(path, [as_shipped(trained.network)], info)
        forget_networks()
        print(f"fold {fold}, seed {seed}: {trained.seconds:.0f} s", flush=True)
    (network,), info = load_networks(path)
    if info["recipe"] != asdict(recipe):
        raise SystemExit(f"{path} was trained by another recipe; remove {WORK}")
    return network.predict(prepare_images(digits.images[in_fold]), batch_size=1000, verbose=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, choices=range(1, FOLDS + 1), default=FOLDS)
    folds = range(parser.parse_args().folds)
    _, shipped = load_final_model()
    recipe, digits, made = Recipe(**shipped["recipe"]), load_digits(), provenance(ROOT)
    fold_of = np.random.default_rng(0).permutation(len(digits.images)) % FOLDS
    rows = np.concatenate([np.flatnonzero(fold_of == fold) for fold in folds])
    with claim_folder(WORK):
        members = [
            np.concatenate([answer(f, seed, recipe, digits, fold_of == f) for f in folds])
            for seed in shipped["seeds"]
        ]
    info = {
        "recipe": shipped["recipe"], "folds": len(folds), "n_members": len(members),
        "member_temperatures": [
            fit_temperature(as_logits(found), digits.labels[rows]) for found in members
        ],
        "provenance": made,
    }  # fmt: skip
    found = {"single": members[0], "ensemble": average_probabilities(members)}
    print(save_predictions(RECORDED / "out_of_fold.npz", rows, found, info))


if __name__ == "__main__":
    main()
