# %% [markdown]
# # Meeting the digits
#
# **What is in the data, and what must a convolutional network beat?**

# %% [markdown]
# **You will learn**
#
# - to read Kaggle's table with pandas, and to check it before modelling;
# - to find average digits and unusual ones, and to draw a map of 784-pixel images;
# - to say how sure an accuracy is, with a 95 % interval;
# - to set a baseline, so that a later score means something.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | some Python and NumPy; no machine learning |
# | Time | 25 minutes to read; the run takes one to three minutes on a laptop |

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
import tempfile
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
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
# Somebody writes a digit, a scanner turns it into numbers, and a program has to say which digit it was.
# The program learns that from examples. Ours are **MNIST**: 70,000 small grey images of handwritten digits,
# each with a **label**, the digit it shows. The book comes with them and splits them as Kaggle, a site for
# data-science competitions, does in *Digit Recognizer*: some with labels, to learn from, and some without, the
# **test images**, to predict. The labels of the test images exist, of course. We keep to the rules of the
# competition and leave them sealed until chapter 6.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
print(f"labelled images {digits.images.shape}  {digits.images.dtype}")
print(f"labels          {digits.labels.shape}  from {digits.labels.min()} to {digits.labels.max()}")
print(f"test images     {digits.test_images.shape}  {digits.test_images.dtype}")

# %% [markdown]
# There are 42,000<!--= 01.n_labelled , --> labelled images and 28,000<!--= 01.n_test , --> test images, each
# 28 pixels high and 28 wide. A pixel is a whole number from 0, blank paper, to 255, full ink. Its type, `uint8`,
# is an unsigned integer of eight bits and holds just these 256 values.
#
# ### Kaggle's table
#
# On Kaggle you get no arrays but two text files. `train.csv` has one row per image: the label first,
# then the 784 pixels, from top left to bottom right. To show how such a file is read, we write the
# first 500 images in the same form to a temporary folder. With Kaggle's own file, put its path in place
# of ours (`/kaggle/input/digit-recognizer/train.csv` in a Kaggle notebook); the rest stays as it is.

# %%
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
rows = np.column_stack([digits.labels[:500], digits.images[:500].reshape(-1, 784)])
columns = ["label"] + [f"pixel{index}" for index in range(784)]
pd.DataFrame(rows, columns=columns).to_csv(folder / "train.csv", index=False)

# %%
train = pd.read_csv(folder / "train.csv")
print(train.shape)
train[["label", "pixel0", "pixel1", "pixel350", "pixel378", "pixel406", "pixel783"]].head()

# %% [markdown]
# The table has 785 columns: the label and 784 pixels. We show three pixels from the corners of the images,
# where all is blank, and three from the middle. Next, we ask whether any value is missing; two lines then turn
# the table into arrays.

# %% tags=["nbval-check-output"]
print("missing values:", train.isna().sum().sum())

labels = train["label"].to_numpy("uint8")
images = train.drop(columns="label").to_numpy("uint8").reshape(-1, 28, 28)
print("the same images as above:", np.array_equal(images, digits.images[:500]))
print("the same labels as above:", np.array_equal(labels, digits.labels[:500]))

# %% [markdown]
# ## Is anything missing?
#
# In our 500 rows, nothing is. This book retells a
# [walkthrough of the competition](https://github.com/naingthet/mnist) from 2020, *the original post*. It asked
# pandas the same about all of Kaggle's rows, and no value was missing there either. Why ask at all? Here is a
# tiny table with a hole in it.

# %% tags=["nbval-check-output"]
tiny_table = pd.read_csv(io.StringIO("label,pixel0,pixel1\n7,0,255\n3,,12"))
print(tiny_table)
try:
    tiny_table["pixel0"].astype("uint8")
except ValueError as error:
    print("\npandas refuses:", error)
with np.errstate(invalid="ignore"):
    print("NumPy goes on: ", tiny_table["pixel0"].to_numpy().astype("uint8"))

# %% [markdown]
# An integer cannot say "missing", so pandas converted the whole column to floats and put `NaN`, "not a
# number", into the hole. Convert such a column back to `uint8`, and pandas raises an error. NumPy only
# warns (we silenced it) and writes a number, here 0: a pixel of blank paper that nobody will find. So
# ask before you convert. `load_digits` does: it refuses a table with an empty field and names the row
# and column.
#
# In images that are integers already, we look for the traces that damage would leave: an image without
# any ink, an image of a single grey, a label that is not a digit.

