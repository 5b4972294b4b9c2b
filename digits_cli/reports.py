"""Report a sweep or a search: its progress, a table on the terminal and as files, and a page."""

import html
import io
import itertools
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

from digit_utils.io import write_atomically
from digits_cli.book import shown
from digits_cli.errors import did_you_mean
from digits_cli.progress import duration
from digits_cli.sweep_file import Sweep, SweepRun

RESULT = "result."  # of columns: a chapter, or a search, may name a result as a parameter
ABOUT_A_RUN = ("status", "commit", "seconds", "peak_memory_mb", "error")
SCORE = "Score (minus the loss)"
INK = "#010203"  # replaced by the colour of the page's text, whether that is light or dark
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE: dict[Any, Any] = dict.fromkeys(INKED, INK) | {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # names and values may hold a dollar sign
    "svg.hashsalt": "digits",
    "svg.fonttype": "none",
}


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in plain columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


# ---- Sweeps --------------------------------------------------------------------------------------


def write_report(sweep: Sweep, runs: Sequence[SweepRun], folder: Path) -> Path:
    """Write ``runs.csv``, ``runs.parquet`` and ``report.html``; return the path of the page."""
    table = gather(runs)
    write_atomically(folder / "runs.csv", table.to_csv(index=False).encode())
    parts = _sweep_parts(sweep, runs, table)
    path = _write_page(folder / "report.html", f"Sweep of {sweep.chapter.name}", parts)
    for name in table.columns:  # Parquet has one type a column
        if table[name].dtype == object and table[name].dropna().map(type).nunique() > 1:
            table[name] = table[name].map(str, na_action="ignore")
    write_atomically(folder / "runs.parquet", table.to_parquet(index=False))
    return path


def gather(runs: Sequence[SweepRun]) -> Any:
    """Return a DataFrame with a row a run; runs that have not ended have empty cells.

    Columns: ``run``, `ABOUT_A_RUN`, the parameters, and ``result.<name>`` for each reported value;
    a dictionary becomes one column for each entry, a list its JSON text.
    """
    import pandas as pd

    rows = []
    for run in runs:
        about = {name: run.record.get(name) for name in ABOUT_A_RUN}
        about["status"] = about["status"] or "not run"
        reported = {RESULT.rstrip("."): run.record.get("results") or {}}
        rows.append({"run": run.key, **about, **run.parameters, **reported})
    table = pd.json_normalize(rows)
    return table.map(lambda value: json.dumps(value) if isinstance(value, list) else value)


def choose_metric(sweep: Sweep, table: Any) -> str | None:
    """Return the column of `gather` to draw: the requested one, else the first with fractions.

    Without fractions, it is the first number; None if there is none, or not the requested one.
    """
    results = table.filter(like=RESULT).select_dtypes("number")
    numbers = results.dropna(axis="columns", how="all")
    if sweep.metric is not None:
        return RESULT + sweep.metric if RESULT + sweep.metric in numbers else None
    # A column with gaps holds floats whatever was reported, so ask for values with a fraction.
    fractions = [name for name in numbers if (numbers[name].dropna() % 1 != 0).any()]
    return next(iter(fractions or numbers), None)


def _sweep_parts(sweep: Sweep, runs: Sequence[SweepRun], table: Any) -> Iterator[str]:
    metric = choose_metric(sweep, table)
    counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
    fixed = "".join(f", {name} {value!r}" for name, value in sweep.constants.items())
    made = (
        f"From {Path(sweep.file).name}, {time.strftime('%Y-%m-%d')}. "
        f"Profile {sweep.profile}{fixed}. Runs: {counts}. "
        "The links lead to the executed notebooks; open them with Jupyter."
    )
    yield f"<p>{html.escape(made)}</p>"
    if metric is None and sweep.metric is not None:
        known = [name.removeprefix(RESULT) for name in table.filter(like=RESULT)]
        hint = f"No run reported the number {sweep.metric!r}.{did_you_mean(sweep.metric, known)}"
        print(f"note: {hint}", file=sys.stderr)
        yield f"<p>{html.escape(hint)}</p>"
    columns = ["run", *sweep.varied]
    if metric is not None:
        yield from (_draw_metric(table, name, metric) for name in sweep.varied)
        columns.insert(1, metric)
    columns += [name for name in ("SEED", "seconds", "status") if name in table.columns]
    notebooks = [run.record.get("notebook") for run in runs]
    links = [n and f"{run.key}/{n}" for run, n in zip(runs, notebooks, strict=True)]
    yield _table(table[columns], [run.record.get("error") for run in runs], links)


def _draw_metric(table: Any, name: str, metric: str) -> str:
    """Draw the metric against one parameter: a dot a run, and mean and spread of each value."""
    from matplotlib.figure import Figure

    good = table[table[metric].notna()].copy()
    good[name] = good[name].astype(object).where(good[name].notna(), "default")
    numbers = all(isinstance(value, int | float) for value in good[name])
    # A few values stand side by side, each with its name; many, as random draws give, on an axis.
    on_axis = numbers and good[name].nunique() > 12
    good = good.sort_values(name, key=None if numbers else lambda values: values.map(str))
    places = good[name].astype(float) if on_axis else good[name].map(str)
    means = good.groupby(places, sort=False)[metric].mean()
    spread, what = None, "mean"
    if "SEED" in good:  # over the seeds: what the other parameters do is averaged away first
        each = good.groupby([places, "SEED"], sort=False)[metric].mean()
        spread = each.groupby(level=0, sort=False).std()
        what += ", standard deviation over the seeds" if spread.notna().any() else ""
    axes = Figure(figsize=(6.4, 3.2)).subplots()
    axes.plot(places, good[metric], ".", color="#767676", label="a run")
    axes.errorbar(means.index, means, yerr=spread, fmt="o", color="#0072b2", capsize=4, label=what)
    if on_axis and min(places) > 0 and max(places) / min(places) >= 50:
        axes.set_xscale("log")
    short = metric.removeprefix(RESULT)
    axes.set(title=f"{short} against {name}", xlabel=name, ylabel=short)
    axes.legend(frameon=False, fontsize="small")
    alt = f"{short} against {name}: a dot a run, mean and standard deviation a value"
    return _drawing(axes, alt)


