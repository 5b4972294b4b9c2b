"""Tell a better network from a lucky one: paired counts, sample sizes, simulated classifiers.

Everything here works on counts or on bool arrays, one value an image, and knows nothing of
networks. Taught in 09_is_it_really_better.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy.stats import binom, binomtest, norm, t

SIGNIFICANCE = 0.05  # two-sided p-value below which a difference counts as seen


def contingency_table(correct_a: np.ndarray, correct_b: np.ndarray) -> np.ndarray:
    """Count the images by which of two networks got them right, as McNemar's test takes them.

    Takes bool (n_images,), the same images for both. Returns int (2, 2): rows are the first right,
    wrong; columns the second. Off the diagonal are the images that only one got right. Raises
    ValueError for other arrays.
    """
    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0 or a.dtype != bool or b.dtype != bool:
        raise ValueError(
            f"found {a.dtype} of shape {a.shape} and {b.dtype} of shape {b.shape}; expected true "
            "or false an image, as predicted == labels gives, of the same images for both"
        )
    return np.array([[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]])


def mcnemar_p_value(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of McNemar's exact test, 1 where nothing tells the two apart."""
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


@dataclass(frozen=True)
class Difference:
    """A difference in accuracy, as a share, with its two kinds of luck."""

    mean: float
    seed_error: float  # standard error: how far other seeds would move the mean
    image_error: float  # the same for other images
    low: float  # of the interval that covers both
    high: float


def difference_over_seeds(
    correct_a: np.ndarray, correct_b: np.ndarray, confidence: float = 0.95
) -> Difference:
    """Compare two ways of training, each done with several seeds, on the same images.

    Takes bool (n_seeds, n_images), whether each network got each image right; the difference is the
    first minus the second. The scatter from seed to seed gives one standard error, that from image
    to image, after averaging over the seeds, the other. They add up as squares. The second holds a
    little of the first, so the interval is too wide rather than too narrow. The degrees of freedom
    follow Satterthwaite (1946). Raises ValueError for other shapes.
    """
    correct_a, correct_b = np.asarray(correct_a, dtype=float), np.asarray(correct_b, dtype=float)
    if correct_a.shape != correct_b.shape or correct_a.ndim != 2 or min(correct_a.shape) < 2:
        raise ValueError(
            f"the two have shapes {correct_a.shape} and {correct_b.shape}; expected (n_seeds, "
            "n_images) for both, at least two of each"
        )
    difference = correct_a - correct_b
    n_seeds, n_images = difference.shape
    of_seeds = difference.mean(axis=1).var(ddof=1) / n_seeds
    of_images = difference.mean(axis=0).var(ddof=1) / n_images
    mean, error = float(difference.mean()), sqrt(of_seeds + of_images)
    freedom = np.inf if of_seeds == 0 else (n_seeds - 1) * ((of_seeds + of_images) / of_seeds) ** 2
    reach = float(t.ppf((1 + confidence) / 2, freedom)) * error
    return Difference(mean, sqrt(of_seeds), sqrt(of_images), mean - reach, mean + reach)


