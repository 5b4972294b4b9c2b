"""A hyperparameter search that can be stopped at any moment and goes on where it was.

The space, the objective and the algorithm are hyperopt's. What hyperopt's own loop keeps in
memory, or in a pickle that it writes in place, is here one JSON file a trial. A trial is proposed
from the trials before it and from a random number that depends on its place alone, so a search
that was stopped and resumed tries the same settings as one that was not.
"""

from __future__ import annotations

import inspect
import math
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pandas as pd
from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK, Trials, space_eval
from hyperopt.base import Domain

from digit_utils.files import json_bytes, to_plain
from digit_utils.provenance import package_versions
from digit_utils.spaces import describe_space, to_draws
from digit_utils.trial_store import SearchError, Trial, TrialStore

__all__ = ["Search", "SearchError", "SearchProgress", "Trial", "run_search"]


COLUMNS = ("validation_accuracy", "best_so_far", "seconds")  # of the table, beside the parameters


@dataclass(frozen=True)
class Search:
    """A search that has come to its end.

    Attributes
    ----------
    trials : list of Trial
        In the order of their numbers.
    """

    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The trial with the smallest loss; of equals, the first.

        Raises
        ------
        SearchError
            If every trial failed.
        """
        finished = [trial for trial in self.trials if trial.ok]
        if not finished:
            last = self.trials[-1].error if self.trials else "there is none"
            raise SearchError(f"none of {len(self.trials)} trials succeeded; the last: {last}")
        return min(finished, key=lambda trial: trial.loss)

    def table(self) -> pd.DataFrame:
        """List the trials with their parameters as values.

        Returns
        -------
        DataFrame
            Index ``trial`` from 1; a column for each parameter, then ``validation_accuracy``
            (0 to 1, minus the loss), ``best_so_far`` and ``seconds``. A failed trial has NaN as
            accuracy and leaves the best so far as it was.
        """
        frame = pd.DataFrame([trial.parameters for trial in self.trials])
        frame["validation_accuracy"] = [
            -trial.loss if trial.ok else math.nan for trial in self.trials
        ]
        frame["best_so_far"] = frame["validation_accuracy"].cummax().ffill()
        frame["seconds"] = [trial.seconds for trial in self.trials]
        frame.index = pd.Index([trial.number for trial in self.trials], name="trial")
        return frame


def run_search(
    objective: Callable[[Mapping[str, Any]], Any],
    space: Mapping[str, Any],
    algo: Callable,
    max_evals: int,
    folder: str | Path,
    seed: int = 0,
    depends_on: Mapping[str, Any] | None = None,
    max_failures: int = 5,
    known: Sequence[Trial] | None = None,
    progress: Callable[[Sequence[Trial], int], None] | None = None,
) -> Search:
    """Search a space, keeping every finished trial in a folder, and go on with what is there.

    Parameters
    ----------
    objective : function
        Takes the settings, a mapping of parameter to value, of which it must read every one.
        Returns the loss, which in this book is minus the validation accuracy, or a dictionary with
        ``loss`` (and ``status``, as hyperopt has it) and whatever else is worth keeping. A trial
        whose objective raises an exception, or whose loss is not a finite number, is recorded as
        failed; to hyperopt it counts as the worst.
    space : mapping of str to hyperopt expression
        Flat, each expression labelled with its own key.
    algo : function
        ``tpe.suggest``, ``rand.suggest``, or one of them with arguments fixed by ``partial``.
    max_evals : int
        Trials in all, those in the folder among them.
    folder : str or Path
        Of this search alone.
    seed : int
        Of the proposals.
    depends_on : mapping, optional
        What else a trial's outcome depends on: numbers and texts, and functions, of which the
        source counts. A folder is not continued when any of it has changed.
    max_failures : int
        Failures in a row that end the search.
    known : sequence of Trial, optional
        Trials of the same objective, of another search for example. Settings that they, or earlier
        trials of this search, have tried are not tried again: the outcome is taken over. None:
        everything proposed is tried, as an objective that depends on chance needs.
    progress : function, optional
        Called after each new trial, and after the last, with all trials so far and ``max_evals``.

    Returns
    -------
    Search

    Raises
    ------
    SearchError
        If the folder is in use, cannot be written, holds another search or a damaged file, if the
        objective leaves a parameter unread, or if too many trials failed in a row.
    ValueError
        If ``max_evals`` is below 1 or below the number of trials in the folder, another number is
        out of its range, or the space or a function cannot be described.

    Taught in 05_hyperopt.
    """
    for name, value, least in (
        ("max_evals", max_evals, 1), ("max_failures", max_failures, 1), ("seed", seed, 0)
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value!r}; expected a whole number from {least}")
    described = describe_space(space)
    if taken := sorted(set(described) & set(COLUMNS)):
        raise ValueError(f"the table of trials has its own column {taken[0]}; rename the parameter")
    if not isinstance(depends_on, Mapping | None):
        raise ValueError(
            f"depends_on is {depends_on!r:.60}, expected a dictionary of what a loss depends on"
        )
    definition = {
        "space": described,
        "objective": _source(objective),
        "algorithm": _algorithm(algo),
        "seed": seed,
        "depends_on": {
            str(name): _comparable(value, str(name)) for name, value in (depends_on or {}).items()
        },
    }
    with TrialStore(folder, definition) as store:
        kept = {trial.number: trial for trial in store.read()}
        if kept and max(kept) > max_evals:
            raise ValueError(
                f"max_evals is {max_evals}, but {store.folder} holds trials up to number "
                f"{max(kept)}; ask for at least as many, or name another folder"
            )
        proposer = _Proposer(space, algo, seed)
        trials: list[Trial] = []
        for number in range(1, max_evals + 1):
            trial = kept.get(number)
            if trial is None:
                _stop_after_failures(trials, max_failures)
                settings, proposal_seed = proposer.propose(number)
                seen = [] if known is None else [*known, *trials]
                draws = to_draws(space, settings)  # which tell 1 from True
                same = [t for t in seen if t.ok and to_draws(space, t.parameters) == draws]
                if same:
                    trial = replace(same[0], number=number, seed=proposal_seed, seconds=0.0)
                else:
                    trial = _evaluate(objective, settings, number, proposal_seed, trials)
                store.write(trial)
            proposer.tell(trial)
            trials.append(trial)
            if progress is not None and (number not in kept or number == max_evals):
                progress(trials, max_evals)
        _stop_after_failures(trials, max_failures)
    return Search(trials)


class _Proposer:
    """Asks a hyperopt algorithm for settings, one trial at a time."""

    def __init__(self, space: Mapping[str, Any], algo: Callable, seed: int):
        self.space, self.algo, self.seed = space, algo, seed
        self.domain, self.trials = Domain(None, dict(space)), Trials()

    def propose(self, number: int) -> tuple[dict[str, Any], int]:
        """Return settings as values, and the seed that gave them."""
        # From the trial's place and not from a stream: nothing has to be wound forward.
        proposal_seed = int(np.random.default_rng([self.seed, number]).integers(2**31 - 1))
        (document,) = self.algo([number - 1], self.domain, self.trials, proposal_seed)
        draws = {name: values[0] for name, values in document["misc"]["vals"].items()}
        settings = to_plain(space_eval(self.space, draws))  # hyperopt sorts the names
        return {name: settings[name] for name in self.space}, proposal_seed

    def tell(self, trial: Trial) -> None:
        """Let the algorithm know what came of a trial."""
        number = trial.number - 1
        draws = to_draws(self.space, trial.parameters)
        result = {"status": STATUS_OK, "loss": trial.loss} if trial.ok else {"status": STATUS_FAIL}
        misc = {
            "tid": number,
            "cmd": self.domain.cmd,
            "workdir": self.domain.workdir,
            "idxs": {name: [number] for name in draws},
            "vals": {name: [draw] for name, draw in draws.items()},
        }
        (document,) = self.trials.new_trial_docs([number], [None], [result], [misc])
        document["state"] = JOB_STATE_DONE
        self.trials.insert_trial_docs([document])
        self.trials.refresh()


class _Settings(Mapping):
    """Settings that remember which of them were read."""

    def __init__(self, values: dict[str, Any]):
        self._values, self.unread = values, set(values)

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values  # asking is not reading

    def __repr__(self) -> str:
        return repr(self._values)


def _evaluate(
    objective: Callable, values: dict[str, Any], number: int, seed: int, before: Sequence[Trial]
) -> Trial:
    """Run the objective; turn whatever comes of it into a trial."""
    settings = _Settings(values)
    start = time.perf_counter()
    loss, error, details = None, None, {}
    try:
        returned = objective(settings)
        loss, details = _read_result(returned)
    except Exception as failure:
        text = f"{type(failure).__name__}: {failure}"
        error = text.encode("utf-8", "backslashreplace").decode()  # a file name may hold anything
    seconds = time.perf_counter() - start
    if error is None and settings.unread and not any(trial.ok for trial in before):
        raise SearchError(
            f"the objective never read {', '.join(sorted(settings.unread))}, so searching it is in "
            "vain; use it in the objective, or take it out of the space"
        )
    return Trial(
        number, values, seed, "failed" if error else "ok", loss, error, seconds, details,
        package_versions(),
    )  # fmt: skip


def _read_result(returned: Any) -> tuple[float, dict[str, Any]]:
    others = {}
    if isinstance(returned, Mapping):
        others = {name: returned[name] for name in returned if name not in {"status", "loss"}}
        if returned.get("status", STATUS_OK) != STATUS_OK:
            raise RuntimeError(others.get("message", f"status {returned['status']!r}"))
        if "loss" not in returned:
            raise ValueError(f"the objective returned {sorted(returned)}, expected a 'loss'")
        returned = returned["loss"]
    loss = float(returned)
    if not math.isfinite(loss):
        raise ValueError(f"the loss is {loss}, expected a finite number")
    details = {}
    for name, value in others.items():
        try:
            plain = to_plain(value, str(name))
            json_bytes({str(name): plain})  # a text may hold what UTF-8 cannot
            details[str(name)] = plain
        except (TypeError, ValueError) as error:  # no reason to lose the trial
            details[str(name)] = f"not kept: {error}".encode("utf-8", "backslashreplace").decode()
    return loss, details


def _stop_after_failures(trials: Sequence[Trial], most: int) -> None:
    last = trials[-most:]
    if len(last) == most and not any(trial.ok for trial in last):
        raise SearchError(
            f"trials {last[0].number} to {last[-1].number} failed, {most} in a row, so the search "
            f"stops. The last: {last[-1].error}\n"
            "Mend the objective or the space and name another folder, or delete the failed trials' "
            "files to have them run again."
        )


def _source(function: Callable) -> Any:
    """Return what a function does, as text to compare.

    Raises
    ------
    ValueError
        If it is not a plain function, or holds values that cannot be compared.
    """
    if isinstance(function, partial):
        return {
            "function": _source(function.func),
            "arguments": to_plain([*function.args, function.keywords], "partial arguments"),
        }
    if not inspect.isfunction(function):
        raise ValueError(
            f"found {function!r:.60} of type {type(function).__name__}, expected a plain function, "
            "whose source can be compared; wrap it in one, and put what it depends on in depends_on"
        )
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    held = {
        name: _comparable(cell.cell_contents, f"{name}, which {function.__name__} holds,")
        for name, cell in cells
        if cell.cell_contents is not function  # a function that calls itself
    }
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except OSError:  # typed at a prompt
        text = _code_text(function.__code__)
    return {"source": text, "holds": held} if held else text


def _comparable(value: Any, name: str) -> Any:
    """Return a function's source, or a value as JSON has it; name what is neither."""
    if callable(value):
        return _source(value)
    if isinstance(value, Path):
        return str(value)
    try:
        return to_plain(value, name)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; or name what it stands for in depends_on") from error


