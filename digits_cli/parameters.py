"""Parameters of a chapter: what it declares, and whether a requested value fits.

papermill warns about an unknown name and runs all the same; a typing slip would then cost a
full run with the wrong settings. Here names and types are checked before anything starts.
"""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from digits_cli.errors import ParameterError, did_you_mean
from digits_cli.notebooks import cells_tagged

Value = Any  # int, float, str, bool, None, or a list of them
SEEDS = 2**32  # below it: what NumPy, scikit-learn and Keras all take
_SIMPLE = {"int": int, "float": float, "str": str, "bool": bool, "None": type(None)}


@dataclass(frozen=True)
class Parameter:
    """One line of a chapter's parameters cell."""

    name: str
    type: str  # as written (`int | None`), or the default's own for a plain assignment
    default: Value
    comment: str = ""  # the text behind it, without its number sign
    annotated: bool = True  # whether the type was written out

    def accepts(self, value: Value) -> bool:
        """Tell whether a value fits the type; an int passes for a float, a bool for no number."""
        return _fits(ast.parse(self.type, mode="eval").body, value)

    @property
    def least(self) -> float | None:
        """The smallest number it takes: what its comment says after *at least*, if it does."""
        found = re.search(r"\bat least (\d+(?:\.\d+)?)\b", self.comment)
        return float(found[1]) if found else None

    def __str__(self) -> str:
        text = f"{self.name}: {self.type} = {self.default!r}"
        return f"{text}  # {self.comment}" if self.comment else text


def _fits(annotation: ast.expr, value: Value) -> bool:
    """Match a value with an annotation; raise ValueError for one that is not understood."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = [_fits(annotation.left, value), _fits(annotation.right, value)]
        return any(sides)
    name = ast.unparse(annotation)
    if name == "list":
        return isinstance(value, list) and all(_is_simple(item) for item in value)
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "list":
        _fits(annotation.slice, None)  # an empty list must not hide a type we cannot read
        return isinstance(value, list) and all(_fits(annotation.slice, item) for item in value)
    if name not in _SIMPLE:
        raise ValueError(name)
    if not _is_simple(value):
        return False
    return type(value) is _SIMPLE[name] or (name == "float" and type(value) is int)


def _is_simple(value: Value) -> bool:
    return type(value) in _SIMPLE.values() and not _unfit(value)


def _unfit(value: Value) -> str:
    """Say why a value of a simple type cannot be a parameter; empty if it can."""
    if isinstance(value, float) and not math.isfinite(value):
        return " A parameter must be a finite number."
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return " A whole number must fit into 64 bits, as the tables of results hold no larger one."
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:  # half a character: no notebook could be saved with it
            return f" Its character {error.start + 1} is not text."
    return ""


def show_value(value: Value, most: int = 200) -> str:
    """Write a value for a message: cut after `most` characters, and always possible."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of very many digits, say
        return "a value too large to show"
    return text if len(text) <= most else text[:most] + "..."


def declared_parameters(notebook: Any, chapter: str) -> dict[str, Parameter]:
    """Read the declarations in the cell tagged `parameters`, in their order.

    Raises ParameterError, which names `chapter`, when there is not exactly one such cell, or it
    holds anything but literals.
    """
    cells = cells_tagged(notebook, "parameters")
    if len(cells) != 1:
        raise ParameterError(
            f"{chapter} has {len(cells)} cells tagged 'parameters', expected exactly one."
        )
    return parse_declarations(cells[0].source, chapter)


def parse_declarations(source: str, chapter: str) -> dict[str, Parameter]:
    """Read declarations such as ``EPOCHS: int = 30  # passes over the data``.

    Raises ParameterError, which names `chapter`, for a line that is not an assignment of a literal,
    a type that is not understood, or a default of another type.
    """
    try:
        tree = ast.parse(source)
        comments = _comments(source)
        found = [_read_statement(statement, comments, chapter) for statement in tree.body]
    except SyntaxError as error:
        raise ParameterError(
            f"{chapter}: line {error.lineno} of its parameters cell is not Python: {error.msg}."
        ) from error
    except (RecursionError, MemoryError):  # what Python's parser raises for it
        raise ParameterError(f"{chapter}: its parameters cell is nested too deeply.") from None
    return {parameter.name: parameter for parameter in found}


