# %% [markdown]
# # More data from the same data
#
# **What do augmentation, depth, dropout and a learning-rate schedule each buy?**

# %% [markdown]
# **You will learn**
#
# - to make new training images out of old ones, and how far you may change them;
# - why two small convolutions replace a large one, and what dropout does;
# - what a learning-rate schedule does;
# - to change one thing at a time, and to say what the change is worth.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [A first convolutional network](03_base_cnn.ipynb): convolution, pooling, epochs, the interval of an accuracy |
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
from digit_utils.artifacts import load_recorded
from digit_utils.augment import RandomAffine
from digit_utils.comparing import difference_over_seeds
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy
from digit_utils.optimizers import OneCycle
from digit_utils.results import report
from digit_utils.training import LiveProgress, history_frame, set_seed

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
# Tilt a 4 by a few degrees and it is still a 4. You know that; the network does not, because all
# it knows is its training images. **Data augmentation** shows it: before every training step,
# turn, stretch and shift each image a little, at random, and keep its label. Keras has a layer
# for each of these changes. With the ranges of the original post, up to 10 degrees either way, a
# zoom of up to 10 % in height and in width, shifts of up to a tenth of the image:

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
# An image looks different each time it comes up, so the network never sees the same image twice
# and cannot learn it by heart. An epoch still holds as many images as before, and at prediction
# time the layers do nothing.
#
# Each of the three layers computes every pixel anew from its neighbours, which blurs the strokes
# three times. `RandomAffine`, the book's own layer, draws the same three changes, combines them
# into one, and resamples once. The table counts how much full black survives.

# %%
thousand = x_train[:1000]
affine = RandomAffine(rotation=10, zoom=0.1, shift=0.1, seed=SEED)
versions = {
    "original": thousand,
    "three layers of Keras": np.array(keras_layers(thousand, training=True)),
    "RandomAffine": np.array(affine(thousand, training=True)),
}
black = {name: (images > 0.95).mean() for name, images in versions.items()}
pd.Series(black, name="pixels over 95 % black").map("{:.1%}".format).to_frame()

# %% [markdown]
# ## How far?
#
# Augmentation rests on a claim: *this change does not alter the label*. Look for the place where
# the claim ends. Here the most typical 6 is turned and shifted further and further.

# %% mystnb={"image": {"alt": "Two rows of the same handwritten 6. In the upper row it is turned from 0 to 180 degrees, until it reads as a 9; in the lower row it is shifted sideways until it leaves the frame."}}
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
# At 45 degrees you hesitate, and upside down the 6 is a 9. A network trained on such images would
# learn that some nines are sixes. Shifted by 40 % there is nothing left to learn from. And a
# mirrored digit, a usual choice for photographs, is a sign that nobody writes. Hence a rule you
# can use tomorrow: **turn, stretch and shift as far as you yourself can still read the digit, and
# no further.**
#
# ## Two small convolutions for one large
#
# The post's second network puts two 3 × 3 convolutions before each pooling where the first had
# one. Stacked, the two see 5 × 5 pixels. One 5 × 5 convolution would see the same and need 25
# weights per pair of channels, where the two need 18, and there is one more ReLU in between, so
# they can tell finer shapes apart.
#
# ## Dropout
#
# A network with 800,000 weights can learn 33,600 images by heart. **Dropout** makes that harder:
# in every training step it sets a random 30 % of the values that pass through it to zero. No
# neuron can rely on a particular other one, so each has to find something useful by itself. At
# prediction time all values pass.
#
# One function builds all the networks we compare: the dense network of the same size as the base
# network, the base network of the last chapter, and the deeper one, each with dropout or without.


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
# Near the best weights, large steps overshoot. A **learning-rate schedule** makes the steps
# smaller as the training goes on. The post uses `ReduceLROnPlateau`, which divides the rate by
# ten whenever the validation accuracy has not risen for some epochs. A **one-cycle** schedule is
# fixed in advance: the rate rises for a quarter of the training, then falls in a straight line to
# zero. The first reacts to what happens, but looks at the validation images to do so; the second
# needs to know how long the training will be, and ends with the smallest steps.
#
# The post trained in two parts. In the first, early stopping waited ten epochs for the validation
# loss to fall by 0.001 and brought back the best weights; the second part continued from there
# with `ReduceLROnPlateau`. `SCHEDULE = "post"` does the same.

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
# ## One training
#
# Your run trains one network, the one that the parameters above describe. The augmenter stands in
# front of the network for training; to predict, we use the network alone. Everything else is as
# in the post: cross-entropy, batches of 128, and **RMSprop**, which like Adam scales each weight's
# steps by how large its gradients have lately been.

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

