"""Read-only folders, a full /tmp, little memory and disk, two at once, odd names: with kernels.

Not part of `make test`; about a minute. The quick half is `tests/unit/test_rough_places.py`. With
DIGITS_RECORD=1 what passed is kept in results/rough_places.json. The last test needs every chapter
published.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers import OUTCOME, ROOT, committed, is_recording

sys.path.insert(0, str(ROOT / "tests" / "unit"))

from rough_places import ODD, assert_told, make_read_only, make_writable, run_as_anybody
from runner_books import FIRST, SQUARE, chapter, digits, make_book, start_digits

from digit_utils.data import load_digits
from digit_utils.files import json_bytes, write_atomically
from digit_utils.kaggle_csv import PIXEL_COLUMNS
from digit_utils.provenance import provenance

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and rights of Linux")

RECORD = ROOT / "results" / "rough_places.json"
SEARCH = """
from hyperopt import hp

SPACE = {"rate": hp.uniform("rate", 0, 1)}


def objective(settings):
    return settings["rate"]
"""


@pytest.fixture(autouse=True)
def kept(request):
    """Keep that a test has passed, and how long it took, when asked to."""
    started = time.monotonic()
    yield
    if not is_recording() or request.node.stash.get(OUTCOME, None) != "passed":
        return
    record = json.loads(RECORD.read_bytes()) if RECORD.is_file() else {}
    made = provenance(ROOT)
    record[request.node.name] = {
        "seconds": round(time.monotonic() - started, 1),
        **{name: made[name] for name in ("commit", "date", "machine")},
    }
    write_atomically(RECORD, json_bytes(dict(sorted(record.items()))))


@pytest.fixture
def book(tmp_path):
    return make_book(tmp_path / ODD / "book", c01_first=FIRST)


def left_in(folder: Path) -> set[str]:
    """Files, but for locks."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".claims" not in path.parts
    }


def limit(name: str, value: int):
    """Return what sets a limit in a child."""
    import resource

    return lambda: resource.setrlimit(getattr(resource, name), (value, value))


def test_everything_runs_in_folders_of_any_name(book):
    (book / "sweep ü.yaml").write_text("chapter: 01\nseeds: [0]\nconstants: {NAME: 'a \"b\" é'}\n")
    (book / "search ü.py").write_text(SEARCH)
    for command in (
        ("run", "01"),
        ("sweep", "sweep ü.yaml"),
        ("search", "search ü.py", "--trials", "3"),
    ):
        done = run_as_anybody(book, *command)
        assert done.returncode == 0, done.stderr
    assert (book / "_build/runs/quick/01_first.ipynb").is_file()
    assert (book / "_build/sweeps/sweep ü/report.html").is_file()
    assert len(list((book / "_build/searches/search ü").glob("trial_*.json"))) == 3


def test_a_checkout_and_a_package_that_cannot_be_written_still_run(book, tmp_path):
    package = tmp_path / "package"
    for name in ("digit_utils", "digits_cli"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, package / name, ignore=ignore)
    (book / "sweep.yaml").write_text("chapter: 01\nseeds: [0]\n")
    before = left_in(tmp_path)
    make_read_only(package)
    make_read_only(book)
    try:
        out = tmp_path / "out"
        done = run_as_anybody(book, "run", "01", "--out", str(out), PYTHONPATH=str(package))
        assert done.returncode == 0, done.stderr
        assert {"01_first.ipynb", "stray.txt", "artifacts/made.json"} == left_in(out)
        assert_told(run_as_anybody(book, "run", "01"), "Cannot make the folder", code=2)
        assert_told(
            run_as_anybody(book, "sweep", "sweep.yaml"), "cannot be written", "name another"
        )
        shutil.rmtree(out)
        assert left_in(tmp_path) == before
    finally:
        make_writable(package)
        make_writable(book)


def test_temporary_folders_that_are_missing_or_closed(book, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for place in (tmp_path / "missing", closed):  # Python then takes /tmp
        done = run_as_anybody(book, "run", "01", TMPDIR=str(place))
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kilobytes", [4, 200])
def test_a_temporary_folder_that_fills_up(tmp_path, kilobytes):
    small = tmp_path / "small"
    small.mkdir()
    talk = make_book(tmp_path / "talk", c01_talk=chapter("print('x' * 300_000)"))
    mount = f"mount -t tmpfs -o size={kilobytes}k none '{small}'"
    command = f"{mount} && exec {sys.executable} -m digits_cli run"
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "bash", "-c", command],
        cwd=talk,
        env={**os.environ, "TMPDIR": str(small)},
        capture_output=True,
        encoding="utf-8",
    )
    # A container without the right, or Ubuntu's AppArmor, says so by the name of the program.
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no small file system can be made here: {done.stderr.strip()}")
    if kilobytes == 200:  # what a chapter shows does not go there
        assert done.returncode == 0, done.stderr
    else:
        assert_told(done, "No space left on device")
        assert left_in(talk / "_build") == set(), "nothing that is not whole"