def mcnemar_from_totals(
    mistakes_a: int, mistakes_b: int, n_images: int, n_disagree: int | None = None
) -> tuple[float, float]:
    """Return the smallest and largest p-value of McNemar's test that two totals of mistakes allow.

    The more mistakes both share, the clearer the difference. ``n_disagree`` is the number of images
    on which the two predicted different classes, if known: no more can be right for one alone.
    Raises ValueError for numbers that cannot be together.
    """
    if not (0 <= mistakes_a <= n_images and 0 <= mistakes_b <= n_images):
        raise ValueError(
            f"found {mistakes_a} and {mistakes_b} mistakes in {n_images} images; expected whole "
            "numbers from 0 to the number of images"
        )
    gap = abs(mistakes_a - mistakes_b)
    # What both got wrong cannot be less than the two lists of mistakes overlap by force.
    total = mistakes_a + mistakes_b
    least, most = gap, total - 2 * max(0, total - n_images)
    if n_disagree is not None:
        if not gap <= n_disagree <= total:
            raise ValueError(
                f"predictions differ on {n_disagree} images; expected from {gap}, by which the "
                f"mistakes differ, to {total}: where two predictions differ, one is a mistake"
            )
        # What both got wrong in different ways differs too, and there are only so many of those.
        least = max(least, 2 * n_disagree - total)
        most = min(most, n_disagree - (n_disagree - gap) % 2)
    # The images that one alone got right, split as far apart as the totals demand.
    low, high = (mcnemar_p_value((n + gap) // 2, (n - gap) // 2) for n in (least, most))
    return low, high


def images_needed(difference: float, disagreement: float, power: float = 0.8) -> int:
    """Return how many images a paired test needs to see a difference in accuracy.

    ``difference`` is of shares: 0.001 is a tenth of a percentage point, of either sign.
    ``disagreement`` is the share of the images that exactly one of the two gets right, ``power``
    the probability of a two-sided p-value below 0.05. Raises ValueError for impossible ones.
    Connor (1987).
    """
    difference = abs(difference)
    if not 0 < difference <= disagreement <= 1:
        raise ValueError(
            f"difference is {difference} and disagreement {disagreement}; expected a difference "
            "above 0 and no larger than the disagreement: only images that one of the two gets "
            "right can make a difference"
        )
    if not SIGNIFICANCE / 2 < power < 1:
        raise ValueError(f"power is {power}; expected above 0.025, which luck alone gives, below 1")
    reach = norm.ppf(1 - SIGNIFICANCE / 2) * sqrt(disagreement)
    reach += norm.ppf(power) * sqrt(disagreement - difference**2)
    return ceil((reach / difference) ** 2)


def simulated_power(
    n_images: int,
    difference: float,
    disagreement: float,
    generator: np.random.Generator,
    n_exams: int = 2000,
) -> float:
    """Simulate exams of two classifiers; return the share in which McNemar's test sees the gap.

    ``difference`` and ``disagreement``, as in `images_needed`, are the truth of the simulation,
    with ``n_images`` per exam. Only what is significant in favour of the truly better one counts.
    """
    only_one = generator.binomial(n_images, disagreement, size=n_exams)
    better = generator.binomial(only_one, (disagreement + abs(difference)) / 2 / disagreement)
    p_values = np.minimum(1.0, 2 * binom.sf(better - 1, only_one, 0.5))
    return float(np.mean((p_values < SIGNIFICANCE) & (2 * better > only_one)))


def simulate_equal_classifiers(
    n_images: int,
    n_networks: int,
    accuracy: float,
    disagreement: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Simulate equally good networks that sit the same exam; return the mistakes of each.

    Some images are harder than others, and harder for all: an image's chance of being misread is
    drawn from a beta distribution whose mean is the error and whose spread gives two networks the
    wanted ``disagreement``, the share of the images that exactly one of them gets right. It is at
    most ``2 * accuracy * (1 - accuracy)``, at which the networks have nothing in common. Raises
    ValueError for impossible ones.
    """
    error = 1 - accuracy
    independent = 2 * error * accuracy
    if not (0 < error < 1 and 0 < disagreement <= independent):
        raise ValueError(
            f"accuracy is {accuracy} and disagreement {disagreement}; expected an accuracy "
            "between 0 and 1 and a disagreement above 0 and up to 2 * accuracy * (1 - accuracy), "
            f"here {independent:.5f}"
        )
    if disagreement == independent:
        return generator.binomial(n_images, error, size=n_networks)
    spread = disagreement / (independent - disagreement)
    hardness = generator.beta(error * spread, accuracy * spread, size=n_images)
    # Nearly all images are read by everybody: the few hard ones are drawn network by network.
    hard = hardness[hardness > 1e-6]
    return (generator.random((n_networks, len(hard)), dtype=np.float32) < hard).sum(axis=1)
