"""Networks saved small: what comes back, and what is refused."""

import numpy as np
import pytest

from digit_utils.models import build_shipped_cnn
from digit_utils.shipped import ShippedModelError, load_networks, save_networks


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
