# %% [markdown]
# # Preparing the images
#
# **How do images become numbers for a network, and how does a network learn from them?**

# %% [markdown]
# **You will learn**
#
# - how a row of 784 numbers becomes an image with one channel, and why its pixels are scaled;
# - to split images for training and validation, and to keep the two apart;
# - what one-hot encoding is, and when you can do without it;
# - how a network learns: loss, gradient and step, with one weight and then with 50,890.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [Meeting the digits](01_eda.ipynb): what the images hold |
# | Time | 30 minutes to read; the run takes one to three minutes on a laptop |

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
from IPython.display import display
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
N_TRAIN: int = 0  # training images for every training here, at least 0; 0: all 33,600
EPOCHS: int = 3  # passes over the training images in every training here, at least 1
BATCH_SIZE: int = 128  # images per training step, at least 1
LEARNING_RATE: float = 0.5  # of the networks trained by hand, above 0
N_SEEDS: int = 3  # trainings of each kind, to see how much chance decides, at least 1
N_LEAK: int = 2000  # training images in the leak experiment, at least 10

# %% [markdown]
# ## From a row to an image
#
# Kaggle's table stores each image as one row of 784 numbers, and a convolutional network needs a
# square. `load_digits` has folded the rows already. Let us take one image apart again to see how.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
image, label = digits.images[2], digits.labels[2]
row = image.reshape(784)
print(f"a {label}: shape {row.shape}, {row.dtype}, from {row.min()} to {row.max()}")
print("pixels 150 to 159:", row[150:160])

# %% [markdown]
# The 784 numbers hold the image from top to bottom: numbers 0 to 27 are its top row of pixels,
# 28 to 55 the next. So the pixel in row $r$ and column $c$ is number $28 r + c$, counting from 0.
# `reshape` changes no number; it only says where a row of pixels ends. Here are three ways to fold.

# %%
by_rows = row.reshape(28, 28)
by_columns = row.reshape(28, 28, order="F")
too_narrow = row[: 28 * 27].reshape(28, 27)

# %% mystnb={"image": {"alt": "One row of numbers folded three ways. In rows of 28 pixels it shows a digit; filled column by column it shows the digit mirrored and lying on its side; in rows of 27 pixels the digit is sheared apart."}} tags=["hide-input"]
# @title Draws the same 784 numbers, folded three ways
fig, axes = plt.subplots(1, 3, figsize=(9, 3.6))
folds = {"Row by row": by_rows, "Column by column": by_columns, "Rows of 27": too_narrow}
for ax, (title, folded) in zip(axes, folds.items(), strict=True):
    ax.imshow(folded)
    ax.grid(visible=False)
    ax.set(title=title, xlabel="Column (pixels)", ylabel="Row (pixels)")
    ax.set(xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
fig.suptitle("The same numbers, folded three ways", fontweight="bold")
plt.show()

# %% [markdown]
# On the right, every row is one pixel too short and the digit leans: you see the mistake at once. The
# one in the middle is the trap. Its shape is right, so no error stops you, and a network would train on
# digits that are mirrored and lie on their sides. Look at a few images after every `reshape`.
#
# ## The channel
#
# A colour photograph has three numbers per pixel: red, green and blue. They are its **channels**.
# Our images have one channel, grey. A `Conv2D` layer, the subject of the next chapter, works with
# any number of channels, so it needs an explicit axis for them: *image, row, column, channel*.
# Leave the last one out, and Keras, the library that this book builds its networks with, raises an
# error. Indexing with `[..., np.newaxis]` adds it.

# %%
two_images = digits.images[:2] / np.float32(255)
try:
    layers.Conv2D(8, 3)(two_images)
except ValueError as error:
    print(f"shape {two_images.shape}: {str(error).splitlines()[0]}")
answer = layers.Conv2D(8, 3)(two_images[..., np.newaxis])
print(f"shape {two_images[..., np.newaxis].shape}: works, and gives {tuple(answer.shape)}")

# %% [markdown]
# The output has eight channels, one for each of the layer's eight filters, and a next layer would read
# all eight. That is how convolutions are stacked. The output is 26 pixels wide because a window of 3 × 3
# pixels fits into a row of 28 at 26 places; the next chapter comes back to that.
#
# ## Scaling
#
# A pixel is a whole number from 0 to 255. We divide by 255 and get fractions from 0 to 1. Why that
# matters, and how much, becomes clear further down, once you have seen a network learn.

# %% mystnb={"image": {"alt": "A crop of eight by eight pixels of one digit, drawn twice with the number of each pixel written into it: at the left whole numbers up to 255, at the right the same pixels as fractions up to 1."}} tags=["hide-input"]
# @title Draws 8 × 8 pixels of the digit, before and after scaling
rows, columns = range(11, 19), range(10, 18)
crop = image[rows.start : rows.stop, columns.start : columns.stop]
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.7))
style = {"cmap": "gray_r", "cbar": False, "square": True, "annot": True, "annot_kws": {"size": 9}}
style |= {"xticklabels": columns, "yticklabels": rows}
sns.heatmap(crop, fmt="d", ax=axes[0], **style)
sns.heatmap(crop / 255, fmt=".2f", ax=axes[1], **style)
for ax, title in zip(axes, ("As stored: 0 to 255", "Scaled: 0 to 1"), strict=True):
    ax.set(title=title, xlabel="Column (pixels)", ylabel="Row (pixels)")
    ax.tick_params(axis="y", rotation=0)
