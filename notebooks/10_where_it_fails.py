# %% [markdown]
# # Where it fails
#
# **Which digits does the network get wrong, and is it always the network's fault?**

# %% [markdown]
# **You will learn**
#
# - to have every labelled image read by a network that never saw it;
# - which digits are hard, and which are taken for which;
# - to search for wrong labels, and how far to trust what such a search finds;
# - to compare hard images with easy ones of the same digit.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [A first convolutional network](03_base_cnn.ipynb): the confusion matrix; [How fast can it learn?](07_how_fast_can_it_learn.ipynb): the recipe used here |
# | Time | 25 minutes to read and play; the run takes one to three minutes on a laptop |

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
import warnings
from collections import Counter, defaultdict
from itertools import chain
from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold

from digit_utils import plots
from digit_utils.artifacts import load_recorded
from digit_utils.calibration import fit_temperature
from digit_utils.data import load_digits, prepare_images, take_subset
from digit_utils.evaluate import accuracy, interval_of_share
from digit_utils.fast import Recipe, Trainer
from digit_utils.hard_cases import find_unusual, measure_traits
from digit_utils.results import report
from digit_utils.widgets import quiz_html

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the folds and the first training; further ones add 1
N_IMAGES: int = 0  # labelled images to use, at least 0; 0: all 42,000
N_FOLDS: int = 3  # parts, at least 2; each is read by a network trained on the others
EPOCHS: int = 3  # passes over the training images, at least 1
BATCH_SIZE: int = 256  # images per training step, at least 1
LABEL_SMOOTHING: float = 0.0  # share of the target spread over all digits, at least 0
N_HARDEST: int = 50  # images to look at, and to be quizzed on, at least 1
N_USUAL: int = 5000  # correctly read images to set what is usual, as many to compare, at least 1

# %% [markdown]
# ## Every image, read by a network that never saw it
#
# A good network misreads a few dozen of the 8,400 validation images, too few to see a pattern. We have labels
# for 42,000 images, but a network reads those it has learned from far too well. So we deal all of them into three
# parts, called **folds**, each with its share of every digit. Three times a network learns from two parts and reads
# the third. In the end each image has been read once, by a network that never saw it: the answers are
# **out of fold**. The three networks differ a little. That does no harm, since we study the images and not one
# network.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
images, labels = take_subset(digits.images, digits.labels, N_IMAGES or None, seed=SEED)
print(f"{len(images):,} labelled images in {N_FOLDS} folds")

# %%
trainer = Trainer(Recipe(epochs=EPOCHS, batch_size=BATCH_SIZE, label_smoothing=LABEL_SMOOTHING))


def read_out_of_fold(seed):
    """Return logits for each image, by a network that did not learn from it."""
    logits = np.zeros((len(labels), 10))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    for number, (learn_from, read) in enumerate(folds.split(images, labels)):
        network = trainer.train(images[learn_from], labels[learn_from], seed + number).network
        logits[read] = network.predict(prepare_images(images[read]), batch_size=512, verbose=0)
    return logits


logits = read_out_of_fold(SEED)

# %% [markdown]
# The recipe is that of [chapter 7](07_how_fast_can_it_learn.ipynb) without its label smoothing. Smoothed
# targets ask the network for a probability of 0.955<!--= given -->, never more. That raises the accuracy, as
# chapter 7 shows, but blurs how sure the network is of each image, and this chapter needs to know.
#
# Trained without smoothing, a network can be too sure of its answers. One number corrects that, the
# **temperature** $T$: divide all logits by it before the softmax, and a $T$ above 1 makes the network less sure.
# The answers stay the same, because the largest logit stays the largest. We take the $T$ that makes the labels most
# probable, one for all three networks; [chapter 12](12_can_you_trust_its_confidence.ipynb) shows why that
# works. The probabilities computed with it are called *tempered* below.

# %%
temperature = fit_temperature(logits, labels)
probabilities = softmax(logits / temperature, axis=1)
predicted = probabilities.argmax(axis=1)
confidence = probabilities.max(axis=1)
wrong = np.flatnonzero(predicted != labels)
second = np.argsort(-probabilities, axis=1)[:, 1]
second_guess_right = np.mean(second[wrong] == labels[wrong])
pd.Series(
    {
        "images": f"{len(labels):,}",
        "read as labelled": f"{accuracy(labels, predicted):.2%}",
        "read otherwise": f"{len(wrong):,}",
        "of these, the label comes second": f"{second_guess_right:.0%}",
        "temperature": f"{temperature:.2f}",
    },
    name="your run",
).to_frame()

