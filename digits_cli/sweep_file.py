"""Read a sweep's YAML file, refusing what cannot work before anything starts."""

import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digit_utils import results
from digits_cli.book import Chapter, list_profiles, select_chapters, shown
from digits_cli.errors import UsageError, did_you_mean
from digits_cli.normalised_code import short_hash
from digits_cli.pairing import read_chapter
from digits_cli.parameters import Parameter, check_value, declared_parameters, show_value
from digits_cli.plan import profile_values, with_full_folders
from digits_cli.yaml_source import YamlSource

WAYS = ("grid", "list", "random")
ENTRIES = ("chapter", "profile", "constants", "seeds", "metric", "record", *WAYS)
# A run takes seconds at least; a file of a few lines must not ask for more than a lifetime of them.
MOST_RUNS = 10_000
LINES = "NAME: value lines"


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
    record: str | None = None  # names a file in digit_utils/recorded that keeps the runs

    def label(self, point: Mapping[str, Any]) -> str:
        """Return the values that tell a run from the others, as text."""
        names = [name for name in (*self.varied, "SEED") if name in point]
        return ", ".join(f"{n} {show_value(point[n])}" for n in names)


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
    source = _SweepSource(path)
    need, entries = source.need, source.values
    need(isinstance(entries, dict), (), "expected entries such as 'chapter: 03_base_cnn'")
    source.refuse_others(entries, ENTRIES)
    chapter = source.read_chapter(root)
    profile, profiles = entries.get("profile", "quick"), list_profiles(root)
    text = f"there is no profile {profile!r}. Profiles: {', '.join(profiles)}"
    need(profile in profiles, ("profile",), text)
    metric = source.read_metric() if "metric" in entries else None
    record = source.read_record() if "record" in entries else None
    constants = source.entry(dict, LINES, "constants") if "constants" in entries else {}
    for name, value in constants.items():
        source.check(name, value, "constants", name)
    ways = [way for way in WAYS if way in entries]
    need(len(ways) < 2, (*ways[1:2],), f"found {' and '.join(ways)}, expected one of them")
    text = f"nothing to vary: expected one of {', '.join(WAYS)}, or seeds"
    need(ways or "seeds" in entries, (), text)
    drawn = getattr(source, f"read_{ways[0]}")() if ways else iter([{}])
    points = list(itertools.islice(drawn, MOST_RUNS + 1))
    seeds = source.choices("SEED", "seeds") if "seeds" in entries else []
    last = ("seeds" if seeds else ways[0],)
    text = f"this asks for more than {MOST_RUNS:,} runs"
    need(len(points) * len(seeds or [0]) <= MOST_RUNS, last, text)
    varied = list(dict.fromkeys(name for point in points for name in point))
    text = "{} is set elsewhere as well; set it in one place"
    for name in constants:
        need(name not in varied, ("constants", name), text.format(name))
    need(not seeds or "SEED" not in (*varied, *constants), ("seeds",), text.format("SEED"))
    if seeds:
        points = [{**point, "SEED": seed} for point in points for seed in seeds]
    base = {**profile_values(root, profile, chapter, source.declared), **constants}
    for name in ("ARTIFACTS", "TRIALS"):
        text = (
            f"{name} would be one folder for all runs, which would overwrite each other's "
            "files; leave it out, and each run has its own"
        )
        where = ("constants" if name in constants else "profile", name)
        need(not base.get(name) or len(points) == 1, where, text)
    points = [with_full_folders({**base, **point}) for point in points]
    varied = [name for name in varied if name != "SEED"]
    sweep = Sweep(chapter, profile, points, varied, metric, constants, source.name, record)
    seen: dict[str, int] = {}  # two runs with the same values would write to the same place
    for number, point in enumerate(points, start=1):
        first = seen.setdefault(digest(point), number)
        text = f"runs {first} and {number} have the same values: {sweep.label(point)}"
        need(first == number, (*ways, "seeds")[:1], text)
    return sweep


def digest(values: Mapping[str, Any]) -> str:
    """Return a hash of values, which tells runs apart."""
    return short_hash(json.dumps(values, sort_keys=True).encode())


