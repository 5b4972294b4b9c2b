# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When the world shifts
#
# **What is left of the accuracy when the images are not quite as they were in training?**

# %% [markdown]
# **You will learn**
#
# - to spoil images in fifteen ways and five strengths, and to read the table that comes out;
# - what augmentation protects against, and what it does not;
# - to test fifteen things at once without fooling yourself;
# - what happens to a network's confidence when its world changes.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [More data from the same data](04_augmentation.ipynb): augmentation; [Is it really better?](09_is_it_really_better.ipynb): paired tests |
# | Time | 25 minutes to read; the run takes two to four minutes on a laptop |

# %% tags=["colab", "remove-cell"]
# Installs the book's helpers and what they need, where they are missing: on Colab, on Kaggle.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("digit_utils") is None:
    book = "https://github.com/digits-book/digits-book"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", f"git+{book}@main"]
    subprocess.check_call(command)
    importlib.invalidate_caches()

from digit_utils import hosts

hosts.prepare()

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display
from scipy import stats
from scipy.special import softmax
from statsmodels.stats.multitest import multipletests

from digit_utils import plots
from digit_utils.corruptions import KINDS, STRENGTHS, corrupt, transform
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import interval_of_share, paired_test
from digit_utils.fast import Recipe, train
from digit_utils.hard_cases import measure_traits
from digit_utils.results import report

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the subsets, the damage and the first training; further ones add 1
N_TRAIN: int = 0  # training images to use; 0: all 33,600
N_VALIDATION: int = 800  # validation images to spoil; 0: all 8,400
EPOCHS: int = 3  # passes over the training images
BATCH_SIZE: int = 256  # images a training step
SEEDS: int = 2  # trainings without and with augmentation, each

# %% [markdown]
# A validation image comes from the same scanner, the same box of 20 × 20 pixels, the same paper as the training images. A photograph taken with a
# phone does not. The usual word for it is *distribution shift*: the images at work are drawn from another pool than those the network learned from.
#
# We train the lean network of [chapter 7](07_how_fast_can_it_learn.ipynb) in two ways: on the images as they are (*plain*), and with **augmentation** (turned by
# up to 10 degrees, zoomed and moved by up to a tenth). Each is done with several seeds, for networks that agree on ordinary images may differ widely on
# strange ones, where training left open what they should say.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
images, labels = take_subset(validation_images, validation_labels, N_VALIDATION or None, seed=SEED)
print(f"training   {train_images.shape}")
print(f"validation {images.shape}, {len(KINDS)} kinds of damage, {len(STRENGTHS)} strengths")

# %%
augmented_recipe = Recipe(epochs=EPOCHS, batch_size=BATCH_SIZE)
plain_recipe = Recipe(epochs=EPOCHS, batch_size=BATCH_SIZE, rotation=0, zoom=0, shift=0)
networks = {
    name: [train(recipe, train_images, train_labels, seed=SEED + n).network for n in range(SEEDS)]
    for name, recipe in (("plain", plain_recipe), ("augmented", augmented_recipe))
}


def read(network, images):
    """Return the digit that a network reads in each image, and its probability for it."""
    logits = network(prepare_images(images), training=False)
    probabilities = softmax(keras.ops.convert_to_numpy(logits), axis=1)
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def read_all(name, images):
    """Do so with every network of a kind: (seeds, n) each."""
    predicted, confidence = zip(*(read(network, images) for network in networks[name]), strict=True)
    return np.array(predicted), np.array(confidence)


clean = {name: read_all(name, images)[0] == labels for name in networks}
display(
    Markdown(
        f"On clean validation images the plain networks read **{clean['plain'].mean():.2%}** rightly, the augmented ones "
        f"**{clean['augmented'].mean():.2%}**. On so few images that difference says little; it is not what this chapter is about."
    )
)

# %% [markdown]
# ## Fifteen ways to spoil a digit
#
# The list is that of [MNIST-C](https://arxiv.org/abs/1906.02337), a set of spoiled test digits by Mu and Gilmer. The code and the
# strengths are our own, so our numbers and theirs cannot be compared one by one. Each row shows one kind, from strength 1 to 5.

# %% mystnb={"image": {"alt": "Fifteen kinds of damage to one digit, each in five strengths: noise, blur, shear, smaller size, rotation, brightness, moved, a stripe, fog, spots, dotted and jagged lines, and edges only."}}
example = images[int(np.flatnonzero(labels == 2)[0])][None]
figure, axes = plt.subplots(8, 11, figsize=(9, 7.6), width_ratios=[1] * 5 + [0.35] + [1] * 5)
for ax in axes.flat:
    ax.set_axis_off()