# %% [markdown]
# In the published run, 367<!--= 10.n_wrong , --> of the images are not read as labelled. Most are near
# misses: in 82 %<!--= 10.second_guess_right .0% --> of them, the digit on the label is the network's second guess.
# The temperature is 1.19<!--= 10.temperature .2f -->; it is above 1, so the networks are too sure.
#
# ## Which digits are hard?
#
# Here is the share of misread images among those of each digit.

# %% mystnb={"image": {"alt": "A dot for each digit from 0 to 9 at its share of wrongly read images, with a bar for the 95 % interval."}} tags=["hide-input"]
# @title Share of wrongly read images by digit
n_of, wrong_of = np.bincount(labels, minlength=10), np.bincount(labels[wrong], minlength=10)
by_digit = pd.DataFrame({"share": wrong_of / n_of})
bounds = [interval_of_share(s, n) for s, n in zip(by_digit["share"], n_of, strict=True)]
by_digit[["low", "high"]] = bounds
away = by_digit[["low", "high"]].sub(by_digit["share"], axis=0).abs().T
ax = plt.subplots()[1]
ax.errorbar(
    range(10), 100 * by_digit["share"], 100 * away.to_numpy(),
    fmt="o", color=plots.BLUE, ecolor=plots.GREY, capsize=4,
)  # fmt: skip
ax.set(
    title="Hard and easy digits", xlabel="Digit on the label",
    ylabel="Images read wrongly (%; bar: 95 % interval)", xticks=range(10), ylim=(0, None),
)  # fmt: skip
plt.show()

# %% [markdown]
# Of the 9s, 1.65 %<!--= 10.by_digit.9.share .2% --> are misread, of the 0s
# 0.50 %<!--= 10.by_digit.0.share .2% -->. Those two are far apart. Where two bars overlap widely, read no order
# into the digits.
#
# What is taken for what? Each row is a digit on the label, each column an answer.

# %% mystnb={"image": {"alt": "Confusion matrix of all out-of-fold answers; only the mistakes are coloured, the darker the more frequent."}} tags=["hide-input"]
# @title Labels against answers, all folds together
plots.plot_confusion(labels, predicted, title="Labels against answers, all folds together")
plt.show()

# %%
mixed_up = Counter(
    tuple(sorted(pair)) for pair in zip(labels[wrong], predicted[wrong], strict=True)
)
(one, other), n_mixed_up = mixed_up.most_common(1)[0]
print(f"{one} and {other}: {n_mixed_up} of {len(wrong)} mistakes")

# %% [markdown]
# The mistakes are not spread evenly over the 45 pairs of digits, or each pair would have about two in a hundred of
# them. The pair 4 and 9 alone has 14 %<!--= 10.share_of_most_mixed .0% -->: a 9 is read as a 4 in
# 30<!--= 10.nines_read_as_4 d --> cases, a 4 as a 9 in 20<!--= 10.fours_read_as_9 d -->. Leave the loop of a 9
# open, and you have written a 4; close the top of a 4, and you have written a 9.
#
# ## The hardest images: can you do better?
#
# An image is hard when the network gives little probability to the digit on its label. (Minus the logarithm of
# that probability is the image's *loss*, which training makes small.) Here are the hardest ones, one at a time
# and without the label. Read them before you judge the network. Answer with the keys 0 to 9 or the buttons.
# (GitHub runs no scripts and shows no quiz; the book and Colab do.)

# %%
probability_of_label = probabilities[np.arange(len(labels)), labels]
by_difficulty = wrong[np.argsort(probability_of_label[wrong])]
hardest = by_difficulty[:N_HARDEST]
HTML(quiz_html(images[hardest], labels[hardest], predicted[hardest], confidence[hardest]))

# %% [markdown]
# How many labels did you disagree with? Some of them look plainly wrong, and those mistakes are not the network's.
#
# ## Labels that may be wrong
#
# Could we find the wrong labels without looking at 42,000 images? A mistake alone is no reason to suspect a label:
# the image may just be hard. We suspect the label when the network is *sure* of another digit, but how sure is sure?
# **Confident learning** ([Northcutt, Jiang and Chuang 2021](https://arxiv.org/abs/1911.00068)) has an answer: as
# sure as it is, on average, of the images with *that* label.


