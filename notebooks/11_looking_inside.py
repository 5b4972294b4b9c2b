# %% [markdown]
# # Looking inside
#
# **What does the network look at, and how far can we believe a picture of it?**

# %% [markdown]
# **You will learn**
#
# - what the filters and the maps of a convolutional network look like;
# - four ways to ask which part of an image an answer came from: saliency, occlusion, HiResCAM and Grad-CAM;
# - to check such a picture, by adding it up and by asking networks that have learned nothing;
# - to draw a map of all digits as the network sees them, and not to read too much into it.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [A first convolutional network](03_base_cnn.ipynb): filters, maps, pooling; [How fast can it learn?](07_how_fast_can_it_learn.ipynb): the lean network, logits; [Is it really better?](09_is_it_really_better.ipynb): McNemar's test |
# | Time | 25 minutes to read; the run takes two to five minutes on a laptop |

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
from functools import partial

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from keras import ops
from scipy.stats import spearmanr, t
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from statsmodels.stats.multitest import multipletests

from digit_utils import attribution, plots
from digit_utils.attribution import gradient
from digit_utils.attribution_plots import show_parts, show_rows
from digit_utils.comparing import mcnemar_p_value
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy
from digit_utils.fast import Recipe, Trainer
from digit_utils.models import build_fast_cnn
from digit_utils.results import report
from digit_utils.training import set_seed
from digit_utils.widgets import embedding_map_html

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the subsets and the first training; the second adds 1
N_TRAIN: int = 0  # training images to use, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images to use, at least 0; 0: all 8,400
EPOCHS: int = 3  # passes over the training images, at least 1
BATCH_SIZE: int = 256  # images per training step, at least 1
N_ASKED: int = 60  # validation images that the test of the pictures asks about, at least 1
N_UNTRAINED: int = 10  # untrained networks in that test, at least 2
N_MAP: int = 1500  # validation images on the map, at least 1

# %% [markdown]
# We train the lean network of [chapter 7](07_how_fast_can_it_learn.ipynb) twice. The first network is the
# one we look into. The second, trained with another seed, helps to tell what belongs to the task from the luck
# of one training.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
images, labels = take_subset(validation_images, labels, N_VALIDATION or None, seed=SEED)
x = prepare_images(images)
print(f"training   {train_images.shape}")
print(f"validation {x.shape}")

# %%
trainer = Trainer(Recipe(epochs=EPOCHS, batch_size=BATCH_SIZE))
network = trainer.train(train_images, train_labels, SEED).network
second_network = trainer.train(train_images, train_labels, SEED + 1).network


def read(some_network, x):
    return some_network.predict(x, batch_size=512, verbose=0).argmax(axis=1)


predicted = read(network, x)
validation_accuracy = accuracy(labels, predicted)
second_accuracy = accuracy(labels, read(second_network, x))
print(f"read correctly: {validation_accuracy:.2%}, and {second_accuracy:.2%} by the second")

# %% [markdown]
# The first network reads 99.54 %<!--= 11.validation_accuracy .2% --> of the validation images correctly, the
# second 99.50 %<!--= 11.second_accuracy .2% -->.
#
# ## The filters
#
# The first convolution has sixteen filters of 5 × 5 weights. In the figure, red weights are positive, blue ones
# negative; each filter has a colour scale of its own.

# %% mystnb={"image": {"alt": "Sixteen squares of five by five cells, red where a filter's weights are positive and blue where they are negative. In some, red lies on one side and blue on the other."}} tags=["hide-input"]
# @title Draws the sixteen filters of the first layer
filters = np.asarray(network.layers[0].kernel)[:, :, 0].transpose(2, 0, 1)
filters = filters / np.abs(filters).max(axis=(1, 2), keepdims=True)
rows = {"1 to 8": filters[:8], "9 to 16": filters[8:]}
show_rows(rows, title="The sixteen filters of the first layer (no unit)")
plt.show()

