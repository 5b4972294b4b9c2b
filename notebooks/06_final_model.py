# %% [markdown]
# # The final model
#
# **How well does it all do together, on images nobody looked at?**

# %% [markdown]
# **You will learn**
#
# - to train on every labelled image when nothing is left to choose;
# - to save a network, load it back, and check that it is the same;
# - to average several networks over several views of an image, and to see where they disagree;
# - to write a submission file, and to report a test score that means what it says.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [Searching for better settings](05_hyperopt.ipynb): the settings, and why a score one has chosen by flatters |
# | Time | 15 minutes to read; the run takes two to six minutes on a laptop |

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
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.ticker import PercentFormatter

from digit_utils import plots
from digit_utils.artifacts import load_json
from digit_utils.augment import RandomAffine
from digit_utils.data import (
    BUNDLED_SOURCE,
    SealedLabelsUnavailable,
    load_digits,
    prepare_images,
    take_subset,
)
from digit_utils.ensemble import average_probabilities, predict_with_tta
from digit_utils.evaluate import score_sealed_test
from digit_utils.models import build_double_conv_cnn
from digit_utils.results import report
from digit_utils.shipped import load_final_model
from digit_utils.submission import write_submission
from digit_utils.training import LiveProgress, history_frame, set_seed, with_augmentation

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the training
N_TRAIN: int = 0  # labelled images to train on, at least 0; 0: all 42,000
EPOCHS: int = 5  # passes over the training images, at least 1
WIDTH: int = 16  # filters of the first block, at least 1; the post's network has 32
BATCH_SIZE: int = 128  # images a training step, at least 1
LEARNING_RATE: float = 0.002  # its highest value, after the warm-up
N_MEMBERS: int = 0  # networks of the shipped ensemble to use, at least 0; 0: all

# %% [markdown]
# ## The settings
#
# The search of the previous chapter left its best settings in the artifacts folder. If you have
# not run it here, the copy recorded with the book takes their place.

# %%
best, found_in = load_json(ARTIFACTS, "best_parameters", made_by="05_hyperopt")
settings = best["parameters"]
place = "the artifacts folder" if found_in == "artifacts" else "the copy recorded with the book"
print(f"settings from {place}")
print(f"origin: {best['origin']}")
for name in sorted(settings):
    print(f"  {name:12} {settings[name]}")

# %% [markdown]
# ## Every labelled image
#
# Until now a part of the labelled images was kept back, to choose on: when to stop, which network,
# which settings. Now every choice has been made: the settings above, the number of epochs, the
# learning rate. With nothing left to choose, images kept back would be
# wasted. So we train on all of them.
#
# Not every choice was *tested*. The number of epochs, the learning rate and its schedule
# were set by hand, and no chapter compares them with others. And the search ranked its
# settings with a narrower network, fewer images and few epochs; that they are also good for this
# longer training is an assumption.
#
# The price is that nothing tells us on the way how good the network is on images it has not
# seen. The sealed test labels will, once, at the end.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
print(f"labelled images {digits.images.shape}")
print(f"test images     {digits.test_images.shape}")

# %%
train_images, train_labels = take_subset(digits.images, digits.labels, N_TRAIN or None, seed=SEED)
x_train, x_test = prepare_images(train_images), prepare_images(digits.test_images)
print(f"training on {len(x_train):,} labelled images")

# %% [markdown]
# ## The network
#
# It is the deeper network of [chapter 4](04_augmentation.ipynb): three blocks of two
# convolutions and a pooling layer, then a dense layer. The search has filled in the dropout
# rates and the size of the dense layer.


# %%
def build_network():
    """Build the network with the settings of the search."""
    rates = [settings[f"dropout_{place}"] for place in (1, 2, 3, 4)]
    return build_double_conv_cnn(WIDTH, rates, settings["dense_units"])


