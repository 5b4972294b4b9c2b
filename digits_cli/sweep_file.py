"""Read a sweep's YAML file, and refuse what cannot work before anything is started."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_utils import results
from digits_cli.errors import UsageError, did_you_mean
from digits_cli.pairing import read_chapter
from digits_cli.parameters import Parameter, check_value, declared_parameters, show_value
from digits_cli.paths import Chapter, list_profiles, select_chapters
from digits_cli.plan import read_profile_values, with_full_folders
from digits_cli.yaml_source import YamlSource

WAYS = ("grid", "list", "random")
# A run takes seconds at least; a file of a few lines must not ask for more than a lifetime of them.
MOST_RUNS = 10_000
ENTRIES = ("chapter", "profile", "constants", "seeds", "metric", *WAYS)


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


def read_sweep(path: Path, root: Path) -> Sweep:
    """Read a sweep and check names, types and sizes of everything in it.

    ``book/how_to_run.md`` describes the file. Raises UsageError, which names the line, for anything
    that cannot be run.
    """
    source = YamlSource(path)
    entries = source.values
    if not isinstance(entries, dict):
        raise source.error((), "expected entries such as 'chapter: 03_base_cnn'")
    for name in entries:
        if name not in ENTRIES:
            raise source.error(
                (name,),
                f"there is no entry {name!r}.{did_you_mean(name, ENTRIES)} "
                f"Entries: {', '.join(ENTRIES)}",
            )
    chapter = _chapter(source, root)
    profile = entries.get("profile", "quick")
    if profile not in list_profiles(root):
        raise source.error(
            ("profile",),
            f"there is no profile {profile!r}. Profiles: {', '.join(list_profiles(root))}",
        )
    metric = entries.get("metric")
    if metric is not None and not isinstance(metric, str):
        raise source.error(("metric",), f"found {metric!r}, expected the name of a result")
    _note_unknown_metric(source, chapter, metric)
    declared = declared_parameters(read_chapter(chapter), chapter.name)
    constants = _mapping(source, "constants") if "constants" in entries else {}
    _check_values(source, chapter, declared, constants, ("constants",))

    ways = [way for way in WAYS if way in entries]
    if len(ways) > 1:
        raise source.error((ways[1],), f"found {' and '.join(ways)}, expected one of them")
    if not ways and "seeds" not in entries:
        raise source.error((), f"nothing to vary: expected one of {', '.join(WAYS)}, or seeds")
    points = [{}]
    if ways:
        points = {"grid": _grid, "list": _list, "random": _random}[ways[0]](
            source, chapter, declared
        )
    _refuse_too_many(source, len(points), (*ways,))
    points = _with_seeds(source, points, chapter, declared)
    for name in sorted({name for point in points for name in point} & set(constants)):
        raise source.error(("constants", name), f"{name} is varied as well; set it in one place")
    base = {**read_profile_values(root, profile, chapter, declared), **constants}
    if len(points) > 1:
        for name in ("ARTIFACTS", "TRIALS"):
            if base.get(name):
                raise source.error(
                    ("constants" if name in constants else "profile", name),
                    f"{name} would be one folder for all runs, which would overwrite each other's "
                    "files; leave it out, and each run has its own",
                )
    base = with_full_folders(base)  # once: a copy for each of ten thousand runs takes memory
    full = [{**base, **with_full_folders(point)} for point in points]
    _refuse_twins(source, full, ways)
    varied = [name for name in dict.fromkeys(n for p in points for n in p) if name != "SEED"]
    return Sweep(chapter, profile, full, varied, metric, constants, source.name)


def as_columns(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name what a chapter reported as the table of a sweep does, each name after `prefix`.

    A dictionary becomes one column for each entry, ``name.entry``; other values as in `as_cell`.
    """
    columns = {}
    for name, value in values.items():
        full = f"{prefix}{name}"
        nested = isinstance(value, Mapping)
        columns |= as_columns(value, f"{full}.") if nested else {full: as_cell(value)}
    return columns


