"""The benchmark's arithmetic, and the record that the book shows."""

import json
import math
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from helpers import ROOT

from digit_utils.benchmark import seconds_an_epoch
from digit_utils.fast import Recipe
from experiments import benchmark, speed_ladder
from experiments.benchmark_recipes import Worker
from experiments.speed_ladder import POST, Step, grid, ladder


def recipe(runs, seconds):
    return {
        "title": "some recipe",
        "epoch_seconds": {"100": [seconds / 2] * 2, "200": [2 * seconds, 3 * seconds, seconds]},
        "flops_an_image": 2e9,
        "predicted_a_second": 1000.0,
        "peak_memory_mb": 500.0,
        "runs": runs,
        "runs_are": "of this run",
    }


def run(accuracy, seconds):
    return {"seed": 0, "accuracy": accuracy, "epoch_seconds": [seconds] * len(accuracy)}


@pytest.fixture
def result():
    recipes = {
        "post_double_conv": recipe([run([0.98, 0.995, 0.994], 29.0)], seconds=10.0),
        "fast": recipe([run([0.99, 0.996], 1.0), run([0.98, 0.994], 1.0)], seconds=0.5),
        "fast_repeatable": recipe([], seconds=0.5),
    }
    made = {"machine": "some machine"}
    result = {"mode": "full", "n_train": 400, "sgemm_peak": 1e11, "provenance": made}
    return {**result, "recipes": recipes}


def test_the_fastest_epoch_counts_scaled_to_all_images(result):
    assert seconds_an_epoch(result, "fast_repeatable") == 1.0
    slow = result["recipes"]["post_double_conv"]
    assert seconds_an_epoch(result, "post_double_conv") == 20.0
    slow["runs"][0]["epoch_seconds"] = [1.0, 17.0, 19.0]  # the first holds the compilation
    assert seconds_an_epoch(result, "post_double_conv") == 17.0
    slow["runs_are"] = "recorded"  # on a machine that may have been faster
    assert seconds_an_epoch(result, "post_double_conv") == 20.0


def test_the_speed_up_counts_the_slow_to_its_best_epoch_and_the_fast_to_its_end(result):
    table = benchmark.as_markdown(result)
    # 400 images at 2 billion operations in 20 s: 40 GFLOP/s, 40 % of the peak.
    assert "| some recipe | 20.0 | 800 | 40 | 40% | 1,000 | 500 MB |" in table
    assert "2 epochs, 40 s | 2 epochs, 40 s | not reached" in table
    # Two epochs of one second, as timed in turn; the runs' first took no longer than their second.
    assert "ends at 99.50% (mean of 2 trainings) after 2.0 s, compilation included" in table
    assert "takes 40 s to its best epoch, 2, with 99.50%: **20 times** as long" in table
    for slower in result["recipes"]["fast"]["runs"]:
        slower["epoch_seconds"] = [4.0, 1.0]  # three seconds to build and compile
    assert "after 5.0 s" in benchmark.as_markdown(result)
    result["recipes"]["post_double_conv"]["runs"] = []
    assert "as long" not in benchmark.as_markdown(result)