# %%
def suspect_labels(labels, probabilities):
    usual = np.array([probabilities[labels == digit, digit].mean() for digit in range(10)])
    reached = probabilities >= usual - 1e-6  # as sure as is usual for that digit
    guess = np.where(reached, probabilities, 0).argmax(axis=1)
    return np.flatnonzero(reached.any(axis=1) & (guess != labels))


suspects = suspect_labels(labels, probabilities)
print(f"{len(suspects)} of {len(labels):,} labels suspected, {len(wrong):,} images misread")

# %% [markdown]
# In the published run the rule suspects 31<!--= 10.n_suspects , --> labels. Here are the images of the quiz again,
# with label and answer. Those in red, with a question mark, are suspected. Which would you relabel, and which are
# odd but right?

# %% mystnb={"image": {"alt": "A grid of the handwritten digits with the largest loss; above each its label, an arrow, and the digit that was read; where the label is suspected, in red and with a question mark."}} tags=["hide-input"]
# @title The hardest images, suspected labels in red
suspected = np.isin(hardest, suspects)
axes = plots.show_images(
    images[hardest],
    [
        f"{label} → {answer}{' ?' if doubt else ''}"
        for label, answer, doubt in zip(labels[hardest], predicted[hardest], suspected, strict=True)
    ],
    title=f"The {len(hardest)} hardest of {len(images):,} images",
)
for ax, doubt in zip(axes.flat, suspected, strict=False):
    ax.title.set_color(plots.RED if doubt else "black")
plt.show()

# %% [markdown]
# ## How far can you trust the list?
#
# The library [cleanlab](https://github.com/cleanlab/cleanlab), by the inventors of confident learning, offers our
# rule as the filter `confident_learning`. Its default, `prune_by_noise_rate`, uses the rule only to estimate how many
# images labelled 4 should be 9s, and so on for each pair of digits. It then suspects that many, beginning where the
# probability of the 9 exceeds that of the 4 most. `both` keeps only the labels on which this and a similar filter
# agree. We take all three, and our rule once more on probabilities that are not tempered.

# %%
warnings.filterwarnings("ignore", "IProgress not found")  # no progress bar is needed here
from cleanlab.filter import find_label_issues

names = np.array([crc32(image) for image in images])  # the same in whatever order images come
by_rule = {"untempered": names[suspect_labels(labels, softmax(logits, axis=1))].tolist()}
for name in ("confident_learning", "prune_by_noise_rate", "both"):
    issues = find_label_issues(labels, probabilities, filter_by=name, n_jobs=1)
    by_rule[name] = names[issues].tolist()
pd.Series({name: len(found) for name, found in by_rule.items()}, name="your run").to_frame()

# %% [markdown]
# Now change what should not matter: the seed, and whether label smoothing was used. The record holds these four
# lists for five seeds, with plain targets and with smoothed ones (`digits sweep sweeps/suspects.yaml` makes it again).
# The table has the lengths of the shortest and the longest of five lists, and how many labels are on all five and on
# at least one.


# %%
def over_seeds(lists):
    times = Counter(chain.from_iterable(lists))
    on_all = sum(count == len(lists) for count in times.values())
    sizes = [len(suspects) for suspects in lists]
    return {"shortest": min(sizes), "longest": max(sizes), "on all": on_all, "on any": len(times)}


this_run = {"parameters": {"LABEL_SMOOTHING": LABEL_SMOOTHING}, "results": {"suspects": by_rule}}
runs = load_recorded("suspect_lists")["runs"] or [this_run]  # none yet: the record is being made
lists = defaultdict(list)
for run in runs:
    targets = "smoothed" if run["parameters"]["LABEL_SMOOTHING"] else "plain"
    for rule, found in run["results"]["suspects"].items():
        lists[targets, rule].append(found)
stability = pd.DataFrame({way: over_seeds(found) for way, found in lists.items()}).T
stability.rename_axis(["targets", "rule"])

