"""Read YAML that people write: plain values only, with the line of each entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digits_cli.book import no_such_file, shown
from digits_cli.errors import RunnerError, UsageError

MOST_BYTES = 1_000_000
LONGEST_NUMBER = 100  # characters
TAGS = "tag:yaml.org,2002:"
PLAIN = ("str", "int", "float", "bool", "null")


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
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise refuse(f"{self.name}: is larger than 1 MB; expected a short list.")
        try:
            self._loader = yaml.SafeLoader(path.read_bytes().decode("utf-8-sig"))
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
        self.lines[path] = node.start_mark.line + 1
        kind = node.tag.removeprefix(TAGS)
        if isinstance(node.value, str):
            return self._scalar(node, kind, path)
        if id(node) in self._seen:
            raise self.error(path, "aliases ('*name') are not read; write the values out")
        self._seen.add(id(node))
        if kind == "seq":
            return [self._build(item, (*path, i)) for i, item in enumerate(node.value)]
        if kind != "map":
            raise self.error(path, f"found {node.tag:.60}, expected a plain list or mapping", node)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, kind = key_node.value, key_node.tag.removeprefix(TAGS)
            if kind == "merge":
                raise self.error(
                    path, "merge keys ('<<') are not read; write the values out", key_node
                )
            if kind not in PLAIN or not isinstance(key, str):
                raise self.error(path, "expected a name before the colon", key_node)
            if key in values:
                first = self.lines[*path, key]
                raise self.error(path, f"{key} is set twice, first in line {first}", key_node)
            values[key] = self._build(value_node, (*path, key))
            self.lines[*path, key] = key_node.start_mark.line + 1
        return values

    def _scalar(self, node: Any, kind: str, path: tuple) -> Any:
        if kind not in PLAIN:
            found = "a date" if kind == "timestamp" else f"{node.tag:.60}"
            expected = "a number, a text, true, false or null; quote a text"
            raise self.error(path, f"found {found}, expected {expected}", node)
        try:
            if kind != "str" and len(node.value) > LONGEST_NUMBER:
                raise ValueError(f"a number of {len(node.value):,} characters")
            value = self._loader.construct_object(node)
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError("a whole number beyond 64 bits")
        except Exception as error:  # such as `!!int ''`
            raise self.error(path, f"cannot be read: {_problem(error)}", node) from error
        return value

    def where(self, *path: Any) -> str:
        """Name the file and the line of an entry, or of the nearest entry above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}, line {self.lines.get(path, 1)}"

    def error(self, path: tuple, text: str, node: Any = None) -> RunnerError:
        """Return an error that names the line, of `node` if given, else of the entry at `path`."""
        line = f"{self.name}, line {node.start_mark.line + 1}" if node else self.where(*path)
        return self._refuse(f"{line}: {text}.")


def _problem(error: Exception) -> str:
    return f"{getattr(error, 'problem', None) or error!s:.200}"
