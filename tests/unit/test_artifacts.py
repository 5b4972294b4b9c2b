"""Artifacts between chapters, and the atomic writing under them."""

from __future__ import annotations

import enum
import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_utils import artifacts
from digit_utils.artifacts import ArtifactError, load_json, save_json
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


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    folder = tmp_path / "recorded"
    folder.mkdir()
    monkeypatch.setattr(artifacts, "RECORDED_FOLDER", folder)
    return folder


# ---------------------------------------------------------------- save and load


def test_round_trip(tmp_path, recorded, capsys):
    folder = tmp_path / "runs" / "artifacts"
    payload = {"lr": np.float32(0.5), "units": np.int64(7), "losses": np.array([1.5, 2.0]), "é": ()}
    path = save_json(folder, "best", payload)
    assert path == folder / "best.json"
    expected = {"lr": 0.5, "units": 7, "losses": [1.5, 2.0], "é": []}
    assert load_json(folder, "best", "05_hyperopt") == (expected, "artifacts")
    assert load_json(str(folder), "best.json", made_by="05_hyperopt")[0] == expected
    assert capsys.readouterr().out == ""
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert os.listdir(folder) == ["best.json"]


@settings(deadline=None, max_examples=25)
@given(payload=st.dictionaries(st.text(), JSON_VALUES))
def test_any_json_comes_back(tmp_path_factory, payload):
    folder = tmp_path_factory.mktemp("artifacts")
    save_json(folder, "x", payload)
    assert load_json(folder, "x", "01_eda")[0] == payload


def test_recorded_copy_with_one_line_of_notice(tmp_path, recorded, capsys):
    save_json(recorded, "best", {"from": "book"})
    assert load_json(tmp_path / "artifacts", "best", "05_hyperopt") == (
        {"from": "book"},
        "recorded",
    )
    assert capsys.readouterr().out == (
        "Using the recorded copy of best.json: artifacts/ has none. "
        "Run 05_hyperopt to make your own.\n"
    )


def test_own_goes_before_recorded(tmp_path, recorded, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):  # the second is Windows'
        monkeypatch.setenv(variable, str(tmp_path))
    save_json(recorded, "best", {"from": "book"})
    save_json("~/artifacts", "best", {"from": "me"})
    assert load_json("~/artifacts", "best", "05_hyperopt") == ({"from": "me"}, "artifacts")
    assert load_json(tmp_path / "artifacts", "best", "05_hyperopt") == ({"from": "me"}, "artifacts")


def test_neither(tmp_path, recorded):
    with pytest.raises(ArtifactError) as caught:
        load_json(tmp_path / "artifacts", "best", made_by="05_hyperopt")
    assert f"{tmp_path / 'artifacts' / 'best.json'}: no such artifact" in str(caught.value)
    assert str(caught.value).endswith("run 05_hyperopt first")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty, expected a JSON object"),
        (b" \n", "is empty, expected a JSON object"),
        (b'{"lr": 0.5, "un', "is damaged or cut short"),
        (b'{"lr": NaN}', "NaN is not a JSON number"),
        (b"\xff\xfe\x00", "is damaged or cut short"),
        (b"[1, 2]", "found a JSON list, expected a JSON object"),
        (b"3", "found a JSON int, expected a JSON object"),
    ],
)
def test_damaged(tmp_path, recorded, content, found):
    save_json(recorded, "best", {"from": "book"})
    path = tmp_path / "best.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        load_json(tmp_path, "best", "05_hyperopt")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert "run 05_hyperopt again, or delete the file to use the recorded copy" in message


def test_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "best.json").mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_json(tmp_path, "best", "05_hyperopt")


def test_damaged_recorded_copy(tmp_path, recorded):
    (recorded / "best.json").write_bytes(b"{")
    with pytest.raises(ArtifactError, match="install digit_utils again"):
        load_json(tmp_path, "best", "05_hyperopt")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".json", "..", "c:x", "a\0"])
def test_names_stay_in_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="expected a plain file name"):
        save_json(tmp_path, name, {})
    with pytest.raises(ValueError, match="expected a plain file name"):
        load_json(tmp_path, name, "05_hyperopt")


@pytest.mark.parametrize("bad", [float("nan"), np.float32("inf"), [1.0, float("-inf")]])
def test_not_finite_is_refused_and_nothing_is_written(tmp_path, bad):
    save_json(tmp_path, "best", {"lr": 1})
    with pytest.raises(ValueError, match=r"best\.json\['lr'\].* cannot hold"):
        save_json(tmp_path, "best", {"lr": bad})
    assert load_json(tmp_path, "best", "05_hyperopt")[0] == {"lr": 1}
    assert os.listdir(tmp_path) == ["best.json"]


def test_payload_is_a_dictionary(tmp_path):
    with pytest.raises(TypeError, match=r"best\.json: payload is of type list"):
        save_json(tmp_path, "best", [1])


def test_recorded_files_are_objects():
    for path in Path(artifacts.__file__).with_name("recorded").glob("*.json"):
        assert isinstance(json.loads(path.read_bytes()), dict)


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
        ({"a": 1j}, TypeError, "complex"),
        ({1.5: 0}, TypeError, r"key 1\.5 of type float"),
        ({True: 0}, TypeError, "key True of type bool"),
        ({1: 0, "1": 0}, ValueError, "two keys that read '1'"),
        (np.array([1, np.nan]), ValueError, r"x\[1\] is nan"),
        (np.array([object()]), TypeError, r"x\[0\] is of type object"),
    ],
)
def test_not_plain(value, error, message):
    with pytest.raises(error, match=message):
        to_plain(value, "x")


# ---------------------------------------------------------------- atomic writing


def test_write_and_replace(tmp_path):
    path = tmp_path / "f"
    assert write_atomically(path, b"one") == path
    assert write_atomically(str(path), b"two") == path
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["f"]


def test_long_name(tmp_path):
    path = tmp_path / ("x" * 250)
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file(tmp_path, monkeypatch, step, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_missing_folder_and_folder_as_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="its folder does not exist; create the folder"):
        write_atomically(tmp_path / "a" / "b", b"")
    with pytest.raises(IsADirectoryError, match="found a folder; add a file name"):
        write_atomically(tmp_path, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file modes")
def test_permissions(tmp_path):
    mask = os.umask(0o022)
    try:
        path = write_atomically(tmp_path / "f", b"")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o600)
        write_atomically(path, b"secret")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_link_is_followed(tmp_path):
    real = tmp_path / "real"
    real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(real)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_what_was_recorded_with_the_book_is_read_past_what_runs_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_json(tmp_path / "artifacts", "best_parameters", {"origin": "a run here"})
    recorded = artifacts.load_recorded("best_parameters")
    assert recorded["origin"] != "a run here"
    assert recorded["parameters"]
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.load_recorded("no_such_record")