# %% tags=["nbval-check-output"]
damaged = 0
for name, images in {"labelled": digits.images, "test": digits.test_images}.items():
    lightest, darkest = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    no_ink, single_grey = np.sum(darkest == 0), np.sum(lightest == darkest)
    print(f"{name:8}  without ink: {no_ink}   of a single grey: {single_grey}")
    damaged += single_grey
print(f"labels    that are no digit: {np.sum(~np.isin(digits.labels, np.arange(10)))}")

# %% [markdown]
# Neither the images nor the labels show such a trace.
#
# ## How many of each digit?
#
# A **classifier** is a program that says which digit an image shows. If one digit were rare, a classifier could
# ignore it and still score well. So we count.

# %%
counts = np.bincount(digits.labels)
always_guess = counts.max() / counts.sum()

# %% mystnb={"image": {"alt": "Bar chart of the number of labelled images of each digit from 0 to 9, with a dashed line at the mean. The bars are of similar height."}} tags=["hide-input"]
# @title Draws the number of images of each digit
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

# %% [markdown]
# The most frequent digit is 1 with 4,753<!--= 01.label_counts.1 , --> images, the least frequent is 5
# with 3,763<!--= 01.label_counts.5 , -->. Always guessing 1 is right for
# 11.3 %<!--= 01.always_guess_accuracy .1% --> of the images. A score means something only above that floor.
#
# The counts are close together. There is no need to show the rarer digits more often or to give them more
# weight, and **accuracy**, the share of images classified correctly, is a fair measure here.
#
# ## Looking at them
#
# No statistic replaces looking. Each column holds one digit. Compare the 2s with a loop and without, the 4s
# closed and open at the top, the thick strokes and the thin ones.

# %% mystnb={"image": {"alt": "Gallery of sixty handwritten digits in ten columns, one column for each digit from 0 to 9, six writers each."}}
random = np.random.default_rng(SEED)
chosen = np.stack([random.choice(np.flatnonzero(digits.labels == digit), 6) for digit in range(10)])
plots.show_images(digits.images[chosen.T.ravel()], title="Six images of each digit")
plt.show()

# %% [markdown]
# ## How much is ink?
#
# Most of an image is paper. How much, and what values do the pixels with ink take?

# %%
ink_values = digits.images[digits.images > 0]
blank_share = np.mean(digits.images == 0)
full_share, grey_share = np.mean(ink_values >= 250), np.mean(ink_values < 250)
print(f"blank: {blank_share:.1%} of all pixels")
print(f"of those with ink: {full_share:.1%} nearly full (250 or more), {grey_share:.1%} grey")

# %% mystnb={"image": {"alt": "Histogram of the values of all pixels with ink. A tall peak stands at the right end, near full ink; the greys before it are each rare and about equally frequent."}} tags=["hide-input"]
# @title Draws the values of the pixels with ink
ax = plt.subplots()[1]
share = np.full(len(ink_values), 100 / len(ink_values))
ax.hist(ink_values, bins=np.linspace(0.5, 255.5, 52), weights=share)
ax.set(
    title="What values do the pixels with ink take?",
    xlabel="Pixel value (1: faintest grey, 255: full ink)",
    ylabel="Share of pixels with ink (%)",
)  # fmt: skip
plt.show()

# %% [markdown]
# Of all pixels, 80.8 %<!--= 01.blank_share .1% --> are blank. Of the others,
# 38.7 %<!--= 01.full_ink_share .1% --> are nearly full ink, the tall bar at the right. The remaining
# 61.3 %<!--= 01.grey_share .1% --> are spread thinly over all the greys: the soft edges of the
# strokes.
#
# The scans were black and white. The greys appeared when MNIST's makers shrank each digit to fit a box
# of 20 × 20 pixels. They then moved it so that its centre of mass lies in the middle of the 28 × 28 image
# ([LeCun and others, 1998](https://doi.org/10.1109/5.726791)). That helps us twice: all digits have about
# the same size, and all are centred. Digits from a camera will not be so kind.
#
# The next figure shows where the ink falls. Its dashed box is where those 20 × 20 pixels lie when the
# centre of mass is also the middle of the box. A digit that is heavy at the top, like many a 9, sits lower and
# sticks out of the box.

