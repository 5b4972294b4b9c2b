"""Where things are: the root of the repository, its chapters, its build folders."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from digits_cli.errors import UsageError, did_you_mean

CHAPTER_NAME = re.compile(r"\d\d_[a-z0-9_]+")
PROFILES = ("quick", "full", "seed")
# In a wheel the scripts and profiles travel here (see pyproject.toml); a checkout has none.
INSTALLED_BOOK = Path(__file__).resolve().parent / "book"


@dataclass(frozen=True)
class Chapter:
    """One chapter: the edited script and the notebook that `digits sync` makes from it."""

    name: str  # such as 03_base_cnn
    folder: Path  # `notebooks`, which holds both halves

    @property
    def script(self) -> Path:
        """The py:percent half."""
        return self.folder / f"{self.name}.py"

    @property
    def notebook(self) -> Path:
        """The ipynb half."""
        return self.folder / f"{self.name}.ipynb"

    @property
    def installed(self) -> bool:
        """Whether it came with the package: then there is a script and no notebook beside it."""
        return self.folder == INSTALLED_BOOK / "notebooks"


def find_root(start: Path | str | None = None) -> Path:
    """Find the book: the nearest folder from `start` (default: the working directory) upwards.

    Else the checkout that this package was installed from, or the chapters in its wheel.
    """
    start = Path(start or Path.cwd()).resolve()
    package_checkout = Path(__file__).resolve().parents[1]
    for folder in (start, *start.parents, package_checkout):
        if (folder / "jupytext.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    if (INSTALLED_BOOK / "notebooks").is_dir():
        return INSTALLED_BOOK
    raise UsageError(
        f"{start} is not inside a checkout of the book: no folder above it holds both "
        "jupytext.toml and notebooks/. Change into your checkout and try again."
    )


def find_checkout(start: Path | str | None = None) -> Path:
    """Find the book for a command that writes into it; an installed book will not do."""
    root = find_root(start)
    if root == INSTALLED_BOOK:
        raise UsageError(
            f"{Path(start or Path.cwd()).resolve()} is not inside a checkout of the book, which "
            "this command needs. `digits run` and `digits sweep` run the chapters in the package."
        )
    return root


def list_chapters(root: Path) -> list[Chapter]:
    """List the chapters found on disk in book order; one of the two halves is enough."""
    names = {path.stem for path in _halves(root)}
    return [Chapter(n, root / "notebooks") for n in sorted(names) if CHAPTER_NAME.fullmatch(n)]


def tell_others(root: Path) -> None:
    """Print a line on what lies beside the chapters and is none, such as a reader's copies."""
    names = sorted(p.name for p in _halves(root) if not CHAPTER_NAME.fullmatch(p.stem))
    if names:
        print(f"Not chapters, as they are not named NN_snake_case: {', '.join(names)}.")


def _halves(root: Path) -> list[Path]:
    return [p for p in (root / "notebooks").iterdir() if p.suffix in {".py", ".ipynb"}]


def select_chapters(root: Path, wanted: Sequence[str] = ()) -> list[Chapter]:
    """Turn full names, unique prefixes (``03``, ``3``) and paths into chapters in book order.

    Nothing wanted means all.
    """
    chapters = list_chapters(root)
    if not chapters:
        raise UsageError(f"{root / 'notebooks'} holds no chapter yet (NN_name.py).")
    chosen = {_select_one(chapters, text).name for text in wanted}
    return [chapter for chapter in chapters if chapter.name in chosen or not wanted]


def _select_one(chapters: list[Chapter], text: str) -> Chapter:
    key = text.zfill(2) if text.isdecimal() and int(text) else text  # 3 is 03
    path, folder = Path(text), chapters[0].folder.resolve()
    is_file = path.suffix in {".py", ".ipynb"}
    if is_file and (
        path.resolve().parent == folder or path.name == text and not os.path.exists(text)
    ):
        key = path.stem
    names = [chapter.name for chapter in chapters]
    found = [c for c in chapters if key and c.name.startswith(key)]
    found = [c for c in found if c.name == key] or found
    if len(found) == 1:
        return found[0]
    if found:
        matches = f"{len(found)} chapters: {', '.join(c.name for c in found)}"
        raise UsageError(f"'{text}' matches {matches}. Type more of the name.")
    meant = " A parameter goes after -p." if "=" in text else did_you_mean(key, names)
    if is_file and not os.path.isfile(text):
        meant = f" There is no such file.{meant}"
    elif is_file:
        meant += f" For another notebook use `papermill {text:.200} output.ipynb`."
    raise UsageError(f"There is no chapter {text!r:.200}.{meant} Chapters: {', '.join(names)}.")


def list_profiles(root: Path) -> list[str]:
    """List the profiles: the book's own, and any folder a reader adds to `profiles/`."""
    own = {path.name for path in root.glob("profiles/*") if path.is_dir()}
    return [*PROFILES, *sorted(own - set(PROFILES))]


def build_folder(root: Path) -> Path:
    """Return ``_build`` in the checkout, or in the working directory for an installed book."""
    return (Path.cwd() if root == INSTALLED_BOOK else root) / "_build"


def run_folder(root: Path, profile: str) -> Path:
    """Return the folder that holds the executed notebooks of a profile."""
    return build_folder(root) / "runs" / profile


def folder_here(folder: Path | str, name: str) -> Path:
    """Return the full path of a folder given as option or parameter `name`; ``~`` is expanded.

    Raises UsageError for an address: ``s3://bucket/name`` would be a folder called ``s3:``.
    """
    if re.search(r"^[\w+.-]{2,}:/|\0", str(folder)):  # C:/ is a folder
        raise UsageError(f"{name} is {folder}, expected a folder on this machine.")
    return Path(os.path.expanduser(folder)).absolute()  # Path's own raises for an unknown ~name


def no_such_file(path: Path) -> str:
    """Say that a file is not there, and offer one of nearly the same name beside it."""
    beside = [other.name for other in path.parent.glob("*")]
    return f"{shown(path)}: there is no such file.{did_you_mean(path.name, beside)}"


def shown(path: Path) -> str:
    """Write a path as the reader would type it: relative when it is below the working directory."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except (ValueError, OSError, RuntimeError):  # elsewhere; a link that leads to itself
        return str(path)
