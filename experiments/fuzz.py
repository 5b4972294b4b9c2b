"""Feed damaged input to everything that reads what people hand to the book.

Each case is a good example, changed by a seeded random generator. It is accepted, and what was read
is looked at by other means, or it is refused with our own error. Anything else escapes: a stray
exception, a wrong reading, more than two seconds' work, a file half written. What escapes is kept
in `_build/fuzz`, and the exit code is 1. Only a full run of all readers is recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import fnmatch
import gzip
import io
import json
import math
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

# What is tried; the rest through the command line, and networks, which need Keras, further down.
from digit_utils.artifacts import ArtifactError, load_json
from digit_utils.data import load_digits
from digit_utils.kaggle import DigitDataError
from digit_utils.provenance import processors, provenance
from digits_cli.cli import main as digits
from experiments import RESULTS, ROOT, write_record

KEPT = ROOT / "_build" / "fuzz"
CASES, CHUNK = 100_000, 4_000  # of all readers together; what one process tries
SECONDS, MEMORY = 2, 4 << 30  # a case; bytes of addresses, of which pyarrow asks for many
OUTCOMES = ("accepted", "refused", "escapes")


class Refused(Exception):
    """The command line ended with an error of ours."""


def mutate(chance: random.Random, good: bytes, odd: list[str]) -> bytes:
    """Put in, cut, double, swap or flip some words or bytes."""
    raw = good
    words = b"\0" not in raw and chance.random() < 0.8
    for _ in range(chance.choice((1, 1, 2, 3))):
        parts = re.findall(rb"\w+|\s+|[^\w\s]" if words else rb"[\s\S]", raw) or [b""]
        at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        end = at + chance.choice((0, 1, 1, 1, 2, other))
        kind = chance.choice(("put", "put", "put", "cut", "end", "double", "swap", "flip"))
        if kind == "put":
            parts[at:end] = [
                chance.choice(odd).replace("~", " ").encode("utf-8", "surrogateescape")
            ]
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


def csv_text(labelled: bool = True) -> str:
    chance = random.Random(0)
    rows = [[chance.choice((0, chance.randrange(256))) for _ in range(784)] for _ in range(3)]
    lines = [HEADER, *(",".join(map(str, [chance.randrange(10), *row])) for row in rows)]
    return "".join(line[0 if labelled else line.index(",") + 1 :] + "\n" for line in lines)


CSV, TEST_CSV = csv_text().encode(), csv_text(labelled=False).encode()


def numbers_in(raw: bytes) -> list[list[int]]:
    """Read a labelled file with `re` and `int` alone; it must be exactly in Kaggle's format."""
    text = re.sub(r'"(\w+)"', r"\1", raw.decode("utf-8-sig").rstrip("\r\n"))
    header, *rows = re.split(r"\r\n|\n|\r", text)
    assert header == HEADER and rows
    assert all(re.fullmatch(r"[0-9]+(,[0-9]+){784}", row) for row in rows)
    numbers = [[int(number) for number in row.split(",")] for row in rows]
    assert all(row[0] < 10 and max(row) < 256 for row in numbers)
    return numbers


def read_digits(path: Path, raw: bytes) -> None:
    """Read a file whose bytes are unpacked by other means."""
    found = load_digits(path if path.suffix == ".zip" else path.parent)
    unpack = {".gz": gzip.decompress, ".zip": lambda _: CSV}.get(path.suffix, bytes)
    table = np.column_stack([found.labels, found.images.reshape(-1, 784)])
    assert np.array_equal(table, numbers_in(unpack(raw)))


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("train.csv"), CSV, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("a/test.csv"), TEST_CSV, zipfile.ZIP_STORED)
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


def read_artifact(path: Path, raw: bytes) -> None:
    found, _ = load_json(path.parent, path.stem, "05_hyperopt")
    assert found == plain_json(raw)