plt.show()

# %% [markdown]
# The picture is the same, and nothing is lost: multiply by 255 and every number is back. Two
# details are easy to get wrong.
#
# **Calculate with floats.** Arithmetic within `uint8` wraps around at 256, like the mileage counter
# of an old car: twice 200 is 400 − 256 = 144.
#
# **Use `float32`.** Divide integers in NumPy and you get `float64`, eight bytes per number. Networks
# compute with `float32`, four bytes. The original post divided its table of integers by `255.0`,
# and so held its images in twice the memory that `float32` takes.

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
# A network can memorise its training images, so its score on them says little about new ones. We
# therefore learn from 80 % of the labelled images and judge by the other 20 %, the **validation**
# images. We split before anything is learned from the data, and only once: with the same seed, later
# chapters set aside the same 8,400 images.
#
# The split is **stratified**: the images of each digit are divided 80 to 20, so both parts hold the
# digits in equal proportion. A plain random split leaves that to chance.

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
# What counts is each digit's *share*. We take the difference between its share of the validation
# images and its share of all images, and look at the digit where it is largest.

# %%
shares = 100 * counts.drop("sum") / counts.loc["sum"]
off_by = shares[["validation", "plain validation"]].sub(shares["all"], axis=0).abs().max()
print("largest difference, in percentage points:")
print(off_by.round(3).to_string())

# %% [markdown]
# The plain split is off by up to 0.63<!--= 02.off_plain .2f --> percentage points, the stratified one by
# 0.005<!--= 02.off_stratified .3f -->, which is rounding: images cannot be halved. With thousands of
# images of each digit, the plain split does little harm. With a few images of a rare class, it can leave
# the class out of the validation images altogether (exercise 2 tries a small split). Stratifying costs
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
# Why not judge by the validation images alone? Train fifty networks, keep the one with the best
# validation score, and part of its lead is luck on those images. Its score is too high, and the more
# networks you try, the more so. The test images have no part in any choice, so the score on them is
# not inflated. That holds only while they stay out of sight: in this book, the loader does not hand
# out their labels.

# %% tags=["nbval-check-output"]
for name in ("images", "labels", "test_images", "test_labels"):
    print(f"{name:12} {getattr(digits, name).shape if hasattr(digits, name) else 'not there'}")

# %% [markdown]
# ## Statistics from the training images only
#
# Dividing by 255 needs no data. Other ways of scaling do. **Standardising** subtracts the mean of
# all pixels and divides by their standard deviation, so that the values have mean 0 and standard
# deviation 1. Both numbers have to come from the *training* images. Computed from all images, they
# carry a little knowledge of the validation images into training. That is **leakage**.

# %%
pixel_mean, pixel_spread = train_images.mean(), train_images.std()
leaky_mean, leaky_spread = digits.images.mean(), digits.images.std()
print(f"training images   mean {pixel_mean:.2f}, standard deviation {pixel_spread:.2f}")
print(f"all images        mean {leaky_mean:.2f}, standard deviation {leaky_spread:.2f}")

# %% [markdown]
# Here the leak changes next to nothing: the mean moves from 33.41<!--= 02.pixel_mean .2f -->
# to 33.45<!--= 02.leaky_mean .2f --> grey levels. Two numbers cannot carry much. The
# habit matters because other leaks carry far more.
#
# Here is one. We take 2,000 training images and double them by adding a copy of each, shifted right by
# one pixel. Adding altered copies is a sound idea, and chapter 4 uses a better form of it. But look what
# happens if we add them *before* the split, so that many an image lands in one part and its copy in the
# other. The classifier is chapter 1's nearest neighbours, with a single neighbour: it gives each image
# the label of the closest training image.

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
print(f"with copies on both sides  {leaky_score:.1%}  ({leaky_low:.1%} to {leaky_high:.1%})")
print(f"on images without a copy   {fair_score:.1%}  ({fair_low:.1%} to {fair_high:.1%})")

# %% [markdown]
# The classifier seems to reach 96.1 %<!--= 02.leaky_accuracy .1% -->. On images
# without a copy on the other side the same classifier reaches
# 91.1 %<!--= 02.fair_accuracy .1% -->. The 95 % intervals, in brackets, do not
# overlap: the difference is not chance, it is the leak.
#
# The rule is short: **split first**, then do everything else, and let only the training images
# decide how it is done.
#
# ## Labels: one-hot, or not
#
# A label is a number, but its size means nothing here: a 4 is no nearer to a 5 than to a 9. Suppose a
# network answered with *one* number. Undecided between 3 and 9, it would answer 6. So our networks get ten
# outputs, one probability for each digit. **One-hot encoding** writes the label in the same form: a 1
# in the place of its digit, 0 everywhere else.

# %% tags=["nbval-check-output"]
one_hot = keras.utils.to_categorical(train_labels, 10)
for digit, encoded in zip(train_labels[:4], one_hot[:4], strict=True):
    print(digit, "->", encoded.astype(int))
print(one_hot.shape)

