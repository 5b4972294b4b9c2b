"""Keep the published outputs, which readers open on GitHub and Colab, those of today's code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from digit_utils import results
from digits_cli.errors import RunnerError
from digits_cli.execute import ChapterRun, check_can_run, run_chapters
from digits_cli.freshness import (
    RECORDED,
    differences,
    outputs_hash,
    saved_artifacts,
    take,
    to_publish,
    why_not_from_run,
    why_stale,
)
from digits_cli.notebooks import read_notebook, tags, write_notebook
from digits_cli.pairing import read_script, refuse_to_lose
from digits_cli.parameters import declared_parameters
from digits_cli.paths import Chapter, find_checkout, run_folder, select_chapters, shown
from digits_cli.plan import profile_values
from digits_cli.records import make_record, same_run
from digits_cli.staging import executed_chapters, machine_traces, number_cells


def publish(
    wanted: Sequence[str] = (),
    run: bool = True,
    root: Path | str | None = None,
    say: Callable[[str], None] = print,
) -> list[ChapterRun | str]:
    """Refresh the published outputs that are stale, one chapter after the other.

    Each chapter is published as soon as its run is done, so after an interruption the next call
    goes on with the rest; a full run of today's code in the build folder is used as it is. `wanted`
    holds names, unique prefixes or paths; empty means all. A chapter named there is published from
    its full run even if it is fresh. With run=False, chapters that need a run are only reported.
    `root` None: found from the working directory. Returns what is not done: names of chapters that
    need a run, and the run that failed, which ends the call. Raises RunnerError when the installed
    packages are not those of the lock, a chapter changes while it runs or ran with other parameters
    than its defaults, or an output names a folder of this machine.
    """
    root = find_checkout(root)
    left: list[ChapterRun | str] = []
    for chapter in select_chapters(root, wanted):
        # Asked anew for each: what an earlier chapter has published may make this one stale.
        stale, not_ready = why_stale(root, chapter), why_not_from_run(root, chapter)
        if not stale and (not wanted or not_ready):
            say(f"{chapter.name}: fresh")
            continue
        if chapter.notebook.is_file():
            refuse_to_lose(chapter, read_script(chapter.script), read_notebook(chapter.notebook))
        if not_ready:
            if not run:
                say(f"{chapter.name}: needs a run ({_brief(stale)})")
                left.append(chapter.name)
                continue
            say(f"{chapter.name}: runs again ({_brief(stale)})")
            done = _run(root, chapter)
            if not done.ok:
                return [*left, done]
        written = _publish_run(root, chapter)
        for path in written:
            say(f"{chapter.name}: wrote {shown(path)}")
        if not written:
            say(f"{chapter.name}: fresh, and as its full run")
    return left


def _brief(reasons: Sequence[str], most: int = 3) -> str:
    more = [f"and {len(reasons) - most} more"] if len(reasons) > most else []
    return "; ".join([*reasons[:most], *more])


def _run(root: Path, chapter: Chapter) -> ChapterRun:
    from digit_utils.files import write_atomically

    check_can_run()
    today = to_publish(root, chapter)
    here = take(read_script(chapter.script), chapter.name, profile_values(root, "full", chapter))
    others = differences(here, today)
    if others:
        raise RunnerError(
            f"{chapter.name} was not run: its outputs would not be those of the lock "
            f"({_brief(others)}). Install what requirements.lock pins (`make venv`)."
        )
    folder = run_folder(root, "full")
    for name in RECORDED:
        made = folder / "artifacts" / f"{name}.json"
        recorded = root / "digit_utils" / "recorded" / made.name
        # The book's own copy is the one to read, and not what a run left that was never published.
        if recorded.is_file() and not (
            made.is_file() and made.read_bytes() == recorded.read_bytes()
        ):
            made.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(made, recorded.read_bytes())
    (done,) = run_chapters([chapter.name], "full", root=root)
    changed = why_not_from_run(root, chapter) if done.ok else []
    if changed:
        raise RunnerError(
            f"{chapter.name} was not published: it changed while it ran ({_brief(changed)}). "
            "Start the same command again."
        )
    return done


def _publish_run(root: Path, chapter: Chapter) -> list[Path]:
    """Publish the outputs, results and artifacts of the full run; return the files that changed."""
    from digit_utils.files import json_bytes, write_atomically

    executed = run_folder(root, "full") / f"{chapter.name}.ipynb"
    notebook = executed_chapters(root, "full", [chapter])[chapter.name]
    try:
        record = make_record(chapter.name, notebook.metadata["digits"], results.read(executed))
    except results.ResultsError as error:
        raise RunnerError(f"{chapter.name} was not published: {error}") from error
    problems = _prepare(chapter, notebook, root)
    if problems:
        raise RunnerError(
            "\n".join([f"{chapter.name} was not published:", *(f"  {p}" for p in problems)])
        )
    new = {
        root / "digit_utils" / "recorded" / path.name: path.read_bytes()
        for path in saved_artifacts(notebook, executed.parent)
    }
    target = root / "results" / f"{chapter.name}.json"
    if not same_run(target, record):
        new[target] = json_bytes(record)
    written = []
    for path, data in new.items():
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
            written.append(path)
    # Last, for it holds the fingerprint: once it says fresh, everything is in its place.
    if not chapter.notebook.is_file() or read_notebook(chapter.notebook) != notebook:
        write_notebook(chapter.notebook, notebook)
        written.append(chapter.notebook)
    return written


def _prepare(chapter: Chapter, notebook: Any, root: Path) -> list[str]:
    """Strip what belongs to the run alone; return what forbids publishing."""
    run = notebook.metadata.pop("digits")
    notebook.metadata["digits"] = {
        "fingerprint": run["fingerprint"],
        "outputs": outputs_hash(notebook),
    }
    declared = declared_parameters(notebook, chapter.name)
    changed = [
        f"{name}={value!r}"
        for name, value in run.get("parameters", {}).items()
        if name not in declared or declared[name].default != value
    ]
    problems = []
    if changed:
        problems.append(
            f"it ran with {', '.join(changed)} instead of its defaults; remove "
            f"profiles/full, and run `digits run {chapter.name} --profile full`"
        )
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in tags(cell)]
    number_cells(notebook)
    return problems + [trace for trace in machine_traces(notebook, root)]
