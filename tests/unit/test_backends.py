"""The recipe and what surrounds it on another backend than the book's own."""

import subprocess
import sys

TRAIN = """
import keras, numpy as np
from digit_utils.data import load_digits, prepare_images
from digit_utils.ensemble import predict_with_tta
from digit_utils.evaluate import accuracy
from digit_utils.fast import Recipe, Trainer, train
from digit_utils.shipped import load_final_model
from digit_utils.training import enable_determinism

digits = load_digits()
recipe = Recipe(width=8, epochs=4, batch_size=64)
images = digits.images[:2048], digits.labels[:2048]
trained = train(recipe, *images).network
trainer = Trainer(recipe)
trainer.train(*images, seed=1)
again, once_more = (trainer.train(*images).network for _ in range(2))
for one, other in zip(again.get_weights(), once_more.get_weights(), strict=True):
    np.testing.assert_allclose(one, other, atol=1e-3)  # nothing is left of the training before
x, labels = prepare_images(digits.images[-1000:]), digits.labels[-1000:]
for network in (trained, again):
    assert accuracy(labels, network.predict(x, verbose=0).argmax(axis=1)) > 0.9
# It has learned from these images.
assert accuracy(labels, predict_with_tta(load_final_model()[0][0], x).argmax(axis=1)) > 0.98
try:
    enable_determinism()
except NotImplementedError as error:
    print(keras.backend.backend(), error)
"""


def test_it_trains_and_predicts_there(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "jax enable_determinism knows TensorFlow only, found 'jax'" in done.stdout
