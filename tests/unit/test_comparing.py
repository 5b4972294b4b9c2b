"""Paired counts, bounds of McNemar's test, sample sizes, simulated classifiers."""

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest, ttest_1samp
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar

from digit_utils.comparing import (
    contingency_table,
    difference_over_seeds,
    images_needed,
    mcnemar_from_totals,
    mcnemar_p_value,
    mean_over_seeds,
    mean_squares,
    simulate_equal_classifiers,
    simulated_power,
)


def test_the_four_counts_are_where_mcnemar_expects_them():
    correct_a = np.repeat([True, True, False, False], [5, 3, 2, 1])
    correct_b = np.repeat([True, False, True, False], [5, 3, 2, 1])
    assert contingency_table(correct_a, correct_b).tolist() == [[5, 3], [2, 1]]


def test_the_exact_test_is_that_of_statsmodels():
    for only_a, only_b in ((0, 1), (3, 12), (40, 71), (8, 8)):
        expected = mcnemar([[900, only_a], [only_b, 20]], exact=True).pvalue
        assert mcnemar_p_value(only_a, only_b) == pytest.approx(expected)
    assert mcnemar_p_value(0, 0) == 1.0


def effects(seeds, images, interaction, n_seeds, n_images, repeats):
    """Tables with normal effects; the arguments are their parts of the mean's variance."""
    generator = np.random.default_rng(0)

    def draw(part, n, *shape):
        return np.float32((part * n) ** 0.5) * generator.standard_normal(shape, dtype=np.float32)

    return (
        draw(seeds, n_seeds, repeats, n_seeds, 1)
        + draw(images, n_images, repeats, 1, n_images)
        + draw(interaction, n_seeds * n_images, repeats, n_seeds, n_images)
    )


@pytest.mark.parametrize("n_seeds", [5, 10])
@pytest.mark.parametrize(
    "parts",
    [(0, 0.15, 0.85), (0.5, 0, 0.5), (0.4, 0.4, 0.2), (0.02, 0.02, 0.96)],
    ids=["no seed effect", "no image effect", "both", "strong interaction"],
)
def test_the_interval_covers_the_truth_in_95_of_100_cases(parts, n_seeds):
    found = mean_over_seeds(effects(*parts, n_seeds, 60, repeats=6000))
    assert np.mean((found.low < 0) & (found.high > 0)) == pytest.approx(0.95, abs=0.01)
    # The variance and its parts are right on average.
    assert np.mean(found.error**2) == pytest.approx(1, rel=0.05)
    assert np.mean(found.interaction_error**2) == pytest.approx(parts[2], rel=0.05)


def trainings(generator, gain, n_seeds=5, n_images=2000):
    """Right and wrong of two ways of training, with luck of seeds and hard images."""
    hardness = generator.beta(0.1, 1.0, size=n_images)
    luck = generator.normal(scale=0.01, size=(2, n_seeds, 1)) - np.array([gain, 0])[:, None, None]
    return generator.random((2, n_seeds, n_images)) >= np.clip(hardness + luck, 0, 1)


def test_it_covers_the_truth_for_right_and_wrong_too():
    generator = np.random.default_rng(0)
    found = [difference_over_seeds(*trainings(generator, 0.0)) for _ in range(500)]
    assert 0.92 < np.mean([one.low < 0 < one.high for one in found]) < 0.975


def test_the_variance_is_what_other_formulas_give():
    table = np.random.default_rng(0).normal(size=(4, 6)) + np.arange(6)
    frame = pd.DataFrame([(s, i, table[s, i]) for s, i in np.ndindex(4, 6)], columns=list("siv"))
    expected = anova_lm(ols("v ~ C(s) + C(i)", frame).fit())["mean_sq"]
    assert mean_squares(table) == pytest.approx(expected)
    # The square of the mean, less the mean product of values with neither seed nor image in common.
    cells = product(range(4), range(6))
    products = [
        table[s, i] * table[other_s, other_i]
        for (s, i), (other_s, other_i) in product(cells, repeat=2)
        if s != other_s and i != other_i
    ]
    found = mean_over_seeds(table)
    assert found.error**2 == pytest.approx(table.mean() ** 2 - np.mean(products))
    parts = (found.seed_error, found.image_error, found.interaction_error)
    assert min(parts) > 0 and found.error == pytest.approx(np.linalg.norm(parts))


def test_with_seeds_or_images_alone_it_is_the_t_test():
    values = np.array([0.2, 0.4, 0.1, 0.9])
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    for table in (np.tile(values[:, None], 50), np.tile(values, (50, 1))):
        found = mean_over_seeds(table, confidence=0.9)
        assert (found.low, found.high) == pytest.approx(tuple(expected))
        assert found.freedom == pytest.approx(3)


def test_a_negative_estimate_counts_as_none_and_leaves_the_rest():
    # Each seed as good as the other, so what is between them is less than the interaction alone.
    table = np.array([[1, 0, 1, 0, 1.0], [0, 1, 0, 1, 1.0]])
    found = mean_over_seeds(table)
    assert found.seed_error == 0 and found.interaction_error > 0
    assert 0 <= found.error < found.interaction_error


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
    # What every count of images that one alone gets right contributes, summed up.
    alone = np.arange(n_images + 1)
    weight = binom.pmf(alone, n_images, disagreement)
    alone, weight = alone[weight > 1e-9], weight[weight > 1e-9]
    needed = binom.isf(0.025, alone, 0.5) + 1  # the fewest wins that are significant
    exact = weight @ binom.sf(needed - 1, alone, (1 + difference / disagreement) / 2)
    assert power == pytest.approx(exact, abs=0.01)
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
        (mean_over_seeds, (np.ones((1, 9)),), "n_seeds"),
        (mean_over_seeds, (np.ones(9),), "n_seeds"),
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