# %% [markdown]
# A filter that is red on one side and blue on the other responds to an edge, like those made by
# hand in [chapter 3](03_base_cnn.ipynb). Others have no pattern with a name: training makes filters useful
# to the next layer, not legible.
#
# ## One digit on its way through
#
# Now send a 5 through the network. Each of its five convolutions ends in a ReLU; after each one we draw the eight
# maps with the largest sums. White is 0.

# %%
activations = [
    number for number, layer in enumerate(network.layers) if isinstance(layer, keras.layers.ReLU)
]


def choose(digit, place):
    """Find an image of a digit, one that was read correctly if there are enough."""
    return np.argsort(2 * (labels != digit) + (predicted != labels), kind="stable")[place]


five = choose(5, 0)
rows = {"the digit": images[five][np.newaxis]}
for convolution, number in enumerate(activations, start=1):
    front = keras.Sequential(network.layers[: number + 1])
    maps = ops.convert_to_numpy(front(x[five : five + 1]))[0]
    strongest = np.argsort(-maps.sum(axis=(0, 1)))[:8]
    rows[f"conv {convolution}\n{len(maps)} × {len(maps)}"] = maps[..., strongest].transpose(2, 0, 1)

# %% mystnb={"image": {"alt": "A digit, and below it five rows of eight maps: in the first rows the strokes can be made out, in the last ones only a few grey squares."}} tags=["hide-input"]
# @title Draws the digit and eight maps of each layer
show_rows(rows, title="A digit, and eight maps of each layer (white: 0)")
plt.show()

# %% [markdown]
# In the first maps you can still read the digit; a map that is grey all around it responds to blank paper.
# Then the maps shrink, from 14 × 14 values to 3 × 3. They keep *which* features are there and give up
# exactly where: through five convolutions and two poolings, every pixel of the image can affect each of the
# nine values of a last map.
#
# ## Which part of the image did the answer come from?
#
# The network reads an image as a 4. Which pixels made it do so? There are several ways to ask, and each asks
# something else. All of them explain the *score* of a digit, which is its logit. The probability depends on all ten
# scores, and near 1 it hardly moves: when the score falls by 1, a probability of 0.9999<!--= given --> falls only to
# 0.9997<!--= given -->.
#
# **Change a pixel a little.** Training computes how the loss changes with each weight. The same
# backpropagation, carried one step further to the input, tells how a score changes with each *pixel*. The size of
# that gradient, without its sign, is the **saliency** ([Simonyan and others](https://arxiv.org/abs/1312.6034)).


# %%
def add_scores(outputs, digits):
    return ops.sum(outputs * ops.one_hot(digits, 10))


def saliency(network, x, digits):
    slopes = gradient(lambda x: add_scores(network(x), digits), x)
    return np.abs(slopes)[..., 0]


# %% [markdown]
# `gradient` differentiates a function with respect to its argument, with whatever library Keras runs on. The
# scores of all images are added up to get all gradients at once; since no image affects another's score,
# each gradient is that of its own image's score.
#
# **Blank a square.** A gradient is about tiny changes. **Occlusion**
# ([Zeiler and Fergus](https://arxiv.org/abs/1311.2901)) covers a square of the image, notes how far the score
# falls, and moves the square on. Their squares are grey. Ours are blank paper, 4 × 4 pixels, and move by two pixels.


# %%
def occlusion(network, x, digits, size=4, step=2):
    def scores(x):
        return ops.convert_to_numpy(network(x))[np.arange(len(x)), digits]

    whole, starts = scores(x), range(0, 28 - size + 1, step)
    falls = np.zeros((len(x), len(starts), len(starts)))
    for i, row in enumerate(starts):
        for j, column in enumerate(starts):
            blanked = x.copy()
            blanked[:, row : row + size, column : column + size] = 0
            falls[:, i, j] = whole - scores(blanked)
    return falls


# %% [markdown]
# **Take the score apart.** Look at how this network makes a score: 128 last maps of 3 × 3 values,
# `Flatten`, one dense layer. So a score *is* a sum of 9 × 128 products, value times weight, plus a
# bias. Add up the 128 products at each place, and you have nine parts that add up to the score minus the bias.

