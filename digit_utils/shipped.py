"""Trained networks saved small enough to come with the book.

One ``.npz`` holds the weights of networks of `models.build_shipped_cnn` as float16, and what is
known of their training as JSON. No pickle is read. Older files also describe their layers, which
are the same; that is not read any more.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digit_utils.io import json_bytes, parse_json, read_bytes, write_atomically
from digit_utils.models import build_shipped_cnn

FINAL_MODEL = Path(__file__).resolve().parent / "assets" / "final_model.npz"
WIDEST = 256  # filters in the first layer


class ShippedModelError(ValueError):
    """A file of networks is missing or damaged."""


def save_networks(
    path: str | Path, networks: Sequence[keras.Sequential], info: Mapping[str, Any]
) -> Path:
    """Save networks of one width in one file, weights rounded to float16.

    Rounding keeps about three significant digits of each weight; measure again what is loaded.
    ``info`` is what to remember of their training. Raises ValueError if a weight is NaN or does not
    fit float16.
    """
    arrays: dict[str, Any] = {
        "info": np.frombuffer(json_bytes(info), np.uint8),
        "n_networks": np.array(len(networks)),
    }
    for number, network in enumerate(networks):
        for index, weight in enumerate(network.get_weights()):
            with np.errstate(over="ignore"):
                small = weight.astype(np.float16)
            if not np.isfinite(small).all():
                raise ValueError(
                    f"weight {index} of network {number} holds NaN or goes beyond 65,504, the most "
                    "float16 can hold; nothing was saved"
                )
            arrays[f"network_{number}_weight_{index}"] = small
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return write_atomically(path, buffer.getvalue())


def load_networks(path: str | Path) -> tuple[list[keras.Model], dict[str, Any]]:
    """Load what `save_networks` saved; raise ShippedModelError if it is missing or damaged."""
    advice = "install digit_utils again" if Path(path) == FINAL_MODEL else "save the networks again"
    try:
        with np.load(io.BytesIO(read_bytes(Path(path))), allow_pickle=False) as file:
            info, number = parse_json(bytes(file["info"])), int(file["n_networks"])
            if number < 1 or not isinstance(info, dict):
                raise ValueError(f"found {number} networks and {type(info).__name__} as info")
            return [_load(file, index) for index in range(number)], info
    except FileNotFoundError as error:
        raise ShippedModelError(f"{path}: no such file; {advice}") from error
    except Exception as error:  # of zipfile, NumPy and Keras; there is no telling which
        raise ShippedModelError(
            f"{path}: is damaged or is not a file of networks ({error!s:.300}); {advice}"
        ) from error


def _load(file: Mapping[str, np.ndarray], number: int) -> keras.Model:
    width = file[f"network_{number}_weight_0"].shape[-1]
    if width > WIDEST:  # before the network is built: damage could ask for all the memory
        raise ValueError(f"found {width:,} filters in the first layer of network {number}")
    network = build_shipped_cnn(width)
    weights = [file[f"network_{number}_weight_{i}"] for i in range(len(network.weights))]
    if not all(weight.dtype.kind == "f" and np.isfinite(weight).all() for weight in weights):
        raise ValueError(f"a weight of network {number} is not a finite number")
    network.set_weights([weight.astype(np.float32) for weight in weights])
    return network


def load_final_model() -> tuple[list[keras.Model], dict[str, Any]]:
    """Load the networks that come with the book; they differ in the seed of their training.

    Each takes images (n, 28, 28, 1), float in [0, 1], and returns probabilities (n, 10). All
    learned from the 42,000 labelled images: only the 28,000 test images of ``load_digits()`` are
    new to them, not MNIST's own or Kaggle's. The info holds ``recipe``, ``seeds``, ``seconds`` of
    each training, ``selection`` (how the candidates did on left-out folds), ``chosen`` and
    ``provenance``. Raises as `load_networks` does. Taught in 06_final_model.
    """
    return load_networks(FINAL_MODEL)
