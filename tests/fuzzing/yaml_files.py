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

import yaml
from hypothesis import strategies as st

from digits_cli.errors import ParameterError, UsageError
from digits_cli.parameters import Parameter, check_value, parse_declarations
from digits_cli.sweep_file import read_sweep
from digits_cli.values import parse_command_line_value, read_profile
from fuzzing.harness import Target, damaged

DECLARATIONS = """SEED: int = 0  # of everything
RATE: float = 0.5  # per step
NAME: str = "x"  # anything
DEEP: bool = False  # or wide
LIMIT: int | None = None  # none: no limit
WIDTHS: list[int] = [1, 2]  # units
ANY: list = []  # of anything simple
DATA: str = ""  # folder
ARTIFACTS: str = "artifacts"  # folder
"""
CHAPTER = f'# %% [markdown]\n# # First\n\n# %% tags=["parameters"]\n{DECLARATIONS}\n# %%\n1\n'
TOKENS = [
    token.encode()
    for token in (
        "!!python/object/apply:os.abort []", "!!python/name:os.system ", "!!int ''", "!!float ''",
        "!!bool x", "!!timestamp x", "!!binary =", "!!null x", "!!set {a}", "!!omap [a: 1]", "!x y",
        "&a [1, *a]", "&a ", "*a", "<<: {SEED: 1}", "? [a]\n: 1", "[" * 3000, "{a: " * 2000,
        ".nan", ".inf", "-.inf", "1.0e+999", "1e5", "0x" + "f" * 4000, "1" * 5000, "0b11", "0o17",
        "017", "1:30:00", "9:" * 500 + "9", "2024-01-01", "2024-99-99",
        "0001-01-01 00:00:00 +23:59",
        "yes", "null", "~", "''", '""', '"\\ud800"', '"\\x00"', "'; import os; os.abort() #",
        "|\n  a\n", ">\n", "%YAML 9.9\n", "---\n", "...\n", "\t", "\r\n", "\ufeff", "\x85",
        "\u2028",
        "{low: 0, high: 1}", "{low: -1.0e+308, high: 1.0e+308}",
        "{low: 0, high: 0xffffffffffffffffff}",
        "samples: 99999999", "seeds: [0, 1]", "grid:", "list:", "random:", "constants:",
        "metric: a",
        "profile: quick", "profile: ../quick", "chapter: 01", "chapter: ../01_first.py", "a" * 5000,
        "__import__('os')", "SEED; x", "class", "A=B", "Zahlen & Ziffern ü", "\u202e",
    )
] + [b"\xff", b"\0", b"\xed\xa0\x80"]  # fmt: skip

SWEEPS = (
    "chapter: 01_first\nprofile: quick\nconstants: {NAME: y}\n"
    "grid:\n  RATE: [0.1, 1]\n  DEEP: [true, false]\nseeds: [0, 1]\nmetric: a\n",
    "chapter: 01\nlist:\n- {RATE: 0.1, LIMIT: 3}\n- {RATE: 0.2, NAME: 'it''s'}\n- {LIMIT: null}\n",
    "chapter: 01_first\nrandom:\n  samples: 5\n  seed: 3\n  values:\n"
    "    RATE: {low: 0.001, high: 1.0, log: true}\n    LIMIT: {low: 2, high: 40}\n"
    "    NAME: [a, b]\n",
    "chapter: 01_first\nseeds: [0, 1, 2]\nconstants:\n  WIDTHS: [1, 2]\n  DATA: ''\n",
    # An alias of an alias of an alias: small to write, without end to read.
    "chapter: 01_first\nconstants:\n" + "".join(
        f"  L{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else 'x, y'}]\n" for i in range(7)
    ) + "seeds: [0]\n",
    "chapter: 01_first\ngrid:\n" + "".join(
        f"  {name}: [{', '.join(map(str, range(60)))}]\n" for name in ("RATE", "LIMIT", "SEED")
    ) + "  ANY: [[1], [2], [3], [4], [5], [6], [7], [8]]\n",
)  # fmt: skip
PROFILE = (
    "# A profile.\nSEED: 3\nRATE: 1.5e-3\nNAME: \"a: b\"\nDEEP: yes\nLIMIT: ~\nWIDTHS: [1, 2]\n"
    "ANY:\n- a\n- 'b'\n- 1.5\nDATA: |\n  text\n"
)  # fmt: skip
DECLARED = parse_declarations(DECLARATIONS, "01_first")


def _simple(value: Any) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is str:
        return value.encode("utf-8", "replace").decode() == value
    return value is None or type(value) in (int, bool)


def _fits(name: str, value: Any) -> bool:
    """Whether a value is of the type that DECLARATIONS gives, written down a second time."""
    kinds = {"SEED": (int,), "RATE": (int, float), "NAME": (str,), "DEEP": (bool,),
             "LIMIT": (int, type(None)), "DATA": (str,), "ARTIFACTS": (str,)}  # fmt: skip
    if name in kinds:
        return type(value) in kinds[name] and _simple(value)
    items = isinstance(value, list) and all(map(_simple, value))
    return items and (name == "ANY" or all(type(item) is int for item in value))


