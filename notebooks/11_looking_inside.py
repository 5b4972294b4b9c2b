# %% [markdown]
# # Looking inside
#
# **What does the network look at, and how far can we believe a picture of it?**

# %% [markdown]
# **You will learn**
#
# - what the filters and the maps of a convolutional network look like;
# - three ways to ask which pixels an answer came from: saliency, Grad-CAM and occlusion;
# - a test of whether such pictures show what the network has learned;
# - to draw a map on which the network's view of all digits can be seen, and not to read too much into it.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [A first convolutional network](03_base_cnn.ipynb): filters, maps, pooling; [How fast can it learn?](07_how_fast_can_it_learn.ipynb): the lean network |
# | Time | 25 minutes to read; the run takes one to two minutes on a laptop |

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
from IPython.display import HTML, Markdown, display
from scipy.stats import binomtest, spearmanr, ttest_1samp
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from statsmodels.stats.multitest import multipletests

from digit_utils import plots
from digit_utils.attribution import grad_cam, occlusion, saliency
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
BATCH_SIZE: int = 256  # images a training step, at least 1
N_ASKED: int = 60  # validation images that the test of the pictures asks about, at least 1
N_MAP: int = 1500  # validation images on the map, at least 1

# %% [markdown]
# We train the lean network of [chapter 7](07_how_fast_can_it_learn.ipynb) twice, with two seeds. The first is the one we look into. The second
# has seen the same images; it will tell us which pictures belong to the task, and which to the chance of one training.

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
set_seed(SEED)
untrained_network = build_fast_cnn()


def read(some_network, x):
    """Return the digit that a network reads in each image."""
    return some_network.predict(x, batch_size=512, verbose=0).argmax(axis=1)


predicted = read(network, x)
validation_accuracy = accuracy(labels, predicted)
display(
    Markdown(
        f"The first reads **{validation_accuracy:.2%}** of the validation images rightly, "
        f"the second {accuracy(labels, read(second_network, x)):.2%}."
    )
)

# %% [markdown]
# ## The filters
#
# The first convolution has sixteen filters of 5 × 5 weights. Red weights ask for ink, blue ones for none. Nobody told them what
# to look for.

# %% mystnb={"image": {"alt": "Sixteen squares of five by five cells, red where a filter asks for ink and blue where it asks for none."}}
filters = np.asarray(network.layers[0].kernel)[:, :, 0].transpose(2, 0, 1)
figure, axes = plt.subplots(2, 8, figsize=(8.4, 2.7))
largest = np.abs(filters).max()
for number, (ax, weights) in enumerate(zip(axes.flat, filters, strict=True), start=1):
    picture = ax.imshow(weights, cmap="RdBu_r", vmin=-largest, vmax=largest)
    ax.set_title(str(number), fontsize=9, fontweight="normal", pad=2)
    ax.set_axis_off()
figure.colorbar(picture, ax=axes, label="Weight (no unit)", shrink=0.9)
figure.suptitle("The sixteen filters of the first layer", fontsize=12, fontweight="bold")
plt.show()

# %% [markdown]
# Where red lies on one side and blue on the other, a filter looks for an edge in that direction. Which of the sixteen do so? Not each has a pattern that
# we have a name for.
#
# ## One digit on its way through
#
# Each layer turns maps into new maps. Here is one digit, and after each ReLU the eight maps with the largest sums. White is 0, no answer; the darker,
# the stronger. Blank paper counts too: a map that is grey all around the digit answers to *no ink*. The maps shrink, from 14 × 14 to 3 × 3 values, and they stop resembling a digit: place is given up, and what remains is *which*
# features are there.

# %% mystnb={"image": {"alt": "A digit, and below it five rows of eight maps: in the first rows the strokes can be made out, in the last ones only a few grey squares."}}
activations = [
    number for number, layer in enumerate(network.layers) if isinstance(layer, keras.layers.ReLU)
]


def choose(digit, place):
    """Return an image of a digit, one that was read rightly if there are enough."""
    return np.argsort(2 * (labels != digit) + (predicted != labels), kind="stable")[place]


example = choose(5, 0)
rows = []
for number in activations:
    front = keras.Sequential(network.layers[: number + 1])
    maps = keras.ops.convert_to_numpy(front(x[example : example + 1], training=False))[0]
    strongest = np.argsort(-maps.sum(axis=(0, 1)))[:8]
    rows.append(maps[..., strongest].transpose(2, 0, 1))

figure, axes = plt.subplots(
    len(rows), 9, figsize=(9, 6.2), width_ratios=[1.4] + [1] * 8, gridspec_kw={"hspace": 0.08}
)
for ax in axes.flat:
    ax.set_axis_off()
