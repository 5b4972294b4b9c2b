"""What the book may not do to those who trust it, nor tell about those who made it."""

from __future__ import annotations

import ast
import base64
import contextlib
import getpass
import io
import json
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import keras
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from helpers import ROOT, committed
from papermill.parameterize import parameterize_notebook
from PIL import Image, PngImagePlugin
from runner_books import FIRST, make_book

from digit_utils.widgets import embedding_map_html, quiz_html
from digits_cli.book import Chapter
from digits_cli.child import injected_values
from digits_cli.errors import ParameterError, UsageError
from digits_cli.parameters import check_value, parse_declarations
from digits_cli.reports import write_report
from digits_cli.repository import configured
from digits_cli.sweep_file import Sweep, SweepRun, read_sweep

# ---- Nothing that is read can run code -----------------------------------------------------------

UNSAFE_MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle",
    "tarfile", "pty", "telnetlib",
}  # fmt: skip
UNSAFE_CALLS = {
    "extractall", "unpack_archive", "read_pickle", "unsafe_load", "full_load", "eval", "exec",
    "system", "popen", "enable_unsafe_deserialization",
}  # fmt: skip
# `digits search FILE` runs FILE: the file is a program, as its help says.
ALLOWED = {("search_command.py", "exec")}


def unsafe(source: str, name: str = "") -> list[str]:
    """Name what a Python file does that could run somebody else's code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        found += [f"{name} imports {m}" for m in modules if m.split(".")[0] in UNSAFE_MODULES]
        if not isinstance(node, ast.Call):
            continue
        owner, _, called = ast.unparse(node.func).rpartition(".")
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        loads = called == "load" and owner in {"np", "numpy", "yaml", "torch"}
        if (
            (called in UNSAFE_CALLS and (name, called) not in ALLOWED and owner != "model")
            or (loads and given.get("allow_pickle") != "False")
            or given.get("allow_pickle") == "True"
            or given.get("shell") == "True"
            or (called == "load_model" and given.get("safe_mode", "True") != "True")
        ):
            found.append(f"{name}, line {node.lineno}: {ast.unparse(node)}")
    return found


def test_no_pickle_no_unpacking_no_text_that_is_run():
    files = [p for p in committed("*.py") if p.relative_to(ROOT).parts[0] != "tests"]
    assert len(files) > 60
    assert [w for p in files for w in unsafe(p.read_text(encoding="utf-8"), p.name)] == []


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from joblib import load", "np.load('x')", "np.load('x', allow_pickle=True)",
     "yaml.load(text, Loader=yaml.Loader)", "archive.extractall('.')", "eval('1')",
     "keras.saving.load_model('x', safe_mode=False)", "subprocess.run('ls', shell=True)",
     "pd.read_pickle('x')", "os.system('ls')", "shutil.unpack_archive('x')"],
)  # fmt: skip
def test_the_search_for_unsafe_code_finds_it(line):
    assert unsafe(line)


def test_a_keras_file_with_code_in_it_is_refused(tmp_path):
    network = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)])
    network.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match="(?i)lambda"):
        keras.models.load_model(tmp_path / "lambda.keras")


NASTY = "\"'></td><script>alert(1)</script><img src=x onerror=alert(1)>--><svg/onload=alert(1)>"


@pytest.mark.parametrize(
    "value",
    [
        "'", '"""', '\\\\"', 'x"\n', "\r\n", "\0", "\x1b[31m", "{NAME}", "%s", "${HOME}", "`id`",
        "__import__('os').abort()", '"; import os; os.abort() #',
        "!!python/object/apply:os.abort []", "\u2028", "\\N{BELL}", NASTY, "",
    ],
)  # fmt: skip
def test_a_parameter_that_looks_like_code_is_a_text_in_the_notebook(value):
    declared = parse_declarations('NAME: str = ""', "01_first")
    check_value("01_first", declared, "NAME", value, "-p")
    cell = nbformat.v4.new_code_cell('NAME: str = ""', metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {}})
    made = parameterize_notebook(
        notebook, {"NAME": value}, kernel_name="python3", language="python"
    )
    assert injected_values(made) == {"NAME": value}