# %%
ink_share = np.mean(digits.images > 0, axis=0)
print("pixels that never hold ink:", np.sum(ink_share == 0))

# %% mystnb={"image": {"alt": "Heat map of the 28 by 28 pixels, shaded by the share of images with ink there: dark in the middle, white along the border, with a dashed frame around the central 20 by 20 box."}} tags=["hide-input"]
# @title Draws where the ink falls
ax = plt.subplots(figsize=(5.6, 4.6))[1]
shades = ax.imshow(100 * ink_share, cmap="Blues", vmin=0)
ax.add_patch(plt.Rectangle((3.5, 3.5), 20, 20, fill=False, linestyle="--", edgecolor=plots.RED))
ax.figure.colorbar(shades, label="Images with ink here (%)")
ax.grid(visible=False)
ax.set(
    title="Where the ink falls (dashed: 20 × 20 box)",
    xlabel="Column (pixels)",
    ylabel="Row (pixels)",
)
plt.show()

# %% [markdown]
# Most of the ink lies in the box. Of the 784 pixels, 78<!--= 01.never_inked .0f --> are blank in every labelled
# image, all of them near the border. They say nothing about the digit.
#
# Does the *amount* of ink tell the digits apart? In the figure below, a box holds the middle half of a
# digit's images and its line marks the median. The whiskers leave out the lightest 5 % and the darkest 5 %.

# %%
ink = digits.images.mean(axis=(1, 2)) / 255
mean_ink = np.array([ink[digits.labels == digit].mean() for digit in range(10)])
print("mean ink (%), 0 to 9:", (100 * mean_ink).round(1))

# %% mystnb={"image": {"alt": "Box plot of the ink in each image, one box for each digit. The box of digit 1 lies lowest and that of digit 0 highest; the other boxes overlap widely."}} tags=["hide-input"]
# @title Draws the ink in each image, digit by digit
ax = plt.subplots()[1]
ax.boxplot(
    [100 * ink[digits.labels == digit] for digit in range(10)],
    positions=range(10), whis=(5, 95), showfliers=False, medianprops={"color": plots.RED},
)  # fmt: skip
ax.set(title="Ink in each image", xlabel="Digit", ylabel="Ink (% of an all-black image)")
plt.show()

# %% [markdown]
# On average a 0 takes 2.3<!--= 01.ink_ratio .1f --> times as much ink as a 1. The boxes of the other
# digits overlap so widely that ink says little about them.
#
# ## The average digit, and the odd ones out
#
# Average all images of a digit, pixel by pixel, and you get its **mean image**. Where it is sharp, people
# agree; where it is blurred, they do not. How far is an image from its mean? Subtract the two, square the
# 784 differences, add them up and take the square root. This is the **Euclidean distance** between two points,
# with 784 coordinates instead of two. The image farthest from its mean is the most unusual of its kind.

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
# The ring of the mean 0 is fairly sharp, the arms of the mean 4 are blurred. Of the unusual ones, the 7 has an odd
# shape: it could be an n. The 4 and the 8 are mostly thick. Measured by this distance, a thick pen makes a digit as
# unusual as an odd shape does. Exercise 2 shows a classifier that the amount of ink leads astray.
#
# ## Duplicates, and the public leak
#
# An image that is in the training data *and* in the data we test on gives its answer away. Exact copies
# have equal bytes, and a Python set keeps equal items once.

# %% tags=["nbval-check-output"]
labelled = {image.tobytes() for image in digits.images}
test = {image.tobytes() for image in digits.test_images}
copies_within = len(digits.images) - len(labelled)
copies_across = len(labelled & test)
print(f"copies among the labelled images:     {copies_within}")
print(f"copies among the test images:         {len(digits.test_images) - len(test)}")
print(f"images both labelled and in the test: {copies_across}")

# %% [markdown]
# There are no copies. But one changed pixel hides a copy from this test, so we also look for near copies:
# for each of 1,000<!--= 01.n_lookup , --> test images, the closest labelled image. We divide the distance by
# $\sqrt{784} = 28$, which gives the typical (root-mean-square) difference per pixel, in grey levels.