def _read_statement(statement: ast.stmt, comments: dict[int, str], chapter: str) -> Parameter:
    where = f"{chapter}, parameters cell, line {statement.lineno}"
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    value_node = getattr(statement, "value", None)
    if (
        not isinstance(statement, ast.Assign | ast.AnnAssign)
        or len(targets) != 1
        or not isinstance(targets[0], ast.Name)
        or value_node is None
    ):
        raise ParameterError(
            f"{where}: found '{ast.unparse(statement)}', expected NAME: type = literal."
        )
    name = targets[0].id
    try:
        default = ast.literal_eval(value_node)
    except (ValueError, TypeError):  # {[]: 1} has no value either
        raise ParameterError(
            f"{where}: {name} is set to '{ast.unparse(value_node)}', expected a literal "
            "(a number, a text, True, False, None or a list of these)."
        ) from None
    annotated = isinstance(statement, ast.AnnAssign)
    if isinstance(statement, ast.AnnAssign):
        annotation = statement.annotation
        type_text = annotation.value if isinstance(annotation, ast.Constant) else None
        type_text = type_text if isinstance(type_text, str) else ast.unparse(annotation)
    else:
        type_text = "None" if default is None else type(default).__name__
    parameter = Parameter(
        name, type_text, default, comments.get(statement.end_lineno or 0, ""), annotated
    )
    try:
        fits = parameter.accepts(default)
    except (ValueError, SyntaxError):
        raise ParameterError(
            f"{where}: {name} has the type '{type_text}', expected int, float, str, bool, list, "
            "list[...] or one of them '| None'."
        ) from None
    if not fits:
        raise ParameterError(
            f"{where}: {name} is {type_text}, but its default is {show_value(default)}."
        )
    return parameter


def _comments(source: str) -> dict[int, str]:
    """Return the comments by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def check_value(
    chapter: str, declared: Mapping[str, Parameter], name: str, value: Value, source: str
) -> None:
    """Raise ParameterError unless a chapter declares a parameter `name` that accepts this value.

    ``EPOCHS: int = 3  # passes over the data, at least 1`` refuses a smaller number by its comment;
    a ``SEED`` is from 0 to 2**32 - 1 everywhere. `source` tells where the value comes from: ``-p``
    or a file with its line.
    """
    if name not in declared:
        raise ParameterError(
            f"{chapter} has no parameter {name} ({source}).{did_you_mean(name, declared)}\n"
            + listing(chapter, declared)
        )
    parameter = declared[name]
    if not parameter.accepts(value):
        raise ParameterError(
            f"{name} of {chapter} is {parameter.type} (default {parameter.default!r}); "
            f"{source} gives {show_value(value)}, {_kind(value)}.{_hint(parameter, value)}\n"
            + listing(chapter, declared)
        )
    least = parameter.least
    numbers = [each for each in (value if isinstance(value, list) else [value])
               if isinstance(each, int | float)]  # fmt: skip
    if least is not None and any(number < least for number in numbers):
        raise ParameterError(
            f"{name} of {chapter} is at least {least:g}; {source} gives {show_value(value)}.\n"
            + listing(chapter, declared)
        )
    if name == "SEED" and any(not 0 <= number < SEEDS for number in numbers):
        raise ParameterError(
            f"SEED of {chapter} is from 0 to {SEEDS - 1}; {source} gives {show_value(value)}."
        )


def _kind(value: Value) -> str:
    kinds = {str: "a text", bool: "a truth value", int: "a whole number", float: "a number"}
    kinds |= {list: "a list", dict: "a mapping", type(None): "no value"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _hint(parameter: Parameter, value: Value) -> str:
    unfit = [_unfit(item) for item in (value if isinstance(value, list) else [value])]
    if any(unfit):
        return next(filter(None, unfit))
    if "str" in parameter.type and isinstance(value, int | float):
        return f" To pass it as a text, quote it twice: '\"{show_value(value)}\"'."
    if isinstance(value, str) and "float" in parameter.type:
        try:
            return f" YAML reads it as a text: write {float(value):.1e} with a point and a sign."
        except ValueError:
            return ""
    return ""


def listing(chapter: str, declared: Mapping[str, Parameter]) -> str:
    """List what a chapter declares in several lines, for messages."""
    lines = [f"  {parameter}" for parameter in declared.values()] or ["  nothing"]
    return "\n".join([f"{chapter} declares:", *lines])
