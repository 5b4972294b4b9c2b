"""Read-only folders, a full /tmp, little memory and disk, two at once, odd names: with kernels.

Not part of `make test`; about a minute. The quick half is `tests/unit/test_rough_places.py`. With
DIGITS_RECORD=1 what passed is kept in results/rough_places.json. The last test needs every chapter
published.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from helpers import PASSED, ROOT, copy_committed, keep_in_record, write_competition
from rough_places import ODD, assert_told, read_only, run_as_anybody
from runner_books import FIRST, chapter, digits, make_book, start_digits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and rights of Linux")

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
    if request.node.stash.get(PASSED, False):
        seconds = round(time.monotonic() - started, 1)
        keep_in_record("rough_places.json", request.node.name, seconds=seconds)


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


def limit(kind: int, value: int):
    """Return what sets a limit in a child."""
    return partial(resource.setrlimit, kind, (value, value))


def test_everything_runs_in_folders_of_any_name(book):
    (book / "sweep ü.yaml").write_text("chapter: 01\nseeds: [0]\nconstants: {NAME: 'a \"b\" é'}\n")
    (book / "search ü.py").write_text(SEARCH)
    for what, *more in (
        ["run"],
        ["sweep", "sweep ü.yaml"],
        ["search", "search ü.py", "--trials=3"],
    ):
        done = run_as_anybody(book, what, *more)
        assert done.returncode == 0, done.stderr
    assert (book / "_build/runs/quick/01_first.ipynb").is_file()
    assert (book / "_build/sweeps/sweep ü/report.html").is_file()
    assert len(list((book / "_build/searches/search ü").glob("trial_*.json"))) == 3


def test_a_checkout_and_a_package_that_cannot_be_written_still_run(book, tmp_path):
    package = tmp_path / "package"
    copy_committed(package, "digit_utils", "digits_cli")
    (book / "sweep.yaml").write_text("chapter: 01\nseeds: [0]\n")
    before = left_in(tmp_path)
    with read_only(package, book):
        out = tmp_path / "out"
        done = run_as_anybody(book, "run", "01", "--out", str(out), PYTHONPATH=str(package))
        assert done.returncode == 0, done.stderr
        assert {"01_first.ipynb", "stray.txt", "artifacts/made.json"} == left_in(out)
        assert_told(run_as_anybody(book, "run", "01"), "Cannot make the folder", code=2)
        done = run_as_anybody(book, "sweep", "sweep.yaml")
        assert_told(done, "cannot be written", "name another")
        shutil.rmtree(out)
        assert left_in(tmp_path) == before


def test_a_temporary_folder_that_is_full(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    talk = make_book(tmp_path / "talk", c01_talk=chapter("print('x' * 300_000)"))
    command = f"mount -t tmpfs -o size=4k none '{small}' && exec {sys.executable} -m digits_cli run"
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "bash", "-c", command],
        cwd=talk, env={**os.environ, "TMPDIR": str(small)}, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    # A container without the right, or Ubuntu's AppArmor, says so by the name of the program.
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no small file system can be made here: {done.stderr.strip()}")
    assert_told(done, "No space left on device")
    assert left_in(talk / "_build") == set(), "nothing that is not whole"


def test_a_disk_that_fills_up_while_a_chapter_runs(tmp_path):
    talk = make_book(tmp_path, c01_talk=chapter("print('x' * 300_000)"))
    done = run_as_anybody(talk, "run", first=limit(resource.RLIMIT_FSIZE, 100_000))
    assert_told(done, "Its last words:", "OSError: [Errno 27] File too large; nothing was written")
    assert left_in(talk / "_build") == set()
    (talk / "sweep.yaml").write_text("chapter: 01\nseeds: [0]\n")
    done = run_as_anybody(talk, "sweep", "sweep.yaml", first=limit(resource.RLIMIT_FSIZE, 100_000))
    assert_told(done, "File too large")
    done = run_as_anybody(talk, "sweep", "sweep.yaml")  # room again: the same command goes on
    assert done.returncode == 0, done.stderr
    assert "1 of 1 runs are good" in done.stdout


@pytest.mark.parametrize("megabytes", [150, 450])
def test_memory_that_runs_out_is_told_and_leaves_no_half_notebook(book, megabytes):
    done = run_as_anybody(book, "run", "01", first=limit(resource.RLIMIT_AS, megabytes << 20))
    # How much is enough differs from machine to machine; either it ran, or it is told.
    left = {Path(name).name for name in left_in(book / "_build")}
    assert done.returncode in {0, 1} if megabytes > 150 else done.returncode == 1, done.stderr
    assert (done.returncode == 0) == ("01_first.ipynb" in left), done.stderr
    if done.returncode:
        assert "digits run:" in done.stderr or "01_first" in done.stderr
        assert not left - {"01_first.failed.ipynb"}


@pytest.mark.parametrize("number", ["10", "11"])
def test_a_slice_of_the_images_shows_what_there_is_or_says_how_many_are_needed(tmp_path, number):
    write_competition(tmp_path, n_labelled=420, n_test=420)
    done = digits(ROOT, "run", number, "-p", f"DATA={tmp_path}", "--out", str(tmp_path / "run"))
    assert (done.returncode, "use more images (2,400 are enough)" in done.stderr) == (
        (1, True) if number == "10" else (0, False)
    ), done.stderr


def test_the_site_of_a_checkout_with_an_odd_name_twice_at_once(tmp_path):
    checkout = tmp_path / ODD / "book"
    copy_committed(checkout, ":!tests")
    first = start_digits(checkout, "site", "--published")
    while not (checkout / "_build/.claims/site/.owner").exists():
        assert first.poll() is None
        time.sleep(0.02)
    done = run_as_anybody(checkout, "site", "--published")
    assert_told(done, f"the site is being built in _build by process {first.pid}; wait for it")
    out, err = first.communicate(timeout=400)
    assert first.returncode == 0, out[-3000:] + err[-3000:]
    assert (checkout / "_build/html/notebooks/03_base_cnn.html").is_file()