# %%
labelled_rows = digits.images.reshape(-1, 784).astype("float32")
test_rows = digits.test_images[:N_LOOKUP].reshape(-1, 784).astype("float32")
closest, distance = pairwise_distances_argmin_min(test_rows, labelled_rows)
difference = distance / np.sqrt(784)
print(f"grey levels: closest pair {difference.min():.0f}, median {np.median(difference):.0f}")

# %% mystnb={"image": {"alt": "Ten pairs of images in two rows: above, test images; below each, the labelled image closest to it, with its digit, 0 to 9, and their difference. The pairs look alike but are not identical."}} tags=["hide-input"]
# @title Draws the closest pair of each digit
shows = digits.labels[closest]
pairs = [np.where(shows == digit, difference, np.inf).argmin() for digit in range(10)]
plots.show_images(
    np.concatenate([digits.test_images[pairs], digits.images[closest[pairs]]]),
    ["test"] * 10 + [f"a {shows[i]}, by {difference[i]:.0f}" for i in pairs],
    title="The closest pair of a test and a labelled image, and their difference (grey levels)",
)
plt.show()

# %% [markdown]
# The closest pair differs by 10<!--= 01.smallest_difference .0f --> of 255 grey levels, the median pair by
# 40<!--= 01.median_difference .0f -->. The pairs look alike. But one changed pixel makes a difference of at most
# 255 / 28, about 9, so none of these pairs is a copy with one pixel changed. Two warnings remain.
#
# - **The same writers.** Most of MNIST's writers wrote many digits, and the images were shuffled before
#   they were split. So most writers of test images have written labelled images too. A score on the test images
#   is not a score on strangers' handwriting.
# - **The leak.** MNIST is public, labels and all. Chris Deotte looked up every test image of the
#   competition in the full MNIST and found them all, unaltered
#   ([MNIST Perfect 100% using kNN](https://www.kaggle.com/code/cdeotte/mnist-perfect-100-using-knn)).
#   So a leaderboard score of 100 %<!--= given --> says that somebody had the answers, and nothing about skill.
#   This book never trains on the test images, nor on MNIST from elsewhere, which contains them.
#
# ## A map of the digits
#
# An image is a point in a space of 784 dimensions, one per pixel. Images that look alike lie close to each
# other. We cannot see 784 dimensions, but we can flatten them.
#
# **PCA**, principal component analysis, finds the direction along which the images differ most, then, at a right
# angle to it, the direction along which they differ most after that, and so on. These are the *principal
# components*. We compute 50 and draw the first two: a shadow of the cloud of points, seen from its broadest side.

# %% mystnb={"image": {"alt": "Scatter plot of labelled images on their first two principal components, coloured by digit. The 0s lie at one side and the 1s at the other; the digits between them overlap."}}
map_images, map_labels = take_subset(digits.images, digits.labels, N_MAP, seed=SEED)
map_rows = map_images.reshape(-1, 784) / 255
components = PCA(50, random_state=SEED).fit_transform(map_rows)
plots.plot_map(components[:, :2], map_labels, title="PCA: two directions of 784")
plt.show()

# %% [markdown]
# The 0s and the 1s lie at opposite sides. The digits between them overlap: two directions are too few to tell
# them apart.
#
# **t-SNE**, t-distributed stochastic neighbour embedding
# ([van der Maaten and Hinton, 2008](https://jmlr.org/papers/v9/vandermaaten08a.html)), draws no shadow. It
# places the points so that neighbours stay neighbours, and does not keep larger distances. We hand it the 50
# principal components instead of 784 pixels, a usual first step that saves time. Read such a map with care: that
# two images lie together means something; how far apart two clusters lie, or how large they are, does not.

# %% mystnb={"image": {"alt": "Scatter plot of the same images arranged by t-SNE, coloured by digit. Most digits form islands of their own; those of 4 and 9 run together, and single dots stray onto foreign islands."}}
tsne_points = TSNE(random_state=SEED).fit_transform(components)
plots.plot_map(tsne_points, map_labels, title="t-SNE: neighbours stay neighbours")
plt.show()