for number, kind in enumerate(KINDS):
    row, first = number // 2, 6 * (number % 2)
    axes[row, first].set_title(kind, fontsize=9, fontweight="normal", loc="left", pad=2)
    for strength in STRENGTHS:
        spoiled = corrupt(example, kind, strength, seed=SEED)[0]
        axes[row, first + strength - 1].imshow(spoiled, vmin=0, vmax=255)
figure.suptitle(
    "One digit, spoiled in fifteen ways and five strengths", fontsize=12, fontweight="bold"
)
plt.show()

# %% [markdown]
# ## How much is left?
#
# All networks now read every validation image in all 75 conditions. None has ever seen any of this damage, apart from a little turning, zooming and moving.

# %%
right, sure = {}, {}
for kind in KINDS:
    for strength in STRENGTHS:
        spoiled = corrupt(images, kind, strength, seed=SEED)
        for name in networks:
            predicted, confidence = read_all(name, spoiled)
            right[kind, strength, name] = predicted == labels
            sure[kind, strength, name] = confidence

accuracies = pd.Series({key: value.mean() for key, value in right.items()})
accuracies.index.names = ["kind", "strength", "network"]
per_kind = accuracies.groupby(["kind", "network"]).mean().unstack()
order = per_kind["augmented"].sort_values(ascending=False).index

# %% mystnb={"image": {"alt": "Two heat maps side by side, one for each network: fifteen kinds of damage against five strengths, each cell with its accuracy in percent, dark where it is high."}}
figure, axes = plt.subplots(1, 2, figsize=(9.4, 6), sharey=True)
for ax, name in zip(axes, networks, strict=True):
    table = 100 * accuracies.xs(name, level="network").unstack().loc[order]
    sns.heatmap(
        table, ax=ax, vmin=10, vmax=100, cmap="cividis", annot=True, fmt=".0f",
        cbar=False, annot_kws={"fontsize": 9},
    )  # fmt: skip
    ax.set(title=f"{name.capitalize()} networks", xlabel="Strength", ylabel="")
figure.suptitle("Images read rightly (%)", fontsize=12, fontweight="bold")
plt.show()

# %%
mean_error = 1 - accuracies.groupby("network").mean()
display(
    Markdown(
        f"Over all 75 conditions the plain networks err on **{mean_error['plain']:.0%}** of the images, the augmented ones on "
        f"**{mean_error['augmented']:.0%}**; on clean images it was {1 - clean['plain'].mean():.1%} and {1 - clean['augmented'].mean():.1%}. "
        f"The kindest damage to the augmented networks is *{order[0]}* ({per_kind.loc[order[0], 'augmented']:.0%} right), the worst *{order[-1]}* "
        f"({per_kind.loc[order[-1], 'augmented']:.0%})."
    )
)

# %% [markdown]
# ## What does augmentation buy?
#
# For each kind we compare the two sorts of network on the same spoiled images: per image the share of strengths and seeds at which it is read rightly, and the mean of
# the differences with its 95 % interval. That is a *paired* comparison.
#
# Fifteen intervals are fifteen chances to be fooled: even between two equal networks one of fifteen comparisons would look significant at 5 % more often
# than not. **Holm's correction** asks more of each comparison, so that the chance of *any* false alarm stays at 5 %.
#
# The interval tells about other images, not about other trainings. So we ask one thing more before we say "helps" or "harms": *every* training of one sort has to
# do better than *every* training of the other. What passes both is marked by a filled dot; the small crosses are the single pairs of trainings with the same seed.


# %%
def score(kind, name):
    """Return the share of strengths at which an image is read rightly: (seeds, n)."""
    return np.mean([right[kind, strength, name] for strength in STRENGTHS], axis=0)


rows = {}
for kind in KINDS:
    plain, augmented = score(kind, "plain"), score(kind, "augmented")
    difference = 100 * (augmented.mean(axis=0) - plain.mean(axis=0))
    test = stats.ttest_1samp(difference, 0) if np.ptp(difference) > 0 else None
    low, high = test.confidence_interval(0.95) if test else (difference.mean(), difference.mean())
    per_seed = np.array([plain.mean(axis=1), augmented.mean(axis=1)])
    rows[kind] = {
        "gain": difference.mean(), "low": low, "high": high, "p_value": test.pvalue if test else 1.0,
        "every training": per_seed[1].min() > per_seed[0].max() or per_seed[1].max() < per_seed[0].min(),
        "pairs": 100 * (per_seed[1] - per_seed[0]),
    }  # fmt: skip