# ---- Searches ------------------------------------------------------------------------------------


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

    Returns whether any trial succeeded.
    """
    trials = found.trials
    good = [trial for trial in _ranked(trials) if trial.ok]
    rows = [[t.number, t.loss, duration(t.seconds), *t.parameters.values()] for t in good[:most]]
    heads = ["trial", "loss", "time", *trials[0].parameters]
    print_table(heads, [[_text(value) for value in row] for row in rows])
    print(_summary(found))
    table = folder / "trials.csv"
    write_atomically(table, _trials_table(trials).to_csv(index=False).encode())
    page = _write_page(folder / "report.html", f"Search {folder.name}", _search_parts(found))
    print(f"All of them: {shown(table)}; figures: {shown(page)}")
    if not good:
        print(f"No trial succeeded. The last: {trials[-1].error}", file=sys.stderr)
    return bool(good)


def _ranked(trials: Sequence[Any]) -> list[Any]:
    return sorted(trials, key=lambda t: (not t.ok, math.inf if t.loss is None else t.loss))


def _trials_table(trials: Sequence[Any]) -> Any:
    import pandas as pd

    rows = [
        {
            "trial": t.number, **t.parameters, f"{RESULT}loss": t.loss,
            f"{RESULT}outcome": t.status, f"{RESULT}epochs": len(t.curve),
            f"{RESULT}seconds": t.seconds, f"{RESULT}error": t.error,
        }
        for t in trials
    ]  # fmt: skip
    return pd.DataFrame(rows)


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


def _search_parts(found: Any) -> Iterator[str]:
    """Show the course of a search, its settings and their importance."""
    from digit_utils import search_plots

    names, frame, ranked = list(found.trials[0].parameters), found.table(), _ranked(found.trials)
    yield f"<p>{html.escape(_summary(found))}</p>"
    if frame["validation_accuracy"].notna().any():
        course = search_plots.plot_best_so_far({"this search": frame}, label=SCORE)
        yield _drawing(course, "The score of every trial, and the best so far.")
        lines = search_plots.plot_parallel_coordinates(frame, names, label=SCORE)
        yield _drawing(lines, "A line for each trial through its settings; the best stands out.")
        yield _draw_importance(frame[frame["outcome"] == "ok"], names)
    table = _trials_table(ranked).drop(columns=f"{RESULT}error").round({f"{RESULT}seconds": 1})
    yield _table(table, [trial.error for trial in ranked], [None] * len(ranked))


def _draw_importance(frame: Any, names: list[str]) -> str:
    from digit_utils.importance import parameter_importance
    from digit_utils.search_plots import plot_importance

    try:
        importance, explained = parameter_importance(frame, names)
    except ValueError as error:
        return f"<p>No estimate of what matters: {html.escape(str(error))}.</p>"
    caption = f"A random forest explains {explained:.0%} of the variance of trials it did not learn"
    if explained > 0:
        caption += (
            " from; the bars divide up no more than that. Trials that the search chose are no fair "
            "sample, and a parameter may matter only together with another."
        )
    else:
        caption += " from, so these bars say nothing."
    return _drawing(plot_importance(importance), "A bar for each parameter.", caption)


# ---- Pages ---------------------------------------------------------------------------------------


def _write_page(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Write a page of its own: a plain title and HTML, whose figures fit light and dark pages."""
    import matplotlib

    title = html.escape(title)
    with matplotlib.rc_context():  # as `parts` draws them
        matplotlib.rcdefaults()  # whatever a matplotlibrc in this folder says
        matplotlib.rcParams.update(STYLE)
        body = "\n".join([f"<h1>{title}</h1>", *parts])
    page = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return write_atomically(path, page.substitute(title=title, body=body).encode())


def _drawing(axes: Any, description: str, caption: str = "") -> str:
    """Return the figure of some axes as HTML, and close it; both texts are plain."""
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    axes.figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    plt.close(axes.figure)
    svg = buffer.getvalue().replace(INK, "currentColor")
    alt = html.escape(description)
    svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{alt}"', 1)
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{below}</figure>"


def _table(frame: Any, errors: Sequence[str | None], links: Sequence[str | None]) -> str:
    """Return a table of plain values, each row's first cell with a link, its error below it."""
    heads = [html.escape(name.removeprefix(RESULT)) for name in frame.columns]
    lines = ["<tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"]
    for row, error, link in zip(frame.to_numpy(object), errors, links, strict=True):
        cells = [html.escape(_text(value)) for value in row]
        if link:
            cells[0] = f'<a href="{html.escape(link)}">{cells[0]}</a>'
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        if error:
            text = html.escape(error)
            lines.append(f'<tr class="error"><td colspan="{len(heads)}">{text}</td></tr>')
    return f'<div class="wide" tabindex="0"><table>{"".join(lines)}</table></div>'


def _text(value: Any) -> str:
    if value is None or value != value:  # not a number
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
