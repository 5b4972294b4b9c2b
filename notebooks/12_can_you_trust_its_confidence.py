# %% [markdown]
# # Can you trust its confidence?
#
# **When a network says it is 99 percent sure, is it right 99 times in a hundred?**

# %% [markdown]
# **You will learn**
#
# - to compare the mistakes a network expects with those it makes, and to mend its confidence;
# - to leave the doubtful images to a person, and what you can promise for the rest;
# - what a network says of things that are not digits.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [How fast can it learn?](07_how_fast_can_it_learn.ipynb): logits, label smoothing, the fast recipe; [Is it really better?](09_is_it_really_better.ipynb): intervals, choosing on one half and reporting on the other; [Where it fails](10_where_it_fails.ipynb): out-of-fold answers |
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
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binom, norm, rankdata
from sklearn.calibration import calibration_curve
from statsmodels.stats.multitest import multipletests

from digit_utils import confidence_plots, ood, plots
from digit_utils.calibration import as_logits, reliability_table, threshold_for_accuracy
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.ensemble import average_probabilities
from digit_utils.evaluate import interval_of_share
from digit_utils.fast import Recipe, train
from digit_utils.predictions import load_predictions
from digit_utils.results import report
from digit_utils.shipped import load_final_model

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the halves, the trainings and the out-of-distribution images
N_TRAIN: int = 16000  # training images to use, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images to use, at least 0; 0: all 8,400
N_TEST: int = 0  # test images for the shipped networks to answer, at least 0; 0: all 28,000
EPOCHS: int = 3  # passes over the training images, at least 1
BATCH_SIZE: int = 256  # images per training step, at least 1
LABEL_SMOOTHING: float = 0.05  # probability spread over all digits in the target
WANTED: float = 0.999  # accuracy wanted of the answers the network gives itself
OUTSIDERS: int = 1000  # images of each kind that show no digit, at least 1

# %% [markdown]
# A network that reads cheques is right nearly always, and *nearly* is the trouble. If it knew which of
# its answers are doubtful, a person could read those.
#
# It does give a number with each answer. The **softmax** turns its ten outputs, the *logits*, into ten
# positive numbers that add up to 1, and the largest is called its **confidence**. It looks like a
# probability. Is it one? A network is **calibrated** if its confidence comes true: of all answers given
# with 90 percent, 90 in 100 are right. You can check that.
#
# ## The networks that come with the book
#
# We check the two models you can use today: the single network behind
# [Draw a digit](../book/draw_a_digit.md) and the ensemble of [chapter 6](06_final_model.ipynb). Both
# learned from all labelled images, and a network is surer of what it has learned from. So each network
# has a twin, trained by the same recipe without a part of the labelled images, which it then read. Such
# answers are *out of fold*, as in chapter 10. The record holds ten probabilities per image; those of the
# ensemble are averages over its members.

# %% tags=["nbval-check-output"]
record = load_predictions("out_of_fold")
answers = {name: (as_logits(found), record.labels) for name, found in record.probabilities.items()}
for name, (_, labels) in answers.items():
    print(f"{name:9} {len(labels):,} images out of fold")

# %% [markdown]
# `as_logits` takes logarithms, for the softmax of these gives the probabilities back.
#
# The simplest check is to count. An answer with a confidence of 98 percent admits two hundredths of a
# mistake. Add these up over all images, and the network has said **how many mistakes it expects**. Then
# count those it made.


# %%
def expected_and_made(logits, labels):
    confidence = softmax(logits, axis=1).max(axis=1)
    return {
        "accuracy": np.mean(logits.argmax(axis=1) == labels),
        "mean confidence": confidence.mean(),
        "mistakes it expects": np.sum(1 - confidence),
        "±": 1.96 * np.sqrt(np.sum(confidence * (1 - confidence))),
        "mistakes it made": np.sum(logits.argmax(axis=1) != labels),
    }


def compare(answers):
    counted = pd.DataFrame({name: expected_and_made(*asked) for name, asked in answers.items()}).T
    surplus = counted["mistakes it made"] - counted["mistakes it expects"]
    wrong = np.where(surplus > 0, "over-confident", "under-confident")
    counted["verdict"] = np.where(abs(surplus) <= counted["±"], "as expected", wrong)
    return counted


def show(counted):
    shown = {"accuracy": "{:.2%}", "mean confidence": "{:.2%}", "temperature": "{:.2f}"}
    return counted.style.format(shown, precision=0)


show(compare(answers))

# %% [markdown]
# The ± is how far chance takes the mistakes of a calibrated network in 95 of 100 cases. A network that
# makes more is **over-confident**, one that makes fewer **under-confident**. The single network expects
# 999<!--= 12.mistakes_expected.single .0f --> mistakes and makes
# 99<!--= 12.mistakes_made.single d -->; the ensemble expects
# 999<!--= 12.mistakes_expected.ensemble .0f --> and makes
# 99<!--= 12.mistakes_made.ensemble d -->. Both are far too modest: as they come, their percentages are
# not probabilities.
#
# ## What makes a network boast, and what makes it modest
#
# Train three networks that differ in what they learn from:
#
# - **smoothed**, by the fast recipe of chapter 7: with label smoothing, as the shipped networks, the
#   target for the right digit is 0.955<!--= given --> instead of 1;
# - **plain**: the same recipe with the target 1;
# - **overfit**: also with the target 1, but on an eighth of the images, eight times as often and never
#   augmented, so that it can learn them by heart.

