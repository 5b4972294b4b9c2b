"""Start a chapter: `digits new` writes a stub with all that the tests ask of one."""

import re
from pathlib import Path

from digit_utils.io import write_atomically
from digits_cli.book import CHAPTER_NAME, Chapter, select_chapters, shown
from digits_cli.errors import RunnerError, UsageError
from digits_cli.pairing import sync_pair
from digits_cli.references import BOUNDS
from digits_cli.repository import configured, install_cell

QUESTION = "Which question does this chapter answer?"
TIME = "10 minutes to read; the run takes seconds on a laptop"


def new_chapter(root: Path, name: str) -> list[Path]:
    """Write a stub, profile and bounds, and list them in ``_toc.yml`` and README.md; or nothing.

    `name` is ``NN_snake_case`` with NN after the last chapter's: the number of one that is gone is
    not given again. Returns all files.
    """
    if not CHAPTER_NAME.fullmatch(name):
        raise UsageError(f"{name!r:.80} is no chapter's name, expected one such as 14_my_idea.")
    number, chapter = name[:2], Chapter(name, root / "notebooks")
    taken = {chapter.name[:2]: chapter for chapter in select_chapters(root)}
    last = taken[max(taken)].name
    free = f"{int(last[:2]) + 1:02}"
    if number != free:
        found = f"is the number of {taken[number].name}" if number in taken else "is not next"
        raise UsageError(f"{number} {found}; {free} is free.")
    title = name[3:].replace("_", " ").capitalize()
    cell = install_cell(*configured(root))
    stub = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    row = f"| {int(number)} | [{title}](notebooks/{name}.ipynb) | {QUESTION} | {TIME} |"
    toc, readme, bounds = root / "_toc.yml", root / "README.md", root / BOUNDS
    new = {
        toc: _after(toc, f"file: notebooks/{last}", f"      - file: notebooks/{name}"),
        readme: _after(readme, f"(notebooks/{last}.ipynb)", row),
        bounds: f"{bounds.read_text(encoding='utf-8').rstrip()}\n{name}:\n  n_labelled: 42000\n",
        root / "profiles" / "quick" / f"{name}.yaml": "# The chapter's own defaults.\n",
        chapter.script: stub.format(title=title, question=QUESTION, time=TIME, cell=cell),
    }
    for path, text in new.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8"))
    sync_pair(chapter)
    return [*new, chapter.notebook]


def _after(path: Path, mark: str, line: str) -> str:
    """Return a file's text with a line added after the one that names the chapter before."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^.*{re.escape(mark)}.*$", text, re.MULTILINE)
    if not found:
        raise RunnerError(f"{shown(path)} does not list {mark}, the chapter before; add it first.")
    return f"{text[: found.end()]}\n{line}{text[found.end() :]}"
