"""A search tries what hyperopt proposes, records what comes of it, and says why it cannot."""

import math
from functools import partial

import numpy as np
import pytest
import yaml
from hyperopt import STATUS_FAIL, STATUS_OK, Trials, fmin, hp, rand, tpe
from search_cases import CONTINUOUS, RATES, SPACE, TPE, objective, outcomes, run

from digit_utils.search import SearchError
from digit_utils.search.definition import describe_space, to_draws


def test_table_and_best(tmp_path):
    backwards = dict(reversed(SPACE.items()))

    def reads_all(settings):
        return objective(settings) + (settings["optimizer"] == "adam")

    found = run(tmp_path, 12, reads_all, space=backwards)
    table = found.table()
    assert list(table.columns) == [
        *backwards, "validation_accuracy", "best_so_far", "outcome", "epochs_trained", "seconds"
    ]  # fmt: skip
    assert table.index.tolist() == list(range(1, 13))
    assert set(table["rate"]) <= set(RATES)  # values, not hyperopt's positions
    assert table["best_so_far"].is_monotonic_increasing
    assert found.best.loss == -table["validation_accuracy"].max()
    assert found.best.parameters == table.loc[found.best.number, list(SPACE)].to_dict()


def test_an_objective_written_as_for_hyperopt(tmp_path):
    """It may change its settings; tuples and lists stay what they are, also after a stop."""
    space = {
        "units": hp.quniform("units", 16, 128, 16),
        "layers": hp.choice("layers", [[64], [64, 32]]),
        "kernel": hp.choice("kernel", [(3, 3), (5, 5)]),
    }

    def as_in_tutorials(params):
        assert isinstance(params, dict) and type(params["layers"]) is list
        written = yaml.safe_dump(params)
        params["units"] = int(params["units"])
        kernel = params.pop("kernel")
        assert params.pop("absent", None) is None
        params["layers"].append(10)
        loss = np.float32(params.copy()["units"] / kernel[0])
        return {"loss": loss, "status": STATUS_OK, "written": written}

    run(tmp_path, 3, as_in_tutorials, space=space)
    for trial in run(tmp_path, 6, as_in_tutorials, space=space).trials:
        assert trial.ok, trial.error
        assert trial.parameters["kernel"] in [(3, 3), (5, 5)]
        assert trial.parameters["layers"] in [[64], [64, 32]]
        assert type(trial.parameters["units"]) is float
        assert "units: " in trial.details["written"]


def test_what_else_an_objective_returns_is_kept_as_far_as_it_can_be(tmp_path):
    def talkative(settings):
        loss = np.float32(objective(settings))
        others = {"curve": np.array([0.5, loss]), (1, 2): 3, "text": "\udcff"}
        return {"loss": loss, "network": object(), "odd": [math.nan], **others}

    (trial,) = run(tmp_path, 1, talkative).trials
    assert trial.ok and type(trial.loss) is float
    assert trial.details["curve"] == [0.5, pytest.approx(trial.loss, abs=1e-6)]
    assert trial.details["(1, 2)"] == 3
    assert "network is of type object" in trial.details["network"]
    assert "nan" in trial.details["odd"] and "not kept" in trial.details["text"]
    assert outcomes(run(tmp_path, 1, talkative)) == outcomes(run(tmp_path, 1, talkative))


@pytest.mark.parametrize(
    ("epochs", "losses", "says"),
    [
        ([1, 2, 3], ["0.5", "0.2", "0.1"], None),
        ([1, 3], ["0.1", "0.2"], "reported epoch 3, expected 2"),
        ([1, 2], ["0.1", "nan"], "the loss after epoch 2 is nan"),
    ],
)
def test_what_an_objective_reports_is_the_curve(tmp_path, epochs, losses, says):
    def learning(settings, report):
        for epoch, loss in zip(epochs, losses, strict=True):
            report(epoch, np.float64(loss))
        return objective(settings)

    found = run(tmp_path, 1, learning)
    (trial,) = found.trials
    kept = losses[:-1] if says else losses
    assert trial.curve == [float(loss) for loss in kept]
    assert found.epochs == found.table()["epochs_trained"].sum() == len(kept)
    assert trial.ok if says is None else says in trial.error


