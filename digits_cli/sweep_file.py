"""Read a sweep's YAML file, refusing what cannot work before anything starts."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digit_utils import results
from digits_cli.book import Chapter, code_sources, list_profiles, select_chapters, shown
from digits_cli.errors import UsageError, did_you_mean
from digits_cli.pairing import read_chapter
from digits_cli.parameters import check_value, declared_parameters, show_value
from digits_cli.plan import profile_values, with_full_folders
from digits_cli.yaml_source import YamlSource

WAYS = ("grid", "list", "random")
ENTRIES = ("chapter", "profile", "constants", "seeds", "metric", *WAYS)
# A run takes seconds at least; a file of a few lines must not ask for more than a lifetime of them.
MOST_RUNS = 10_000
LINES = "NAME: value lines"

Check = Callable[..., None]  # (name, value, *path in the file): refuse what the chapter would


@dataclass(frozen=True)
class Sweep:
    """A checked sweep."""

    chapter: Chapter
    profile: str
    points: list[dict[str, Any]]  # the values of each run, with the profile's
    varied: list[str]  # parameters, without SEED
    metric: str | None  # the result that the report draws; None: see `choose_metric`
    constants: dict[str, Any]  # what all runs share beside the profile's values
    file: str

    def label(self, point: Mapping[str, Any]) -> str:
        """Return the values that tell a run from the others, as text."""
        names = [name for name in (*self.varied, "SEED") if name in point]
        return ", ".join(f"{n} {show_value(point[n])}" for n in names) or "the profile's values"


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep: requested, and perhaps finished."""

    key: str  # names its folder
    parameters: dict[str, Any]
    record: dict[str, Any] = field(default_factory=dict)  # of run.json; empty until the end

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.record.get("status") == "ok"


def read_sweep(path: Path, root: Path) -> Sweep:
    """Read a sweep; UsageError, which names file and line, for anything that cannot be run."""
    if path.suffix == ".py" and path.is_file():
        told = f"{shown(path)} is a Python file; expected a YAML file with a sweep. "
        raise UsageError(f"{told}That is a search: digits search {shown(path)}")
    source = YamlSource(path)
    need, entries = source.need, source.values
    need(isinstance(entries, dict), (), "expected entries such as 'chapter: 03_base_cnn'")
    for name in entries:
        text = f"there is no entry {name!r}.{did_you_mean(name, ENTRIES)} Entries: "
        need(name in ENTRIES, (name,), text + ", ".join(ENTRIES))
    chapter = _chapter(source, root)
    profile, profiles = entries.get("profile", "quick"), list_profiles(root)
    text = f"there is no profile {profile!r}. Profiles: {', '.join(profiles)}"
    need(profile in profiles, ("profile",), text)
    _check_metric(source, chapter)
    declared = declared_parameters(read_chapter(chapter), chapter.name)

    def check(name: str, value: Any, *path: Any) -> None:
        check_value(chapter.name, declared, name, value, source.where(*path))

    constants = _entry(source, dict, LINES, "constants") if "constants" in entries else {}
    for name, value in constants.items():
        check(name, value, "constants", name)
    ways = [way for way in WAYS if way in entries]
    need(len(ways) < 2, (*ways[1:2],), f"found {' and '.join(ways)}, expected one of them")
    text = f"nothing to vary: expected one of {', '.join(WAYS)}, or seeds"
    need(ways or "seeds" in entries, (), text)
    read = {"grid": _grid, "list": _list, "random": _random}
    drawn = read[ways[0]](source, check) if ways else iter([{}])
    points = list(itertools.islice(drawn, MOST_RUNS + 1))
    seeds = _values(source, check, "SEED", "seeds") if "seeds" in entries else []
    text = "SEED is set elsewhere as well; set it in one place"
    need(not seeds or all("SEED" not in point for point in (*points, constants)), ("seeds",), text)
    text = f"this asks for more than {MOST_RUNS:,} runs"
    entry = "seeds" if seeds else ways[0]
    need(len(points) * len(seeds or [0]) <= MOST_RUNS, (entry,), text)
    if seeds:
        points = [{**point, "SEED": seed} for point in points for seed in seeds]
    names = list(dict.fromkeys(name for point in points for name in point))
    for name in constants:
        text = f"{name} is varied as well; set it in one place"
        need(name not in names, ("constants", name), text)
    base = {**profile_values(root, profile, chapter, declared), **with_full_folders(constants)}
    for name in ("ARTIFACTS", "TRIALS"):
        text = (
            f"{name} would be one folder for all runs, which would overwrite each other's "
            "files; leave it out, and each run has its own"
        )
        where = ("constants" if name in constants else "profile", name)
        need(not base.get(name) or len(points) == 1, where, text)
    points = [{**base, **with_full_folders(point)} for point in points]
    varied = [name for name in names if name != "SEED"]
    sweep = Sweep(chapter, profile, points, varied, entries.get("metric"), constants, source.name)
    seen: dict[str, int] = {}  # two runs with the same values would write to the same place
    for number, point in enumerate(points, start=1):
        first = seen.setdefault(_digest(point), number)
        if first != number:
            text = f"runs {first} and {number} have the same values: {sweep.label(point)}"
            raise source.error((*ways, "seeds")[:1], text)
    return sweep


def keyed_points(sweep: Sweep, notebook: bytes) -> dict[str, dict[str, Any]]:
    """Name the points by a hash of the chapter's code, as it stands in `notebook`, and values."""
    import nbformat

    code = code_sources(nbformat.reads(notebook.decode("utf-8"), as_version=4))
    common = {"chapter": sweep.chapter.name, "code": code}
    return {_digest({**common, "parameters": p})[:12]: p for p in sweep.points}


