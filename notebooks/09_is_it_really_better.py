# %% [markdown]
# # Is it really better?
#
# **When is one network better than another, and when was it only lucky?**

# %% [markdown]
# **You will learn**
#
# - to read an accuracy as one draw out of many, and to say how far the next draw may fall from it;
# - to compare two networks on the same images, which shows far smaller differences than two separate scores;
# - to tell the luck of the seed from the luck of the images;
# - why the best of many always looks better than it is, and how many images a tenth of a percentage point costs.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [More data from the same data](04_augmentation.ipynb): seeds and McNemar's test; [How fast can it learn?](07_how_fast_can_it_learn.ipynb): the fast recipe |
# | Time | 25 minutes to read; the run takes one to three minutes on a laptop |

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
from IPython.display import Markdown, display
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
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
    simulate_equal_classifiers,
    simulated_power,
)
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.fast import Recipe, Trainer
from digit_utils.results import report
from digit_utils.shipped import load_final_model
from digit_utils.training import forget_networks

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the simulations and the first training; further ones add 1
N_TRAIN: int = 12000  # training images to use, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images to use, at least 0; 0: all 8,400
WIDTH: int = 16  # filters of the wide network's first convolution, at least 2; the narrow: half
EPOCHS: int = 3  # passes over the training images, at least 1
BATCH_SIZE: int = 256  # images a training step, at least 1
SEEDS: int = 5  # trainings of each of the two networks, at least 2
EXAMS: int = 1000  # repetitions of each simulation, at least 1

# %% [markdown]
# Somebody changes a network and trains it again. Before, it got five images in a thousand wrong. Now it gets four.
# Is the change an improvement?
#
# Near the end of the road, where this book has arrived, most improvements are of that size. Whoever
# believes each of them collects superstitions; whoever believes none stops learning. This chapter is about the
# few tools that tell the two apart, and in the end we turn them on the claims of the
# [walkthrough this book retells](https://github.com/naingthet/mnist), *the post* for short, and on our own.
#
# ## One number is one draw
#
# Think of all the digits that people like these writers might ever write. A network has some accuracy on all of them: the
# **true accuracy**. Nobody can measure it. What we measure is the accuracy on the images we happen to have,
# and with other images it would have come out a little differently.
#
# How differently can be worked out. Suppose the true accuracy is 99.5 percent. Give that network many exams, each with
# fresh images. How often does it get which mark? The number of right answers then follows the *binomial
# distribution*, that of tossing a coin that falls on one side 995 times in a thousand.

# %% mystnb={"image": {"alt": "Two bell curves around the same true accuracy: a wide one for exams with 8,400 images and a narrow one for exams with 28,000. A dashed line marks the truth, a dotted one an accuracy a tenth of a percentage point higher."}}
TRUTH, BETTER = 0.995, 0.996  # the two accuracies that this chapter wants to tell apart
EXAM_SIZES = {"validation": 8400, "Kaggle's test": 28000}

ax = plt.subplots(figsize=(7.2, 3.6))[1]
for (exam, size), style in zip(EXAM_SIZES.items(), ("-", "--"), strict=True):
    marks = np.arange(int(0.9925 * size), int(0.9975 * size))
    chances = stats.binom.pmf(marks, size, TRUTH) * size / 10_000
    ax.plot(marks / size, chances, style, label=f"{size:,} images ({exam})")
ax.axvline(TRUTH, color=plots.GREY, linestyle="--", linewidth=1)
ax.axvline(BETTER, color=plots.RED, linestyle=":", linewidth=1.5)
ax.set_ylim(top=1.3 * ax.get_ylim()[1])
ax.text(BETTER, 0.9 * ax.get_ylim()[1], " 99.6 %", color=plots.RED)
ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
ax.set(
    title="One network, many exams",
    xlabel="Accuracy in the exam (dashed: the true accuracy)",
    ylabel="Probability for each\n0.01 percentage points",
)
ax.legend(frameon=False, loc="upper left")
plt.show()

# %%
lucky = {size: stats.binom.sf(BETTER * size - 1, size, TRUTH) for size in EXAM_SIZES.values()}
display(
    Markdown(
        "A network that truly makes five mistakes in a thousand passes for one with four, "
        "or better, in "
        + " and ".join(
            f"**{chance:.1%}** of the exams with {size:,} images" for size, chance in lucky.items()
        )
        + "."
    )
)

# %% [markdown]
# In practice it is the other way round: we have one mark and ask for the truth. A **95 % confidence interval** is a recipe
# that turns a mark into a range, such that in 95 exams of 100 the range holds the truth. There are several such recipes. The textbook's,
# the mark ± 2 *standard errors* (one is the distance that chance typically moves a mark), fails close to 100 percent; **Wilson's** works there, and this book has used it since
# chapter 3. With statsmodels it is one call:

