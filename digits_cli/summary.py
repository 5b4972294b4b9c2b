"""Print what the terminal shows after a run: failures, a summary, the table of chapters."""

import json
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from digits_cli import book
from digits_cli.book import PROFILES, read_notebook, run_folder, shown
from digits_cli.execute import ChapterRun
from digits_cli.freshness import why_stale
from digits_cli.pairing import check_pairs
from digits_cli.progress import duration
from digits_cli.references import BOUNDS, read_bounds, why_stale_reference
from digits_cli.reports import print_table


def print_failure(run: ChapterRun) -> None:
    """Print the failing cell and its traceback to standard error; nothing if the run succeeded."""
    if run.failure is None:
        return
    message, source, traceback = run.failure
    traceback = traceback if sys.stderr.isatty() else book.without_colour(traceback)
    kept = f"The notebook up to there: {shown(run.output)}" if run.output.is_file() else ""
    parts = [message, textwrap.indent(source, "    "), traceback, kept]
    print("\n" + "\n\n".join(filter(None, parts)), file=sys.stderr)


def print_summary(runs: Sequence[ChapterRun]) -> None:
    """Print one row a chapter: time, peak memory and results."""
    rows = [
        [
            f"{run.name}{' (as it was)' * run.skipped}{' (failed)' * (not run.ok)}",
            duration(run.seconds),
            f"{memory} MB" if (memory := run.record.get("peak_memory_mb")) else "",
            _brief(run.results),
        ]
        for run in runs
    ]
    print_table(["chapter", "time", "peak memory", "results"], rows)
    if runs:
        print(f"Executed notebooks: {shown(runs[-1].output.parent)}")


def _brief(results: dict[str, Any], most: int = 4) -> str:
    """Show the first few plain values that a chapter reported."""
    plain = {k: v for k, v in results.items() if isinstance(v, str | int | float)}
    pairs = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in plain.items()]
    return ", ".join(pairs[:most]) + (" ..." if len(pairs) > most else "")


def print_status(wanted: Sequence[str] = ()) -> bool:
    """Print which chapters and references are stale, why, and when each profile was last run.

    Returns whether all published outputs are fresh; stale references do not count.
    """
    root = book.find_checkout()
    rows: list[list[str]] = []
    because: dict[str, list[str]] = {}
    chapters = book.select_chapters(root, wanted)
    for chapter in chapters:
        reasons = why_stale(root, chapter)
        for reason in reasons:
            because.setdefault(reason, []).append(chapter.name)
        heading = book.title(read_notebook(chapter.notebook)) if chapter.notebook.is_file() else ""
        last = [_last_run(run_folder(root, p) / f"{chapter.name}.ipynb") for p in PROFILES]
        state = "stale" if reasons else "fresh"
        rows.append([chapter.name, heading or "(no notebook: digits sync)", state, *last])
    print_table(["chapter", "title", "published", *PROFILES], rows)
    book.tell_others(root)
    for reason, names in because.items():
        print(f"\nstale: {reason}\n{_wrapped(names)}")
    if because:
        print("\n`digits publish` (or `make publish`) runs these in full and publishes them.")
    if unlike := [chapter.name for chapter in chapters if check_pairs(root, [chapter])]:
        print(f"\n.py and .ipynb differ, `digits sync` makes the .ipynb anew:\n{_wrapped(unlike)}")
    if (root / BOUNDS).is_file():
        why = {c.name: why_stale_reference(root, c) for c in chapters if c.script.is_file()}
        lagging = [name for name in why if why[name]]
        for name in lagging:
            print(f"\nstale reference: {name}, {why[name]}")
        bounded = read_bounds(root / BOUNDS)
        if again := " ".join(name for name in lagging if name in bounded):
            print(f"\n`digits run {again}`, then `digits references {again}`, makes them anew.")
    return not because


def _wrapped(names: list[str]) -> str:
    return textwrap.fill(", ".join(names), 98, initial_indent="  ", subsequent_indent="  ")


def _last_run(output: Path) -> str:
    if not output.is_file():
        return "never"
    day = f"{datetime.fromtimestamp(output.stat().st_mtime):%Y-%m-%d %H:%M}"
    try:
        seconds = json.loads(output.read_text(encoding="utf-8"))["metadata"]["digits"]["seconds"]
    except (ValueError, LookupError, TypeError):
        return day
    return f"{duration(seconds)} on {day}"
