"""Run one recipe in its own process, so that its memory is its own.

Each line of standard input is a JSON request, each line of standard output a JSON answer.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time


def main() -> None:
    """Answer requests until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=[requests], daemon=True).start()
    recipe = Worker(sys.argv[1])
    while True:
        request = json.loads(requests.get())
        answer = getattr(recipe, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")


def _read_requests(requests: queue.SimpleQueue[str]) -> None:
    """Hand requests on; when the driver is gone, end at once, even during a training."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


class Worker:
    """The requests that the driver may send: one method each, of the same name."""

    def __init__(self, name: str):
        from benchmarks.recipes import make
        from digit_utils.data import load_digits, split_train_validation

        self.recipe = make(name)
        digits = load_digits()
        self.test_images = digits.test_images
        self.images, self.labels = digits.images, digits.labels
        split = split_train_validation(digits.images, digits.labels)
        self.train_images, self.validation_images, self.train_labels, self.validation_labels = split
        self.epoch = None

    def describe(self) -> dict:
        """Return the recipe's title, source, batch size, epochs and settings."""
        return {
            "title": self.recipe.title,
            "source": self.recipe.source,
            "batch_size": self.recipe.batch_size,
            "epochs": self.recipe.epochs,
            "settings": self.recipe.settings,
        }

    def prepare(self, n_images: int) -> dict:
        """Build the network and compile it by training once on `n_images` images."""
        self.epoch = self.recipe.timed_epoch(self.images[:n_images], self.labels[:n_images])
        self.epoch()
        return {"flops": self.recipe.flops_an_epoch(n_images)}

    def train_epoch(self) -> dict:
        """Train one epoch of what `prepare` built."""
        return {"seconds": self.epoch()}

    def predict(self, n_images: int) -> dict:
        """Time the prediction of `n_images` test images; their labels stay sealed."""
        from digit_utils.data import prepare_images

        network = self.epoch.network
        images = prepare_images(self.test_images[:n_images])
        network.predict(images[:2000], batch_size=1000, verbose=0)
        start = time.perf_counter()
        network.predict(images, batch_size=1000, verbose=0)
        return {"seconds": time.perf_counter() - start, "n_images": len(images)}

    def run(self, seed: int) -> dict:
        """Train to the end on 33,600 images; score the other 8,400 after each epoch."""
        from digit_utils.training import forget_networks

        validation = (self.validation_images, self.validation_labels)
        found = self.recipe.run(self.train_images, self.train_labels, validation, seed)
        forget_networks()
        return found

    def memory(self) -> dict:
        """Return the peak memory of this process, in MB."""
        from digit_utils.provenance import peak_memory_mb

        return {"peak_mb": peak_memory_mb()}

    def sgemm_peak(self) -> dict:
        """Measure the machine's fastest matrix product, in FLOP/s."""
        from digit_utils.cost import sgemm_peak

        return {"flops_a_second": sgemm_peak()}


if __name__ == "__main__":
    main()