# %%
digits = load_digits(DATA)
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
validation_images, validation_labels = take_subset(
    validation_images, validation_labels, N_VALIDATION or None, seed=SEED
)
few_images, few_labels = take_subset(train_images, train_labels, len(train_images) // 8, seed=SEED)

smoothed = Recipe(epochs=EPOCHS, batch_size=BATCH_SIZE, label_smoothing=LABEL_SMOOTHING)
plain = replace(smoothed, label_smoothing=0.0)
overfit = replace(plain, epochs=8 * EPOCHS, rotation=0.0, zoom=0.0, shift=0.0)
networks = {
    "smoothed": train(smoothed, train_images, train_labels, SEED).network,
    "plain": train(plain, train_images, train_labels, SEED).network,
    "overfit": train(overfit, few_images, few_labels, SEED).network,
}


# %%
def logits_of(network, images):
    outputs = network(prepare_images(images), training=False)
    return keras.ops.convert_to_numpy(outputs).astype(float)


for name, network in networks.items():
    answers[name] = logits_of(network, validation_images), validation_labels
counted = compare(answers)
show(counted)

# %% [markdown]
# The **smoothed** network expects 567<!--= 12.mistakes_expected.smoothed .0f --> mistakes and makes
# 62<!--= 12.mistakes_made.smoothed d -->. It was told to be modest: label smoothing punishes every answer
# surer than 0.955<!--= given --> ([Müller and others 2019](https://arxiv.org/abs/1906.02629)).
#
# The **overfit** network expects 64<!--= 12.mistakes_expected.overfit .0f --> and makes
# 221<!--= 12.mistakes_made.overfit d -->. Once it reads its training images without a mistake, only more
# confidence lowers its loss. Most modern networks are of this kind
# ([Guo and others 2017](https://arxiv.org/abs/1706.04599)).
#
# The **plain** network, which never sees an image twice the same, expects
# 84<!--= 12.mistakes_expected.plain .0f --> and makes 115<!--= 12.mistakes_made.plain d -->.
#
# ## One number: the temperature
#
# Divide all logits by one number, the **temperature**, before the softmax. Above 1 it brings them closer
# together, and the network becomes less sure; below 1, surer. The largest logit stays the largest, so no
# answer changes.
#
# Which temperature? The one at which the **log loss** is smallest, the cross-entropy of chapter 2: the
# mean of $-\log p$ over the probabilities $p$ given to the true digits. It punishes confident mistakes
# hard, and on average nothing makes it smaller than the true probabilities do.


# %%
def log_loss(logits, labels):
    of_truth = log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return -of_truth.mean()


def fit_temperature(logits, labels):
    found = minimize_scalar(
        lambda log_temperature: log_loss(logits / np.exp(log_temperature), labels),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
    )
    return np.exp(found.x)


# %% [markdown]
# We fit on one half of the images, A, and judge on the other, B, as chapter 9 taught. For the ensemble,
# the members' probabilities are pooled first, and the pool gets one temperature.

# %%
temperatures, half_a, half_b = {}, {}, {}
for name, (logits, labels) in answers.items():
    order = np.random.default_rng(SEED).permutation(len(labels))
    a, b = np.array_split(order, 2)
    temperatures[name] = fit_temperature(logits[a], labels[a])
    half_a[name] = logits[a] / temperatures[name], labels[a]
    half_b[name] = logits[b] / temperatures[name], labels[b]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Log loss on half A against the temperature, both logarithmic, for the single network and the ensemble that come with the book and three networks trained here: five valleys, each with a dot at its lowest point, and a dashed line at temperature 1."}}
# @title Draws the log loss against the temperature
ax = plt.subplots(figsize=(7.2, 3.8))[1]
grid = np.geomspace(0.2, 5, 60)
for (name, (logits, labels)), colour in zip(
    half_a.items(), (*confidence_plots.COLOURS, plots.GREY), strict=True
):
    lowest = temperatures[name]
    losses = [log_loss(logits * lowest / temperature, labels) for temperature in grid]
    ax.loglog(grid, losses, color=colour, label=name)
    ax.plot(lowest, log_loss(logits, labels), "o", color=colour)
ax.axvline(1, color=plots.GREY, linestyle="--", linewidth=1)
ax.set_xticks((0.25, 0.5, 1, 2, 4), ("0.25", "0.5", "1", "2", "4"))
ax.yaxis.set_major_formatter("{x:g}")
ax.minorticks_off()
ax.set(title="Where the log loss is smallest", xlabel="Temperature (logarithmic)")
ax.set_ylabel("Log loss on half A\n(nats, logarithmic)")
ax.legend(frameon=False, ncols=2)
plt.show()

# %%
tempered = compare(half_b)
tempered.insert(0, "temperature", temperatures)
show(tempered)

# %% [markdown]
# At a temperature of 0.50<!--= 12.temperatures.single .2f --> the single network expects
# 99<!--= 12.tempered_expected.single .0f --> mistakes on half B and makes
# 99<!--= 12.tempered_made.single d -->. The ensemble, at
# 0.50<!--= 12.temperatures.ensemble .2f -->, expects
# 99<!--= 12.tempered_expected.ensemble .0f --> and makes
# 99<!--= 12.tempered_made.ensemble d -->. Both totals are within chance.
#
# ## Does it hold for every confidence?
#
# A total can be right by accident: too sure here, too modest there. So sort the images into ten bins by
# their confidence, and draw for each the share of right answers. This is the **calibration curve**, or
# *reliability diagram*; a calibrated network lies on the diagonal. Here is the single network at its
# temperature.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left, the calibration curve of the single network: the share of right answers against the confidence in ten equal bins, jumping around the diagonal. Right, the number of images in each bin on a logarithmic axis: nearly all are in the last."}}
# @title Draws the calibration curve
sure = softmax(half_b["single"][0], axis=1).max(axis=1)
right = half_b["single"][0].argmax(axis=1) == half_b["single"][1]
shares, means = calibration_curve(right, sure, n_bins=10)
figure, (curve, counts) = plt.subplots(1, 2, figsize=(7.6, 3.6))
curve.plot((0, 1), (0, 1), "--", color=plots.GREY, linewidth=1)
curve.plot(means, shares, "o-", color=plots.BLUE)
curve.set(title="Calibration curve", xlabel="Confidence (%)", ylabel="Answers that are right (%)")
counts.hist(sure, bins=np.linspace(0, 1, 11), color=plots.BLUE, log=True)
counts.set(title="Images in each bin", xlabel="Confidence (%)", ylabel="Images (logarithmic)")
for axis in (curve.xaxis, curve.yaxis, counts.xaxis):
    axis.set_major_formatter(lambda share, _: f"{100 * share:.0f}")
plt.show()

# %% [markdown]
# 99.9 %<!--= 12.in_last_bin .1% --> of the images are in the last bin, the dot at the upper right. All
# other dots together stand for 99<!--= 12.outside_last_bin d --> images, so chance decides where they
# lie. Is an answer with 99.9 percent wrong once in a thousand? The picture cannot say.
#
# Look at the **uncertainty** instead, 1 minus the confidence, on a logarithmic axis. One bin holds
# uncertainties from a tenth to 1, the next from a hundredth to a tenth, and so on. Where no answer was
# wrong, a triangle marks the upper end of the interval.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two charts of the share of wrong answers against the mean uncertainty, both logarithmic, for the single network and the ensemble. Left, as they come: the points lie below the diagonal, under-confident. Right, at their temperatures: the points lie on the diagonal within their intervals."}}
# @title Draws the share of wrong answers against the uncertainty
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True)
for ax, title in zip(axes, ("As they come", "At their temperatures"), strict=True):
    tables = {}
    for name in record.probabilities:
        logits, labels = half_b[name]
        scale = temperatures[name] if ax is axes[0] else 1
        confidence = softmax(scale * logits, axis=1).max(axis=1)
        tables[name] = reliability_table(confidence, logits.argmax(axis=1) == labels)
    confidence_plots.plot_uncertainty(tables, ax, title)
