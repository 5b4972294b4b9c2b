# %% [markdown]
# # Meeting the digits
#
# **What is in the data, and what must a convolutional network beat?**

# %% [markdown]
# **You will learn**
#
# - what to check before modelling: counts, missing values, pixel values, duplicates;
# - what average digits and unusual digits look like;
# - to draw a map of images that have 784 pixels each;
# - to set a baseline, so that a later score means something.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | some Python and NumPy; no machine learning |
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
import io
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from digit_utils import plots
from digit_utils.data import load_digits, split_train_validation, take_subset
from digit_utils.evaluate import accuracy, accuracy_interval
from digit_utils.results import report

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the subsets and the map
N_TRAIN: int = 0  # training images the baselines learn from, at least 0; 0: all 33,600
N_MAP: int = 2500  # labelled images on the map, at least 10
N_LOOKUP: int = 1000  # test images whose closest labelled image we look up, at least 1

# %% [markdown]
# ## The data
#
# The digits are **MNIST**: 70,000 small grey images of handwritten digits. They are dealt out
# as in Kaggle's *Digit Recognizer* competition: some with labels, to learn from, and some
# without, to predict. The test images have labels too, of course. But we play by the rules of
# the competition and keep them sealed until chapter 6.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
print(f"labelled images {digits.images.shape}  {digits.images.dtype}")
print(f"labels          {digits.labels.shape}  from {digits.labels.min()} to {digits.labels.max()}")
print(f"test images     {digits.test_images.shape}  {digits.test_images.dtype}")

# %% [markdown]
# Each image is 28 pixels high and 28 wide. A pixel is a whole number from 0, blank paper, to
# 255, full ink. Its type, `uint8`, is an unsigned integer of eight bits and holds just these
# 256 values.
#
# ## Is anything missing?
#
# Kaggle hands the data out as a table: one row an image, 784 columns of pixels. The original
# post asked pandas whether a value was missing, and none was. What would it look like if one
# were? Here is a tiny table with a hole in it.

# %% tags=["nbval-check-output"]
tiny_table = pd.read_csv(io.StringIO("label,pixel0,pixel1\n7,0,255\n3,,12"))
print(tiny_table)
print("\nmissing in each column:", tiny_table.isna().sum().to_dict())

# %% [markdown]
# The hole turned into `NaN`, "not a number", and the whole column into fractions, because an
# integer has no way to say "missing". Turn such a column back into `uint8` and the hole becomes
# an ordinary number, often 0. From then on it looks like blank paper and nobody will find it.
# So the question must be asked *before* the conversion. `load_digits` does: it refuses a table
# with an empty field and names the row and column.
#
# In images that are integers already we look for the traces damage would leave: an image
# without any ink, an image of a single grey, a label that is not a digit.

# %% tags=["nbval-check-output"]
damaged = 0
for name, images in {"labelled": digits.images, "test": digits.test_images}.items():
    lightest, darkest = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    no_ink, single_grey = np.sum(darkest == 0), np.sum(lightest == darkest)
    print(f"{name:8}  without ink: {no_ink}   of a single grey: {single_grey}")
    damaged += single_grey
print(f"labels    that are no digit: {np.sum(~np.isin(digits.labels, np.arange(10)))}")

# %% [markdown]
# ## How many of each digit?
#
# If one digit were rare, a classifier could ignore it and still score well.

# %% mystnb={"image": {"alt": "Bar chart of the number of labelled images of each digit from 0 to 9, with a dashed line at the mean. The bars are of similar height."}}
counts = np.bincount(digits.labels)
ax = plt.subplots()[1]
bars = ax.bar(plots.DIGITS, counts, color=plots.BLUE)
ax.bar_label(bars, fmt="{:,.0f}", label_type="center", color="white", fontsize=9)
ax.axhline(counts.mean(), color=plots.GREY, linestyle="--", linewidth=1)
ax.text(
    9.5, counts.mean(), "mean", va="center", ha="left", color=plots.GREY, fontsize=9,
    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
)  # fmt: skip
ax.set(title="Labelled images of each digit", xlabel="Digit", ylabel="Images", xticks=plots.DIGITS)
ax.grid(axis="x", visible=False)
plt.show()

