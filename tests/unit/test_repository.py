"""One address of the repository, in every place that names it; a fork's book leads to the fork."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from helpers import ROOT, addresses_in, committed
from runner_books import FIRST, digits, make_book, pretend_run

import digit_utils
from digit_utils import hosts
from digits_cli.cli import main
from digits_cli.errors import RunnerError, UsageError
from digits_cli.notebooks import INSTALL_TAG, cells_tagged, read_notebook, write_notebook
from digits_cli.pairing import check_pairs, read_script
from digits_cli.paths import list_chapters
from digits_cli.publish import number_cells
from digits_cli.repository import (
    GITHUB,
    PLACES,
    configured,
    configured_address,
    find_address,
    install_cell,
    parse_address,
    rewrite_address,
    rewrite_text,
    write_install_cells,
)
from digits_cli.site import stage_site

OURS = "https://github.com/digits-book/digits-book"  # of the tiny books below
FORK = "https://github.com/some-one/my.digits"
INSTALL = f"""# %% tags=["colab", "remove-cell"]
source = "digit-utils @ git+{OURS}"

"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    for name in ("GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    head, tail = FIRST.split('# %% tags=["parameters"]', 1)
    first = f'{head}{INSTALL}# %% tags=["parameters"]{tail}'
    book = make_book(tmp_path / "book", c01_first=first)
    (book / "_config.yml").write_text(f"title: Tiny\nrepository:\n  url: {OURS}\n")
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/01_first\n"
    )
    (book / "book").mkdir()
    (book / "book" / "index.md").write_text(
        f"# Welcome\n\n`git clone {OURS}`, beside {OURS}-more and {OURS}.\n"
    )
    return book


# --- this repository


def test_every_place_names_the_repository_of_the_configuration():
    address = configured_address(ROOT)
    slug = address.removeprefix(GITHUB)
    read = {
        name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CITATION.cff")
    }
    assert yaml.safe_load(read["CITATION.cff"])["repository-code"] == address
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls == {"Source": address, "Issues": f"{address}/issues"}
    on_colab = re.findall(
        r"colab\.research\.google\.com/github/([\w-]+/[\w.-]+)/", read["README.md"]
    )
    assert on_colab and set(on_colab) == {slug}
    assert address in addresses_in((ROOT / "book/how_to_run.md").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == digit_utils.__version__


@pytest.mark.parametrize("chapter", list_chapters(ROOT), ids=lambda chapter: chapter.name)
def test_an_install_cell_holds_the_address_once(chapter):
    reference = ROOT / "tests" / "regression" / "reference" / f"{chapter.name}.ipynb"
    assert reference.is_file(), "run `digits run NN`, then `digits references NN`"
    for notebook in (
        read_script(chapter.script),
        read_notebook(chapter.notebook),
        read_notebook(reference),
    ):
        (cell,) = cells_tagged(notebook, "colab")
        assert addresses_in(cell.source) == [configured_address(ROOT)]


def test_no_other_file_names_it_so_that_one_command_rewrites_all():
    """Whatever names the repository is in the reach of `digits address`, or takes it from there."""
    reached = {path for place in PLACES.split() for path in ROOT.glob(place)}
    reached |= {ROOT / "_config.yml", *(ROOT / "notebooks").glob("*")}
    slug = configured_address(ROOT).removeprefix(GITHUB).encode()
    elsewhere = [
        path for path in committed(new=True) if path not in reached and slug in path.read_bytes()
    ]
    own = Path(__file__)  # the example above, which is not rewritten
    assert [str(path.relative_to(ROOT)) for path in elsewhere if path != own] == []


# --- reading addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (FORK, FORK),
        (f"{FORK}.git\n", FORK),
        (f"{FORK}/", FORK),
        ("git@github.com:some-one/my.digits.git", FORK),
        ("ssh://git@github.com/some-one/my.digits", FORK),
        ("https://gitlab.com/some-one/my.digits", None),
        ("https://github.com/some-one", None),
        ("https://github.com/some-one/a/b", None),
        ("https://github.com.evil.example/some-one/a", None),
        ("/srv/git/digits.git", None),
        ("", None),
    ],
)
def test_addresses_are_read_in_every_form_and_no_other(text, address):
    assert parse_address(text) == address


