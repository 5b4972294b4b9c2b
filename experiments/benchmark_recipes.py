"""The recipes that are compared, trained on the same images.

`make` returns a recipe by name with the methods ``timed_epoch``, ``run`` and ``flops_an_epoch``.
Images are uint8 (n, 28, 28), labels integers.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers

from digit_utils.cost import training_flops
from digit_utils.data import prepare_images
from digit_utils.fast import Recipe, make_batches, make_trainer, train
from digit_utils.models import build_base_cnn, build_double_conv_cnn, build_fast_cnn
from digit_utils.training import make_repeatable


@dataclass
class TimedEpoch:
    """A training under way, with the batches of an epoch."""

    trainer: keras.Model
    network: keras.Model
    batches: dict

    def __call__(self) -> float:
        """Train one more epoch; return its seconds."""
        start = time.perf_counter()
        self.trainer.fit(**self.batches, epochs=1, verbose=0)
        return time.perf_counter() - start


class PostBase:
    """The post's base network: three convolutions, Adam, batches of 32, no augmentation."""

    title = "the post's base network"
    source = "https://github.com/naingthet/mnist"
    batch_size = 32
    epochs = 30
    settings: ClassVar[dict[str, Any]] = {}
    optimizer = "adam"
    build = staticmethod(build_base_cnn)
    callbacks: ClassVar[list] = []  # to make, beside early stopping
    early_stopping: ClassVar[dict | None] = {"min_delta": 0.001, "patience": 5}  # on the loss

    def compiled(self) -> keras.Model:
        """Return a new network, ready to train."""
        network = self.build()
        network.compile(self.optimizer, "categorical_crossentropy", metrics=["accuracy"])
        return network

    def batches(self, images, labels, seed) -> dict:
        """Return the arguments of ``fit`` that hold the data."""
        one_hot = keras.utils.to_categorical(labels, 10)
        return {"x": prepare_images(images), "y": one_hot, "batch_size": self.batch_size}

    def timed_epoch(self, images, labels) -> TimedEpoch:
        """Return a callable that trains one more epoch and returns its seconds."""
        keras.utils.set_random_seed(0)
        network = self.compiled()
        return TimedEpoch(network, network, self.batches(images, labels, 0))

    def run(self, images, labels, validation, seed) -> dict:
        """Train to the end; return the validation accuracy and the seconds of each epoch."""
        keras.utils.set_random_seed(seed)
        network = self.compiled()
        watch = Watch(prepare_images(validation[0]), validation[1], self.early_stopping)
        network.fit(
            **self.batches(images, labels, seed),
            epochs=self.epochs,
            callbacks=[watch, *(make() for make in self.callbacks)],  # watch scores for the others
            verbose=0,
        )
        return {
            "seed": seed,
            "accuracy": watch.accuracy,
            "epoch_seconds": watch.seconds,
            "stopped_after": watch.stopped_after,
        }

    def flops_an_epoch(self, n_images: int) -> int:
        """Count the operations of one epoch."""
        return training_flops(self.compiled(), n_images)


class PostDoubleConv(PostBase):
    """The post's second network, with its augmentation by ``ImageDataGenerator``, and RMSprop.

    It trains for 30 epochs with `ReduceLROnPlateau` and without early stopping, as in the post's
    search and final model; dropout, dense size and optimizer are those of its first training, which
    had a constant rate and was stopped after 22 epochs.
    """

    title = "the post's double-conv recipe"
    batch_size = 128
    optimizer = "rmsprop"
    build = staticmethod(build_double_conv_cnn)
    callbacks: ClassVar[list] = [
        lambda: keras.callbacks.ReduceLROnPlateau(monitor="val_accuracy", mode="max", patience=3)
    ]
    early_stopping = None

    def batches(self, images, labels, seed) -> dict:
        """Return the post's generator; Keras keeps it for old code, without a public name."""
        from keras.src.legacy.preprocessing.image import ImageDataGenerator

        generator = ImageDataGenerator(
            rotation_range=10, zoom_range=0.1, width_shift_range=0.1, height_shift_range=0.1
        )
        flow = generator.flow(
            prepare_images(images),
            keras.utils.to_categorical(labels, 10),
            batch_size=self.batch_size,
            seed=seed,
        )
        return {"x": flow}


