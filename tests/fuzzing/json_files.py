"""Artifacts, trials of a search and records of a sweep: JSON that somebody may have touched."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from digit_utils.artifacts import ArtifactError, load_json
from digit_utils.search.trials import SearchError, Trial, TrialStore
from digits_cli.sweep import RECORD, Place
from fuzzing.harness import Refused, Target, damaged, leaves_nothing_behind

TOKENS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"[" * 5000, b'{"a":' * 3000, b"null",
    b"true", b'""', b"{}", b"[]", b"9" * 5000, b"1" + b"0" * 400, b"0.1", b"-0", b'"\\ud800"',
    b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xc3", b'"__class__"', b"\n", b",", b":", b"}", b"]",
]  # fmt: skip


def _values() -> st.SearchStrategy:
    simple = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
        | st.sampled_from([10**400, "ok", "failed", "stopped", "../../x", [], {}, "<script>"])
    )  # fmt: skip
    return st.recursive(
        simple,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=6,
    )


def _strict(raw: bytes) -> Any:
    """Read JSON as RFC 8259 has it; None for what is not, or not an object of finite numbers.

    None, too, for one with a name twice, which programs read differently, or over a hundred levels.
    """

    def refuse(text: str) -> None:
        raise ValueError(text)

    def once(pairs: list) -> dict:
        return dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else refuse("twice")

    try:
        value = json.loads(raw, parse_constant=refuse, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _finite(value) and _levels(value) <= 100 else None


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_levels, inner), default=0) if isinstance(value, dict | list) else 0


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


# ---- Artifacts -----------------------------------------------------------------------------------

ARTIFACT = json.dumps({"best": {"rate": 0.25, "units": [64, 128]}, "note": "é", "n": 3}).encode()


def read_artifact(raw: bytes, folder: Path) -> None:
    """Read an artifact; it is the JSON object of the file."""
    (folder / "made.json").write_bytes(raw)
    expected = _strict(raw)
    try:
        with leaves_nothing_behind(folder):
            read, origin = load_json(folder, "made", "05_hyperopt")
    except ArtifactError as error:
        assert expected is None, f"refused a good file: {error}"
        assert "made.json" in str(error)
        raise
    assert origin == "artifacts"
    assert expected is not None, "accepted a bad file"
    assert read == expected


# ---- Trials --------------------------------------------------------------------------------------

SEARCH = {"space": {"rate": "0 to 1"}, "objective": "def f(): ...", "seed": 0}
TRIAL = {
    "format": 2, "number": 1, "parameters": {"rate": 0.5}, "seed": 7, "status": "ok", "loss": 0.25,
    "error": None, "seconds": 1.5, "curve": [0.5, 0.25], "details": {}, "versions": {"keras": "3"},
}  # fmt: skip


@st.composite
def trials(draw: Any) -> tuple[str, bytes, bytes]:
    """A trial's file name and content, and the search's definition."""
    trial = dict(TRIAL)
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from([*TRIAL, "more"]))
        if draw(st.integers(0, 5)) == 0:
            trial.pop(name, None)
        else:
            trial[name] = draw(_values())
    raw = draw(damaged(json.dumps(trial).encode(), TOKENS, most=1))
    definition = json.dumps({"format": 2, **SEARCH}).encode()
    if draw(st.integers(0, 3)) == 0:
        definition = draw(damaged(definition, TOKENS, most=2))
    names = ["trial_0001.json"] * 6 + [
        "trial_1.json",
        "trial_٣.json",
        "trial_0002.json",
        "trial_.json",
    ]
    return draw(st.sampled_from(names)), raw, definition


def _right(trial: Trial) -> bool:
    """Whether a trial is one the rest of the code can use, told from its description."""
    number = (int, float)
    return all(
        [
            type(trial.number) is int,
            isinstance(trial.parameters, dict) and _finite(trial.parameters),
            type(trial.seed) is int,
            trial.status in ("ok", "stopped", "failed"),
            trial.loss is None
            if trial.status == "failed"
            else type(trial.loss) in number and math.isfinite(trial.loss),
            trial.error is None or isinstance(trial.error, str),
            type(trial.seconds) in number and math.isfinite(trial.seconds),
            isinstance(trial.curve, list)
            and all(type(loss) in number and math.isfinite(loss) for loss in trial.curve),
            isinstance(trial.details, dict) and _finite(trial.details),
            isinstance(trial.versions, dict),
        ]
    )


def read_trial(case: tuple[str, bytes, bytes], folder: Path) -> None:
    """Go on with a search in which one trial is kept."""
    name, raw, definition = case
    (folder / name).write_bytes(raw)
    (folder / "search.json").write_bytes(definition)
    with TrialStore(folder, SEARCH) as store:
        found = store.read()
        assert (folder / name).read_bytes() == raw, "the trial's file was changed"
        if name not in ("trial_0001.json", "trial_0002.json"):
            assert not found, f"took {name} for a trial"
            return
        (trial,) = found
        assert trial.number == int(name[6:-5]), "another number than the file's"
        values = _strict(raw)
        assert values is not None, "accepted what is no JSON object of finite numbers"
        first_format = values.pop("format") == 1
        for key, value in values.items():
            if not (first_format and key == "curve"):
                assert getattr(trial, key) == value
        assert _right(trial), f"accepted {trial!r:.300}"
        stored = json.loads(definition)
        assert stored.pop("format") in (1, 2) and stored == SEARCH


# ---- Records of a sweep --------------------------------------------------------------------------

RUN = {
    "format": 1, "run": "0a1b2c3d4e5f", "status": "ok", "notebook": "01_first.ipynb",
    "commit": None,
    "versions": {}, "parameters": {"SEED": 1}, "results": {"accuracy": 0.5, "nested": {"a": 1}},
    "seconds": 1.5, "peak_memory_mb": 200, "error": None,
}  # fmt: skip


@st.composite
def records(draw: Any) -> bytes:
    """What may lie in a run's folder as its record."""
    record = dict(RUN)
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from([*RUN, "more"]))
        if draw(st.integers(0, 4)) == 0:
            record.pop(name, None)
        else:
            record[name] = draw(_values())
    return draw(damaged(json.dumps(record).encode(), TOKENS, most=1))


def read_record(raw: bytes, folder: Path) -> None:
    """Read a run's record; a damaged one counts as none, a good one can be reported."""
    from digits_cli.sweep_report import gather

    key = RUN["run"]
    (folder / key).mkdir()
    (folder / key / RECORD).write_bytes(raw)
    (run,) = Place(None, folder).runs({key: {"SEED": 1}})
    record = run.record
    values = _strict(raw)
    if not record:
        assert values != RUN, "a good record was not found"
        raise Refused("counts as none")
    assert record == values
    notebook = record.get("notebook")
    assert notebook is None or Path(notebook).name == notebook, "leads out of the run's folder"
    table = gather([run])
    assert list(table["run"]) == [key]
    assert record["status"] in ("ok", "failed") and isinstance(record.get("error"), str | None)


TARGETS = (
    Target("artifact", damaged(ARTIFACT, TOKENS), read_artifact, (ArtifactError,)),
    Target("trial", trials(), read_trial, (SearchError,)),
    Target("record", records(), read_record, (), share=0.6),
)
