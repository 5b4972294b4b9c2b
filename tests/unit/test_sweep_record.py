"""A sweep's record: made from nothing, filled up, never mixed up, and read by the chapters."""

import json
import shutil

import pytest
import yaml
from helpers import ROOT
from runner_books import chapter, make_book, printed, sweep_file

from digit_utils import artifacts
from digit_utils.trainings import load_trainings, mistakes_saved
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


def test_a_rung_is_trained_small_and_recorded_from_nothing(tmp_path, monkeypatch):
    without = shutil.ignore_patterns("__pycache__", "ladder.json")
    shutil.copytree(ROOT / "digit_utils", tmp_path / "digit_utils", ignore=without)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    make_book(tmp_path, c04_augmentation=(ROOT / "notebooks/04_augmentation.py").read_text())
    asked = yaml.safe_load((ROOT / "sweeps/ladder.yaml").read_text())
    small = {"N_TRAIN": 100, "N_VALIDATION": 100, "WIDTH": 2, "EPOCHS": 1, "BATCH_SIZE": 50}
    asked["constants"] |= small
    text = yaml.safe_dump({**asked, "list": asked["list"][:1], "seeds": [0]})
    _, (trained,), _ = run_sweep(sweep_file(tmp_path, text), root=tmp_path)
    assert trained.ok, trained.record
    (notebook,) = tmp_path.glob("_build/sweeps/sweep/*/04_augmentation.ipynb")
    assert "0 of 45 trainings are recorded" in printed(notebook)
    (run,) = json.loads((tmp_path / "digit_utils/recorded/ladder.json").read_text())["runs"]
    wrong = run["results"]["mistakes"]
    assert run["results"]["validation_accuracy"] == pytest.approx(1 - len(wrong) / 100)
    assert {"n_weights", "training_accuracy", "validation_accuracy_by_epoch"} <= run[
        "results"
    ].keys()
    assert "ladder" not in run["results"]


def test_ways_to_train_are_compared_as_far_as_they_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "RECORDED_FOLDER", tmp_path)
    assert load_trainings("rungs", by=["NETWORK", "AUGMENT"]) == {}
    ends = {("dense", 0): [[1, 2, 5], [2, 5, 9], [1, 5, 7]], ("base", 0): [[5], [5]]}
    ends["base", 1] = [[]]
    runs = [
        {
            "parameters": {"NETWORK": network, "AUGMENT": augment, "SEED": seed},
            "results": {"mistakes": wrong}, "seconds": 60.0,
        }
        for (network, augment), each in ends.items()
        for seed, wrong in reversed([*enumerate(each)])
    ]  # fmt: skip
    (tmp_path / "rungs.json").write_text(json.dumps({"runs": runs}))
    trainings = load_trainings("rungs", by=["NETWORK", "AUGMENT"])
    assert {rung: [*table["mistakes"]] for rung, table in trainings.items()} == ends
    assert trainings["dense", 0]["n_mistakes"].tolist() == [3, 3, 3]
    dense, base, augmented, unheard = *ends, ("tree", 0)
    pairs = {"convolution": (base, dense), "augmentation": (augmented, base)}
    found = mistakes_saved(trainings, {**pairs, "wood": (unheard, base)})
    assert found.index.tolist() == ["convolution"]
    saved, low, high = found.loc["convolution"]
    assert saved == pytest.approx(2) and low < 2 < high
