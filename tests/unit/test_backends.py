"""The recipe and what surrounds it on another backend than the book's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TRAIN = """
import keras, numpy as np
from digit_utils.data import load_digits, prepare_images
from digit_utils.ensemble import predict_with_tta
from digit_utils.evaluate import accuracy
from digit_utils.fast import Recipe, Trainer, train
from digit_utils.normalization import fold_batch_normalization
from digit_utils.shipped import load_final_model
from digit_utils.training import make_repeatable

digits = load_digits()
recipe = Recipe(width=8, epochs=4, batch_size=64)
learned_from = digits.images[:2048], digits.labels[:2048]
trained = train(recipe, *learned_from)
shares_a_step = Trainer(recipe)
shares_a_step.train(*learned_from, seed=1)
again, once_more = (shares_a_step.train(*learned_from).network for _ in range(2))
for one, other in zip(again.get_weights(), once_more.get_weights(), strict=True):
    np.testing.assert_allclose(one, other, atol=1e-3)  # nothing is left of the training before
x, labels = prepare_images(digits.images[-1000:]), digits.labels[-1000:]
folded = fold_batch_normalization(trained.network).predict(x, verbose=0)
logits = trained.network.predict(x, verbose=0)
assert np.abs(folded - logits).max() < 1e-3, np.abs(folded - logits).max()
member = load_final_model()[0][0]
shipped = accuracy(labels, predict_with_tta(member, x).argmax(axis=1))
try:
    make_repeatable()
    refused = False
except NotImplementedError:
    refused = True
worse = min(accuracy(labels, said.argmax(axis=1)) for said in (logits, again.predict(x, verbose=0)))
print(keras.backend.backend(), worse, shipped, refused)
"""


@pytest.mark.parametrize("backend", ["jax"])
def test_it_trains_and_predicts_there(backend):
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    used, trained, shipped, refused = done.stdout.split()
    assert used == backend
    assert float(trained) > 0.9  # guessing gives 0.1
    assert float(shipped) > 0.98  # it has learned from these images
    assert refused == "True"
