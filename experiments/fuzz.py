"""Feed damaged input to everything that reads what people hand to the book.

Each case is a good example, changed by a seeded random generator. It is accepted, and what was read
is looked at by other means, or it is refused with our own error. Anything else escapes: a stray
exception, a wrong reading, more than two seconds, a file half written. What escapes is kept in
`_build/fuzz`, and the exit code is 1. Only a full run of all readers is recorded.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import faulthandler
import gzip
import io
import json
import math
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import yaml
from papermill.translators import PythonTranslator

# What is tried; the rest through the command line, and networks, which need Keras, further down.
from digit_utils.artifacts import ArtifactError, load_json
from digit_utils.data import load_digits
from digit_utils.errors import DigitDataError
from digit_utils.provenance import processors, provenance
from digits_cli.cli import main as digits
from experiments import RESULTS, ROOT, write_record

KEPT = ROOT / "_build" / "fuzz"
CASES, CHUNK = 100_000, 4_000  # of all readers together; what one process tries
SECONDS, MEMORY = 2, 4 << 30  # a case; bytes of addresses, of which pyarrow asks for many
OUTCOMES = ("accepted", "refused", "escapes")


class Refused(Exception):
    """The command line ended with an error of ours."""


class OutOfTime(BaseException):
    """Not an Exception, so that no reader takes it for one of its own."""


@dataclass(frozen=True)
class Target:
    """A reader. `read` takes bytes and an empty folder, and looks at what came of it.

    It lets our own errors through. `odd` are words to be put among those of a good example; `share`
    is the part of all cases that it gets.
    """

    good: Callable[[], list[bytes]]
    odd: str
    read: Callable[[bytes, Path], None]
    share: float


def mutate(chance: random.Random, good: bytes, odd: list[str]) -> bytes:
    """Put in, cut, double, swap or flip some words or bytes."""
    raw = good
    words = b"\0" not in raw and chance.random() < 0.8
    for _ in range(chance.randint(1, 3)):
        parts = re.findall(rb"\w+|\s+|[^\w\s]" if words else rb"[\s\S]", raw) or [b""]
        at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        end = at + chance.choice((0, 1, 1, 1, 2, other))
        kind = chance.choice(("put", "put", "put", "cut", "end", "double", "swap", "flip"))
        if kind == "put":
            new = chance.choice(odd).replace("~", " ").encode("utf-8", "surrogateescape")
            parts[at:end] = [new]
        elif kind == "cut":
            del parts[at:end]
        elif kind == "end":
            del parts[at:]
        elif kind == "double":
            parts[at:at] = parts[at:end]
        elif kind == "swap":
            parts[at], parts[other] = parts[other], parts[at]
        elif parts[at]:
            parts[at] = bytes([parts[at][0] ^ 1 << chance.randrange(8)]) + parts[at][1:]
        raw = b"".join(parts)
    return raw


def command(*arguments: str) -> str:
    """Run the `digits` command in this process; return what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = digits(arguments)
        except SystemExit as error:  # of argparse
            code = error.code
    if code:
        assert code in (1, 2) and "digits" in err.getvalue(), f"{code}: {err.getvalue()}"
        raise Refused(out.getvalue() + err.getvalue())
    return out.getvalue()


# ---- Kaggle's files ------------------------------------------------------------------------------

HEADER = ",".join(["label", *(f"pixel{index}" for index in range(784))])
NUMBERS = f'-1 256 255 1e2 1.0 NaN inf 007 +5 5_0 0x1 \udcff ٣ \u2028 \0 \ufeff " \r {"9" * 400}'
ZIP = "PK \udcff \0\0\0\0 train.csv test.csv ../train.csv train.csv/ \x08 \x0e \x01"


@cache
def csv_bytes(labelled: bool = True) -> bytes:
    chance = random.Random(0)
    rows = [[chance.choice((0, chance.randrange(256))) for _ in range(785)] for _ in range(3)]
    lines = [",".join([str(row[0] % 10), *map(str, row[1:])]) for row in rows]
    lines = [HEADER, *lines]
    return "".join(line[0 if labelled else line.index(",") + 1 :] + "\n" for line in lines).encode()


