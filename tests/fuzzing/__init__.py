"""Hostile input for everything that reads a file: cases, and what must come of each.

A target reads one case. It accepts it, and what it read is compared with an independent reading;
or it refuses it with the project's own error. Anything else escapes: a stray exception, a wrong
reading, a good file refused, a hang, a file left behind. `tests/unit/test_fuzz.py` tries a few
cases of each target, `scripts/fuzz.py` as many as it is told to.
"""

from __future__ import annotations

from functools import cache

from fuzzing.harness import Escape, Target, try_case

__all__ = ["Escape", "Target", "all_targets", "try_case"]


@cache
def all_targets() -> dict[str, Target]:
    """Every target by its name; nothing here loads TensorFlow before a target needs it."""
    from fuzzing import archives, csv_files, json_files, npz_files, python_files, yaml_files

    modules = (csv_files, archives, npz_files, json_files, yaml_files, python_files)
    return {target.name: target for module in modules for target in module.TARGETS}