# %% mystnb={"image": {"alt": "The network as a row of boxes from left to right: the input image, three blocks of two convolutions and a pooling layer whose maps get smaller and more, then the dense layer and the ten outputs. Dashed lines mark dropout."}}
plots.plot_architecture(build_network())
plt.show()

# %% [markdown]
# Each box is a layer's output. Its height shows the size of the maps, its width their number. From
# left to right the network trades *where* for *what*.
#
# ## A schedule fixed in advance
#
# A schedule that waits for the validation score to stall needs validation images. We have none
# left, and need none. The learning rate climbs from zero for the first twentieth of the steps, a
# **warm-up** that keeps the first, wild gradients from doing harm. Then it follows half a
# **cosine** down to zero: large steps while there is far to go, small ones to settle.

# %% mystnb={"image": {"alt": "Line chart of the learning rate against the training step: a short straight climb from zero, then a smooth fall back to zero."}}
steps = EPOCHS * -(-len(x_train) // BATCH_SIZE)  # rounded up: the last batch may be smaller
warmup_steps = max(1, steps // 20)
schedule = keras.optimizers.schedules.CosineDecay(
    initial_learning_rate=0.0,
    warmup_target=LEARNING_RATE,
    warmup_steps=warmup_steps,
    decay_steps=max(1, steps - warmup_steps),
)

at = np.unique(np.linspace(0, steps, 200).astype(int))
figure, ax = plt.subplots(figsize=(7.2, 3.2))
ax.plot(at, [float(schedule(step)) for step in at])
ax.set(title="Warm-up, then a cosine", xlabel="Training step", ylabel="Learning rate")
plt.show()

# %% [markdown]
# ## Training to the end
#
# The post's printed log of its final training breaks off in epoch 3 of 30, after a validation
# accuracy of 0.9846 ([source](https://github.com/naingthet/mnist)). Its text gives 99.5 % for
# validation and for Kaggle's test, and a place in the top 12 %; the printed log does not show how
# the first was measured. Ours runs through all its epochs, fewer than the post's to save time.

# %%
set_seed(SEED)
network = build_network()
trainer = with_augmentation(network, RandomAffine(seed=SEED))
optimizer = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
trainer.compile(
    optimizer[settings["optimizer"]](schedule),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
history = trainer.fit(
    x_train,
    train_labels,
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    callbacks=[LiveProgress("Training")],
    verbose=0,
)

# %% mystnb={"image": {"alt": "Two line charts of the network's training: accuracy and loss on the augmented training images against the epoch."}}
plots.plot_history(history_frame(history), "Training on every labelled image")
plt.show()

# %% [markdown]
# There is no validation line. The line for accuracy runs lower than the network deserves, and that for the
# loss higher: while it trains, the images are turned and shifted and part of the network is dropped. It shows that
# training went without trouble, not how good the network is.
#
# ## Saved and loaded
#
# The post saved its network in the old `.h5` format. Keras now recommends `.keras`, one file with
# the layers and the weights. Augmentation is not in it: it belongs to training. A saved network is
# only worth something if it loads and gives the same answers, so we try.

# %%
folder = Path(ARTIFACTS).expanduser()
folder.mkdir(parents=True, exist_ok=True)
path = folder / "trained_here.keras"
network.save(path)
loaded = keras.models.load_model(path)
before = network.predict(x_test[:1000], batch_size=1000, verbose=0)
after = loaded.predict(x_test[:1000], batch_size=1000, verbose=0)
if not np.allclose(before, after, atol=1e-6):
    raise RuntimeError(f"{path} does not predict what the trained network does; save it again")
print(f"{path.name}, {path.stat().st_size / 1e6:.1f} MB: gives the same answers once loaded")

# %% [markdown]
# ## Networks trained beforehand
#
# How much better does it get for those who can wait? From here on a second kind of network enters, which owes nothing to the search of chapter 5.
# We show both, and the test decides. With the book come networks that were
# trained for longer than a chapter may take. They are *lean*: fewer filters, smaller maps. The [next
# chapter](07_how_fast_can_it_learn.ipynb) builds one and shows why it learns so much faster. The networks that come with the book have learned from all
# labelled images too, each from a seed of its own: other first weights, another order of the images, other random
# changes to them. Their batch normalisation, which the next chapter explains, has been folded into the convolutions, which changes no answer. One call loads them.

# %%
members, made = load_final_model()
members = members[: N_MEMBERS or None]
number = f"{len(members)} network{'s' if len(members) > 1 else ''}"
display(
    Markdown(
        f"{number}, {members[0].count_params():,} weights each, trained for "
        f"{made['recipe']['epochs']} epochs; {np.mean(made['seconds']) / 60:.0f} minutes a network "
        f"on {made['provenance']['machine'].split(', ')[-1]}, {made['provenance']['date']}. The "
        "weights are stored in 16 bits instead of 32, and it is the rounded ones that we score."
    )
)

# %% [markdown]
# ## An ensemble of networks
#
# Each network gives ten probabilities to each test image. The **ensemble** averages them, and its
# answer is the digit with the highest mean. Where one network is wrong by chance, the others may not make the
# same mistake and can pull the mean to the right digit. On images that are hard for every network
# this does not help.
#
# The same can be done with *images*. A network that has learned from moved digits should say the same of a
# digit one pixel further left. Where it does not, it was unsure. So we ask each network five times:
# about the image as it is, and moved by one pixel to the left, to the right, up and down. That is
# **test-time augmentation**. It costs five times the time, and no training.
#
# Does it help? And was the recipe of these networks a good choice? Both were settled on labelled images that were kept
# back: one fifth of them, a **fold**. Each candidate learned from the other four fifths, and its mistakes were counted on that fold, without
# and with test-time augmentation. *Slant* means that the augmentation also
# shears the digits, so that they lean to one side; *width* is the number of filters in the first layer, 16 unless it says otherwise. The
# *cross-entropy* (smaller is better) says more than the count, because it looks at the probabilities of every image. A network that is merely too
# sure or too shy throughout should not be marked down for it; so each was first given the one common factor for its outputs that
# makes its cross-entropy smallest.

# %%
candidates = pd.DataFrame(made["selection"]).drop(columns="seconds")
candidates = candidates.rename(
    columns={"mistakes with moved copies": "mistakes with test-time augmentation"}
)
print(f"chosen: {made['chosen']}")
candidates = candidates.set_index("candidate")
candidates.round(4)

# %%
counts = candidates[["mistakes", "mistakes with test-time augmentation", "cross-entropy"]]
n_first = int((counts.loc[made["chosen"]] == counts.min()).sum())
n_saved = int((candidates["mistakes with test-time augmentation"] < candidates["mistakes"]).sum())
display(
    Markdown(
        f"The chosen one is first in {n_first} of the {len(counts.columns)} columns. "
        f"Test-time augmentation saves mistakes in {n_saved} of {len(candidates)} rows."
    )
)

# %% [markdown]
# One fold and one training each are a thin basis, and neighbours in the table
# are within chance of one another. The networks
# that come with the book were then trained anew, on all labelled images.
#
# We had hoped for more. Higher figures are published: [Deotte's](https://github.com/cdeotte/MNIST-CNN-99.75) single network is wrong on fewer than four
# test images in a thousand, on average over many trainings. Some fifty quick trials on labelled images found nothing that clearly helps: another
# optimizer, more filters, full resolution, dropout, elastic distortion, longer training. Then we trained Deotte's recipe for its 45 epochs on the
# same images as those trials, and it made about as many mistakes as they did. So the difference seems to lie less in the recipe than in the images: his
# figure is for MNIST's own division, with 60,000 to learn from and another 10,000 to be tested on; ours is
# for one in the proportions of Kaggle's competition, with 42,000 to learn from. All trials are in `results/final_model_exploration.json`.

# %%
alone_predicted = network.predict(x_test, batch_size=1000, verbose=0).argmax(axis=1)
# One lean network as it is, to see what the ensemble and test-time augmentation add.
lean_predicted = members[0].predict(x_test, batch_size=1000, verbose=0).argmax(axis=1)

# %%
views = [predict_with_tta(member, x_test) for member in members]
mean_probabilities = average_probabilities(views)
predicted = mean_probabilities.argmax(axis=1)

# %%
answers = np.stack([view.argmax(axis=1) for view in views])
disagree = (answers != answers[0]).any(axis=0)
changed = predicted != alone_predicted
display(
    Markdown(
        f"The {number} of the ensemble give the same answer to **{(~disagree).sum():,}** of "
        f"{len(predicted):,} test images and disagree on {disagree.sum():,}. The ensemble's answer "
        f"differs from that of the network we trained here on {changed.sum():,}."
    )
)

# %% [markdown]
# No label was needed for that. Disagreement is a hint where to look when there are no labels. So is a low
# probability for the winning digit. These are the test images where it is lowest, with the two
# digits the ensemble wavers between. (These networks were trained to be a little less sure than they could be, so do not
# take the percentages at their word.) What would you say?

# %% mystnb={"image": {"alt": "Gallery of the sixteen test digits the ensemble is least sure of, each with its two most probable digits and their probabilities."}}
least_sure = np.argsort(mean_probabilities.max(axis=1), kind="stable")[:16]
captions = []
for row in mean_probabilities[least_sure]:
    second, first = np.argsort(row)[-2:]
    captions.append(f"{first} ({row[first]:.0%})\nor {second} ({row[second]:.0%})")
plots.show_images(
    digits.test_images[least_sure], captions, columns=8, title="Where the ensemble wavers"
)
plt.show()

# %% [markdown]
# ## The submission
#
# Kaggle takes a file with two columns: `ImageId`, counted from 1, and `Label`. Before it writes,
# the helper checks that there is one digit from 0 to 9 for every test image, and afterwards that
# the file reads back the same.
#
# Whose answers go into it? The ensemble's, if the images came with the book. With Kaggle's own files it
# must not be used: Kaggle dealt the same 70,000 images in another order, so about three fifths of its
# *test* images are among those the ensemble has *learned* from. Its score there would be high and mean nothing.
# The network trained here has seen only the labelled images it was given, so it is the one to enter.

# %% tags=["nbval-check-output"]
may_use_ensemble = digits.source == BUNDLED_SOURCE
path = folder / "submission.csv"
write_submission(
    path,
    predicted if may_use_ensemble else alone_predicted,
    n_expected=len(digits.test_images),
)
print("answers of", "the ensemble" if may_use_ensemble else "the network trained here")
submission = pd.read_csv(path)
print(f"{len(submission):,} rows, columns {list(submission.columns)}")
print(f"ImageId from {submission['ImageId'].iloc[0]} to {submission['ImageId'].iloc[-1]:,}")

# %%
submission.head()

# %% [markdown]
# A file made from the book's own images is of no use at Kaggle: in its order of the images this very file would
# score about 10 %. To enter the competition, load Kaggle's own files with `DATA` and run the chapter again.
#
# ## Opening the seal
#
# No chapter has looked at the test labels so far, and nothing below this line changes the
# networks. We say beforehand what is scored: the network trained here, one lean network as it is, and the
# ensemble with test-time augmentation. Nothing else, and once in a run. Were we to change something after seeing the result, the test
# images would become validation images, and their score would flatter like any other.
#
# It is not the first time that these labels have been opened. An earlier edition of this chapter scored three other networks on
# them (the score is kept in the git history of `results/06_final_model.json`), and this ensemble took their place. Its
# recipe was chosen on labelled images alone, and after its training the seal was opened in one run, for answers named
# beforehand; all of them are kept in `results/final_model.json`.

# %%
try:
    single = score_sealed_test(digits, alone_predicted)
    lean = score_sealed_test(digits, lean_predicted)
    ensemble = score_sealed_test(digits, predicted, versus=alone_predicted)
except SealedLabelsUnavailable as unavailable:
    single = lean = ensemble = None
    text = f"**No score here**: {unavailable}. The file is {path.name} in the artifacts folder."
else:
    text = (
        f"The network trained here: **{single.accuracy:.2%}** (95 % interval {single.low:.2%} to "
        f"{single.high:.2%}). One lean network: **{lean.accuracy:.2%}** ({lean.low:.2%} to "
        f"{lean.high:.2%}). The ensemble: **{ensemble.accuracy:.2%}** "
        f"({ensemble.low:.2%} to {ensemble.high:.2%})."
    )
display(Markdown(text))

# %% mystnb={"image": {"alt": "Accuracy of the network trained here, of one lean network and of the ensemble on the sealed test images, each with its 95 percent interval; a dotted line marks the 99.5 percent the post quotes."}}
if ensemble is not None:
    rows = {
        "trained here": single,
        "one lean network": lean,
        f"ensemble ({len(members)})": ensemble,
    }
    table = pd.DataFrame(
        {name: (score.accuracy, score.low, score.high) for name, score in rows.items()},
        index=["accuracy", "low", "high"],
    ).T
    ax = plots.plot_accuracies(table, title="On the sealed test images")
    ax.axvline(0.995, color=plots.RED, linestyle=":", linewidth=2, label="quoted by the post")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=2))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), frameon=False)
    plt.show()

