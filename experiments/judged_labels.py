"""Keep what people said of suspected MNIST labels, for the images that the book has labels for.

Northcutt, Athalye and Mueller (2021) showed 100 of MNIST's test images to five people each:
``mturk/mnist_mturk.json`` of github.com/cleanlab/label-errors, commit 5457895. Images that are
sealed test images here are left out. The others are named by the CRC-32 of their pixels, which
finds them in any dealing of MNIST.
"""

import argparse
import json
from pathlib import Path
from zlib import crc32

from digit_utils.data import load_digits, read_bundled_mnist
from digit_utils.io import parse_json, read_bytes, write_atomically
from experiments import ROOT

OUTPUT = ROOT / "digit_utils" / "recorded" / "judged_labels.json"
SOURCE = "https://github.com/cleanlab/label-errors, mturk/mnist_mturk.json, commit 5457895"
N_TRAIN = 60_000  # of MNIST's own training images, before its test images


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="mnist_mturk.json")
    images, labels = read_bundled_mnist()
    ours = {crc32(image) for image in load_digits("").images}
    kept = []
    for case in parse_json(read_bytes(parser.parse_args(argv).file)):
        row, label, said = N_TRAIN + case["id"], case["given_original_label"], case["mturk"]
        if labels[row] != label:
            raise ValueError(f"image {case['id']} is labelled {labels[row]}, the file says {label}")
        if (name := crc32(images[row])) in ours:
            votes = {f"say_{what}": said[what] for what in ("given", "guessed", "neither")}
            kept.append(
                {"crc32": name, "label": label, "guess": case["our_guessed_label"], **votes}
            )
    lines = ",\n".join(map(json.dumps, sorted(kept, key=lambda case: case["crc32"])))
    command = "python experiments/judged_labels.py mnist_mturk.json"
    head = json.dumps({"command": command, "source": SOURCE})[:-1]
    write_atomically(OUTPUT, f'{head}, "images": [\n{lines}\n]}}\n'.encode())
    print(f"{OUTPUT.relative_to(ROOT)}: {len(kept)} of the images judged by people")


if __name__ == "__main__":
    main()
