"""Read requested values: from the command line and from a profile's YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digits_cli.errors import ParameterError
from digits_cli.yaml_source import DEEPEST, UNREADABLE, YamlSource


def parse_command_line_value(text: str) -> Any:
    """Turn the VALUE of `-p NAME VALUE` into a value, by papermill's rules and YAML's.

    Returns an int, float, bool, None, list or, for anything else, the text itself; evaluates
    nothing.
    """
    named = {"True": True, "False": False, "None": None}
    if text in named:
        return named[text]
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            # An alias of an alias could stand for more values than fit in memory; and PyYAML's
            # time grows with the square of the depth: twelve thousand brackets take it 13 s.
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
                return text
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, *UNREADABLE):  # 2024-99-99, say
        return text
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    if text.strip() and (isinstance(value, bool | list) or quoted):
        return value
    return None if text in {"null", "~"} else text


def read_profile(path: Path) -> dict[str, tuple[Any, int]]:
    """Read a flat YAML file of parameters: name to (value, line number).

    A file of comments alone gives an empty dict. Raises ParameterError for a file that is not YAML,
    not a mapping, nested, or names a parameter twice.
    """
    source = YamlSource(path, ParameterError)
    if not isinstance(source.values, dict):
        raise source.error((), "expected NAME: value, one a line")
    for name, value in source.values.items():
        if isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(item, list | dict) for item in value)
        ):
            raise source.error(
                (name,),
                f"{name} holds a nested value; expected a number, a text, true, false, null or a "
                "flat list",
            )
    return {name: (value, source.lines[name,]) for name, value in source.values.items()}
