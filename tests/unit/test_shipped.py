"""Networks saved small: what comes back, and what is refused."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from digit_utils.shipped import OPTIONS, ShippedModelError, load_networks, save_networks


def small_network(units=3):
    return keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Conv2D(units, 3), layers.Flatten(), layers.Dense(2)]
    )


def images(n=5):
    return np.random.default_rng(0).random((n, 4, 4, 1), dtype=np.float32)


def test_networks_come_back_rounded_to_half_precision(tmp_path):
    networks = [small_network(), small_network()]
    path = save_networks(tmp_path / "two.npz", networks, {"seeds": [1, 2]})
    loaded, info = load_networks(path)
    assert info == {"seeds": [1, 2]}
    for network, again in zip(networks, loaded, strict=True):
        for weight, small in zip(network.get_weights(), again.get_weights(), strict=True):
            assert np.array_equal(weight.astype("float16").astype("float32"), small)
        assert again.predict(images(), verbose=0) == pytest.approx(
            network.predict(images(), verbose=0), abs=5e-3
        )


def test_networks_of_different_shapes_and_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="differ in their layers"):
        save_networks(tmp_path / "x.npz", [small_network(3), small_network(4)], {})
    other = small_network()
    other.layers[0].activation = keras.activations.relu  # the shapes are the same
    with pytest.raises(ValueError, match="differ in their layers"):
        save_networks(tmp_path / "x.npz", [small_network(), other], {})
    with pytest.raises(ValueError, match="no network"):
        save_networks(tmp_path / "x.npz", [], {})
    assert list(tmp_path.iterdir()) == []


def test_a_layer_of_another_kind_is_refused_and_only_known_options_are_stored(tmp_path):
    network = small_network()
    network.add(layers.BatchNormalization())
    with pytest.raises(ValueError, match="is a BatchNormalization; only Conv2D, "):
        save_networks(tmp_path / "x.npz", [network], {})
    path = save_networks(tmp_path / "y.npz", [small_network()], {})
    with np.load(path) as file:
        described = json.loads(bytes(file["layers"]))
    for kind, options in described["layers"]:
        assert set(options) == set(OPTIONS[kind])


def test_a_weight_that_is_no_number_is_refused(tmp_path):
    network = small_network()
    network.layers[-1].bias.assign([np.nan, 0])
    with pytest.raises(ValueError, match="holds NaN"):
        save_networks(tmp_path / "x.npz", [network], {})


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path):
    network = small_network()
    network.layers[-1].bias.assign([1e5, 0])
    with pytest.raises(ValueError, match="65,504"):
        save_networks(tmp_path / "x.npz", [network], {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_missing_cut_short_or_no_file_of_networks_is_told(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(ShippedModelError, match="no such file"):
        load_networks(path)
    save_networks(path, [small_network()], {})
    whole = path.read_bytes()
    flipped = bytearray(whole)
    for place in range(60, 120):  # inside the compressed description of the layers
        flipped[place] ^= 0xFF
    for damaged in (b"", b"hello", whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ShippedModelError, match="damaged"):
            load_networks(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ShippedModelError, match="layers"):
        load_networks(path)


def test_a_pickle_inside_is_not_loaded(tmp_path):
    path = tmp_path / "x.npz"
    save_networks(path, [small_network()], {})
    evil = io.BytesIO()
    np.save(evil, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["info.npy"] = evil.getvalue()
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    with pytest.raises(ShippedModelError, match="allow_pickle"):
        load_networks(path)