def _assigned(values: dict[str, Any]) -> dict[str, Any]:
    """What papermill's injected cell sets: assignments of literals, and nothing else."""
    import nbformat
    from papermill.parameterize import parameterize_notebook

    cell = nbformat.v4.new_code_cell(DECLARATIONS)
    cell.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["papermill"] = {}
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python"}
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


# ---- Sweeps --------------------------------------------------------------------------------------


@cache
def _book() -> Path:
    from digits_cli.pairing import sync_pair
    from digits_cli.paths import list_chapters

    root = Path(tempfile.mkdtemp(prefix="digits-fuzz-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (root / "notebooks").mkdir()
    (root / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
    (root / "notebooks" / "01_first.py").write_text(CHAPTER)
    sync_pair(list_chapters(root)[0])
    return root


@st.composite
def built(draw: Any) -> bytes:
    """A sweep put together from parts that are mostly right."""
    pools: dict[str, list] = {
        "RATE": [0.1, 1, 1e-5, 0.25, True, "x"], "NAME": ["a", "it's", '"""', "\\", "{x}",
        "é\n", 5],
        "DEEP": [True, False, None], "LIMIT": [1, 2, None, -(2**63), 2**63], "DATA": ["",
        "a b/ü", 5, None],
        "WIDTHS": [[1], [1, 2], [], ["a"]], "ANY": [["a", 1, None], [0.5], [[1]]], "SEED": [0,
        1, 2, 0.5, "x"],
    }  # fmt: skip
    names = draw(st.lists(st.sampled_from(sorted(pools)), min_size=1, max_size=4, unique=True))

    def some(name: str) -> list:
        good = pools[name][: len(pools[name]) - (0 if draw(st.integers(0, 9)) == 0 else 2)]
        return draw(st.lists(st.sampled_from(good), min_size=1, max_size=4, unique_by=repr))

    entries: dict[str, Any] = {"chapter": draw(st.sampled_from(["01_first", 1, "01"]))}
    way = draw(st.sampled_from(["grid", "list", "random", "none"]))
    if way == "grid":
        entries["grid"] = {name: some(name) for name in names}
    elif way == "list":
        entries["list"] = [{name: some(name)[0] for name in names}, {names[0]: some(names[0])[0]}]
    elif way == "random":
        low, high = draw(st.floats(-1e9, 1e9)), draw(st.floats(-1e9, 1e9) | st.integers(-5, 2**62))
        ranges = {
            "RATE": {"low": low, "high": high},
            "LIMIT": {"low": 0, "high": draw(st.integers())},
        }
        values = {name: ranges.get(name) or some(name) for name in names}
        entries["random"] = {"samples": draw(st.integers(0, 4)), "values": values}
    if draw(st.booleans()) or way == "none":
        entries["seeds"] = draw(st.lists(st.integers(), min_size=1, max_size=4, unique=True))
    if draw(st.integers(0, 2)) == 0:
        entries["constants"] = {"NAME": draw(st.text(max_size=8)), "LIMIT": draw(st.integers())}
    raw = yaml.safe_dump(entries, allow_unicode=draw(st.booleans()), sort_keys=False).encode()
    return draw(damaged(raw, TOKENS, most=1)) if draw(st.integers(0, 3)) == 0 else raw


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
        assert raw not in {text.encode() for text in SWEEPS[:4]}, f"refused a good file: {error}"
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
    constants = entries.get("constants", {})
    for point in sweep.points[:50]:
        for name, value in point.items():
            assert _fits(name, value), f"{name} is {value!r:.60}"
            if name in constants and name != "DATA":
                assert value == constants[name]
            if name in entries.get("grid", {}) and name != "DATA":
                assert value in entries["grid"][name]
    assert _assigned(sweep.points[0]) == sweep.points[0]


# ---- Profiles ------------------------------------------------------------------------------------


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
    plain = yaml.safe_load(raw.decode())
    if plain is None:
        assert not found
        return
    assert len(found) == len(plain)
    read = [value for value, _ in found.values()]
    assert repr(read) == repr(list(plain.values())), "another value than PyYAML's"
    for (name, (value, line)), key in zip(found.items(), plain, strict=True):
        assert isinstance(name, str) and (not isinstance(key, str) or name == key)
        assert (
            1
            <= line
            <= raw.count(b"\n")
            + raw.count(b"\r")
            + 3
            + raw.count(b"\xc2\x85")
            + (raw.count(b"\xe2\x80\xa8"))
        )
        assert not isinstance(value, dict | set)


# ---- Values, and what becomes of them ------------------------------------------------------------

ODD_NAMES = [
    *DECLARED, "seed", "SEED ", "SEED;x", "SEED=1", "class", "1A", "a b", "", "SEED\n", "__name__",
    "SEED; import os; os.abort()", "é", "x" * 3000, "SEED: int", "ＳＥＥＤ",
]  # fmt: skip
# Ten to the ninth values in a few hundred letters: each list holds the one before ten times.
BOMB = (
    "[&a0 [x], "
    + ", ".join(f"&a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10))
    + "]"
)
HOSTILE = [
    BOMB, "'", '"', '"""', "'''", "\\", '\\"', "\n", "\r", "\0", "{SEED}", "{{x}}", "${HOME}", "%s",
    "__import__('os').abort()", '"; import os; os.abort() #', "\\\n", "\\u0022", "\u2028", "\ud800",
    "!!python/object/apply:os.abort []", "nan", "inf", "-inf", "1e999", "9" * 5000,
    "0x" + "f" * 4000,
    "[1, 2]", "[[1]]", "[nan]", "{a: 1}", "2024-99-99", "!!int ''", "&a [*a]", "[" * 3000, "'a",
    '"a"',
    "1_000", "٣", " 5", "True", "null", "-0", "--", "[2024-01-01]", "<script>alert(1)</script>",
]  # fmt: skip


@st.composite
def requests(draw: Any) -> tuple[str, Any]:
    """A name and a value: as text from the command line, or as whatever somebody's program has."""
    name = draw(st.sampled_from([*DECLARED] * 3 + ODD_NAMES))
    text = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=4).map("".join)
    simple = text | st.integers() | st.floats() | st.booleans() | st.none()
    other = st.sampled_from(
        [
            10**5000,
            -(10**30),
            2**63,
            2**63 - 1,
            b"x",
            {1},
            {"a": 1},
            (1,),
            1j,
            float("nan"),
            "\ud800",
        ]
    )
    values = simple | st.lists(simple | other, max_size=3) | other
    return name, draw(text.map(lambda t: ("-p", t)) | values.map(lambda v: ("value", v)))


def take_value(case: tuple[str, tuple[str, Any]], _: Path) -> None:
    """Check a request; a value that passes comes out of papermill as it went in."""
    name, (kind, value) = case
    if kind == "-p":
        text, value = value, parse_command_line_value(value)
        kinds = (bool, int, float, str, list, type(None))
        assert isinstance(value, kinds), f"{text!r} became {value!r}"
    fits = name in DECLARED and _fits(name, value)
    try:
        check_value("01_first", DECLARED, name, value, "-p")
    except ParameterError as error:
        # A whole number beyond 64 bits is of the right type, and still refused.
        items = value if isinstance(value, list) else [value]
        large = any(type(item) is int and not -(2**63) <= item < 2**63 for item in items)
        assert large or not fits, f"refused a good value: {error}"
        raise
    assert fits, f"{name} accepted {value!r:.100}"
    assert _assigned({name: value}) == {name: value}


# ---- Declarations --------------------------------------------------------------------------------

CODE_TOKENS = [
    token.encode()
    for token in (
        "(" * 300, "[" * 3000, "-" * 3000 + "1", "{[]: 1}", "{**{}}", "f'{SEED}'", "b'x'", "1j",
        "...",
        "__import__('os').abort()", "lambda: 0", "\0", "\\\n", "'''", '"""', "# coding: latin-1\n",
        "A: (yield) = 1", "A: 'int' = 1", "A: 'in t' = 1", "A: list[dict] = []", "A = B = 1",
        "A: int", "A += 1", "import os\n", "    ", "\t", "\f", "é", "1_0", "0777", "9" * 5000,
        "1e999",
        "-1", "+True", "not 1", "[1, [2]]", "(1, 2)", "{1, 2}", "int | str | None", "| None", "**",
        "0x" + "f" * 4000, "\ud7ff", "x" * 3000,
    )
]  # fmt: skip


def read_declarations(raw: bytes, _: Path) -> None:
    """Read a parameters cell; nothing in it is executed, and each default is a literal."""
    source = raw.decode("utf-8", "replace")
    declared = parse_declarations(source, "01_first")
    tree = ast.parse(source)
    for statement in tree.body:
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        assert target.id in declared
    for parameter in declared.values():
        assert isinstance(parameter, Parameter) and str(parameter)
        assert parameter.accepts(parameter.default)
        items = parameter.default if isinstance(parameter.default, list) else [parameter.default]
        assert all(map(_simple, items)), f"the default {parameter.default!r:.60}"


TARGETS = (
    Target("sweep", texts(SWEEPS) | built(), read_sweep_file, (UsageError,), seconds=20),
    Target("profile", texts([PROFILE], most=3), read_profile_file, (ParameterError,), seconds=20),
    Target("value", requests(), take_value, (ParameterError,)),
    Target("declarations", damaged(DECLARATIONS.encode(), CODE_TOKENS, least=1), read_declarations,
           (ParameterError,), share=0.6),
)  # fmt: skip
