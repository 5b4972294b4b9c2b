# %% [markdown]
# # More data from the same data
#
# **What do augmentation, depth, dropout and a learning-rate schedule each buy?**

# %% [markdown]
# **You will learn**
#
# - to make new training images out of old ones, and how far the changes may go;
# - why we stack two convolutions, and what dropout does;
# - to change one thing at a time, and to test whether a difference is more than chance;
# - what a learning-rate schedule does, and how to judge it fairly.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [A first convolutional network](03_base_cnn.ipynb): convolution, pooling, early stopping, the interval of an accuracy |
# | Time | 20 minutes to read; the run takes four to twelve minutes on a laptop |

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
from math import comb
from time import perf_counter

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from keras import layers
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy import ndimage

from digit_utils import plots
from digit_utils.augment import RandomAffine
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy, accuracy_interval, paired_test
from digit_utils.models import build_base_cnn, build_double_conv_cnn
from digit_utils.results import report
from digit_utils.training import (
    LiveProgress,
    forget_networks,
    history_frame,
    set_seed,
    with_augmentation,
)

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the subsets, the training and the augmentation
N_TRAIN: int = 0  # training images to use, at least 0; 0: all 33,600
N_VALIDATION: int = 0  # validation images to use, at least 0; 0: all 8,400
WIDTH: int = 16  # filters of the first block, at least 1; the post's 32 takes longer
BATCH_SIZE: int = 128  # images a training step, at least 1
EPOCHS: int = 4  # passes over the training images, at least 1; early stopping may end sooner
PATIENCE: int = 10  # epochs without improvement before early stopping ends the training, at least 0
EXTRA_EPOCHS: int = 3  # epochs with and without the learning-rate schedule, at least 1
PLATEAU_PATIENCE: int = 1  # epochs without improvement before the rate is cut, at least 0
ABLATION_IMAGES: int = 2000  # training images of each experiment, at least 0; 0: as many as N_TRAIN
ABLATION_EPOCHS: int = 8  # passes over those images, at least 1
ABLATION_BATCH_SIZE: int = 32  # images a training step there, at least 1
ABLATION_SEEDS: int = 3  # trainings of each variant, at least 1

# %% [markdown]
# The data are those of the last two chapters: scaled, and split into training and validation
# images.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)
validation_images, validation_labels = take_subset(
    validation_images, validation_labels, N_VALIDATION or None, seed=SEED
)

x_train, x_validation = prepare_images(train_images), prepare_images(validation_images)
print(f"training   {x_train.shape}")
print(f"validation {x_validation.shape}")

# %% [markdown]
# ## A digit, moved a little
#
# Tilt a 4 by a few degrees and it is still a 4. You know that; the network does not. All it
# knows is its training images. **Data augmentation** tells it: before every training step we
# turn, stretch and move each image a little, at random, and keep its label.
#
# We use the ranges of the original post: up to 10 degrees either way, a zoom of up to 10 % in
# height and in width, shifts of up to a tenth of the image. Here is one training digit and
# thirteen variants of it.

# %% mystnb={"image": {"alt": "One training digit followed by thirteen variants of it, each slightly turned, stretched and moved."}}
augmenter = RandomAffine(rotation=10, zoom=0.1, shift=0.1, seed=SEED)
one_digit = x_train[:1]
variants_of_it = np.array(augmenter(np.repeat(one_digit, 13, axis=0), training=True))

plots.show_images(
    np.concatenate([one_digit, variants_of_it]),
    ["original"] + [""] * 13,
    columns=7,
    title="One digit, and thirteen ways it might have been written",
)
plt.show()

# %% [markdown]
# The post used Keras's `ImageDataGenerator`, which Keras has since deprecated. It changed the
# images one by one outside the network. `RandomAffine` is a layer: it draws from the same
# ranges, but works on a whole batch inside the compiled training step. It combines the three
# changes into one and resamples each image once. Three layers in a row, one for each change,
# would resample three times and blur the strokes each time.
#
# Two properties matter. An image looks different each time it comes up. And when the network
# predicts, the layer does nothing.

# %% tags=["nbval-check-output"]
once, again = augmenter(one_digit, training=True), augmenter(one_digit, training=True)
predicting = augmenter(one_digit, training=False)


def same(images, others):
    return "the same" if np.array_equal(images, others) else "different"


print("training, the same image twice:", same(once, again))
print("predicting, beside the original:", same(predicting, one_digit))