# %%
rows = []
for exam, size in EXAM_SIZES.items():
    for share in (TRUTH, BETTER):
        low, high = proportion_confint(round(share * size), size, method="wilson")
        rows.append((exam, f"{size:,}", f"{share:.1%}", f"{low:.2%} to {high:.2%}"))
pd.DataFrame(rows, columns=["exam", "images", "mark", "95 % interval"]).set_index("exam")

# %% [markdown]
# To make an interval half as wide takes *four* times the images. And whenever you read an accuracy without an
# interval, you can add it yourself: all you need is the number of images.
#
# ## Two networks, one exam
#
# Now a real question. Chapter 7's lean network has 16 filters in its first convolution. Is it better than one with half of that
# in every layer? We call them *wide* and *narrow*, and train each with several seeds, all on the same training images.

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
n_images = len(x_validation)
print(f"training on {len(train_images):,} images, comparing on {n_images:,}")

# %% [markdown]
# Of each training we keep its answers, and from them one true or false for each validation image: did this network get it right?
# A `Trainer` trains by the same recipe again and again. Keras turns a training step into a program first, which takes seconds;
# the trainer lets all seeds share one.

# %%
recipe = Recipe(width=WIDTH, epochs=EPOCHS, batch_size=BATCH_SIZE)
seeds = range(SEED, SEED + SEEDS)


def answers(recipe):
    """Train a network with each seed; return the digits they see: (seeds, validation images)."""
    trainer, found = Trainer(recipe), []
    for seed in seeds:
        network = trainer.train(train_images, train_labels, seed).network
        logits = keras.ops.convert_to_numpy(network(x_validation, training=False))
        found.append(logits.argmax(axis=1))
    return np.array(found)


