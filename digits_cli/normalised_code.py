"""Read code without running it: what of it can change its outcome, and what it names.

Normalised code is its syntax tree, written the same by every Python, unlike `ast.dump`'s.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from digits_cli.book import INSTALL_TAG, code_cells, tags

# `%time f()`, `!ls`, and the same behind a name: `took = %timeit -o f()`.
MAGIC = re.compile(r"^([ \t]*)(?:[\w, \t]+=[ \t]*)?[!%].*", re.MULTILINE)
# IPython shows nothing of a cell that ends in a semicolon, whatever comments follow it.
QUIET = re.compile(r";\s*(?:#[^\n]*(?:\n\s*|\Z))*\Z")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Facts(NamedTuple):
    """What one piece of code says."""

    digest: str  # hash of it, normalised
    imported: frozenset[str] = frozenset()  # with dots; `from a import b` gives a and a.b
    texts: frozenset[str] = frozenset()  # but docstrings and what is given to `save_json`


def closure(package: Path, imported: Iterable[str]) -> dict[str, Facts]:
    """Read the modules in the folder `package` that names of digit_utils lead to, by path."""
    found: dict[str, Facts] = {}
    waiting = list(imported)
    for name in waiting:  # which grows meanwhile
        top, *inner = name.split(".")
        if top != "digit_utils":
            continue
        around = name.rpartition(".")[0]
        waiting.append(around)  # importing digit_utils.a runs the __init__ of digit_utils as well
        place = package.joinpath(*inner)
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        key = path.relative_to(package).as_posix()
        if key not in found and path.is_file():
            found[key] = _module_facts(path.read_bytes(), name if place.is_dir() else around)
            waiting += found[key].imported
    return dict(sorted(found.items()))


@functools.cache
def _module_facts(source: bytes, package: str) -> Facts:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return Facts(short_hash(source))
    normalised = normalise_module(tree)  # takes the docstrings out: they name no files
    return _facts(tree, normalised, package)


def cell_facts(source: str) -> Facts:
    """Read the source of a notebook's cell."""
    return _facts(cell_tree(source), normalise_cell(source), "")


def _facts(tree: ast.Module, normalised: str, package: str) -> Facts:
    imported, texts = set(), set()
    waiting: list[ast.AST] = [tree]
    for node in waiting:  # which grows meanwhile
        match node:
            case ast.Import():
                imported.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=module, level=level):
                # One dot is the own package, each more the one around it.
                around = package.split(".")[: 1 - level or None] if level else []
                base = ".".join([*around, *([module] if module else [])])
                imported.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
            case ast.Constant(value=str(text)):
                texts.add(text)
            case ast.Call(func=ast.Name(id="save_json") | ast.Attribute(attr="save_json")):
                continue  # names what is made, not what is read
        waiting += ast.iter_child_nodes(node)
    return Facts(short_hash(normalised.encode()), frozenset(imported), frozenset(texts))


def short_hash(data: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 hash."""
    return hashlib.sha256(data).hexdigest()[:16]


def normalise_module(tree: ast.Module) -> str:
    """Write out a module without docstrings and `__version__`; the tree is changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    for statement in [each for each in tree.body if isinstance(each, ast.Assign)]:
        if ast.unparse(statement.targets[0]) == "__version__":
            tree.body.remove(statement)
    return repr(_plain(tree))


def normalise_cell(source: str) -> str:
    """Write out a cell; one that is not plain Python (`%time`, `!ls`) stays the text it is."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    return repr(_plain(tree)) + (";" if QUIET.search(source) else "")


def cell_tree(source: str) -> ast.Module:
    """Parse a cell, without its magic lines if it is no Python with them; empty if never."""
    # As it is first: in Python a line may begin with the remainder sign, within brackets.
    for text in (source, MAGIC.sub(r"\1pass", source)):
        try:
            return ast.parse(text)
        except SyntaxError:
            continue
    return ast.Module([], [])


def normalised_cells(notebook: Any) -> list[str]:
    """Normalise the code cells but the injected one; setting up Colab changes nothing."""
    return [
        INSTALL_TAG if INSTALL_TAG in tags(cell) else normalise_cell(cell.source)
        for cell in code_cells(notebook, "injected-parameters")
    ]


def _plain(node: Any) -> Any:
    """Turn a tree into nested tuples; fields that hold nothing are left out, as versions differ."""
    if isinstance(node, ast.JoinedStr):
        # Python 3.12 and later end some f-strings in an empty piece.
        pieces = [piece for piece in node.values if getattr(piece, "value", None) != ""]
        return ("JoinedStr", _plain(pieces))
    if isinstance(node, ast.AST):
        fields = ((name, _plain(value)) for name, value in ast.iter_fields(node))
        kept = tuple((name, value) for name, value in fields if value not in (None, ()))
        return (type(node).__name__, *kept)
    if isinstance(node, list):
        return tuple(_plain(item) for item in node)
    return node
