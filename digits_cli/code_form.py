"""What of a piece of code can change its outcome: its syntax tree, written out in one way.

Comments, line breaks and quotes are not in it. The form is the same under every Python the book
runs on; `ast.dump` and `ast.unparse` write other things under another version.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from digits_cli.notebooks import INSTALL_TAG, tags

# `%time f()`, `!ls`, and the same behind a name: `took = %timeit -o f()`.
MAGIC = re.compile(r"^([ \t]*)(?:[\w, \t]+=[ \t]*)?[!%].*", re.MULTILINE)
# IPython shows nothing of a cell that ends in a semicolon, whatever comments follow it.
QUIET = re.compile(r";\s*(?:#[^\n]*(?:\n\s*|\Z))*\Z")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def module_form(tree: ast.Module) -> str:
    """Write out a module without docstrings and `__version__`; the tree is changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    tree.body = [statement for statement in tree.body if not _is_version(statement)]
    return repr(_plain(tree))


def cell_form(source: str) -> str:
    """Write out a cell; one that is not plain Python (`%time`, `!ls`) stays the text it is."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    return repr(_plain(tree)) + (";" if QUIET.search(source) else "")


def cell_tree(source: str) -> ast.Module:
    """Parse a cell; where it is no plain Python, without its magic lines.

    The tree is empty when what remains is no Python either: another language (``%%bash``), or a
    mistake.
    """
    # As it is first: in Python a line may begin with the remainder sign, within brackets.
    for text in (source, MAGIC.sub(r"\1pass", source)):
        try:
            return ast.parse(text)
        except SyntaxError:
            continue
    return ast.Module([], [])


def same_code(one: Any, other: Any) -> bool:
    """Tell whether two notebooks run the same code, however it is laid out and commented."""
    return code_forms(one) == code_forms(other)


def code_forms(notebook: Any) -> list[str]:
    """Return the form of each code cell in order, without what papermill injected.

    The cell that sets up Colab always has the same form: it changes no output.
    """
    return [
        INSTALL_TAG if INSTALL_TAG in tags(cell) else cell_form(cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in tags(cell)
    ]


def _is_version(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__"


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