def test_only_the_repository_itself_is_rewritten():
    kept = (
        f"{OURS}-more {OURS}.more https://github.com/naingthet/mnist "
        "https://gitlab.example/digits-book/digits-book"
    )
    assert rewrite_text(kept, OURS, FORK) == kept
    text = (
        f"git+{OURS}@v1 {OURS}.git {OURS}/issues '{OURS}'. See {OURS}. "
        "https://colab.research.google.com/github/digits-book/digits-book/blob/main/x.ipynb "
        f"https://kaggle.com/kernels/welcome?src={OURS}/blob/main/x.ipynb "
        "https://mybinder.org/v2/gh/digits-book/digits-book/main"
    )
    assert "digits-book/digits-book" not in rewrite_text(text, OURS, FORK)
    assert rewrite_text(rewrite_text(text, OURS, FORK), FORK, OURS) == text
    assert addresses_in(text)[:2] == [OURS, OURS]


def test_an_address_elsewhere_in_the_configuration_is_told(book):
    (book / "_config.yml").write_text("repository: {url: https://example.org/x}\n")
    with pytest.raises(RunnerError, match="repository.url is 'https://example.org/x', expected"):
        configured_address(book)


# --- who says where the repository is


def test_actions_say_it_first_then_the_remote_then_the_configuration(book):
    assert find_address(book, {}) == (OURS, "_config.yml")
    subprocess.run(["git", "init", "-q"], cwd=book, check=True)
    remote = ["git", "remote", "add", "origin", "/somewhere/else.git"]
    subprocess.run(remote, cwd=book, check=True)
    assert find_address(book, {})[0] == OURS
    remote = ["git", "remote", "set-url", "origin", "git@github.com:some-one/my.digits.git"]
    subprocess.run(remote, cwd=book, check=True)
    assert find_address(book, {}) == (FORK, "the git remote origin")
    actions = {"GITHUB_REPOSITORY": "third/one", "GITHUB_SERVER_URL": "https://github.com"}
    assert find_address(book, actions) == ("https://github.com/third/one", "GITHUB_REPOSITORY")
    # Colab reads from github.com alone; a server of a company's own is not for its buttons.
    actions["GITHUB_SERVER_URL"] = "https://git.example.com"
    assert find_address(book, actions)[0] == FORK


def test_a_site_built_in_a_fork_leads_to_the_fork_and_changes_no_source(book, monkeypatch, capsys):
    pretend_run(book, "01_first")
    before = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    monkeypatch.setenv("GITHUB_REPOSITORY", "some-one/my.digits")
    stage_site(book, "quick")
    site = book / "_build" / "site"
    assert configured_address(site) == FORK
    assert addresses_in((site / "book" / "index.md").read_text()) == [FORK, f"{OURS}-more", FORK]
    (cell,) = cells_tagged(read_notebook(site / "notebooks" / "01_first.ipynb"), "colab")
    assert addresses_in(cell.source) == [FORK]
    assert f"Links lead to {FORK} (by GITHUB_REPOSITORY" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in before}


# --- the command


def test_one_command_rewrites_every_place_and_keeps_the_outputs(book):
    ours = book / "notebooks" / "01_first.ipynb"
    shutil.copyfile(pretend_run(book, "01_first"), ours)  # as published: with outputs
    references = book / "tests" / "regression" / "reference"
    references.mkdir(parents=True)
    shutil.copyfile(ours, references / ours.name)
    done = digits(book, "address", FORK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"The repository is {FORK}.\n")
    assert configured_address(book) == FORK
    assert f"git+{FORK}" in (book / "notebooks" / "01_first.py").read_text()
    assert check_pairs(book) == []
    for path in (ours, references / ours.name):
        notebook = read_notebook(path)
        (cell,) = cells_tagged(notebook, "colab")
        assert addresses_in(cell.source) == [FORK]
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert all(cell.outputs for cell in code)
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert rewrite_address(FORK, book) == [], "a second time there is nothing to do"


def test_a_wrong_address_changes_nothing(book):
    before = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="'https://gitlab.com/a/b' is not https://github.com/"):
        rewrite_address("https://gitlab.com/a/b", book)
    assert before == {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}


# --- the cell that installs the helpers


def test_the_cell_is_short_and_names_the_repository_once():
    cell = install_cell(FORK, "v1.2.0")
    literals = [n.value for n in ast.walk(ast.parse(cell)) if isinstance(n, ast.Constant)]
    assert cell.count(FORK) == 1 and FORK in literals
    assert "--no-deps" in literals and '@v1.2.0"' in cell
    assert len(cell.splitlines()) <= 17


