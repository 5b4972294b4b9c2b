# %% [markdown]
# # Is it really better?
#
# **When is one network better than another, and when was it only lucky?**

# %% [markdown]
# **You will learn**
#
# - to put an interval on an accuracy, and where the textbook's interval fails;
# - to compare two networks image by image;
# - to separate the scatter of the seeds from that of the images, and to count nothing twice;
# - why the best of many looks better than it is, and how many images a tenth of a point costs.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [More data from the same data](04_augmentation.ipynb): seeds and McNemar's test; [How fast can it learn?](07_how_fast_can_it_learn.ipynb): the fast recipe |
# | Time | 25 minutes to read; the run takes one to two minutes on a laptop |

# %% tags=["colab", "remove-cell"]
# Installs the book's helpers where they are missing: on Colab, on Kaggle (Settings, Internet on).
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("digit_utils") is None:
    book = "https://github.com/digits-book/digits-book"
    pip = [sys.executable, "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        print("There is no pip here, uv installs instead; without uv: python -m ensurepip")
        pip = ["uv", "pip", "install", "--python", sys.executable]
    subprocess.check_call([*pip, "-q", "--no-deps", f"git+{book}@main"])
    importlib.invalidate_caches()

from digit_utils import hosts

hosts.prepare()

# %%
from dataclasses import replace

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.ticker import PercentFormatter
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportion_effectsize,
    proportions_ztest,
)

from digit_utils import plots
from digit_utils.artifacts import load_recorded
from digit_utils.comparing import (
    contingency_table,
    difference_over_seeds,
    images_needed,
    mcnemar_from_totals,
    mean_over_seeds,
    simulate_equal_classifiers,
    simulated_power,
)
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.fast import Recipe, Trainer
from digit_utils.results import report
from digit_utils.training import forget_networks

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the simulations and your first training; further ones add 1
N_TRAIN: int = 12000  # training images of your run, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images of your run, at least 0; 0: all 8,400
WIDTH: int = 16  # filters of the wide network's first convolution, at least 2; the narrow: half
EPOCHS: int = 3  # passes over the training images, at least 1
BATCH_SIZE: int = 256  # images per training step, at least 1
SEEDS: int = 3  # trainings of each of your two networks, at least 2
EXAMS: int = 1000  # repetitions of each simulation, at least 1

# %% [markdown]
# You change a network and train it again. Before, it misread
# 52<!--= 09.mistakes.narrow .0f --> of the 8,400 validation images; now it misreads
# 38<!--= 09.mistakes.wide .0f -->. Is that an improvement?
#
# The two are real. *Wide* is chapter 7's fast network, *narrow* has half as many filters in every
# convolution. We trained each with ten seeds on all 33,600 training images and recorded what every network
# misreads (`python experiments/measure_scatter.py` makes the record again). The two counts are the means of
# the ten.
#
# ## One accuracy, many exams
#
# On all the images that might have been drawn, a network has some **true accuracy**. You have only some
# of these images: an exam, and the accuracy on them is the network's *mark*. How far can the mark be from
# the truth? Take a true accuracy of 99.5 %<!--= given -->, and give the network many exams with fresh
# images. The number of right answers follows the *binomial distribution*, that of a coin which falls on one
# side 995 times in a thousand.

# %%
TRUTH, BETTER = 0.995, 0.996
EXAM_SIZES = {"validation": 8400, "Kaggle's test": 28000}
lucky = {}
for size in EXAM_SIZES.values():
    few_mistakes = int((1 - BETTER) * size)
    lucky[size] = stats.binom.cdf(few_mistakes, size, 1 - TRUTH)
    print(f"{size:,} images: {few_mistakes} mistakes or fewer in {lucky[size]:.1%} of the exams")

# %% mystnb={"image": {"alt": "Two bell curves around the same true accuracy: a wide one for exams with 8,400 images and a narrow one for exams with 28,000. A dashed line marks the truth, a dotted one an accuracy a tenth of a percentage point higher."}} tags=["hide-input"]
# @title Draws the marks of one network in many exams
ax = plt.subplots(figsize=(7.2, 3.6))[1]
for (exam, size), style in zip(EXAM_SIZES.items(), ("-", "--"), strict=True):
    right = np.arange(int(0.9925 * size), int(0.9975 * size))
    chances = stats.binom.pmf(right, size, TRUTH) * size / 10_000
    ax.plot(right / size, chances, style, label=f"{size:,} images ({exam})")
