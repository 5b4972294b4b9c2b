"""Sweeps, profiles and values from the command line; and what papermill makes of a value."""

from __future__ import annotations

import ast
import atexit
import math
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import yaml
from hypothesis import strategies as st
from papermill.parameterize import parameterize_notebook  # here: it may take long, a case may not

from digits_cli.errors import ParameterError, UsageError
from digits_cli.parameters import (
    check_value,
    parse_command_line_value,
    parse_declarations,
    read_profile,
)
from digits_cli.sweep_file import read_sweep
from fuzzing.harness import Target, damaged

DECLARATIONS = """SEED: int = 0  # of everything
RATE: float = 0.5  # per step
NAME: str = "x"  # anything
DEEP: bool = False  # or wide
LIMIT: int = 0  # 0: no limit
DATA: str = ""  # folder
"""
DECLARED = parse_declarations(DECLARATIONS, "01_first")
CHAPTER = f'# %% [markdown]\n# # First\n\n# %% tags=["parameters"]\n{DECLARATIONS}\n# %%\n1\n'
TOKENS = [
    token.encode()
    for token in (
        "!!python/object/apply:os.abort []", "!!int ''", "!!bool x", "!!timestamp x", "!!set {a}",
        "!x y", "&a [1, *a]", "&a ", "*a", "<<: {SEED: 1}", "? [a]\n: 1", "[" * 3000,
        ".nan", "-.inf", "1e5", "0x" + "f" * 4000, "017", "1:30:00", "9:" * 500 + "9", "2024-01-01",
        "2024-99-99", "yes", "~", "''", '"\\ud800"', '"\\x00"', "'; import os; os.abort() #",
        "|\n  a\n", "%YAML 9.9\n", "---\n", "\t", "\r\n", "\ufeff", "\x85", "\u2028",
        "{low: 0, high: 1}", "{low: 0, high: 0xffffffffffffffffff}", "samples: 99999999",
        "seeds: [0, 1]", "grid:", "list:", "random:", "constants:", "metric: a",
        "profile: ../quick", "chapter: ../01_first.py", "a" * 5000, "class", "ü", "\u202e",
    )
] + [b"\xff", b"\0"]  # fmt: skip

SWEEPS = (
    "chapter: 01_first\nprofile: quick\nconstants: {NAME: y}\n"
    "grid:\n  RATE: [0.1, 1]\n  DEEP: [true, false]\nseeds: [0, 1]\nmetric: a\n",
    "chapter: 01\nlist:\n- {RATE: 0.1, LIMIT: 3}\n- {RATE: 0.2, NAME: 'it''s'}\n- {LIMIT: 0}\n",
    "chapter: 01_first\nrandom:\n  samples: 5\n  seed: 3\n  values:\n"
    "    RATE: {low: 0.001, high: 1.0, log: true}\n    LIMIT: {low: 2, high: 40}\n"
    "    NAME: [a, b]\n",
)
PROFILE = '# A profile.\nSEED: 3\nRATE: 1.5e-3\nNAME: "a: b"\nDEEP: yes\nDATA: |\n  text\n'


def _fits(name: str, value: Any) -> bool:
    """Whether a value is of the type that DECLARATIONS gives, written down a second time."""
    kinds = {"RATE": (int, float), "NAME": (str,), "DEEP": (bool,), "DATA": (str,)}
    if type(value) not in kinds.get(name, (int,)):
        return False
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() == value
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63


