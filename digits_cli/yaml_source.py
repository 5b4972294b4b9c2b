"""Read YAML that people write: plain values only, with the line of each entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digits_cli.errors import RunnerError, UsageError
from digits_cli.paths import no_such_file, shown

# Far beyond any file that makes sense. An alias of an alias grows without end: a few lines could
# stand for more values than fit in memory.
MOST_BYTES = 1_000_000
MOST_VALUES = 200_000
DEEPEST = 8
LARGEST = 2**63
MOST_DIGITS = 400  # a float has 309 before the point; 1:1:1:... is a number too, and takes long
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
# What PyYAML's constructors raise, beside its own error, for texts such as `!!int ''`, `!!bool x`,
# `!!timestamp x`, 2024-99-99 or a date before the first.
UNREADABLE = (ValueError, LookupError, AttributeError, ArithmeticError, TypeError)


def compose(path: Path, refuse: type[RunnerError] = UsageError) -> Any:
    """Read a file as PyYAML's nodes, which know their lines; None for an empty file.

    Raises `refuse` if it cannot be read, is not UTF-8 or YAML, or is larger than 1 MB.
    """
    import yaml

    name = shown(path)
    try:
        if path.is_fifo():  # opening it would wait for a writer, perhaps for ever
            raise refuse(f"{name} is a pipe, expected a file.")
        with path.open("rb") as handle:
            raw = handle.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise refuse(no_such_file(path)) from error
    except OSError as error:
        raise refuse(f"{name}: cannot be read ({error.strerror}).") from error
    if len(raw) > MOST_BYTES:
        raise refuse(f"{name}: is larger than {MOST_BYTES // 1_000_000} MB; expected a short list.")
    try:
        return yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise refuse(f"{name} is not a UTF-8 text file: {error}.") from error
    except RecursionError:
        raise refuse(f"{name}: is nested too deeply.") from None
    except (yaml.YAMLError, *UNREADABLE) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise refuse(f"{name}{line}: this is not YAML: {problem}.") from error


class YamlSource:
    """A YAML file as `values`, with the line of each entry; errors are of the class `refuse`.

    `values` has mappings with texts as keys, lists, texts, numbers, truth values, None and dates;
    {} for an empty file.
    """

    def __init__(self, path: Path, refuse: type[RunnerError] = UsageError):
        import yaml

        self.name = shown(path)
        self.lines: dict[tuple, int] = {}
        self._refuse = refuse
        self._loader = yaml.SafeLoader("")
        node = compose(path, refuse)
        self.values = {} if node is None else self._build(node, ())

    def _build(self, node: Any, path: tuple) -> Any:
        import yaml

        if len(path) > DEEPEST:  # an anchor may hold itself
            raise self.error(path[:1], "is nested too deeply")
        self.lines[path] = node.start_mark.line + 1
        if len(self.lines) > MOST_VALUES:
            raise self.error(path[:1], f"the file holds more than {MOST_VALUES:,} values")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in PLAIN_TAGS:
            raise self.error(path, f"found {node.tag:.60}, expected a plain list or mapping", node)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, i)) for i, item in enumerate(node.value)]
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise self.error(path, "expected a name before the colon", key_node)
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self.error(
                    path, "merge keys ('<<') are not read; write the values out", key_node
                )
            self._scalar(key_node, path)  # the name stays as it is written; a tag must be known
            if key in values:
                first = self.lines[*path, key]
                raise self.error(path, f"{key} is set twice, first in line {first}", key_node)
            values[key] = self._build(value_node, (*path, key))
            self.lines[*path, key] = key_node.start_mark.line + 1
        return values

    def _scalar(self, node: Any, path: tuple) -> Any:
        import yaml

        if node.tag in NUMBERS and len(node.value) > MOST_DIGITS:
            digits = f"{len(node.value):,} digits, beyond 64 bits"
            raise self.error(path, f"found a number of {digits}, which no parameter takes")
        try:
            value = self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, *UNREADABLE) as error:
            problem = getattr(error, "problem", None) or str(error)
            raise self.error(path, f"cannot be read: {problem:.200}") from error
        if isinstance(value, int) and not -LARGEST <= value < LARGEST:
            raise self.error(path, "found a whole number beyond 64 bits, which no parameter takes")
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
