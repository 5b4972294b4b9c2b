"""Sweeps: what is refused before anything starts, what is kept, skipped, resumed and reported."""

import json
import random
import signal
import time

import pandas as pd
import pytest
from helpers import ROOT
from runner_books import SQUARE, digits, make_book, pretend_run, start_digits, sweep_file

from digits_cli.book import list_chapters
from digits_cli.errors import UsageError
from digits_cli.pairing import sync_pair
from digits_cli.parser import SWEEP_HELP
from digits_cli.reports import choose_metric, gather, write_report
from digits_cli.sweep_file import SweepRun, read_sweep

PLAIN = """# %% [markdown]
# # A chapter

# %% tags=["parameters"]
SEED: int = 0  # of everything
RATE: float = 0.5  # per step
NAME: str = "x"  # anything
UNITS: int = 8  # of a layer, at least 1
ARTIFACTS: str = "artifacts"  # folder

# %%
print(SEED, RATE, NAME, UNITS)
"""


@pytest.fixture
def book(tmp_path):
    return make_book(tmp_path / "book", c01_first=PLAIN)


@pytest.fixture
def read(book):
    return lambda text: read_sweep(sweep_file(book, text), book)


# ---- Reading -------------------------------------------------------------------------------------


def test_the_sweeps_of_the_book_and_the_examples_of_the_help_can_be_read(tmp_path):
    for path in (ROOT / "sweeps").glob("*.yaml"):
        assert len(read_sweep(path, ROOT).points) > 1
    text = SWEEP_HELP.split("\n\n")
    examples = {"\n".join(line.strip() for line in text[3].splitlines()): 12}
    for line, number in zip(text[5].splitlines(), (2, 8), strict=True):
        examples[f"chapter: 03\n{line.strip()}\n"] = number
    for example, number in examples.items():
        assert len(read_sweep(sweep_file(tmp_path, example), ROOT).points) == number


def test_a_grid_is_every_combination_with_every_seed_and_a_list_as_it_is(read):
    text = "chapter: 01\n"  # as a reader types it: YAML makes it a number
    text += "constants: {NAME: y}\ngrid: {RATE: [0.1, 1], UNITS: [4, 8]}\nseeds: [0, 1]\n"
    sweep = read(text)
    assert sweep.chapter.name == "01_first" and sweep.profile == "quick"
    assert sweep.varied == ["RATE", "UNITS"]
    assert sweep.points[0] == {"NAME": "y", "RATE": 0.1, "UNITS": 4, "SEED": 0}
    assert len(sweep.points) == len({json.dumps(point) for point in sweep.points}) == 8
    listed = read("chapter: 01_first\nlist:\n- {RATE: 0.1}\n- {RATE: 0.2, UNITS: 3}\n")
    assert listed.points == [{"RATE": 0.1}, {"RATE": 0.2, "UNITS": 3}]


def test_random_draws_stay_in_their_ranges_and_repeat(read):
    text = (
        "chapter: 01_first\nrandom:\n  samples: 50\n  seed: 3\n  values:\n"
        "    RATE: {low: 0.001, high: 1.0, log: true}\n    UNITS: {low: 2, high: 4}\n"
        "    NAME: [a, b]\n"
    )
    points = read(text).points
    assert all(0.001 <= point["RATE"] <= 1 for point in points)
    assert 10 < sum(point["RATE"] < 0.0316 for point in points) < 40  # half of a log range
    assert {(point["UNITS"], point["NAME"]) for point in points} == {
        (units, name) for units in (2, 3, 4) for name in "ab"
    }
    # Finished runs are found again only as long as the same file draws the same values.
    assert points[0] == {"RATE": pytest.approx(0.0018069556836275672), "UNITS": 2, "NAME": "a"}