gains = pd.DataFrame(rows).T
survives_holm = multipletests(gains["p_value"].astype(float), alpha=0.05, method="holm")[0]
gains["holds"] = survives_holm & gains["every training"].astype(bool)
gains = gains.sort_values("gain", ascending=False)

# %% mystnb={"image": {"alt": "For each kind of damage a dot at the points gained by augmentation, with its 95 % interval; filled where the difference survives Holm's correction and every training agrees, and small crosses for single trainings."}}
ax = plt.subplots(figsize=(7.6, 5))[1]
for row, (_, kind) in enumerate(gains.iterrows()):
    ax.errorbar(
        kind["gain"], row, xerr=[[kind["gain"] - kind["low"]], [kind["high"] - kind["gain"]]],
        fmt="o", color=plots.BLUE, ecolor=plots.GREY, capsize=3,
        markerfacecolor=plots.BLUE if kind["holds"] else "white",
    )  # fmt: skip
    ax.plot(kind["pairs"], [row + 0.28] * SEEDS, "x", color=plots.GREY, markersize=4)
ax.axvline(0, color=plots.GREY, linestyle="--", linewidth=1)
ax.set(
    title="What augmentation buys against each kind of damage",
    xlabel="Points gained over the plain networks (bar: 95 % interval)",
    yticks=range(len(gains)), yticklabels=gains.index, ylim=(len(gains) - 0.5, -0.5),
)  # fmt: skip
plt.show()

# %%
helped = list(gains.index[gains["holds"] & (gains["gain"] > 0)])
harmed = list(gains.index[gains["holds"] & (gains["gain"] < 0)])
display(
    Markdown(
        f"Augmentation helps against **{', '.join(helped) or 'none of them'}**; it does harm against **{', '.join(harmed) or 'none of them'}**. "
        "Of the others these images and trainings do not tell."
    )
)

# %% [markdown]
# The pattern to look for: turning, zooming and moving were *practised*, so similar damage is expected among what is helped. What was not practised can go either way. A
# network that has learned to accept more has not thereby learned to see better.
#
# ## Turned and moved, step by step
#
# The table has five strengths; a curve has more. How far can a digit be turned, or moved? (From here on we ask the first network of each sort.)

# %%
angles = np.arange(-180, 181, 15)
pixels = np.arange(0, 13)
turned = {name: [] for name in networks}
moved = {name: [] for name in networks}
answers_at = {}
for angle in angles:
    spoiled = transform(images, rotation=angle)
    for name in networks:
        predicted = read(networks[name][0], spoiled)[0]
        answers_at[name, angle] = predicted
        turned[name].append((predicted == labels).mean())
for step in pixels:
    spoiled = transform(images, shift=(0, step))
    for name in networks:
        moved[name].append((read(networks[name][0], spoiled)[0] == labels).mean())

# %% mystnb={"image": {"alt": "Left: accuracy against the angle from -180 to 180 degrees, high only near zero. Right: accuracy against the shift in pixels, falling. Two lines each, plain dashed, augmented solid."}}
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.9), sharey=True)
for ax, (steps, curves) in zip(axes, ((angles, turned), (pixels, moved)), strict=True):
    for (name, curve), style in zip(curves.items(), ("--", "-"), strict=True):
        ax.plot(steps, 100 * np.array(curve), style, marker="o", markersize=3, label=name)
    ax.axhline(10, color=plots.GREY, linewidth=1, linestyle=":")
axes[0].set(
    title="Turned",
    xlabel="Angle (degrees, anticlockwise)",
    ylabel="Images read rightly (%)",
    xticks=range(-180, 181, 60),
)
axes[1].set(title="Moved to the right", xlabel="Pixels")
axes[1].legend()
plt.show()

# %%
upside_down = answers_at["augmented", 180]
confused = {
    f"{a} upside down": np.bincount(upside_down[labels == a], minlength=10) for a in (0, 1, 6, 8, 9)
}
pd.DataFrame(confused, index=pd.Index(range(10), name="read as")).T

