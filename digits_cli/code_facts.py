"""Read code without running it: its hash, what it imports, the texts in it."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from digits_cli.code_form import cell_form, cell_tree, module_form


@dataclass(frozen=True)
class Facts:
    """What one piece of code, or several together, say.

    Not every name in `modules` need be a module: ``from digit_utils.data import load_digits`` gives
    ``digit_utils.data.load_digits`` as well.
    """

    digest: str  # hash of its form, see `code_form`
    modules: frozenset[str] = frozenset()  # what it may import of digit_utils, with dots
    packages: frozenset[str] = frozenset()  # top-level names that it imports
    # String literals, without docstrings (of modules) and without what it gives to `save_json`.
    texts: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()  # literals in calls of `load_json`
    saved: frozenset[str] = frozenset()  # literals in calls of `save_json`


def merge(many: Iterable[Facts]) -> Facts:
    """Take several pieces as one; their order counts in the digest."""
    many = list(many)
    return Facts(
        short_hash("".join(facts.digest for facts in many).encode()),
        *(
            frozenset().union(*(getattr(facts, name) for facts in many))
            for name in ("modules", "packages", "texts", "loaded", "saved")
        ),
    )


def closure(package: Path, wanted: Iterable[str]) -> dict[str, Facts]:
    """Read the modules of digit_utils that some names lead to, directly or through others.

    `package` is the folder of digit_utils; `wanted` are names with dots, and those that are no
    modules are passed over. Keys are the modules' paths in the package, in alphabetical order.
    """
    found: dict[str, Facts] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        around, _, _ = name.rpartition(".")
        # Importing digit_utils.a.b runs the __init__ of digit_utils and of a as well.
        waiting += [around] if around else []
        place = package.joinpath(*name.split(".")[1:])
        is_package = place.is_dir()
        path = place / "__init__.py" if is_package else place.with_suffix(".py")
        key = path.relative_to(package).as_posix()
        if key not in found and path.is_file():
            found[key] = module_facts(path.read_bytes(), name if is_package else around)
            waiting += found[key].modules
    return dict(sorted(found.items()))


@functools.cache
def module_facts(source: bytes, package: str) -> Facts:
    """Read a module of the dotted `package`; one that is not Python gives only its hash."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return Facts(short_hash(source))
    form = module_form(tree)  # takes the docstrings out: they name no files
    return _read(tree, form, package)


@functools.cache
def cell_facts(source: str) -> Facts:
    """Read the source of a notebook's cell."""
    return _read(cell_tree(source), cell_form(source), "")


def _read(tree: ast.Module, form: str, package: str) -> Facts:
    imported: set[str] = set()
    texts: set[str] = set()
    given: dict[str, set[str]] = {"load_json": set(), "save_json": set()}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            imported |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
        elif isinstance(node, ast.Call) and _called(node) in given:
            given[_called(node)] |= _texts(node)
            if _called(node) == "save_json":
                continue  # names what is made, not what is read
        waiting += ast.iter_child_nodes(node)
    tops = {name.partition(".")[0] for name in imported}
    own = {name for name in imported if name.partition(".")[0] == "digit_utils"}
    sets = (own, tops, texts, given["load_json"], given["save_json"])
    return Facts(short_hash(form.encode()), *map(frozenset, sets))


def _base(node: ast.ImportFrom, package: str) -> str:
    """Return where an import takes names from; one dot is the own package, each more one around."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    around = parts[: len(parts) - node.level + 1]
    return ".".join([*around, *([node.module] if node.module else [])])


def _texts(tree: ast.AST) -> set[str]:
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def short_hash(data: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 hash."""
    return hashlib.sha256(data).hexdigest()[:16]