axes[0, 0].imshow(images[example])
axes[0, 0].set_title("the digit", fontsize=9, fontweight="normal", pad=2)
for number, maps in enumerate(rows):
    size = f"{maps.shape[1]} × {maps.shape[2]}"
    axes[number, 1].set_title(
        f"layer {number + 1}: {size}", fontsize=9, fontweight="normal", loc="left", pad=2
    )
    for ax, one_map in zip(axes[number, 1:], maps, strict=True):
        ax.imshow(one_map, vmin=0, vmax=max(maps.max(), 1e-9))
figure.suptitle("Eight maps of each layer", fontsize=12, fontweight="bold")
plt.show()

# %% [markdown]
# ## Which pixels did the answer come from?
#
# Three ways to ask, each simple to say:
#
# - **Saliency.** Change a pixel by a hair. How much does the *score* of the digit, its output before the softmax, change? That is the size of a *gradient*, which
#   training computes anyway ([Simonyan and others](https://arxiv.org/abs/1312.6034)).
# - **Grad-CAM.** Take a layer's maps. Weight each by how much the score grows with it, add them up, and keep what speaks *for* the digit
#   ([Selvaraju and others](https://arxiv.org/abs/1610.02391)). We use the last maps of 7 × 7 values.
# - **Occlusion.** Blank a small square of the image. How much does the score fall? It needs no gradient, only patience
#   ([Zeiler and Fergus](https://arxiv.org/abs/1311.2901)).

# %% mystnb={"image": {"alt": "Six digits in the first row; below them a row each of saliency, Grad-CAM and occlusion maps, dark where the answer is said to come from."}}
shown = np.array([choose(digit, 1) for digit in (0, 3, 4, 7, 8, 9)])
cam_layer = activations[2]
methods = {
    "saliency": lambda net, x, classes: saliency(net, x, classes),
    "Grad-CAM": lambda net, x, classes: grad_cam(net, x, classes, after=cam_layer),
    "occlusion": lambda net, x, classes: occlusion(net, x, classes).clip(min=0),
}
pictures = {name: ask(network, x[shown], predicted[shown]) for name, ask in methods.items()}

figure, axes = plt.subplots(4, len(shown), figsize=(8.4, 5.9))
for row, (name, maps) in enumerate({"the digit": images[shown], **pictures}.items()):
    axes[row, 0].set_ylabel(name)
    for ax, one_map in zip(axes[row], maps, strict=True):
        ax.imshow(one_map, vmin=0, vmax=max(one_map.max(), 1e-9))
        ax.set(xticks=[], yticks=[])
figure.suptitle("Three ways to ask (dark: it matters)", fontsize=12, fontweight="bold")
plt.show()

# %% [markdown]
# They do not agree, and they need not: they answer different questions. Saliency is about tiny changes, occlusion about large ones; Grad-CAM sees
# no finer than its maps. Each picture has a scale of its own. Occlusion has a blind spot: blanking paper that is blank changes
# nothing. Yet paper may matter. That the left side of a 3 is open is what makes it a 3.
#
# ## Do the pictures show the network?
#
# A picture that looks convincing may show no more than the digit itself. [Adebayo and others](https://arxiv.org/abs/1810.03292) proposed a
# test: ask an **untrained** network, whose weights are random. What it "looks at" means nothing. A method whose pictures stay the
# same tells us about the image, not about what was learned.
#
# How alike two pictures are we measure by *rank correlation*: 1 when they put the pixels in the same order, 0 when the orders
# have nothing in common. For comparison, the table also asks the second trained network, and compares each picture with the ink itself.

# %%
asked = np.flatnonzero(predicted == labels)[:N_ASKED]


def alike(first, second):
    """Rank correlation of two lots of pictures, image by image; 0 where one is all grey."""
    return np.array(
        [
            spearmanr(a.ravel(), b.ravel()).statistic if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
            for a, b in zip(first, second, strict=True)
        ]
    )


agreement, gaps = {}, {}
for name, ask in methods.items():
    maps, of_second, of_untrained = (
        ask(net, x[asked], predicted[asked]) for net in (network, second_network, untrained_network)
    )
    trained, untrained = alike(maps, of_second), alike(maps, of_untrained)
    low, high = ttest_1samp(trained - untrained, 0).confidence_interval(0.95)
    gaps[name] = (trained - untrained).mean(), low, high
    if name == "Grad-CAM":
        blank = [
            int(np.sum(np.ptp(some, axis=(1, 2)) == 0)) for some in (maps, of_second, of_untrained)
        ]
    agreement[name] = {
        "a second trained network": trained.mean(),
        "an untrained network": untrained.mean(),
        "the ink itself": alike(maps, images[asked]).mean(),
    }
agreement = pd.DataFrame(agreement).T
agreement.round(2).assign(
    **{
        "trained minus untrained (95 % interval)": [
            f"{gap:+.2f} ({low:+.2f} to {high:+.2f})" for gap, low, high in gaps.values()
        ]
    }
)

