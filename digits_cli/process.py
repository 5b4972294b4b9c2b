"""The child process of a run: start it, listen to it, end it without leaving orphans."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Each changes what a chapter shows or finds, and no fingerprint tells. KERAS_BACKEND is one's own
# choice; it is recorded.
NOT_FOR_KERNELS = (
    "MPLBACKEND", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONDEVMODE",
    "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED",
)  # fmt: skip


def watch(request: dict[str, Any], log: Path, scratch: Path) -> Iterator[dict[str, Any]]:
    """Start the process that executes a notebook, and leave nothing running afterwards.

    `request` says what to execute, see `child`; `log` receives what the child prints; `scratch` is
    for `kernel_environment`. Yields the child's events as they come, and a ``tick`` for each half
    second without one. The last is ``done``, ``failed``, or ``ended`` when the child ended without
    a word.
    """
    with log.open("wb") as log_file:
        child = subprocess.Popen(
            # -P: this package, and not one that lies where the reader stands.
            [sys.executable, "-P", "-m", "digits_cli.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env=kernel_environment(scratch),
            # Ctrl-C at the terminal reaches the runner alone, which then ends the child.
            start_new_session=True,
        )
    kernel_pid = None
    finished = False
    try:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=_forward, args=(child.stdout, lines), daemon=True).start()
        while True:
            try:
                line = lines.get(timeout=0.5)
            except queue.Empty:
                yield {"event": "tick"}
                continue
            if line is None:
                break
            event = json.loads(line)
            if event["event"] == "kernel":
                kernel_pid = event["pid"]
                continue
            yield event
            if event["event"] in {"done", "failed"}:
                # A child that has said its last word but does not end is ended below.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=60)
                    finished = True
                return
        try:
            code = child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            code = None
        yield {"event": "ended", "code": code}
    finally:
        if not finished:
            _end(child, kernel_pid)
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def _forward(stream: Any, lines: queue.SimpleQueue[bytes | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _end(child: subprocess.Popen[bytes], kernel_pid: int | None) -> None:
    """End the child, then whatever is left of it and of its kernel."""
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=5)
    for group in (child.pid, kernel_pid):
        if group is not None:
            kill_group(group)
    child.wait()


def kill_group(pid: int) -> None:
    """End the process that leads a group, and all of the group, at once.

    Windows has no groups: there the process alone ends. One that is gone already is no error.
    """
    with contextlib.suppress(OSError):
        if os.name == "nt":
            os.kill(pid, signal.SIGTERM)
        else:
            os.killpg(pid, signal.SIGKILL)


def kernel_environment(scratch: Path) -> dict[str, str]:
    """Return the environment of a kernel: the reader's own, made quiet and repeatable.

    `scratch` holds IPython's, Jupyter's and Keras's own files, so that no start-up script, history
    or settings of the reader's have a say.
    """
    environment = dict(os.environ)
    for name in NOT_FOR_KERNELS:
        environment.pop(name, None)
    environment.update(
        TF_CPP_MIN_LOG_LEVEL="3",
        GRPC_VERBOSITY="ERROR",
        PYTHONHASHSEED="0",
        TQDM_DISABLE="1",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
        IPYTHONDIR=str(scratch / "ipython"),
        KERAS_HOME=str(scratch / "keras"),
        MATPLOTLIBRC=os.devnull,
        JUPYTER_RUNTIME_DIR=str(scratch / "runtime"),
    )
    return environment
