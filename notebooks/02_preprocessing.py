# %% [markdown]
# # Preparing the images
#
# **What happens to an image before a network sees it, and why?**

# %% [markdown]
# **You will learn**
#
# - how a row of 784 numbers becomes an image with one channel;
# - why pixels are scaled, and how much it matters;
# - to split images for training and validation, and to keep the two apart;
# - what one-hot encoding is, and when you can do without.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [Meeting the digits](01_eda.ipynb): what the images hold |
# | Time | 20 minutes to read; the run takes under a minute on a laptop |

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
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display
from keras import layers
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from digit_utils import plots
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy, accuracy_interval
from digit_utils.results import report
from digit_utils.training import set_seed

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the subsets and the first training
N_TRAIN: int = 0  # training images for the scaling experiment, at least 0; 0: all 33,600
EPOCHS: int = 3  # passes over the training images in the scaling experiment, at least 1
BATCH_SIZE: int = 128  # images a training step, at least 1
N_SEEDS: int = 3  # trainings of each kind, to see how much chance decides, at least 1
N_LEAK: int = 2000  # training images in the leak experiment, at least 10

# %% [markdown]
# ## From a row to an image
#
# Kaggle's table gives each image as one row of 784 numbers. `load_digits` has folded them back
# into squares. Let us take one image apart again to see what it did.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
image, label = digits.images[2], digits.labels[2]
row = image.reshape(784)
print(f"a {label}: shape {row.shape}, {row.dtype}, from {row.min()} to {row.max()}")
print("pixels 150 to 159:", row[150:160])

# %% [markdown]
# The row holds the image line by line: the first 28 numbers are its top line, the next 28 the
# line below. So the pixel in line $r$ and column $c$ is number $28 r + c$ of the row, counting
# from 0. `reshape` changes no number, only how we count them. Fold the row in any other way and
# the digit is lost, though the shape may well be right.

# %% mystnb={"image": {"alt": "One row of numbers folded three ways. In lines of 28 pixels it shows a digit; filled column by column it shows the digit mirrored and lying on its side; in lines of 27 pixels the digit is sheared apart."}}
by_lines = row.reshape(28, 28)
by_columns = row.reshape(28, 28, order="F")
too_narrow = np.pad(row[: 28 * 27].reshape(28, 27), ((0, 0), (0, 1)))
plots.show_images(
    np.stack([by_lines, by_columns, too_narrow]),
    ["line by line", "column by column", "lines of 27"],
    columns=3,
    title="The same numbers, folded three ways",
)
plt.show()

# %% [markdown]
# ## The channel
#
# A colour photograph has three numbers a pixel: red, green and blue. They are its **channels**.
# Our images have one channel, grey. A convolution wants to be told so, since it is made for any
# number of them: it expects four axes, *image, line, column, channel*. Leave the last one out
# and Keras, the library our networks are built with, refuses. (Chapter 3 shows what a convolution
# and its filters do; here only the shapes matter.)

# %%
two_images = digits.images[:2] / np.float32(255)
try:
    layers.Conv2D(8, 3)(two_images)
except ValueError as error:
    print(f"shape {two_images.shape}: {str(error).splitlines()[0]}")
answer = layers.Conv2D(8, 3)(two_images[..., np.newaxis])
print(f"shape {two_images[..., np.newaxis].shape}: works, and gives {tuple(answer.shape)}")

# %% [markdown]
# The answer has eight channels, one for each of the eight filters. That is how convolutions can
# be stacked: each takes in the channels of the one before.
#
# ## Scaling
#
# A pixel is a whole number from 0 to 255. We divide by 255 and get fractions from 0 to 1.

