"""Paired counts, bounds of McNemar's test, sample sizes, simulated classifiers."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import binomtest

from digit_utils.comparing import (
    contingency_table,
    difference_over_seeds,
    images_needed,
    mcnemar_from_totals,
    simulate_equal_classifiers,
    simulated_power,
)


def test_the_four_counts_are_where_mcnemar_expects_them():
    correct_a = np.repeat([True, True, False, False], [5, 3, 2, 1])
    correct_b = np.repeat([True, False, True, False], [5, 3, 2, 1])
    assert contingency_table(correct_a, correct_b).tolist() == [[5, 3], [2, 1]]


def trainings(generator, gain, n_seeds=5, n_images=2000):
    """Right and wrong of two ways of training, with luck of seeds and hard images."""
    hardness = generator.beta(0.1, 1.0, size=n_images)
    luck = generator.normal(scale=0.01, size=(2, n_seeds, 1)) - np.array([gain, 0])[:, None, None]
    return generator.random((2, n_seeds, n_images)) >= np.clip(hardness + luck, 0, 1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    found = [difference_over_seeds(*trainings(generator, 0.0)) for _ in range(300)]
    # Rather too wide than too narrow, but not so wide that it says nothing.
    assert 0.92 < np.mean([one.low < 0 < one.high for one in found]) <= 0.995


def test_a_difference_is_positive_if_the_first_is_better_and_nothing_between_twins():
    better, worse = trainings(np.random.default_rng(0), 0.1)
    found = difference_over_seeds(better, worse)
    assert 0 < found.low < found.mean < found.high
    assert found.seed_error > 0 and found.image_error > 0
    twins = difference_over_seeds(better, better)
    assert (twins.low, twins.mean, twins.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("mistakes_a", "mistakes_b", "n_images"), [(7, 3, 1000), (5, 4, 6)])
def test_the_bounds_are_those_of_every_way_the_labels_may_lie(mistakes_a, mistakes_b, n_images):
    """Images that only the first got wrong, only the second, both alike, or both apart."""
    possible = {}
    for both in range(min(mistakes_a, mistakes_b) + 1):
        only_a, only_b = mistakes_a - both, mistakes_b - both
        if only_a + only_b + both > n_images:
            continue
        alone = only_a + only_b
        p_value = binomtest(only_a, alone).pvalue if alone else 1.0
        for apart in range(both + 1):
            possible.setdefault(alone + apart, []).append(p_value)
    for n_disagree, p_values in possible.items():
        found = mcnemar_from_totals(mistakes_a, mistakes_b, n_images, n_disagree)
        assert found == pytest.approx((min(p_values), max(p_values)))
    every = [p for p_values in possible.values() for p in p_values]
    found = mcnemar_from_totals(mistakes_a, mistakes_b, n_images)
    assert found == pytest.approx((min(every), max(every)))


@pytest.mark.parametrize(("difference", "disagreement"), [(0.001, 0.004), (0.01, 0.03)])
def test_so_many_images_give_the_power_asked_for(difference, disagreement):
    n_images = images_needed(difference, disagreement, power=0.8)
    generator = np.random.default_rng(0)
    power = simulated_power(n_images, difference, disagreement, generator, n_exams=20_000)
    # The exact test is a little more careful than the formula's normal one.
    assert 0.74 < power < 0.82
    # Without a difference, half of 5 %: only one side counts.
    assert simulated_power(n_images, 0.0, disagreement, generator) < 0.03


def test_equal_classifiers_have_the_accuracy_and_the_disagreement_asked_for():
    generator = np.random.default_rng(0)
    mistakes = simulate_equal_classifiers(100_000, 1000, 0.98, 0.01, generator)
    assert mistakes.mean() / 100_000 == pytest.approx(0.02, rel=0.05)
    # The difference of two has a variance of n times their disagreement.
    apart = np.diff(mistakes.reshape(500, 2), axis=1)
    assert np.mean(apart**2) == pytest.approx(100_000 * 0.01, rel=0.2)
    # With nothing in common they are plain coins.
    mistakes = simulate_equal_classifiers(1000, 5000, 0.9, 2 * 0.9 * (1 - 0.9), generator)
    assert mistakes.var() == pytest.approx(1000 * 0.09, rel=0.1)


equal = partial(simulate_equal_classifiers, 100, 2, generator=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (contingency_table, (np.ones(4, bool), np.ones(3, bool)), "true or false an image"),
        (contingency_table, (np.ones(0, bool), np.ones(0, bool)), "true or false an image"),
        (contingency_table, (np.ones(3), np.ones(3, bool)), "true or false an image"),
        (difference_over_seeds, (np.ones((1, 9)), np.ones((1, 9))), "n_seeds"),
        (difference_over_seeds, (np.ones((3, 9)), np.ones((2, 9))), "n_seeds"),
        (mcnemar_from_totals, (-1, 3, 100), "mistakes"),
        (mcnemar_from_totals, (101, 3, 100), "mistakes"),
        (mcnemar_from_totals, (7, 3, 100, 2), "mistakes"),
        (mcnemar_from_totals, (7, 3, 100, 11), "mistakes"),
        (images_needed, (0, 0.1), "disagreement"),
        (images_needed, (0.2, 0.1), "disagreement"),
        (images_needed, (0.001, 0.004, 1.0), "power"),
        (equal, (1.0, 0.1), "disagreement"),
        (equal, (0.9, 0.3), "disagreement"),
    ],
)
def test_what_cannot_be_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
