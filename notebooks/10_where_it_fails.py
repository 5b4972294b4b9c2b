# %% [markdown]
# # Where it fails
#
# **Which digits does the network get wrong, and is it always the network's fault?**

# %% [markdown]
# **You will learn**
#
# - to let every labelled image be read by a network that never saw it;
# - which digits are hard, and which are taken for which;
# - to look for labels that may be wrong, and what such a search can and cannot tell;
# - to describe hard images by what can be measured, and to be careful with the rest.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [A first convolutional network](03_base_cnn.ipynb): the confusion matrix; [How fast can it learn?](07_how_fast_can_it_learn.ipynb): the recipe used here |
# | Time | 25 minutes to read and play; the run takes one to two minutes on a laptop |

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

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold

from digit_utils import plots
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
BATCH_SIZE: int = 256  # images a training step, at least 1
N_HARDEST: int = 50  # images to look at, and to be quizzed on, at least 1
N_USUAL: int = 3000  # correctly read images to compare their writing with, at least 1

# %% [markdown]
# ## Every image, read by a network that never saw it
#
# On 8,400 validation images a good network makes too few errors to learn much from. So we use all labelled images.
# They are dealt into three parts, called **folds**. Three times a network is trained on two of them and reads the third. In the
# end each image has been read once, by a network that did not learn from it. Such answers are called *out of fold*.
#
# The three networks differ a little. That is no harm here: we are after the images, not after one network.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
images, labels = take_subset(digits.images, digits.labels, N_IMAGES or None, seed=SEED)
print(f"{len(images):,} labelled images in {N_FOLDS} folds")

# %%
folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)
probabilities = np.zeros((len(labels), 10))
trainer = Trainer(Recipe(epochs=EPOCHS, batch_size=BATCH_SIZE))
for number, (learn_from, read) in enumerate(folds.split(images, labels)):
    network = trainer.train(images[learn_from], labels[learn_from], SEED + number).network
    logits = network.predict(prepare_images(images[read]), batch_size=512, verbose=0)
    probabilities[read] = softmax(logits, axis=1)

predicted = probabilities.argmax(axis=1)
confidence = probabilities.max(axis=1)
wrong = np.flatnonzero(predicted != labels)
out_of_fold_accuracy = accuracy(labels, predicted)
display(
    Markdown(
        f"The networks read **{out_of_fold_accuracy:.2%}** of the images as their labels say. "
        f"**{len(wrong):,}** images are left, and they are what this chapter is about."
    )
)

# %% [markdown]
# ## Which digits are hard?
#
# The bars are 95 % intervals. Where two of them overlap widely, the order of the two digits may be chance.

# %% mystnb={"image": {"alt": "A dot for each digit from 0 to 9 at its share of wrongly read images, with a bar for the 95 % interval."}}
n_of = np.bincount(labels, minlength=10)
wrong_of = np.bincount(labels[wrong], minlength=10)
error = wrong_of / n_of
low, high = np.array([interval_of_share(s, n) for s, n in zip(error, n_of, strict=True)]).T

ax = plt.subplots()[1]
ax.errorbar(
    range(10), 100 * error, 100 * np.array([error - low, high - error]),
    fmt="o", color=plots.BLUE, ecolor=plots.GREY, capsize=4,
)  # fmt: skip
ax.set(
    title="Hard and easy digits", xlabel="Digit on the label",
    ylabel="Images read wrongly (%)", xticks=range(10), ylim=(0, None),
)  # fmt: skip
plt.show()

# %% [markdown]
# ## What is taken for what?
#
# Networks do not err at random. The table counts each pair of digits both ways together, and says how often each of the two was
# taken for the other.

