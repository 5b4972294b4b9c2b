"""Run a search on several workers with Ray Tune, and stop trials early that others outdo.

The proposals, the trials' files and the rules for going on are those of `search.run_search`. Ray
starts the workers, keeps them for trial after trial, and decides by asynchronous successive halving
(ASHA, Li and others, 2018, https://arxiv.org/abs/1810.05934) which trials end early. Ray's own
``HyperOptSearch`` is not used: it resumes from a pickle and proposes by TPE alone; `_Searcher` asks
hyperopt in the same way as the plain engine does.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from digit_utils.provenance import package_versions
from digit_utils.search.cluster import ClusterUnavailable, connect, reason
from digit_utils.search.evaluation import Outcome, evaluate, takes_report
from digit_utils.search.run import Search, make_trial, open_search, stop_after_failures
from digit_utils.search.trials import SearchError, Trial

ASHA_ENTRIES = {"epochs", "grace_period", "reduction_factor"}


def run_ray_search(
    objective: Callable,
    space: Mapping[str, Any],
    algo: Callable,
    max_evals: int,
    folder: str | Path,
    seed: int = 0,
    depends_on: Mapping[str, Any] | None = None,
    max_failures: int = 5,
    progress: Callable[[Sequence[Trial], int], None] | None = None,
    *,
    jobs: int | None = None,
    address: str | None = None,
    asha: Mapping[str, int] | None = None,
    resources: Mapping[str, float] | None = None,
    load: Callable[[], Callable] | None = None,
) -> Search:
    """Search a space on several workers, keep every finished trial, and go on with those there.

    With one worker and without ``asha`` it tries the same settings as `search.run_search` and can
    go on with its folder. With more, a proposal follows from the trials that have ended by then.
    The arguments and errors of `search.run_search` hold here, too; others are:

    - jobs: trials at a time; None: as many as there is room for.
    - address: of a running Ray cluster; None: the one this process is connected to, or one that is
      started on this machine for this search.
    - asha: ``epochs`` of a whole trial, ``grace_period``, the epoch after which trials are compared
      first, and ``reduction_factor``: one in so many goes on. The objective has to report its
      epochs; a trial stopped early has the status ``stopped``. None: no trial is stopped.
    - resources: what a trial needs, as Ray names it; one ``cpu`` by default.
    - load: called on the worker for the objective, once a trial, so it should keep what it returns;
      None: the objective itself is sent there.

    Raises SearchError also if Ray is not installed, the cluster does not answer within half a
    minute, or has nowhere what a trial needs; ValueError also if ``asha``, ``resources`` or
    ``jobs`` is out of range.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise ValueError(f"jobs is {jobs!r}, expected a whole number from 1")
    needs = {"cpu": 1, **(resources or {})}
    for name, amount in needs.items():
        if type(amount) not in (int, float) or amount < 0 or amount != amount:
            raise ValueError(f"resources: {name} is {amount!r}, expected a number from 0")
    more = {} if asha is None else {"asha": _checked(asha, objective)}
    with open_search(
        objective, space, algo, max_evals, folder, seed, depends_on, max_failures, **more
    ) as (store, kept, proposer):
        state = _State(store, kept, proposer, max_evals, max_failures, progress)
        stop_after_failures(state.trials, max_failures)
        if state.waiting:
            try:
                with connect(address, jobs, needs) as workers:
                    _tune(state, load or (lambda: objective), needs, workers, more.get("asha"))
            except ClusterUnavailable as error:
                raise SearchError(str(error)) from error
            except Exception as error:
                if not type(error).__module__.startswith("ray."):
                    raise
                raise SearchError(
                    f"Ray gave up ({reason(str(error)):.300}); the finished trials are kept, start "
                    "the same search again"
                ) from error
            if state.problem is not None:
                raise state.problem
            if len(state.trials) < max_evals:
                raise SearchError(
                    f"Ray ended with {len(state.trials)} of {max_evals} trials; start the same "
                    "search again, and it goes on with those"
                )
        elif progress is not None:
            progress(state.trials, max_evals)
        stop_after_failures(state.trials, max_failures)
    return Search(sorted(state.trials, key=lambda trial: trial.number))


