"""Run chapters one after the other, each in a process of its own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from digit_utils.hosts import KERAS_SWITCHES
from digit_utils.io import FolderUnavailable, claim_folder
from digits_cli.book import read_notebook, shown
from digits_cli.errors import RunnerError
from digits_cli.freshness import why_run_again
from digits_cli.plan import PlannedRun, plan_runs
from digits_cli.progress import Reporter

# Any of these may change what a chapter shows or finds, and no fingerprint tells; but some only say
# where things are, or what of the machine to use.
NOT_FOR_KERNELS = (
    "MPLBACKEND", "PYTHON*", "TF_*", "JAX_ENABLE_*", "PANDAS_*", *KERAS_SWITCHES,
)  # fmt: skip
BUT = (
    "PYTHON*PATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONUTF8", "PYTHONIOENCODING",
    "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "TF_NUM_*", "TF_*GPU*",
)  # fmt: skip


@dataclass(frozen=True)
class ChapterRun:
    """What came of running one chapter."""

    name: str
    output: Path  # the executed notebook; `NN_name.failed.ipynb` after a failure
    seconds: float
    # A line on where and why it stopped, the failing cell, and a traceback, perhaps in colours.
    failure: tuple[str, str, str] | None = None
    results: dict[str, Any] = field(default_factory=dict)  # see `digit_utils.results`
    record: dict[str, Any] = field(default_factory=dict)  # the notebook's `digits` metadata
    skipped: bool = False  # not run, because an earlier run stands

    @property
    def ok(self) -> bool:
        """Whether every cell ran."""
        return self.failure is None


def run_chapters(
    wanted: Sequence[str] = (),
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    keep_going: bool = False,
    root: Path | str | None = None,
    skip_fresh: bool = False,
) -> list[ChapterRun]:
    """Run chapters in book order, for options as `digits run --help` tells them.

    `out` None: ``_build/runs/<profile>``, and ``<profile>-changed`` there with `parameters`, which
    go before the profile's values. Returns one ChapterRun for each chapter started or skipped.
    Before anything is started, raises UsageError for an unknown chapter, profile or parameter, and
    RunnerError when a notebook and its script disagree or a chapter is being run there already.
    """
    check_can_run()
    runs = []
    planned = plan_runs(wanted, profile, parameters, out, root)
    names = {plan.chapter.name: f"{plan.chapter.name} is being run" for plan in planned}
    show = Reporter(len(planned))
    with hold(planned[0].folder, names):
        for number, plan in enumerate(planned, start=1):
            # Asked when its turn comes: an earlier chapter may have left it something new.
            fresh = skip_fresh and not why_run_again(plan)
            show.start(number, plan.chapter.name, fresh)
            if fresh:
                runs.append(replace(_outcome(plan), skipped=True))
                continue
            runs.append(run_one(plan, show))
            show.finish(runs[-1])
            if not runs[-1].ok and not keep_going:
                break
    return runs


def check_can_run() -> None:
    """Raise ModuleNotFoundError unless the packages that execute notebooks are installed."""
    for name in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)


def run_one(plan: PlannedRun, show: Any) -> ChapterRun:
    """Run one planned chapter, see `notebook_process`; `show` has a Reporter's `cell` and `tick`.

    However this ends, nothing that it started runs on, and no temporary file stays: not even if
    this process is killed.
    """
    import nbformat

    started = time.monotonic()
    plan.failed_output.unlink(missing_ok=True)
    failure = None
    with tempfile.TemporaryDirectory(prefix="digits-") as folder:
        scratch = Path(folder)
        asked, log = scratch / "request.json", scratch / "log"
        request = {
            "notebook": nbformat.writes(plan.notebook),
            "output": str(plan.output),
            "failed_output": str(plan.failed_output),
            # Installed chapters have no commit; a virtual environment may lie in another project's.
            "checkout": folder if plan.chapter.installed else str(plan.chapter.folder),
            "profile": plan.profile,
            "parameters": plan.parameters,
            "started": started,
        }
        asked.write_text(json.dumps(request), encoding="utf-8")
        with log.open("wb") as log_file:
            child = subprocess.Popen(
                # -P: this package, and not one that lies where the reader stands.
                [sys.executable, "-P", "-m", "digits_cli.notebook_process", str(asked)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env=kernel_environment(scratch),
                start_new_session=True,  # Ctrl-C reaches the runner alone, which ends the child
            )
        assert child.stdout is not None
        try:
            for line in child.stdout:
                event, *details = json.loads(line)
                if event == "failed":
                    failure = tuple(details)
                else:
                    getattr(show, event)(*details)
        finally:
            child.stdout.close()  # which a child that still runs notices within half a second
            try:
                child.wait(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if failure is None and child.returncode:
            told = f"ended early (exit code {child.returncode}). Its last words:"
            said = log.read_text(encoding="utf-8", errors="replace")[-4000:]
            if not said:
                log.write_bytes(bytes(4096))  # raises what kept them back: a disk that is full
            failure = (f"{plan.chapter.name}: the process that ran it {told}", "", said)
    return _outcome(plan, failure, time.monotonic() - started)


def _outcome(plan: PlannedRun, failure: Any = None, seconds: float = 0.0) -> ChapterRun:
    """Read what a run has left; `seconds` stand in if it has left nothing."""
    from digit_utils import results

    output = plan.output if failure is None else plan.failed_output
    record = read_notebook(output).metadata["digits"] if output.is_file() else {}
    reported = {}
    with suppress(results.ResultsError):  # a chapter may report nothing
        reported = results.read(output) if failure is None else {}
    seconds = record.get("seconds", seconds)
    return ChapterRun(plan.chapter.name, output, seconds, failure, reported, record)


def kernel_environment(scratch: Path) -> dict[str, str]:
    """Return the reader's environment, made quiet and repeatable.

    `scratch` takes the place of IPython's, Jupyter's and Keras's own files and settings.
    """

    def among(patterns: tuple[str, ...], name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    kept = {
        name: value
        for name, value in os.environ.items()
        if among(BUT, name) or not among(NOT_FOR_KERNELS, name)
    }
    return kept | {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "GRPC_VERBOSITY": "ERROR",
        "PYTHONHASHSEED": "0",
        "TQDM_DISABLE": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "IPYTHONDIR": str(scratch / "ipython"),
        "KERAS_HOME": str(scratch / "keras"),
        "MATPLOTLIBRC": os.devnull,
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
    }


@contextmanager
def hold(folder: Path, places: Mapping[str, str]) -> Iterator[None]:
    """Hold places in a folder, or raise RunnerError with what another process is doing there."""
    claims = folder / ".claims"

    def tidy() -> None:
        with suppress(OSError):  # others hold places there
            claims.rmdir()

    with ExitStack() as held:
        held.callback(tidy)
        for name, what in places.items():
            for again in reversed(range(9)):
                try:
                    held.enter_context(claim_folder(claims / name))
                    break
                except FolderUnavailable as error:
                    if again and error.owner is None:
                        continue  # whoever ends may tidy away what was just made here
                    told = f"{what} in {shown(folder)} by {error.owner}; wait for it to end."
                    raise RunnerError(told if error.owner else str(error)) from error
            held.callback(shutil.rmtree, claims / name, ignore_errors=True)  # while it is ours
        yield
