"""Choose and train the networks that ship with the book, in ``digit_utils/assets/final_model.npz``.

Two steps, in this order::

    python scripts/train_final_model.py select    # compare candidates on the labelled images
    python scripts/train_final_model.py train     # train the chosen one on all of them

``select`` counts each candidate's mistakes on left-out folds of the 42,000 labelled images, without
any test label. It keeps each fold in ``results/final_model_selection.json`` and resumes from there.

``train`` trains the members of the ensemble on all labelled images, one seed each, folds the batch
normalisation, rounds the weights to float16, saves them, and scores what it loads back: each member
alone, each with copies moved by a pixel, and all together. This opens the sealed test labels, once.
It writes ``results/final_model.json``. A member already trained is not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import keras
import numpy as np

from digit_utils.data import load_digits, prepare_images
from digit_utils.ensemble import average_probabilities, predict_with_tta
from digit_utils.evaluate import score_sealed_test
from digit_utils.fast import Recipe, train
from digit_utils.files import json_bytes, write_atomically
from digit_utils.folder_lock import claim_folder
from digit_utils.normalization import fold_batch_normalization
from digit_utils.provenance import provenance
from digit_utils.shipped import FINAL_MODEL, load_networks, save_networks
from digit_utils.training import forget_networks

ROOT = Path(__file__).resolve().parents[1]
SELECTION = ROOT / "results" / "final_model_selection.json"
RECORD = ROOT / "results" / "final_model.json"
WORK = ROOT / "_build" / "final_model"

LONGER = Recipe(epochs=16)
SLANTED = replace(LONGER, shear=0.25)
CANDIDATES = {
    "16 epochs": LONGER,
    "16 epochs, slant": SLANTED,
    "16 epochs, slant, dropout": replace(SLANTED, dropout=0.4),
    "width 24, 8 epochs, slant": replace(SLANTED, width=24, epochs=8),
    "32 epochs, slant": replace(SLANTED, epochs=32),
}
CHOSEN = "32 epochs, slant"
N_FOLDS = 5
MEMBERS = 5


def select(n_folds: int) -> None:
    """Count every candidate's mistakes on left-out folds."""
    digits = load_digits()
    folds = np.random.default_rng(0).permutation(len(digits.images)) % N_FOLDS
    found = json.loads(SELECTION.read_bytes()) if SELECTION.exists() else {"candidates": {}}
    made = provenance(ROOT)  # of the code that runs, whatever changes meanwhile
    for fold in range(n_folds):
        for name, recipe in CANDIDATES.items():
            entry = found["candidates"].setdefault(name, {"recipe": asdict(recipe), "folds": {}})
            if entry["recipe"] != asdict(recipe):
                raise SystemExit(f"{SELECTION}: {name!r} was another recipe; rename one of them")
            if str(fold) in entry["folds"]:
                continue
            inside = folds != fold
            trained = train(recipe, digits.images[inside], digits.labels[inside], fold)
            entry["folds"][str(fold)] = count_mistakes(
                trained.network, digits.images[~inside], digits.labels[~inside], trained.seconds
            )
            entry["folds"][str(fold)]["provenance"] = made
            write_atomically(SELECTION, json_bytes(found))
            print(name, fold, entry["folds"][str(fold)], flush=True)
            forget_networks()
    for row in selection_table():
        print(row)


