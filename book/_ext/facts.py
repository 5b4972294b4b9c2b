"""What pages say of the book itself, read while the site is built: typed by hand it is soon wrong.

``{chapters}``, ``{timings}`` and ``{versions}`` are tables, of the chapters' opening cells, of how
each was run, and of the installed packages. ``{measured}`draw_page time.median_ms number``` is
``time.median_ms`` of the record ``results/draw_page.json``; the last word is one of `FORMATS`.
"""

import json
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from digit_utils.provenance import package_versions
from digits_cli.book import list_chapters, prose, read_notebook, title
from digits_cli.freshness import brief

logger = logging.getLogger(__name__)

# The first whole line in bold: "**How far does a small network get?**"
QUESTION = re.compile(r"^\*\*(.+\?)\*\*\s*$", re.MULTILINE)
# A row of the table "Before you start": "| Time | 15 minutes to read; ... |"
TIME = re.compile(r"^\|\s*\**Time\**\s*\|\s*(.+?)\s*\|", re.MULTILINE)
NOT_RECORDED = "–"
PACKAGES = [
    "tensorflow", "keras", "numpy", "pandas", "scikit-learn", "hyperopt", "matplotlib", "seaborn",
    "papermill", "jupytext", "nbval", "jupyter-book",
]  # fmt: skip
FORMATS = {
    "percent": lambda share: f"{share:.1%}",
    "whole": lambda share: f"{share:.0%}",
    "interval": lambda shares: f"{shares[0]:.1%} to {shares[1]:.1%}",
    "number": lambda number: f"{number:,.0f}",
    "text": str,
}


@dataclass(frozen=True)
class Facts:
    """What the tables need to know of a chapter; what its notebook does not say is empty."""

    stem: str
    title: str
    question: str
    time: str
    run: dict  # the `digits` metadata that the runner leaves in an executed notebook

    @property
    def link(self) -> str:
        """Its title, leading to it, in Markdown."""
        return f"[{self.title or self.stem}](/notebooks/{self.stem}.ipynb)"

    @property
    def missing(self) -> list[str]:
        """Names of the facts that the notebook does not state."""
        return [name for name in ("title", "question", "time") if not getattr(self, name)]


def read_chapters(root: Path) -> list[Facts]:
    """Read the chapters' notebooks, in the order of their numbers."""
    chapters = []
    for chapter in filter(lambda found: found.notebook.is_file(), list_chapters(root)):
        notebook = read_notebook(chapter.notebook)
        matches = (pattern.search(prose(notebook)) for pattern in (QUESTION, TIME))
        found = [match[1] if match else "" for match in matches]
        run = notebook.metadata.get("digits", {})
        chapters.append(Facts(chapter.name, title(notebook), *found, run=run))
    return chapters


class Table(SphinxDirective):
    """A directive that writes a Markdown table and lets the parser do the rest."""

    header: tuple[str, ...]
    alignment: tuple[str, ...]
    style = ""  # a class for the style sheet

    def run(self) -> list[nodes.Node]:
        # What the table shows is not in the page's own source, so its date says nothing.
        self.env.note_reread()
        lines = [self.header, self.alignment, *self.rows()]
        holder = nodes.container()
        text = ["| " + " | ".join(line) + " |" for line in lines]
        self.state.nested_parse(text, self.content_offset, holder)
        for table in holder.findall(nodes.table):
            table["classes"] += self.style.split()
        return holder.children

    def chapters(self) -> list[Facts]:
        return read_chapters(Path(self.env.srcdir))


class Chapters(Table):
    """``{chapters}``; a chapter that does not state its facts is a warning."""

    header = ("", "Chapter", "The question it answers", "Time")
    alignment = ("---:", "---", "---", "---")
    style = "chapters"

    def rows(self):
        for chapter in self.chapters():
            if chapter.missing:
                logger.warning(
                    "notebooks/%s: no %s found; open the chapter with '# Title', then "
                    "'**Its question?**' on a line of its own, and a table row '| Time | ... |'",
                    chapter.stem,
                    " and no ".join(chapter.missing),
                    location=self.get_location(),
                    type="chapters",
                )
            yield chapter.stem[:2].lstrip("0"), chapter.link, chapter.question, chapter.time


class Timings(Table):
    """``{timings}``; what the runner did not record is a dash."""

    header = ("Chapter", "Profile", "Run time (s)", "Peak memory (MB)", "Outputs")
    alignment = ("---", "---", "---:", "---:", "---")

    def rows(self):
        for chapter in self.chapters():
            run = chapter.run
            seconds, memory = run.get("seconds"), run.get("peak_memory_mb")
            yield (
                chapter.link,
                str(run.get("profile", NOT_RECORDED)),
                NOT_RECORDED if seconds is None else f"{seconds:.0f}",
                NOT_RECORDED if memory is None else f"{memory:,.0f}",
                freshness(run.get("stale")),
            )


def freshness(reasons: list[str] | None) -> str:
    """Say whether outputs are those of the code beside them, and why not."""
    if not reasons:
        return NOT_RECORDED if reasons is None else "fresh"
    # Names of modules have underscores, values of parameters perhaps bars.
    return "stale: " + re.sub(r"([\\`*_|<\[])", r"\\\1", brief(reasons))


class Versions(Table):
    """``{versions}``: Python and the main packages, as far as they are installed."""

    header = ("Package", "Version")
    alignment = ("---", "---")

    def rows(self):
        yield "Python", platform.python_version()
        yield from package_versions(PACKAGES).items()


def read_measured(folder: Path, request: str) -> tuple[str, Path]:
    """Look up ``record path format`` in a folder; return the text and the record, or ValueError."""
    parts = request.split()
    if len(parts) != 3 or parts[2] not in FORMATS:
        raise ValueError(
            f"found {request!r}, expected a record, a path in it and one of {', '.join(FORMATS)}, "
            "for example 'draw_page time.median_ms number'"
        )
    name, path, style = parts
    record = folder / f"{name}.json"
    try:
        value = json.loads(record.read_bytes())
        for key in path.split("."):
            value = value[key]
        return FORMATS[style](value), record
    except FileNotFoundError as error:
        raise ValueError(f"results/{record.name}: no such record; measure first") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"results/{record.name} holds no {style} at {path} ({error!r}); measure again, or "
            "put the page right"
        ) from error


class Measured(SphinxRole):
    """``{measured}``: a measured number, read from its record."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            text, record = read_measured(Path(self.env.srcdir) / "results", self.text)
        except ValueError as error:
            logger.warning("%s", error, location=self.get_location(), type="measured")
            return [nodes.problematic(text=self.rawtext)], []
        self.env.note_dependency(str(record))
        return [nodes.inline(text=text, classes=["measured"])], []


def setup(app: Sphinx) -> dict:
    app.add_directive("chapters", Chapters)
    app.add_directive("timings", Timings)
    app.add_directive("versions", Versions)
    app.add_role("measured", Measured())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