# %% mystnb={"image": {"alt": "Two line charts of the training: accuracy and loss against the epoch, one line for training and one for validation images."}}
curves = pd.concat(histories, ignore_index=True)
curves.index += 1
plots.plot_history(curves, "Your run")
plt.show()

# %% [markdown]
# In the last chapter the training curve ran ahead of the validation curve. Here it lies below
# it, and this is no mistake: training is scored on augmented images with 30 % of the values
# dropped, validation on plain images with the whole network.

# %%
predicted = network.predict(x_validation, batch_size=512, verbose=0).argmax(axis=1)
by_heart = accuracy(
    train_labels, network.predict(x_train, batch_size=512, verbose=0).argmax(axis=1)
)
pd.Series(
    {
        "weights": f"{network.count_params():,}",
        "training images": f"{by_heart:.2%}",
        "validation images": f"{accuracy(validation_labels, predicted):.2%}",
        "mistakes": f"{np.sum(predicted != validation_labels)} of {len(predicted):,}",
    },
    name="your run",
).to_frame()

# %% [markdown]
# ## The ladder
#
# One short run settles nothing. So we have trained every network at full size, once, and keep the
# record: all 33,600 training images, 32 filters in the first block, fifteen epochs with the
# one-cycle schedule, five seeds each. Each training is this chapter with other parameters
# (`digits sweep sweeps/ladder.yaml` makes them all again). Every row adds one thing to the row
# above.

# %%
record = pd.json_normalize(load_recorded("ladder")["runs"])
record.columns = record.columns.str.split(".").str[-1]
trainings = dict(list(record.groupby(["NETWORK", "AUGMENT", "DROPOUT", "SCHEDULE"])))
rungs = {
    "dense network": ("dense", 0, 0.0, "one_cycle"),
    "base network": ("base", 0, 0.0, "one_cycle"),
    "+ augmentation": ("base", 1, 0.0, "one_cycle"),
    "+ second convolution": ("double_conv", 1, 0.0, "one_cycle"),
    "+ dropout": ("double_conv", 1, 0.3, "one_cycle"),
}
mistakes = {name: trainings[rung]["mistakes"].map(len) for name, rung in rungs.items()}
columns = ["n_weights", "training_accuracy", "validation_accuracy"]
ladder = pd.DataFrame({name: trainings[rung][columns].mean() for name, rung in rungs.items()}).T
ladder["mistakes"] = [counts.mean() for counts in mistakes.values()]
ladder.style.format(
    {
        "n_weights": "{:,.0f}",
        "training_accuracy": "{:.2%}",
        "validation_accuracy": "{:.2%}",
        "mistakes": "{:.1f}",
    }
)

# %% mystnb={"image": {"alt": "Mistakes on the 8,400 validation images, one row per rung of the ladder: a dot for the mean over the seeds and a tick for each training."}}
plots.plot_ladder(mistakes, title="Each row adds one thing")
plt.show()

# %% [markdown]
# ## What each step is worth
#
# Two kinds of luck are in these numbers. Another seed gives another network, and other validation
# images would have given other mistakes. The intervals below cover both. They compare networks
# image by image, because all of them were scored on the *same* images: most of these every
# network gets right, and they say nothing about the difference.
#
# The left half takes the steps in the order of the ladder. The right half takes each part *away*
# from the network at the top, so that the order does not decide what a part is worth.


# %%
def read_correctly(rung):
    correct = np.ones((len(trainings[rung]), 8400), dtype=bool)
    for row, wrong in zip(correct, trainings[rung].sort_values("SEED")["mistakes"], strict=True):
        row[wrong] = False
    return correct


def mistakes_saved(new, old):
    gain = difference_over_seeds(read_correctly(new), read_correctly(old))
    return f"{8400 * gain.mean:+.1f} ({8400 * gain.low:+.1f} to {8400 * gain.high:+.1f})"


