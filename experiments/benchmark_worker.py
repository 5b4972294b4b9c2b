"""Measure one recipe, in a process of its own, as `benchmark.py` asks."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from multiprocessing.connection import Connection, wait


def answer_requests(name: str, pipe: Connection) -> None:
    """Answer requests about a recipe until the other end is closed."""
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    worker = Worker(name)
    while True:
        try:
            do, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(worker, do)(**arguments))


def _end_with_the_driver() -> None:
    """End at once when the driver is gone, even during a training."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(0)


class Worker:
    """The requests that the driver may send: one method each, of the same name."""

    def __init__(self, name: str):
        from digit_utils.data import load_digits, split_train_validation
        from experiments.benchmark_recipes import make

        self.recipe = make(name)
        self.digits = load_digits()
        self.split = split_train_validation(self.digits.images, self.digits.labels)

    def describe(self) -> dict:
        names = ("title", "source", "batch_size", "epochs", "settings")
        return {name: getattr(self.recipe, name) for name in names}

    def prepare(self, n_images: int) -> dict:
        """Build the network and compile it by training once on `n_images` images."""
        images, labels = self.digits.images[:n_images], self.digits.labels[:n_images]
        self.trainer, self.network, self.batches = self.recipe.start(images, labels)
        self.train_epoch()
        return {"flops": self.recipe.flops_an_epoch(n_images)}

    def train_epoch(self) -> dict:
        start = time.perf_counter()
        self.trainer.fit(**self.batches, epochs=1, verbose=0)
        return {"seconds": time.perf_counter() - start}

    def predict(self, n_images: int) -> dict:
        """Time the prediction of `n_images` test images; their labels stay sealed."""
        from digit_utils.data import prepare_images

        images = prepare_images(self.digits.test_images[:n_images])
        self.network.predict(images[:2000], batch_size=1000, verbose=0)
        start = time.perf_counter()
        self.network.predict(images, batch_size=1000, verbose=0)
        return {"seconds": time.perf_counter() - start, "n_images": len(images)}

    def run(self, seed: int) -> dict:
        """Train to the end on 33,600 images; score the other 8,400 after each epoch."""
        from digit_utils.training import forget_networks

        images, validation_images, labels, validation_labels = self.split
        found = self.recipe.run(images, labels, (validation_images, validation_labels), seed)
        forget_networks()
        return {"seed": seed, **found}

    def memory(self) -> dict:
        from digit_utils.provenance import peak_memory_mb

        return {"peak_mb": peak_memory_mb()}

    def sgemm_peak(self) -> dict:
        from digit_utils.cost import sgemm_peak

        return {"flops_a_second": sgemm_peak()}
