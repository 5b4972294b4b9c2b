"""The workflows: pinned actions, least permissions, nothing run but make targets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.M)
WRITES = {  # what a job may do beyond reading the code
    ("book.yml", "deploy"): {"pages", "id-token"},
    ("nightly.yml", "report"): {"issues"},
    ("links.yml", "report"): {"issues"},
    ("release.yml", "publish"): {"contents"},
}

assert len(FILES) == 6, FILES
each_workflow = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@each_workflow
def test_actions_are_github_s_own_and_pinned_by_commit_with_their_version(path):
    uses = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    for use in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use), use


def test_an_action_is_pinned_to_one_commit_everywhere():
    pins: dict[str, set[str]] = {}
    for path in FILES:
        for action, pin in re.findall(r"uses: *(\S+)@(.*)", path.read_text(encoding="utf-8")):
            pins.setdefault(action, set()).add(pin)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@each_workflow
def test_nothing_is_run_but_make_targets(path):
    for step in steps(path):
        if "run" not in step:
            continue
        target = re.fullmatch(r"make ([a-z-]+)(?: [A-Z]+=[\w.-]+)*", step["run"])
        assert target, f"{step['run']!r} is not a make target with plain values"
        assert target[1] in TARGETS


def test_no_make_target_is_defined_twice():
    assert len(TARGETS) == len(set(TARGETS)), sorted(TARGETS)
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.M)[1].replace("\\\n", " ").split()
    assert sorted(phony) == sorted(TARGETS)


@each_workflow
def test_permissions_are_the_least(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        granted = job.get("permissions", {})
        writes = {what for what, how in granted.items() if how == "write"}
        assert writes == WRITES.get((path.name, name), set())
        assert set(granted.values()) <= {"read", "write"}


@each_workflow
def test_no_run_lasts_for_ever_or_leaves_its_token_behind(path):
    workflow = read(path)
    assert workflow["concurrency"]["group"]
    assert all(job["timeout-minutes"] <= 240 for job in workflow["jobs"].values())
    for step in steps(path):
        if "actions/checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
    # Code of a stranger's pull request never meets a token that may write.
    assert "pull_request_target" not in path.read_text(encoding="utf-8")


def test_every_python_is_tested_on_every_system():
    jobs = read(ROOT / ".github/workflows/test.yml")["jobs"]
    pythons = ["3.11", "3.12", "3.13"]
    assert jobs["linux"]["runs-on"] == "ubuntu-latest"
    assert jobs["linux"]["strategy"]["matrix"] == {"python": pythons}
    matrix = jobs["elsewhere"]["strategy"]["matrix"]
    assert matrix == {"system": ["macos-latest", "windows-latest"], "python": pythons}


# --- what opens an issue


@pytest.fixture
def report(tmp_path):
    """Run .ci/report-failure beside a `gh` that only notes what it is asked."""
    gh = tmp_path / "gh"
    gh.write_text(
        "#!/usr/bin/env bash\n"
        'if [ "$2" = list ]; then cat "$(dirname "$0")/titles"; exit; fi\n'
        'printf "%s|" "$@" >> "$(dirname "$0")/asked"\n',
        newline="\n",
    )
    gh.chmod(0o755)

    def run(open_issues: str, **environ: str):
        (tmp_path / "titles").write_text(open_issues, newline="\n")
        (tmp_path / "asked").unlink(missing_ok=True)
        path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
        done = subprocess.run(
            [shutil.which("bash"), str(ROOT / ".ci" / "report-failure")],
            env={**os.environ, "PATH": path, **environ},
            capture_output=True,
            text=True,
        )
        asked = tmp_path / "asked"
        return done, asked.read_text() if asked.is_file() else ""

    return run


def test_a_failure_opens_one_issue_and_no_second(report):
    asked = {"WHAT": "The nightly run fails", "RUN_URL": "https://example.org/1"}
    done, created = report("Another one\nWhy: The nightly run fails\n", **asked)
    assert done.returncode == 0, done.stderr
    assert created.startswith("issue|create|--title|The nightly run fails|--body|")
    assert "https://example.org/1" in created
    done, created = report("Another one\nThe nightly run fails\n", **asked)
    assert (done.returncode, created) == (0, "")
    assert "is open already" in done.stdout


def test_a_failure_needs_a_name(report):
    done, created = report("", WHAT="")
    assert done.returncode != 0 and "WHAT is not set" in done.stderr and created == ""


# --- what a release may hold


@pytest.fixture
def dist(tmp_path):
    """Run `make dist` where the programs it calls only note that they were called."""
    for name in ("digits", "python"):
        program = tmp_path / ".venv" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        called = f'#!/usr/bin/env bash\necho "{name} $*" >> called\n'
        program.write_text(called + 'case "$*" in *version) echo 1.2.3;; esac\n', newline="\n")
        program.chmod(0o755)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / "notebooks").mkdir()

    def run(tag: str, *installed: str):
        for number, version in enumerate(installed):
            path = tmp_path / "notebooks" / f"{number:02}.py"
            path.write_text(f'"git+https://example.org/book@{version}"\n')
        (tmp_path / "called").unlink(missing_ok=True)
        # Of a make around this one (`make test LATEST=1`) nothing is to be inherited.
        outer = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "LATEST", "VENV"}
        done = subprocess.run(
            ["make", "dist", f"TAG={tag}"],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name not in outer},
            capture_output=True,
            text=True,
        )
        return done, (tmp_path / "called").read_text()

    return run


@pytest.mark.skipif(sys.platform == "win32", reason="releases are made on Linux")
@pytest.mark.parametrize("installed", [["main", "main"], ["main", "v1.2.3"], ["v1.2.2", "v1.2.3"]])
def test_a_release_whose_chapters_install_something_else_is_refused(dist, installed):
    done, called = dist("v1.2.3", *installed)
    assert done.returncode != 0
    assert "These install another version: digits install-cell --ref v1.2.3" in done.stderr
    assert "notebooks/00.py" in done.stderr
    assert "digits" not in called


@pytest.mark.skipif(sys.platform == "win32", reason="releases are made on Linux")
def test_a_release_is_of_the_package_s_version(dist):
    done, called = dist("v1.2.4", "v1.2.4")
    assert done.returncode != 0 and "The tag is v1.2.4, the package v1.2.3" in done.stderr
    assert "digits" not in called
    # What agrees goes on, up to the archive of a site that is not there.
    done, called = dist("v1.2.3", "v1.2.3", "v1.2.3")
    assert "digits sync --check\ndigits site --published\npython -m hatchling build" in called
    assert done.returncode != 0 and "_build/html" in done.stderr and "zipfile" not in called
