"""The fast recipe: images on the device beside the network, and a short training that works."""

import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from digit_utils.data import prepare_images
from digit_utils.fast import OnDeviceImages, Recipe, Trainer, make_batches, make_trainer, train
from digit_utils.training import forget_networks


@pytest.fixture
def few(digits):
    yield digits.images[:500], digits.labels[:500]
    forget_networks()


def test_images_on_the_device_are_fetched_by_row_and_scaled():
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28)).astype("uint8")
    found = np.array(OnDeviceImages(images)(np.array([3, 0, 3], dtype="int32")))
    assert found == pytest.approx(prepare_images(images[[3, 0, 3]]))
    for wrong in (np.zeros((4, 28, 28)), np.zeros((4, 784), "uint8")):
        with pytest.raises(ValueError, match=r"expected uint8 \(n, height, width\)"):
            OnDeviceImages(wrong)


def test_every_row_comes_once_an_epoch_with_its_label_in_another_order():
    labels = np.arange(50) % 10
    batches = make_batches(labels, batch_size=16, seed=4)["x"]

    def epoch():
        rows, targets = zip(*[(r.numpy(), t.numpy()) for r, t in batches], strict=True)
        return np.concatenate(rows), np.concatenate(targets)

    (rows, targets), (again, _) = epoch(), epoch()
    assert sorted(rows) == list(range(50))
    assert np.array_equal(targets.argmax(axis=1), labels[rows])
    assert not np.array_equal(rows, again)


def test_the_trainer_shares_the_networks_weights_and_takes_the_recipes_options():
    images = np.zeros((5, 28, 28), "uint8")
    recipe = Recipe(
        width=2, optimizer="adamw", weight_decay=0.3, warmup=0.0, learning_rate=0.5, ema=0.9
    )
    model, network = make_trainer(recipe, images)
    assert model.trainable_weights == network.trainable_weights
    assert np.array(model(np.array([1, 2]))).shape == (2, 10)
    optimizer = model.optimizer
    assert (type(optimizer).__name__, optimizer.weight_decay) == ("AdamW", 0.3)
    assert (float(optimizer.learning_rate), optimizer.ema_momentum) == (0.5, 0.9)
    with pytest.raises(ValueError, match="optimizer is 'sgd'; expected one of"):
        make_trainer(replace(recipe, optimizer="sgd"), images)


def test_averaged_weights_are_what_is_scored_and_kept(few):
    images = prepare_images(few[0])

    def score(network):
        return np.mean(network.predict(images, verbose=0).argmax(axis=1) == few[1])

    recipe = replace(Recipe(), epochs=2, ema=0.9, width=4)
    trained = train(recipe, *few, score=score)
    assert trained.scores[-1] == score(trained.network)
    # The same training without averaging ends with other weights.
    plain = train(replace(recipe, ema=0.0), *few)
    assert not np.allclose(*[one.network.get_weights()[0] for one in (trained, plain)])


@pytest.mark.parametrize("training", [Trainer(Recipe()).train, lambda *few: train(Recipe(), *few)])
def test_images_without_labels_are_refused(training):
    with pytest.raises(ValueError, match="found 3 images and 2 labels"):
        training(np.zeros((3, 28, 28), "uint8"), np.zeros(2, int))


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9, "optimizer": "adamw", "dropout": 0.2}])
def test_a_shared_step_trains_as_one_of_its_own_and_is_traced_once(monkeypatch, few, changes):
    images, labels = few
    recipe = replace(Recipe(), epochs=2, width=2, **changes)
    alone = train(recipe, images, labels, seed=5).network.get_weights()

    traced, uniform = [], keras.random.uniform  # the augmentation draws from it
    monkeypatch.setattr(
        keras.random, "uniform", lambda *given, **more: traced.append(1) or uniform(*given, **more)
    )
    trainer = Trainer(recipe)
    first = trainer.train(images, labels, seed=3).network
    after_first, weights = len(traced), first.get_weights()
    # Other images of the same number, then the first ones again: nothing is left over.
    trainer.train(images[::-1].copy(), labels[::-1], seed=4)
    again = trainer.train(images, labels, seed=5)
    assert 0 < after_first == len(traced)
    for ours, theirs in zip(again.network.get_weights(), alone, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    for now, then in zip(first.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    assert len(again.epoch_seconds) == 2
    # Of fewer images an epoch has fewer steps: that is another program.
    trainer.train(images[:300], labels[:300])
    assert len(traced) > after_first


REPEAT = """
import hashlib
from digit_utils.data import load_digits, take_subset
from digit_utils.fast import Recipe, train
from digit_utils.training import enable_determinism

enable_determinism()
digits = load_digits()
images, labels = take_subset(digits.images, digits.labels, 2000)
weights = train(Recipe(epochs=2), images, labels, seed=7).network.get_weights()
print("weights", hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest())
"""


def test_two_runs_with_one_seed_give_the_same_weights_to_the_bit():
    # In processes of their own: the switch holds for a whole process.
    once, again = (
        subprocess.check_output([sys.executable, "-c", REPEAT], text=True).splitlines()[-1]
        for _ in range(2)
    )
    assert once == again and once.startswith("weights ")


ON_JAX = """
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


def test_it_trains_and_predicts_on_another_backend_too(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    done = subprocess.run([sys.executable, "-c", ON_JAX], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "jax enable_determinism knows TensorFlow only, found 'jax'" in done.stdout
