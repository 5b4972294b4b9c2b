"""A few hundred hostile files for each reader; scripts/fuzz.py tries as many as it is told to."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest
from fuzzing import Escape, Target, all_targets, try_case
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
CASES = 40  # of each; slow readers get fewer


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("fuzz", ROOT / "scripts" / "fuzz.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", all_targets())
def test_whatever_is_read_is_accepted_rightly_or_refused(tmp_path, name):
    target = all_targets()[name]

    # Always the same cases: chance belongs into the long run, not in front of a change.
    @settings(
        max_examples=max(5, round(CASES * target.share)),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.cases)
    def attempt(case):
        assert try_case(target, case, tmp_path) in {"accepted", "refused"}

    attempt()


def test_the_recorded_run_is_long_and_nothing_escaped():
    record = json.loads((ROOT / "results" / "fuzz.json").read_bytes())
    assert set(record["targets"]) == set(all_targets())
    assert record["total"]["cases"] >= 100_000
    assert record["total"]["escapes"] == 0
    for name, found in record["targets"].items():
        assert found["accepted"] and found["refused"], f"{name}: only one of the two was tried"


# ---- The net itself ------------------------------------------------------------------------------


def _hang(case, folder):
    time.sleep(5)


def _wrong(case, folder):
    assert case == "right", "another value"


def _stray(case, folder):
    raise KeyError(case)


def _dumb(case, folder):
    raise ValueError("")


def _leaves_by_the_back_door(case, folder):
    sys.exit(0)


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (_wrong, "wrong reading: another value"),
        (_stray, "KeyError"),
        (_dumb, "a message of 0 characters"),
        (_leaves_by_the_back_door, "SystemExit"),
        pytest.param(
            _hang,
            "no answer within",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no alarm"),
        ),
    ],
)
def test_the_net_catches(script, tmp_path, capsys, read, says):
    target = Target("net", st.just("x"), read, (ValueError,), seconds=0.1)
    with pytest.raises(Escape, match=says):
        try_case(target, "x", tmp_path)
    found = script.fuzz(target, 3, 0, tmp_path / "kept")
    assert found["escapes"] == 1
    (kept,) = (tmp_path / "kept").iterdir()
    assert "'x'" in kept.read_text() and says in kept.read_text()
    assert says in capsys.readouterr().err


def test_whatever_escapes_is_kept(script, tmp_path):
    def read(case, folder):
        raise AssertionError("half a character: \ud800")

    case = ["\ud800", 10**5000]  # neither can simply be written
    script.fuzz(Target("net", st.just(case), read, (ValueError,), seconds=1), 3, 0, tmp_path)
    (kept,) = tmp_path.iterdir()
    text = kept.read_text("utf-8")
    assert text.startswith("wrong reading: half a character: \\ud800\n")
    assert f"['\\ud800', 1{'0' * 5000}]" in text


def test_a_quick_look_leaves_the_record_alone(script, tmp_path, monkeypatch, capsys):
    record = tmp_path / "fuzz.json"
    monkeypatch.setattr(script, "RECORD", record)
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "value", "--cases", "20"])
    assert script.main() == 0
    assert not record.exists()
    assert "Not recorded: fewer than 10,000 cases" in capsys.readouterr().out


def test_every_script_has_a_help():
    scripts = [path.read_text("utf-8") for path in sorted((ROOT / "scripts").glob("*.py"))]
    started = [text for text in scripts if "__main__" in text]
    assert len(started) > 5
    assert all("ArgumentParser(" in text for text in started)