def test_recipes_take_turns_and_a_quick_run_borrows_recorded_trainings(
    monkeypatch, result, tmp_path
):
    asked = []

    class Scripted:
        def __init__(self, name):
            self.name = name

        def ask(self, do, seed=0, **_):
            asked.append((self.name, do))
            return {
                "describe": {"title": self.name, "source": "x", "batch_size": 1, "epochs": 2},
                "prepare": 7.0,
                "train_epoch": 2.0,
                "predict": 200.0,
                "memory": 9.0,
                "sgemm_peak": 1e9,
                "run": {**run([0.9, 0.996], 1.0), "seed": seed},
            }[do]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(benchmark, "RecipeProcess", Scripted)
    (tmp_path / "record.json").write_text(json.dumps(result))
    monkeypatch.setattr(benchmark, "RECORD", tmp_path / "record.json")
    recipes = {name: Scripted(name) for name in ("post_double_conv", "fast")}
    found = benchmark.measure(recipes, full=False, seeds=2)
    timed = [name for name, do in asked if do == "train_epoch"]
    assert timed == ["post_double_conv", "fast"] * (len(timed) // 2)
    slow, fast = (found["recipes"][name] for name in recipes)
    assert (slow["runs_are"], len(slow["runs"][0]["accuracy"])) == ("recorded", 3)
    assert [run["seed"] for run in fast["runs"]] == [0, 1]
    assert fast["flops_an_image"] == 7.0
    assert "recorded" in benchmark.as_markdown(found)
    assert [name for name, do in asked if do == "run"] == ["fast", "fast"]
    benchmark.measure(recipes, full=True, seeds=1)
    assert ("post_double_conv", "run") in asked


def test_a_worker_trains_and_predicts_by_request():
    worker = Worker("keras_io")
    assert worker.describe()["epochs"] == 15
    assert worker.prepare(n_images=300) > 0
    assert worker.train_epoch() > 0
    assert worker.predict(n_images=150) > 0
    assert worker.memory() > 100


def test_a_run_worth_recording_has_seeds_enough(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--full", "--record", "--seeds", "1"])
    assert "at least 5 seeds" in capsys.readouterr().err


def test_the_book_shows_the_recorded_full_run():
    result = json.loads((ROOT / "digit_utils/recorded/benchmark.json").read_bytes())
    assert result["mode"] == "full"
    assert len(result["recipes"]["post_double_conv"]["runs"][0]["accuracy"]) == 30
    assert len(result["recipes"]["fast"]["runs"]) >= 5
    table = benchmark.as_markdown(result)
    accuracy, times = re.search(r"ends at ([\d.]+)%.*\*\*(\d+) times", table).groups()
    assert float(accuracy) >= 99.46 and int(times) >= 20
    for name in ("fast", "fast_longer", "fast_repeatable"):  # of the recipe as it is now
        epochs = result["recipes"][name]["epochs"]
        assert result["recipes"][name]["settings"] == asdict(Recipe(epochs=epochs))
    assert math.isfinite(result["sgemm_peak"])


def test_the_ladder_leads_from_the_post_to_the_recipe_by_one_change_a_step():
    steps = list(ladder().values())
    assert (steps[0], steps[-1]) == (POST, Step())
    assert asdict(steps[-1]).items() >= asdict(Recipe()).items()
    changed = [
        set(asdict(new).items()) - set(asdict(old).items())
        for old, new in zip(steps, steps[1:], strict=False)
    ]
    # Muon comes with its own rate and weight decay.
    assert [len(change) for change in changed] == [1, 1, 1, 1, 1, 3, 1, 1, 1]


@pytest.mark.parametrize(
    "changes",
    [{}, {"feeding": "device", "warmup": 0.25}, asdict(Step(width=2, epochs=1, batch_size=64))],
)
def test_a_step_is_trained_timed_and_scored(digits, changes):
    data = [
        part[start : start + 200] for part in (digits.images, digits.labels) for start in (0, 500)
    ]
    found = speed_ladder.train_step(replace(POST, **{"epochs": 1, **changes}), tuple(data), seed=0)
    assert found["seconds"] == sum(found["epoch_seconds"]) > 0
    assert found["accuracy"] == [pytest.approx(1 - len(found["mistakes"]) / 200)]


def test_the_ladder_goes_on_where_it_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(speed_ladder, "RECORD", tmp_path / "speed_ladder.json")
    monkeypatch.setattr(speed_ladder, "train_step", lambda *_: None)
    speed = {"now": 1e11}
    made = []

    def measure(step, data, seed):
        made.append((step, seed))
        score = 0.9 if step.learning_rate == 0.02 else 0.8
        return {
            "seed": seed,
            "accuracy": [score],
            "mistakes": np.array([3]),
            "sgemm_peak": speed["now"],
        }

    monkeypatch.setattr(speed_ladder, "measure", measure)
    with pytest.raises(SystemExit):
        speed_ladder.main(["variants"])
    speed_ladder.main([])
    assert len(made) == 3 * len(grid()) + 5 * (3 + len(ladder()))
    record = json.loads((tmp_path / "speed_ladder.json").read_bytes())
    assert record["variants"]["adamw, tuned"]["settings"]["learning_rate"] == 0.02
    made.clear()
    speed_ladder.main([])
    assert made == []
    # On a machine that is twice as fast all was slow; other settings are another step.
    record["ladder"]["3 epochs"]["runs"][0]["sgemm_peak"] = 2e11
    record["ladder"]["3 epochs"]["settings"]["width"] = 3
    (tmp_path / "speed_ladder.json").write_text(json.dumps(record))
    speed["now"] = 2e11
    speed_ladder.main(["ladder"])
    assert len(made) == 5 * len(ladder())
