"""One address of the repository, in every place that names it; a fork's book leads to the fork."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from helpers import ROOT, addresses_in, committed
from runner_books import FIRST, add_pages, make_book, pretend_run

import digit_utils
from digit_utils import hosts
from digits_cli.book import INSTALL_TAG, cells_tagged, code_cells, list_chapters, read_notebook
from digits_cli.cli import main
from digits_cli.pairing import check_pairs, read_script
from digits_cli.repository import (
    GITHUB,
    PLACES,
    configured,
    find_address,
    install_cell,
    parse_address,
    rewrite_address,
)
from digits_cli.site import stage_site

OURS = "https://github.com/digits-book/digits-book"  # of the tiny book below
FORK = "https://github.com/some-one/my.digits"
OLD_CELL = f'source = "digit-utils @ git+{OURS}"'
CHAPTER = FIRST.replace(
    '# %% tags=["parameters"]',
    f'# %% tags=["colab", "remove-cell"]\n{OLD_CELL}\n\n# %% tags=["parameters"]',
)
PAGE = (
    f"# Welcome\n\nNot ours: {OURS}-more {OURS}.more https://github.com/naingthet/mnist "
    "https://gitlab.example/digits-book/digits-book.\n"
)
LINKS = (
    f"`git clone {OURS}.git` git+{OURS}@v1 {OURS}/issues '{OURS}'. See {OURS}. "
    "https://colab.research.google.com/github/digits-book/digits-book/blob/main/x.ipynb "
    f"https://kaggle.com/kernels/welcome?src={OURS}/blob/main/x.ipynb "
    "https://mybinder.org/v2/gh/digits-book/digits-book/main\n"
)
PAGE_OF_THE_FORK = PAGE + LINKS.replace("digits-book/digits-book", "some-one/my.digits")


@pytest.fixture
def book(tmp_path, monkeypatch):
    for name in ("GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    book = make_book(tmp_path / "book", c01_first=CHAPTER)
    add_pages(book, OURS, PAGE + LINKS)
    # As published: with outputs.
    shutil.copyfile(pretend_run(book, "01_first"), book / "notebooks" / "01_first.ipynb")
    monkeypatch.chdir(book)
    return book


def contents(book):
    return {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}


def install_cell_of(path):
    read = read_script if path.suffix == ".py" else read_notebook
    (cell,) = cells_tagged(read(path), INSTALL_TAG)
    return cell.source


# --- this repository


def test_every_place_names_the_repository_of_the_configuration_and_this_version():
    address = configured(ROOT)[0]
    names = ("README.md", "CITATION.cff", "pyproject.toml", "book/how_to_run.md")
    readme, cff, project, how = [(ROOT / name).read_text(encoding="utf-8") for name in names]
    cited = yaml.safe_load(cff)
    assert (cited["repository-code"], cited["version"]) == (address, digit_utils.__version__)
    urls = tomllib.loads(project)["project"]["urls"]
    assert urls == {"Source": address, "Issues": f"{address}/issues"}
    on_colab = re.findall(r"colab\.research\.google\.com/github/([\w-]+/[\w.-]+)/", readme)
    assert set(on_colab) == {address.removeprefix(GITHUB)}
    assert address in addresses_in(how)


def test_every_chapter_has_todays_install_cell_for_the_branch_or_this_version():
    repository, branch = configured(ROOT)
    chapters = list_chapters(ROOT)
    allowed = {install_cell(repository, r) for r in (branch, f"v{digit_utils.__version__}")}
    found = {install_cell_of(c.script) for c in chapters}
    assert len(found) == 1 and found <= allowed, "run `digits install-cell`, then `digits sync`"
    for chapter in chapters:
        reference = ROOT / "tests" / "regression" / "reference" / chapter.notebook.name
        assert reference.is_file(), "run `digits run NN`, then `digits references NN`"
        for path in (chapter.notebook, reference):
            assert addresses_in(install_cell_of(path)) == [repository]


def test_no_other_file_names_it_so_that_one_command_rewrites_all():
    reached = {path for place in PLACES for path in ROOT.glob(place)}
    reached |= {ROOT / "_config.yml", *(ROOT / "notebooks").glob("*"), Path(__file__)}
    slug = configured(ROOT)[0].removeprefix(GITHUB).encode()
    elsewhere = [p for p in committed(new=True) if p not in reached and slug in p.read_bytes()]
    assert elsewhere == []


# --- reading addresses


def test_addresses_are_read_in_every_form_and_no_other():
    for text in (FORK, f"{FORK}.git\n", f"{FORK}/", "git@github.com:some-one/my.digits.git",
                 "ssh://git@github.com/some-one/my.digits"):  # fmt: skip
        assert parse_address(text) == FORK
    for text in ("https://gitlab.com/some-one/my.digits", "https://github.com/some-one",
                 "https://github.com.evil.example/some-one/a",
                 'https://github.com/a/b"; import os; "', "/srv/git/digits.git", ""):  # fmt: skip
        assert parse_address(text) is None


def test_actions_say_where_it_is_first_then_the_remote_then_the_configuration(book, monkeypatch):
    assert find_address(book) == (OURS, "_config.yml")
    subprocess.run(["git", "init", "-q"], check=True)
    for verb, url, found in (
        ("add", "/somewhere/else.git", (OURS, "_config.yml")),
        ("set-url", "git@github.com:some-one/my.digits.git", (FORK, "the git remote origin")),
    ):
        subprocess.run(["git", "remote", verb, "origin", url], check=True)
        assert find_address(book) == found
    monkeypatch.setenv("GITHUB_REPOSITORY", "third/one")
    assert find_address(book) == ("https://github.com/third/one", "GITHUB_REPOSITORY")
    # Colab reads from github.com alone; a server of a company's own is not for its buttons.
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.com")
    assert find_address(book)[0] == FORK


# --- in a fork


def test_a_site_built_in_a_fork_leads_to_the_fork_and_changes_no_source(book, monkeypatch, capsys):
    before = contents(book)
    monkeypatch.setenv("GITHUB_REPOSITORY", "some-one/my.digits")
    stage_site(book, "quick")
    site = book / "_build" / "site"
    assert configured(site)[0] == FORK
    assert (site / "book" / "index.md").read_text() == PAGE_OF_THE_FORK
    assert addresses_in(install_cell_of(site / "notebooks" / "01_first.ipynb")) == [FORK]
    assert f"Links lead to {FORK} (by GITHUB_REPOSITORY" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in before}


def test_one_command_rewrites_every_place_and_keeps_the_outputs(book, capsys):
    ours = book / "notebooks" / "01_first.ipynb"
    reference = book / "tests" / "regression" / "reference" / ours.name
    reference.parent.mkdir(parents=True)
    shutil.copyfile(ours, reference)
    assert main(["address", FORK]) == 0
    assert capsys.readouterr().out.endswith(f"The repository is {FORK}.\n")
    assert configured(book)[0] == FORK
    assert (book / "book" / "index.md").read_text() == PAGE_OF_THE_FORK
    assert check_pairs(book) == []
    for path in (ours, reference):
        assert addresses_in(install_cell_of(path)) == [FORK]
        assert all(c.outputs and c.execution_count for c in code_cells(read_notebook(path)))
    assert rewrite_address(FORK) == [], "a second time there is nothing to do"


# --- the cell that installs the helpers


@pytest.mark.parametrize("pip", [True, False])
def test_the_cell_installs_with_pip_or_else_with_uv(monkeypatch, capsys, pip):
    found, asked = {"pip": pip or None}, []
    monkeypatch.setattr(hosts.importlib.util, "find_spec", found.get)
    monkeypatch.setattr(hosts.subprocess, "check_call", asked.append)
    monkeypatch.setattr(hosts, "prepare", lambda: None)
    exec(install_cell(FORK, "v1.2.0"), {})
    python = sys.executable
    tool = [python, "-m", "pip", "install"] if pip else ["uv", "pip", "install", "--python", python]
    assert asked == [[*tool, "-q", "--no-deps", f"git+{FORK}@v1.2.0"]]
    assert ("There is no pip here" in capsys.readouterr().out) != pip


def test_only_the_cell_changes_and_published_outputs_stay(book, capsys):
    (chapter,) = list_chapters(book)
    assert main(["install-cell", "--ref", "v0.2.0"]) == main(["sync"]) == 0
    cell = install_cell(OURS, "v0.2.0")
    assert chapter.script.read_text() == CHAPTER.replace(OLD_CELL, cell)
    fresh = code_cells(read_notebook(chapter.notebook))
    assert [cell.execution_count for cell in fresh] == list(range(1, len(fresh) + 1))
    assert fresh[0].source == cell
    assert main(["install-cell", "--ref", "v0.2.0"]) == 0
    assert "has the cell already" in capsys.readouterr().out
    assert main(["install-cell"]) == 0
    assert chapter.script.read_text() == CHAPTER.replace(OLD_CELL, cell.replace("v0.2.0", "main"))


# --- refusals, and nothing is written


@pytest.mark.parametrize(
    ("file", "text", "command", "told"),
    [
        ("", "", ["address", "https://gitlab.com/a/b"], "'https://gitlab.com/a/b' is not http"),
        ("", "", ["install-cell", "--ref", 'main"; import os'], "expected a name such as"),
        ("", "", ["install-cell", "--ref", "a/../b"], "expected a name such as"),
        ("_config.yml", "repository: {url: 'https://example.org/x'}", ["address", FORK],
         "repository.url is 'https://example.org/x', expected"),
        ("_config.yml", "title: x", ["install-cell"], "_config.yml does not say where the repo"),
        ("notebooks/02_b.py", CHAPTER * 2, ["install-cell"], "02_b.py has 2 cells tagged colab"),
    ],
)  # fmt: skip
def test_what_cannot_be_rewritten_is_named_and_nothing_is_written(
    book, capsys, file, text, command, told
):
    if file:
        (book / file).write_text(text)
    before = contents(book)
    assert main(command) > 0
    assert told in capsys.readouterr().err
    assert contents(book) == before