# %% [markdown]
# ## What the interval means, and what it does not
#
# The 28,000 test images are a sample. With another 28,000 of the same kind the accuracy would come
# out a little differently; the interval says within what range. It does not cover another
# training run, nor other people's handwriting: the same writers are found among the training
# and the test images.
#
# The intervals are no way to compare the network trained here with the ensemble. Both sat the same
# test, and most images are easy for both. The paired test of [chapter 4](04_augmentation.ipynb)
# looks only at the images that exactly one of them got right. It compares two whole recipes: how much is owed to the lean
# network, to its longer training, to the ensemble and to test-time augmentation, this test cannot say.


# %%
def in_words(p_value):
    """Write a p-value."""
    return f"p = {p_value:.2g}" if p_value >= 1e-4 else "p < 0.0001"


if ensemble is not None:
    paired = ensemble.paired
    display(
        Markdown(
            f"Only the ensemble is right on {paired.only_a} images, only the network "
            f"trained here on {paired.only_b}: **{in_words(paired.p_value)}**, the "
            "probability of a split at least this uneven if each were as likely as the "
            "other."
        )
    )

# %% [markdown]
# ## What we found


# %%
def compare_with_post(score, post=0.995):
    """Say where the accuracy the post quotes lies."""
    if score.low > post:
        return "below our interval"
    if score.high < post:
        return "above our interval"
    return "inside our interval"


