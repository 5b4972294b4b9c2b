"""Run and resume a search that a Python file describes: `digits search`."""

import platform
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from digit_utils.hosts import settle
from digits_cli.book import build_folder, find_root, folder_here, no_such_file, shown
from digits_cli.errors import RunnerError, UsageError
from digits_cli.reports import search_progress


def search_from_file(
    file: Path | str,
    trials: int,
    folder: Path | str | None = None,
    seed: int = 0,
    engine: str = "hyperopt",
    jobs: int | None = None,
    address: str | None = None,
) -> tuple[Any, Path]:
    """Run a search to its end, resuming from the trials already there; return it and its folder.

    `parser.SEARCH_HELP` says what `file` holds. Raises UsageError if the file lacks something or a
    number is out of range, before any trial; RunnerError if the search cannot start or resume.
    """
    if engine != "ray" and (jobs is not None or address is not None):
        raise UsageError("--jobs and --address are for --engine ray; this one runs one at a time.")
    file = Path(file)
    default = build_folder(find_root()) / "searches" / file.stem
    folder = folder_here(folder, "--out") if folder else default
    module = load_search(file)
    kept = len(list(folder.glob("trial_*.json")))
    if 0 < kept <= trials:
        print(f"{kept} of {trials} trials are there already", file=sys.stderr, flush=True)
    from hyperopt import tpe

    from digit_utils.search import SearchError, run_search

    run: Callable = run_search
    if engine == "ray":
        from digit_utils.search.ray import run_ray_search

        run = partial(
            run_ray_search,
            jobs=jobs,
            address=address,
            asha=getattr(module, "ASHA", None),
            resources=getattr(module, "RESOURCES", None),
            load=partial(load_objective, module.__text__, str(module.__file__)),
        )
    algorithm = getattr(module, "ALGORITHM", tpe.suggest)
    depends_on = getattr(module, "DEPENDS_ON", None)
    request = (module.objective, module.SPACE, algorithm, trials, folder, seed, depends_on)
    try:
        return run(*request, progress=search_progress()), folder
    except SearchError as error:
        raise RunnerError(f"{error}\n--out DIR names another folder.") from error
    except ValueError as error:
        wrong = str(error).replace("max_evals", "--trials")
        raise UsageError(f"{shown(file)}: {wrong}") from error
    except TypeError as error:
        if not re.match(r"ap_\w+_sampler\(\)", str(error)):  # hyperopt's, found when it draws
            raise
        told = f"{shown(file)}: SPACE cannot be drawn from ({error})"
        raise UsageError(f"{told}; check the arguments of its hp calls.") from error


@cache
def load_objective(text: str, name: str) -> Callable:
    """Return the objective of a search file from its text, on a worker that may lack the file.

    `name` is the file's full path.
    """
    settle()  # this machine has a keras.json of its own
    try:
        return _make_module(text, name).objective
    except ModuleNotFoundError as error:
        told = f"{error} on {platform.node()}, a worker; {Path(name).name} imports it, "
        told += f"so copy it there, into {Path(name).parent}, or install it there"
        raise ModuleNotFoundError(told) from error


def _make_module(text: str, name: str) -> ModuleType:
    """Execute a file's text as a module of its own; it can import what lies beside it."""
    folder = str(Path(name).resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = ModuleType(f"search_{Path(name).stem}")
    vars(module).update(__file__=name, __text__=text)
    sys.modules[module.__name__] = module  # dataclasses, for one, look themselves up there
    exec(compile(text, name, "exec", dont_inherit=True), module.__dict__)
    return module


def load_search(file: Path) -> ModuleType:
    """Load a Python file that describes a search; UsageError if it is none."""
    if file.is_dir():
        raise UsageError(f"{shown(file)} is a folder; expected a Python file with a search.")
    if not file.is_file():
        raise UsageError(f"{no_such_file(file)} Expected a Python file with a search.")
    if file.suffix in {".yaml", ".yml"}:
        told = f"{shown(file)} is a YAML file; expected a Python file with a search."
        raise UsageError(f"{told} Is it a sweep? digits sweep {shown(file)}")
    try:
        module = _make_module(file.read_text(encoding="utf-8-sig"), str(file.absolute()))
    except (Exception, SystemExit) as error:  # a file that says exit() is no search
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{shown(file)}: cannot be loaded ({why}).") from error
    missing = [name for name in ("SPACE", "objective") if not hasattr(module, name)]
    if missing:
        told = f"{shown(file)}: has no {' and no '.join(missing)}; "
        raise UsageError(f"{told}`digits search --help` shows what a file must hold.")
    return module