# %% [markdown]
# Most digits form islands of their own. The 4s and the 9s run together, and single dots stray onto other
# digits' islands.
#
# Can that be put in a number? We count for how many images the nearest neighbour on the map shows the same
# digit.


# %%
def same_digit_next_door(points):
    neighbours = KNeighborsClassifier(1).fit(points, map_labels)
    nearest = neighbours.kneighbors(return_distance=False)[:, 0]  # never the point itself
    return np.mean(map_labels[nearest] == map_labels)


next_door = {
    "pixels": map_rows, "50 components": components, "PCA map": components[:, :2],
    "t-SNE map": tsne_points,
}  # fmt: skip
next_door = {name: same_digit_next_door(points) for name, points in next_door.items()}
for name, share in next_door.items():
    print(f"{name:13} {share:.0%}")

# %% [markdown]
# With all 784 pixels it is 91.4 %<!--= 01.same_digit_pixels .1% --> of the images, with the 50 components
# 93.2 %<!--= 01.same_digit_components .1% -->, on the PCA map 38.5 %<!--= 01.same_digit_pca .1% -->, on the t-SNE map
# 93.5 %<!--= 01.same_digit_tsne .1% -->. t-SNE is given no labels, and the pixels' neighbours agree nearly as often: it
# did not invent the islands.
#
# How can a flat map do better than all the pixels? It holds no information that the pixels lack. Most of the gain comes
# before the map: the 50 components leave out 734 directions that mostly hold noise, and a nearest neighbour is
# misled by noise as much as by anything else.
#
# ## What must a network beat?
#
# Images that look alike mostly show the same digit, so simple methods should do well. We try three. They are our
# **baselines**: scores that a later one is compared with.
#
# - **Nearest mean**: take the digit whose mean image is closest.
# - **Logistic regression**: each digit has a weight for each pixel and one number more, its *bias*. Multiply the
#   pixels by the weights, add up and add the bias; the digit with the largest sum wins. Training chooses these
#   numbers; [chapter 2](02_preprocessing.ipynb) shows how.
# - **3 nearest neighbours**: keep all training images. Find the three closest to the new one and let them
#   vote.
#
# They learn from 80 % of the labelled images, the **training images**. The other 20 %, the **validation images**,
# are set aside before anything is learned, and tell how well it worked. The next chapter says more about this
# split, and about dividing the pixels by 255.

# %% tags=["nbval-check-output"]
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
x_train = train_images.reshape(-1, 784).astype("float32") / 255
x_validation = validation_images.reshape(-1, 784).astype("float32") / 255
print(f"training   {x_train.shape}")
print(f"validation {x_validation.shape}")

# %% [markdown]
# In scikit-learn, every classifier learns with `fit` and answers with `predict`. Of the settings of logistic
# regression, `C` keeps the weights small, and `tol` and `max_iter` say when training may stop.

# %%
baselines = {
    "Nearest mean": NearestCentroid(),
    "Logistic regression": LogisticRegression(C=0.1, tol=0.001, max_iter=300),
    "3 nearest neighbours": KNeighborsClassifier(n_neighbors=3),
}
# Pixels that never hold ink do not vary. NearestCentroid warns of them; here they do no harm.
warnings.filterwarnings("ignore", message=".*within_class_std_dev_")

guesses, costs = {}, pd.DataFrame(columns=["accuracy (%)", "learning (s)", "classifying (s)"])
for name, classifier in baselines.items():
    start = time.perf_counter()
    classifier.fit(x_train, train_labels)
    learned = time.perf_counter()
    guesses[name] = classifier.predict(x_validation)
    done = time.perf_counter()
    share = 100 * accuracy(validation_labels, guesses[name])
    costs.loc[name] = [share, learned - start, done - learned]
costs.round(2)

# %% [markdown]
# The 3 nearest neighbours get 97.0 %<!--= 01.nearest_neighbours_accuracy .1% --> of the validation images right,
# logistic regression 92.2 %<!--= 01.logistic_regression_accuracy .1% -->, the nearest mean
# 81.7 %<!--= 01.nearest_mean_accuracy .1% -->.
#
# ### How sure is an accuracy?
#
# Logistic regression's 92.2 %<!--= 01.logistic_regression_accuracy .1% --> was measured on 8,400 images. Another
# 8,400 would have given a slightly different figure. How different? We have no others, but we can draw 8,400 from
# ours, allowing repeats, and do so a thousand times. This is the **bootstrap**.

