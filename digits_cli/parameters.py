"""Parameters of a chapter: what it declares, and whether a requested value fits.

papermill warns about an unknown name and runs all the same; a typing slip would then cost a
full run with the wrong settings. Here names and types are checked before anything starts.
"""

import ast
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from digits_cli.book import cells_tagged
from digits_cli.errors import UsageError, did_you_mean

SEEDS = 2**31  # below it: chapters count on from there, and NumPy takes none from 2**32
TYPES: dict[str, set] = {"int": {int}, "float": {float, int}, "str": {str}, "bool": {bool}}
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "a truth value",
         list: "a list", dict: "a mapping", type(None): "no value"}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One line of a chapter's parameters cell, ``EPOCHS: int = 30  # passes, at least 1``."""

    name: str
    type: str
    default: Any
    comment: str = ""

    def accepts(self, value: Any) -> bool:
        """Tell whether a value fits the type, and a notebook can hold it."""
        if type(value) not in TYPES[self.type]:
            return False
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode() == value  # no half characters
        return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63

    @property
    def least(self) -> float | None:
        """The smallest number it takes: what its comment says after *at least*, if it does."""
        found = re.search(r"\bat least (\d+(?:\.\d+)?)\b", self.comment)
        return float(found[1]) if found else None

    def __str__(self) -> str:
        text = f"{self.name}: {self.type} = {self.default!r}"
        return f"{text}  # {self.comment}" if self.comment else text


def show_value(value: Any) -> str:
    """Write a value for a message, in at most 200 characters."""
    return f"{value!r:.200}"


def declared_parameters(notebook: Any, chapter: str) -> dict[str, Parameter]:
    """Read the declarations in the cell tagged `parameters`, in their order."""
    cells = cells_tagged(notebook, "parameters")
    if len(cells) == 1:
        return parse_declarations(cells[0].source, chapter)
    told = f"{chapter} has {len(cells)} cells tagged 'parameters', expected exactly one."
    raise UsageError(told)


def parse_declarations(source: str, chapter: str) -> dict[str, Parameter]:
    """Read declarations such as ``EPOCHS: int = 30  # passes over the data``; run nothing."""
    try:
        lines = ast.parse(source, "its parameters cell").body
        found = [_declaration(line, source, chapter) for line in lines]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{chapter}: this is not Python: {error}.") from error
    return {parameter.name: parameter for parameter in found}


def _declaration(statement: ast.stmt, source: str, chapter: str) -> Parameter:
    where = f"{chapter}, parameters cell, line {statement.lineno}"
    match statement:
        case ast.AnnAssign(
            ast.Name(name), ast.Name(kind), ast.Constant() | ast.UnaryOp() as given
        ) if kind in TYPES:
            last = re.split(r"\r\n?|\n", source)[(given.end_lineno or 1) - 1].encode()
            comment = last[given.end_col_offset :].decode().partition("#")[2].strip()
            parameter = Parameter(name, kind, ast.literal_eval(given), comment)
            if parameter.accepts(parameter.default):
                return parameter
            default = show_value(parameter.default)
            raise UsageError(f"{where}: {name} is {kind}, but its default is {default}.")
    text = ast.get_source_segment(source, statement)
    expected = f"NAME: type = literal, with one of the types {', '.join(TYPES)}"
    raise UsageError(f"{where}: found '{text:.200}', expected {expected}.")


def parse_command_line_value(text: str) -> Any:
    """Turn the VALUE of `-p NAME VALUE` into a number or truth value; else, or quoted, a text."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for convert in (int, float):
        with suppress(ValueError):
            return convert(text)
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def check_value(
    chapter: str, declared: Mapping[str, Parameter], name: str, value: Any, source: str
) -> None:
    """Raise UsageError unless a chapter declares a parameter `name` that takes this value.

    `source` tells where the value comes from: ``-p`` or a file with its line.
    """
    parameter, given = declared.get(name), f"{source} gives {show_value(value)}"
    if parameter is None:
        told = f"{chapter} has no parameter {name} ({source}).{did_you_mean(name, declared)}"
    elif not parameter.accepts(value):
        kind = KINDS.get(type(value), f"a {type(value).__name__}")
        told = f"{name} of {chapter} is {parameter.type} (default {parameter.default!r}); "
        told += f"{given}, {kind}.{_hint(parameter.type, value)}"
    elif parameter.least is not None and value < parameter.least:
        told = f"{name} of {chapter} is at least {parameter.least:g}; {given}."
    elif name == "SEED" and not 0 <= value < SEEDS:
        told = f"SEED of {chapter} is from 0 to {SEEDS - 1}; {given}."
    else:
        return
    told += f"\n{chapter} declares:"
    raise UsageError("\n  ".join([told, *map(str, declared.values())]))


def _hint(kind: str, value: Any) -> str:
    if type(value) in TYPES[kind]:
        return " It must be a finite number of 64 bits, or a text of whole characters."
    if kind == "str" and isinstance(value, int | float):
        return f" To pass it as a text, quote it twice: '\"{show_value(value)}\"'."
    with suppress(ValueError):
        if kind == "float" and isinstance(value, str):
            return f" YAML reads it as a text: write {float(value):.1e} with a point and a sign."
    return ""