axes[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 0.88))
axes[1].set_ylabel("")
plt.show()

# %% [markdown]
# As they come, both are wrong far less often than they admit. At their temperatures they follow the
# dashed line, from answers that are half a guess to those that are wrong once in a thousand.
#
# ### The same as one number
#
# The **expected calibration error** (ECE,
# [Naeini and others 2015](https://doi.org/10.1609/aaai.v29i1.9602)) is the mean distance from the
# diagonal, each bin counting by its images. We take fifteen bins of equally *many* images, because with
# ten of equal width all would rest on the last one.


# %%
def calibration_error(confidence, correct, n_bins=15):
    bins = np.array_split(np.argsort(confidence, kind="stable"), n_bins)
    gaps = [abs(confidence[rows].mean() - correct[rows].mean()) * len(rows) for rows in bins]
    return sum(gaps) / len(confidence)


def error_by_chance(confidence, draws=200):
    generator = np.random.default_rng(SEED)
    drawn = [generator.random(len(confidence)) < confidence for _ in range(draws)]
    return np.quantile([calibration_error(confidence, correct) for correct in drawn], 0.95)


# %% [markdown]
# Chance makes this error positive even for a perfect network. The second function says how large: it lets
# each answer be right with the probability that its confidence states, again and again, and returns the
# error that a calibrated network exceeds in 5 of 100 cases.

# %%
rows = {}
for name, (logits, labels) in half_b.items():
    correct = logits.argmax(axis=1) == labels
    before = softmax(temperatures[name] * logits, axis=1).max(axis=1)
    after = softmax(logits, axis=1).max(axis=1)
    rows[name] = {
        "as it comes": calibration_error(before, correct),
        "at its temperature": calibration_error(after, correct),
        "by chance up to": error_by_chance(after),
    }
errors = pd.DataFrame(rows).T
(100 * errors).style.format("{:.2f}").set_caption("Calibration error, percentage points, half B")

# %% [markdown]
# At its temperature the single network is off by 0.20<!--= 12.calibration_errors.single .2p --> percentage
# points instead of 9.99<!--= 12.calibration_errors_before.single .2p -->, the ensemble by
# 0.20<!--= 12.calibration_errors.ensemble .2p --> instead of
# 9.99<!--= 12.calibration_errors_before.ensemble .2p -->. Chance alone makes up to
# 0.20<!--= 12.error_by_chance.single .2p --> and 0.20<!--= 12.error_by_chance.ensemble .2p -->: no error
# can be shown to be left.
#
# ## The networks themselves
#
# So far twins stood in for the networks that come with the book. For these themselves there is a check
# that needs no labels. The mean confidence of a calibrated network *is* its accuracy. So let the networks
# answer the test images, at the temperatures of their twins.

# %%
members, made = load_final_model()


def answer(images):
    by_member = [
        network.predict(prepare_images(images), batch_size=1000, verbose=0) for network in members
    ]
    pooled = average_probabilities(by_member)
    return by_member, {
        "single": as_logits(by_member[0]) / temperatures["single"],
        "ensemble": as_logits(pooled) / temperatures["ensemble"],
    }


test_images = digits.test_images[: N_TEST or None]
by_member, on_test = answer(test_images)
sure_of_test = {name: softmax(logits, axis=1).max(axis=1) for name, logits in on_test.items()}
for name, confidence in sure_of_test.items():
    print(f"the {name} expects to read {confidence.mean():.2%} of {len(test_images):,} images")

