"""A search keeps every finished trial and goes on with them, or says why it cannot."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hyperopt import STATUS_FAIL, STATUS_OK, Trials, fmin, hp, rand, tpe

from digit_utils.search import SearchError, SearchProgress, run_search
from digit_utils.search import run as search
from digit_utils.search import trials as trial_store
from digit_utils.search.definition import describe_space, to_draws

ROOT = Path(__file__).parents[2]
RATES = [0.1, 0.2, 0.3, 0.4, 0.5]
SPACE = {
    "rate": hp.choice("rate", RATES),
    "optimizer": hp.choice("optimizer", ["adam", "rmsprop"]),
    "dense_units": hp.choice("dense_units", [128, 256, 512]),
}
TPE = partial(tpe.suggest, n_startup_jobs=4)


def objective(settings):
    return -(1 - settings["rate"] - 1 / settings["dense_units"]) + (settings["optimizer"] == "adam")


def run(folder, n=8, function=objective, algo=TPE, space=SPACE, **options):
    return run_search(function, space, algo, n, folder, **options)


def outcomes(found):
    """What must not depend on when a search was stopped."""
    return [(t.number, t.parameters, t.seed, t.status, t.loss, t.details) for t in found.trials]


# What is kept


def test_trials_hold_values_not_indices(tmp_path):
    found = run(tmp_path)
    files = sorted(tmp_path.glob("trial_*.json"))
    assert [path.name for path in files] == [f"trial_{n:04}.json" for n in range(1, 9)]
    for path, trial in zip(files, found.trials, strict=True):
        kept = json.loads(path.read_bytes())
        assert kept["parameters"] == trial.parameters
        assert kept["parameters"]["rate"] in RATES
        assert kept["parameters"]["dense_units"] in {128, 256, 512}
        assert kept["loss"] == pytest.approx(objective(kept["parameters"]))
        assert kept["versions"]["hyperopt"]
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".pkl", ".tmp"}]


def test_table_and_best(tmp_path):
    found = run(tmp_path, n=12)
    table = found.table()
    assert list(table.columns) == [*SPACE, *search.COLUMNS]
    assert table.index.tolist() == list(range(1, 13))
    assert table["best_so_far"].is_monotonic_increasing
    assert found.best.loss == -table["validation_accuracy"].max()
    assert found.best.parameters == table.loc[found.best.number, list(SPACE)].to_dict()


def test_the_order_of_the_space_is_the_order_of_the_columns(tmp_path):
    backwards = dict(reversed(SPACE.items()))
    assert list(run(tmp_path, n=2, space=backwards).table().columns[:3]) == list(backwards)


def test_whatever_else_the_objective_returns_is_kept(tmp_path):
    def with_curve(settings):
        loss = objective(settings)
        return {"status": STATUS_OK, "loss": np.float32(loss), "curve": np.array([0.5, loss])}

    trial = run(tmp_path, n=1, function=with_curve).trials[0]
    assert trial.details == {"curve": [0.5, pytest.approx(trial.loss, abs=1e-6)]}
    assert type(trial.loss) is float


def test_what_an_objective_reports_is_the_curve(tmp_path):
    def learning(settings, report):
        for epoch in (1, 2, 3):
            report(epoch, np.float32(objective(settings) / epoch))
        return objective(settings)

    found = run(tmp_path, n=3, function=learning)
    for trial in found.trials:
        assert trial.curve == [pytest.approx(trial.loss / epoch) for epoch in (1, 2, 3)]
    assert found.epochs == 9
    assert found.table()["epochs_trained"].tolist() == [3, 3, 3]
    assert outcomes(run(tmp_path, n=3, function=learning)) == outcomes(found)


@pytest.mark.parametrize(
    ("epochs", "losses", "says"),
    [
        ([1, 3], ["0.1", "0.2"], "reported epoch 3, expected 2"),
        ([0], ["0.1"], "reported epoch 0, expected 1"),
        ([1, 2], ["0.1", "nan"], "the loss after epoch 2 is nan"),
    ],
)
def test_a_wrong_report_fails_the_trial_and_keeps_the_curve(tmp_path, epochs, losses, says):
    def learning(settings, report):
        for epoch, loss in zip(epochs, losses, strict=True):
            report(epoch, float(loss))
        return objective(settings)

    trial = run(tmp_path, n=1, function=learning).trials[0]
    assert trial.status == "failed" and says in trial.error
    assert trial.curve == [float(loss) for loss in losses[:-1]]


def test_a_trial_of_the_first_format_is_read(tmp_path):
    whole = outcomes(run(tmp_path))
    path = tmp_path / "trial_0003.json"
    values = json.loads(path.read_bytes())
    del values["curve"]
    path.write_text(json.dumps({**values, "format": 1}))
    assert outcomes(run(tmp_path)) == whole


# Failures


def test_failed_trials_are_recorded_and_do_not_stop_the_search(tmp_path):
    def often_fails(settings):
        if settings["optimizer"] == "adam":
            raise MemoryError("no room")
        if settings["dense_units"] == 512:
            return {"status": STATUS_FAIL, "message": "too many"}
        if settings["rate"] == 0.5:
            return math.nan
        return objective(settings)

    found = run(tmp_path, n=30, function=often_fails, algo=rand.suggest, max_failures=30)
    errors = {trial.error for trial in found.trials if not trial.ok}
    assert errors == {
        "MemoryError: no room",
        "RuntimeError: too many",
        "ValueError: the loss is nan, expected a finite number",
    }
    table = found.table()
    assert table["validation_accuracy"].isna().sum() == sum(not t.ok for t in found.trials)
    assert table["best_so_far"].dropna().is_monotonic_increasing
    assert found.best.ok


def test_failures_in_a_row_stop_the_search(tmp_path):
    def breaks(settings):
        raise RuntimeError("no network")

    with pytest.raises(SearchError, match=r"trials 1, 2, 3 failed, 3 in a row.*no network"):
        run(tmp_path, function=breaks, max_failures=3)
    assert len(list(tmp_path.glob("trial_*.json"))) == 3


def test_best_of_nothing_but_failures_says_why(tmp_path):
    found = run(tmp_path, n=2, function=lambda settings: math.inf)
    with pytest.raises(SearchError, match="none of 2 trials succeeded.*the loss is inf"):
        _ = found.best


def test_what_cannot_be_written_costs_no_trial_its_loss(tmp_path):
    def talkative(settings):
        return {"loss": objective(settings), "network": object(), "curve": [math.nan, 0.5]}

    trial = run(tmp_path, n=1, function=talkative).trials[0]
    assert trial.ok
    assert "network is of type object" in trial.details["network"]
    assert "nan" in trial.details["curve"]


# Going on


@pytest.mark.parametrize("first", [1, 3, 6, 8])
def test_a_search_in_two_parts_equals_one_in_one(tmp_path, first):
    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", n=first)
    assert outcomes(run(tmp_path / "parts")) == outcomes(whole)


def test_finished_trials_are_not_run_again(tmp_path):
    def counting(settings):
        counting.calls += 1
        return objective(settings)

    counting.calls = 0
    run(tmp_path, n=4, function=counting)
    run(tmp_path, n=6, function=counting)
    run(tmp_path, n=6, function=counting)
    assert counting.calls == 6


def test_known_settings_are_not_tried_again(tmp_path):
    space = {"a": hp.choice("a", [1, 2, 3])}
    calls = []

    def counting(settings):
        calls.append(settings["a"])
        return settings["a"]

    first = run(tmp_path / "a", n=8, function=counting, algo=rand.suggest, space=space, known=[])
    assert sorted(calls) == sorted({trial.parameters["a"] for trial in first.trials})
    assert [trial.loss for trial in first.trials] == [t.parameters["a"] for t in first.trials]
    before = len(calls)
    second = run(
        tmp_path / "b", n=8, function=counting, algo=rand.suggest, space=space, known=first.trials
    )
    assert len(calls) == before
    assert outcomes(second) == outcomes(first)
    run(tmp_path / "c", n=8, function=counting, algo=rand.suggest, space=space)
    assert len(calls) == before + 8  # everything is tried unless asked otherwise


def test_a_trial_in_the_middle_that_was_deleted_is_redone(tmp_path):
    whole = outcomes(run(tmp_path))
    (tmp_path / "trial_0003.json").unlink()
    assert outcomes(run(tmp_path)) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"space": {**SPACE, "rate": hp.choice("rate", [0.1, 0.9])}},
        {"function": lambda settings: objective(settings) + 1},
        {"algo": partial(tpe.suggest, n_startup_jobs=5)},
        {"seed": 1},
        {"depends_on": {"epochs": 5}},
    ],
    ids=["space", "objective", "algorithm", "seed", "depends_on"],
)
def test_another_search_is_refused_with_the_difference(tmp_path, change):
    run(tmp_path, n=2, depends_on={"epochs": 4})
    with pytest.raises(SearchError) as caught:
        run(tmp_path, n=4, **{"depends_on": {"epochs": 4}, **change})
    message = str(caught.value)
    assert "holds another search" in message
    assert any(line.startswith("  -") for line in message.splitlines())
    assert any(line.startswith("  +") for line in message.splitlines())
    assert len(list(tmp_path.glob("trial_*.json"))) == 2


# Bad input


@pytest.mark.parametrize("n", [0, -1, True, 2.5])
def test_max_evals_must_be_a_number_of_trials(tmp_path, n):
    with pytest.raises(ValueError, match="max_evals is .* expected a whole number from 1"):
        run(tmp_path, n=n)
    assert not list(tmp_path.iterdir())


def test_max_evals_below_what_is_done(tmp_path):
    run(tmp_path, n=5)
    with pytest.raises(ValueError, match="max_evals is 3, but .* trials up to number 5"):
        run(tmp_path, n=3)


def test_a_parameter_the_objective_does_not_take(tmp_path):
    space = {**SPACE, "densse_units": hp.choice("densse_units", [1, 2])}

    def asks_for_it(settings):
        return objective(settings) + ("densse_units" in settings)

    with pytest.raises(SearchError, match="never read densse_units"):
        run(tmp_path, function=asks_for_it, space=space)
    assert not list(tmp_path.glob("trial_*.json"))
    assert len(run(tmp_path, n=2).trials) == 2  # taken out of the space, it goes on there


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"space": hp.choice("x", [1, 2])}, "expected a dictionary of hp expressions"),
        ({"space": hp.uniform("x", 0, 1)}, "expected a dictionary of hp expressions"),
        ({"algo": tpe}, "expected a function such as tpe.suggest"),
        ({"algo": partial(rand.suggest, other=object())}, "other is of type object"),
        ({"depends_on": ["x"]}, "expected a dictionary"),
        ({"depends_on": {"x": {1}}}, "x is of type set"),
    ],
)
def test_what_cannot_be_searched_is_told_beforehand(tmp_path, wrong, says):
    with pytest.raises(ValueError, match=says):
        run(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_odd_names_and_texts_cost_no_trial(tmp_path):
    def odd(settings):
        if settings["optimizer"] == "adam":
            raise OSError("cannot open \udcff")
        return {"loss": objective(settings), (1, 2): 3, "text": "\udcff"}

    found = run(tmp_path, n=12, function=odd, algo=rand.suggest, max_failures=12)
    assert {trial.ok for trial in found.trials} == {True, False}
    assert outcomes(run(tmp_path, n=12, function=odd, algo=rand.suggest, max_failures=12)) == (
        outcomes(found)
    )


def test_known_settings_tell_one_from_true(tmp_path):
    space = {"a": hp.choice("a", [True, 1, 1.0])}

    def kind(settings):
        return float([bool, int, float].index(type(settings["a"])))

    found = run(tmp_path, n=9, function=kind, algo=rand.suggest, space=space, known=[])
    assert {trial.loss for trial in found.trials} == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"max_failures": 0}, {"seed": 1.5}])
def test_numbers_out_of_range_leave_no_trace(tmp_path, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*expected a whole number"):
        run(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_a_parameter_may_not_be_called_like_a_column(tmp_path):
    with pytest.raises(ValueError, match="its own column seconds"):
        run(tmp_path, space={"seconds": hp.uniform("seconds", 0, 1)})


class Callable:
    def __init__(self, width):
        self.width = width

    def __call__(self, settings):
        return objective(settings)


def holding(number):
    return lambda settings: objective(settings) + number


def choosing(numbers):
    return lambda settings: objective(settings) + numbers[0]


def adding(number, settings):
    return objective(settings) + number


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (holding(1), holding(2)),
        (partial(adding, 1), partial(adding, 2)),
        (choosing([1, 2]), choosing([2, 2])),
    ],
    ids=["closure", "partial", "list"],
)
def test_what_a_function_holds_counts(tmp_path, first, second):
    run(tmp_path, n=1, function=first)
    run(tmp_path, n=2, function=first)
    with pytest.raises(SearchError, match="holds another search"):
        run(tmp_path, n=2, function=second)


def test_an_object_that_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a plain function"):
        run(tmp_path, function=Callable(8))


def test_code_without_its_source_is_compared_alike_in_every_process():
    text = "def f(settings):\n    return sum(x for x in (settings['a'], 1))\n"
    code = (
        "from digit_utils.search.definition import _source; scope = {}; "
        f"exec({text!r}, scope); print(_source(scope['f']))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(said) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b'{"format": 1, "numb', "is damaged or cut short"),
        (b"\xff\xfe\x00", "is damaged or cut short"),
        (b"[1]", "has no entry 'format'"),
        (b'{"format": 99}', "was written by a newer version"),
        (b'{"format": 1}', "found the entries"),
    ],
)
def test_a_damaged_trial_file_is_named_and_left_alone(tmp_path, content, says):
    run(tmp_path, n=3)
    path = tmp_path / "trial_0002.json"
    path.write_bytes(content)
    with pytest.raises(SearchError) as caught:
        run(tmp_path, n=4)
    assert str(path) in str(caught.value) and says in str(caught.value)
    assert path.read_bytes() == content
    assert not (tmp_path / "trial_0004.json").exists()


@pytest.mark.parametrize("loss", ["NaN", "null", '"0.1"', "true", "1e999", "1" + "0" * 400])
def test_a_trial_without_a_proper_loss_is_refused(tmp_path, loss):
    run(tmp_path, n=1)
    path = tmp_path / "trial_0001.json"
    values = path.read_text()
    kept = json.loads(values)["loss"]
    path.write_text(values.replace(f'"loss": {kept}', f'"loss": {loss}'))
    says = "expected 'ok' or 'stopped' with a number|is not a JSON number"
    with pytest.raises(SearchError, match=says):
        run(tmp_path, n=1)


def test_trials_without_a_definition_are_not_continued(tmp_path):
    run(tmp_path, n=1)
    (tmp_path / "search.json").unlink()
    with pytest.raises(SearchError, match="no search.json"):
        run(tmp_path, n=2)


def test_a_folder_in_use_is_refused_and_names_the_process(tmp_path):
    def nested(settings):
        with pytest.raises(SearchError, match=f"in use by process {os.getpid()}"):
            run(tmp_path, n=1, function=nested)
        return objective(settings)

    assert run(tmp_path, n=1, function=nested).trials[0].ok


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SearchError, match="cannot be written"):
        run(tmp_path / "file" / "folder")


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    run(tmp_path, n=2)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        trial_store.TrialStore(tmp_path, {}).write(search.Trial(3, {}, 0, "ok", 0.0, None, 0.0))
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.json")} == before
    assert not list(tmp_path.glob(".*.tmp"))
    assert len(run(tmp_path, n=3).trials) == 3


# Stopped at any moment

KILLED = """
import sys, time
from functools import partial
from hyperopt import hp, tpe
from digit_utils.search import run_search