# %% tags=["nbval-check-output"]
shown = np.array([choose(digit, 1) for digit in (0, 3, 4, 7, 8, 9)])
last_maps = activations[-1]
maps = ops.convert_to_numpy(keras.Sequential(network.layers[: last_maps + 1])(x[shown]))
kernel, bias = network.layers[-1].get_weights()
weights = kernel.reshape(3, 3, 128, 10)

parts = np.einsum("nrcm,rcmd->nrcd", maps, weights)  # image, row, column, digit
scores = ops.convert_to_numpy(network(x[shown]))
print(parts.shape)
print("adds up to the scores:", np.allclose(parts.sum(axis=(1, 2)) + bias, scores, atol=1e-3))

# %% [markdown]
# A score alone decides nothing: add 5 to all ten, and every answer stays the same. What decides is the *lead* over
# the next best digit. It has nine parts too, the differences between the parts of the two scores.

# %% mystnb={"image": {"alt": "Six digits in two rows, a square of three by three numbers over each. In the upper row the numbers add up to the score of the answer, in the lower one to its lead over the second best digit; red numbers speak for the answer, blue ones against it."}} tags=["hide-input"]
# @title Draws the nine parts of six scores, and of their leads over the next best digit
order, six = np.argsort(scores, axis=1), np.arange(len(shown))
of_answer, of_second = parts[six, :, :, order[:, -1]], parts[six, :, :, order[:, -2]]
rows = {"score of the answer": of_answer, "lead over the second": of_answer - of_second}
axes = show_parts(rows, images[shown], title="Nine parts add up (without the bias)")
for ax, (*_, second, answer) in zip(axes[0], order, strict=True):
    ax.set_title(f"{answer} before {second}", fontsize=10)
plt.show()

# %% [markdown]
# Compare the two rows: what a place adds to the score of the answer, it may add to the score of the second too,
# and then it does little for the lead. Each number can be checked: set the 128 values at a place to zero, and the
# score falls by exactly that much.
#
# But the numbers are exact about the *maps*, and it is a long way from there to the pixels: a square marks only
# the centre of the region that its place depends on. (The last four rows and columns of pixels have no
# square, because the second pooling turns 7 × 7 values into 3 × 3 and drops the seventh row and column.)
#
# In a dense layer the weight of a value is also the gradient of the score with respect to that value. Written with
# gradients, the recipe works for any layer: each value times its own gradient, added up over the maps. That is
# **HiResCAM** ([Draelos and Carin](https://arxiv.org/abs/2011.08891)). Where a single dense layer follows, it
# adds up to the score minus the bias.


# %%
def maps_and_slopes(network, x, digits, after):
    front = keras.Sequential(network.layers[: after + 1])
    rest = keras.Sequential(network.layers[after + 1 :])
    maps = front(x)
    slopes = gradient(lambda maps: add_scores(rest(maps), digits), maps)
    return ops.convert_to_numpy(maps), slopes


def hires_cam(network, x, digits, after):
    maps, slopes = maps_and_slopes(network, x, digits, after)
    return (slopes * maps).sum(axis=-1)


# %% [markdown]
# **Average first.** **Grad-CAM** ([Selvaraju and others](https://arxiv.org/abs/1610.02391)) is older and
# better known. It gives each map *one* weight, the mean of its gradients, adds up the weighted maps, and keeps only
# what is above 0.


# %%
def grad_cam(network, x, digits, after):
    maps, slopes = maps_and_slopes(network, x, digits, after)
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * maps).sum(axis=-1), 0)


# %% [markdown]
# In a network that averages each map before its dense layers, the gradient is the same all over a map, and the mean
# loses nothing. Our network has separate weights for every place. Since we know the exact parts, we can count
# how often the mean finds the largest of them.

# %%
parts_of_score = hires_cam(network, x, predicted, after=last_maps).reshape(len(x), 9)
averaged = grad_cam(network, x, predicted, after=last_maps).reshape(len(x), 9)
grad_cam_same_place = np.mean(averaged.argmax(axis=1) == parts_of_score.argmax(axis=1))
grad_cam_blank = np.mean(averaged.max(axis=1) == 0)
pd.Series(
    {
        "its strongest place is the largest part": f"{grad_cam_same_place:.1%} of the images",
        "its picture is blank": f"{grad_cam_blank:.1%} of the images",
    },
    name="Grad-CAM",
).to_frame()