# %% [markdown]
# **The probabilities decide.** Untempered, the rule suspects
# 40<!--= 10.suspect_lists.plain.untempered.shortest , --> to
# 56<!--= 10.suspect_lists.plain.untempered.longest , --> labels without smoothing and
# 3<!--= 10.suspect_lists.smoothed.untempered.shortest , --> to
# 8<!--= 10.suspect_lists.smoothed.untempered.longest , --> with it. Networks trained on plain targets are too
# sure, even of their mistakes; those trained on smoothed targets are seldom sure enough. Tempered, the two come closer:
# 29<!--= 10.suspect_lists.plain.confident_learning.shortest , --> to
# 36<!--= 10.suspect_lists.plain.confident_learning.longest , --> against
# 20<!--= 10.suspect_lists.smoothed.confident_learning.shortest , --> to
# 30<!--= 10.suspect_lists.smoothed.confident_learning.longest , -->.
#
# **So does the seed.** Our rule's five tempered lists without smoothing share
# 7<!--= 10.suspect_lists.plain.confident_learning.on_all , --> labels;
# 90<!--= 10.suspect_lists.plain.confident_learning.on_any , --> are on at least one.
#
# **The filter matters less.** On the same probabilities, `prune_by_noise_rate` suspects
# 30<!--= 10.suspect_lists.plain.prune_by_noise_rate.shortest , --> to
# 36<!--= 10.suspect_lists.plain.prune_by_noise_rate.longest , --> labels, `both`
# 25<!--= 10.suspect_lists.plain.both.shortest , --> to 31<!--= 10.suspect_lists.plain.both.longest , -->.
#
# So do not read the length of a list as the number of wrong labels. Temper first, run several seeds, and let
# people check first the labels that all lists share.
#
# ## What people say
#
# A suspected label is a question to people, not an answer.
# [Northcutt, Athalye and Mueller (2021)](https://arxiv.org/abs/2103.14749) let confident learning search the 10,000
# original test images of MNIST and showed each of the 100<!--= given --> that it suspected to five people. For
# 15<!--= given --> of them, fewer than three of the five saw the digit on the label. By this vote the other
# 85<!--= given --> are labelled correctly, odd but right, and at least 1.5<!--= given --> labels in a thousand are
# wrong. How many wrong ones the search missed, the study did not count.
#
# For a competition this means: if 1.5 labels in a thousand are wrong, someone who reads every digit correctly scores
# 99.85 %<!--= given -->. A network that scores higher has matched wrong labels, by having learned them or by
# chance.
#
# ## What do hard images have in common?
#
# "The handwriting is bad" is easily said. Five traits of the writing can be measured without knowing the digit. A
# pixel above 64 of 255 counts as ink; specks and holes of one or two pixels are ignored.
#
# | Trait | What `measure_traits` measures |
# | --- | --- |
# | parts | number of pieces of ink that do not touch |
# | loops | number of holes that the ink encloses |
# | thickness | mean width of the stroke, in pixels |
# | slant | angle by which the digit leans to the right, in degrees |
# | proportion | width of the digit divided by its height |
#
# What is unusual depends on the digit: an 8 has two loops, a 1 has none. So a first sample of correctly read images
# says what is usual for each label. A count (parts, loops) is unusual when it is not the most frequent one there, any
# other trait when it lies outside the middle 95 %. A second sample of correctly read images, which had no part in
# that, is compared with the misread ones. For each digit, the table shows how often the number of loops is unusual.