def objective(settings):
    time.sleep(0.01)
    return settings["rate"] + 1 / settings["units"]

space = {"rate": hp.uniform("rate", 0, 1), "units": hp.choice("units", [128, 256, 512])}
run_search(objective, space, partial(tpe.suggest, n_startup_jobs=4), 25, sys.argv[1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_and_resumed_it_comes_out_the_same(tmp_path):
    def start(folder):
        return subprocess.Popen([sys.executable, "-c", KILLED, folder], cwd=ROOT)

    def kept(folder):
        trials = [json.loads(path.read_bytes()) for path in sorted(folder.glob("trial_*.json"))]
        return [
            {name: t[name] for name in ("number", "parameters", "seed", "loss")} for t in trials
        ]

    assert start(tmp_path / "whole").wait() == 0
    chance, kills, seen = random.Random(0), 0, 0
    while True:
        process = start(tmp_path / "killed")
        while seen == len(kept(tmp_path / "killed")) and process.poll() is None:
            time.sleep(0.005)  # it has got on by a trial at least
        time.sleep(chance.uniform(0, 0.2))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        assert len(kept(tmp_path / "killed")) >= seen  # and none of it is damaged
        seen = len(kept(tmp_path / "killed"))
    assert process.returncode == 0
    assert kills >= 2
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")
    assert len(kept(tmp_path / "whole")) == 25


# Spaces


def test_spaces_are_described_in_plain_words():
    space = {
        "a": hp.choice("a", [1, "x", None, True, (3, 3), [64]]),
        "b": hp.uniform("b", 0, np.float64(0.5)),
        "c": hp.randint("c", 2, 9),
        "d": hp.quniform("d", 1, 10, 2),
        "e": hp.pchoice("e", [(0.25, "p"), (0.75, "q")]),
        "f": hp.uniformint("f", 1, 4),
    }
    assert describe_space(space) == {
        "a": {"choice": [1, "x", None, True, (3, 3), [64]]},
        "b": {"uniform": [0, 0.5]},
        "c": {"randint": [2, 9]},
        "d": {"quniform": [1, 10, 2]},
        "e": {"choice": ["p", "q"], "probabilities": [0.25, 0.75]},
        "f": {"quniform": [1, 4, 1.0]},
    }


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, "at least one entry"),
        ([hp.uniform("a", 0, 1)], "found list as space"),
        ({"a": [1, 2]}, "expected one hyperopt expression"),
        ({"a": hp.uniform("b", 0, 1)}, "a is labelled 'b'"),
        ({"a": hp.choice("a", [hp.uniform("b", 0, 1)])}, "nested spaces"),
        ({"a": hp.choice("a", [{"k": 1}])}, "nested spaces"),
        ({"a": hp.choice("a", [(1, hp.uniform("b", 0, 1))])}, "nested spaces"),
    ],
)
def test_spaces_that_cannot_be_described(space, says):
    with pytest.raises(ValueError, match=says):
        describe_space(space)