# %% mystnb={"image": {"alt": "A crop of eight by eight pixels of one digit, drawn twice with the number of each pixel written into it: at the left whole numbers up to 255, at the right the same pixels as fractions up to 1."}}
rows, columns = range(11, 19), range(10, 18)
crop = image[rows.start : rows.stop, columns.start : columns.stop]
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.7))
style = {"cmap": "gray_r", "cbar": False, "square": True, "annot": True, "annot_kws": {"size": 9}}
style |= {"xticklabels": columns, "yticklabels": rows}
sns.heatmap(crop, fmt="d", ax=axes[0], **style)
sns.heatmap(crop / 255, fmt=".2f", ax=axes[1], **style)
for ax, title in zip(axes, ("As stored: 0 to 255", "Scaled: 0 to 1"), strict=True):
    ax.set(title=title, xlabel="Column (pixels)", ylabel="Line (pixels)")
    ax.tick_params(axis="y", rotation=0)
plt.show()

# %% [markdown]
# The picture does not change, and nothing is lost: multiply by 255 and every number is back.
# Two details are easily got wrong.
#
# **Fractions need another type.** Arithmetic within `uint8` wraps around at 256 like the mileage
# counter of an old car. And NumPy's division gives `float64`, eight bytes a number, where
# networks compute with `float32`, four bytes. The original post divided a table of integers by
# `255.0` and so kept its images at twice the size they needed.

# %% tags=["nbval-check-output"]
twice = np.array([100, 200], dtype="uint8") * np.uint8(2)
print("100 and 200, doubled as uint8:", twice)

scaled = digits.images.astype("float32") / 255
restored = np.round(scaled * 255).astype("uint8")
print("every pixel restored:", np.array_equal(restored, digits.images))
for name, nbytes in {"uint8": 1, "float32": 4, "float64": 8}.items():
    print(f"{len(digits.images):,} images as {name:8} {digits.images.size * nbytes / 1e6:5.0f} MB")

# %% [markdown]
# ## One split, made once
#
# We learn from 80 % of the labelled images and judge by the other 20 %, the **validation**
# images. A network can learn its training images by heart, so how well it does on those says
# little. The split comes before anything is learnt from the data.
#
# **Stratified** means: split each digit 80 to 20, so that both parts hold the digits in equal
# proportion. A plain random split leaves that to chance.

# %% tags=["nbval-check-output"]
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, validation_fraction=0.2, seed=SEED
)
_, plain_labels = train_test_split(digits.labels, test_size=0.2, random_state=SEED)

counts = pd.DataFrame(
    {
        "all": np.bincount(digits.labels),
        "training": np.bincount(train_labels),
        "validation": np.bincount(validation_labels),
        "plain validation": np.bincount(plain_labels),
    }
)
counts.loc["sum"] = counts.sum()
print(counts)

# %% [markdown]
# The column to compare is the share of each digit. If a part mirrors the whole, its share
# differs from that in all images by nothing.

# %% mystnb={"image": {"alt": "Dot chart, one column for each digit: by how many percentage points its share among the validation images differs from its share among all. Dots of the stratified split lie on zero; those of the plain split scatter around it."}}
shares = 100 * counts.drop("sum") / counts.loc["sum"]
off_stratified = shares["validation"] - shares["all"]
off_plain = shares["plain validation"] - shares["all"]

ax = plt.subplots()[1]
ax.axhline(0, color=plots.GREY, linewidth=1)
ax.plot(off_plain, "s", color=plots.ORANGE, label="plain random split")
ax.plot(off_stratified, "o", color=plots.BLUE, label="stratified split")
ax.set(
    title="How far each digit's share is off among the validation images",
    xlabel="Digit",
    ylabel="Difference (percentage points)",
    xticks=range(10),
)
ax.legend()
plt.show()

# %%
display(
    Markdown(
        f"The plain split is off by up to **{off_plain.abs().max():.2f}** percentage points, the "
        f"stratified one by up to **{off_stratified.abs().max():.3f}**, which is rounding: images "
        "cannot be halved."
    )
)