def _assigned(values: dict[str, Any]) -> dict[str, Any]:
    """What papermill's injected cell sets: assignments of literals, and nothing else."""
    cell = nbformat.v4.new_code_cell(DECLARATIONS)
    cell.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["papermill"] = {}
    made = parameterize_notebook(notebook, values, kernel_name="python3", language="python")
    (injected,) = [
        cell for cell in made.cells if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    nbformat.writes(made).encode()
    found = {}
    for statement in ast.parse(injected.source).body:
        assert isinstance(statement, ast.Assign) and len(statement.targets) == 1, injected.source
        assert isinstance(statement.targets[0], ast.Name), injected.source
        found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


@cache
def _book() -> Path:
    from digits_cli.book import list_chapters
    from digits_cli.pairing import sync_pair

    root = Path(tempfile.mkdtemp(prefix="digits-fuzz-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (root / "notebooks").mkdir()
    (root / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
    (root / "notebooks" / "01_first.py").write_text(CHAPTER)
    sync_pair(list_chapters(root)[0])
    return root


@st.composite
def texts(draw: Any, good: Any, most: int = 2) -> bytes:
    """YAML near to a good one."""
    raw = draw(st.sampled_from(good)).encode()
    return draw(damaged(raw, TOKENS, most=most))


def read_sweep_file(raw: bytes, folder: Path) -> None:
    """Read a sweep; count its runs a second time, and look at each value."""
    path = folder / "sweep.yaml"
    path.write_bytes(raw)
    try:
        sweep = read_sweep(path, _book())
    except UsageError as error:
        assert raw not in {text.encode() for text in SWEEPS}, f"refused a good file: {error}"
        raise
    entries = yaml.safe_load(raw.decode())
    numbers = len(entries["seeds"]) if "seeds" in entries else 1
    if "grid" in entries:
        numbers *= math.prod(len(values) for values in entries["grid"].values())
    elif "list" in entries:
        numbers *= len(entries["list"])
    elif "random" in entries:
        numbers *= entries["random"]["samples"]
    assert len(sweep.points) == numbers > 0
    assert len({repr(sorted(point.items())) for point in sweep.points}) == numbers, "runs alike"
    for point in sweep.points[:50]:
        for name, value in point.items():
            assert _fits(name, value), f"{name} is {value!r:.60}"
            if name != "DATA":
                assert value == entries.get("constants", {}).get(name, value)
                assert value in entries.get("grid", {}).get(name, [value])
    assert _assigned(sweep.points[0]) == sweep.points[0]


def read_profile_file(raw: bytes, folder: Path) -> None:
    """Read a profile; compare it with PyYAML's own reading."""
    path = folder / "01_first.yaml"
    path.write_bytes(raw)
    try:
        found = read_profile(path)
    except ParameterError as error:
        assert raw != PROFILE.encode(), f"refused a good file: {error}"
        assert "01_first.yaml" in str(error)
        raise
    plain = yaml.safe_load(raw.decode()) or {}
    assert len(found) == len(plain)
    for (name, (value, line)), (key, expected) in zip(found.items(), plain.items(), strict=True):
        assert isinstance(name, str) and (not isinstance(key, str) or name == key)
        assert 1 <= line <= len(raw.decode().splitlines()) + 1
        if not isinstance(value, dict | list):
            assert repr(value) == repr(expected), "another value than PyYAML's"


HOSTILE = [
    "'", '"""', "\\", '\\"', "\n", "\r", "\0", "{SEED}", "${HOME}", "%s", "\u2028", "\ud800",
    '"; import os; os.abort() #', "!!python/object/apply:os.abort []", "nan", "-inf", "1e999",
    "9" * 5000, "[nan]", "[" * 3000, "'a", '"a"', "1_000", "٣", " 5", "True", "-0", "--",
]  # fmt: skip
ODD_NAMES = ["seed", "SEED;x", "SEED=1", "class", "", "SEED; import os; os.abort()", "ＳＥＥＤ"]
OTHER = [10**4000, 2**63, 2**63 - 1, b"x", {1}, {"a": 1}, (1,), 1j, [1], None]


@st.composite
def requests(draw: Any) -> tuple[str, Any]:
    """A name and a value: as text from the command line, or as whatever a YAML file holds."""
    name = draw(st.sampled_from([*DECLARED] * 3 + ODD_NAMES))
    text = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=4).map("".join)
    values = text | st.integers() | st.floats() | st.booleans() | st.sampled_from(OTHER)
    return name, draw(text.map(parse_command_line_value) | values)


def take_value(case: tuple[str, Any], _: Path) -> None:
    """Check a request; a value that passes comes out of papermill as it went in."""
    name, value = case
    fits = name in DECLARED and _fits(name, value) and (name != "SEED" or 0 <= value < 2**32)
    try:
        check_value("01_first", DECLARED, name, value, "-p")
    except ParameterError as error:
        assert not fits, f"refused a good value: {error}"
        raise
    assert fits, f"{name} accepted {value!r:.100}"
    assert _assigned({name: value}) == {name: value}


CODE_TOKENS = [
    token.encode()
    for token in (
        "(" * 300, "[" * 3000, "-" * 3000 + "1", "f'{SEED}'", "b'x'", "1j", "...", "\0", "\\\n",
        "__import__('os').abort()", "'''", "# coding: latin-1\n", "A: (yield) = 1", "A: 'int' = 1",
        "A = B = 1", "A += 1", "import os\n", "    ", "\f", "é", "9" * 5000, "1e999", "-1", "not 1",
        "int | None", "0x" + "f" * 4000, "\r", "\u2028",
    )
]  # fmt: skip


def read_declarations(raw: bytes, _: Path) -> None:
    """Read a parameters cell; nothing in it is executed, and each default is a literal."""
    source = raw.decode("utf-8", "replace")
    declared = parse_declarations(source, "01_first")
    assert {statement.target.id for statement in ast.parse(source).body} == set(declared)
    for parameter in declared.values():
        assert str(parameter) and parameter.accepts(parameter.default)


TARGETS = (
    Target("sweep", texts(SWEEPS), read_sweep_file, (UsageError,), seconds=20),
    Target("profile", texts([PROFILE], most=3), read_profile_file, (ParameterError,), seconds=20),
    Target("value", requests(), take_value, (ParameterError,)),
    Target("declarations", damaged(DECLARATIONS.encode(), CODE_TOKENS, least=1), read_declarations,
           (ParameterError,), share=0.6),
)  # fmt: skip