# %% [markdown]
# So there are no more images in an epoch than before. But what the network sees in one epoch
# it never sees again, and that makes them hard to learn by heart. (The post speaks of a larger training
# dataset, but it, too, showed as many images an epoch as before.)
#
# ## Too far
#
# Augmentation rests on a claim: *this change does not alter the label*. It is worth looking at
# where the claim ends. Here a typical 6, the one most like the
# mean of all, is turned and moved further and further.

# %% mystnb={"image": {"alt": "Two rows of the same handwritten 6. In the upper row it is turned from 0 to 180 degrees, until it reads as a 9; in the lower row it is moved sideways until it leaves the frame."}}
sixes = train_images[train_labels == 6] / 255
six = sixes[np.argmin(((sixes - sixes.mean(axis=0)) ** 2).sum(axis=(1, 2)))]  # a typical one
angles, moves = [0, 10, 45, 90, 180], [0, 0.1, 0.25, 0.4, 0.6]
turned = [ndimage.rotate(six, angle, reshape=False, order=1) for angle in angles]
moved = [ndimage.shift(six, (0, 28 * move), order=1) for move in moves]

axes = plots.show_images(
    np.array(turned + moved),
    [f"turned {angle}°" for angle in angles] + [f"moved {move:.0%}" for move in moves],
    columns=5,
    title="A 6, until it is none",
)
for ax in axes.flat:
    ax.set(frame_on=True, xticks=[], yticks=[])
    ax.set_axis_on()
    ax.spines[:].set(visible=True, color=plots.GREY)
plt.show()

# %% [markdown]
# Upside down, a 6 is a 9. Its label would still say 6, and we would be teaching a mistake.
# Moved too far, nothing is left to learn from. Mirroring, a usual choice for photographs,
# makes signs that nobody writes.
#
# The ranges are knowledge about the task, put in by hand: people do tilt and crowd their
# digits this much. Look at the extremes before you train.
#
# ## A deeper network, with dropout
#
# The post's second network differs from the first in two ways.
#
# **Two convolutions before each pooling.** A 3 × 3 convolution on top of another sees 5 × 5
# pixels, with fewer weights than one 5 × 5 convolution (where as many channels go in as
# come out) and one more ReLU in between, so it can
# tell finer shapes apart.
#
# **Dropout** after each block and after the dense layer. In every training step it sets a
# random 30 % of the values that pass through it to zero. No neuron can rely on a particular
# other one being there, so each must find something useful by itself. When predicting, all
# values pass.

