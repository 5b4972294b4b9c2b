# %% [markdown]
# # More data from the same data
#
# **What do augmentation, depth, dropout and a learning-rate schedule each buy?**

# %% [markdown]
# **You will learn**
#
# - to make new training images out of old ones, and how far to change them;
# - why two small convolutions replace a large one, and what dropout does;
# - what a learning-rate schedule does;
# - to change one thing at a time, and to say what each change is worth.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [A first convolutional network](03_base_cnn.ipynb): convolution, pooling, early stopping, overfitting, the ladder |
# | Time | 25 minutes to read; the run takes three to five minutes on a laptop |

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
from math import ceil

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from keras import layers
from matplotlib.ticker import PercentFormatter
from scipy import ndimage

from digit_utils import plots
from digit_utils.augment import RandomAffine
from digit_utils.comparing import contingency_table, mcnemar_p_value
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy
from digit_utils.optimizers import OneCycle
from digit_utils.results import report
from digit_utils.training import LiveProgress, history_frame, set_seed
from digit_utils.trainings import load_trainings, mistakes_saved, read_correctly

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
SEED: int = 0  # of the weights, the order of the images and the augmentation, at least 0
SPLIT_SEED: int = 0  # of the division into training and validation images, at least 0
N_TRAIN: int = 0  # training images to use, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images to use, at least 0; 0: all 8,400
NETWORK: str = "double_conv"  # "dense", "base" or "double_conv"
WIDTH: int = 32  # filters of the first block, at least 1
AUGMENT: int = 1  # 1 trains on augmented images, 0 on plain ones
DROPOUT: float = 0.3  # share of the values dropped after each block, at least 0; 0 for none
SCHEDULE: str = "one_cycle"  # of the learning rate: "constant", "plateau", "one_cycle" or "post"
LEARNING_RATE: float = 0.001  # largest step size of RMSprop
PLATEAU_PATIENCE: int = 2  # epochs without improvement before "plateau" cuts the rate, at least 0
BATCH_SIZE: int = 128  # images per training step, at least 1
EPOCHS: int = 3  # passes over the training images, at least 1; the recorded trainings have 15

# %% [markdown]
# The base network of the last chapter knows its training images better than the validation images, and
# it stumbles over digits that have moved by two pixels. This chapter has four remedies: moved images to
# learn from, a second convolution in each block, dropout, and a learning rate that falls. We look at
# each, you train a network with all four, and then the record shows what each is worth.
#
# The data are those of the last two chapters: scaled, and split into training and validation
# images.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SPLIT_SEED
)
train_images, train_labels = take_subset(
    train_images, train_labels, N_TRAIN or None, seed=SPLIT_SEED
)
validation_images, validation_labels = take_subset(
    validation_images, validation_labels, N_VALIDATION or None, seed=SPLIT_SEED
)

x_train, x_validation = prepare_images(train_images), prepare_images(validation_images)
print(f"training   {x_train.shape}")
print(f"validation {x_validation.shape}")

# %% [markdown]
# ## A digit, moved a little
#
# Tilt a 4 by a few degrees and it is still a 4. You know that. The network does not, because all it
# knows is its training images. So show it: before every training step, turn, stretch and shift each
# image a little, at random, and keep its label. This is **data augmentation**, and Keras has a layer
# for each of these changes. Here are the ranges of the original post: up to 10 degrees either way, a
# zoom of up to 10 % in height and in width, shifts of up to a tenth of the image.

# %% mystnb={"image": {"alt": "One training digit followed by thirteen variants of it, each slightly turned, stretched and shifted."}}
keras_layers = keras.Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.RandomRotation(10 / 360, fill_mode="constant", seed=SEED),
        layers.RandomZoom(0.1, 0.1, fill_mode="constant", seed=SEED),
        layers.RandomTranslation(0.1, 0.1, fill_mode="constant", seed=SEED),
    ]
)
one_digit = x_train[:1]
variants = np.array(keras_layers(np.repeat(one_digit, 13, axis=0), training=True))
plots.show_images(
    np.concatenate([one_digit, variants]),
    ["original"] + [""] * 13,
    columns=7,
    title="One digit, and thirteen ways it might have been written",
)
plt.show()


