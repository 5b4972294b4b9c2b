"""Train two recipes with ten seeds each and keep what every network misreads: chapter 9's evidence.

The recipes are chapter 7's, on all training images, with 16 and with 8 filters in the first
convolution. Of each network the record keeps which validation images it misreads, and for what, as
that of ``sweeps/ladder.yaml`` does. A training that stands there is not made again.
"""

import sys
import time
from itertools import groupby

from digit_utils import hosts

hosts.settle()  # before Keras: the record is made without anybody's keras.json

import keras
import numpy as np

from digit_utils.data import load_digits, prepare_images, split_train_validation
from digit_utils.fast import Recipe, Trainer
from digit_utils.provenance import provenance
from digits_cli.sweep_file import SweepRun
from digits_cli.sweep_record import SweepRecord
from experiments import RECORDED, ROOT

WIDTHS, SEEDS = (16, 8), 10


def main() -> None:
    record = SweepRecord(RECORDED / "scatter.json", "python experiments/measure_scatter.py")
    points = [{"WIDTH": width, "SEED": seed} for width in WIDTHS for seed in range(SEEDS)]
    runs = record.fill([SweepRun("", point) for point in points])
    digits = load_digits()
    train_images, images, train_labels, labels = split_train_validation(
        digits.images, digits.labels
    )
    x = prepare_images(images)
    todo = [run.parameters for run in runs if not run.ok]
    for width, of_width in groupby(todo, lambda point: point["WIDTH"]):
        trainer = Trainer(Recipe(width=width))
        for point in of_width:
            start = time.perf_counter()
            network = trainer.train(train_images, train_labels, point["SEED"]).network
            seconds = round(time.perf_counter() - start, 1)
            logits = keras.ops.convert_to_numpy(network(x, training=False))
            predicted = logits.argmax(axis=1)
            wrong = np.flatnonzero(predicted != labels)
            found = {"mistakes": wrong.tolist(), "mistaken_for": predicted[wrong].tolist()}
            record.keep(SweepRun("", point, {
                "parameters": point, "results": found, "seconds": seconds, **provenance(ROOT),
            }))  # fmt: skip
            print(f"{point}: {len(wrong)} mistakes, {seconds} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
