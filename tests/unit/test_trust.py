"""What the book may not do to those who trust it,
and what it may not tell about those who made it."""

from __future__ import annotations

import ast
import base64
import contextlib
import getpass
import inspect
import io
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import keras
import numpy as np
import pytest
from bs4 import BeautifulSoup
from helpers import ROOT, committed
from hyperopt import hp, rand
from runner_books import FIRST, make_book

from digit_utils.search import run_search
from digit_utils.widgets import embedding_map_html, quiz_html
from digits_cli.paths import Chapter
from digits_cli.repository import configured
from digits_cli.search_report import print_best
from digits_cli.sweep import SweepRun
from digits_cli.sweep_file import Sweep, read_sweep
from digits_cli.sweep_report import write_report

# ---- Nothing that is read can run code -----------------------------------------------------------

OURS = ("digit_utils", "digits_cli", "scripts", "benchmarks", "notebooks", "book", "searches")
UNSAFE_MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle",
    "tarfile", "pty", "telnetlib",
}  # fmt: skip
UNSAFE_CALLS = {
    "extractall": "unpacks wherever the archive says",
    "unpack_archive": "unpacks wherever the archive says",
    "read_pickle": "loads a pickle",
    "unsafe_load": "makes any object",
    "full_load": "makes objects",
    "eval": "runs text",
    "exec": "runs text",
    "system": "runs text in a shell",
    "popen": "runs text in a shell",
    "enable_unsafe_deserialization": "takes the lock off",
}
# `digits search FILE` runs FILE: the file is a program, as its help says.
ALLOWED = {("digits_cli/search_command.py", "exec")}


def unsafe(path: Path) -> list[str]:
    """Name what a Python file does that could run somebody else's code."""
    name = path.relative_to(ROOT).as_posix()
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        found += [f"imports {m}" for m in modules if m.split(".")[0] in UNSAFE_MODULES]
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = node.func.id if isinstance(node.func, ast.Name) else called
        owner = ast.unparse(node.func).rpartition(".")[0]
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            called in UNSAFE_CALLS
            and (name, called) not in ALLOWED
            and owner not in {"re", "model"}
        ):
            found.append(f"{called}: {UNSAFE_CALLS[called]}")
        if called == "load" and owner in {"np", "numpy"} and given.get("allow_pickle") != "False":
            found.append("np.load without allow_pickle=False")
        if called == "load" and owner in {"yaml", "torch"}:
            found.append(f"{owner}.load makes objects")
        if given.get("allow_pickle") == "True" or given.get("shell") == "True":
            found.append(f"{called} with {given}")
        if called == "load_model" and given.get("safe_mode", "True") != "True":
            found.append("load_model with safe_mode off")
    return [f"{name}: {what}" for what in found]


def test_no_pickle_no_unpacking_no_text_that_is_run():
    files = [path for path in committed("*.py") if path.relative_to(ROOT).parts[0] in OURS]
    assert len(files) > 80
    assert [what for path in files for what in unsafe(path)] == []


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from joblib import load", "np.load('x')", "np.load('x', allow_pickle=True)",
     "yaml.load(text, Loader=yaml.Loader)", "archive.extractall('.')", "eval('1')",
     "keras.saving.load_model('x', safe_mode=False)", "subprocess.run('ls', shell=True)",
     "pd.read_pickle('x')", "os.system('ls')", "shutil.unpack_archive('x')"],
)  # fmt: skip
def test_the_search_for_unsafe_code_finds_it(tmp_path, monkeypatch, line):
    path = tmp_path / "bad.py"
    path.write_text(line)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert unsafe(path)


WATCHED = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(args) if event == "pickle.find_class" else None)
import pickle
try:
    pickle.loads(b"cos\\ngetpid\\n.")
finally:
    assert seen, "the watch is asleep"
seen.clear()
from digit_utils.data import load_digits
from digit_utils.artifacts import RECORDED_FOLDER, load_recorded
load_digits()
for path in RECORDED_FOLDER.glob("*.json"):
    load_recorded(path.stem)
