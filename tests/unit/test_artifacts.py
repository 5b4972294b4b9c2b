"""Artifacts between chapters, and the atomic writing and plain values under them."""

import enum
import os
import stat
import sys

import numpy as np
import pytest

from digit_utils import artifacts
from digit_utils.artifacts import ArtifactError, load_json, load_recorded, save_json
from digit_utils.io import to_plain, write_atomically

not_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    folder = tmp_path / "recorded"
    monkeypatch.setattr(artifacts, "RECORDED_FOLDER", folder)
    save_json(folder, "best", {"from": "book"})
    return folder


def test_what_is_saved_comes_back(tmp_path):
    inner = {"": None, "ü\n": [1.5e-300, -(2**80), True, "\U0001f600", [], {}]}
    path = save_json(tmp_path / "new" / "artifacts", "x", inner)
    assert path == tmp_path / "new/artifacts/x.json" and path.read_bytes().endswith(b"}\n")
    assert load_json(path.parent, "x", "01_eda") == (inner, "artifacts")
    assert os.listdir(path.parent) == ["x.json"]


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
        (b'{"lr": NaN}', "float values are not JSON"),
        (b'{"lr": 1, "lr": 2}', "it names 'lr' twice"),
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


def test_plain_values():
    class Kind(enum.IntEnum):
        ONE = 1

    plain = to_plain({"a": (np.bool_(True), Kind.ONE, np.str_("x")), np.int8(3): {4: None}})
    assert plain == {"a": [True, 1, "x"], "3": {"4": None}}
    assert [type(item) for item in plain["a"]] == [bool, int, str]
    assert [to_plain(np.array(3.0)), to_plain(np.zeros((1, 2), np.uint8))] == [3.0, [[0, 0]]]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"a": [0, {1, 2}]}, TypeError, r"x\['a'\]\[1\] is of type set"),
        ({1.5: 0}, TypeError, r"key 1\.5 of type float"),
        ({1: 0, "1": 0}, ValueError, "two keys that read '1'"),
        (np.array([1, np.nan]), ValueError, r"x\[1\] is nan"),
    ],
)
def test_not_plain(value, error, message):
    with pytest.raises(error, match=message):
        to_plain(value, "x")


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


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file(tmp_path, monkeypatch, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)) as caught:
        write_atomically(path, b"new")
    if isinstance(error, OSError):
        told = "[Errno 28] No space left on device; nothing was written"
        assert str(caught.value) == f"{told}: {str(path)!r}"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="found a folder; add a file name"):
        write_atomically(tmp_path, b"")
