"""Read JSON that others may have touched: whole, finite, and able to be written again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

DEEPEST = 100  # far below what a reader that calls itself for each level could not follow


def parse_json(raw: bytes) -> Any:
    """Parse JSON, and refuse what Python's reader lets pass.

    Returns None, bool, int, finite float, str, list or dict. Raises ValueError, which says why, if
    it is not JSON, is nested deeper than `DEEPEST`, names an entry twice, or holds NaN, an infinite
    number, one too large for a float, or half a character.
    """
    try:
        value = json.loads(
            raw, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_each_once
        )
        # "\ud800" is JSON and no text: it could not be written or shown.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return value
        level = [item for each in level for item in _items(each)]
    raise ValueError("it is nested too deeply")


def _items(value: dict | list) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"it names {name!r:.40} twice")
        values[name] = value
    return values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse(text)
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text:.40} is not a JSON number")
