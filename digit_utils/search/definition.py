"""Write down what a search is: its space, objective, algorithm and all that a loss depends on.

Hyperopt stores an ``hp.choice`` as a position in its list; what the book writes down is a value
instead, so a file can be read without the space it came from. Functions are compared by their
source and by what they hold, so a folder is never continued with an objective that has changed.
"""

import inspect
import json
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from hyperopt.pyll.base import Apply, Literal

from digit_utils.io import to_plain


def define_search(
    objective: Callable,
    space: Mapping[str, Any],
    algo: Callable,
    seed: int,
    depends_on: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Describe a search, with arguments as of `run_search`, as JSON can hold it.

    Raises ValueError if the space, a function or ``depends_on`` cannot be described.
    """
    described = describe_space(space)
    required = required_arguments(objective) if callable(objective) else []
    if len(required) >= 2 and required[1] != "report" and set(required) <= set(space):
        raise ValueError(
            f"the objective takes {' and '.join(required)} one by one, expected all settings at "
            f"once: def objective(settings), which reads settings[{required[0]!r}]"
        )
    if not isinstance(depends_on, Mapping | None):
        raise ValueError(
            f"depends_on is {depends_on!r:.60}, expected a dictionary of what a loss depends on"
        )
    fixed: dict[str, Any] = {}
    source = _source(objective)
    while isinstance(algo, partial):
        fixed, algo = {**algo.keywords, **fixed}, algo.func
    if not inspect.isfunction(algo):
        raise ValueError(f"algo is {algo!r:.60}, expected a function such as tpe.suggest")
    return {
        "space": described,
        "objective": source,
        "algorithm": {
            "name": f"{algo.__module__}.{algo.__name__}",
            "arguments": {name: _comparable(value, name) for name, value in fixed.items()},
        },
        "seed": seed,
        "depends_on": {
            str(name): _comparable(value, str(name)) for name, value in (depends_on or {}).items()
        },
    }


def describe_space(space: Mapping[str, Apply]) -> dict[str, Any]:
    """Describe each parameter of a flat space, as JSON can hold it.

    Each expression is labelled with its own key: ``{"rate": hp.choice("rate", [0.1, 0.2])}``
    becomes ``{"rate": {"choice": [0.1, 0.2]}}``, other expressions hyperopt's name with their
    arguments: ``{"rate": {"loguniform": [-9.2, -4.6]}}``. A tuple or list to choose stays one.
    Raises ValueError if the space or a choice is empty, the space nested, or a label not its key.
    """
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            f"found {type(space).__name__} as space, expected a dictionary of hp expressions "
            "with at least one entry"
        )
    return {name: _describe(name, node) for name, node in space.items()}


def to_draws(space: Mapping[str, Apply], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn settings into what hyperopt drew: positions for ``hp.choice``, values for the rest.

    Raises ValueError if names differ from the space's, or a value is not among its choices.
    """
    if set(settings) != set(space):
        raise ValueError(f"settings name {sorted(settings)}, the space {sorted(space)}")
    described = describe_space(space)
    draws = dict(settings)
    for name, value in settings.items():
        if options := described[name].get("choice"):
            # As JSON has them: True == 1 == 1.0 are three, a tuple and what was read of it are one.
            written = [json.dumps(option) for option in options]
            if json.dumps(value) not in written:
                raise ValueError(f"{name} is {value!r}, which is not among its choices {options}")
            draws[name] = written.index(json.dumps(value))
    return draws


def as_in_space(space: Mapping[str, Apply], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the space's order, with tuples where JSON or hyperopt made them lists."""
    described, draws = describe_space(space), to_draws(space, settings)
    return {
        name: spec["choice"][draws[name]] if "choice" in spec else draws[name]
        for name, spec in described.items()
    }


def _describe(name: str, node: Any) -> dict[str, Any]:
    while isinstance(node, Apply) and node.name in {"float", "int"}:  # hp.uniform, hp.randint
        node = node.pos_args[0]
    if not isinstance(node, Apply) or node.name not in {"switch", "hyperopt_param"}:
        raise ValueError(
            f"{name} is {node!r:.60}, expected one hyperopt expression, for example "
            f"hp.choice({name!r}, [...]); nested spaces are not supported"
        )
    chosen, *options = node.pos_args if node.name == "switch" else (node,)
    label, distribution = chosen.arg["label"].obj, chosen.arg["obj"]
    if label != name:
        raise ValueError(f"{name} is labelled {label!r}; give the expression its own key as label")
    arguments: list[Any] = []
    for given in [*distribution.pos_args, *(a for k, a in distribution.named_args if k != "rng")]:
        # hp.pchoice wraps its probabilities in a node of their own.
        inner = given.pos_args if given.name == "pos_args" else [given]
        arguments += [_plain(name, argument) for argument in inner]
    if node.name != "switch":
        return {distribution.name: arguments}
    if not options:
        raise ValueError(
            f"{name} has nothing to choose from, expected a list of at least one value"
        )
    described = {"choice": [_plain(name, option) for option in options]}
    if distribution.name == "categorical":  # hp.pchoice
        described["probabilities"] = arguments
    return described


def _plain(name: str, node: Apply) -> Any:
    if node.name == "pos_args":  # of a tuple hyperopt knows the length, of a list it does not
        return (list if node.o_len is None else tuple)(_plain(name, one) for one in node.pos_args)
    if not isinstance(node, Literal):
        raise ValueError(
            f"{name} chooses among expressions, expected plain values; nested spaces are not "
            "supported"
        )
    value = node.obj.item() if isinstance(node.obj, np.generic) else node.obj
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError(
            f"{name} chooses {value!r} of type {type(value).__name__}, expected numbers, texts, "
            "True, False, None, or tuples or lists of these; choose names and look the objects up "
            "in the objective"
        )
    return value


def required_arguments(function: Callable) -> list[str]:
    """Name the arguments that a function cannot be called without, those by position."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind in (0, 1)]


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