# %% [markdown]
# At 180 degrees some digits survive: an upside-down 0, 1 or 8 is still one. A 6 becomes a 9 and a 9 a 6, and no network can be blamed for that: the label did
# not turn with the image. It is also why augmentation must stop somewhere. Train with every angle, and 6 and 9 are taught to be the same.
#
# ## Thick and thin pens
#
# Not every shift is damage. Some people press harder. We measure the mean thickness of each digit's stroke, in pixels, and sort *all* validation images, untouched, into five
# groups of equal size.

# %% mystnb={"image": {"alt": "Share of errors in five groups of clean digits from thinnest to thickest stroke, a dot with a 95 % interval for each network."}}
thickness = measure_traits(validation_images)["thickness"].to_numpy()
groups = pd.qcut(thickness, 5, labels=False)
ax = plt.subplots()[1]
for shift, name, colour, sign in zip(
    (-0.08, 0.08), networks, (plots.ORANGE, plots.BLUE), "so", strict=True
):
    wrong = read(networks[name][0], validation_images)[0] != validation_labels
    wrong_share, bars = [], []
    for group in range(5):
        errors = wrong[groups == group]
        low, high = interval_of_share(errors.mean(), len(errors))
        wrong_share.append(100 * errors.mean())
        bars.append([wrong_share[-1] - 100 * low, 100 * high - wrong_share[-1]])
    ax.errorbar(
        np.arange(5) + shift,
        wrong_share,
        np.abs(np.array(bars)).T,
        fmt=sign,
        color=colour,
        capsize=4,
        label=name,
    )
middle = [f"{thickness[groups == group].mean():.1f}" for group in range(5)]
ax.set(
    title="Errors on thin and thick strokes, clean images", xlabel="Mean thickness of the stroke in the group (pixels)",
    ylabel="Images read wrongly (%; bar: 95 % interval)", xticks=range(5), xticklabels=middle, ylim=(0, None),
)  # fmt: skip
ax.legend()
plt.show()

# %% [markdown]
# ## Practise the damage itself?
#
# If practice helps, why not practise noise as well? A third network learns from the same images, but half of them have **impulse noise** of strength 3: pixels
# that turn black or white at random. It is judged on clean images, on impulse noise of a strength it has *not* practised, and on kinds it has never seen.