def _tune(
    state: _State,
    load: Callable[[], Callable],
    needs: Mapping[str, float],
    workers: int,
    asha: Mapping[str, int] | None,
) -> None:
    from ray import tune

    scheduler = None if asha is None else _scheduler(asha)
    state.recall(scheduler)
    # What Tune still writes when it is interrupted must not become an error of its own.
    with tempfile.TemporaryDirectory(prefix="digits-", ignore_cleanup_errors=True) as scratch:
        tune.Tuner(
            tune.with_resources(_trainable(load), dict(needs)),
            tune_config=tune.TuneConfig(
                search_alg=_searcher(state, workers),
                scheduler=scheduler,
                num_samples=-1,  # until the state says that it is over
                max_concurrent_trials=workers,
                reuse_actors=True,  # starting a worker and its packages costs seconds
            ),
            run_config=tune.RunConfig(
                storage_path=scratch, name="search", verbose=0, callbacks=[_watcher(state)]
            ),
        ).fit()


def _checked(asha: Mapping[str, int], objective: Callable) -> dict[str, int]:
    if not isinstance(asha, Mapping) or set(asha) != ASHA_ENTRIES:
        raise ValueError(f"asha is {asha!r:.80}, expected a dictionary with {sorted(ASHA_ENTRIES)}")
    for name, least in (("epochs", 2), ("grace_period", 1), ("reduction_factor", 2)):
        if type(asha[name]) is not int or asha[name] < least:
            raise ValueError(
                f"asha: {name} is {asha[name]!r}, expected a whole number from {least}"
            )
    if asha["grace_period"] >= asha["epochs"]:
        raise ValueError(
            f"asha: grace_period is {asha['grace_period']} of {asha['epochs']} epochs, expected "
            "less; a trial can only be stopped before its last epoch"
        )
    if not takes_report(objective):
        raise ValueError(
            "asha compares trials by their epochs, but the objective takes no second argument to "
            "report them with; write it as objective(settings, report), or leave asha out"
        )
    return dict(asha)


def _scheduler(asha: Mapping[str, int]) -> Any:
    from ray.tune.schedulers import ASHAScheduler

    return ASHAScheduler(
        time_attr="epoch",
        metric="loss",
        mode="min",
        # No rung at the last epoch: stopping there would save nothing and cost the score.
        max_t=asha["epochs"] - 1,
        grace_period=asha["grace_period"],
        reduction_factor=asha["reduction_factor"],
        stop_last_trials=False,
    )


def _trainable(load: Callable[[], Callable]) -> Callable:
    """Return what a worker does for one trial; all it holds is sent there."""

    def train(settings: dict[str, Any]) -> None:
        from ray import tune

        # Read in this process when it is to take the next trial: how long to wait for this one's
        # thread to end. With Tune's two seconds a slow end costs the worker.
        os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "120")
        objective, versions = load(), package_versions()
        start, curve = time.perf_counter(), []

        def listen(epoch: int, loss: float) -> None:
            curve.append(loss)
            seconds = time.perf_counter() - start
            so_far = {"curve": curve, "seconds": seconds, "versions": versions}
            tune.report({"epoch": epoch, "loss": loss, "so_far": json.dumps(so_far)})

        outcome = evaluate(objective, settings, listen)
        loss = math.inf if outcome.loss is None else outcome.loss
        whole = json.dumps(asdict(outcome))  # as text: Ray would take nested values apart
        tune.report({"epoch": len(curve), "loss": loss, "outcome": whole})

    return train


