"""Gather the runs of a sweep: one table as CSV and Parquet, and a page."""

from __future__ import annotations

import html
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digit_utils.files import write_atomically
from digits_cli import page
from digits_cli.errors import did_you_mean
from digits_cli.sweep import SweepRun
from digits_cli.sweep_file import Sweep, as_cell, as_columns

RESULT = "result."  # a chapter may report a value with the name of a parameter


def write_report(sweep: Sweep, runs: Sequence[SweepRun], folder: Path) -> Path:
    """Write ``runs.csv``, ``runs.parquet`` and ``report.html``; return the path of the page."""
    table = gather(runs)
    write_atomically(folder / "runs.csv", table.to_csv(index=False).encode())
    path = _write_page(sweep, runs, table, folder / "report.html")
    buffer = io.BytesIO()
    _one_type_a_column(table).to_parquet(buffer, index=False)
    write_atomically(folder / "runs.parquet", buffer.getvalue())
    return path


def _one_type_a_column(table: Any) -> Any:
    """Turn columns of mixed values into text: Parquet has one type a column."""
    table = table.copy()
    for name in table.columns:
        kinds = {type(value) for value in table[name].dropna()}
        if table[name].dtype == object and len(kinds) > 1:
            table[name] = table[name].map(str, na_action="ignore")
    return table


def gather(runs: Sequence[SweepRun]) -> Any:
    """Return a DataFrame with a row a run; runs that have not ended have empty cells.

    Columns: ``run``, ``status``, ``commit``, ``seconds``, ``peak_memory_mb``, ``error``, the
    parameters, and ``result.<name>`` for each reported value. A dictionary becomes one column for
    each entry, a list its JSON text.
    """
    import pandas as pd

    rows = []
    for run in runs:
        row = {
            "run": run.key,
            "status": run.record.get("status", "not run"),
            "commit": run.record.get("commit"),
            "seconds": run.record.get("seconds"),
            "peak_memory_mb": run.record.get("peak_memory_mb"),
            "error": run.record.get("error"),
        }
        row |= {name: as_cell(value) for name, value in run.parameters.items()}
        row |= as_columns(run.record.get("results", {}), RESULT)
        rows.append(row)
    return pd.DataFrame(rows)


def choose_metric(sweep: Sweep, table: Any) -> str | None:
    """Return the column of `gather` to draw: the requested one, else the first with fractions.

    Without fractions, it is the first number. None when no run reported a number, or not the
    requested one.
    """
    numbers = [
        name
        for name in table.columns
        if name.startswith(RESULT) and table[name].dtype.kind in "fi" and table[name].notna().any()
    ]
    if sweep.metric is not None:
        return RESULT + sweep.metric if RESULT + sweep.metric in numbers else None
    # A column with gaps holds floats whatever was reported, so ask for values with a fraction.
    fractions = [name for name in numbers if (table[name].dropna() % 1 != 0).any()]
    return next(iter(fractions or numbers), None)


def _write_page(sweep: Sweep, runs: Sequence[SweepRun], table: Any, path: Any) -> Any:
    metric = choose_metric(sweep, table)
    counts = table["status"].value_counts()
    summary = ", ".join(f"{number} {html.escape(status)}" for status, number in counts.items())
    fixed = "".join(f", {name} {value!r}" for name, value in sweep.constants.items())
    made = f"From {Path(sweep.file).name}, {time.strftime('%Y-%m-%d')}. "
    made += f"Profile {sweep.profile}{fixed}."
    parts = [
        f"<p>{html.escape(made)} Runs: {summary}. The links lead to the executed notebooks; "
        "open them with Jupyter.</p>",
    ]
    if metric is None and sweep.metric is not None:
        known = [name.removeprefix(RESULT) for name in table.columns if name.startswith(RESULT)]
        hint = f"No run reported the number {sweep.metric!r}.{did_you_mean(sweep.metric, known)}"
        parts.append(f"<p>{html.escape(hint)}</p>")
        print(f"note: {hint}", file=sys.stderr)
    if metric is not None:
        with page.page_style():
            parts += [_drawing(table, name, metric) for name in sweep.varied]
    parts.append(_table(sweep, runs, table, metric))
    return page.write_page(path, f"Sweep of {sweep.chapter.name}", parts)


def _drawing(table: Any, name: str, metric: str) -> str:
    """Draw the metric against one parameter: a dot a run, and mean and spread of each value."""
    from matplotlib.figure import Figure

    good = table[table[metric].notna()].copy()
    good[name] = good[name].astype(object).where(good[name].notna(), "none")
    figure = Figure(figsize=(6.4, 3.2))
    axes = figure.subplots()
    if good[name].map(type).nunique() > 1:
        good[name] = good[name].map(str)
    groups = good.groupby(name, sort=True)[metric]
    # A few values stand side by side, each with its name; many, as random draws give, on an axis.
    numeric = good[name].nunique() > 12 and not any(isinstance(v, str | bool) for v in good[name])
    values = list(groups.groups)
    places = values if numeric else list(range(len(values)))
    place_of = dict(zip(values, places, strict=True))
    axes.plot(good[name].map(place_of), good[metric], ".", color="#767676", label="a run")
    # Over the seeds: what the other parameters do is averaged away first.
    seeds = good.groupby([name, "SEED"])[metric].mean() if "SEED" in good else good[metric]
    spread = seeds.groupby(level=0).std(ddof=1) if "SEED" in good else None
    drawn_spread = spread is not None and spread.notna().any()
    axes.errorbar(
        places, groups.mean(), yerr=spread if drawn_spread else None, fmt="o", color="#0072b2",
        capsize=4, label="mean" + (", standard deviation over the seeds" if drawn_spread else ""),
    )  # fmt: skip
    if numeric and min(values) > 0 and max(values) / min(values) >= 50:
        axes.set_xscale("log")
    if not numeric:
        axes.set_xticks(places, [str(value) for value in values])
    short = metric.removeprefix(RESULT)
    axes.set(title=f"{short} against {name}", xlabel=name, ylabel=short)
    axes.legend(frameon=False, fontsize="small")
    alt = f"{short} against {name}: a dot a run, mean and standard deviation a value"
    return page.drawing(figure, alt)


def _table(sweep: Sweep, runs: Sequence[SweepRun], table: Any, metric: str | None) -> str:
    names = [*sweep.varied, *(["SEED"] if "SEED" in table.columns else [])]
    heads = ["run", *([metric.removeprefix(RESULT)] if metric else []), *names, "seconds", "status"]
    rows = []
    for run, (_, row) in zip(runs, table.iterrows(), strict=True):
        cells = [_link(run)]
        cells += [html.escape(_number(row[metric], ".4f"))] if metric else []
        cells += [html.escape(_number(row[name])) for name in (*names, "seconds", "status")]
        rows.append(cells)
    return page.table(heads, rows, [run.record.get("error") for run in runs])


def _link(run: SweepRun) -> str:
    if not run.record.get("notebook"):
        return html.escape(run.key)
    target = html.escape(f"{run.key}/{run.record['notebook']}", quote=True)
    return f'<a href="{target}">{html.escape(run.key)}</a>'


def _number(value: Any, form: str = ".6g") -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return format(value, form) if isinstance(value, float) else str(value)