def as_columns(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name reported values as a sweep's table does: ``name.entry`` for those in a dictionary."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            columns |= as_columns(value, f"{prefix}{name}.")
        else:
            columns[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return columns


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _chapter(source: YamlSource, root: Path) -> Chapter:
    wanted: Any = source.values.get("chapter")
    text = "expected an entry 'chapter', such as 'chapter: 03_base_cnn'"
    source.need(wanted is not None, (), text)
    wanted = f"{wanted:02}" if type(wanted) is int else wanted  # a bare 03 is a number to YAML
    text = f"found {wanted!r}, expected a chapter's name"
    source.need(isinstance(wanted, str), ("chapter",), text)
    try:
        return select_chapters(root, [wanted])[0]
    except UsageError as error:
        raise UsageError(f"{source.where('chapter')}: {error}") from error


def _check_metric(source: YamlSource, chapter: Chapter) -> None:
    """Refuse what is no name; only note, as the report may have changed, one not reported yet."""
    metric: Any = source.values.get("metric")
    text = f"found {metric!r}, expected the name of a result"
    source.need(metric is None or isinstance(metric, str), ("metric",), text)
    with suppress(results.ResultsError):  # not run yet
        reported = as_columns(results.read(chapter.notebook))
        numbers = [name for name, value in reported.items() if type(value) in (int, float)]
        if metric is not None and metric not in numbers:
            text = f"{chapter.name} as it was last run reports no number {metric!r}."
            text += f"{did_you_mean(metric, numbers)} It reports {', '.join(numbers)}"
            print(f"note: {source.error(('metric',), text)}", file=sys.stderr)


def _entry(source: YamlSource, kind: type, expected: str, *path: Any) -> Any:
    """Return what stands at a path in the file; refuse another kind, and what is empty."""
    value = functools.reduce(operator.getitem, path, source.values)
    text = f"{path[-1]} is {show_value(value)}, expected {expected}"
    source.need(isinstance(value, kind) and value, path, text)
    return value


def _values(source: YamlSource, check: Check, name: str, *path: Any) -> list:
    """Return the list of a parameter's values at a path in the file."""
    expected = "a list of values such as [0, 1]; a single value goes under constants"
    values = _entry(source, list, expected, *path)
    for place, value in enumerate(values):
        check(name, value, *path, place)
    return values


def _grid(source: YamlSource, check: Check) -> Iterator[dict]:
    names = _entry(source, dict, LINES, "grid")
    choices = [_values(source, check, name, "grid", name) for name in names]
    for values in itertools.product(*choices):
        yield dict(zip(names, values, strict=True))


def _list(source: YamlSource, check: Check) -> Iterator[dict]:
    points = _entry(source, list, "at least one run, such as '- {EPOCHS: 2}'", "list")
    for place, point in enumerate(points):
        text = "expected a mapping such as {EPOCHS: 2}"
        source.need(isinstance(point, dict) and point, ("list", place), text)
        for name, value in point.items():
            check(name, value, "list", place, name)
        yield point


def _random(source: YamlSource, check: Check) -> Iterator[dict]:
    import numpy as np

    entries = _entry(source, dict, LINES, "random")
    for name in entries:
        text = f"there is no entry {name!r}; expected samples, seed and values"
        source.need(name in ("samples", "seed", "values"), ("random", name), text)
    samples, seed = entries.get("samples"), entries.get("seed", 0)
    for name, value, least in (("samples", samples, 1), ("seed", seed, 0)):
        text = f"{name} is {value!r}, expected a whole number from {least}"
        source.need(type(value) is int and value >= least, ("random", name), text)
    text = "expected an entry 'values' with what to draw from"
    source.need("values" in entries, ("random",), text)
    ranges = _entry(source, dict, LINES, "random", "values")
    draws = {name: _sampler(source, check, name, given) for name, given in ranges.items()}
    generator = np.random.default_rng(seed)
    seen: set[str] = set()
    for _ in range(10 * min(samples, MOST_RUNS) + 1000):  # what comes up again is drawn anew
        point = {name: draw(generator) for name, draw in draws.items()}
        if _digest(point) not in seen:
            seen.add(_digest(point))
            yield point
        if len(seen) == samples:
            return
    text = f"found {len(seen)} different runs, expected {samples}; ask for fewer, or use a grid"
    raise source.error(("random", "samples"), text)


def _sampler(source: YamlSource, check: Check, name: str, given: Any) -> Callable[[Any], Any]:
    """Return a function that draws a value, from a list or a range, with a NumPy generator."""
    path = ("random", "values", name)
    if isinstance(given, list) and given:
        values = _values(source, check, name, *path)
        return lambda generator: values[generator.integers(len(values))]
    text = f"{name} is {show_value(given)}, expected a list, or {{low: 0.01, high: 0.1, log: true}}"
    keys = set(given) if isinstance(given, dict) else set()
    source.need({"low", "high"} <= keys <= {"low", "high", "log"}, path, text)
    low, high, log = given["low"], given["high"], given.get("log", False)
    text += " with low below high, and above 0 for log"
    numbers = all(type(end) in (int, float) for end in (low, high)) and type(log) is bool
    # The width must be a number, too: a range from -1e308 to 1e308 is too wide to draw from.
    source.need(numbers and 0 < high - low < math.inf and (low > 0 or not log), path, text)
    whole = type(low) is type(high) is int
    for end in ("low", "high"):
        check(name, given[end] if whole else float(given[end]), *path, end)

    def draw(generator: Any) -> int | float:
        if log:
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
            return min(round(value), high) if whole else value
        if whole:
            return int(generator.integers(low, high + 1))
        return float(generator.uniform(low, high))

    return draw