# %%
always_guess = counts.max() / counts.sum()
display(
    Markdown(
        f"The most frequent digit is {counts.argmax()} with {counts.max():,} images, the least "
        f"frequent {counts.argmin()} with {counts.min():,}. Always guessing "
        f"{counts.argmax()} would be right for **{always_guess:.1%}** of the images: "
        "the floor below every other score."
    )
)

# %% [markdown]
# That is even enough: there is no need to show the rare digits more often or to weigh them
# more. Accuracy, the share of images classified correctly, is a fair measure here.
#
# ## Looking at them
#
# No statistic replaces looking. Each column holds one digit. Mind how differently people write
# a 1, a 4 or a 7.

# %% mystnb={"image": {"alt": "Gallery of sixty handwritten digits in ten columns, one column for each digit from 0 to 9, six writers each."}}
random = np.random.default_rng(SEED)
chosen = np.stack([random.choice(np.flatnonzero(digits.labels == digit), 6) for digit in range(10)])
plots.show_images(digits.images[chosen.T.ravel()], title="Six images of each digit")
plt.show()

# %% [markdown]
# ## How much is ink?
#
# Most of an image is paper. We leave the blank pixels out and ask what values the others take.

# %% mystnb={"image": {"alt": "Histogram of the values of all pixels with ink. A tall peak stands at the right end, near full ink; the greys before it are all rare and about equally frequent."}}
ink_values = digits.images[digits.images > 0]
ax = plt.subplots()[1]
ax.hist(
    ink_values,
    bins=np.linspace(0.5, 255.5, 52),
    weights=np.full(len(ink_values), 100 / len(ink_values)),
)
ax.set(
    title="Pixels with ink are mostly dark",
    xlabel="Pixel value (1: faintest grey, 255: full ink)",
    ylabel="Share of pixels with ink (%)",
)  # fmt: skip
plt.show()

# %%
blank, dark = np.mean(digits.images == 0), np.mean(digits.images >= 250)
display(
    Markdown(
        f"**{blank:.1%}** of all pixels are blank and {dark:.1%} are nearly full ink (250 or "
        f"more). The remaining {1 - blank - dark:.1%} are greys: the soft edges of the strokes."
    )
)

# %% [markdown]
# Full ink is by far the most frequent value, yet most pixels with ink are grey. The scans were black
# and white; the greys appeared when MNIST's makers shrank each digit to fit a box of 20 × 20 pixels. They then moved it so that its centre of mass lies in the
# middle of the 28 × 28 image
# ([LeCun and others, 1998](https://doi.org/10.1109/5.726791)). That helps us twice: all digits
# have about the same size, and all are centred. Digits from a camera will not be so kind.
#
# The map shows the box where it lies when the centre of mass is also its middle. A digit heavy
# at its head, like many a 9, sits lower and sticks out.

# %% mystnb={"image": {"alt": "Heat map of the 28 by 28 pixels, shaded by the share of images with ink there: dark in the middle, white along the border, with a dashed frame around the central 20 by 20 box."}}
ink_share = np.mean(digits.images > 0, axis=0)
ax = plt.subplots(figsize=(5.6, 4.6))[1]
shades = ax.imshow(100 * ink_share, cmap="Blues", vmin=0)
ax.add_patch(plt.Rectangle((3.5, 3.5), 20, 20, fill=False, linestyle="--", edgecolor=plots.RED))
ax.figure.colorbar(shades, label="Images with ink here (%)")
ax.grid(visible=False)
ax.set(
    title="Where the ink falls (dashed: 20 × 20 box)",
    xlabel="Column (pixels)",
    ylabel="Line (pixels)",
)
plt.show()

# %%
never_inked = np.sum(ink_share == 0)
display(
    Markdown(
        f"**{never_inked}** of the 784 pixels, all near the border, are blank in every "
        "labelled image. They tell nothing about the digit."
    )
)

