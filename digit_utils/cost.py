"""What a training costs: operations counted, and how fast this machine could do them at best.

Taught in 07_how_fast_can_it_learn.
"""

import time
from typing import Any

import keras
import numpy as np
from keras import ops

from digit_utils.optimizers import NEWTON_SCHULZ_STEPS, takes_orthogonal_step


def forward_flops(network: keras.Model) -> int:
    """Count the operations of one image's forward pass: the sum of `layer_flops`."""
    return sum(operations for _, operations in layer_flops(network))


def training_flops(
    network: keras.Model, n_images: int, batch_size: int = 0, muon: bool = False
) -> int:
    """Count the operations of one epoch of training on ``n_images`` images.

    Every layer with weights runs once forwards and twice backwards, for the gradients of its
    weights and of its input; the first layer's input, the images, needs none. ``muon`` adds the
    matrix products of `optimizers.ConvMuon` and needs ``batch_size``. Raises ValueError if that is
    missing, a layer cannot be counted or there is none to count.
    """
    forward = [operations for _, operations in layer_flops(network)]
    if not forward:
        raise ValueError("the network has no convolution and no dense layer; nothing to count")
    total = n_images * (3 * sum(forward) - forward[0])
    if muon:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}; expected at least 1 to count Muon's")
        steps = -(-n_images // batch_size)
        for weight in network.trainable_weights:
            if takes_orthogonal_step(shape := weight.shape):
                rows, columns = sorted((int(np.prod(shape[:-1])), int(shape[-1])))
                of_iteration = 2 * (2 * rows * rows * columns + rows**3)
                total += steps * NEWTON_SCHULZ_STEPS * of_iteration
    return total


def layer_flops(network: keras.Model) -> list[tuple[keras.layers.Layer, int]]:
    """Count the floating-point operations of one image in each layer with a kernel, in order.

    A multiplication and an addition are two operations, over every output position and the whole
    kernel. The network must be built; nested networks count too. Normalisation, activation and
    pooling are a few operations per value and are left out. Raises ValueError for a layer with a
    kernel that is neither Conv2D nor Dense.
    """
    found = []
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            found += layer_flops(layer)
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            positions = np.prod(layer.output.shape[1:-1])  # of nothing, for a vector, is 1
            found.append((layer, int(2 * positions * np.prod(layer.kernel.shape))))
        elif any(len(weight.shape) > 1 for weight in layer.trainable_weights):
            raise ValueError(
                f"{layer.name} is a {type(layer).__name__}; only Conv2D and Dense can be counted"
            )
    return found


def sgemm_peak(sizes: tuple[int, ...] = (1024, 2048, 4096), seconds: float = 0.5) -> float:
    """Measure the operations a second this machine reaches in a product of large matrices.

    A yardstick for training, which is made of such products and more. Square matrices of each of
    ``sizes``, in single precision, for ``seconds`` each; the best counts.
    """

    def multiply(left: Any, right: Any) -> None:
        # Wait for a number: accelerators, and JAX anywhere, compute after the call has returned.
        ops.convert_to_numpy(ops.matmul(left, right)[0, 0])

    best = 0.0
    for size in sizes:
        left, right = (keras.random.uniform((size, size), seed=seed) for seed in (0, 1))
        multiply(left, right)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            start = time.perf_counter()
            multiply(left, right)
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
