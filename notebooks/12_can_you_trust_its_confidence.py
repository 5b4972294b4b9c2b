# %% [markdown]
# # Can you trust its confidence?
#
# **When a network says it is 99 percent sure, is it right 99 times in a hundred?**

# %% [markdown]
# **You will learn**
#
# - to check a network's confidence against the mistakes it makes, and why the usual picture hides them;
# - what makes a network boast, what makes it too modest, and how a single number puts it right;
# - to let it pass the doubtful images on to a person, and to say how many these will be;
# - what it says of things that are no digits, and why it cannot say *none of these*.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [How fast can it learn?](07_how_fast_can_it_learn.ipynb): logits, label smoothing, the fast recipe; [Is it really better?](09_is_it_really_better.ipynb): intervals, the bootstrap, choosing on one half and reporting on the other |
# | Time | 25 minutes to read; the run takes two to four minutes on a laptop |

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
from matplotlib.ticker import LogLocator, PercentFormatter
from scipy.special import logsumexp, softmax
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from digit_utils import plots
from digit_utils.calibration import (
    calibration_error,
    confidence_of,
    fit_temperature,
    log_losses,
    reliability_table,
    risk_coverage,
    threshold_for_accuracy,
)
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.ensemble import average_probabilities
from digit_utils.evaluate import interval_of_share
from digit_utils.fast import Recipe, Trainer, train
from digit_utils.ood import (
    drawn_shapes,
    noise,
    printed_letters,
    shuffled_pixels,
    two_at_once,
)
from digit_utils.results import report
from digit_utils.training import forget_networks

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the OOD images and the first training; further ones add 1
N_TRAIN: int = 16000  # training images to use, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images to use, at least 0; 0: all 8,400
EPOCHS: int = 3  # passes over the training images, at least 1
BATCH_SIZE: int = 256  # images a training step, at least 1
LABEL_SMOOTHING: float = 0.05  # probability spread over all digits in the target
MEMBERS: int = 3  # networks that decide together, at least 2
WANTED: float = 0.999  # accuracy wanted of the answers the network gives itself
OUTSIDERS: int = 1000  # images of each kind that show no digit, at least 1