# %% [markdown]
# Does the *amount* of ink tell the digits apart? A box holds the middle half of a digit's
# images, its line marks the median, and the whiskers span all but the lightest and the darkest
# 5 %.

# %% mystnb={"image": {"alt": "Box plot of the ink in each image, one box for each digit. The box of digit 1 lies lowest and that of digit 0 highest; the other boxes overlap widely."}}
ink = digits.images.mean(axis=(1, 2)) / 255
ax = plt.subplots()[1]
ax.boxplot(
    [100 * ink[digits.labels == digit] for digit in range(10)],
    positions=range(10), whis=(5, 95), showfliers=False, medianprops={"color": plots.RED},
)  # fmt: skip
ax.set(title="Ink in each image", xlabel="Digit", ylabel="Ink (% of an all-black image)")
plt.show()

# %%
mean_ink = np.array([ink[digits.labels == digit].mean() for digit in range(10)])
display(
    Markdown(
        f"On average a {mean_ink.argmax()} takes {mean_ink.max() / mean_ink.min():.1f} times as "
        f"much ink as a {mean_ink.argmin()}. Between the other digits ink says little."
    )
)

# %% [markdown]
# ## The average digit, and the odd ones out
#
# Laying all images of a digit on top of one another gives its **mean image**. Where it is
# sharp, people agree; where it is blurred, they do not. The image farthest from its mean, by
# the distance between pixel values, is the most unusual of its kind.

# %% mystnb={"image": {"alt": "Two rows of ten images. Above, the blurred mean image of each digit from 0 to 9; below, the image of each digit farthest from that mean, most of them thick, slanted or oddly shaped."}}
means, unusual = [], []
for digit in range(10):
    of_digit = digits.images[digits.labels == digit].astype("float32")
    means.append(of_digit.mean(axis=0))
    distance = np.sqrt(np.square(of_digit - means[-1]).sum(axis=(1, 2)))
    unusual.append(of_digit[distance.argmax()])
plots.show_images(
    np.stack(means + unusual),
    [f"mean {digit}" for digit in range(10)] + [f"unusual {digit}" for digit in range(10)],
    title="The mean image of each digit, and the image farthest from it",
)
plt.show()

# %% [markdown]
# Many of the unusual ones are just written with a thick pen. Distance between pixels notices
# ink first and shape second. Keep that in mind for the baselines below.
#
# ## Duplicates, and the public leak
#
# An image that sits in the training data *and* in the data we test on gives its answer away.
# We look for exact copies first, by comparing the images' bytes.

# %% tags=["nbval-check-output"]
labelled = {image.tobytes() for image in digits.images}  # a set keeps equal images once
test = {image.tobytes() for image in digits.test_images}
copies_within = len(digits.images) - len(labelled)
copies_across = len(labelled & test)
print(f"copies among the labelled images:     {copies_within}")
print(f"copies among the test images:         {len(digits.test_images) - len(test)}")
print(f"images both labelled and in the test: {copies_across}")

# %% [markdown]
# Exact copies are the easy case: one changed pixel hides them. So for some test images we also
# look up the labelled image with the smallest distance. We give the distance as a typical
# difference of one pixel, in grey levels: the root of the mean squared difference. Here is the
# closest pair that each digit has.

# %% mystnb={"image": {"alt": "Ten pairs of images in two rows: above, test images; below each, the labelled image closest to it, with its digit, 0 to 9, and their difference. The pairs look alike but are not identical."}}
labelled_rows = digits.images.reshape(-1, 784).astype("float32")
test_rows = digits.test_images[:N_LOOKUP].reshape(-1, 784).astype("float32")
closest, distance = pairwise_distances_argmin_min(test_rows, labelled_rows)
difference, shows = distance / np.sqrt(784), digits.labels[closest]

pairs = [np.where(shows == digit, difference, np.inf).argmin() for digit in range(10)]
plots.show_images(
    np.concatenate([digits.test_images[pairs], digits.images[closest[pairs]]]),
    ["test"] * 10 + [f"a {shows[i]}, by {difference[i]:.0f}" for i in pairs],
    title="The closest pair of a test and a labelled image, and their difference (grey levels)",
)
plt.show()

