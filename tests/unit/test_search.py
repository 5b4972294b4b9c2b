"""Reading a hyperopt search: values instead of indices, failures, progress, and its start."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hyperopt import STATUS_FAIL, STATUS_OK, Trials, fmin, hp, rand, space_eval, tpe

from digit_utils import search
from digit_utils.search import SearchProgress, trials_to_frame

RATES = [0.1, 0.2, 0.3, 0.4, 0.5]
SPACE = {
    "rate": hp.choice("rate", RATES),
    "optimizer": hp.choice("optimizer", ["adam", "rmsprop"]),
    "dense_units": hp.choice("dense_units", [128, 256, 512]),
}


def objective(settings):
    return -(1 - settings["rate"])


def run(function=objective, n=8, algorithm=rand.suggest, seed=0, space=SPACE, **options):
    trials = Trials()
    best = fmin(
        function, space, algo=algorithm, max_evals=n, trials=trials, verbose=False,
        rstate=np.random.default_rng(seed), show_progressbar=False, **options,
    )  # fmt: skip
    return trials, best


def test_frame_holds_values_not_indices():
    trials, _ = run()
    frame = trials_to_frame(trials, SPACE)
    assert list(frame.columns) == [*SPACE, "validation_accuracy", "best_so_far"]
    assert frame.index.tolist() == list(range(1, 9))
    assert frame.index.name == "trial"
    assert set(frame["rate"]) <= set(RATES)
    assert set(frame["optimizer"]) <= {"adam", "rmsprop"}
    assert set(frame["dense_units"]) <= {128, 256, 512}
    np.testing.assert_allclose(frame["validation_accuracy"], 1 - frame["rate"])


def test_best_so_far_never_falls_and_ends_at_the_best():
    trials, best = run(n=12)
    frame = trials_to_frame(trials, SPACE)
    assert frame["best_so_far"].is_monotonic_increasing
    assert frame["best_so_far"].iloc[-1] == frame["validation_accuracy"].max()
    winner = frame.loc[frame["validation_accuracy"].idxmax()]
    assert winner["rate"] == space_eval(SPACE, best)["rate"]


def test_order_of_the_space_is_the_order_of_the_columns():
    trials, _ = run(n=2)
    backwards = dict(reversed(SPACE.items()))
    assert list(trials_to_frame(trials, backwards).columns[:3]) == list(backwards)


def test_failed_trials_are_nan_and_do_not_stop_the_search():
    def often_fails(settings):
        if settings["optimizer"] == "adam":
            return {"status": STATUS_FAIL, "message": "no memory"}
        return {"status": STATUS_OK, "loss": objective(settings)}

    trials, best = run(often_fails, n=12)
    frame = trials_to_frame(trials, SPACE)
    assert len(frame) == 12
    failed = frame["optimizer"] == "adam"
    assert 0 < failed.sum() < 12
    assert frame.loc[failed, "validation_accuracy"].isna().all()
    assert frame.loc[~failed, "validation_accuracy"].notna().all()
    assert space_eval(SPACE, best)["optimizer"] == "rmsprop"
    first_success = frame["validation_accuracy"].first_valid_index()
    assert frame.loc[first_success:, "best_so_far"].notna().all()
    assert frame["best_so_far"].dropna().is_monotonic_increasing


def test_tpe_goes_on_after_failures():
    def fails_at_first(settings):
        fails_at_first.calls += 1
        if fails_at_first.calls <= 3:
            return {"status": STATUS_FAIL}
        return {"status": STATUS_OK, "loss": objective(settings)}

    fails_at_first.calls = 0
    trials, _ = run(fails_at_first, n=8, algorithm=partial(tpe.suggest, n_startup_jobs=2))
    assert trials_to_frame(trials, SPACE)["validation_accuracy"].isna().sum() == 3


def test_empty_search_gives_an_empty_frame():
    frame = trials_to_frame(Trials(), SPACE)
    assert frame.empty
    assert list(frame.columns) == [*SPACE, "validation_accuracy", "best_so_far"]


def test_continuous_and_conditional_parameters():
    space = {
        "rate": hp.uniform("rate", 0, 0.5),
        "schedule": hp.choice("schedule", [{"kind": "flat"}, {"kind": "cosine"}]),
    }
    trials, _ = run(lambda settings: settings["rate"], space=space, n=5)
    frame = trials_to_frame(trials, space)
    assert frame["rate"].between(0, 0.5).all()
    np.testing.assert_allclose(-frame["validation_accuracy"], frame["rate"])
    assert {value["kind"] for value in frame["schedule"]} <= {"flat", "cosine"}


def test_trials_of_another_space_are_refused():
    trials, _ = run(n=2)
    other = {name: SPACE[name] for name in ("rate", "optimizer")}
    with pytest.raises(ValueError) as caught:
        trials_to_frame(trials, other)
    assert "dense_units" in str(caught.value)
    assert "trial 1" in str(caught.value)


# What the chapter says of hyperopt, held against hyperopt itself


def test_both_searches_begin_with_the_same_trials():
    by_tpe, _ = run(algorithm=partial(tpe.suggest, n_startup_jobs=5), n=7)
    at_random, _ = run(algorithm=rand.suggest, n=7)
    names = list(SPACE)
    first, second = (trials_to_frame(trials, SPACE)[names] for trials in (by_tpe, at_random))
    pd.testing.assert_frame_equal(first[:5], second[:5])


def test_searches_repeat_with_the_same_seed_and_differ_with_another():
    algorithm = partial(tpe.suggest, n_startup_jobs=3)
    frames = [
        trials_to_frame(run(algorithm=algorithm, n=8, seed=seed)[0], SPACE) for seed in (0, 0, 1)
    ]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert not frames[0].equals(frames[2])


def test_fmin_returns_indices():
    _, best = run(n=12)
    decoded = space_eval(SPACE, best)
    assert RATES[best["rate"]] == decoded["rate"]
    assert [128, 256, 512][best["dense_units"]] == decoded["dense_units"]


def test_hyperopts_default_is_twenty_random_trials():
    by_default, _ = run(algorithm=tpe.suggest, n=20)
    at_random, _ = run(algorithm=rand.suggest, n=20)
    pd.testing.assert_frame_equal(
        trials_to_frame(by_default, SPACE), trials_to_frame(at_random, SPACE)
    )


# Progress


@pytest.fixture
def shown(monkeypatch):
    """Collect what a notebook would show."""
    lines = []

    class Handle:
        display_id = "one"

    def display(bundle, raw, display_id):
        lines.append(("new", bundle["text/plain"]))
        return Handle()

    def update_display(bundle, display_id, raw):
        assert display_id == "one"
        lines.append(("update", bundle["text/plain"]))

    monkeypatch.setattr(search, "display", display)
    monkeypatch.setattr(search, "update_display", update_display)
    monkeypatch.setattr(search, "_in_notebook", lambda: True)
    return lines


def test_progress_is_one_line_updated_after_every_trial(shown):
    trials, _ = run(n=4, early_stop_fn=SearchProgress("TPE", 4))
    assert len(trials.trials) == 4  # it never stops the search
    assert [kind for kind, _ in shown] == ["new", "update", "update", "update"]
    best = trials_to_frame(trials, SPACE)["best_so_far"]
    for number, (_, text) in enumerate(shown, start=1):
        assert text.startswith(f"TPE: trial {number} of 4, ")
        assert f"{best[number]:.4f}" in text


def test_progress_of_a_search_in_which_everything_fails(shown):
    progress = SearchProgress("TPE", 2)
    trials = Trials()
    try:
        fmin(
            lambda settings: {"status": STATUS_FAIL}, SPACE, algo=rand.suggest, max_evals=2,
            trials=trials, early_stop_fn=progress, show_progressbar=False, verbose=False,
            rstate=np.random.default_rng(0),
        )  # fmt: skip
    except Exception as error:  # hyperopt has no winner to return, and says so at the end
        assert type(error).__name__ == "AllTrialsFailed"
    assert len(shown) == 2
    assert all("no score yet" in text for _, text in shown)


def test_progress_is_silent_outside_a_notebook(capsys):
    run(n=3, early_stop_fn=SearchProgress("TPE", 3))
    captured = capsys.readouterr()
    assert captured.out == ""
