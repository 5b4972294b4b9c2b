"""Trained networks saved small enough to come with the book.

One ``.npz`` holds the layers as JSON and the weights as float16. No pickle is read. The JSON holds
only what a layer needs to predict: Keras's own names options that older versions do not know.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digit_utils.files import json_bytes, read_bytes, write_atomically
from digit_utils.strict_json import parse_json

# The layers that can be stored, and what makes one differ from another of its kind.
OPTIONS = {
    "Conv2D": (
        "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation",
        "use_bias",
    ),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Flatten": (),
    "Dense": ("units", "activation", "use_bias"),
    "Softmax": ("axis",),
}  # fmt: skip

MOST_NETWORKS = 1000
FINAL_MODEL = Path(__file__).resolve().parent / "assets" / "final_model.npz"


class ShippedModelError(ValueError):
    """A file of networks is missing or damaged."""


def save_networks(
    path: str | Path, networks: Sequence[keras.Sequential], info: Mapping[str, Any]
) -> Path:
    """Save networks of the same layers in one file, weights rounded to float16.

    Rounding keeps about three significant digits of each weight; measure again what is loaded.
    ``info`` is what to remember of their training. Raises ValueError if there is no network, a
    layer is not in `OPTIONS`, the layers differ, or a weight is NaN or does not fit float16.
    """
    if not networks:
        raise ValueError("no network to save; expected at least one")
    kinds = [_describe(network) for network in networks]
    if any(other != kinds[0] for other in kinds):
        raise ValueError("the networks differ in their layers; save them in files of their own")
    arrays: dict[str, Any] = {
        "layers": np.frombuffer(json_bytes(kinds[0]), np.uint8),
        "info": np.frombuffer(json_bytes(info), np.uint8),
        "n_networks": np.array(len(networks)),
    }
    for number, network in enumerate(networks):
        for index, weight in enumerate(network.get_weights()):
            if np.isnan(weight).any():
                raise ValueError(f"weight {index} of network {number} holds NaN; it was not saved")
            with np.errstate(over="ignore"):
                small = weight.astype(np.float16)
            if not np.isfinite(small).all():
                raise ValueError(
                    f"weight {index} of network {number} goes beyond 65,504, the most float16 "
                    "can hold; it was not saved"
                )
            arrays[_key(number, index)] = small
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return write_atomically(path, buffer.getvalue())


def load_networks(path: str | Path) -> tuple[list[keras.Model], dict[str, Any]]:
    """Load what `save_networks` saved; raise ShippedModelError if it is missing or damaged."""
    try:
        with np.load(io.BytesIO(read_bytes(Path(path))), allow_pickle=False) as file:
            layers, info = (parse_json(bytes(file[name])) for name in ("layers", "info"))
            number = int(file["n_networks"])
            if not 1 <= number <= MOST_NETWORKS or not isinstance(info, dict):
                raise ValueError(f"found {number} networks and {type(info).__name__} as info")
            return [_rebuild(layers, file, index) for index in range(number)], info
    except FileNotFoundError as error:
        raise ShippedModelError(f"{path}: no such file; {_advice(path)}") from error
    except Exception as error:  # of zipfile, NumPy and Keras; there is no telling which
        raise ShippedModelError(
            f"{path}: is damaged or is not a file of networks ({error!s:.300}); {_advice(path)}"
        ) from error


def load_final_model() -> tuple[list[keras.Model], dict[str, Any]]:
    """Load the networks that come with the book; they differ in the seed of their training.

    Each takes images (n, 28, 28, 1), float in [0, 1], and returns probabilities (n, 10). All
    learned from the 42,000 labelled images (``experiments/train_final_model.py``). Do not score
    them on MNIST's own test images or on Kaggle's, most of which they have learned from: only the 28,000
    test images of ``load_digits()`` are new to them. The info holds ``recipe``, ``seeds``,
    ``seconds`` of each training, ``selection`` (how the candidates did on left-out folds),
    ``chosen`` and ``provenance``. Raises as `load_networks` does.

    Taught in 06_final_model.
    """
    return load_networks(FINAL_MODEL)


def _advice(path: str | Path) -> str:
    return "install digit_utils again" if Path(path) == FINAL_MODEL else "save the networks again"


def _rebuild(described: dict[str, Any], file: Mapping[str, np.ndarray], number: int) -> keras.Model:
    shape = (None, *described["input_shape"])
    network = keras.Sequential([keras.layers.Input(shape[1:])])
    weights: list[np.ndarray] = []
    for kind, options in described["layers"]:
        if kind not in OPTIONS:
            raise ValueError(f"found a layer {kind!r:.60}; expected one of {sorted(OPTIONS)}")
        if set(options) != set(OPTIONS[kind]):
            raise ValueError(f"found {sorted(options)} as options of {kind}")
        layer = getattr(keras.layers, kind)(**options)
        for expected in _weight_shapes(layer, shape[-1]):
            key = _key(number, len(weights))
            weight = file[key]
            # Looked at before the layer is built: a damaged size could ask for all the memory.
            if (
                weight.dtype.kind != "f"
                or weight.shape != expected
                or not np.isfinite(weight).all()
            ):
                raise ValueError(f"{key} is not {expected} finite numbers")
            weights.append(weight.astype(np.float32))
        shape = layer.compute_output_shape(shape)
        network.add(layer)
    network.set_weights(weights)
    return network


def _weight_shapes(layer: keras.layers.Layer, channels: int) -> list[tuple[int, ...]]:
    """Return the shapes of the weights of a layer that is not built yet."""
    if isinstance(layer, keras.layers.Dense):
        kernel = (channels, layer.units)
    elif isinstance(layer, keras.layers.Conv2D):
        kernel = (*layer.kernel_size, channels // layer.groups, layer.filters)
    else:
        return []
    return [kernel, kernel[-1:]] if layer.use_bias else [kernel]


def _describe(network: keras.Sequential) -> dict[str, Any]:
    """Return the input's shape, and each layer's kind and options."""
    layers = []
    for layer in network.layers:
        kind, config = type(layer).__name__, layer.get_config()
        if kind not in OPTIONS:
            raise ValueError(
                f"{layer.name} is a {kind}; only {', '.join(OPTIONS)} can be stored. Fold batch "
                "normalisation and leave out dropout first, with fold_batch_normalization"
            )
        layers.append([kind, {option: config[option] for option in OPTIONS[kind]}])
    return {"input_shape": network.input_shape[1:], "layers": layers}


def _key(network: int, weight: int) -> str:
    return f"network_{network}_weight_{weight}"