GOOD = "chapter: 01_first\n"
DRAW = GOOD + "random: {samples: %s, values: {%s}}\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "chapter is None, expected a chapter's name"),
        ("chapter: true\nseeds: [0]\n", 1, "expected a chapter's name"),
        (GOOD, 1, "nothing to vary"),
        (GOOD + "\nprofil: quick\n", 3, "Did you mean profile"),
        (GOOD + "profile: slow\nseeds: [0]\n", 2, "no profile 'slow'"),
        (GOOD + "profile: mine\nseeds: [0]\n", 2, "Did you mean RATE"),  # in the profile's file
        (GOOD + "grid:\n  RATE: [0.1]\n  RTAE: [1]\n", 4, "Did you mean RATE"),
        (GOOD + "grid:\n  RATE:\n  - 0.1\n  - fast\n", 5, "gives 'fast', a text"),
        (GOOD + "grid: {}\n", 2, "grid is {}, expected NAME: value lines"),
        (GOOD + "grid: {RATE: [0.1]}\nlist: [{RATE: 1}]\n", 3, "expected one of them"),
        (GOOD + "grid: {RATE: [1, 1]}\n", 2, "runs 1 and 2 have the same values: RATE 1"),
        (GOOD + "list:\n- {RATE: 0.1}\n- 3\n", 4, "run 2 is 3, expected a mapping"),
        (GOOD + "grid: {RATE: [1]}\nconstants:\n  RATE: 2\n", 4, "RATE is set elsewhere as well"),
        (GOOD + "grid: {SEED: [1]}\nseeds: [0]\n", 3, "SEED is set elsewhere"),
        (GOOD + "seeds: [0, 1]\nconstants:\n  ARTIFACTS: x\n", 4, "one folder for all runs"),
        (GOOD + f"grid: {{RATE: {[*range(200)]}}}\nseeds: {[*range(99)]}\n", 3, "than 10,000 runs"),
        (DRAW % (10**9, "RATE: {low: 0.0, high: 1}"), 2, "asks for more than 10,000 runs"),
        (DRAW % (0, "RATE: [1]"), 2, "samples is 0"),
        (DRAW % (2, "RATE: {low: 2, high: 1}"), 2, "low below high"),
        (DRAW % (9, "NAME: [a, b]"), 2, "found 2 different runs"),
    ],
)
def test_what_cannot_run_is_refused_with_its_line(book, read, text, line, says):
    (book / "profiles/mine").mkdir(parents=True)
    (book / "profiles/mine/01_first.yaml").write_text("UNITS: 1\nRTAE: 0.5\n")
    with pytest.raises(UsageError, match=rf"(sweep|01_first)\.yaml, line {line}") as caught:
        read(text)
    assert says in str(caught.value)


def test_a_metric_that_the_last_run_did_not_report_is_noted_before_the_runs(book, read, capsys):
    text = GOOD + "metric: validation_acc\nseeds: [0]\n"
    read(text)
    assert not capsys.readouterr().err  # not run yet: nothing is known
    values = {"accuracy": {"validation": 0.9}, "n": 3, "losses": [0.1], "best": True, "kind": "a"}
    pretend_run(book, "01_first", **values).rename(book / "notebooks/01_first.ipynb")
    read(text)
    said = capsys.readouterr().err
    assert "line 2: 01_first as it was last run reports no number 'validation_acc'" in said
    assert said.rstrip().endswith("It reports n, accuracy.validation.")
    read(text.replace("validation_acc", "accuracy.validation"))
    assert not capsys.readouterr().err


# ---- Reporting -----------------------------------------------------------------------------------


def test_a_report_stands_mixed_results_formulas_gaps_and_a_metric_that_is_none(
    read, tmp_path, capsys
):
    text = GOOD + 'list: [{NAME: "$\\\\x$"}, {UNITS: 3}, {UNITS: 4}, {RATE: 0.25}]\n'
    good = {"status": "ok", "notebook": "x.ipynb", "seconds": 1.0}
    records = [
        {**good, "results": {"k": 1, "n": 3, "acc": 0.5}},
        {**good, "results": {"n": "not reached", "acc": 0.25}},
        {**good, "results": {"acc": 1.0}},
        {"status": "failed", "error": "no", "seconds": 1.0},
    ]
    sweep = read(text)
    points = zip(sweep.points, records, strict=True)
    runs = [SweepRun(f"key{n}", point, record) for n, (point, record) in enumerate(points, 1)]
    assert choose_metric(sweep, gather(runs)) == "result.acc"  # k is whole, but for its gaps
    page = write_report(sweep, runs, tmp_path).read_text()
    assert "acc against NAME" in page and "acc against UNITS" in page
    assert 'href="key4/' not in page and 'href="key1/x.ipynb"' in page
    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert table["result.n"].dropna().tolist() == ["3", "not reached"]
    page = write_report(read(text + "metric: acc2\n"), runs, tmp_path).read_text()
    assert "No run reported the number &#x27;acc2&#x27;. Did you mean acc?" in page
    assert "No run reported the number 'acc2'" in capsys.readouterr().err


# ---- Running -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of which two runs fail, two runs at a time."""
    root = make_book(tmp_path_factory.mktemp("swept"), c01_square=SQUARE)
    text = "chapter: 01\ngrid: {EPOCHS: [1, 99]}\nseeds: [2, 3]\nmetric: square\n"
    sweep_file(root, text)
    return root, root / "_build/sweeps/sweep", digits(root, "sweep", "sweep.yaml", "--jobs", "2")


