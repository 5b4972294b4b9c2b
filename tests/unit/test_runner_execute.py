"""Running chapters for real: what is kept, what is told, and what is left behind."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from runner_books import FIRST, SECOND, chapter, digits, make_book, printed, start_digits

from digit_utils import results
from digits_cli.book import code_sources, join_streams, read_notebook
from digits_cli.cli import main
from digits_cli.progress import Reporter

needs_signals = pytest.mark.skipif(
    os.name == "nt", reason="Windows has neither SIGKILL nor process groups"
)
INJECTION = "\"; import os; os.abort() #' \\ {x} \u20ac"


STEERING = ["TF_CPP_MAX_VLOG_LEVEL", "PYTHONTRACEMALLOC", "PANDAS_COPY_ON_WRITE"]
ASKS = chapter(
    "import os, sys\nimport keras, matplotlib\nfrom digit_utils.results import report\n"
    "of, origin = keras.config, matplotlib.rcParams['image.origin']\n"
    "flags = [sys.flags.optimize, sys.flags.dev_mode, *sys.warnoptions]\n"
    "report('x', floatx=of.floatx(), order=of.image_data_format(), origin=origin,\n"
    "       backend=of.backend(), passes=of.max_epochs(), startup='left' in globals(),\n"
    f"       flags=flags, steered=list(filter(os.environ.get, {STEERING})))"
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A book of three chapters run with parameters, a hostile environment around it."""
    book = make_book(tmp_path_factory.mktemp("book"), c01_first=FIRST, c02_second=SECOND)
    make_book(book, c03_asks=ASKS)
    home = book / "home"
    for name, text in {
        "jupyter/kernels/python3/kernel.json":
            '{"argv": ["/no/such/python", "{connection_file}"], "display_name": "x", '
            '"language": "x"}',
        "ipython/profile_default/startup/start.py": "left = 1",
        "keras.json":
            '{"floatx": "float16", "image_data_format": "channels_first", "backend": "jax"}',
        "matplotlibrc": "image.origin: lower\n",
    }.items():  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KERAS_BACKEND", raising=False)
        for name, value in {
            "JUPYTER_DATA_DIR": home / "jupyter", "MPLBACKEND": "agg", "KERAS_HOME": home,
            "KERAS_MAX_EPOCHS": 1, "MATPLOTLIBRC": home / "matplotlibrc",
            "IPYTHONDIR": home / "ipython", "PYTHONOPTIMIZE": 1, "PYTHONWARNINGS": "always",
            **dict.fromkeys(STEERING, 1),
        }.items():  # fmt: skip
            patch.setenv(name, str(value))
        done = digits(book, "run", "-p", "SEED=7", "-p", "NAME", INJECTION, "-p", "RATE", "-1e-3")
    return book, done


def test_a_good_run_tells_what_it_did_and_leaves_everything_in_its_folder(ran):
    book, done = ran
    assert done.returncode == 0, done.stderr
    told = [line.partition(" after ")[0] for line in done.stderr.splitlines()]
    assert told[:3] == [
        "[1/3] 01_first: started",
        "[1/3] 01_first: done",
        "[2/3] 02_second: started",
    ]
    for text in ("peak memory", "seed 7", "_build/runs/quick"):
        assert text in done.stdout
    left = {path.relative_to(book).as_posix() for path in book.rglob("*") if path.is_file()}
    chapters = ("01_first", "02_second", "03_asks")
    sources = {f"notebooks/{name}.{end}" for name in chapters for end in ("py", "ipynb")}
    made = (*(f"{name}.ipynb" for name in chapters), "stray.txt", "artifacts/made.json")
    assert {path for path in left if not path.startswith("home/")} == {
        "jupytext.toml", *sources, *(f"_build/runs/quick-changed/{name}" for name in made)
    }  # fmt: skip