assert not seen, seen
"""


def test_nothing_that_comes_with_the_book_is_a_pickle():
    done = subprocess.run([sys.executable, "-c", WATCHED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The networks here and not there: loading TensorFlow takes long.
    from digit_utils.shipped import FINAL_MODEL

    with np.load(FINAL_MODEL, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_a_keras_file_with_code_in_it_is_refused(tmp_path):
    for load in (keras.models.load_model, keras.saving.load_model):
        assert inspect.signature(load).parameters["safe_mode"].default is True
    network = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)])
    network.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match="(?i)lambda"):
        keras.models.load_model(tmp_path / "lambda.keras")


# ---- What people type is shown, and is not HTML --------------------------------------------------

NASTY = "\"'></td><script>alert(1)</script><img src=x onerror=alert(1)>--><svg/onload=alert(1)>"


def assert_harmless(page: str, *shown: str) -> None:
    """Look for whatever a browser would run or load, with a browser's idea of HTML."""
    soup = BeautifulSoup(page, "html.parser")
    assert soup.find_all(["script", "img", "iframe", "object", "embed", "form", "base"]) == []
    for element in soup.find_all(True):
        assert not [name for name in element.attrs if name.lower().startswith("on")], element
        for name in ("href", "src", "xlink:href"):
            address = element.attrs.get(name, "")
            assert not re.match(r"(?i)\s*(javascript|data|https?|file):|//", address), address
    for text in shown:
        assert text in soup.get_text(), f"{text} is not shown"


@pytest.mark.filterwarnings("ignore:Glyph")
def test_the_report_of_a_sweep_shows_what_was_typed_as_text(tmp_path):
    points = [{"NAME": NASTY, NASTY: i, "DATA": "$x_1$", "SEED": i} for i in (0, 1)]
    sweep = Sweep(
        Chapter(f"01_{NASTY}", tmp_path), NASTY, points, ["NAME", NASTY, "DATA"], NASTY,
        {"NAME": NASTY}, f"{NASTY.replace('/', '')}.yaml",
    )  # fmt: skip
    record = {"status": "ok", "seconds": 1.0, "notebook": f"{NASTY}.ipynb", "commit": NASTY}
    records = [
        {**record, "results": {NASTY: 0.5, "other": NASTY}},
        {
            **record,
            "results": {},
            "status": "failed",
            "error": f"cell 3: {NASTY}",
            "notebook": None,
        },
    ]
    runs = [SweepRun(NASTY, p, r) for p, r in zip(points, records, strict=True)]
    page = write_report(sweep, runs, tmp_path).read_text(encoding="utf-8")
    assert_harmless(page, f"cell 3: {NASTY}", f"Sweep of 01_{NASTY}", f"Profile {NASTY}")
    assert page.count("<svg role=") == 3
    missing = Sweep(sweep.chapter, "quick", points, [], "<script>", {}, "x.yaml")
    page = write_report(missing, runs, tmp_path).read_text(encoding="utf-8")
    assert_harmless(page, "No run reported the number '<script>'")


@pytest.mark.filterwarnings("ignore")
def test_the_report_of_a_search_shows_what_was_typed_as_text(tmp_path, capsys):
    nasty = NASTY.replace("/", "|") if os.name != "nt" else "a & b"  # what Windows allows
    folder = tmp_path / nasty
    space = {NASTY: hp.choice(NASTY, [NASTY, "plain"]), "rate": hp.uniform("rate", 0, 1)}

    def objective(settings):
        if settings["rate"] > 0.7:
            raise RuntimeError(NASTY)
        return settings["rate"] + len(settings[NASTY]) / 1000

    found = run_search(objective, space, rand.suggest, 8, folder, progress=lambda *_: None)
    assert any(trial.error for trial in found.trials)
    assert print_best(found, folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert_harmless(page, NASTY, f"RuntimeError: {NASTY}", f"Search {folder.name}")
    assert page.count("<svg role=") >= 2


def test_pages_that_can_be_played_with_take_numbers_alone():
    images = np.zeros((2, 28, 28), np.uint8)
    good = np.array([1, 2])
    for wrong in (["<script>", "</script>"], [NASTY, "1"]):
        with pytest.raises(ValueError):
            quiz_html(images, wrong, good + 1, [0.5, 0.5])
        with pytest.raises(ValueError):
            quiz_html(images, good, wrong, [0.5, 0.5])
        with pytest.raises(ValueError):
            quiz_html(images, good, good + 1, wrong)
        with pytest.raises(ValueError):
            embedding_map_html([[0, 0], [1, 1]], images, wrong, good)
    page = quiz_html(images, good, good + 1, [0.5, 0.5])
    assert len(BeautifulSoup(page, "html.parser").find_all("script")) == 1


def test_pages_write_text_as_text():
    """The draw page, the quiz and the map: markup from a string only where nothing is put in
    but numbers of their own."""
    known = {
        "book/_static/draw/draw.js": ["${digit}"],
        "book/_static/draw/inside.js": ["${number + 1}", "${channels}", "${height}", "${width}",
                                        "${SIDE}", "${SIDE}"],
    }  # fmt: skip
    for path in committed("book/_static/*.js", "digit_utils/assets/*.html", "book/_extra/*"):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT).as_posix()
        assert not re.search(r"\beval\(|new Function|document\.write|insertAdjacentHTML", text), (
            name
        )
        # What comes with an address could be anybody's.
        assert not re.search(r"location\.(hash|search)|URLSearchParams|postMessage", text), name
        filled = [
            hole
            for line in text.splitlines()
            if "innerHTML" in line or "outerHTML" in line
            for hole in re.findall(r"\$\{[^}]*\}", line)
        ]
        assert filled == known.get(name, []), name


