"""The original post's six settings, searched on a small proxy: five to ten seconds a trial.

    digits search searches/post_space.py --trials 50
    digits search searches/post_space.py --trials 50 --engine ray    # several at a time

A trial trains the post's second network, a quarter as wide, on 4,000 images for five epochs. It
ranks settings only roughly as a long training would; chapter 5 says what that costs.
"""

from functools import partial

import keras
from hyperopt import hp, tpe

from digit_utils.augment import RandomAffine
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy
from digit_utils.models import build_double_conv_cnn
from digit_utils.training import forget_networks, set_seed, with_augmentation

N_TRAIN, EPOCHS, WIDTH, BATCH_SIZE = 4000, 5, 8, 100
N_GLANCE = 2000  # validation images for a quick score after each epoch

RATES = [0.1, 0.2, 0.3, 0.4, 0.5]
SPACE = {
    "dropout_1": hp.choice("dropout_1", RATES),
    "dropout_2": hp.choice("dropout_2", RATES),
    "dropout_3": hp.choice("dropout_3", RATES),
    "dropout_4": hp.choice("dropout_4", RATES),
    "optimizer": hp.choice("optimizer", ["adam", "rmsprop"]),
    "dense_units": hp.choice("dense_units", [128, 256, 512]),
}
ALGORITHM = partial(tpe.suggest, n_startup_jobs=12)
# For Ray: after epochs 1 and 3 the better third of those seen so far goes on.
ASHA = {"epochs": EPOCHS, "grace_period": 1, "reduction_factor": 3}

# A third part is set aside: chapter 5 confirms on it what the search has found.
digits = load_digits()
rest_images, validation_images, rest_labels, validation_labels = split_train_validation(
    digits.images, digits.labels
)
pool_images, confirm_images, pool_labels, confirm_labels = split_train_validation(
    rest_images, rest_labels, validation_fraction=0.25
)
train_images, train_labels = take_subset(pool_images, pool_labels, N_TRAIN)
x_train, x_validation = prepare_images(train_images), prepare_images(validation_images)


def train(settings, seed, report=None):
    """Train a network with these settings, and report its accuracy after each epoch."""
    forget_networks()
    set_seed(seed)
    dropout = [settings[f"dropout_{place}"] for place in (1, 2, 3, 4)]
    network = build_double_conv_cnn(WIDTH, dropout, settings["dense_units"])
    trainer = with_augmentation(network, RandomAffine(seed=seed))
    # Compiling the steps would pay off in a long training only.
    for model in (network, trainer):
        model.compile(settings["optimizer"], "sparse_categorical_crossentropy", jit_compile=False)

    def glance(epoch, logs):
        predicted = predict(network, x_validation[:N_GLANCE])
        report(epoch + 1, -accuracy(validation_labels[:N_GLANCE], predicted))

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=glance)] if report else []
    trainer.fit(
        x_train, train_labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0, callbacks=callbacks
    )
    return network


def predict(network, images):
    """Return the most likely digit of each image."""
    return network.predict(images, batch_size=1200, verbose=0).argmax(axis=1)


def objective(settings, report):
    """Return minus the validation accuracy after the last epoch."""
    return -accuracy(validation_labels, predict(train(settings, 0, report), x_validation))


# What else a loss depends on: a folder of trials is not continued when any of it has changed.
DEPENDS_ON = {
    "train": train,
    "predict": predict,
    "n_glance": N_GLANCE,
    "n_train": N_TRAIN,
    "epochs": EPOCHS,
    "width": WIDTH,
    "batch_size": BATCH_SIZE,
}
