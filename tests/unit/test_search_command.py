"""`digits search` as it is used from a terminal."""

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
        raise ValueError("<b>too</b> wide")
    return settings["rate"]
"""


@pytest.fixture
def book(tmp_path):
    root = make_book(tmp_path, c02_second=SECOND)
    (root / "mine.py").write_text(SEARCH)
    (root / "matplotlibrc").write_text("text.usetex: True\n")  # has no say in the report
    return root


def search(book, *options):
    """Search to a good end."""
    done = digits(book, "search", *options)
    assert done.returncode == 0, done.stderr
    return done


def test_it_searches_resumes_tells_and_leaves_a_table_and_a_page_that_escapes(book):
    first = search(book, "mine.py", "--trials", "3").stderr.splitlines()
    assert first[0].startswith("[1/3] loss ") and "left" in first[0]
    fewer = digits(book, "search", "mine.py", "--trials", "2")
    assert fewer.returncode == 2 and "--trials is 2" in fewer.stderr
    assert "there already" not in fewer.stderr
    done = search(book, "mine.py", "--trials", "25")
    assert done.stderr.startswith("3 of 25 trials are there already\n[4/25]")
    assert "[25/25]" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["trial", "loss", "time", "rate", "units"]
    table = pd.read_csv(book / "_build/searches/mine/trials.csv")
    assert len(table) == 25
    assert float(lines[1].split()[1]) == pytest.approx(table["result.loss"].min(), rel=1e-5)
    assert "25 trials" in done.stdout and "failed" in done.stdout
    page = (book / "_build/searches/mine/report.html").read_text()
    assert page.count('role="img"') == 3
    assert "&lt;b&gt;too&lt;/b&gt; wide" in page and "<b>too" not in page
    assert "A random forest explains" in page


def test_the_example_of_the_help_is_complete(book):
    start, end = "  from hyperopt", "searches/post_space.py trains"
    example = SEARCH_HELP[SEARCH_HELP.index(start) : SEARCH_HELP.index(end)]
    (book / "mine.py").write_text(textwrap.dedent(example))
    search(book, "mine.py", "--trials", "3")


def test_a_file_from_a_windows_editor_that_imports_its_neighbour(book):
    (book / "lab").mkdir()
    (book / "lab/beside_it.py").write_text("HIGH = 1\n")
    text = "from beside_it import HIGH\n" + SEARCH.replace("0, 1)", "0, HIGH)")
    (book / "lab/mine.py").write_text(text, encoding="utf-8-sig")
    search(book, "lab/mine.py", "--trials", "2")
    with pytest.raises(ModuleNotFoundError, match=r"'beside_it' on .*, a worker; mine\.py imports"):
        load_objective(text, "/on/another/machine/mine.py")


def test_what_tensorflow_says_of_the_machine_is_kept_back(book):
    """It is written to the stream itself, not through Python; all else must come through."""
    chatter = "I0000 00:00:1795665153.081813   26024 port.cc:153] oneDNN custom operations are on."
    (book / "tensorflow.py").write_text(f"import os\nos.write(2, b'{chatter}\\nCareful!\\n')\n")
    (book / "mine.py").write_text("import tensorflow\n" + SEARCH)
    told = search(book, "mine.py", "--trials", "1").stderr
    assert "oneDNN" not in told and told.startswith("Careful!\n[1/1]")


def bash(book, line):
    command = [shutil.which("bash"), "-c", line.format(sys.executable)]
    return subprocess.run(command, cwd=book, capture_output=True, text=True)


def test_a_reader_that_has_seen_enough_gets_no_traceback(book):
    """As in `digits sync | head -1`: the pipe is closed before anything is written to it."""
    done = bash(book, "{} -m digits_cli sync --check | true; echo ${{PIPESTATUS[0]}}")
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "141"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_and_interrupted_it_loses_nothing_and_comes_out_the_same(book):
    def kept(name):
        files = sorted((book / name).glob("trial_*.json"))
        trials = [json.loads(path.read_bytes()) for path in files]
        return [[t[key] for key in ("number", "parameters", "seed", "loss")] for t in trials]

    for how, seen in ((signal.SIGKILL, 3), (signal.SIGINT, 9)):
        process = start_digits(book, "search", "mine.py", "--trials", "500", "--out", "parts")
        while len(kept("parts")) < seen:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the finished trials are kept" in err
    trials = str(len(kept("parts")) + 20)  # of which the last follow from the others
    for name in ("parts", "whole"):
        search(book, "mine.py", "--trials", trials, "--out", name)
    assert kept("parts") == kept("whole")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_disk_that_is_full_loses_nothing(book):
    """A limit on a file's size stands in for the disk: writing fails in the same way."""
    growing = "calls = []\n" + SEARCH.replace(
        'return settings["rate"]',
        'calls.append(1)\n    return {"loss": settings["rate"], "notes": len(calls) * 200 * "x"}',
    )
    (book / "mine.py").write_text(growing)
    done = bash(book, "ulimit -f 2; exec {} -m digits_cli search mine.py --trials 12")
    assert done.returncode == 1
    assert re.search(r"nothing was written: '.*/trial_\d+.json'", done.stderr)
    assert "Make room" in done.stderr and "Traceback" not in done.stderr
    folder = book / "_build/searches/mine"
    kept = {path: json.loads(path.read_bytes()) for path in folder.glob("trial_*.json")}
    assert 0 < len(kept) < 12
    assert not list(folder.glob("*.tmp")) and not list(folder.glob(".*.tmp"))
    search(book, "mine.py", "--trials", "12")
    after = {path: json.loads(path.read_bytes()) for path in folder.glob("trial_*.json")}
    assert len(after) == 12 and kept.items() <= after.items()