# %% [markdown]
# An image looks different each time it comes up, so the network never sees the same image twice and
# cannot learn it by heart. An epoch still has as many images as before, and when the network
# predicts, these layers do nothing.
#
# They have one flaw. Each of the three computes every pixel anew from its neighbours, so strokes are
# blurred three times. `RandomAffine`, the book's own layer, draws the same three changes, combines
# them into one, and computes each pixel once. The table shows how much full black is left.

# %%
thousand = x_train[:1000]
affine = RandomAffine(rotation=10, zoom=0.1, shift=0.1, seed=SEED)
versions = {
    "original": thousand,
    "three layers of Keras": np.array(keras_layers(thousand, training=True)),
    "RandomAffine": np.array(affine(thousand, training=True)),
}
black = pd.Series({name: (images > 0.95).mean() for name, images in versions.items()})
black.map("{:.1%}".format).to_frame("pixels over 95 % black")

# %% [markdown]
# Of the original images nn.n %<!--= 04.ladder.black.original .1% --> of the pixels are
# black, after Keras's three layers nn.n %<!--= 04.ladder.black.keras .1% -->, after one
# resampling nn.n %<!--= 04.ladder.black.once .1% -->. The book's networks train with
# `RandomAffine`; the Keras layers would do as well for a start.
#
# ## How far?
#
# Augmentation rests on a claim: *this change does not alter the label*. To choose its strength, look
# for the place where the claim breaks. Here a typical 6 is turned and shifted further and further.

# %% mystnb={"image": {"alt": "Two rows of the same handwritten 6. In the upper row it is turned from 0 to 180 degrees, until it reads as a 9; in the lower row it is shifted sideways until it leaves the frame."}} tags=["hide-input"]
# @title A typical 6, turned and shifted
sixes = train_images[train_labels == 6] / 255
six = sixes[np.argmin(((sixes - sixes.mean(axis=0)) ** 2).sum(axis=(1, 2)))]  # a typical one
angles, moves = [0, 10, 45, 90, 180], [0, 0.1, 0.25, 0.4, 0.6]
turned = [ndimage.rotate(six, angle, reshape=False, order=1) for angle in angles]
moved = [ndimage.shift(six, (0, 28 * move), order=1) for move in moves]

axes = plots.show_images(
    np.array(turned + moved),
    [f"turned {angle}°" for angle in angles] + [f"shifted {move:.0%}" for move in moves],
    columns=5,
    title="How far can you change a 6 before it stops being a 6?",
)
for ax in axes.flat:
    ax.set(frame_on=True, xticks=[], yticks=[])
    ax.set_axis_on()
    ax.spines[:].set(visible=True, color=plots.GREY)
plt.show()

# %% [markdown]
# At 10 degrees you notice nothing. At 45 you hesitate, and upside down the 6 is a 9: a network trained
# on images turned that far learns that some nines are sixes. Shifted by 40 % there is little left to learn from.
# A mirrored digit, a usual choice for photographs of cats, is a sign that nobody writes. Hence a rule
# that you can use tomorrow: **turn, stretch and shift as far as you yourself can still read the
# digit, and no further.**
#
# ## Two small convolutions for one large
#
# The post's second network puts two 3 × 3 convolutions before each pooling, where the first had one.
# A value behind two of them depends on 5 × 5 pixels. One 5 × 5 convolution sees as much, but has 25
# weights per pair of channels where the two have 18. And between the two there is one more ReLU, which
# lets them tell finer shapes apart.
#
# ## Dropout
#
# A network with 800,000 weights can learn 33,600 images by heart. **Dropout** makes that harder. In
# every training step it sets a random 30 % of the values that pass through it to zero (and scales up
# the rest to compensate). No neuron can rely on one particular other, so each has to compute
# something that is useful by itself. When the network predicts, all values pass.
#
# One function builds all the networks we compare: the dense network and the base network of the last
# chapter, and the deeper one, each with dropout or without.