# %%
nearest_pair = difference.argmin()
display(
    Markdown(
        f"We looked up {len(difference):,} test images. The closest pair, with a labelled "
        f"{shows[nearest_pair]}, differs by **{difference.min():.0f}** of 255 grey levels; the "
        f"median pair differs by {np.median(difference):.0f}. Alike, but no copies."
    )
)

# %% [markdown]
# Two warnings remain.
#
# - **The same writers.** Most of MNIST's writers wrote many digits, and the images were shuffled
#   before they were dealt. The test holds new images by writers the training data knows.
#   Strangers' handwriting would be harder.
# - **The leak.** MNIST is public, labels and all. Chris Deotte looked up every test image of the
#   competition in the full MNIST and found them all, unaltered
#   ([MNIST Perfect 100% using kNN](https://www.kaggle.com/code/cdeotte/mnist-perfect-100-using-knn)).
#   So a leaderboard score of 99.9 % or 100 % tells us that somebody had the answers. It shows no
#   skill. This book never trains on the test images, nor on MNIST from elsewhere, which contains
#   them.
#
# ## A map of the digits
#
# An image is a point in a space of 784 dimensions, one a pixel. Images that look alike lie
# close to each other. We cannot see 784 dimensions, but we can flatten them.
#
# **PCA**, principal component analysis, looks for the direction along which the images differ
# most, then for the next one at a right angle to it. The map is a plain shadow of the cloud of
# points, seen from its broadest side.

# %% mystnb={"image": {"alt": "Scatter plot of labelled images on their first two principal components, coloured by digit. The 0s lie at one side and the 1s at the other; the digits between them overlap."}}
map_images, map_labels = take_subset(digits.images, digits.labels, N_MAP, seed=SEED)
map_rows = map_images.reshape(-1, 784) / 255
components = PCA(50, random_state=SEED).fit_transform(map_rows)
plots.plot_map(components[:, :2], map_labels, title="PCA: two directions of 784")
plt.show()

# %% [markdown]
# **t-SNE** bends instead. It places the points so that neighbours stay neighbours, and cares
# little about anything far apart. We give it the first 50 principal components instead of 784
# pixels, a usual first step that saves time. Read such a map with care: that two images lie
# together means something; how far apart two clusters lie, or how large they are, does not.

# %% mystnb={"image": {"alt": "Scatter plot of the same images arranged by t-SNE, coloured by digit. Most digits form islands of their own; those of 4 and 9 run together, and single dots stray onto foreign islands."}}
tsne_points = TSNE(random_state=SEED).fit_transform(components)
plots.plot_map(tsne_points, map_labels, title="t-SNE: neighbours stay neighbours")
plt.show()

# %% [markdown]
# How much of the neighbourhood survives? We ask of every image whether its nearest neighbour
# on the map shows the same digit.


# %%
def same_digit_next_door(points):
    neighbours = KNeighborsClassifier(1).fit(points, map_labels)
    nearest = neighbours.kneighbors(return_distance=False)[:, 0]  # never the point itself
    return np.mean(map_labels[nearest] == map_labels)


next_door = {"pixels": map_rows, "PCA map": components[:, :2], "t-SNE map": tsne_points}
next_door = {name: same_digit_next_door(points) for name, points in next_door.items()}
display(
    Markdown(
        f"The nearest neighbour shows the same digit for {next_door['PCA map']:.0%} of the images "
        f"on the PCA map, for {next_door['t-SNE map']:.0%} on the t-SNE map, and for "
        f"{next_door['pixels']:.0%} with all 784 pixels. t-SNE never saw a label: the islands "
        "are in the data."
    )
)