def _code_text(code: CodeType) -> str:
    """Write compiled code without the addresses that differ from process to process."""
    constants = [
        _code_text(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts
    ]
    return f"{code.co_name} {code.co_code.hex()} {constants} {code.co_names}"


def _algorithm(algo: Callable) -> dict[str, Any]:
    """Name an algorithm and the arguments that were fixed."""
    fixed: dict[str, Any] = {}
    while isinstance(algo, partial):
        fixed, algo = {**algo.keywords, **fixed}, algo.func
    if not inspect.isfunction(algo):
        raise ValueError(f"algo is {algo!r:.60}, expected a function such as tpe.suggest")
    fixed = {name: _comparable(value, name) for name, value in fixed.items()}
    return {"name": f"{algo.__module__}.{algo.__name__}", "arguments": fixed}


class SearchProgress:
    """One line that updates itself while a search runs: best so far and time left.

    Hand it to `run_search` as ``progress``.

    Parameters
    ----------
    label : str
        What is searching.
    """

    def __init__(self, label: str):
        self.label = label
        self._handle = None
        self._start = time.perf_counter()

    def __call__(self, trials: Sequence[Trial], max_evals: int) -> None:
        """Show how far the search has come."""
        scores = [-trial.loss for trial in trials if trial.ok]
        best = f"best validation accuracy {max(scores):.4f}" if scores else "no score yet"
        seconds = time.perf_counter() - self._start
        text = f"{self.label}: trial {len(trials)} of {max_evals}, {best}, {seconds:.0f} s"
        left = max_evals - len(trials)
        if left:
            text += f", about {left * usual_seconds(trials):.0f} s left"
        self._show({"text/plain": text})

    def _show(self, bundle: dict[str, str]) -> None:
        from IPython.display import display, update_display

        if self._handle is not None:
            update_display(bundle, display_id=self._handle.display_id, raw=True)
        elif _in_notebook():
            self._handle = display(bundle, raw=True, display_id=True)


def usual_seconds(trials: Sequence[Trial]) -> float:
    """Return what a trial takes, leaving out those whose score was known beforehand.

    Parameters
    ----------
    trials : sequence of Trial
        At least one.

    Returns
    -------
    float
    """
    longest = max(trial.seconds for trial in trials)
    return float(np.mean([t.seconds for t in trials if t.seconds >= longest / 10]))


def _in_notebook() -> bool:
    """Tell whether a display can be updated; elsewhere a line a trial would litter."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