wide_answers = answers(recipe)
narrow_answers = answers(replace(recipe, width=WIDTH // 2))
forget_networks()
wide, narrow = wide_answers == validation_labels, narrow_answers == validation_labels
print(f"right or wrong: {wide.shape[0]} trainings of {wide.shape[1]:,} images, for each network")

# %% [markdown]
# Take the first training of each. Here are their marks, each with its interval.

# %%
right_wide, right_narrow = wide[0].sum(), narrow[0].sum()
intervals = {
    "wide": proportion_confint(right_wide, n_images, method="wilson"),
    "narrow": proportion_confint(right_narrow, n_images, method="wilson"),
}
overlap = max(low for low, _ in intervals.values()) < min(high for _, high in intervals.values())
display(
    Markdown(
        f"Wide: **{right_wide / n_images:.2%}** ({intervals['wide'][0]:.2%} to "
        f"{intervals['wide'][1]:.2%}). Narrow: **{right_narrow / n_images:.2%}** "
        f"({intervals['narrow'][0]:.2%} to {intervals['narrow'][1]:.2%}). The two intervals "
        f"{'overlap' if overlap else 'do not overlap'}."
    )
)

# %% [markdown]
# Many look at this and say: where intervals overlap, there is no difference. That is a mistake, for two reasons. Each interval allows for the bad luck of its
# own network; it happens less often that one is unlucky and the other lucky at the same time. The other reason is the important one.
# The two networks **sat the same exam**. If it was a hard one, it was hard for both. What they got wrong *together*
# blurs both marks, yet says nothing about which is better.
#
# So put the images into a **contingency table** of four boxes, by who got them right.

# %%
boxes = contingency_table(wide[0], narrow[0])
pd.DataFrame(
    boxes,
    index=["wide right", "wide wrong"],
    columns=["narrow right", "narrow wrong"],
)

# %% [markdown]
# Only two of the boxes matter: the images that *one* of the two got right. If the networks were equally good, each of these images
# would be the toss of a fair coin, and **McNemar's test** asks how often a fair coin gives a split at least as uneven as this one.
# That probability is the **p-value**. Below 0.05, the custom says, the difference is *significant*: chance alone would
# rarely do this.
#
# The test says whether. To say *how much*, we want an interval of the difference. The **bootstrap** makes one
# without a formula. It draws as many images as there are, at random and with repetition, from those we have: an exam that might have
# been. For every image drawn it takes both networks' answers together, and notes the difference of the two marks. Two
# thousand such exams, and the middle 95 percent of their differences are the interval. The bootstrap is an approximation, the test is exact; close to the limit they
# may disagree, and we let the test decide.

# %%
generator = np.random.default_rng(SEED)
gain = wide[0].astype(int) - narrow[0]  # 1: only the wide one right, -1: only the narrow one
redrawn = [gain[generator.integers(0, n_images, n_images)].mean() for _ in range(2000)]
paired_low, paired_high = np.quantile(redrawn, [0.025, 0.975])
unpaired_low, unpaired_high = confint_proportions_2indep(
    right_wide, n_images, right_narrow, n_images
)
p_value = mcnemar(boxes, exact=True).pvalue

# %% [markdown]
# For comparison, the second row of the figure does as if each network had sat an exam of its own.

# %% mystnb={"image": {"alt": "Two intervals of the difference between the wide and the narrow network, in percentage points, one under the other with a line at zero: a shorter one for the same images compared pair by pair, a longer one as if the images had been different."}}
ax = plt.subplots(figsize=(7.2, 2.2))[1]
middle = 100 * gain.mean()
names = ("image by image", "as if of two exams")
ends = ((paired_low, paired_high), (unpaired_low, unpaired_high))
for row, (low, high) in enumerate(ends):
    reach = [[middle - 100 * low], [100 * high - middle]]
    ax.errorbar(middle, row, xerr=reach, fmt="o", color=(plots.BLUE, plots.ORANGE)[row], capsize=4)
ax.axvline(0, color=plots.GREY, linestyle="--", linewidth=1)
ax.set_yticks((0, 1), names)
ax.set_ylim(1.6, -0.6)
ax.set(
    title="Wide minus narrow, one training each",
    xlabel="Difference in accuracy (percentage points; bar: 95 % interval)",
)
ax.grid(axis="y", visible=False)
plt.show()

# %%
narrower = (unpaired_high - unpaired_low) / (paired_high - paired_low)
together = boxes[1, 1] / (n_images - min(right_wide, right_narrow))
without_pairs = "leave zero out" if unpaired_low * unpaired_high > 0 else "have zero in it"
one_pair = "shows a difference" if p_value < 0.05 else "does not settle it"
display(
    Markdown(
        f"Only the wide network is right on {boxes[0, 1]} images, only the narrow one on "
        f"{boxes[1, 0]}: p = {p_value:.2g}. The difference is {100 * gain.mean():+.2f} "
        f"percentage points, image by image {100 * paired_low:+.3f} to "
        f"{100 * paired_high:+.3f}. As if of two exams the interval would be "
        f"**{narrower:.1f} times as wide** and would {without_pairs}; pairing was worth "
        f"{narrower**2:.1f} times the images. Of the worse one's mistakes the other shares "
        f"{together:.0%}; the more it shares, the more pairing gains. This one pair of "
        f"networks **{one_pair}**."
    )
)

# %% [markdown]
# ## Two kinds of luck
#
# We compared two *networks*. What we wanted to know is about two *ways of training*, and each can produce many networks: another
# seed, other weights at the start, another order of the images. So repeat the comparison with the other seeds.

# %%
gains = wide.mean(axis=1) - narrow.mean(axis=1)
tests = [
    mcnemar(contingency_table(one, other), exact=True).pvalue
    for one, other in zip(wide, narrow, strict=True)
]
pd.DataFrame(
    {
        "mistakes, wide": (~wide).sum(axis=1),
        "mistakes, narrow": (~narrow).sum(axis=1),
        "difference (points)": [f"{100 * one:+.2f}" for one in gains],
        "p": [f"{p:.2g}" for p in tests],
    },
    index=pd.Index(seeds, name="seed"),
)

# %%
n_significant = sum(p < 0.05 for p in tests)
verdict = f"{n_significant} of {SEEDS} pairs pass for a significant difference"
display(
    Markdown(
        f"One question, {SEEDS} answers: {verdict}, and the difference goes from "
        f"{100 * gains.min():+.2f} to {100 * gains.max():+.2f} points. Whoever trains once "
        "reports one row of this table."
    )
)

# %% [markdown]
# There are two kinds of luck here, and they are independent of one another:
#
# - **the luck of the seed**: on these very images, how far does a difference move when both are trained anew?
# - **the luck of the images**: with these very networks, how far would it move on other images?
#
# Training more often makes the first smaller and leaves the second as it is; more images do the opposite. Each has a
# *standard error*, the typical distance that it moves the result. For the seeds it is the
# scatter (the standard deviation) of the column of differences, divided by the root of their number. For the images, average each image's difference over the
# seeds, take the scatter of these averages from image to image, and divide it by the root of the number of images. As squares they add up. An interval then reaches about two standard errors either
# way. With few seeds it must reach further, because so few numbers give their own scatter only roughly; *Student's t* says how much further.
# `difference_over_seeds` does this:

# %%
both = difference_over_seeds(wide, narrow)
over_seeds = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
over_images = both.mean + np.array([-1.96, 1.96]) * both.image_error
lucks = {
    "of the seeds": (both.seed_error, *over_seeds),
    "of the images": (both.image_error, *over_images),
    "both": (np.hypot(both.seed_error, both.image_error), both.low, both.high),
}
pd.DataFrame(
    [
        (luck, f"{100 * error:.3f}", f"{100 * low:+.2f} to {100 * high:+.2f}")
        for luck, (error, low, high) in lucks.items()
    ],
    columns=["luck", "standard error (points)", "95 % interval of the difference (points)"],
).set_index("luck")

# %% mystnb={"image": {"alt": "A point for the accuracy of each training, the wide and the narrow network of each seed joined by a line, and beside them the mean difference with the interval that covers both kinds of luck."}}
figure, (left, right) = plt.subplots(
    1, 2, figsize=(7.6, 3.6), gridspec_kw={"width_ratios": (3, 2), "wspace": 0.15}
)
for one, other in zip(narrow.mean(axis=1), wide.mean(axis=1), strict=True):
    left.plot((0, 1), (one, other), "o-", color=plots.BLUE, alpha=0.6, linewidth=1)
left.set_xticks((0, 1), ("narrow", "wide"))
left.set_xlim(-0.3, 1.3)
left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=2))
left.yaxis.set_major_locator(MaxNLocator(5))
left.set(
    title="Each line a seed", ylabel="Validation images\nclassified correctly", xlabel="Network"
)
middle = 100 * both.mean
reach = [[middle - 100 * both.low], [100 * both.high - middle]]
right.errorbar(0, middle, yerr=reach, fmt="o", color=plots.BLUE, capsize=4)
right.axhline(0, color=plots.GREY, linestyle="--", linewidth=1)
right.set_xticks((0,), (f"mean of {SEEDS} seeds",))
right.set(
    title="Wide minus narrow",
    ylabel="Percentage points\n(bar: 95 % interval, both lucks)",
    xlabel="",
)
right.grid(axis="x", visible=False)
plt.show()


