"""The digits and the networks that come with the package, changed."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from digit_utils import mnist
from digit_utils.data import load_digits
from digit_utils.errors import DigitDataError
from digit_utils.mnist import read_bundled_mnist
from fuzzing.harness import Refused, Target, damaged, leaves_nothing_behind

TOKENS = [
    b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00", b"\x93NUMPY\x03\x00", b"PK\x01\x02", b"PK\x05\x06",
    b"'descr': '|O'", b"'shape': (99999999999,)", b"'shape': (-1,)", b"'<f2'", b"'<U9'",
    b"\x80\x04", b"cos\nsystem\n", b"\xff\xff\xff\xff", b"((((((((", b"#\n", b"\0" * 20, b"True",
]  # fmt: skip


def _npz(arrays: dict[str, np.ndarray], pack: bool = False) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if pack else np.savez)(buffer, **arrays)
    return buffer.getvalue()


GENERATOR = np.random.default_rng(0)
FEW = {
    "images": GENERATOR.integers(0, 256, (10, 28, 28)).astype(np.uint8),
    "labels": np.arange(10, dtype=np.uint8),
}
FEW_BYTES = _npz(FEW)


def read_mnist(raw: bytes, folder: Path) -> None:
    """Read a file in place of the bundled digits: the very bytes, or nothing."""
    path = folder / "mnist.npz"
    path.write_bytes(raw)
    usual = mnist.MNIST_FILE, mnist.MNIST_BYTES, mnist.MNIST_SHA256
    mnist.MNIST_FILE, mnist.MNIST_BYTES = path, len(FEW_BYTES)
    mnist.MNIST_SHA256 = hashlib.sha256(FEW_BYTES).hexdigest()
    try:
        if raw != FEW_BYTES:
            load_digits()
            raise AssertionError("accepted a changed file")
        images, labels = read_bundled_mnist()
    finally:
        mnist.MNIST_FILE, mnist.MNIST_BYTES, mnist.MNIST_SHA256 = usual
    assert np.array_equal(images, FEW["images"]) and np.array_equal(labels, FEW["labels"])


# ---- Networks ------------------------------------------------------------------------------------


@cache
def _good_networks() -> dict[str, np.ndarray]:
    from keras import utils

    from digit_utils.models import build_shipped_cnn
    from digit_utils.shipped import save_networks

    utils.set_random_seed(0)
    networks = [build_shipped_cnn(1) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = save_networks(Path(folder) / "x.npz", networks, {"seeds": [1, 2]})
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def _as_text(value: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


ODD = st.sampled_from(
    [
        None, True, 0, -1, 1, 2, 3, 10**4, 10**9, 10**30, 0.5, float("nan"), float("inf"), "",
        "same",
        "valid", "relu", "linear", "softmax", "lambda x: x", "__import__", [], [1], [2, 2], {},
        {"a": 1},
        {"class_name": "Lambda", "module": "keras.layers", "config": {}}, "\ud800", "9" * 5000,
    ]
)  # fmt: skip


@st.composite
def networks(draw: Any) -> Any:
    """Ways to change the file of networks: in its description, in its arrays, in its bytes."""
    changes = []
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["number", "array", "drop", "info"]))
        changes.append((kind, draw(st.integers(0, 7)), draw(ODD), draw(st.integers(0, 9))))
    spoil = draw(st.none() | st.integers(0, 2**32 - 1)) if draw(st.booleans()) else None
    return changes, spoil, draw(damaged(b"x" * 400, TOKENS, most=2)) if spoil is not None else b""


def _change(arrays: dict[str, Any], change: tuple) -> None:
    kind, which, odd, more = change
    names = sorted(arrays)
    if kind == "number":
        try:
            arrays["n_networks"] = np.array(odd)
        except (ValueError, TypeError, OverflowError):
            return
        if arrays["n_networks"].dtype == object:
            arrays["n_networks"] = np.array(more - 3)
    elif kind == "array":
        old = arrays[names[which % len(names)]]
        new = [old[..., None], old[:1] if old.ndim else old, old.astype(complex), old * np.nan,
               np.array("text"), np.zeros((3, 3)), np.array([], np.float16), old.astype(np.float64),
               np.full(old.shape, np.inf), old.astype(bool)][more]  # fmt: skip
        arrays[names[which % len(names)]] = new
    elif kind == "drop":
        arrays.pop(names[which % len(names)])
    elif kind == "info":
        arrays["info"] = [_as_text(odd), np.frombuffer(b"{" * 5000, np.uint8), np.array(3)][
            more % 3
        ]


def read_networks(case: Any, folder: Path) -> None:
    """Load networks; their weights are the file's, and every one is a number."""
    from digit_utils.shipped import ShippedModelError, load_networks

    changes, spoil, patch = case
    arrays: dict[str, Any] = dict(_good_networks())
    for change in changes:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _change(arrays, change)
    raw = _npz(arrays, pack=bool(spoil and spoil % 2))
    if spoil is not None:
        at = spoil % len(raw)
        raw = raw[:at] + patch[: spoil % 40] + raw[at + (spoil // 7) % 40 :]
    path = folder / "networks.npz"
    path.write_bytes(raw)
    try:
        with leaves_nothing_behind(folder):
            loaded, info = load_networks(path)
    except ShippedModelError as error:
        # Its class lives beside Keras, which only this target is to wait for.
        raise Refused(str(error)) from error
    assert isinstance(info, dict), f"the info is {info!r:.60}"
    assert loaded, "no network, and no error"
    with zipfile.ZipFile(path) as archive:
        held = {
            n: np.load(io.BytesIO(archive.read(n)), allow_pickle=False) for n in archive.namelist()
        }
    assert len(loaded) == int(held["n_networks.npy"])
    for number, network in enumerate(loaded):
        for index, weight in enumerate(network.get_weights()):
            stored = held[f"network_{number}_weight_{index}.npy"]
            assert np.isfinite(weight).all(), "a weight that is no number"
            assert weight.shape == stored.shape and np.array_equal(weight, stored.astype("float32"))


TARGETS = (
    Target("mnist", damaged(FEW_BYTES, TOKENS), read_mnist, (DigitDataError,), share=0.6),
    Target("networks", networks(), read_networks, (), seconds=60, share=0.15,
           memory_limit=False),
)  # fmt: skip
