"""Operations are counted as on paper; the roof is a speed that was measured."""

from types import SimpleNamespace

import keras
import pytest
from keras import layers

from digit_utils import cost
from digit_utils.cost import forward_flops, sgemm_peak, training_flops
from digit_utils.models import build_fast_cnn


def test_a_small_network_is_counted_as_by_hand_and_what_cannot_be_is_named():
    network = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same"),  # 64 positions, 9 weights, 4 filters
            layers.MaxPooling2D(),
            layers.Conv2D(2, 3),  # 2 by 2 positions, 36 weights, 2 filters
            layers.Flatten(),
            layers.Dense(5),  # 8 by 5
        ]
    )
    first, second, dense = 64 * 9 * 4, 4 * 36 * 2, 8 * 5
    assert forward_flops(network) == 2 * (first + second + dense)
    # Backwards twice, but the images need no gradient.
    assert training_flops(network, 10) == 10 * 2 * (2 * first + 3 * second + 3 * dense)
    network = keras.Sequential([layers.Input((8, 8, 2)), layers.DepthwiseConv2D(3)])
    with pytest.raises(ValueError, match="DepthwiseConv2D; only Conv2D and Dense"):
        forward_flops(network)


def test_muon_adds_its_matrix_products():
    network = build_fast_cnn(2)
    plain = training_flops(network, 100)
    kernels = [(9 * 2, 4), (9 * 4, 8), (9 * 8, 8), (9 * 8, 16)]
    per_step = sum(
        5 * 2 * (2 * few * few * many + few**3)
        for few, many in (sorted(kernel) for kernel in kernels)
    )
    # 100 images in batches of 30 are four steps.
    assert training_flops(network, 100, 30, muon=True) == plain + 4 * per_step
    with pytest.raises(ValueError, match="batch_size is 0"):
        training_flops(network, 100, muon=True)


def test_the_roof_counts_two_operations_a_product_over_the_best_time(monkeypatch):
    # Until when; then in each round whether it goes on, start and end: 2 s, then half a second.
    ticks = iter([0.0, 0.0, 1.0, 3.0, 3.0, 3.5, 4.0, 9.0])
    monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert sgemm_peak(sizes=(8,), seconds=5.0) == 2 * 8**3 / 0.5
