"""Artifacts between chapters, and the atomic writing and plain values under them."""

from __future__ import annotations

import enum
import os
import stat
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_utils import artifacts
from digit_utils.artifacts import ArtifactError, load_json, load_recorded, save_json
from digit_utils.io import to_plain, write_atomically

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
not_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    folder = tmp_path / "recorded"
    monkeypatch.setattr(artifacts, "RECORDED_FOLDER", folder)
    save_json(folder, "best", {"from": "book"})
    return folder


@settings(deadline=None, max_examples=25)
@given(payload=st.dictionaries(st.text(), JSON_VALUES))
def test_any_json_comes_back(tmp_path_factory, payload):
    folder = tmp_path_factory.mktemp("runs") / "artifacts"
    path = save_json(folder, "x", payload)
    assert path == folder / "x.json" and path.read_bytes().endswith(b"}\n")
    assert load_json(folder, "x", "01_eda") == (payload, "artifacts")
    assert os.listdir(folder) == ["x.json"]


def test_own_goes_before_recorded(tmp_path, recorded, monkeypatch, capsys):
    for variable in ("HOME", "USERPROFILE"):  # the second is Windows'
        monkeypatch.setenv(variable, str(tmp_path))
    assert load_json("~/artifacts", "best", "05_hyperopt") == ({"from": "book"}, "recorded")
    assert capsys.readouterr().out == (
        "Using the recorded copy of best.json: artifacts/ has none. "
        "Run 05_hyperopt to make your own.\n"
    )
    save_json("~/artifacts", "best", {"from": "me"})
    assert load_json("~/artifacts", "best", "05_hyperopt") == ({"from": "me"}, "artifacts")
    assert load_json(tmp_path / "artifacts", "best", "05_hyperopt")[0] == {"from": "me"}
    assert capsys.readouterr().out == ""
    assert load_recorded("best") == {"from": "book"}


def test_neither(tmp_path, recorded):
    with pytest.raises(ArtifactError) as caught:
        load_json(tmp_path / "artifacts", "other", made_by="05_hyperopt")
    assert f"{tmp_path / 'artifacts' / 'other.json'}: no such artifact" in str(caught.value)
    assert str(caught.value).endswith("run 05_hyperopt first")
    with pytest.raises(ArtifactError, match=r"other\.json: cannot be read .*install digit_utils"):
        load_recorded("other")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b'{"lr": 0.5, "un', "is damaged or cut short"),
        (b'{"lr": NaN}', "NaN is not a JSON number"),
        (b'{"lr": 1, "lr": 2}', "it names 'lr' twice"),
        (b"\xff\xfe\x00", "is damaged or cut short"),
        (b"[1, 2]", "found a JSON list, expected a JSON object"),
    ],
)
def test_damaged(tmp_path, recorded, content, found):
    path = tmp_path / "best.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        load_json(tmp_path, "best", "05_hyperopt")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert "run 05_hyperopt again, or delete the file to use the recorded copy" in message


def test_not_finite_is_refused_and_nothing_is_written(recorded):
    with pytest.raises(ValueError, match=r"best\.json\['lr'\].* cannot hold"):
        save_json(recorded, "best", {"lr": float("nan")})
    assert load_recorded("best") == {"from": "book"}
    assert os.listdir(recorded) == ["best.json"]


# ---------------------------------------------------------------- plain values


def test_plain_values():
    class Kind(enum.IntEnum):
        ONE = 1

    plain = to_plain({"a": (np.bool_(True), Kind.ONE, np.str_("x")), np.int8(3): {4: None}})
    assert plain == {"a": [True, 1, "x"], "3": {"4": None}}
    assert [type(item) for item in plain["a"]] == [bool, int, str]
    assert to_plain(np.array(3.0)) == 3.0
    assert to_plain(np.zeros((1, 2), np.uint8)) == [[0, 0]]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"a": {1, 2}}, TypeError, r"x\['a'\] is of type set"),
        ({"a": [0, b"raw"]}, TypeError, r"x\['a'\]\[1\] is of type bytes"),
        ({1.5: 0}, TypeError, r"key 1\.5 of type float"),
        ({True: 0}, TypeError, "key True of type bool"),
        ({1: 0, "1": 0}, ValueError, "two keys that read '1'"),
        (np.array([1, np.nan]), ValueError, r"x\[1\] is nan"),
        (np.float32("inf"), ValueError, "x is inf"),
        (np.array([object()]), TypeError, r"x\[0\] is of type object"),
    ],
)
def test_not_plain(value, error, message):
    with pytest.raises(error, match=message):
        to_plain(value, "x")


# ---------------------------------------------------------------- atomic writing


@not_windows
def test_write_replaces_what_a_link_leads_to_and_keeps_its_rights(tmp_path):
    real = tmp_path / ("x" * 250)
    mask = os.umask(0o022)
    try:
        assert write_atomically(str(real), b"old") == real
        assert stat.S_IMODE(real.stat().st_mode) == 0o644
    finally:
        os.umask(mask)
    real.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(real)
    assert write_atomically(link, b"new") == link
    assert link.is_symlink() and real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["link", real.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file(tmp_path, monkeypatch, step, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)) as caught:
        write_atomically(path, b"new")
    if isinstance(error, OSError):
        told = "[Errno 28] No space left on device; nothing was written"
        assert str(caught.value) == f"{told}: {str(path)!r}"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_missing_folder_and_folder_as_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="its folder does not exist; create the folder"):
        write_atomically(tmp_path / "a" / "b", b"")
    with pytest.raises(IsADirectoryError, match="found a folder; add a file name"):
        write_atomically(tmp_path, b"")