# %% [markdown]
# How wrong are ten probabilities $p_0, \dots, p_9$, when $y_0, \dots, y_9$ is the one-hot label? A
# number that says so is a **loss**. The usual one for classes is the **cross-entropy**:
#
# $$-\sum_{k=0}^{9} y_k \log p_k$$
#
# Nine of the ten terms are multiplied by 0. What remains is $-\log p_y$, the negative logarithm of the
# probability of the true digit $y$. It is 0 when that probability is 1, and it grows without limit as the
# probability goes to 0. (The logarithm is the natural one; the unit is then called the *nat*.)
#
# To find $p_y$ you need only know which digit it is, so the plain label serves as well. Keras has a loss
# for either form. Here is an image of a 3, and a network that gives the 3 a probability of 0.64.

# %% tags=["nbval-check-output"]
probabilities = np.full((1, 10), 0.02)
probabilities[0, [3, 5]] = 0.64, 0.20

from_one_hot = keras.losses.categorical_crossentropy(np.eye(10)[[3]], probabilities)
from_label = keras.losses.sparse_categorical_crossentropy(np.array([3]), probabilities)
print(f"categorical_crossentropy, one-hot label      {float(from_one_hot[0]):.4f}")
print(f"sparse_categorical_crossentropy, plain label {float(from_label[0]):.4f}")
print(f"minus the logarithm of 0.64                  {-np.log(0.64):.4f}")

# %% [markdown]
# All three numbers agree. The original post encodes its labels; this book keeps them plain and uses the
# *sparse* loss, which saves a step and some memory. You need the long form when a label is not
# all-or-nothing: when two images are blended, or when you ask the network for a little less than
# certainty, 0.9 for the 3 and the rest for the others (*label smoothing*, chapter 7).
#
# ## How a network learns
#
# Images, labels and a loss are ready. What does a network do with them? It changes its weights, a
# little at a time, so that the loss goes down. Let us do that by hand, with a single weight.
#
# ### One weight, one step
#
# Chapter 1 found that a 1 takes the least ink and a 0 the most. Let us tell these two digits apart by
# their ink alone. We standardise the ink and call it $x$: an image with more ink than the average of the
# two has a positive $x$. One **weight** $w$ turns $x$ into the probability that the image is a 1:
#
# $$p = \frac{1}{1 + e^{-w x}}$$
#
# This is the **logistic function**, the one that logistic regression is named after. When $w x$ is large,
# $p$ is close to 1; when it is far below zero, $p$ is close to 0. At $w = 0$ every image gets
# $p = \frac{1}{2}$. The probability of a 0 is $1 - p$, which is the same formula with $-w$. The loss is
# again the cross-entropy: the mean of $-\log$ of the true digit's probability.

# %% tags=["nbval-check-output"]
zero_or_one = np.isin(train_labels, (0, 1))
ink = train_images[zero_or_one].mean(axis=(1, 2))
x = (ink - ink.mean()) / ink.std()
y = train_labels[zero_or_one].astype(float)  # 1 for a 1, 0 for a 0


def probability_of_one(w):
    return 1 / (1 + np.exp(-w * x))


def loss(w):
    p_true = np.where(y == 1, probability_of_one(w), probability_of_one(-w))
    return -np.mean(np.log(p_true))


print(f"loss at w = 0     {loss(0.0):.4f}")
print(f"loss at w = 0.01  {loss(0.01):.4f}")
print(f"slope             {(loss(0.01) - loss(0.0)) / 0.01:.4f}")

# %% [markdown]
# We nudged the weight up by 0.01, and the loss went up, at a rate of
# 0.41<!--= 02.first_gradient .2f --> per unit of $w$. This slope is the **gradient**. It tells us which
# way to go: uphill lies to the right, so $w$ has to become negative. That makes sense, because ink speaks
# against a 1.
#
# You need not nudge. For this loss, calculus gives the gradient as a mean over the images: each image's
# error $p - y$ times its input $x$, where $y$ is 1 for a 1 and 0 for a 0. The value differs slightly from
# the slope above, which we took over a stretch of 0.01 and not at one point. With this gradient we take
# one step downhill.
#
# <details>
# <summary>The calculus</summary>
#
# The derivative of $p$ with respect to $w$ is $p\,(1-p)\,x$. For a 1 the loss is $-\log p$, and its
# derivative is $-\frac{1}{p}\,p\,(1-p)\,x = (p-1)\,x$. For a 0 it is $-\log(1-p)$, and its derivative is
# $\frac{1}{1-p}\,p\,(1-p)\,x = p\,x$. Both are $(p-y)\,x$.
#
# </details>

# %% tags=["nbval-check-output"]
w = 0.0
gradient = np.mean((probability_of_one(w) - y) * x)
print(f"gradient {gradient:.4f}")

w = w - 1.0 * gradient
print(f"w is now {w:.4f}, the loss {loss(w):.4f}")

# %% [markdown]
# One step takes the loss from 0.693<!--= 02.first_loss .3f --> to
# 0.544<!--= 02.second_loss .3f -->. Learning is this step, repeated. It is called **gradient descent**.
#
# ### How long a step? The learning rate
#
# The 1.0 in front of the gradient is the **learning rate**. Nothing says that 1.0 is right, so we
# descend three times, 50 steps each, with a small, a medium and a large one.


