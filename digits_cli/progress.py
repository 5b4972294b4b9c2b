"""Show how far a run has come: a line that renews itself on a terminal, plain lines elsewhere."""

import shutil
import sys
import time
from typing import Any

SILENCE = 60.0  # seconds between two plain lines on the same chapter, at least
BAR = 24  # characters


def duration(seconds: float) -> str:
    """Write a time span for people: ``8.3 s``, ``2 min 05 s`` or ``1 h 12 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


class Reporter:
    """Tell on standard error how a run of several chapters goes."""

    def __init__(self, n_chapters: int) -> None:
        self.n_chapters = n_chapters
        self.live = sys.stderr.isatty()
        self.label = self.place = ""
        self.started = self.spoke = 0.0

    def _say(self, text: str, renew: bool = False) -> None:
        line, end = f"{self.label}: {text}", "\n"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            line = f"\r{line[:width].ljust(width)}"  # over the line before
            end = "" if renew else "\n"
        print(line, end=end, file=sys.stderr, flush=True)
        self.spoke = time.monotonic()

    def start(self, number: int, name: str, fresh: bool = False) -> None:
        """A chapter starts, or is not run as its last run is fresh."""
        self.label = f"[{number}/{self.n_chapters}] {name}"
        self.place = "starting its kernel"
        self.started = time.monotonic()
        self._say("fresh, not run again" if fresh else "started", renew=not fresh)

    def cell(self, number: int, n_cells: int) -> None:
        """A cell starts, numbered from 1."""
        self.place = f"cell {number} of {n_cells}"
        if self.live:
            done = BAR * (number - 1) // n_cells
            self.place = f"[{'#' * done}{'.' * (BAR - done)}] {self.place}"
            self.tick()

    def tick(self) -> None:
        """Half a second has gone by."""
        now = time.monotonic()
        if self.live or now - self.spoke >= SILENCE:
            self._say(f"{self.place}, {duration(now - self.started)} so far", renew=True)

    def finish(self, run: Any) -> None:
        """A chapter has ended; `run` is a ChapterRun."""
        self._say(f"{'done' if run.ok else 'failed'} after {duration(run.seconds)}")
