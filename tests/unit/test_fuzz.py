"""Readers get damaged files, a few of each kind; experiments/fuzz.py tries 100,000."""

import json
import sys

import pytest
from helpers import ROOT

if sys.platform == "win32":
    pytest.skip("Windows has no alarm", allow_module_level=True)
from experiments import fuzz, fuzz_targets


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_damaged_files_are_accepted_rightly_or_refused(name):
    assert not fuzz.try_many(name, 0, 12, seed=1)["escapes"]


def read(path, raw):
    while raw == b"slow":
        pass
    if raw in (b"refused", b""):
        raise fuzz_targets.Refused(raw.decode())
    if raw == b"half":
        return path.with_suffix(".tmp").touch()
    assert raw == b"right"
    return {}["stray"]


@pytest.mark.parametrize("raw", [b"slow", b"wrong", b"", b"half", b"right"])
def test_the_net_catches_what_escapes(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fuzz.try_case(read, tmp_path / "x", b"refused") == "refused"
    assert fuzz.try_case(read, tmp_path / "x", raw, 0.3) not in ("accepted", "refused")


def test_the_recorded_run_is_long_and_nothing_escaped():
    record = json.loads((ROOT / "results" / "fuzz.json").read_bytes())
    assert set(record["targets"]) == set(fuzz.TARGETS)
    assert record["total"]["cases"] >= 100_000 and record["total"]["escapes"] == 0
    assert all(found["accepted"] and found["refused"] for found in record["targets"].values())
