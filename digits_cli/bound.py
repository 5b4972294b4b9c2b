"""Numbers and verdicts in prose, bound to what was measured.

A marker right after a number says where it comes from and how it is written:
``99.27 %<!--= 03.validation_accuracy .2% -->``. The source is what a chapter reported, by its
number, or a record by its name, and keys and places in lists; a format ends in ``%``, in ``p``
(points: a share times 100) or is Python's own. ``<!--= given -->`` says that a number is none of
our measurements: quoted, or chosen. `publish` writes bound numbers anew.

``verdicts/NAME.yaml`` has, for the text NAME, the sentences that may turn out wrong, each with the
condition, or a list of them, under which it stands: ``augmentation helps: 04.gain_low > 0``.
"""

import json
import operator
import re
from pathlib import Path
from typing import Any

from digit_utils.io import parse_json, read_bytes, write_atomically
from digits_cli.book import list_chapters, prose, read_notebook, shown
from digits_cli.errors import RunnerError, did_you_mean
from digits_cli.pairing import read_script, refuse_to_lose, sync_pair
from digits_cli.yaml_source import YamlSource

OPENING = "<!--="
NUMBER = r"(?:(?<![\w.])[+\-−])?(?<![\d.,])\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?:[ \u00a0]?%)?"
# A number may be closed by emphasis or a formula before its marker.
MARKER = re.compile(rf"(?P<number>{NUMBER})?(?P<closing>[*_$]*){OPENING}(?P<what>[^>|\n]*)-->")
GIVEN = "given"
COMPARE = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
AGAIN = "`digits publish --no-run` writes it anew"


class Values:
    """What the chapters reported, and the records, by names such as ``03.n_wrong``."""

    def __init__(self, root: Path):
        self.root = root
        self._records: dict[str, Any] = {}

    def find(self, name: str) -> Any:
        """Return a value; LookupError says what there is instead."""
        source, *keys = name.split(".")
        if source not in self._records:
            self._records[source] = self._read(source)
        value = self._records[source]
        while keys:
            if isinstance(value, list) and re.fullmatch(r"-?\d+", keys[0]):
                if not -len(value) <= int(keys[0]) < len(value):
                    raise LookupError(f"{name}: the list has {len(value)} items, from 0")
                value = value[int(keys.pop(0))]
                continue
            known = value if isinstance(value, dict) else {}
            for count in range(1, len(keys) + 1):  # a key may have a dot in it
                if (key := ".".join(keys[:count])) in known:
                    value, keys = known[key], keys[count:]
                    break
            else:
                hint = did_you_mean(keys[0], known) or f" There is: {', '.join(known) or 'nothing'}"
                raise LookupError(f"{name}: there is no {keys[0]!r}.{hint:.300}")
        return value

    def _read(self, source: str) -> Any:
        if chapter := re.fullmatch(r"\d\d", source):
            paths = sorted(self.root.glob(f"results/{source}_*.json"))
        else:
            folders = (self.root / "digit_utils" / "recorded", self.root / "results")
            paths = [folder / f"{source}.json" for folder in folders]
        for path in filter(Path.is_file, paths):
            try:
                record = parse_json(read_bytes(path))
                return record["results"] if chapter else record
            except (OSError, ValueError, LookupError, TypeError) as error:
                raise LookupError(f"{shown(path)} is no record ({error})") from error
        expected = f"results/{source}_*.json" if chapter else " or ".join(map(shown, paths))
        raise LookupError(f"there is no {expected}; expected a chapter (03) or a record's name")


