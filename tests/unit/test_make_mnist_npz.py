"""The script that made the bundled digits still makes the same bytes."""

from __future__ import annotations

import hashlib
import importlib.util
import zlib
from pathlib import Path

import numpy as np
import pytest

from digit_utils import data

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "make_mnist_npz.py"
# zlib-ng and others compress to other bytes of the same content.
ORDINARY_ZLIB = "ng" not in zlib.ZLIB_RUNTIME_VERSION and "chromium" not in (
    zlib.ZLIB_RUNTIME_VERSION
)


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("make_mnist_npz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def tiny(script, tmp_path, monkeypatch):
    """Return a folder with four tiny IDX files the script takes, and their arrays."""
    generator = np.random.default_rng(0)
    arrays = [
        generator.integers(0, 256, (6, 28, 28)),
        generator.integers(0, 10, 6),
        generator.integers(0, 256, (2, 28, 28)),
        generator.integers(0, 10, 2),
    ]
    folder = tmp_path / "idx"
    folder.mkdir()
    sums = {}
    for name, array in zip(script.IDX_FILES, arrays, strict=True):
        raw = idx_bytes(array)
        (folder / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(script, "IDX_FILES", sums)
    return folder, arrays


def test_reads_checks_and_writes(script, tiny, tmp_path, capsys):
    folder, (train_images, train_labels, test_images, test_labels) = tiny
    output = tmp_path / "out.npz"
    assert script.main([str(folder), "--output", str(output)]) == 0
    with np.load(output, allow_pickle=False) as archive:
        assert sorted(archive.files) == ["images", "labels"]
        assert archive["images"].dtype == archive["labels"].dtype == np.uint8
        assert np.array_equal(archive["images"], np.concatenate([train_images, test_images]))
        assert np.array_equal(archive["labels"], np.concatenate([train_labels, test_labels]))
    raw = output.read_bytes()
    printed = capsys.readouterr().out
    assert printed == (f"out.npz: {len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}\n")
    assert script.main([str(folder), "--output", str(output)]) == 0
    assert output.read_bytes() == raw
    assert sorted(path.name for path in tmp_path.iterdir()) == ["idx", "out.npz"]


@pytest.mark.parametrize("spoil", ["change", "cut", "remove"])
def test_bad_input_writes_nothing(script, tiny, tmp_path, capsys, spoil):
    folder, _ = tiny
    path = folder / "t10k-images-idx3-ubyte"
    raw = bytearray(path.read_bytes())
    if spoil == "remove":
        path.unlink()
    elif spoil == "cut":
        path.write_bytes(raw[:-1])
    else:
        raw[100] ^= 1
        path.write_bytes(raw)
    output = tmp_path / "out.npz"
    assert script.main([str(folder), "--output", str(output)]) == 1
    message = capsys.readouterr().err
    assert "t10k-images-idx3-ubyte" in message
    assert ("No such file" if spoil == "remove" else "MD5 is") in message
    assert not output.exists()


def test_checksums_are_the_published_ones(script):
    assert script.IDX_FILES == {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }


def test_bundled_arrays_are_the_published_ones(script):
    """The committed arrays, put back into IDX files, have the published MD5s."""
    images, labels = data.read_bundled_mnist()
    parts = [images[:60_000], labels[:60_000], images[60_000:], labels[60_000:]]
    for (name, md5), array in zip(script.IDX_FILES.items(), parts, strict=True):
        found = hashlib.md5(idx_bytes(array), usedforsecurity=False).hexdigest()
        assert found == md5, name


@pytest.mark.skipif(not ORDINARY_ZLIB, reason="another zlib compresses to other bytes")
def test_rebuilding_gives_the_same_bytes(script, tmp_path):
    # The slowest of the unit tests: it compresses 55 MB as hard as zlib can.
    images, labels = data.read_bundled_mnist()
    path = tmp_path / "mnist.npz"
    script.write_npz(path, images=images, labels=labels)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == data.MNIST_SHA256
