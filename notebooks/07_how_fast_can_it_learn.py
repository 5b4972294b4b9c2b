# %% [markdown]
# # How fast can it learn?
#
# **How little time does a network need to be as good as the post's, and where does the time go?**

# %% [markdown]
# **You will learn**
#
# - to count what a training costs, and to compare that with what your machine can do at best;
# - to make a network lean, and to feed it without waiting;
# - what a one-cycle schedule, label smoothing, batch normalisation and the Muon optimizer are for;
# - to take a recipe apart again, to see which of its parts it needs.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [More data from the same data](04_augmentation.ipynb): the post's second network, augmentation, schedules, seeds |
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
from dataclasses import asdict, replace
from math import comb

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter

from digit_utils import plots
from digit_utils.artifacts import load_json, save_json
from digit_utils.benchmark import TARGETS, epochs_timed, seconds_an_epoch, startup_seconds
from digit_utils.cost import forward_flops, layer_flops, sgemm_peak, training_flops
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy, interval_of_share
from digit_utils.fast import Recipe, train
from digit_utils.models import build_base_cnn, build_double_conv_cnn, build_fast_cnn
from digit_utils.optimizers import OneCycle, orthogonalize
from digit_utils.provenance import provenance
from digit_utils.results import report
from digit_utils.training import forget_networks

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the subsets and the first training; further ones add 1
N_TRAIN: int = 0  # training images to use, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images to use, at least 0; 0: all 8,400
WIDTH: int = 16  # filters of the first convolution, at least 1
EPOCHS: int = 3  # passes over the training images, at least 1
BATCH_SIZE: int = 256  # images a training step, at least 1
LEARNING_RATE: float = 0.06  # its highest value
SEEDS: int = 3  # trainings of the recipe, at least 1
ABLATION_SEEDS: int = 0  # trainings of each variant of it, at least 0; 0: show the recorded ones

# %% [markdown]
# The [walkthrough this book retells](https://github.com/naingthet/mnist), *the post* for short, trains its second network
# for up to thirty epochs, and its search trains fifty such networks. On a GPU
# that took an afternoon; on a laptop's processor it takes a night at least. Whoever wants to try an idea cannot wait
# that long for each answer. So this chapter asks where the time goes, and gets most of it back.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
validation_images, validation_labels = take_subset(
    validation_images, validation_labels, N_VALIDATION or None, seed=SEED
)
x_validation = prepare_images(validation_images)
print(f"training   {train_images.shape} {train_images.dtype}")
print(f"validation {x_validation.shape} {x_validation.dtype}")

# %% [markdown]
# ## What a network costs
#
# Nearly all of a network's work is multiplying and adding. A convolution multiplies its whole
# kernel with a patch of its input, at every position and for every filter. That can be counted
# on paper, without running anything. These are the operations that one image costs on its way
# through three networks: the post's two, and the one this chapter is about.

# %%
networks = {
    "base network": build_base_cnn(),
    "double-conv network": build_double_conv_cnn(),
    "lean network": build_fast_cnn(WIDTH),
}
costs = pd.DataFrame(
    {
        "weights": [f"{network.count_params():,}" for network in networks.values()],
        "million operations an image": [
            f"{forward_flops(network) / 1e6:.1f}" for network in networks.values()
        ],
    },
    index=list(networks),
)
costs

# %% [markdown]
# Three things make it lean. Its first convolution moves in steps of two pixels, so nothing in it works on all 28 by 28
# positions. On maps of one size it has half as many filters as the post's networks: 16 and 32 where those have 64, 64 where those
# have 128; a convolution with half the filters, fed by half the maps, costs a quarter. And the last maps, 3 by 3, go straight to the ten
# outputs: the hidden dense layer left out holds more than half of the post's weights, though hardly any of its
# operations. Here it is layer by layer.

# %%
operations_of = dict(layer_flops(networks["lean network"]))
table = []
for layer in networks["lean network"].layers:
    kind = type(layer).__name__
    if kind == "Conv2D":
        kind = f"convolution {layer.kernel_size[0]} × {layer.kernel_size[0]}"
        kind += ", every second pixel" if layer.strides[0] == 2 else ""
    output = " × ".join(str(size) for size in layer.output.shape[1:])
    operations = operations_of.get(layer)
    table.append((kind, output, f"{operations / 1e6:.2f}" if operations else ""))
pd.DataFrame(table, columns=["layer", "output", "million operations an image"]).set_index("layer")

