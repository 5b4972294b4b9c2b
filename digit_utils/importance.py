"""Estimate which parameters of a search matter to its score."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold

LEAST_TRIALS = 10


def parameter_importance(
    frame: pd.DataFrame, parameters: Sequence[str], seed: int = 0
) -> tuple[pd.DataFrame, float]:
    """Predict the score from the settings, and see how much worse without each of them.

    A random forest learns from four fifths of the trials and predicts the last fifth, five times
    over; then the values of one parameter are shuffled there, ten times. What the forest cannot
    predict, it cannot explain, so read the importances only if the explained share is well
    above 0. Trials chosen by TPE are not a fair sample: settings it liked are bunched together.

    ``frame`` is from ``search.Search.table``, ``parameters`` names columns; trials without a score
    and repeated settings are left out. The table returned has, by ``parameter``, ``importance``,
    the mean drop of the explained share of variance on trials held out, and ``spread``, its
    standard deviation over all repeats; the number is the explained share (R²) on those trials,
    below 0 if worse than their mean. Taught in 05_hyperopt.
    """
    # Settings tried twice would stand among the learnt and the predicted ones.
    scored = frame[frame["validation_accuracy"].notna()]
    scored = scored[~scored[list(parameters)].map(repr).duplicated()]
    target = scored["validation_accuracy"].to_numpy()
    if len(scored) < LEAST_TRIALS or np.ptp(target) == 0:
        raise ValueError(
            f"found {len(scored)} different trials with {len(np.unique(target))} different scores, "
            f"expected at least {LEAST_TRIALS} that differ, to tell what matters"
        )
    settings = np.column_stack([_codes(scored[name]) for name in parameters])
    drops, residual = [], 0.0
    for learn, check in KFold(5, shuffle=True, random_state=seed).split(settings):
        forest = RandomForestRegressor(100, min_samples_leaf=2, random_state=seed)
        forest.fit(settings[learn], target[learn])
        residual += np.sum((forest.predict(settings[check]) - target[check]) ** 2)
        shuffled = permutation_importance(
            forest, settings[check], target[check], scoring="neg_mean_squared_error",
            n_repeats=10, random_state=seed,
        )  # fmt: skip
        drops.append(shuffled.importances / target.var())
    every = np.concatenate(drops, axis=1)
    table = pd.DataFrame(
        {"importance": every.mean(axis=1), "spread": every.std(axis=1, ddof=1)},
        index=pd.Index(parameters, name="parameter"),
    )
    return table, float(1 - residual / np.sum((target - target.mean()) ** 2))


def _codes(values: pd.Series) -> np.ndarray:
    """Return numbers as they are, and other values by their place in the alphabet."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(float)
    return values.map(str).astype("category").cat.codes.to_numpy(float)
