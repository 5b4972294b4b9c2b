"""The fast recipe: everything a short training needs, in one place.

`Recipe` holds the choices, `train` carries them out, `Trainer` does so again and again.
07_how_fast_can_it_learn takes the main ones apart; all were set by trying on validation images.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from digit_utils.augment import RandomAffine
from digit_utils.corrupt_layer import RandomCorruption
from digit_utils.models import build_fast_cnn
from digit_utils.optimizers import ConvMuon, OneCycle
from digit_utils.training import set_seed


@dataclass(frozen=True)
class Recipe:
    """How to train a network in little time."""

    architecture: str = "lean"  # and width, filters of the first convolution: see `build_fast_cnn`
    width: int = 16
    normalization: str = "fused"  # or "keras" or "none"
    dropout: float = 0.0  # fraction of the last maps' values dropped before the outputs
    epochs: int = 3
    batch_size: int = 256
    optimizer: str = "muon"  # or "adamw"
    learning_rate: float = 0.06  # peak of the one-cycle schedule
    warmup: float = 0.25  # share of the steps until the peak; 0 holds the rate constant
    weight_decay: float = 0.02  # share of each kernel taken off a step, times the rate
    label_smoothing: float = 0.05  # probability spread over all digits in the target
    rotation: float = 10.0  # this to shear: as for `RandomAffine`; all 0 for no augmentation
    zoom: float = 0.1
    shift: float = 0.1
    shear: float = 0.0
    corruption: float = 0.0  # share of the images that `RandomCorruption` corrupts
    ema: float = 0.0  # momentum of the weights' moving average, which is kept; 0 for none


class OnDeviceImages(keras.layers.Layer):
    """Images kept beside the network, in its own memory, and fetched by their row number.

    ``fit`` then hands over four bytes per image instead of 3,136. ``images`` is uint8
    (n, height, width); raises ValueError for others.
    """

    def __init__(self, images: Any, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 3:
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; expected uint8 "
                "(n, height, width), as load_digits returns them"
            )
        # A variable and not a constant: XLA would fold a constant into the compiled program.
        self.images = self.add_weight(
            shape=images.shape, dtype="uint8", initializer="zeros", trainable=False, name="images"
        )
        self.images.assign(images)

    def call(self, rows: Any) -> Any:
        """Return images (batch, height, width, 1), float in [0, 1]."""
        return ops.cast(ops.take(self.images, rows, axis=0), "float32")[..., None] / 255.0


@dataclass
class Training:
    """A trained network, and what it took."""

    network: keras.Model
    epoch_seconds: list[float]  # the first holds preparation and compilation
    scores: list[float]  # after each epoch; empty without a scoring function

    @property
    def seconds(self) -> float:
        """Seconds of the training alone, preparation and compilation included, scoring not."""
        return sum(self.epoch_seconds)


def train(
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    score: Callable[[keras.Model], float] | None = None,
) -> Training:
    """Train a network by a recipe.

    ``images`` is uint8 (n, 28, 28), ``labels`` holds integers 0 to 9 (n,). ``seed`` sets the
    weights, the order of the images and their augmentation. ``score`` gets the network after every
    epoch and returns a number to record. Raises ValueError for other images, a label too few or too
    many, an unknown optimizer or normalisation, or a warmup of fewer than two steps.
    """
    return Trainer(recipe).train(images, labels, seed, score)


class Trainer:
    """Train many networks by one recipe, and trace the training step only once.

    Tracing takes as long as a short training itself; networks of one recipe, on equally many
    images, share the traced program. On TensorFlow each comes out as from the function `train`. On
    JAX and PyTorch Keras draws a first batch for each new program, so there the images come in
    another order from the second network on. Taught in 09_is_it_really_better.
    """

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self._traced: Any = None  # what `make_trainer` made, and the shape of its images

    def train(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seed: int = 0,
        score: Callable[[keras.Model], float] | None = None,
    ) -> Training:
        """Train a network; parameters, errors and result are those of the function `train`.

        ``score`` must not keep the network it gets: the next training continues in that one. The
        network returned is a copy of it.
        """
        start, recipe = time.perf_counter(), self.recipe
        if len(images) != len(labels) or len(images) == 0:
            raise ValueError(
                f"found {len(images)} images and {len(labels)} labels; "
                "expected one label per image, at least one"
            )
        fresh = model, network = make_trainer(recipe, images, seed)
        if self._traced and self._traced[2] == images.shape:
            model, network, _ = self._traced
            _copy_state(fresh[0], model)
        seconds, scores = [], []

        def after_epoch(epoch: int, logs: Any) -> None:
            nonlocal start  # the scoring in between is not timed
            seconds.append(time.perf_counter() - start)
            if score is not None:
                scores.append(float(score(network)))
            start = time.perf_counter()

        watch = keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)
        batches = make_batches(labels, recipe.batch_size, seed)
        model.fit(**batches, epochs=recipe.epochs, callbacks=[watch], verbose=0)
        if recipe.ema and score is not None:
            # Only at its end does fit put the averaged weights into the network.
            scores[-1] = float(score(network))
        self._traced = model, network, images.shape  # not before: a training may fail half-way
        copy = _build_network(recipe) if network is fresh[1] else fresh[1]
        copy.set_weights(network.get_weights())
        return Training(copy, seconds, scores)


def _copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copy all that a training changes: weights, statistics, random streams, the optimizer."""
    source.optimizer.build(source.trainable_variables)
    for old, new in ((source, target), (source.optimizer, target.optimizer)):
        for value, variable in zip(old.variables, new.variables, strict=True):
            variable.assign(value)