# %%
def descend(learning_rate, n_steps=50):
    path = [0.0]
    for _ in range(n_steps):
        gradient = np.mean((probability_of_one(path[-1]) - y) * x)
        path.append(path[-1] - learning_rate * gradient)
    return path


paths = {learning_rate: descend(learning_rate) for learning_rate in (0.1, 1.0, 300.0)}
losses = {rate: [loss(w) for w in path] for rate, path in paths.items()}
ink_score = np.mean((probability_of_one(paths[1.0][1]) > 0.5) == y)
print(f"classified correctly after one step of rate 1: {ink_score:.1%}")

# %% mystnb={"image": {"alt": "Two panels. Left: the loss against the weight is a valley; dots of the descent with learning rate 1 run down its right slope, closer together the deeper they come, while squares of the last steps with rate 300 sit on both slopes. Right: the loss against the step. With rate 0.1 it falls slowly, with 1 it falls fast and levels off, with 300 it jumps up first and comes down after twenty steps."}} tags=["hide-input"]
# @title Draws the loss against the weight, and against the step for three learning rates
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4))
weights = np.linspace(-12, 1, 200)
left.plot(weights, [loss(w) for w in weights], color=plots.GREY)
left.plot(paths[1.0], losses[1.0], "o", color=plots.BLUE, label="steps with rate 1")
left.plot(paths[300.0][-6:], losses[300.0][-6:], "s", color=plots.RED, label="last steps with 300")
left.set(title="Down the valley", xlabel="Weight w", ylabel="Loss (cross-entropy, nats)")
styles = {0.1: (plots.ORANGE, ":"), 1.0: (plots.BLUE, "-"), 300.0: (plots.RED, "--")}
for rate, (colour, line) in styles.items():
    right.plot(losses[rate], line, color=colour, label=f"learning rate {rate:g}")
right.set(title="The loss, step by step", xlabel="Step", ylabel="Loss (cross-entropy, nats)")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# With a learning rate of 1 the loss falls to 0.185<!--= 02.last_loss .3f --> in 50 steps. The steps
# shorten by themselves, because the gradient shrinks towards the bottom. With 0.1 we are only at
# 0.35<!--= 02.slow_loss .2f --> when the 50 steps are over. With 300 the first step flies over the bottom
# and high up the far slope: the loss jumps to 2.3<!--= 02.overshoot_loss .1f -->. It takes some twenty
# steps to come back. From then on the weight leaps from one slope to the other (the squares) and never
# settles at the bottom. In a network there may be no way back at all, as you will see below.
#
# No formula gives the right learning rate. In practice you start small, raise it threefold or tenfold
# until the loss jumps, and go back a step or two (exercise 4).
#
# **Why a loss, and not the accuracy?** After the first step of rate 1,
# 93.2 %<!--= 02.ink_accuracy .1% --> of these images are classified correctly, and no later step changes
# that: as long as $w$ is below zero, every image with $x$ below zero is called a 1, whatever the size of
# $w$. A nudge of $w$ leaves the accuracy as it is, so its slope is 0 and shows no way down. The loss
# responds to every change of a probability.
#
# ### Ten digits: batches and epochs
#
# Now for all ten digits and all 784 pixels. Each digit gets one weight for each pixel, and its sum adds up
# the weighted pixels. To each sum we add one more weight, its **bias**, whose input is always 1.
# **Softmax** turns the ten sums into ten probabilities: it raises $e$ to the power of each and divides by
# the total. (The code subtracts the largest sum first. That changes no probability and keeps the powers
# from growing too large for a float.) This is chapter 1's logistic regression.
#
# The gradient keeps its form: the error $p - y$ of each digit times each input, as a mean over the images.
# `x.T @ error` below forms all 784 × 10 of these products and adds them up over the images.


# %%
def softmax(sums):
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def linear_model(weights, x):
    w, b = weights
    return softmax(x @ w + b)


def linear_gradients(weights, x, y):
    error = (linear_model(weights, x) - y) / len(x)
    return [x.T @ error, error.sum(axis=0)]


# %% [markdown]
# All training images together give the exact gradient, but computing it means going through all of
# them for a single step. A hundred images already show roughly which way is down. So each step uses
# the next 128 images, a **batch**. When every image has been used once, an **epoch** is over; the
# images are shuffled and the next epoch begins. Because chance decides which images share a batch,
# this is called **stochastic gradient descent**, SGD.

# %% tags=["nbval-check-output"]
some_images, some_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
flat_images = some_images.reshape(-1, 784) / np.float32(255)
flat_validation = validation_images.reshape(-1, 784) / np.float32(255)
targets = keras.utils.to_categorical(some_labels, 10)
print(f"images {flat_images.shape}, targets {targets.shape}, {flat_images.dtype}")


def train_by_hand(weights, model, gradients_of):
    random, losses = np.random.default_rng(SEED), []
    for _ in range(EPOCHS):
        order = random.permutation(len(flat_images))
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            x, y = flat_images[batch], targets[batch]
            losses.append(-np.mean(np.log(np.sum(y * model(weights, x), axis=1))))
            for weight, gradient in zip(weights, gradients_of(weights, x, y), strict=True):
                weight -= LEARNING_RATE * gradient
    return losses


