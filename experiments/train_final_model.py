"""Choose and train the networks that ship with the book, in ``digit_utils/assets/final_model.npz``.

``select`` counts each candidate's errors on a left-out fifth of the 42,000 labelled images, without
any test label. ``train`` trains the ensemble on all of these, one seed a member, and scores what it
saved, weights in float16: each member alone, each with test-time augmentation, and all together.
This opens the sealed test labels, once. Both resume.
"""

import argparse
import json
from dataclasses import asdict, replace

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import keras
import numpy as np

from digit_utils.calibration import fit_temperature, log_losses
from digit_utils.data import load_digits, prepare_images
from digit_utils.ensemble import average_probabilities, predict_with_tta
from digit_utils.evaluate import score_sealed_test
from digit_utils.fast import Recipe, train
from digit_utils.io import claim_folder, json_bytes, write_atomically
from digit_utils.models import build_shipped_cnn
from digit_utils.provenance import provenance
from digit_utils.shipped import FINAL_MODEL, load_networks, save_networks
from digit_utils.training import forget_networks
from experiments import RESULTS, ROOT, refuse_second_opening, write_record

SELECTION = RESULTS / "final_model_selection.json"
RECORD = RESULTS / "final_model.json"
WORK = ROOT / "_build" / "final_model"

LONGER = Recipe(epochs=16)
SHEARED = replace(LONGER, shear=0.25)
CANDIDATES = {  # "slant" is what the record calls shear
    "16 epochs": LONGER,
    "16 epochs, slant": SHEARED,
    "16 epochs, slant, dropout": replace(SHEARED, dropout=0.4),
    "width 24, 8 epochs, slant": replace(SHEARED, width=24, epochs=8),
    "32 epochs, slant": replace(SHEARED, epochs=32),
}
CHOSEN = "32 epochs, slant"
FOLD = "0"  # of five: the fifth that is left out, as the record calls it
MEMBERS = 5


def read_selection() -> dict:
    """Return what is known of the candidates; exit if one was another recipe than it is now."""
    found = json.loads(SELECTION.read_bytes()) if SELECTION.exists() else {"candidates": {}}
    for name, recipe in CANDIDATES.items():
        entry = found["candidates"].setdefault(name, {"recipe": asdict(recipe), "folds": {}})
        if Recipe(**entry["recipe"]) != recipe:
            raise SystemExit(f"{SELECTION}: {name!r} was another recipe; rename one of them")
    return found


def select() -> None:
    """Count every candidate's errors on the left-out images."""
    digits, found = load_digits(), read_selection()
    inside = np.random.default_rng(0).permutation(len(digits.images)) % 5 != int(FOLD)
    made = provenance(ROOT)  # of the code that runs, whatever changes meanwhile
    for name, recipe in CANDIDATES.items():
        folds = found["candidates"][name]["folds"]
        if FOLD in folds:
            continue
        trained = train(recipe, digits.images[inside], digits.labels[inside], int(FOLD))
        errors = count_errors(trained.network, digits.images[~inside], digits.labels[~inside])
        folds[FOLD] = {**errors, "seconds": trained.seconds, "provenance": made}
        write_atomically(SELECTION, json_bytes(found))
        print(name, errors, flush=True)
        forget_networks()
    print(*selection_table(), sep="\n")


def count_errors(network: keras.Sequential, images: np.ndarray, labels: np.ndarray) -> dict:
    """Count the errors on left-out images, with and without test-time augmentation."""
    network = as_shipped(network)
    prepared = prepare_images(images)
    plain = network.predict(prepared, batch_size=1000, verbose=0)
    shifted = predict_with_tta(network, prepared)
    logits = np.log(np.clip(plain, 1e-12, 1))
    return {
        "n_images": len(images),
        "mistakes": int(np.sum(plain.argmax(axis=1) != labels)),
        "mistakes_shifted": int(np.sum(shifted.argmax(axis=1) != labels)),
        # Label smoothing leaves all of them underconfident, which must not decide between them.
        "cross_entropy": float(log_losses(logits, labels, fit_temperature(logits, labels)).mean()),
    }


