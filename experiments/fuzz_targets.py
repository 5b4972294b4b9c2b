"""What `fuzz.py` damages: good files, and readers that check by other means what is read."""

import contextlib
import gzip
import io
import json
import math
import re
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from digit_utils.artifacts import load_json
from digit_utils.data import load_digits
from digits_cli.cli import main as digits
from experiments import make_book, write_files


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


def read_digits(path: Path, raw: bytes) -> None:
    """Read with `re` and `int` alone, too; the file must be exactly in Kaggle's format."""
    found = load_digits(path if path.suffix == ".zip" else path.parent)
    unpack = {".gz": gzip.decompress, ".zip": lambda _: CSV}.get(path.suffix, bytes)
    text = re.sub(r'"(\w+)"', r"\1", unpack(raw).decode("utf-8-sig").rstrip("\r\n"))
    header, *rows = re.split(r"\r\n|\n|\r", text)
    assert header == ",".join(HEADER) and rows
    assert all(re.fullmatch(r"0*[0-9](,[0-9]+){784}", row) for row in rows)
    numbers = [[int(number) for number in row.split(",")] for row in rows]
    assert np.array_equal(np.column_stack([found.labels, found.images.reshape(-1, 784)]), numbers)


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

    file, good = path.with_suffix(".npz"), build_shipped_cnn(1).get_weights()
    named = {f"network_0_weight_{number}": weight for number, weight in enumerate(good)}
    np.savez(file, n_networks=np.array(1), info=np.frombuffer(raw, np.uint8), **named)
    (network,), info = load_networks(file)
    assert info == plain_json(raw) and all(map(np.array_equal, network.get_weights(), good))


PARAMETERS = "SEED: int = 0  # of all\nRATE: float = 0.5\nNAME: str = 'x'\nDEEP: bool = False\n"
PROFILE = "# A profile.\nSEED: 3\nRATE: 1.5e-3\nNAME: 'a: b'\nDEEP: yes\n"
SEEDS = "chapter: 01\nprofile: odd\nseeds: [0, 1]\n"
GRID = f"{SEEDS}constants: {{NAME: y}}\ngrid:\n  RATE: [0.1, 1]\n  DEEP: [true, false]\n"
LIST = "chapter: 01\nmetric: a\nlist:\n- {RATE: 0.1, SEED: 3}\n- {RATE: 1, NAME: 'it''s'}\n"
RANDOM = "chapter: 01_first\nrandom:\n  samples: 3\n  seed: 3\n  values:\n    NAME: [a, b]\n"
RANDOM += "    RATE: {low: 0.001, high: 1.0, log: true}\n"
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
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr(zipfile.ZipInfo("train.csv"), CSV, zipfile.ZIP_DEFLATED)
        members.writestr(zipfile.ZipInfo("a/test.csv"), TEST_CSV)
    files = {
        "csv/train.csv": CSV, "csv/test.csv": TEST_CSV, "digits.zip": archive.getvalue(),
        "gz/train.csv.gz": gzip.compress(CSV, mtime=0), "gz/test.csv": TEST_CSV,
        "artifacts/best.json": '{"best": {"rate": 0.25, "units": [64]}, "note": "é"}',
        "networks/info.json": '{"recipe": {"epochs": 3}, "seeds": [0]}',
        "profiles/odd/01_first.yaml": PROFILE, "search.py": SEARCH, "file": "",
        "sweeps/seeds.yaml": SEEDS, "sweeps/grid.yaml": GRID,
        "sweeps/list.yaml": LIST, "sweeps/random.yaml": RANDOM,
        "value.txt": "SEED=5\nRATE=0.5\nNAME=it's\nDEEP=true\nNAME='5'",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_book(Path(folder), files, PARAMETERS, "1 + 1\n")
        command("search", "search.py", "--trials", "1", "--out", "found")
        key = command("sweep", "sweeps/seeds.yaml", "--list").split()[0]
        write_files(Path("swept", key), {"run.json": RUN.replace("KEY", key)})
        paths = (path for path in Path().rglob("*") if path.is_file() and path.name[0] != ".")
        return {path.as_posix(): path.read_bytes() for path in paths}


def fits(name: str, value: bool | float | str) -> bool:
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
        many = [*found.get("grid", {}).values(), found.get("list", [0]), found.get("seeds", [0])]
        number = math.prod(map(len, many)) * found.get("random", {"samples": 1})["samples"]
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
    kinds = {"SEED": int, "RATE": float, "DEEP": lambda text: json.loads(text.lower())}
    for name, text in dict(pair.split("=", 1) for pair in pairs).items():
        kind = kinds.get(name, int if re.fullmatch("[0-9]+", text) else str)
        assert fits(name, kind(text)), f"accepted {name} = {text!r:.99}"


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


TARGETS = {  # the end of the file's path, who reads it, what is put into it, its share of the cases
    "csv": ("csv/train.csv", read_digits, NUMBERS, 0.2),
    "gzip": ("gz/train.csv.gz", read_digits, ZIP, 0.1),
    "zip": ("digits.zip", read_digits, ZIP, 0.15),
    "artifact": ("artifacts/best.json", read_artifact, JSON, 0.15),
    "networks": ("networks/info.json", read_networks, JSON, 0.02),
    "grid": ("sweeps/grid.yaml", read_sweep, YAML, 0.04),
    "list": ("sweeps/list.yaml", read_sweep, YAML, 0.04),
    "random": ("sweeps/random.yaml", read_sweep, YAML, 0.04),
    "profile": ("profiles/odd/01_first.yaml", read_sweep, YAML, 0.06),
    "run": ("/run.json", read_sweep, JSON, 0.05),
    "values": ("value.txt", read_values, TEXTS, 0.05),
    "trial": ("found/trial_0001.json", read_search, JSON, 0.04),
    "definition": ("found/search.json", read_search, JSON, 0.01),
    "search": ("search.py", read_search, PYTHON, 0.01),
    "script": ("notebooks/01_first.py", read_pair, PYTHON, 0.03),
    "notebook": ("notebooks/01_first.ipynb", read_pair, JSON, 0.01),
}