def numbers_in(raw: bytes) -> list[list[int]]:
    """Read a labelled file with `re` and `int` alone; it must be exactly in Kaggle's format."""
    text = re.sub(r'"(\w+)"', r"\1", raw.decode("utf-8-sig").rstrip("\r\n"))
    header, *rows = re.split(r"\r\n|\n|\r", text)
    assert header == HEADER and rows
    assert all(re.fullmatch(r"[0-9]+(,[0-9]+){784}", row) for row in rows)
    numbers = [[int(number) for number in row.split(",")] for row in rows]
    assert all(row[0] < 10 and max(row) < 256 for row in numbers)
    return numbers


def read_digits(name: str, content: Callable[[bytes], bytes], raw: bytes, folder: Path) -> None:
    """Read a file whose bytes `content` unpacks by other means."""
    (folder / "test.csv").write_bytes(csv_bytes(labelled=False))
    (folder / name).write_bytes(raw)
    found = load_digits(folder / name if name.endswith(".zip") else folder)
    table = np.column_stack([found.labels, found.images.reshape(-1, 784)])
    assert np.array_equal(table, numbers_in(content(raw)))


def zip_bytes(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, labelled in (("train.csv", True), ("a/test.csv", False)):
            archive.writestr(zipfile.ZipInfo(name), csv_bytes(labelled), method)
    return buffer.getvalue()


# ---- Artifacts and networks ----------------------------------------------------------------------

JSON = 'NaN -Infinity 1e999 null true [] {} [1] -1 0.5 2 "ok" "failed" "\\ud800" "" \0 \udcff }'
JSON += f' ,"format":1 ,"x":{{}} 1e400 {"[" * 3000} {"9" * 5000} ../../x'


def plain_json(raw: bytes) -> dict:
    """Read JSON that must be an object of finite numbers."""
    found = json.loads(raw)
    json.dumps(found, allow_nan=False)
    assert isinstance(found, dict)
    return found


def read_artifact(raw: bytes, folder: Path) -> None:
    (folder / "made.json").write_bytes(raw)
    found, _ = load_json(folder, "made", "05_hyperopt")
    assert found == plain_json(raw)


@cache
def network_arrays() -> dict[str, np.ndarray]:
    from keras import Sequential, layers

    from digit_utils.shipped import save_networks

    network = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten()])
    network.add(layers.Dense(2))
    with tempfile.TemporaryDirectory() as folder:
        path = save_networks(Path(folder) / "x.npz", [network], {"seeds": [1]})
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def read_networks(raw: bytes, folder: Path) -> None:
    """Load a network whose description was changed."""
    from digit_utils.shipped import ShippedModelError, load_networks

    arrays = {**network_arrays(), "layers": np.frombuffer(raw, np.uint8)}
    np.savez(folder / "networks.npz", **arrays)
    try:
        (network,), info = load_networks(folder / "networks.npz")
    except ShippedModelError as error:
        raise Refused(str(error)) from error
    assert info == {"seeds": [1]}
    for number, weight in enumerate(network.get_weights()):
        assert np.array_equal(weight, arrays[f"network_0_weight_{number}"].astype("float32"))


# ---- A small book and its files ------------------------------------------------------------------