# %%
def verdict_of(difference):
    """Say which side of zero an interval lies on."""
    if difference.low > 0:
        return "the wide network is better"
    if difference.high < 0:
        return "the narrow network is better"
    return "the two cannot be told apart"


larger = "seeds" if both.seed_error > both.image_error else "images"
display(
    Markdown(
        f"Over {SEEDS} seeds each and with both kinds of luck: **{verdict_of(both)}**. The "
        f"difference is {100 * both.mean:+.2f} percentage points (95 % interval "
        f"{100 * both.low:+.2f} to {100 * both.high:+.2f}). The luck of the {larger} is "
        "estimated to be the larger of the two; so few seeds give that only roughly."
    )
)

# %% [markdown]
# We paired the seeds too, the wide network's first with the narrow one's first. That costs a little, because fewer numbers are left to judge the scatter by, and it helps where a seed makes the same
# thing happen to both, such as the same images in the same order. Between networks of different widths it may do little. Pairing the *images* is
# what gains most.
#
# ## The best of many
#
# Now somebody tries fifty things and reports the best. What is that number worth?
#
# Let us simulate it, for in a simulation we know the truth. Fifty networks, *all equally good*, each with a true accuracy of 99.5
# percent, sit an exam of 8,400 images. The best of them has been the luckiest. By how much does its mark exceed its
# true accuracy? We do it twice: each network with images of its own, and all on the same images, with some images harder than
# others. How much harder, our wide networks tell: we take the number of images on which two of them disagree, divided by the number of their mistakes, and give
# the simulated networks the same ratio.


# %%
def disagreement(first, second):
    """Return the share of images that exactly one of two gets right."""
    return np.mean(first != second)


def scale_disagreement(share, accuracies, wanted):
    """Scale a disagreement to networks with other accuracies: per mistake it stays the same."""
    mistakes, of_wanted = 2 - sum(accuracies), 2 - sum(wanted)
    return min(share * of_wanted / mistakes, independent_disagreement(*wanted))


def independent_disagreement(first, second):
    """Return how often two networks disagree that have nothing in common."""
    return first * (1 - second) + second * (1 - first)


of_twins = np.mean([disagreement(wide[i], wide[j]) for i in range(SEEDS) for j in range(i)])
independent = independent_disagreement(TRUTH, TRUTH)
shared = scale_disagreement(of_twins, (wide.mean(), wide.mean()), (TRUTH, TRUTH))


def exceeds(disagreement, n_networks=100, size=8400):
    """Simulate exams; return by how many points the best of 1, 2, 3, … exceeds the truth."""
    mistakes = [
        simulate_equal_classifiers(size, n_networks, TRUTH, disagreement, generator)
        for _ in range(EXAMS)
    ]
    best = np.maximum.accumulate(1 - np.array(mistakes) / size, axis=1)
    return 100 * (best.mean(axis=0) - TRUTH)


own, same = exceeds(independent), exceeds(shared)

# %% mystnb={"image": {"alt": "Two rising curves against the number of networks on a logarithmic axis, from 1 to 100: by how much the best of them exceeds its true accuracy, higher if each has images of its own and lower if all have the same."}}
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

# %%
display(
    Markdown(
        "With images of its own for each network, the best of fifty equally good ones seems "
        f"**{own[49]:.2f} percentage points** better than it is; on the same images "
        f"{same[49]:.2f}, and the best of five there {same[4]:.2f}. Nothing about it is "
        "better. It was picked because its luck was good, and luck does not come along to "
        "the next exam."
    )
)

# %% [markdown]
# This is **selection bias**. It is at work wherever a number was used to choose and is then reported: the best epoch, the best
# seed, the best trial of a search, the best of ten ideas on a weekend.
#
# Do our own trainings show it? Cut the validation images into two halves, A and B, at random. Take
# the wide network that is best on A. How does that one do on B, which had no part in the choice? One cut is again one draw, so we take many and average.