def test_a_disk_that_fills_up_while_a_chapter_runs(tmp_path):
    talk = make_book(tmp_path, c01_talk=chapter("print('x' * 300_000)"))
    done = run_as_anybody(talk, "run", first=limit("RLIMIT_FSIZE", 100_000))
    assert_told(done, "Its last words:", "OSError: [Errno 27] File too large; nothing was written")
    assert left_in(talk / "_build") == set()
    (talk / "sweep.yaml").write_text("chapter: 01\nseeds: [0]\n")
    done = run_as_anybody(talk, "sweep", "sweep.yaml", first=limit("RLIMIT_FSIZE", 100_000))
    assert_told(done, "File too large")
    done = run_as_anybody(talk, "sweep", "sweep.yaml")  # room again: the same command goes on
    assert done.returncode == 0, done.stderr
    assert "1 of 1 runs are good" in done.stdout


@pytest.mark.parametrize("megabytes", [150, 300, 450, 600])
def test_memory_that_runs_out_is_told_and_leaves_no_half_notebook(book, megabytes):
    done = run_as_anybody(book, "run", "01", first=limit("RLIMIT_AS", megabytes << 20))
    # How much is enough differs from machine to machine; either it ran, or it is told.
    left = {Path(name).name for name in left_in(book / "_build")}
    assert done.returncode in {0, 1} if megabytes > 150 else done.returncode == 1, done.stderr
    assert (done.returncode == 0) == ("01_first.ipynb" in left), done.stderr
    if done.returncode:
        assert "digits run:" in done.stderr or "01_first" in done.stderr
        assert not left - {"01_first.failed.ipynb"}


@pytest.mark.parametrize("number", ["10", "11"])
def test_a_slice_of_the_images_shows_what_there_is_or_says_how_many_are_needed(tmp_path, number):
    real = load_digits()
    table = pd.DataFrame(real.images[:420].reshape(420, -1), columns=PIXEL_COLUMNS)
    table.to_csv(tmp_path / "test.csv", index=False)
    table.insert(0, "label", real.labels[:420])
    table.to_csv(tmp_path / "train.csv", index=False)
    done = digits(ROOT, "run", number, "-p", f"DATA={tmp_path}", "--out", str(tmp_path / "run"))
    assert (done.returncode, "use more images (2,400 are enough)" in done.stderr) == (
        (1, True) if number == "10" else (0, False)
    ), done.stderr


def test_two_runs_of_a_chapter_at_once(tmp_path):
    waits = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.1)"
    book = make_book(tmp_path, c01_slow=chapter(waits), c02_other=SQUARE)
    first = start_digits(book, "run", "01")
    while not (book / "_build/runs/quick/.claims/01_slow/.owner").exists():
        assert first.poll() is None
        time.sleep(0.02)
    done = run_as_anybody(book, "run")  # all chapters, the first among them
    assert_told(done, f"01_slow is being run in _build/runs/quick by process {first.pid}; wait")
    other = run_as_anybody(book, "run", "02")
    assert other.returncode == 0, other.stderr
    (book / "_build/runs/quick/go").touch()
    _, err = first.communicate(timeout=300)
    assert first.returncode == 0, err
    assert left_in(book / "_build/runs/quick") == {"01_slow.ipynb", "02_other.ipynb", "go"}


def test_the_site_of_a_checkout_with_an_odd_name_twice_at_once(tmp_path):
    checkout = tmp_path / ODD / "book"
    for path in committed():
        name = path.relative_to(ROOT)
        if name.parts[0] != "tests":
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, checkout / name)
    first = start_digits(checkout, "site", "--published")
    while not (checkout / "_build/.claims/site/.owner").exists():
        assert first.poll() is None
        time.sleep(0.02)
    done = run_as_anybody(checkout, "site", "--published")
    assert_told(done, f"the site is being built in _build by process {first.pid}; wait for it")
    out, err = first.communicate(timeout=400)
    assert first.returncode == 0, out[-3000:] + err[-3000:]
    assert (checkout / "_build/html/index.html").is_file()
    assert (checkout / "_build/html/notebooks/03_base_cnn.html").is_file()
