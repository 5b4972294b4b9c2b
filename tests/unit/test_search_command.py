"""`digits search` as it is used from a terminal."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pandas as pd
import pytest
from runner_books import SECOND, digits, make_book, start_digits

from digits_cli.parser import SEARCH_HELP
from digits_cli.search_command import load_objective

SEARCH = """
import time
from hyperopt import hp

SPACE = {"rate": hp.uniform("rate", 0, 1), "units": hp.choice("units", [1, 2])}
DEPENDS_ON = {"epochs": 3}

def objective(settings):
    time.sleep(0.05)
    if settings["units"] == 2 and settings["rate"] > 0.8:
        raise ValueError("too wide")
    return settings["rate"]
"""


@pytest.fixture
def book(tmp_path):
    root = make_book(tmp_path, c02_second=SECOND)
    (root / "mine.py").write_text(SEARCH)
    return root


def test_it_searches_goes_on_and_tells(book):
    first = digits(book, "search", "mine.py", "--trials", "3")
    assert first.returncode == 0, first.stderr
    assert first.stderr.splitlines()[0].startswith("[1/3] loss ")
    assert "left" in first.stderr.splitlines()[0]
    done = digits(book, "search", "mine.py", "--trials", "12")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("3 of 12 trials are there already\n[4/12]")
    assert "[12/12]" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["trial", "loss", "time", "rate", "units"]
    table = pd.read_csv(book / "_build/searches/mine/trials.csv")
    assert len(table) == 12
    assert float(lines[1].split()[1]) == pytest.approx(table["result.loss"].min(), rel=1e-5)


def test_the_example_of_the_help_is_complete(book):
    start, end = "  from hyperopt", "searches/post_space.py trains"
    example = SEARCH_HELP[SEARCH_HELP.index(start) : SEARCH_HELP.index(end)]
    (book / "mine.py").write_text(textwrap.dedent(example))
    done = digits(book, "search", "mine.py", "--trials", "3")
    assert done.returncode == 0, done.stderr


def test_a_file_from_a_windows_editor_that_imports_its_neighbour(book):
    (book / "lab").mkdir()
    (book / "lab/beside_it.py").write_text("HIGH = 1\n")
    text = "from beside_it import HIGH\n" + SEARCH.replace("0, 1)", "0, HIGH)")
    (book / "lab/mine.py").write_text(text, encoding="utf-8-sig")
    done = digits(book, "search", "lab/mine.py", "--trials", "2")
    assert done.returncode == 0, done.stderr
    with pytest.raises(ModuleNotFoundError, match=r"'beside_it' on .*, a worker; mine\.py imports"):
        load_objective(text, "/on/another/machine/mine.py")


def test_an_objective_that_names_its_settings_and_an_empty_choice_are_refused(book):
    for wrong, says in (
        (
            SEARCH.replace("def objective(settings)", "def objective(rate, units)"),
            "rate and units one by one",
        ),
        (SEARCH.replace("[1, 2]", "[]"), "units has nothing to choose from"),
    ):
        (book / "mine.py").write_text(wrong)
        done = digits(book, "search", "mine.py", "--trials", "3")
        assert done.returncode == 2 and says in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_setting_that_the_space_lacks_is_named_beside_those_it_has(book):
    (book / "mine.py").write_text(
        SEARCH.replace('{"rate": hp.uniform("rate"', '{"r": hp.uniform("r"')
    )
    done = digits(book, "search", "mine.py", "--trials", "3")
    assert done.returncode == 1
    assert "the space has no 'rate', but r, units" in done.stderr


def test_what_tensorflow_says_of_the_machine_is_kept_back(book):
    """It is written to the stream itself, not through Python; all else must come through."""
    chatter = "I0000 00:00:1795665153.081813   26024 port.cc:153] oneDNN custom operations are on."
    said = f"import os\nos.write(2, b'{chatter}\\nCareful!\\n')\n"
    (book / "mine.py").write_text(said + SEARCH)
    done = digits(book, "search", "mine.py", "--trials", "1")
    assert done.returncode == 0, done.stderr
    assert "oneDNN" not in done.stderr and done.stderr.startswith("Careful!\n[1/1]")
    (book / "mine.py").write_text(said + "raise OSError('no such luck')")
    done = digits(book, "search", "mine.py", "--trials", "1")
    assert done.returncode == 2
    assert "Careful!" in done.stderr and "no such luck" in done.stderr


def test_a_reader_that_has_seen_enough_gets_no_traceback(book):
    """As in `digits sync | head -1`: the pipe is closed before anything is written to it."""
    command = f"{sys.executable} -m digits_cli sync --check | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        [shutil.which("bash"), "-c", command], cwd=book, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "141"}


def test_ctrl_c_keeps_what_is_finished(book):
    process = start_digits(book, "search", "mine.py", "--trials", "500")
    folder = book / "_build/searches/mine"
    while len(list(folder.glob("trial_*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the finished trials are kept" in err
    kept = len(list(folder.glob("trial_*.json")))
    assert digits(book, "search", "mine.py", "--trials", str(kept)).returncode == 0


def test_a_search_leaves_a_page_that_escapes_what_it_shows(book):
    (book / "mine.py").write_text(SEARCH.replace("too wide", "<b>too</b> wide"))
    done = digits(book, "search", "mine.py", "--trials", "25")
    assert "25 trials" in done.stdout and "failed" in done.stdout
    page = (book / "_build/searches/mine/report.html").read_text()
    assert page.count('role="img"') == 3
    assert "&lt;b&gt;too&lt;/b&gt; wide" in page and "<b>too" not in page
    assert "A random forest explains" in page


def test_the_ray_engine_from_a_terminal_stopped_and_gone_on(book):
    text = SEARCH.replace("(settings):", "(settings, report):")
    text = text.replace("return settings", "report(1, 1.0)\n    return settings")
    (book / "mine.py").write_text(text)
    folder = book / "_build/searches/mine"
    command = ("search", "mine.py", "--trials", "10", "--engine", "ray", "--jobs", "2")
    process = start_digits(book, *command)
    while not list(folder.glob("trial_*.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the finished trials are kept" in err and "Traceback" not in err
    done = digits(book, *command)
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("trial_*.json"))) == 10
    assert "1 of them failed. They trained 9 epochs." in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_disk_that_is_full_loses_nothing(book):
    """A limit on a file's size stands in for the disk: writing fails in the same way."""
    growing = "calls = []\n" + SEARCH.replace(
        'return settings["rate"]',
        'calls.append(1)\n    return {"loss": settings["rate"], "notes": len(calls) * 200 * "x"}',
    )
    (book / "mine.py").write_text(growing)
    command = f"ulimit -f 2; exec {sys.executable} -m digits_cli search mine.py --trials 12"
    done = subprocess.run(
        [shutil.which("bash"), "-c", command], cwd=book, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search(r"nothing was written: '.*/trial_\d+.json'", done.stderr)
    assert "Make room" in done.stderr and "Traceback" not in done.stderr
    folder = book / "_build/searches/mine"
    kept = {path.name: path.read_bytes() for path in folder.glob("trial_*.json")}
    assert 0 < len(kept) < 12
    for content in kept.values():
        json.loads(content)
    assert not list(folder.glob("*.tmp")) and not list(folder.glob(".*.tmp"))
    done = digits(book, "search", "mine.py", "--trials", "12")
    assert done.returncode == 0, done.stderr
    after = {path.name: path.read_bytes() for path in folder.glob("trial_*.json")}
    assert len(after) == 12 and kept.items() <= after.items()


def test_a_folder_that_cannot_be_written_is_told(book):
    (book / "in_the_way").write_text("a file")
    done = digits(book, "search", "mine.py", "--trials", "3", "--out", "in_the_way/trials")
    assert done.returncode == 1
    assert "in_the_way/trials: cannot be written" in done.stderr
    assert "make it writable or name another" in done.stderr


def test_jobs_need_the_ray_engine(book):
    done = digits(book, "search", "mine.py", "--trials", "3", "--jobs", "2")
    assert done.returncode == 2
    assert "--engine ray" in done.stderr


@pytest.mark.parametrize(
    ("text", "trials", "code", "says"),
    [
        (None, "3", 2, "there is no such file"),
        ("SPACE = {}\n", "3", 2, "has no objective"),
        ("1 / 0\n", "3", 2, "cannot be loaded (ZeroDivisionError"),
        (SEARCH, "0", 2, "--trials is 0"),
        (SEARCH.replace('"rate": hp.uniform("rate", 0, 1)', '"rate": [1]'), "3", 2, "rate is [1]"),
        (SEARCH.replace('settings["rate"]', "1"), "3", 1, "never read rate"),
    ],
)
def test_wrong_requests_are_told_without_a_traceback(book, text, trials, code, says):
    if text is None:
        (book / "mine.py").unlink()
    else:
        (book / "mine.py").write_text(text)
    done = digits(book, "search", "mine.py", "--trials", trials)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_search_file_is_named(book):
    (book / "sweep.yaml").write_text("chapter: 01\n")
    for file, says in (
        ("mime.py", "mime.py: there is no such file. Did you mean mine.py? Expected a Python"),
        ("notebooks", "notebooks is a folder; expected a Python file"),
        ("sweep.yaml", "sweep.yaml is a YAML file; expected a Python file with a search. Is it a"),
    ):
        done = digits(book, "search", file, "--trials", "2")
        assert done.returncode == 2
        assert done.stderr.startswith(f"digits search: {says}"), done.stderr


def test_fewer_trials_than_there_are_is_told_as_that(book):
    assert digits(book, "search", "mine.py", "--trials", "2").returncode == 0
    done = digits(book, "search", "mine.py", "--trials", "1")
    assert done.returncode == 2
    assert "there already" not in done.stderr and "--trials is 1" in done.stderr


def test_a_search_in_which_nothing_succeeds_fails(book):
    (book / "mine.py").write_text(SEARCH.replace("time.sleep(0.05)", "undefined_name"))
    done = digits(book, "search", "mine.py", "--trials", "2")
    assert done.returncode == 1
    assert "No trial succeeded" in done.stderr and "undefined_name" in done.stderr
    assert "undefined_name" in (book / "_build/searches/mine/trials.csv").read_text()


def test_another_space_is_refused_with_the_difference(book):
    assert digits(book, "search", "mine.py", "--trials", "2").returncode == 0
    (book / "mine.py").write_text(SEARCH.replace("0, 1)", "0, 2)"))
    done = digits(book, "search", "mine.py", "--trials", "3")
    assert done.returncode == 1
    assert "holds another search" in done.stderr


def test_help_says_what_a_file_must_hold(book):
    done = digits(book, "search", "--help")
    for word in ("SPACE", "objective", "ALGORITHM", "DEPENDS_ON", "--trials", "--out"):
        assert word in done.stdout