# %%
mistaken = pd.DataFrame({"label": labels[wrong], "read as": predicted[wrong]})
both_ways = mistaken.apply(lambda row: tuple(sorted(row)), axis=1).value_counts()
pairs = pd.DataFrame(
    [
        {
            "pair": f"{a} and {b}",
            "errors": count,
            "share of all errors": f"{count / len(wrong):.0%}",
            "first read as second": int(
                ((mistaken["label"] == a) & (mistaken["read as"] == b)).sum()
            ),
            "second read as first": int(
                ((mistaken["label"] == b) & (mistaken["read as"] == a)).sum()
            ),
        }
        for (a, b), count in both_ways.head(8).items()
    ]
)
pairs.set_index("pair")

# %% mystnb={"image": {"alt": "Confusion matrix of all out-of-fold answers; only the mistakes are coloured, the darker the more frequent."}}
plots.plot_confusion(labels, predicted, title="Labels against answers, all folds together")
plt.show()

# %% [markdown]
# ## The hardest images: can you do better?
#
# How hard was an image? We ask how little probability the network gave to the digit on the label. The less, the more surprised it
# was: the *loss* of that image, which training tries to make small, is the negative logarithm of this number.
#
# Here are the most surprising ones, one at a time and without the label. Read them before you judge the network. Answer with the keys 0 to 9 or the
# buttons. (On GitHub the quiz does not show, for it needs a script; the page of the book and Colab have it.)

# %%
probability_of_label = probabilities[np.arange(len(labels)), labels]
by_difficulty = wrong[np.argsort(probability_of_label[wrong])]
hardest = by_difficulty[:N_HARDEST]
HTML(quiz_html(images[hardest], labels[hardest], predicted[hardest], confidence[hardest]))

# %% [markdown]
# Here they are together. Above each stand the label and, after the arrow, what was read.

# %% mystnb={"image": {"alt": "A grid of the handwritten digits that surprised the networks most; above each its label, an arrow, and the digit that was read."}}
plots.show_images(
    images[hardest],
    [f"{labels[image]} → {predicted[image]}" for image in hardest],
    title=f"The {len(hardest)} hardest of {len(images):,} images",
)
plt.show()

# %% [markdown]
# With how many of the labels did you disagree? There is no arbiter: the label is what somebody wrote down decades ago, perhaps knowing which digit
# the writer had been asked for, perhaps not. Keep that in mind when you read that a network makes so and so many errors.
#
# ## Labels that may be wrong
#
# Could we find wrong labels without looking at every image? **Confident learning** tries. It asks for each digit how sure the networks
# are, on average, of images with that label. An image is suspected when its probability for *another* digit is as high as
# is usual for that other digit. The library [cleanlab](https://github.com/cleanlab/cleanlab) does this; all it needs are labels and
# out-of-fold probabilities.

# %%
warnings.filterwarnings("ignore", "IProgress not found")  # no progress bar is needed here
from cleanlab.filter import find_label_issues

suspects = find_label_issues(
    labels,
    probabilities,
    filter_by="confident_learning",
    return_indices_ranked_by="self_confidence",  # the most suspicious first
    n_jobs=1,
)
display(
    Markdown(
        f"Confident learning suspects **{len(suspects)}** of {len(labels):,} labels, "
        f"{1000 * len(suspects) / len(labels):.1f} in a thousand; "
        f"{len(set(suspects) & set(wrong))} of them are among the {len(wrong):,} errors."
    )
)

# %% mystnb={"image": {"alt": "A grid of images whose labels are suspected to be wrong, most suspicious first; above each its label, an arrow, and the digit suggested."}}
shown = suspects[:30] if len(suspects) else hardest[:30]
plots.show_images(
    images[shown],
    [f"{label} → {answer}" for label, answer in zip(labels[shown], predicted[shown], strict=True)],
    title="Suspected labels, and what the networks read",
)
plt.show()

