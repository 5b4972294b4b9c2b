"""One trial of a search: its record, and the run of an objective that makes it."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from hyperopt import STATUS_OK

from digit_utils.io import json_bytes, to_plain
from digit_utils.provenance import package_versions
from digit_utils.search.definition import required_arguments


@dataclass(frozen=True)
class Trial:
    """What came of one trial."""

    number: int  # from 1
    parameters: dict[str, Any]  # values, not hyperopt's positions
    seed: int  # of the random numbers that proposed the parameters
    status: str  # "ok", "failed", or "stopped" early because others did better
    loss: float | None  # to be made small; of a stopped trial the last reported, None if failed
    error: str | None  # why it failed
    seconds: float  # what the objective took; 0 if its outcome was taken over
    curve: list[float] = field(default_factory=list)  # losses reported, one per epoch
    details: dict[str, Any] = field(default_factory=dict)  # what else the objective returned
    versions: dict[str, str] = field(default_factory=dict)  # of the packages it ran with

    @property
    def ok(self) -> bool:
        """Whether it came to a good end."""
        return self.status == "ok"


class TrialStopped(BaseException):
    """Ends the objective of a trial that is to go no further, past its ``except Exception``."""


def run_trial(
    objective: Callable, begun: Trial, go_on: Callable[[Trial], bool] | None = None
) -> tuple[Trial, list[str]]:
    """Call an objective, as of `run_search`, with a copy of a proposed trial's settings.

    Returns the trial, and the settings that it never looked at (none if it did not succeed). An
    exception, a loss that is not finite or an epoch out of order becomes the trial's error.
    ``go_on`` is asked after each epoch that it reports, with the trial as far as it has come.
    """
    own, curve, versions = _Settings(begun.parameters), [], package_versions()
    start = time.perf_counter()

    def now(status: str, **known: Any) -> Trial:
        seconds = time.perf_counter() - start
        return replace(
            begun, status=status, seconds=seconds, curve=[*curve], versions=versions, **known
        )

    def report(epoch: int, loss: float) -> None:
        if epoch != len(curve) + 1:
            raise ValueError(f"reported epoch {epoch!r}, expected {len(curve) + 1}: one at a time")
        curve.append(_finite(loss, f"the loss after epoch {epoch}"))
        if go_on is not None and not go_on(now("stopped", loss=curve[-1])):
            raise TrialStopped

    try:
        returned = objective(own, report) if takes_report(objective) else objective(own)
        loss, details = _read_result(returned)
        return now("ok", loss=loss, details=details), sorted(own.unread)
    except TrialStopped:
        return now("stopped", loss=curve[-1]), []
    except Exception as failure:
        return now("failed", error=_writable(f"{type(failure).__name__}: {failure}")), []


def takes_report(objective: Callable) -> bool:
    """Tell whether an objective requires a second argument, to report its epochs with."""
    return len(required_arguments(objective)) >= 2


class _Settings(dict):
    """The objective's own copy of the settings; it remembers which of them were read."""

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(copy.deepcopy(dict(values)))
        self.names, self.unread = tuple(values), set(values)

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return super().__getitem__(name)

    def __missing__(self, name: str) -> Any:
        taken_out = name in self.names  # by the objective itself
        raise KeyError(
            name if taken_out else f"the space has no {name!r}, but {', '.join(self.names)}"
        )

    def __iter__(self) -> Iterator[str]:  # with dict's own, ** and dict() would pass by __getitem__
        return super().__iter__()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    # These read by __getitem__.
    get, items, values = Mapping.get, Mapping.items, Mapping.values  # type: ignore[assignment]
    setdefault = MutableMapping.setdefault  # type: ignore[assignment]

    def pop(self, name: str, *default: Any) -> Any:
        value = self.get(name, *default) if default else self[name]
        super().pop(name, None)
        return value

    def popitem(self) -> tuple[str, Any]:
        name = list(self)[-1]
        return name, self.pop(name)


# PyYAML takes a dictionary by its exact type.
yaml.SafeDumper.add_representer(_Settings, yaml.SafeDumper.represent_dict)


def _finite(loss: Any, name: str) -> float:
    number = float(loss)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}, expected a finite number")
    return number


def _writable(text: str) -> str:
    """Escape what UTF-8 cannot hold: a file name in an error may."""
    return text.encode("utf-8", "backslashreplace").decode()


def _read_result(returned: Any) -> tuple[float, dict[str, Any]]:
    """Return the loss, and what else an objective returned, as far as it can be kept."""
    if not isinstance(returned, Mapping):
        return _finite(returned, "the loss"), {}
    if returned.get("status", STATUS_OK) != STATUS_OK:
        raise RuntimeError(returned.get("message", f"status {returned['status']!r}"))
    if "loss" not in returned:
        raise ValueError(f"the objective returned {sorted(returned)}, expected a 'loss'")
    details = {}
    for name in [name for name in returned if name not in {"status", "loss"}]:
        try:
            plain = {str(name): to_plain(returned[name], str(name))}
            json_bytes(plain)  # a text may hold what UTF-8 cannot
            details.update(plain)
        except (TypeError, ValueError) as error:  # no reason to lose the trial
            details[str(name)] = _writable(f"not kept: {error}")
    return _finite(returned["loss"], "the loss"), details