# %% [markdown]
# Grad-CAM's strongest place is the largest part in only
# 44.6 %<!--= 11.grad_cam_same_place .1% --> of the images; a random guess among nine places is right in
# 11 %<!--= given -->. (In 0.02 %<!--= 11.grad_cam_blank .2% --> its picture is blank, because nothing is above 0.)
# For a network that ends like this one, use HiResCAM.
#
# Here are the four methods side by side. All explain the score of the answer, as is usual, and each picture
# has its own scale. Elsewhere you often see the CAM pictures enlarged and smoothed until they cover the image;
# here you see their nine values as they are.

# %%
wanted = x[shown], predicted[shown]
pictures = {
    "saliency": saliency(network, *wanted),
    "occlusion": occlusion(network, *wanted),
    "Grad-CAM": grad_cam(network, *wanted, after=last_maps),
    "HiResCAM": hires_cam(network, *wanted, after=last_maps),
}

# %% mystnb={"image": {"alt": "Six digits in the first row; below them a row each of saliency, occlusion, Grad-CAM and HiResCAM pictures of the same digits."}} tags=["hide-input"]
# @title Draws six digits and four pictures of each
rows = {"the digit": images[shown]}
for name, maps in pictures.items():
    rows[name] = maps / np.maximum(np.abs(maps).max(axis=(1, 2), keepdims=True), 1e-9)
show_rows(rows, title="Four ways to ask")
plt.show()

# %% [markdown]
# The pictures need not agree: each answers its own question. Occlusion and HiResCAM have a sign: red speaks for
# the answer, blue against it. Saliency and Grad-CAM have none, and are drawn from white to black.
#
# Occlusion has a blind spot: blanking blank paper changes nothing. Yet paper matters. What tells a 3 from an 8 is
# the open left side.
#
# ## Do the pictures show what was learned?
#
# A convincing picture may show no more than the digit. [Adebayo and others](https://arxiv.org/abs/1810.03292)
# proposed a test: ask a network with **random weights** too. If its pictures look the same, they owe nothing
# to training. In their experiments plain gradients and Grad-CAM passed; two other methods, Guided Backpropagation and
# Guided Grad-CAM, failed.
#
# To measure how alike two pictures are, we use *rank correlation*, as they did: it is 1 when both put all places in
# the same order, and 0 when the orders have nothing in common. We compare the first network's pictures with those of
# ten untrained networks, since a single one could be a fluke. The second trained network sets the standard: its
# pictures should be more like the first one's than those of a network that has learned nothing.
#
# The scatter of the ten tells where an eleventh untrained network would lie with
# 99 %<!--= given --> probability, if the values are normally distributed: between *low* and *high* in the table
# below. This is a **prediction interval**. (99 and not 95, because there are four methods.) A method passes when the
# second trained network lies above it. In the last two columns, as a control, the second picture is of *another
# image*.

# %%
methods = {  # the book's own versions: the lines above, and checks of what they are given
    "saliency": attribution.saliency,
    "occlusion": attribution.occlusion,
    "Grad-CAM": partial(attribution.grad_cam, after=last_maps),
    "HiResCAM": partial(attribution.hires_cam, after=last_maps),
}
untrained_networks = []
for number in range(N_UNTRAINED):
    set_seed(SEED + 2 + number)  # not the weights that a trained one began with
    untrained_networks.append(build_fast_cnn())


