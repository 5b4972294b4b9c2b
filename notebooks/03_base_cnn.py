# %% [markdown]
# # A first convolutional network
#
# **How far does a small, plain network get on handwritten digits?**

# %% [markdown]
# **You will learn**
#
# - what a convolution and a pooling layer do to an image, and why we stack them;
# - how to read training and validation curves, and when to stop;
# - to give an accuracy together with how sure we are of it;
# - which digits the network takes for which.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [Preparing the images](02_preprocessing.ipynb): scaled images, the 80/20 split |
# | Time | 15 minutes to read; the run takes one to four minutes on a laptop |

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
from keras import layers

from digit_utils import plots
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy, accuracy_interval
from digit_utils.results import report
from digit_utils.training import LiveProgress, history_frame, set_seed

plots.use_book_style()

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of the split, the subset and the training
N_TRAIN: int = 0  # training images to use, at least 0; 0: all 33,600
EPOCHS: int = 30  # passes over the training images, at least 1; early stopping may end sooner
PATIENCE: int = 3  # epochs without improvement before early stopping ends the training, at least 0
BATCH_SIZE: int = 128  # images a training step, at least 1; the post's 32 takes longer

# %% [markdown]
# ## The data, as the previous chapter left them
#
# The labelled images are scaled to the range from 0 to 1 and split, 80 % to train on and
# 20 % to validate on. The split is stratified, so both parts hold the digits in equal
# proportion.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels, seed=SEED
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN or None, seed=SEED)

x_train, x_validation = prepare_images(train_images), prepare_images(validation_images)
print(f"training   {x_train.shape}  {x_train.dtype}  {x_train.min():.0f} to {x_train.max():.0f}")
print(f"validation {x_validation.shape}  {x_validation.dtype}")

# %% [markdown]
# ## What a convolution does
#
# A **convolution** slides a small window, here 3 × 3 pixels, over the image. At each place it
# multiplies the nine pixels by nine weights and adds them up. One such set of weights is a
# *filter*: it answers strongly wherever the image looks like the filter. Because the same nine
# weights are used everywhere, a stroke is recognised wherever it lies, and the network needs
# few weights.
#
# Nobody chooses the weights; training does. To see the idea, let us choose two by hand: one
# filter that answers to edges between left and right, one to edges between top and bottom. Dark
# means a strong answer, of either sign.

# %% mystnb={"image": {"alt": "One training digit beside the answers of two hand-made filters: the first lights up along its upright strokes, the second along its level strokes."}}
edge_filters = np.array(
    [
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],  # left and right
        [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],  # top and bottom
    ]
)
one_image = x_train[:1]
answers = keras.ops.conv(
    one_image, edge_filters.transpose(1, 2, 0)[:, :, None, :].astype("float32")
)
answers = np.abs(np.array(answers)[0]).transpose(2, 0, 1)

panels = [one_image[0, 1:-1, 1:-1, 0], *(answers / answers.max())]
plots.show_images(
    np.stack(panels), ["the image", "left–right edges", "top–bottom edges"], columns=3,
    title="A convolution answers where the image looks like its filter",
)  # fmt: skip
plt.show()

# %% [markdown]
# A **pooling** layer then keeps the strongest answer of each 2 × 2 square. The picture shrinks
# to half its height and width; *what* was found survives, *exactly where* matters less. After a
# second and third round each value looks at a larger part of the digit: edges can
# become corners and curves, and these loops and stems.
#
# ## The network
#
# This is the base network of the original post: three rounds of convolution and pooling with
# 32, 64 and 128 filters, then a dense layer of 256 neurons that weighs the findings, and ten
# outputs, one a digit. The softmax at the end turns the ten outputs into probabilities.

