"""The ``{chapters}`` directive: the table of chapters, read from the chapters themselves.

A list of chapters kept by hand is soon wrong. Title, question and time are read from each
notebook's opening cells, so the landing page always agrees with the pages it leads to.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

TITLE = re.compile(r"^# +(.+?)\s*$", re.MULTILINE)
# The first whole line in bold: "**How far does a small network get?**"
QUESTION = re.compile(r"^\*\*(.+\?)\*\*\s*$", re.MULTILINE)
# A row of the table "Before you start": "| Time | 15 minutes to read; ... |"
TIME = re.compile(r"^\|\s*\**Time\**\s*\|\s*(.+?)\s*\|", re.MULTILINE)


@dataclass(frozen=True)
class Chapter:
    """What a table needs to know of one chapter.

    Attributes
    ----------
    stem : str
        File name without its ending, such as ``03_base_cnn``.
    title, question, time : str
        From the opening cells; empty where the notebook does not say.
    run : dict
        The ``digits`` metadata the runner leaves in an executed notebook; empty without.
    """

    stem: str
    title: str
    question: str
    time: str
    run: dict = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Names of the facts the notebook does not state."""
        return [name for name in ("title", "question", "time") if not getattr(self, name)]


def read_chapter(path: Path) -> Chapter:
    """Read one notebook's opening cells and run record.

    Parameters
    ----------
    path : Path
        An ``.ipynb`` file.

    Returns
    -------
    Chapter
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    text = "\n\n".join(
        "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"
    )
    facts = [pattern.search(text) for pattern in (TITLE, QUESTION, TIME)]
    return Chapter(
        path.stem,
        *(match.group(1) if match else "" for match in facts),
        run=notebook["metadata"].get("digits", {}),
    )


def read_chapters(folder: Path) -> list[Chapter]:
    """Read every notebook of a folder, in the order of their numbers."""
    return [read_chapter(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


class GeneratedTable(SphinxDirective):
    """A directive that writes a Markdown table and lets the parser do the rest."""

    has_content = False

    def staged_chapters(self) -> list[Chapter]:
        """Read the notebooks this site is built from."""
        return read_chapters(Path(self.env.srcdir) / "notebooks")

    def render(
        self, header: tuple[str, ...], alignment: tuple[str, ...], rows, style: str = ""
    ) -> list[nodes.Node]:
        """Turn rows of strings into the nodes of a table, with a class for the style sheet."""
        # What the table shows is not in the page's own source, so its date says nothing.
        self.env.note_reread()
        lines = [header, alignment, *rows]
        text = ["| " + " | ".join(line) + " |" for line in lines]
        holder = nodes.container()
        self.state.nested_parse(text, self.content_offset, holder)
        for table in holder.findall(nodes.table):
            table["classes"] += style.split()
        return holder.children


class ChapterTable(GeneratedTable):
    """``{chapters}``: chapter, the question it answers, the time it takes."""

    def run(self) -> list[nodes.Node]:
        """Build the table; a chapter that does not state its facts is a warning."""
        rows = []
        for chapter in self.staged_chapters():
            if chapter.missing:
                logger.warning(
                    "notebooks/%s: no %s found; open the chapter with '# Title', then "
                    "'**Its question?**' on a line of its own, and a table row '| Time | ... |'",
                    chapter.stem,
                    " and no ".join(chapter.missing),
                    location=self.get_location(),
                    type="chapters",
                )
            number = chapter.stem[:2].lstrip("0")
            link = f"[{chapter.title or chapter.stem}](/notebooks/{chapter.stem}.ipynb)"
            rows.append((number, link, chapter.question, chapter.time))
        header = ("", "Chapter", "The question it answers", "Time")
        return self.render(header, ("---:", "---", "---", "---"), rows, style="chapters")


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("chapters", ChapterTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