# %% [markdown]
# There is no softmax at the end: the ten outputs are *logits*, of which the largest names the digit. The
# loss turns them into probabilities itself.
#
# To *train* on an image takes about three times the operations: one pass forwards and two backwards, one for the
# gradients of the weights and one for those of each layer's input.
#
# ## What the machine can do
#
# How many operations a second could there be? Ask the machine for what it does best, the product
# of two large matrices, and take the time. With 32-bit numbers and ordinary multiplication no training
# will be faster. This is the **roof** under which everything else takes place.

# %%
roof = sgemm_peak()
epoch_operations = {
    name: training_flops(network, len(train_images)) for name, network in networks.items()
}
display(
    Markdown(
        f"This machine multiplies matrices at **{roof / 1e9:.0f} billion operations a second**. At "
        "that rate an epoch could not take less than "
        + ", ".join(
            f"{count / roof:.1f} s for the {name}" for name, count in epoch_operations.items()
        )
        + "."
    )
)

# %% [markdown]
# ## Feeding it
#
# A processor that waits for its next images does not compute. The post's generator took every
# image out of an array, turned it with a general-purpose routine and put it in a batch, one image
# after the other, in Python.
#
# Here the images stay where the network is, as the bytes they were. `fit` passes row numbers, and a first layer
# fetches the rows. In essence it is this:
#
# ```python
# class OnDeviceImages(keras.layers.Layer):
#     def __init__(self, images):
#         super().__init__(trainable=False)
#         self.images = self.add_weight(shape=images.shape, dtype="uint8", trainable=False)
#         self.images.assign(images)
#
#     def call(self, rows):
#         return keras.ops.take(self.images, rows, axis=0)[..., None] / 255
# ```
#
# After it come the layer that moves the images, as in [chapter 4](04_augmentation.ipynb), and the network. All of it is
# compiled together, and Python is called once for many training steps (`steps_per_execution` in `compile`).
# We have not measured what this alone buys. The smaller a network is, the more of its time goes into being fed.
#
# ## One cycle
#
# Few epochs mean few steps; the figure below counts them. The learning rate climbs for a quarter of them, to a value
# far higher than one would dare to begin with, and falls for the rest
# ([Smith and Topin 2017](https://arxiv.org/abs/1708.07120)). Large steps find the region; small steps at the
# end find the spot. A network that is stopped while its learning rate is high is worse than the same network
# a few seconds later, when the rate has come down. So the length is fixed in advance, and there is
# no early stopping.

