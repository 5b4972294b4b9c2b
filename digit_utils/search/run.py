"""A hyperparameter search that can be stopped at any moment and resumed.

The space, the objective and the algorithm are hyperopt's. What hyperopt's own loop keeps in
memory, or in a pickle that it writes in place, is here one JSON file a trial. A trial is proposed
from the trials before it and from a random number that depends on its place alone, so a search
that was stopped and resumed tries the same settings as one that was not.
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK, Trials, space_eval
from hyperopt.base import Domain
from hyperopt.fmin import generate_trial

from digit_utils.io import FolderUnavailable, claim_folder, json_bytes, to_plain
from digit_utils.search.definition import as_in_space, define_search, to_draws
from digit_utils.search.store import SearchError, read_trials, write_trial
from digit_utils.search.trial import Trial, run_trial

MAX_FAILURES = 5  # in a row
# Of the table, beside the parameters.
COLUMNS = ("validation_accuracy", "best_so_far", "outcome", "epochs_trained", "seconds")


@dataclass(frozen=True)
class Search:
    """A search that has come to its end."""

    trials: list[Trial]  # in the order of their numbers

    @property
    def best(self) -> Trial:
        """The trial with the smallest loss; of equals, the first. One stopped early is none.

        Raises SearchError if no trial came to a good end.
        """
        finished = [trial for trial in self.trials if trial.ok]
        if not finished:
            last = self.trials[-1].error if self.trials else "there is none"
            raise SearchError(f"none of {len(self.trials)} trials succeeded; the last: {last}")
        return min(finished, key=attrgetter("loss"))

    @property
    def epochs(self) -> int:
        """Epochs that all trials reported, those of failed and stopped ones among them."""
        return sum(len(trial.curve) for trial in self.trials)

    def table(self) -> pd.DataFrame:
        """List the trials with their parameters as values; the index is ``trial``, from 1.

        More columns: ``validation_accuracy`` (minus the loss; NaN if failed, the last one reported
        if stopped), ``best_so_far`` (of ``ok`` trials alone), ``outcome`` (``ok``, ``stopped``
        early or ``failed``), ``epochs_trained`` (as far as reported) and ``seconds``.
        """
        rows = [
            {
                **trial.parameters,
                "validation_accuracy": math.nan if trial.loss is None else -trial.loss,
                "best_so_far": -trial.loss if trial.ok and trial.loss is not None else math.nan,
                "outcome": trial.status,
                "epochs_trained": len(trial.curve),
                "seconds": trial.seconds,
            }
            for trial in self.trials
        ]
        index = pd.Index([trial.number for trial in self.trials], name="trial")
        frame = pd.DataFrame(rows, index=index)
        frame["best_so_far"] = frame["best_so_far"].cummax().ffill()
        return frame


def run_search(
    objective: Callable[..., Any],
    space: Mapping[str, Any],
    algo: Callable,
    max_evals: int,
    folder: str | Path,
    seed: int = 0,
    depends_on: Mapping[str, Any] | None = None,
    known: Sequence[Trial] | None = None,
    progress: Callable[[Sequence[Trial], int], None] | None = None,
) -> Search:
    """Search a space, keeping every finished trial in a folder, and resume with what is there.

    - objective: takes a dictionary of parameter to value, every one of which it must read. Returns
      the loss (in this book minus the validation accuracy), or a dictionary with ``loss`` (and
      ``status``, as hyperopt has it) and whatever else is worth keeping. A second argument is a
      function to call after each epoch as ``report(epoch, loss)``, from 1 on; these losses are the
      trial's curve. A trial that raises an exception, or whose loss is not finite, is recorded as
      failed; to hyperopt it counts as the worst. Five in a row end the search.
    - space: flat, each hyperopt expression labelled with its own key.
    - algo: ``tpe.suggest``, ``rand.suggest``, or one of them with arguments fixed by ``partial``.
    - max_evals: trials in all, those in the folder among them.
    - folder: of this search alone.
    - depends_on: what else a trial's outcome depends on: numbers, texts, and functions, of which
      the source counts. A folder is not continued when any of it has changed.
    - known: trials of the same objective, of another search for example. Settings that they, or
      earlier trials of this search, have tried are not tried again: the outcome is taken over.
      None: everything proposed is tried, as an objective that depends on chance needs.
    - progress: called after each new trial, and after the last, with all trials so far and
      ``max_evals``.

    Raises SearchError if the folder is in use, cannot be written, or holds another search or a
    damaged file, if a parameter is left unread, or if too many trials failed; ValueError if a
    number is out of its range, or the space or a function cannot be described.
    """
    search = OpenSearch(objective, space, algo, max_evals, folder, seed, depends_on, progress)
    with search.held() as there:
        for number in range(1, max_evals + 1):
            if number in there:
                search.keep(there[number])
                continue
            begun = search.propose(number)
            seen = [] if known is None else [*known, *search.trials]
            draws = to_draws(space, begun.parameters)  # which tell 1 from True
            same = [t for t in seen if t.ok and to_draws(space, t.parameters) == draws]
            if same:
                search.keep(replace(same[0], number=number, seed=begun.seed, seconds=0.0))
            else:
                search.keep(*run_trial(objective, begun))
    return Search(search.trials)


class OpenSearch:
    """A search under way: asks a hyperopt algorithm for settings, and keeps what comes of them.

    Nothing but a trial's number and the trials kept before enters a proposal, so a search that was
    stopped proposes what one that was not would have.
    """

    def __init__(
        self,
        objective: Callable,
        space: Mapping[str, Any],
        algo: Callable,
        max_evals: int,
        folder: str | Path,
        seed: int,
        depends_on: Mapping[str, Any] | None,
        progress: Callable[[Sequence[Trial], int], None] | None,
        **more: Any,
    ):
        """Check a request; ``more`` also belongs to the search's definition."""
        check_whole("max_evals", max_evals, 1)
        check_whole("seed", seed, 0)
        definition = {**define_search(objective, space, algo, seed, depends_on), **more}
        self._definition = json.loads(json_bytes(definition, "definition"))
        if taken := sorted(set(space) & set(COLUMNS)):
            raise ValueError(
                f"the table of trials has its own column {taken[0]}; rename the parameter"
            )
        self.space, self.algo, self.max_evals, self.seed = space, algo, max_evals, seed
        self.folder, self.progress = Path(os.path.expanduser(folder)), progress
        self.trials: list[Trial] = []  # in order of their ends
        self._domain, self._told = Domain(None, dict(space)), Trials()

    @contextlib.contextmanager
    def held(self) -> Iterator[dict[int, Trial]]:
        """Hold the folder; yields the trials in it by number, of which `keep` is to hear yet."""
        try:
            with claim_folder(self.folder):
                self._there = {
                    trial.number: replace(
                        trial, parameters=as_in_space(self.space, trial.parameters)
                    )
                    for trial in read_trials(self.folder, self._definition)
                }
                if (last := max(self._there, default=0)) > self.max_evals:
                    raise ValueError(
                        f"max_evals is {self.max_evals}, but {self.folder} holds trials up to "
                        f"number {last}; ask for at least as many, or name another folder"
                    )
                yield self._there
                self.stop_after_failures()
        except FolderUnavailable as error:
            raise SearchError(str(error)) from error

    def propose(self, number: int) -> Trial:
        """Return a trial that is still to be run; SearchError if the last five failed."""
        self.stop_after_failures()
        # From the trial's place and not from a stream: nothing has to be wound forward.
        proposal_seed = int(np.random.default_rng([self.seed, number]).integers(2**31 - 1))
        (document,) = self.algo([number - 1], self._domain, self._told, proposal_seed)
        draws = {name: values[0] for name, values in document["misc"]["vals"].items()}
        settings = as_in_space(self.space, to_plain(space_eval(self.space, draws)))
        return Trial(number, settings, proposal_seed, "failed", None, None, 0.0)

    def keep(self, trial: Trial, unread: Sequence[str] = ()) -> None:
        """Write a trial that is new, and tell the algorithm of it.

        Raises SearchError if it left settings ``unread`` and none before it was good.
        """
        if unread and not any(before.ok for before in self.trials):
            raise SearchError(
                f"the objective never read {', '.join(unread)}, so searching it is in "
                "vain; use it in the objective, or take it out of the space"
            )
        if trial.number not in self._there:
            write_trial(self.folder, trial)
        # To hyperopt, a trial stopped early counts with its last loss.
        status = STATUS_FAIL if trial.loss is None else STATUS_OK
        ended = {"state": JOB_STATE_DONE, "result": {"status": status, "loss": trial.loss}}
        draws = to_draws(self.space, trial.parameters)
        self._told.insert_trial_docs([generate_trial(trial.number - 1, draws) | ended])
        self._told.refresh()
        self.trials.append(trial)
        last = len(self.trials) == self.max_evals
        if self.progress is not None and (last or trial.number not in self._there):
            self.progress(self.trials, self.max_evals)

    def stop_after_failures(self) -> None:
        """Raise SearchError if the last five trials, in order of their ends, failed."""
        last = self.trials[-MAX_FAILURES:]
        if len(last) == MAX_FAILURES and all(trial.status == "failed" for trial in last):
            names = ", ".join(str(trial.number) for trial in last)
            raise SearchError(
                f"trials {names} failed, {MAX_FAILURES} in a row, so the search stops. The last: "
                f"{last[-1].error}\n"
                "Mend the objective or the space and name another folder. If neither was at fault, "
                "delete the failed trials' files to have them run again."
            )


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless a value is a whole number from ``least`` on."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is {value!r}, expected a whole number from {least}")


class SearchProgress:
    """One line that updates itself while a search runs: best so far and time left.

    Hand it to `run_search` as ``progress``. Outside a notebook it shows nothing.
    """

    def __init__(self, label: str):
        self.label = label
        self._handle = None
        self._start = time.perf_counter()

    def __call__(self, trials: Sequence[Trial], max_evals: int) -> None:
        """Show how far the search has come."""
        scores = [-trial.loss for trial in trials if trial.ok and trial.loss is not None]
        best = f"best validation accuracy {max(scores):.4f}" if scores else "no score yet"
        seconds = time.perf_counter() - self._start
        text = f"{self.label}: trial {len(trials)} of {max_evals}, {best}, {seconds:.0f} s"
        if left := max_evals - len(trials):
            # A trial whose score was known beforehand takes no time: it is left out.
            times = [trial.seconds for trial in trials]
            usual = np.mean([each for each in times if each >= max(times) / 10])
            text += f", about {left * usual:.0f} s left"
        from IPython import get_ipython
        from IPython.display import display

        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        elif getattr(get_ipython(), "kernel", None):  # elsewhere a line a trial would litter
            self._handle = display({"text/plain": text}, raw=True, display_id=True)
