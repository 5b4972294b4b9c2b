"""Networks saved small: what comes back, what is refused, and those that come with the book."""

import json

import keras
import numpy as np
import pytest
from helpers import ROOT

from digit_utils.data import load_digits, prepare_images
from digit_utils.ensemble import average_probabilities, predict_with_tta
from digit_utils.evaluate import score_sealed_test
from digit_utils.fast import Recipe
from digit_utils.models import build_fast_cnn, build_shipped_cnn
from digit_utils.shipped import (
    FINAL_MODEL,
    ShippedModelError,
    load_final_model,
    load_networks,
    save_networks,
)
from experiments.train_final_model import as_shipped

RECORD = json.loads((ROOT / "results" / "final_model.json").read_bytes())
# Another processor rounds differently, and an image on the edge falls to the other side.
FEW = 4 / 28_000


@pytest.fixture
def arrays(tmp_path):
    """Return what a good file of two networks holds."""
    path = save_networks(tmp_path / "two.npz", [build_shipped_cnn(2)] * 2, {"seeds": [1, 2]})
    with np.load(path) as file:
        return dict(file)


def test_networks_come_back_rounded_to_half_precision(tmp_path):
    networks = [build_shipped_cnn(2), build_shipped_cnn(2)]
    loaded, info = load_networks(save_networks(tmp_path / "x.npz", networks, {"seeds": [1, 2]}))
    assert info == {"seeds": [1, 2]}
    images = np.random.default_rng(0).random((5, 28, 28, 1), dtype=np.float32)
    for network, again in zip(networks, loaded, strict=True):
        for weight, small in zip(network.get_weights(), again.get_weights(), strict=True):
            assert np.array_equal(weight.astype("float16").astype("float32"), small)
        assert again.predict(images, verbose=0) == pytest.approx(
            network.predict(images, verbose=0), abs=5e-3
        )


def test_a_weight_that_half_precision_cannot_hold_is_refused(tmp_path):
    network = build_shipped_cnn(2)
    network.layers[0].bias.assign([1e5, 0])
    with pytest.raises(ValueError, match="weight 1 of network 0 holds NaN or goes beyond 65,504"):
        save_networks(tmp_path / "x.npz", [network], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"info": None}, "info"),
        ({"info": np.array([{"a": 1}], dtype=object)}, "allow_pickle"),
        ({"n_networks": np.array(0)}, "found 0 networks"),
        ({"network_1_weight_3": None}, "network_1_weight_3"),
        ({"network_1_weight_1": np.full(2, np.nan)}, "weight of network 1 is not a finite number"),
        ({"network_0_weight_1": np.zeros(3)}, "shape"),
        # A network this wide would ask for all the memory.
        ({"network_0_weight_0": np.zeros((1, 10**6))}, "found 1,000,000 filters"),
    ],
)
def test_a_file_with_something_else_in_it_is_refused(tmp_path, arrays, changes, says):
    path = tmp_path / "x.npz"
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    with pytest.raises(ShippedModelError, match=f"x.npz: is damaged or .*{says}"):
        load_networks(path)


def test_a_file_that_is_missing_or_cut_short_is_told(tmp_path, arrays):
    path = tmp_path / "two.npz"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ShippedModelError, match="damaged"):
        load_networks(path)
    path.unlink()
    with pytest.raises(ShippedModelError, match="no such file"):
        load_networks(path)


@pytest.fixture(scope="module")
def shipped():
    return load_final_model()


def test_it_is_small_and_what_the_record_describes_the_best_of_the_candidates(shipped):
    networks, info = shipped
    assert len(networks) == len(RECORD["seeds"]) == len(RECORD["sealed"]["single"])
    assert {key: RECORD[key] for key in info} == info
    assert Recipe(**info["recipe"]).epochs == 32
    assert FINAL_MODEL.stat().st_size < 10e6
    selection = json.loads((ROOT / "results" / "final_model_selection.json").read_bytes())
    assert selection["candidates"][RECORD["chosen"]]["recipe"] == RECORD["recipe"]
    assert {row["candidate"] for row in RECORD["selection"]} == set(selection["candidates"])
    fewest = min(RECORD["selection"], key=lambda row: row["mistakes with moved copies"])
    assert RECORD["chosen"] == fewest["candidate"]


def test_it_scores_what_its_record_says(shipped):
    # Not an opening for a choice: the predictions were fixed when the record was made.
    networks, _ = shipped
    digits = load_digits()
    images = prepare_images(digits.test_images)
    plain = [network.predict(images, batch_size=1000, verbose=0) for network in networks]

    def score(probabilities):
        return score_sealed_test(digits, np.argmax(probabilities, axis=1)).accuracy

    for probabilities, known in zip(plain, RECORD["sealed"]["single"], strict=True):
        assert score(probabilities) == pytest.approx(known["accuracy"], abs=FEW)
    assert score(average_probabilities(plain)) == pytest.approx(
        RECORD["sealed"]["ensemble"]["accuracy"], abs=FEW
    )
    assert score(predict_with_tta(networks[0], images)) == pytest.approx(
        RECORD["sealed"]["single_shifted"][0]["accuracy"], abs=FEW
    )


def test_folding_batch_normalisation_changes_no_prediction():
    network = build_fast_cnn(2, dropout=0.5)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # as after a training
            layer.set_weights([np.linspace(0.5, 2, w.size) for w in layer.get_weights()])
    images = np.random.default_rng(0).random((20, 28, 28, 1), dtype=np.float32)
    expected = keras.ops.softmax(network.predict(images, verbose=0))
    assert as_shipped(network).predict(images, verbose=0) == pytest.approx(
        np.array(expected), abs=1e-5
    )