class _SweepSource(YamlSource):
    """A sweep's file; each way to vary values yields those of one point after the other."""

    chapter: Chapter
    declared: Mapping[str, Parameter]

    def read_chapter(self, root: Path) -> Chapter:
        """Find the chapter, and keep what it declares."""
        wanted = self.entry(str | int, "a chapter's name, such as 03_base_cnn", "chapter")
        wanted = wanted if isinstance(wanted, str) else f"{wanted:02}"  # a bare 03 is a number
        try:
            (self.chapter,) = select_chapters(root, [wanted])
        except UsageError as error:
            raise UsageError(f"{self.where('chapter')}: {error}") from error
        self.declared = declared_parameters(read_chapter(self.chapter), self.chapter.name)
        return self.chapter

    def read_metric(self) -> str:
        """Only note, as the code may have changed, one that was not reported yet."""
        import pandas as pd

        metric = self.entry(str, "the name of a result", "metric")
        with suppress(results.ResultsError):  # not run yet
            reported = pd.json_normalize(results.read(self.chapter.notebook))
            numbers = list(reported.select_dtypes("number"))
            if metric not in numbers:
                text = f"{self.chapter.name} as it was last run reports no number {metric!r}."
                text += f"{did_you_mean(metric, numbers)} It reports {', '.join(numbers)}"
                print(f"note: {self.error(('metric',), text)}", file=sys.stderr)
        return metric

    def read_record(self) -> str:
        record = self.entry(str, "a name such as suspect_lists", "record")
        text = f"record is {record!r}, expected letters, digits and _"
        self.need(re.fullmatch(r"\w+", record), ("record",), text)
        return record

    def refuse_others(self, names: Iterable[str], known: tuple[str, ...], *path: Any) -> None:
        """Refuse what is not among the known entries of the mapping at a path."""
        for name in names:
            text = f"there is no entry {name!r}.{did_you_mean(name, known)} Entries: "
            self.need(name in known, (*path, name), text + ", ".join(known))

    def check(self, name: str, value: Any, *path: Any) -> None:
        check_value(self.chapter.name, self.declared, name, value, self.where(*path))

    def entry(self, kind: Any, expected: str, *path: Any) -> Any:
        """Return what stands at a path; refuse another kind, and what is empty or not there."""
        value: Any = self.values
        for step in path:
            value = value.get(step) if isinstance(value, dict) else value[step]
        name = path[-1] if isinstance(path[-1], str) else f"run {path[-1] + 1}"
        text = f"{name} is {show_value(value)}, expected {expected}"
        self.need(isinstance(value, kind) and value and value is not True, path, text)
        return value

    def choices(self, name: str, *path: Any) -> list:
        """Return the list of a parameter's values at a path."""
        expected = "a list of values such as [0, 1]; a single value goes under constants"
        values = self.entry(list, expected, *path)
        for place, value in enumerate(values):
            self.check(name, value, *path, place)
        return values

    def read_grid(self) -> Iterator[dict]:
        names = self.entry(dict, LINES, "grid")
        for values in itertools.product(*[self.choices(name, "grid", name) for name in names]):
            yield dict(zip(names, values, strict=True))

    def read_list(self) -> Iterator[dict]:
        points = self.entry(list, "at least one run, such as '- {EPOCHS: 2}'", "list")
        for place in range(len(points)):
            point = self.entry(dict, "a mapping such as {EPOCHS: 2}", "list", place)
            for name, value in point.items():
                self.check(name, value, "list", place, name)
            yield point

    def read_random(self) -> Iterator[dict]:
        """Draw points, each only once."""
        import numpy as np

        entries = self.entry(dict, LINES, "random")
        self.refuse_others(entries, ("samples", "seed", "values"), "random")
        samples, seed = entries.get("samples"), entries.get("seed", 0)
        for name, value, least in (("samples", samples, 1), ("seed", seed, 0)):
            text = f"{name} is {value!r}, expected a whole number from {least}"
            self.need(type(value) is int and value >= least, ("random", name), text)
        ranges = self.entry(dict, LINES, "random", "values")
        draws = {name: self.sampler(name, given) for name, given in ranges.items()}
        generator = np.random.default_rng(seed)
        seen: set[str] = set()
        for _ in range(10 * min(samples, MOST_RUNS) + 1000):  # what comes again is drawn anew
            point = {name: draw(generator) for name, draw in draws.items()}
            if digest(point) not in seen:
                seen.add(digest(point))
                yield point
            if len(seen) == samples:
                return
        text = f"found {len(seen)} different runs, expected {samples}; ask for fewer, or use a grid"
        raise self.error(("random", "samples"), text)

    def sampler(self, name: str, given: Any) -> Callable[[Any], Any]:
        """Return a function that draws a value, from a list or range, with a NumPy generator."""
        path = ("random", "values", name)
        if isinstance(given, list) and given:
            values = self.choices(name, *path)
            return lambda generator: values[generator.integers(len(values))]
        text = f"{name} is {show_value(given)}, expected a list, or "
        text += "{low: 0.01, high: 0.1, log: true}"
        keys = set(given) if isinstance(given, dict) else set()
        self.need({"low", "high"} <= keys <= {"low", "high", "log"}, path, text)
        low, high, log = given["low"], given["high"], given.get("log", False)
        text += " with low below high, and above 0 for log"
        numbers = all(type(end) in (int, float) for end in (low, high)) and type(log) is bool
        # The width must be a number, too: a range from -1e308 to 1e308 is too wide to draw from.
        self.need(numbers and 0 < high - low < math.inf and (low > 0 or not log), path, text)
        whole = type(low) is type(high) is int
        for end in ("low", "high"):
            self.check(name, given[end] if whole else float(given[end]), *path, end)

        def draw(generator: Any) -> int | float:
            if log:
                value = math.exp(generator.uniform(math.log(low), math.log(high)))
                return min(round(value), high) if whole else value
            return (
                generator.integers(low, high + 1).item() if whole else generator.uniform(low, high)
            )

        return draw
