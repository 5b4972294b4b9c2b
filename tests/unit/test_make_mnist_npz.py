"""The script that made the bundled digits still makes the same bytes."""

import zlib

import numpy as np
import pytest

from digit_utils import data
from experiments import make_mnist_npz

# zlib-ng and others compress to other bytes of the same content.
ORDINARY_ZLIB = not {"ng", "chromium"} & set(zlib.ZLIB_RUNTIME_VERSION.replace("-", ".").split("."))


@pytest.fixture
def output(tmp_path, monkeypatch):
    """Write into an empty folder."""
    path = tmp_path / "out" / "mnist.npz"
    path.parent.mkdir()
    monkeypatch.setattr(make_mnist_npz, "OUTPUT", path)
    return path


def test_the_bundled_arrays_are_the_published_ones_and_give_the_same_bytes(
    tmp_path, output, capsys
):
    # The slowest of the unit tests: it compresses 55 MB as hard as zlib can.
    images, labels = data.read_bundled_mnist()
    parts = [images[:60_000], labels[:60_000], images[60_000:], labels[60_000:]]
    for name, array in zip(make_mnist_npz.IDX_FILES, parts, strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (tmp_path / name).write_bytes(header + array.tobytes())
    make_mnist_npz.main([str(tmp_path)])  # it takes only files of the published MD5
    assert [path.name for path in output.parent.iterdir()] == ["mnist.npz"]
    if ORDINARY_ZLIB:
        assert output.read_bytes() == data.MNIST_FILE.read_bytes()
        told = f"mnist.npz: {data.MNIST_BYTES} bytes, sha256 {data.MNIST_SHA256}\n"
        assert capsys.readouterr().out == told
    else:
        with np.load(output) as built:
            assert np.array_equal(built["images"], images)
            assert np.array_equal(built["labels"], labels)


@pytest.mark.parametrize("fault", ["No such file", "MD5 is"])
def test_bad_input_writes_nothing(tmp_path, output, fault):
    path = tmp_path / "train-images-idx3-ubyte"
    if fault == "MD5 is":
        path.write_bytes(b"cut short")
    with pytest.raises(SystemExit, match=rf"{fault}.*{path.name}|{path.name}.*{fault}"):
        make_mnist_npz.main([str(tmp_path)])
    assert not list(output.parent.iterdir())
