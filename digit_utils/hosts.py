"""Make a chapter run on a machine that others have set up: Colab, Kaggle and the like.

The first cell of every chapter installs this package without its requirements and calls `prepare`.
Nothing outside the standard library is imported up here: it may not be there yet.
"""

import contextlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from digit_utils.provenance import giver_of, keras_backend, keras_settings, processors

PACKAGE = "digit-utils"

# TensorFlow and JAX take nearly all of a GPU's memory at first use; a second kernel would get none.
GPU_SHARING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# What TensorFlow's C++ half writes about the machine, straight to standard error: it differs from
# machine to machine and says nothing about the chapter.
CHATTER = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|[IW]\d{4} \d\d:\d\d:\d\d"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    r"|.*Unable to register cu\w+ (factory|plug-in)"
    r"|To enable the following instructions"
)

# Copies standard error without those lines; a process of its own, to outlive one that aborts.
SIEVE = """
import re, sys
for line in sys.stdin.buffer:
    if not re.match(sys.argv[1].encode(), line):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
"""
# For debugging Keras; they would end every training early, and nothing would tell.
KERAS_SWITCHES = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")


class HostError(RuntimeError):
    """What a chapter needs could not be installed here."""


def prepare() -> None:
    """Install what this machine lacks, leave room on its GPU, and put what is set elsewhere aside.

    It may be called again: where all is there, it prints and starts nothing.
    """
    for sentence in settle():
        print(sentence)
    install_missing()


def settle() -> list[str]:
    """Set this process and its children up, before Keras is imported; say what was put aside."""
    for name, value in GPU_SHARING.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(processors()))
    os.environ["MATPLOTLIBRC"] = os.devnull
    if _QuietTensorFlow not in sys.meta_path:
        sys.meta_path.insert(0, _QuietTensorFlow)  # type: ignore[arg-type]
    found = []
    for name in KERAS_SWITCHES:
        if value := os.environ.pop(name, ""):
            found.append(f"{name} is {value} and was switched off.")
    file, asked = keras_settings()
    if asked and "keras" in sys.modules:
        found.append(
            f"Keras is loaded and has read {file}, which the book does without: restart the kernel "
            "and begin with this cell."
        )
    elif asked:
        os.environ["KERAS_HOME"] = str(file.parent / "digits-book")
        settings = ", ".join(f"{name} {value!r}" for name, value in asked.items())
        found.append(
            f"{file} asks for {settings}. The book leaves this file aside and computes with "
            f"{keras_backend()}, float32, channels_last. To choose a backend, set KERAS_BACKEND."
        )
    backend = os.environ.get("MPLBACKEND", "")
    if "ipykernel" in sys.modules and backend and not backend.startswith("module://"):
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        found.append(f"MPLBACKEND is {backend}; figures are shown in the notebook instead.")
    return found


@contextlib.contextmanager
def stderr_without_chatter() -> Iterator[None]:
    """Keep back what TensorFlow says of the machine as it starts; pass on all the rest."""
    try:
        terminal = os.dup(2)
    except OSError:  # no standard error, as in a daemon: nothing to keep quiet
        yield
        return
    command = [sys.executable, "-ISc", SIEVE, CHATTER.pattern]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as sieve:
        assert sieve.stdin
        os.dup2(sieve.stdin.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr:
                sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


class _QuietTensorFlow:
    """Finds TensorFlow as Python does; it is then imported `stderr_without_chatter`."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == "tensorflow" else None
        if spec and spec.loader:
            spec.loader.exec_module = stderr_without_chatter()(spec.loader.exec_module)  # type: ignore
        return spec


def without_chatter(text: str) -> str:
    """Drop from standard error's text what TensorFlow writes about the machine as it starts."""
    return "".join(line for line in text.splitlines(keepends=True) if not CHATTER.match(line))


def install_missing() -> list[str]:
    """Install and return those of this package's requirements that cannot be imported.

    No installed version is changed, which would need a restart; those too old are printed. What can
    be imported is there, whatever it is called: tensorflow-cpu and tf-nightly are TensorFlow, and
    another one over them would break both.
    """
    try:
        declared = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []  # a folder on the path, not an installed package: nothing is declared
    if importlib.util.find_spec("packaging") is None:
        _install(["packaging"], {})
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    installed, missing = installed_versions(), []
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
            print(
                f"{giver} {version} is installed here, and the book was made for {wanted}. It was "
                f"left as it is. Should the chapter fail, install {giver}{requirement.specifier} "
                "with pip and restart the kernel."
            )
    if missing:
        print(f"Installing what is not here yet: {', '.join(missing)}")
        _install(missing, installed)
    return missing


def installed_versions() -> dict[str, str]:
    """Return the versions of everything installed, by normalised name."""
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        try:
            Version(distribution.version)
        except (InvalidVersion, TypeError):
            continue  # a damaged or ancient entry, which pip could not read either
        if name:  # of a name that is there twice, the first on the path is imported
            found.setdefault(canonicalize_name(name), distribution.version)
    return found


def _install(wanted: list[str], installed: dict[str, str]) -> None:
    """Add packages beside the installed versions, which are all held."""
    names = ", ".join(wanted)
    command = [sys.executable, "-m", "pip", "install"]
    if not importlib.util.find_spec("pip"):  # as in an environment that uv made
        uv = shutil.which("uv")
        if not uv:
            raise HostError(
                f"{names} cannot be installed: {sys.executable} has no pip, and there is no uv on "
                f"the PATH. `{sys.executable} -m ensurepip` adds pip; then run this cell again."
            )
        command = [uv, "pip", "install", "--python", sys.executable]
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "installed.txt"
        pins = (f"{name}=={version}\n" for name, version in sorted(installed.items()))
        held.write_text("".join(pins), encoding="utf-8")
        command += ["-q", "-c", str(held), *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise HostError(
            f"{names} could not be installed beside what is installed here:\n"
            f"{done.stderr.strip()}\n"
            "On Kaggle, switch the internet on in the notebook's settings. Elsewhere install them "
            "by hand, then run this cell again."
        )
    # Python remembers what a folder held; the new packages came after that.
    importlib.invalidate_caches()
