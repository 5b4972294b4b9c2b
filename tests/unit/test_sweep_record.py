"""A sweep's record: made from nothing, filled up, never mixed up."""

import json
import shutil

import pytest
from runner_books import chapter, make_book, sweep_file

from digits_cli.errors import RunnerError
from digits_cli.sweep import run_sweep
from digits_cli.sweep_file import read_sweep
from digits_cli.sweep_record import SweepRecord

# Reports what it measures, and what it derives from the record `evidence`.
SHOWING = chapter(
    "from digit_utils.results import report\nreport(square=SEED**2, evidence={'runs': 7})"
)
TEXT = "chapter: 01\nrecord: evidence\nconstants: {EPOCHS: 1}\nseeds: [2, 3]\n"


@pytest.fixture
def root(tmp_path):
    sweep_file(make_book(tmp_path, c01_showing=SHOWING), TEXT)
    return tmp_path


def test_a_record_is_made_filled_up_and_found_again(root, capsys):
    path, file = root / "digit_utils/recorded/evidence.json", root / "sweep.yaml"

    def count_finished():
        return sum(run.ok for run in run_sweep(file, root=root, only_list=True)[1])

    assert all(run.ok for run in run_sweep(file, root=root)[1])
    whole = path.read_text()
    record = json.loads(whole)
    assert record["command"] == "digits sweep sweep.yaml"
    assert [run["parameters"]["SEED"] for run in record["runs"]] == [2, 3]
    # What is derived from a record would make each run depend on those before it.
    assert [run["results"] for run in record["runs"]] == [{"square": 4}, {"square": 9}]
    assert "evidence" not in (root / "_build/sweeps/sweep/runs.csv").read_text()

    path.write_text(json.dumps({**record, "runs": record["runs"][:1]}))  # killed in between
    run_sweep(file, root=root)
    assert "2 of 2 runs are finished already" in capsys.readouterr().err
    assert path.read_text() == whole

    shutil.rmtree(root / "_build")  # as in another checkout
    assert count_finished() == 2
    record["runs"][0]["results"] = {"square": -4, "evidence": 0}  # by another release
    path.write_text(json.dumps({**record, "runs": record["runs"][:1]}))
    run_sweep(root / "notebooks/../sweep.yaml", root=root)
    told = capsys.readouterr().err
    assert "1 of 2 runs are finished already" in told and "[1/1]" in told
    again = json.loads(path.read_text())
    assert again["command"] == record["command"]
    assert [run["results"] for run in again["runs"]] == [{"square": -4}, {"square": 9}]

    path.unlink()
    shutil.rmtree(root / "_build")
    assert count_finished() == 0 and not path.exists()


RUN = {
    "parameters": {"EPOCHS": 1, "SEED": 2}, "results": {"square": 4}, "seconds": 1.5,
    "commit": None, "date": "2026-11-30", "machine": "x", "versions": {},
}  # fmt: skip
WHOLE = json.dumps({"command": "x", "runs": [RUN]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE[:-9], "is damaged .*restore it with git, or delete it"),
        (WHOLE.replace("results", "result"), "is damaged .*results"),
        (WHOLE.replace("1.5", '"long"'), "is damaged .*run 1 is not whole"),
        (WHOLE.replace("EPOCHS", "EPOCHES"), "has runs with EPOCHES.* Did you mean EPOCHS"),
    ],
)
def test_what_is_no_record_of_this_chapter_is_refused_and_stays_as_it_is(root, text, says):
    path = root / "digit_utils/recorded/evidence.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(RunnerError, match=rf"evidence\.json {says}"):
        run_sweep(root / "sweep.yaml", root=root)
    assert path.read_text() == text


def test_two_sweeps_do_not_add_to_a_record_at_once(root):
    file = root / "sweep.yaml"
    held = SweepRecord(root, file, read_sweep(file, root), ["EPOCHS", "SEED"]).claim()
    refused = pytest.raises(RunnerError, match=r"another sweep is adding to .*evidence\.json")
    with held, refused:
        run_sweep(file, out=root / "elsewhere", root=root)
