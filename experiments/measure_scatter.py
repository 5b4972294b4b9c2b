"""Train two recipes with ten seeds each and keep what every network misreads: chapter 9's evidence.

The recipes are chapter 7's, on all training images, with 16 and with 8 filters in the first
convolution. Of each network the record keeps which validation images it misreads, and for what, as
chapter 9 needs it. A training that stands there is not made again.
"""

import json
import sys
import time

from digit_utils import hosts

hosts.settle()  # before Keras: the record is made without anybody's keras.json

import keras
import numpy as np

from digit_utils.data import load_digits, prepare_images, split_train_validation
from digit_utils.fast import Recipe, Trainer
from digit_utils.io import parse_json, read_bytes, write_atomically
from digit_utils.provenance import provenance
from experiments import RECORDED, ROOT

RECORD = RECORDED / "scatter.json"
WIDTHS, SEEDS = (16, 8), 10


def main() -> None:
    runs = parse_json(read_bytes(RECORD))["runs"] if RECORD.exists() else []
    made = [run["parameters"] for run in runs]
    # Both recipes with one seed first, so that an unfinished record can be compared.
    points = [{"WIDTH": width, "SEED": seed} for seed in range(SEEDS) for width in WIDTHS]
    digits = load_digits()
    train_images, images, train_labels, labels = split_train_validation(
        digits.images, digits.labels
    )
    x, trainers = prepare_images(images), {width: Trainer(Recipe(width=width)) for width in WIDTHS}
    for point in [point for point in points if point not in made]:
        start = time.perf_counter()
        trainer = trainers[point["WIDTH"]]
        network = trainer.train(train_images, train_labels, point["SEED"]).network
        seconds = round(time.perf_counter() - start, 1)
        predicted = keras.ops.convert_to_numpy(network(x, training=False)).argmax(axis=1)
        wrong = np.flatnonzero(predicted != labels)
        found = {"mistakes": wrong.tolist(), "mistaken_for": predicted[wrong].tolist()}
        result = {"parameters": point, "results": found, "seconds": seconds}
        runs.append(result | provenance(ROOT))
        runs.sort(key=lambda run: sorted(run["parameters"].items()))
        lines = ",\n".join(map(json.dumps, runs))
        head = json.dumps({"command": "python experiments/measure_scatter.py"})[:-1]
        write_atomically(RECORD, f'{head}, "runs": [\n{lines}\n]}}\n'.encode())
        print(f"{point}: {len(wrong)} mistakes, {seconds} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