# %% [markdown]
# Can a flat map do better than all the pixels? On this measure it can: t-SNE places a point by many
# neighbours at once, so a single misleading one weighs less. The map holds no information that the
# pixels lack.
#
# ## What must a network beat?
#
# If images that look alike mostly show the same digit, simple methods should do well. We try
# three, so that a later score has something to be compared with.
#
# - **Nearest mean**: take the digit whose mean image is closest.
# - **Logistic regression**: one weight for each pixel and digit. Add up the weighted pixels;
#   the digit with the largest sum wins. Training chooses the weights.
# - **3 nearest neighbours**: keep all training images. Find the three closest to the new one and
#   let them vote.
#
# They learn from 80 % of the labelled images. The other 20 %, set aside before anything was
# learnt, tell how well it worked. [The next chapter](02_preprocessing.ipynb) says more about
# this split and about dividing the pixels by 255.

# %% tags=["nbval-check-output"]
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
x_train = train_images.reshape(-1, 784).astype("float32") / 255
x_validation = validation_images.reshape(-1, 784).astype("float32") / 255
print(f"training   {x_train.shape}")
print(f"validation {x_validation.shape}")

# %%
baselines = {
    "Nearest mean": NearestCentroid(),
    "Logistic regression": LogisticRegression(C=0.1, tol=0.001, max_iter=300),
    "3 nearest neighbours": KNeighborsClassifier(n_neighbors=3),
}
# Pixels that never hold ink do not vary. NearestCentroid warns of them; here they do no harm.
warnings.filterwarnings("ignore", message=".*within_class_std_dev_")

scores, seconds = {}, {}
for name, classifier in baselines.items():
    start = time.perf_counter()
    classifier.fit(x_train, train_labels)
    learnt = time.perf_counter()
    predicted = classifier.predict(x_validation)
    seconds[name] = (learnt - start, time.perf_counter() - learnt)
    low, high = accuracy_interval(validation_labels, predicted)
    scores[name] = {"accuracy": accuracy(validation_labels, predicted), "low": low, "high": high}
scores = pd.DataFrame(scores).T

# %% [markdown]
# An accuracy measured on a few thousand images would come out a little differently on others.
# The bar around each dot is a **95 % confidence interval**: the range in which the accuracy on
# ever more images of this kind plausibly lies.

# %% mystnb={"image": {"alt": "Dot chart of the validation accuracy of three simple classifiers with 95 percent intervals. Nearest mean is lowest, logistic regression in the middle, three nearest neighbours highest; the intervals are far apart."}}
plots.plot_accuracies(scores, title="Three simple classifiers, validation images")
plt.show()

# %% [markdown]
# Accuracy is not the only price. What does each keep, and how long does it take to learn and to
# classify the validation images? The times are those of the machine that ran this page.

# %%
stored = {
    "Nearest mean": baselines["Nearest mean"].centroids_.size,
    "Logistic regression": baselines["Logistic regression"].coef_.size + 10,
    "3 nearest neighbours": x_train.size,
}
costs = ["| | Numbers kept | Learning | Classifying |", "| --- | ---: | ---: | ---: |"]
for name in baselines:
    learning, classifying = seconds[name]
    costs.append(f"| {name} | {stored[name]:,} | {learning:.2f} s | {classifying:.2f} s |")
display(Markdown("\n".join(costs)))

# %% [markdown]
# Nearest neighbours learns nothing: it stores the images, and pays whenever it is asked. Twice
# the training images means twice the memory and twice the time for an answer. Logistic
# regression is the reverse: slow to learn, quick to answer, and small. A network is of this
# second kind.
#
# All three compare pixel with pixel, at fixed places. Shift a digit by two pixels and they see
# a different image. A convolutional network looks for strokes wherever they are, and this is
# where it should gain.
#
# ## What we found

