"""Describe a hyperopt search space in plain words, and turn values back into hyperopt's draws.

Hyperopt stores an ``hp.choice`` as a position in its list. Everything the book writes down is
a value instead, so a file can be read without the space it came from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from hyperopt.pyll.base import Apply, Literal


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
    draws = {}
    for name, value in settings.items():
        if "choice" not in described[name]:
            draws[name] = value
            continue
        options = described[name]["choice"]
        # As JSON has them: True == 1 == 1.0 are three, a tuple and what was read of it are one.
        written = json.dumps(value)
        places = [i for i, option in enumerate(options) if json.dumps(option) == written]
        if not places:
            raise ValueError(f"{name} is {value!r}, which is not among its choices {options}")
        draws[name] = places[0]
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
    label = chosen.arg["label"].obj
    if label != name:
        raise ValueError(f"{name} is labelled {label!r}; give the expression its own key as label")
    distribution = chosen.arg["obj"]
    arguments = [_plain(name, argument) for argument in _arguments(distribution)]
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


def _arguments(distribution: Apply) -> list[Apply]:
    given = [*distribution.pos_args, *(a for key, a in distribution.named_args if key != "rng")]
    # hp.pchoice wraps its probabilities in a node of their own.
    return [
        inner for node in given for inner in (node.pos_args if node.name == "pos_args" else [node])
    ]


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