def test_values_come_back_hostile_ones_stay_data_and_the_notebook_holds_its_run(ran):
    book, _ = ran
    output = book / "_build/runs/quick-changed/01_first.ipynb"
    assert results.read(output) == {"seed": 7, "rate": -0.001, "name": INJECTION}
    assert printed(output).startswith(f"7 -0.001 {INJECTION!r} False 0")
    second = output.with_name("02_second.ipynb")  # which declares no other of the three
    assert dict(read_notebook(second).metadata.papermill.parameters) == {"SEED": 7}
    assert "second 7" in printed(second)
    notebook = read_notebook(output)
    run, asked = notebook.metadata.digits, {"SEED": 7, "NAME": INJECTION, "RATE": -0.001}
    assert run.profile == "quick" and dict(run.parameters) == asked
    assert 10 < run.peak_memory_mb < 2000 and run.seconds > 0
    assert run.fingerprint.parameters.SEED == 7 and run.fingerprint.parameters.LIMIT == 0
    assert "digit_utils/results.py" in run.fingerprint.modules
    assert dict(notebook.metadata.papermill) == {"parameters": asked}
    assert str(book) not in output.read_text(), "nothing of this machine"
    assert code_sources(notebook) == code_sources(read_notebook(book / "notebooks/01_first.ipynb"))
    assert output.stat().st_mode & 0o044, "others may read it as any file"