class KerasIoConvnet(PostBase):
    """The keras.io example *Simple MNIST convnet*: two convolutions, dropout, Adam."""

    title = "keras.io `mnist_convnet`"
    source = "https://keras.io/examples/vision/mnist_convnet/"
    batch_size = 128
    epochs = 15
    early_stopping = None

    def build(self) -> keras.Model:
        """Return the network."""
        return keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(10, activation="softmax"),
            ]
        )


class Watch(keras.callbacks.Callback):
    """Score after each epoch, outside the measured time; stop as the post stops."""

    def __init__(self, images, labels, early_stopping):
        super().__init__()
        self.images, self.labels, self.early_stopping = images, labels, early_stopping
        self.accuracy, self.seconds, self.stopped_after = [], [], None
        self.best_loss, self.waited = np.inf, 0

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Stop the clock, score, and end the training if nothing has improved for long."""
        self.seconds.append(time.perf_counter() - self.start)
        probabilities = self.model.predict(self.images, batch_size=1000, verbose=0)
        self.accuracy.append(float(np.mean(probabilities.argmax(axis=1) == self.labels)))
        if logs is not None:
            logs["val_accuracy"] = self.accuracy[-1]
        if not self.early_stopping:
            return
        correct = probabilities[np.arange(len(self.labels)), self.labels]
        loss = float(-np.log(np.clip(correct, 1e-7, 1)).mean())
        self.waited += 1
        if loss < self.best_loss - self.early_stopping["min_delta"]:
            self.best_loss, self.waited = loss, 0
        if self.waited >= self.early_stopping["patience"]:
            self.stopped_after = epoch + 1
            self.model.stop_training = True


class Fast:
    """The book's fast recipe."""

    source = "notebooks/07_how_fast_can_it_learn.ipynb"

    def __init__(self, recipe: Recipe, title: str):
        self.recipe, self.title = recipe, title
        self.batch_size, self.epochs = recipe.batch_size, recipe.epochs
        self.settings = asdict(recipe)

    def timed_epoch(self, images, labels) -> TimedEpoch:
        """Return a callable that trains one more epoch and returns its seconds."""
        trainer, network = make_trainer(self.recipe, images, seed=0)
        return TimedEpoch(trainer, network, make_batches(labels, self.batch_size))

    def run(self, images, labels, validation, seed) -> dict:
        """Train to the end; return the validation accuracy and the seconds of each epoch."""
        x_validation = prepare_images(validation[0])

        def score(network):
            answers = network.predict(x_validation, batch_size=1000, verbose=0).argmax(axis=1)
            return np.mean(answers == validation[1])

        trained = train(self.recipe, images, labels, seed, score)
        return {
            "seed": seed,
            "accuracy": trained.scores,
            "epoch_seconds": trained.epoch_seconds,
            "stopped_after": None,
        }

    def flops_an_epoch(self, n_images: int) -> int:
        """Count the operations of one epoch."""
        network = build_fast_cnn(self.recipe.width, self.recipe.normalization)
        muon = self.recipe.optimizer == "muon"
        return training_flops(network, n_images, self.batch_size, muon)


def make(name: str) -> PostBase | Fast:
    """Return a recipe by name."""
    if name == "fast_repeatable":
        make_repeatable()
    made = {
        "post_base": PostBase,
        "post_double_conv": PostDoubleConv,
        "keras_io": KerasIoConvnet,
        "fast": lambda: Fast(Recipe(), "the book's fast recipe"),
        "fast_longer": lambda: Fast(Recipe(epochs=6), "the same, for six epochs"),
        "fast_repeatable": lambda: Fast(Recipe(), "the same, repeatable to the bit"),
    }
    return made[name]()
