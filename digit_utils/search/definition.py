"""Write down what a search is: its space, objective, algorithm and all a loss depends on.

Functions are compared by their source and by what they hold, so that a folder of trials is never
continued with an objective that has changed.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from digit_utils.files import to_plain
from digit_utils.search.space import describe_space


def define_search(
    objective: Callable,
    space: Mapping[str, Any],
    algo: Callable,
    seed: int,
    depends_on: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Describe a search, with arguments as of `search.run_search`, as JSON can hold it.

    Raises ValueError if the space, a function or ``depends_on`` cannot be described.
    """
    described = describe_space(space)
    _refuse_named_settings(objective, described)
    if not isinstance(depends_on, Mapping | None):
        raise ValueError(
            f"depends_on is {depends_on!r:.60}, expected a dictionary of what a loss depends on"
        )
    return {
        "space": described,
        "objective": _source(objective),
        "algorithm": _algorithm(algo),
        "seed": seed,
        "depends_on": {
            str(name): _comparable(value, str(name)) for name, value in (depends_on or {}).items()
        },
    }


def _refuse_named_settings(objective: Callable, space: Mapping[str, Any]) -> None:
    """Refuse ``objective(rate, units)``: all settings come at once, so each trial would fail."""
    try:
        parameters = inspect.signature(objective).parameters
    except (TypeError, ValueError):  # no function; `_source` says so
        return
    required = [p.name for p in parameters.values() if p.default is p.empty and p.kind in (0, 1)]
    if len(required) >= 2 and required[1] != "report" and set(required) <= set(space):
        raise ValueError(
            f"the objective takes {' and '.join(required)} one by one, expected all settings at "
            f"once: def objective(settings), which reads settings[{required[0]!r}]"
        )


def _source(function: Callable) -> Any:
    """Return a function's source and what it holds; ValueError if they cannot be compared."""
    if isinstance(function, partial):
        return {
            "function": _source(function.func),
            "arguments": to_plain([*function.args, function.keywords], "partial arguments"),
        }
    if not inspect.isfunction(function):
        raise ValueError(
            f"found {function!r:.60} of type {type(function).__name__}, expected a plain function, "
            "whose source can be compared; wrap it in one, and put what it depends on in depends_on"
        )
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    held = {
        name: _comparable(cell.cell_contents, f"{name}, which {function.__name__} holds,")
        for name, cell in cells
        if cell.cell_contents is not function  # a function that calls itself
    }
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except OSError:  # typed at a prompt
        text = _code_text(function.__code__)
    return {"source": text, "holds": held} if held else text


def _comparable(value: Any, name: str) -> Any:
    """Return a function's source, or a value as JSON has it; name what is neither."""
    if callable(value):
        return _source(value)
    if isinstance(value, Path):
        return str(value)
    try:
        return to_plain(value, name)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; or name what it stands for in depends_on") from error


def _code_text(code: CodeType) -> str:
    """Write compiled code without the addresses that differ from process to process."""
    constants = [
        _code_text(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts
    ]
    return f"{code.co_name} {code.co_code.hex()} {constants} {code.co_names}"


def _algorithm(algo: Callable) -> dict[str, Any]:
    fixed: dict[str, Any] = {}
    while isinstance(algo, partial):
        fixed, algo = {**algo.keywords, **fixed}, algo.func
    if not inspect.isfunction(algo):
        raise ValueError(f"algo is {algo!r:.60}, expected a function such as tpe.suggest")
    fixed = {name: _comparable(value, name) for name, value in fixed.items()}
    return {"name": f"{algo.__module__}.{algo.__name__}", "arguments": fixed}