# %%
correct = guesses["Logistic regression"] == validation_labels
random = np.random.default_rng(SEED)
redrawn = [random.choice(correct, len(correct)).mean() for _ in range(1000)]
print("the middle 95 % of 1,000 draws:", np.quantile(redrawn, [0.025, 0.975]).round(4))

p, n = correct.mean(), len(correct)
margin = 1.96 * np.sqrt(p * (1 - p) / n)
print("by the formula below:          ", np.array([p - margin, p + margin]).round(4))

# %% [markdown]
# Of the 1,000 draws, 950 lie between 91.6 %<!--= 01.redrawn_low .1% --> and
# 92.8 %<!--= 01.redrawn_high .1% -->. That range is a **95 % confidence interval** for the true accuracy, the one
# on endlessly many images of the same kind. Repeat all this with 100 other sets of images, and about 95 of the 100
# intervals contain it. You need not draw: for an accuracy $p$ on $n$ images the interval is about
#
# $$p \pm 1.96 \sqrt{\frac{p\,(1-p)}{n}}$$
#
# Four times as many images make it half as wide. `accuracy_interval`, which the book uses from here on,
# is Wilson's form of the same, which never goes above 100 %. Remember what it covers: the luck of the
# images. A network trained twice also differs by the luck of its training, and chapter 4 deals with that.

# %%
scores = pd.DataFrame(
    [
        (accuracy(validation_labels, guess), *accuracy_interval(validation_labels, guess))
        for guess in guesses.values()
    ],
    index=list(guesses),
    columns=["accuracy", "low", "high"],
)

# %% mystnb={"image": {"alt": "Dot chart of the validation accuracy of three simple classifiers with 95 percent intervals. Nearest mean is lowest, logistic regression in the middle, three nearest neighbours highest; the intervals are far apart."}} tags=["hide-input"]
# @title Draws the three accuracies with their intervals
plots.plot_accuracies(scores, title="Three simple classifiers, validation images")
plt.show()

# %% [markdown]
# The three intervals are far apart, so the luck of the images does not explain the order of the methods.
#
# ### What does each cost?
#
# Accuracy isn't everything. We look again at the seconds each method took on the machine that ran this page, to
# learn and to classify the 8,400 validation images, and add how many numbers it has to keep.

# %%
stored = {
    "Nearest mean": baselines["Nearest mean"].centroids_.size,
    "Logistic regression": baselines["Logistic regression"].coef_.size + 10,
    "3 nearest neighbours": x_train.size,
}
costs.assign(**{"numbers kept": stored}).round(2)

# %% [markdown]
# The nearest-neighbour method learns nothing. It stores the images, 26 million numbers, and all its work is in the
# answer. Twice the training images mean twice the memory and about twice the time for an answer. Logistic
# regression is the reverse: slow to learn, quick to answer, and small. A network is of this second kind. (Nearest
# mean is small and quick at both, and the least accurate.)
#
# ### Two pixels to the right
#
# To all three methods, each pixel is a number of its own at a fixed place. MNIST's makers centred the digits, which
# suits them well. What if we shift the digits by two pixels, which you would hardly notice? `np.roll` does it: the
# two columns that leave at the right, nearly always blank, come in again at the left. To save time, we take 2,000
# images.

# %%
moved = np.roll(validation_images[:2000], 2, axis=2).reshape(-1, 784).astype("float32") / 255
shifted = pd.DataFrame(
    {
        "in place": {k: accuracy(validation_labels[:2000], g[:2000]) for k, g in guesses.items()},
        "shifted": {
            name: accuracy(validation_labels[:2000], classifier.predict(moved))
            for name, classifier in baselines.items()
        },
    }
)
shifted.style.format("{:.1%}")

