"""The package as a whole: light to import, one direction of imports, a small tree."""

import ast
import graphlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT, committed

HEAVY = ("tensorflow", "keras", "pandas", "matplotlib", "papermill", "sklearn")


@pytest.mark.parametrize(
    "arguments, budget",
    [(["-c", "import digit_utils"], 0.3), (["-m", "digits_cli", "--help"], 0.5)],
    ids=["import", "help"],
)
def test_it_starts_fast(arguments, budget):
    times = []
    for _ in range(5):  # the best one leaves out the noise of a busy machine
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    assert min(times) < budget


@pytest.mark.parametrize("module", ["digit_utils", "digits_cli.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def imported(path: Path) -> set[str]:
    """Return the names of all modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def imports_of(package: str) -> dict[str, set[str]]:
    """Return what each module of a package imports."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): imported(path)
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }


@pytest.mark.parametrize("package", ["digit_utils", "digits_cli"])
def test_imports_point_one_way(package):
    found = imports_of(package)
    graph = {name: imports & found.keys() for name, imports in found.items()}
    assert sum(map(len, graph.values())) > 20
    list(graphlib.TopologicalSorter(graph).static_order())  # a CycleError names the cycle


def test_the_command_knows_nothing_of_keras_and_no_helper_or_chapter_of_the_command():
    helpers = imports_of("digit_utils")
    with_keras = {name for name, imports in helpers.items() if {"keras", "tensorflow"} & imports}
    assert "digit_utils.models" in with_keras
    for name, imports in imports_of("digits_cli").items():
        assert not imports & (with_keras | {"keras", "tensorflow"}), name
    for name, imports in {**helpers, **imports_of("notebooks")}.items():
        assert not [one for one in imports if one.split(".")[0] == "digits_cli"], name


def test_a_type_checker_sees_the_types_of_the_helpers(tmp_path):
    """Whoever imports the installed package; that ours pass is part of `make test-lint`."""
    (tmp_path / "mine.py").write_text(
        "from digit_utils.data import load_digits\nreveal_type(load_digits())\nload_digits(1)\n"
    )
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert 'Revealed type is "digit_utils.data.Digits"' in done.stdout, done.stdout + done.stderr
    assert 'Argument 1 to "load_digits" has incompatible type "int"' in done.stdout


def test_committed_tree_is_small():
    size = sum(path.stat().st_size for path in committed())
    assert 0 < size < 40e6, f"{size / 1e6:.1f} MB are committed, expected under 40"