# %% [markdown]
# The last line of the loop is the step you took above, once for each array of weights; it changes the
# arrays in place. The line that computes the loss multiplies by the one-hot targets, and so picks out the
# probability of the true digit. The weights start at 0: all ten probabilities are 0.1, and the loss is
# $\log 10$, about 2.30.

# %%
linear_weights = [np.zeros((784, 10), "float32"), np.zeros(10, "float32")]
linear_losses = train_by_hand(linear_weights, linear_model, linear_gradients)
linear_guess = linear_model(linear_weights, flat_validation).argmax(axis=1)
linear_score = accuracy(validation_labels, linear_guess)
linear_low, linear_high = accuracy_interval(validation_labels, linear_guess)
print(f"{len(linear_losses)} steps, validation accuracy {linear_score:.1%}")

# %% [markdown]
# An epoch is 263 steps: 262 full batches and one of 64 images. After three epochs the model classifies
# 91.6 %<!--= 02.linear_by_hand_accuracy .1% --> of the validation images correctly. In chapter 1,
# scikit-learn trained the same model for much longer, with a penalty on large weights, and reached
# 92.2 %<!--= 01.logistic_regression_accuracy .1% -->.
#
# ### A hidden layer, and backpropagation
#
# Longer training buys this model very little. Each digit has one sum, and a sum weighs every pixel
# on its own: it cannot say "ink here *or* there, but not in both places".
#
# So we put something in between. 64 weighted sums of the pixels come first, and negative ones are set to
# zero (**ReLU**: $\max(s, 0)$). The ten sums of the digits then read those 64 numbers instead of the
# pixels. A sum with its ReLU is a **neuron**, the 64 are a **hidden layer**, and the whole is a small
# **network** with 784 × 64 + 64 weights in the first layer and 64 × 10 + 10 in the second, 50,890 in all.
# The ReLU matters: without it, weighted sums of weighted sums would be just weighted sums of the pixels.
#
# How would a nudge of a weight in the *first* layer change the loss? Its effect passes through the second
# layer, so we compute backwards. The error at the ten outputs is $p - y$, as before. A hidden neuron's
# error is the sum of these ten, each multiplied by the weight that leads to that output. It is zero where
# ReLU has set the neuron to zero, because there a small nudge changes nothing. Sending errors back through
# the layers in this way is **backpropagation**, and it is one line of code. The gradients of the first
# layer are then error times input again.


# %%
def network_model(weights, x):
    w1, b1, w2, b2 = weights
    hidden = np.maximum(x @ w1 + b1, 0)
    return softmax(hidden @ w2 + b2)