# %%
rows = []
for _ in range(EXAMS):
    order = generator.permutation(n_images)
    on_a = wide[:, order[: n_images // 2]].mean(axis=1)
    on_b = wide[:, order[n_images // 2 :]].mean(axis=1)
    winner = on_a.argmax()
    rows.append((on_a[winner], on_b[winner], on_b.mean()))
halves = np.array(rows)
chosen, fresh, average = halves.mean(axis=0)
fell = 100 * (chosen - fresh)
display(
    Markdown(
        f"The best of {SEEDS} wide networks has **{chosen:.2%}** on the half that chose it "
        f"and **{fresh:.2%}** on the other, a difference of {-fell:+.2f} percentage points. "
        f"The average of all {SEEDS} on the other half is {average:.2%}. All cuts use the "
        f"same {SEEDS} trainings, so this is one example and no proof."
    )
)

# %% [markdown]
# The cure is old and simple. *Choose on one set of images, report on another*, which is why this book keeps the test
# labels sealed. And where nothing is left for reporting, report the mean over the seeds and not the best.
#
# ## How many images?
#
# Back to the question of the beginning: five mistakes in a thousand, or four? How many images does it take to tell?
#
# That depends on how sure one wants to be. The **power** of a test is the probability that it sees a difference that is really
# there; 80 % is a common demand. For two separate exams it depends on the two accuracies. For one exam and McNemar's
# test it depends on the difference and on how often the networks disagree, because only disagreements count. We start from
# the disagreement that the wide and the narrow network showed, averaged over the pairs. They make more mistakes than the two we ask about, so we scale it down:
# for each mistake it stays the same. That is an assumption, and the number of images hangs on it.
#
# The lines are computed with the usual approximations. The dots and triangles are simulated exams: a common one for both networks, judged by the exact McNemar test (dots), or one for
# each, judged by a *two-sample test* (triangles), which asks whether the two marks lie further apart than their standard errors allow. The exact test finds a difference less often, above all with few images, so the dots lie below their line.

# %%
gap = BETTER - TRUTH
measured = np.mean([disagreement(one, other) for one, other in zip(wide, narrow, strict=True)])
disagree = scale_disagreement(measured, (wide.mean(), narrow.mean()), (TRUTH, BETTER))
effect = proportion_effectsize(BETTER, TRUTH)
need_unpaired = int(np.ceil(NormalIndPower().solve_power(effect, power=0.8, alpha=0.05)))
need_paired = images_needed(gap, disagree, power=0.8)
sizes = np.geomspace(1000, 200_000, 12).astype(int)
powers_unpaired = NormalIndPower().power(effect, sizes, 0.05)
powers_paired = [simulated_power(size, gap, disagree, generator, EXAMS) for size in sizes]


def seen_apart(size):
    """Simulate exams of their own for the two; return how often a two-sample test sees the gap."""
    better, worse = (generator.binomial(size, share, EXAMS) / size for share in (BETTER, TRUTH))
    both_marks = (better + worse) / 2
    error = np.sqrt(2 * both_marks * (1 - both_marks) / size)
    return np.mean(better - worse > stats.norm.ppf(0.975) * error)


simulated_unpaired = [seen_apart(size) for size in sizes]
levels = np.linspace(0.05, 0.99, 40)
sizes_paired = [images_needed(gap, disagree, power=level) for level in levels]

# %% mystnb={"image": {"alt": "Power against the number of images on a logarithmic axis: two curves rising from near 0 to 1, the paired test's further left than that of two separate exams. Vertical lines mark 8,400 and 28,000 images, a horizontal one a power of 80 percent."}}
ax = plt.subplots(figsize=(7.2, 4.0))[1]
ax.semilogx(sizes_paired, levels, color=plots.BLUE, label="one exam, image by image")
ax.semilogx(sizes, powers_paired, "o", color=plots.BLUE, label="the same, simulated")
ax.semilogx(sizes, powers_unpaired, "--", color=plots.ORANGE, label="two separate exams")
ax.semilogx(sizes, simulated_unpaired, "^", color=plots.ORANGE, label="the same, simulated")
for size in EXAM_SIZES.values():
    ax.axvline(size, color=plots.GREY, linewidth=1, linestyle=":")
    ax.text(size, 0.02, f" {size:,}", color=plots.GREY, fontsize=9)
ax.axhline(0.8, color=plots.GREY, linewidth=1, linestyle=":")
ax.yaxis.set_major_formatter(PercentFormatter(1.0))
ax.set(
    title="Seeing a tenth of a percentage point",
    xlabel="Images in the exam (logarithmic)",
    ylabel="Power: how often\nthe difference is seen",
)
ax.legend(loc="center left")
plt.show()

# %%
at_validation = simulated_power(8400, gap, disagree, generator, EXAMS)
at_kaggle = simulated_power(28000, gap, disagree, generator, EXAMS)
smallest = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)  # standard errors that 80 % power takes
smallest_gap = 100 * smallest * np.sqrt(disagree / 8400)
display(
    Markdown(
        "By the lines, to see a tenth of a percentage point four times out of five takes "
        f"**{need_unpaired:,} images** for each network in separate exams, and "
        f"**{need_paired:,} images** in one exam, if the two disagree on {disagree:.2%} of "
        f"them (ours disagreed on {measured:.2%}, with more mistakes). What 8,400 images "
        f"show four times out of five is a difference of {smallest_gap:.2f} points. In "
        "simulated exams, which the exact test judges, a tenth of a point is seen "
        f"{at_validation:.0%} of the time with our 8,400 validation images and "
        f"{at_kaggle:.0%} with Kaggle's 28,000."
    )
)

# %% [markdown]
# Fewer images suffice only for two networks that disagree less.
#
# ### The leaderboard
#
# Kaggle scores a submission on its test images (all 28,000 of them, let us suppose) and shows only the total. Two neighbours on the leaderboard cannot be compared image by image;
# each total has an interval as wide as those of the table at the beginning, and whoever lies inside it may be just as good.
#
# But for two submissions of *your own* you can do better. You have both files, so you can count the images on which they differ, and only on
# those can one be right and the other wrong. The two totals give the difference, your files give a bound for the disagreement,
# and McNemar's test gives a bound for the p-value. No label is needed. Let us see what it would have said of our first pair:

# %%
n_differ = int(np.sum(wide_answers[0] != narrow_answers[0]))
mistakes = int((~wide[0]).sum()), int((~narrow[0]).sum())
bounds = {
    "the two totals": mcnemar_from_totals(*mistakes, n_images),
    "the totals and the files": mcnemar_from_totals(*mistakes, n_images, n_differ),
    "every label": (p_value, p_value),
}
pd.DataFrame(
    [(name, f"{low:.2g}", f"{high:.2g}") for name, (low, high) in bounds.items()],
    columns=["known", "p at least", "p at most"],
).set_index("known")

# %% [markdown]
# If even the last column is below 0.05, the difference is significant however the labels may lie.
#
# ## Looking again
#
# Now for the claims. Some are the post's, as it printed them ([source](https://github.com/naingthet/mnist)); some are of this book. Where only totals are known, the bounds above must do. They
# leave three verdicts: *holds* (significant in any case), *not shown* (in no case) and *open* (it depends on the images that both got wrong).
#
# The post says three things in a row: its second network beats its first, a schedule for the learning rate improves it slightly, and its search improves it further. Each is a
# line of the table at the end of this part, and so is all that follows here.

# %%
N = 8400  # the post's validation images; mistakes follow from the accuracies it printed
POST = {"first network": 84, "second network": 45, "with a schedule": 45, "search": 31}
# Its fifty trials, each at its best epoch.
TRIALS = np.array(
    [42, 39, 37, 37, 40, 44, 41, 50, 38, 36, 37, 41, 33,
     34, 37, 47, 41, 42, 43, 38, 35, 39, 34, 42, 33]
    + [40, 36, 37, 38, 38, 31, 44, 32, 42, 41, 38, 43, 39,
       36, 38, 43, 35, 40, 44, 37, 39, 37, 46, 36, 39]
)  # fmt: skip
claims = []


def judge_totals(claim, worse, better):
    """Judge a claim of which only the numbers of mistakes on the post's images are known."""
    low, high = mcnemar_from_totals(worse, better, N)
    if worse == better:
        verdict, evidence = "not shown", f"{worse} mistakes each"
    else:
        verdict = "holds" if high < 0.05 else "open" if low < 0.05 else "not shown"
        evidence = f"{worse} mistakes against {better}: p between {low:.2g} and {high:.2g}"
    claims.append((claim, evidence, verdict))


judge_totals(
    "Post: the second network beats the first", POST["first network"], POST["second network"]
)
judge_totals(
    "Post: the schedule improves it slightly", POST["second network"], POST["with a schedule"]
)
judge_totals("Post: the search improves it further", POST["with a schedule"], POST["search"])

# %% [markdown]
# The network of the third claim was the best of fifty. So ask the other question as well: how good would the best of fifty *equal* networks
# have looked? They get the post's average and, for each mistake, the disagreement of our wide networks. And how much do its fifty settings scatter? For
# comparison we give the scatter of chapter 7's recipe, another network, from seed to seed.

# %%
ablation = load_recorded("ablation")
ours = np.array(ablation["variants"]["the recipe"]["scores"])
usual = 1 - TRIALS.mean() / N
shared = scale_disagreement(of_twins, (wide.mean(), wide.mean()), (usual, usual))
best_of_fifty = np.array(
    [simulate_equal_classifiers(N, 50, usual, shared, generator).min() for _ in range(EXAMS)]
)
at_least_as_good = np.mean(best_of_fifty <= POST["search"])
claims.append(
    (
        "Post: among fifty settings, one is best",
        f"the best of fifty equal networks makes {np.median(best_of_fifty):.0f} mistakes as "
        f"a rule, {POST['search']} or fewer in {at_least_as_good:.0%} of {EXAMS:,} "
        "simulations; for scale: these settings scatter by "
        f"{100 * TRIALS.std(ddof=1) / N:.3f} points, another network, chapter 7's, by "
        f"{100 * ours.std(ddof=1):.3f} with the seed alone",
        "not shown" if at_least_as_good > 0.05 else "holds",
    )
)

# %% [markdown]
# The post's best trial stood at 99.63 % of its validation images; on Kaggle the final network reached 99.5 %. Different images, so here the two-sample test is
# the right one: no image is common to both.

# %%
after_choice = proportions_ztest([POST["search"], round(0.005 * 28000)], [N, 28000])[1]
claims.append(
    (
        "About the post: the score that chose the winner, 99.63 %, is too high for Kaggle's 99.5 %",
        f"p = {after_choice:.2g}, as of two exams",
        "holds" if after_choice < 0.05 else "not shown",
    )
)

# %% [markdown]
# And our own. The winners of chapter 5's recorded searches were trained again with fresh seeds, on the same images. Chapter 6's networks were chosen among five candidates by
# their mistakes. Chapter 7 took its recipe apart, one change at a time.

# %%
searches = load_recorded("search_comparison")["seeds"].values()
fall = [  # the two searches of a seed share their first trials, so they count as one
    100
    * np.mean(
        [
            -min(one["losses"]) - np.mean([again["validation"] for again in one["retrained"]])
            for one in methods.values()
        ]
    )
    for methods in searches
]
low, high = stats.ttest_1samp(fall, 0).confidence_interval(0.95)
claims.append(
    (
        "About chapter 5: a winner's score in its search is too high",
        f"trained again, winners fall by {np.mean(fall):.2f} points on average (95 % "
        f"interval {low:+.2f} to {high:+.2f}, {len(fall)} searches)",
        "holds" if low > 0 else "not shown",
    )
)
candidates = sorted(load_final_model()[1]["selection"], key=lambda one: one["mistakes"])
judge_totals(
    f"Chapter 6: '{candidates[0]['candidate']}' is the best of five recipes (here against "
    "the next)",
    candidates[1]["mistakes"],
    candidates[0]["mistakes"],
)

# %% [markdown]
# Chapter 7 compared eleven variants with the recipe. Ask eleven times at 5 %, and a false alarm is quite likely. **Holm's correction** makes the
# p-values larger according to how many were asked, so that the chance of *any* false alarm stays at 5 %. Each comparison is a
# *t*-test over five seeds, which asks whether two means lie further apart than the scatter around each of them explains; the luck of the images is not in it, as only the totals were recorded.

# %%
scores = {name: found["scores"] for name, found in ablation["variants"].items()}
variants = [name for name in scores if name != "the recipe"]
raw = [stats.ttest_ind(ours, scores[name], equal_var=False).pvalue for name in variants]
corrected = dict(zip(variants, multipletests(raw, method="holm")[1], strict=True))
for claim, name in (
    ("label smoothing helps", "no label smoothing"),
    ("with the settings tried, Muon beats AdamW", "AdamW, not Muon"),
):
    lost = 100 * (ours.mean() - np.mean(scores[name]))
    claims.append(
        (
            f"Chapter 7: {claim}",
            f"{lost:+.2f} points over {len(ours)} seeds, p = {corrected[name]:.2g} after Holm",
            "not shown" if corrected[name] > 0.05 else "holds" if lost > 0 else "the opposite",
        )
    )

# %% [markdown]
# Chapter 7 also said that a training this short does not need augmentation, because the difference stayed within the seeds. A claim that there is *no*
# difference wants another question. A large p-value does not prove it. Ask for the interval: which differences are still possible? Here *not excluded* means
# that zero is among them, and other values are as well (exactly none can never be shown); *wrong* means that zero is not. It stands alone, not corrected for the eleven questions.

# %%
augmented = stats.ttest_ind(ours, scores["no augmentation"], equal_var=False)
low, high = (100 * end for end in augmented.confidence_interval(0.95))
claims.append(
    (
        "Chapter 7: in a training this short, augmentation makes no difference",
        f"between {low:+.2f} and {high:+.2f} points over {len(ours)} seeds (95 % interval)",
        "not excluded" if low <= 0 <= high else "wrong",
    )
)
lines = ["| Claim | Evidence | Verdict |", "| --- | --- | --- |"]
lines += [f"| {claim} | {evidence} | **{verdict}** |" for claim, evidence, verdict in claims]
display(Markdown("\n".join(lines)))

# %% [markdown]
# *Not shown* does not mean *wrong*. It means that this evidence is no reason to believe it. A verdict of *holds* has limits as well:
# where each side was trained once, the luck of the seed is not in it; and in the comparisons over seeds,
# which test the seeds' scores alone, the luck of the images is not.
#
# ## What we found

# %%
counts = pd.Series([verdict for _, _, verdict in claims]).value_counts()
report(
    "- On 8,400 images a network that is right 99.5 percent of the time passes for one with "
    f"99.6 in {lucky[8400]:.0%} of the exams.\n"
    f"- Over {SEEDS} seeds each: {verdict_of(both)} ({100 * both.mean:+.2f} points, 95 % "
    f"interval {100 * both.low:+.2f} to {100 * both.high:+.2f}, both kinds of luck). Single "
    f"pairs of trainings: {verdict}.\n"
    f"- Comparing image by image was worth {narrower**2:.1f} times the images.\n"
    f"- The best of {SEEDS} trainings of one kind scores {abs(fell):.2f} points "
    f"{'lower' if fell > 0 else 'higher'} on images that had no part in choosing it than on "
    "those that had.\n"
    f"- To see a tenth of a percentage point four times out of five takes {need_unpaired:,} "
    f"images for each network in two exams, and {need_paired:,} in one, if better networks "
    f"disagree less often in proportion to their mistakes, on {disagree:.2%} of the "
    "images.\n"
    f"- Of {len(claims)} claims looked at again: "
    + ", ".join(f"*{verdict}* {count}" for verdict, count in counts.items())
    + ".",
    n_train=len(train_images),
    n_validation=n_images,
    n_seeds=SEEDS,
    wide_accuracy=wide.mean(),
    narrow_accuracy=narrow.mean(),
    difference_points=100 * both.mean,
    difference_low=100 * both.low,
    difference_high=100 * both.high,
    seed_error_points=100 * both.seed_error,
    image_error_points=100 * both.image_error,
    pairing_worth=narrower**2,
    first_pair_p=p_value,
    n_significant=n_significant,
    best_of_fifty_points=same[49],
    winner_fell_points=fell,
    disagreement_measured=measured,
    disagreement_assumed=disagree,
    images_needed_paired=need_paired,
    images_needed_unpaired=need_unpaired,
    verdicts={claim: verdict for claim, _, verdict in claims},
)

# %% [markdown]
# ## Exercises
#
# **1.** A network makes no mistake at all on 500 images. How bad may it still be?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# print(proportion_confint(500, 500, method="wilson"))
# print(proportion_confint(500, 500, method="beta"))
# ```
#
# It may well make several mistakes in a thousand. There is a rule of thumb, the *rule of three*: after $n$ images without a mistake, the true error is
# with 95 % confidence below $3/n$, here 6 in a thousand. (Wilson's interval and `"beta"`, the exact one, are two-sided, so their limits are a little
# further out.)
#
# </details>
#
# **2.** Your two submissions score 28 images apart on Kaggle, a tenth of a point, with 140 and 112 mistakes. They differ in 90 predictions. Is
# the better one better? And if they differed in 220?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for n_differ in (90, 220):
#     print(n_differ, mcnemar_from_totals(140, 112, 28000, n_differ))
# ```
#
# With 90 differences the p-value is below 0.05 in any case. With 220 that is no longer certain: the 28 might be the
# surplus of a great many images won and lost. The same gain is worth more if the two submissions are otherwise alike.
#
# </details>
#
# **3.** The images are what they are, but trainings are cheap. How many seeds of each does it take to see a twentieth of a percentage
# point on these very images, with a power of 80 %?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# from statsmodels.stats.power import TTestIndPower
#
# scatter = np.sqrt((wide.mean(axis=1).var(ddof=1) + narrow.mean(axis=1).var(ddof=1)) / 2)
# print(TTestIndPower().solve_power(0.0005 / scatter, power=0.8, alpha=0.05))
# ```
#
# A handful or a few dozen? The scatter of your networks decides. But all those seeds only say which way of training is better *on
# these images*. The luck of the images stays.
#
# </details>
#
# **4.** Selection happens within one training, too. Score a training after every epoch, with ten epochs and no falling learning rate
# (`warmup=0`), and compare the best epoch with the last.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# from digit_utils.fast import train
#
#
# def score(network):
#     logits = keras.ops.convert_to_numpy(network(x_validation, training=False))
#     return np.mean(logits.argmax(axis=1) == validation_labels)
#
# flat = replace(recipe, epochs=10, warmup=0.0, learning_rate=0.03)
# scores = train(flat, train_images, train_labels, SEED, score).scores
# print(f"best {max(scores):.2%}, last {scores[-1]:.2%}")
# ```
#
# The best cannot be below the last, and where the curve goes up and down it is above it. Part of the gap is
# luck. Score the best epoch's network on the half of the images that did not choose it, and you see which part.
#
# </details>
#
# ## What's next
#
# We can now say whether one network is better than another. The next question is which images it gets wrong:
# [Where it fails](10_where_it_fails.ipynb).