# %%
show = [name for name, (_, low, _) in gaps.items() if low > 0]
like_untrained = [name for name, (_, _, high) in gaps.items() if high < 0]
show_not = [name for name in gaps if name not in show]
said = (
    f"Over the {len(asked)} images asked, the pictures of "
    f"**{' and '.join(show) or 'no method'}** are more like those of a second trained "
    "network than like those of an untrained one."
)
if show_not:
    said += (
        f" Those of **{' and '.join(show_not)}** are not, so this test gives no reason to "
        "believe that they show what was learned."
    )
if like_untrained:
    said += (
        f" Those of {' and '.join(like_untrained)} are even *more* like those of the "
        "untrained network than like those of the second trained one."
    )
said += (
    " The intervals are about other images; the networks are one pair of trainings and one "
    "untrained network."
)
display(Markdown(said))

# %% [markdown]
# Read a row from left to right. The first number says how like the pictures of two trained networks are: where they differ, the picture shows
# the luck of a training. The second says how like the picture is to one that needed no learning, the third how far it merely
# redraws the digit. Only the gap between the first two can be about what was learned. Mind that occlusion is 0 wherever a square holds no ink, whichever
# network is asked, so some of its agreement comes from the paper. And a Grad-CAM
# picture can come out blank, where nothing speaks for the digit; that counts as a likeness of 0, and so lowers its agreement.

# %%
display(
    Markdown(
        f"Blank pictures of Grad-CAM, among {len(asked)}: {blank[0]} of the first network, "
        f"{blank[1]} of the second, {blank[2]} of the untrained one."
    )
)

# %% [markdown]
# A method passes this test as soon as the untrained network's pictures are unlike the others. How far two *trained* networks agree says the first column; where that is low, do not read a
# single picture as what the task needs.
#
# And even then a picture shows *where*, never *why*. "It looks at the top" is no reason; many readings fit the same picture.
#
# ## What does it ignore?
#
# A stronger way to ask: change the images and count the answers that change.

# %%
rng = np.random.default_rng(SEED)
frame_gone = x.copy()
frame_gone[:, :4], frame_gone[:, -4:], frame_gone[:, :, :4], frame_gone[:, :, -4:] = 0, 0, 0, 0
changes = {
    "four pixels at each edge blanked": frame_gone,
    "black and white, no greys": (x > 0.5).astype("float32"),
    "a little noise (standard deviation 0.1)": np.clip(x + rng.normal(0, 0.1, x.shape), 0, 1),
    "half as bright": 0.5 * x,
    "moved by two pixels to the right": np.roll(x, 2, axis=2),
    "mirrored, left to right": x[:, :, ::-1],
    "ink and paper exchanged": 1 - x,
}
counts = []
for name, changed in changes.items():
    now = read(network, changed.astype("float32"))
    counts.append(
        {
            "change": name,
            "other answer": (now != predicted).mean(),
            "right before, wrong now": int(((predicted == labels) & (now != labels)).sum()),
            "wrong before, right now": int(((predicted != labels) & (now == labels)).sum()),
        }
    )
ignored = pd.DataFrame(counts).set_index("change")
lost, won = ignored["right before, wrong now"], ignored["wrong before, right now"]
raw = [
    binomtest(int(a), int(a + b)).pvalue if a + b else 1.0 for a, b in zip(lost, won, strict=True)
]
ignored["p (McNemar, Holm)"] = multipletests(raw, method="holm")[1]
ignored.assign(
    **{
        "other answer": [f"{share:.1%}" for share in ignored["other answer"]],
        "p (McNemar, Holm)": [
            f"{p:.2g}" if p > 1e-300 else "below 1e-300" for p in ignored["p (McNemar, Holm)"]
        ],
    }
)

# %%
shown = ignored["p (McNemar, Holm)"] < 0.05
display(
    Markdown(
        "These changes cost accuracy: **"
        + ("; ".join(ignored.index[shown & (lost > won)]) or "none")
        + "**. For these, that is not shown: "
        + ("; ".join(ignored.index[~shown]) or "none")
        + "."
    )
)

# %% [markdown]
# The test is McNemar's, on the images that were right before and wrong now or the other way round, corrected for seven questions. Shifts the network has met in training; noise, missing greys and dim ink it has not. To us, ink and
# paper exchanged is the same digit; the network compares numbers, and nearly all of them have changed. Of a mirrored digit the
# label may no longer be true (of a 0 or an 8 it is), so *wrong* there only means *other than the old label*. [When the world shifts](13_when_the_world_shifts.ipynb) looks at many more such changes.
#
# ## A map of all digits
#
# Before its last layer the network has turned each image into 1,152 numbers, its **embedding**. Images it takes for similar have similar
# numbers. To see them, we squeeze the numbers into two: first PCA to fifty, then **t-SNE**, which places
# dots so that neighbours stay neighbours.

