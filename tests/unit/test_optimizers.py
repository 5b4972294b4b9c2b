"""Muon for convolutions and the one-cycle schedule."""

import keras
import numpy as np
import pytest
from keras import ops

from digit_utils.optimizers import ConvMuon, OneCycle, orthogonalize


def values(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("shape", [(40, 8), (20, 42)])
def test_orthogonalize_makes_all_directions_about_equally_long(shape):
    # Gradients have a few strong directions; here the weakest is a hundredth of the strongest.
    left, _, right = np.linalg.svd(values(shape), full_matrices=False)
    matrix = (left * np.geomspace(1, 1e-2, min(shape), dtype="float32")) @ right
    found = np.array(orthogonalize(ops.convert_to_tensor(matrix)))
    lengths = np.linalg.svd(found, compute_uv=False)
    assert 0.6 < lengths.min() <= lengths.max() < 1.3
    # The nearest orthogonal matrix is left @ right; the approximation points the same way.
    assert np.sum(found * (left @ right)) / min(shape) == pytest.approx(1, abs=0.2)
    assert np.array(orthogonalize(ops.zeros(shape))) == pytest.approx(0)


def test_one_step_is_orthogonal_for_inner_convolutions_and_adamw_for_the_rest():
    kernel = keras.Variable(values((3, 3, 4, 8)))
    rest = [keras.Variable(values(shape)) for shape in ((5, 5, 1, 8), (8, 3), (8,))]
    reference = [keras.Variable(variable) for variable in rest]
    before = kernel.numpy()
    gradients = [ops.convert_to_tensor(values(one.shape, 1)) for one in (kernel, *rest)]
    optimizer = ConvMuon(0.1, weight_decay=0.0)
    optimizer.apply(gradients, [kernel, *rest])
    keras.optimizers.AdamW(0.1, weight_decay=0.0).apply(gradients[1:], reference)
    after = kernel.numpy()
    step = (before - after).reshape(36, 8)
    lengths = np.linalg.svd(step, compute_uv=False)
    assert 0.06 < lengths.min() <= lengths.max() < 0.13
    assert np.sum(step * np.array(gradients[0]).reshape(36, 8)) > 0, "it goes against the gradient"
    for ours, theirs in zip(rest, reference, strict=True):
        assert ours.numpy() == pytest.approx(theirs.numpy())
    optimizer.apply([ops.zeros(one.shape) for one in (kernel, *rest)], [kernel, *rest])
    assert np.abs(after - kernel.numpy()).max() > 1e-3, "momentum goes on without a gradient"


def test_weight_decay_shrinks_kernels_and_leaves_out_what_is_excluded():
    kernel = keras.Variable(values((3, 3, 4, 8)), name="kernel")
    bias = keras.Variable(values((8,)), name="bias")
    before = [kernel.numpy(), bias.numpy()]
    optimizer = ConvMuon(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([ops.zeros(kernel.shape), ops.zeros(bias.shape)], [kernel, bias])
    assert kernel.numpy() == pytest.approx(before[0] * (1 - 0.1 * 0.5), rel=1e-4)
    assert bias.numpy() == pytest.approx(before[1])


def test_one_cycle_climbs_and_falls_in_straight_lines():
    schedule, steps = OneCycle(peak=2.0, steps=100, warmup=0.25), np.arange(0, 201, 5)
    found = [float(schedule(step)) for step in steps]
    assert found == pytest.approx(np.interp(steps, [0, 25, 100], [0, 2, 0]), abs=1e-5)


@pytest.mark.parametrize("steps, warmup", [(1, 0.2), (10, 0.0), (10, 1.0)])
def test_a_schedule_that_cannot_be_is_refused(steps, warmup):
    with pytest.raises(ValueError, match="expected"):
        OneCycle(1.0, steps, warmup)