# %% [markdown]
# With thousands of images of each digit the plain split does little harm. With a few images of
# a rare class it can leave that class out of the validation images altogether. Stratifying costs
# nothing, so we always do it.
#
# ## Three parts, three uses
#
# | Part | What it is for | How often we look |
# | --- | --- | --- |
# | training | to fit the weights | every step |
# | validation | to choose: when to stop, which network, which settings | whenever we choose |
# | test | to report, once every choice is made | once |
#
# Whoever chooses the best of many by its validation score has chosen a little luck along with
# it. So that score flatters, and the more we try the more it does. The test images have had no
# part in any choice, and their score does not flatter. This only holds while they stay out of
# sight. In this book the loader does not hand out their labels at all.

# %% tags=["nbval-check-output"]
for name in ("images", "labels", "test_images", "test_labels"):
    print(f"{name:12} {getattr(digits, name).shape if hasattr(digits, name) else 'not there'}")

# %% [markdown]
# ## Statistics from the training images only
#
# Dividing by 255 needs no data. Other ways of scaling do. **Standardising** takes away the mean
# of all pixels and divides by their standard deviation, so that the values have mean 0 and
# spread 1. Both numbers must come from the *training* images. Computed from all images, they
# would carry a little knowledge of the validation images into training. That is **leakage**.

# %%
pixel_mean, pixel_spread = train_images.mean(), train_images.std()
leaky_mean, leaky_spread = digits.images.mean(), digits.images.std()
display(
    Markdown(
        f"Training pixels have mean **{pixel_mean:.2f}** and standard deviation "
        f"**{pixel_spread:.2f}** grey levels; with the validation images they would have "
        f"{leaky_mean:.2f} and {leaky_spread:.2f}."
    )
)

# %% [markdown]
# Here the leak would change next to nothing: two numbers cannot carry much. The habit matters
# because other leaks do. An example: let us double a small data set by adding a copy of every
# image, shifted right by one pixel. That is a sound idea, and a later chapter uses a better form
# of it. But look what happens if we add the copies *before* the split, so that an image may land
# in one part and its copy in the other.

# %%
few_images, few_labels = take_subset(train_images, train_labels, N_LEAK, seed=SEED)
doubled = np.concatenate([few_images, np.roll(few_images, 1, axis=2)])
learn_images, judge_images, learn_labels, judge_labels = split_train_validation(
    doubled, np.tile(few_labels, 2), seed=SEED
)

nearest = KNeighborsClassifier(1).fit(learn_images.reshape(-1, 784) / 255, learn_labels)
leaky_guess = nearest.predict(judge_images.reshape(-1, 784) / 255)
fair_guess = nearest.predict(validation_images.reshape(-1, 784) / 255)
leaky_score = accuracy(judge_labels, leaky_guess)
leaky_low, leaky_high = accuracy_interval(judge_labels, leaky_guess)
fair_score = accuracy(validation_labels, fair_guess)
fair_low, fair_high = accuracy_interval(validation_labels, fair_guess)
display(
    Markdown(
        f"Classified by its nearest neighbour, **{leaky_score:.1%}** (95 % interval "
        f"{leaky_low:.1%} to {leaky_high:.1%}) of the images set aside come out right. On images "
        f"without a copy on the other side it is **{fair_score:.1%}** ({fair_low:.1%} to "
        f"{fair_high:.1%}). The same classifier: the difference is the leak."
    )
)

# %% [markdown]
# The rule is short: **split first**, then do everything else, and let only the training images
# decide how it is done.
#
# ## Does scaling matter?
#
# "Networks like small numbers" is easily said. We measure it, and need a few words first.
#
# Chapter 1's logistic regression added up weighted pixels, once for each digit. A **neuron** does
# the same and then turns a negative sum into zero (*ReLU*). A **layer** is many neurons side by side.
# A small **network** passes the pixels through one such *hidden* layer, and its answers through ten
# more sums; *softmax* turns those ten into probabilities. Training starts from random weights. For
# each **batch** of images it computes the **loss**, how wrong the answers are, and the **gradient**,
# how the loss would change with each weight. The **optimizer** then moves the weights a little
# downhill; how far is the **learning rate**. One pass over all images is an **epoch**. **Keras** is
# the library that does all this.
#
# A small network, one hidden layer
# of 64 neurons, is trained on the same images prepared in three ways: as they are, scaled and
# standardised. We do so with two optimizers at Keras's default settings. **SGD**, stochastic
# gradient descent, takes steps in proportion to the gradient. **Adam** measures how large
# gradients have been and adapts its steps.

