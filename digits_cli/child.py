"""The process that executes one notebook: started by `execute`, never by hand.

It reads one line of JSON (what to run) from standard input and writes one line of JSON for each
thing that happens to standard output. Its own printing goes to standard error. Standard input
stays open for as long as the runner lives: when it closes, this process ends its kernel and
itself, so no kernel outlives the runner, however the runner ends.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from digit_utils.provenance import peak_memory_mb, provenance
from digits_cli import freshness
from digits_cli.book import (
    cells_tagged,
    join_streams,
    read_notebook,
    write_notebook,
)
from digits_cli.process import kill_group

# A kernel ends or stays mute if another program takes one of its ports between their choice and its
# start, which happens where many kernels start at a time. Nothing has run then: start another.
STARTS = 3
UNBORN = ("Kernel died before replying", "Kernel didn't respond")  # as jupyter_client says it
_kernel: Any = None  # the kernel's subprocess.Popen, once there is one


def main() -> int:
    """Execute the notebook described on standard input; return 0 when every cell ran, else 1."""
    # Libraries may print: keep the event stream to ourselves and send their text to stderr.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def send(event: str, **details: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            events.write(json.dumps({"event": event, **details}) + "\n")

    signal.signal(signal.SIGTERM, lambda *_: _end_now())
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_runner, args=[request["scratch"]], daemon=True).start()
    try:
        return _execute(request, send)
    except OSError as error:  # a full disk, say; the runner shows this line
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except Exception:  # told here, so that these are the last words and not those of an abort
        traceback.print_exc()
        return 1


def _end_with_the_runner(scratch: str) -> None:
    while sys.stdin.buffer.read(1):
        pass
    # The runner was killed and could not tidy up after itself.
    shutil.rmtree(scratch, ignore_errors=True)
    _end_now()


def _end_now() -> None:
    if _kernel is not None:
        # The kernel leads its own process group; what it started belongs to it.
        kill_group(_kernel.pid)
    os._exit(143)


def _kernel_manager_class(send: Any) -> type:
    """Return a manager that runs this very interpreter, whatever kernels are installed."""
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class CurrentInterpreter(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    class WatchedKernelManager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(kernel_spec_manager=CurrentInterpreter(), **options)

        async def _async_start_kernel(self, **options: Any) -> None:
            global _kernel
            await super()._async_start_kernel(**options)
            _kernel = self.provisioner.process  # type: ignore[union-attr]  # a local one's
            send("kernel", pid=_kernel.pid)

        start_kernel = _async_start_kernel

    return WatchedKernelManager


def _execute(request: dict[str, Any], send: Any) -> int:
    # papermill loads pyarrow, a second's work, in case a path is on Hadoop; ours never is. The
    # kernel is another process and imports what it likes.
    sys.modules.setdefault("pyarrow", None)  # type: ignore[arg-type]
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    notebook = read_notebook(Path(request["input"]))
    parameters = request["parameters"]
    # Of the code that runs, not of what the checkout holds when it ends.
    request["provenance"] = provenance(Path(request["checkout"]))
    request["fingerprint"] = freshness.take(
        notebook, Path(request["input"]).stem, parameters, Path(request["cwd"])
    )
    made = {"provenance": request["provenance"]}
    running = {"notebook": notebook, "index": 0}

    def cell_started(cell: Any, cell_index: int) -> None:
        running["index"] = cell_index
        send("cell", index=cell_index, n_cells=len(running["notebook"].cells))

    def fail(**details: Any) -> int:
        _save(running["notebook"], request, parameters)
        cell = running["notebook"].cells[details["index"]]
        send(
            "failed", source=cell.source, n_cells=len(running["notebook"].cells), **made, **details
        )
        return 1

    def give_up() -> int:
        return fail(index=running["index"], died=_how_it_ended(), traceback="")

    def attempt() -> None:
        papermill.execute_notebook(
            copy.deepcopy(notebook),
            None,
            parameters=parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            request_save_on_cell_execute=False,
            cwd=request["cwd"],
            start_timeout=120,
            # A busy machine may answer late; a late answer is not a failed cell.
            iopub_timeout=120,
            record_timing=False,
            kernel_manager_class=_kernel_manager_class(send),
            on_notebook_start=lambda notebook: running.update(notebook=notebook),
            on_cell_start=cell_started,
        )

    try:
        for left in reversed(range(STARTS)):
            try:
                attempt()
                break
            except RuntimeError as error:
                if not str(error).startswith(UNBORN) or not left:
                    raise
    except PapermillExecutionError as error:
        # papermill puts two cells of its own around the failing one; the reader's are enough.
        cells = running["notebook"].cells
        running["notebook"].cells = [
            cell
            for cell in cells
            if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
        ]
        if _kernel is not None and _kernel.poll() not in (None, 0) and not error.traceback:
            return give_up()
        return fail(index=error.cell_index, traceback="\n".join(error.traceback))
    except DeadKernelError:
        return give_up()

    executed = running["notebook"]
    problem = _problem_with(executed, parameters)
    if problem:
        return fail(index=problem[0], traceback=problem[1])
    _save(executed, request, parameters)
    send("done", n_cells=len(executed.cells), peak_memory_mb=_peak_memory_mb(), **made)
    return 0


def _how_it_ended() -> str:
    """Say what ended the kernel, as far as its exit status tells."""
    code = None
    for _ in range(20):
        code = _kernel.poll() if _kernel is not None else None
        if code is not None:
            break
        time.sleep(0.1)
    if code is None:
        return "it stopped answering"
    if code < 0:
        name = signal.Signals(-code).name
        memory = "; the machine has probably run out of memory" if name == "SIGKILL" else ""
        return f"ended by the signal {name}{memory}"
    return f"it ended itself with exit code {code}"


def _problem_with(notebook: Any, parameters: dict[str, Any]) -> tuple[int, str] | None:
    """Find a cell that did not run, an error output, or a parameter that was not taken over."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                return index, f"{output.ename}: {output.evalue}"
        if cell.source.strip() and cell.execution_count is None:
            return max(index - 1, 0), "The notebook ended itself here: later cells have not run."
    bound = injected_values(notebook)
    if bound != parameters:
        return 0, f"Asked for the parameters {parameters}, but the notebook ran with {bound}."
    return None


def injected_values(notebook: Any) -> dict[str, Any]:
    """Read back the values that papermill injected; empty when it injected none."""
    values = {}
    for cell in cells_tagged(notebook, "injected-parameters"):
        for statement in ast.parse(cell.source).body:
            values[statement.targets[0].id] = ast.literal_eval(statement.value)
    return values


def _save(notebook: Any, request: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Write the executed notebook with its run record, without local paths and clock times."""
    # papermill notes the paths and the time of day of every cell: none of it belongs in a book.
    notebook.metadata["papermill"] = {"parameters": parameters}
    notebook.metadata["digits"] = {
        "profile": request["profile"],
        "parameters": parameters,
        "seconds": round(time.monotonic() - request["started"], 1),
        "peak_memory_mb": _peak_memory_mb(),
        "provenance": request["provenance"],
        "fingerprint": request["fingerprint"],
    }
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]  # papermill adds an empty list
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)
    for cell in cells_tagged(notebook, "injected-parameters"):
        cell.id = "injected-parameters"
    write_notebook(Path(request["output"]), notebook)


def _peak_memory_mb() -> int | None:
    """Return the most memory the finished kernel held, in MB; None on Windows."""
    peak = peak_memory_mb(of_children=True)
    return None if peak is None else round(peak)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread still waits for standard input, which would end an ordinary exit with an abort.
    os._exit(code)