# %% [markdown]
# The 3 nearest neighbours fall from 97.0 %<!--= 01.in_place.nearest_neighbours .1% --> to
# 69.9 %<!--= 01.shifted.nearest_neighbours .1% -->, logistic regression from
# 92.7 %<!--= 01.in_place.logistic_regression .1% --> to
# 62.0 %<!--= 01.shifted.logistic_regression .1% -->. For all three methods a shifted stroke is a
# different stroke. A **convolutional network** applies the same weights at every place of the image. Chapter 3
# builds one.
#
# ## What we found
#
# - There are 42,000<!--= 01.n_labelled , --> labelled and 28,000<!--= 01.n_test , --> test images, with no trace
#   of damage. Each digit has 3,763<!--= 01.label_counts.5 , --> to 4,753<!--= 01.label_counts.1 , --> labelled
#   images.
# - Of the pixels, 80.8 %<!--= 01.blank_share .1% --> are blank; most pixels with ink are grey.
# - There are no exact copies, neither among the labelled images nor between them and the test images.
# - A network has these three to beat, measured on 8,400 validation images:
#
# | | Accuracy | 95 % interval | Numbers kept |
# | --- | ---: | ---: | ---: |
# | Nearest mean | 81.67 %<!--= 01.nearest_mean_accuracy .2% --> | 80.82 %<!--= 01.nearest_mean_low .2% --> to 82.48 %<!--= 01.nearest_mean_high .2% --> | 7,840 |
# | Logistic regression | 92.19 %<!--= 01.logistic_regression_accuracy .2% --> | 91.60 %<!--= 01.logistic_regression_low .2% --> to 92.75 %<!--= 01.logistic_regression_high .2% --> | 7,850 |
# | 3 nearest neighbours | 96.96 %<!--= 01.nearest_neighbours_accuracy .2% --> | 96.58 %<!--= 01.nearest_neighbours_low .2% --> to 97.31 %<!--= 01.nearest_neighbours_high .2% --> | 26,342,400 |
#
# A network must beat 96.96 %<!--= 01.nearest_neighbours_accuracy .2% -->; how to tell that it does is the subject of
# [chapter 9](09_is_it_really_better.ipynb). The network of the original post
# reached 0.9900<!--= given --> in its best epoch, before any tuning
# ([source](https://github.com/naingthet/mnist)): one mistake in 100 images, where the 3 nearest neighbours make
# three. Most of the way takes no network at all; the last few mistakes are what the rest of this book is about.

# %%
keys = ("nearest_mean", "logistic_regression", "nearest_neighbours")
by_key = scores.set_axis(keys)
report(
    n_labelled=len(digits.images), n_test=len(digits.test_images), damaged=damaged,
    label_counts=counts, always_guess_accuracy=always_guess,
    blank_share=blank_share, full_ink_share=full_share, grey_share=grey_share,
    never_inked=np.sum(ink_share == 0), ink_ratio=mean_ink[0] / mean_ink[1],
    duplicates_labelled=copies_within, duplicates_across=copies_across,
    n_lookup=len(difference), smallest_difference=difference.min(),
    median_difference=np.median(difference),
    same_digit_pixels=next_door["pixels"], same_digit_components=next_door["50 components"],
    same_digit_pca=next_door["PCA map"], same_digit_tsne=next_door["t-SNE map"],
    n_train=len(x_train),
    redrawn_low=np.quantile(redrawn, 0.025), redrawn_high=np.quantile(redrawn, 0.975),
    **{f"{key}_accuracy": by_key["accuracy"][key] for key in keys},
    **{f"{key}_low": by_key["low"][key] for key in keys},
    **{f"{key}_high": by_key["high"][key] for key in keys},
    in_place=shifted["in place"].set_axis(keys).to_dict(),
    shifted=shifted["shifted"].set_axis(keys).to_dict(),
)  # fmt: skip