def test_a_search_in_which_nothing_succeeds_fails(book):
    (book / "mine.py").write_text(SEARCH.replace("time.sleep(0.05)", "undefined_name"))
    done = digits(book, "search", "mine.py", "--trials", "2")
    assert done.returncode == 1
    assert "No trial succeeded" in done.stderr and "undefined_name" in done.stderr
    assert "undefined_name" in (book / "_build/searches/mine/trials.csv").read_text()


@pytest.mark.parametrize(
    ("file", "text", "code", "says"),
    [
        ("mime.py", SEARCH, 2, "mime.py: there is no such file. Did you mean mine.py? Expected a"),
        ("notebooks", SEARCH, 2, "notebooks is a folder; expected a Python file"),
        ("sweep.yaml", SEARCH, 2, "is a YAML file; expected a Python file with a search. Is it a"),
        ("mine.py", "SPACE = {}\n", 2, "has no objective"),
        ("mine.py", "1 / 0\n", 2, "cannot be loaded (ZeroDivisionError"),
        ("mine.py --jobs 2", SEARCH, 2, "--engine ray"),
        ("mine.py --out sweep.yaml/trials", SEARCH, 1, "make it writable or name another"),
        ("mine.py", SEARCH.replace("(settings)", "(rate, units)"), 2, "rate and units one by one"),
        ("mine.py", SEARCH.replace("[1, 2]", "[]"), 2, "units has nothing to choose from"),
        ("mine.py", SEARCH.replace('("rate", 0', '("rate", 0, 0'), 2, "SPACE cannot be drawn from"),
        ("mine.py", SEARCH.replace('settings["rate"]', "1"), 1, "never read rate"),
        ("mine.py", SEARCH.replace('"rate"', '"r"', 2), 1, "the space has no 'rate', but r, units"),
    ],
)
def test_wrong_requests_are_told_without_a_traceback(book, file, text, code, says):
    (book / "mine.py").write_text(text)
    (book / "sweep.yaml").write_text("chapter: 01\n")
    done = digits(book, "search", *file.split(), "--trials", "3")
    assert done.returncode == code
    assert says in done.stderr and "Traceback" not in done.stderr