def test_failed_trials_are_recorded_and_do_not_stop_the_search(tmp_path):
    def often_fails(settings):
        often_fails.calls += 1
        if often_fails.calls == 2:
            raise OSError("cannot open \udcff")
        if often_fails.calls == 3:
            return {"status": STATUS_FAIL, "message": "too many"}
        return math.nan if often_fails.calls == 5 else objective(settings)

    often_fails.calls = 0
    found = run(tmp_path, 7, often_fails)
    assert {trial.number: trial.error for trial in found.trials if not trial.ok} == {
        2: "OSError: cannot open \\udcff",
        3: "RuntimeError: too many",
        5: "ValueError: the loss is nan, expected a finite number",
    }
    table = found.table()
    assert table["validation_accuracy"].isna().tolist() == [not t.ok for t in found.trials]
    assert table["best_so_far"].is_monotonic_increasing
    assert found.best.ok
    assert outcomes(run(tmp_path, 7, often_fails)) == outcomes(found)


def test_failures_in_a_row_stop_the_search(tmp_path):
    def breaks(settings):
        raise RuntimeError("no network")

    with pytest.raises(SearchError, match=r"none of 2 trials succeeded.*no network"):
        _ = run(tmp_path, 2, breaks).best
    with pytest.raises(SearchError, match=r"trials 1, 2, 3, 4, 5 failed, 5 in a row.*no network"):
        run(tmp_path, function=breaks)
    assert len(list(tmp_path.glob("trial_*.json"))) == 5


def test_known_settings_are_not_tried_again(tmp_path):
    """They tell 1 from True."""
    space, calls = {"a": hp.choice("a", [True, 1, 1.0])}, []

    def counting(settings):
        calls.append(settings["a"])
        return float([bool, int, float].index(type(settings["a"])))

    search = partial(run, n=9, function=counting, algo=rand.suggest, space=space)
    first = search(tmp_path / "a", known=[])
    assert sorted(map(repr, calls)) == ["1", "1.0", "True"]
    assert {trial.loss for trial in first.trials} == {0.0, 1.0, 2.0}
    assert outcomes(search(tmp_path / "b", known=first.trials)) == outcomes(first)
    assert len(calls) == 3
    search(tmp_path / "c")
    assert len(calls) == 3 + 9  # everything is tried unless asked otherwise


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"space": hp.choice("x", [1, 2])}, "expected a dictionary of hp expressions"),
        ({"space": {"a": [1, 2]}}, "expected one hyperopt expression"),
        ({"space": {"a": hp.uniform("b", 0, 1)}}, "a is labelled 'b'"),
        ({"space": {"a": hp.choice("a", [hp.uniform("b", 0, 1)])}}, "nested spaces"),
        ({"space": {"seconds": hp.uniform("seconds", 0, 1)}}, "its own column seconds"),
        ({"algo": tpe}, "expected a function such as tpe.suggest"),
        ({"algo": partial(rand.suggest, other=object())}, "other is of type object"),
        ({"function": "objective"}, "expected a plain function"),
        ({"depends_on": ["x"]}, "expected a dictionary"),
        ({"n": 0}, "max_evals is 0, expected a whole number from 1"),
        ({"n": 2.5}, "max_evals is 2.5, expected a whole number"),
        ({"seed": -1}, "seed is -1, expected a whole number from 0"),
    ],
)
def test_what_cannot_be_searched_is_told_beforehand(tmp_path, wrong, says):
    with pytest.raises(ValueError, match=says):
        run(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


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


# What the chapter says of hyperopt, held against hyperopt itself


def test_hyperopts_default_is_twenty_random_trials(tmp_path):
    by_default = run(tmp_path / "t", 21, algo=tpe.suggest)
    at_random = run(tmp_path / "r", 21, algo=rand.suggest)
    pairs = zip(by_default.trials, at_random.trials, strict=True)
    same = [one.parameters == other.parameters for one, other in pairs]
    assert same == [True] * 20 + [False]


def test_the_trials_are_those_of_hyperopts_own_loop(tmp_path):
    """Given the same random numbers, fmin draws the same settings and sees the same losses."""
    found = run(tmp_path, 9)
    seeds = iter([trial.seed for trial in found.trials])

    class OneAfterTheOther:
        def integers(self, _):
            return next(seeds)

    trials = Trials()
    fmin(
        objective, CONTINUOUS, algo=TPE, max_evals=9, trials=trials, rstate=OneAfterTheOther(),
        show_progressbar=False, verbose=False,
    )  # fmt: skip
    for theirs, ours in zip(trials.trials, found.trials, strict=True):
        draws = {name: values[0] for name, values in theirs["misc"]["vals"].items()}
        assert draws == to_draws(CONTINUOUS, ours.parameters)
        assert theirs["result"]["loss"] == ours.loss