PARAMETERS = "SEED: int = 0  # of all\nRATE: float = 0.5\nNAME: str = 'x'\nDEEP: bool = False\n"
KINDS = {"SEED": (int,), "RATE": (int, float), "NAME": (str,), "DEEP": (bool,)}
CHAPTER = f'# %% [markdown]\n# # First\n\n# %% tags=["parameters"]\n{PARAMETERS}\n# %%\n1 + 1\n'
PROFILE = "# A profile.\nSEED: 3\nRATE: 1.5e-3\nNAME: 'a: b'\nDEEP: yes\n"
SEEDS = "chapter: 01\nprofile: odd\nseeds: [0, 1]\n"
SWEEPS = (
    f"{SEEDS}constants: {{NAME: y}}\ngrid:\n  RATE: [0.1, 1]\n  DEEP: [true, false]\nmetric: a\n",
    "chapter: 01\nlist:\n- {RATE: 0.1, SEED: 3}\n- {RATE: 0.2, NAME: 'it''s'}\n- {SEED: 0}\n",
    "chapter: 01_first\nrandom:\n  samples: 3\n  seed: 3\n  values:\n"
    "    RATE: {low: 0.001, high: 1.0, log: true}\n    NAME: [a, b]\n",
)
SEARCH = """from hyperopt import hp

SPACE = {"rate": hp.uniform("rate", 0, 0.5), "units": hp.choice("units", [128, 256])}


def objective(settings):
    return settings["rate"] + 1 / settings["units"]
"""
RUN = {
    "format": 1, "run": "", "status": "ok", "notebook": "01_first.ipynb", "commit": None,
    "versions": {}, "parameters": {"SEED": 0}, "results": {"accuracy": 0.5}, "seconds": 1.5,
    "peak_memory_mb": 200, "error": None,
}  # fmt: skip
YAML = f"!!python/object/apply:os.abort~[] !!int &a *a <<: .nan -.inf 1e5 0x1f {'[' * 500} 017"
YAML += " 1:30 2024-99-99 yes '' \"\\x00\" \ufeff \u2028 {low:~0,high:~1} {} [] | ---"
YAML += " seeds: grid: list: metric: profile: ../x SEED RATE: NAME: -1 \udcff \0 % @ `"
PYTHON = "raise~SystemExit(0) 1/0 ( SPACE=None # coding: ''' \\ return \0 \udcff -1 {} [] %% SEED:"
PYTHON += f' %timeit~1 # [markdown] tags=["parameters"] {"(" * 300} raise~KeyError import~nothing'
TEXTS = f"\\ \" ' {{SEED}} nan inf 1e999 1_0 -1 ٣ \u2028 \udcff ; # = true {'9' * 5000}"


