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
ORDINARY_ZLIB = not {"ng", "chromium"} & set(zlib.ZLIB_RUNTIME_VERSION.replace("-", ".").split("."))
PUBLISHED = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_mnist_npz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The committed arrays, put back into IDX files."""
    images, labels = data.read_bundled_mnist()
    parts = [images[:60_000], labels[:60_000], images[60_000:], labels[60_000:]]
    folder = tmp_path_factory.mktemp("idx")
    for name, array in zip(PUBLISHED, parts, strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (folder / name).write_bytes(header + array.tobytes())
    return folder


def test_the_bundled_arrays_are_the_published_ones(script, folder):
    assert script.IDX_FILES == PUBLISHED
    for name, md5 in PUBLISHED.items():
        raw = (folder / name).read_bytes()
        assert hashlib.md5(raw, usedforsecurity=False).hexdigest() == md5, name


@pytest.mark.skipif(not ORDINARY_ZLIB, reason="another zlib compresses to other bytes")
def test_rebuilding_gives_the_same_bytes(script, folder, tmp_path, capsys):
    # The slowest of the unit tests: it compresses 55 MB as hard as zlib can.
    output = tmp_path / "mnist.npz"
    assert script.main([str(folder), "--output", str(output)]) == 0
    assert output.read_bytes() == data.MNIST_FILE.read_bytes()
    told = f"mnist.npz: {data.MNIST_BYTES} bytes, sha256 {data.MNIST_SHA256}\n"
    assert capsys.readouterr().out == told
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.npz"]


@pytest.mark.parametrize("fault", ["No such file", "MD5 is"])
def test_bad_input_writes_nothing(script, tmp_path, capsys, fault):
    path = tmp_path / "train-images-idx3-ubyte"
    if fault == "MD5 is":
        path.write_bytes(b"cut short")
    output = tmp_path / "out.npz"
    assert script.main([str(tmp_path), "--output", str(output)]) == 1
    message = capsys.readouterr().err
    assert path.name in message and fault in message
    assert not output.exists()
