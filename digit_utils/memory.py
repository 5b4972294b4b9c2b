"""Free what finished networks leave behind, so that many can be trained in a row."""

from __future__ import annotations

import gc
import sys

import keras


def free_networks() -> None:
    """Clear Keras's global state and the graphs of networks that are no longer used.

    ``keras.utils.clear_session`` alone is not enough with TensorFlow: the gradient functions
    of every training stay in a global registry and keep the whole graph alive, some 15 MB
    for each network of this book. See https://github.com/tensorflow/tensorflow/issues/80895.

    Call it between trainings. Networks that are still referred to keep predicting, but should
    be compiled again before they are trained further.

    Taught in 05_hyperopt.
    """
    keras.utils.clear_session(free_memory=False)
    # Not imported but looked up: with another backend there is no TensorFlow to clean. The
    # registry is private to TensorFlow; where it has moved, we only lose the saving.
    operations = sys.modules.get("tensorflow.python.framework.ops")
    entries = getattr(getattr(operations, "gradient_registry", None), "_registry", None)
    if isinstance(entries, dict):
        for name in [name for name in entries if str(name).startswith("CustomGradient-")]:
            del entries[name]
    gc.collect()