# %% [markdown]
# The single network says 99.60 %<!--= 12.says_single .2% -->. When the test labels were opened (chapter
# 6), it got 99.57 %<!--= final_model.sealed.single.0.accuracy .2% -->
# (95 % interval 99.48 %<!--= final_model.sealed.single.0.low .2% --> to
# 99.64 %<!--= final_model.sealed.single.0.high .2% -->). The ensemble says
# 99.60 %<!--= 12.says_ensemble .2% --> and got
# 99.63 %<!--= final_model.sealed.ensemble.accuracy .2% -->
# (99.55 %<!--= final_model.sealed.ensemble.low .2% --> to
# 99.69 %<!--= final_model.sealed.ensemble.high .2% -->). Neither needed a label for it. You can estimate
# an accuracy in the same way, as long as your images are like those of the calibration, and new to the
# network (Kaggle's own are not).
#
# Would the other order do, a temperature for each member first and then the average?

# %%
one_by_one = [
    softmax(as_logits(found) / temperature, axis=1)
    for found, temperature in zip(by_member, record.info["member_temperatures"], strict=True)
]
tempered_first = average_probabilities(one_by_one).max(axis=1)
print(f"members tempered one by one expect {tempered_first.mean():.2%}")

# %% [markdown]
# Calibrated members expect 99.50 %<!--= 12.says_one_by_one .2% -->, less than the ensemble gets right.
# Where they disagree, their average is less sure than each of them, and right more often.
# **Pool first, then calibrate the pool.**
#
# ## Leaving the doubtful images to a person
#
# Let the network answer where it is surest, and pass the rest on to a person. The share of the images it
# answers is the *coverage*, the share of wrong answers among these the *risk*. The **risk-coverage
# curve** ([El-Yaniv and Wiener 2010](https://jmlr.org/papers/v11/el-yaniv10a.html)) shows what one costs
# in the other.


# %%
def risk_coverage(confidence, correct):
    surest_first = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(correct) + 1)
    return answered / len(correct), np.cumsum(~correct[surest_first]) / answered


def sure_and_correct(logits, labels):
    return softmax(logits, axis=1).max(axis=1), logits.argmax(axis=1) == labels


seen_a = {name: sure_and_correct(*half_a[name]) for name in record.probabilities}
seen_b = {name: sure_and_correct(*half_b[name]) for name in record.probabilities}
curves = {name: risk_coverage(*seen) for name, seen in seen_b.items()}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of wrong answers against the share of images answered, from four fifths to all, a line for the single network and one for the ensemble, on a logarithmic scale, rising steeply towards the right end; a dotted line marks the accuracy wanted."}}
# @title Draws risk against coverage on half B
confidence_plots.plot_risk_coverage(
    curves, WANTED, title="The more it passes on, the fewer mistakes remain"
)
plt.show()

# %% [markdown]
# Say the bank wants 999 in 1,000 answers to be right. The obvious threshold is the lowest confidence at
# which the answers on half A were that good. What comes of it on half B?


# %%
def try_threshold(threshold, name):
    confidence, correct = seen_b[name]
    answered = confidence >= threshold
    kept = correct[answered]
    found = {"answers from": threshold, "passes on": 1 - len(kept) / len(correct)}
    found |= {"mistakes": np.sum(~kept)}
    if len(kept):
        low, high = interval_of_share(kept.mean(), len(kept))
        found |= {"right": kept.mean(), "low": low, "high": high}
    return found


def show_thresholds(tried):
    style = pd.DataFrame(tried).T.style
    return style.format("{:.2%}", na_rep="").format("{:.0f}", subset="mistakes", na_rep="")


chosen = {
    name: try_threshold(threshold_for_accuracy(*seen, WANTED), name)
    for name, seen in seen_a.items()
}
show_thresholds(chosen)

# %% [markdown]
# The single network passes on 9.9 %<!--= 12.passed_on.single .1% --> of half B, and
# 99.80 %<!--= 12.kept_right.single .2% --> of its answers are right. The ensemble passes on
# 9.9 %<!--= 12.passed_on.ensemble .1% -->, and 99.80 %<!--= 12.kept_right.ensemble .2% --> are right. Such
# a threshold promises nothing: of all thresholds it is the one that looked best on half A, the selection
# bias of chapter 9.
#
# ## What you can promise
#
# How many answers prove 999 in 1,000? If the true share of mistakes were $p$ = 0.001<!--= given -->, $n$ answers
# would come without one with a probability of $(1 - p)^n$, which falls below 5 % at 2,995 answers.
# With fewer, even a clean sheet proves nothing. With more, some mistakes are allowed:

# %% tags=["nbval-check-output"]
for n in (2_000, 3_000, 4_200, 10_000, 28_000):
    allowed = int(binom.ppf(0.05, n, 1 - 0.999)) - 1  # at most this many, with less than 5 %
    print(f"{n:6,} answers:", f"{allowed} mistakes" if allowed >= 0 else "cannot prove it")

# %% [markdown]
# Half A has 4,200<!--= 12.n_half_a , --> images. A threshold passes if its answers hold no more mistakes
# than their number allows. But every threshold we try is one more chance to be fooled, so their order is fixed
# beforehand: start where a calibrated network is safe, at a confidence of 99.9 %<!--= given -->, go down
# step by step, and stop at the first that fails. Then the whole search goes wrong in at most 5 of 100
# cases ([Angelopoulos and others 2021](https://arxiv.org/abs/2110.01052)).