# %%
on_map = slice(0, N_MAP)
embed = keras.Sequential(network.layers[:-1])
embedding = embed.predict(x[on_map], batch_size=512, verbose=0)
fifty = PCA(min(50, len(embedding)), random_state=SEED).fit_transform(embedding)
tsne = TSNE(init="pca", perplexity=min(30, len(fifty) - 1), random_state=SEED)
points = tsne.fit_transform(fifty)

# %% mystnb={"image": {"alt": "Ten islands of coloured dots, one for each digit, with the digit written on it; a few dots with a black ring, the errors, lie at the edges or on another digit's island."}}
ax = plots.plot_map(
    points, labels[on_map], title="Validation digits as the network sees them (ring: an error)"
)
errors = np.flatnonzero(predicted[on_map] != labels[on_map])
ax.scatter(*points[errors].T, s=60, facecolors="none", edgecolors="black", linewidths=1.3)
plt.show()

# %% [markdown]
# The same map to play with (not on GitHub, which runs no scripts). Point at a dot to see its digit; step through the errors with
# the button.

# %%
HTML(embedding_map_html(points, images[on_map], labels[on_map], predicted[on_map]))

# %% [markdown]
# Compare with the t-SNE map in [Meeting the digits](01_eda.ipynb), which was drawn from the pixels. There, too, most digits had islands of their own. Look at the
# borders (a dot has the colour of its label): which islands touched there, and do they touch here? Pulling them apart is what the network was trained to do. A warning belongs to every such map: t-SNE keeps *neighbours*.
# How far apart two islands lie, how large they are, and which way is up, means nothing; another training draws another map.
#
# ## What we found

# %%
gentle = ignored.loc["four pixels at each edge blanked"]
harsh = ignored["other answer"].idxmax()
report(
    f"- Asked about {len(asked)} images, the pictures of "
    f"{' and '.join(show) or 'no method'} are more like those of a second trained network "
    f"than of an untrained one; those of {' and '.join(show_not) or 'none'} are not. The "
    "pictures of two trained networks correlate by "
    f"{agreement['a second trained network'].min():.2f} to "
    f"{agreement['a second trained network'].max():.2f}, depending on the method.\n"
    f"- Blanking four pixels at each edge changes {gentle['other answer']:.1%} of the "
    f"answers. The change that upsets it most is *{harsh}*: "
    f"{ignored.loc[harsh, 'other answer']:.0%} other answers.\n"
    f"- On the map {len(errors)} of {len(points):,} digits are errors. Where they lie, look "
    "for yourself.",
    validation_accuracy=validation_accuracy,
    agreement_trained=agreement["a second trained network"].tolist(),
    agreement_untrained=agreement["an untrained network"].tolist(),
    changed_without_edges=float(gentle["other answer"]),
    changed_at_most=float(ignored["other answer"].max()),
    n_on_map=len(points),
    n_errors_on_map=len(errors),
)

# %% [markdown]
# ## Exercises
#
# **1.** Ask occlusion about an *error*: which part of the image would have to go for the right digit to win?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# wrong = np.flatnonzero(predicted != labels)[:6]
# towards_answer = occlusion(network, x[wrong], predicted[wrong])
# towards_label = occlusion(network, x[wrong], labels[wrong])
# plots.show_images((towards_answer - towards_label).clip(min=0))
# plt.show()
# ```
#
# Dark squares carry the wrong answer: without them its lead over the label shrinks.
#
# </details>
#
# **2.** Blank paper can matter. Occlusion with 0 cannot show that, for blank stays blank. What else could one fill in?
#
# <details>
# <summary>Solution</summary>
#
# Fill the square with ink (1), or with the pixels of another image. Each filling asks another question, and ink in an empty corner is
# something the network never saw, so a large fall may only mean that it was startled. There is no neutral filling; say which one you used.
#
# </details>
#
# **3.** Is the map's separation real? Draw it for the untrained network.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# embed = keras.Sequential(untrained_network.layers[:-1])
# embedding = embed.predict(x[on_map], batch_size=512, verbose=0)
# points = TSNE(init="pca", random_state=SEED).fit_transform(PCA(50).fit_transform(embedding))
# plots.plot_map(points, labels[on_map], title="Untrained")
# plt.show()
# ```
#
# How much of the structure is there before any training? Compare with the map of the pixels, too.
#
# </details>
#
# ## What's next
#
# A network that looks at the right places may still be too sure of itself, or not sure enough.
# [Can you trust its confidence?](12_can_you_trust_its_confidence.ipynb) compares how sure it is with how often it is right.