def alike(first, second):
    """Average the rank correlation over the images; a blank picture is like no other."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(first, second, strict=True)]
    return np.mean([spearmanr(a, b).statistic if np.ptp(a) * np.ptp(b) else 0 for a, b in pairs])


# %%
asked = np.flatnonzero(predicted == labels)[:N_ASKED]
agreement, of_untrained = {}, {}
for name, ask in methods.items():
    maps, of_second, *others = (
        ask(some, x[asked], predicted[asked])
        for some in (network, second_network, *untrained_networks)
    )
    of_untrained[name] = [alike(maps, other) for other in others]
    mean, scatter = np.mean(of_untrained[name]), np.std(of_untrained[name], ddof=1)
    reach = t.ppf(0.995, len(others) - 1) * scatter * np.sqrt(1 + 1 / len(others))
    agreement[name] = {
        "trained": alike(maps, of_second),
        "untrained": mean,
        "low": mean - reach,
        "high": mean + reach,
        "trained_wrong_image": alike(maps, np.roll(of_second, 1, axis=0)),
        "untrained_wrong_image": np.mean(
            [alike(maps, np.roll(other, 1, axis=0)) for other in others]
        ),
    }
agreement = pd.DataFrame(agreement).T
agreement.rename(columns=lambda name: name.replace("_", " ")).round(2)

# %% mystnb={"image": {"alt": "Dot chart, one row each for saliency, occlusion, Grad-CAM and HiResCAM. Grey ticks are the likeness to ten untrained networks, a bar the range in which an eleventh would lie, a dot the likeness to the second trained network. Only in occlusion's row the dot lies clearly to the right of the bar; in saliency's row it lies to the left."}} tags=["hide-input"]
# @title Draws how alike the pictures of different networks are
ax = plt.subplots(figsize=(7.2, 3.2))[1]
for row, name in enumerate(agreement.index):
    ends, others = agreement.loc[name, ["low", "high"]], of_untrained[name]
    ax.plot(ends, [row, row], color=plots.GREY, linewidth=1)
    label = "" if row else "an untrained network"
    ax.plot(others, [row] * len(others), "|", color=plots.GREY, markersize=13, label=label)
    label = "" if row else "the second trained network"
    ax.plot(agreement.loc[name, "trained"], row, "o", color=plots.BLUE, label=label)
ax.set_yticks(range(len(agreement)), agreement.index)
ax.set(
    title="Pictures of two networks: how alike?",
    xlabel="Rank correlation (bar: 99 % prediction interval)",
    xlim=(-1, 1),
    ylim=(len(agreement) - 0.5, -0.5),
)
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# **Occlusion passes**: 0.48<!--= 11.agreement_trained.occlusion .2f --> against at most
# 0.15<!--= 11.agreement_high.occlusion .2f -->.
#
# **Grad-CAM does not**, unlike in Adebayo's experiments. Their criterion was another one: the pictures of random
# networks should have little in common with those of the trained network. Ours compares that likeness with the
# likeness of two trained networks.
#
# **HiResCAM passes by a hair**: 0.37<!--= 11.agreement_trained.HiResCAM .2f --> against at most
# 0.36<!--= 11.agreement_high.HiResCAM .2f -->; another pair of networks may well fall on the other side. Yet it is
# exact for every one of these networks, trained or not. Two networks can make the same score from different places,
# and then exact pictures differ.
#
# **Saliency** is even *more* like that of untrained networks,
# 0.41<!--= 11.agreement_untrained.saliency .2f --> against
# 0.29<!--= 11.agreement_trained.saliency .2f -->. Before you blame it, look at the control: with pictures of
# different images, 0.33<!--= 11.agreement_untrained_wrong_image.saliency .2f --> remain. So most of that likeness has
# nothing to do with the image shown. Two things are the same in all these pictures. One is the task: ink in the middle
# of blank paper. The other is the architecture: with windows of 5 × 5 and a stride of 2, the first layer reads a pixel
# through nine windows where its row and column are both odd, and through four where both are even (counting from 0,
# away from the border).
#
# [Yona and Greenfeld](https://arxiv.org/abs/2110.14297) call the first of these *confounding*: what such a test says
# of a method can be due to the task on which the networks are compared.
#
# So the test tells whether pictures change with what was learned, on this task and with this architecture. It does
# not tell whether a picture is *right*. For that you need a claim that you can check: parts that add up,
# a square that you blank. And even then a picture shows *where*, never *why*.
#
# ## What does it ignore?
#
# There is a blunter way to ask, without any picture: change all images in one way, and count the answers that
# change.

# %%
edges_gone = np.zeros_like(x)
edges_gone[:, 4:-4, 4:-4] = x[:, 4:-4, 4:-4]
noise = np.random.default_rng(SEED).normal(0, 0.1, x.shape)  # standard deviation 0.1
changes = {
    "edges blanked": edges_gone,  # four pixels wide
    "greys removed": x > 0.5,
    "a little noise": np.clip(x + noise, 0, 1),
    "half as bright": 0.5 * x,  # ink half as strong
    "shifted right": np.roll(x, 2, axis=2),  # by two pixels
    "mirrored": x[:, :, ::-1],
    "ink and paper exchanged": 1 - x,
}
rows, correct = {}, predicted == labels
for name, changed in changes.items():
    now = read(network, changed.astype("float32"))
    lost, won = int(np.sum(correct & (now != labels))), int(np.sum(~correct & (now == labels)))
    rows[name] = np.mean(now != predicted), lost, won, mcnemar_p_value(lost, won)
columns = ["other answers", "right before, wrong now", "wrong before, right now", "p"]
ignored = pd.DataFrame(list(rows.values()), index=list(rows), columns=columns)
ignored["p"] = multipletests(ignored["p"], method="holm")[1]
shares = ignored["other answers"].map("{:.1%}".format)
p_values = [f"{p:.2g}" if p > 1e-300 else "< 1e-300" for p in ignored["p"]]
ignored.assign(**{"other answers": shares, "p": p_values})

# %% [markdown]
# The p-values are McNemar's ([chapter 9](09_is_it_really_better.ipynb)). Seven tests are seven chances of a false
# alarm, so we correct the p-values by **Holm's method**: it multiplies the smallest by seven, the next by six, and so
# on. We say that a loss shows where the result is below 0.05<!--= given -->.
#
# **The edges can go.** Without four pixels on each side, 0.2 %<!--= 11.changed_without_edges .1% --> of the
# answers change, and no loss shows. The same holds for a shift by two pixels, which the network has met in
# training, and for a little noise, which it has not. Without greys it loses a little
# (0.5 %<!--= 11.other_answers.greys removed .1% --> other answers), at half the brightness more
# (2.3 %<!--= 11.other_answers.half as bright .1% -->).
#
# **Ink and paper cannot be exchanged.** The edges were nearly blank to begin with, since the digits were made to fit
# 20 × 20 pixels ([chapter 1](01_eda.ipynb)); blanking them has occlusion's blind spot. So change the paper too. With
# ink and paper exchanged it is the same digit to you. To the network every number has changed, and so do
# 89.5 %<!--= 11.other_answers.ink and paper exchanged .1% --> of its answers.
#
# A mirrored digit is mostly no longer what its label says; there, *wrong* only means *other than the label*.
# [When the world shifts](13_when_the_world_shifts.ipynb) goes on from here.
#
# ## A map of all digits
#
# The 128 maps of nine values before the last layer, 1,152 numbers in all, are an image's **embedding**. From
# these numbers alone the last layer tells the digits apart, so we may expect images of one digit to lie close
# together. As with the pixels in [chapter 1](01_eda.ipynb), PCA reduces the numbers to fifty, and t-SNE arranges the
# images on a map.

# %%
on_map = slice(0, N_MAP)
embed = keras.Sequential(network.layers[:-1])
embedding = embed.predict(x[on_map], batch_size=512, verbose=0)
fifty = PCA(min(50, len(embedding)), random_state=SEED).fit_transform(embedding)
tsne = TSNE(init="pca", perplexity=min(30, len(fifty) - 1), random_state=SEED)
points = tsne.fit_transform(fifty)
HTML(embedding_map_html(points, images[on_map], labels[on_map], predicted[on_map]))

# %% [markdown]
# Point at a dot to see its digit (not on GitHub, which runs no scripts). Its colour is the label, a ring
# marks an error, and the button steps through the errors. t-SNE keeps *neighbours*: do not read anything into
# how far apart two islands lie, how large they are, or which way is up.
#
# So ask about neighbours, and in the embedding itself. For how many images does the nearest of the others have
# the same label? And where do the errors lie?


# %%
def nearest(rows):
    return NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(return_distance=False)[:, 0]


labels_here, read_here = labels[on_map], predicted[on_map]
pixels = x[on_map].reshape(len(points), 784)
same_digit_pixels = np.mean(labels_here[nearest(pixels)] == labels_here)
same_digit_embedding = np.mean(labels_here[nearest(embedding)] == labels_here)
errors = np.flatnonzero(read_here != labels_here)
beside = labels_here[nearest(embedding)[errors]]
n_errors_beside = np.sum(beside == read_here[errors])
n_errors_at_home = np.sum(beside == labels_here[errors])
print(f"same label: {same_digit_pixels:.1%} by pixels, {same_digit_embedding:.1%} by embedding")
print(f"errors: {len(errors)}, beside the digit they were taken for: {n_errors_beside},")
print(f"beside one of their own label: {n_errors_at_home}")

# %% [markdown]
# Compared by pixels, the nearest image has the same label for
# 90.3 %<!--= 11.same_digit_pixels .1% --> of the images; compared by embedding, for
# 99.2 %<!--= 11.same_digit_embedding .1% -->. Among 1,500<!--= 11.n_on_map , --> images there are
# 9<!--= 11.n_errors_on_map d --> errors, too few for a rule:
# 7<!--= 11.n_errors_beside d --> lie beside an image of the digit that they were taken for,
# 2<!--= 11.n_errors_at_home d --> beside one of their own label.
#
# ## What we found
#
# - Where a network ends in one dense layer, HiResCAM splits a score exactly into parts. Grad-CAM's
#   average finds the largest part in 44.6 %<!--= 11.grad_cam_same_place .1% --> of the images.
# - Tested against ten untrained networks, occlusion passes clearly, HiResCAM by a hair, Grad-CAM and saliency do
#   not. HiResCAM is exact all the same: the test does not tell whether a picture is right. **Believe a picture as
#   far as you can check it.**
# - The network needs ink on blank paper. It can do without the nearly blank edges
#   (0.2 %<!--= 11.changed_without_edges .1% --> other answers); with ink and paper exchanged,
#   89.5 %<!--= 11.other_answers.ink and paper exchanged .1% --> of its answers change.
# - In its embedding the nearest image has the same label in
#   99.2 %<!--= 11.same_digit_embedding .1% --> of the cases, by pixels in
#   90.3 %<!--= 11.same_digit_pixels .1% -->.

# %%
by_method = {f"agreement_{name}": column.to_dict() for name, column in agreement.items()}
report(
    validation_accuracy=validation_accuracy, second_accuracy=second_accuracy,
    grad_cam_same_place=grad_cam_same_place, grad_cam_blank=grad_cam_blank,
    **by_method,
    other_answers=ignored["other answers"].to_dict(), p_values=ignored["p"].to_dict(),
    changed_without_edges=ignored.loc["edges blanked", "other answers"],
    changed_at_most=ignored["other answers"].max(),
    n_on_map=len(points), n_errors_on_map=len(errors), n_errors_beside=n_errors_beside,
    n_errors_at_home=n_errors_at_home,
    same_digit_pixels=same_digit_pixels, same_digit_embedding=same_digit_embedding,
)  # fmt: skip

# %% [markdown]
# ### Check yourself
#
# Answer before you unfold.
#
# **1.** Training computes gradients, and so does saliency. Gradients of what, with respect to what?
#
# <details>
# <summary>Answer</summary>
#
# Training: of the loss with respect to the weights. Saliency: of a digit's score with respect to the pixels.
#
# </details>
#
# **2.** Why do we ask about the score and not about the probability?
#
# <details>
# <summary>Answer</summary>
#
# The probability depends on all ten scores. And where the network is sure, it is close to 1 and hardly moves when
# the score does: its gradient nearly vanishes.
#
# </details>
#
# **3.** Why do nine parts and a bias add up to a score of this network, and for which networks would they not?
#
# <details>
# <summary>Answer</summary>
#
# The last maps go straight into one dense layer, so a score is a sum of products plus a bias. In chapter 3 a dense
# layer with a ReLU comes in between, and the score is no such sum.
#
# </details>
#
# **4.** Three places add 0.9 each to the score of a 4. Can you conclude that they make it a 4?
#
# <details>
# <summary>Answer</summary>
#
# No. They may add as much to the score of a 9. Look at the parts of the lead.
#
# </details>
#
# **5.** In which networks do Grad-CAM and HiResCAM show the same, except for what is below zero?
#
# <details>
# <summary>Answer</summary>
#
# Where the gradient is the same at all places of a map, so that averaging changes nothing: in networks that
# average each map before their dense layers.
#
# </details>
#
# **6.** You blank an empty corner and the score stays the same. Does the corner not matter?
#
# <details>
# <summary>Answer</summary>
#
# You cannot tell: it was blank before, so you have changed nothing.
#
# </details>
#
# **7.** The pictures of a trained and an untrained network are alike. Name two reasons other than a bad method.
#
# <details>
# <summary>Answer</summary>
#
# The architecture: the first layer reads the same pixels through more windows in both. And the task: ink in the
# middle of blank paper leaves few places for a picture to differ.
#
# </details>
#
# **8.** On a t-SNE map two islands lie far apart. What follows?
#
# <details>
# <summary>Answer</summary>
#
# Nothing. The map keeps neighbours, not distances.
#
# </details>
#
# ## Exercises
#
# **1.** Which places speak for a wrong answer? For four errors, split the lead of the answer over the label.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# four = np.flatnonzero(predicted != labels)[:4]
# lead = attribution.hires_cam(network, x[four], predicted[four], after=last_maps)
# lead -= attribution.hires_cam(network, x[four], labels[four], after=last_maps)
# show_parts({"answer minus label": lead}, images[four], title="Four errors")
# plt.show()
# for answer, label, parts in zip(predicted[four], labels[four], lead, strict=True):
#     for_it, against = parts[parts > 0].sum(), parts[parts < 0].sum()
#     print(f"{answer}, is {label}: for the answer {for_it:.2f}, for the label {-against:.2f}")
# ```
#
# ```text
# 9, is 7: for the answer 1.08, for the label 1.02
# 2, is 7: for the answer 0.89, for the label 0.75
# 4, is 9: for the answer 1.28, for the label 1.12
# 7, is 4: for the answer 1.93, for the label 1.19
# ```
#
# Red places speak for the wrong answer, blue ones for the label. The lead is their sum plus the difference of two
# biases.
#
# </details>
#
# **2.** Paper matters. Close the left side of all 3s with a stroke of ink. How does the network read them now?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# threes = x[labels == 3].copy()
# threes[:, 7:21, 8:10] = 1
# answers, counts = np.unique(read(network, threes), return_counts=True)
# print(dict(zip(answers.tolist(), counts.tolist(), strict=True)))
# ```
#
# ```text
# {0: 21, 2: 1, 3: 236, 5: 27, 8: 572}
# ```
#
# Most are now read as 8s. Blank paper on the left is part of what makes a 3, though occlusion cannot show it.
#
# </details>
#
# **3.** How much of the map's order is there before any training? Draw the map of an untrained network.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# embed = keras.Sequential(untrained_networks[0].layers[:-1])
# rows = embed.predict(x[on_map], batch_size=512, verbose=0)
# plots.plot_map(TSNE(init="pca").fit_transform(PCA(50).fit_transform(rows)), labels[on_map])
# plt.show()
# print(f"{np.mean(labels_here[nearest(rows)] == labels_here):.1%}")
# ```
#
# ```text
# 87.6%
# ```
#
# Much of the order is in the images: the nearest image has the same label nearly as often as by the pixels.
# Compare the islands with those of the trained network.
#
# </details>
#
# ## What's next
#
# A network that looks at the right places may still be too sure of itself, or not sure enough.
# [Can you trust its confidence?](12_can_you_trust_its_confidence.ipynb) compares how sure it is with how
# often it is right.