# %%
preparations = {
    "raw, 0 to 255": lambda images: images.astype("float32")[..., np.newaxis],
    "scaled, 0 to 1": prepare_images,
    "standardised": lambda images: (
        (images.astype("float32") - np.float32(pixel_mean)) / np.float32(pixel_spread)
    )[..., np.newaxis],
}


def build_small_network():
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def train_and_score(x_some, x_judge, optimizer, seed):
    set_seed(seed)
    network = build_small_network()
    network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    network.fit(x_some, some_labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    predicted = keras.ops.argmax(network(x_judge), axis=1)
    return accuracy(validation_labels, keras.ops.convert_to_numpy(predicted))


# %% [markdown]
# Training starts from random weights, so we train several times and show every result.

# %%
some_images, some_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
progress = display(Markdown("Training ..."), display_id=True)
results = []
for name, prepare in preparations.items():
    x_some, x_judge = prepare(some_images), prepare(validation_images)
    for optimizer in ("SGD", "Adam"):
        for seed in range(SEED, SEED + N_SEEDS):
            score = train_and_score(x_some, x_judge, optimizer, seed)
            results.append({"optimizer": optimizer, "input": name, "accuracy": score})
            progress.update(Markdown(f"{len(results)} of {2 * 3 * N_SEEDS} networks trained"))
results = pd.DataFrame(results)

# %% mystnb={"image": {"alt": "Dot chart of validation accuracy for raw, scaled and standardised images, one dot a training, with SGD and Adam marked by colour and shape. On raw images the SGD dots lie far lower than all others; on scaled and standardised images they come closer to those of Adam."}}
ax = plt.subplots()[1]
for optimizer, mark, shift in (("SGD", "s", -0.08), ("Adam", "o", 0.08)):
    of_optimizer = results[results["optimizer"] == optimizer]
    places = of_optimizer["input"].map(list(preparations).index) + shift
    ax.plot(places, 100 * of_optimizer["accuracy"], mark, alpha=0.7, label=optimizer)
ax.set(
    title="One small network, images prepared in three ways",
    xlabel="What the network was given",
    ylabel="Validation accuracy (%)",
    xlim=(-0.5, 2.5),
    ylim=(0, 100),
)
ax.set_xticks(range(3), list(preparations))
ax.legend(title="Optimizer", loc="lower right")
plt.show()

# %%
means = results.groupby(["optimizer", "input"])["accuracy"].mean()
lines = ["| Mean validation accuracy | SGD | Adam |", "| --- | ---: | ---: |"]
for name in preparations:
    lines.append(f"| {name} | {means['SGD', name]:.1%} | {means['Adam', name]:.1%} |")
gain = means["Adam", "standardised"] - means["Adam", "scaled, 0 to 1"]
lines += ["", f"Standardised against scaled, with Adam: {100 * gain:+.1f} percentage points."]
display(Markdown("\n".join(lines)))

# %% [markdown]
# Why? A weight's gradient is in proportion to the input it multiplies. Inputs 255 times larger
# give gradients about 255 times larger, and steps that overshoot. With plain SGD the hidden
# neurons may be thrown so far that they answer 0 to every image and never recover. Adam divides
# by the gradients' size, so it survives. But it too starts from random weights that are far too
# large for such inputs: its first answers are confident and mostly wrong, and it has to unlearn
# them.
#
# So scaling does not make the data any better. It makes the *default* starting weights and
# learning rates of our tools fit, which were chosen for inputs of about the size 1. Exercise 3
# shows that a matching learning rate does the same.
#
# In the rest of the book we divide by 255, as the original post did, and train with Adam. Dividing
# by a fixed number needs no statistics, so nothing can leak, and the pixels stay easy to read.
# Standardising is a sound alternative; where the table shows it ahead, mind what was
# measured: a very small network after a short training. Whether a convolutional network, trained
# longer, would gain as well, we have not measured.
#
# ## Labels: one-hot, or not
#
# A label is a digit, but its size means nothing here: a 4 is no nearer to a 5 than to a 9. A
# network that had to answer with *one* number, and could not decide between 3 and 9, would say
# 6. So it gets ten outputs, one probability for each digit. **One-hot encoding** writes the
# label in the same form: a 1 at its place, 0 everywhere else.

# %% tags=["nbval-check-output"]
one_hot = keras.utils.to_categorical(train_labels, 10)
for digit, encoded in zip(train_labels[:4], one_hot[:4], strict=True):
    print(digit, "->", encoded.astype(int))
print(one_hot.shape)

# %% [markdown]
# The **loss** compares the ten probabilities $p_0, \dots, p_9$ with the ten numbers
# $y_0, \dots, y_9$ of the one-hot label. This is the *cross-entropy*:
#
# $$-\sum_{k=0}^{9} y_k \log p_k$$
#
# Nine of the ten terms are multiplied by 0. What remains is $-\log p_y$, the logarithm of the
# probability given to the true digit $y$. To find it we need only know which one it is, so the
# plain label serves just as well. Keras has a loss for either form: here an unsure network looks
# at a 3.

# %% tags=["nbval-check-output"]
probabilities = np.full((1, 10), 0.02)
probabilities[0, [3, 5]] = 0.64, 0.20

from_one_hot = keras.losses.categorical_crossentropy(np.eye(10)[[3]], probabilities)
from_label = keras.losses.sparse_categorical_crossentropy(np.array([3]), probabilities)
print(f"categorical_crossentropy, one-hot label      {float(from_one_hot[0]):.4f}")
print(f"sparse_categorical_crossentropy, plain label {float(from_label[0]):.4f}")
print(f"minus the logarithm of 0.64                  {-np.log(0.64):.4f}")

# %% [markdown]
# Three times the same number. The original post encodes its labels; this book keeps them plain
# and uses the *sparse* loss, which saves a step and some memory. One-hot labels are needed when
# a label is not all-or-nothing: when two images are blended, say, or when we would rather tell
# the network "0.9 sure of a 3" than let it become too certain.
#
# ## All steps at once
#
# The helper `prepare_images` does what this chapter did by hand: scale and add the channel. It
# refuses images that are scaled already, since nobody notices when they are divided twice.

# %% tags=["nbval-check-output"]
by_hand = (train_images.astype("float32") / 255)[..., np.newaxis]
x_train, x_validation = prepare_images(train_images), prepare_images(validation_images)
print("the same as by hand:", np.array_equal(x_train, by_hand))

steps = {
    "a row of the table": row,
    "folded": row.reshape(28, 28),
    "scaled": row.reshape(28, 28).astype("float32") / 255,
    "with its channel": prepare_images(image[np.newaxis])[0],
}
for name, array in steps.items():
    print(f"{name:19} {str(array.shape):12} {array.dtype!s:8} up to {array.max():.0f}")
print(f"for training        {x_train.shape}")
print(f"for validation      {x_validation.shape}")

# %% [markdown]
# ## What we found

# %%
report(
    f"- {len(digits.images):,} labelled images became {len(x_train):,} for training and "
    f"{len(x_validation):,} for validation. Stratified, the digits' shares are off by at most "
    f"{off_stratified.abs().max():.3f} percentage points; split plainly, by up to "
    f"{off_plain.abs().max():.2f}.\n"
    f"- Raw pixels instead of scaled ones: after {EPOCHS} epochs on {len(some_images):,} images "
    f"the small network reaches {means['SGD', 'raw, 0 to 255']:.1%} instead of "
    f"**{means['SGD', 'scaled, 0 to 1']:.1%}** with SGD, and "
    f"{means['Adam', 'raw, 0 to 255']:.1%} instead of "
    f"**{means['Adam', 'scaled, 0 to 1']:.1%}** with Adam (means of {N_SEEDS} trainings).\n"
    f"- Copying images before the split made a classifier look like {leaky_score:.1%}; on fresh "
    f"images it was {fair_score:.1%}.",
    n_train=len(x_train),
    n_validation=len(x_validation),
    off_stratified=off_stratified.abs().max(),
    off_plain=off_plain.abs().max(),
    pixel_mean=pixel_mean,
    pixel_spread=pixel_spread,
    leaky_accuracy=leaky_score,
    fair_accuracy=fair_score,
    sgd_raw_accuracy=means["SGD", "raw, 0 to 255"],
    sgd_scaled_accuracy=means["SGD", "scaled, 0 to 1"],
    sgd_standardised_accuracy=means["SGD", "standardised"],
    adam_raw_accuracy=means["Adam", "raw, 0 to 255"],
    adam_scaled_accuracy=means["Adam", "scaled, 0 to 1"],
    adam_standardised_accuracy=means["Adam", "standardised"],
)

# %% [markdown]
# ## Exercises
#
# **1.** Which line and column does `pixel401` of Kaggle's table belong to? Check your answer.
#
# <details>
# <summary>Solution</summary>
#
# 401 = 28 × 14 + 9: line 14, column 9, counting from 0.
#
# ```python
# print(np.unravel_index(401, (28, 28)), row[401] == image[14, 9])
# ```
#
# </details>
#
# **2.** Split off 50 validation images, stratified and plain, with twenty seeds each. How often
# does a digit have fewer than three validation images?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# def rarest(stratify, seed):
#     _, small = train_test_split(
#         digits.labels, test_size=50, random_state=seed, stratify=stratify
#     )
#     return np.bincount(small, minlength=10).min()
#
#
# for name, stratify in {"stratified": digits.labels, "plain": None}.items():
#     print(name, sum(rarest(stratify, seed) < 3 for seed in range(20)), "of 20 splits")
# ```
#
# Never when stratified: each digit gets about five. With the plain split it happens most of the
# time.
#
# </details>
#
# **3.** Scaling or learning rate? Take a network *without* a hidden layer whose weights start
# at zero. Train it with SGD on scaled images, then on raw images with the learning rate divided
# by $255^2$ for the weights. Compare the predictions. (Why the square?)
#
# <details>
# <summary>Solution</summary>
#
# ```python
# def train_softmax(images, learning_rate):
#     network = keras.Sequential(
#         [
#             layers.Input((28, 28, 1)),
#             layers.Flatten(),
#             layers.Dense(10, "softmax", use_bias=False, kernel_initializer="zeros"),
#         ]
#     )
#     network.compile(keras.optimizers.SGD(learning_rate), "sparse_categorical_crossentropy")
#     network.fit(images[:2000], train_labels[:2000], epochs=2, shuffle=False, verbose=0)
#     return network.predict(images[2000:3000], verbose=0)
#
#
# on_scaled = train_softmax(x_train, 0.1)
# on_raw = train_softmax(x_train * 255, 0.1 / 255**2)
# print("largest difference of a probability:", np.abs(on_scaled - on_raw).max())
# ```
#
# They agree up to rounding. Raw inputs make the gradient 255 times larger, and each weight
# needs to be 255 times smaller: together $255^2$. We leave the bias out because its input is
# always 1, scaled or not: no single learning rate suits both it and the weights.
#
# </details>
#
# **4.** What is the cross-entropy of a network that gives each digit the probability 0.1? And
# of one that is sure of the wrong digit?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# unsure = np.full((1, 10), 0.1)
# wrong = np.eye(10)[[5]]
# for guess in (unsure, wrong):
#     print(float(keras.losses.sparse_categorical_crossentropy(np.array([3]), guess)[0]))
# ```
#
# The first is $\log 10$, about 2.30: what a fresh network starts from. The second would be
# infinite; Keras clips the probability just above 0 and gives about 16. Being sure and wrong is
# the worst one can do.
#
# </details>
#
# ## What's next
#
# The images are ready. [A first convolutional network](03_base_cnn.ipynb) learns from them.
