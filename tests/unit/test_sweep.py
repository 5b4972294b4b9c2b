"""Sweeps: what is refused before anything starts, what is kept, skipped, resumed and reported."""

from __future__ import annotations

import json
import random
import signal
import tempfile
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from runner_books import FIRST, SECOND, SQUARE, digits, make_book, start_digits, sweep_file

from digits_cli.errors import UsageError
from digits_cli.pairing import sync_pair
from digits_cli.parser import SWEEP_HELP
from digits_cli.paths import list_chapters
from digits_cli.sweep import SweepRun
from digits_cli.sweep_file import read_sweep
from digits_cli.sweep_report import choose_metric, gather, write_report


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return make_book(tmp_path_factory.mktemp("book"), c01_first=FIRST, c02_second=SECOND)


# Reading


def test_a_grid_is_every_combination_with_every_seed(book, tmp_path):
    text = "chapter: 1_\n".replace("1_", "01")  # as a reader types it: YAML makes it a number
    text += "constants: {NAME: y}\ngrid: {RATE: [0.1, 1], DEEP: [true, false]}\nseeds: [0, 1]\n"
    sweep = read_sweep(sweep_file(tmp_path, text), book)
    assert sweep.chapter.name == "01_first" and sweep.profile == "quick"
    assert sweep.varied == ["RATE", "DEEP"]
    assert len(sweep.points) == 8
    assert sweep.points[0] == {"NAME": "y", "RATE": 0.1, "DEEP": True, "SEED": 0}
    assert len({json.dumps(point) for point in sweep.points}) == 8


def test_a_list_is_taken_as_it_is(book, tmp_path):
    text = "chapter: 01_first\nlist:\n- {RATE: 0.1}\n- {RATE: 0.2, LIMIT: 3}\n"
    sweep = read_sweep(sweep_file(tmp_path, text), book)
    assert sweep.points == [{"RATE": 0.1}, {"RATE": 0.2, "LIMIT": 3}]


def test_random_draws_stay_in_their_ranges_and_repeat(book, tmp_path):
    text = (
        "chapter: 01_first\nrandom:\n  samples: 50\n  seed: 3\n  values:\n"
        "    RATE: {low: 0.001, high: 1.0, log: true}\n    LIMIT: {low: 2, high: 4}\n"
        "    NAME: [a, b]\n"
    )
    path = sweep_file(tmp_path, text)
    points = read_sweep(path, book).points
    assert points == read_sweep(path, book).points
    assert all(0.001 <= point["RATE"] <= 1 for point in points)
    assert 10 < sum(point["RATE"] < 0.0316 for point in points) < 40  # half of a log range
    assert {point["LIMIT"] for point in points} == {2, 3, 4}
    assert {point["NAME"] for point in points} == {"a", "b"}