# %% tags=["nbval-check-output"]
set_seed(SEED)
double_conv_cnn = keras.Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.Conv2D(WIDTH, 3, padding="same", activation="relu"),
        layers.Conv2D(WIDTH, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Dropout(0.3),
        layers.Conv2D(2 * WIDTH, 3, padding="same", activation="relu"),
        layers.Conv2D(2 * WIDTH, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Dropout(0.3),
        layers.Conv2D(4 * WIDTH, 3, padding="same", activation="relu"),
        layers.Conv2D(4 * WIDTH, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(256, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]
)
for layer in double_conv_cnn.layers:
    print(
        f"{layer.__class__.__name__:13} {str(layer.output.shape[1:]):14} "
        f"{layer.count_params():>8,} weights"
    )
print(f"{'':28} {double_conv_cnn.count_params():>8,} in all")

# %% [markdown]
# From here on `build_double_conv_cnn(WIDTH)` builds this network for us, and `build_base_cnn()`
# the one of the last chapter. The post starts with 32 filters; half of them let a laptop finish
# in reasonable time.
#
# ## One change at a time
#
# The post brought in augmentation, depth and dropout together, and a new optimizer and batch
# size as well. Its best validation accuracy rose from 0.9900 to 0.9946. Which change was it?
# An **ablation** tells: train with and without each, and leave all else alone.
#
# Every variant below gets the same images, the same number of epochs and the same optimizer,
# **RMSprop**, which like Adam scales each weight's steps by how large its gradients have lately
# been. There is no early stopping, and we score the weights of the last epoch, so no variant
# profits from a lucky one. As chance also decides where the weights start and in which order
# the images come, each variant is trained several times, with different seeds. To afford this
# we use few images; the batches are small so that few images still give enough training steps.

# %%
ablation_images, ablation_labels = take_subset(
    train_images, train_labels, ABLATION_IMAGES or None, seed=SEED
)
x_ablation = prepare_images(ablation_images)

post_ranges = {"rotation": 10, "zoom": 0.1, "shift": 0.1}
variants = {
    "base": (build_base_cnn, None),
    "base + augmentation": (build_base_cnn, post_ranges),
    "double conv": (lambda: build_double_conv_cnn(WIDTH, dropout=(0, 0, 0, 0)), None),
    "double conv + dropout": (lambda: build_double_conv_cnn(WIDTH), None),
    "all three": (lambda: build_double_conv_cnn(WIDTH), post_ranges),
}

# %% [markdown]
# One function trains one variant. `with_augmentation` puts the augmenter in front of the
# network for training; we predict with the network itself.


# %%
def predict_digits(network, images):
    return network.predict(images, batch_size=512, verbose=0).argmax(axis=1)


def train_variant(build_network, ranges, seed):
    forget_networks()  # free the memory of the variant before
    set_seed(seed)
    network = build_network()
    augmenter = RandomAffine(**ranges, seed=seed) if ranges else None
    trainer = with_augmentation(network, augmenter)
    trainer.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")

    ticks = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: ticks.append(perf_counter()),
        on_epoch_end=lambda epoch, logs: ticks.append(perf_counter()),
    )
    trainer.fit(
        x_ablation,
        ablation_labels,
        batch_size=ABLATION_BATCH_SIZE,
        epochs=ABLATION_EPOCHS,
        callbacks=[clock],
        verbose=0,
    )
    return {
        "predicted": predict_digits(network, x_validation),
        "by heart": accuracy(ablation_labels, predict_digits(network, x_ablation)),
        "seconds": np.diff(ticks)[::2].min(),  # of the fastest epoch
        "weights": network.count_params(),
    }


# %%
trainings = f"{ABLATION_SEEDS} seed{'s' if ABLATION_SEEDS > 1 else ''}"
budget = f"{ABLATION_EPOCHS} epochs on {len(x_ablation):,} images, {trainings}"
progress = display(Markdown("Ablation: starting"), display_id=True)
runs = {}
for name, (build_network, ranges) in variants.items():
    runs[name] = []
    for seed in range(SEED, SEED + ABLATION_SEEDS):
        progress.update(Markdown(f"Ablation: {name}, seed {seed}"))
        runs[name].append(train_variant(build_network, ranges, seed))
progress.update(Markdown(f"Ablation: {len(variants)} variants trained, each {budget}."))

# %% [markdown]
# For each variant we look at the network in the middle, between its luckiest and its unluckiest
# seed. The column *training images* is its accuracy on the very images it learnt from, without
# augmentation: how far that lies above the validation accuracy shows how much was learnt by
# heart. The last column says how long an epoch takes, with the base network's as 1.


# %%
def summarise(trained):
    scores = [accuracy(validation_labels, run["predicted"]) for run in trained]
    middle = np.argsort(scores)[(len(scores) - 1) // 2]
    low, high = accuracy_interval(validation_labels, trained[middle]["predicted"])
    return {
        "accuracy": scores[middle],
        "low": low,
        "high": high,
        "scores": scores,
        "by heart": trained[middle]["by heart"],
        "seconds": min(run["seconds"] for run in trained),
        "weights": trained[middle]["weights"],
    }


ablation = pd.DataFrame({name: summarise(trained) for name, trained in runs.items()}).T
pd.DataFrame(
    {
        "weights": ablation["weights"].map("{:,}".format),
        "training images": ablation["by heart"].map("{:.2%}".format),
        "validation images": ablation["accuracy"].map("{:.2%}".format),
        "over the seeds": [f"{min(s):.2%} to {max(s):.2%}" for s in ablation["scores"]],
        "epoch time": (ablation["seconds"] / ablation.loc["base", "seconds"]).map("{:.1f}".format),
    }
)

# %% [markdown]
# In the figure the dot is that middle network. The bar is its 95 % interval *over the images*:
# where its accuracy might have come out on other validation images. The small ticks are the
# *seeds*: what another training gave. The two kinds of luck are not the same, and a bar shows
# only the first. Nor would it do to pool all predictions, as though each seed had brought
# its own images: the images are the same each time, and the bar would come out too short.

# %% mystnb={"image": {"alt": "Validation accuracy of the five variants, one row each: a dot with a 95 % interval for the middle network and a small tick for each seed."}}
ax = plots.plot_accuracies(ablation, title="One change at a time")
for row, scores in enumerate(ablation["scores"]):
    ax.plot(scores, [row] * len(scores), "|", color=plots.RED, markersize=13)
ax.set_xlabel("Images classified correctly\n(bar: 95 % interval over the images, ticks: seeds)")
plt.show()

# %% [markdown]
# ## More than chance?
#
# Overlapping bars do not settle which of two networks is better, because both were scored on
# the *same* images. Most of these are easy, and both get them right. Only the images that one
# network gets right and the other wrong tell them apart. If neither network were better, each
# such image would be the toss of a coin. **McNemar's test** asks how often a fair coin would
# come out at least as lopsided; that is the *p-value*.
#
# Each seed gives one such pair. Its p-value covers the luck of the *images*. For the luck of
# the *training* we look at the seeds: if two variants were equally good, their accuracies would
# fall in any order. We call a variant *better* only if every pair has p below 0.05 **and** its
# worst seed beats the other's best. All else is *within chance*. The rule is cautious on
# purpose, because we make several comparisons.


# %%
def p_in_words(p_value):
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def compare(new, old):
    tests = [
        paired_test(validation_labels, old_run["predicted"], new_run["predicted"])
        for old_run, new_run in zip(runs[old], runs[new], strict=True)
    ]
    gains = [100 * (test.only_b - test.only_a) / len(validation_labels) for test in tests]
    p_value = max(test.p_value for test in tests)
    new_scores, old_scores = ablation.loc[new, "scores"], ablation.loc[old, "scores"]
    verdict = "within chance"
    if p_value < 0.05 and min(new_scores) > max(old_scores):
        verdict = "better"
    if p_value < 0.05 and max(new_scores) < min(old_scores):
        verdict = "worse"
    return {"network": new, "against": old, "gains": gains, "p": p_value, "verdict": verdict}


against_base = [(name, "base") for name in list(variants)[1:]]
one_step = [("double conv + dropout", "double conv"), ("all three", "double conv + dropout")]
comparisons = pd.DataFrame([compare(new, old) for new, old in against_base + one_step])
pd.DataFrame(
    {
        "network": comparisons["network"],
        "against": comparisons["against"],
        "percentage points": [f"{min(g):+.2f} to {max(g):+.2f}" for g in comparisons["gains"]],
        "largest p": comparisons["p"].map(p_in_words),
        "verdict": comparisons["verdict"],
    }
)

# %% [markdown]
# The first four rows compare with the base network. The last two take one step each: what
# dropout adds to the deeper network, and what augmentation adds on top of both.


# %%
def list_of(verdict):
    chosen = comparisons[comparisons["verdict"] == verdict]
    names = [f"*{row.network}* against *{row.against}*" for row in chosen.itertuples()]
    return "; ".join(names) if names else "none"


one_in = comb(2 * ABLATION_SEEDS, ABLATION_SEEDS) // 2  # the orders that would pass are two
ablation_sentence = (
    f"In the ablation ({budget}) these came out better: {list_of('better')}. Worse: "
    f"{list_of('worse')}. Within chance: {list_of('within chance')}. "
)
if ABLATION_SEEDS == 1:
    ablation_sentence += (
        "With one seed the luck of the training is not covered: another may turn this around."
    )
else:
    ablation_sentence += (
        f"With {ABLATION_SEEDS} seeds each, the luck of the training alone would part two equal "
        f"variants as cleanly in one comparison of {one_in}."
    )
display(Markdown(ablation_sentence))

# %% [markdown]
# Such a table holds for its budget. Dropout and augmentation make the task harder, and the
# network learns more slowly: as long as it has not yet learnt its training images, making them
# harder cannot help. A short training therefore shows both at less than their worth. Few
# images, on the other hand, are where augmentation has most to give. And the deeper network
# does not differ in depth alone: the first table shows that its size differs too.
#
# It also holds for one kind of processor. Another adds the same numbers in another order and
# rounds them otherwise, and in training such a difference grows. If you run this chapter
# elsewhere, the seeds give other ticks, and a verdict close to the line may tip.
#
# What the test counts can be looked at. These are images that the base network and the network
# with *all three* do not agree on, from the first seed.

# %% mystnb={"image": {"alt": "Gallery of validation digits on which two networks disagree: first those that only the network with all three changes gets right, then those that only the base network gets right, each with that network's prediction."}}
base_predicted, all_predicted = (runs[name][0]["predicted"] for name in ("base", "all three"))
base_right, all_right = base_predicted == validation_labels, all_predicted == validation_labels
won, lost = np.flatnonzero(all_right & ~base_right), np.flatnonzero(base_right & ~all_right)
shown = np.concatenate([won[:8], lost[:8]])
if len(shown):
    plots.show_predictions(
        validation_images[shown],
        validation_labels[shown],
        all_predicted[shown],
        title=f"With all three: {len(won)} images won (✓), {len(lost)} lost (✗)",
    )
plt.show()

# %% [markdown]
# Even a better network loses some images that a worse one got right. The two do not make the
# same mistakes.
#
# ## All together, on all images
#
# Now the post's recipe as a whole: the deeper network with dropout, augmented images, RMSprop,
# batches of 128. Early stopping waits ten epochs for the validation loss to fall by at least
# 0.001 and brings back the weights of the best epoch, even if the epochs run out first.

# %%
set_seed(SEED)
network = build_double_conv_cnn(WIDTH)
trainer = with_augmentation(network, RandomAffine(**post_ranges, seed=SEED))
trainer.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
early_stopping = keras.callbacks.EarlyStopping(
    monitor="val_loss", min_delta=0.001, patience=PATIENCE, restore_best_weights=True
)
history = trainer.fit(
    x_train,
    train_labels,
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    validation_data=(x_validation, validation_labels),
    validation_batch_size=512,
    callbacks=[early_stopping, LiveProgress("Deeper network")],
    verbose=0,
)

# %% mystnb={"image": {"alt": "Two line charts of the deeper network's training: accuracy and loss against the epoch, one line for training and one for validation images."}}
curves = history_frame(history)
plots.plot_history(curves, "Training the deeper network on augmented images")
plt.show()

# %% [markdown]
# Compare with the last chapter's curves. There the training curve ran ahead of the validation
# curve. Here it can lie *below* it, and no mistake: training is scored on augmented images
# with 30 % of the values dropped, validation on plain images with the whole network.

# %%
kept_weights, kept_epoch = network.get_weights(), early_stopping.best_epoch + 1
kept_predicted = predict_digits(network, x_validation)
kept_score = accuracy(validation_labels, kept_predicted)
low, high = accuracy_interval(validation_labels, kept_predicted)
best_epoch_score = curves["val_accuracy"].max()
display(
    Markdown(
        f"The kept weights, those of epoch {kept_epoch} of {len(curves)}, classify "
        f"**{kept_score:.2%}** of the validation images correctly (95 % interval {low:.2%} to "
        f"{high:.2%}). The best epoch reached {best_epoch_score:.2%}."
    )
)

# %% [markdown]
# The post quotes 0.9946 here, its best epoch out of 22. Its own log shows that early stopping
# went back to epoch 12, and that epoch scored 0.9939
# ([source](https://github.com/naingthet/mnist)).
#
# ## Slower steps at the end
#
# Near the best weights, large steps overshoot. A **learning-rate schedule** makes the steps
# smaller in time. `ReduceLROnPlateau` watches the validation accuracy, and when it has not
# risen for a few epochs, divides the learning rate by ten.
#
# The post continued training the same network with this schedule for 30 epochs, and credits it
# with "a slight improvement". But both printed scores are 0.9946, the best epoch of each run,
# and its log shows 0.9939 for the weights the second run started from as well as for those it
# ended with. Nor was there a run *without* the schedule to compare with: more epochs might have
# done as much.
#
# So we run both. Two copies start from the kept weights, with a fresh optimizer, the same seed
# and the same images. One keeps its learning rate, the other follows the schedule.


# %%
def continue_training(label, schedule):
    """Return the history and the predictions after the last epoch."""
    set_seed(SEED)
    copy = build_double_conv_cnn(WIDTH)
    copy.set_weights(kept_weights)
    trainer = with_augmentation(copy, RandomAffine(**post_ranges, seed=SEED + 1))
    trainer.compile(
        optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = trainer.fit(
        x_train,
        train_labels,
        batch_size=BATCH_SIZE,
        epochs=EXTRA_EPOCHS,
        validation_data=(x_validation, validation_labels),
        validation_batch_size=512,
        callbacks=[*schedule, LiveProgress(label)],
        verbose=0,
    )
    return history_frame(history), predict_digits(copy, x_validation)


# %%
constant_curves, constant_predicted = continue_training("Constant rate", [])
plateau = keras.callbacks.ReduceLROnPlateau(
    monitor="val_accuracy", factor=0.1, patience=PLATEAU_PATIENCE
)
plateau_curves, plateau_predicted = continue_training("With the schedule", [plateau])

rates = plateau_curves["learning_rate"]
cuts = rates.index[rates.diff() < 0] - 1  # the epochs after which the rate was cut

# %% mystnb={"image": {"alt": "Validation accuracy against the epochs since the kept weights, one line for the constant learning rate and one for the schedule; dotted lines mark where the schedule cut the rate."}}
ax = plt.subplots()[1]
for label, frame, style, size in (
    ("constant rate", constant_curves, "o--", 11),
    ("with the schedule", plateau_curves, "s-", 6),
):
    scores = [kept_score, *frame["val_accuracy"]]
    ax.plot([0, *frame.index], scores, style, fillstyle="none", markersize=size, label=label)
for number, cut in enumerate(cuts):
    ax.axvline(cut, color=plots.GREY, linestyle=":", label="" if number else "rate cut")
ax.xaxis.set_major_locator(MaxNLocator(integer=True))
ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=2))
ax.set(
    title="From the same weights, with and without the schedule",
    xlabel="Epochs since the kept weights",
    ylabel="Validation images\nclassified correctly",
)
ax.legend()
plt.show()

# %% [markdown]
# Until the first cut both copies do the same, up to rounding. Afterwards the line of the smaller steps is
# usually the calmer one.
#
# For the verdict we take the last epoch of each run, which nobody chose, and the paired test.

# %%
constant_score = accuracy(validation_labels, constant_predicted)
plateau_score = accuracy(validation_labels, plateau_predicted)
against_constant = paired_test(validation_labels, constant_predicted, plateau_predicted)
against_kept = paired_test(validation_labels, kept_predicted, plateau_predicted)
pd.DataFrame(
    {
        "last epoch": [f"{kept_score:.2%}", f"{constant_score:.2%}", f"{plateau_score:.2%}"],
        "best epoch": [
            "",
            f"{constant_curves['val_accuracy'].max():.2%}",
            f"{plateau_curves['val_accuracy'].max():.2%}",
        ],
    },
    index=["kept weights, before", "constant rate", "with the schedule"],
)


# %%
def describe(test):
    verdict = "within chance"
    if test.p_value < 0.05:
        verdict = "better" if test.only_b > test.only_a else "worse"
    return f"{test.only_b} images won, {test.only_a} lost: {verdict}, {p_in_words(test.p_value)}"


if len(cuts):
    acted = f"The schedule cut the learning rate {len(cuts)} time{'s' if len(cuts) > 1 else ''}."
else:
    acted = (
        "The schedule never cut the learning rate in these epochs, so the two runs differ by "
        "rounding at most."
    )
schedule_sentence = (
    f"{acted} With it the last epoch scores {plateau_score:.2%}, without it {constant_score:.2%} "
    f"({describe(against_constant)}). Against the weights both started from, the schedule's "
    f"{EXTRA_EPOCHS} epochs come to: {describe(against_kept)}."
)
display(Markdown(schedule_sentence))

# %% [markdown]
# The column *best epoch* is never below the column *last epoch*, for the schedule or for
# anything else: it is the largest of several numbers that go up and down by chance. Compare
# two runs by their best epochs and the one with more ups and downs gains most.
#
# One pair of runs cannot tell what the schedule does on average. The test says whether these
# two networks differ, and no more.
#
# ## What we found

# %%
report(
    f"- The deeper network with dropout and augmentation, trained on {len(x_train):,} images, "
    f"classifies **{kept_score:.2%}** of {len(kept_predicted):,} validation images correctly "
    f"(95 % interval {low:.2%} to {high:.2%}).\n"
    f"- {ablation_sentence}\n"
    f"- {schedule_sentence}",
    validation_accuracy=kept_score,
    validation_low=low,
    validation_high=high,
    best_epoch_accuracy=best_epoch_score,
    epochs=len(curves),
    n_train=len(x_train),
    n_weights=network.count_params(),
    ablation_accuracy=ablation["accuracy"].to_dict(),
    ablation_p_against_base=comparisons.iloc[:4].set_index("network")["p"].to_dict(),
    ablation_verdicts={f"{c.network} / {c.against}": c.verdict for c in comparisons.itertuples()},
    ablation_n_train=len(x_ablation),
    ablation_seeds=ABLATION_SEEDS,
    constant_rate_accuracy=constant_score,
    schedule_accuracy=plateau_score,
    schedule_p_value=against_constant.p_value,
    schedule_cuts=len(cuts),
)

# %% [markdown]
# The post reports best validation accuracies of 0.9946 before the schedule and 0.9946 after it,
# with 32 filters in the first block ([source](https://github.com/naingthet/mnist)).
#
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