def selection_table() -> list[dict]:
    """Return one row a candidate; exit unless all have been tried."""
    rows = []
    for name, entry in read_selection()["candidates"].items():
        fold = entry["folds"].get(FOLD)
        if fold is None:
            raise SystemExit(f"{SELECTION.name} lacks {name!r}; run the step select to its end")
        rows.append(
            {
                "candidate": name,
                "images": fold["n_images"],
                "mistakes": fold["mistakes"],
                "mistakes with moved copies": fold["mistakes_shifted"],
                "cross-entropy": fold["cross_entropy"],
                "seconds": fold["seconds"],
            }
        )
    return rows


def as_shipped(network: keras.Sequential) -> keras.Sequential:
    """Return the network with its batch normalisation folded in, and probabilities as output."""
    weights: list[list[np.ndarray]] = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # after a convolution without bias
            offset, mean, variance = layer.get_weights()
            scale = 1.0 / np.sqrt(variance + layer.epsilon)
            weights[-1] = [weights[-1][0] * scale, -mean * scale + offset]
        elif layer.get_weights():
            weights.append(layer.get_weights())
    shipped = build_shipped_cnn(network.layers[0].filters)
    shipped.set_weights(sum(weights, []))
    return shipped


def train_final() -> None:
    """Train the chosen recipe on all labelled images, save it, and open the seal."""
    recipe = CANDIDATES[CHOSEN]
    refuse_second_opening(RECORD, "model")
    table = selection_table()
    fewest = min(row["mistakes with moved copies"] for row in table)
    best = [row["candidate"] for row in table if row["mistakes with moved copies"] == fewest]
    if CHOSEN not in best:
        raise SystemExit(
            f"{SELECTION.name} has fewer errors for {best[0]!r} than for {CHOSEN!r}, the one to be "
            "trained; the seal opens for the winner alone. Change CHOSEN, or the candidates."
        )
    digits = load_digits()
    made = provenance(ROOT)
    networks, infos = [], []
    for seed in range(MEMBERS):
        path = WORK / f"member_{seed}.npz"
        if not path.exists():
            trained = train(recipe, digits.images, digits.labels, seed)
            info = {"recipe": asdict(recipe), "seed": seed, "seconds": trained.seconds}
            save_networks(path, [as_shipped(trained.network)], {**info, "provenance": made})
            forget_networks()
        loaded, info = load_networks(path)
        if Recipe(**info["recipe"]) != recipe:
            raise SystemExit(f"{path} was trained by another recipe; remove {WORK}")
        networks += loaded
        infos.append(info)
        print(f"member {seed}: {info['seconds']:.0f} s", flush=True)
    record = {
        "recipe": asdict(recipe),
        "seeds": list(range(MEMBERS)),
        "seconds": [info["seconds"] for info in infos],
        "chosen": CHOSEN,
        "selection": table,
        "provenance": made,
        "provenance_of_members": [info["provenance"] for info in infos],
    }
    save_networks(FINAL_MODEL, networks, record)
    # On record before it happens: whatever goes wrong below, the seal counts as opened.
    write_record(RECORD, {**record, "sealed": None})
    write_record(RECORD, {**record, "sealed": open_seal(digits)})


def open_seal(digits) -> dict:
    """Score what was shipped, as it is loaded, on the sealed test images."""
    networks, _ = load_networks(FINAL_MODEL)
    images = prepare_images(digits.test_images)
    plain = [network.predict(images, batch_size=1000, verbose=0) for network in networks]
    shifted = [predict_with_tta(network, images) for network in networks]

    def score(probabilities):
        scored = score_sealed_test(digits, probabilities.argmax(axis=1))
        return {"accuracy": scored.accuracy, "low": scored.low, "high": scored.high}

    found = {
        "single": [score(one) for one in plain],
        "single_shifted": [score(one) for one in shifted],
        "ensemble": score(average_probabilities(plain)),
        "ensemble_shifted": score(average_probabilities(shifted)),
    }
    print(json.dumps(found, indent=1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("select", "train"))
    step = parser.parse_args().step
    with claim_folder(WORK):  # two at a time would overwrite each other's results
        select() if step == "select" else train_final()


if __name__ == "__main__":
    main()