# %% [markdown]
# A network that reads cheques is right nearly always. *Nearly* is the trouble. If it knew which of its answers are the doubtful
# ones, a person could read those, and nobody would lose money.
#
# It does give a number with each answer. The **softmax** turns its ten outputs, the *logits*, into ten positive
# numbers that add up to 1, and the largest of them is called its **confidence**. It looks like a probability. Is it one?
#
# That can be checked. A network is **calibrated** if its confidence comes true: of all answers that it gives with a confidence of
# 90 percent, 90 in 100 are right.
#
# ## Three characters
#
# We train three networks on the same kind of images, which differ in how they were brought up:
#
# - the **smoothed** one learns by the recipe of chapter 7, with label smoothing: its target for the right digit is a little less than 1;
# - the **plain** one learns the same way, but its target is 1;
# - the **overfit** one gets an eighth of the images, sees them eight times as often, always unchanged, and its target is 1 as well. It has every chance to learn them by heart.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
validation_images, labels = take_subset(validation_images, labels, N_VALIDATION or None, seed=SEED)
few_images, few_labels = take_subset(train_images, train_labels, len(train_images) // 8, seed=SEED)
print(f"training on {len(train_images):,} images, the overfit one on {len(few_images):,}")
print(f"checking on {len(labels):,}")

# %%
smoothed = Recipe(epochs=EPOCHS, batch_size=BATCH_SIZE, label_smoothing=LABEL_SMOOTHING)
plain = replace(smoothed, label_smoothing=0.0)
overfit = replace(plain, epochs=8 * EPOCHS, rotation=0.0, zoom=0.0, shift=0.0)


def logits_of(network, images):
    """Return what the network says of images, before the softmax."""
    outputs = network(prepare_images(images), training=False)
    return keras.ops.convert_to_numpy(outputs).astype(float)


of_smoothed = Trainer(smoothed)  # kept, for there will be more of them
networks = {
    "smoothed": of_smoothed.train(train_images, train_labels, SEED).network,
    "plain": train(plain, train_images, train_labels, SEED).network,
    "overfit": train(overfit, few_images, few_labels, SEED).network,
}
logits = {name: logits_of(network, validation_images) for name, network in networks.items()}
correct = {name: found.argmax(axis=1) == labels for name, found in logits.items()}
confidence = {name: confidence_of(found) for name, found in logits.items()}

# %% [markdown]
# The simplest check is to count. A calibrated network that is 98 percent sure of an answer admits two hundredths of a mistake. Add
# these up over all images, and it has told us **how many mistakes it expects to make**. Then count those it made.

# %%
expected = {name: np.sum(1 - found) for name, found in confidence.items()}
scatter = {name: np.sqrt(np.sum(found * (1 - found))) for name, found in confidence.items()}
made = {name: int(np.sum(~found)) for name, found in correct.items()}


def character(name):
    """Say whether a network made more or fewer mistakes than chance around its expectation."""
    if abs(made[name] - expected[name]) <= 1.96 * scatter[name]:
        return "as expected"
    return "over-confident" if made[name] > expected[name] else "under-confident"


characters = {name: character(name) for name in networks}
pd.DataFrame(
    {
        "accuracy": {name: f"{found.mean():.2%}" for name, found in correct.items()},
        "mean confidence": {name: f"{found.mean():.2%}" for name, found in confidence.items()},
        "mistakes it expects": {
            name: f"{expected[name]:.0f} ± {1.96 * scatter[name]:.0f}" for name in networks
        },
        "mistakes it made": made,
        "verdict": characters,
    }
)

# %% [markdown]
# The ± is what chance alone would do to a calibrated network in 95 of 100 cases. A network that makes more mistakes than that
# allows is **over-confident**; one that makes fewer is **under-confident**. Three networks are three questions, so a verdict just outside the ± is weak.
#
# The smoothed network was told so: with a target a little below 1 for the right digit, whoever says more is
# punished. That is good for its accuracy, as chapter 7 found, and ruins its confidence as a probability. The overfit one, on the other hand, has seen every one of its
# few training images often and always unchanged, and learned them nearly by heart (exercise 2 looks at that). (It differs from the plain one in three things at once, fewer images, more
# passes, no augmentation; which of them matters most, this comparison cannot tell.) Guo and others
# ([2017](https://arxiv.org/abs/1706.04599)) found modern networks to be of the overfit one's kind, and Müller and others
# ([2019](https://arxiv.org/abs/1906.02629)) that label smoothing can cure them of it. Whether there
# is anything to cure in a network that saw its images only a few times, and each time a little different, the plain one's row shows.
#
# ## A picture that hides what matters
#
# The usual picture is the **calibration curve**, or *reliability diagram*. Sort the images into ten bins by their confidence, and
# draw for each bin the share of right answers. A calibrated network lies on the diagonal. scikit-learn
# has it ready. To the right, how many images are in each bin.

# %% mystnb={"image": {"alt": "Left, the calibration curve of the plain network: the share of right answers against the confidence in ten equal bins, jumping around the diagonal. Right, the number of images in each bin on a logarithmic axis: nearly all are in the last."}}
shares, means = calibration_curve(correct["plain"], confidence["plain"], n_bins=10)
figure, (left, counted) = plt.subplots(1, 2, figsize=(7.6, 3.6))
left.plot((0, 1), (0, 1), "--", color=plots.GREY, linewidth=1)
left.plot(means, shares, "o-", color=plots.BLUE)
left.set(title="Calibration curve (plain)", xlabel="Confidence", ylabel="Share of right answers")
counted.hist(confidence["plain"], bins=np.linspace(0, 1, 11), color=plots.BLUE, log=True)
counted.set(title="Images in each bin", xlabel="Confidence", ylabel="Images (logarithmic)")
for ax in (left, counted):
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
left.yaxis.set_major_formatter(PercentFormatter(1.0))
plt.show()

# %%
in_last_bin = {name: np.mean(found > 0.9) for name, found in confidence.items()}
display(
    Markdown(
        f"**{in_last_bin['plain']:.1%}** of the images are in the last bin, a single dot at "
        "the upper right. All other dots together stand for "
        f"{np.sum(confidence['plain'] <= 0.9):,} images, so chance moves them a lot."
    )
)

# %% [markdown]
# For a network that is nearly always sure, everything happens between 99 and 100 percent. Is an answer with 99.9 percent
# wrong once in a thousand? To see that, look at the other end of the scale: at the **uncertainty**, 1 minus the confidence, on a logarithmic axis. Bins
# of uncertainty reach from a tenth to one, from a hundredth to a tenth, and so on; the last holds all below a ten-thousandth. For each: the mean uncertainty, and the share of answers
# that were wrong, with its interval. A triangle means that none was wrong, and marks the upper end of the interval. A triangle *above* the line says nothing: the true share may be anything below it. One
# *below* the line shows under-confidence. Bins of fewer than 30
# images are left out.

# %% mystnb={"image": {"alt": "Share of wrong answers against mean uncertainty, both logarithmic, for three networks, with intervals and a dashed diagonal. Points above the diagonal are over-confident, points below it under-confident."}}
looks = {
    "smoothed": ("s", plots.GREEN),
    "plain": ("o", plots.BLUE),
    "overfit": ("D", plots.RED),
}
ax = plt.subplots(figsize=(7.2, 4.4))[1]
ax.plot((1e-7, 1), (1e-7, 1), "--", color=plots.GREY, linewidth=1)
for name, (marker, colour) in looks.items():
    table = reliability_table(confidence[name], correct[name])
    table = table[table["images"] >= 30]
    some, none = table[table["error"] > 0], table[table["error"] == 0]
    reach = [some["error"] - some["low"], some["high"] - some["error"]]
    ax.errorbar(
        some["uncertainty"], some["error"], reach, fmt=marker, color=colour, capsize=3, label=name
    )
    ax.plot(none["uncertainty"], none["high"], "v", color=colour, markerfacecolor="none")
ax.set(
    title="Uncertainty and error",
    xlabel="Mean uncertainty of the bin (1 minus confidence, logarithmic)",
    ylabel="Share of wrong answers\n(bar: 95 % interval)",
    xscale="log",
    yscale="log",
    xlim=(1e-7, 1),
    ylim=(5e-5, 1.2),
)
ax.plot([], [], "v", color=plots.GREY, markerfacecolor="none", label="none wrong: upper end")
ax.text(0.55, 0.93, "over-confident", color=plots.GREY, transform=ax.transAxes)
ax.text(0.46, 0.05, "under-confident", color=plots.GREY, transform=ax.transAxes)
ax.legend(frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# Above the dashed line a network is wrong more often than it admits, below it less often. Chance plays along in each bin, so look
# at the bars.
#
# ### One number
#
# To compare networks one wants a single number. The **expected calibration error** (ECE) is the mean distance from the diagonal of the *calibration curve*, in percentage points: over
# the bins, the difference between mean confidence and share of right answers, each bin counting by its images. So it may put the networks in another order than the logarithmic picture, where
# an uncertainty a thousand times too small looks worse than one that is five points too large.
# With ten bins of equal width it would rest on one bin. So we cut the images, sorted by confidence, into fifteen bins with *equally many* images.
#
# It cannot be negative, and so chance makes it positive even for a perfect network. Simulation shows how large: let
# each answer be right with exactly the probability that its confidence states.

# %%
generator = np.random.default_rng(SEED)


def error_by_chance(confidence, repetitions=200):
    """Return the calibration error below which a calibrated network stays 95 times in 100."""
    drawn = [generator.random(len(confidence)) < confidence for _ in range(repetitions)]
    return np.quantile([calibration_error(confidence, one) for one in drawn], 0.95)


errors = {name: calibration_error(confidence[name], correct[name]) for name in networks}
chance = {name: error_by_chance(confidence[name]) for name in networks}
pd.DataFrame(
    {
        "calibration error (points)": {
            name: f"{100 * found:.2f}" for name, found in errors.items()
        },
        "by chance up to": {name: f"{100 * found:.2f}" for name, found in chance.items()},
    }
)

# %% [markdown]
# ## One knob: the temperature
#
# Can confidence be put right after training? Divide all logits by one number, the **temperature**, before the softmax. Above 1 it brings
# them closer together, and the network becomes less sure; below 1, surer. The largest logit
# stays the largest, so **no answer changes**.
#
# Which temperature? The one at which the *log loss* is smallest: the mean of minus the logarithm of the probability that was given to the true digit.
# It punishes confident mistakes hard, and cannot be improved by saying anything but what one believes.
# We fit the temperature on one half of the validation images, A, and judge it on the other, B, as chapter 9 taught.

# %%
order = generator.permutation(len(labels))
half_a, half_b = np.array_split(order, 2)
temperatures = {
    name: fit_temperature(found[half_a], labels[half_a]) for name, found in logits.items()
}

# %% mystnb={"image": {"alt": "Log loss on half A against the temperature, both logarithmic, for three networks: three valleys with a dot at the lowest point of each and a dashed line at temperature 1."}}
ax = plt.subplots(figsize=(7.2, 3.8))[1]
grid = np.geomspace(0.25, 4, 60)
for name, (marker, colour) in looks.items():
    of_half = logits[name][half_a], labels[half_a]
    ax.loglog(grid, [log_losses(*of_half, one).mean() for one in grid], color=colour, label=name)
    lowest = temperatures[name]
    ax.plot(lowest, log_losses(*of_half, lowest).mean(), marker, color=colour)
ax.axvline(1, color=plots.GREY, linestyle="--", linewidth=1)
ax.set_xticks((0.25, 0.5, 1, 2, 4), ("0.25", "0.5", "1", "2", "4"))
ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
ax.yaxis.set_major_formatter("{x:g}")
ax.minorticks_off()
ax.set(
    title="Where the log loss is smallest",
    xlabel="Temperature (logarithmic)",
    ylabel="Log loss on half A\n(logarithmic)",
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Now half B. The interval of the gain is a bootstrap over its images, paired: both log losses of an image are drawn together.

# %%
rows, counts, verdicts, holds = {}, {}, {}, {}
for name, temperature in temperatures.items():
    before = log_losses(logits[name][half_b], labels[half_b])
    after = log_losses(logits[name][half_b], labels[half_b], temperature)
    gain = before - after
    redrawn = [generator.choice(gain, len(gain)).mean() for _ in range(1000)]
    low, high = np.quantile(redrawn, [0.025, 0.975])
    tempered = confidence_of(logits[name][half_b], temperature)
    believed = np.sum(1 - confidence[name][half_b]), np.sum(1 - tempered)
    spread = 1.96 * np.sqrt(np.sum(tempered * (1 - tempered)))
    wrong = int(np.sum(~correct[name][half_b]))
    at_first = calibration_error(confidence[name][half_b], correct[name][half_b])
    error = calibration_error(tempered, correct[name][half_b])
    by_chance = error_by_chance(tempered)
    holds[name] = abs(wrong - believed[1]) <= spread and error <= by_chance
    verdicts[name] = "helps" if low > 0 else "harms" if high < 0 else "no difference shown"
    rows[name] = {
        "temperature": f"{temperature:.2f}",
        "log loss": f"{before.mean():.4f} → {after.mean():.4f}",
        "gain (95 % interval)": f"{low:+.5f} to {high:+.5f}",
        "it": verdicts[name],
    }
    counts[name] = {
        "mistakes it expects": f"{believed[0]:.0f} → {believed[1]:.0f} ± {spread:.0f}",
        "made": wrong,
        "calibration error (points)": f"{100 * at_first:.2f} → {100 * error:.2f}",
        "by chance up to": f"{100 * by_chance:.2f}",
    }
display(pd.DataFrame(rows).T, pd.DataFrame(counts).T)

# %% [markdown]
# One number shifts the confidence of the whole network. The second table shows how close it came, by the two measures from above: the mistakes it expects against those it made, and
# the calibration error against what chance alone would give. It cannot repair everything: it makes all answers
# surer or all less sure. But it takes no further training and leaves the accuracy alone. It does need
# labelled images that were not trained on.
#
# ## Passing on the doubtful ones
#
# What is confidence good for? For not answering. Let the network answer only where it is surest and pass the rest on to
# a person. The more it passes on, the fewer mistakes remain. The **risk-coverage curve** shows the trade: how many images
# are answered, the *coverage*, and how many of these answers are wrong, the *risk*. For this only the *order* of the
# confidences counts, so a network that is wrong about how sure it is may do well here.
#
# A second opinion may give a better order. We train the smoothed recipe with further seeds and average the probabilities,
# each at its own temperature, as an **ensemble** ([Lakshminarayanan and others 2017](https://arxiv.org/abs/1612.01474)). Where its members disagree, the average is unsure, even if each of them
# is sure of itself.

# %%
members = [networks["smoothed"]] + [
    of_smoothed.train(train_images, train_labels, SEED + more).network for more in range(1, MEMBERS)
]
del of_smoothed
forget_networks()  # frees what only the trainings needed
member_logits = [logits["smoothed"]] + [
    logits_of(member, validation_images) for member in members[1:]
]
member_temperatures = [fit_temperature(found[half_a], labels[half_a]) for found in member_logits]


def ensemble_probabilities(all_logits):
    """Average the members' probabilities, each at its own temperature."""
    return average_probabilities(
        [
            softmax(found / temperature, axis=1)
            for found, temperature in zip(all_logits, member_temperatures, strict=True)
        ]
    )


averaged = ensemble_probabilities(member_logits)
sure = {name: confidence_of(logits[name], temperatures[name]) for name in networks}
sure["ensemble"] = averaged.max(axis=1)
correct["ensemble"] = averaged.argmax(axis=1) == labels
looks["ensemble"] = ("", "black")

# %% mystnb={"image": {"alt": "Share of wrong answers against the share of images answered, from four fifths to all, a line for each of three networks and one for the ensemble, on a logarithmic scale, rising towards the right end; a dotted line marks the accuracy wanted."}}
ax = plt.subplots(figsize=(7.2, 4.0))[1]
for (name, (_, colour)), style in zip(looks.items(), ("-", "--", ":", "-."), strict=True):
    coverage, risk = risk_coverage(sure[name][half_b], correct[name][half_b])
    ax.semilogy(coverage, risk, style, color=colour, label=name)
ax.axhline(1 - WANTED, color=plots.GREY, linewidth=1, linestyle=":")
ax.set_xlim(0.8, 1.0)
ax.set_ylim(bottom=1e-4)  # below lies less than one wrong answer
ax.xaxis.set_major_formatter(PercentFormatter(1.0))
ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
ax.minorticks_off()
ax.set(
    title="The more it passes on, the fewer mistakes remain",
    xlabel="Images it answers itself",
    ylabel="Wrong among these\n(half B, logarithmic)",
)
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# How many must a person read, so that of the answers given 999 in 1,000 are right? The confidence from which on it may
# answer is chosen on half A. What comes of it, half B says.

# %%
rows, passed_on, came_out = {}, {}, {}
for name in looks:
    threshold = threshold_for_accuracy(sure[name][half_a], correct[name][half_a], WANTED)
    answered = sure[name][half_b] >= threshold
    passed_on[name] = 1 - answered.mean()
    rows[name] = {
        "right, answering all": f"{correct[name][half_b].mean():.2%}",
        "answers from a confidence of": f"{threshold:.2%}",
        "passes on": f"{passed_on[name]:.1%}",
    }
    if answered.any():
        kept = correct[name][half_b][answered]
        low, high = interval_of_share(kept.mean(), len(kept))
        came_out[name] = f"{kept.mean():.2%} ({low:.2%} to {high:.2%})"
        rows[name]["right, of those it answers (95 % interval)"] = came_out[name]
pd.DataFrame(rows).T.fillna("")

# %% [markdown]
# Passing on less is no merit where more of the answers are wrong, so compare both columns. Where an interval still reaches the accuracy wanted, falling short of it may be chance. Whether the ensemble's order is better than the smoothed
# network's is not tested here. A threshold that was just strict enough on half A may be too lax on half B: it was chosen where it looked best. That is the selection bias of chapter 9. And
# the intervals are wide: at one mistake in a thousand, some thousands of images hold only a handful. Whoever has to *promise* such an accuracy
# needs many more images than these.
#
# These are the images of half B that the ensemble is least sure of. A person would not find all of them easy.

# %% mystnb={"image": {"alt": "The sixteen validation digits of which the ensemble is least sure, each with its answer, the true digit where that is wrong, and the confidence."}}
least = half_b[np.argsort(sure["ensemble"][half_b])[:16]]
plots.show_predictions(
    validation_images[least],
    labels[least],
    averaged[least].argmax(axis=1),
    sure["ensemble"][least],
    title="Passed on first",
)
plt.show()

# %% [markdown]
# ## Things that are no digits
#
# So far every image was a digit. A cheque reader also meets a smudge, a letter, an empty field. We show the networks some
# **out-of-distribution** images: printed letters (in the fonts that come with Matplotlib, without those that look like a digit; scaled and centred as MNIST's digits were), outlines of shapes, two digits
# written over one another, digits with ink and paper exchanged (the figures of this book print ink dark, whatever the numbers), digits with their pixels shuffled, and noise.

# %%
real = validation_images[half_b]
ood_images = {
    "printed letters": printed_letters(OUTSIDERS, seed=SEED),
    "shapes": drawn_shapes(OUTSIDERS, seed=SEED),
    "two digits at once": two_at_once(real, labels[half_b], OUTSIDERS, seed=SEED),
    "ink and paper exchanged": 255 - real[:OUTSIDERS],
    "shuffled pixels": shuffled_pixels(real[:OUTSIDERS], seed=SEED),
    "noise": noise(OUTSIDERS, seed=SEED),
}
ood_outputs = {
    name: {kind: logits_of(network, images) for kind, images in ood_images.items()}
    for name, network in networks.items()
}
ood_outputs["ensemble"] = {
    kind: ensemble_probabilities([logits_of(member, images) for member in members])
    for kind, images in ood_images.items()
}

# %% [markdown]
# This is what the plain network makes of the first of each kind, with its confidence after temperature scaling.

# %% mystnb={"image": {"alt": "Six rows of eight images that show no digit: letters, shapes, two digits at once, ink and paper exchanged, shuffled pixels and noise. Above each is the digit the plain network sees in it and its confidence."}}
first = np.concatenate([images[:8] for images in ood_images.values()])
answers = np.concatenate([found[:8] for found in ood_outputs["plain"].values()])
captions = [
    f"{guess}, {share:.0%}"
    for guess, share in zip(
        answers.argmax(axis=1), confidence_of(answers, temperatures["plain"]), strict=True
    )
]
axes = plots.show_images(first, captions, columns=8, title="What the plain network sees")
for ax, kind in zip(axes[:, 0], ood_images, strict=True):
    ax.annotate(
        kind.replace(" exchanged", "\nexchanged"), (-0.15, 0.5), xycoords="axes fraction",
        ha="right", va="center", fontsize=9,
    )  # fmt: skip
plt.show()

# %% [markdown]
# How often is each kind called a digit with a confidence above 99 percent? The last row is the share of the *real* digits of half B, for comparison.

# %%
sure_of = {
    name: {
        kind: confidence_of(found, temperatures[name]) for kind, found in ood_outputs[name].items()
    }
    for name in networks
}
sure_of["ensemble"] = {kind: found.max(axis=1) for kind, found in ood_outputs["ensemble"].items()}
fooled = pd.DataFrame(sure_of).map(lambda found: np.mean(found > 0.99))
of_real = pd.Series({name: np.mean(sure[name][half_b] > 0.99) for name in sure_of})
pd.concat([fooled, of_real.to_frame("real digits").T]).map("{:.1%}".format)

# %% [markdown]
# A low number is no merit by itself: whoever is sure of little is fooled by little. So read each column together with its last row.

# %%
favourite = {
    kind: np.bincount(found.argmax(axis=1), minlength=10)
    for kind, found in ood_outputs["plain"].items()
}
of_noise = favourite["noise"]
blank = np.zeros((1, 28, 28), np.uint8)
of_blank = logits_of(networks["plain"], blank)
worst_kind, worst_name = fooled.stack().idxmax()
display(
    Markdown(
        f"To the plain network {of_noise.max() / of_noise.sum():.0%} of the noise shows the "
        f"digit **{of_noise.argmax()}**, and an empty image the digit "
        f"**{of_blank.argmax()}** ({confidence_of(of_blank, temperatures['plain'])[0]:.0%} "
        f"sure). The largest number in the table: {fooled.loc[worst_kind, worst_name]:.0%} "
        f"of *{worst_kind}* are digits to the {worst_name}"
        f"{'' if worst_name == 'ensemble' else ' network'}, with more than 99 % confidence."
    )
)

# %% [markdown]
# ### Telling them apart
#
# Perhaps a threshold helps: real digits on one side, out-of-distribution images on the other. The **AUROC** measures how well a score could do that, at
# whatever threshold. Take one real digit and one out-of-distribution image at random; the AUROC is the probability that the real one has
# the higher score. 1 is perfect, 0.5 is tossing a coin, and below 0.5 the others look *more* like digits than digits do.
#
# We try two scores of a single network: its confidence ([Hendrycks and Gimpel 2017](https://arxiv.org/abs/1610.02136)), and the **energy**
# ([Liu and others 2020](https://arxiv.org/abs/2010.03759)): the logarithm of the sum of the exponentials of the
# logits, its sign chosen so that higher is more digit-like. It also sees *how large* the logits are, and not only how they compare.
# The third score is the confidence of the ensemble, which is made of smoothed networks. The figure stretches its scale towards 1, where most of the scores are.


# %%
def separates(of_real, of_ood):
    """Return the AUROC of a score that should be higher for real digits."""
    is_real = np.repeat([1, 0], [len(of_real), len(of_ood)])
    return roc_auc_score(is_real, np.concatenate([of_real, of_ood]))


scores = {}  # of real digits, and of each out-of-distribution kind
for name in ("smoothed", "plain", "ensemble"):
    scores[f"confidence, {name}"] = sure[name][half_b], sure_of[name]
for name in ("smoothed", "plain"):
    of_ood = {kind: logsumexp(found, axis=1) for kind, found in ood_outputs[name].items()}
    scores[f"energy, {name}"] = logsumexp(logits[name][half_b], axis=1), of_ood
auroc = pd.DataFrame(
    {
        score: {kind: separates(of_real, of_ood[kind]) for kind in ood_images}
        for score, (of_real, of_ood) in scores.items()
    }
)
auroc.map("{:.3f}".format)

# %% mystnb={"image": {"alt": "For each out-of-distribution kind a row with five markers: how well the confidence and the energy of the smoothed and of the plain network, and the confidence of the ensemble, tell it from real digits, on a scale stretched towards 1, with a dashed line at 0.5."}}
ax = plt.subplots(figsize=(7.2, 4.4))[1]
for number, score in enumerate(auroc):
    kind_of_score, name = score.split(", ")
    colour = looks[name][1]
    marker, filled = ("o", colour) if kind_of_score == "confidence" else ("s", "none")
    ax.plot(
        (1 - auroc[score]).clip(lower=0.0005),  # logarithmic, this stretches towards 1
        np.arange(len(auroc)) + 0.13 * (number - 2),  # side by side, or they would hide one another
        marker,
        color=colour,
        markerfacecolor=filled,
        label=score,
    )
ax.axvline(0.5, color=plots.GREY, linestyle="--", linewidth=1)
ax.set_yticks(range(len(auroc)), auroc.index)
ax.invert_yaxis()
ax.set_xscale("log")
ax.set_xlim(max(1 - auroc.to_numpy().min(), 0.5) * 1.2, 0.0004)
short_of_1 = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001)
ax.set_xticks(short_of_1, [f"{1 - short:g}" for short in short_of_1])
ax.minorticks_off()
ax.set(title="Real digits or not?", xlabel="AUROC (dashed: a coin; right end: 0.9995 or more)")
ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=9)
plt.show()

# %% [markdown]
# Is the ensemble's confidence a better score than that of its first member, the smoothed network? For each kind, both scores of
# an image are drawn together in a bootstrap. Six kinds are six questions, so each interval is made wider, that all six hold together in 95 of 100 cases
# (the simplest correction there is, Bonferroni's; chapter 9 names Holm's as well). And as five hundred draws do not tell the spread exactly, each interval is made a few
# percent wider still, so that a kind is seldom called better or worse by the luck of the draws. Where an end lies close to zero, a kind that is *not* called so may still be.

# %%


def auroc_gain(kind, repetitions=500):
    """Bootstrap the ensemble's AUROC minus the smoothed network's; return its interval."""
    pairs = [(sure[name][half_b], sure_of[name][kind]) for name in ("ensemble", "smoothed")]
    draws, found = np.random.default_rng(SEED), []
    for _ in range(repetitions):
        rows, others = (draws.integers(0, len(one), len(one)) for one in pairs[0])
        better, worse = (separates(inside[rows], outside[others]) for inside, outside in pairs)
        found.append(better - worse)
    unsure = 2 / np.sqrt(2 * repetitions)  # of the spread, as so few draws measure it
    reach = norm.ppf(1 - 0.025 / len(ood_images)) * np.std(found) * (1 + unsure)
    measured = auroc.loc[kind, "confidence, ensemble"] - auroc.loc[kind, "confidence, smoothed"]
    return measured - reach, measured + reach


gains = {kind: auroc_gain(kind) for kind in ood_images}
better = [kind for kind, (low, _) in gains.items() if low > 0]
worse = [kind for kind, (_, high) in gains.items() if high < 0]
ensemble_verdict = (
    f"better at {', '.join(better) or 'none of the kinds'}; worse at {', '.join(worse) or 'none'}"
)
display(
    Markdown(
        f"The ensemble of {MEMBERS} is {ensemble_verdict} (these intervals lie above or "
        "below zero). That is so for the trainings we have; other seeds may part the kinds "
        "differently."
    )
)
pd.DataFrame(
    {
        kind: {
            "ensemble": f"{auroc.loc[kind, 'confidence, ensemble']:.4f}",
            "first member": f"{auroc.loc[kind, 'confidence, smoothed']:.4f}",
            "difference (interval)": f"{low:+.4f} to {high:+.4f}",
        }
        for kind, (low, high) in gains.items()
    }
).T

# %%
most = fooled["ensemble"].idxmax()
passing, told_apart = fooled.loc[most, "ensemble"], auroc.loc[most, "confidence, ensemble"]
if passing > 0.5 and told_apart > 0.6:
    display(
        Markdown(
            f"One thing may look like a contradiction: {passing:.0%} of *{most}* are digits "
            "to the ensemble with more than 99 % confidence, and by that confidence its "
            f"AUROC is still {told_apart:.2f}, where a coin has 0.5. Many real digits are "
            "surer still. But a threshold that parts the two would turn away the real "
            "digits that are not."
        )
    )

# %% [markdown]
# Even a high AUROC can be too little in use, because the threshold must let nearly all real digits through:

# %%
threshold = np.quantile(sure["ensemble"][half_a], 0.05)
come_through = {kind: np.mean(found >= threshold) for kind, found in sure_of["ensemble"].items()}
display(
    Markdown(
        f"Accept what the ensemble is at least {threshold:.1%} sure of, which is so for 95 "
        "of 100 real digits, and there come through as well: "
        + ", ".join(f"{share:.0%} of *{kind}*" for kind, share in come_through.items())
        + "."
    )
)

# %% [markdown]
# A score that is good at one kind may fail at another, and in practice nobody knows which kind will come.
#
# ## Why it cannot say *none of these*
#
# The softmax shares out 100 percent among ten digits. There is no eleventh. If nothing in an image speaks for any digit, some
# digit is still the least unlikely, and gets whatever the others do not. Temperature does not change that, for it was fitted on
# digits; and calibration is a promise about images *like those it was fitted on*. Nothing in training ever asked the network what a digit
# is. It was asked *which* digit, over and over, of digits only. What lies outside, it
# divides up among the ten as well, because the borders it has drawn between them go on for ever. Of networks with ReLU it has been proved that far away
# from all they have learned they can become surer and surer ([Hein and others 2019](https://arxiv.org/abs/1812.05720)).
#
# So do not ask a digit network whether something is a digit. Ask for it separately: check the image before (is there ink, is it dark on light, is there one
# figure?), train on out-of-distribution images as a class of their own, or keep a person in the loop for what is unusual.
#
# ## What we found

# %%
ordinary = ", ".join(f"{name} *{kind}*" for name, kind in characters.items())


def named(names):
    """Write names in a row."""
    return ", ".join(names) or "none of the three"


as_trained = named(name for name, kind in characters.items() if kind == "as expected")
tempered_well = named(name for name in holds if holds[name])
answer = (
    "Networks that made about as many mistakes as they expected: as trained, "
    f"**{as_trained}**; at a temperature fitted on half A, **{tempered_well}**, judged on "
    "half B, where the calibration errors of these are within chance as well. Half B has "
    f"{len(half_b):,} images, so small deviations would not show."
)
report(
    f"- {answer}\n"
    f"- Judged by the mistakes they expected and made: {ordinary}. The smoothed network "
    f"expected {expected['smoothed']:.0f} mistakes and made {made['smoothed']}.\n"
    f"- {in_last_bin['plain']:.0%} of the plain network's answers fall into the last bin of "
    "the usual picture; on a logarithmic scale of uncertainty one can see them.\n"
    "- Temperature: "
    + ", ".join(f"{name} {found:.2f} ({verdicts[name]})" for name, found in temperatures.items())
    + ", judged on images it was not fitted on.\n"
    f"- With thresholds that gave {WANTED:.1%} right answers on half A, the smoothed "
    f"network passes on {passed_on['smoothed']:.1%} of half B and the ensemble "
    f"{passed_on['ensemble']:.1%}. Of what they answer there, "
    f"{came_out.get('smoothed', 'none')} and {came_out.get('ensemble', 'none')} are "
    "right.\n"
    "- Of printed letters the plain network calls "
    f"{fooled.loc['printed letters', 'plain']:.0%} a digit with more than 99 % "
    f"confidence, the ensemble {fooled.loc['printed letters', 'ensemble']:.0%}. As a "
    "score that tells out-of-distribution images from digits, compared with its first member the ensemble "
    f"is {ensemble_verdict}. No softmax can say *none of these*.",
    n_train=len(train_images),
    n_validation=len(labels),
    n_members=MEMBERS,
    accuracy={name: found.mean() for name, found in correct.items()},
    smoothed_accuracy=correct["smoothed"].mean(),
    mistakes_expected=expected,
    mistakes_made=made,
    characters=characters,
    smoothed_temperature=temperatures["smoothed"],
    plain_temperature=temperatures["plain"],
    overfit_temperature=temperatures["overfit"],
    calibration_errors=errors,
    passed_on=passed_on,
    letters_fool_plain=fooled.loc["printed letters", "plain"],
    letters_fool_ensemble=fooled.loc["printed letters", "ensemble"],
    noise_fools_plain=fooled.loc["noise", "plain"],
    letters_come_through=come_through["printed letters"],
    auroc_letters_plain=auroc.loc["printed letters", "confidence, plain"],
    auroc_letters_energy=auroc.loc["printed letters", "energy, plain"],
    auroc_noise_smoothed=auroc.loc["noise", "confidence, smoothed"],
    auroc_letters_ensemble=auroc.loc["printed letters", "confidence, ensemble"],
)

# %% [markdown]
# ## Exercises
#
# **1.** Is it the ink? Shuffled digits have all of a digit's ink and none of its shape. How well does the *amount of ink* alone tell
# each out-of-distribution kind from real digits?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# def ink(images):
#     return images.mean(axis=(1, 2))
#
#
# usual = np.median(ink(real))
# for kind, images in ood_images.items():
#     unusual = [-abs(np.log((ink(one) + 1) / (usual + 1))) for one in (real, images)]
#     print(f"{kind:20} AUROC {separates(*unusual):.3f}")
# ```
#
# Compare with the table above: which kinds does ink catch that confidence misses, and which the other way round? Simple checks of the image and the confidence of a network fail at different things, so use both.
#
# </details>
#
# **2.** Fit the plain network's temperature on images it was *trained* on. What comes out, and why is it of no use?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for name, (images, known) in {
#     "plain": (train_images, train_labels),
#     "overfit": (few_images, few_labels),
# }.items():
#     print(name, fit_temperature(logits_of(networks[name], images), known))
# ```
#
# The overfit one makes hardly a mistake there, so the smallest log loss is at a very low temperature: be as sure as you can. On new images
# that makes its boasting worse. The plain network saw its images only a few times and never twice the same, so for it the difference is smaller.
#
# </details>
#
# **3.** How does the calibration error depend on the number of bins? Try 5, 15, 50 and 500, and compare with what chance gives.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for n_bins in (5, 15, 50, 500):
#     found = calibration_error(confidence["plain"], correct["plain"], n_bins)
#     drawn = [generator.random(len(labels)) < confidence["plain"] for _ in range(100)]
#     by_chance = [calibration_error(confidence["plain"], one, n_bins) for one in drawn]
#     print(f"{n_bins:3} bins: {found:.4f}, a perfect network on average {np.mean(by_chance):.4f}")
# ```
#
# It grows with the number of bins, for the perfect network as well: with few images in a bin, chance moves its share. Calibration errors
# can only be compared with the same bins and the same number of images.
#
# </details>
#
# **4.** The networks that come with the book have learned from all labelled images, so their accuracy cannot be measured here. But what do
# they say of out-of-distribution images? As real digits take the test images; no label is needed.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# from digit_utils.shipped import load_final_model
#
# shipped = load_final_model()[0]
#
#
# def ensemble_confidence(images):
#     return average_probabilities(
#         [network.predict(prepare_images(images), verbose=0) for network in shipped]
#     ).max(axis=1)
#
#
# of_digits = ensemble_confidence(digits.test_images[:4000])
# for kind, images in ood_images.items():
#     print(f"{kind:20} AUROC {separates(of_digits, ensemble_confidence(images)):.3f}")
# ```
#
# Longer training and five members make other borders, but the ten still share out everything. Compare with the table above, kind by
# kind, before you trust either.
#
# </details>
#
# ## What's next
#
# Confidence tells you which images to doubt, as long as they are like those of the training. What if they are not?
# [When the world shifts](13_when_the_world_shifts.ipynb) changes them step by step.
