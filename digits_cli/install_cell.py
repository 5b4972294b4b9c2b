"""The first code cell of every chapter: it installs the book's helpers on Colab and Kaggle.

The cell is the same in all chapters but for what ``_config.yml`` names: the repository, and the
branch or tag to install from. It is written into the scripts by `digits install-cell`.
"""

from __future__ import annotations

import re
from pathlib import Path

from digits_cli.errors import RunnerError, UsageError
from digits_cli.notebooks import INSTALL_TAG
from digits_cli.paths import list_chapters, shown
from digits_cli.repository import (
    configured_address,
    configured_repository,
    parse_address,
)

# The address is one literal, so that whoever serves a fork can exchange it.
CELL = """\
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

hosts.prepare()
"""
_REF = re.compile(r"[\w][\w./-]*")
_HEADER = re.compile(rf"^# %%.*\btags=\[[^\]\n]*\"{INSTALL_TAG}\".*$", re.MULTILINE)
_NEXT_CELL = re.compile(r"^# %%", re.MULTILINE)


def install_cell(repository: str, ref: str) -> str:
    """Write the cell's code, without a line break at its end.

    `repository` is such as ``https://github.com/OWNER/REPO``, `ref` a branch or tag. Raises
    UsageError when either is not of that form; it would end up in code.
    """
    if parse_address(repository) != repository:
        raise UsageError(
            f"The repository is {repository!r}, expected an address of the form "
            "https://github.com/OWNER/REPO; see repository.url in _config.yml."
        )
    if not _REF.fullmatch(ref) or ".." in ref:
        raise UsageError(f"The branch or tag is {ref!r}, expected a name such as main or v0.2.0.")
    return CELL.format(repository=repository, ref=ref).rstrip("\n")


def configured(root: Path) -> tuple[str, str]:
    """Read the repository's address and the branch (default main) from ``_config.yml``.

    The address has no slash at its end. Raises RunnerError when the file is missing, is not YAML or
    names no repository on GitHub.
    """
    repository = configured_address(root)
    if repository is None:
        raise RunnerError(
            f"{shown(root / '_config.yml')} does not say where the repository is, expected\n"
            "repository:\n  url: https://github.com/OWNER/REPO\n  branch: main"
        )
    return repository, str(configured_repository(root).get("branch", "main"))


def write_install_cells(root: Path, ref: str | None = None) -> list[Path]:
    """Put today's cell into every chapter's script, and change nothing else in it.

    Returns the scripts that changed. `ref` is the branch or tag to install from; None takes
    ``repository.branch`` of ``_config.yml``. Run `digits sync` afterwards: published outputs stay,
    for the cell is not part of what a chapter computes. Raises RunnerError, and writes nothing,
    when a script does not have exactly one such cell.
    """
    from digit_utils.files import write_atomically

    repository, branch = configured(root)
    cell = install_cell(repository, ref or branch)
    written = {}
    for chapter in list_chapters(root):
        text = chapter.script.read_text(encoding="utf-8-sig")
        written[chapter.script] = _replace(text, cell, chapter.script), text
    changed = {path: new for path, (new, old) in written.items() if new != old}
    for path, new in changed.items():
        write_atomically(path, new.encode("utf-8"))
    return list(changed)


def _replace(text: str, cell: str, path: Path) -> str:
    headers = list(_HEADER.finditer(text))
    if len(headers) != 1:
        raise RunnerError(
            f"{shown(path)} has {len(headers)} cells tagged {INSTALL_TAG}, expected one: "
            f'# %% tags=["{INSTALL_TAG}", "remove-cell"]'
        )
    start = headers[0].end()
    following = _NEXT_CELL.search(text, start)
    end = following.start() if following else len(text)
    gap = end - len(text[start:end].rstrip()) - start  # jupytext leaves one or two empty lines
    return f"{text[:start]}\n{cell}{text[end - gap :]}"