class _State:
    """What has come of a search so far, and what to do next."""

    def __init__(self, store, kept, proposer, max_evals, max_failures, progress):
        self.store, self.proposer = store, proposer
        self.max_evals, self.max_failures, self.progress = max_evals, max_failures, progress
        self.trials: list[Trial] = [kept[number] for number in sorted(kept)]
        self.waiting = [n for n in range(1, max_evals + 1) if n not in kept]
        self.running: dict[str, tuple[int, dict[str, Any], int]] = {}
        self.lost = 0
        self.problem: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles everything at its start, for a restart we do without

    def recall(self, scheduler: Any) -> None:
        """Tell the algorithm, and the scheduler's rungs, of the trials that are there."""
        for trial in self.trials:
            self.proposer.tell(trial)
            if scheduler is None:
                continue
            known = SimpleNamespace(trial_id=f"kept_{trial.number}")
            scheduler.on_trial_add(None, known)
            for epoch, loss in enumerate(trial.curve, start=1):
                scheduler.on_trial_result(None, known, {"epoch": epoch, "loss": loss})

    @property
    def over(self) -> bool:
        """Whether there is nothing left to start."""
        try:
            stop_after_failures(self.trials, self.max_failures)
        except SearchError as error:
            self.problem = self.problem or error
        return self.problem is not None or not self.waiting

    def next(self, trial_id: str) -> dict[str, Any]:
        number = self.waiting.pop(0)
        settings, seed = self.proposer.propose(number)
        self.running[trial_id] = (number, settings, seed)
        return dict(settings)

    def put_back(self, trial_id: str) -> None:
        """Have a trial proposed again that was lost before it began."""
        number, _, _ = self.running.pop(trial_id)
        self.waiting.insert(0, number)
        self.lost += 1
        if self.lost > self.max_failures:
            self.problem = self.problem or SearchError(
                f"Ray lost {self.lost} trials before they began, so the search stops; try again"
            )

    def finish(self, trial_id: str, result: Mapping[str, Any], error: str = "") -> None:
        """Keep what came of a trial, or why its worker ended without a result."""
        try:
            number, settings, seed = self.running.pop(trial_id)
            if "outcome" in result:
                outcome = Outcome(**json.loads(result["outcome"]))
                trial = make_trial(number, settings, seed, outcome, self.trials)
            else:
                so_far = json.loads(result.get("so_far", '{"seconds": 0.0}'))
                end: tuple[str, Any, str | None]
                if error:
                    end = ("failed", None, f"the worker ended without a result: {error}")
                else:
                    end = ("stopped", result["loss"], None)
                trial = Trial(number, settings, seed, *end, **so_far)
            self.store.write(trial)
            self.proposer.tell(trial)
            self.trials.append(trial)
            if self.progress is not None:
                self.progress(self.trials, self.max_evals)
        except Exception as problem:  # Tune would take it for the trial's, and go on
            self.problem = self.problem or problem


def _searcher(state: _State, workers: int) -> Any:
    """Let Tune ask the state. A class of its own needs Ray, which is imported only when used."""
    from ray.tune.search import Searcher

    class Asking(Searcher):
        def set_max_concurrency(self, max_concurrent):
            return True  # we count ourselves: Tune's count forgets those it lost

        def suggest(self, trial_id):
            if state.over:
                return Searcher.FINISHED
            return None if len(state.running) >= workers else state.next(trial_id)

        def on_trial_complete(self, trial_id, result=None, error=False):
            if not error:  # of errors the watcher hears more
                state.finish(trial_id, result or {})

        def save(self, checkpoint_path):
            """Nothing to save: the trials' files are all there is."""

        def restore(self, checkpoint_path):
            """Nothing to restore."""

    return Asking(metric="loss", mode="min")


def _watcher(state: _State) -> Any:
    """Hear why a worker ended: killed, out of memory, or unable to load the objective."""
    from ray import tune

    class Watching(tune.Callback):
        def on_step_end(self, iteration, trials, **info):
            for trial in trials:  # one whose worker could not be used again nobody is told of
                if trial.status == "ERROR" and trial.trial_id in state.running:
                    state.put_back(trial.trial_id)

        def on_trial_error(self, iteration, trials, trial, **info):
            try:
                text = Path(trial.error_file or "").read_text()
            except OSError:
                text = ""
            state.finish(trial.trial_id, trial.last_result or {}, reason(text))

    return Watching()