def _build_network(recipe: Recipe) -> keras.Model:
    return build_fast_cnn(recipe.width, recipe.normalization, recipe.dropout, recipe.architecture)


def make_trainer(
    recipe: Recipe, images: np.ndarray, seed: int = 0
) -> tuple[keras.Model, keras.Model]:
    """Return a compiled model that trains from row numbers, and the network inside it.

    ``model.fit(rows, one_hot_labels)`` fetches and augments the images of int32 ``rows`` and trains
    the network. Parameters and errors are those of `train`; sets the global seed.
    """
    set_seed(seed)
    network = _build_network(recipe)
    ranges = (recipe.rotation, recipe.zoom, recipe.shift)
    augmenters: list[keras.layers.Layer] = []
    if any(ranges) or recipe.shear:
        augmenters.append(RandomAffine(*ranges, seed=seed, shear=recipe.shear))
    if recipe.corruption:
        augmenters.append(RandomCorruption(recipe.corruption, seed))
    rows = keras.layers.Input((), dtype="int32")
    model = keras.Sequential([rows, OnDeviceImages(images), *augmenters, network])
    steps = -(-len(images) // recipe.batch_size)
    model.compile(
        _make_optimizer(recipe, steps * recipe.epochs),
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        # Callbacks and progress are served once in many steps, so their time does not count.
        # PyTorch knows single steps only.
        steps_per_execution=1 if keras.backend.backend() == "torch" else min(steps, 32),
    )
    return model, network


def _make_optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    known = {"muon": ConvMuon, "adamw": keras.optimizers.AdamW}
    if recipe.optimizer not in known:
        raise ValueError(f"optimizer is {recipe.optimizer!r}; expected one of {sorted(known)}")
    rate = recipe.learning_rate
    optimizer = known[recipe.optimizer](
        OneCycle(rate, steps, recipe.warmup) if recipe.warmup else rate,
        weight_decay=recipe.weight_decay,
        # Half-lives of a few dozen steps: the usual 0.999 remembers longer than we train.
        beta_2=0.99,
        use_ema=recipe.ema > 0,
        ema_momentum=recipe.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def make_batches(labels: np.ndarray, batch_size: int, seed: int = 0) -> dict:
    """Return arguments of ``fit`` to go through all rows in a new random order every epoch.

    These are row numbers and one-hot labels, from integers 0 to 9 (n,). ``seed`` sets the order on
    TensorFlow; elsewhere it follows from `training.set_seed`. Keras turns arrays into a TensorFlow
    pipeline that tunes itself, and waits up to half a second after every epoch for the tuner to
    stop; so on TensorFlow the pipeline is built here, without.
    """
    rows = np.arange(len(labels), dtype="int32")
    one_hot = keras.utils.to_categorical(labels, 10)
    if keras.backend.backend() != "tensorflow":
        return {"x": rows, "y": one_hot, "batch_size": batch_size}
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    batches = tf.data.Dataset.from_tensor_slices((rows, one_hot))
    batches = batches.shuffle(len(rows), seed=seed).batch(batch_size).with_options(options)
    return {"x": batches, "shuffle": False}  # it shuffles already
