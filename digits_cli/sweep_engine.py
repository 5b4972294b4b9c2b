"""Execute one run of a sweep: in a process of this machine, or on a Ray worker."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_utils.files import write_atomically
from digits_cli.errors import RunnerError
from digits_cli.execute import ChapterRun, run_one
from digits_cli.notebooks import without_colour
from digits_cli.paths import Chapter
from digits_cli.plan import PlannedRun
from digits_cli.sweep_place import FORMAT


@dataclass(frozen=True)
class Request:
    """All that a run needs; it can be sent to another machine."""

    key: str
    chapter: Chapter
    profile: str
    parameters: dict[str, Any]
    notebook: bytes  # as it was when the sweep began, whatever is edited meanwhile


# Runs a request in a folder, giving up when asked to; returns the record.
Execute = Callable[[Request, Path, Callable[[], bool]], dict[str, Any]]


def run_here(request: Request, folder: Path, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Run a request in its own process, leave its notebook in `folder`, and return the record.

    Raises KeyboardInterrupt once `stopped` returns True.
    """
    with tempfile.TemporaryDirectory(prefix="digits-") as scratch:
        snapshot = Path(scratch) / request.chapter.notebook.name
        snapshot.write_bytes(request.notebook)
        plan = PlannedRun(request.chapter, request.profile, request.parameters, folder, snapshot)
        return _record(request, run_one(plan, Path(scratch), _StopWhenAsked(stopped)))


def _record(request: Request, result: ChapterRun) -> dict[str, Any]:
    error = None
    if result.failure is not None:
        lines = without_colour(result.failure.traceback).strip().splitlines()
        error = " ".join([result.failure.message, *lines[-1:]])
    return {
        "format": FORMAT,
        "run": request.key,
        "status": "ok" if result.ok else "failed",
        "notebook": result.output.name if result.output.is_file() else None,
        "commit": result.provenance.get("commit"),
        "versions": result.provenance.get("versions"),
        "parameters": request.parameters,
        "results": result.results,
        "seconds": round(result.seconds, 1),
        "peak_memory_mb": result.peak_memory_mb,
        "error": error,
    }


@contextmanager
def on_ray(address: str | None, jobs: int | None) -> Iterator[tuple[Execute, int]]:
    """Run requests on Ray workers, which need digit_utils but no checkout.

    `address` None starts a cluster on this machine; `jobs` None: one run per processor. Yields a
    function like `run_here`, which copies the run's files back to this machine, and the number of
    runs at a time. Raises RunnerError if Ray is not installed or the cluster does not answer.
    """
    from digit_utils.ray_cluster import ClusterUnavailable, connect, reason

    try:
        with connect(address, jobs, {"cpu": 1}) as workers:
            import ray

            remote = ray.remote(num_cpus=1, max_retries=0)(_run_there)

            def execute(
                request: Request, folder: Path, stopped: Callable[[], bool]
            ) -> dict[str, Any]:
                waiting = remote.remote(request)
                while not ray.wait([waiting], timeout=0.5)[0]:
                    if stopped():
                        ray.cancel(waiting, force=True)
                        raise KeyboardInterrupt
                try:
                    record, files = ray.get(waiting)
                except ray.exceptions.RayError as error:
                    return {
                        "format": FORMAT, "run": request.key, "status": "failed",
                        "notebook": None, "parameters": request.parameters, "seconds": 0.0,
                        "error": f"the worker ended without a result: {reason(str(error))}",
                    }  # fmt: skip
                for name, content in files.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(folder / name, content)
                return record

            yield execute, workers
    except ClusterUnavailable as error:
        raise RunnerError(str(error)) from error


def _run_there(request: Request) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run a request on a worker; return its record and the files it left."""
    with tempfile.TemporaryDirectory(prefix="digits-") as temporary:
        folder = Path(temporary)
        if not request.chapter.folder.is_dir():  # another machine has no checkout, or elsewhere
            chapter = Chapter(request.chapter.name, folder)
            request = Request(
                request.key, chapter, request.profile, request.parameters, request.notebook
            )
        record = run_here(request, folder, lambda: False)
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    return record, files


class _StopWhenAsked:
    """A reporter that shows nothing and ends its run when the sweep is stopped."""

    def __init__(self, stopped: Callable[[], bool]):
        self.stopped = stopped

    def start(self, number: int, name: str) -> None:
        """Nothing to show."""

    def skip(self, number: int, name: str) -> None:
        """Nothing to show."""

    def finish(self, run: Any) -> None:
        """Nothing to show."""

    def cell(self, index: int, n_cells: int) -> None:
        self.tick()

    def tick(self) -> None:
        """Raise KeyboardInterrupt if the sweep has been stopped."""
        if self.stopped():
            raise KeyboardInterrupt

    def __enter__(self) -> _StopWhenAsked:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
