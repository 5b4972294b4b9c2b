"""A small search that takes no time, for the tests of both engines."""

from functools import partial

from hyperopt import hp, tpe

from digit_utils.search import run_search

RATES = [0.1, 0.2, 0.3, 0.4, 0.5]
SPACE = {
    "rate": hp.choice("rate", RATES),
    "optimizer": hp.choice("optimizer", ["adam", "rmsprop"]),
    "dense_units": hp.choice("dense_units", [128, 256, 512]),
}
CONTINUOUS = {"rate": hp.uniform("rate", -1, 1), "dense_units": hp.uniformint("dense_units", 1, 9)}
TPE = partial(tpe.suggest, n_startup_jobs=4)


def objective(settings):
    return -(1 - settings["rate"] - 1 / settings["dense_units"])


def run(folder, n=8, function=objective, algo=TPE, space=CONTINUOUS, **options):
    return run_search(function, space, algo, n, folder, **options)


def outcomes(found):
    """What must not depend on when a search was stopped."""
    return [
        (t.number, t.parameters, t.seed, t.status, t.loss, t.curve, t.error, t.details)
        for t in found.trials
    ]