# %% mystnb={"image": {"alt": "Line chart of the learning rate against the training step: it climbs in a straight line for the first quarter and falls in a straight line to zero."}}
steps = EPOCHS * -(-len(train_images) // BATCH_SIZE)
schedule = OneCycle(LEARNING_RATE, steps)
ax = plt.subplots(figsize=(7.2, 3.0))[1]
ax.plot(range(steps + 1), [float(schedule(step)) for step in range(steps + 1)])
ax.set(title="One cycle", xlabel="Training step", ylabel="Learning rate")
plt.show()

# %% [markdown]
# ## Targets that are not quite certain
#
# **Label smoothing** ([Szegedy and others 2016](https://arxiv.org/abs/1512.00567)) spreads a small part of the target
# over all digits (`label_smoothing` below): the right one is no longer worth 1 but a little less, and the others no
# longer 0. To come close to 1 a network has to make its weights larger and larger, for images it has long got right.
# With the softer target it can stop there.
#
# ## Normalised maps
#
# **Batch normalisation** ([Ioffe and Szegedy 2015](https://arxiv.org/abs/1502.03167)) comes between a convolution and its activation. It shifts and scales each map so that
# over the batch its mean is 0 and its variance 1; then it adds one number a map, which the network learns.
# Whatever the layers before do, the next one sees inputs on one scale. That is meant to make training fast and
# steady at high learning rates; whether *this* network needs it, we shall see. Where there is pooling, we pool first: a
# quarter of the values is left to normalise.
#
# Meanwhile the layer keeps a running average of the means and variances. A single image has no batch to average over,
# so when the network predicts, the running averages are used instead.
#
# Keras 3 computes it in several passes over the maps. TensorFlow has a *fused* operation, which does the same in one
# pass, and that is what we use.
#
# ## A step in every direction
#
# One step changes the weights of all filters of a layer at once. Write that change as a table: one column a filter, one row for
# each number the filter multiplies. Any such table can be split into independent directions, each with a length, its
# **singular value**. (A table of two rows and two columns turns a circle into an ellipse; the singular values are half the
# lengths of its two axes.) In gradients a few lengths are often far larger than the rest. A plain step then changes the network in those few
# directions and hardly in the others, though they may hold something useful too.
#
# **Muon** ([Jordan and others 2024](https://kellerjordan.github.io/posts/muon/)) adds up the gradients of the last
# steps, older ones counting less (*momentum*), and then keeps the directions but sets all lengths to about one. An
# exact computation would be slow; five rounds of matrix products come close enough. Here are the lengths for a made-up
# matrix of the shape of the fourth convolution's, before and after. We chose the lengths to fall to about a hundredth of the longest.

# %% mystnb={"image": {"alt": "The singular values of a matrix, sorted, on a logarithmic axis: before, they fall by orders of magnitude; afterwards the line is nearly flat."}}
generator = np.random.default_rng(SEED)
shape = (9 * 4 * WIDTH, 4 * WIDTH)  # 3 by 3 pixels of the maps before, by the filters
directions = generator.normal(size=shape) * np.geomspace(1, 1e-2, shape[1])
before = np.linalg.svd(directions / np.linalg.norm(directions), compute_uv=False)
orthogonal = keras.ops.convert_to_numpy(orthogonalize(directions.astype("float32")))
after = np.linalg.svd(orthogonal, compute_uv=False)

ax = plt.subplots(figsize=(7.2, 3.4))[1]
ax.semilogy(before, label="before", color=plots.ORANGE)
ax.semilogy(after, label="after", color=plots.BLUE, linestyle="--")
ax.set(title="How long each direction is", xlabel="Direction", ylabel="Singular value")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Biases and normalisation are no matrices. The first convolution and the dense layer have small ones, and it
# is usual to leave the first and the last layer out. All of these take the steps of **AdamW**
# ([Loshchilov and Hutter 2019](https://arxiv.org/abs/1711.05101)): the Adam of chapter 3,
# which in addition shrinks the weights a little at every step (*weight decay*).
#
# Muon's steps have a fixed length, so its learning rate cannot be compared with that of Adam alone. One schedule drives both
# here.
#
# ## The clock
#
# Everything together, from building the network to its last step. The validation images are scored
# when the clock has stopped. One training proves little, so we repeat it with other seeds. These are the
# settings one can change. Those that are 0 are switched off: `dropout`, `shear`, which slants the digits, and `ema`, which
# averages the weights over the last steps. What is left of Adam's and Muon's own settings stays fixed.

# %%
recipe = Recipe(width=WIDTH, epochs=EPOCHS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE)
for name, value in asdict(recipe).items():
    print(f"{name:16} {value}")

# %% [markdown]
# `train` builds the network, puts the images beside it, compiles it with this optimizer and schedule, and
# calls `fit`.


# %%
def score(network):
    """Return the accuracy on the validation images."""
    logits = keras.ops.convert_to_numpy(network(x_validation, training=False))
    return accuracy(validation_labels, logits.argmax(axis=1))


def train_once(recipe, seed):
    """Train; return the accuracy and the seconds of each epoch."""
    trained = train(recipe, train_images, train_labels, seed)
    accuracy_found = score(trained.network)
    forget_networks()
    return accuracy_found, trained.epoch_seconds


# %% [markdown]
# Several trainings are summed up by the mean of their accuracies and of their times.


# %%
def summarise(runs):
    """Return the accuracies of several trainings, and their mean seconds."""
    scores, epochs = zip(*runs, strict=True)
    epochs = np.mean(epochs, axis=0)
    return {"scores": scores, "mean": np.mean(scores), "seconds": epochs.sum(), "epochs": epochs}


def train_seeds(recipe, seeds):
    """Train once a seed."""
    return summarise([train_once(recipe, seed) for seed in range(SEED, SEED + seeds)])


# %%
ours = train_seeds(recipe, SEEDS)
trainings = f"{SEEDS} training{'s' if SEEDS > 1 else ''}"
display(
    Markdown(
        f"**{ours['mean']:.2%}** of the {len(x_validation):,} validation images, the mean of "
        f"{trainings} ({min(ours['scores']):.2%} to {max(ours['scores']):.2%}), after "
        f"**{ours['seconds']:.0f} seconds**."
    )
)

# %% [markdown]
# Is that as good as the post's? Its second network reached 99.46 % of its 8,400 validation images at its best
# epoch ([source](https://github.com/naingthet/mnist)). They are another draw of the same data, so the two compare only
# roughly: the interval below is ours, and the post's number has one about as wide.

# %%
POST_BEST = 0.9946  # what the post quotes for its best epoch

low, high = interval_of_share(ours["mean"], len(x_validation))
standing = "the two cannot be told apart"
if not low <= POST_BEST <= high:
    standing = f"ours is {'above' if low > POST_BEST else 'below'} it"
display(
    Markdown(
        f"On {len(x_validation):,} images an accuracy like ours has a 95 % interval of "
        f"{low:.2%} to {high:.2%}. Judged by it, {standing}. The recipe was chosen with the "
        "help of the same images, which flatters it a little."
    )
)

# %% [markdown]
# How close is that to the roof? We count the operations of the whole training, Muon's among them,
# and divide by the seconds.

# %%
operations = EPOCHS * training_flops(networks["lean network"], len(train_images), BATCH_SIZE, True)
rate = operations / ours["seconds"]
later = ours["epochs"][1:].mean() if EPOCHS > 1 else ours["seconds"]
step_rate = operations / EPOCHS / later
display(
    Markdown(
        f"{operations / 1e12:.1f} trillion operations in {ours['seconds']:.0f} s are "
        f"{rate / roof:.0%} of the roof. About {max(0, ours['epochs'][0] - later):.1f} s of the "
        f"first epoch went into building and compiling; after it an epoch took {later:.1f} s, "
        f"**{step_rate / roof:.0%} of the roof**."
    )
)

# %% [markdown]
# The rest has several likely causes. Normalising, activating and pooling do little with each number, but have to
# fetch it from memory and put it back; so does augmentation. And the first convolution, with one map as
# input, is a small product.
#
# ## Twice the same
#
# Train twice with one seed, and the two networks are alike but not equal. Two threads that add up the same
# numbers in another order round differently, and training magnifies the difference: with the same seeds, two rounds of trainings come
# to different accuracies.
# `digit_utils.training.enable_determinism()`, called before the first network is built, fixes the order for a whole
# process; then the weights agree to the last bit, and an epoch takes a little longer (the comparison further down timed it). It is a help when one
# looks for an error.
#
# ## Taking it apart
#
# A recipe collects things that once helped somebody. Which of them does *this* one need? As in chapter 4, an ablation tells: we change one thing at a
# time and leave the rest. Three variants also get a learning rate of their own. These are guesses; others may suit them better:
#
# - AdamW a sixth of the recipe's;
# - the constant learning rate half of it;
# - the network without batch normalisation half of it.
#
# Batches of another size mean another number of steps, too. Two usual ingredients are not part of the recipe, so we *add* them. Averaging
# the weights over the last steps has much the same effect as a learning rate that falls to zero, and dropout guards against learning by heart, for
# which three epochs leave little time: we expect little of either.

# %%
left_out = {
    "no label smoothing": replace(recipe, label_smoothing=0.0),
    "no augmentation": replace(recipe, rotation=0.0, zoom=0.0, shift=0.0),
    "no batch normalisation": replace(
        recipe, normalization="none", learning_rate=LEARNING_RATE / 2
    ),
}
exchanged = {
    "AdamW, not Muon": replace(recipe, optimizer="adamw", learning_rate=LEARNING_RATE / 6),
    "constant learning rate": replace(recipe, warmup=0.0, learning_rate=LEARNING_RATE / 2),
    "Keras's own normalisation": replace(recipe, normalization="keras"),
    "half the batch size": replace(recipe, batch_size=BATCH_SIZE // 2),
    "twice the batch size": replace(recipe, batch_size=BATCH_SIZE * 2),
    "half the width": replace(recipe, width=max(1, WIDTH // 2)),
}
added = {
    "weights averaged over the last steps": replace(recipe, ema=0.98),
    "with dropout": replace(recipe, dropout=0.3),
}
variants = {"the recipe": recipe, **left_out, **exchanged, **added}

# %% [markdown]
# With several seeds each that makes dozens of trainings. With `ABLATION_SEEDS` at 0 those that were recorded once, on all
# images, are shown; set it to 3 or 5 to train your own. Each takes about as long as a training above.

# %%
if ABLATION_SEEDS:
    runs = {name: [] for name in variants}
    for seed in range(SEED, SEED + ABLATION_SEEDS):
        for name, variant in variants.items():  # in turn: a slow moment hits all alike
            runs[name].append(train_once(variant, seed))
    trained = {name: summarise(found) for name, found in runs.items()}
    measured = {
        "n_train": len(train_images),
        "n_validation": len(x_validation),
        "epochs": EPOCHS,
        "sgemm_peak": roof,
        "variants": {
            name: {key: found[key] for key in ("scores", "seconds")}
            for name, found in trained.items()
        },
        "provenance": provenance("."),
    }
    save_json(ARTIFACTS, "ablation", measured)
else:
    measured, _ = load_json(ARTIFACTS, "ablation", made_by="this chapter with ABLATION_SEEDS=5")
made = measured["provenance"]
print(
    f"{measured['epochs']} epochs on {measured['n_train']:,} images, scored on "
    f"{measured['n_validation']:,}; {made['date']}, {made['machine']}, roof "
    f"{measured['sgemm_peak'] / 1e9:.0f} billion operations a second"
)

# %%
ablation = pd.DataFrame({name: measured["variants"][name] for name in variants}).T
ablation["mean"] = ablation["scores"].map(np.mean)
whole = ablation.loc["the recipe"]


def apart(scores):
    """Say on which side of the recipe's seeds all of a variant's seeds lie."""
    if max(scores) < min(whole["scores"]):
        return "worse"
    return "better" if min(scores) > max(whole["scores"]) else "within the seeds"


verdicts = ablation["scores"].map(apart)
verdicts["the recipe"] = ""
pd.DataFrame(
    {
        "mean": ablation["mean"].map("{:.2%}".format),
        "over the seeds": [f"{min(s):.2%} to {max(s):.2%}" for s in ablation["scores"]],
        "percentage points": [
            f"{round(100 * (mean - whole['mean']), 2) + 0.0:+.2f}" for mean in ablation["mean"]
        ],
        "seconds": ablation["seconds"].map("{:.1f}".format),
        "times as long": [f"{seconds / whole['seconds']:.2f}" for seconds in ablation["seconds"]],
        "against the recipe": verdicts,
    }
)

# %% mystnb={"image": {"alt": "Two charts side by side with one row for the recipe and for each variant. Left: validation accuracy, a dot for the mean and a tick for each seed; a grey band marks the range of the recipe's own seeds. Right: bars with the seconds of training."}}
figure, (left, right) = plt.subplots(
    1, 2, figsize=(7.6, 4.8), sharey=True, gridspec_kw={"width_ratios": (3, 1)}
)
rows = np.arange(len(ablation))
for row, found in zip(rows, ablation.itertuples(), strict=True):
    left.plot(found.scores, [row] * len(found.scores), "|", color=plots.RED, markersize=12)
left.plot(ablation["mean"], rows, "o", color=plots.BLUE)
left.axvspan(min(whole["scores"]), max(whole["scores"]), color=plots.GREY, alpha=0.15)
left.set_yticks(rows, ablation.index)
left.invert_yaxis()
left.xaxis.set_major_locator(MaxNLocator(4))
left.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
left.set(
    title="One change at a time",
    xlabel="Validation images classified correctly\n(dot: mean, ticks: seeds)",
)
right.barh(rows, ablation["seconds"], color=plots.BLUE)
right.set(title="Time", xlabel="Seconds")
plt.show()

# %% [markdown]
# A difference counts here only if the seeds do not overlap: if the worst training of one is better than
# the best of the other. That is less strict than the rule of chapter 4, which asked for a paired test as well. And all variants are
# held against the same few trainings of the recipe: had these been lucky, everything would look worse.


# %%
def names_of(verdict, names):
    """List the variants among these names with this verdict."""
    found = [f"*{name}*" for name in names if verdicts[name] == verdict]
    return ", ".join(found) or "none"


# %%
n_each = len(whole["scores"])
lines = []
for kind, names in (("left out", left_out), ("exchanged", exchanged), ("added", added)):
    lines.append(
        f"- **{kind.capitalize()}**: worse in every seed: {names_of('worse', names)}; "
        f"better in every seed: {names_of('better', names)}; within the seeds: "
        f"{names_of('within the seeds', names)}."
    )
if n_each == 1:
    lines.append("\nWith one seed each this says little: another may turn it around.")
else:
    one_in = comb(2 * n_each, n_each) // 2  # the orders that would pass are two
    n_compared = len(variants) - 1
    lines.append(
        "\n"
        f"With {n_each} seeds each, luck alone parts two equal variants as cleanly in one "
        f"comparison of {one_in}, and we made {n_compared}: expect "
        f"{n_compared / one_in:.1f} false alarms."
    )
keras_seconds = ablation.loc["Keras's own normalisation", "seconds"]
lines.append(
    "\n"
    f"A training took {whole['seconds']:.1f} s with the fused normalisation and "
    f"{keras_seconds:.1f} s with Keras's own, which computes the same: what separates these "
    "two rows in accuracy is chance."
)
display(Markdown("\n".join(lines)))

# %% [markdown]
# What was left out and came out within the seeds is not needed in a training this short. We keep augmentation for the longer trainings of
# [chapter 6](06_final_model.ipynb), where
# there is time to learn by heart, and batch normalisation because it is meant to forgive other learning rates and widths; this table did not test
# that. And what came out worse did so *with the settings we gave it*: AdamW may do better at another learning rate.
#
# ## Against the clock of others
#
# Time is only comparable on one machine. `make bench` trains the post's two recipes, the convnet of the Keras
# documentation, and ours, on one machine, and times their epochs in turn. The post's second recipe gets the 30
# epochs and the falling learning rate (`ReduceLROnPlateau`) of its search and its final model, without early stopping. The run recorded with the book is shown
# here; its machine may be faster or slower than the one this page was made on.

# %%
benchmark, _ = load_json(
    ARTIFACTS, "benchmark", made_by="make bench FULL=1 and copy _build/bench/benchmark.json there"
)
if benchmark["mode"] != "full":
    raise ValueError(
        f"the benchmark in {ARTIFACTS} is of the mode {benchmark['mode']!r}, expected 'full'; make "
        "one with make bench FULL=1, or delete the file to see the recorded one"
    )
made = benchmark["provenance"]
print(
    f"recorded {made['date']}; {made['machine']}; its roof "
    f"{benchmark['sgemm_peak'] / 1e9:.0f} billion operations a second, "
    f"{benchmark['sgemm_peak'] / roof:.1f} times that of the machine this page was made on"
)


# %%
titles = {name: found["title"].replace("`", "") for name, found in benchmark["recipes"].items()}


def course(name):
    """Return seconds and mean accuracy after each epoch; ours with building and compiling."""
    runs = benchmark["recipes"][name]["runs"]
    scores = np.mean([run["accuracy"] for run in runs], axis=0)
    seconds = seconds_an_epoch(benchmark, name) * np.arange(1, len(scores) + 1)
    if name.startswith("fast"):
        seconds += startup_seconds(runs)
    return seconds, scores


# %% mystnb={"image": {"alt": "Validation accuracy against seconds of training, on a logarithmic time axis, for five recipes: a point for each epoch, joined by a line."}}
ax = plt.subplots(figsize=(7.2, 4.6))[1]
styles = {
    "post_base": ("s", plots.ORANGE),
    "post_double_conv": ("o", plots.BLUE),
    "keras_io": ("^", plots.GREEN),
    "fast": ("D", plots.RED),
    "fast_longer": ("v", plots.DIGIT_COLOURS[6]),
}
for name, (marker, colour) in styles.items():
    seconds, scores = course(name)
    ax.semilogx(seconds, scores, marker=marker, markersize=5, color=colour, label=titles[name])
ax.axhline(POST_BEST, color=plots.GREY, linestyle=":", label="99.46 %, the post's best epoch")
ax.set_ylim(0.975, 0.998)
ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
ax.set(
    title="Accuracy against time",
    xlabel="Seconds of training (logarithmic)",
    ylabel="Validation images\nclassified correctly",
)
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
plt.show()


# %% [markdown]
# Each point is the end of an epoch; in our two lines only the last one is the end of a cycle, so the earlier ones are lower than a training of that length
# would come to. The seconds are those of each recipe's fastest epoch, times the number of epochs, so that a
# slow moment of the machine does not count. The first epochs of some recipes lie below the
# frame, so their lines begin later.

# %% [markdown]
# What an epoch costs each of them, and how near the roof they work:


# %%
def costs_of(name):
    """Return what the benchmark measured of a recipe, in words."""
    found = benchmark["recipes"][name]
    seconds = seconds_an_epoch(benchmark, name)
    epoch_work = found["flops_an_image"] * benchmark["n_train"]
    return {
        "seconds an epoch": f"{seconds:.1f}",
        "billion operations an epoch": f"{epoch_work / 1e9:,.0f}",
        "of its roof": f"{epoch_work / seconds / benchmark['sgemm_peak']:.0%}",
        "images predicted a second": f"{found['predicted_a_second']:,.0f}",
        "memory (MB)": f"{found['peak_memory_mb']:,.0f}",
    }


one_length = [name for name in styles if name != "fast_longer"]
pd.DataFrame({titles[name]: costs_of(name) for name in one_length}).T

# %% [markdown]
# An epoch can be short for two reasons: little to do, or doing it near the roof. The second and third columns tell them
# apart. The memory is mostly TensorFlow's own; the images take a few dozen MB.
#
# And with more images? If every image costs the same, the lines below are straight and climb one decade of seconds for each
# decade of images. A line that is flatter at its left end pays something once, however few the images. Each point is the fastest of a few
# epochs (two, but for the largest number), so small bends are noise.

# %% mystnb={"image": {"alt": "Seconds an epoch against the number of training images, both axes logarithmic, one rising line for each of four recipes."}}
ax = plt.subplots(figsize=(7.2, 4.0))[1]
for name in one_length:
    marker, colour = styles[name]
    found = benchmark["recipes"][name]
    sizes = sorted(found["epoch_seconds"], key=int)
    took = [min(found["epoch_seconds"][size]) for size in sizes]
    ax.loglog([int(size) for size in sizes], took, marker=marker, color=colour, label=titles[name])
ax.set_xticks([int(size) for size in sizes], [f"{int(size):,}" for size in sizes])
ax.minorticks_off()
ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
ax.yaxis.set_major_formatter("{x:g}")
ax.set(
    title="More images, more time",
    xlabel="Training images (logarithmic)",
    ylabel="Seconds an epoch\n(logarithmic)",
)
ax.legend()
plt.show()

# %% [markdown]
# Now side by side: how long until an accuracy is reached? The post's recipe counts until the first epoch that happens to reach it, in one
# training. Ours counts to its end, compilation included, and must reach it in the mean of its trainings. That way of
# counting favours the post's.

# %%
slow_seconds, slow_scores = course("post_double_conv")
ends = {name: [found[-1] for found in course(name)] for name in ("fast", "fast_longer")}


def first_to_reach(target):
    """Return the post's epoch and our training that reach it first; None where neither does."""
    enough = [name for name, (_, found) in ends.items() if found >= target]
    if not enough or slow_scores.max() < target:
        return None
    return int(np.argmax(slow_scores >= target)) + 1, min(enough, key=lambda name: ends[name][0])


rows = []
for target in TARGETS:
    reached = first_to_reach(target)
    row = [f"{target:.2%}", "", "", ""]
    if reached:
        epoch, name = reached
        slow, fast = slow_seconds[epoch - 1], ends[name][0]
        row[1:] = f"{slow:.0f} s, after epoch {epoch}", f"{fast:.0f} s", f"{slow / fast:.0f}"
    rows.append(row)
pd.DataFrame(
    rows, columns=["to reach", "the post's second recipe", "ours", "times as fast"]
).set_index("to reach")

# %% [markdown]
# ## Where the time went
#
# That is the question this chapter began with. To the post's accuracy the factor is a product of four: fewer operations an epoch, an
# epoch that works nearer the roof, fewer epochs, and, against us, what building and compiling take.

# %%
reached = first_to_reach(POST_BEST)
if reached is None:
    speed = None
    answer = f"one of the two recipes does not reach {POST_BEST:.2%}."
else:
    epoch, name = reached
    slow, fast = (benchmark["recipes"][key] for key in ("post_double_conv", name))
    operations = slow["flops_an_image"] / fast["flops_an_image"]
    epoch_ratio = seconds_an_epoch(benchmark, "post_double_conv") / seconds_an_epoch(
        benchmark, name
    )
    epochs = len(fast["runs"][0]["accuracy"])
    startup = startup_seconds(fast["runs"])
    factors = {
        "fewer operations an epoch": operations,
        "nearer the roof": epoch_ratio / operations,
        "fewer epochs": epoch / epochs,
        "building and compiling": 1 - startup / ends[name][0],
    }
    speed = np.prod(list(factors.values()))
    answer = (
        f"our recipe reaches the post's {POST_BEST:.2%} **{speed:.0f} times** as fast as "
        "the post's second recipe does: "
        + " × ".join(f"{value:.2g} ({cause})" for cause, value in factors.items())
        + "."
    )
display(Markdown(f"In the recorded comparison {answer}"))

# %% [markdown]
# Left to run, the post's recipe gets further than it needs to. How long until its *best* epoch, against the whole of our training? That is not
# the same accuracy, so it is not a speed-up; but it is what one waits for.

# %%
best = int(np.argmax(slow_scores))
seconds_to_best, (fast_seconds, fast_score) = slow_seconds[best], ends["fast"]
timed = epochs_timed(benchmark, "post_double_conv")
display(
    Markdown(
        f"The post's second recipe was at its best after epoch {best + 1}, "
        f"{seconds_to_best / 60:.0f} minutes after its start, with "
        f"{slow_scores[best]:.2%}. Ours ended {fast_seconds:.0f} "
        f"seconds after its start, {seconds_to_best / fast_seconds:.0f} times sooner, with "
        f"{fast_score:.2%} (mean of {len(benchmark['recipes']['fast']['runs'])} trainings); "
        f"with twice the epochs, {ends['fast_longer'][1]:.2%}. An epoch of the post's "
        f"recipe took between {min(timed):.0f} and {max(timed):.0f} seconds, as the machine "
        "lent more or less of its processor; we count the fastest, and so we do for ours."
    )
)

# %% [markdown]
# The post's best epoch is chosen by the very images it is scored on, which flatters; ours is scored at its last, which does not. But our
# recipe was tuned on these images too. One training of the post's recipe stands against several of ours, and timings on a
# shared machine differ from one to the next: read the factors as round numbers. The post itself used a GPU, on
# which an epoch took 9 seconds ([source](https://github.com/naingthet/mnist)); there the factor will be another.
#
# The comparison timed the repeatable variant too:

# %%
if "fast_repeatable" in benchmark["recipes"]:
    # Of the epochs timed in turn, which are equally many for both.
    timed = [benchmark["recipes"][name]["epoch_seconds"] for name in ("fast", "fast_repeatable")]
    largest = max(timed[0], key=int)
    usual, repeatable = (min(of_size[largest]) for of_size in timed)
    cost = (
        f"An epoch on {int(largest):,} images took {usual:.1f} s as usual and "
        f"{repeatable:.1f} s repeatably, {repeatable / usual:.2f} times as long."
    )
else:
    cost = "Only TensorFlow has the switch; this comparison ran without it."
display(Markdown(cost))

# %% [markdown]
# ## What we found

# %%
double_conv, lean = networks["double-conv network"], networks["lean network"]
report(
    f"- The lean network needs {forward_flops(double_conv) / forward_flops(lean):.0f} "
    "times fewer operations an image than the post's second network.\n"
    f"- {EPOCHS} epochs on {len(train_images):,} images take {ours['seconds']:.0f} s, "
    f"compilation included, and reach {ours['mean']:.2%} of {len(x_validation):,} "
    f"validation images (mean of {trainings}). An epoch runs at {step_rate / roof:.0%} of "
    "this machine's fastest matrix product.\n"
    f"- Of the changes tried, with the settings we gave them and {n_each} "
    f"seed{'s' if n_each > 1 else ''} each, these make it worse in every seed: "
    f"{names_of('worse', verdicts.index)}. No difference beyond the seeds: "
    f"{names_of('within the seeds', verdicts.index)}.\n"
    f"- In the recorded comparison {answer} To come to its best epoch, with "
    f"{slow_scores[best]:.2%}, the post's recipe takes {seconds_to_best / fast_seconds:.0f} "
    f"times as long as our whole training, which ends at {fast_score:.2%}.",
    validation_accuracy=ours["mean"],
    worst_seed=min(ours["scores"]),
    best_seed=max(ours["scores"]),
    n_seeds=SEEDS,
    n_train=len(train_images),
    n_validation=len(x_validation),
    train_seconds=ours["seconds"],
    sgemm_peak=roof,
    operations_a_second=rate,
    share_of_peak=step_rate / roof,
    n_weights=networks["lean network"].count_params(),
    recorded_speed_up=speed,
    recorded_to_best_epoch=seconds_to_best / fast_seconds,
)

# %% [markdown]
# ## Exercises
#
# **1.** How good is the network after a single epoch? And after six? Train both to the end of
# their own cycle.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for epochs in (1, 6):
#     found = train_seeds(replace(recipe, epochs=epochs), 2)
#     print(f"{epochs} epochs: {found['mean']:.2%} after {found['seconds']:.0f} s")
# ```
#
# Compare the accuracies after one, three and six epochs as numbers of mistakes. If each doubling saves fewer than the
# one before, the returns diminish. The times do not quite double, since compiling costs the same each time.
#
# </details>
#
# **2.** Look at the accuracy after each epoch of one training. The network has seen every image after the first.
# What happens in the last?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# print(train(recipe, train_images, train_labels, SEED, score).scores)
# ```
#
# Two things happen at once: more steps, and smaller ones. To separate them, compare the first number with exercise
# 1's training of *one* epoch. It has the same number of steps, but its learning rate has come down to zero. If it
# does better, that is the schedule's doing.
#
# </details>
#
# **3.** A network twice as wide has about four times the operations. Does it take four times as long?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# wide = replace(recipe, width=2 * WIDTH)
# found = train_seeds(wide, 1)
# ratio = forward_flops(build_fast_cnn(2 * WIDTH)) / forward_flops(build_fast_cnn(WIDTH))
# print(f"{ratio:.1f} times the operations, {found['seconds'] / ours['seconds']:.1f} times the time")
# ```
#
# Usually it takes less than that: larger products come closer to the roof, and work that is not a product only
# doubles. Against it stand Muon's own products, which grow eightfold and are not in this count.
#
# </details>
#
# ## What's next
#
# With more epochs and sheared digits, this recipe trained the networks of the ensemble in [the final
# model](06_final_model.ipynb); `experiments/train_final_model.py` shows how. Or take the recipe to other small images, the
# clothes of Fashion-MNIST for instance. The number of classes, the ranges of the augmentation and the learning rate
# are what you will have to think about again.
#
# To run many trainings, for a search or for error bars, see [Sweep it, guard it](../book/how_to_run_advanced.md). To compare two networks fairly is
# the subject of the next chapter, [Is it really better?](09_is_it_really_better.ipynb).
