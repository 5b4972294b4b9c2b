"""The book on disk: its root, chapters and build folders, and what a notebook holds."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_utils.hosts import without_chatter
from digit_utils.io import write_atomically
from digits_cli.errors import RunnerError, UsageError, did_you_mean

CHAPTER_NAME = re.compile(r"\d\d_[a-z0-9_]+")
HALVES = (".py", ".ipynb")
PROFILES = ("quick", "full", "seed")
INSTALL_TAG = "colab"  # of the cell that installs the helpers where they are missing
# In a wheel the scripts and profiles travel here (see pyproject.toml); a checkout has none.
INSTALLED_BOOK = Path(__file__).resolve().parent / "installed"


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
        """The ipynb half; a chapter that came with the package has none."""
        return self.folder / f"{self.name}.ipynb"

    @property
    def installed(self) -> bool:
        """Whether it came with the package."""
        return self.folder == INSTALLED_BOOK / "notebooks"


def find_root(start: Path | str | None = None) -> Path:
    """Find the book: the nearest folder from `start` (default: the working directory) upwards.

    Else the checkout that this package was installed from, or the chapters in its wheel.
    """
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents, Path(__file__).resolve().parents[1]):
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
    names = {p.stem for p in (root / "notebooks").iterdir() if p.suffix in HALVES}
    return [Chapter(n, root / "notebooks") for n in sorted(names) if CHAPTER_NAME.fullmatch(n)]


def tell_others(root: Path) -> None:
    """Print a line on what lies beside the chapters and is none, such as a reader's copies."""
    beside = sorted(p for p in (root / "notebooks").iterdir() if p.suffix in HALVES)
    if names := [p.name for p in beside if not CHAPTER_NAME.fullmatch(p.stem)]:
        print(f"Not chapters, as they are not named NN_snake_case: {', '.join(names)}.")


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
    key = text.zfill(2) if text.isdecimal() and text.strip("0") else text  # 3 is 03
    path, folder = Path(text), chapters[0].folder.resolve()
    is_file, exists = path.suffix in HALVES, os.path.exists(text)
    if is_file and (path.resolve().parent == folder or path.name == text and not exists):
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
    if is_file and not exists:
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
    """Return the full path of a folder given as option or parameter `name`; refuse an address."""
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


def read_notebook(path: Path) -> Any:
    """Read an ipynb file as version 4; FileNotFoundError, or RunnerError when it is no notebook.

    Metadata named ``digits`` that is no run's record is dropped: a notebook without one is stale.
    """
    import nbformat

    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
        for number, cell in enumerate(notebook.cells, start=1):
            needed = {"cell_type", "metadata", "source"}
            needed |= {"outputs"} if cell.get("cell_type") == "code" else set()
            if lacking := sorted(needed - cell.keys()):
                raise ValueError(f"cell {number} lacks {', '.join(lacking)}")
    except FileNotFoundError:
        raise
    except Exception as error:
        raise RunnerError(f"{path} is not a readable notebook: {error}") from error
    record = notebook.metadata.get("digits", {})
    with suppress(AttributeError):
        parts = [record.get("parameters", {}), *record.get("fingerprint", {}).values()]
        if all(isinstance(part, dict) for part in parts):
            return notebook
    del notebook.metadata["digits"]
    return notebook


def write_notebook(path: Path, notebook: Any) -> None:
    """Write a notebook atomically, in the layout Jupyter itself uses."""
    import nbformat

    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    write_atomically(path, text.encode("utf-8"))


def tags(cell: Any) -> list[str]:
    """Return a cell's tags, empty when it has none."""
    return list(cell.metadata.get("tags", []))


def cells_tagged(notebook: Any, tag: str) -> list[Any]:
    """Return the cells that carry a tag, in order."""
    return [cell for cell in notebook.cells if tag in tags(cell)]


def code_cells(notebook: Any, *without: str) -> list[Any]:
    """Return the code cells in order, but for those with one of some tags."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [cell for cell in cells if not set(without) & set(tags(cell))]


def code_sources(notebook: Any) -> list[str]:
    """Return the sources of code cells that are neither injected nor install the helpers."""
    return [cell.source for cell in code_cells(notebook, "injected-parameters", INSTALL_TAG)]


def prose(notebook: Any) -> str:
    """Return the text of all markdown cells."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def title(notebook: Any) -> str:
    """Return the first ``# `` heading without its sign, empty when there is none."""
    found = re.search(r"^# +(.+)", prose(notebook), re.MULTILINE)
    return found[1].strip() if found else ""


def without_colour(text: str) -> str:
    """Remove a terminal's colour codes from a text."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def join_streams(outputs: list[Any]) -> list[Any]:
    """Join neighbouring pieces of what a cell printed, in place; drop TensorFlow's first notes."""
    joined: list[Any] = []
    for output in outputs:
        printed = output.output_type == "stream"
        if printed and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.get("name") == "stderr":
            output.text = without_chatter(output.text)
    return [output for output in joined if output.get("text", True)]
