"""A search keeps every finished trial and goes on with them, or says why it cannot."""

import json
import os
from functools import partial

import pytest
from hyperopt import hp, tpe
from search_cases import CONTINUOUS, objective, outcomes, run

from digit_utils.search import SearchError


@pytest.mark.parametrize("first", [3, 8])
def test_a_search_in_two_parts_equals_one_in_one(tmp_path, first):
    def counting(settings):
        counting.calls += 1
        return objective(settings)

    counting.calls = 0
    whole = outcomes(run(tmp_path / "whole", function=counting))
    run(tmp_path / "parts", first, counting)
    assert outcomes(run(tmp_path / "parts", function=counting)) == whole
    assert counting.calls == 16  # none was run again
    with pytest.raises(ValueError, match=r"max_evals is 3, but .* trials up to number 8"):
        run(tmp_path / "parts", 3, counting)
    assert all(type(parameters["dense_units"]) is int for _, parameters, *_ in whole)


def test_a_trial_is_one_file_of_values_redone_if_deleted_and_read_in_its_first_format(tmp_path):
    found = run(tmp_path)
    files = sorted(tmp_path.glob("trial_*.json"))
    assert [path.name for path in files] == [f"trial_{n:04}.json" for n in range(1, 9)]
    for path, trial in zip(files, found.trials, strict=True):
        kept = json.loads(path.read_bytes())
        assert kept["parameters"] == trial.parameters
        assert kept["loss"] == pytest.approx(objective(kept["parameters"]))
        assert kept["versions"]["hyperopt"]
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".pkl", ".tmp"}]
    files[2].unlink()
    del kept["curve"]
    files[-1].write_text(json.dumps({**kept, "format": 1}))
    assert outcomes(run(tmp_path)) == outcomes(found)


def holding(number):
    return lambda settings: objective(settings) + number


@pytest.mark.parametrize(
    ("first", "change"),
    [
        ({}, {"space": {**CONTINUOUS, "rate": hp.uniform("rate", 0, 0.5)}}),
        ({}, {"function": lambda settings: objective(settings) + 1}),
        ({"function": holding(1)}, {"function": holding(2)}),
        ({}, {"algo": partial(tpe.suggest, n_startup_jobs=5)}),
        ({}, {"seed": 1}),
        ({"depends_on": {"epochs": 4}}, {"depends_on": {"epochs": 5}}),
    ],
    ids=["space", "objective", "closure", "algorithm", "seed", "depends_on"],
)
def test_another_search_is_refused_with_the_difference(tmp_path, first, change):
    run(tmp_path, 1, **first)
    run(tmp_path, 2, **first)
    with pytest.raises(SearchError, match="holds another search") as caught:
        run(tmp_path, 4, **{**first, **change})
    lines = str(caught.value).splitlines()
    assert any(line.startswith("  -") for line in lines)
    assert any(line.startswith("  +") for line in lines)
    assert len(list(tmp_path.glob("trial_*.json"))) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b'{"format": 1, "numb', "is damaged or cut short"),
        (b'{"loss": NaN}', "float values are not JSON"),
        (b"[1]", "found format None, expected 1 to 2"),
        (b'{"format": 99}', "was written by a newer version"),
        (b'{"format": 1}', "found the entries"),
    ],
)
def test_a_damaged_trial_file_is_named_and_left_alone(tmp_path, content, says):
    run(tmp_path, 3)
    path = tmp_path / "trial_0002.json"
    path.write_bytes(content)
    with pytest.raises(SearchError) as caught:
        run(tmp_path, 4)
    assert str(path) in str(caught.value) and says in str(caught.value)
    assert path.read_bytes() == content
    assert not (tmp_path / "trial_0004.json").exists()


def test_trials_without_a_loss_or_a_definition_are_not_continued(tmp_path):
    run(tmp_path, 1)
    path = tmp_path / "trial_0001.json"
    good = path.read_text()
    path.write_text(good.replace('"ok"', '"failed"'))
    with pytest.raises(SearchError, match=r"'failed' with loss .* or 'failed' without"):
        run(tmp_path, 1)
    path.write_text(good)
    (tmp_path / "search.json").unlink()
    with pytest.raises(SearchError, match=r"no search\.json"):
        run(tmp_path, 2)


def test_a_folder_in_use_is_refused_and_names_the_process(tmp_path):
    def nested(settings):
        with pytest.raises(SearchError, match=f"in use by process {os.getpid()}"):
            run(tmp_path, 1, nested)
        return objective(settings)

    assert run(tmp_path, 1, nested).trials[0].ok


def typed(number):
    """An objective as if typed at a prompt: no file has its source."""
    names = {}
    code = "return settings['rate'] + settings['dense_units'] + (lambda: {})()"
    exec(f"def objective(settings): {code.format(number)}", names)
    return names["objective"]


def test_an_objective_without_a_source_is_compared_by_its_code(tmp_path):
    run(tmp_path, 1, typed(1))
    assert len(run(tmp_path, 2, typed(1)).trials) == 2
    with pytest.raises(SearchError, match="holds another search"):
        run(tmp_path, 3, typed(2))
