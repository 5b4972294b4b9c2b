"""What the book may not do to those who trust it, nor tell about those who made it."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from helpers import ROOT, committed
from papermill.parameterize import parameterize_notebook

from digit_utils.widgets import embedding_map_html, quiz_html
from digits_cli.book import Chapter
from digits_cli.parameters import check_value, parse_declarations
from digits_cli.references import injected_values
from digits_cli.reports import write_report
from digits_cli.sweep_file import Sweep, SweepRun

# ---- Nothing that is read can run code -----------------------------------------------------------

# Ruff finds most of it (its rules S, in pyproject.toml).
UNSAFE = (
    r"allow_pickle ?= ?True|safe_mode ?= ?False|unsafe_deserialization|\bjoblib\b|pickle\.load"
    r"|\.(extractall|unpack_archive|read_pickle|unsafe_load|full_load|popen)\("
)


def test_no_pickle_no_unpacking_no_text_that_is_run():
    files = [path for path in committed("*.py") if "tests" not in path.relative_to(ROOT).parts]
    assert len(files) > 60
    assert [p for p in files if re.search(UNSAFE, p.read_text(encoding="utf-8"))] == []


NASTY = "\"'></td><script>alert(1)</script><img src=x onerror=alert(1)>--><svg/onload=alert(1)>"


@pytest.mark.parametrize(
    "value",
    [
        "'", '"""', '\\\\"', "\r\n", "\0", "{NAME}", "__import__('os').abort()",
        '"; import os; os.abort() #', "!!python/object/apply:os.abort []", "\u2028", NASTY,
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
    soup = BeautifulSoup(page, "html.parser")  # a browser's idea of HTML
    assert soup.find_all(["script", "img", "iframe", "object", "embed", "form", "base"]) == []
    names = {name.lower() for element in soup.find_all(True) for name in element.attrs}
    assert not [name for name in names if name.startswith("on")]
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


# ---- What is published tells nothing about the machine or its people -----------------------------

TRACES = re.compile(
    r"(?<![\w/.~}*-])/(?:home|root|Users|tmp|var|work|opt|private|mnt|usr|etc|srv|builds|github"
    r"|workspace|runner)/[\w.]"
    r"|(?<!\w)[A-Za-z]:\\{1,2}(?:Users|Windows|Program|Temp|\w+\\)"
    r"|file:///|ipykernel_\d+"
    r"|(?<![\w/])[\w.+-]+@[\w-]+\.[A-Za-z]{2,}"  # an e-mail address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|AKIA[0-9A-Z]{16}|\bgh[pousr]_\w{36}|github_pat_\w{22}|\bsk-[\w-]{20}|xox[abprs]-\w{8}"
    r"|\bhf_[A-Za-z0-9]{30}|AIza[\w-]{35}|\beyJ[\w-]{10,}\.[\w-]{10,}\.|\bpypi-\w{50}|glpat-\w{20}"
    r"|(?i:\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)\b\s*[=:]\s*[\"']?[\w+/-]{8,})"
    r"|://[^/\s:@]+:[^/\s:@]+@"  # a login in an address
)
PICTURE = re.compile(r"(?:data:image/\w+;base64,|\"image/png\": \")([A-Za-z0-9+/=\\n]{40,})")


def told_by(path: Path) -> list[str]:
    """List the traces in a published file; of one that is no text, in its readable pieces."""
    raw = path.read_bytes()
    if path.suffix in {".npz", ".bin", ".png"}:
        raw = b"\n".join(re.findall(rb"[\x20-\x7e]{8,}", raw))
    return TRACES.findall(PICTURE.sub("", raw.decode("utf-8")))


PUBLISHED = ("notebooks/*.ipynb", "notebooks/*.py", "results/*.json", "digit_utils/recorded/*",
             "digit_utils/assets/*", "tests/regression/reference/*", "book/*", "README.md",
             "CITATION.cff", "CONTRIBUTING.md", "_config.yml", "profiles/*", "sweeps/*",
             "searches/*")  # fmt: skip


def test_what_is_published_tells_no_folder_no_address_and_no_secret():
    files = committed(*PUBLISHED)
    chapters = [*ROOT.glob("notebooks/*.py")]  # each is a notebook, and has a reference
    assert len([path for path in files if path.suffix == ".ipynb"]) >= 2 * len(chapters) > 0
    found = {path.relative_to(ROOT).as_posix(): told_by(path)[:5] for path in files}
    assert {name: told for name, told in found.items() if told} == {}


@pytest.mark.parametrize(
    "text",
    ["saved in /" + "home/ada/x.keras", '"/' + 'root/book"', "C:\\\\" + "Users\\\\Ada",
     "see file:///x", "a@b.example", "/tmp/ipykernel_123/1.py", "AKIAABCDEFGHIJKLMNOP",
     "-----BEGIN RSA PRIVATE KEY-----", "ghp_" + "a" * 36, "api_key = 'abcdefgh1'",
     "https://me:secret@host/x"],
)  # fmt: skip
def test_the_search_for_traces_finds_them(text):
    assert TRACES.findall(text)


def test_the_lock_is_installed_with_its_hashes():
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    installs = [line for line in lines if "-r requirements.lock" in line]
    assert installs
    assert [line for line in installs if "--require-hashes" not in line] == []