def compare_members(paired):
    """Put the paired test into words."""
    if paired.p_value >= 0.05:
        return (
            "The test images show no difference between the ensemble and the network trained here"
        )
    which = "better" if paired.only_a > paired.only_b else "worse"
    return f"The ensemble is {which} than the network trained here"


# %%
if ensemble is None:
    finding = (
        f"- The network trained here has answered all {len(predicted):,} test images. "
        "Only Kaggle knows the labels: submit the file to learn the score."
    )
    sealed = {}
else:
    finding = (
        f"- On {ensemble.n:,} sealed test images the ensemble of {number} gets "
        f"**{ensemble.accuracy:.2%}** right (95 % interval {ensemble.low:.2%} to "
        f"{ensemble.high:.2%}), one lean network alone {lean.accuracy:.2%}, the network "
        f"trained here {single.accuracy:.2%} ({single.low:.2%} to {single.high:.2%}).\n"
        f"- {compare_members(ensemble.paired)} (paired test, "
        f"{in_words(ensemble.paired.p_value)}).\n"
        "- The post quotes 99.5 % on Kaggle's test images, for one network. That lies "
        f"{compare_with_post(lean)} for one lean network."
    )
    sealed = {
        "sealed_accuracy": ensemble.accuracy,
        "sealed_low": ensemble.low,
        "sealed_high": ensemble.high,
        "single_accuracy": single.accuracy,
        "lean_accuracy": lean.accuracy,
        "single_low": single.low,
        "single_high": single.high,
        "paired_p_value": ensemble.paired.p_value,
        "only_ensemble_right": ensemble.paired.only_a,
        "only_single_right": ensemble.paired.only_b,
    }
