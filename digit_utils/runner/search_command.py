"""`digits search`: a search written down in a Python file, run and resumed from a terminal."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from digit_utils.runner.errors import RunnerError, UsageError
from digit_utils.runner.paths import find_root, shown
from digit_utils.runner.progress import duration


def search_from_file(
    file: Path | str, trials: int, folder: Path | str | None = None, seed: int = 0
) -> tuple[Any, Path]:
    """Run a search to its end, or go on with the trials that are there.

    Parameters
    ----------
    file : path
        A Python file with ``SPACE`` and ``objective``, and perhaps ``ALGORITHM`` and
        ``DEPENDS_ON``; see `digit_utils.search.run_search` for what each must be.
    trials : int
        Trials in all.
    folder : path, optional
        Keeps the trials; ``_build/searches/<name of the file>`` by default.
    seed : int

    Returns
    -------
    search : digit_utils.search.Search
    folder : pathlib.Path

    Raises
    ------
    UsageError
        If the file lacks something, or a number is out of range; nothing has been tried.
    RunnerError
        If the search cannot start or go on.
    """
    if folder and "://" in str(folder):
        raise UsageError(f"--folder is {folder}, expected a folder on this machine.")
    file = Path(file)
    folder = Path(folder) if folder else find_root() / "_build" / "searches" / file.stem
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow says as it starts
    module = load_search(file)
    kept = len(list(folder.glob("trial_*.json")))
    if kept:
        print(f"{kept} of {trials} trials are there already", file=sys.stderr, flush=True)
    from hyperopt import tpe

    from digit_utils.search import SearchError, run_search

    try:
        found = run_search(
            module.objective,
            module.SPACE,
            getattr(module, "ALGORITHM", tpe.suggest),
            trials,
            folder,
            seed,
            getattr(module, "DEPENDS_ON", None),
            progress=_print_trial,
        )
    except SearchError as error:
        raise RunnerError(f"{error}\n--folder DIR names another folder.") from error
    except ValueError as error:
        text = str(error).replace("max_evals", "--trials")
        raise UsageError(f"{shown(file)}: {text}") from error
    return found, folder


def load_search(file: Path) -> ModuleType:
    """Load a Python file that describes a search.

    Parameters
    ----------
    file : pathlib.Path

    Returns
    -------
    module

    Raises
    ------
    UsageError
        If there is no such file, it raises an error, or lacks ``SPACE`` or ``objective``.
    """
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file; expected a Python file with a search.")
    spec = importlib.util.spec_from_file_location(f"search_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{shown(file)}: expected a Python file, ending in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(
            f"{shown(file)}: cannot be loaded ({type(error).__name__}: {error})."
        ) from error
    missing = [name for name in ("SPACE", "objective") if not hasattr(module, name)]
    if missing:
        raise UsageError(
            f"{shown(file)}: has no {' and no '.join(missing)}; `digits search --help` shows what "
            "a file must hold."
        )
    return module


def _print_trial(trials: Sequence[Any], of: int) -> None:
    from digit_utils.search import usual_seconds

    trial = trials[-1]
    outcome = f"loss {trial.loss:.6g}" if trial.ok else f"failed: {trial.error}"
    good = [other for other in trials if other.ok]
    best = min(good, key=lambda other: other.loss) if good else None
    left = usual_seconds(trials) * (of - len(trials))
    print(
        f"[{len(trials)}/{of}] {outcome}, {duration(trial.seconds)}"
        + (f"; best {best.loss:.6g}, trial {best.number}" if best else "")
        + (f"; about {duration(left)} left" if len(trials) < of else ""),
        file=sys.stderr,
        flush=True,
    )


def print_best(found: Any, folder: Path, most: int = 5) -> bool:
    """Print the best trials, and keep all as ``trials.csv``.

    Parameters
    ----------
    found : digit_utils.search.Search
    folder : pathlib.Path
    most : int

    Returns
    -------
    bool
        Whether any trial succeeded.
    """
    import pandas as pd

    from digit_utils.files import write_atomically
    from digit_utils.runner.report import print_table

    good = sorted((trial for trial in found.trials if trial.ok), key=lambda trial: trial.loss)
    names = list(found.trials[0].parameters)
    rows = [
        [
            str(t.number),
            f"{t.loss:.6g}",
            duration(t.seconds),
            *(str(t.parameters[n]) for n in names),
        ]
        for t in good[:most]
    ]
    print_table(["trial", "loss", "time", *names], rows)
    table = pd.DataFrame(
        [
            {
                "trial": t.number,
                **t.parameters,
                "loss": t.loss,
                "seconds": t.seconds,
                "error": t.error,
            }
            for t in found.trials
        ]
    )
    path = write_atomically(folder / "trials.csv", table.to_csv(index=False).encode())
    failed = len(found.trials) - len(good)
    print(
        f"{len(found.trials)} trials{f', {failed} of them failed' if failed else ''}. "
        f"All of them: {shown(path)}"
    )
    if not good:
        print(f"No trial succeeded. The last: {found.trials[-1].error}", file=sys.stderr)
    return bool(good)