# %%
noisy_half = train_images.copy()
half = np.random.default_rng(SEED).permutation(len(train_images))[: len(train_images) // 2]
noisy_half[half] = corrupt(train_images[half], "impulse noise", 3, seed=SEED + 1)
practised = train(augmented_recipe, noisy_half, train_labels, seed=SEED).network

rows = {}
conditions = {"clean": images}
for kind in ("impulse noise", "shot noise", "spatter", "fog", "brightness"):
    conditions[f"{kind}, strength 4"] = corrupt(images, kind, 4, seed=SEED)
for condition, spoiled in conditions.items():
    before, after = (read(network, spoiled)[0] for network in (networks["augmented"][0], practised))
    test = paired_test(labels, after, before)
    rows[condition] = {
        "augmented": (before == labels).mean(),
        "with noise practised": (after == labels).mean(),
        "only now right": test.only_a,
        "only before right": test.only_b,
        "p (McNemar)": test.p_value,
    }
practice = pd.DataFrame(rows).T
practice.assign(
    **{
        name: [f"{share:.1%}" for share in practice[name]]
        for name in ("augmented", "with noise practised")
    },
    **{name: practice[name].astype(int) for name in ("only now right", "only before right")},
    **{"p (McNemar)": [f"{p:.2g}" for p in practice["p (McNemar)"]]},
)

# %% [markdown]
# The first row is the price on clean images, the second what was bought, and the rest shows whether it carries over to other damage. Where `p` is small, the
# two networks differ by more than the choice of images explains.
#
# ## Does it know that it fails?
#
# A network that errs on damaged images does little harm if it says so. Each dot below is one kind and strength: how sure the network is on average, against how often
# it is right. On the line the two agree; *below* it the network is surer than it should be. (Trained with label smoothing, it is rather too modest on clean images, as
# [chapter 12](12_can_you_trust_its_confidence.ipynb) shows.)

# %% mystnb={"image": {"alt": "Scatter of 75 conditions: mean confidence on the horizontal axis, accuracy on the vertical, and a diagonal line on which the two agree."}}
confidences = pd.Series({key: value.mean() for key, value in sure.items()})
ax = plt.subplots(figsize=(5.6, 5.2))[1]
ours = [key for key in accuracies.index if key[2] == "augmented"]
ax.scatter(
    100 * confidences.loc[ours], 100 * accuracies.loc[ours], s=24, color=plots.BLUE, alpha=0.75
)
ax.plot([0, 100], [0, 100], color=plots.GREY, linestyle="--", linewidth=1)
ax.set(
    title="Confidence and accuracy in 75 conditions", xlabel="Mean confidence (%)",
    ylabel="Images read rightly (%)", xlim=(20, 101), ylim=(0, 101),
)  # fmt: skip
plt.show()

# %%
excess = 100 * (confidences.loc[ours] - accuracies.loc[ours])
worst_kind, worst_strength, _ = excess.idxmax()
display(
    Markdown(
        f"In {int((excess > 0).sum())} of {len(excess)} conditions the augmented networks are surer than they are right. Over all conditions confidence exceeds "
        f"accuracy by {excess.mean():.0f} points. The worst is *{worst_kind}* at strength {worst_strength}: {confidences.loc[excess.idxmax()]:.0%} sure, {accuracies.loc[excess.idxmax()]:.0%} right."
    )
)

# %% [markdown]
# ## What we found

# %%
report(
    f"- Fifteen kinds of damage in five strengths raise the error from {1 - clean['augmented'].mean():.1%} to **{mean_error['augmented']:.0%}** "
    f"on average (without augmentation: {mean_error['plain']:.0%}). Worst is *{order[-1]}*.\n"
    f"- By interval and by every one of {SEEDS} trainings augmentation helps against {len(helped)} of {len(KINDS)} kinds ({', '.join(helped) or '–'}) and harms against "
    f"{len(harmed)} ({', '.join(harmed) or '–'}).\n"
    f"- Practising impulse noise changes its accuracy at strength 4 from {practice.iloc[1, 0]:.0%} to **{practice.iloc[1, 1]:.0%}**, and that on clean images "
    f"from {practice.iloc[0, 0]:.1%} to {practice.iloc[0, 1]:.1%} (p = {practice.iloc[0, 4]:.2g}).\n"
    f"- Under damage the network is surer than it is right in {int((excess > 0).sum())} of {len(excess)} conditions.",
    n_images=len(images),
    seeds=SEEDS,
    clean_accuracy=float(clean["augmented"].mean()),
    mean_error_plain=float(mean_error["plain"]),
    mean_error_augmented=float(mean_error["augmented"]),
    n_helped=len(helped),
    n_harmed=len(harmed),
    noise_before=float(practice.iloc[1, 0]),
    noise_after=float(practice.iloc[1, 1]),
    conditions_too_sure=int((excess > 0).sum()),
)

# %% [markdown]
# ## Exercises
#
# **1.** Before the table: which kinds of damage do *you* find hardest to read? Rank five of them, then compare with the networks.
#
# <details>
# <summary>Solution</summary>
#
# There is no right answer, but most people read a digit through fog, on bright paper or behind a stripe with ease. Where the network fails and you do not, it
# relies on something you do not need: black paper, for instance.
#
# </details>
#
# **2.** A cure without training: subtract each image's darkest value before the network sees it. Which kinds does that help against?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# def on_black(images):
#     return images - images.min(axis=(1, 2), keepdims=True)
#
# for kind in KINDS:
#     spoiled = corrupt(images, kind, 4)
#     before, after = (read(networks["augmented"][0], x)[0] for x in (spoiled, on_black(spoiled)))
#     print(f"{kind:14} {(before == labels).mean():.0%} -> {(after == labels).mean():.0%}")
# ```
#
# It undoes *brightness* wholly, for that only adds a constant (as far as nothing was clipped), and some of *fog*. Good preparation is often cheaper than training.
#
# </details>
#
# **3.** The correction: how many of fifteen comparisons between two *equal* networks would come out below 5 %, and how often at least one?
#
# <details>
# <summary>Solution</summary>
#
# On average 15 × 0.05, three quarters of a comparison. None does with a chance of $0.95^{15}$, if they were independent, which is a little less than one half: more often than not
# there would be at least one false alarm.
#
# </details>
#
# ## What's next
#
# This is the last chapter. Take a network to your own handwriting: [Draw a digit](../book/draw_a_digit.md) has one that reads what you write, and a switch that shows
# how much it depends on the images being prepared as in training.