# %% tags=["nbval-check-output"]
def build_network(kind, width, dropout):
    if kind not in ("dense", "base", "double_conv"):
        raise ValueError(f"NETWORK is {kind!r}; expected 'dense', 'base' or 'double_conv'")
    network = keras.Sequential([layers.Input((28, 28, 1))], name=kind)
    if kind == "dense":
        network.add(layers.Flatten())
        for _ in range(2):
            network.add(layers.Dense(15 * width + 4, activation="relu"))
            network.add(layers.Dropout(dropout))
    else:
        for block in range(3):
            for _ in range(2 if kind == "double_conv" else 1):
                filters = width * 2**block
                network.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            network.add(layers.MaxPooling2D(padding="same"))
            network.add(layers.Dropout(dropout))
        network.add(layers.Flatten())
        network.add(layers.Dense(256, activation="relu"))
        network.add(layers.Dropout(dropout))
    network.add(layers.Dense(10, activation="softmax"))
    return network


for kind in ("dense", "base", "double_conv"):
    print(f"{kind:12} {build_network(kind, 32, 0).count_params():>8,} weights")

# %% [markdown]
# ## Smaller steps at the end
#
# Look at the post's log of this network. In epoch 17 it reads 0.9946<!--= given --> of the validation
# images, in epoch 20 it reads 0.9917<!--= given -->. Near the best weights, the optimizer's steps are
# too large and overshoot. A **learning-rate schedule** makes them smaller as the
# training goes on.
#
# - `ReduceLROnPlateau`, the post's choice, divides the rate by ten whenever the validation accuracy has
#   not risen for some epochs. It reacts to what happens, but looks at the validation images to do so.
# - A **one-cycle** schedule is fixed in advance: the rate rises for a quarter of the training, then
#   falls in a straight line to zero. It needs to know how long the training will be.
#
# The post trained in two parts. In the first, early stopping waited ten epochs for the validation loss
# to fall by 0.001 and brought back the best weights; the second continued from there with
# `ReduceLROnPlateau`. `SCHEDULE = "post"` does the same.

# %%
steps = EPOCHS * ceil(len(x_train) / BATCH_SIZE)
one_cycle = OneCycle(LEARNING_RATE, steps, warmup=0.25)
plateau = keras.callbacks.ReduceLROnPlateau(
    monitor="val_accuracy", factor=0.1, patience=PLATEAU_PATIENCE
)
early_stopping = keras.callbacks.EarlyStopping(
    monitor="val_loss", min_delta=0.001, patience=10, restore_best_weights=True
)
# A schedule: the rate to start with, and the callbacks of each part of the training.
schedules = {
    "constant": (LEARNING_RATE, [[]]),
    "one_cycle": (one_cycle, [[]]),
    "plateau": (LEARNING_RATE, [[plateau]]),
    "post": (LEARNING_RATE, [[early_stopping], [plateau]]),
}

# %% [markdown]
# ## Your run
#
# You train one network, the one that the parameters at the top describe: two convolutions per block,
# augmentation, dropout and the one-cycle schedule. While it trains, the augmenter stands in front of
# the network; to predict, we use the network alone. The rest is as in the post: cross-entropy, batches
# of 128, and **RMSprop**, an optimizer that like Adam scales each weight's steps by how large its
# gradients have lately been.

