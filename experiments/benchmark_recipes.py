"""The recipes that are compared, trained on the same images, and the worker that measures one.

A recipe's ``start`` returns what trains, the network it trains, and the arguments of ``fit`` that
hold an epoch's data; ``run`` trains to the end, and returns each epoch's accuracy and seconds.
"""

import time
from dataclasses import asdict

import keras
import numpy as np
from keras import layers

from digit_utils.cost import sgemm_peak, training_flops
from digit_utils.data import load_digits, prepare_images, split_train_validation
from digit_utils.fast import Recipe, make_batches, make_trainer, train
from digit_utils.models import build_base_cnn, build_double_conv_cnn, build_fast_cnn
from digit_utils.provenance import peak_memory_mb
from digit_utils.training import enable_determinism, forget_networks


class PostBase:
    """The post's base network: three convolutions, Adam, batches of 32, no augmentation."""

    title = "the post's base network"
    source = "https://github.com/naingthet/mnist"
    batch_size = 32
    epochs = 30
    settings: dict = {}
    optimizer = "adam"
    build = staticmethod(build_base_cnn)

    def callbacks(self) -> list:
        return [keras.callbacks.EarlyStopping("val_loss", min_delta=0.001, patience=5)]

    def compiled(self) -> keras.Model:
        network = self.build()
        network.compile(self.optimizer, "categorical_crossentropy", metrics=["accuracy"])
        return network

    def batches(self, images, labels, seed) -> dict:
        one_hot = keras.utils.to_categorical(labels, 10)
        return {"x": prepare_images(images), "y": one_hot, "batch_size": self.batch_size}

    def start(self, images, labels) -> tuple[keras.Model, keras.Model, dict]:
        keras.utils.set_random_seed(0)
        network = self.compiled()
        return network, network, self.batches(images, labels, 0)

    def run(self, images, labels, validation, seed) -> dict:
        keras.utils.set_random_seed(seed)
        network = self.compiled()
        watch = Watch(prepare_images(validation[0]), validation[1])
        network.fit(
            **self.batches(images, labels, seed),
            epochs=self.epochs,
            callbacks=[watch, *self.callbacks()],  # in this order: watch scores for the others
            verbose=0,
        )
        return {"accuracy": watch.accuracy, "epoch_seconds": watch.seconds}

    def flops_an_epoch(self, n_images: int) -> int:
        return training_flops(self.compiled(), n_images)


class PostDoubleConv(PostBase):
    """The post's second network, with its augmentation by ``ImageDataGenerator``, and RMSprop.

    Epochs and `ReduceLROnPlateau` are as in the post's search and final model; dropout, dense size
    and optimizer are those of its first training, stopped after 22 epochs of a constant rate.
    """

    title = "the post's double-conv recipe"
    batch_size = 128
    optimizer = "rmsprop"
    build = staticmethod(build_double_conv_cnn)

    def callbacks(self) -> list:
        return [keras.callbacks.ReduceLROnPlateau("val_accuracy", mode="max", patience=3)]

    def batches(self, images, labels, seed) -> dict:
        """Return the post's generator; Keras keeps it for old code, without a public name."""
        from keras.src.legacy.preprocessing.image import ImageDataGenerator

        generator = ImageDataGenerator(
            rotation_range=10, zoom_range=0.1, width_shift_range=0.1, height_shift_range=0.1
        )
        return {"x": generator.flow(**super().batches(images, labels, seed), seed=seed)}


class KerasIoConvnet(PostBase):
    """The keras.io example *Simple MNIST convnet*: two convolutions, dropout, Adam."""

    title = "keras.io `mnist_convnet`"
    source = "https://keras.io/examples/vision/mnist_convnet/"
    batch_size = 128
    epochs = 15

    def callbacks(self) -> list:
        return []

    def build(self) -> keras.Model:
        network = keras.Sequential([layers.Input((28, 28, 1))])
        for filters in (32, 64):
            network.add(layers.Conv2D(filters, 3, activation="relu"))
            network.add(layers.MaxPooling2D(2))
        for layer in (layers.Flatten(), layers.Dropout(0.5), layers.Dense(10, "softmax")):
            network.add(layer)
        return network