def read_networks(path: Path, raw: bytes) -> None:
    """Load a network whose weights are good and whose description is the file."""
    from digit_utils.models import build_shipped_cnn
    from digit_utils.shipped import ShippedModelError, load_networks

    weights = build_shipped_cnn(1).get_weights()
    named = {f"network_0_weight_{number}": weight for number, weight in enumerate(weights)}
    info = np.frombuffer(raw, np.uint8)
    np.savez(path.with_suffix(".npz"), n_networks=np.array(1), info=info, **named)
    try:
        (network,), info = load_networks(path.with_suffix(".npz"))
    except ShippedModelError as error:
        raise Refused(str(error)) from error
    assert info == plain_json(raw)
    assert all(map(np.array_equal, network.get_weights(), weights))


# ---- A small book and its files ------------------------------------------------------------------

PARAMETERS = "SEED: int = 0  # of all\nRATE: float = 0.5\nNAME: str = 'x'\nDEEP: bool = False\n"
KINDS = {"SEED": (int,), "RATE": (int, float), "NAME": (str,), "DEEP": (bool,)}
CHAPTER = f'# %% [markdown]\n# # First\n\n# %% tags=["parameters"]\n{PARAMETERS}\n# %%\n1 + 1\n'
PROFILE = "# A profile.\nSEED: 3\nRATE: 1.5e-3\nNAME: 'a: b'\nDEEP: yes\n"
SEEDS = "chapter: 01\nprofile: odd\nseeds: [0, 1]\n"
SWEEPS = {
    "grid": f"{SEEDS}constants: {{NAME: y}}\ngrid:\n  RATE: [0.1, 1]\n  DEEP: [true, false]\n",
    "list": "chapter: 01\nmetric: a\nlist:\n- {RATE: 0.1, SEED: 3}\n- {RATE: 1, NAME: 'it''s'}\n",
    "random": "chapter: 01_first\nrandom:\n  samples: 3\n  seed: 3\n  values:\n"
    "    RATE: {low: 0.001, high: 1.0, log: true}\n    NAME: [a, b]\n",
}
SEARCH = """from hyperopt import hp

SPACE = {"rate": hp.uniform("rate", 0, 0.5), "units": hp.choice("units", [128, 256])}


def objective(settings):
    return settings["rate"] + 1 / settings["units"]
"""
RUN = """{"format": 1, "run": "KEY", "status": "ok", "notebook": "01_first.ipynb", "commit": null,
"versions": {}, "parameters": {"SEED": 0}, "results": {"accuracy": 0.5}, "seconds": 1.5,
"peak_memory_mb": 200, "error": null}"""
YAML = f"!!python/object/apply:os.abort~[] !!int &a *a <<: .nan -.inf 1e5 0x1f {'[' * 500} 017"
YAML += " 1:30 2024-99-99 yes '' \"\\x00\" \ufeff \u2028 {low:~0,high:~1} {} [] | ---"
YAML += " seeds: grid: list: metric: profile: ../x SEED RATE: NAME: -1 \udcff \0 % @ `"
PYTHON = "raise~SystemExit(0) 1/0 ( SPACE=None # coding: ''' \\ return \0 \udcff -1 {} [] %% SEED:"
PYTHON += f' %timeit~1 # [markdown] tags=["parameters"] {"(" * 300} raise~KeyError import~nothing'
TEXTS = f"\\ \" ' {{SEED}} nan inf 1e999 1_0 -1 ٣ \u2028 \udcff ; # = true {'9' * 5000}"


