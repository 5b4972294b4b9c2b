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
class Estimate:
    """A mean over seeds and images, and how far others would move it: as shares, of one table.

    An error is a standard error: of the mean by the seeds' own effect, by the images' own, and by
    what a seed does on an image beyond both. Chance makes the estimate of a small variance
    negative; its error is then given as 0, while ``error``, of all three, is not made larger.
    """

    mean: float
    error: float
    freedom: float  # degrees of freedom of the whole error
    seed_error: float
    image_error: float
    interaction_error: float
    low: float  # of the interval
    high: float


def mean_squares(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean squares of seeds, of images, and of their interaction.

    ``table`` is (..., n_seeds, n_images), one value for each network and image. The result has the
    shape of what is in front. Taught in 09_is_it_really_better.
    """
    n_seeds, n_images = table.shape[-2:]
    of_seeds, of_images = table.mean(axis=-1), table.mean(axis=-2)
    rest = table - of_seeds[..., :, None] - of_images[..., None, :]
    rest += table.mean(axis=(-2, -1))[..., None, None]
    return (
        n_images * of_seeds.var(axis=-1, ddof=1),
        n_seeds * of_images.var(axis=-1, ddof=1),
        (rest**2).sum(axis=(-2, -1)) / ((n_seeds - 1) * (n_images - 1)),
    )


def mean_over_seeds(values: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Estimate a mean over networks of several seeds and over the images that all of them saw.

    Takes (..., n_seeds, n_images), such as whether each network got each image right; a stack of
    tables gives arrays in place of numbers. Seeds and images are random and crossed: both mean
    squares hold the interaction, so it is taken off once. Degrees of freedom follow Satterthwaite
    (1946). With normal effects the interval covers at least 94 % with five seeds. Raises
    ValueError for fewer than two seeds or images.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim < 2 or min(table.shape[-2:]) < 2:
        raise ValueError(
            f"found values of shape {table.shape}; expected (n_seeds, n_images), at least two of "
            "each"
        )
    n_seeds, n_images = table.shape[-2:]
    squares = np.array(mean_squares(table)) / (n_seeds * n_images)
    seeds, images, both = squares
    # The difference may come out as small as one likes; without it, the smaller one is left.
    variance = np.maximum(seeds + images - both, np.minimum(seeds, images))
    fewest = min(n_seeds, n_images) - 1
    freedoms = np.array([n_seeds - 1, n_images - 1, (n_seeds - 1) * (n_images - 1)])
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / np.tensordot(1 / freedoms, squares**2, 1)
    freedom = np.maximum(np.where(variance > 0, freedom, np.inf), fewest)
    mean, error = table.mean(axis=(-2, -1)), np.sqrt(variance)
    parts = [np.sqrt(np.maximum(part, 0)) for part in (seeds - both, images - both, both)]
    reach = t.ppf((1 + confidence) / 2, freedom) * error
    found = (mean, error, freedom, *parts, mean - reach, mean + reach)
    return Estimate(*(one if np.ndim(one) else float(one) for one in found))


def difference_over_seeds(
    first: np.ndarray, second: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Compare two ways of training, each done with several seeds, on the same images.

    Takes (n_seeds, n_images) of both, whether each network got each image right, say. The result
    is `mean_over_seeds` of the first minus the second, so it is paired by image and by seed. Raises
    ValueError for other shapes.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape:
        raise ValueError(
            f"the two have shapes {first.shape} and {second.shape}; expected (n_seeds, n_images), "
            "the same for both"
        )
    return mean_over_seeds(first - second, confidence)


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
