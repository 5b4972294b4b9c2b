"""The Ray engine tries what the plain one does, on several workers, and stops what lags behind."""

import json
import os
import re
import signal
import socket
import sys
import time
from functools import partial

import pytest
from hyperopt import hp, tpe
from runner_books import SQUARE, digits, make_book, start_digits, sweep_file
from search_cases import outcomes

from digit_utils.search import SearchError, run_search
from digit_utils.search import ray as engine
from digit_utils.search.ray import run_ray_search

EPOCHS = 9
SPACE = {"rate": hp.uniform("rate", 0, 1), "units": hp.choice("units", [128, 256])}
TPE = partial(tpe.suggest, n_startup_jobs=4)
ASHA = {"epochs": EPOCHS, "grace_period": 1, "reduction_factor": 3}


SEARCH_FILE = """
from dataclasses import dataclass
from hyperopt import hp

EPOCHS = 9
SPACE = {"rate": hp.uniform("rate", 0, 1)}
ASHA = {"epochs": 500, "grace_period": 1, "reduction_factor": 3}

@dataclass
class Settings:  # finds its module only if there is one
    rate: float

def objective(settings, report):
    settings = Settings(settings["rate"])
    for epoch in range(1, EPOCHS + 1):
        report(epoch, settings.rate + 1 / epoch)
    return settings.rate
"""


def objective(settings, report):
    loss = settings["rate"] + 1 / settings["units"]
    try:
        for epoch in range(1, EPOCHS + 1):
            report(epoch, loss + 1 / epoch)
    except Exception:  # of the objective's own: being stopped is not among them
        loss = 0.0
    return loss


def silent(settings):
    return settings["rate"]


@pytest.fixture(scope="module")
def ray():
    """A cluster on this machine for all tests: starting one costs seconds."""
    import ray

    # A worker cannot import this file by its name.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for name, value in engine.QUIET.items():
        os.environ.setdefault(name, value)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def run(folder, n=8, function=objective, algo=TPE, space=SPACE, jobs=1, **options):
    return run_ray_search(function, space, algo, n, folder, jobs=jobs, **options)


def test_one_worker_tries_what_the_plain_engine_tries(ray, tmp_path):
    """Either goes on with the other's trials."""
    whole = outcomes(run_search(objective, SPACE, TPE, 9, tmp_path / "whole"))
    run_search(objective, SPACE, TPE, 3, tmp_path / "parts")
    run(tmp_path / "parts", n=7)
    assert outcomes(run_search(objective, SPACE, TPE, 9, tmp_path / "parts")) == whole


def test_trials_that_others_outdo_are_stopped_early(ray, tmp_path):
    found = run(tmp_path, n=16, jobs=2, asha=ASHA)
    stopped = [trial for trial in found.trials if trial.status == "stopped"]
    assert stopped and found.best.ok
    for trial in stopped:
        assert len(trial.curve) in {1, 3}  # the rungs below the last epoch
        assert trial.loss == trial.curve[-1]
    assert all(len(trial.curve) == EPOCHS for trial in found.trials if trial.ok)
    # At its rung, whoever is stopped is behind somebody who came there and went on.
    for trial in stopped:
        rung = len(trial.curve)
        went_on = [t.curve[rung - 1] for t in found.trials if len(t.curve) > rung]
        assert trial.loss > min(went_on)
        assert trial.versions["hyperopt"]


def test_the_rungs_are_remembered(ray, tmp_path):
    whole = outcomes(run(tmp_path / "whole", n=10, asha=ASHA))
    run(tmp_path / "parts", n=6, asha=ASHA)
    assert outcomes(run(tmp_path / "parts", n=10, asha=ASHA)) == whole


def test_too_many_failures_in_a_row_stop_it_but_not_what_runs(ray, tmp_path):
    """The first trial to begin ends well, after the search has given up."""
    begun, folder = tmp_path / "begun", tmp_path / "search"

    def fails(settings, report):
        report(1, settings["rate"] + settings["units"])
        try:
            begun.touch(exist_ok=False)
        except FileExistsError:
            raise MemoryError("no room") from None
        while len(list(folder.glob("trial_*.json"))) < 5:
            time.sleep(0.05)
        time.sleep(0.5)
        return 1.0

    with pytest.raises(SearchError, match=r"failed, 5 in a row.*no room"):
        run(folder, function=fails, jobs=2)
    kept = [json.loads(path.read_bytes()) for path in folder.glob("trial_*.json")]
    errors = sorted(str(trial["error"]) for trial in kept)
    assert errors == 5 * ["MemoryError: no room"] + ["None"]
    assert all(len(trial["curve"]) == 1 for trial in kept)