top = rungs["+ dropout"]
steps_up = {
    "convolution": (rungs["base network"], rungs["dense network"]),
    "augmentation": (rungs["+ augmentation"], rungs["base network"]),
    "second convolution": (rungs["+ second convolution"], rungs["+ augmentation"]),
    "dropout": (top, rungs["+ second convolution"]),
}
without = {
    "augmentation": ("double_conv", 0, 0.3, "one_cycle"),
    "second convolution": ("base", 1, 0.3, "one_cycle"),
    "dropout": ("double_conv", 1, 0.0, "one_cycle"),
}
pd.DataFrame(
    {
        "mistakes saved by adding it (95 % interval)": {
            name: mistakes_saved(new, old) for name, (new, old) in steps_up.items()
        },
        "lost by leaving it out": {
            name: mistakes_saved(top, rest) for name, rest in without.items()
        },
    }
).reindex(list(steps_up)).fillna("")

# %% [markdown]
# ## The schedule
#
# The same network, augmentation and dropout, with three schedules.

# %%
schedules_tried = {name: (*top[:3], name) for name in ("constant", "plateau", "one_cycle")}
pd.DataFrame(
    {
        name: {
            "mistakes": trainings[rung]["mistakes"].map(len).mean(),
            "saved against constant": mistakes_saved(rung, schedules_tried["constant"]),
        }
        for name, rung in schedules_tried.items()
    }
).T

# %% mystnb={"image": {"alt": "Validation accuracy by epoch under three schedules of the learning rate, one line per training."}}
ax = plt.subplots()[1]
for (name, rung), colour in zip(
    schedules_tried.items(), (plots.GREY, plots.ORANGE, plots.BLUE), strict=True
):
    for number, scores in enumerate(trainings[rung]["validation_accuracy_by_epoch"]):
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
# ## What we found

# %%
report(
    "",
    validation_accuracy=accuracy(validation_labels, predicted),
    training_accuracy=by_heart,
    mistakes=np.flatnonzero(predicted != validation_labels),
    mistaken_for=predicted[predicted != validation_labels],
    validation_accuracy_by_epoch=curves["val_accuracy"].round(5).tolist(),
    n_train=len(x_train),
    n_weights=network.count_params(),
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
# far = {"rotation": 180, "zoom": 0.1, "shift": 0.1}
# any_angle = train_variant(build_base_cnn, far, SEED)["predicted"]
# print(f"{accuracy(validation_labels, any_angle):.2%} of the images")
# for digit in range(10):
#     of_digit = validation_labels == digit
#     print(digit, f"{accuracy(validation_labels[of_digit], any_angle[of_digit]):.1%}")
# ```
#
# Compare with the first two rows of the ablation. Look at 6 and 9 in particular: turned by any
# angle they are hardly two digits any more. The other digits have a price to pay too, because
# the network must recognise each of them in every position.
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
#
# ax = plt.subplots()[1]
# ax.plot(angles, scores, "o-")
# ax.yaxis.set_major_formatter(PercentFormatter(1.0))
# ax.set(title="Turned images", xlabel="Turned by (degrees)", ylabel="Images classified correctly")
# ```
#
# Within the trained range the curve hardly falls. Beyond it, it does: augmentation teaches what
# it shows, and little more.
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
# def p_value(only_a, only_b):
#     labels = np.zeros(only_a + only_b, dtype=int)
#     a_is_right = np.arange(only_a + only_b) < only_a
#     return paired_test(labels, 1 - a_is_right, 1 * a_is_right).p_value
#
#
# for disagreements in (5, 20):
#     for only_a in range(disagreements // 2 + 1):
#         print(only_a, disagreements - only_a, f"{p_value(only_a, disagreements - only_a):.3f}")
# ```
#
# Of 20, 15 to 5 will do; 14 to 6 will not. Of 5, even 5 to 0 is not enough: a coin falls five
# times on the same side about once in sixteen tries. When few images differ, no test can tell
# two networks apart.
#
# </details>
#
# ## What's next
#
# Dropout rates, the dense layer's size and the optimizer were given to us. In
# [Searching for better settings](05_hyperopt.ipynb) we let the computer look for them.