# %%
def certified_threshold(confidence, correct, wanted, risk=0.05):
    certified = np.inf
    for threshold in 1 - np.geomspace(1 - wanted, 0.5, 50):
        answered = confidence >= threshold
        mistakes = np.sum(~correct[answered])
        if binom.cdf(mistakes, answered.sum(), 1 - wanted) > risk:
            break
        certified = threshold
    return certified


thresholds = {name: certified_threshold(*seen, WANTED) for name, seen in seen_a.items()}
certified = {name: try_threshold(threshold, name) for name, threshold in thresholds.items()}
show_thresholds(certified)

# %% [markdown]
# The ensemble now answers from a confidence of 99.00 %<!--= 12.certified_threshold.ensemble .2% -->. It
# passes on 9.9 %<!--= 12.certified_passed_on.ensemble .1% --> of half B and makes
# 9<!--= 12.certified_kept_wrong.ensemble .0f --> mistakes among the rest. The single network passes on
# 9.9 %<!--= 12.certified_passed_on.single .1% -->. A promise costs more than a guess, and less the more
# labelled images you have. It is for images like those of half A, and for no others.
#
# ## Two digits instead of one
#
# Another way to be careful is to name every digit that it may be: *4 or 9*. **Conformal prediction** makes
# such sets, with a promise of its own
# ([Angelopoulos and Bates 2021](https://arxiv.org/abs/2107.07511) is a gentle introduction). On half A,
# look at the probability that each image's *true* digit got, and find the value that all but 1 in 1,000
# of them reach. In a new image, every digit that reaches it belongs to the set.


# %%
def conformal_cutoff(probabilities, labels, miss):
    of_truth = np.sort(probabilities[np.arange(len(labels)), labels])[::-1]
    rank = int(np.ceil((len(labels) + 1) * (1 - miss)))
    return of_truth[rank - 1] if rank <= len(labels) else 0.0


rows, sets = {}, {}
for name in seen_a:
    cutoff = conformal_cutoff(softmax(half_a[name][0], axis=1), half_a[name][1], 1 - WANTED)
    logits, labels = half_b[name]
    sets[name] = softmax(logits, axis=1) >= cutoff
    found, sizes = sets[name][np.arange(len(labels)), labels], sets[name].sum(axis=1)
    low, high = interval_of_share(found.mean(), len(found))
    rows[name] = {
        "digits from": cutoff, "true digit in the set": found.mean(), "low": low, "high": high,
        "one digit": np.mean(sizes == 1), "mean size": sizes.mean(),
    }  # fmt: skip
conformal = pd.DataFrame(rows).T
conformal.style.format("{:.2%}").format("{:.3f}", subset="mean size")

# %% [markdown]
# On half B the ensemble's sets hold the true digit for
# 99.90 %<!--= 12.conformal_right.ensemble .2% --> of the images, those of the single
# network for 99.90 %<!--= 12.conformal_right.single .2% -->. Promised are
# 99.9 %<!--= given -->, on average over all the halves A that one might have drawn. For
# 99.0 %<!--= 12.conformal_one_digit.ensemble .1% --> of the images the ensemble names a single digit. A
# set is about *all* images and holds on average; a certified threshold is about the answers given, and
# holds in 95 of 100 cases. For predictions of your own, both are in `digit_utils.guarantees`.
#
# Here are images for which the ensemble names two digits, those that it is least sure of. Which would you
# choose?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sixteen handwritten digits for which the ensemble names two, each with these two and the true digit."}}
# @title Shows images with a set of two digits
a, b = np.array_split(np.random.default_rng(SEED).permutation(len(record.labels)), 2)
pairs = np.flatnonzero(sets["ensemble"].sum(axis=1) == 2)
pairs = pairs[np.argsort(seen_b["ensemble"][0][pairs])[:16]]
captions = [
    f"{' or '.join(map(str, np.flatnonzero(sets['ensemble'][row])))}\n(is {record.labels[b][row]})"
    for row in pairs
]
plots.show_images(record.images[b][pairs], captions, columns=8, title="Which of the two?")
plt.show()

# %% [markdown]
# ## Things that are not digits
#
# A cheque reader also meets a smudge, a letter, an empty field. We show the networks
# **out-of-distribution** images: squares out of the photographs that come with scikit-image, printed
# letters (none that looks like a digit), outlines of shapes, two digits written over one another, digits
# with ink and paper exchanged, digits with their pixels shuffled, and noise.

# %%
kinds = {
    "photographs": ood.photographs(OUTSIDERS, seed=SEED),
    "printed letters": ood.printed_letters(OUTSIDERS, seed=SEED),
    "shapes": ood.drawn_shapes(OUTSIDERS, seed=SEED),
    "two digits at once": ood.two_at_once(
        test_images, on_test["ensemble"].argmax(axis=1), OUTSIDERS, seed=SEED
    ),
    "ink and paper exchanged": 255 - test_images[:OUTSIDERS],
    "shuffled pixels": ood.shuffled_pixels(test_images[:OUTSIDERS], seed=SEED),
    "noise": ood.noise(OUTSIDERS, seed=SEED),
}
on_others = {kind: answer(images)[1] for kind, images in kinds.items()}
sure_of = {
    name: {kind: softmax(found[name], axis=1).max(axis=1) for kind, found in on_others.items()}
    for name in sure_of_test
}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seven rows of eight images that show no digit: parts of photographs, letters, shapes, two digits at once, ink and paper exchanged, shuffled pixels and noise. Above each is the digit the single network sees in it and its confidence."}}
# @title Shows what the single network makes of the first of each kind
captions = [
    f"{found['single'][row].argmax()}, {sure_of['single'][kind][row]:.0%}"
    for kind, found in on_others.items()
    for row in range(8)
]
first = np.concatenate([images[:8] for images in kinds.values()])
axes = plots.show_images(first, captions, columns=8, title="What the single network sees")
for ax, kind in zip(axes[:, 0], kinds, strict=True):
    kind = kind.replace(" exchanged", "\nexchanged").replace("printed ", "printed\n")
    ax.annotate(kind, (-0.15, 0.5), xycoords="axes fraction", ha="right", va="center", fontsize=9)
