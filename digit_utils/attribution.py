"""Where on an image does an answer come from? Three ways to ask, on every Keras backend.

Each takes a network of (n, 28, 28, 1) to (n, 10) logits (the slope of probabilities vanishes where
it is sure), images in [0, 1] and a class for each, and returns float32 (n, 28, 28). ValueError is
raised for others. Taught in 11_looking_inside.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def saliency(network: keras.Sequential, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return how much each pixel, changed a little, would change the score of a class.

    The size of the gradient: Simonyan, Vedaldi and Zisserman (2013), arXiv:1312.6034.
    """
    _check(images, classes)
    gradient = _gradient(lambda x: _score(network(x, training=False), classes), images)
    return np.abs(gradient)[..., 0]


def grad_cam(
    network: keras.Sequential, images: np.ndarray, classes: np.ndarray, after: int
) -> np.ndarray:
    """Return which places of a layer's maps speak for a class (Grad-CAM).

    Each map is weighted by the mean of the class score's gradient over its positions; of their sum
    only what is above 0 remains, enlarged bilinearly. ``after`` is the index of the layer, which
    must return maps. Selvaraju and others (2016), arXiv:1610.02391.
    """
    _check(images, classes)
    layer = network.layers[after]
    if len(layer.output.shape) != 4:
        raise ValueError(
            f"layer {after}, {layer.name}, returns {layer.output.shape[1:]} a picture; "
            "expected maps (height, width, channels)"
        )
    maps = _run(network.layers[: after + 1], ops.convert_to_tensor(images, "float32"))
    rest = network.layers[after + 1 :]
    gradient = _gradient(lambda x: _score(_run(rest, x), classes), maps)
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    speaks_for = np.maximum((weights * ops.convert_to_numpy(maps)).sum(axis=-1), 0)
    enlarged = ops.image.resize(speaks_for[..., None], (28, 28), data_format="channels_last")
    return ops.convert_to_numpy(enlarged)[..., 0]


def occlusion(
    network: keras.Sequential,
    images: np.ndarray,
    classes: np.ndarray,
    size: int = 5,
    step: int = 2,
) -> np.ndarray:
    """Return how much the score of a class falls when a square of the image is blanked.

    Squares have a side of ``size`` pixels and are ``step`` apart. Each pixel gets the mean fall
    over the squares that hold it. Zeiler and Fergus (2013), arXiv:1311.2901.
    """
    _check(images, classes)
    if not 1 <= step <= size <= 28:
        raise ValueError(f"step is {step}, size {size}; expected 1 <= step <= size <= 28")
    starts = sorted({*range(0, 28 - size + 1, step), 28 - size})
    places = [(row, column) for row in starts for column in starts]
    n = np.arange(len(classes))
    whole = network.predict(images, verbose=0)[n, classes]
    falls, counts = np.zeros((2, len(images), 28, 28), np.float32)
    for image, (fall, count) in enumerate(zip(falls, counts, strict=True)):
        blanked = np.repeat(images[image : image + 1], len(places), axis=0)
        for copy, (row, column) in zip(blanked, places, strict=True):
            copy[row : row + size, column : column + size] = 0
        scores = network.predict(blanked, batch_size=512, verbose=0)[:, classes[image]]
        for score, (row, column) in zip(scores, places, strict=True):
            fall[row : row + size, column : column + size] += whole[image] - score
            count[row : row + size, column : column + size] += 1
    return falls / counts


def _check(images: Any, classes: Any) -> None:
    if np.ndim(images) != 4 or len(images) != len(classes) or len(images) == 0:
        raise ValueError(
            f"images have shape {np.shape(images)}, classes {np.shape(classes)}; "
            "expected (n, 28, 28, 1) and one class for each"
        )


def _run(layers: list, values: Any) -> Any:
    for layer in layers:
        values = layer(values, training=False)
    return values


def _score(outputs: Any, classes: Any) -> Any:
    """Add up each image's score of its class; the images do not touch one another."""
    return ops.sum(outputs * ops.one_hot(np.asarray(classes, "int32"), outputs.shape[-1]))


def _gradient(function: Callable, values: Any) -> np.ndarray:
    """Differentiate a number by an array."""
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