def test_draws_tell_equal_values_of_other_types_apart():
    space = {"a": hp.choice("a", [True, 1, 1.0, "1"])}
    assert [to_draws(space, {"a": value})["a"] for value in (True, 1, 1.0, "1")] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="a is 2, which is not among its choices"):
        to_draws(space, {"a": 2})
    with pytest.raises(ValueError, match="settings name"):
        to_draws(space, {"b": 1})


def test_continuous_parameters_survive_a_stop(tmp_path):
    space = {"x": hp.uniform("x", -1, 1), "n": hp.uniformint("n", 1, 9)}

    def bowl(settings):
        return settings["x"] ** 2 + settings["n"]

    whole = run(tmp_path / "a", n=12, function=bowl, space=space)
    run(tmp_path / "b", n=6, function=bowl, space=space)
    assert outcomes(run(tmp_path / "b", n=12, function=bowl, space=space)) == outcomes(whole)
    assert all(type(trial.parameters["n"]) is int for trial in whole.trials)


# What the chapter says of hyperopt, held against hyperopt itself


def test_both_searches_begin_with_the_same_trials(tmp_path):
    by_tpe, at_random = run(tmp_path / "t"), run(tmp_path / "r", algo=rand.suggest)
    names = list(SPACE)
    pd.testing.assert_frame_equal(by_tpe.table()[names][:4], at_random.table()[names][:4])
    assert not by_tpe.table()[names].equals(at_random.table()[names])


