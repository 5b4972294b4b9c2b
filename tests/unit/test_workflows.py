"""The workflows: pinned actions, least permissions, nothing run but make targets.

What else is unsafe in them zizmor finds (`make test-lint`): triggers, credentials left behind.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.M)
WRITES = {  # what a job may do beyond reading the code
    ("book.yml", "deploy"): {"pages", "id-token"},
    ("nightly.yml", "report"): {"issues"},
    ("links.yml", "report"): {"issues"},
    ("release.yml", "publish"): {"contents"},
}


def test_actions_are_github_s_own_and_pinned_to_one_commit_with_its_version():
    pins: dict[str, set[str]] = {}
    for path in FILES:
        for action, pin in re.findall(r"uses: *(\S+)@(.*)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"actions/[a-z-]+", action), action
            assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), pin
            pins.setdefault(action, set()).add(pin)
    assert pins and {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_no_make_target_is_defined_twice():
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.M)[1].replace("\\\n", " ").split()
    assert sorted(phony) == sorted(set(TARGETS)) == sorted(TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_make_targets_are_run_with_the_least_permissions_and_not_for_ever(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        granted = job.get("permissions", {})
        writes = {what for what, how in granted.items() if how == "write"}
        assert writes == WRITES.get((path.name, name), set())
        assert set(granted.values()) <= {"read", "write"}
        assert job["timeout-minutes"] <= 240
        for step in job["steps"]:
            if "run" in step:
                target = re.fullmatch(r"make ([a-z-]+)(?: [A-Z]+=[\w.-]+)*", step["run"])
                assert target, f"{step['run']!r} is not a make target with plain values"
                assert target[1] in TARGETS


def program(path: Path, *lines: str) -> None:
    """Write a shell script that stands in for a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/usr/bin/env bash", *lines, ""]), newline="\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    "open_issues, what, says",
    [
        ("Why: The nightly run fails", "The nightly run fails", ""),
        ("Another one\nThe nightly run fails", "The nightly run fails", "is open already"),
        ("", "", "WHAT is not set"),
    ],
)
def test_a_failure_opens_one_issue_by_its_name(tmp_path, open_issues, what, says):
    (tmp_path / "titles").write_text(open_issues + "\n", newline="\n")
    program(
        tmp_path / "gh",
        'if [ "$2" = list ]; then cat "$(dirname "$0")/titles"; exit; fi',
        'printf "%s|" "$@" >> "$(dirname "$0")/asked"',
    )
    (tmp_path / "asked").touch()
    environ = {"PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]]), "WHAT": what}
    done = subprocess.run(
        [shutil.which("bash"), str(ROOT / ".ci" / "report-failure")],
        env={**os.environ, **environ, "RUN_URL": "https://example.org/1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) == bool(what) and says in done.stdout + done.stderr
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith(f"issue|create|--title|{what}|--body|") == (says == "")
    assert ("https://example.org/1" in asked) == bool(asked) == (says == "")


MADE = "digits sync --check\ndigits site --published\npython -m hatchling build"
REFUSED = "These install another version: digits install-cell --ref v1.2.3"


@pytest.mark.skipif(sys.platform == "win32", reason="releases are made on Linux")
@pytest.mark.parametrize(
    "tag, installed, says",
    [
        ("v1.2.3", ["main", "v1.2.3"], REFUSED),
        ("v1.2.4", ["v1.2.4"], "The tag is v1.2.4, the package v1.2.3"),
        ("v1.2.3", ["v1.2.3", "v1.2.3"], "_build/html"),  # what agrees gets up to the missing site
    ],
)
def test_a_release_is_of_one_version(tmp_path, tag, installed, says):
    for name in ("digits", "python"):  # they only note that they were called
        program(
            tmp_path / ".venv" / "bin" / name,
            f'echo "{name} $*" >> called',
            'case "$*" in *version) echo 1.2.3;; esac',
        )
    for name in ("requirements.lock", "pyproject.toml", ".venv/.installed"):
        (tmp_path / name).touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "notebooks").mkdir()
    for number, version in enumerate(installed):
        cell = f'"git+https://example.org/book@{version}"\n'
        (tmp_path / "notebooks" / f"{number:02}.py").write_text(cell)
    # Of a make around this one (`make test LATEST=1`) nothing is to be inherited.
    outer = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "LATEST", "VENV"}
    environ = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "dist", f"TAG={tag}"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    called = (tmp_path / "called").read_text()
    assert done.returncode != 0 and says in done.stderr
    assert (MADE in called) == (says == "_build/html")
    assert ("digits" in called) == (says == "_build/html") and "zipfile" not in called
    assert says != REFUSED or "notebooks/00.py" in done.stderr
