"""Where does an answer come from? Four ways to ask, on every Keras backend.

Each takes a network of (n, 28, 28, 1) to (n, 10) logits (the slope of probabilities vanishes where
it is sure), images in [0, 1] and a digit for each, and returns float32 maps (n, height, width) of a
size of its own. ValueError is raised for others. Taught in 11_looking_inside.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def saliency(network: keras.Sequential, images: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Return the size of the score's gradient by each pixel.

    Simonyan, Vedaldi and Zisserman (2013), arXiv:1312.6034.
    """
    _check(images, digits)
    return np.abs(gradient(lambda x: _score(network(x, training=False), digits), images))[..., 0]


def grad_cam(
    network: keras.Sequential, images: np.ndarray, digits: np.ndarray, after: int
) -> np.ndarray:
    """Return the maps behind layer ``after``, each weighted by its mean gradient, added up.

    Of the sum only what is above 0 remains. Selvaraju and others (2017), arXiv:1610.02391.
    """
    maps, slopes = _maps_and_slopes(network, images, digits, after)
    return np.maximum((slopes.mean(axis=(1, 2), keepdims=True) * maps).sum(axis=-1), 0)


def hires_cam(
    network: keras.Sequential, images: np.ndarray, digits: np.ndarray, after: int
) -> np.ndarray:
    """Return the maps behind layer ``after``, each value times its own gradient, added up.

    Where only one dense layer follows, a picture's sum plus the digit's bias is the digit's logit.
    Draelos and Carin (2020), arXiv:2011.08891.
    """
    maps, slopes = _maps_and_slopes(network, images, digits, after)
    return (slopes * maps).sum(axis=-1)


def occlusion(
    network: keras.Sequential,
    images: np.ndarray,
    digits: np.ndarray,
    size: int = 4,
    step: int = 2,
) -> np.ndarray:
    """Return how much the score falls when a square is blanked, one value per square.

    Squares have a side of ``size`` pixels and are ``step`` apart. Zeiler and Fergus (2013),
    arXiv:1311.2901.
    """
    _check(images, digits)
    if not 1 <= step <= size <= 28:
        raise ValueError(f"step is {step}, size {size}; expected 1 <= step <= size <= 28")
    rows, starts = np.arange(len(digits)), range(0, 28 - size + 1, step)

    def scores(images: np.ndarray) -> np.ndarray:
        return ops.convert_to_numpy(network(images, training=False))[rows, digits]

    whole = scores(images)
    falls = np.empty((len(digits), len(starts), len(starts)), np.float32)
    for i, j in np.ndindex(falls.shape[1:]):
        blanked = images.copy()
        blanked[:, starts[i] : starts[i] + size, starts[j] : starts[j] + size] = 0
        falls[:, i, j] = whole - scores(blanked)
    return falls


def gradient(function: Callable, values: Any) -> np.ndarray:
    """Differentiate a number by an array, by backpropagation."""
    values = ops.convert_to_tensor(values, "float32")
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(values)
            result = function(values)
        return tape.gradient(result, values).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(function)(values))
    import torch

    values = values.detach().requires_grad_(True)
    return torch.autograd.grad(function(values), values)[0].detach().cpu().numpy()


def _check(images: Any, digits: Any) -> None:
    if np.ndim(images) != 4 or len(images) != len(digits) or len(images) == 0:
        raise ValueError(
            f"images have shape {np.shape(images)}, digits {np.shape(digits)}; "
            "expected (n, 28, 28, 1) and one digit for each"
        )


def _maps_and_slopes(
    network: keras.Sequential, images: np.ndarray, digits: np.ndarray, after: int
) -> tuple[np.ndarray, np.ndarray]:
    _check(images, digits)
    layer = network.layers[after]
    if len(layer.output.shape) != 4:
        raise ValueError(
            f"layer {after}, {layer.name}, returns {layer.output.shape[1:]} a picture; "
            "expected maps (height, width, channels)"
        )
    maps = _run(network.layers[: after + 1], ops.convert_to_tensor(images, "float32"))
    rest = network.layers[after + 1 :]
    slopes = gradient(lambda maps: _score(_run(rest, maps), digits), maps)
    return ops.convert_to_numpy(maps), slopes


def _run(layers: list, values: Any) -> Any:
    for layer in layers:
        values = layer(values, training=False)
    return values


def _score(outputs: Any, digits: Any) -> Any:
    """Add up each image's score of its digit; the images do not touch one another."""
    return ops.sum(outputs * ops.one_hot(np.asarray(digits, "int32"), outputs.shape[-1]))