plt.show()

# %% [markdown]
# How often does a network see a digit there, with a confidence of more than 99 percent? A network that is
# sure of little is fooled by little, so the last row has the real digits.

# %%
fooled = pd.DataFrame(sure_of).map(lambda confidence: np.mean(confidence > 0.99))
of_digits = {name: np.mean(confidence > 0.99) for name, confidence in sure_of_test.items()}
pd.concat([fooled, pd.DataFrame(of_digits, index=["real digits"])]).style.format("{:.1%}")

# %% [markdown]
# With more than 99 percent confidence the single network sees a digit in
# 99.9 %<!--= 12.fooled_single.noise .1% --> of the noise,
# 88.0 %<!--= 12.fooled_single.photographs .1% --> of the photographs and
# 30.5 %<!--= 12.fooled_single.printed letters .1% --> of the printed letters; the ensemble in
# 99.9 %<!--= 12.fooled_ensemble.noise .1% -->, 85.5 %<!--= 12.fooled_ensemble.photographs .1% --> and
# 26.0 %<!--= 12.fooled_ensemble.printed letters .1% -->.
#
# ### Telling them apart
#
# Would some threshold separate them? The **AUROC** says how well a score does at whatever threshold. Draw
# one real digit and one other image; it is the probability that the digit has the higher score. 1 is
# perfect, 0.5 is tossing a coin.
#
# Is the ensemble's confidence the better score? Both scored the same images, so the comparison is paired.
# For each digit, take the share of the other images that it beats. These shares average to the AUROC, and
# their scatter, with that of the other images, gives the error of a difference
# ([DeLong and others 1988](https://doi.org/10.2307/2531595)).


# %%
def shares_beaten(digits, others):
    ranks = rankdata(np.concatenate([digits, others]))
    by_digit = (ranks[: len(digits)] - rankdata(digits)) / len(others)
    by_other = 1 - (ranks[len(digits) :] - rankdata(others)) / len(digits)
    return by_digit, by_other


def auroc_gain(digits, others, digits_before, others_before):
    after, before = shares_beaten(digits, others), shares_beaten(digits_before, others_before)
    gains = [new - old for new, old in zip(after, before, strict=True)]
    error = np.sqrt(sum(gain.var(ddof=1) / len(gain) for gain in gains))
    return gains[0].mean(), error


# %%
rows = {}
for kind in kinds:
    single, ensemble = (
        (sure_of_test[name], sure_of[name][kind]) for name in ("single", "ensemble")
    )
    gain, error = auroc_gain(*ensemble, *single)
    rows[kind] = {
        "single": shares_beaten(*single)[0].mean(),
        "ensemble": shares_beaten(*ensemble)[0].mean(),
        "gain": gain, "low": gain - 1.96 * error, "high": gain + 1.96 * error,
        "p": 2 * norm.sf(abs(gain) / max(error, 1e-12)),
    }  # fmt: skip
auroc = pd.DataFrame(rows).T
auroc["p"] = multipletests(auroc["p"], method="holm")[1]
auroc.style.format("{:.4f}").format("{:+.4f}", subset=["gain", "low", "high"])

# %% [markdown]
# To the single network, noise looks more like a digit than digits do: the AUROC is
# 0.005<!--= 12.auroc_single.noise .3f -->, where a coin has 0.5. The ensemble is the better score for noise,
# photographs, letters and shapes, after Holm's correction for seven questions: for printed letters it has
# 0.983<!--= 12.auroc_ensemble.printed letters .3f --> instead of
# 0.940<!--= 12.auroc_single.printed letters .3f --> (95 % interval of the gain
# +0.021<!--= 12.auroc_gain_low.printed letters +.3f --> to
# +0.064<!--= 12.auroc_gain_high.printed letters +.3f -->). Its members learned the same digits. Away from
# these they guess differently, and their average is unsure.
#
# Even a high AUROC can be too little in use, because the threshold must let nearly all real digits
# through. The dashed line lets 95 in 100 of them through.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Box plots of the ensemble's uncertainty on a logarithmic axis: real digits at the left, seven kinds of images that are not digits further right, several of them overlapping the dashed line of the threshold."}}
# @title Draws the ensemble's uncertainty for digits and for all that are not
threshold = np.quantile(sure_of_test["ensemble"], 0.05)
shown = {"real digits": sure_of_test["ensemble"], **sure_of["ensemble"]}
confidence_plots.plot_doubts(shown, threshold, title="How unsure is the ensemble?")
plt.show()

# %%
come_through = {kind: np.mean(sure >= threshold) for kind, sure in sure_of["ensemble"].items()}
pd.Series(come_through).map("{:.1%}".format).to_frame("comes through")