def count_mistakes(network, images, labels, seconds) -> dict:
    """Count the mistakes on left-out images, with and without test-time augmentation."""
    network = as_shipped(network)
    prepared = prepare_images(images)
    plain = network.predict(prepared, batch_size=1000, verbose=0)
    shifted = predict_with_tta(network, prepared)
    return {
        "n_images": len(images),
        "mistakes": int(np.sum(plain.argmax(axis=1) != labels)),
        "mistakes_shifted": int(np.sum(shifted.argmax(axis=1) != labels)),
        "cross_entropy": cross_entropy(plain, labels),
        "seconds": seconds,
    }


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy at the network's best temperature.

    Label smoothing leaves a network underconfident; one factor on all logits corrects that for all
    images alike, so it must not decide between candidates.
    """
    logits = np.log(np.clip(probabilities, 1e-12, 1))
    found = []
    for sharpness in np.linspace(0.5, 3.0, 51):
        scaled = sharpness * logits
        scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        found.append(-scaled[np.arange(len(labels)), labels].mean())
    return float(min(found))


def selection_table() -> list[dict]:
    """Return one row a candidate: the sums over its folds, and the mean seconds."""
    rows = []
    for name, entry in json.loads(SELECTION.read_bytes())["candidates"].items():
        folds = list(entry["folds"].values())
        images = sum(fold["n_images"] for fold in folds)
        rows.append(
            {
                "candidate": name,
                "images": images,
                "mistakes": sum(fold["mistakes"] for fold in folds),
                "mistakes with moved copies": sum(fold["mistakes_shifted"] for fold in folds),
                "cross-entropy": sum(f["cross_entropy"] * f["n_images"] for f in folds) / images,
                "seconds": sum(fold["seconds"] for fold in folds) / len(folds),
            }
        )
    return rows


def as_shipped(network: keras.Sequential) -> keras.Sequential:
    """Return the network without batch normalisation, with probabilities as output."""
    folded = fold_batch_normalization(network)
    folded.add(keras.layers.Softmax())
    return folded


def train_final(members: int) -> None:
    """Train the chosen recipe on all labelled images, save it, and open the seal."""
    recipe = CANDIDATES[CHOSEN]
    if RECORD.exists():
        raise SystemExit(
            f"{RECORD.name} exists: the seal has been opened for this model. A new model needs "
            "a new record; move the old one to another name, so that its opening stays on record."
        )
    if not SELECTION.exists():
        raise SystemExit(f"{SELECTION.name} does not exist; run the step select first")
    chosen = json.loads(SELECTION.read_bytes())["candidates"].get(CHOSEN, {})
    if chosen.get("recipe") != asdict(recipe) or not chosen["folds"]:
        raise SystemExit(f"{SELECTION.name} has no folds of {CHOSEN!r}; run the step select first")
    check_chosen(json.loads(SELECTION.read_bytes())["candidates"])
    digits = load_digits()
    made = provenance(ROOT)
    networks, seconds, each_made = [], [], []
    for seed in range(members):
        path = WORK / f"member_{seed}.npz"
        if not path.exists():
            trained = train(recipe, digits.images, digits.labels, seed)
            info = {
                "recipe": asdict(recipe),
                "seed": seed,
                "seconds": trained.seconds,
                "provenance": made,
            }
            save_networks(path, [as_shipped(trained.network)], info)
            forget_networks()
        loaded, info = load_networks(path)
        if info["recipe"] != asdict(recipe):
            raise SystemExit(f"{path} was trained by another recipe; remove {WORK}")
        networks += loaded
        seconds.append(info["seconds"])
        each_made.append(info["provenance"])
        print(f"member {seed}: {info['seconds']:.0f} s", flush=True)
    record = {
        "recipe": asdict(recipe),
        "seeds": list(range(members)),
        "seconds": seconds,
        "chosen": CHOSEN,
        "selection": selection_table(),
    }
    record["provenance"] = made
    record["provenance_of_members"] = each_made
    save_networks(FINAL_MODEL, networks, record)
    # On record before it happens: whatever goes wrong below, the seal counts as opened.
    write_atomically(RECORD, json_bytes({**record, "sealed": None}))
    write_atomically(RECORD, json_bytes({**record, "sealed": open_seal(digits)}))


def check_chosen(candidates: dict) -> None:
    """Exit unless the chosen recipe won against all others on the same folds."""
    folds = {name: tuple(sorted(entry["folds"])) for name, entry in candidates.items()}
    if set(CANDIDATES) - set(folds) or len(set(folds.values())) != 1:
        raise SystemExit(
            f"{SELECTION.name} has these folds: {folds}; expected the same ones for each of "
            f"{', '.join(CANDIDATES)}. Run the step select to its end."
        )
    mistakes = {row["candidate"]: row["mistakes with moved copies"] for row in selection_table()}
    best = min(mistakes, key=mistakes.get)
    if mistakes[CHOSEN] > mistakes[best]:
        raise SystemExit(
            f"{SELECTION.name} has fewer mistakes for {best!r} than for {CHOSEN!r}, the one to be "
            "trained; the seal opens for the winner alone. Change CHOSEN, or the candidates."
        )


def open_seal(digits) -> dict:
    """Score what was shipped, as it is loaded, on the sealed test images."""
    networks, _ = load_networks(FINAL_MODEL)
    images = prepare_images(digits.test_images)
    plain = [network.predict(images, batch_size=1000, verbose=0) for network in networks]
    shifted = [predict_with_tta(network, images) for network in networks]

    def score(probabilities):
        scored = score_sealed_test(digits, probabilities.argmax(axis=1))
        return {"accuracy": scored.accuracy, "low": scored.low, "high": scored.high}

    singles = [score(one) for one in plain]
    found = {
        "single": singles,
        "single_mean": float(np.mean([one["accuracy"] for one in singles])),
        "single_shifted": [score(one) for one in shifted],
        "ensemble": score(average_probabilities(plain)),
        "ensemble_shifted": score(average_probabilities(shifted)),
    }
    print(json.dumps(found, indent=1))
    return found


def main() -> int:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("select", "train"))
    parser.add_argument(
        "--folds",
        type=int,
        choices=range(1, N_FOLDS + 1),
        default=1,
        help="folds to leave out, one by one (1 when the networks that ship were chosen)",
    )
    parser.add_argument(
        "--members",
        type=int,
        choices=range(1, 100),
        metavar="N",
        default=MEMBERS,
        help="networks of the ensemble",
    )
    options = parser.parse_args()
    with claim_folder(WORK):  # two at a time would overwrite each other's results
        if options.step == "select":
            select(options.folds)
        else:
            train_final(options.members)
    return 0


if __name__ == "__main__":
    sys.exit(main())
