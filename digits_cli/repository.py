"""The address of the book's repository: find it, and rewrite it, the install cells included.

It stands in many files, because Colab, pip and citations need it as text. `_config.yml` counts:
`rewrite_address` makes the others agree. A site built in a fork links to the fork (`find_address`).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from digit_utils.io import write_atomically
from digits_cli.errors import RunnerError, UsageError
from digits_cli.notebooks import INSTALL_TAG
from digits_cli.pairing import sync_pair
from digits_cli.paths import find_checkout, list_chapters, shown
from digits_cli.yaml_source import YamlSource

GITHUB = "https://github.com/"
# Owner and name as GitHub allows them; a final ".git" or full stop is no part of a name.
_SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*/(?:(?!\.git\b)[\w.-])*(?!\.git\b)[\w-]"
_ADDRESS = re.compile(
    rf"(?:https://github\.com/|(?:ssh://)?git@github\.com[:/])({_SLUG})(?:\.git)?/?"
)
# Files whose text names the repository, beside the chapters.
PLACES = "CITATION.cff README.md pyproject.toml book/*.md tests/regression/reference/*.ipynb"

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


def configured_address(root: Path) -> str | None:
    """Return the repository's address in `_config.yml`, or None when it names none."""
    return _configured(root)[0]


def configured(root: Path) -> tuple[str, str]:
    """Return the repository's address and branch in `_config.yml`, which must name them."""
    address, branch = _configured(root)
    if address is None:
        raise RunnerError(
            f"{shown(root / '_config.yml')} does not say where the repository is, expected\n"
            "repository:\n  url: https://github.com/OWNER/REPO\n  branch: main"
        )
    return address, branch


def _configured(root: Path) -> tuple[str | None, str]:
    path = root / "_config.yml"
    if not path.exists():
        return None, "main"
    source = YamlSource(path, RunnerError)
    if not isinstance(source.values, dict):
        raise source.error((), "cannot be read: expected names with values")
    named = source.values.get("repository") or {}
    if not isinstance(named, dict):
        raise source.error(("repository",), "cannot be read: expected url: and branch: below it")
    url = named.get("url")
    address = None if url is None else parse_address(str(url))
    if url is not None and address is None:
        raise RunnerError(
            f"{shown(path)}: repository.url is {url!r:.200}, expected {GITHUB}OWNER/NAME."
        )
    return address, str(named.get("branch", "main"))


def find_address(root: Path, environ: Mapping[str, str] | None = None) -> tuple[str | None, str]:
    """Return the address of this checkout's repository, and the name of its source for messages.

    The sources, in order: GitHub Actions' variables in `environ` (None: the process's environment),
    the git remote `origin`, `_config.yml`.
    """
    environ = os.environ if environ is None else environ
    server = environ.get("GITHUB_SERVER_URL", GITHUB).rstrip("/") + "/"
    if told := parse_address(server + environ.get("GITHUB_REPOSITORY", "")):
        return told, "GITHUB_REPOSITORY"
    if cloned := parse_address(_origin(root)):
        return cloned, "the git remote origin"
    return configured_address(root), "_config.yml"


def _origin(root: Path) -> str:
    if not (root / ".git").exists():  # a folder within another project's checkout is not that one
        return ""
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def rewrite_text(text: str, old: str | None, new: str | None) -> str:
    """Replace one repository's address by another in links to GitHub, Colab and Binder."""
    if not old or not new:
        return text
    before, after = old.removeprefix(GITHUB), new.removeprefix(GITHUB)
    link = r"(github\.com/|colab\.research\.google\.com/github/|/v2/gh/)"
    # Not in the address of a repository whose name begins alike.
    pattern = rf"{link}{re.escape(before)}(?![\w-]|\.(?!git\b)\w)"
    return re.sub(pattern, lambda found: found[1] + after, text)


def rewrite_address(new: str | None = None, root: Path | str | None = None) -> list[Path]:
    """Make every file of the checkout name this repository; return the files written.

    `new` None: the address that `find_address` finds. An interrupted call can be repeated.
    """
    root = find_checkout(root)
    config = root / "_config.yml"
    old = configured_address(root)
    if old is None:
        raise RunnerError(f"{shown(config)} names no repository.url to change.")
    address = find_address(root)[0] if new is None else parse_address(new)
    if address is None:
        raise UsageError(f"'{new}' is not {GITHUB}OWNER/NAME.")
    chapters = [chapter for chapter in list_chapters(root) if chapter.script.is_file()]
    texts = [path for place in PLACES.split() for path in sorted(root.glob(place))]
    written = [p for p in (*texts, *(c.script for c in chapters)) if _rewrite(p, old, address)]
    written += [chapter.notebook for chapter in chapters if sync_pair(chapter)]
    # Last of all, for it says what the others still name: stopped half-way, the same call goes on.
    return [*written, config] if _rewrite(config, old, address) else written


def _rewrite(path: Path, old: str, new: str) -> bool:
    text = path.read_bytes().decode("utf-8")  # line ends stay as they are
    changed = rewrite_text(text, old, new)
    if changed != text:
        write_atomically(path, changed.encode("utf-8"))
    return changed != text


def install_cell(repository: str, ref: str) -> str:
    """Write the code that installs the helpers from a repository's branch or tag `ref`."""
    if parse_address(repository) != repository:  # it would end up in code
        raise UsageError(
            f"The repository is {repository!r}, expected an address of the form "
            "https://github.com/OWNER/REPO; see repository.url in _config.yml."
        )
    if not re.fullmatch(r"[\w][\w./-]*", ref) or ".." in ref:
        raise UsageError(f"The branch or tag is {ref!r}, expected a name such as main or v0.2.0.")
    return INSTALL_CELL.format(repository=repository, ref=ref)


def write_install_cells(root: Path, ref: str | None = None) -> list[Path]:
    """Put today's cell into every chapter's script, and change nothing else; return those written.

    `ref` None: ``repository.branch`` of ``_config.yml``. Raises RunnerError, and writes nothing,
    when a script does not have exactly one such cell.
    """
    repository, branch = configured(root)
    cell = install_cell(repository, ref or branch)
    changed: dict[Path, str] = {}
    for chapter in list_chapters(root):
        text = chapter.script.read_text(encoding="utf-8-sig")
        new, count = _CELL.subn(lambda found: found[1] + cell + found[3], text)
        if count != 1:
            raise RunnerError(
                f"{shown(chapter.script)} has {count} cells tagged {INSTALL_TAG}, expected one: "
                f'# %% tags=["{INSTALL_TAG}", "remove-cell"]'
            )
        if new != text:
            changed[chapter.script] = new
    for path, new in changed.items():
        write_atomically(path, new.encode("utf-8"))
    return list(changed)