# %%
best = scores["accuracy"].idxmax()
report(
    f"- {len(digits.images):,} labelled and {len(digits.test_images):,} test images, "
    f"{damaged} of them damaged; {counts.min():,} to {counts.max():,} labelled images of "
    "each digit.\n"
    f"- {blank:.1%} of the pixels are blank, and {never_inked} of 784 never hold ink.\n"
    f"- Exact copies: {copies_within} among the labelled images, {copies_across} between "
    "them and the test images.\n"
    f"- To beat, learnt from {len(x_train):,} images and measured on {len(x_validation):,}: "
    + ", ".join(
        f"{name.lower()} **{row.accuracy:.2%}** ({row.low:.2%} to {row.high:.2%})"
        for name, row in scores.iterrows()
    )
    + f". A network earns its cost if it comes out clearly above {scores['high'][best]:.2%}.",
    n_labelled=len(digits.images),
    n_test=len(digits.test_images),
    damaged=damaged,
    label_counts=counts,
    always_guess_accuracy=always_guess,
    blank_share=blank,
    never_inked=never_inked,
    duplicates_labelled=copies_within,
    duplicates_across=copies_across,
    smallest_difference=difference.min(),
    same_digit_pixels=next_door["pixels"],
    same_digit_pca=next_door["PCA map"],
    same_digit_tsne=next_door["t-SNE map"],
    n_train=len(x_train),
    nearest_mean_accuracy=scores["accuracy"]["Nearest mean"],
    logistic_regression_accuracy=scores["accuracy"]["Logistic regression"],
    nearest_neighbours_accuracy=scores["accuracy"]["3 nearest neighbours"],
)

# %% [markdown]
# The network of the original post reached a best validation accuracy of 0.9900 before any
# tuning ([source](https://github.com/naingthet/mnist)). Most of the way there costs no network
# at all; the last few percent are what the rest of this book is about.
#
# ## Exercises
#
# **1.** How far does the amount of ink alone get? Classify each validation image by the digit
# whose average ink is closest to its own.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# train_ink, validation_ink = x_train.mean(axis=1), x_validation.mean(axis=1)
# average_ink = np.array([train_ink[train_labels == digit].mean() for digit in range(10)])
# guessed = np.abs(validation_ink[:, np.newaxis] - average_ink).argmin(axis=1)
# print(f"{accuracy(validation_labels, guessed):.1%}", accuracy_interval(validation_labels, guessed))
# ```
#
# Better than always guessing the same digit, and still wrong most of the time. What it gets right
# are mostly 1s and 0s, the digits with the least and the most ink.
#
# </details>
#
# **2.** Which digits does the nearest mean confuse? Does the map explain it?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# predicted = baselines["Nearest mean"].predict(x_validation)
# plots.plot_confusion(validation_labels, predicted, title="Nearest mean, validation images");
# ```
#
# It takes many a 4 for a 9, and many a 5 for a 3 or the reverse. These are pairs that touch
# on the maps. It also calls all sorts of thinly written digits a 1: their little ink keeps
# them close to the mean image with the least.
#
# </details>
#
# **3.** Shift all validation images by two pixels to the right. What happens to each baseline?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# shifted = np.roll(validation_images[:2000], 2, axis=2).reshape(-1, 784).astype("float32") / 255
# for name, classifier in baselines.items():
#     before = classifier.predict(x_validation[:2000])
#     after = classifier.predict(shifted)
#     print(f"{name:20} {accuracy(validation_labels[:2000], before):.1%}", end=" -> ")
#     print(f"{accuracy(validation_labels[:2000], after):.1%}")
# ```
#
# All three lose a good deal, though a person would hardly notice the shift. That is the
# weakness of comparing pixel with pixel.
#
# </details>
#
# **4.** For each digit, find the image on the map that lies closest to an image of *another*
# digit. Can you tell the two apart?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# images_of_digit, look_alikes = [], []
# for digit in range(10):
#     own, other = np.flatnonzero(map_labels == digit), np.flatnonzero(map_labels != digit)
#     closest, distance = pairwise_distances_argmin_min(map_rows[own], map_rows[other])
#     images_of_digit.append(own[distance.argmin()])
#     look_alikes.append(other[closest[distance.argmin()]])
# shown = images_of_digit + look_alikes
# plots.show_images(map_images[shown], [f"a {map_labels[i]}" for i in shown]);
# ```
#
# Many pairs differ by one small stroke, which weighs little among 784 pixels. A few are hard even
# for a person: no classifier can be expected to get all of them right.
#
# </details>
#
# ## What's next
#
# [Preparing the images](02_preprocessing.ipynb) turns the integers of this chapter into what a
# network expects, and measures why it matters.
