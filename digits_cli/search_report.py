"""Report a search's progress and outcome: on the terminal, as CSV and as a page."""

from __future__ import annotations

import html
import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from digit_utils.io import FolderUnavailable, claim_folder, write_atomically
from digits_cli import page
from digits_cli.book import shown
from digits_cli.progress import duration
from digits_cli.report import print_table

SCORE = "Score (minus the loss)"
RESULT = "result."  # in the CSV: a parameter may have any name


def search_progress() -> Callable[[Sequence[Any], int], None]:
    """Return a function for a search's ``progress``: it prints a line as each trial ends."""
    started, new = time.monotonic(), itertools.count(1)

    def show(trials: Sequence[Any], of: int) -> None:
        last, best = trials[-1], _ranked(trials)[0]
        text = f"failed: {last.error}" if last.loss is None else f"loss {last.loss:.6g}"
        if last.status == "stopped":
            text = f"stopped after epoch {len(last.curve)}, {text}"
        text += f", {duration(last.seconds)}; "
        text += f"best {best.loss:.6g}, trial {best.number}" if best.ok else "no loss yet"
        each = (time.monotonic() - started) / next(new)
        if left := of - len(trials):
            text += f"; about {duration(each * left)} left"
        print(f"[{len(trials)}/{of}] {text}", file=sys.stderr, flush=True)

    return show


def print_best(found: Any, folder: Path, most: int = 5) -> bool:
    """Print the `most` best trials; write all to ``trials.csv``, and a page to ``report.html``.

    While another process holds the folder, no file is written. Returns whether any trial succeeded.
    """
    import pandas as pd

    trials = found.trials
    good = [trial for trial in _ranked(trials) if trial.ok]
    print_table(
        ["trial", "loss", "time", *trials[0].parameters],
        [[str(t.number), f"{t.loss:.6g}", duration(t.seconds), *_values(t)] for t in good[:most]],
    )
    print(_summary(found))
    rows = [
        {
            "trial": t.number, **t.parameters, f"{RESULT}loss": t.loss,
            f"{RESULT}outcome": t.status, f"{RESULT}epochs": len(t.curve),
            f"{RESULT}seconds": t.seconds, f"{RESULT}error": t.error,
        }
        for t in trials
    ]  # fmt: skip
    try:
        with claim_folder(folder):
            table = pd.DataFrame(rows).to_csv(index=False).encode()
            write_atomically(folder / "trials.csv", table)
            report = _write_report(found, folder)
        print(f"All of them: {shown(folder / 'trials.csv')}; figures: {shown(report)}")
    except FolderUnavailable as error:  # somebody resumed the search, and will write them
        print(f"note: no report is written, {error}", file=sys.stderr)
    if not good:
        print(f"No trial succeeded. The last: {trials[-1].error}", file=sys.stderr)
    return bool(good)


def _ranked(trials: Sequence[Any]) -> list[Any]:
    return sorted(trials, key=lambda t: (not t.ok, math.inf if t.loss is None else t.loss))


def _values(trial: Any) -> list[str]:
    return [f"{v:.4g}" if isinstance(v, float) else str(v) for v in trial.parameters.values()]


def _summary(found: Any) -> str:
    """Say in a sentence or two how the trials ended."""
    trials = found.trials
    ends = Counter(trial.status for trial in trials)
    text = f"{len(trials)} trial{'s' if len(trials) != 1 else ''}"
    text += f", {ends['failed']} of them failed" if ends["failed"] else ""
    text += f", {ends['stopped']} of them stopped early" if ends["stopped"] else ""
    if whole := max((len(trial.curve) for trial in trials if trial.ok), default=0):
        instead = f" instead of {whole * len(trials)}" if ends["stopped"] else ""
        text += f". They trained {found.epochs} epochs{instead}"
    return text + "."


def _write_report(found: Any, folder: Path) -> Path:
    """Write ``report.html``: the course of the search, its settings and their importance."""
    names = list(found.trials[0].parameters)
    frame, ranked = found.table(), _ranked(found.trials)
    parts = [f"<p>{html.escape(_summary(found))}</p>"]
    if frame["validation_accuracy"].notna().any():
        with page.page_style():
            parts += _figures(frame, names)
    rows = []
    for t in ranked:
        loss = "" if t.loss is None else f"{t.loss:.6g}"
        row = [str(t.number), loss, *_values(t), str(len(t.curve)), f"{t.seconds:.1f}", t.status]
        rows.append([html.escape(text) for text in row])
    heads = ["trial", "loss", *names, "epochs", "seconds", "status"]
    parts.append(page.table(heads, rows, [t.error for t in ranked]))
    return page.write_page(folder / "report.html", f"Search {folder.name}", parts)


def _figures(frame: Any, names: list[str]) -> list[str]:
    import matplotlib.pyplot as plt

    from digit_utils import search_plots
    from digit_utils.importance import parameter_importance

    def drawn(axes: Any, description: str, caption: str = "") -> str:
        figure = page.drawing(axes.figure, description, caption)
        plt.close(axes.figure)
        return figure

    course = search_plots.plot_best_so_far({"this search": frame}, label=SCORE)
    lines = search_plots.plot_parallel_coordinates(frame, names, label=SCORE)
    figures = [
        drawn(course, "The score of every trial, and the best so far."),
        drawn(lines, "A line for each trial through its settings; the best stands out."),
    ]
    try:
        importance, explained = parameter_importance(frame[frame["outcome"] == "ok"], names)
    except ValueError as error:
        return [*figures, f"<p>No estimate of what matters: {html.escape(str(error))}.</p>"]
    caption = (
        f"A random forest explains {explained:.0%} of the variance of trials it did not learn from"
    )
    if explained > 0:
        caption += (
            "; the bars divide up no more than that. Trials that the search chose are no fair "
            "sample, and a parameter may matter only together with another."
        )
    else:
        caption += ", so these bars say nothing."
    bars = search_plots.plot_importance(importance)
    return [*figures, drawn(bars, "A bar for each parameter.", caption)]