def test_hyperopts_default_is_twenty_random_trials(tmp_path):
    by_default = run(tmp_path / "t", n=20, algo=tpe.suggest)
    at_random = run(tmp_path / "r", n=20, algo=rand.suggest)
    assert [t.parameters for t in by_default.trials] == [t.parameters for t in at_random.trials]


def test_the_trials_are_those_of_hyperopts_own_loop(tmp_path):
    """Given the same random numbers, fmin draws the same settings and sees the same losses."""
    found = run(tmp_path, n=9)
    seeds = iter([trial.seed for trial in found.trials])

    class OneAfterTheOther:
        def integers(self, _):
            return next(seeds)

    trials = Trials()
    fmin(
        objective, SPACE, algo=TPE, max_evals=9, trials=trials, rstate=OneAfterTheOther(),
        show_progressbar=False, verbose=False,
    )  # fmt: skip
    for theirs, ours in zip(trials.trials, found.trials, strict=True):
        draws = {name: values[0] for name, values in theirs["misc"]["vals"].items()}
        assert draws == to_draws(SPACE, ours.parameters)
        assert theirs["result"]["loss"] == ours.loss


# Progress


@pytest.fixture
def shown(monkeypatch):
    """Collect what a notebook would show."""
    lines = []
    monkeypatch.setattr(SearchProgress, "_show", lambda self, bundle: lines.append(bundle))
    return lines


