"""The original post's six settings, searched on a small proxy: about five seconds a trial.

    digits search searches/post_space.py --trials 50

A trial trains the post's second network, a quarter as wide, on 4,000 images for four epochs. It
ranks settings only roughly as a long training would; chapter 5 says what that costs.
"""

from functools import partial

from hyperopt import hp, tpe

from digit_utils.augment import RandomAffine
from digit_utils.data import load_digits, prepare_images, split_train_validation, take_subset
from digit_utils.evaluate import accuracy
from digit_utils.models import build_double_conv_cnn
from digit_utils.training import forget_networks, set_seed, with_augmentation

N_TRAIN, EPOCHS, WIDTH, BATCH_SIZE = 4000, 4, 8, 128

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
DEPENDS_ON = {"n_train": N_TRAIN, "epochs": EPOCHS, "width": WIDTH, "batch_size": BATCH_SIZE}

digits = load_digits()
train_images, validation_images, train_labels, validation_labels = split_train_validation(
    digits.images, digits.labels
)
train_images, train_labels = take_subset(train_images, train_labels, N_TRAIN)
x_train, x_validation = prepare_images(train_images), prepare_images(validation_images)


def objective(settings):
    """Return minus the validation accuracy after the last epoch, and the training losses."""
    forget_networks()
    set_seed(0)
    dropout = [settings[f"dropout_{place}"] for place in (1, 2, 3, 4)]
    network = build_double_conv_cnn(WIDTH, dropout, settings["dense_units"])
    trainer = with_augmentation(network, RandomAffine(seed=0))
    trainer.compile(settings["optimizer"], "sparse_categorical_crossentropy")
    history = trainer.fit(x_train, train_labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    predicted = network.predict(x_validation, batch_size=1200, verbose=0).argmax(axis=1)
    return {
        "loss": -accuracy(validation_labels, predicted),
        "training_loss": history.history["loss"],
    }