@pytest.mark.parametrize(
    "name", ["SEED=1", "x\nimport os", "SEED; __import__('os').abort()", "ＳＥＥＤ"]
)
def test_a_name_that_is_not_declared_never_becomes_code(tmp_path, name):
    with pytest.raises(ParameterError, match="has no parameter"):
        check_value("01", parse_declarations("SEED: int = 0", "01"), name, 1, "-p")
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps({"chapter": "01", "constants": {name: 1}, "seeds": [0]}))
    with pytest.raises(UsageError, match="has no parameter"):
        read_sweep(path, make_book(tmp_path, c01_first=FIRST))


def test_code_in_the_injected_cell_would_be_noticed():
    cell = nbformat.v4.new_code_cell("NAME = __import__('os').getpid()")
    cell.metadata["tags"] = ["injected-parameters"]
    with pytest.raises(ValueError):
        injected_values(nbformat.v4.new_notebook(cells=[cell]))


# ---- What people type is shown, and is not HTML --------------------------------------------------


@pytest.mark.filterwarnings("ignore:Glyph")
def test_the_report_of_a_sweep_shows_what_was_typed_as_text(tmp_path):
    points = [{"NAME": NASTY, NASTY: i, "DATA": "$x_1$", "SEED": i} for i in (0, 1)]
    chapter, varied = Chapter(f"01_{NASTY}", tmp_path), ["NAME", NASTY, "DATA"]
    sweep = Sweep(chapter, NASTY, points, varied, NASTY, {"NAME": NASTY}, "x.yaml")
    good = {"status": "ok", "seconds": 1.0, "notebook": f"{NASTY}.ipynb", "commit": NASTY}
    bad = {"status": "failed", "seconds": 1.0, "error": f"cell 3: {NASTY}"}
    records = [{**good, "results": {NASTY: 0.5, "other": NASTY}}, bad]
    runs = [SweepRun(NASTY, p, r) for p, r in zip(points, records, strict=True)]
    page = write_report(sweep, runs, tmp_path).read_text(encoding="utf-8")
    assert page.count("<svg role=") == 3
    # Whatever a browser would run or load, with a browser's idea of HTML.
    soup = BeautifulSoup(page, "html.parser")
    assert soup.find_all(["script", "img", "iframe", "object", "embed", "form", "base"]) == []
    for element in soup.find_all(True):
        assert not [name for name in element.attrs if name.lower().startswith("on")], element
        for name in ("href", "src", "xlink:href"):
            address = element.attrs.get(name, "")
            assert not re.match(r"(?i)\s*(javascript|data|https?|file):|//", address), address
    for text in (f"cell 3: {NASTY}", f"Sweep of 01_{NASTY}", f"Profile {NASTY}"):
        assert text in soup.get_text()


def test_pages_that_can_be_played_with_take_numbers_alone():
    images = np.zeros((2, 28, 28), np.uint8)
    good, shares, bad = np.array([1, 2]), [0.5, 0.5], [NASTY, "1"]
    for wrong in ((bad, good, shares), (good, bad, shares), (good, good + 1, bad)):
        with pytest.raises(ValueError):
            quiz_html(images, *wrong)
    with pytest.raises(ValueError):
        embedding_map_html([[0, 0], [1, 1]], images, bad, good)
    page = quiz_html(images, good, good + 1, shares)
    assert len(BeautifulSoup(page, "html.parser").find_all("script")) == 1


def test_pages_write_text_as_text():
    """Markup from a string only where nothing is put in but numbers of the page's own."""
    known = {
        "draw.js": ["${digit}"],
        "inside.js": ["${number + 1}", "${channels}", "${height}", "${width}", "${SIDE}",
                      "${SIDE}"],
    }  # fmt: skip
    for path in committed("book/_static/*.js", "digit_utils/assets/*.html", "book/_extra/*"):
        text = path.read_text(encoding="utf-8")
        runs = r"\beval\(|new Function|document\.write|insertAdjacentHTML"
        # What comes with an address could be anybody's.
        comes = r"location\.(hash|search)|URLSearchParams|postMessage"
        assert not re.search(f"{runs}|{comes}", text), path
        markup = [line for line in text.splitlines() if re.search("(inner|outer)HTML", line)]
        filled = re.findall(r"\$\{[^}]*\}", "\n".join(markup))
        assert filled == known.get(path.name, []), path


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