def as_cell(value: Any) -> Any:
    """Return a list or a dictionary as JSON, for a cell of a table; any other value as it is."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _note_unknown_metric(source: YamlSource, chapter: Chapter, metric: str | None) -> None:
    """Print a note, as the report may have changed, when the last run gave no such number."""
    if metric is None:
        return
    try:
        reported = as_columns(results.read(chapter.notebook))
    except results.ResultsError:  # not run yet
        return
    numbers = [name for name, value in reported.items() if type(value) in (int, float)]
    if metric not in numbers:
        text = (
            f"{chapter.name} as it was last run reports no number {metric!r}."
            f"{did_you_mean(metric, numbers)} It reports {', '.join(numbers)}"
        )
        print(f"note: {source.error(('metric',), text)}", file=sys.stderr)


def _chapter(source: YamlSource, root: Path) -> Chapter:
    wanted = source.values.get("chapter")
    if wanted is None:
        raise source.error((), "expected an entry 'chapter', such as 'chapter: 03_base_cnn'")
    # A bare 03 is a number to YAML.
    wanted = f"{wanted:02}" if type(wanted) is int else wanted
    if not isinstance(wanted, str):
        raise source.error(("chapter",), f"found {wanted!r}, expected a chapter's name")
    try:
        return select_chapters(root, [wanted])[0]
    except UsageError as error:
        raise UsageError(f"{source.where('chapter')}: {error}") from error


def _mapping(source: YamlSource, *path: Any) -> dict[str, Any]:
    value: Any = source.values
    for step in path:
        value = value[step]
    if not isinstance(value, dict) or not value:
        raise source.error(path, f"{path[-1]} is empty or no mapping, expected NAME: value lines")
    return value


def _check_values(
    source: YamlSource,
    chapter: Chapter,
    declared: Mapping[str, Parameter],
    values: Mapping[str, Any],
    path: tuple,
) -> None:
    for name, value in values.items():
        check_value(chapter.name, declared, name, value, source.where(*path, name))


def _grid(source: YamlSource, chapter: Chapter, declared: Mapping[str, Parameter]) -> list[dict]:
    choices = _mapping(source, "grid")
    for name, values in choices.items():
        if not isinstance(values, list) or not values:
            raise source.error(
                ("grid", name),
                f"{name} is {show_value(values)}, expected a list of values such as "
                "[1, 2]; a single value goes under constants",
            )
        for place, value in enumerate(values):
            where = source.where("grid", name, place)
            check_value(chapter.name, declared, name, value, where)
    _refuse_too_many(source, math.prod(map(len, choices.values())), ("grid",))
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


def _refuse_too_many(source: YamlSource, runs: int, path: tuple) -> None:
    if runs > MOST_RUNS:
        raise source.error(
            path, f"this asks for {show_value(runs)} runs, expected at most {MOST_RUNS:,}"
        )


def _list(source: YamlSource, chapter: Chapter, declared: Mapping[str, Parameter]) -> list[dict]:
    points = source.values["list"]
    if not isinstance(points, list) or not points:
        raise source.error(("list",), "expected at least one run, such as '- {EPOCHS: 2}'")
    for place, point in enumerate(points):
        if not isinstance(point, dict) or not point:
            raise source.error(("list", place), "expected a mapping such as {EPOCHS: 2}")
        _check_values(source, chapter, declared, point, ("list", place))
    return points


def _random(source: YamlSource, chapter: Chapter, declared: Mapping[str, Parameter]) -> list[dict]:
    import numpy as np

    entries = _mapping(source, "random")
    for name in entries:
        if name not in {"samples", "seed", "values"}:
            raise source.error(
                ("random", name), f"there is no entry {name!r}; expected samples, seed and values"
            )
    samples, seed = entries.get("samples"), entries.get("seed", 0)
    if type(samples) is not int or samples < 1:
        raise source.error(
            ("random", "samples"), f"samples is {samples!r}, expected a whole number from 1"
        )
    _refuse_too_many(source, samples, ("random", "samples"))
    if type(seed) is not int or seed < 0:
        raise source.error(("random", "seed"), f"seed is {seed!r}, expected a whole number from 0")
    if "values" not in entries:
        raise source.error(("random",), "expected an entry 'values' with what to draw from")
    ranges = _mapping(source, "random", "values")
    generator = np.random.default_rng(seed)
    draw = {name: _sampler(source, name, given) for name, given in ranges.items()}
    points: dict[bytes, dict] = {}
    in_vain = 0
    while len(points) < samples and in_vain < 10 * samples + 1000:
        point = {name: draw[name](generator) for name in ranges}
        key = _identity(point)
        if key in points:  # a point that comes up again is drawn anew
            in_vain += 1
            continue
        _check_values(source, chapter, declared, point, ("random", "values"))
        points[key], in_vain = point, 0
    if len(points) == samples:
        return list(points.values())
    raise source.error(
        ("random", "samples"),
        f"found {len(points)} different runs, expected {samples}; ask for fewer, or use a grid",
    )


def _sampler(source: YamlSource, name: str, given: Any) -> Any:
    """Return a function that draws one value."""
    path = ("random", "values", name)
    if isinstance(given, list) and given:
        return lambda generator: given[generator.integers(len(given))]
    expected = "expected a list, or {low: 0.01, high: 0.1, log: true}"
    if not isinstance(given, dict) or not {"low", "high"} <= set(given) <= {"low", "high", "log"}:
        raise source.error(path, f"{name} is {show_value(given)}, {expected}")
    low, high, log = given["low"], given["high"], given.get("log", False)
    # The width must be a number, too: a range from -1e308 to 1e308 is too wide to draw from.
    numbers = all(type(end) in (int, float) for end in (low, high)) and math.isfinite(high - low)
    if not numbers or not low < high or type(log) is not bool or (log and low <= 0):
        raise source.error(
            path,
            f"{name} is {show_value(given)}, {expected} with low below high, and above 0 for log",
        )
    whole = type(low) is int and type(high) is int
    ends = (math.log(low), math.log(high)) if log else (low, high)

    def draw(generator: Any) -> int | float:
        if whole and not log:
            return int(generator.integers(low, high + 1))
        value = generator.uniform(*ends)
        value = math.exp(value) if log else float(value)
        return round(value) if whole else value

    return draw


def _with_seeds(
    source: YamlSource, points: list[dict], chapter: Chapter, declared: Mapping[str, Parameter]
) -> list[dict]:
    if "seeds" not in source.values:
        return points
    seeds = source.values["seeds"]
    if not isinstance(seeds, list) or not seeds:
        raise source.error(
            ("seeds",), f"seeds is {show_value(seeds)}, expected a list such as [0, 1, 2]"
        )
    for place, seed in enumerate(seeds):
        check_value(chapter.name, declared, "SEED", seed, source.where("seeds", place))
    if any("SEED" in point for point in points) or "SEED" in source.values.get("constants", {}):
        raise source.error(("seeds",), "SEED is set elsewhere as well; set it in one place")
    _refuse_too_many(source, len(points) * len(seeds), ("seeds",))
    return [{**point, "SEED": seed} for point in points for seed in seeds]


def _refuse_twins(source: YamlSource, points: list[dict], ways: list[str]) -> None:
    """Refuse two runs with the same values: they would write to the same place."""
    seen: dict[bytes, int] = {}
    for number, point in enumerate(points, start=1):
        key = _identity(point)
        if key in seen:
            raise source.error(
                tuple(ways) or ("seeds",),
                f"runs {seen[key]} and {number} have the same values: {_brief(point)}",
            )
        seen[key] = number


def _identity(point: Mapping[str, Any]) -> bytes:
    """Hash a point: short, as there may be ten thousand with a long text."""
    text = json.dumps(point, sort_keys=True, default=repr)  # a date is refused later
    return hashlib.sha256(text.encode()).digest()


def _brief(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {show_value(value)}" for name, value in point.items())


def label(point: Mapping[str, Any], sweep: Sweep) -> str:
    """Return the values that tell a run from the others, as text."""
    names = (name for name in (*sweep.varied, "SEED") if name in point)
    return _brief({name: point[name] for name in names}) or "the profile's values"
