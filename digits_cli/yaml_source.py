"""Read YAML that people write: plain values only, with the line of each entry."""

from pathlib import Path
from typing import Any

from digits_cli.book import no_such_file, shown
from digits_cli.errors import RunnerError, UsageError

MOST_BYTES = 1_000_000
TAGS = "tag:yaml.org,2002:"
PLAIN = {"str", "int", "float", "bool", "null"}


class YamlSource:
    """A YAML file as `values`, with the line of each entry; errors are of the class `refuse`.

    `values` has mappings with texts as keys, lists, texts, numbers, truth values and None; {} for
    an empty file.
    """

    def __init__(self, path: Path, refuse: type[RunnerError] = UsageError):
        import yaml

        self.name = shown(path)
        self.lines: dict[tuple, int] = {}
        self._refuse = refuse
        self._seen: set[int] = set()
        try:
            with path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
            if len(raw) > MOST_BYTES:
                raise OSError(0, "it is larger than 1 MB")
            self._loader = yaml.SafeLoader(raw.decode("utf-8-sig"))
            node = self._loader.get_single_node()
        except FileNotFoundError as error:
            raise refuse(no_such_file(path)) from error
        except OSError as error:
            raise refuse(f"{self.name}: cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise refuse(f"{self.name} is not a UTF-8 text file: {error}.") from error
        except Exception as error:  # PyYAML's own, and what odd texts make it run into
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            raise refuse(f"{self.name}{line}: this is not YAML: {_problem(error)}.") from error
        self.values = {} if node is None else self._build(node, ())

    def _build(self, node: Any, path: tuple) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        kind = node.tag.removeprefix(TAGS)
        if node.id == "scalar" and kind in PLAIN:
            self.need(kind == "str" or len(node.value) <= 100, path, "this number is too long")
            try:
                return self._loader.construct_object(node)
            except Exception as error:  # such as `!!int ''`
                raise self.error(path, f"cannot be read: {_problem(error)}") from error
        if (node.id, kind) not in {("sequence", "seq"), ("mapping", "map")}:
            found = "a date" if kind == "timestamp" else f"{node.tag:.60}"
            expected = "a number, a text, true, false or null; quote a text"
            raise self.error(path, f"found {found}, expected {expected}")
        if id(node) in self._seen:
            raise self.error(path, "aliases ('*name') are not read; write the values out")
        self._seen.add(id(node))
        if kind == "seq":
            return [self._build(item, (*path, i)) for i, item in enumerate(node.value)]
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            plain = key_node.id == "scalar" and key_node.tag.removeprefix(TAGS) in PLAIN
            key: Any = key_node.value if plain else None
            line = key_node.start_mark.line + 1
            first = self.lines.setdefault((*path, key), line)
            self.lines[*path, key] = line
            merge = "merge keys ('<<') are not read; write the values out"
            self.need(key_node.tag != f"{TAGS}merge", (*path, key), merge)
            self.need(plain, (*path, key), "expected a name before the colon")
            self.need(key not in values, (*path, key), f"{key} is set twice, first in line {first}")
            values[key] = self._build(value_node, (*path, key))
        return values

    def where(self, *path: Any) -> str:
        """Name the file and the line of an entry, or of the nearest entry above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}, line {self.lines.get(path, 1)}"

    def error(self, path: tuple, text: str) -> RunnerError:
        """Return an error that names the line of the entry at `path`."""
        return self._refuse(f"{self.where(*path)}: {text}.")

    def need(self, holds: Any, path: tuple, text: str) -> None:
        """Raise the error unless something holds of the entry at `path`."""
        if not holds:
            raise self.error(path, text)


def _problem(error: Exception) -> str:
    return f"{getattr(error, 'problem', None) or error!s:.200}"