report(
    f"{finding}\n"
    "- The settings of the search went into the network trained here alone. The networks of "
    f"the ensemble disagree with one another on {disagree.sum():,} test images. The network "
    f"trained here had {EPOCHS} epochs, on {len(x_train):,} images.",
    sealed_available=ensemble is not None,
    n_disagree=int(disagree.sum()),
    n_changed=int(changed.sum()),
    n_train=len(x_train),
    n_members=len(members),
    n_weights=network.count_params(),
    n_weights_member=members[0].count_params(),
    settings_found_in=found_in,
    **sealed,
)

# %% [markdown]
# The post's figure is the accuracy of one network, rounded to a tenth of a percent, on Kaggle's deal
# of the same 70,000 images ([source](https://github.com/naingthet/mnist)). Ours is another
# deal, and the post's figure has an uncertainty of its own, at least about as wide as ours: wider if Kaggle scored only
# a part of the images, which the post does not say. So do not read *above* or *below* as a test between the two.
#
# ## Exercises
#
# **1.** Would fewer networks have done? Without looking at labels, count how often the answer of
# the first few differs from that of all.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for size in range(1, len(views) + 1):
#     together = average_probabilities(views[:size]).argmax(axis=1)
#     print(f"the first {size}: {np.sum(together != predicted)} answers differ from the whole ensemble's")
# ```
#
# Every further network changes fewer answers. Whether the changes are for the better only labels
# can tell, and we have promised not to look again.
#
# </details>
#
# **2.** How many test images would it take to tell a network with five mistakes in a thousand from
# one with four? Find out how wide the interval is.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# from digit_utils.evaluate import accuracy_interval
#
# for n in (1_000, 8_400, 28_000, 100_000):
#     labels = np.zeros(n, dtype=int)
#     guesses = (np.arange(n) < round(0.005 * n)).astype(int)  # 0.5 % wrong
#     low, high = accuracy_interval(labels, guesses)
#     print(f"{n:>7,} images: {low:.2%} to {high:.2%}")
# ```
#
# At 28,000 images the upper end comes close to four mistakes in a thousand. To keep the intervals of
# both apart takes between two and three times as many. A paired test on the same images can do with fewer.
#
# </details>
#
# **3.** What does test-time augmentation change? Compare the answers to the first five thousand test images with and
# without them, for one network and for all.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# few = x_test[:5000]
# plain = [member.predict(few, batch_size=1000, verbose=0) for member in members]
# one = np.sum(plain[0].argmax(axis=1) != views[0][:5000].argmax(axis=1))
# together = average_probabilities(plain).argmax(axis=1)
# print(f"one network: {one} answers change, all: {np.sum(together != predicted[:5000])}")
# ```
#
# The ensemble is steadier than one network, so the copies have less to mend. Whether they help or harm takes labels. For
# single networks the table of candidates above has the answer. For the ensemble, `results/final_model.json` has the
# scores on the sealed images with and without copies, and they are as good as equal.
#
# </details>
#
# ## What's next
#
# That is the whole way: from pixels, over one network, to a tested ensemble. [How fast can it
# learn?](07_how_fast_can_it_learn.ipynb) builds the lean network and takes its recipe apart. Or put your own network
# into `build_network`: choose on validation images, and the sealed labels will tell you the truth once.