GOOD = "chapter: 01_first\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "expected an entry 'chapter'"),
        ("- 1\n", 1, "expected entries such as"),
        ("a: b: c\n", 1, "this is not YAML"),
        ("chapter: 09_none\ngrid: {A: [1]}\n", 1, "There is no chapter"),
        ("chapter: [1]\n", 1, "expected a chapter's name"),
        (GOOD, 1, "nothing to vary"),
        (GOOD + "\nprofil: quick\n", 3, "Did you mean profile"),
        (GOOD + "profile: slow\nseeds: [0]\n", 2, "no profile 'slow'"),
        (GOOD + "grid:\n  RATE: [0.1]\n  RTAE: [1]\n", 4, "Did you mean RATE"),
        (GOOD + "grid:\n  RATE:\n  - 0.1\n  - fast\n", 5, "gives 'fast', a text"),
        (GOOD + "grid:\n  RATE: []\n", 3, "expected a list of values"),
        (GOOD + "grid:\n  RATE: 0.1\n", 3, "expected a list of values"),
        (GOOD + "grid: {}\n", 2, "grid is empty"),
        (GOOD + "grid: {RATE: [.nan]}\n", 2, "must be a finite number"),
        (GOOD + "grid: {RATE: [0.1]}\nlist: [{RATE: 1}]\n", 3, "expected one of them"),
        (GOOD + "list: []\n", 2, "at least one run"),
        (GOOD + "list:\n- {RATE: 0.1}\n- 3\n", 4, "expected a mapping"),
        (GOOD + "list:\n- {RATE: 0.1}\n- {RATE: 0.1}\n", 2, "runs 1 and 2 have the same values"),
        (GOOD + "grid: {RATE: [1, 1]}\n", 2, "have the same values"),
        (GOOD + "grid: {RATE: [1]}\nconstants:\n  RATE: 2\n", 4, "RATE is varied as well"),
        (GOOD + "grid: {RATE: [1]}\nconstants:\n  RATE: x\n", 4, "gives 'x'"),
        (GOOD + "constants:\n  RATE: 1\n  RATE: 2\nseeds: [0]\n", 4, "RATE is set twice"),
        (GOOD + "seeds: []\n", 2, "expected a list such as"),
        (GOOD + "seeds: 3\n", 2, "expected a list such as"),
        (GOOD + "seeds: [0, one]\n", 2, "gives 'one'"),
        (GOOD + "seeds: [0, 0]\n", 2, "have the same values"),
        (GOOD + "grid: {SEED: [1]}\nseeds: [0]\n", 3, "SEED is set elsewhere"),
        (GOOD + "random: {samples: 0, values: {RATE: [1]}}\n", 2, "samples is 0"),
        (GOOD + "random: {samples: true, values: {RATE: [1]}}\n", 2, "samples is True"),
        (GOOD + "random: {samples: 2, sed: 1, values: {RATE: [1]}}\n", 2, "no entry 'sed'"),
        (GOOD + "random: {samples: 2}\n", 2, "expected an entry 'values'"),
        (GOOD + "random: {samples: 2, values: {RATE: {low: 1}}}\n", 2, "expected a list, or"),
        (GOOD + "random: {samples: 2, values: {RATE: {low: 2, high: 1}}}\n", 2, "low below high"),
        (
            GOOD + "random: {samples: 2, values: {RATE: {low: 0, high: 1, log: true}}}\n",
            2,
            "above 0 for log",
        ),
        (GOOD + "random: {samples: 9, values: {NAME: [a, b]}}\n", 2, "found 2 different runs"),
        ("chapter: true\nseeds: [0]\n", 1, "expected a chapter's name"),
        (GOOD + "seeds: [0, 1]\nconstants:\n  ARTIFACTS: x\n", 4, "one folder for all runs"),
        (GOOD + "grid: &g {RATE: [*g]}\n", 2, "aliases ('*name') are not read"),
        (
            GOOD + "list:\n- &a {RATE: 1}\n- {<<: *a, SEED: 1}\n",
            4,
            "merge keys ('<<') are not read",
        ),
        (GOOD + "metric: 3\nseeds: [0]\n", 2, "expected the name of a result"),
    ],
)
def test_what_cannot_run_is_refused_with_its_line(book, tmp_path, text, line, says):
    with pytest.raises(UsageError) as caught:
        read_sweep(sweep_file(tmp_path, text), book)
    message = str(caught.value)
    assert f"sweep.yaml, line {line}" in message, message
    assert says in message


def test_a_metric_that_the_last_run_did_not_report_is_noted_before_the_runs(tmp_path, capsys):
    book = make_book(tmp_path / "book", c01_first=FIRST)
    path = sweep_file(tmp_path, GOOD + "metric: validation_acc\nseeds: [0]\n")
    read_sweep(path, book)
    assert not capsys.readouterr().err  # not run yet: nothing is known
    notebook = book / "notebooks/01_first.ipynb"
    found = nbformat.read(notebook, as_version=4)
    values = {"accuracy": {"validation": 0.9}, "n": 3, "losses": [0.1], "best": True, "kind": "a"}
    data = {"application/vnd.digits.results+json": values}
    found.cells[-1].outputs = [nbformat.v4.new_output("display_data", data=data)]
    nbformat.write(found, notebook)
    for metric in ("validation_acc", "losses", "best", "kind"):
        path.write_text(GOOD + f"metric: {metric}\nseeds: [0]\n")
        assert read_sweep(path, book).metric == metric
        said = capsys.readouterr().err
        assert f"line 2: 01_first as it was last run reports no number '{metric}'" in said
        assert said.rstrip().endswith("It reports accuracy.validation, n.")
    path.write_text(GOOD + "metric: accuracy.validation\nseeds: [0]\n")
    read_sweep(path, book)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"chapter: !!python/object/apply:os.getpid []\n"])
def test_hostile_files_are_refused(book, tmp_path, raw):
    path = tmp_path / "sweep.yaml"
    path.write_bytes(raw)
    with pytest.raises(UsageError):
        read_sweep(path, book)