@cache
def good_files() -> dict[str, bytes]:
    """Return good files of all kinds: a book of one chapter with sweeps, a search, data."""
    texts = {
        "jupytext.toml": 'formats = "ipynb,py:percent"\n', "file": "", "search.py": SEARCH,
        "notebooks/01_first.py": CHAPTER, "profiles/odd/01_first.yaml": PROFILE,
        "sweeps/seeds.yaml": SEEDS, "networks/info.json": '{"recipe": {"epochs": 3}, "seeds": [0]}',
        "artifacts/best.json": '{"best": {"rate": 0.25, "units": [64]}, "note": "é"}',
        "value.txt": "SEED=5\nRATE=0.5\nNAME=it's\nDEEP=true\nNAME='5'",
        **{f"sweeps/{name}.yaml": text for name, text in SWEEPS.items()},
    }  # fmt: skip
    files = {name: text.encode() for name, text in texts.items()}
    files |= {"csv/train.csv": CSV, "csv/test.csv": TEST_CSV, "digits.zip": zip_bytes()}
    files |= {"gz/train.csv.gz": gzip.compress(CSV, mtime=0), "gz/test.csv": TEST_CSV}
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        folder = Path(temporary)
        write_files(files)
        command("sync")
        command("search", "search.py", "--trials", "1", "--out", "found")
        key = command("sweep", "sweeps/seeds.yaml", "--list").split()[0]
        write_files({f"swept/{key}/run.json": RUN.replace("KEY", key).encode()})
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_files(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def fits(name: str, value: Any) -> bool:
    limits = {"SEED": (0, 2**32 - 1), "RATE": (-1e308, 1e308)}.get(name, (value, value))
    return type(value) in KINDS[name] and limits[0] <= value <= limits[1] and value == value


def read_sweep(path: Path, raw: bytes) -> None:
    """List a sweep: this one, or one that uses the file."""
    sweep = path if path.parent.name == "sweeps" else "sweeps/seeds.yaml"
    listed = command("sweep", str(sweep), "--list", "--out", "swept").splitlines()
    if path.name == "run.json":
        if "finished" not in listed[0]:
            raise Refused("the run counts as not finished")
        assert plain_json(raw)["run"] == path.parent.name
        return
    found = yaml.safe_load(raw.decode()) or {}
    if path == sweep:
        number = math.prod(map(len, found.get("grid", {}).values())) * len(found.get("list", [0]))
        number *= len(found.get("seeds", [0])) * found.get("random", {"samples": 1})["samples"]
        assert len(listed) == number, f"{listed}, expected {number} runs"
        found = found.get("constants", {})
    assert all(fits(name, value) for name, value in found.items()), found


def read_search(path: Path, raw: bytes) -> None:
    """Start this search, or resume the finished one of which a file was changed."""
    out = "new" if path.suffix == ".py" else "found"
    command("search", "search.py", "--trials", "1", "--out", out)
    (trial,) = (plain_json(found.read_bytes()) for found in Path(out).glob("trial_*.json"))
    assert math.isfinite(trial["loss"] or 0) and isinstance(trial["parameters"], dict)


def read_values(path: Path, raw: bytes) -> None:
    """Give values on the command line; a run whose values fit finds no folder to work in."""
    pairs = raw.decode("utf-8", "surrogateescape").split("\n")
    try:
        command("run", "01", "--out", "file/x", *(word for pair in pairs for word in ("-p", pair)))
    except Refused as error:
        if "Cannot make the folder" not in str(error):
            raise
    right: dict[str, Callable[[str], bool]] = {
        "SEED": lambda text: 0 <= int(text) < 2**32,
        "RATE": lambda text: math.isfinite(float(text)),
        "NAME": lambda text: not re.fullmatch(r"[0-9]+", text),
        "DEEP": lambda text: text.lower() in ("true", "false"),
    }
    for name, text in dict(pair.split("=", 1) for pair in pairs).items():
        assert right[name](text), f"accepted {name} = {text!r:.99}"


def read_pair(path: Path, raw: bytes) -> None:
    """Pair the halves of a chapter, one of them changed: the notebook is whole, or as it was."""
    notebook = path.with_suffix(".ipynb")
    before = notebook.read_bytes()
    try:
        command("sync")
    except Refused:
        assert notebook.read_bytes() == before, "refused, and changed"
        raise
    assert plain_json(notebook.read_bytes())["nbformat"] == 4
    command("sync", "--check")


# ---- Trying --------------------------------------------------------------------------------------

OURS = (Refused, DigitDataError, ArtifactError)
TARGETS = {  # the file that is changed, who reads it, what is put into it, its share of the cases
    "csv": ("csv/train.csv", read_digits, NUMBERS, 0.2),
    "gzip": ("gz/train.csv.gz", read_digits, ZIP, 0.1),
    "zip": ("digits.zip", read_digits, ZIP, 0.15),
    "artifact": ("artifacts/best.json", read_artifact, JSON, 0.15),
    "networks": ("networks/info.json", read_networks, JSON, 0.02),
    "grid": ("sweeps/grid.yaml", read_sweep, YAML, 0.04),
    "list": ("sweeps/list.yaml", read_sweep, YAML, 0.04),
    "random": ("sweeps/random.yaml", read_sweep, YAML, 0.04),
    "profile": ("profiles/odd/01_first.yaml", read_sweep, YAML, 0.06),
    "run": ("swept/*/run.json", read_sweep, JSON, 0.05),
    "values": ("value.txt", read_values, TEXTS, 0.05),
    "trial": ("found/trial_0001.json", read_search, JSON, 0.04),
    "definition": ("found/search.json", read_search, JSON, 0.01),
    "search": ("search.py", read_search, PYTHON, 0.01),
    "script": ("notebooks/01_first.py", read_pair, PYTHON, 0.03),
    "notebook": ("notebooks/01_first.ipynb", read_pair, JSON, 0.01),
}


def try_case(read: Callable, path: Path, raw: bytes, seconds: float = SECONDS) -> str:
    """Write bytes to a file, and read it; return ``accepted``, ``refused``, or what escaped."""
    path.write_bytes(raw)
    # Of the processor's time: others may be at work here. What the alarm raises is no Exception,
    # so no reader takes it for its own error. What waits or is outside Python ends the process.
    signal.signal(signal.SIGPROF, signal.default_int_handler)
    faulthandler.dump_traceback_later(60 + seconds, exit=True)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    outcome = "accepted"
    try:
        read(path, raw)
    except OURS as error:
        outcome = "refused"
        if not 0 < len(str(error)) < 20_000 or "Traceback" in str(error):
            outcome = f"refused with {error!s:.300}"
    except KeyboardInterrupt:
        outcome = f"no answer within {seconds} s"
    except (Exception, SystemExit) as error:
        outcome = f"{type(error).__name__}: {error!s:.500}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
    left = [each.name for each in Path().rglob("*.tmp")]
    return f"left {left}" if left else outcome


def try_many(name: str, first: int, last: int, seed: int) -> Counter[str]:
    """Try some cases of a target in this process; keep what escapes."""
    warnings.simplefilter("ignore")  # broken Python and strange arrays make Python and NumPy talk
    pattern, read, words, _ = TARGETS[name]
    (file,) = fnmatch.filter(good_files(), pattern)
    good, counts = good_files()[file], Counter()
    # Memory instead of a disk, where there is some: what is tested is reading, not flushing.
    ram = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for number in range(first - 1, last):
        chance = random.Random(f"{seed} {name} {number}")
        raw = mutate(chance, good, words.split(" ")) if number >= first else good
        with tempfile.TemporaryDirectory(dir=ram) as temporary, contextlib.chdir(temporary):
            write_files(good_files())
            # What is imported late is imported for the first case, a good one.
            seconds = SECONDS if number >= first else 60
            outcome = try_case(read, Path(temporary, file), raw, seconds)
        assert number >= first or outcome == "accepted", f"{name}, a good file: {outcome}"
        if outcome not in ("accepted", "refused"):
            KEPT.mkdir(parents=True, exist_ok=True)
            (KEPT / f"{name}-{seed}-{number}").write_bytes(raw)
            print(f"{name} {number} escaped: {outcome}", file=sys.stderr, flush=True)
            outcome = "escapes"
        counts[outcome] += number >= first
    return counts


def in_a_process(seed: int, job: tuple[str, int, int]) -> Counter[str]:
    """Try cases in a process of their own, with little memory; TensorFlow asks for more."""
    limit = partial(resource.setrlimit, resource.RLIMIT_AS, (MEMORY, MEMORY))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, None if job[0] == "networks" else limit) as alone:
        return alone.submit(try_many, *job, seed).result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help=f"of: {', '.join(TARGETS)}")
    parser.add_argument("--cases", type=int, default=CASES, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made, found = provenance(ROOT), {name: Counter() for name in options.targets or TARGETS}
    jobs = [
        (name, first, min(first + CHUNK, math.ceil(options.cases * TARGETS[name][3])))
        for name in found
        for first in range(0, math.ceil(options.cases * TARGETS[name][3]), CHUNK)
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
