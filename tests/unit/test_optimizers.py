"""Muon for convolutions and the one-cycle schedule."""

import keras
import numpy as np
import pytest
from keras import ops

from digit_utils.optimizers import ConvMuon, OneCycle, orthogonalize, takes_orthogonal_step


def values(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (20, 12)])
def test_orthogonalize_makes_all_directions_about_equally_long(shape):
    # Gradients have a few strong directions; here the weakest is a hundredth of the strongest.
    matrix = values(shape) * np.geomspace(1, 1e-2, shape[1], dtype="float32")
    before = np.linalg.svd(matrix, compute_uv=False)
    after = np.linalg.svd(np.array(orthogonalize(ops.convert_to_tensor(matrix))), compute_uv=False)
    assert before.max() / before.min() > 4
    assert 0.6 < after.min() <= after.max() < 1.3


def test_orthogonalize_keeps_the_directions_themselves():
    matrix = values((30, 6))
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    found = np.array(orthogonalize(ops.convert_to_tensor(matrix)))
    # The nearest orthogonal matrix is left @ right; the approximation points the same way.
    assert np.sum(found * (left @ right)) / 6 == pytest.approx(1, abs=0.2)


def test_orthogonalize_survives_a_gradient_of_zero():
    assert np.array(orthogonalize(ops.zeros((5, 3)))) == pytest.approx(0)


def test_only_kernels_of_inner_convolutions_take_orthogonal_steps():
    assert takes_orthogonal_step((3, 3, 16, 32))
    assert not takes_orthogonal_step((5, 5, 1, 16))  # of one-channel images
    assert not takes_orthogonal_step((1152, 10))
    assert not takes_orthogonal_step((32,))


def test_one_step_is_orthogonal_for_a_kernel_and_adamw_for_the_rest():
    kernel, dense = keras.Variable(values((3, 3, 4, 8))), keras.Variable(values((8, 3)))
    reference = keras.Variable(dense.numpy())
    before = kernel.numpy()
    gradients = [values(kernel.shape, 1), values(dense.shape, 2)]
    ConvMuon(0.1, weight_decay=0.0).apply(
        [ops.convert_to_tensor(g) for g in gradients], [kernel, dense]
    )
    keras.optimizers.AdamW(0.1, weight_decay=0.0).apply(
        [ops.convert_to_tensor(gradients[1])], [reference]
    )
    step = (before - kernel.numpy()).reshape(36, 8)
    lengths = np.linalg.svd(step, compute_uv=False)
    assert 0.06 < lengths.min() <= lengths.max() < 0.13
    assert np.sum(step * gradients[0].reshape(36, 8)) > 0, "it goes against the gradient"
    assert dense.numpy() == pytest.approx(reference.numpy())


def test_momentum_goes_on_when_the_gradient_has_gone():
    kernel = keras.Variable(values((3, 3, 4, 8)))
    optimizer = ConvMuon(0.1, weight_decay=0.0)
    optimizer.apply([ops.convert_to_tensor(values(kernel.shape, 1))], [kernel])
    before = kernel.numpy()
    optimizer.apply([ops.zeros(kernel.shape)], [kernel])
    assert np.abs(before - kernel.numpy()).max() > 1e-3


def test_weight_decay_shrinks_kernels_and_leaves_out_what_is_excluded():
    kernel = keras.Variable(values((3, 3, 4, 8)), name="kernel")
    bias = keras.Variable(values((8,)), name="bias")
    before = [kernel.numpy(), bias.numpy()]
    optimizer = ConvMuon(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([ops.zeros(kernel.shape), ops.zeros(bias.shape)], [kernel, bias])
    assert kernel.numpy() == pytest.approx(before[0] * (1 - 0.1 * 0.5), rel=1e-4)
    assert bias.numpy() == pytest.approx(before[1])


def test_both_are_built_again_from_their_configuration():
    optimizer = ConvMuon(OneCycle(0.06, 400, 0.2), momentum=0.8, weight_decay=0.03)
    again = ConvMuon.from_config(optimizer.get_config())
    assert again.momentum == 0.8
    assert again.weight_decay == 0.03
    assert again._learning_rate.get_config() == {"peak": 0.06, "steps": 400, "warmup": 0.2}


def test_one_cycle_climbs_and_falls_in_straight_lines():
    schedule = OneCycle(peak=2.0, steps=100, warmup=0.25)
    found = [float(schedule(step)) for step in (0, 10, 25, 50, 75, 100, 200)]
    assert found == pytest.approx([0, 0.8, 2, 4 / 3, 2 / 3, 0, 0], abs=1e-5)


@pytest.mark.parametrize("steps, warmup", [(0, 0.2), (1, 0.2), (10, 0.0), (10, 1.0)])
def test_a_schedule_that_cannot_be_is_refused(steps, warmup):
    with pytest.raises(ValueError, match="expected"):
        OneCycle(1.0, steps, warmup)
