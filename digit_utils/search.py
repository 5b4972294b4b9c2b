"""Following a hyperopt search, and reading what it has tried."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
from hyperopt import STATUS_OK, Trials, space_eval
from IPython.display import display, update_display


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
        (0 to 1, minus the loss) and ``best_so_far``. A failed trial has NaN as accuracy and
        leaves the best so far as it was.

    Raises
    ------
    ValueError
        If the trials belong to another space.

    Taught in 05_hyperopt.
    """
    rows = []
    for trial in trials.trials:
        point = {name: values[0] for name, values in trial["misc"]["vals"].items() if values}
        unknown = sorted(set(point) - set(space))
        if unknown:
            raise ValueError(
                f"trial {trial['tid'] + 1} has the parameters {unknown}, which are not in the "
                f"space ({sorted(space)}); pass the space these trials were drawn from, each "
                "hp expression labelled with its own key"
            )
        succeeded = trial["result"].get("status") == STATUS_OK
        score = -trial["result"]["loss"] if succeeded else float("nan")
        rows.append({**space_eval(space, point), "validation_accuracy": score})
    frame = pd.DataFrame(rows, columns=[*space, "validation_accuracy"])
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="trial")
    frame["best_so_far"] = frame["validation_accuracy"].cummax().ffill()
    return frame


class SearchProgress:
    """One line that updates itself while a search runs.

    Hand it to ``fmin`` as ``early_stop_fn``, which is called after every trial. It never stops
    the search.

    Parameters
    ----------
    label : str
        What is searching.
    n_trials : int
        How many trials there will be, ``max_evals``.
    """

    def __init__(self, label: str, n_trials: int):
        self.label, self.n_trials = label, n_trials
        self._handle = None
        self._start = time.perf_counter()

    def __call__(self, trials: Trials, *args: Any) -> tuple[bool, list]:
        """Show how far the search has come; return hyperopt's "do not stop"."""
        scores = [-result["loss"] for result in trials.results if result.get("status") == STATUS_OK]
        best = f"best validation accuracy {max(scores):.4f}" if scores else "no score yet"
        seconds = time.perf_counter() - self._start
        text = (
            f"{self.label}: trial {len(trials.trials)} of {self.n_trials}, {best}, {seconds:.0f} s"
        )
        self._show({"text/plain": text})
        return False, list(args)

    def _show(self, bundle: dict[str, str]) -> None:
        if self._handle is not None:
            update_display(bundle, display_id=self._handle.display_id, raw=True)
        elif _in_notebook():
            self._handle = display(bundle, raw=True, display_id=True)


def _in_notebook() -> bool:
    """Tell whether a display can be updated; elsewhere a line a trial would litter."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