# %%
set_seed(SEED)
network = build_network(NETWORK, WIDTH, DROPOUT)
augmenter = [RandomAffine(rotation=10, zoom=0.1, shift=0.1, seed=SEED)] if AUGMENT else []
trainer = keras.Sequential([layers.Input((28, 28, 1)), *augmenter, network])
rate, parts = schedules[SCHEDULE]
trainer.compile(
    optimizer=keras.optimizers.RMSprop(rate),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
histories = []
for callbacks in parts:
    history = trainer.fit(
        x_train,
        train_labels,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(x_validation, validation_labels),
        validation_batch_size=512,
        callbacks=[*callbacks, LiveProgress("Your run")],
        verbose=0,
    )
    histories.append(history_frame(history))
curves = pd.concat(histories, ignore_index=True)
curves.index += 1  # epochs, counted from 1

# %% mystnb={"image": {"alt": "Two line charts of the training: accuracy and loss against the epoch, one line for training and one for validation images."}} tags=["hide-input"]
# @title Accuracy and loss by epoch
plots.plot_history(curves, "Your run")
plt.show()

# %% [markdown]
# In the last chapter the training curve ran ahead of the validation curve. Here it lies below it, and
# nothing is wrong: training is scored on moved images with 30 % of the values dropped, validation on
# plain images with the whole network. To compare the two, score the finished network on the *plain*
# training images. And while we are at it, score it on validation images moved two pixels to the right.


# %%
def predict(images):
    return network.predict(images, batch_size=512, verbose=0).argmax(axis=1)


predicted = predict(x_validation)
by_heart = accuracy(train_labels, predict(x_train))
when_shifted = accuracy(validation_labels, predict(np.roll(x_validation, 2, axis=2)))
pd.Series(
    {
        "weights": f"{network.count_params():,}",
        "training images": f"{by_heart:.2%}",
        "validation images": f"{accuracy(validation_labels, predicted):.2%}",
        "shifted by two pixels": f"{when_shifted:.2%}",
        "mistakes": f"{np.sum(predicted != validation_labels)} of {len(predicted):,}",
    },
    name="your run",
).to_frame()

# %% [markdown]
# The shifted digits are no trouble any more. The base network of the last chapter read
# nn.n %<!--= 03.base_shifted_accuracy .1% --> of them; this one, which has met shifts in its
# training, reads nn.n %<!--= 04.shifted_accuracy .1% -->.
#
# ## The ladder
#
# Is the network better on plain digits, too? Three epochs do not settle that, and after three epochs it
# may well be behind the base network. We have trained every network at full size and kept the record: 33,600 training images, 32 filters in
# the first block, fifteen epochs with the one-cycle schedule, five seeds each. Each of these trainings
# is this chapter with other parameters, and `digits sweep sweeps/ladder.yaml` makes them all again.
# Every row of the table adds one thing to the row above.

# %%
trainings = load_trainings("ladder", by=["NETWORK", "AUGMENT", "DROPOUT", "SCHEDULE"])
n_recorded = sum(map(len, trainings.values()))
print(f"{n_recorded} of 45 trainings are recorded")
rungs = {
    "dense network": ("dense", 0, 0.0, "one_cycle"),
    "base network": ("base", 0, 0.0, "one_cycle"),
    "+ augmentation": ("base", 1, 0.0, "one_cycle"),
    "+ second convolution": ("double_conv", 1, 0.0, "one_cycle"),
    "+ dropout": ("double_conv", 1, 0.3, "one_cycle"),
}
climbed = {name: trainings[rung] for name, rung in rungs.items() if rung in trainings}
shown = {
    "n_weights": "{:,.0f}", "training_accuracy": "{:.2%}", "validation_accuracy": "{:.2%}",
    "n_mistakes": "{:.1f}",
}  # fmt: skip
means = {name: runs[[*shown]].mean() for name, runs in climbed.items()}
ladder = pd.DataFrame(means, index=[*shown]).T
ladder.style.format(shown)

# %% mystnb={"image": {"alt": "Mistakes on the 8,400 validation images, one row per rung of the ladder: a dot for the mean over the seeds and a tick for each training."}} tags=["hide-input"]
# @title The ladder so far
mistakes = {name: runs["n_mistakes"] for name, runs in climbed.items()}
plots.plot_ladder(mistakes, title="Each row adds one thing")
plt.show()

# %% [markdown]
# From the base network to the top, the mistakes go from
# nn.n<!--= 04.ladder.mistakes.base_network .1f --> to
# nn.n<!--= 04.ladder.mistakes.dropout .1f --> of 8,400. Look at the training accuracy,
# too: without augmentation the base network reads
# nn.nn %<!--= 04.ladder.by_heart.base_network .2% --> of its training images, with it
# nn.nn %<!--= 04.ladder.by_heart.augmentation .2% -->. With moved images it learns
# less by heart.
#
# ## Is it the augmentation, or luck?
#
# Take one pair first: the base network without and with augmentation, both trained with seed 0. Most
# images both get right, some both get wrong, and neither kind says anything about the difference. What
# counts are the images that only one of them gets right.

# %%
pair = [rungs[name] for name in ("+ augmentation", "base network")]
correct = [read_correctly(trainings[rung])[0] for rung in pair if rung in trainings]
counts = contingency_table(*correct) if len(correct) == 2 else None
pd.DataFrame(
    counts,
    index=pd.Index(["right", "wrong"], name="with augmentation"),
    columns=pd.Index(["right", "wrong"], name="without"),
)

# %% [markdown]
# If the two networks were equally good, each of these images would be a toss of a coin. The
# augmented network wins nn<!--= 04.ladder.pair.only_new d --> and loses
# nn<!--= 04.ladder.pair.only_old d -->. A fair coin falls that unevenly, or more so, with
# a probability of n.nnn<!--= 04.ladder.pair.p_value .3f -->, the **p-value**. This is
# **McNemar's test**.
#
# But that is one pair, and another seed would have given another. With five trainings of each there
# are two kinds of luck to allow for: other seeds give other networks, and other images would have
# given other mistakes. The intervals in the next table take in both. Its left half follows the
# ladder, step by step. Its right half takes each part *away* from the network at the top, so that the
# order of the steps does not decide what a part is worth.

# %%
top = rungs["+ dropout"]
added = {
    "convolution": (rungs["base network"], rungs["dense network"]),
    "augmentation": (rungs["+ augmentation"], rungs["base network"]),
    "second convolution": (rungs["+ second convolution"], rungs["+ augmentation"]),
    "dropout": (top, rungs["+ second convolution"]),
}
added_last = {
    "augmentation": (top, ("double_conv", 0, 0.3, "one_cycle")),
    "second convolution": (top, ("base", 1, 0.3, "one_cycle")),
    "dropout": (top, ("double_conv", 1, 0.0, "one_cycle")),
}
added, added_last = mistakes_saved(trainings, added), mistakes_saved(trainings, added_last)
worth = pd.concat({"mistakes saved, in this order": added, "when added last": added_last}, axis=1)
worth.style.format("{:+.1f}", na_rep="")

# %% [markdown]
# **Augmentation** saves nn.n<!--= 04.ladder.added.augmentation.saved .1f --> mistakes (95 %
# interval nn.n<!--= 04.ladder.added.augmentation.low .1f --> to
# nn.n<!--= 04.ladder.added.augmentation.high .1f -->): it helps. It does not help at once.
# After three epochs the augmented base network reads
# nn.nn %<!--= 04.ladder.after_three.augmentation .2% --> of the validation images and the
# plain one nn.nn %<!--= 04.ladder.after_three.base_network .2% -->, because a network that
# never sees the same image twice has more to learn. Give it fifteen epochs.
#
# **The second convolution** saves
# nn.n<!--= 04.ladder.added.second_convolution.saved .1f --> mistakes
# (nn.n<!--= 04.ladder.added.second_convolution.low .1f --> to
# nn.n<!--= 04.ladder.added.second_convolution.high .1f -->), and it costs: the deeper
# network takes about n.n<!--= 04.ladder.slower .1f --> times as long to train.
#
# **Dropout** saves nn.n<!--= 04.ladder.added.dropout.saved .1f -->
# (nn.n<!--= 04.ladder.added.dropout.low .1f --> to
# nn.n<!--= 04.ladder.added.dropout.high .1f -->).
#
# Taken away from the top, augmentation costs most:
# nn.n<!--= 04.ladder.added_last.augmentation.saved .1f --> mistakes.
#
# ## What the schedule is worth
#
# The same network, augmentation and dropout, with three schedules.

# %%
tried = {name: (*top[:3], name) for name in ("constant", "plateau", "one_cycle")}
against_constant = {name: (rung, tried["constant"]) for name, rung in tried.items()}
by_schedule = mistakes_saved(trainings, against_constant)
averages = [trainings[tried[name]]["n_mistakes"].mean() for name in by_schedule.index]
by_schedule.insert(0, "mistakes", averages)
by_schedule.style.format("{:.1f}")

# %% mystnb={"image": {"alt": "Validation accuracy by epoch under three schedules of the learning rate, one line per training."}} tags=["hide-input"]
# @title Accuracy by epoch under three schedules, one line per training
ax = plt.subplots()[1]
colours = {"constant": plots.GREY, "plateau": plots.ORANGE, "one_cycle": plots.BLUE}
for name, colour in colours.items():
    runs = trainings.get(tried[name], {})
    for number, scores in enumerate(runs.get("validation_accuracy_by_epoch", [])):
        epochs = range(1, len(scores) + 1)
        ax.plot(epochs, scores, color=colour, label="" if number else name, linewidth=1)
ax.set(
    title="Three schedules",
    xlabel="Epoch",
    ylabel="Validation images\nclassified correctly",
    ylim=(0.985, None),
)
ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
ax.legend()
plt.show()

# %% [markdown]
# With a constant rate the lines go up and down to the end, as in the post's log, and where you stop is
# a matter of luck. With a falling rate they settle. Against the constant rate, one-cycle saves
# nn.n<!--= 04.ladder.schedules.one_cycle.saved .1f --> mistakes
# (nn.n<!--= 04.ladder.schedules.one_cycle.low .1f --> to
# nn.n<!--= 04.ladder.schedules.one_cycle.high .1f -->) and `ReduceLROnPlateau`
# nn.n<!--= 04.ladder.schedules.plateau.saved .1f -->
# (nn.n<!--= 04.ladder.schedules.plateau.low .1f --> to
# nn.n<!--= 04.ladder.schedules.plateau.high .1f -->).
#
# And the post's own? Its text says that the schedule brought a slight improvement. Its log
# ([source](https://github.com/naingthet/mnist)) says otherwise. The best epoch before the schedule
# scores 0.9946<!--= given -->, and so does the best epoch after it. The weights that early stopping
# went back to, those of epoch 12, score 0.9939<!--= given -->, and so does the last epoch with the
# schedule. The smaller steps did steady the training. In the six epochs before the rate was cut, the
# accuracy went up and down between 0.9856<!--= given --> and 0.9937<!--= given -->. In the twenty-four
# epochs after it, it stays between 0.9937<!--= given --> and 0.9946<!--= given -->.
#
# ## What we found
#
# - From the base network to the deeper network with augmentation and dropout, the mistakes on 8,400
#   validation images go from nn.n<!--= 04.ladder.mistakes.base_network .1f --> to
#   nn.n<!--= 04.ladder.mistakes.dropout .1f -->, on average over five trainings; the
#   accuracy from nn.nn %<!--= 04.ladder.accuracy.base_network .2% --> to
#   nn.nn %<!--= 04.ladder.accuracy.dropout .2% -->. The post's best epoch for this
#   network is 0.9946<!--= given -->.
# - Augmentation saves nn.n<!--= 04.ladder.added.augmentation.saved .1f --> mistakes, the
#   second convolution nn.n<!--= 04.ladder.added.second_convolution.saved .1f -->, dropout
#   nn.n<!--= 04.ladder.added.dropout.saved .1f -->, in this order.
# - The one-cycle schedule saves
#   nn.n<!--= 04.ladder.schedules.one_cycle.saved .1f --> mistakes against a constant rate.

# %% tags=["hide-input"]
# @title The values that the text quotes
quoted = {"black": dict(zip(("original", "keras", "once"), black, strict=True))}
if n_recorded >= 45:  # all of the record, or nothing
    names = {name: name.removeprefix("+ ").replace(" ", "_") for name in [*rungs, *added.index]}
    seconds = {name: runs["seconds"].mean() for name, runs in climbed.items()}
    quoted |= {
        "mistakes": ladder["n_mistakes"].rename(names).to_dict(),
        "accuracy": ladder["validation_accuracy"].rename(names).to_dict(),
        "by_heart": ladder["training_accuracy"].rename(names).to_dict(),
        "after_three": {
            names[name]: np.stack(runs["validation_accuracy_by_epoch"])[:, 2].mean()
            for name, runs in climbed.items()
        },
        "slower": seconds["+ second convolution"] / seconds["+ augmentation"],
        "pair": {
            "only_new": counts[0, 1],
            "only_old": counts[1, 0],
            "p_value": mcnemar_p_value(counts[0, 1], counts[1, 0]),
        },
        "added": added.rename(names).T.to_dict(),
        "added_last": added_last.rename(names).T.to_dict(),
        "schedules": by_schedule.T.to_dict(),
    }

# %%
report(
    validation_accuracy=accuracy(validation_labels, predicted),
    training_accuracy=by_heart,
    shifted_accuracy=when_shifted,
    mistakes=np.flatnonzero(predicted != validation_labels),
    mistaken_for=predicted[predicted != validation_labels],
    validation_accuracy_by_epoch=curves["val_accuracy"].round(5).tolist(),
    n_train=len(x_train),
    n_weights=network.count_params(),
    ladder=quoted,
)

# %% [markdown]
# ## Exercises
#
# **1.** Two 3 × 3 convolutions see as much of the image as one 5 × 5 convolution. With C
# channels going in and out of each, how many weights has either, biases left aside?
#
# <details>
# <summary>Solution</summary>
#
# Each of the two has 3 · 3 · C · C weights, which makes 18 C². The 5 × 5 convolution has 25 C².
# For 32 channels:
#
# ```python
# def count_weights(*sizes):
#     stack = keras.Sequential([layers.Input((28, 28, 32))])
#     for size in sizes:
#         stack.add(layers.Conv2D(32, size, padding="same", use_bias=False))
#     return stack.count_params()
#
#
# print(count_weights(3, 3), count_weights(5))
# ```
#
# </details>
#
# **2.** What does augmentation that goes too far cost? Train the base network on images turned
# by any angle and see which digits suffer.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# set_seed(SEED)
# turned_network = build_network("base", WIDTH, 0)
# any_angle = RandomAffine(rotation=180, zoom=0.1, shift=0.1, seed=SEED)
# turned_trainer = keras.Sequential([layers.Input((28, 28, 1)), any_angle, turned_network])
# turned_trainer.compile("rmsprop", "sparse_categorical_crossentropy")
# turned_trainer.fit(x_train, train_labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
# guesses = turned_network.predict(x_validation, verbose=0).argmax(axis=1)
# for digit in range(10):
#     of_digit = validation_labels == digit
#     print(digit, f"{accuracy(validation_labels[of_digit], guesses[of_digit]):.1%}")
# ```
#
# Look at 6 and 9: turned by any angle they are hardly two digits any more. The other digits pay
# too, because the network has to recognise each of them in every position.
#
# </details>
#
# **3.** Is the network robust to more than it was trained for? Turn the *validation* images by
# growing angles and draw its accuracy.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# angles = [0, 10, 20, 30, 45, 60, 90]
# some_images, some_labels = take_subset(validation_images, validation_labels, 1000, seed=SEED)
# scores = []
# for angle in angles:
#     turned = ndimage.rotate(some_images, angle, axes=(2, 1), reshape=False, order=1)
#     guesses = network.predict(prepare_images(turned), verbose=0).argmax(axis=1)
#     scores.append(accuracy(some_labels, guesses))
#     print(f"turned by {angle:2} degrees: {scores[-1]:.1%}")
#
# ax = plt.subplots()[1]
# ax.plot(angles, scores, "o-")
# ax.yaxis.set_major_formatter(PercentFormatter(1.0))
# ax.set(title="Turned images", xlabel="Turned by (degrees)", ylabel="Images classified correctly")
# ```
#
# Within the trained range of 10 degrees the curve hardly falls. Beyond it, it does: augmentation
# teaches what it shows, and little more.
#
# </details>
#
# **4.** Two networks disagree on 20 images: only one of them gets each right. How lopsided must
# the count be for p to fall below 0.05? And if they disagree on 5?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for disagreements in (5, 20):
#     for only_a in range(disagreements // 2 + 1):
#         p_value = mcnemar_p_value(only_a, disagreements - only_a)
#         print(only_a, disagreements - only_a, f"{p_value:.3f}")
# ```
#
# Of 20, 15 to 5 will do; 14 to 6 will not. Of 5, even 5 to 0 is not enough: a coin falls five
# times on the same side about once in sixteen tries. When few images differ, no test can tell
# two networks apart.
#
# </details>
#
# ## Recall
#
# Answer before you unfold.
#
# **1.** Does augmentation make an epoch longer?
#
# <details>
# <summary>Answer</summary>
#
# No. It shows as many images per epoch as before, but never the same image twice. What it needs is
# more epochs.
#
# </details>
#
# **2.** How do you choose its strength?
#
# <details>
# <summary>Answer</summary>
#
# Turn, stretch and shift as far as you can still read the digit, and no further: beyond that the
# labels are wrong.
#
# </details>
#
# **3.** Why does `RandomAffine` combine the three changes before it moves a pixel?
#
# <details>
# <summary>Answer</summary>
#
# Every resampling blurs. Combined, the image is resampled once instead of three times.
#
# </details>
#
# **4.** Two 3 × 3 convolutions or one 5 × 5: what is the gain?
#
# <details>
# <summary>Answer</summary>
#
# They see as many pixels with 18 weights per pair of channels instead of 25, and have one more ReLU.
#
# </details>
#
# **5.** Why is the training accuracy of your run below its validation accuracy?
#
# <details>
# <summary>Answer</summary>
#
# Training is scored on augmented images, with dropout at work. Validation is scored on plain images,
# with all values passing.
#
# </details>
#
# **6.** Which images decide McNemar's test?
#
# <details>
# <summary>Answer</summary>
#
# Those that exactly one of the two networks gets right.
#
# </details>
#
# **7.** Why do we add each part last as well as in the ladder's order?
#
# <details>
# <summary>Answer</summary>
#
# Because what a part is worth depends on what is there already. Two parts that do the same job are
# worth less together than the sum of what each is worth alone.
#
# </details>
#
# **8.** What did the post's schedule bring, by its own log?
#
# <details>
# <summary>Answer</summary>
#
# No accuracy: 0.9939<!--= given --> for the weights kept before it, and the same for the last epoch with
# it. But with it the accuracy varies less from epoch to epoch.
#
# </details>
#
# ## What's next
#
# The dropout rates, the size of the dense layer and the optimizer are the post's. Are there better
# ones? In [Searching for better settings](05_hyperopt.ipynb) we let the computer look for them.
