"""The benchmark's arithmetic, and the record that the book shows."""

import json
import math
import re

import pytest
from helpers import ROOT

from digit_utils.benchmark import seconds_an_epoch
from digit_utils.fast import Recipe
from experiments import benchmark
from experiments.benchmark_recipes import Worker


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
        assert Recipe(**result["recipes"][name]["settings"]) == Recipe(epochs=epochs)
    assert math.isfinite(result["sgemm_peak"])
