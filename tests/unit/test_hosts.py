"""Machines that others have set up: only what is missing is installed, nothing is replaced.

`tests/slow/test_hosts.py` does it for real, with the versions Colab has published. The last tests
are about what is recorded of a machine.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import ROOT, committed

from digit_utils import hosts, provenance
from digit_utils.hosts import HostError, install_missing
from digit_utils.provenance import installed_version
from digits_cli.cli import main


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    dropped = {"KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", *hosts.GPU_SHARING}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=kept | environment)


@pytest.fixture
def machine(monkeypatch):
    """A machine with numpy and torch, and a pip that only notes what it was asked."""
    asked = SimpleNamespace(commands=[], pins=[], returncode=0)
    asked.found = {"numpy": "2.1.3", "torch": "2.11.0+cu128", "keras": "3.7.0"}
    asked.declared = ["numpy>=2.0", "keras>=3.8", "no-such-package>=2.7"]
    asked.specs = {"pip": True, "packaging": True}

    def run(command, **_):
        asked.commands.append(command)
        asked.pins = Path(command[command.index("-c") + 1]).read_text().splitlines()
        return SimpleNamespace(returncode=asked.returncode, stderr="ERROR: no network\n")

    monkeypatch.setattr(hosts.metadata, "requires", lambda name: asked.declared)
    monkeypatch.setattr(hosts, "installed_versions", lambda: asked.found)
    monkeypatch.setattr(hosts.subprocess, "run", run)
    monkeypatch.setattr(hosts.importlib.util, "find_spec", asked.specs.get)
    return asked


def test_the_missing_is_installed_the_too_old_is_named_and_every_version_here_is_held(
    machine, capsys
):
    machine.declared += [
        "scikit-learn>=1.5",
        'pywin32>=300; sys_platform == "no-such-system"',
        'pytest>=8; extra == "test"',
    ]
    machine.found["scikit-learn"] = "1.5.0rc1"
    assert install_missing() == ["no-such-package>=2.7"]
    *too_old, installing = capsys.readouterr().out.splitlines()
    assert too_old[0].startswith("keras 3.7.0 is installed here, and the book was made for keras>=")
    assert "It was left as it is." in too_old[0] and "scikit-learn 1.5.0rc1" in too_old[1]
    assert installing == "Installing what is not here yet: no-such-package>=2.7"
    (command,) = machine.commands
    assert command[:5] == [sys.executable, "-m", "pip", "install", "-q"]
    assert command[7:] == ["no-such-package>=2.7"]
    assert machine.pins == [f"{name}=={version}" for name, version in sorted(machine.found.items())]
    machine.returncode = 1
    with pytest.raises(HostError, match=r"(?s)no-such-package.*ERROR: no network.*internet on"):
        install_missing()


def give(folder: Path, distribution: str, version: str, module: str | None) -> None:
    """Lay out a package as an installer leaves it; without a module, an empty folder is left."""
    info = folder / f"{distribution}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {distribution}\nVersion: {version}\n")
    (folder / "tensorflow").mkdir()
    if module:
        (folder / module / "__init__.py").touch()
        (info / "RECORD").write_text(f"{module}/__init__.py,,\n")


@pytest.mark.parametrize(
    ("distribution", "version", "module", "said"),
    [
        ("tensorflow_cpu", "2.19.0", "tensorflow", ""),
        ("tensorflow_rocm", "2.14.0", "tensorflow", "install tensorflow_rocm>=2.18 with pip"),
        ("tensorflow_datasets", "4.9", None, "Installing what is not here yet"),
    ],
)
def test_what_can_be_imported_is_there_whatever_it_is_called(
    tmp_path, monkeypatch, capsys, distribution, version, module, said
):
    give(tmp_path, distribution, version, module)
    missing = [] if module else ["tensorflow>=2.18"]
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    asked = []
    monkeypatch.setattr(hosts.metadata, "requires", lambda name: ["tensorflow>=2.18"])
    monkeypatch.setattr(hosts, "_install", lambda *what: asked.extend(what[0]))
    assert install_missing() == asked == missing
    out = capsys.readouterr().out
    assert bool(out) == bool(said) and said in out
    assert installed_version("tensorflow") == (None if missing else version)


def test_an_environment_without_pip_takes_uv_or_names_what_is_missing(
    machine, monkeypatch, tmp_path
):
    machine.specs.pop("pip")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match=r"no-such-package>=2\.7 .*no pip.* -m ensurepip` adds pip"):
        install_missing()
    assert machine.commands == []
    uv = tmp_path / ("uv.exe" if os.name == "nt" else "uv")
    uv.touch(mode=0o755)
    assert install_missing() == ["no-such-package>=2.7"]
    (command,) = machine.commands
    assert command[:6] == [str(uv), "pip", "install", "--python", sys.executable, "-q"]
    assert command[8:] == ["no-such-package>=2.7"]
    assert "numpy==2.1.3" in machine.pins


def test_where_all_is_there_nothing_is_started_or_said(machine, monkeypatch, capsys):
    machine.found.update({"keras": "3.8.0", "no-such-package": "2.9.0"})
    assert install_missing() == []
    monkeypatch.undo()
    assert install_missing() == []  # here
    monkeypatch.setattr(hosts, "PACKAGE", "no-such-package")  # a checkout that is not installed
    assert install_missing() == []
    assert machine.commands == []
    assert capsys.readouterr().out == ""


def test_of_two_copies_the_one_that_is_imported_counts(tmp_path, monkeypatch):
    for version in ("not a version", "2.0", "1.0"):
        give(tmp_path / version, "Some_Thing", version, None)
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / version)])
    assert hosts.installed_versions()["some-thing"] == "2.0"


def test_a_gpu_is_shared_without_importing_anything_and_the_users_choice_stays():
    code = (
        "import os, sys\nfrom digit_utils import hosts\nhosts.settle()\n"
        "print([os.environ[name] for name in hosts.GPU_SHARING])\n"
        "print([m for m in ('tensorflow', 'jax', 'keras', 'numpy') if m in sys.modules])\n"
    )
    done = run_python(code, XLA_PYTHON_CLIENT_PREALLOCATE="true")
    assert done.stdout == "['true', 'true']\n[]\n"


def test_the_command_shares_a_gpu_among_the_kernels_it_starts(monkeypatch, tmp_path):
    others = {k: v for k, v in os.environ.items() if k not in hosts.GPU_SHARING}
    monkeypatch.setattr(os, "environ", others)
    monkeypatch.chdir(ROOT)
    assert main(["sweep", str(tmp_path / "no_such_file.yaml")]) == 2
    assert {name: os.environ.get(name) for name in hosts.GPU_SHARING} == hosts.GPU_SHARING


def test_keras_settings_are_put_aside_and_named_and_tensorflow_is_quiet(tmp_path):
    settings = {"floatx": "float16", "image_data_format": "channels_first", "backend": "theano"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = (
        "from digit_utils import hosts\nhosts.prepare()\nhosts.prepare()\n"
        "import keras\nfrom digit_utils.provenance import provenance\n"
        "of = keras.config\nprint(of.floatx(), of.image_data_format(), of.backend())\n"
        "print(provenance('.')['backend'], of.max_epochs())\n"
    )
    done = run_python(code, KERAS_HOME=str(tmp_path), KERAS_MAX_EPOCHS="1")
    switch, told, *rest = done.stdout.splitlines()
    assert switch == "KERAS_MAX_EPOCHS is 1 and was switched off."
    assert told == (
        f"{tmp_path / 'keras.json'} asks for floatx 'float16', image_data_format "
        "'channels_first', backend 'theano'. The book leaves this file aside and computes with "
        "tensorflow, float32, channels_last. To choose a backend, set KERAS_BACKEND."
    )
    assert rest == ["float32 channels_last tensorflow", "tensorflow None"]
    assert done.stderr == ""


def test_what_tensorflow_says_as_it_aborts_is_passed_on(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'I0000 00:00:17.4 1 a note\\nF no AVX here\\n')\nos.abort()\n"
    )
    code = "from digit_utils import hosts\nhosts.prepare()\nimport tensorflow\n"
    done = run_python(code, PYTHONPATH=str(tmp_path))
    assert done.returncode != 0 and done.stderr.splitlines()[0] == "F no AVX here", done.stderr


def test_figures_go_into_a_notebook_whatever_mplbackend_says(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "MPLBACKEND": "agg"})
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert hosts.settle() == [] and os.environ["MPLBACKEND"] == "agg"
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    assert hosts.settle() == ["MPLBACKEND is agg; figures are shown in the notebook instead."]
    assert os.environ["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"
    assert hosts.settle() == []


@pytest.mark.parametrize(
    ("text", "variable", "backend", "asked"),
    [
        ('{"backend": "jax", "epsilon": 1e-07}', "", "jax", ["backend"]),
        ('{"backend": "jax", "floatx": "float64"}', "torch", "torch", ["floatx"]),
        ("{", "", "tensorflow", []),
        (None, "jax", "jax", []),
    ],
)
def test_the_backend_is_the_one_keras_takes(tmp_path, monkeypatch, text, variable, backend, asked):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", variable)
    if text is not None:
        (tmp_path / "keras.json").write_text(text)
    assert provenance.keras_backend() == backend
    assert list(provenance.keras_settings()[1]) == asked


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"cpu.max": "250000 100000"}, 3),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({}, 8),
    ],
)
def test_a_container_s_quota_counts_too_and_is_kept_to(tmp_path, monkeypatch, files, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(provenance, "CGROUPS", tmp_path)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    assert provenance.processors() == count
    others = {name: text for name, text in os.environ.items() if name != "TF_NUM_INTRAOP_THREADS"}
    monkeypatch.setattr(os, "environ", others)
    hosts.settle()
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == str(count)
    assert provenance.provenance(tmp_path)["machine"].endswith(f", {count} CPU cores")


def test_a_commit_is_named_and_a_change_since_marked(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.check_output(command, cwd=tmp_path, text=True).strip()

    git("init", "--quiet")
    assert provenance.provenance(tmp_path)["commit"] is None
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message=first")
    git("tag", "v1")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "untracked").touch()
    assert provenance.provenance(tmp_path)["commit"] == commit
    (tmp_path / "file").write_text("two")
    assert provenance.provenance(tmp_path)["commit"] == commit + "+"


def test_nothing_else_counts_processors():
    counting = {path for path in committed("*.py") if b"cpu_count" in path.read_bytes()}
    assert counting == {Path(provenance.__file__), Path(__file__)}
