"""Reading what a hyperopt search has tried."""

from __future__ import annotations

import pandas as pd
from hyperopt import STATUS_OK, Trials, space_eval


def trials_to_frame(trials: Trials, space: dict) -> pd.DataFrame:
    """List the trials of a search with their parameters as values, never as indices.

    Hyperopt stores ``hp.choice`` picks as positions in the list of choices. The original post
    decoded its winner by hand; ``space_eval`` does it for every trial here.

    Parameters
    ----------
    trials : hyperopt.Trials
        A finished, or interrupted, search.
    space : dict
        The search space it ran over.

    Returns
    -------
    DataFrame
        Index ``trial`` from 1; a column for each parameter, then ``validation_accuracy``
        (0 to 1, minus the loss) and ``best_so_far``. Failed trials hold NaN.

    Taught in 05_hyperopt.
    """
    rows = []
    for trial in trials.trials:
        point = {name: values[0] for name, values in trial["misc"]["vals"].items() if values}
        succeeded = trial["result"].get("status") == STATUS_OK
        score = -trial["result"]["loss"] if succeeded else float("nan")
        rows.append({**space_eval(space, point), "validation_accuracy": score})
    frame = pd.DataFrame(rows, columns=[*space, "validation_accuracy"])
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="trial")
    frame["best_so_far"] = frame["validation_accuracy"].cummax()
    return frame