def test_progress_tells_the_best_and_the_time_left(tmp_path, shown):
    found = run(tmp_path, n=4, progress=SearchProgress("TPE"))
    texts = [bundle["text/plain"] for bundle in shown]
    for number, text in enumerate(texts, start=1):
        assert text.startswith(f"TPE: trial {number} of 4, best validation accuracy ")
        assert f"{found.table()['best_so_far'][number]:.4f}" in text
        assert ("left" in text) == (number < 4)


def test_the_time_left_does_not_count_trials_known_beforehand(shown):
    seconds = [10.0, 1e-4, 2e-4, 12.0]
    trials = [search.Trial(n, {}, 0, "ok", -0.5, None, s) for n, s in enumerate(seconds, 1)]
    SearchProgress("random")(trials, 6)
    assert "about 22 s left" in shown[-1]["text/plain"]


def test_progress_of_a_search_in_which_everything_fails(tmp_path, shown):
    run(tmp_path, n=2, function=lambda settings: math.nan, progress=SearchProgress("TPE"))
    assert all("no score yet" in bundle["text/plain"] for bundle in shown)


def test_progress_is_silent_outside_a_notebook(tmp_path, capsys):
    run(tmp_path, n=3, progress=SearchProgress("TPE"))
    assert capsys.readouterr().out == ""
