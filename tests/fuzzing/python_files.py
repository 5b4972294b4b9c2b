"""Files with a search: Python by design, but a broken one must be told as such."""

from __future__ import annotations

from pathlib import Path

from digits_cli.errors import UsageError
from digits_cli.search_command import load_search
from fuzzing.harness import Target, damaged

SEARCH = b"""from hyperopt import hp

SPACE = {"rate": hp.uniform("rate", 0, 0.5), "units": hp.choice("units", [128, 256])}
DEPENDS_ON = {"epochs": 2}


def objective(settings):
    return settings["rate"] + 1 / settings["units"]
"""
TOKENS = [
    b"\0", b"\xff", b"raise SystemExit(0)\n", b"raise SystemExit\n", b"exit()\n", b"1 / 0\n",
    b"(" * 300,
    b"SPACE = None\n", b"del objective\n", b"del SPACE\n", b"import nothing_of_the_kind\n", b"\t",
    b"def f(): return f()\nf()\n", b"# coding: latin-1\n", b"# coding: nonsense\n", b"'''", b"\\\n",
    b"raise Exception('\\ud800')\n", b"return\n", b"raise KeyError\n", b"    ", b"\r\n",
    b"\xef\xbb\xbf",
    b"import sys; sys.modules.pop(__name__)\n", b"raise MemoryError\n", b"raise RecursionError\n",
]  # fmt: skip


def read_search(raw: bytes, folder: Path) -> None:
    """Load a file; what is loaded has both names."""
    path = folder / "search.py"
    path.write_bytes(raw)
    try:
        module = load_search(path)
    except UsageError as error:
        assert raw != SEARCH, f"refused a good file: {error}"
        assert "search.py" in str(error)
        raise
    assert hasattr(module, "SPACE") and hasattr(module, "objective")


TARGETS = (Target("search_file", damaged(SEARCH, TOKENS), read_search, (UsageError,), share=0.4),)