@pytest.mark.parametrize("pip", [True, False])
def test_the_cell_installs_with_pip_or_else_with_uv(monkeypatch, capsys, pip):
    found, asked = {"pip": pip or None}, []
    monkeypatch.setattr(hosts.importlib.util, "find_spec", found.get)
    monkeypatch.setattr(hosts.subprocess, "check_call", asked.append)
    monkeypatch.setattr(hosts, "prepare", lambda: None)
    exec(install_cell(FORK, "main"), {})
    tool = [sys.executable, "-m", "pip", "install"]
    if not pip:
        tool = ["uv", "pip", "install", "--python", sys.executable]
    assert asked == [[*tool, "-q", "--no-deps", f"git+{FORK}@main"]]
    assert ("There is no pip here" in capsys.readouterr().out) != pip


@pytest.mark.parametrize(
    ("repository", "ref"),
    [
        ('https://github.com/a/b"; import os; "', "main"),
        ("http://github.com/a/b", "main"),
        ("https://github.com/a", "main"),
        ("https://github.com/a/b/", "main"),
        ("https://github.com/a/b", 'main"; import os'),
        ("https://github.com/a/b", "--upload-pack=x"),
        ("https://github.com/a/b", "a/../b"),
        ("https://github.com/a/b", ""),
    ],
)
def test_what_is_no_address_or_name_does_not_get_into_code(repository, ref):
    with pytest.raises(UsageError, match="expected"):
        install_cell(repository, ref)


def test_every_chapter_has_todays_cell_for_the_branch_or_this_version():
    repository, branch = configured(ROOT)
    allowed = {install_cell(repository, r) for r in (branch, f"v{digit_utils.__version__}")}
    found = {
        cell.source
        for chapter in list_chapters(ROOT)
        for cell in cells_tagged(read_script(chapter.script), INSTALL_TAG)
    }
    assert len(found) == 1 and found <= allowed, "run `digits install-cell`, then `digits sync`"


CHAPTER = """# %% [markdown]
# # A chapter

# %% tags=["colab", "remove-cell"]
install("from https://github.com/old/place")

# %% tags=["parameters"]
SEED: int = 0  # of nothing


# %%
def double(x):
    return 2 * x


double(1)
"""


@pytest.fixture
def cell_book(tmp_path, monkeypatch):
    make_book(tmp_path, c01_first=CHAPTER)
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {FORK}/\n  branch: main\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_the_cell_changes_and_published_outputs_stay(cell_book, capsys):
    (chapter,) = list_chapters(cell_book)
    published = read_notebook(chapter.notebook)
    number_cells(published)
    write_notebook(chapter.notebook, published)

    assert main(["install-cell", "--ref", "v0.2.0"]) == 0
    cell = install_cell(FORK, "v0.2.0")
    text = CHAPTER.replace('install("from https://github.com/old/place")', cell)
    assert chapter.script.read_text() == text
    assert main(["sync"]) == 0
    fresh = [cell for cell in read_notebook(chapter.notebook).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in fresh] == [1, 2, 3]
    assert fresh[0].source == cell

    assert main(["install-cell", "--ref", "v0.2.0"]) == 0
    assert "has the cell already" in capsys.readouterr().out
    assert main(["install-cell"]) == 0
    assert chapter.script.read_text() == text.replace("v0.2.0", "main")


@pytest.mark.parametrize("text", [CHAPTER.replace('"colab", ', ""), CHAPTER + CHAPTER])
def test_a_chapter_without_the_one_cell_is_named_and_nothing_is_written(cell_book, text):
    (cell_book / "notebooks/02_second.py").write_text(text)
    with pytest.raises(RunnerError, match=r"02_second\.py has [02] cells tagged colab"):
        write_install_cells(cell_book)
    assert (cell_book / "notebooks/01_first.py").read_text() == CHAPTER


@pytest.mark.parametrize("config", ["repository: here", "title: x", "repository: [", None])
def test_a_configuration_without_the_repository_is_refused(cell_book, config):
    (cell_book / "_config.yml").unlink()
    if config is not None:
        (cell_book / "_config.yml").write_text(config)
    with pytest.raises(
        RunnerError, match=r"_config\.yml.* (does not say|cannot be read|is not YAML)"
    ):
        write_install_cells(cell_book)
