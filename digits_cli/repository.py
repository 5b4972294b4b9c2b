"""Find and rewrite the repository's address; of all files that hold it, `_config.yml` counts."""

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from digit_utils.io import write_atomically
from digits_cli.book import INSTALL_TAG, find_checkout, list_chapters, shown
from digits_cli.errors import RunnerError, UsageError
from digits_cli.pairing import sync_pair
from digits_cli.yaml_source import YamlSource

GITHUB = "https://github.com/"
# Owner and name as GitHub allows them; a final ".git" or full stop is no part of a name.
_SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*/(?:(?!\.git\b)[\w.-])*(?!\.git\b)[\w-]"
_ADDRESS = re.compile(
    rf"(?:https://github\.com/|(?:ssh://)?git@github\.com[:/])({_SLUG})(?:\.git)?/?"
)
# Files whose text names the repository.
PLACES = ["CITATION.cff", "README.md", "pyproject.toml", "book/*.md", "notebooks/[0-9]*.py",
          "tests/regression/reference/*.ipynb"]  # fmt: skip

# The first code cell of every chapter, the same in all but for what `_config.yml` names. The
# address is one literal, so that whoever serves a fork can exchange it.
INSTALL_CELL = """\
# Installs the book's helpers where they are missing: on Colab, on Kaggle (Settings, Internet on).
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("digit_utils") is None:
    book = "{repository}"
    pip = [sys.executable, "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        print("There is no pip here, uv installs instead; without uv: python -m ensurepip")
        pip = ["uv", "pip", "install", "--python", sys.executable]
    subprocess.check_call([*pip, "-q", "--no-deps", f"git+{{book}}@{ref}"])
    importlib.invalidate_caches()

from digit_utils import hosts

hosts.prepare()"""
_CELL = re.compile(
    rf'(^# %%[^\n]*\btags=\[[^\]\n]*"{INSTALL_TAG}"[^\n]*\n)(.*?)(\n*(?=^# %%)|\s*\Z)', re.M | re.S
)


def parse_address(text: str) -> str | None:
    """Return ``https://github.com/owner/name`` for any form of it that git accepts, else None."""
    found = _ADDRESS.fullmatch(text.strip())
    return GITHUB + found[1] if found else None


def configured(root: Path) -> tuple[str | None, str]:
    """Return the repository's address and branch in `_config.yml`; None when it names none."""
    source = YamlSource(root / "_config.yml", RunnerError)
    try:
        named = source.values.get("repository") or {}
        url, branch = named.get("url"), str(named.get("branch", "main"))
    except AttributeError as error:
        told = "cannot be read: expected repository: with url: and branch: below it"
        raise source.error(("repository",), told) from error
    address = parse_address(str(url))
    told = f"repository.url is {url!r:.200}, expected {GITHUB}OWNER/NAME"
    source.need(url is None or address, ("repository", "url"), told)
    return address, branch


def find_address(root: Path) -> tuple[str | None, str]:
    """Return the address of this checkout's repository, and the name of its source for messages.

    The sources, in order: GitHub Actions' variables, the git remote `origin`, `_config.yml`.
    """
    server = os.environ.get("GITHUB_SERVER_URL", GITHUB).rstrip("/") + "/"
    if told := parse_address(server + os.environ.get("GITHUB_REPOSITORY", "")):
        return told, "GITHUB_REPOSITORY"
    if (root / ".git").exists():  # else it may lie within another project's checkout
        command = ["git", "-C", str(root), "remote", "get-url", "origin"]
        with suppress(OSError):  # no git
            found = subprocess.run(command, capture_output=True, text=True).stdout
            if cloned := parse_address(found):
                return cloned, "the git remote origin"
    return configured(root)[0], "_config.yml"


def rewrite_file(path: Path, old: str, new: str) -> bool:
    """Replace a repository's address in links to GitHub, Colab and Binder; tell if there are any.

    The address of a repository whose name begins alike stays, and so do line ends.
    """
    link = rb"(github\.com/|colab\.research\.google\.com/github/|/v2/gh/)"
    before, after = (url.removeprefix(GITHUB).encode() for url in (old, new))
    pattern = link + re.escape(before) + rb"(?![\w-]|\.(?!git\b)\w)"
    text = path.read_bytes()
    changed = re.sub(pattern, lambda found: found[1] + after, text)
    return changed != text and bool(write_atomically(path, changed))


def rewrite_address(new: str | None) -> list[Path]:
    """Make every file name the repository `new`, or that of `find_address`; return those written.

    An interrupted call can be repeated.
    """
    root = find_checkout()
    config = root / "_config.yml"
    old = configured(root)[0]
    if old is None:
        raise RunnerError(f"{shown(config)} names no repository.url to change.")
    address = find_address(root)[0] if new is None else parse_address(new)
    if address is None:
        raise UsageError(f"'{new}' is not {GITHUB}OWNER/NAME.")
    texts = [path for place in PLACES for path in sorted(root.glob(place))]
    written = [path for path in texts if rewrite_file(path, old, address)]
    chapters = (chapter for chapter in list_chapters(root) if chapter.script.is_file())
    written += [chapter.notebook for chapter in chapters if sync_pair(chapter)]
    # Last of all, for it says what the others still name: stopped half-way, the same call goes on.
    return [*written, config] if rewrite_file(config, old, address) else written


def install_cell(repository: str | None, ref: str) -> str:
    """Write the code that installs the helpers from a repository's branch or tag `ref`."""
    if repository is None:
        expected = f"repository:\n  url: {GITHUB}OWNER/REPO\n  branch: main"
        raise RunnerError(f"_config.yml does not say where the repository is, expected\n{expected}")
    if not re.fullmatch(r"[\w][\w./-]*", ref) or ".." in ref:  # it ends up in code
        raise UsageError(f"The branch or tag is {ref!r}, expected a name such as main or v0.2.0.")
    return INSTALL_CELL.format(repository=repository, ref=ref)


def write_install_cells(root: Path, ref: str | None = None) -> list[Path]:
    """Put today's cell into every chapter's script; return those written.

    `ref` None: the branch in ``_config.yml``. Nothing is written if a script lacks such a cell.
    """
    repository, branch = configured(root)
    cell = install_cell(repository, ref or branch)
    changed: dict[Path, str] = {}
    for chapter in list_chapters(root):
        text = chapter.script.read_text(encoding="utf-8-sig")
        new, count = _CELL.subn(lambda found: found[1] + cell + found[3], text)
        if count != 1:
            found = f"{shown(chapter.script)} has {count} cells tagged {INSTALL_TAG}"
            raise RunnerError(f'{found}, expected one: # %% tags=["{INSTALL_TAG}", "remove-cell"]')
        changed |= {chapter.script: new} if new != text else {}
    for path, new in changed.items():
        write_atomically(path, new.encode("utf-8"))
    return list(changed)
