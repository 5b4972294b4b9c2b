"""Read requested values: from the command line and from a profile's YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digit_utils.runner.errors import ParameterError
from digit_utils.runner.paths import shown


def parse_command_line_value(text: str) -> Any:
    """Turn the VALUE of `-p NAME VALUE` into a value, by papermill's rules and YAML's.

    Parameters
    ----------
    text : str

    Returns
    -------
    int, float, bool, None, str or list
        Whatever is not plainly another type stays the text it is; nothing is evaluated.
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
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    if text.strip() and (isinstance(value, bool | list) or quoted):
        return value
    return None if text in {"null", "~"} else text


def read_profile(path: Path) -> dict[str, tuple[Any, int]]:
    """Read a flat YAML file of parameters.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict
        Name to (value, line number); empty for a file of comments alone.

    Raises
    ------
    ParameterError
        For a file that is not YAML, not a mapping, nested, or names a parameter twice.
    """
    import yaml

    name = shown(path)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ParameterError(f"{name}{line}: this is not YAML: {problem}.") from error
    except UnicodeDecodeError as error:
        raise ParameterError(f"{name} is not a UTF-8 text file: {error}.") from error
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise ParameterError(f"{name}, line {line}: expected NAME: value, one a line.")
    found: dict[str, tuple[Any, int]] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None:
            raise ParameterError(f"{name}, line {line}: expected a parameter's name.")
        if key in found:
            raise ParameterError(
                f"{name}, line {line}: {key} is set twice, first in line {found[key][1]}."
            )
        value = yaml.safe_load(yaml.serialize(value_node, Dumper=yaml.SafeDumper))
        nested = isinstance(value, dict | set) or (
            isinstance(value, list) and any(isinstance(item, list | dict) for item in value)
        )
        if nested:
            raise ParameterError(
                f"{name}, line {line}: {key} holds a nested value; expected a number, a text, "
                "true, false, null or a flat list."
            )
        found[key] = (value, line)
    return found