def traces(text: str) -> list[str]:
    """Name what a text tells that it should not."""
    found = [f"{what}: {m.group()!r}" for what, p in TRACES.items() for m in p.finditer(text)]
    names = {socket.gethostname(), socket.gethostname().split(".")[0], Path.home().name}
    with contextlib.suppress(KeyError, OSError):  # a user without a name
        names.add(getpass.getuser())
    names = {name for name in names if len(name) > 3 and name.lower() not in COMMON}
    # As a part of a path or of user@host; as a word of prose a name may mean anything. A fork's
    # address holds its owner's name, which may be this user's too.
    text = text.replace(urlsplit(configured(ROOT)[0]).path, "")
    named = [name for name in names if re.search(rf"[/\\@]{re.escape(name)}(?!\w)", text)]
    return found + [f"a name: {name!r}" for name in named]


PICTURE = re.compile(r"(?:data:image/\w+;base64,|\"image/png\": \")([A-Za-z0-9+/=\\n]{40,})")


def told_by(path: Path) -> list[str]:
    """Name the traces in a published file, and in what its pictures say beside their pixels."""
    raw, pictures = path.read_bytes(), []
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            texts = [bytes(file[n]).decode("utf-8", "replace") for n in file if n != "images"]
    elif path.suffix == ".bin":
        texts = [found.decode() for found in re.findall(rb"[\x20-\x7e]{8,}", raw)]
    elif path.suffix == ".png":
        texts, pictures = [], [raw]
    else:
        text = raw.decode("utf-8")
        pictures = [base64.b64decode(p.replace("\\n", "")) for p in PICTURE.findall(text)]
        pictures = [picture for picture in pictures if picture.startswith(b"\x89PNG")]
        texts = [PICTURE.sub("", text)]
    for picture in pictures:
        texts += map(str, Image.open(io.BytesIO(picture)).info.values())
    return [what for text in texts for what in traces(text)]


PUBLISHED = ("notebooks/*.ipynb", "notebooks/*.py", "results/*.json", "digit_utils/recorded/*",
             "digit_utils/assets/*", "tests/regression/reference/*", "book/*", "README.md",
             "CITATION.cff", "CONTRIBUTING.md", "_config.yml", "profiles/*", "sweeps/*",
             "searches/*")  # fmt: skip


def test_what_is_published_names_no_machine_no_person_and_no_secret():
    files = committed(*PUBLISHED)
    assert len([path for path in files if path.suffix == ".ipynb"]) >= 26
    found = {path.relative_to(ROOT).as_posix(): told_by(path)[:5] for path in files}
    assert {name: told for name, told in found.items() if told} == {}


@pytest.mark.parametrize(
    "text",
    ["saved in /" + "home/ada/x.keras", '"/' + 'root/book"', "C:\\\\" + "Users\\\\Ada",
     "see file:///x", "a@b.example", "/tmp/ipykernel_123/1.py", "AKIAABCDEFGHIJKLMNOP",
     "-----BEGIN RSA PRIVATE KEY-----", "ghp_" + "a" * 36, "api_key = 'abcdefgh1'",
     "https://me:secret@host/x"],
)  # fmt: skip
def test_the_search_for_traces_finds_them(tmp_path, text):
    assert traces(text)
    picture, note = io.BytesIO(), PngImagePlugin.PngInfo()
    note.add_text("Source", text)
    Image.new("L", (4, 4)).save(picture, "PNG", pnginfo=note)
    output = {"image/png": base64.b64encode(picture.getvalue()).decode()}
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps({"cells": [{"outputs": [{"data": output}]}]}))
    assert told_by(path)


# ---- What is installed is what was locked --------------------------------------------------------


def test_every_locked_package_has_one_version_and_its_hashes():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    entries = re.findall(r"^\s*[^#\s].*", text, re.MULTILINE)
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
