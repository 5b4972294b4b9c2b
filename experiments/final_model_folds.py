"""Try kinds of networks for the final model, out of fold, without any test label.

The 42,000 labelled images are dealt into three folds. Each kind is trained three times, on two of
them, and predicts the third: so every image has a prediction of a network that has not seen it.
These lie in ``_build/final_model/folds``, a file a training; what exists is not made again.
"""

import argparse
import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import keras
import numpy as np
from sklearn.datasets import load_digits as load_small_digits

from digit_utils.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from digit_utils.data import load_digits, prepare_images
from digit_utils.fast import Recipe, train
from digit_utils.io import claim_folder, json_bytes, parse_json, write_atomically
from digit_utils.provenance import provenance
from digit_utils.training import forget_networks
from experiments import ROOT

WORK = ROOT / "_build" / "final_model" / "folds"
FOLDS = 3
N_CORRUPTED = 1000  # left-out images, each under 75 conditions

LEAN = Recipe(width=24, epochs=24, shear=0.25, corruption=0.5)
DROPPING = replace(LEAN, epochs=16, dropout=0.4)
KINDS = {
    "lean": LEAN,
    "full": replace(DROPPING, architecture="full", width=32),
    "strided": replace(DROPPING, architecture="strided", width=32),
    "deep": replace(DROPPING, architecture="lean_deep", epochs=20),
    "lean_clean": replace(LEAN, corruption=0.0),  # never shown a corrupted image
}


def fold_of_images(n_images: int) -> np.ndarray:
    """Return the fold of each image, 0 to 2."""
    return np.random.default_rng(0).permutation(n_images) % FOLDS


def load_trained(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the probabilities (n_left_out, 10) of a training, and what is known of it."""
    with np.load(path, allow_pickle=False) as file:
        return file["probabilities"].astype(np.float32), parse_json(bytes(file["info"]))


def train_folds() -> None:
    """Make what is missing, fold by fold."""
    digits = load_digits()
    folds = fold_of_images(len(digits.images))
    made = provenance(ROOT)  # of the code that runs, whatever changes meanwhile
    for fold in range(FOLDS):
        for name, recipe in KINDS.items():
            path = WORK / f"{name}_{fold}.npz"
            if path.exists():
                if Recipe(**load_trained(path)[1]["recipe"]) != recipe:
                    raise SystemExit(f"{path} was another recipe; rename one of them")
                continue
            inside = folds != fold
            trained = train(recipe, digits.images[inside], digits.labels[inside], fold)
            network = trained.network
            network.add(keras.layers.Softmax())
            images, labels = digits.images[~inside], digits.labels[~inside]
            probabilities = network.predict(prepare_images(images), batch_size=1000, verbose=0)
            info: dict[str, Any] = {
                "recipe": asdict(recipe),
                "fold": fold,
                "seconds": trained.seconds,
                "mistakes": int(np.sum(probabilities.argmax(axis=1) != labels)),
                "n_images": len(images),
                "robustness": measure_robustness(network, images[:N_CORRUPTED], labels),
                "provenance": made,
            }
            buffer = io.BytesIO()
            np.savez_compressed(
                buffer,
                probabilities=probabilities.astype(np.float16),
                info=np.frombuffer(json_bytes(info), np.uint8),
            )
            write_atomically(path, buffer.getvalue())
            network.save_weights(path.with_suffix(".weights.h5"))
            robust = info["robustness"]
            print(name, fold, f"{info['mistakes']} mistakes, {robust['corrupted']:.4f} corrupted,")
            print(
                f"  {robust['other_writers']:.4f} other writers, {trained.seconds:.0f} s",
                flush=True,
            )
            forget_networks()


def measure_robustness(
    network: keras.Model, images: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Return accuracies on corrupted images and other writers, and agreement on grey paper."""

    def predict(prepared: np.ndarray) -> np.ndarray:
        return network.predict(prepared, batch_size=1000, verbose=0).argmax(axis=1)

    clean = prepare_images(images)
    answers, labels = predict(clean), labels[: len(images)]
    changed = {f"paper {grey}": clean + grey for grey in (0.05, 0.1, 0.2, 0.3)}
    changed["half contrast"] = clean / 2
    by_corruption = {
        name: [
            float(np.mean(predict(prepare_images(corrupt(images, name, severity))) == labels))
            for severity in SEVERITIES
        ]
        for name in CORRUPTIONS
    }
    small, small_labels = prepare_small_digits()
    return {
        **{
            name: float(np.mean(predict(np.clip(some, 0, 1)) == answers))
            for name, some in changed.items()
        },
        "corrupted": float(np.mean(list(by_corruption.values()))),
        "by_corruption": by_corruption,
        "other_writers": float(np.mean(predict(prepare_images(small)) == small_labels)),
    }


def prepare_small_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's 1,797 digits, prepared as MNIST's were: uint8 (n, 28, 28), labels.

    The ink's box is scaled to 20 pixels and put with its centre of mass in the middle.
    """
    from scipy import ndimage

    small = load_small_digits()
    prepared = np.zeros((len(small.images), 28, 28))
    for target, image in zip(prepared, small.images / 16, strict=True):
        rows, columns = (np.flatnonzero(image.max(axis=axis) > 0.1) for axis in (1, 0))
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = 20 / max(box.shape)
        box = ndimage.zoom(box, scale, order=3, grid_mode=True, mode="grid-constant")
        box = np.clip(box, 0, 1)[:20, :20]
        middle = np.array(ndimage.center_of_mass(box))
        top, left = np.clip(np.round(13.5 - middle), 0, 28 - np.array(box.shape)).astype(int)
        target[top : top + box.shape[0], left : left + box.shape[1]] = box
    return np.round(255 * prepared).astype(np.uint8), small.target


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with claim_folder(WORK):
        train_folds()


if __name__ == "__main__":
    main()
