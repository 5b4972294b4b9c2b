"""The package as a whole: light to import, one direction of imports, a small tree."""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import committed

import digit_utils
import digits_cli

PACKAGE = Path(digit_utils.__file__).parent
HEAVY = ("tensorflow", "keras", "pandas", "matplotlib", "papermill", "sklearn")

# Every module may import only from modules on a lower level: data at the bottom, plots on top.
LEVELS = [
    {
        "errors",
        "strict_json",
        "files",
        "provenance",
        "benchmark",
        "comparing",
        "ood",
        "corruptions",
        "hard_cases",
        "attribution",
    },
    {
        "mnist",
        "hosts",
        "preparation",
        "kaggle_files",
        "kaggle_diagnosis",
        "results",
        "artifacts",
        "spaces",
        "folder_lock",
        "ray_cluster",
    },
    {"kaggle_csv", "submission", "trial_store", "search_definition", "trial_evaluation"},
    {"data", "trial_proposal"},
    {"augment", "normalization", "optimizers", "training", "search", "ensemble"},
    {"models", "ray_search"},
    {"cost", "fast", "shipped"},
    {"evaluate"},
    {"plots", "calibration"},
    {"search_plots", "importance", "widgets"},
]


def best_seconds(command: list[str], runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_importing_the_package_is_fast():
    # The budget is 0.3 s; the best of five runs leaves out the noise of a busy machine.
    assert best_seconds([sys.executable, "-c", "import digit_utils"]) < 0.3


def test_digits_help_is_fast():
    # The budget is 0.5 s.
    assert best_seconds([sys.executable, "-m", "digits_cli", "--help"]) < 0.5


@pytest.mark.parametrize("module", ["digit_utils", "digits_cli.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def imported_modules(path: Path) -> set[str]:
    """Names of the package's own modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "digit_utils":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("digit_utils."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("digit_utils.")
            }
    return names - {"__version__"}


def test_imports_point_one_way():
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    wrong = []
    for path in sorted(PACKAGE.glob("*.py")):
        if path.stem == "__init__":
            continue
        assert path.stem in level, f"{path.name} has no level: add it to LEVELS in this test"
        for name in imported_modules(path):
            if level.get(name, 99) >= level[path.stem]:
                wrong.append(f"{path.stem} imports {name}")
    assert not wrong


def test_the_command_knows_nothing_of_keras_and_no_helper_knows_of_it():
    allowed = {"files", "folder_lock", "results", "errors", "artifacts", "provenance", "hosts"}
    allowed |= {"strict_json"}
    # What `digits search` and the Ray engine need; they know hyperopt and Ray, not Keras.
    allowed |= {"search", "ray_search", "ray_cluster", "search_plots", "importance"}
    for path in sorted(Path(digits_cli.__file__).parent.glob("*.py")):
        assert imported_modules(path) <= allowed, path.name
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) (keras|tensorflow)\b", source, re.M), path.name


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
