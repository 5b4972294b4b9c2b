"""The test of the tests: break a helper on purpose, and the regression must turn red.

Each fault is a change of a few words in a copy of the package, of the kind that slips through a
review. It is run against the one reference notebook that notices it soonest, which must be green
before. With DIGITS_RECORD=1 what turned red is kept in results/seeded_faults.json.

Slow: about ten minutes in all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import ROOT, is_recording

from digit_utils.files import json_bytes, write_atomically
from digit_utils.provenance import provenance
from digits_cli.notebooks import without_colour
from digits_cli.references import FOLDER

RECORD = ROOT / "results" / "seeded_faults.json"


@dataclass(frozen=True)
class Fault:
    """A change to one file of the package.

    ``notebook`` is the reference that must notice, ``where`` a word of what must turn red: the
    name of a reported value, a part of the printed output that no longer agrees, or of the error
    in which a chapter ends whose network has learned nothing.
    """

    name: str
    file: str
    old: str
    new: str
    notebook: str
    where: str


FAULTS = [
    Fault(
        "pixels divided by 128 instead of 255",
        "preparation.py",
        "np.float32(255)",
        "np.float32(128)",
        "02_preprocessing",
        "the same as by hand: False",
    ),
    Fault(
        "the labels 4 and 9 exchanged",
        "mnist.py",
        'return archive["images"], archive["labels"]',
        "return archive[\"images\"], np.array([0, 1, 2, 3, 9, 5, 6, 7, 8, 4], 'uint8')"
        '[archive["labels"]]',
        "02_preprocessing",
        "4176",
    ),
    Fault(
        "images transposed",
        "mnist.py",
        'archive["images"]',
        'archive["images"].transpose(0, 2, 1)',
        "02_preprocessing",
        "pixels 150 to 159",
    ),
    Fault(
        "the data dealt with another seed",
        "mnist.py",
        "SHUFFLE_SEED = 42_000",
        "SHUFFLE_SEED = 42_001",
        "02_preprocessing",
        "pixels 150 to 159",
    ),
    Fault(
        "the seed of the split ignored",
        "preparation.py",
        "random_state=seed, stratify=labels",
        "random_state=None, stratify=labels",
        "02_preprocessing",
        "[0 0",
    ),
    Fault(
        "the split not stratified",
        "preparation.py",
        "random_state=seed, stratify=labels",
        "random_state=seed",
        "02_preprocessing",
        "3763      3040",
    ),
    Fault(
        "the test labels handed out with the images",
        "data.py",
        "    images, labels, test_images, _ = deal_bundled_mnist()\n"
        "    return Digits(images, labels, test_images, source=BUNDLED_SOURCE)",
        "    images, labels, test_images, test_labels = deal_bundled_mnist()\n"
        "    digits = Digits(images, labels, test_images, source=BUNDLED_SOURCE)\n"
        '    object.__setattr__(digits, "test_labels", test_labels)\n'
        "    return digits",
        "02_preprocessing",
        "test_labels",
    ),
    Fault(
        "a changed default: a tenth kept for validation instead of a fifth",
        "preparation.py",
        "validation_fraction: float = 0.2",
        "validation_fraction: float = 0.1",
        "01_eda",
        "validation",
    ),
    Fault(
        "validation images among the training images",
        "preparation.py",
        "        return tuple(\n"
        "            train_test_split(\n"
        "                images, labels, test_size=validation_fraction, random_state=seed, "
        "stratify=labels\n"
        "            )\n"
        "        )\n",
        "        train, kept, train_labels, kept_labels = train_test_split(\n"
        "            images, labels, test_size=validation_fraction, random_state=seed, "
        "stratify=labels\n"
        "        )\n"
        "        train[-len(kept) :], train_labels[-len(kept) :] = kept, kept_labels\n"
        "        return train, kept, train_labels, kept_labels\n",
        "01_eda",
        "nearest_neighbours_accuracy",
    ),
    Fault(
        "labels out of step with their images",
        "preparation.py",
        "return images[rows], labels[rows]",
        "return images[rows], np.roll(labels[rows], 1)",
        "01_eda",
        "nearest_mean_accuracy",
    ),
    Fault(
        "augmentation dropped",
        "augment.py",
        "        if not training:\n",
        "        if True:\n",
        "04_augmentation",
        "the same image twice",
    ),
    Fault(
        "augmentation left on while predicting",
        "augment.py",
        "        if not training:\n",
        "        if False:\n",
        "04_augmentation",
        "beside the original",
    ),
    Fault(
        "a search that goes on forgets the trials it finds",
        "search.py",
        "            proposer.tell(trial)\n",
        "            if number not in kept:\n                proposer.tell(trial)\n",
        "08_many_trainings",
        "gone_on_the_same",
    ),
    Fault(
        "the ids of the submission counted from 0",
        "submission.py",
        "np.arange(1, n_expected + 1)",
        "np.arange(n_expected)",
        "06_final_model",
        "ImageId from",
    ),
    Fault(
        "softmax missing from the network",
        "models.py",
        'network.add(layers.Dense(10, activation="softmax"))',
        "network.add(layers.Dense(10))",
        "06_final_model",
        "single_accuracy",
    ),
    Fault(
        "rotation in radians for degrees",
        "augment.py",
        "draws[0] * (self.rotation * math.pi / 180.0)",
        "draws[0] * self.rotation",
        "06_final_model",
        "single_accuracy",
    ),
    Fault(
        "test-time augmentation averages the unmoved copy alone",
        "ensemble.py",
        "for top, left in ((1, 1), (1, 0), (1, 2), (0, 1), (2, 1))",
        "for top, left in ((1, 1), (1, 1), (1, 1), (1, 1), (1, 1))",
        "06_final_model",
        "n_disagree",
    ),
    Fault(
        "test-time augmentation moves by too much",
        "ensemble.py",
        "padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))",
        "images = np.roll(images, 3, axis=2)\n"
        "    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))",
        "06_final_model",
        "n_disagree",
    ),
    Fault(
        "learning rate a hundred times too high",
        "optimizers.py",
        "return self.peak * ops.maximum(",
        "return 100 * self.peak * ops.maximum(",
        "10_where_it_fails",
        "there is no image of a",
    ),
    Fault(
        "classes in the wrong order",
        "fast.py",
        "one_hot = keras.utils.to_categorical(labels, 10)",
        "one_hot = keras.utils.to_categorical(labels, 10)[:, ::-1]",
        "10_where_it_fails",
        "there is no image of a",
    ),
    Fault(
        "running statistics of batch normalisation wrongly weighted",
        "normalization.py",
        "self.moving_variance * keep + variance * (1.0 - keep)",
        "self.moving_variance * keep + variance * keep",
        "10_where_it_fails",
        "there is no image of a",
    ),
    Fault(
        "unusual outside the middle half instead of the middle 95 %",
        "hard_cases.py",
        "quantile([0.025, 0.975])",
        "quantile([0.25, 0.75])",
        "10_where_it_fails",
        "unusual_among_right",
    ),
    Fault(
        "the temperature inverted",
        "calibration.py",
        "log_softmax(logits / _check_temperature(temperature), axis=1)",
        "log_softmax(logits * _check_temperature(temperature), axis=1)",
        "12_can_you_trust_its_confidence",
        "overfit_temperature",
    ),
    Fault(
        "severity 1 at every severity",
        "corruptions.py",
        "values[severity - 1]",
        "values[0]",
        "13_when_the_world_shifts",
        "accuracy_unaugmented",
    ),
]


def copy_book(folder: Path, notebook: str) -> None:
    """Lay out what a reference needs: the package, and the reference where it expects to be."""
    shutil.copytree(
        ROOT / "digit_utils",
        folder / "digit_utils",
        ignore=shutil.ignore_patterns("__pycache__", "assets"),
    )
    (folder / "digit_utils/assets").symlink_to(ROOT / "digit_utils/assets")
    (folder / FOLDER).mkdir(parents=True)
    shutil.copy(ROOT / FOLDER / f"{notebook}.ipynb", folder / FOLDER)


def run_reference(folder: Path, notebook: str) -> subprocess.CompletedProcess:
    """Run the reference with the package in this folder, up to the first thing that is red."""
    # -vv: of outputs that differ, nbval would otherwise show the ends alone.
    command = [sys.executable, "-m", "pytest", "-x", "-vv", "-p", "no:cacheprovider", "--color=no"]
    command += ["--nbval-lax", "--nbval-current-env", str(folder / FOLDER / f"{notebook}.ipynb")]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def proven_green(tmp_path_factory):
    """Return a function that makes sure, once for each reference, that it is green untouched."""
    seen: dict[str, str] = {}

    def check(notebook: str) -> None:
        if notebook not in seen:
            folder = tmp_path_factory.mktemp("green")
            copy_book(folder, notebook)
            done = run_reference(folder, notebook)
            seen[notebook] = "" if done.returncode == 0 else done.stdout[-4000:]
        assert not seen[notebook], f"red before anything was broken:\n{seen[notebook]}"

    return check


def first_red(output: str) -> tuple[str, list[str]]:
    """Name the cell that turned red first, with what made it red.

    That is the lines in which the outputs differ, or the error's own words. The cell's code, which
    nbval prints as well, is left out: it names every bound, the ones kept too.
    """
    output = without_colour(output)
    (cell,) = re.findall(r"^FAILED \S+::(Cell \d+)", output, re.M)
    said = output.split("\nTraceback:\n", 1)[1].split("\n=====", 1)[0]
    if " mismatch '" in said:
        return cell, re.findall(r"^  [-+] +(.*)", said, re.M)
    *_, error = re.finditer(r"^\w*(?:Error|Exception): ", said, re.M)
    words = said[error.start() :].strip().removeprefix("AssertionError: Results out of bounds:\n")
    return cell, words.splitlines()


def test_what_made_a_cell_red_is_told_from_its_code():
    printed = "FAILED a.ipynb::Cell 3 - Notebook\n"
    bounds = (
        "Input:\nbounds = {'kept': 1, 'left': 2}\n\nTraceback:\n\n"
        "\x1b[31mAssertionError\x1b[39m     Traceback (most recent call last)\n"
        "----> 5 bounds = {'kept': 1, 'left': 2}\n\n"
        "\x1b[31mAssertionError\x1b[39m: Results out of bounds:\nleft is 3, expected exactly 2\n\n"
        "=========== short test summary info\n"
    )
    assert first_red(bounds + printed) == ("Cell 3", ["left is 3, expected exactly 2"])
    differs = (
        "Input:\nprint('row', row)\n\nTraceback:\n mismatch 'stdout'\n\n"
        " assert reference_output == test_output failed:\n\n  'one\\nrow 1' == 'one\\nrow 2'\n  \n"
        "    one\n  - row 2\n  ?     ^\n  + row 1\n  ?     ^\n\n\n=========== short\n"
    )
    assert first_red(differs + printed) == ("Cell 3", ["row 2", "row 1"])


def keep_record(fault: Fault, noticed: str, seconds: float) -> None:
    if not is_recording():
        return
    record = json.loads(RECORD.read_bytes()) if RECORD.is_file() else {}
    made = provenance(ROOT)
    record[fault.name] = {
        "file": f"digit_utils/{fault.file}",
        "reference": fault.notebook,
        "turned_red": noticed,
        "seconds": round(seconds, 1),
        "commit": made["commit"],
        "date": made["date"],
    }
    write_atomically(RECORD, json_bytes(record))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.notebook}: {fault.name}")
def test_the_regression_turns_red(fault, proven_green, tmp_path):
    copy_book(tmp_path, fault.notebook)
    path = tmp_path / "digit_utils" / fault.file
    text = path.read_text(encoding="utf-8")
    assert text.count(fault.old) == 1, "the code has changed: seed this fault anew"
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    compile(path.read_text(encoding="utf-8"), fault.file, "exec")
    proven_green(fault.notebook)
    started = time.monotonic()
    done = run_reference(tmp_path, fault.notebook)
    assert done.returncode == 1, f"not noticed by {fault.notebook}\n{done.stdout[-2000:]}"
    cell, said = first_red(done.stdout)
    assert fault.where in "\n".join(said), f"red for another reason: {done.stdout[-3000:]}"
    (noticed,) = [line for line in said if fault.where in line][:1]
    keep_record(fault, f"{cell}: {noticed:.200}", time.monotonic() - started)


def test_there_are_enough_and_each_breaks_something_of_its_own():
    assert len(FAULTS) >= 12
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert len({(fault.file, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS)
