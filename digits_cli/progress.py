"""Show how far a run has come: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol


class Reporter(Protocol):
    """What `run_chapters` tells while it works."""

    def __enter__(self) -> Reporter:
        """Begin showing."""

    def __exit__(self, *exception: object) -> None:
        """Leave the terminal as it was."""

    def start(self, number: int, name: str) -> None:
        """A chapter starts."""

    def skip(self, number: int, name: str) -> None:
        """A chapter is not run: its last run is fresh."""

    def cell(self, index: int, n_cells: int) -> None:
        """A cell starts, numbered from 1."""

    def tick(self) -> None:
        """Half a second has gone by."""

    def finish(self, run: Any) -> None:
        """A chapter has ended; `run` is a ChapterRun."""


def make_reporter(n_chapters: int) -> Reporter:
    """Choose a bar when standard error is a terminal, and plain lines otherwise."""
    return BarReporter(n_chapters) if sys.stderr.isatty() else PlainReporter(n_chapters)


def duration(seconds: float) -> str:
    """Write a time span for people: ``8.3 s``, ``2 min 05 s`` or ``1 h 12 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


class PlainReporter:
    """Lines for a log: one at a chapter's start, one at its end, and some between.

    `every` is the least number of seconds between two lines on the same chapter.
    """

    def __init__(self, n_chapters: int, every: float = 60.0) -> None:
        self.n_chapters = n_chapters
        self.every = every
        self.label = ""
        self.place = ""
        self.started = self.spoke = 0.0

    def __enter__(self) -> PlainReporter:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to put back."""

    def _say(self, text: str) -> None:
        print(f"{self.label}: {text}", file=sys.stderr, flush=True)
        self.spoke = time.monotonic()

    def start(self, number: int, name: str) -> None:
        """Say that a chapter starts."""
        self.label = f"[{number}/{self.n_chapters}] {name}"
        self.place = "starting its kernel"
        self.started = time.monotonic()
        self._say("started")

    def skip(self, number: int, name: str) -> None:
        """Say that a chapter is not run."""
        self.label = f"[{number}/{self.n_chapters}] {name}"
        self._say("fresh, not run again")

    def cell(self, index: int, n_cells: int) -> None:
        """Remember the cell for the next line."""
        self.place = f"cell {index} of {n_cells}"

    def tick(self) -> None:
        """Say where the chapter is, unless the last line is younger than `every` seconds."""
        now = time.monotonic()
        if now - self.spoke >= self.every:
            self._say(f"{self.place}, {duration(now - self.started)} so far")

    def finish(self, run: Any) -> None:
        """Say how a chapter ended."""
        self._say(f"{'done' if run.ok else 'failed'} after {duration(run.seconds)}")


class BarReporter:
    """A bar for each chapter on a terminal, drawn by rich."""

    def __init__(self, n_chapters: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.n_chapters = n_chapters
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[place]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self.task: Any = None

    def __enter__(self) -> BarReporter:
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop drawing and leave the last state on the screen."""
        self.bars.stop()

    def start(self, number: int, name: str) -> None:
        """Add a chapter's bar."""
        label = f"[{number}/{self.n_chapters}] {name}".replace("[", r"\[")
        self.task = self.bars.add_task(label, total=None, place="starting")

    def skip(self, number: int, name: str) -> None:
        """Leave a line in place of a bar."""
        label = rf"\[{number}/{self.n_chapters}] {name}"
        self.bars.console.print(f"{label}: fresh, not run again", highlight=False)

    def cell(self, index: int, n_cells: int) -> None:
        """Move the bar to a cell."""
        place = f"cell {index}/{n_cells}"
        self.bars.update(self.task, total=n_cells, completed=index - 1, place=place)

    def tick(self) -> None:
        """The bar's clock moves by itself."""

    def finish(self, run: Any) -> None:
        """Fill the bar, or leave it where the chapter failed."""
        if run.ok:
            total = self.bars.tasks[self.task].total or 1
            self.bars.update(self.task, total=total, completed=total, place="done")
        else:
            self.bars.update(self.task, place="failed")
        self.bars.stop_task(self.task)
