"""Run an objective once, and turn whatever comes of it into an outcome that can be kept."""

from __future__ import annotations

import copy
import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from hyperopt import STATUS_OK

from digit_utils.files import json_bytes, to_plain
from digit_utils.provenance import package_versions


@dataclass(frozen=True)
class Outcome:
    """What came of one call of an objective."""

    loss: float | None  # None if the call failed
    error: str | None  # why it failed
    seconds: float
    curve: list[float]  # losses it reported, one an epoch
    details: dict[str, Any]  # whatever else it returned
    unread: list[str]  # settings it never looked at; none if it failed
    versions: dict[str, str] = field(default_factory=dict)  # of the packages it ran with


def evaluate(
    objective: Callable,
    values: Mapping[str, Any],
    listen: Callable[[int, float], None] | None = None,
) -> Outcome:
    """Call an objective, as of `search.run_search`, with a copy of the settings.

    ``listen`` is called with every epoch and loss that it reports. An exception, a loss that is not
    finite or an epoch out of order becomes the outcome's error.
    """
    settings, curve = _Settings(values), []

    def report(epoch: int, loss: float) -> None:
        if epoch != len(curve) + 1:
            raise ValueError(f"reported epoch {epoch!r}, expected {len(curve) + 1}: one at a time")
        curve.append(_finite(loss, f"the loss after epoch {epoch}"))
        if listen is not None:
            listen(epoch, curve[-1])

    start = time.perf_counter()
    loss, error, details = None, None, {}
    try:
        returned = objective(settings, report) if takes_report(objective) else objective(settings)
        loss, details = _read_result(returned)
    except Exception as failure:
        text = f"{type(failure).__name__}: {failure}"
        error = text.encode("utf-8", "backslashreplace").decode()  # a file name may hold anything
    seconds = time.perf_counter() - start
    unread = sorted(settings.unread) if error is None else []
    return Outcome(loss, error, seconds, curve, details, unread, package_versions())


def takes_report(objective: Callable) -> bool:
    """Tell whether an objective requires a second argument, to report its epochs with."""
    parameters = inspect.signature(objective).parameters.values()
    return sum(p.default is p.empty and p.kind in (0, 1) for p in parameters) >= 2


class _Settings(MutableMapping, dict):  # type: ignore[misc, metaclass]
    """The objective's own copy of the settings; it remembers which of them were read."""

    # What is not named here goes through __getitem__: get, pop, items and the like.
    __setitem__, __delitem__ = dict.__setitem__, dict.__delitem__
    __len__, __contains__ = dict.__len__, dict.__contains__  # asking is not reading

    def __init__(self, values: Mapping[str, Any]):
        dict.__init__(self, copy.deepcopy(dict(values)))  # type: ignore[call-overload]
        self.names, self.unread = tuple(values), set(values)

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return dict.__getitem__(self, name)  # type: ignore[index]

    def __missing__(self, name: str) -> Any:
        taken_out = name in self.names  # by the objective itself
        raise KeyError(
            name if taken_out else f"the space has no {name!r}, but {', '.join(self.names)}"
        )

    def __iter__(self) -> Iterator[str]:  # with dict's own, ** and dict() would pass by __getitem__
        return dict.__iter__(self)  # type: ignore[arg-type]

    def __reduce__(self) -> tuple:  # a copy, and what another process gets, is a plain one
        return dict, (dict(self),)  # type: ignore[arg-type]


def _finite(loss: Any, name: str) -> float:
    number = float(loss)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}, expected a finite number")
    return number


def _read_result(returned: Any) -> tuple[float, dict[str, Any]]:
    others = {}
    if isinstance(returned, Mapping):
        others = {name: returned[name] for name in returned if name not in {"status", "loss"}}
        if returned.get("status", STATUS_OK) != STATUS_OK:
            raise RuntimeError(others.get("message", f"status {returned['status']!r}"))
        if "loss" not in returned:
            raise ValueError(f"the objective returned {sorted(returned)}, expected a 'loss'")
        returned = returned["loss"]
    loss = _finite(returned, "the loss")
    details = {}
    for name, value in others.items():
        try:
            plain = to_plain(value, str(name))
            json_bytes({str(name): plain})  # a text may hold what UTF-8 cannot
            details[str(name)] = plain
        except (TypeError, ValueError) as error:  # no reason to lose the trial
            details[str(name)] = f"not kept: {error}".encode("utf-8", "backslashreplace").decode()
    return loss, details
