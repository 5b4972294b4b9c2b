"""Train two recipes with ten seeds each and keep what every network misreads: chapter 9's evidence.

The recipes are chapter 7's, on all training images, with 16 and with 8 filters in the first
convolution. Of each network the record keeps which validation images it misreads, and for what, as
that of ``sweeps/ladder.yaml`` does. A training that stands there is not made again.
"""

import sys
import time

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
    # Both recipes with one seed first, so that an unfinished record can be compared.
    points = [{"WIDTH": width, "SEED": seed} for seed in range(SEEDS) for width in WIDTHS]
    runs = record.fill([SweepRun("", point) for point in points])
    digits = load_digits()
    train_images, images, train_labels, labels = split_train_validation(
        digits.images, digits.labels
    )
    x, trainers = prepare_images(images), {width: Trainer(Recipe(width=width)) for width in WIDTHS}
    for point in [run.parameters for run in runs if not run.ok]:
        start = time.perf_counter()
        trainer = trainers[point["WIDTH"]]
        network = trainer.train(train_images, train_labels, point["SEED"]).network
        seconds = round(time.perf_counter() - start, 1)
        predicted = keras.ops.convert_to_numpy(network(x, training=False)).argmax(axis=1)
        wrong = np.flatnonzero(predicted != labels)
        found = {"mistakes": wrong.tolist(), "mistaken_for": predicted[wrong].tolist()}
        made = {"parameters": point, "results": found, "seconds": seconds, **provenance(ROOT)}
        record.keep(SweepRun("", point, made))
        print(f"{point}: {len(wrong)} mistakes, {seconds} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
