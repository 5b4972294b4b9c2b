"""Start Ray on this machine, or connect to a cluster, or say in half a minute why not."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from digit_utils.provenance import keras_backend, processors

PATIENCE = 25  # seconds for a cluster to answer; starting Python and Ray is part of it
# Characters of the folder that holds Ray's: a socket's whole path may have 103.
LONGEST = 20 if os.name == "posix" else 200

# Ray announces itself, writes logs of its own and catches Ctrl-C unless told not to.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it announces that this will be the default
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are kept with the trials
    "RAY_AIR_NEW_OUTPUT": "0",
}


# For the workers, which are to stay in the folder they were started in.
ON_WORKERS = {"TF_CPP_MIN_LOG_LEVEL": "3", "RAY_CHDIR_TO_TRIAL_DIR": "0"}


class ClusterUnavailable(RuntimeError):
    """Ray is not installed, or a cluster is of no use; the message says what to do."""


@contextmanager
def connect(
    address: str | None, jobs: int | None, needs: Mapping[str, float] | None = None
) -> Iterator[int]:
    """Connect to Ray while the block runs; yields how many jobs run at a time.

    ``address`` None: what this process is connected to already, or else a Ray of its own on this
    machine. ``jobs`` None: as many as there is room for. ``needs`` is what a job needs, as Ray
    names it: ``cpu`` (1 by default), ``gpu`` or a resource of the cluster's own. Raises
    ClusterUnavailable if Ray is not installed, the cluster does not answer within half a minute, no
    machine of it has what a job needs, or there is no folder for Ray's sockets.
    """
    needs = {"cpu": 1, **(needs or {})}
    with (
        nullcontext("") if address else _own_folder() as folder,
        _connected(address, jobs, needs, folder) as workers,
    ):
        yield workers


@contextmanager
def _own_folder() -> Iterator[str]:
    """Make a folder for Ray's session; it is Ray's home, too, if the user's cannot be written.

    RAY_TMPDIR is taken as it is: Ray asks for it as well, and says what it does not like of it.
    """
    held: Any = None
    if chosen := os.environ.get("RAY_TMPDIR"):
        held = nullcontext(chosen)
    for place in (tempfile.gettempdir(), "/tmp"):
        if held is None and len(os.path.abspath(place)) <= LONGEST:
            with suppress(OSError):
                held = tempfile.TemporaryDirectory("", "digits-", place, ignore_cleanup_errors=True)
    if held is None:
        raise ClusterUnavailable(
            f"Ray needs a folder that can be written, whose path has at most {LONGEST} characters, "
            "and found none; set RAY_TMPDIR to one"
        )
    home = os.environ.get("HOME")
    with held as folder:
        if not os.access(os.path.expanduser("~/"), os.W_OK):  # / at its end: /dev/null is none
            os.environ["HOME"] = folder
        try:
            yield folder
        finally:
            os.environ.pop("HOME", None)
            if home is not None:
                os.environ["HOME"] = home


@contextmanager
def _connected(
    address: str | None, jobs: int | None, needs: Mapping[str, float], folder: str
) -> Iterator[int]:
    if address is not None and "://" in address:
        raise ClusterUnavailable(
            f"--address is {address}; expected HOST:PORT of the head node, usually port 6379, and "
            "this command on a machine that can reach all nodes"
        )
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray import tune  # noqa: F401  # it is installed apart
    except ImportError as error:
        raise ClusterUnavailable(
            f"the Ray engine needs packages that {sys.executable} lacks ({error}); install them: "
            "pip install 'ray[tune]'"
        ) from error
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if address is None and ray.is_initialized():  # by the caller, whose it remains
        yield _room(ray, needs, jobs)
        return
    if address is not None:
        _knock(address)
    granted = processors()
    cpus = max(needs["cpu"], 1)
    # Each job on its share of the processors: TensorFlow would start a thread for each of them.
    share = cpus if address else granted // (jobs or max(1, granted // cpus))
    local: dict[str, Any] = {}
    if not address:
        num_cpus = max(1, math.ceil(jobs * needs["cpu"])) if jobs else granted
        local = {"include_dashboard": False, "_temp_dir": folder, "num_cpus": num_cpus}
    environment = {
        **ON_WORKERS,
        "KERAS_BACKEND": keras_backend(),
        "TF_NUM_INTRAOP_THREADS": str(max(1, int(share))),
    }
    try:
        with _own_way_to_end():
            ray.init(
                address=address or "local",
                runtime_env={"env_vars": environment},
                log_to_driver=False,
                logging_level="ERROR",
                **local,
            )
    except Exception as error:  # OSError and RuntimeError among them
        ray.shutdown()
        raise ClusterUnavailable(
            f"Ray could not start ({type(error).__name__}: {error!s:.300}); if that names a file, "
            "set HOME and RAY_TMPDIR to short folders that can be written; if it speaks of time, "
            "try again when the machine has less to do"
        ) from error
    try:
        yield _room(ray, needs, jobs)
    finally:
        ray.shutdown()


@contextmanager
def _own_way_to_end() -> Iterator[None]:
    """Keep what this process does when it is asked to end: Ray sets a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _room(ray: Any, needs: Mapping[str, float], jobs: int | None) -> int:
    """Return how many jobs to run at a time; refuse what would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    asked = {
        {"cpu": "CPU", "gpu": "GPU"}.get(name, name): amount
        for name, amount in needs.items()
        if amount > 0
    }

    def fits(node: Mapping[str, float]) -> float:
        return min((node.get(name, 0) // amount for name, amount in asked.items()), default=1)

    room = int(sum(fits(node) for node in nodes))
    if room < 1:
        there = [{name: node.get(name, 0) for name in ("CPU", "GPU", *asked)} for node in nodes]
        raise ClusterUnavailable(
            f"a job needs {asked}, and no machine has that; there is {there}. Ask for less"
        )
    return min(jobs, room) if jobs else room


def reason(text: str) -> str:
    """Return the line of a Ray error that says most: the last of its text that names an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", line)]
    return (errors or lines or ["no reason is known"])[-1]


def _knock(address: str) -> None:
    """Ask whether a cluster answers, in a process that can be ended if it does not."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():  # Ray would wait long for a port that nobody listens at
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise _no_cluster(address, str(error)) from error
    code = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
    try:
        subprocess.run(
            [sys.executable, "-c", code, address],
            check=True, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return
    except subprocess.TimeoutExpired:
        why = f"no answer within {PATIENCE} seconds"
    except subprocess.CalledProcessError as error:
        why = reason(error.stderr)
    raise _no_cluster(address, why)


def _no_cluster(address: str, why: str) -> ClusterUnavailable:
    return ClusterUnavailable(
        f"the cluster at {address} cannot be used ({why:.300}); check the address, or start one: "
        "ray start --head"
    )