def test_the_examples_of_the_help_can_be_read():
    root = Path(__file__).resolve().parents[2]
    text = SWEEP_HELP.split("\n\n")
    first = "\n".join(line.strip() for line in text[3].splitlines())
    listed, drawn = (line.strip() for line in text[5].splitlines())
    with tempfile.TemporaryDirectory() as folder:
        assert len(read_sweep(sweep_file(Path(folder), first), root).points) == 12
        for line, number in ((listed, 2), (drawn, 8)):
            sweep = read_sweep(sweep_file(Path(folder), f"chapter: 03\n{line}\n"), root)
            assert len(sweep.points) == number


def test_a_profile_is_checked_as_for_a_single_run(tmp_path):
    root = make_book(tmp_path, c01_first=FIRST)
    (root / "profiles/mine").mkdir(parents=True)
    (root / "profiles/mine/01_first.yaml").write_text("RTAE: 0.5\n")
    text = "chapter: 01_first\nprofile: mine\nseeds: [0]\n"
    with pytest.raises(UsageError, match="Did you mean RATE"):
        read_sweep(sweep_file(tmp_path, text), root)


@pytest.fixture
def finished_runs(book, tmp_path):
    """Runs as they are read back, without running any."""

    def make(text, results):
        sweep = read_sweep(sweep_file(tmp_path, text), book)
        runs = []
        for number, (point, result) in enumerate(zip(sweep.points, results, strict=True), 1):
            failed = result is None
            record = {
                "status": "failed" if failed else "ok", "results": result or {}, "seconds": 1.0,
                "notebook": None if failed else "01_first.ipynb", "commit": "abc",
                "error": "<b>no</b>" if failed else None,
            }  # fmt: skip
            runs.append(SweepRun(f"key{number}", point, record))
        return sweep, runs

    return make


def test_a_report_stands_mixed_results_formulas_and_gaps(finished_runs, tmp_path):
    text = 'chapter: 01_first\nlist: [{NAME: "$\\\\x$"}, {LIMIT: 3}, {LIMIT: 4}, {RATE: 0.25}]\n'
    sweep, runs = finished_runs(
        text, [{"n": 3, "acc": 0.5}, {"n": "not reached", "acc": 0.25}, {"acc": 1.0}, None]
    )
    page = write_report(sweep, runs, tmp_path).read_text()
    assert "acc against NAME" in page and "acc against LIMIT" in page
    assert "&lt;b&gt;no" in page and "<b>no" not in page
    assert 'href="key4/' not in page and 'href="key1/01_first.ipynb"' in page
    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert table["result.n"].dropna().tolist() == ["3", "not reached"]


def test_a_gap_does_not_change_which_result_is_drawn(finished_runs):
    sweep, runs = finished_runs(
        "chapter: 01_first\ngrid: {RATE: [0.1, 0.2]}\n", [{"n": 3, "acc": 0.5}, None]
    )
    assert choose_metric(sweep, gather(runs)) == "result.acc"


def test_a_file_of_nearly_that_name_is_offered(book, monkeypatch):
    monkeypatch.chdir(book)
    (book / "widths.yaml").touch()
    with pytest.raises(UsageError, match=r"^width\.yaml: there is no such file.*mean widths\.yaml"):
        read_sweep(Path("width.yaml"), book)


def test_a_missing_file_is_a_wrong_request(book):
    done = digits(book, "sweep", "none.yaml")
    assert done.returncode == 2
    assert "none.yaml: there is no such file" in done.stderr