# ---- What is published tells nothing about the machine or its people -----------------------------

TRACES = {
    "an absolute path": re.compile(
        r"(?<![\w/.~}*-])/(home|root|Users|tmp|var|work|opt|private|mnt|usr|etc|srv|builds|github"
        r"|workspace|runner)/[\w.]"
    ),
    "a path of Windows": re.compile(r"(?<!\w)[A-Za-z]:\\{1,2}(Users|Windows|Program|Temp|\w+\\)"),
    "a file address": re.compile(r"file:///"),
    "a kernel's folder": re.compile(r"ipykernel_\d+"),
    "an e-mail address": re.compile(r"(?<![\w/])[\w.+-]+@[\w-]+\.[A-Za-z]{2,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a token": re.compile(
        r"AKIA[0-9A-Z]{16}|\bgh[pousr]_\w{36}|github_pat_\w{22}|\bsk-[\w-]{20}|xox[abprs]-\w{8}"
        r"|\bhf_[A-Za-z0-9]{30}|AIza[\w-]{35}|\beyJ[\w-]{10,}\.[\w-]{10,}\.|\bpypi-\w{50}|glpat-\w{20}"
    ),
    "a password": re.compile(
        r"(?i)\b(password|passwd|secret|api[_-]?key|access[_-]?token)\b\s*[=:]\s*[\"']?[\w+/-]{8,}"
    ),
    "a login in an address": re.compile(r"://[^/\s:@]+:[^/\s:@]+@"),
}  # fmt: skip
# Names too common to say anything: a container's only user, a runner's, a word of this book.
COMMON = {"root", "user", "runner", "runneradmin", "nobody", "ubuntu", "localhost", "digits",
"book",
          "admin", "test", "vscode", "jovyan", "main", "build", "docker", "python",
          "work"}  # fmt: skip


def people() -> set[str]:
    """Names of this machine and whoever works on it, if they are names."""
    names = {socket.gethostname(), socket.gethostname().split(".")[0], Path.home().name}
    with contextlib.suppress(KeyError, OSError):  # a user without a name
        names.add(getpass.getuser())
    return {name for name in names if len(name) > 3 and name.lower() not in COMMON}


PICTURE = re.compile(r"(?:data:image/\w+;base64,|\"image/png\": \")([A-Za-z0-9+/=\\n]{40,})")


def traces(text: str) -> list[str]:
    """Name what a text tells that it should not."""
    found = [f"{what}: {m.group()!r}" for what, p in TRACES.items() for m in p.finditer(text)]
    # As a part of a path or of user@host; as a word of prose a name may mean anything. A fork's
    # address holds its owner's name, which may be this user's too.
    text = text.replace(urlsplit(configured(ROOT)[0]).path, "")
    named = [name for name in people() if re.search(rf"[/\\@]{re.escape(name)}(?!\w)", text)]
    return found + [f"a name: {name!r}" for name in named]


PNG = b"\x89PNG\r\n\x1a\n"


def strings(raw: bytes) -> list[str]:
    """What can be read in binary content; of a PNG without its pixels, which may look like text."""
    if raw.startswith(PNG):
        kept, at, kind = b"", len(PNG), b""
        while at < len(raw) and kind != b"IEND":
            length, kind = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8]
            end = at + 12 + length  # a checksum follows the content
            kept += b"" if kind == b"IDAT" else raw[at:end]
            at = end
        raw = kept + raw[at:]
    return [found.decode() for found in re.findall(rb"[\x20-\x7e]{8,}", raw)]