# %% [markdown]
# Look at them one by one: which would you relabel, and which are odd but right? The method proposes; only people can decide. Its
# threshold is high: an image must look to the networks like a *usual* image of another digit. Lower it, and every error becomes
# a suspect; the grid of the hardest images above is the top of that longer list.
#
# Elsewhere, people have decided. [Northcutt, Athalye and Mueller](https://arxiv.org/abs/2103.14749) let a similar search suggest wrong labels in the test
# sets of ten well-known collections, showed them to five people each, and had **15** of MNIST's 10,000 test labels rejected by a majority
# ([their site](https://labelerrors.com) shows them). That is 1.5 in a thousand. Which images they are is not marked here: in our dealing two fifths of all images are test images, whose labels stay
# sealed, so some six of the fifteen are to be expected there. Do not compare their rate with ours: theirs counts labels that people rejected, ours counts labels that a program suspects, in other images.
#
# What follows for a competition? Where one or two labels in a thousand are wrong, whoever reads every digit *rightly* disagrees with one or two
# labels in a thousand, and cannot score 100 %. Whoever scores above what the wrong labels allow has matched wrong labels, by learning them or by chance.
#
# ## What are the errors made of?
#
# "The handwriting is bad" is easily said. Which part of it can be measured? Five traits can, without knowing what the image
# shows: the number of separate *parts*, of closed *loops*, the *thickness* of the stroke, its *slant*, and the *proportion* of width to
# height. A trait is called unusual when a count differs from the most frequent one among correctly read images of the same label, or a measure lies
# outside their middle 95 %. All this goes by the label: where the label is wrong, a well-written digit comes out unusual.

