"""Plumbing around ``model.fit``: seeds, memory, quiet progress, augmentation, histories."""

import gc
import time
from typing import Any

import keras
import pandas as pd
from IPython import get_ipython
from IPython.display import display


def set_seed(seed: int) -> None:
    """Seed Python's, NumPy's and the backend's random numbers, with a number from 0 to 2**32 - 1.

    On a GPU some operations still add up in a different order from run to run; `enable_determinism`
    gives bitwise repeatability, at a price. Raises ValueError for another seed.
    """
    keras.utils.set_random_seed(seed)


def enable_determinism() -> None:
    """Make every later training with one seed give identical weights on one machine.

    Costs a little time and holds for the whole process; call it before the first network is built.
    Raises NotImplementedError on backends other than TensorFlow: JAX is deterministic on a CPU
    without it, PyTorch has a switch of its own. Taught in 07_how_fast_can_it_learn.
    """
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(
            f"enable_determinism knows TensorFlow only, found {keras.backend.backend()!r}; "
            "start Python with KERAS_BACKEND=tensorflow, or do without"
        )
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def forget_networks() -> None:
    """Free the memory of networks nothing refers to any more; call it between trainings.

    ``keras.utils.clear_session`` alone does not: Keras's optimizer sums the gradients with
    ``all_reduce``, whose own gradient TensorFlow registers, and with it the whole training graph,
    for the life of the process (https://github.com/tensorflow/tensorflow/issues/80895). Nothing
    takes a gradient through an optimizer step, so the entries can go; networks in use still work.
    """
    keras.utils.clear_session()
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import ops

        # Not public, so a future TensorFlow may lack it; then memory grows, and no more.
        registry = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
    gc.collect()


def with_augmentation(network: keras.Model, augmenter: keras.layers.Layer | None) -> keras.Model:
    """Put an augmenter in front of a network, sharing the network's own weights.

    Train what is returned, uncompiled, then use ``network`` itself to predict and to save. ``None``
    as ``augmenter`` returns ``network`` unchanged. Taught in 04_augmentation.
    """
    if augmenter is None:
        return network
    return keras.Sequential([keras.layers.Input(network.input_shape[1:]), augmenter, network])


def history_frame(history: keras.callbacks.History) -> pd.DataFrame:
    """Return a ``fit`` history as a table: one row per epoch, counted from 1.

    Index ``epoch``; columns as Keras names them: ``loss``, ``accuracy``, ``val_loss``, … Raises
    ValueError if no epoch was trained.
    """
    if not history.history:
        raise ValueError("found no epoch in the history of this training; train one at least")
    frame = pd.DataFrame(history.history)
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="epoch")
    return frame


class LiveProgress(keras.callbacks.Callback):
    """One line, starting with ``label``, that updates itself while a network trains.

    Outside a notebook, where a line cannot be updated, it is printed once, at the end.
    """

    def __init__(self, label: str = "Training"):
        super().__init__()
        self.label = label

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: D102
        self._start, self._epochs, self._handle = time.perf_counter(), 0, None
        self._show("starting")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: D102
        self._epochs = epoch + 1
        scores = [
            f"{name} {logs[key]:.4f}"
            for name, key in (("accuracy", "accuracy"), ("validation accuracy", "val_accuracy"))
            if key in (logs or {})
        ]
        epochs = f"epoch {self._epochs} of {self.params.get('epochs')}"
        self._show(", ".join([epochs, *scores, f"{time.perf_counter() - self._start:.0f} s"]))

    def on_train_end(self, logs: Any = None) -> None:  # noqa: D102
        epochs = f"{self._epochs} epoch" + ("s" if self._epochs != 1 else "")
        self._show(f"{epochs} in {time.perf_counter() - self._start:.0f} s", last=True)

    def _show(self, text: str, last: bool = False) -> None:
        line = {"text/plain": f"{self.label}: {text}"}
        if self._handle is not None:
            self._handle.update(line, raw=True)
        elif get_ipython() is not None:
            self._handle = display(line, raw=True, display_id=True)
        elif last:
            print(line["text/plain"])