# Running


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of which one run fails, two runs at a time."""
    root = make_book(tmp_path_factory.mktemp("swept"), c01_square=SQUARE)
    text = "chapter: 01\ngrid: {EPOCHS: [1, 99]}\nseeds: [2, 3]\nmetric: square\n"
    sweep_file(root, text)
    return root, digits(root, "sweep", "sweep.yaml", "--jobs", "2")


def test_a_failed_run_stops_no_other_and_the_exit_code_tells(swept):
    root, done = swept
    assert done.returncode == 1
    assert "2 of 4 runs are good" in done.stdout
    assert "<i>ninety-nine</i>" in done.stderr
    out = root / "_build/sweeps/sweep"
    assert len(list(out.glob("*/01_square.ipynb"))) == 2
    assert len(list(out.glob("*/01_square.failed.ipynb"))) == 2


def test_results_come_as_one_tidy_table(swept):
    out = swept[0] / "_build/sweeps/sweep"
    table = pd.read_csv(out / "runs.csv")
    again = pd.read_parquet(out / "runs.parquet").astype({"commit": float})  # outside a checkout
    pd.testing.assert_frame_equal(table, again, check_dtype=False)
    assert table["status"].tolist() == ["ok", "ok", "failed", "failed"]
    assert table["SEED"].tolist() == [2, 3, 2, 3]
    assert table["result.square"].tolist()[:2] == [4, 9]
    assert table["result.nested.a.b"].tolist()[:2] == [1, 1]
    assert table["result.many"].tolist()[:2] == ["[1, 2]", "[1, 2]"]
    assert table["result.square"][2:].isna().all()


def test_the_report_links_the_notebooks_and_escapes_what_it_shows(swept):
    out = swept[0] / "_build/sweeps/sweep"
    page = (out / "report.html").read_text()
    for path in out.glob("*/*.ipynb"):
        assert f'href="{path.parent.name}/{path.name}"' in page
    assert "&lt;i&gt;ninety-nine&lt;/i&gt;" in page and "<i>ninety-nine" not in page
    assert 'role="img"' in page and "square against EPOCHS" in page
    assert str(swept[0]) not in page
    assert "\x1b" not in page


def test_finished_runs_are_skipped_and_failed_ones_tried_again(swept):
    root, _ = swept
    out = root / "_build/sweeps/sweep"
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/01_square.ipynb")}
    done = digits(root, "sweep", "sweep.yaml")
    assert done.returncode == 1
    assert "2 of 4 runs are finished already" in done.stderr
    assert "[2/2]" in done.stderr
    assert not list(out.glob(".*.ipynb"))
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_sweep_says_when_it_holds_runs_of_different_commits(swept):
    root, _ = swept
    out = root / "_build/sweeps/sweep"
    kept = {path: path.read_text() for path in out.glob("*/run.json")}
    good = [path for path, text in kept.items() if json.loads(text)["status"] == "ok"]
    for commit, path in zip(("one", "another"), good, strict=True):
        path.write_text(json.dumps({**json.loads(kept[path]), "commit": commit}))
    assert "2 different commits" in digits(root, "sweep", "sweep.yaml").stderr
    for path in good:
        path.write_text(kept[path])


def test_list_runs_nothing(swept):
    root, _ = swept
    done = digits(root, "sweep", "sweep.yaml", "--list", "--out", "elsewhere")
    assert done.returncode == 0
    assert done.stdout.count("to run") == 4
    assert "0 of 4 runs are finished" in done.stderr
    assert not (root / "elsewhere").exists()


def test_changed_code_runs_anew_and_changed_prose_does_not(tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, "chapter: 01\nseeds: [2]\n")
    script = root / "notebooks/01_square.py"

    def edit(old, new):
        text = script.read_text()
        assert old in text
        script.write_text(text.replace(old, new))
        sync_pair(list_chapters(root)[0])
        done = digits(root, "sweep", "sweep.yaml", "--list")
        return "finished" in done.stdout

    assert digits(root, "sweep", "sweep.yaml").returncode == 0
    assert edit("# # A second chapter", "# # Another title")
    assert not edit("SEED**2", "SEED**3")


def test_a_folder_in_use_is_refused(tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, "chapter: 01\nconstants: {EPOCHS: 60}\nseeds: [1]\n")
    first = start_digits(root, "sweep", "sweep.yaml")
    owner = root / "_build/sweeps/sweep/.owner"
    while not owner.exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = digits(root, "sweep", "sweep.yaml")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    assert second.returncode == 1
    assert f"in use by process {first.pid}" in second.stderr


def test_killed_and_resumed_it_comes_out_the_same(tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, "chapter: 01\nconstants: {EPOCHS: 1}\nseeds: [0, 1, 2, 3, 4, 5]\n")
    out = root / "_build/sweeps/sweep"

    def finished():
        records = [json.loads(path.read_bytes()) for path in out.glob("*/run.json")]
        return {record["run"]: record["results"] for record in records}

    chance, kills, seen = random.Random(1), 0, {}
    while True:
        process = start_digits(root, "sweep", "sweep.yaml", "--jobs", "2")
        while process.poll() is None and len(finished()) == len(seen):
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 1))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
        assert seen.items() <= finished().items()
        seen = finished()
    assert process.returncode == 0
    assert kills >= 1
    assert digits(root, "sweep", "sweep.yaml", "--out", "whole").returncode == 0
    whole = pd.read_csv(root / "whole/runs.csv").drop(columns=["seconds", "peak_memory_mb"])
    resumed = pd.read_csv(out / "runs.csv").drop(columns=["seconds", "peak_memory_mb"])
    pd.testing.assert_frame_equal(whole, resumed)


def test_help_says_what_a_file_looks_like(book):
    done = digits(book, "sweep", "--help")
    assert done.returncode == 0
    for word in ("chapter:", "grid:", "seeds:", "random:", "runs.csv", "report.html"):
        assert word in done.stdout