def test_a_worker_that_dies_costs_one_trial(ray, tmp_path):
    def dies(settings, report):
        report(1, 0.5)
        if settings["units"] == 256:
            os._exit(1)
        return settings["rate"]

    found = run(tmp_path, n=6, function=dies)
    dead = [trial for trial in found.trials if trial.parameters["units"] == 256]
    assert 0 < len(dead) < 6
    for trial in dead:
        assert re.match("the worker ended without a result: .*(died|dead|exit)", trial.error)
        assert trial.curve == [0.5] and trial.versions["hyperopt"]
    assert all(trial.ok for trial in found.trials if trial.parameters["units"] == 128)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"jobs": 0}, "jobs is 0"),
        ({"asha": {**ASHA, "epochs": 1}}, "epochs is 1, expected a whole number from 2"),
        ({"asha": {**ASHA, "grace_period": 9}}, "grace_period is 9 of 9 epochs"),
        ({"asha": ASHA, "function": silent}, "takes no second argument"),
        ({"resources": {"cpu": -1}}, "cpu is -1"),
    ],
)
def test_wrong_requests_are_told_before_anything_starts(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        run(tmp_path / "folder", **options)
    assert not (tmp_path / "folder").exists()


def test_a_search_with_early_stopping_is_another_search_and_a_finished_one_needs_no_cluster(
    tmp_path,
):
    run_search(objective, SPACE, TPE, 3, tmp_path)
    with pytest.raises(SearchError, match=r"\+asha\.epochs: 9"):
        run(tmp_path, asha=ASHA)
    told = []
    found = run(tmp_path, n=3, address="127.0.0.1:1", progress=lambda t, of: told.append(len(t)))
    assert len(found.trials) == 3 and told == [3]


def test_what_cannot_be_searched_is_told_at_once(ray, tmp_path):
    with pytest.raises(SearchError, match=r"a job needs .*'GPU': 8.*no machine has that"):
        run(tmp_path, resources={"gpu": 8})
    with pytest.raises(SearchError, match="never read units"):
        run(tmp_path, function=silent)
    assert not list(tmp_path.glob("trial_*.json"))


def test_a_full_disk_ends_the_search(ray, tmp_path, monkeypatch):
    def full(folder, trial):
        raise OSError(28, "No space left on device", f"trial_{trial.number}")

    monkeypatch.setattr("digit_utils.search.run.write_trial", full)
    with pytest.raises(OSError, match="No space left on device"):
        run(tmp_path)


def test_a_cluster_that_runs_already(ray, tmp_path):
    """Another process connects to the cluster of these tests, for a search and for a sweep."""
    common = ("--engine", "ray", "--address", ray.get_runtime_context().gcs_address)
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, "chapter: 01\nseeds: [2, 3]\n")
    (root / "lab").mkdir()
    (root / "lab/beside_it.py").write_text("EPOCHS = 9\n")
    text = SEARCH_FILE.replace("EPOCHS = 9", "from beside_it import EPOCHS")
    (root / "lab/mine.py").write_text(text)
    done = digits(root, "search", "lab/mine.py", "--trials", "6", *common)
    assert done.returncode == 0, done.stderr
    assert "6 trials, " in done.stdout and "stopped early" in done.stdout
    assert len(list((root / "_build/searches/mine").glob("trial_*.json"))) == 6
    done = digits(root, "sweep", "sweep.yaml", *common)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs are good" in done.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_says_what_is_kept_also_without_short_tmpdir_or_home(
    tmp_path, monkeypatch, how
):
    (tmp_path / ("long" * 25)).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("long" * 25)))
    monkeypatch.setenv("HOME", "/dev/null")
    root = make_book(tmp_path, c01_square=SQUARE)
    (root / "mine.py").write_text(SEARCH_FILE.replace("EPOCHS + 1", "500"))
    process = start_digits(root, "search", "mine.py", "--trials", "40", "--engine", "ray")
    folder = root / "_build/searches/mine"
    while not list(folder.glob("trial_*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the finished trials are kept" in err and "Traceback" not in err


def test_where_ray_cannot_start_what_to_set_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 25)))
    root = make_book(tmp_path, c01_square=SQUARE)
    (root / "mine.py").write_text(SEARCH_FILE)
    done = digits(root, "search", "mine.py", "--trials", "1", "--engine", "ray")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search("Ray could not start .*set HOME and RAY_TMPDIR to short", done.stderr)


def test_without_ray_the_line_to_install_it_is_shown(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SearchError, match=r"pip install 'ray\[tune\]'"):
        run(tmp_path)
    assert not list(tmp_path.glob("trial_*.json"))


@pytest.mark.parametrize("listening", [False, True], ids=["closed", "silent"])
def test_a_cluster_that_does_not_answer(tmp_path, monkeypatch, listening):
    assert engine.PATIENCE <= 25  # five seconds are for the rest
    monkeypatch.setattr(engine, "PATIENCE", 8)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if listening:
            listener.listen()  # and never say a word
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(SearchError, match=f"the cluster at {address} cannot be used"):
            run(tmp_path, address=address)
        assert time.monotonic() - start < 13
