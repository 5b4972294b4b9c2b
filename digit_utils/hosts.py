"""Make a chapter run on a machine that others have set up: Colab, Kaggle and the like.

The first cell of every chapter installs this package without its requirements and calls
`prepare`. Nothing outside the standard library is imported up here: it may not be there yet.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from digit_utils.provenance import giver_of

PACKAGE = "digit-utils"

# TensorFlow and JAX take nearly all of a GPU's memory at first use, so the second kernel on it
# gets none. Both read these when they first touch the GPU; without one they change nothing.
GPU_SHARING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


class HostError(RuntimeError):
    """What a chapter needs could not be installed here."""


def prepare() -> None:
    """Install what this machine lacks, and leave room on its GPU for other kernels.

    Where everything is there already, nothing is printed and nothing is started, so the cell may
    be run again and again. No version that is there is changed, so no restart is needed.

    Raises
    ------
    HostError
        If something is missing and cannot be installed.
    """
    share_gpu()
    install_missing()


def share_gpu() -> None:
    """Let TensorFlow and JAX take a GPU's memory as they need it, in this process and its children.

    A notebook and the kernels that papermill starts from it can then use one GPU together. It
    works until the GPU is first used, imports neither of the two, and does nothing without a GPU.
    What the user has set already stays. PyTorch takes memory as it needs it anyhow.
    """
    for name, value in GPU_SHARING.items():
        os.environ.setdefault(name, value)


def install_missing() -> list[str]:
    """Install those of this package's requirements that cannot be imported.

    Every version that is installed is kept: NumPy and TensorFlow may be loaded already, and
    another version would need a restart. Versions older than the book asks for are named.

    Returns
    -------
    list of str
        The requirements that were installed, such as ``"cleanlab>=2.7"``; usually none.

    Raises
    ------
    HostError
        If they cannot be installed beside the versions that are there.
    """
    try:
        declared = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []  # a folder on the path, not an installed package: nothing is declared
    try:
        import packaging.requirements  # noqa: F401
    except ModuleNotFoundError:
        _pip_install(["packaging"], [])
    missing, too_old = compare_requirements(declared, installed_versions())
    for sentence in too_old:
        print(sentence)
    if missing:
        print(f"Installing what is not here yet: {', '.join(missing)}")
        _pip_install(missing, _pins(installed_versions()))
    return missing


def compare_requirements(
    declared: list[str], installed: dict[str, str]
) -> tuple[list[str], list[str]]:
    """Sort out which requirements are missing and which are met by too old a version.

    What can be imported is there, whatever it is called: tensorflow-cpu and tf-nightly are
    TensorFlow, and another one over them would break both.

    Parameters
    ----------
    declared : list of str
        As a package's metadata hold them, ``"keras>=3.8"``; those of extras and of other machines
        are passed over.
    installed : dict of str to str
        Versions by normalised name.

    Returns
    -------
    missing : list of str
        Requirements of which nothing can be imported.
    too_old : list of str
        A sentence for each version that does not meet its requirement.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    missing, too_old = [], []
    for requirement in map(Requirement, declared):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        name = canonicalize_name(requirement.name)
        giver = name if name in installed else giver_of(name)
        if giver is None:
            missing.append(wanted)
            continue
        version = installed.get(canonicalize_name(giver))
        if version and not requirement.specifier.contains(version, prereleases=True):
            better = f"{giver}{requirement.specifier}"
            too_old.append(
                f"{giver} {version} is installed here, and the book was made for "
                f"{wanted}. It was left as it is. Should the chapter fail, install {better} with "
                "pip and restart the kernel."
            )
    return missing, too_old


def installed_versions() -> dict[str, str]:
    """Return the versions of everything installed, by normalised name.

    A name may be there twice, the system's own copy behind a newer one; the first on the path is
    the one that is imported.

    Returns
    -------
    dict of str to str
    """
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        try:
            Version(distribution.version)
        except (InvalidVersion, TypeError):
            continue  # a damaged or ancient entry, which pip could not read either
        if name:
            found.setdefault(canonicalize_name(name), distribution.version)
    return found


def _pins(installed: dict[str, str]) -> list[str]:
    """Hold every installed version: pip then adds packages, or says why it cannot."""
    return [f"{name}=={version}" for name, version in sorted(installed.items())]


def _installer(wanted: list[str]) -> list[str]:
    """Begin the command that installs into this environment; those that uv makes have no pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise HostError(
        f"{', '.join(wanted)} cannot be installed: {sys.executable} has no pip, and there is no uv "
        f"on the PATH. `{sys.executable} -m ensurepip` adds pip; then run this cell again."
    )


def _pip_install(wanted: list[str], pins: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "installed.txt"
        constraints.write_text("\n".join(pins), encoding="utf-8")
        command = [*_installer(wanted), "-q", "-c", str(constraints), *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise HostError(
            f"{', '.join(wanted)} could not be installed beside what is installed here:\n"
            f"{done.stderr.strip()}\n"
            "On Kaggle, switch the internet on in the notebook's settings. Elsewhere install them "
            "by hand, then run this cell again."
        )
    # Python remembers what a folder held; the new packages came after that.
    importlib.invalidate_caches()