def test_what_is_set_elsewhere_for_the_same_tools_has_no_say(ran):
    output = ran[0] / "_build/runs/quick-changed/03_asks.ipynb"
    assert results.read(output) == {
        "floatx": "float32", "order": "channels_last", "origin": "upper", "backend": "tensorflow",
        "passes": None, "startup": False, "flags": [0, False], "steered": [],
    }  # fmt: skip
    made = read_notebook(output).metadata.digits
    assert made.provenance.backend == "tensorflow" and "jax" not in made.fingerprint.packages


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@needs_signals
def test_a_failing_cell_a_dead_kernel_and_an_early_end_are_shown_and_harm_nothing(tmp_path):
    book = make_book(
        tmp_path,
        c01_bad=chapter("ok = 1\n\n# %%\ndef deep():\n    return 1 / 0\n\n\ndeep()"),
        c02_dies=chapter("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
        c03_quits=chapter("raise SystemExit(0)\n\n# %%\nprint('never')"),
    )
    good = book / "_build/runs/quick/01_bad.ipynb"
    good.parent.mkdir(parents=True)
    good.write_text("the last good one")
    done = digits(book, "run")
    assert done.returncode == 1
    for told in (
        "01_bad, cell 4 of 4: the cell failed.",
        "    def deep():\n        return 1 / 0",
        "ZeroDivisionError: division by zero",
        "01_bad.failed.ipynb",
    ):
        assert told in done.stderr
    assert "\x1b" not in done.stderr
    assert "02_dies" not in done.stderr, "later chapters are not run"
    failed = read_notebook(good.with_name("01_bad.failed.ipynb"))
    assert len(failed.cells) == 4 and failed.cells[3].outputs[0].ename == "ZeroDivisionError"
    assert good.read_text() == "the last good one"
    assert names_in(good.parent) == ["01_bad.failed.ipynb", "01_bad.ipynb"]

    done = digits(book, "run", "--keep-going", "--out", "elsewhere", "2", "3")
    assert done.returncode == 1
    assert "02_dies, cell 3 of 3: the kernel died: ended by the signal SIGKILL" in done.stderr
    assert "out of memory" in done.stderr and "os.kill(os.getpid()" in done.stderr
    assert "03_quits, cell 3 of 4: the cell failed." in done.stderr
    assert "02_dies (failed)" in done.stdout
    assert names_in(book / "elsewhere") == ["02_dies.failed.ipynb", "03_quits.failed.ipynb"]


LONG = chapter(
    "import os, subprocess, time\nfrom pathlib import Path\n"
    "helper = subprocess.Popen(['sleep', '600'])\n"
    "Path('pids').write_text(f'{os.getpid()} {helper.pid} {os.getppid()}')\ntime.sleep(600)"
)


@needs_signals
def test_stopping_leaves_no_partial_output_and_no_process(tmp_path):
    """Started together and stopped in different ways; SIGKILL allows no goodbye."""
    ways = {"INT": 130, "TERM": 130, "KILL": -9, "KILL of its process": 1}
    books = [make_book(tmp_path / how, c01_long=LONG) for how in ways]
    # Without its parent a kernel ends, and has no time to end what it started.
    make_book(books[-1], c01_long=LONG.replace("'600'", "'0'"))
    processes = [start_digits(book, "run") for book in books]
    try:
        for book, process, (how, code) in zip(books, processes, ways.items(), strict=True):
            folder = book / "_build/runs/quick"
            pids = wait_for_pids(folder / "pids", process)
            scratch = Path(psutil.Process(pids[0]).environ()["KERAS_HOME"]).parent
            killed = pids[2] if "process" in how else process.pid
            os.kill(killed, signal.Signals[f"SIG{how.partition(' ')[0]}"])
            _, told = process.communicate(timeout=30)
            assert process.returncode == code
            assert all_gone(pids), f"{how}: kernel, its helper and what ran them have ended"
            assert set(names_in(folder)) <= {".claims", "pids"}
            assert not scratch.exists(), "nor anything in the folder for temporary files"
            assert "Traceback" not in told
            assert ("stopped; finished chapters are kept" in told) == (code == 130)
            early = "01_long: the process that ran it ended early (exit code -9)"
            assert (early in told) == (code == 1)
    finally:
        for process in processes:
            process.kill()


def wait_for_pids(path: Path, process) -> list[int]:
    for _ in range(1200):
        if path.is_file() and len(path.read_text().split()) == 3:
            return [int(pid) for pid in path.read_text().split()]
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("the kernel never came up")


def all_gone(pids: list[int]) -> bool:
    for _ in range(100):
        alive = [pid for pid in pids if is_alive(pid)]
        if not alive:
            return True
        time.sleep(0.1)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return False


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_reporter_speaks_once_a_minute_in_logs_and_renews_its_line_on_a_terminal(
    capsys, monkeypatch
):
    clock = [0.0]
    monkeypatch.setattr("digits_cli.progress.time.monotonic", lambda: clock[0])
    reporter = Reporter(1)
    reporter.start(1, "01_x")
    reporter.cell(2, 9)
    for _ in range(300):
        clock[0] += 0.5
        reporter.tick()
    assert capsys.readouterr().err.splitlines() == [
        "[1/1] 01_x: started",
        "[1/1] 01_x: cell 2 of 9, 1 min 00 s so far",
        "[1/1] 01_x: cell 2 of 9, 2 min 00 s so far",
    ]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    reporter = Reporter(2)
    reporter.start(1, "01_first")
    reporter.cell(3, 4)
    reporter.finish(SimpleNamespace(ok=True, seconds=4320.0))
    renewed = capsys.readouterr().err.rstrip("\n").split("\r")
    assert renewed[2].startswith("[1/2] 01_first: [############............] cell 3 of 4, 0.0 s")
    assert renewed[-1].rstrip() == "[1/2] 01_first: done after 1 h 12 min"
    assert {len(line) for line in renewed[1:]} == {79}, "it covers the line before and never wraps"


def test_start_up_notes_of_tensorflow_are_dropped_and_warnings_kept():
    notes = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1732.44 12 gpu_device.cc:2020] Created device\n"
        "2025-01-01 10:00:00.1: E external/x.cc:467] Unable to register cuFFT factory: Attempting\n"
    )
    pieces = (("stderr", notes), ("stderr", "Careful!\n"), ("stdout", "a"), ("stdout", "b"))
    printed = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in pieces]
    joined = [(output.name, output.text) for output in join_streams(printed)]
    assert joined == [("stderr", "Careful!\n"), ("stdout", "ab")]


def test_a_backend_that_there_is_not_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(make_book(tmp_path, c01_first=FIRST))
    monkeypatch.setenv("KERAS_BACKEND", "jaxx")
    assert main(["run", "01"]) == 2
    told = "KERAS_BACKEND is 'jaxx', expected one of tensorflow, jax, torch. Did you mean jax?"
    assert told in capsys.readouterr().err


def test_a_kernel_that_ends_as_it_starts_is_started_again_twice(tmp_path, monkeypatch):
    """As one does whose port another program has taken."""
    book = make_book(tmp_path / "book", c01_first=FIRST)
    starts = tmp_path / "starts"
    (tmp_path / "ipykernel_launcher.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        f"with Path({str(starts)!r}).open('a') as starts: starts.write('x')\n"
        f"if Path({str(starts)!r}).stat().st_size <= 2: sys.exit('address in use')\n"
        "from ipykernel import kernelapp\nkernelapp.launch_new_instance()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = digits(book, "run")
    assert done.returncode == 0, done.stderr
    assert starts.stat().st_size == 3