class Watch(keras.callbacks.Callback):
    """Score after each epoch, outside the measured time, for itself and the callbacks after it."""

    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels
        self.accuracy, self.seconds = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
        probabilities = self.model.predict(self.images, batch_size=1000, verbose=0)
        self.accuracy.append(float(np.mean(probabilities.argmax(axis=1) == self.labels)))
        correct = probabilities[np.arange(len(self.labels)), self.labels]
        logs["val_accuracy"] = self.accuracy[-1]
        logs["val_loss"] = float(-np.log(np.clip(correct, 1e-7, 1)).mean())


class Fast:
    """The book's fast recipe."""

    source = "notebooks/07_how_fast_can_it_learn.ipynb"

    def __init__(self, recipe: Recipe, title: str):
        self.recipe, self.title = recipe, title
        self.batch_size, self.epochs = recipe.batch_size, recipe.epochs
        self.settings = asdict(recipe)

    def start(self, images, labels) -> tuple[keras.Model, keras.Model, dict]:
        trainer, network = make_trainer(self.recipe, images, seed=0)
        return trainer, network, make_batches(labels, self.batch_size)

    def run(self, images, labels, validation, seed) -> dict:
        x_validation = prepare_images(validation[0])

        def score(network):
            answers = network.predict(x_validation, batch_size=1000, verbose=0).argmax(axis=1)
            return np.mean(answers == validation[1])

        trained = train(self.recipe, images, labels, seed, score)
        return {"accuracy": trained.scores, "epoch_seconds": trained.epoch_seconds}

    def flops_an_epoch(self, n_images: int) -> int:
        network = build_fast_cnn(self.recipe.width, self.recipe.normalization)
        return training_flops(network, n_images, self.batch_size, self.recipe.optimizer == "muon")


RECIPES = {
    "post_base": PostBase(),
    "post_double_conv": PostDoubleConv(),
    "keras_io": KerasIoConvnet(),
    "fast": Fast(Recipe(), "the book's fast recipe"),
    "fast_longer": Fast(Recipe(epochs=6), "the same, for six epochs"),
    "fast_repeatable": Fast(Recipe(), "the same, repeatable to the bit"),
}


class Worker:
    """Measures one recipe; each method is a request of `benchmark.py`."""

    def __init__(self, name: str):
        if name == "fast_repeatable":
            enable_determinism()
        self.recipe = RECIPES[name]
        self.digits = load_digits()

    def describe(self) -> dict:
        names = ("title", "source", "batch_size", "epochs", "settings")
        return {name: getattr(self.recipe, name) for name in names}

    def prepare(self, n_images: int) -> float:
        """Build and compile by training once on `n_images`; return the operations an image."""
        images, labels = self.digits.images[:n_images], self.digits.labels[:n_images]
        self.trainer, self.network, self.batches = self.recipe.start(images, labels)
        self.train_epoch()
        return self.recipe.flops_an_epoch(n_images) / n_images

    def train_epoch(self) -> float:
        start = time.perf_counter()
        self.trainer.fit(**self.batches, epochs=1, verbose=0)
        return time.perf_counter() - start

    def predict(self, n_images: int) -> float:
        """Return how many of `n_images` test images a second; their labels stay sealed."""
        images = prepare_images(self.digits.test_images[:n_images])
        self.network.predict(images[:2000], batch_size=1000, verbose=0)
        start = time.perf_counter()
        self.network.predict(images, batch_size=1000, verbose=0)
        return len(images) / (time.perf_counter() - start)

    def run(self, seed: int) -> dict:
        """Train to the end on 33,600 images; score the other 8,400 after each epoch."""
        split = split_train_validation(self.digits.images, self.digits.labels)
        images, others, labels, their_labels = split
        found = self.recipe.run(images, labels, (others, their_labels), seed)
        forget_networks()
        return {"seed": seed, **found}

    memory, sgemm_peak = staticmethod(peak_memory_mb), staticmethod(sgemm_peak)