# %% [markdown]
# With the digits come 79.5 %<!--= 12.come_through.noise .1% --> of the noise,
# 57.5 %<!--= 12.come_through.photographs .1% --> of the photographs,
# 25.0 %<!--= 12.come_through.two digits at once .1% --> of the pairs of digits and
# 6.0 %<!--= 12.come_through.printed letters .1% --> of the letters. A score that is good at one kind fails
# at another, and nobody knows which kind will come.
#
# ## Why it cannot say *none of these*
#
# The softmax shares out 100 percent among ten digits. There is no eleventh. Temperature does not change
# that: calibration is a promise about images *like those it was fitted on*. The training asked *which*
# digit, of digits only, and far away from everything it has learned, a network with ReLU can become surer
# and surer ([Hein and others 2019](https://arxiv.org/abs/1812.05720)).
#
# So ask separately whether something is a digit: check the image first (is there ink, is it dark on
# light, is there one figure?), train on other images as a class of their own, or keep a person in the loop.
#
# ## What we found
#
# - As they come, the single network expects 999<!--= 12.mistakes_expected.single .0f --> mistakes in
#   8,400<!--= 12.n_out_of_fold , --> images and makes 99<!--= 12.mistakes_made.single d -->, the ensemble
#   999<!--= 12.mistakes_expected.ensemble .0f --> and 99<!--= 12.mistakes_made.ensemble d -->. Label
#   smoothing does that.
# - At temperatures of 0.50<!--= 12.temperatures.single .2f --> and
#   0.50<!--= 12.temperatures.ensemble .2f -->, fitted on half of the images, both are calibrated on the
#   other half, within chance. Then an answer with 99 percent is right 99 times in a hundred.
# - To promise 999 right answers in 1,000 takes at least 2,995 answers without a mistake. The ensemble then
#   passes on 9.9 %<!--= 12.certified_passed_on.ensemble .1% --> of the images, the single network
#   9.9 %<!--= 12.certified_passed_on.single .1% -->.
# - None of this holds for images that are not digits. With more than 99 percent confidence the ensemble
#   sees a digit in 26.0 %<!--= 12.letters_fool_ensemble .1% --> of the printed letters and in
#   85.5 %<!--= 12.fooled_ensemble.photographs .1% --> of the photographs.


# %% tags=["hide-input"]
# @title The values that the text quotes
quoted = {
    "accuracy": counted["accuracy"],
    "mistakes_expected": counted["mistakes it expects"],
    "mistakes_made": counted["mistakes it made"].astype(int),
    "characters": counted["verdict"],
    "temperatures": pd.Series(temperatures),
    "tempered_expected": tempered["mistakes it expects"],
    "tempered_made": tempered["mistakes it made"].astype(int),
    "tempered_characters": tempered["verdict"],
    "calibration_errors_before": errors["as it comes"],
    "calibration_errors": errors["at its temperature"],
    "error_by_chance": errors["by chance up to"],
    "fooled_single": fooled["single"], "fooled_ensemble": fooled["ensemble"],
    "auroc_single": auroc["single"], "auroc_ensemble": auroc["ensemble"],
    "auroc_gain_low": auroc["low"], "auroc_gain_high": auroc["high"], "auroc_p_value": auroc["p"],
    "come_through": pd.Series(come_through),
    "conformal_right": conformal["true digit in the set"],
    "conformal_one_digit": conformal["one digit"],
}  # fmt: skip
quoted = {name: values.to_dict() for name, values in quoted.items()}

# %% tags=["hide-input"]
# @title What came of the thresholds
for key, tried in (("passed_on", "passes on"), ("kept_right", "right"), ("kept_wrong", "mistakes")):
    quoted[key] = {name: row[tried] for name, row in chosen.items() if tried in row}
    quoted[f"certified_{key}"] = {
        name: row[tried] for name, row in certified.items() if tried in row
    }
quoted["certified_threshold"] = {
    name: threshold for name, threshold in thresholds.items() if np.isfinite(threshold)
}

# %%
single_b = seen_b["single"][0]
report(
    n_train=len(train_images), n_validation=len(validation_labels), n_members=len(members),
    n_out_of_fold=len(record.labels), n_half_a=len(half_a["single"][1]), n_test=len(test_images),
    smoothed_accuracy=counted.loc["smoothed", "accuracy"],
    smoothed_temperature=temperatures["smoothed"], plain_temperature=temperatures["plain"],
    overfit_temperature=temperatures["overfit"],
    in_last_bin=np.mean(single_b > 0.9), outside_last_bin=np.sum(single_b <= 0.9),
    says_single=sure_of_test["single"].mean(), says_ensemble=sure_of_test["ensemble"].mean(),
    says_one_by_one=tempered_first.mean(),
    letters_fool_ensemble=fooled.loc["printed letters", "ensemble"],
    letters_come_through=come_through["printed letters"],
    auroc_letters_ensemble=auroc.loc["printed letters", "ensemble"],
    **quoted,
)  # fmt: skip

