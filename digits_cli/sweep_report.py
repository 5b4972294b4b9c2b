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
from digits_cli.sweep_file import Sweep, SweepRun, as_columns

RESULT = "result."  # a chapter may report a value with the name of a parameter
ABOUT_A_RUN = ("status", "commit", "seconds", "peak_memory_mb", "error")


def write_report(sweep: Sweep, runs: Sequence[SweepRun], folder: Path) -> Path:
    """Write ``runs.csv``, ``runs.parquet`` and ``report.html``; return the path of the page."""
    table = gather(runs)
    write_atomically(folder / "runs.csv", table.to_csv(index=False).encode())
    path = _write_page(sweep, runs, table, folder / "report.html")
    for name in table.columns:  # Parquet has one type a column
        if table[name].dtype == object and table[name].dropna().map(type).nunique() > 1:
            table[name] = table[name].map(str, na_action="ignore")
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomically(folder / "runs.parquet", buffer.getvalue())
    return path


def gather(runs: Sequence[SweepRun]) -> Any:
    """Return a DataFrame with a row a run; runs that have not ended have empty cells.

    Columns: ``run``, ``status``, ``commit``, ``seconds``, ``peak_memory_mb``, ``error``, the
    parameters, and ``result.<name>`` for each reported value. A dictionary becomes one column for
    each entry, a list its JSON text.
    """
    import pandas as pd

    rows = []
    for run in runs:
        about = {name: run.record.get(name) for name in ABOUT_A_RUN}
        about["status"] = about["status"] or "not run"
        reported = as_columns(run.record.get("results") or {}, RESULT)
        rows.append({"run": run.key, **about, **as_columns(run.parameters), **reported})
    return pd.DataFrame(rows)


def choose_metric(sweep: Sweep, table: Any) -> str | None:
    """Return the column of `gather` to draw: the requested one, else the first with fractions.

    Without fractions, it is the first number; None if there is none, or not the requested one.
    """
    results = table[[name for name in table.columns if name.startswith(RESULT)]]
    numbers = results.select_dtypes("number").dropna(axis="columns", how="all")
    if sweep.metric is not None:
        return RESULT + sweep.metric if RESULT + sweep.metric in numbers else None
    # A column with gaps holds floats whatever was reported, so ask for values with a fraction.
    fractions = [name for name in numbers if (numbers[name].dropna() % 1 != 0).any()]
    return next(iter(fractions or numbers), None)


def _write_page(sweep: Sweep, runs: Sequence[SweepRun], table: Any, path: Path) -> Path:
    metric = choose_metric(sweep, table)
    counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
    fixed = "".join(f", {name} {value!r}" for name, value in sweep.constants.items())
    made = (
        f"From {Path(sweep.file).name}, {time.strftime('%Y-%m-%d')}. "
        f"Profile {sweep.profile}{fixed}. Runs: {counts}. "
        "The links lead to the executed notebooks; open them with Jupyter."
    )
    parts = [f"<p>{html.escape(made)}</p>"]
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
    good[name] = good[name].astype(object).where(good[name].notna(), "default")
    numbers = all(isinstance(value, int | float) for value in good[name])
    if not numbers:
        good[name] = good[name].map(str)
    groups = good.groupby(name, sort=True)[metric]
    values = list(groups.groups)
    # A few values stand side by side, each with its name; many, as random draws give, on an axis.
    on_axis = numbers and len(values) > 12
    places = values if on_axis else list(range(len(values)))
    figure = Figure(figsize=(6.4, 3.2))
    axes = figure.subplots()
    place_of = dict(zip(values, places, strict=True))
    axes.plot(good[name].map(place_of), good[metric], ".", color="#767676", label="a run")
    spread, what = None, "mean"
    if "SEED" in good:  # over the seeds: what the other parameters do is averaged away first
        spread = good.groupby([name, "SEED"])[metric].mean().groupby(level=0).std(ddof=1)
        spread = spread if spread.notna().any() else None
    if spread is not None:
        what += ", standard deviation over the seeds"
    axes.errorbar(
        places, groups.mean(), yerr=spread, fmt="o", color="#0072b2", capsize=4, label=what
    )
    if on_axis and min(values) > 0 and max(values) / min(values) >= 50:
        axes.set_xscale("log")
    if not on_axis:
        axes.set_xticks(places, [str(value) for value in values])
    short = metric.removeprefix(RESULT)
    axes.set(title=f"{short} against {name}", xlabel=name, ylabel=short)
    axes.legend(frameon=False, fontsize="small")
    alt = f"{short} against {name}: a dot a run, mean and standard deviation a value"
    return page.drawing(figure, alt)


def _table(sweep: Sweep, runs: Sequence[SweepRun], table: Any, metric: str | None) -> str:
    columns = [*([metric] if metric else []), *sweep.varied]
    columns += [name for name in ("SEED", "seconds", "status") if name in table.columns]
    rows = []
    for run, (_, row) in zip(runs, table.iterrows(), strict=True):
        link = html.escape(run.key)
        if notebook := run.record.get("notebook"):
            link = f'<a href="{html.escape(f"{run.key}/{notebook}")}">{link}</a>'
        forms = [".4f" if name == metric else ".6g" for name in columns]
        cells = [_text(row[name], form) for name, form in zip(columns, forms, strict=True)]
        rows.append([link, *map(html.escape, cells)])
    heads = ["run", *(name.removeprefix(RESULT) for name in columns)]
    return page.table(heads, rows, [run.record.get("error") for run in runs])


def _text(value: Any, form: str) -> str:
    if value is None or value != value:  # not a number
        return ""
    return format(value, form) if isinstance(value, float) else str(value)
