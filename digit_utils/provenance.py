"""Say where, when and with what something was measured."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "tensorflow", "jax", "torch", "keras",
    "numpy", "pandas", "scikit-learn", "hyperopt", "papermill",
)  # fmt: skip
# Packages that are imported by another name than their own.
MODULES = {
    "ipython": "IPython", "pyyaml": "yaml", "scikit-image": "skimage", "scikit-learn": "sklearn",
}  # fmt: skip


def provenance(root: str | Path) -> dict[str, Any]:
    """Describe this moment: commit, day, kind of machine, versions.

    Nothing in it names a person, a host or a folder.

    Parameters
    ----------
    root : str or Path
        The checkout.

    Returns
    -------
    dict
        ``commit`` (None outside a git checkout; ends in ``+`` if files were changed since),
        ``date``, ``machine``, Keras's ``backend`` and ``versions``.
    """
    return {
        "commit": _commit(Path(root)),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "versions": {"python": platform.python_version(), **package_versions()},
    }


def package_versions(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of those packages that are installed, by name."""
    found = {name: installed_version(name) for name in names}
    return {name: version for name, version in found.items() if version}


def installed_version(name: str) -> str | None:
    """Return a package's version, or that of what is installed in its place; None: unknown."""
    try:
        return version(name)
    except PackageNotFoundError:
        giver = giver_of(name)
        return None if giver is None or giver == name else version(giver)


def giver_of(name: str) -> str | None:
    """Name the distribution that a package's module is from: ``tensorflow-cpu`` for TensorFlow's.

    Its own name where nothing says from which; None where nothing can be imported.
    """
    module = MODULES.get(name, name.replace("-", "_"))
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:  # a folder without code has no origin
        return None
    return next(iter(packages_distributions().get(module, [])), name)


def _commit(root: Path) -> str | None:
    def git(*arguments: str) -> str:
        asked = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
        return asked.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def peak_memory_mb(of_children: bool = False) -> float | None:
    """Return the most memory this process, or its finished children, have held, in MB.

    Parameters
    ----------
    of_children : bool

    Returns
    -------
    float or None
        None on Windows, which keeps no such record.
    """
    try:
        import resource
    except ImportError:
        return None
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss
    # Linux counts in kB, macOS in bytes.
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
