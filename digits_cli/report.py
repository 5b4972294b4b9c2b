"""Print what the terminal shows after a run: failures, a summary, the table of chapters."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from digits_cli.execute import ChapterRun
from digits_cli.freshness import why_stale
from digits_cli.notebooks import read_notebook, title, without_colour
from digits_cli.pairing import check_pairs
from digits_cli.paths import (
    PROFILES,
    find_checkout,
    run_folder,
    select_chapters,
    shown,
    tell_others,
)
from digits_cli.progress import duration
from digits_cli.references import BOUNDS, why_stale_reference


def print_failure(run: ChapterRun) -> None:
    """Print the failing cell and its traceback to standard error; nothing if the run succeeded."""
    failure = run.failure
    if failure is None:
        return
    parts = [failure.message]
    if failure.source:
        parts.append(textwrap.indent(failure.source, "    "))
    if failure.traceback:
        colour = sys.stderr.isatty()
        parts.append(failure.traceback if colour else without_colour(failure.traceback))
    if run.output.is_file():
        parts.append(f"The notebook up to there: {shown(run.output)}")
    print("\n" + "\n\n".join(parts), file=sys.stderr)


def print_summary(runs: Sequence[ChapterRun]) -> None:
    """Print one row a chapter: time, peak memory and results."""
    rows = [
        [
            f"{run.name}{' (as it was)' * run.skipped}{' (failed)' * (not run.ok)}",
            duration(run.seconds),
            "" if run.peak_memory_mb is None else f"{run.peak_memory_mb} MB",
            _brief(run.results),
        ]
        for run in runs
    ]
    print_table(["chapter", "time", "peak memory", "results"], rows)
    if runs:
        print(f"Executed notebooks: {shown(runs[-1].output.parent)}")


def _brief(results: dict[str, Any], most: int = 4) -> str:
    """Show the first few plain values that a chapter reported."""
    pairs = []
    for name, value in results.items():
        if isinstance(value, float):
            pairs.append(f"{name} {value:.4g}")
        elif isinstance(value, str | int):
            pairs.append(f"{name} {value}")
    more = " ..." if len(pairs) > most else ""
    return ", ".join(pairs[:most]) + more


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table: ruled on a terminal, plain columns elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table()
        for name in head:
            table.add_column(name)
        for row in rows:
            table.add_row(*(Text(text) for text in row))
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_status(wanted: Sequence[str] = ()) -> bool:
    """Print which chapters and references are stale, why, and when each profile was last run.

    `wanted` holds names, unique prefixes or paths; empty means all. Returns whether all published
    outputs are fresh; stale references do not count.
    """
    root = find_checkout()
    rows: list[list[str]] = []
    because: dict[str, list[str]] = {}
    chapters = select_chapters(root, wanted)
    for chapter in chapters:
        name, reasons = chapter.name, why_stale(root, chapter)
        for reason in reasons:
            because.setdefault(reason, []).append(name)
        heading = title(read_notebook(chapter.notebook)) if chapter.notebook.is_file() else ""
        rows.append(
            [name, heading or "(no notebook: digits sync)", "stale" if reasons else "fresh"]
        )
        for profile in PROFILES:
            output = run_folder(root, profile) / f"{name}.ipynb"
            rows[-1].append(_last_run(output) if output.is_file() else "never")
    print_table(["chapter", "title", "published", *PROFILES], rows)
    tell_others(root)
    for reason, names in because.items():
        print(f"\nstale: {reason}")
        print(textwrap.fill(", ".join(names), 98, initial_indent="  ", subsequent_indent="  "))
    if because:
        print("\n`digits publish` (or `make publish`) runs these in full and publishes them.")
    unlike = [chapter.name for chapter in chapters if check_pairs(root, [chapter])]
    if unlike:
        print("\n.py and .ipynb differ, `digits sync` makes the .ipynb anew:")
        print(textwrap.fill(", ".join(unlike), 98, initial_indent="  ", subsequent_indent="  "))
    if (root / BOUNDS).is_file():
        changed = {c.name: why_stale_reference(root, c) for c in chapters if c.script.is_file()}
        lagging = [name for name, why in changed.items() if why]
        for name in lagging:
            print(f"\nstale reference: {name}, {changed[name]}")
        if lagging:
            again = " ".join(lagging)
            print(f"\n`digits run {again}`, then `digits references {again}`, makes them anew.")
    return not because


def _last_run(output: Any) -> str:
    day = datetime.fromtimestamp(output.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    try:
        seconds = json.loads(output.read_text(encoding="utf-8"))["metadata"]["digits"]["seconds"]
    except (ValueError, LookupError, TypeError):
        return day
    return f"{duration(seconds)} on {day}"
