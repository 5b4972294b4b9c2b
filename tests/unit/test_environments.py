"""conda, the development container, Binder and pre-commit use the lock, and it fits the package."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from digits_cli import freshness

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


LOCKED = [Requirement(e) for e in re.findall(r"^([a-z0-9][^\s=]*==[^\\\n]+?)\s*\\$", LOCK, re.M)]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_what_the_package_asks_for_on_every_system(python, system):
    here = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": system,
        "platform_system": SYSTEMS[system],
    }
    versions = {}
    for pinned in LOCKED:
        if pinned.marker is None or pinned.marker.evaluate(here):
            name = canonicalize_name(pinned.name)
            assert name not in versions, f"{name} twice"
            (pin,) = pinned.specifier
            versions[name] = pin.version
    assert len(versions) > 100
    texts = [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]
    for wanted in map(Requirement, texts):
        name = canonicalize_name(wanted.name)
        assert name == PROJECT["name"] or wanted.specifier.contains(versions[name]), str(wanted)


# Runtime packages that run the chapters, and hand on what was computed.
HANDS_ON = {
    "filelock", "ipykernel", "ipython", "jupytext", "nbclient", "nbformat", "packaging",
    "papermill", "psutil", "pyarrow", "pyyaml",
}  # fmt: skip


def test_every_runtime_package_counts_for_freshness_or_is_said_not_to():
    counted = set(freshness.PACKAGES.values())
    assert counted == {text.partition(">")[0] for text in PROJECT["dependencies"]} - HANDS_ON
    assert counted <= dict(freshness.PIN.findall(LOCK)).keys()


def test_conda_the_container_and_binder_use_the_lock():
    environment = yaml.safe_load(read("environment.yml"))
    python, pip, from_lock = environment["dependencies"]
    allowed, asked_for = SpecifierSet(python[6:]), SpecifierSet(PROJECT["requires-python"])
    minors = [f"3.{minor}" for minor in range(20)]
    assert [minor for minor in minors if minor in allowed] == list(PYTHONS)
    assert all(minor in asked_for for minor in PYTHONS) and "3.10" not in asked_for
    assert (pip, from_lock) == ("pip", {"pip": ["-r requirements.lock"]})
    # The make targets accept the same Pythons.
    assert "(3, 11) <= v[:2] < (3, 14)" in read("Makefile")
    container = json.loads(re.sub("(?m)^//.*$", "", read(".devcontainer/devcontainer.json")))
    assert re.fullmatch(r"python:(3\.\d+)-\w+", container["image"])[1] in PYTHONS
    assert container["postCreateCommand"].endswith("&& make venv")
    assert read("binder/requirements.txt") == "-r ../requirements.lock\n"
    assert read("binder/runtime.txt").strip().removeprefix("python-") in PYTHONS
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK) or os.name == "nt"
    # All three install the package itself by the same words.
    words = "pip install --no-deps --no-build-isolation -e ."
    assert words in read("binder/postBuild") and words in read("environment.yml")


def test_the_hooks_are_tools_of_the_lock_and_catch_what_they_are_for(tmp_path):
    """In a repository with one fault of each kind, and the same hooks."""
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    assert all(hook["entry"].startswith(".ci/in-env ") for hook in repository["hooks"])
    for name in (".pre-commit-config.yaml", "pyproject.toml", ".ci/in-env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    job = "{a: {runs-on: ubuntu-latest, steps: [{uses: someone/action@main}]}}"
    faults = {
        "ruff-check": ("notebooks/01_a.py", "import os\n"),
        "ruff-format": ("digit_utils/a.py", '"""Say."""\n\nX=1\n'),
        "pairing": ("notebooks/02_b.py", "# %% [markdown]\n# # B\n"),
        "large-files": ("large.txt", "x" * 3_000_000),
        "spelling": ("book/page.md", "The netwrok recieves an image.\n"),
        "workflows": (".github/workflows/a.yml", f"on: push\njobs: {job}\n"),
    }
    assert faults.keys() == {hook["id"] for hook in repository["hooks"]}
    (tmp_path / "jupytext.toml").touch()
    for name, text in faults.values():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    environ["PRE_COMMIT_HOME"] = str(tmp_path / "home")
    git, options = ["git", "-C", tmp_path], {"env": environ, "capture_output": True, "text": True}
    subprocess.run([*git, "init", "-q"])

    def pre_commit() -> set[str]:
        subprocess.run([*git, "add", "--all", ":!home"])
        command = [sys.executable, "-m", "pre_commit", "run"]
        shown = subprocess.run(command, cwd=tmp_path, **options).stdout
        said = re.findall(r"^\S.*?\.{3,}.*?(Passed|Failed|Skipped)$", shown, re.M)
        assert len(said) == len(faults), shown
        return set(said)

    assert pre_commit() == {"Failed"}
    for name, _ in faults.values():
        (tmp_path / name).unlink()
    (tmp_path / "digit_utils" / "good.py").write_text('"""Nothing to say against it."""\n')
    assert pre_commit() <= {"Passed", "Skipped"}


@pytest.mark.skipif(sys.platform == "win32", reason="programs end in .exe there")
def test_make_does_not_install_with_the_uv_of_the_environment_it_makes_anew(tmp_path):
    inside, outside = tmp_path / "a checkout" / ".venv" / "bin", tmp_path / "other tools"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        (folder / "uv").write_text("#!/bin/sh\n")
        (folder / "uv").chmod(0o755)
    command = ["make", "--print-data-base", "--dry-run", "--file", ROOT / "Makefile", "help"]
    path = os.pathsep.join([str(inside), str(outside), "/usr/bin", "/bin"])
    environ = {**os.environ, "PATH": path}
    told = subprocess.check_output(command, cwd=inside.parents[1], env=environ, text=True)
    assert f"\nUV := {outside / 'uv'}\n" in told
