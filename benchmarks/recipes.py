"""The recipes that are compared, trained on the same images.

`make` returns a recipe by name with the methods ``timed_epoch``, ``run`` and ``flops_an_epoch``.
Images are uint8 (n, 28, 28), labels integers.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import keras
import numpy as np
from keras import layers

from digit_utils.cost import training_flops
from digit_utils.data import prepare_images
from digit_utils.fast import Recipe, make_batches, make_trainer, train
from digit_utils.models import build_base_cnn, build_double_conv_cnn, build_fast_cnn
from digit_utils.training import enable_determinism


class PostBase:
    """The post's base network: three convolutions, Adam, batches of 32, no augmentation."""

    title = "the post's base network"
    source = "https://github.com/naingthet/mnist"
    batch_size = 32
    epochs = 30
    validation_stops_it = {"min_delta": 0.001, "patience": 5}  # on the validation loss, as there

    def build(self) -> keras.Model:
        """Return the compiled network."""
        network = build_base_cnn()
        network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        return network

    def callbacks(self):
        """Return the callbacks beside early stopping."""
        return []

    def batches(self, images, labels, seed):
        """Return the arguments of ``fit`` that hold the data."""
        return {
            "x": prepare_images(images),
            "y": keras.utils.to_categorical(labels, 10),
            "batch_size": self.batch_size,
        }


class PostDoubleConv(PostBase):
    """The post's second network, with its augmentation by ``ImageDataGenerator``, and RMSprop.

    It trains for 30 epochs with `ReduceLROnPlateau` and without early stopping, as in the post's
    search and final model; dropout, dense size and optimizer are those of its first training, which
    had a constant rate and was stopped after 22 epochs.
    """

    title = "the post's double-conv recipe"
    batch_size = 128
    validation_stops_it = None

    def callbacks(self):
        """Return the post's learning-rate schedule."""
        return [keras.callbacks.ReduceLROnPlateau(monitor="val_accuracy", mode="max", patience=3)]

    def build(self) -> keras.Model:
        """Return the compiled network."""
        network = build_double_conv_cnn()
        network.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
        return network

    def batches(self, images, labels, seed):
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
    validation_stops_it = None

    def build(self) -> keras.Model:
        """Return the compiled network."""
        network = keras.Sequential(
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
        network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        return network


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


class Fit:
    """A recipe that ``fit`` carries out: train epoch by epoch, or to the end."""

    def __init__(self, recipe: PostBase):
        self.recipe = recipe
        self.title, self.source = recipe.title, recipe.source
        self.batch_size, self.epochs, self.settings = recipe.batch_size, recipe.epochs, {}

    def timed_epoch(self, images, labels) -> TimedEpoch:
        """Return a callable that trains one more epoch and returns its seconds."""
        keras.utils.set_random_seed(0)
        network = self.recipe.build()
        return TimedEpoch(network, network, self.recipe.batches(images, labels, 0))

    def run(self, images, labels, validation, seed) -> dict:
        """Train to the end; return the validation accuracy and the seconds of each epoch."""
        keras.utils.set_random_seed(seed)
        network = self.recipe.build()
        x_validation = prepare_images(validation[0])
        watch = _Watch(x_validation, validation[1], self.recipe.validation_stops_it)
        network.fit(
            **self.recipe.batches(images, labels, seed),
            epochs=self.recipe.epochs,
            callbacks=[watch, *self.recipe.callbacks()],  # in this order: watch scores for them
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
        return training_flops(self.recipe.build(), n_images)


class _Watch(keras.callbacks.Callback):
    """Score after each epoch, outside the measured time; stop as the post stops."""

    def __init__(self, images, labels, stops):
        super().__init__()
        self.images, self.labels, self.stops = images, labels, stops
        self.accuracy, self.seconds, self.stopped_after = [], [], None
        self.best_loss, self.waited = np.inf, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
        probabilities = self.model.predict(self.images, batch_size=1000, verbose=0)
        self.accuracy.append(float(np.mean(probabilities.argmax(axis=1) == self.labels)))
        if logs is not None:
            logs["val_accuracy"] = self.accuracy[-1]
        if not self.stops:
            return
        right = probabilities[np.arange(len(self.labels)), self.labels]
        loss = float(-np.log(np.clip(right, 1e-7, 1)).mean())
        self.waited += 1
        if loss < self.best_loss - self.stops["min_delta"]:
            self.best_loss, self.waited = loss, 0
        if self.waited >= self.stops["patience"]:
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


PEERS = {"post_base": PostBase, "post_double_conv": PostDoubleConv, "keras_io": KerasIoConvnet}


def make(name: str):
    """Return a recipe by name; an unknown name gives the book's fast recipe."""
    if name in PEERS:
        return Fit(PEERS[name]())
    if name == "fast_longer":
        return Fast(Recipe(epochs=6), "the same, for six epochs")
    if name == "fast_repeatable":
        enable_determinism()
        return Fast(Recipe(), "the same, repeatable to the bit")
    return Fast(Recipe(), "the book's fast recipe")
