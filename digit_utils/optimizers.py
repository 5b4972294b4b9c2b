"""Muon for convolutions, and a learning rate that rises and falls once.

Taught in 07_how_fast_can_it_learn.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# Coefficients of the quintic iteration, from https://github.com/KellerJordan/Muon.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


@keras.saving.register_keras_serializable(package="digit_utils")
class ConvMuon(keras.optimizers.AdamW):
    """Muon for the kernels of convolutions, AdamW for everything else.

    Muon replaces each step by the nearest orthogonal matrix, so that it goes equally far in every
    direction of the gradient. A kernel becomes a matrix by flattening all but its last axis.
    Keras's own ``Muon`` leaves convolutions to AdamW; here all but convolutions of several channels
    take AdamW's step at the same ``learning_rate``, for which 0.02 to 0.08 are fair starts.
    ``momentum`` is that of the orthogonal steps, Nesterov's; ``options`` are AdamW's. Jordan and
    others (2024), https://kellerjordan.github.io/posts/muon/.
    """

    def __init__(self, learning_rate: Any = 0.04, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(learning_rate=learning_rate, **{"name": "conv_muon", **options})
        self.momentum = momentum

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable by one step."""
        if not takes_orthogonal_step(variable.shape):
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self._momentums[self._get_variable_index(variable)]
        self.assign(velocity, velocity * self.momentum + gradient)
        step = ops.reshape(gradient + velocity * self.momentum, (-1, variable.shape[-1]))
        step = ops.reshape(orthogonalize(step), variable.shape)
        self.assign_sub(variable, step * ops.cast(learning_rate, variable.dtype))

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the optimizer again."""
        return {**super().get_config(), "momentum": self.momentum}


def takes_orthogonal_step(shape: Sequence[int]) -> bool:
    """Return whether `ConvMuon` orthogonalises the step of a variable of this shape."""
    return len(shape) == 4 and shape[2] > 1


def orthogonalize(matrix: Any) -> Any:
    """Return roughly the nearest matrix with orthonormal rows or columns, whichever are fewer.

    Five Newton-Schulz steps push the singular values of a float (m, n) matrix towards one. Most end
    between 0.7 and 1.2, which is good enough; those below a hundredth of the largest stay shorter.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:
        matrix = ops.transpose(matrix)
    matrix = matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = ops.matmul(matrix, ops.transpose(matrix))
        matrix = a * matrix + ops.matmul(b * square + c * ops.matmul(square, square), matrix)
    return ops.transpose(matrix) if tall else matrix


@keras.saving.register_keras_serializable(package="digit_utils")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises from zero to its peak and falls back to zero, both linearly.

    ``steps`` counts all training steps, of which the first has a rate of zero; ``warmup`` is the
    share of them that rises. Raises ValueError for fewer than two steps or a share not strictly
    between 0 and 1. Smith and Topin (2017), arXiv:1708.07120.
    """

    def __init__(self, peak: float, steps: int, warmup: float = 0.25) -> None:
        if steps < 2:
            raise ValueError(
                f"steps is {steps!r}; expected at least two, since the first has a learning rate "
                "of zero; train on more images, for more epochs or in smaller batches"
            )
        if not 0 < warmup < 1:
            raise ValueError(f"warmup is {warmup!r}; expected a share above 0 and below 1")
        self.peak, self.steps, self.warmup = peak, steps, warmup

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step."""
        done = ops.cast(step, "float32") / self.steps
        return self.peak * ops.maximum(
            0.0, ops.minimum(done / self.warmup, (1.0 - done) / (1.0 - self.warmup))
        )

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the schedule again."""
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}
