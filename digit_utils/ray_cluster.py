"""Start Ray on this machine, or connect to a cluster, or say in half a minute why not."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 25  # seconds for a cluster to answer; starting Python and Ray is part of it

# Ray announces itself, writes logs of its own and catches Ctrl-C unless told not to.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are kept with the trials
    "RAY_AIR_NEW_OUTPUT": "0",
}


class ClusterUnavailable(RuntimeError):
    """Ray is not installed, or a cluster does not answer; the message says what to do."""


@contextmanager
def connect(address: str | None, jobs: int | None, cpus: float = 1) -> Iterator[int]:
    """Connect to Ray while the block runs.

    Parameters
    ----------
    address : str or None
        Of a running cluster. None: what this process is connected to already, or else a Ray of
        its own on this machine.
    jobs : int or None
        Jobs at a time; None: as many as there are processors for.
    cpus : float
        Processors a job needs.

    Yields
    ------
    int
        Jobs at a time.

    Raises
    ------
    ClusterUnavailable
        If Ray is not installed, or the cluster does not answer within half a minute.
    """
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
    processors = os.cpu_count() or 1
    here = jobs or max(1, int(processors / max(cpus, 1)))
    if address is None and ray.is_initialized():  # by the caller, whose it remains
        yield here
        return
    if address is not None:
        _knock(address)
    # Each job on its share of the processors: TensorFlow would start a thread for each of them.
    threads = max(1, int(cpus) if address else processors // here)
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": str(threads)}
    local = {} if address else {"num_cpus": max(1, math.ceil(here * cpus))}
    if not address:
        local["include_dashboard"] = False
    ray.init(
        address=address or "local",
        runtime_env={"env_vars": environment},
        log_to_driver=False,
        logging_level="ERROR",
        **local,
    )
    try:
        if address and jobs is None:
            here = max(1, int(ray.cluster_resources().get("CPU", 1) / max(cpus, 1)))
        yield here
    finally:
        ray.shutdown()


def reason(text: str) -> str:
    """Return the line of a Ray error that says most.

    Parameters
    ----------
    text : str
        The error as text, with whatever traceback it holds.

    Returns
    -------
    str
    """
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
