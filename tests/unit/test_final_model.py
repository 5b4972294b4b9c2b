"""The networks that ship with the book: they load, and score what their record says."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest

from digit_utils.data import load_digits, prepare_images
from digit_utils.ensemble import average_probabilities, predict_with_tta
from digit_utils.evaluate import score_sealed_test
from digit_utils.fast import Recipe
from digit_utils.models import build_fast_cnn
from digit_utils.shipped import FINAL_MODEL, load_final_model

ROOT = Path(__file__).resolve().parents[2]
# Another processor rounds differently, and an image on the edge falls to the other side.
FEW = 4 / 28_000


@pytest.fixture(scope="module")
def record():
    return json.loads((ROOT / "results" / "final_model.json").read_bytes())


@pytest.fixture(scope="module")
def shipped():
    return load_final_model()


def test_it_is_what_the_record_describes_and_small(shipped, record):
    networks, info = shipped
    assert len(networks) == len(record["seeds"]) == len(record["sealed"]["single"])
    assert {key: record[key] for key in info} == info
    assert info["recipe"].keys() == asdict(Recipe()).keys()
    assert FINAL_MODEL.stat().st_size < 10e6


def test_it_was_chosen_on_left_out_folds_of_labelled_images(record):
    selection = json.loads((ROOT / "results" / "final_model_selection.json").read_bytes())
    assert selection["candidates"][record["chosen"]]["recipe"] == record["recipe"]
    assert {row["candidate"] for row in record["selection"]} == set(selection["candidates"])
    fewest = min(record["selection"], key=lambda row: row["mistakes with moved copies"])
    assert record["chosen"] == fewest["candidate"]


def test_it_scores_what_its_record_says(shipped, record):
    # Not an opening for a choice: the predictions were fixed when the record was made.
    networks, _ = shipped
    digits = load_digits()
    images = prepare_images(digits.test_images)
    plain = [network.predict(images, batch_size=1000, verbose=0) for network in networks]

    def score(probabilities):
        predicted = np.argmax(probabilities, axis=1)
        return score_sealed_test(digits, predicted).accuracy

    for probabilities, known in zip(plain, record["sealed"]["single"], strict=True):
        assert score(probabilities) == pytest.approx(known["accuracy"], abs=FEW)
    assert score(average_probabilities(plain)) == pytest.approx(
        record["sealed"]["ensemble"]["accuracy"], abs=FEW
    )
    assert score(predict_with_tta(networks[0], images)) == pytest.approx(
        record["sealed"]["single_shifted"][0]["accuracy"], abs=FEW
    )


def test_folding_batch_normalisation_changes_no_prediction():
    spec = importlib.util.spec_from_file_location("a", ROOT / "scripts" / "train_final_model.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    network = build_fast_cnn(2, dropout=0.5)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # as after a training
            layer.set_weights([np.linspace(0.5, 2, w.size) for w in layer.get_weights()])
    images = np.random.default_rng(0).random((20, 28, 28, 1), dtype=np.float32)
    expected = keras.ops.softmax(network.predict(images, verbose=0))
    assert script.as_shipped(network).predict(images, verbose=0) == pytest.approx(
        np.array(expected), abs=1e-5
    )