# %% [markdown]
# ### Check yourself
#
# Answer before you unfold.
#
# **1.** `train.csv` has 785 columns. What are they?
#
# <details>
# <summary>Answer</summary>
#
# The label, then the 784 pixels of a 28 × 28 image.
#
# </details>
#
# **2.** Why ask for missing values *before* you convert a table to `uint8`?
#
# <details>
# <summary>Answer</summary>
#
# An integer cannot say "missing". NumPy writes some number into the hole, 0 on our machine, and a missing
# pixel looks like blank paper.
#
# </details>
#
# **3.** What share of the images does always guessing the most frequent digit get right, and why do you want to
# know?
#
# <details>
# <summary>Answer</summary>
#
# About one in nine: the share of the 1s. A score means something only above that floor. With one digit in
# 90 % of the images, the floor would be 90 %.
#
# </details>
#
# **4.** What does the 95 % interval of an accuracy tell you, and what makes it narrower?
#
# <details>
# <summary>Answer</summary>
#
# How far the luck of the images may have moved the accuracy: about 95 of 100 such intervals contain the accuracy on
# endlessly many images of the same kind. More images make it narrower, four times as many half as wide.
#
# </details>
#
# **5.** Nearest neighbours is the most accurate of the three. What does it cost?
#
# <details>
# <summary>Answer</summary>
#
# Memory for all training images, and the time to compare a new image with each of them.
#
# </details>
#
# **6.** Two clusters lie far apart on a t-SNE map. What follows?
#
# <details>
# <summary>Answer</summary>
#
# Nothing. On such a map nearness means something, the distance between clusters does not.
#
# </details>
#
# **7.** On Kaggle's leaderboard somebody has 100 %. What do you conclude?
#
# <details>
# <summary>Answer</summary>
#
# That somebody used the public labels of MNIST. It says nothing about the method.
#
# </details>
#
# **8.** Why do all three baselines suffer when the digits are shifted?
#
# <details>
# <summary>Answer</summary>
#
# They take each pixel at a fixed place. Two pixels further on, a stroke meets other weights or other pixels.
#
# </details>
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
# print(f"accuracy (%): {100 * accuracy(validation_labels, guessed):.1f}")
# print("right, by digit:", np.bincount(validation_labels[guessed == validation_labels]))
# ```
#
# ```text
# accuracy (%): 22.7
# right, by digit: [495 789  41  42  22  60  45 265 109  38]
# ```
#
# Better than always guessing the same digit, and still wrong most of the time. What it gets right are mostly
# 1s and 0s, the digits with the least and the most ink.
#
# </details>
#
# **2.** Which digits does the nearest mean confuse? Does the map explain it?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# predicted = guesses["Nearest mean"]
# plots.plot_confusion(validation_labels, predicted, title="Nearest mean, validation images")
# wrong = pd.DataFrame({"true": validation_labels, "guess": predicted}).query("true != guess")
# print(wrong.value_counts().head(6).to_string())
# ```
#
# ```text
# true  guess
# 4     9        107
# 5     3         90
# 9     4         82
# 5     1         67
# 8     3         63
# 3     5         55
# ```
#
# It takes many a 4 for a 9 and a 5 for a 3, and the reverse: pairs that touch on the t-SNE map. It also calls
# thinly written digits a 1: with so little ink they lie closest to the mean image that has the least.
#
# </details>
#
# **3.** How far can you shift the images before a baseline is no better than always guessing the same digit?
# Try nearest mean and logistic regression.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# print("floor (%):", round(100 * always_guess, 1))
# for pixels in range(0, 9, 2):
#     moved = np.roll(validation_images, pixels, axis=2).reshape(-1, 784).astype("float32") / 255
#     found = [
#         round(100 * accuracy(validation_labels, baselines[name].predict(moved)), 1)
#         for name in ("Nearest mean", "Logistic regression")
#     ]
#     print(f"shifted by {pixels} pixels, accuracies (%):", found)
# ```
#
# ```text
# floor (%): 11.3
# shifted by 0 pixels, accuracies (%): [81.7, 92.2]
# shifted by 2 pixels, accuracies (%): [61.4, 63.2]
# shifted by 4 pixels, accuracies (%): [20.9, 22.6]
# shifted by 6 pixels, accuracies (%): [10.8, 6.7]
# shifted by 8 pixels, accuracies (%): [15.9, 5.1]
# ```
#
# (These are all 8,400 validation images; the table in the chapter is of 2,000.) Six pixels, a fifth of the width, take both below the floor. At eight, nearest mean is above it again, and still
# wrong for five images in six.
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
# plots.show_images(map_images[shown], [f"a {map_labels[i]}" for i in shown])
# print([f"{map_labels[a]}-{map_labels[b]}" for a, b in zip(images_of_digit, look_alikes)])
# ```
#
# ```text
# ['0-6', '1-7', '2-7', '3-1', '4-9', '5-1', '6-4', '7-1', '8-1', '9-7']
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
# network expects, and shows how a network learns from them.
