"""Make the data files of the page *Draw a digit*, in ``book/_static/draw``.

``network.bin`` holds the first shipped network, in float16, and the threshold of the hint *not a
digit?*. ``neighbours.png`` and ``neighbours.bin`` hold the labelled digits shown as the nearest
ones: pictures in 16 shades of grey, and for each 32 principal components of the network's last maps
as int8. `pack` defines the format of both ``.bin``.
"""

import argparse
import io
import json
from typing import Any

from digit_utils import hosts

hosts.settle()  # before Keras: the records are made without anybody's keras.json

import keras
import numpy as np
from PIL import Image
from sklearn.decomposition import PCA

from digit_utils.data import load_digits, prepare_images, take_subset
from digit_utils.io import write_atomically
from digit_utils.shipped import load_final_model
from experiments import RESULTS, ROOT

FOLDER = ROOT / "book" / "_static" / "draw"
HINT = RESULTS / "draw_page_hint.json"

N_NEIGHBOURS = 2000  # digits in the picture
N_FIT = 10_000  # digits that the principal components are computed from
N_COMPONENTS = 32
COLUMNS = 50  # digits in a row of the picture
SEED = 0
# What the page has to know of a layer.
OPTIONS = {
    "Conv2D": (
        "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation",
        "use_bias",
    ),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Flatten": (),
    "Dense": ("units", "activation", "use_bias"),
    "Softmax": ("axis",),
}  # fmt: skip


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Join the header's length, the header as JSON, and arrays, aligned to four bytes.

    The length is a little-endian 32-bit number. The list ``arrays`` is added to the header. Arrays
    are written little-endian.
    """
    listed, body = [], b""
    for name, array in arrays.items():
        kind, shape = array.dtype.name, list(array.shape)
        listed.append({"name": name, "type": kind, "shape": shape, "offset": len(body)})
        body += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        body += b"\0" * (-len(body) % 4)
    text = json.dumps({**header, "arrays": listed}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + body


def network_bytes() -> bytes:
    """Return ``network.bin``: the layers and weights of the first shipped network."""
    hint = json.loads(HINT.read_bytes())["threshold"] if HINT.exists() else None
    network = load_final_model()[0][0]
    layers, arrays = [], {}
    for index, layer in enumerate(network.layers):
        kind, config = type(layer).__name__, layer.get_config()
        layers.append([kind, {option: config[option] for option in OPTIONS[kind]}])
        for part, weight in zip(("weights", "bias"), layer.get_weights(), strict=False):
            arrays[f"{index}.{part}"] = weight.astype(np.float16)
    header = {"input_shape": network.input_shape[1:], "layers": layers, "hint_below": hint}
    return pack(header, arrays)


def neighbour_files() -> dict[str, bytes]:
    digits = load_digits("")
    network = load_final_model()[0][0]
    (flatten,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Flatten))
    last_maps = keras.Model(network.inputs, flatten.output)

    def features(images: np.ndarray) -> np.ndarray:
        return last_maps.predict(prepare_images(images), batch_size=1000, verbose=0)

    fitted, _ = take_subset(digits.images, digits.labels, N_FIT, seed=SEED + 1)
    found = PCA(N_COMPONENTS, svd_solver="covariance_eigh").fit(features(fitted))
    components = found.components_.T.astype(np.float16)
    offset = found.mean_ @ components.astype(np.float32)
    images, labels = take_subset(digits.images, digits.labels, N_NEIGHBOURS, seed=SEED)
    order = np.random.RandomState(SEED).permutation(len(images))
    images, labels = images[order], labels[order]
    points = features(images) @ components.astype(np.float32) - offset
    scale = float(np.float32(np.abs(points).max() / 127))
    header = {"scale": scale, "columns": COLUMNS, "side": images.shape[1]}
    arrays = {
        "components": components,
        "offset": offset.astype(np.float32),
        "points": np.round(points / scale).astype(np.int8),
        "labels": labels.astype(np.uint8),
    }
    return {"neighbours.bin": pack(header, arrays), "neighbours.png": picture(images)}


def picture(images: np.ndarray) -> bytes:
    """Return a PNG of uint8 images (n, 28, 28), `COLUMNS` in a row, in 16 shades of grey."""
    side = images.shape[1]
    sheet = images.reshape(-1, COLUMNS, side, side).swapaxes(1, 2).reshape(-1, COLUMNS * side)
    shades = Image.fromarray(np.round(sheet / 17).astype(np.uint8), mode="P")
    shades.putpalette([17 * (value // 3) for value in range(48)])
    buffer = io.BytesIO()
    shades.save(buffer, "PNG", bits=4, optimize=True)
    return buffer.getvalue()


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    files = {"network.bin": network_bytes(), **neighbour_files()}
    for name, data in files.items():
        write_atomically(FOLDER / name, data)
        print(f"{name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
