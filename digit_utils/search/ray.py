"""Run a search on several workers with Ray, and stop trials early that others outdo.

The proposals, the trials' files and the rules for resuming are those of `run_search`. Ray runs the
trials as tasks; its scheduler for asynchronous successive halving (ASHA, Li and others, 2018,
https://arxiv.org/abs/1810.05934) decides which of them end early. Ray's own ``HyperOptSearch`` is
not used: it resumes from a pickle and proposes by TPE alone.
"""

import contextlib
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from digit_utils.provenance import keras_backend, processors
from digit_utils.search.run import OpenSearch, Search, check_whole
from digit_utils.search.store import SearchError
from digit_utils.search.trial import Trial, run_trial, takes_report

PATIENCE = 25  # seconds for a cluster to answer; starting Python and Ray is part of it
ASHA_LEAST = {"epochs": 2, "grace_period": 1, "reduction_factor": 2}
OPTIONS = {"cpu": "num_cpus", "gpu": "num_gpus", "memory": "memory"}  # of a task
# Ray announces itself, and what will be the default, unless told not to.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class ClusterUnavailable(SearchError):
    """Ray is not installed, or a cluster is of no use; the message says what to do."""


def run_ray_search(
    objective: Callable[..., Any],
    space: Mapping[str, Any],
    algo: Callable,
    max_evals: int,
    folder: str | Path,
    seed: int = 0,
    depends_on: Mapping[str, Any] | None = None,
    progress: Callable[[Sequence[Trial], int], None] | None = None,
    *,
    jobs: int | None = None,
    address: str | None = None,
    asha: Mapping[str, int] | None = None,
    resources: Mapping[str, float] | None = None,
    load: Callable[[], Callable] | None = None,
) -> Search:
    """Search a space on several workers, keep every finished trial, and resume with those there.

    With one worker and without ``asha`` it tries the same settings as `run_search` and can resume
    its folder. With more, a proposal follows from the trials that have ended by then. The arguments
    and errors of `run_search` hold here, too; others are:

    - jobs: trials at a time; None: as many as there is room for.
    - address: of a running Ray cluster; None: the one this process is connected to, or one that is
      started on this machine for this search.
    - asha: ``epochs`` of a whole trial, ``grace_period``, the epoch after which trials are compared
      first, and ``reduction_factor``: one in so many goes on. The objective has to report its
      epochs; a trial stopped early has the status ``stopped``. None: no trial is stopped.
    - resources: what a trial needs, as Ray names it; one ``cpu`` by default.
    - load: called on the worker for the objective, once a trial, so it should keep what it returns;
      None: the objective itself is sent there.
    """
    if jobs is not None:
        check_whole("jobs", jobs, 1)
    needs = {"cpu": 1, **(resources or {})}
    for name, amount in needs.items():
        if type(amount) not in (int, float) or not amount >= 0:
            raise ValueError(f"resources: {name} is {amount!r}, expected a number from 0")
    more = {} if asha is None else {"asha": _checked(asha, objective)}
    search = OpenSearch(
        objective, space, algo, max_evals, folder, seed, depends_on, progress, **more
    )
    with search.held() as there:
        for trial in there.values():
            search.keep(trial)
        search.stop_after_failures()
        if waiting := [number for number in range(1, max_evals + 1) if number not in there]:
            with connect(_run_there, needs, address, jobs) as (task, workers):
                _run_all(search, waiting, load or (lambda: objective), asha, task, workers)
    return Search(sorted(search.trials, key=attrgetter("number")))


def _checked(asha: Mapping[str, int], objective: Callable) -> dict[str, int]:
    if not isinstance(asha, Mapping) or set(asha) != set(ASHA_LEAST):
        raise ValueError(f"asha is {asha!r:.80}, expected a dictionary with {sorted(ASHA_LEAST)}")
    for name, least in ASHA_LEAST.items():
        check_whole(f"asha: {name}", asha[name], least)
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