@cache
def book_files() -> dict[str, bytes]:
    """Return the files of a book: one chapter, paired, a sweep of two runs and a search of one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        texts = {
            "notebooks/01_first.py": CHAPTER, "profiles/odd/01_first.yaml": PROFILE,
            "jupytext.toml": 'formats = "ipynb,py:percent"\n', "search.py": SEARCH,
            "sweep.yaml": SEEDS, "file": "",
        }  # fmt: skip
        work_in(folder, {name: text.encode() for name, text in texts.items()})
        command("sync")
        command("search", "search.py", "--trials", "1", "--out", "found")
        key = command("sweep", "sweep.yaml", "--list").split()[0]
        record = folder / "swept" / key / "run.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({**RUN, "run": key}))
        os.chdir(ROOT)
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def work_in(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    os.chdir(folder)


def in_book(read: Callable, pattern: str, odd: str, share: float) -> Target:
    """Return the target that changes the one file of the book that matches."""

    def name() -> str:
        return next(name for name in book_files() if re.fullmatch(pattern, name))

    return Target(
        lambda: [book_files()[name()]], odd, lambda raw, folder: read(name(), raw, folder), share
    )


def fits(name: str, value: Any) -> bool:
    """Tell whether a parameter takes a value, and papermill hands it on as it is."""
    if type(value) not in KINDS[name] or (name == "SEED" and not 0 <= value < 2**32):
        return False
    line = PythonTranslator.codify({name: value}).splitlines()[-1]
    return ast.literal_eval(line.partition("=")[2].strip()) == value


def read_sweep(name: str, raw: bytes, folder: Path) -> None:
    """List a sweep in a book of which one file was changed."""
    work_in(folder, {**book_files(), name: raw})
    listed = command("sweep", "sweep.yaml", "--list", "--out", "swept").splitlines()
    if name.endswith(".json"):
        if "finished" not in listed[0]:
            raise Refused(f"{name} counts as none")
        assert plain_json(raw)["run"] == plain_json(book_files()[name])["run"]
        return
    found = yaml.safe_load(raw.decode()) or {}
    if name == "sweep.yaml":
        number = math.prod(map(len, found.get("grid", {}).values())) * len(found.get("list", [0]))
        number *= len(found.get("seeds", [0])) * found.get("random", {"samples": 1})["samples"]
        assert len(listed) == number, f"{listed}, expected {number} runs"
        found = found.get("constants", {})
    assert all(fits(name, value) for name, value in found.items()), found


def read_search(name: str, raw: bytes, folder: Path) -> None:
    """Resume a finished search of which one file was changed."""
    work_in(folder, {**book_files(), name: raw})
    command("search", "search.py", "--trials", "1", "--out", "found")
    (trial,) = (plain_json(path.read_bytes()) for path in folder.glob("found/trial_*.json"))
    assert math.isfinite(trial["loss"] or 0) and isinstance(trial["parameters"], dict)


def read_value(raw: bytes, folder: Path) -> None:
    """Give a value on the command line; a run whose values fit finds no folder to work in."""
    work_in(folder, book_files())
    name, _, text = raw.decode("utf-8", "surrogateescape").partition("=")
    try:
        command("run", "01", "--profile", "odd", "--out", "file/x", "-p", f"{name}={text}")
    except Refused as error:
        if "Cannot make the folder" not in str(error):
            raise
    value: Any = {"true": True, "false": False}.get(text.lower(), text)
    for kind in (float, int):
        with contextlib.suppress(ValueError):
            value = kind(text)
    if isinstance(value, str) and re.fullmatch(r"(['\"]).*\1", text, re.S) and len(text) > 1:
        value = text[1:-1]
    assert fits(name, value), f"accepted {name} = {value!r:.99}"


def read_pair(name: str, raw: bytes, folder: Path) -> None:
    """Pair the halves of a chapter, one of them changed: the notebook is whole, or as it was."""
    work_in(folder, {**book_files(), name: raw})
    notebook = folder / "notebooks" / "01_first.ipynb"
    before = notebook.read_bytes()
    try:
        command("sync")
    except Refused:
        assert notebook.read_bytes() == before, "refused, and changed"
        raise
    nbformat.validate(nbformat.read(notebook, 4))
    command("sync", "--check")


# ---- Trying --------------------------------------------------------------------------------------

OURS = (Refused, DigitDataError, ArtifactError)
VALUES = (b"SEED=5", b"RATE=0.5", b"NAME=it's", b"DEEP=true", b"NAME='5'", b"NAME=a b")
TARGETS = {
    "csv": Target(lambda: [csv_bytes()], NUMBERS, partial(read_digits, "train.csv", bytes), 0.2),
    "gzip": Target(
        lambda: [gzip.compress(csv_bytes(), mtime=0)],
        ZIP,
        partial(read_digits, "train.csv.gz", gzip.decompress),
        0.1,
    ),
    "zip": Target(
        lambda: [zip_bytes(0), zip_bytes(8)],
        ZIP,
        partial(read_digits, "digits.zip", lambda raw: csv_bytes()),
        0.13,
    ),
    "artifact": Target(lambda: [b'{"best": {"rate": 0.25, "n": [64]}}'], JSON, read_artifact, 0.15),
    "networks": Target(lambda: [bytes(network_arrays()["layers"])], JSON, read_networks, 0.02),
    "value": Target(lambda: list(VALUES), TEXTS, read_value, 0.09),
    "sweep": Target(
        lambda: [text.encode() for text in SWEEPS], YAML, partial(read_sweep, "sweep.yaml"), 0.08
    ),
    "profile": in_book(read_sweep, r"profiles/.*", YAML, 0.08),
    "run": in_book(read_sweep, r".*/run\.json", JSON, 0.06),
    "trial": in_book(read_search, r"found/trial_.*", JSON, 0.05),
    "definition": in_book(read_search, r"found/search\.json", JSON, 0.02),
    "search": in_book(read_search, r"search\.py", PYTHON, 0.02),
    "script": in_book(read_pair, r"notebooks/.*\.py", PYTHON, 0.03),
    "notebook": in_book(read_pair, r"notebooks/.*\.ipynb", JSON, 0.02),
}


def try_case(target: Target, raw: bytes, folder: Path, seconds: float = SECONDS) -> str:
    """Return ``accepted``, ``refused``, or what escaped."""

    def ring(*_: Any) -> None:
        raise OutOfTime

    signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(seconds + 60, exit=True)  # it may never return to Python
    signal.setitimer(signal.ITIMER_REAL, seconds)
    folder.mkdir()
    try:
        target.read(raw, folder)
        return "accepted"
    except OURS as error:
        told = 0 < len(str(error)) < 20_000 and "Traceback" not in str(error)
        return "refused" if told else f"refused with {error!s:.300}"
    except OutOfTime:
        return f"no answer within {seconds} s"
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error!s:.500}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        os.chdir(ROOT)
        left = list(folder.rglob("*.tmp"))
        shutil.rmtree(folder)
        assert not left, "a file half written"


def try_many(name: str, first: int, last: int, seed: int) -> Counter[str]:
    """Try some cases of a target in this process; keep what escapes."""
    warnings.simplefilter("ignore")  # broken Python and strange arrays make Python and NumPy talk
    if name != "networks":  # TensorFlow asks for more
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    target, counts = TARGETS[name], Counter()
    good, odd = target.good(), target.odd.split(" ")
    # Memory instead of a disk, where there is some: what is tested is reading, not flushing.
    ram = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=ram) as temporary:
        folder = Path(temporary) / "work"
        for raw in good:  # whatever is imported late is imported now
            outcome = try_case(target, raw, folder, 60)
            assert outcome == "accepted", f"{name}, a good example: {outcome}"
        for number in range(first, last):
            chance = random.Random(f"{seed} {name} {number}")
            raw = mutate(chance, chance.choice(good), odd)
            outcome = try_case(target, raw, folder)
            if outcome not in ("accepted", "refused"):
                KEPT.mkdir(parents=True, exist_ok=True)
                (KEPT / f"{name}-{seed}-{number}").write_bytes(raw)
                print(f"{name} {number} escaped: {outcome}", file=sys.stderr, flush=True)
                outcome = "escapes"
            counts[outcome] += 1
    return counts


def in_a_process(seed: int, job: tuple[str, int, int]) -> Counter[str]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        return alone.submit(try_many, *job, seed).result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help=f"of: {', '.join(TARGETS)}")
    parser.add_argument("--cases", type=int, default=CASES, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made, found = provenance(ROOT), {name: Counter() for name in options.targets or TARGETS}
    jobs = [
        (name, first, min(first + CHUNK, math.ceil(options.cases * TARGETS[name].share)))
        for name in found
        for first in range(0, math.ceil(options.cases * TARGETS[name].share), CHUNK)
    ]
    with ThreadPoolExecutor(processors()) as pool:
        tried = pool.map(partial(in_a_process, options.seed), jobs)
        for (name, *_), counts in zip(jobs, tried, strict=True):
            found[name] += counts
    table = {name: {key: found[name][key] for key in OUTCOMES} for name in found}
    total = {key: sum(row[key] for row in table.values()) for key in OUTCOMES}
    print(*table.items(), total, sep="\n")
    if options.cases >= CASES and not options.targets:
        total["cases"] = sum(total.values())
        record = {"targets": table, "total": total, "seed": options.seed, "provenance": made}
        write_record(RESULTS / "fuzz.json", record)
    return 1 if total["escapes"] else 0


if __name__ == "__main__":
    sys.exit(main())