def network_gradients(weights, x, y):
    w1, b1, w2, b2 = weights
    hidden = np.maximum(x @ w1 + b1, 0)
    error = (softmax(hidden @ w2 + b2) - y) / len(x)
    hidden_error = (error @ w2.T) * (hidden > 0)  # backpropagation
    return [x.T @ hidden_error, hidden_error.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


# %% [markdown]
# These weights cannot all start at 0: equal neurons get equal gradients and stay equal for ever. They
# start at random. The more inputs a sum has, the smaller its weights: a standard deviation of
# $\sqrt{2/n}$ for $n$ inputs keeps the sums about as large in one layer as in the next. (The 2 makes up
# for the half that ReLU sets to zero: [He and others, 2015](https://arxiv.org/abs/1502.01852).)

# %%
random = np.random.default_rng(SEED)
start_weights = [
    random.normal(0, np.sqrt(2 / 784), (784, 64)).astype("float32"),
    np.zeros(64, "float32"),
    random.normal(0, np.sqrt(2 / 64), (64, 10)).astype("float32"),
    np.zeros(10, "float32"),
]
network_weights = [weight.copy() for weight in start_weights]
network_losses = train_by_hand(network_weights, network_model, network_gradients)
network_guess = network_model(network_weights, flat_validation).argmax(axis=1)
network_score = accuracy(validation_labels, network_guess)
network_low, network_high = accuracy_interval(validation_labels, network_guess)
print(f"{len(network_losses)} steps, validation accuracy {network_score:.1%}")

# %% mystnb={"image": {"alt": "Loss against the training step for the linear model and the network with a hidden layer. Both fall steeply in the first fifty steps and then slowly; single batches scatter around the smoothed lines. The network's line starts a little higher and ends well below the linear model's."}} tags=["hide-input"]
# @title Draws the loss of each batch, with and without a hidden layer
ax = plt.subplots()[1]
for name, losses_by_hand, colour, line in (
    ("ten sums", linear_losses, plots.ORANGE, "--"),
    ("with a hidden layer", network_losses, plots.BLUE, "-"),
):
    ax.plot(losses_by_hand, color=colour, alpha=0.2, linewidth=0.8)
    smooth = pd.Series(losses_by_hand).rolling(50, min_periods=1).mean()
    ax.plot(smooth, line, color=colour, label=f"{name}, mean of 50 steps")
ax.set(
    title="Many weights: the loss of each batch",
    xlabel="Step (one batch each)",
    ylabel="Loss (cross-entropy, nats)",
    ylim=(0, 2.5),
)
ax.legend()
plt.show()

# %% [markdown]
# With the hidden layer, the same loop on the same batches reaches
# 94.9 %<!--= 02.network_by_hand_accuracy .1% -->: it gets 5.1 %<!--= 02.network_by_hand_error .1% --> of
# the validation images wrong instead of 8.4 %<!--= 02.linear_by_hand_error .1% -->. The 95 % intervals
# do not overlap: one ends at 92.2 %<!--= 02.linear_by_hand_high .1% -->, the other begins at
# 94.4 %<!--= 02.network_by_hand_low .1% -->. The thin lines are ragged because each batch holds other
# images, and downhill on one is only roughly downhill on all.
#
# ### The same step in Keras
#
# You have now seen the whole of training. From here on Keras does it: it works out the gradients of
# whatever layers you stack, and its `fit` is the loop. Is it really the same? We give a Keras network our
# starting weights and one batch, let both take one step, and compare the weights afterwards.


# %%
def build_small_network():
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


# %% tags=["nbval-check-output"]
network = build_small_network()
network.compile(keras.optimizers.SGD(LEARNING_RATE), loss="sparse_categorical_crossentropy")
network.set_weights(start_weights)
network.train_on_batch(prepare_images(some_images[:BATCH_SIZE]), some_labels[:BATCH_SIZE])

gradients = network_gradients(start_weights, flat_images[:BATCH_SIZE], targets[:BATCH_SIZE])
by_hand = [w - LEARNING_RATE * g for w, g in zip(start_weights, gradients, strict=True)]
differences = [np.abs(a - b).max() for a, b in zip(by_hand, network.get_weights(), strict=True)]
print("weights:", network.count_params(), "  the same up to rounding:", max(differences) < 1e-5)

# %% [markdown]
# Both steps end at the same weights, up to rounding.
#
# ## Does scaling matter?
#
# You can now predict what happens without the division by 255. A gradient is error times input: for the
# same error, inputs 255 times larger give gradients 255 times larger. With the same learning rate, the
# steps fly over the bottom as the red ones above did.
#
# We measure it with the network just built, on the same images prepared in three ways. The rule that
# turns a gradient into a step is the **optimizer**, and we try two at Keras's default settings. You know
# SGD; its default learning rate is 0.01. **Adam** ([Kingma and Ba, 2015](https://arxiv.org/abs/1412.6980))
# averages the latest gradients of each weight and divides by their typical size, so the length of a step
# hardly depends on the size of the gradients.
#
# Besides the accuracy we note the loss before the first step, and how many of the 64 hidden neurons end
# up *silent*: zero for every validation image.

# %%
preparations = {
    "raw": lambda images: images.astype("float32")[..., np.newaxis],
    "scaled": prepare_images,
    "standardised": lambda images: (
        (images.astype("float32") - np.float32(pixel_mean)) / np.float32(pixel_spread)
    )[..., np.newaxis],
}


def train_and_score(x_some, x_judge, optimizer, seed):
    set_seed(seed)
    network = build_small_network()
    network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    first_loss = network.evaluate(x_judge, validation_labels, batch_size=1024, verbose=0)
    network.fit(x_some, some_labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    flatten, hidden, _ = network.layers
    strongest = keras.ops.convert_to_numpy(hidden(flatten(x_judge))).max(axis=0)
    predicted = keras.ops.convert_to_numpy(network(x_judge)).argmax(axis=1)
    return accuracy(validation_labels, predicted), first_loss, np.sum(strongest == 0)


# %% [markdown]
# Training starts from random weights, so we train each combination three times and show every result. The
# table of means grows as the results come in; all of them take about a minute.

# %%
progress = display("training ...", display_id=True)
results = []
for name, prepare in preparations.items():
    x_some, x_judge = prepare(some_images), prepare(validation_images)
    for optimizer in ("SGD", "Adam"):
        for seed in range(SEED, SEED + N_SEEDS):
            measured = train_and_score(x_some, x_judge, optimizer, seed)
            results.append([optimizer, name, *measured])
        columns = ["optimizer", "input", "accuracy", "first loss", "silent neurons"]
        by_kind = pd.DataFrame(results, columns=columns).groupby(["optimizer", "input"])
        progress.update(by_kind.mean().round(4))

# %% mystnb={"image": {"alt": "Dot chart of validation accuracy for raw, scaled and standardised images, one dot per training, with SGD and Adam marked by colour and shape. On raw images the SGD dots lie far lower than all others; on scaled and standardised images they come closer to those of Adam."}} tags=["hide-input"]
# @title Draws the accuracy of every training
ax = plt.subplots()[1]
kinds = (("SGD", "s", -0.08, plots.BLUE), ("Adam", "o", 0.08, plots.ORANGE))
for optimizer, mark, shift, colour in kinds:
    for place, name in enumerate(preparations):
        scores = 100 * by_kind.get_group((optimizer, name))["accuracy"]
        places = np.full(len(scores), place + shift)
        ax.plot(places, scores, mark, color=colour, alpha=0.7, label="" if place else optimizer)
ax.set(
    title="One small network, images prepared in three ways",
    xlabel="What the network was given",
    ylabel="Validation accuracy (%)",
    xlim=(-0.5, 2.5),
    ylim=(0, 100),
)
ax.set_xticks(range(3), ["raw, 0 to 255", "scaled, 0 to 1", "standardised"])
ax.legend(title="Optimizer", loc="lower right")
plt.show()

# %% [markdown]
# **SGD fails on raw images**: 37.6 %<!--= 02.sgd_raw_accuracy .1% --> instead of
# 87.2 %<!--= 02.sgd_scaled_accuracy .1% -->. The last column shows what went wrong: after training,
# 57<!--= 02.sgd_raw_silent .0f --> of the 64 hidden neurons are silent. Steps that are far too long have
# silenced them. Remember the factor `hidden > 0`: where a neuron is zero for every image, its gradient
# is zero too, so it never recovers.
#
# **Adam loses less**: 87.6 %<!--= 02.adam_raw_accuracy .1% --> instead of
# 94.6 %<!--= 02.adam_scaled_accuracy .1% -->. Its steps are about as long as on scaled images. But the
# starting weights are made for inputs of about the size 1. On raw pixels the fresh network gives almost
# all the probability to one digit, mostly a wrong one: the loss before the first step is
# 163<!--= 02.first_loss_raw .0f --> instead of 2.4<!--= 02.first_loss_scaled .1f -->, and training has to
# make up for that first.
#
# So scaling does not make the data better. It makes them fit the starting weights and learning rates
# that our tools have by default. The learning rate alone makes a large difference: your network by hand,
# with SGD and a learning rate of 0.5 instead of 0.01, reaches
# 94.9 %<!--= 02.network_by_hand_accuracy .1% --> on the same scaled images.
#
# In these trainings standardising comes out ahead of scaling, with SGD by
# 3.9<!--= 02.sgd_standardised_gain .1p --> percentage points, with Adam by
# 1.1<!--= 02.adam_standardised_gain .1p -->. They are three trainings of a very small network, three
# epochs each; we have not measured it for a convolutional one. We divide by 255, as the original post did,
# and train with Adam. A fixed number needs no statistics, so nothing can leak.
#
# ## All steps at once
#
# The helper `prepare_images` does to the pixels what this chapter did by hand: it scales them and adds
# the channel. It raises an error for images that are scaled already, because a second division by 255 is
# easy to overlook.

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
#
# - A row of 784 integers becomes an array of shape (28, 28, 1) of `float32`, from 0 to 1.
# - The 42,000 labelled images are split into 33,600<!--= 02.n_train , --> for training and
#   8,400<!--= 02.n_validation , --> for validation. In the stratified split each digit's share is off by
#   at most 0.005<!--= 02.off_stratified .3f --> percentage points, in the plain one by up to
#   0.63<!--= 02.off_plain .2f -->.
# - With copies made before the split, a classifier seems to reach
#   96.1 %<!--= 02.leaky_accuracy .1% -->; on new images it reaches
#   91.1 %<!--= 02.fair_accuracy .1% -->.
# - Ten outputs give ten probabilities, and the cross-entropy says how wrong they are. Plain labels serve
#   as well as one-hot labels.
# - Learning is one step repeated: weight minus learning rate times gradient. In NumPy, three epochs
#   take ten weighted sums to 91.6 %<!--= 02.linear_by_hand_accuracy .1% --> and a network
#   with one hidden layer to 94.9 %<!--= 02.network_by_hand_accuracy .1% -->.
# - On raw pixels instead of scaled ones, the same network falls from
#   87.2 %<!--= 02.sgd_scaled_accuracy .1% --> to
#   37.6 %<!--= 02.sgd_raw_accuracy .1% --> with SGD, and from
#   94.6 %<!--= 02.adam_scaled_accuracy .1% --> to
#   87.6 %<!--= 02.adam_raw_accuracy .1% --> with Adam (means of three trainings).

# %%
trained = {f"{optimizer.lower()}_{name}": group for (optimizer, name), group in by_kind}
mean = {name: group["accuracy"].mean() for name, group in trained.items()}

# %%
report(
    n_train=len(x_train), n_validation=len(x_validation),
    off_stratified=off_by["validation"], off_plain=off_by["plain validation"],
    pixel_mean=pixel_mean, pixel_spread=pixel_spread, leaky_mean=leaky_mean,
    leaky_accuracy=leaky_score, leaky_low=leaky_low,
    fair_accuracy=fair_score, fair_high=fair_high,
    first_gradient=(loss(0.01) - loss(0.0)) / 0.01, ink_accuracy=ink_score,
    first_loss=losses[1.0][0], second_loss=losses[1.0][1], last_loss=losses[1.0][-1],
    slow_loss=losses[0.1][-1], overshoot_loss=losses[300.0][1],
    linear_by_hand_accuracy=linear_score, linear_by_hand_high=linear_high,
    linear_by_hand_error=1 - linear_score, network_by_hand_error=1 - network_score,
    network_by_hand_accuracy=network_score, network_by_hand_low=network_low,
    first_loss_raw=trained["sgd_raw"]["first loss"].mean(),
    first_loss_scaled=trained["sgd_scaled"]["first loss"].mean(),
    sgd_raw_silent=trained["sgd_raw"]["silent neurons"].mean(),
    **{f"{name}_accuracy": value for name, value in mean.items()},
    **{f"{name}_lowest": group["accuracy"].min() for name, group in trained.items()},
    **{f"{name}_highest": group["accuracy"].max() for name, group in trained.items()},
    sgd_standardised_gain=mean["sgd_standardised"] - mean["sgd_scaled"],
    adam_standardised_gain=mean["adam_standardised"] - mean["adam_scaled"],
)  # fmt: skip

# %% [markdown]
# ### Check yourself
#
# Answer before you unfold.
#
# **1.** You reshape rows with `order="F"` by mistake. What happens, and how do you notice?
#
# <details>
# <summary>Answer</summary>
#
# The shape is right, so nothing fails; the images are mirrored and lie on their sides. You notice when
# you look at some.
#
# </details>
#
# **2.** Why does a `Conv2D` layer refuse an array of shape (2, 28, 28)?
#
# <details>
# <summary>Answer</summary>
#
# The layer needs four axes: image, row, column, channel. Grey images have one channel, and its axis has
# to be there: (2, 28, 28, 1).
#
# </details>
#
# **3.** You want to standardise. From which images do you compute mean and standard deviation?
#
# <details>
# <summary>Answer</summary>
#
# You compute both from the training images alone. Otherwise knowledge of the validation images leaks into
# training.
#
# </details>
#
# **4.** What do you use the validation images for, and what the test images for?
#
# <details>
# <summary>Answer</summary>
#
# You use the validation images to choose: when to stop, which network, which settings. You use the test
# images once, to report, when every choice is made.
#
# </details>
#
# **5.** What does the gradient tell you, and what does a step do with it?
#
# <details>
# <summary>Answer</summary>
#
# It tells how fast the loss changes with each weight, and in which direction. A step subtracts the
# gradient times the learning rate from the weights.
#
# </details>
#
# **6.** 33,600 images, batches of 128, three epochs. How many steps?
#
# <details>
# <summary>Answer</summary>
#
# 33,600 / 128 is 262.5, so 263 batches per epoch, the last of 64 images. Three epochs are 789 steps.
#
# </details>
#
# **7.** What does backpropagation send back, and from where to where?
#
# <details>
# <summary>Answer</summary>
#
# It sends the errors at the outputs back to the neurons of the layer before, through the weights that
# connect them.
# A neuron's error times its inputs gives the gradients of its weights.
#
# </details>
#
# **8.** Why do hidden weights not start at zero?
#
# <details>
# <summary>Answer</summary>
#
# Equal neurons would get equal gradients and stay equal. 64 neurons would do the work of one.
#
# </details>
#
# **9.** Why does SGD fail on pixels from 0 to 255?
#
# <details>
# <summary>Answer</summary>
#
# The gradient is error times input, so for the same error it is 255 times larger. Steps that are far too
# long throw most hidden neurons so far that they are zero for every image, and there the gradient is zero
# too.
#
# </details>
#
# ## Exercises
#
# **1.** Which row and column does `pixel401` of Kaggle's table belong to? Check your answer.
#
# <details>
# <summary>Solution</summary>
#
# 401 = 28 × 14 + 9: row 14, column 9, counting from 0.
#
# ```python
# print(np.unravel_index(401, (28, 28)), row[401] == image[14, 9])
# ```
#
# ```text
# (np.int64(14), np.int64(9)) True
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
# ```text
# stratified 0 of 20 splits
# plain 15 of 20 splits
# ```
#
# In a stratified split it never happens: each digit gets about five.
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
# ```text
# largest difference of a probability: 4.172325e-07
# ```
#
# They agree up to rounding. Raw inputs make the gradient 255 times larger, and each weight has to be 255
# times smaller to give the same sum: together $255^2$. We leave the bias out because its input is always
# 1, scaled or not: no single learning rate suits both the bias and the weights.
#
# </details>
#
# **4.** Find a learning rate for the network by hand: try 0.01, 0.1, 1 and 10, each from
# `start_weights`. How does the loss of the last batches tell you which rates are too small and which
# too large?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for LEARNING_RATE in (0.01, 0.1, 1, 10):
#     weights = [weight.copy() for weight in start_weights]
#     last = np.mean(train_by_hand(weights, network_model, network_gradients)[-50:])
#     guess = network_model(weights, flat_validation).argmax(axis=1)
#     found = 100 * accuracy(validation_labels, guess)
#     print(f"{LEARNING_RATE:5}  loss {last:.3f}  accuracy (%) {found:.1f}")
# ```
#
# ```text
#  0.01  loss 0.542  accuracy (%) 87.1
#   0.1  loss 0.256  accuracy (%) 93.0
#     1  loss 0.156  accuracy (%) 93.5
#    10  loss 2.339  accuracy (%) 9.9
# ```
#
# (`train_by_hand` reads `LEARNING_RATE`, which the loop sets and leaves at 10.) With 0.01 the loss is still
# high after three epochs: too small. With 0.1 and 1 the network learns well. With 10, NumPy warns of the
# logarithm of 0: the probability of a true digit was 0. After that the loss stays near $\log 10$, about
# 2.30, as with ten equal probabilities: nothing is learned any more. Too large.
#
# </details>
#
# ## What's next
#
# The images are ready, and you know what training does with them.
# [A first convolutional network](03_base_cnn.ipynb) shows why a dense layer is the wrong tool for
# images, and what to use instead.
