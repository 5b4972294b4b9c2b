"""What `fuzz.py` damages: good files of every kind, and for each a reader that checks what is read.

A reader gets the file's path and bytes. What is accepted must be right by other means than ours.
"""

import contextlib
import gzip
import io
import json
import math
import re
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from digit_utils.artifacts import load_json
from digit_utils.data import load_digits
from digits_cli.cli import main as digits
from experiments import write_files


class Refused(Exception):
    """The command line ended with an error of ours."""


def command(*arguments: str) -> str:
    """Run the `digits` command in this process; return what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = digits(arguments)
        except SystemExit as error:  # of argparse
            code = error.code
    if code:
        told = "digits" in err.getvalue() or "No trial succeeded. The last: " in err.getvalue()
        assert code in (1, 2) and told, f"{code}: {err.getvalue()}"
        raise Refused(out.getvalue() + err.getvalue())
    return out.getvalue()


HEADER = ["label", *(f"pixel{index}" for index in range(784))]
ROWS = [[n, *np.random.RandomState(n).choice([0, 0, 7, 80, 255], 784)] for n in (0, 5, 9)]
CSV, TEST_CSV = (
    "".join(",".join(map(str, row[first:])) + "\n" for row in [HEADER, *ROWS]).encode()
    for first in (0, 1)
)
NUMBERS = f'-1 256 255 1e2 1.0 NaN inf 007 +5 5_0 0x1 \udcff ٣ \u2028 \0 \ufeff " \r {"9" * 400}'
ZIP = "PK \udcff \0\0\0\0 train.csv test.csv ../train.csv train.csv/ \x08 \x0e \x01"


def numbers_in(raw: bytes) -> list[list[int]]:
    """Read a labelled file with `re` and `int` alone; it must be exactly in Kaggle's format."""
    text = re.sub(r'"(\w+)"', r"\1", raw.decode("utf-8-sig").rstrip("\r\n"))
    header, *rows = re.split(r"\r\n|\n|\r", text)
    assert header == ",".join(HEADER) and rows
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


JSON = 'NaN -Infinity 1e999 null true [] {} [1] -1 0.5 2 "ok" "failed" "\\ud800" "" \0 \udcff }'
JSON += f' ,"format":1 ,"x":{{}} 1e400 {"[" * 3000} {"9" * 5000} ../../x'


def plain_json(raw: bytes) -> dict:
    """Read JSON that must be an object of finite numbers."""
    found = json.loads(raw)
    assert isinstance(found, dict) and json.dumps(found, allow_nan=False)
    return found


def read_artifact(path: Path, raw: bytes) -> None:
    found, _ = load_json(path.parent, path.stem, "05_hyperopt")
    assert found == plain_json(raw)


def read_networks(path: Path, raw: bytes) -> None:
    """Load a network whose weights are good and whose description is the file."""
    from digit_utils.models import build_shipped_cnn
    from digit_utils.shipped import load_networks

    weights = build_shipped_cnn(1).get_weights()
    named = {f"network_0_weight_{number}": weight for number, weight in enumerate(weights)}
    info = np.frombuffer(raw, np.uint8)
    np.savez(path.with_suffix(".npz"), n_networks=np.array(1), info=info, **named)
    (network,), info = load_networks(path.with_suffix(".npz"))
    assert info == plain_json(raw)
    assert all(map(np.array_equal, network.get_weights(), weights))


PARAMETERS = "SEED: int = 0  # of all\nRATE: float = 0.5\nNAME: str = 'x'\nDEEP: bool = False\n"
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
    files: dict[str, bytes | str] = {**texts, "digits.zip": zip_bytes()}
    files |= {"csv/train.csv": CSV, "csv/test.csv": TEST_CSV}
    files |= {"gz/train.csv.gz": gzip.compress(CSV, mtime=0), "gz/test.csv": TEST_CSV}
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        folder = Path(temporary)
        write_files(folder, files)
        command("sync")
        command("search", "search.py", "--trials", "1", "--out", "found")
        key = command("sweep", "sweeps/seeds.yaml", "--list").split()[0]
        write_files(folder, {f"swept/{key}/run.json": RUN.replace("KEY", key).encode()})
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def fits(name: str, value: Any) -> bool:
    kinds = {"SEED": [int], "RATE": [int, float], "NAME": [str], "DEEP": [bool]}
    low, high = {"SEED": (0, 2**32 - 1), "RATE": (-1e308, 1e308)}.get(name, (value, value))
    return type(value) in kinds[name] and low <= value <= high


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
    read: dict[str, Callable[[str], Any]] = {
        "SEED": int,
        "RATE": float,
        "NAME": lambda text: int(text) if re.fullmatch(r"[0-9]+", text) else text,
        "DEEP": lambda text: {"true": True, "false": False}[text.lower()],
    }
    for name, text in dict(pair.split("=", 1) for pair in pairs).items():
        assert fits(name, read[name](text)), f"accepted {name} = {text!r:.99}"


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
