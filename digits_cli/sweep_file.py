"""Read a sweep's YAML file, refusing what cannot work before anything starts, and its records."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import operator
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digit_utils import results
from digit_utils.io import parse_json
from digits_cli.book import Chapter, code_sources, list_profiles, select_chapters
from digits_cli.errors import UsageError, did_you_mean
from digits_cli.pairing import read_chapter
from digits_cli.parameters import check_value, declared_parameters, show_value
from digits_cli.plan import read_profile_values, with_full_folders
from digits_cli.yaml_source import YamlSource

WAYS = ("grid", "list", "random")
ENTRIES = ("chapter", "profile", "constants", "seeds", "metric", *WAYS)
# A run takes seconds at least; a file of a few lines must not ask for more than a lifetime of them.
MOST_RUNS = 10_000
LINES = "NAME: value lines"
FORMAT = 1  # of the records
RECORD_TYPES: dict[str, Any] = {
    "notebook": str | None, "error": str | None, "commit": str | None, "parameters": dict,
    "results": dict | None, "seconds": int | float, "peak_memory_mb": int | float | None,
}  # fmt: skip

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


def parse_record(key: str, raw: bytes) -> dict[str, Any]:
    """Read a run's record; ValueError if it is not whole or not of this run."""
    record = parse_json(raw)
    if (
        isinstance(record, dict)
        and (record.get("format"), record.get("run")) == (FORMAT, key)
        and record.get("status") in ("ok", "failed")
        and all(isinstance(record.get(name), kind) for name, kind in RECORD_TYPES.items())
        # A plain name: a shared bucket must not lead a report, or us, to another file.
        and re.fullmatch(r"\w[\w.-]*", record.get("notebook") or "none")
    ):
        return record
    raise ValueError(f"this is no record of run {key}")


def read_sweep(path: Path, root: Path) -> Sweep:
    """Read a sweep; UsageError, which names file and line, for anything that cannot be run."""
    source = YamlSource(path)
    entries = source.values
    _need(isinstance(entries, dict), source, (), "expected entries such as 'chapter: 03_base_cnn'")
    for name in entries:
        text = f"there is no entry {name!r}.{did_you_mean(name, ENTRIES)} Entries: "
        _need(name in ENTRIES, source, (name,), text + ", ".join(ENTRIES))
    chapter = _chapter(source, root)
    profile, profiles = entries.get("profile", "quick"), list_profiles(root)
    text = f"there is no profile {profile!r}. Profiles: {', '.join(profiles)}"
    _need(profile in profiles, source, ("profile",), text)
    metric = entries.get("metric")
    if metric is not None:
        _check_metric(source, chapter, metric)
    declared = declared_parameters(read_chapter(chapter), chapter.name)

    def check(name: str, value: Any, *path: Any) -> None:
        check_value(chapter.name, declared, name, value, source.where(*path))

    constants = _entry(source, dict, LINES, "constants") if "constants" in entries else {}
    for name, value in constants.items():
        check(name, value, "constants", name)
    ways = [way for way in WAYS if way in entries]
    text = f"found {' and '.join(ways)}, expected one of them"
    _need(len(ways) < 2, source, (*ways[1:2],), text)
    text = f"nothing to vary: expected one of {', '.join(WAYS)}, or seeds"
    _need(ways or "seeds" in entries, source, (), text)
    read = {"grid": _grid, "list": _list, "random": _random}
    points = read[ways[0]](source, check) if ways else [{}]
    if "seeds" in entries:
        points = _with_seeds(source, points, check)
    names = list(dict.fromkeys(name for point in points for name in point))
    for name in constants:
        text = f"{name} is varied as well; set it in one place"
        _need(name not in names, source, ("constants", name), text)
    base = {**read_profile_values(root, profile, chapter, declared), **with_full_folders(constants)}
    for name in ("ARTIFACTS", "TRIALS"):
        text = (
            f"{name} would be one folder for all runs, which would overwrite each other's "
            "files; leave it out, and each run has its own"
        )
        where = ("constants" if name in constants else "profile", name)
        _need(not base.get(name) or len(points) == 1, source, where, text)
    points = [{**base, **with_full_folders(point)} for point in points]
    _refuse_twins(source, points, ways[0] if ways else "seeds")
    varied = [name for name in names if name != "SEED"]
    return Sweep(chapter, profile, points, varied, metric, constants, source.name)