# %% tags=["nbval-check-output"]
set_seed(SEED)
base_cnn = keras.Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Conv2D(128, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Flatten(),
        layers.Dense(256, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
for layer in base_cnn.layers:
    print(
        f"{layer.__class__.__name__:13} {str(layer.output.shape[1:]):14} "
        f"{layer.count_params():>8,} weights"
    )
print(f"{'':28} {base_cnn.count_params():>8,} in all")

# %% [markdown]
# Most weights sit in the first dense layer, though the convolutions do most of the work: their
# few weights are used again at every place of the image.
#
# ## Training, and when to stop
#
# **Adam** adjusts the weights a little after every batch so that the *loss*, the cross-entropy
# between predicted probabilities and true label, goes down. How many epochs? Too few and the
# network has not learnt; too many and it learns the training images by heart. **Early
# stopping** watches the loss on the validation images, which training never sees. When a few
# epochs in a row, its *patience*, fail to improve it by at least 0.001, training ends and the
# weights of the best epoch come back.

# %%
base_cnn.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
early_stopping = keras.callbacks.EarlyStopping(
    monitor="val_loss", min_delta=0.001, patience=PATIENCE, restore_best_weights=True
)
history = base_cnn.fit(
    x_train,
    train_labels,
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    validation_data=(x_validation, validation_labels),
    callbacks=[early_stopping, LiveProgress("Base network")],
    verbose=0,
)

# %% [markdown]
# ## Reading the curves

# %% mystnb={"image": {"alt": "Two line charts of the base network's training: accuracy and loss against the epoch, one line for training and one for validation images."}}
curves = history_frame(history)
plots.plot_history(curves, "Training the base network")
plt.show()
# %% [markdown]
# Two things to look for. The *training* curve keeps improving: the network could go on until it
# knew every training image. The *validation* curve flattens, and its loss may even rise while
# its accuracy still creeps up: the network grows surer of its mistakes. The gap between the
# two is **overfitting**, and closing it is the subject of the next chapter.
#
# ## How good is it?
#
# We score the weights that early stopping kept. An accuracy measured on a few thousand images
# would come out a little differently on others, so we give a 95 % confidence interval with it.

# %%
probabilities = base_cnn.predict(x_validation, verbose=0)
predicted = probabilities.argmax(axis=1)
score = accuracy(validation_labels, predicted)
low, high = accuracy_interval(validation_labels, predicted)
best_epoch_score = curves["val_accuracy"].max()
print(
    f"kept weights: {score:.2%} of {len(predicted):,} validation images "
    f"(95 % interval {low:.2%} to {high:.2%})"
)
print(f"best epoch:   {best_epoch_score:.2%}")

# %% [markdown]
# The post quotes the *best* epoch. That is never the smaller of the two numbers, by construction:
# with a dozen epochs to choose from, the luckiest one flatters. We keep to the weights we would
# actually use. Even their number flatters a little, because the same validation images chose the
# epoch, though by their loss. Only images that took no part in a choice give a fair score; we come
# to them in chapter 6.
#
# ## Which digits does it confuse?
#
# A single number hides where the mistakes are. The **confusion matrix** counts, for each true
# digit (row), what the network said (column). The post imported it and never drew it.

# %% mystnb={"image": {"alt": "Confusion matrix of the base network on the validation images: counts of right answers on the diagonal, mistakes beside it shaded by how often they occur."}}
plots.plot_confusion(validation_labels, predicted, title="Base network, validation images")
plt.show()
# %% [markdown]
# And here are mistakes themselves, those it was surest of first. Some would puzzle a person
# too.

# %% mystnb={"image": {"alt": "Gallery of validation digits the base network got wrong, each with the predicted and the true digit and the network's confidence."}}
wrong = np.flatnonzero(predicted != validation_labels)
surest = wrong[np.argsort(-probabilities[wrong].max(axis=1))][:16]
plots.show_predictions(
    validation_images[surest],
    validation_labels[surest],
    predicted[surest],
    probabilities[surest].max(axis=1),
    title="Its most confident mistakes",
)
plt.show()
# %% [markdown]
# ## What we found

# %%
mistakes = np.column_stack([validation_labels[wrong], predicted[wrong]])
(true_digit, taken_for), count = max(
    zip(*np.unique(mistakes, axis=0, return_counts=True), strict=True), key=lambda pair: pair[1]
)
report(
    f"- The base network classifies **{score:.2%}** of {len(predicted):,} validation images "
    f"correctly (95 % interval {low:.2%} to {high:.2%}) after {len(curves)} epochs on "
    f"{len(x_train):,} images; its best epoch reached {best_epoch_score:.2%}.\n"
    f"- It gets {len(wrong)} images wrong. The most frequent mistake is a {true_digit} taken "
    f"for a {taken_for}, {count} times.\n"
    f"- In its last epoch it got {curves['accuracy'].iloc[-1]:.2%} of the training images "
    f"right and {curves['val_accuracy'].iloc[-1]:.2%} of the validation images. The lead of "
    "the first number over the second, where there is one, was learnt by heart.",
    validation_accuracy=score,
    validation_low=low,
    validation_high=high,
    best_epoch_accuracy=best_epoch_score,
    epochs=len(curves),
    n_train=len(x_train),
    n_weights=base_cnn.count_params(),
    n_wrong=len(wrong),
)

# %% [markdown]
# The number of epochs above counts all that were run; the weights scored are those of the epoch
# that early stopping went back to.
#
# The post reports a best validation accuracy of 0.9900 for this network after eleven epochs
# ([source](https://github.com/naingthet/mnist)). Its text says that early stopping watches the
# validation accuracy, but Keras watches the validation *loss* unless told otherwise: by the post's
# own log it went back to epoch 6, which scored 0.9870.
#
# ## Exercises
#
# **1.** How many weights has the first convolution, and why does the size of the image not
# enter?
#
# <details>
# <summary>Solution</summary>
#
# Each of the 32 filters has 3 × 3 weights for the one input channel, plus one bias:
# 32 × (9 + 1) = 320. The same filter is used at every place, so a larger image needs more
# computing but no more weights.
#
# ```python
# base_cnn.layers[0].count_params()
# ```
#
# </details>
#
# **2.** Does the network need its third round of convolution and pooling? Remove it and
# compare the number of weights as well as the accuracy.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# shallow = keras.Sequential(
#     [
#         layers.Input((28, 28, 1)),
#         layers.Conv2D(32, 3, padding="same", activation="relu"),
#         layers.MaxPooling2D(padding="same"),
#         layers.Conv2D(64, 3, padding="same", activation="relu"),
#         layers.MaxPooling2D(padding="same"),
#         layers.Flatten(),
#         layers.Dense(256, activation="relu"),
#         layers.Dense(10, activation="softmax"),
#     ]
# )
# shallow.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
# shallow.fit(x_train, train_labels, batch_size=BATCH_SIZE, epochs=3, verbose=0)
# print(shallow.count_params(), shallow.evaluate(x_validation, validation_labels, verbose=0)[1])
# ```
#
# It has more weights, not fewer: without the third pooling the dense layer sees a 7 × 7 map of
# 64 channels instead of a 4 × 4 map of 128.
#
# </details>
#
# **3.** Early stopping watched the loss. What changes if it watches the accuracy?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# watch_accuracy = keras.callbacks.EarlyStopping(
#     monitor="val_accuracy", mode="max", patience=PATIENCE, restore_best_weights=True
# )
# ```
#
# It tends to stop later, because accuracy can still rise while the loss does. The accuracy of
# the epoch it keeps is then the largest of many and flatters a little: score it on data that
# did not choose it.
#
# </details>
#
# ## What's next
#
# The network has begun to learn its training images by heart. In
# [More data from the same data](04_augmentation.ipynb) we show it a slightly different image
# every time, deepen it, and measure what each change buys on its own.
