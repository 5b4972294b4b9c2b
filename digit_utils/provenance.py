"""Say where, when and with what something was measured."""

import contextlib
import importlib.util
import json
import math
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
# What Keras starts from unless a file says otherwise that every project on the machine shares.
KERAS_DEFAULTS = {
    "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last",
    "backend": "tensorflow", "nnx_enabled": False,
}  # fmt: skip
CGROUPS = Path("/sys/fs/cgroup")
# Packages that are imported by another name than their own.
MODULES = {
    "ipython": "IPython", "pyyaml": "yaml", "scikit-image": "skimage", "scikit-learn": "sklearn",
}  # fmt: skip


def provenance(root: str | Path) -> dict[str, Any]:
    """Describe this moment, and name no person, host or folder.

    ``commit`` is None outside a git checkout, and ends in ``+`` if files were changed since.
    """
    return {
        "commit": _commit(root),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {processors()} CPU cores",
        "backend": keras_backend(),
        "versions": {"python": platform.python_version(), **package_versions()},
    }


def _commit(root: str | Path) -> str | None:
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.check_output(
            command, cwd=root, text=True, stderr=subprocess.DEVNULL
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


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


def keras_settings() -> tuple[Path, dict[str, Any]]:
    """Return Keras's settings file, and what it asks for that is not the default."""
    home = os.path.expanduser("~")
    home = home if os.access(home, os.W_OK) else "/tmp"  # as Keras does
    file = Path(os.path.expanduser(os.environ.get("KERAS_HOME", f"{home}/.keras")), "keras.json")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras passes over what is not JSON, too
        return file, {}
    found = found if isinstance(found, dict) else {"backend": found}  # Keras would stop at it
    asked = {name: found.get(name, usual) for name, usual in KERAS_DEFAULTS.items()}
    if os.environ.get("KERAS_BACKEND"):
        del asked["backend"]
    return file, {name: asked[name] for name in asked if asked[name] != KERAS_DEFAULTS[name]}


def keras_backend() -> str:
    """Return what Keras computes with here, or would: KERAS_BACKEND goes before its file."""
    asked = keras_settings()[1].get("backend", KERAS_DEFAULTS["backend"])
    return os.environ.get("KERAS_BACKEND") or str(asked)


def processors() -> int:
    """Count the processors granted to this process, by taskset, SLURM or a container's quota."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(affine or 1, _quota())))


def _quota() -> float:
    """Return how many processors' time a container allows, by version 2 or 1 of its groups."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            texts = [(CGROUPS / name).read_text() for name in names]
            quota, period = map(int, " ".join(texts).split())
            return quota / period if quota > 0 else math.inf
    return math.inf


def peak_memory_mb(of_children: bool = False) -> float | None:
    """Return the peak memory of this process, or its finished children, in MB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss
    # Linux counts in kB, macOS in bytes.
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