ax.axvline(TRUTH, color=plots.GREY, linestyle="--", linewidth=1)
ax.axvline(BETTER, color=plots.RED, linestyle=":", linewidth=1.5)
ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
ax.set(
    title="One network, many exams",
    xlabel="Accuracy in the exam (dashed: the true one; dotted: 99.6 %)",
    ylim=(0, 0.12),
    ylabel="Probability per\n0.01 percentage points",
)
ax.legend(frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# A network that makes five mistakes per thousand passes for one that makes four in
# 9.1 %<!--= 09.lucky_validation .1% --> of the exams with 8,400 images, and in
# 0.8 %<!--= 09.lucky_kaggle .1% --> of those with 28,000, whose curve is narrower.
#
# In practice you have one mark and ask for the truth. A **95 % confidence interval** is a rule that turns
# a mark into a range which contains the truth in 95 exams of 100. Two such rules:
#
# - **Wald's**, the textbook's and the formula of [chapter 1](01_eda.ipynb), reaches 1.96 *standard errors*
#   either way. A standard error is the distance by which chance typically moves a mark; Wald's rule
#   computes it from the mark.
# - **Wilson's**, the one in this book, asks of every possible truth whether the mark lies within 1.96 of
#   *that* truth's standard errors, and keeps the truths that pass.
#
# Do they keep the promise? Make the interval of every possible mark, and add the probabilities of the
# marks whose interval contains the truth.


# %%
def coverage(method, size, truth=0.995):
    right = np.arange(size + 1)
    low, high = proportion_confint(right, size, alpha=0.05, method=method)
    return stats.binom.pmf(right, size, truth)[(low <= truth) & (truth <= high)].sum()


recipes = pd.DataFrame(
    {
        size: {"mistakes expected": 0.005 * size, "Wald": coverage("normal", size),
               "Wilson": coverage("wilson", size)}
        for size in (500, 2000, 8400, 28000)
    }
).T  # fmt: skip
recipes.rename_axis("images").style.format("{:.1%}").format("{:g}", subset="mistakes expected")

# %% [markdown]
# With 42 mistakes expected, Wald's interval contains the truth in
# 93.7 %<!--= 09.coverage.8400.wald .1% --> of the exams, with 2.5 in
# 91.4 %<!--= 09.coverage.500.wald .1% -->. With 140 it is fine, although the accuracy is the same: it
# fails where mistakes are *few*. A network that is lucky enough to make none even gets an interval of no
# width. Wilson's stays between 94.8 %<!--= 09.coverage.8400.wilson .1% --> and
# 96.3 %<!--= 09.coverage.2000.wilson .1% -->: where it errs most, it is too cautious rather than too sure.
#
# Both rules treat the images as drawn one by one. But most writers wrote many of them, and a network that
# misreads somebody's 4 may misread the next one, too. "Fresh images" here therefore means more images *by
# the same people*. To speak about new people you would draw writers, not images, and the interval can get
# much wider: for the exams of language models, whose questions come in groups,
# [Miller (2024)](https://arxiv.org/abs/2411.00640) finds some standard errors three times as large. MNIST's
# files do not say who wrote what. (The reconstruction [QMNIST](https://github.com/facebookresearch/qmnist) does;
# the book does not use it.)
#
# ## Two networks, one exam
#
# Here is the record: −1 where a network is right, else the digit that it answers.

# %%
N_IMAGES = 8400


def read_answers(width):
    runs = [run for run in load_recorded("scatter")["runs"] if run["parameters"]["WIDTH"] == width]
    answers = np.full((len(runs), N_IMAGES), -1)
    for run in runs:
        wrong, taken_for = run["results"]["mistakes"], run["results"]["mistaken_for"]
        answers[run["parameters"]["SEED"], wrong] = taken_for
    return answers


wide_answers, narrow_answers = read_answers(16), read_answers(8)
wide, narrow = wide_answers == -1, narrow_answers == -1
print(f"{len(wide)} wide and {len(narrow)} narrow networks, {N_IMAGES:,} images")

# %% [markdown]
# Take one pair first, the wide network of seed 0<!--= given --> and the narrow one of seed
# 7<!--= given -->, which we chose as an example; all others follow below. Their accuracies, each with its
# interval:

# %%
one_wide, one_narrow = wide[0], narrow[7]
right_wide, right_narrow = one_wide.sum(), one_narrow.sum()
intervals = pd.DataFrame(
    [proportion_confint(right, N_IMAGES, method="wilson") for right in (right_wide, right_narrow)],
    index=["wide", "narrow"],
    columns=["from", "to"],
)
intervals.insert(0, "accuracy", np.array([right_wide, right_narrow]) / N_IMAGES)
intervals.style.format("{:.2%}")

# %% [markdown]
# The intervals overlap, and many conclude that there is no difference. That does not follow: each interval
# says where *one* truth may lie, and none says how far the two are apart. Besides, the two **sat the same
# exam**. What both get wrong says nothing about which is better. So count the images by who got them right,
# in a **contingency table**.

# %%
boxes = contingency_table(one_wide, one_narrow)
pd.DataFrame(boxes, index=["wide right", "wide wrong"], columns=["narrow right", "narrow wrong"])

# %% [markdown]
# Only the images that *one* of the two gets right tell them apart. If the networks were equally good,
# each of these would be the toss of a fair coin. **McNemar's test** asks how often a coin falls at least
# as unevenly: the **p-value**. Below 0.05, by custom, a difference is *significant*. (The p-value is not
# the probability that the two are equally good: it is computed *as if* they were.)
#
# How large is the difference? The **bootstrap** does what chapter 1 did with one accuracy. It draws 8,400
# of the images at random, with repetition, as an exam that might have been, and notes the difference of
# the marks. The middle 95 % of 2,000 such differences are an interval. For comparison, the cell also
# computes the interval and the test for two *separate* exams, which know only the two totals.

# %%
generator = np.random.default_rng(SEED)
gain = one_wide.astype(int) - one_narrow  # 1: only the wide one right, -1: only the narrow one
redrawn = [generator.choice(gain, N_IMAGES).mean() for _ in range(2000)]
paired = np.quantile(redrawn, [0.025, 0.975])
paired_p = mcnemar(boxes, exact=True).pvalue
unpaired = confint_proportions_2indep(right_wide, N_IMAGES, right_narrow, N_IMAGES)
unpaired_p = proportions_ztest([right_wide, right_narrow], [N_IMAGES, N_IMAGES])[1]
pairing_worth = (np.diff(unpaired)[0] / np.diff(paired)[0]) ** 2
print(f"image by image {paired_p:.3f}, as two separate exams {unpaired_p:.3f}")

# %% mystnb={"image": {"alt": "Two intervals of the difference between the wide and the narrow network, in percentage points, one under the other with a line at zero: a shorter one for the same images compared pair by pair, a longer one that treats them as separate exams."}} tags=["hide-input"]
# @title Draws the two intervals of the difference
ax = plt.subplots(figsize=(7.2, 2.2))[1]
names = ("image by image", "as two separate exams")
for row, (ends, colour) in enumerate(((paired, plots.BLUE), (unpaired, plots.ORANGE))):
    reach = 100 * np.abs(np.array(ends) - gain.mean())
    ax.errorbar(100 * gain.mean(), row, xerr=reach[:, None], fmt="o", color=colour, capsize=4)
ax.axvline(0, color=plots.GREY, linestyle="--", linewidth=1)
ax.set_yticks((0, 1), names)
ax.set_ylim(1.6, -0.6)
ax.set(
    title="Wide minus narrow, one training each",
    xlabel="Percentage points (bar: 95 % interval)",
)
ax.grid(axis="y", visible=False)
plt.show()

# %% [markdown]
# The wide network alone gets 31<!--= 09.pair.only_wide d --> images right, the narrow one alone
# 15<!--= 09.pair.only_narrow d -->: p = 0.026<!--= 09.pair.p_value .3f -->. The test for two separate exams
# gives p = 0.098<!--= 09.pair.unpaired_p .3f -->. Here **pairing decides it**, and it costs nothing. Its
# interval is shorter, and as it takes four times the images to halve an interval, pairing is worth
# 2.2<!--= 09.pairing_worth .1f --> times the images. (The bootstrap approximates, McNemar's test is exact:
# close to the limit, believe the test.)
#
# An example can be picked to prove anything. So we take every wide network with every narrow one, a hundred
# pairs, and count how many each test calls significant.

# %%
pairs = [(one, other) for one in wide for other in narrow]
crossed = {
    "image by image": [mcnemar(contingency_table(*pair), exact=True).pvalue for pair in pairs],
    "as two separate exams": [
        proportions_ztest([one.sum(), other.sum()], [N_IMAGES] * 2)[1] for one, other in pairs
    ],
}
crossed = pd.DataFrame(crossed) < 0.05
crossed.sum().to_frame("significant, of 100 pairs")

# %% [markdown]
# Image by image it is 53<!--= 09.crossed.paired d --> of the hundred pairs, as separate exams
# 24<!--= 09.crossed.separate d -->, and 0<!--= 09.crossed.only_separate d --> are significant as separate exams
# alone. (The hundred are made of twenty networks, so they are not a hundred independent trials.)
#
# ## Ten seeds, ten answers
#
# We have compared two *networks*, but the question was about two *recipes*. Another seed gives other
# starting weights, another order of the images, other augmentation, and so another pair of networks.

# %%
gains = wide.mean(axis=1) - narrow.mean(axis=1)
tables = [contingency_table(one, other) for one, other in zip(wide, narrow, strict=True)]
tests = np.array([mcnemar(table, exact=True).pvalue for table in tables])
pd.DataFrame(
    {
        "mistakes, wide": (~wide).sum(axis=1),
        "mistakes, narrow": (~narrow).sum(axis=1),
        "difference (points)": (100 * gains).round(2),
        "p": tests.round(3),
    }
).rename_axis("seed")

# %% [markdown]
# Of the ten pairs, 4<!--= 09.n_significant d --> are significant, and the difference runs from
# +0.07<!--= 09.gains_lowest +.2f --> to +0.25<!--= 09.gains_highest +.2f --> points. If you train once,
# you report one row of this table, and chance picks the row. (A row with p above 0.05 does not say that the
# two are equal; it only fails to show a difference.) So train several times, vary all that could have come
# out otherwise, and report the mean ([Bouthillier and others, 2021](https://arxiv.org/abs/2103.03098)).
#
# ## Where the scatter comes from
#
# Here are all ten comparisons: a row per seed, a column per image on which some pair differs.

# %% mystnb={"image": {"alt": "A grid with ten rows, one per seed, and a column for each image on which some networks differ. Blue cells, where only the wide network is right, gather at the left; orange ones, where only the narrow one is right, at the right; most columns have only one or two coloured cells."}} tags=["hide-input"]
# @title Draws which network of each pair is right, seed by seed and image by image
difference = wide.astype(int) - narrow
differing = np.flatnonzero(difference.any(axis=0))
order = differing[np.argsort(-difference[:, differing].sum(axis=0), kind="stable")]
figure, ax = plt.subplots(figsize=(9, 2.8))
colours = ListedColormap([plots.ORANGE, "white", plots.BLUE])
ax.imshow(
    difference[:, order], cmap=colours, vmin=-1, vmax=1, aspect="auto", interpolation="nearest"
)
ax.set(
    title="Only the wide network right (blue), only the narrow one (orange)",
    xlabel="Images on which some pair differs, ordered by who gains",
    ylabel="Seed",
    yticks=range(0, len(difference), 3),
)
ax.grid(visible=False)
plt.show()

# %% [markdown]
# Three things colour these cells:
#
# - **the seed**: a training that comes out better throughout colours its row;
# - **the image**: an image that suits one recipe, whatever the seed, colours its column;
# - **both together**, the *interaction*: what this training does on this image beyond the two. Most columns
#   have only one or two coloured cells: few seeds repeat it.
#
# The seeds and the images are both samples, and every seed meets every image: in statistics, these are
# **crossed random effects**.
#
# How far does each move the mean? The scatter of the row means holds the seeds' effect, but also
# interaction, because a row has finitely many images. The scatter of the column means holds the images'
# effect, and interaction again. Their sum counts the interaction twice. So compute it from what rows and
# columns leave over, the *rest*, and subtract it once. A *mean square* (MS) is such a scatter, squared, and
# scaled so that interaction alone would make all three equal on average. The variance of the mean is then
#
# $$\frac{MS_\text{seeds} + MS_\text{images} - MS_\text{rest}}{\text{seeds} \times \text{images}}$$


# %%
def mean_squares(table):
    """Scatter of seeds, of images and of the rest; table: (seeds, images)."""
    n_seeds, n_images = table.shape
    of_seeds, of_images = table.mean(axis=1), table.mean(axis=0)
    rest = table - of_seeds[:, None] - of_images + table.mean()
    ms_seeds = n_images * of_seeds.var(ddof=1)
    ms_images = n_seeds * of_images.var(ddof=1)
    ms_rest = (rest**2).sum() / ((n_seeds - 1) * (n_images - 1))
    return np.array([ms_seeds, ms_images, ms_rest])


squares = mean_squares(difference) / difference.size
variance = squares[0] + squares[1] - squares[2]

# %% [markdown]
# The root of this variance is the standard error. If you knew it exactly, the interval would reach 1.96
# standard errors either way, but ten seeds give it only roughly. *Student's t* distribution says how much
# further to reach, from the **degrees of freedom**, the number of independent values behind an estimate:
# 9 for the mean square of ten seeds (one less, because their mean is taken off), 8,399 for that of the
# images, 9 × 8,399 for the rest. *Satterthwaite's formula* approximates the number for all three together,
# by what each contributes.

# %%
n_seeds, n_images = difference.shape
freedoms = np.array([n_seeds - 1, n_images - 1, (n_seeds - 1) * (n_images - 1)])
freedom = variance**2 / (squares**2 / freedoms).sum()
reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
low, high = difference.mean() - reach, difference.mean() + reach
print(f"{100 * difference.mean():+.3f} points, 95 % interval {100 * low:+.3f} to {100 * high:+.3f}")

# %% [markdown]
# **Over seeds and images, wide is better**, by 0.17<!--= 09.difference_points .2f --> points (95 %
# interval 0.11<!--= 09.difference_low .2f --> to 0.23<!--= 09.difference_high .2f -->). That covers other
# seeds, and other images by the same people. It does not cover other training images, because all twenty
# networks learnt from the same ones. And chapter 7 tuned the other settings for the wide network, on these
# very images: with settings of its own, the narrow one might come closer.
#
# The helper `difference_over_seeds` does the same, and gives each part's own standard error.

# %%
both = difference_over_seeds(wide, narrow)
parts = {
    "seeds": (both.seed_error, "more seeds"),
    "images": (both.image_error, "more images"),
    "the two together": (both.interaction_error, "more of either"),
    "all": (both.error, ""),
}
pd.DataFrame(
    [(100 * error, error**2 / both.error**2, remedy) for error, remedy in parts.values()],
    index=parts,
    columns=["standard error (points)", "share of the variance", "shrinks with"],
).style.format({"standard error (points)": "{:.3f}", "share of the variance": "{:.0%}"})

# %% [markdown]
# The first two parts are differences of mean squares, so chance can make a small one negative. The table
# then says 0, and its shares add up to more than the whole. In the sum the negative part stays, or the
# interval gets too wide. In simulations with normally distributed effects the interval contains the truth
# in 95 % of cases with ten seeds and in 94 to 95 % with five (the book's tests repeat both); with two or three
# it contains it less often.
#
# Now look at one recipe by itself. The ten wide networks' accuracies have a standard deviation of
# 0.047<!--= 09.scatter_points .3f --> points. The seeds' own effect is estimated at
# 0 %<!--= 09.seed_share .0% --> of that variance; the rest is interaction, which fades on a larger exam.
# Ten seeds give this share only roughly, but with far more trainings
# [Jordan (2023)](https://arxiv.org/abs/2304.01910) found the same on photographs: **a lucky seed is mostly
# a seed that suits these images**.
#
# ## More seeds, or more images?
#
# The seeds' part shrinks with the number of seeds, the images' part with that of images, the interaction
# with their product. So the three predict the standard error for any number of either.


# %%
def standard_error(n_seeds, n_images):
    seeds = both.seed_error**2 * len(wide) / n_seeds
    images = both.image_error**2 * N_IMAGES / n_images
    interaction = both.interaction_error**2 * wide.size / (n_seeds * n_images)
    return np.sqrt(seeds + images + interaction)


# %% mystnb={"image": {"alt": "Standard error of the difference against the number of seeds, both axes logarithmic, one falling line for 8,400 images and a lower one for 28,000. Both flatten as the seeds increase."}} tags=["hide-input"]
# @title Draws the standard error against the number of seeds
ax = plt.subplots(figsize=(7.2, 3.6))[1]
tried = np.arange(1, 101)
for size, style in zip(EXAM_SIZES.values(), ("-", "--"), strict=True):
    ax.loglog(tried, 100 * standard_error(tried, size), style, label=f"{size:,} images")
ax.set_xticks((1, 2, 5, 10, 20, 50, 100), ("1", "2", "5", "10", "20", "50", "100"))
ax.set_yticks((0.02, 0.05, 0.1), ("0.02", "0.05", "0.10"))
ax.minorticks_off()
ax.set(
    title="More seeds, more images: how far the difference is known",
    xlabel="Seeds of each recipe (logarithmic)",
    ylabel="Standard error\n(percentage points, logarithmic)",
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# On 8,400 images one pair has a standard error of 0.08<!--= 09.error_of.one_seed .2f --> points, ten have
# 0.03<!--= 09.error_of.ten_seeds .2f -->, a hundred 0.02<!--= 09.error_of.hundred_seeds .2f -->. The
# first seeds gain most, because they average out the interaction. The images' own part stays until there
# are more images: with 28,000, ten pairs have 0.02<!--= 09.error_of.ten_seeds_kaggle .2f -->. (The curve takes the
# seeds' own part as its estimate, 0 here. If it is larger, more seeds gain more.)
#
# ## Your run
#
# Now train both yourself, with fewer seeds on fewer images. A `Trainer` trains many networks by one recipe
# and prepares the training program only once.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
validation_images, validation_labels = take_subset(
    validation_images, validation_labels, N_VALIDATION or None, seed=SEED
)
x_validation = prepare_images(validation_images)
print(f"training on {len(train_images):,} images, comparing on {len(x_validation):,}")


# %%
def train_and_check(recipe):
    """Train with each seed; return which images each network gets right: (seeds, images)."""
    trainer, right = Trainer(recipe), []
    for seed in range(SEED, SEED + SEEDS):
        network = trainer.train(train_images, train_labels, seed).network
        logits = keras.ops.convert_to_numpy(network(x_validation, training=False))
        right.append(logits.argmax(axis=1) == validation_labels)
    return np.array(right)


recipe = Recipe(width=WIDTH, epochs=EPOCHS, batch_size=BATCH_SIZE)
your_wide = train_and_check(recipe)
your_narrow = train_and_check(replace(recipe, width=WIDTH // 2))
forget_networks()
yours = difference_over_seeds(your_wide, your_narrow)
pd.Series(
    {
        "wide": f"{your_wide.mean():.2%}",
        "narrow": f"{your_narrow.mean():.2%}",
        "difference (points)": f"{100 * yours.mean:+.2f}",
        "95 % interval": f"{100 * yours.low:+.2f} to {100 * yours.high:+.2f}",
    },
    name="your run",
).to_frame()

# %% [markdown]
# With fewer training images both make more mistakes than in the record, and with fewer seeds the interval
# is wider.
#
# ## The best of many
#
# Somebody tries fifty things and reports the best. What is that number worth? Simulate it: fifty
# *equally good* networks, with a true accuracy of 99.5 %<!--= given -->, sit an exam of 8,400 images,
# first each with its own images, then all with the same, of which some are hard for all. How hard they are
# comes from the record: per mistake, two networks disagree as often as two of our wide ones.


# %%
def disagreement(first, second):
    """Return the share of the images that exactly one of two gets right."""
    return np.mean(first != second)


def scale_disagreement(share, accuracies, wanted):
    """Scale a disagreement to networks with other accuracies: per mistake it stays the same."""
    return share * (2 - sum(wanted)) / (2 - sum(accuracies))


def exceeds(disagreement, n_networks=100, size=8400):
    """Return by how many points the best of 1, 2, 3, … equal networks exceeds the truth."""
    mistakes = [
        simulate_equal_classifiers(size, n_networks, TRUTH, disagreement, generator)
        for _ in range(EXAMS)
    ]
    best = np.maximum.accumulate(1 - np.array(mistakes) / size, axis=1)
    return 100 * (best.mean(axis=0) - TRUTH)


of_twins = np.mean([disagreement(wide[i], wide[j]) for i in range(len(wide)) for j in range(i)])
shared = scale_disagreement(of_twins, (wide.mean(), wide.mean()), (TRUTH, TRUTH))
own, same = exceeds(2 * TRUTH * (1 - TRUTH)), exceeds(shared)

# %% mystnb={"image": {"alt": "Two rising curves against the number of networks on a logarithmic axis, from 1 to 100: by how much the best of them exceeds its true accuracy, higher if each has images of its own and lower if all have the same."}} tags=["hide-input"]
# @title Draws by how much the best exceeds its true accuracy
ax = plt.subplots(figsize=(7.2, 3.6))[1]
tried = np.arange(1, len(own) + 1)
ax.semilogx(tried, own, color=plots.ORANGE, linestyle="--", label="each with images of its own")
ax.semilogx(tried, same, color=plots.BLUE, label="all on the same images")
ax.set_xticks((1, 2, 5, 10, 20, 50, 100), ("1", "2", "5", "10", "20", "50", "100"))
ax.minorticks_off()
ax.set(
    title="Equally good, and yet one is the best",
    xlabel="Networks tried (logarithmic)",
    ylabel="Best mark above the truth\n(percentage points, mean)",
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# With images of its own, the best of fifty seems 0.16<!--= 09.best_of_fifty_own_points .2f --> points
# better than it is; with the same images for all, 0.11<!--= 09.best_of_fifty_points .2f -->. (Images that
# are hard for all do not tell the networks apart.) The best was picked for its luck, and the next exam
# brings other luck. This **selection bias** is at work wherever the number that made a choice is also
# reported: the best epoch, seed or trial.
#
# The record shows it, too. Cut the images into random halves, pick the wide network that is best on one
# half, and score it on the other. Repeat with many cuts.

# %%
rows = []
for _ in range(EXAMS):
    chosen_by, fresh = np.array_split(generator.permutation(N_IMAGES), 2)
    best = wide[:, chosen_by].sum(axis=1).argmax()
    rows.append((wide[best, chosen_by].mean(), wide[best, fresh].mean(), wide[:, fresh].mean()))
halves = pd.Series(
    np.mean(rows, axis=0), ["best, where chosen", "best, other half", "all, other half"]
)
winner_fell = 100 * (halves.iloc[0] - halves.iloc[1])
halves.map("{:.2%}".format).to_frame("accuracy")

# %% [markdown]
# The best of ten falls by 0.10<!--= 09.winner_fell_points .2f --> points. What it keeps above the third row,
# the mean of all ten on the other half, is all that the choice was worth. So *choose on one set of images
# and report on another*, or report the mean over the seeds.
#
# Tests are subject to the same luck. Compare twenty networks with an old one that is just as good. If the
# twenty tests are independent, the probability that at least one has p below 0.05 is
# $1 - 0.95^{20}$ = 64 %<!--= given -->. **Bonferroni's correction** divides the limit by the number of tests:
# only p below 0.05 / 20 = 0.0025 counts, and the probability of even one false alarm is at most 5 % again.
# *Holm's correction* keeps that promise, too, and never finds less. Our ten pairs needed neither, because we
# drew one conclusion, from one interval over all ten.
#
# ## How many images?
#
# One network makes five mistakes per thousand, another four. How many images does it take to tell? The
# **power** of a test is the probability that it comes out significant when there is a difference; 80 % is a
# common demand. For McNemar's test it depends on the difference and on how often the two networks disagree
# (Connor 1987, *Biometrics* 43, 207–211). We scale our pairs' disagreement to fewer mistakes, which is an
# assumption.

# %%
gap = BETTER - TRUTH
measured = np.mean([disagreement(one, other) for one, other in zip(wide, narrow, strict=True)])
disagree = scale_disagreement(measured, (wide.mean(), narrow.mean()), (TRUTH, BETTER))
effect = proportion_effectsize(BETTER, TRUTH)
need_unpaired = int(np.ceil(NormalIndPower().solve_power(effect, power=0.8, alpha=0.05)))
need_paired = images_needed(gap, disagree, power=0.8)
smallest_gap = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * np.sqrt(disagree / 8400)
powers = {size: simulated_power(size, gap, disagree, generator, EXAMS) for size in (8400, 28000)}
print(f"one exam {need_paired:,} images, separate exams {need_unpaired:,} images for each")

# %% mystnb={"image": {"alt": "Power against the number of images on a logarithmic axis: two curves rising from near 0 to 1, the paired test's further left than that of two separate exams; dots of simulated exams lie on or a little below the paired curve. Vertical lines mark 8,400 and 28,000 images, a horizontal one a power of 80 percent."}} tags=["hide-input"]
# @title Draws the power against the number of images
ax = plt.subplots(figsize=(7.2, 4.0))[1]
levels, sizes = np.linspace(0.05, 0.99, 40), np.geomspace(1000, 200_000, 12).astype(int)
curve = [images_needed(gap, disagree, power=level) for level in levels]
simulated = [simulated_power(size, gap, disagree, generator, EXAMS) for size in sizes]
ax.semilogx(curve, levels, color=plots.BLUE, label="one exam, image by image")
ax.semilogx(sizes, simulated, "o", color=plots.BLUE, label="the same, simulated")
separate = NormalIndPower().power(effect, sizes, 0.05)
ax.semilogx(sizes, separate, "--", color=plots.ORANGE, label="two separate exams")
for size in EXAM_SIZES.values():
    ax.axvline(size, color=plots.GREY, linewidth=1, linestyle=":")
    ax.text(size, 0.02, f" {size:,}", color=plots.GREY, fontsize=9)
ax.axhline(0.8, color=plots.GREY, linewidth=1, linestyle=":")
ax.yaxis.set_major_formatter(PercentFormatter(1.0))
ax.set(title="Seeing a tenth of a percentage point", xlabel="Images in the exam (logarithmic)",
       ylabel="Power: how often\nthe difference is seen")  # fmt: skip
ax.legend(loc="center left")
plt.show()

# %% [markdown]
# By the formulas, a tenth of a point takes 32,450<!--= 09.images_needed_paired , --> images in one exam and
# 70,105<!--= 09.images_needed_unpaired , --> per network in separate ones. In the simulation our 8,400 show
# it 26 %<!--= 09.power_of.validation .0% --> of the time, Kaggle's 28,000
# 72 %<!--= 09.power_of.kaggle .0% -->. The dots lie below the curve where images are few: the exact test
# counts whole images, so its false alarms stay below 5 %, and it is more cautious than the formula. With
# 8,400 images and as much disagreement, the formula's 80 % takes a difference of
# 0.20<!--= 09.smallest_gap_points .2f --> points.
#
# ## When you know only the totals
#
# A leaderboard shows totals. For two submissions of *your own* you can also count the images on which the
# files differ. The totals give the difference, the files bound the disagreement, and together they bound
# McNemar's p-value without a label. For our pair:

# %%
n_differ = np.sum(wide_answers[0] != narrow_answers[7])
totals = (~one_wide).sum(), (~one_narrow).sum()
bounds = {
    "the two totals": mcnemar_from_totals(*totals, N_IMAGES),
    "the totals and both files": mcnemar_from_totals(*totals, N_IMAGES, n_differ),
    "every label": (paired_p, paired_p),
}
pd.DataFrame(bounds, index=["p at least", "p at most"]).T.style.format("{:.2g}")

# %% [markdown]
# If the last column is below 0.05, the difference is significant; if the first is above, it is not; in
# between it is *open*. The files narrow the bounds, and what every label gives lies within them.
#
# Other people's figures are rounded, too. The best trial of the
# [walkthrough this book retells](https://github.com/naingthet/mnist) misread 31<!--= given --> of its
# 8,400 validation images: 99.63 %<!--= given --> right. Trained again with the same settings, the network
# reached 99.5 %<!--= given --> on Kaggle's 28,000. Did the choice flatter the trial? The images differ, so
# we take the test for separate exams.

# %%
rounded = {
    share: proportions_ztest([31, round((1 - share) * 28000)], [8400, 28000])[1]
    for share in (0.9945, 0.995, 0.9955)
}
for share, p_value in rounded.items():
    print(f"{share:.2%}: p = {p_value:.2f}")

# %% [markdown]
# What is printed as 99.5 %<!--= given --> lies between 99.45 %<!--= given --> and 99.55 %<!--= given -->, and
# p between 0.04<!--= 09.rounded.least .2f --> and 0.32<!--= 09.rounded.most .2f -->: *open*. When you publish
# an accuracy, say how many mistakes.
#
# ## What we found
#
# **Call a recipe better when its gain, measured image by image over several seeds, has an interval above
# zero, on images that had no part in choosing it.** Anything less may be luck.
#
# - In our example, comparing image by image is worth 2.2<!--= 09.pairing_worth .1f --> times the images.
# - Over ten seeds, wide is better than narrow by 0.17<!--= 09.difference_points .2f --> points (95 %
#   interval 0.11<!--= 09.difference_low .2f --> to 0.23<!--= 09.difference_high .2f -->, over seeds and
#   images). Of the single pairs, 4<!--= 09.n_significant d --> of 10 show it.
# - The best of fifty equal networks, simulated on the same 8,400 images, looks
#   0.11<!--= 09.best_of_fifty_points .2f --> points too good.
# - To show a tenth of a point with 80 % power takes 32,450<!--= 09.images_needed_paired , --> images in one
#   exam, 70,105<!--= 09.images_needed_unpaired , --> for each network in separate ones.

# %% tags=["hide-input"]
# @title The values that the text quotes
quoted = {
    "mistakes": {"wide": (~wide).sum(axis=1).mean(), "narrow": (~narrow).sum(axis=1).mean()},
    "coverage": {
        str(size): {"wald": row["Wald"], "wilson": row["Wilson"]}
        for size, row in recipes.iterrows()
    },
    "pair": {
        "only_wide": boxes[0, 1], "only_narrow": boxes[1, 0],
        "p_value": paired_p, "unpaired_p": unpaired_p,
        "unpaired_low": unpaired[0], "unpaired_high": unpaired[1],
        "overlap": intervals["from"].max() - intervals["to"].min(),
    },
    "crossed": {
        "paired": crossed["image by image"].sum(),
        "separate": crossed["as two separate exams"].sum(),
        "only_separate": (crossed["as two separate exams"] & ~crossed["image by image"]).sum(),
    },
    "error_of": {
        "one_seed": 100 * standard_error(1, 8400), "ten_seeds": 100 * standard_error(10, 8400),
        "hundred_seeds": 100 * standard_error(100, 8400),
        "ten_seeds_kaggle": 100 * standard_error(10, 28000),
    },
    "power_of": {"validation": powers[8400], "kaggle": powers[28000]},
    "rounded": {"least": min(rounded.values()), "most": max(rounded.values())},
}  # fmt: skip
of_wide = mean_over_seeds(wide)

# %%
report(
    n_train=len(train_images), n_validation=len(x_validation), n_seeds=SEEDS,
    wide_accuracy=your_wide.mean(), narrow_accuracy=your_narrow.mean(),
    lucky_validation=lucky[8400], lucky_kaggle=lucky[28000],
    pairing_worth=pairing_worth, n_significant=np.sum(tests < 0.05),
    gains_lowest=100 * gains.min(), gains_highest=100 * gains.max(),
    difference_points=100 * both.mean, difference_low=100 * both.low,
    difference_high=100 * both.high, seed_error_points=100 * both.seed_error,
    image_error_points=100 * both.image_error, interaction_error_points=100 * both.interaction_error,
    scatter_points=100 * wide.mean(axis=1).std(ddof=1),
    seed_share=of_wide.seed_error**2 * len(wide) / wide.mean(axis=1).var(ddof=1),
    best_of_fifty_points=same[49], best_of_fifty_own_points=own[49],
    winner_fell_points=winner_fell,
    disagreement_measured=measured, disagreement_assumed=disagree,
    images_needed_paired=need_paired, images_needed_unpaired=need_unpaired,
    smallest_gap_points=100 * smallest_gap, **quoted,
)  # fmt: skip

# %% [markdown]
# ### Check yourself
#
# Answer before you unfold.
#
# **1.** When does Wald's interval fail?
#
# <details>
# <summary>Answer</summary>
#
# When mistakes are few, in number and not in share.
#
# </details>
#
# **2.** Two intervals overlap. Are the networks equally good?
#
# <details>
# <summary>Answer</summary>
#
# That does not follow. If both saw the same images, compare image by image.
#
# </details>
#
# **3.** Which images does McNemar's test use?
#
# <details>
# <summary>Answer</summary>
#
# Those that exactly one of the two gets right.
#
# </details>
#
# **4.** What are the three parts of the scatter, and what reduces each?
#
# <details>
# <summary>Answer</summary>
#
# The seeds' effect: more seeds. The images': more images. Their interaction: more of either.
#
# </details>
#
# **5.** Why is one mean square subtracted?
#
# <details>
# <summary>Answer</summary>
#
# Rows and columns both hold the interaction; their sum counts it twice.
#
# </details>
#
# **6.** Your best of twenty seeds reads 99.6 %<!--= given -->. What do you report?
#
# <details>
# <summary>Answer</summary>
#
# The mean of the twenty, or the best one's score on images that had no part in choosing it.
#
# </details>
#
# ## Exercises
#
# **1.** A network makes no mistake on 500 images. How bad may it still be?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for method in ("wilson", "beta"):
#     print(method, f"{1 - proportion_confint(500, 500, method=method)[0]:.2%}")
# ```
#
# ```text
# wilson 0.76%
# beta 0.74%
# ```
#
# Seven mistakes per thousand cannot be ruled out. By the *rule of three*, after $n$ images without a
# mistake the true error is below $3/n$ with 95 % confidence: six per thousand. (The two intervals are
# two-sided, so they reach a little further; `"beta"` is the exact one.)
#
# </details>
#
# **2.** Your two submissions make 140 and 112 mistakes on Kaggle's 28,000 images. They differ in 90
# predictions. Is the better one better? And if they differ in 220?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for n_differ in (90, 220):
#     low, high = mcnemar_from_totals(140, 112, 28000, n_differ)
#     print(n_differ, f"p from {low:.2g} to {high:.2g}")
# ```
#
# ```text
# 90 p from 7.5e-09 to 0.0042
# 220 p from 0.049 to 0.068
# ```
#
# With 90 the difference is significant wherever the labels lie. With 220 it is open: the 28 may be the
# surplus of many images won and lost.
#
# </details>
#
# **3.** What does the double count cost? Simulate differences of ten seeds on 500 images without any
# seed effect, and count how often the interval contains the truth, with and without subtracting the rest.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# draw, inside = np.random.default_rng(0), {"once": 0, "twice": 0}
# for _ in range(1000):
#     table = 0.15 * draw.normal(size=500) + draw.normal(size=(10, 500))
#     seeds, images, rest = mean_squares(table) / table.size
#     for name, variance in (("once", seeds + images - rest), ("twice", seeds + images)):
#         inside[name] += int(abs(table.mean()) < 2 * np.sqrt(variance))
# print(inside)
# ```
#
# ```text
# {'once': 928, 'twice': 991}
# ```
#
# Counted twice, the interval is too wide and hides differences that are there. (It should contain the
# truth 950 times; 928 is because two standard errors stand here for Student's t.)
#
# </details>
#
# ## What's next
#
# You can now say whether one network is better than another. The next question is which images it gets
# wrong: [Where it fails](10_where_it_fails.ipynb).