def test_a_failed_run_stops_no_other_and_the_exit_code_tells(swept):
    root, out, done = swept
    assert done.returncode == 1
    assert "2 of 4 runs are good" in done.stdout
    assert "<i>ninety-nine</i>" in done.stderr
    found = sorted(path.name for path in out.glob("*/*.ipynb"))
    assert found == 2 * ["01_square.failed.ipynb"] + 2 * ["01_square.ipynb"]
    page = (out / "report.html").read_text()
    for path in out.glob("*/*.ipynb"):
        assert f'href="{path.parent.name}/{path.name}"' in page
    assert "&lt;i&gt;ninety-nine&lt;/i&gt;" in page and "square against EPOCHS" in page
    assert str(root) not in page and "\x1b" not in page


def test_results_come_as_one_tidy_table(swept):
    out = swept[1]
    table = pd.read_csv(out / "runs.csv")
    again = pd.read_parquet(out / "runs.parquet").astype({"commit": float})  # outside a checkout
    pd.testing.assert_frame_equal(table, again, check_dtype=False)
    assert table["status"].tolist() == ["ok", "ok", "failed", "failed"]
    assert table["SEED"].tolist() == [2, 3, 2, 3]
    assert table["result.square"].tolist()[:2] == [4, 9]
    assert table["result.nested.a.b"].tolist()[:2] == [1, 1]
    assert table["result.many"].tolist()[:2] == ["[1, 2]", "[1, 2]"]
    assert table["result.square"][2:].isna().all()


def test_finished_runs_are_skipped_until_the_code_changes_and_failed_ones_tried_again(swept):
    root, out, _ = swept
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/01_square.ipynb")}
    for number, notebook in enumerate(times):
        record = json.loads((notebook.parent / "run.json").read_text())
        (notebook.parent / "run.json").write_text(json.dumps({**record, "commit": f"c{number}"}))
    done = digits(root, "sweep", "sweep.yaml")
    assert done.returncode == 1
    assert "2 of 4 runs are finished already" in done.stderr
    assert "[2/2]" in done.stderr
    assert "2 different commits" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in times} == times
    script = root / "notebooks/01_square.py"
    for old, new, finished in (("A second chapter", "A title", 2), ("SEED**2", "SEED**3", 0)):
        script.write_text(script.read_text().replace(old, new))
        sync_pair(list_chapters(root)[0])
        done = digits(root, "sweep", "sweep.yaml", "--list")
        assert done.returncode == 0
        assert done.stdout.count("finished") == finished == 4 - done.stdout.count("to run")
        assert f"{finished} of 4 runs are finished" in done.stderr


def test_a_record_of_an_earlier_release_is_read_and_a_damaged_one_redone(book):
    sweep_file(book, "chapter: 01\nconstants: {RATE: 0.25}\nseeds: [2]\n")
    folder = book / "_build/sweeps/sweep/818edc4c958a"  # as it was called then
    folder.mkdir(parents=True)
    record = {
        "format": 1, "run": folder.name, "status": "ok", "notebook": "01_first.ipynb",
        "commit": None, "versions": {"numpy": "2.0"}, "parameters": {"RATE": 0.25, "SEED": 2},
        "results": {"square": 4.0}, "seconds": 1.5, "peak_memory_mb": 200, "error": None,
    }  # fmt: skip
    whole = json.dumps(record)
    another = json.dumps({**record, "run": "another"})
    astray = json.dumps({**record, "notebook": "../../secret.ipynb"})
    states = []
    for text in (whole, whole[:-9], another, astray):
        (folder / "run.json").write_text(text)
        states.append("finished" in digits(book, "sweep", "sweep.yaml", "--list").stdout)
    assert states == [True] + 3 * [False]


def test_held_interrupted_killed_and_resumed_it_comes_out_the_same(tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, "chapter: 01\nconstants: {EPOCHS: 1}\nseeds: [0, 1, 2, 3, 4, 5]\n")
    out = root / "_build/sweeps/sweep"

    def finished():
        records = [json.loads(path.read_bytes()) for path in out.glob("*/run.json")]
        return {record["run"]: record["results"] for record in records}

    first = start_digits(root, "sweep", "sweep.yaml")
    while not (out / ".owner").exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = digits(root, "sweep", "sweep.yaml")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    assert second.returncode == 1
    assert f"in use by process {first.pid}" in second.stderr
    chance, kills, seen = random.Random(1), 0, finished()
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
    tables = [pd.read_csv(folder / "runs.csv") for folder in (out, root / "whole")]
    one, other = (table.drop(columns=["seconds", "peak_memory_mb"]) for table in tables)
    pd.testing.assert_frame_equal(one, other)
