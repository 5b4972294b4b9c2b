"""Where the book's repository is: `_config.yml` says it, and a fork's build finds its own.

The address stands in many files, because Colab, pip and citations need it as text. `_config.yml` is
the one that counts: the others are rewritten to agree (`rewrite_address`), and a site that is built
in a fork leads to the fork (`find_address`).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digits_cli.errors import RunnerError, UsageError
from digits_cli.notebooks import read_notebook, write_notebook
from digits_cli.paths import find_checkout, list_chapters, shown
from digits_cli.yaml_source import YamlSource

GITHUB = "https://github.com/"
# Owner and name as GitHub allows them; a final ".git" or full stop is no part of a name.
_SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*/(?:(?!\.git\b)[\w.-])*(?!\.git\b)[\w-]"
_ADDRESS = re.compile(
    rf"(?:https://github\.com/|(?:ssh://)?git@github\.com[:/])({_SLUG})(?:\.git)?/?"
)
# How the places that lead to a repository name it: GitHub itself, Colab and Binder.
_NAMED = r"(github\.com/|colab\.research\.google\.com/github/|/v2/gh/)"

# Files whose text names the repository, beside the notebooks.
PLACES = ("_config.yml", "CITATION.cff", "README.md", "pyproject.toml", "book/*.md")


def parse_address(text: str) -> str | None:
    """Read the address of a repository on GitHub, in any form that git accepts.

    Parameters
    ----------
    text : str
        Such as ``git@github.com:owner/name.git``.

    Returns
    -------
    str or None
        As ``https://github.com/owner/name``; None when it is anything else.
    """
    found = _ADDRESS.fullmatch(text.strip())
    return GITHUB + found[1] if found else None


def addresses_in(text: str) -> list[str]:
    """List the addresses of repositories on GitHub that a text names.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        As ``https://github.com/owner/name``, in order, each as often as it stands there.
    """
    return [GITHUB + slug for slug in re.findall(rf"https://github\.com/({_SLUG})", text)]


def configured_address(root: Path) -> str | None:
    """Read the address that `_config.yml` names.

    Parameters
    ----------
    root : pathlib.Path

    Returns
    -------
    str or None
        None when it names none.

    Raises
    ------
    RunnerError
        When the file cannot be read, or names something that is not on GitHub.
    """
    written = configured_repository(root).get("url")
    if written is None:
        return None
    address = parse_address(str(written))
    if address is None:
        raise RunnerError(
            f"{shown(root / '_config.yml')}: repository.url is {written!r:.200}, expected "
            f"{GITHUB}OWNER/NAME."
        )
    return address


def configured_repository(root: Path) -> dict[str, Any]:
    """Read what `_config.yml` says of the repository.

    Parameters
    ----------
    root : pathlib.Path

    Returns
    -------
    dict
        Empty when there is no such file, or when it says nothing.

    Raises
    ------
    RunnerError
        When the file cannot be read.
    """
    path = root / "_config.yml"
    if not path.exists():
        return {}
    source = YamlSource(path, RunnerError)
    if not isinstance(source.values, dict):
        raise source.error((), "cannot be read: expected names with values")
    named = source.values.get("repository") or {}
    if not isinstance(named, dict):
        raise source.error(("repository",), "cannot be read: expected url: and branch: below it")
    return named


def find_address(root: Path, environ: Mapping[str, str] | None = None) -> tuple[str | None, str]:
    """Find the address of the repository that this checkout belongs to, and who says so.

    Parameters
    ----------
    root : pathlib.Path
    environ : mapping of str to str, optional
        The process's environment by default.

    Returns
    -------
    address : str or None
        From GitHub Actions' variables, the git remote `origin`, or else `_config.yml`.
    source : str
        Its name, for messages.
    """
    environ = os.environ if environ is None else environ
    server = environ.get("GITHUB_SERVER_URL", GITHUB).rstrip("/") + "/"
    told = parse_address(server + environ.get("GITHUB_REPOSITORY", ""))
    if told:
        return told, "GITHUB_REPOSITORY"
    cloned = parse_address(_origin(root))
    if cloned:
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
    """Put one address in the place of another.

    Parameters
    ----------
    text : str
    old, new : str or None
        As ``https://github.com/owner/name``. With None, or the same twice, nothing changes.

    Returns
    -------
    str
        With links to GitHub, Colab and Binder changed; other repositories are left alone, even
        those whose names begin alike.
    """
    if not old or not new or old == new:
        return text
    before, after = old.removeprefix(GITHUB), new.removeprefix(GITHUB)
    pattern = rf"{_NAMED}{re.escape(before)}(?![\w-]|\.(?!git\b)\w)"
    return re.sub(pattern, lambda found: found[1] + after, text)


def rewrite_notebook(notebook: Any, old: str | None, new: str | None) -> bool:
    """Put one address in the place of another in the text and code of a notebook.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Changed in place; outputs are what a run left and stay.
    old, new : str or None

    Returns
    -------
    bool
        Whether anything changed.
    """
    changed = False
    for cell in notebook.cells:
        text = rewrite_text(cell.source, old, new)
        changed = changed or text != cell.source
        cell.source = text
    return changed


def rewrite_address(new: str | None = None, root: Path | str | None = None) -> list[Path]:
    """Make every file of the checkout name this repository.

    Parameters
    ----------
    new : str, optional
        Its address; by default the one that `find_address` finds.
    root : path, optional
        The checkout; found from the working directory by default.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    UsageError
        For an address that is not of a repository on GitHub.
    RunnerError
        When `_config.yml` names no repository.
    """
    from digit_utils.files import write_atomically
    from digits_cli.pairing import set_stable_ids, sync_pair

    root = find_checkout(root)
    old = configured_address(root)
    if old is None:
        raise RunnerError(f"{shown(root / '_config.yml')} names no repository.url to change.")
    address = find_address(root)[0] if new is None else parse_address(new)
    if address is None:
        raise UsageError(f"'{new}' is not {GITHUB}OWNER/NAME.")
    chapters = list_chapters(root)
    texts = [path for place in PLACES for path in sorted(root.glob(place))]
    # Last of all, for it says what the others still name: stopped half-way, the same call goes on.
    config = root / "_config.yml"
    written = []

    def rewrite(path: Path) -> None:
        text = path.read_bytes().decode("utf-8")  # line ends stay as they are
        changed = rewrite_text(text, old, address)
        if changed != text:
            write_atomically(path, changed.encode("utf-8"))
            written.append(path)

    for path in [*texts, *(c.script for c in chapters if c.script.is_file())]:
        if path != config:
            rewrite(path)
    written += [c.notebook for c in chapters if c.script.is_file() and sync_pair(c)]
    for path in sorted((root / "tests" / "regression" / "reference").glob("*.ipynb")):
        notebook = read_notebook(path)
        ids = [cell.id for cell in notebook.cells]
        sources = [cell.source for cell in notebook.cells]
        if rewrite_notebook(notebook, old, address):
            set_stable_ids(notebook)
            for cell, kept, source in zip(notebook.cells, ids, sources, strict=True):
                if cell.source == source:
                    cell.id = kept
            write_notebook(path, notebook)
            written.append(path)
    rewrite(config)
    return written