# %%
right = np.random.default_rng(SEED).permutation(np.flatnonzero(predicted == labels))
n_usual = min(N_USUAL, len(right) // 2)
reference, others = right[:n_usual], right[n_usual : 2 * n_usual]
reference_traits = measure_traits(images[reference])
unusual_wrong, unusual_right = (
    find_unusual(measure_traits(images[rows]), labels[rows], reference_traits, labels[reference])
    for rows in (wrong, others)
)
loops = pd.DataFrame(
    {
        "read correctly": unusual_right["loops"].groupby(labels[others]).mean(),
        "misread": unusual_wrong["loops"].groupby(labels[wrong]).mean(),
    }
).rename_axis("label")
loops.style.format("{:.0%}", na_rep="")

# %% [markdown]
# Unusual does not mean rare: even of the 8s read correctly, 36 %<!--= 10.loops.8.right .0% --> do not have two
# loops. One left open is enough, or one filled by a thick stroke. What matters is the difference within a row: of the
# misread 8s it is 91 %<!--= 10.loops.8.wrong .0% -->. The 9s go from 20 %<!--= 10.loops.9.right .0% --> to
# 67 %<!--= 10.loops.9.wrong .0% -->. Each row rests on the misread images of one digit, some dozens at most, so
# small differences mean nothing.
#
# To sum up over all digits, keep the comparison within digits. The mistakes hold more of the hard digits, so a trait
# that is frequent in those would be frequent among the mistakes even if it did no harm. The cell below therefore asks:
# how frequent *would* the trait be if the misread images of each digit were like the correctly read ones?

# %%
traits = pd.DataFrame({"found": unusual_wrong.mean()})
rate_by_digit = unusual_right.groupby(labels[others]).mean()
traits["expected"] = rate_by_digit.reindex(labels[wrong]).mean()
any_trait = unusual_right.any(axis=1).groupby(labels[others]).mean()
traits.loc["any of them"] = [
    unusual_wrong.any(axis=1).mean(),
    any_trait.reindex(labels[wrong]).mean(),
]
traits[["low", "high"]] = [interval_of_share(share, len(wrong)) for share in traits["found"]]

# %% mystnb={"image": {"alt": "For each trait two marks: the share of misread images in which it is unusual, with an interval, and the share expected from correctly read images of the same digits."}} tags=["hide-input"]
# @title Unusual writing among the mistakes, and what was to be expected
ax = plt.subplots(figsize=(7.2, 3.8))[1]
rows, found = np.arange(len(traits)), traits["found"]
away = np.abs(traits[["low", "high"]].sub(found, axis=0)).T.to_numpy()
ax.errorbar(
    100 * found, rows, xerr=100 * away, fmt="s", color=plots.RED, capsize=3, label="misread",
)  # fmt: skip
label = "expected: read correctly, same digits"
ax.plot(100 * traits["expected"], rows, "o", color=plots.BLUE, label=label)
ax.set(
    title="Unusual writing, within each digit",
    xlabel="Images in which the trait is unusual (%; bar: 95 % interval)",
    yticks=rows, yticklabels=traits.index, ylim=(len(traits) - 0.5, -0.5), xlim=(0, None),
)  # fmt: skip
ax.legend()
plt.show()

# %% [markdown]
# The number of loops makes the largest difference: it is unusual in
# 44 %<!--= 10.traits.loops.found .0% --> of the misread images, where
# 15 %<!--= 10.traits.loops.expected .0% --> were to be expected. Thickness and proportion differ, too:
# 17 %<!--= 10.traits.thickness.found .0% --> against 5 %<!--= 10.traits.thickness.expected .0% -->, and
# 9 %<!--= 10.traits.proportion.found .0% --> against 3 %<!--= 10.traits.proportion.expected .0% -->. So do the
# slant, 9 %<!--= 10.traits.slant.found .0% --> against 5 %<!--= 10.traits.slant.expected .0% -->, and the number of
# parts, 4 %<!--= 10.traits.parts.found .0% --> against 2 %<!--= 10.traits.parts.expected .0% -->.
#
# Do not turn this around: of all images with an unusual trait, the networks still read
# 97.8 %<!--= 10.read_although_unusual .1% --> correctly. An unusual trait makes a mistake more likely, not certain.
# And some misread images are usual in all five traits, which do not see that a 7 has a bar, or that somebody began
# a 4 and made it a 9.
#
# ## What we found
#
# - Read by networks that never saw them, 99.13 %<!--= 10.out_of_fold_accuracy .2% --> of 42,000 images come out as
#   labelled. Of the 9s, 1.65 %<!--= 10.by_digit.9.share .2% --> are misread, of the 0s
#   0.50 %<!--= 10.by_digit.0.share .2% -->. The digits most often mixed up are 4 and 9.
# - It is not always the network's fault: of 100<!--= given --> labels that confident learning suspected in MNIST's
#   test images, people rejected 15<!--= given -->.
# - What a search for wrong labels suspects depends on training, temperature and seed. Tempered and without
#   smoothing, our rule suspects 29<!--= 10.suspect_lists.plain.confident_learning.shortest , --> to
#   36<!--= 10.suspect_lists.plain.confident_learning.longest , --> labels,
#   7<!--= 10.suspect_lists.plain.confident_learning.on_all , --> of them with each of the five seeds.
# - Misread images are more often unusual than correctly read images of the same digits: in at least one of five
#   traits 63 %<!--= 10.unusual_among_errors .0% --> against 27 %<!--= 10.unusual_among_right .0% -->.

# %% tags=["hide-input"]
# @title The values that the text quotes
among_right = unusual_right.any(axis=1).mean() * (len(labels) - len(wrong))  # images, estimated
among_wrong = unusual_wrong.any(axis=1).sum()
columns = {"on all": "on_all", "on any": "on_any"}
quoted = {
    "by_digit": by_digit.rename(str).T.to_dict(),
    "most_mixed": f"{one} and {other}",
    "share_of_most_mixed": n_mixed_up / len(wrong),
    "nines_read_as_4": np.sum(predicted[labels == 9] == 4),
    "fours_read_as_9": np.sum(predicted[labels == 4] == 9),
    "suspect_lists": {
        targets: stability.loc[targets].rename(columns=columns).T.to_dict()
        for targets in stability.index.unique(0)
    },
    "loops": loops.rename(str).set_axis(["right", "wrong"], axis=1).fillna(0).T.to_dict(),
    "traits": traits.T.to_dict(),
    "read_although_unusual": among_right / (among_right + among_wrong),
}

# %%
report(
    n_images=len(labels),
    n_folds=N_FOLDS,
    out_of_fold_accuracy=accuracy(labels, predicted),
    n_wrong=len(wrong),
    second_guess_right=second_guess_right,
    temperature=temperature,
    n_suspects=len(suspects),
    suspects=by_rule,
    unusual_among_errors=traits.loc["any of them", "found"],
    unusual_among_right=traits.loc["any of them", "expected"],
    **quoted,
)

# %% [markdown]
# ### Check yourself
#
# Answer before you unfold.
#
# **1.** Why three networks, when each image gets one answer?
#
# <details>
# <summary>Answer</summary>
#
# So that each image is read by a network that did not learn from it.
#
# </details>
#
# **2.** Why train without label smoothing here?
#
# <details>
# <summary>Answer</summary>
#
# Smoothed targets keep the network from being very sure, and the search for wrong labels rests on how sure it is.
#
# </details>
#
# **3.** When does confident learning suspect a label?
#
# <details>
# <summary>Answer</summary>
#
# When the image's probability for another digit is at least the average of that probability over the images
# labelled with that digit.
#
# </details>
#
# **4.** A tool reports 40 suspected labels. What do you ask?
#
# <details>
# <summary>Answer</summary>
#
# By which filter? From tempered probabilities? How many of the 40 come back with another seed?
#
# </details>
#
# **5.** Why compare within digits?
#
# <details>
# <summary>Answer</summary>
#
# Mistakes hold more of the hard digits, and with them more of whatever is frequent in those digits, harmful or not.
#
# </details>
#
# **6.** A trait is unusual in half of the mistakes. Is an image with that trait likely to be misread?
#
# <details>
# <summary>Answer</summary>
#
# No. Mistakes are so rare that nearly all images with the trait are still read correctly.
#
# </details>
#
# ## Exercises
#
# **1.** Which images did the networks read correctly, but with the least confidence?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# unsure = right[np.argsort(confidence[right])][:20]
# plots.show_images(images[unsure], [f"{p:.0%}" for p in confidence[unsure]])
# plt.show()
# ```
#
# They look much like the mistakes: between "just right" and "just wrong" there is no gap.
#
# </details>
#
# **2.** Do two runs make a better list than one? Read all images out of fold with another seed, average the
# probabilities, and search again.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# more = read_out_of_fold(SEED + 100)
# second_run = softmax(more / fit_temperature(more, labels), axis=1)
# pooled = suspect_labels(labels, (probabilities + second_run) / 2)
# both = np.intersect1d(suspects, suspect_labels(labels, second_run))
# print(f"one run {len(suspects)}, both runs {len(both)}, pooled {len(pooled)}")
# print(f"in both and pooled: {len(np.intersect1d(both, pooled))}")
# ```
#
# ```text
# one run 30, both runs 11, pooled 14
# in both and pooled: 11
# ```
#
# Whether a list is better, only people can say. But a label that only one run suspects may owe that to the seed, so
# begin with those that both runs suspect.
#
# </details>
#
# **3.** A colleague drops all suspected images from the training data and reports a higher validation accuracy.
# What do you ask?
#
# <details>
# <summary>Solution</summary>
#
# Whether they were dropped from the *validation* images too. If so, the score rises by itself:
#
# ```python
# kept = np.setdiff1d(np.arange(len(labels)), suspects)
# print(f"all {accuracy(labels, predicted):.3%}")
# print(f"without the suspects {accuracy(labels[kept], predicted[kept]):.3%}")
# ```
#
# ```text
# all 99.126%
# without the suspects 99.197%
# ```
#
# If not, ask for several seeds and a paired test:
# [Is it really better?](09_is_it_really_better.ipynb) shows how large a change chance alone makes.
#
# </details>
#
# ## What's next
#
# We know *where* the network fails. In [Looking inside](11_looking_inside.ipynb) we ask what it looks at, when it
# is right and when it is wrong.
