"""The process that executes one notebook: started by `execute`, never by hand.

It writes a line of JSON to standard output for each thing that happens: ``["cell", 3, 9]``,
``["tick"]`` every half second, ``["failed", message, source, traceback]``. When nobody reads these
any more, the runner has stopped or was killed: it then ends its kernel, what the kernel started,
and itself. (The kernel's own watch over its parent ends the kernel alone, if it was up in time.)
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from digit_utils.provenance import peak_memory_mb, provenance
from digits_cli import freshness
from digits_cli.book import cells_tagged, code_cells, join_streams, write_notebook

# A kernel ends or stays mute if another program takes one of its ports between their choice and its
# start, which happens where many kernels start at a time. Nothing has run then: start another.
STARTS = 3
TIMEOUT = 120  # seconds for a busy machine to answer in; a late answer is not a failed cell


def main(request_file: str) -> int:
    """Execute the notebook in a file's request; return 0 when every cell ran, else 1."""
    # Libraries may print: keep the event stream to ourselves and send their text to stderr.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    busy = threading.Lock()  # telling or saving: neither is cut short by the end

    def send(*event: Any) -> None:
        with busy:
            try:
                events.write(json.dumps(event) + "\n")
            except OSError:
                try:
                    _end_kernels()
                finally:
                    shutil.rmtree(Path(request_file).parent, ignore_errors=True)
                    os._exit(1)

    def tick() -> None:
        while True:
            time.sleep(0.5)
            send("tick")

    threading.Thread(target=tick, daemon=True).start()
    try:
        return _execute(request, send, busy)
    except (ImportError, OSError, RuntimeError) as error:  # no nbclient, a full disk, no kernel
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


def _end_kernels() -> None:
    import psutil

    for _ in range(3):  # another may just have been started
        kernels = psutil.Process().children()
        for kernel in kernels:
            with suppress(OSError, AttributeError):  # it has ended; Windows has no groups
                os.killpg(kernel.pid, signal.SIGKILL)  # with what it started: it leads a group
            with suppress(psutil.Error):
                kernel.kill()
        psutil.wait_procs(kernels, timeout=5)


def _execute(request: dict[str, Any], send: Callable[..., None], busy: threading.Lock) -> int:
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    output, parameters = Path(request["output"]), request["parameters"]
    name, folder = output.stem, output.parent
    notebook = nbformat.reads(request["notebook"], as_version=4)
    record = {
        "profile": request["profile"],
        "parameters": parameters,
        # Of the code that runs, not of what the checkout holds when it ends.
        "provenance": provenance(Path(request["checkout"])),
        "fingerprint": freshness.take_fingerprint(notebook, name, parameters, folder),
    }
    make_ready(notebook, parameters)
    number = 0  # of the cell that runs

    def cell_started(cell: Any, cell_index: int) -> None:
        nonlocal number
        number = cell_index + 1
        send("cell", number, len(notebook.cells))

    def save(path: Path) -> None:
        peak = peak_memory_mb(of_children=True)
        notebook.metadata["digits"] = record | {
            "seconds": round(time.monotonic() - request["started"], 1),
            "peak_memory_mb": None if peak is None else round(peak),
        }
        for cell in code_cells(notebook):
            cell.outputs = join_streams(cell.outputs)
        with busy:
            write_notebook(path, notebook)

    def fail(what: str, said: str = "") -> int:
        save(Path(request["failed_output"]))
        where = f"{name}, cell {number} of {len(notebook.cells)}"
        send("failed", f"{where}: {what}.", notebook.cells[number - 1].source, said)
        return 1

    for left in reversed(range(STARTS)):
        with busy:  # for ever, once the end has begun: no further kernel
            pass
        # Without folders to look for kernels in, this very interpreter runs the notebook.
        manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        client = NotebookClient(
            notebook, km=manager, resources={"metadata": {"path": str(folder)}},
            startup_timeout=TIMEOUT, iopub_timeout=TIMEOUT, raise_on_iopub_timeout=True,
            force_raise_errors=True, record_timing=False, on_cell_start=cell_started,
        )  # fmt: skip
        try:
            client.execute(cleanup_kc=True)
            break
        except CellExecutionError as error:
            outputs = notebook.cells[number - 1].outputs
            lines = [line for o in outputs if o.output_type == "error" for line in o.traceback]
            return fail("the cell failed", "\n".join(lines) or f"{error.ename}: {error.evalue}")
        except RuntimeError as error:
            if number and isinstance(error, DeadKernelError):
                return fail(f"the kernel died: {_how_it_ended(manager.provisioner)}")
            if number or not left:
                raise
    save(output)
    send("tick")  # if nobody is there to hear it, the scratch folder goes too
    return 0


def make_ready(notebook: Any, parameters: dict[str, Any]) -> None:
    """Drop the outputs, and put the parameters in a cell like papermill's."""
    from nbformat.v4 import new_code_cell

    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    notebook.metadata["papermill"] = {"parameters": parameters}
    if parameters:
        tag = "injected-parameters"
        lines = [f"{name} = {value!r}" for name, value in parameters.items()]
        source = "\n".join(["# Parameters", *lines])
        cell = new_code_cell(source, id=tag, metadata={"tags": [tag]})
        (declared,) = cells_tagged(notebook, "parameters")
        notebook.cells.insert(notebook.cells.index(declared) + 1, cell)


def _how_it_ended(provisioner: Any) -> str:
    code = provisioner.process.poll()
    if code >= 0:
        return f"it ended itself with exit code {code}"
    name = signal.Signals(-code).name
    memory = "; the machine has probably run out of memory" if name == "SIGKILL" else ""
    return f"ended by the signal {name}{memory}"


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stderr.flush()
    os._exit(code)  # without the clean-up of libraries that find no kernel left