def write_number(value: Any, spec: str) -> str:
    """Write a value as a marker's format says; ValueError when it does not suit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, found {value!r:.60}")
    if not re.fullmatch(r"\+?,?(?:\.\d)?[%pdefg]?", spec):
        raise ValueError(f"found the format {spec!r:.60}, expected one such as .2% .3f +.2p or ,")
    points = spec.endswith("p")
    text = format(value * 100, f"{spec[:-1]}f") if points else format(value, spec)
    return text.replace("%", " %")


def fill(path: Path, text: str, values: Values) -> tuple[str, list[str], list[str]]:
    """Return a text with its numbers anew, what is wrong with its markers, and what is not new.

    Of a script only lines that begin with a number sign count.
    """
    wrong, old, lines = [], [], text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        here = f"{shown(path)}, line {index + 1}"

        def renew(found: re.Match, here: str = here) -> str:
            number, what = found["number"], found["what"].strip()
            name, _, spec = what.rpartition(" ")
            try:
                if number is None:
                    raise ValueError("expected a number right before it; any, it is replaced")
                if found.string.count("`", 0, found.start()) % 2:
                    raise ValueError("it is within code, where readers would see it")
                if what == GIVEN:
                    return found[0]
                if not name:
                    raise ValueError(f"expected a source and a format, as 03.n_wrong , or {GIVEN}")
                new = write_number(values.find(name.strip()), spec)
            except (LookupError, ValueError) as error:
                wrong.append(f"{here}: {OPENING} {what} -->: {error}")
                return found[0]
            if number.replace("−", "-") == new:
                return found[0]
            old.append(f"{here}: the text says {number}, {name.strip()} is {new}; {AGAIN}")
            return f"{new}{found[0].removeprefix(number)}"

        if OPENING not in line:
            continue
        if path.suffix == ".py" and not line.startswith("#"):
            wrong.append(f"{here}: found a marker in code; only prose has bound numbers")
        elif line.count(OPENING) != len(MARKER.findall(line)):
            wrong.append(f"{here}: found {OPENING} without its end; a marker is on one line, "
                         f"as 61{OPENING} 03.n_wrong , -->")  # fmt: skip
        else:
            lines[index] = MARKER.sub(renew, line)
    return "".join(lines), wrong, old


def without_markers(text: str) -> str:
    """Return prose as readers see it."""
    return MARKER.sub(lambda found: f"{found['number'] or ''}{found['closing']}", text)


def list_texts(root: Path) -> list[Path]:
    """List the texts that may have bound numbers: chapters, pages and README.md."""
    scripts = [chapter.script for chapter in list_chapters(root) if chapter.script.is_file()]
    return [*scripts, *sorted(root.glob("book/*.md")), *root.glob("README.md")]


def check_text(path: Path, values: Values) -> list[str]:
    """Say where a text and its values differ, or a marker is wrong."""
    _, wrong, old = fill(path, _read(path), values)
    return wrong + old


def check_verdicts(root: Path, values: Values) -> list[str]:
    """Say which verdicts are false, guard no sentence, or cannot be told."""
    found, texts = [], {path.stem: path for path in list_texts(root)}
    for file in sorted((root / "verdicts").glob("*.yaml")):
        source = YamlSource(file, RunnerError)
        text = texts.get(file.stem)
        source.need(text, (), f"there is no chapter or page {file.stem}; name the file after one")
        source.need(isinstance(source.values, dict), (), "expected lines of SENTENCE: CONDITION")
        lines = _prose_lines(texts[file.stem])
        for sentence, conditions in source.values.items():
            asked, place = _plain(sentence), f"{shown(texts[file.stem])}: {sentence!r}"
            if asked not in _plain("\n".join(lines)):
                told = f"there is no such sentence in {place}. Put it as it reads there now"
                found.append(f"{source.where(sentence)}: {told}")
                continue
            for condition in conditions if isinstance(conditions, list) else [conditions]:
                try:
                    if told := _why_false(condition, values):
                        line = _line_of(asked, lines)
                        place = f"{shown(texts[file.stem])}, line {line}: {sentence!r}"
                        told = f"{condition} is false now: {told}. Rewrite the sentence in {place}"
                except (LookupError, ValueError, TypeError) as error:
                    told = f"{condition} cannot be told ({error}), in {place}"
                found += [f"{source.where(sentence)}: {told}"] if told else []
    return found


def _why_false(condition: Any, values: Values) -> str:
    """Return the values that make a comparison false, empty when it holds."""
    sides = re.split(r"\s+([<>]=?|[!=]=)\s+", str(condition).strip())
    if len(sides) < 3:
        raise ValueError("expected a comparison, as 04.gain_low > 0 or 04.low <= 0 <= 04.high")
    known, told = [], []
    for name in sides[::2]:
        try:
            known.append(json.loads(name))
        except ValueError:  # neither a number, nor true or false, nor a quoted text
            known.append(values.find(name))
            told.append(f"{name} is {known[-1]}")
    if not told:
        raise ValueError("it compares nothing that was measured")
    compared = zip(known, sides[1::2], known[1:], strict=False)
    holds = all(COMPARE[sign](one, other) for one, sign, other in compared)
    return "" if holds else ", ".join(told)


def _prose_lines(path: Path) -> list[str]:
    lines = _read(path).splitlines()
    return [line.removeprefix("#") for line in lines] if path.suffix == ".py" else lines


def _plain(text: str) -> str:
    """Return words as they are compared: any number, any layout and any emphasis will do."""
    text = re.sub(r"[*_`]", "", without_markers(text))
    return " ".join(re.sub(NUMBER, "0", text).split())


def _line_of(asked: str, lines: list[str]) -> int:
    """Return the line in which words begin that are somewhere in a text."""
    return max(n + 1 for n in range(len(lines)) if asked in _plain("\n".join(lines[n:])))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # line ends stay as they are
    except UnicodeDecodeError as error:
        raise RunnerError(f"{shown(path)} is not a UTF-8 text file: {error}.") from error


def settle(root: Path) -> list[str]:
    """Write every bound number anew, unless a marker is wrong; say what is, and what verdicts are.

    Everything is made before anything is written; a call that was interrupted can be repeated.
    """
    values, new, wrong, lagging = Values(root), {}, [], []
    try:
        for path in list_texts(root):
            text = _read(path)
            filled, faults, _ = fill(path, text, values)
            wrong += faults
            new |= {path: filled} if filled != text else {}
        for chapter in list_chapters(root) if not wrong else []:
            if not chapter.notebook.is_file():
                continue
            notebook = read_notebook(chapter.notebook)
            if chapter.script in new or fill(chapter.notebook, prose(notebook), values)[2]:
                refuse_to_lose(chapter, read_script(chapter.script), notebook)
                lagging.append(chapter)
        for path, text in {} if wrong else new.items():
            write_atomically(path, text.encode("utf-8"))
            print(f"{path.stem}: wrote the numbers in {shown(path)}")
        for chapter in lagging:
            sync_pair(chapter)
            print(f"{chapter.name}: wrote the numbers in {shown(chapter.notebook)}")
        return wrong + check_verdicts(root, values)
    except RunnerError as error:
        return [*wrong, str(error)]
