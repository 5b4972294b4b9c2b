"""Copy the outputs of the full run into the notebooks that readers open on GitHub and Colab."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from digit_utils import results
from digit_utils.runner.errors import RunnerError
from digit_utils.runner.notebooks import code_sources, read_notebook, tags, write_notebook
from digit_utils.runner.pairing import read_script
from digit_utils.runner.parameters import declared_parameters
from digit_utils.runner.paths import Chapter, find_checkout, list_chapters, run_folder, shown
from digit_utils.runner.records import make_record, same_run
from digit_utils.runner.staging import (
    executed_chapters,
    machine_traces,
    number_cells,
    published_chapters,
)

# Results one chapter hands to another; a copy is kept with the package, so that the later
# chapter runs on its own.
RECORDED = ("best_parameters",)


def publish(root: Path | str | None = None) -> list[Path]:
    """Put the outputs of the profile `full` into `notebooks/`, and record its artifacts.

    Each chapter's results go to ``results/NN_name.json``, with where they come from. Everything
    is checked before the first file is written. A chapter that has no full run here stays as it
    is, provided it was published before and its code has not changed since.

    Parameters
    ----------
    root : path, optional
        The checkout; found from the working directory by default.

    Returns
    -------
    list of pathlib.Path
        The files written; those that were right already are left alone.

    Raises
    ------
    RunnerError
        When a chapter is neither published nor run in full, its code has changed since, it ran
        with other parameters than its defaults, or an output names a folder of this machine.
    """
    from digit_utils.files import json_bytes, write_atomically

    root = find_checkout(root)
    chapters = list_chapters(root)
    ran = [c for c in chapters if (run_folder(root, "full") / f"{c.name}.ipynb").is_file()]
    _check_published(root, [chapter for chapter in chapters if chapter not in ran])
    chapters = ran
    notebooks = executed_chapters(root, "full", chapters)
    records, problems = {}, []
    for chapter in chapters:
        run = notebooks[chapter.name].metadata.get("digits", {})
        try:
            found = results.read(run_folder(root, "full") / f"{chapter.name}.ipynb")
            records[chapter.name] = make_record(chapter.name, run, found)
        except results.ResultsError as error:
            problems.append(str(error))
        problems += _prepare(chapter, notebooks[chapter.name], root)
    artifacts = _artifacts(root, notebooks.values())
    problems += [
        f"{shown(source)} is missing, though a chapter saves it"
        for source in artifacts
        if not source.is_file()
    ]
    if problems:
        raise RunnerError("Nothing was published:\n" + "\n".join(f"  {p}" for p in problems))
    written = []
    for chapter in chapters:
        new = notebooks[chapter.name]
        if not chapter.notebook.is_file() or read_notebook(chapter.notebook) != new:
            write_notebook(chapter.notebook, new)
            written.append(chapter.notebook)
    for name, record in records.items():
        target = root / "results" / f"{name}.json"
        if not same_run(target, record):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, json_bytes(record))
            written.append(target)
    for source, target in artifacts.items():
        if not target.is_file() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, source.read_bytes())
            written.append(target)
    return written


def _check_published(root: Path, chapters: list[Chapter]) -> None:
    """Refuse chapters that have neither today's code with outputs, nor a run to take them from."""

    def is_current(chapter: Chapter) -> bool:
        if not chapter.notebook.is_file():
            return False
        written, published = read_script(chapter.script), read_notebook(chapter.notebook)
        return code_sources(written) == code_sources(published)

    changed = [chapter.name for chapter in chapters if not is_current(chapter)]
    if changed:
        raise RunnerError(
            f"Not published, or changed since: {', '.join(changed)}.\n"
            f"Run `digits run {' '.join(changed)} --profile full` first."
        )
    published_chapters(root, chapters)


def _prepare(chapter: Chapter, notebook: Any, root: Path) -> list[str]:
    """Strip what belongs to the run alone; return what stands against publishing."""
    run = notebook.metadata.pop("digits", {})
    declared = declared_parameters(notebook, chapter.name)
    changed = [
        f"{name}={value!r}"
        for name, value in run.get("parameters", {}).items()
        if name not in declared or declared[name].default != value
    ]
    problems = []
    if changed:
        problems.append(
            f"{chapter.name} ran with {', '.join(changed)} instead of its defaults; "
            f"run `digits run {chapter.name} --profile full`"
        )
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in tags(cell)]
    number_cells(notebook)
    problems += [f"{chapter.name}, {trace}" for trace in machine_traces(notebook, root)]
    return problems


def _artifacts(root: Path, notebooks: Iterable[Any]) -> dict[Path, Path]:
    """Each recorded artifact that a chapter saves, with the place of its copy in the package."""
    code = [source for notebook in notebooks for source in code_sources(notebook)]
    made = run_folder(root, "full") / "artifacts"
    recorded = root / "digit_utils" / "recorded"
    return {
        made / f"{name}.json": recorded / f"{name}.json"
        for name in RECORDED
        if any("save_json" in source and name in source for source in code)
    }
