"""Read JSON that others may have touched: whole, finite, and able to be written again."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def parse_json(raw: bytes) -> Any:
    """Parse JSON, and refuse what Python's reader lets pass.

    Parameters
    ----------
    raw : bytes

    Returns
    -------
    object
        None, bool, int, finite float, str, list or dict.

    Raises
    ------
    ValueError
        If it is not JSON, is nested too deeply, holds NaN, an infinite number or one too large for
        a float, or half a character. The message says which.
    """
    try:
        value = json.loads(raw, parse_constant=_refuse, parse_float=_finite)
        # "\ud800" is JSON and no text: it could not be written or shown.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse(text)
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text:.40} is not a JSON number")