# %% [markdown]
# ### Recall
#
# Answer before you unfold.
#
# **1.** A network reads 1,000 images with a mean confidence of 97 %<!--= given --> and makes 12 mistakes.
# Is it over-confident, under-confident or calibrated?
#
# <details>
# <summary>Answer</summary>
#
# It expects 30 mistakes, give or take about $1.96 \sqrt{1000 \cdot 0.97 \cdot 0.03}$, which is 11. It
# made fewer than 19, so it is under-confident.
#
# </details>
#
# **2.** Why is a network trained with label smoothing under-confident?
#
# <details>
# <summary>Answer</summary>
#
# Its target for the right digit is less than 1. The loss punishes any answer that is surer than that, also
# on images that it reads without a mistake.
#
# </details>
#
# **3.** What does a temperature of 2 do to the logits, the confidence and the accuracy?
#
# <details>
# <summary>Answer</summary>
#
# It halves the logits and lowers every confidence. The accuracy stays, because the largest logit remains
# the largest.
#
# </details>
#
# **4.** You have five calibrated networks and average their probabilities. Is the average calibrated?
#
# <details>
# <summary>Answer</summary>
#
# No. Where they disagree the average is less sure, and it is right more often than each of them, so it is
# too modest. Pool first, then fit one temperature to the pool.
#
# </details>
#
# **5.** Why does the usual calibration curve say little about a network that is right in 99.5 %<!--= given -->
# of all cases?
#
# <details>
# <summary>Answer</summary>
#
# Nearly all its answers fall into the last of the ten bins, and the others hold too few images to say
# anything.
#
# </details>
#
# **6.** Can the expected calibration error of a perfectly calibrated network be zero?
#
# <details>
# <summary>Answer</summary>
#
# Hardly. In every bin, chance moves the share of right answers away from the mean confidence, and the
# distances add up. So compare the error with what chance gives for as many images and bins.
#
# </details>
#
# **7.** Among 3,000 answers above a threshold there was no mistake. What can you promise?
#
# <details>
# <summary>Answer</summary>
#
# If the threshold was fixed beforehand: that the share of mistakes is below 0.001<!--= given -->, with a
# risk of 5 % to be wrong. A rule of thumb for no mistake is 3 divided by the number of answers.
#
# </details>
#
# **8.** What does a certified threshold promise, and what a conformal set?
#
# <details>
# <summary>Answer</summary>
#
# The threshold: of the answers that are given, the share wanted is right, in 95 of 100 cases. The set: the
# true digit is among those named, for the share wanted of all images, on average.
#
# </details>
#
# **9.** The network is calibrated. Why can it be 99 %<!--= given --> sure that a letter is a 4?
#
# <details>
# <summary>Answer</summary>
#
# Calibration is a promise about images like those on which the temperature was fitted, and these were
# digits. The softmax has no place for *none of these*.
#
# </details>
#
# ## Exercises
#
# **1.** Is it the ink? Shuffled digits have all of a digit's ink and none of its shape. How well does the
# *amount of ink* alone tell each kind from real digits?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# def ink(images):
#     return images.mean(axis=(1, 2))
#
#
# usual = np.median(ink(test_images))
# for kind, images in kinds.items():
#     usualness = [-abs(np.log((ink(some) + 1) / (usual + 1))) for some in (test_images, images)]
#     print(f"{kind:24} AUROC {shares_beaten(*usualness)[0].mean():.2f}")
# ```
#
# ```text
# photographs              AUROC 0.95
# printed letters          AUROC 0.57
# shapes                   AUROC 0.63
# two digits at once       AUROC 0.80
# ink and paper exchanged  AUROC 1.00
# shuffled pixels          AUROC 0.50
# noise                    AUROC 1.00
# ```
#
# Ink finds everything that is far too dark: photographs, noise, ink and paper exchanged. It knows nothing
# of shuffled digits, which have just as much, and little of letters. Ink and confidence fail at different
# things, so use both.
#
# </details>
#
# **2.** Fit the temperatures on images that the networks were *trained* on. What comes out, and why is it
# of no use?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for name, (images, known) in {
#     "plain": (train_images, train_labels),
#     "overfit": (few_images, few_labels),
# }.items():
#     print(f"{name:8} {fit_temperature(logits_of(networks[name], images), known):.2f}")
# ```
#
# The overfit network makes no mistake there, so the smallest log loss is at the lowest temperature allowed:
# be as sure as you can. On new images that makes its boasting worse. The plain network saw its images only
# a few times and never twice the same, so for it the difference is small.
#
# </details>
#
# **3.** How does the calibration error depend on the number of bins? Try 5, 15, 50 and 500, and compare
# with what chance gives.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# generator = np.random.default_rng(SEED)
# confidence, correct = seen_b["single"]
# for n_bins in (5, 15, 50, 500):
#     found = calibration_error(confidence, correct, n_bins)
#     drawn = [generator.random(len(confidence)) < confidence for _ in range(100)]
#     by_chance = [calibration_error(confidence, one, n_bins) for one in drawn]
#     print(f"{n_bins:3} bins: {found:.4f}, a perfect network on average {np.mean(by_chance):.4f}")
# ```
#
# ```text
#   5 bins: 0.0009, a perfect network on average 0.0016
#  15 bins: 0.0009, a perfect network on average 0.0020
#  50 bins: 0.0022, a perfect network on average 0.0029
# 500 bins: 0.0052, a perfect network on average 0.0060
# ```
#
# It grows with the number of bins, for a perfect network as well: with few images in a bin, chance moves
# its share further. Compare calibration errors only for the same bins and the same number of images.
#
# </details>
#
# **4.** What does each nine cost? Certify 99, 99.5 and 99.9 percent, with the functions of the book.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# from digit_utils import guarantees
#
# for wanted in (0.99, 0.995, 0.999):
#     for name, seen in seen_a.items():
#         found = try_threshold(guarantees.certified_threshold(*seen, wanted), name)
#         passed_on, mistakes = found["passes on"], found["mistakes"]
#         print(f"{wanted:.1%} {name:9} passes on {passed_on:6.1%}, {mistakes} mistakes")
# ```
#
# ```text
# 99.0% single    passes on   0.1%, 28 mistakes
# 99.0% ensemble  passes on   0.1%, 25 mistakes
# 99.5% single    passes on   1.8%, 11 mistakes
# 99.5% ensemble  passes on   1.1%, 10 mistakes
# 99.9% single    passes on 100.0%, 0 mistakes
# 99.9% ensemble  passes on  14.0%, 0 mistakes
# ```
#
# What the network does anyway costs nothing. Each further nine takes ten times as many labelled images to
# prove, or has to be paid for with images passed on, in the end with all of them.
#
# </details>
#
# ## What's next
#
# Confidence tells you which images to doubt, as long as they are like those of the training. What if they
# are not? [When the world shifts](13_when_the_world_shifts.ipynb) changes them step by step.