def keyed_points(sweep: Sweep, notebook: bytes) -> dict[str, dict[str, Any]]:
    """Name the points by a hash of the chapter's code, as it stands in `notebook`, and values."""
    import nbformat

    code = code_sources(nbformat.reads(notebook.decode("utf-8"), as_version=4))
    common = {"chapter": sweep.chapter.name, "code": code}
    return {_digest({**common, "parameters": p}).hex()[:12]: p for p in sweep.points}


def as_columns(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name reported values as a sweep's table does: ``name.entry`` for those in a dictionary."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            columns |= as_columns(value, f"{prefix}{name}.")
        else:
            columns[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return columns


def label(point: Mapping[str, Any], sweep: Sweep) -> str:
    """Return the values that tell a run from the others, as text."""
    names = [name for name in (*sweep.varied, "SEED") if name in point]
    return _brief({name: point[name] for name in names}) or "the profile's values"


def _brief(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {show_value(value)}" for name, value in point.items())


def _digest(values: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest()


def _need(holds: Any, source: YamlSource, path: tuple, text: str) -> None:
    if not holds:
        raise source.error(path, text)


def _chapter(source: YamlSource, root: Path) -> Chapter:
    wanted: Any = source.values.get("chapter")
    text = "expected an entry 'chapter', such as 'chapter: 03_base_cnn'"
    _need(wanted is not None, source, (), text)
    wanted = f"{wanted:02}" if type(wanted) is int else wanted  # a bare 03 is a number to YAML
    text = f"found {wanted!r}, expected a chapter's name"
    _need(isinstance(wanted, str), source, ("chapter",), text)
    try:
        return select_chapters(root, [wanted])[0]
    except UsageError as error:
        raise UsageError(f"{source.where('chapter')}: {error}") from error


def _check_metric(source: YamlSource, chapter: Chapter, metric: Any) -> None:
    """Refuse what is no name; only note, as the report may have changed, one not reported yet."""
    text = f"found {metric!r}, expected the name of a result"
    _need(isinstance(metric, str), source, ("metric",), text)
    with suppress(results.ResultsError):  # not run yet
        reported = as_columns(results.read(chapter.notebook))
        numbers = [name for name, value in reported.items() if type(value) in (int, float)]
        if metric not in numbers:
            text = (
                f"{chapter.name} as it was last run reports no number {metric!r}."
                f"{did_you_mean(metric, numbers)} It reports {', '.join(numbers)}"
            )
            print(f"note: {source.error(('metric',), text)}", file=sys.stderr)


def _entry(source: YamlSource, kind: type, expected: str, *path: Any) -> Any:
    """Return what stands at a path in the file; refuse another kind, and what is empty."""
    value = functools.reduce(operator.getitem, path, source.values)
    text = f"{path[-1]} is {show_value(value)}, expected {expected}"
    _need(isinstance(value, kind) and value, source, path, text)
    return value


def _limit(source: YamlSource, runs: int, *path: Any) -> None:
    text = f"this asks for {show_value(runs)} runs, expected at most {MOST_RUNS:,}"
    _need(runs <= MOST_RUNS, source, path, text)


def _grid(source: YamlSource, check: Check) -> list[dict]:
    choices = _entry(source, dict, LINES, "grid")
    expected = "a list of values such as [1, 2]; a single value goes under constants"
    for name in choices:
        for place, value in enumerate(_entry(source, list, expected, "grid", name)):
            check(name, value, "grid", name, place)
    _limit(source, math.prod(map(len, choices.values())), "grid")
    combinations = itertools.product(*choices.values())
    return [dict(zip(choices, values, strict=True)) for values in combinations]


def _list(source: YamlSource, check: Check) -> list[dict]:
    points = _entry(source, list, "at least one run, such as '- {EPOCHS: 2}'", "list")
    _limit(source, len(points), "list")
    for place, point in enumerate(points):
        text = "expected a mapping such as {EPOCHS: 2}"
        _need(isinstance(point, dict) and point, source, ("list", place), text)
        for name, value in point.items():
            check(name, value, "list", place, name)
    return points


def _random(source: YamlSource, check: Check) -> list[dict]:
    import numpy as np

    entries = _entry(source, dict, LINES, "random")
    for name in entries:
        text = f"there is no entry {name!r}; expected samples, seed and values"
        _need(name in ("samples", "seed", "values"), source, ("random", name), text)
    for name, least in (("samples", 1), ("seed", 0)):
        value = entries.setdefault(name, None if least else 0)
        text = f"{name} is {value!r}, expected a whole number from {least}"
        _need(type(value) is int and value >= least, source, ("random", name), text)
    samples = entries["samples"]
    _limit(source, samples, "random", "samples")
    text = "expected an entry 'values' with what to draw from"
    _need("values" in entries, source, ("random",), text)
    ranges = _entry(source, dict, LINES, "random", "values")
    draws = {name: _sampler(source, check, name, given) for name, given in ranges.items()}
    generator = np.random.default_rng(entries["seed"])
    points: dict[bytes, dict] = {}
    for _ in range(10 * samples + 1000):  # a point that comes up again is drawn anew
        point = {name: draw(generator) for name, draw in draws.items()}
        points.setdefault(_digest(point), point)
        if len(points) == samples:
            return list(points.values())
    text = f"found {len(points)} different runs, expected {samples}; ask for fewer, or use a grid"
    raise source.error(("random", "samples"), text)


def _sampler(source: YamlSource, check: Check, name: str, given: Any) -> Callable[[Any], Any]:
    """Return a function that draws a value, from a list or a range, with a NumPy generator."""
    path = ("random", "values", name)
    if isinstance(given, list) and given:
        for place, value in enumerate(given):
            check(name, value, *path, place)
        return lambda generator: given[generator.integers(len(given))]
    text = f"{name} is {show_value(given)}, expected a list, or {{low: 0.01, high: 0.1, log: true}}"
    keys = set(given) if isinstance(given, dict) else set()
    _need({"low", "high"} <= keys <= {"low", "high", "log"}, source, path, text)
    low, high, log = given["low"], given["high"], given.get("log", False)
    text += " with low below high, and above 0 for log"
    numbers = all(type(end) in (int, float) for end in (low, high)) and type(log) is bool
    # The width must be a number, too: a range from -1e308 to 1e308 is too wide to draw from.
    _need(numbers and 0 < high - low < math.inf and (low > 0 or not log), source, path, text)
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


def _with_seeds(source: YamlSource, points: list[dict], check: Check) -> list[dict]:
    seeds = _entry(source, list, "a list such as [0, 1, 2]", "seeds")
    for place, seed in enumerate(seeds):
        check("SEED", seed, "seeds", place)
    twice = any("SEED" in point for point in (*points, source.values.get("constants", {})))
    _need(not twice, source, ("seeds",), "SEED is set elsewhere as well; set it in one place")
    _limit(source, len(points) * len(seeds), "seeds")
    return [{**point, "SEED": seed} for point in points for seed in seeds]


def _refuse_twins(source: YamlSource, points: list[dict], entry: str) -> None:
    """Refuse two runs with the same values: they would write to the same place."""
    seen: dict[bytes, int] = {}  # hashes: there may be ten thousand points with a long text
    for number, point in enumerate(points, start=1):
        first = seen.setdefault(_digest(point), number)
        if first != number:
            text = f"runs {first} and {number} have the same values: {_brief(point)}"
            raise source.error((entry,), text)