def _run_all(
    search: OpenSearch,
    waiting: list[int],
    load: Callable[[], Callable],
    asha: Mapping[str, int] | None,
    task: Any,
    workers: int,
) -> None:
    """Propose and run the trials ``waiting``, and keep each as it ends."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Other machines of a cluster may leave while the search runs, this one does not.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, scheduling_strategy=here)(_Scheduler)
    scheduler = actor.remote(asha, search.trials)
    sent, running = ray.put(load), {}

    def next_ended() -> tuple[Trial, list[str]]:
        (done,), _ = ray.wait(list(running))
        begun = running.pop(done)
        ended, lost = outcome(done)
        if not lost:
            return ended
        so_far = ray.get(scheduler.so_far.remote(begun.number)) or begun
        return replace(so_far, status="failed", loss=None, error=lost), []

    try:
        while waiting or running:
            if waiting and len(running) < workers:
                begun = search.propose(waiting.pop(0))
                running[task.remote(sent, scheduler, begun)] = begun
            else:
                search.keep(*next_ended())
    except SearchError as error:  # too many failed: what runs may end
        if running:
            print(f"{error}\nWaiting for the trials that still run.", file=sys.stderr)
        while running:
            with contextlib.suppress(SearchError):
                search.keep(*next_ended())
        raise
    finally:
        for each in running:
            ray.cancel(each, force=True)


def _run_there(load: Callable[[], Callable], scheduler: Any, begun: Trial) -> Any:
    """Run a trial on a worker."""
    import ray

    return run_trial(load(), begun, lambda so_far: ray.get(scheduler.go_on.remote(so_far)))


def outcome(running: Any, meanwhile: Callable[[], None] = lambda: None) -> tuple[Any, str]:
    """Wait for a task; return its result, and why there is none.

    ``meanwhile`` is called every half second, and may raise to wait no longer.
    """
    import ray

    while not ray.wait([running], timeout=0.5)[0]:
        meanwhile()
    try:
        return ray.get(running), ""
    except ray.exceptions.RayError as error:
        return None, f"the worker ended without a result: {_reason(str(error))}"


class _Scheduler:
    """Hears of every epoch of all trials, in a process of its own, and stops trials by ASHA."""

    def __init__(self, asha: Mapping[str, int] | None, before: Sequence[Trial]):
        from ray.tune.schedulers import ASHAScheduler

        self.last: dict[int, Trial] = {}
        self.asha = asha and ASHAScheduler(
            time_attr="epoch",
            metric="loss",
            mode="min",
            # No rung at the last epoch: stopping there would save nothing and cost the score.
            max_t=asha["epochs"] - 1,
            grace_period=asha["grace_period"],
            reduction_factor=asha["reduction_factor"],
            stop_last_trials=False,
        )
        for trial in before:
            for epoch in range(1, len(trial.curve) + 1):
                self.go_on(replace(trial, curve=trial.curve[:epoch]))

    def go_on(self, trial: Trial) -> bool:
        """Tell whether a trial is to go on after the last epoch of its curve."""
        known = SimpleNamespace(trial_id=str(trial.number))
        if self.asha and trial.number not in self.last:
            self.asha.on_trial_add(None, known)
        self.last[trial.number] = trial
        result = {"epoch": len(trial.curve), "loss": trial.curve[-1]}
        return not self.asha or self.asha.on_trial_result(None, known, result) != "STOP"

    def so_far(self, number: int) -> Trial | None:
        """Return a trial as it was after its last epoch; None if it had none."""
        return self.last.get(number)


@contextlib.contextmanager
def connect(
    function: Callable, needs: Mapping[str, float], address: str | None, jobs: int | None
) -> Iterator[tuple[Any, int]]:
    """Connect to Ray while the block runs; yields ``function`` as a task, and how many run at once.

    ``needs`` is what a task needs, as Ray names it: ``cpu``, ``gpu`` or a resource of the
    cluster's own. ``address`` None: what this process is connected to already, or else a Ray of its
    own on this machine. ``jobs`` None: as many as there is room for. Raises ClusterUnavailable if
    Ray is not installed or does not start, the cluster does not answer within half a minute, or no
    machine of it has what a task needs.
    """
    if address is not None and "://" in address:
        raise ClusterUnavailable(
            f"--address is {address}; expected HOST:PORT of the head node, usually port 6379, and "
            "this command on a machine that can reach all nodes"
        )
    os.environ.update({**QUIET, **os.environ})
    try:
        import ray
        from ray import tune  # noqa: F401  # it is installed apart
    except ImportError as error:
        raise ClusterUnavailable(
            f"the Ray engine needs packages that {sys.executable} lacks ({error}); install them: "
            "pip install 'ray[tune]'"
        ) from error
    with contextlib.ExitStack() as stack:
        if address is not None:
            _check_answers(address)
        try:
            if address is not None or not ray.is_initialized():  # else it remains the caller's
                _start(ray, address, jobs, needs["cpu"], stack)
        except Exception as error:  # OSError and RuntimeError among them
            raise ClusterUnavailable(
                f"Ray could not start ({type(error).__name__}: {error!s:.300}); if that names a "
                "file, set HOME and RAY_TMPDIR to short folders that can be written; if it speaks "
                "of time, try again when the machine has less to do"
            ) from error
        try:
            named = {OPTIONS[name]: needs[name] for name in needs if name in OPTIONS}
            others = {name: needs[name] for name in needs if name not in OPTIONS}
            # Workers are kept, also those on a GPU: starting one and its packages costs seconds.
            task = ray.remote(max_retries=0, max_calls=0, resources=others, **named)(function)
            yield task, _room(ray, needs, jobs)
        except ray.exceptions.RayError as error:
            raise ClusterUnavailable(
                f"Ray gave up ({_reason(str(error)):.300}); what is finished is kept, start the "
                "same again"
            ) from error


def _start(
    ray: Any, address: str | None, jobs: int | None, cpus: float, stack: contextlib.ExitStack
) -> None:
    """Start or join Ray; what is to be undone afterwards goes onto the stack."""
    granted, local = processors(), {}
    # Each job on its share of the processors: TensorFlow would start a thread for each of them.
    share = cpus if address else granted // (jobs or max(1, granted // max(cpus, 1)))
    if not address:
        # Ray's sockets lie in its folder; their paths may have 103 characters, so no long TMPDIR.
        folder = os.environ.get("RAY_TMPDIR") or stack.enter_context(
            tempfile.TemporaryDirectory(
                "", "digits-", None if os.name == "nt" else "/tmp", ignore_cleanup_errors=True
            )
        )
        num_cpus = max(1, math.ceil(jobs * cpus)) if jobs else granted
        local = {"include_dashboard": False, "_temp_dir": folder, "num_cpus": num_cpus}
        if not os.access(os.path.expanduser("~/"), os.W_OK):  # / at its end: /dev/null is none
            if "HOME" in os.environ:
                stack.callback(os.environ.update, HOME=os.environ["HOME"])
            os.environ["HOME"] = folder
            stack.callback(os.environ.pop, "HOME")
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": keras_backend(),
        "TF_NUM_INTRAOP_THREADS": str(max(1, int(share))),
    }
    handler = signal.getsignal(signal.SIGTERM)  # for which Ray sets one of its own
    stack.callback(ray.shutdown)
    try:
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": environment},
            log_to_driver=False,
            logging_level="ERROR",
            **local,
        )
    finally:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGTERM, handler)


def _room(ray: Any, needs: Mapping[str, float], jobs: int | None) -> int:
    """Return how many jobs to run at a time; refuse what would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    names = {"cpu": "CPU", "gpu": "GPU"}
    asked = {names.get(name, name): amount for name, amount in needs.items() if amount > 0}
    fit = [min((node.get(name, 0) // asked[name] for name in asked), default=1) for node in nodes]
    if sum(fit) < 1:
        there = [{name: node.get(name, 0) for name in ("CPU", "GPU", *asked)} for node in nodes]
        raise ClusterUnavailable(
            f"a job needs {asked}, and no machine has that; there is {there}. Ask for less"
        )
    return min(jobs or sys.maxsize, int(sum(fit)))


def _reason(text: str) -> str:
    """Return the line of a Ray error that says most: the last of its text that names an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", line)]
    return (errors or lines or ["no reason is known"])[-1]


def _check_answers(address: str) -> None:
    """Ask whether a cluster answers, in a process that can be ended: Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    code = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
    try:
        if host and port.isdigit():  # a port that nobody listens at is told at once
            socket.create_connection((host, int(port)), timeout=5).close()
        subprocess.run(
            [sys.executable, "-c", code, address],
            check=True, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        why = f"no answer within {PATIENCE} seconds"
    except subprocess.CalledProcessError as error:
        why = _reason(error.stderr)
    except OSError as error:
        why = str(error)
    else:
        return
    raise ClusterUnavailable(
        f"the cluster at {address} cannot be used ({why:.300}); check the address, or start one: "
        "ray start --head"
    )