# %%
right = np.setdiff1d(np.arange(len(labels)), wrong)
usual = np.random.default_rng(SEED).permutation(right)
n_usual = min(N_USUAL, len(usual) // 2)
usual, others = usual[:n_usual], usual[n_usual : 2 * n_usual]
usual_traits = measure_traits(images[usual])
unusual = {
    name: find_unusual(measure_traits(images[which]), labels[which], usual_traits, labels[usual])
    for name, which in (("read wrongly", wrong), ("read rightly", others))
}
shares = pd.DataFrame({name: table.mean() for name, table in unusual.items()})
shares.loc["any of them"] = [table.any(axis=1).mean() for table in unusual.values()]

# %% mystnb={"image": {"alt": "For each trait two dots with intervals: the share of wrongly and of rightly read images in which it is unusual."}}
ax = plt.subplots(figsize=(7.2, 3.8))[1]
for shift, (name, colour, sign) in zip(
    (-0.12, 0.12),
    (("read rightly", plots.BLUE, "o"), ("read wrongly", plots.RED, "s")),
    strict=True,
):
    n = len(unusual[name])
    bounds = np.array([interval_of_share(share, n) for share in shares[name]]).T
    away = np.abs(bounds - shares[name].to_numpy())
    ax.errorbar(
        100 * shares[name], np.arange(len(shares)) + shift, xerr=100 * away,
        fmt=sign, color=colour, capsize=3, label=f"{name} ({n:,})",
    )  # fmt: skip
ax.set(
    title="Unusual writing among wrongly and rightly read images",
    xlabel="Images in which the trait is unusual (%; bar: 95 % interval)",
    yticks=range(len(shares)), yticklabels=shares.index,
    ylim=(len(shares) - 0.5, -0.5), xlim=(0, None),
)  # fmt: skip
ax.legend()
plt.show()

# %%
times = shares["read wrongly"] / shares["read rightly"]
plain = ~unusual["read wrongly"].any(axis=1).to_numpy()
second_guess = np.argsort(-probabilities, axis=1)[:, 1]
second_right = second_guess[wrong] == labels[wrong]
is_suspect = np.isin(wrong, suspects)
kinds = pd.DataFrame(
    {
        "errors": {
            "label suspected": is_suspect.sum(),
            "not suspected, unusual in a trait": (~is_suspect & ~plain).sum(),
            "not suspected, usual in all five": (~is_suspect & plain).sum(),
        }
    }
)
kinds["share"] = [f"{share:.0%}" for share in kinds["errors"] / len(wrong)]
low_times, high_times = (
    np.exp(
        np.log(times)
        + sign
        * 1.96
        * np.sqrt(
            (1 / shares["read wrongly"] - 1) / len(wrong)
            + (1 / shares["read rightly"] - 1) / len(others)
        )
    )
    for sign in (-1, 1)
)
frequent = pd.DataFrame(
    {
        "times as frequent among errors": times.map("{:.1f}".format),
        "95 % interval": [
            f"{a:.1f} to {b:.1f}" for a, b in zip(low_times, high_times, strict=True)
        ],
    }
)
display(frequent, kinds)

# %% [markdown]
# The first table compares with a sample of the images read rightly. Take the second for what it is. An unusual trait need not be the reason for an error: many images with a missing loop are read
# well. And "usual in all five" does not mean easy: the traits do not see that a 7 has been crossed out, or that somebody began a 4 and made it a 9.
#
# ## What we found

# %%
top = both_ways.index[0]
report(
    f"- Read by networks that never saw them, **{len(wrong):,}** of {len(labels):,} images "
    f"come out other than their label says ({out_of_fold_accuracy:.2%} agree).\n"
    f"- The pair most often mixed up is {top[0]} and {top[1]}, in "
    f"{both_ways.iloc[0] / len(wrong):.0%} of all errors; of the labels, "
    f"{int(error.argmax())} has the largest share of misread images here "
    f"({error.max():.2%}; 95 % interval {low[error.argmax()]:.2%} to "
    f"{high[error.argmax()]:.2%}); neighbours in the figure may change places.\n"
    "- Where the first guess is wrong, the second is right in "
    f"**{second_right.mean():.0%}** of the cases.\n"
    f"- Confident learning suspects {len(suspects)} labels, "
    f"{1000 * len(suspects) / len(labels):.1f} in a thousand. Whether they are wrong is for "
    "people to say.\n"
    f"- {1 - plain.mean():.0%} of the errors are unusual in at least one of five measured "
    f"traits, against {shares.loc['any of them', 'read rightly']:.0%} of the images read "
    "rightly.",
    n_images=len(labels),
    n_folds=N_FOLDS,
    out_of_fold_accuracy=out_of_fold_accuracy,
    n_wrong=len(wrong),
    n_suspects=len(suspects),
    second_guess_right=float(second_right.mean()),
    unusual_among_errors=float(1 - plain.mean()),
    unusual_among_right=float(shares.loc["any of them", "read rightly"]),
)

# %% [markdown]
# ## Exercises
#
# **1.** Which images did the networks read rightly, but with the least confidence, that is with the smallest probability for their own answer?
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
# They look much like the errors: between "just right" and "just wrong" there is no gap.
#
# </details>
#
# **2.** Would a suspected label be suspected again by other networks? Run the folds with another seed and compare.
#
# <details>
# <summary>Solution</summary>
#
# Keep the suspects of this run (they count from the same order of images when `N_IMAGES` is 0):
#
# ```python
# np.save("suspects_first.npy", suspects)
# ```
#
# Then set `SEED = 100`, run the chapter once more from the top, and compare:
#
# ```python
# first = np.load("suspects_first.npy")
# print(len(first), len(suspects), len(np.intersect1d(first, suspects)))
# ```
#
# What only one run suspects owes it to the luck of one training. What both suspect is the better list to show to people.
#
# </details>
#
# **3.** A colleague proposes to drop all suspected images from the training data and reports a higher validation accuracy afterwards. What do you ask?
#
# <details>
# <summary>Solution</summary>
#
# Whether they were dropped from the *validation* images too. If they were, the score rises by itself, for the hardest images are gone. If not, ask
# for several seeds and a paired test: so few images in a thousand change little, and
# [Is it really better?](09_is_it_really_better.ipynb) shows how large a change chance alone makes.
#
# </details>
#
# ## What's next
#
# We know *where* the network fails. In [Looking inside](11_looking_inside.ipynb) we ask what it looks at, when it is right and
# when it is wrong.
