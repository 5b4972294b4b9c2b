"""Find and rewrite the address of the book's repository.

It stands in many files, because Colab, pip and citations need it as text. `_config.yml` counts:
`rewrite_address` makes the others agree. A site built in a fork links to the fork (`find_address`).
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
    """Return ``https://github.com/owner/name`` for any form of it that git accepts, else None."""
    found = _ADDRESS.fullmatch(text.strip())
    return GITHUB + found[1] if found else None


def addresses_in(text: str) -> list[str]:
    """List the GitHub repositories a text names, as ``https://github.com/owner/name``.

    They are in order, with repeats.
    """
    return [GITHUB + slug for slug in re.findall(rf"https://github\.com/({_SLUG})", text)]


def configured_address(root: Path) -> str | None:
    """Return the repository's address in `_config.yml`, or None when it names none.

    Raises RunnerError when the file cannot be read, or the address is not on GitHub.
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
    """Return the entry ``repository`` of `_config.yml`; empty without the file or the entry.

    Raises RunnerError when the file cannot be read.
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
    """Return the address of this checkout's repository, and the name of its source for messages.

    The sources, in order: GitHub Actions' variables in `environ` (None: the process's environment),
    the git remote `origin`, `_config.yml`. The address is None when none of them names one.
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
    """Replace one repository's address by another in links to GitHub, Colab and Binder.

    Addresses are ``https://github.com/owner/name``. Other repositories are left alone, even those
    whose names begin alike. With None, or the same address twice, nothing changes.
    """
    if not old or not new or old == new:
        return text
    before, after = old.removeprefix(GITHUB), new.removeprefix(GITHUB)
    pattern = rf"{_NAMED}{re.escape(before)}(?![\w-]|\.(?!git\b)\w)"
    return re.sub(pattern, lambda found: found[1] + after, text)


def rewrite_notebook(notebook: Any, old: str | None, new: str | None) -> bool:
    """Apply `rewrite_text` to the cells' sources, in place; return whether any changed."""
    changed = False
    for cell in notebook.cells:
        text = rewrite_text(cell.source, old, new)
        changed = changed or text != cell.source
        cell.source = text
    return changed


def rewrite_address(new: str | None = None, root: Path | str | None = None) -> list[Path]:
    """Make every file of the checkout name this repository; return the files written.

    `new` None: the address that `find_address` finds; `root` None: found from the working
    directory. An interrupted call can be repeated. Raises UsageError for an address that is not on
    GitHub, and RunnerError when `_config.yml` names no repository.
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
