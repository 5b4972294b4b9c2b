"""What is read from code without running it: its normal form, and the modules it leads to."""

import ast

import pytest

from digits_cli.normalised_code import cell_facts, closure, normalise_module, short_hash

MODULES = {
    "__init__": "", "lines": "", "shapes": "from digit_utils.lines import line",
    "deep/__init__": "", "deep/one": "from . import two",
    "deep/two": "def f():\n    from ..shapes import draw",
    "search/__init__": "from digit_utils.search.run import run_search",
    "search/run": "from .trials import Trial", "search/trials": "from .. import lines",
    "search/ray": "import ray",
}  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "from digit_utils import lines\n%time f()", "import digit_utils.lines\n!ls",
        "if x:\n    from digit_utils.lines import line\n    %time f()",
        "from digit_utils.lines import line as l\ntook = %timeit -o f()",
        "import digit_utils.lines as l\n_ = (\n    '%s'\n    % 1\n)",  # plain Python
        "from digit_utils.deep.one import f", "from digit_utils.search import run_search",
    ],
)  # fmt: skip
def test_imports_of_every_kind_are_followed_through_modules_and_sub_packages(tmp_path, source):
    for name, text in MODULES.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = closure(tmp_path, cell_facts(source).imported)
    assert "lines.py" in found and "search/ray.py" not in found


def test_the_form_of_a_module_is_the_same_under_every_python():
    """`type_params` and empty pieces of f-strings are there in some versions and not in others."""
    source = "def f(x: int = 3, *, y=None):\n    'Doc.'\n    return f'{x:<{y}} {x!r}' + '' + u'b'\n"
    assert short_hash(normalise_module(ast.parse(source)).encode()) == "a7184877e7c0de3f"