def parts(path: Path) -> list[str]:
    """The texts of a published file: of a notebook its pictures as well, without their base64."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return [bytes(file[n]).decode("utf-8", "replace") for n in file.files if n != "images"]
    if path.suffix in {".png", ".bin"}:
        return strings(path.read_bytes())
    text = path.read_text(encoding="utf-8")

    pictures = PICTURE.findall(text)
    raw = [s for p in pictures for s in strings(base64.b64decode(p.replace("\\n", "")))]
    for picture in pictures:
        text = text.replace(picture, "")
    return [text, *raw]


PUBLISHED = ("notebooks/*.ipynb", "notebooks/*.py", "results/*.json", "digit_utils/recorded/*",
             "digit_utils/assets/*", "tests/regression/reference/*", "book/*", "README.md",
             "CITATION.cff", "CONTRIBUTING.md", "_config.yml", "profiles/*", "sweeps/*",
             "searches/*")  # fmt: skip


def test_what_is_published_names_no_machine_no_person_and_no_secret():
    files = committed(*PUBLISHED)
    assert len([path for path in files if path.suffix == ".ipynb"]) >= 26
    found = {}
    for path in files:
        told = [what for part in parts(path) for what in traces(part)]
        if told:
            found[path.relative_to(ROOT).as_posix()] = told[:5]
    assert found == {}


@pytest.mark.parametrize(
    "text",
    ["saved in /" + "home/ada/x.keras", '"/' + 'root/book"', "C:\\\\" + "Users\\\\Ada", "see file:///x",
    "a@b.example",
     "/tmp/ipykernel_123/1.py", "AKIAABCDEFGHIJKLMNOP", "-----BEGIN RSA PRIVATE KEY-----",
     "ghp_" + "a" * 36, "api_key = 'abcdefgh1'", "https://me:secret@host/x"],
)  # fmt: skip
def test_the_search_for_traces_finds_them(tmp_path, text):
    assert traces(text)
    picture = io.BytesIO()
    from PIL import Image, PngImagePlugin

    note = PngImagePlugin.PngInfo()
    note.add_text("Source", text)
    Image.new("L", (4, 4)).save(picture, "PNG", pnginfo=note)
    path = tmp_path / "x.ipynb"
    plain = io.BytesIO()
    Image.new("L", (4, 4)).save(plain, "PNG")
    behind_its_end = plain.getvalue() + text.encode()
    for content in (picture.getvalue(), behind_its_end):
        output = {"image/png": base64.b64encode(content).decode()}
        path.write_text(json.dumps({"cells": [{"outputs": [{"data": output}]}]}))
        assert [what for part in parts(path) for what in traces(part)]


def test_pixels_are_no_traces(tmp_path):
    # What they are compressed to may spell anything.
    pixels = b"8@nn.iii /" + b"home/ada/x.keras"
    path = tmp_path / "x.png"
    path.write_bytes(PNG + len(pixels).to_bytes(4, "big") + b"IDAT" + pixels + b"0000")
    assert not [what for part in parts(path) for what in traces(part)]


# ---- What is installed is what was locked --------------------------------------------------------


def requirements(text: str) -> list[str]:
    """The entries of a requirements file, each on one line."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_every_locked_package_has_one_version_and_its_hashes():
    entries = requirements((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert len(entries) > 150
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==[^\s;]+ ", entry), entry[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]
        assert "://" not in entry and " @ " not in entry, entry[:80]


def test_the_lock_is_installed_with_its_hashes_and_nothing_beside_it():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if re.search(r"\$\(INSTALL\) ", line)]
    assert installs
    # Whatever else installs or fetches a program: into environments of their own.
    others = (
        r"^.*(?:pip3?|uv) install|^.*\b(?:uvx|uv tool|uv add|uv sync|pipx|conda|npm|curl|wget)\b"
    )
    found = [line.strip() for line in makefile.splitlines() if re.match(others, line)]
    assert [line.split()[0] for line in found] == [
        "INSTALL", "_build/actionlint/$(notdir", "uv"
    ], found  # fmt: skip
    assert found[2].startswith("uv tool run pip-audit "), found
    for call in (call for line in installs for call in line.split("$(INSTALL) ")[1:]):
        if "requirements.lock" in call:
            assert call.startswith("--require-hashes "), call
        elif "-e ." in call:  # this checkout: nothing is to be fetched for it
            assert call.startswith("--no-deps --no-build-isolation "), call
        else:
            assert "$(NEWEST)" in makefile and "-e '.[test]'" in call, call
    for path in committed(
        "*.md", "*.yml", "*.yaml", ".ci/*", ".github/*", ".devcontainer/*", "binder/*"
    ):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "install" in line and "-r requirements.lock" in line:
                assert "--require-hashes" in line, f"{path.name}: {line}"


def test_a_name_of_code_in_a_sweep_is_no_parameter(tmp_path):
    book = make_book(tmp_path, c01_first=FIRST)
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps({"chapter": "01", "seeds": [0], "constants": {"NAME": NASTY}}))
    assert read_sweep(path, book).constants == {"NAME": NASTY}
