"""Publish chapters: today's prose with the outputs of a run, when that run is of today's code."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from digit_utils import results
from digit_utils.io import json_bytes, parse_json, read_bytes, write_atomically
from digits_cli import book, bound, freshness
from digits_cli.book import Chapter, read_notebook, run_folder, shown
from digits_cli.errors import RunnerError
from digits_cli.execute import ChapterRun, run_chapters
from digits_cli.normalised_code import normalised_cells
from digits_cli.pairing import carry_outputs, read_script, refuse_to_lose
from digits_cli.parameters import declared_parameters
from digits_cli.plan import profile_values
from digits_cli.summary import print_failure

MEASURED = ("profile", "seconds", "peak_memory_mb")  # of a run, and kept in `results/`


def publish(wanted: Sequence[str] = (), run: bool = True) -> list[str]:
    """Refresh the published outputs that are stale; return the chapters that still are.

    They need a run (run=False), or their run failed, which ends the call. Each chapter is published
    as soon as its run is done, so an interrupted call can be repeated. A full run of today's code
    is used as it is, for a chapter named in `wanted` even when it is fresh. Then the numbers bound
    to what was measured are written anew in all texts, however the call ends; RunnerError, with all
    that was published kept, names what they contradict.
    """
    root = book.find_checkout()
    chapters = book.select_chapters(root, wanted)
    try:
        left = _publish_each(root, chapters, bool(wanted), run)
    except BaseException:
        bound.settle(root)  # what is wrong is told by the call that puts the other thing right
        raise
    if wrong := bound.settle(root):
        told = "The outputs are published and kept, but the texts do not go with them:"
        last = "Put that right, then run `digits publish --no-run`."
        raise RunnerError("\n  ".join([told, *wrong]) + f"\n{last}")
    return left


def _publish_each(root: Path, chapters: list[Chapter], wanted: bool, run: bool) -> list[str]:
    left = []
    for chapter in chapters:
        # Asked anew for each: what an earlier chapter has published may make this one stale.
        stale = freshness.why_stale(root, chapter)
        not_ready = freshness.why_not_from_run(root, chapter)
        if not stale and (not wanted or not_ready):
            print(f"{chapter.name}: fresh")
            continue
        if chapter.notebook.is_file():
            refuse_to_lose(chapter, read_script(chapter.script), read_notebook(chapter.notebook))
        if not_ready and not run:
            print(f"{chapter.name}: needs a run ({freshness.brief(stale)})")
            left.append(chapter.name)
            continue
        if not_ready:
            print(f"{chapter.name}: runs again ({freshness.brief(stale)})")
            done = _run(root, chapter)
            if not done.ok:
                print_failure(done)
                return [*left, chapter.name]
        written = _publish_run(root, chapter)
        for path in written:
            print(f"{chapter.name}: wrote {shown(path)}")
        if not written:
            print(f"{chapter.name}: fresh, and as its full run")
    return left


def _run(root: Path, chapter: Chapter) -> ChapterRun:
    locked = freshness.to_publish(root, chapter)
    values = profile_values(root, "full", chapter)
    here = freshness.take_fingerprint(read_script(chapter.script), chapter.name, values)
    if others := freshness.differences(here, locked):
        told = (
            f"was not run: its outputs would not be those of the lock ({freshness.brief(others)})"
        )
        told += ". Install what requirements.lock pins (`make venv`)."
        raise RunnerError(f"{chapter.name} {told}")
    # The book's own artifacts are those to read, and not what a run left that was never published.
    for name in freshness.RECORDED:
        recorded = root / "digit_utils" / "recorded" / f"{name}.json"
        if recorded.is_file():
            _write(run_folder(root, "full") / "artifacts" / recorded.name, recorded.read_bytes())
    (done,) = run_chapters([chapter.name], "full", root=root)
    if changed := freshness.why_not_from_run(root, chapter) if done.ok else []:
        told = f"was not published: it changed while it ran ({freshness.brief(changed)})"
        raise RunnerError(f"{chapter.name} {told}. Start the same command again.")
    return done


def _write(path: Path, data: bytes) -> bool:
    """Write a file unless it holds that already; return whether it was written."""
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    return True


def _publish_run(root: Path, chapter: Chapter) -> list[Path]:
    """Publish outputs, results and artifacts of the full run; return the files that changed."""
    executed = run_folder(root, "full") / f"{chapter.name}.ipynb"
    notebook = read_script(chapter.script)
    carry_outputs(notebook, read_notebook(executed))
    run = notebook.metadata["digits"]
    number_cells(notebook)
    _show_as_published(notebook)
    outputs = freshness.outputs_hash(notebook)
    notebook.metadata["digits"] = {"fingerprint": run["fingerprint"], "outputs": outputs}
    record = {"chapter": chapter.name, "results": {}}
    record |= {key: run.get(key) for key in (*MEASURED, "provenance")}
    problems = machine_traces(notebook, root)
    try:
        record["results"] = results.read(executed)
    except results.ResultsError as error:
        problems.append(str(error))
    ran_with = run["fingerprint"]["parameters"].items()
    defaults = {p.name: p.default for p in declared_parameters(notebook, chapter.name).values()}
    if others := [f"{name}={value!r}" for name, value in ran_with if value != defaults.get(name)]:
        told = f"it ran with {', '.join(others)} instead of its defaults; remove profiles/full, and"
        problems.append(f"{told} run `digits run {chapter.name} --profile full`")
    if problems:
        raise RunnerError("\n  ".join([f"{chapter.name} was not published:", *problems]))
    new = {
        root / "digit_utils" / "recorded" / path.name: path.read_bytes()
        for path in freshness.saved_artifacts(notebook, executed.parent)
    }
    target = root / "results" / f"{chapter.name}.json"
    known = _read_record(target)
    # The same run again differs in its provenance alone, the commit for one.
    if any(known.get(key) != record[key] for key in ("results", *MEASURED)):
        new[target] = json_bytes(record)
    written = [path for path, data in new.items() if _write(path, data)]
    # Last, for it holds the fingerprint: once it says fresh, everything is in its place.
    if not chapter.notebook.is_file() or read_notebook(chapter.notebook) != notebook:
        book.write_notebook(chapter.notebook, notebook)
        written.append(chapter.notebook)
    return written


def executed_chapters(root: Path, profile: str, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return by chapter today's script with the outputs of its last run with a profile.

    So a corrected sentence needs no new run. Raises RunnerError for other code or values.
    """
    folder = run_folder(root, profile)
    found: dict[str, Any] = {}
    behind: dict[str, list[str]] = {}
    for chapter in chapters:
        path = folder / f"{chapter.name}.ipynb"
        why = "not run yet"
        if path.is_file():
            current, executed = read_script(chapter.script), read_notebook(path)
            ran_with = executed.metadata.get("digits", {}).get("parameters", {})
            asked = profile_values(root, profile, chapter)
            if normalised_cells(current) != normalised_cells(executed):
                why = "code changed since the run"
            elif not asked.items() <= ran_with.items():
                why = "the profile's values changed since the run"
            else:
                carry_outputs(current, executed)
                for declared in book.cells_tagged(current, "parameters"):
                    place = current.cells.index(declared) + 1
                    current.cells[place:place] = book.cells_tagged(executed, "injected-parameters")
                found[chapter.name] = current
                continue
        behind.setdefault(why, []).append(chapter.name)
    if behind:
        problems = "; ".join(f"{why}: {', '.join(names)}" for why, names in behind.items())
        again = " ".join(name for names in behind.values() for name in names)
        told = f"{shown(folder)} is not up to date: {problems}."
        raise RunnerError(f"{told}\nRun `digits run {again} --profile {profile}` first.")
    return found


def published_chapters(root: Path, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return the published notebooks by chapter, with what `results/` records of their runs."""
    found = {chapter.name: read_notebook(chapter.notebook) for chapter in chapters}
    for name, notebook in found.items():
        path = root / "results" / f"{name}.json"
        if record := _read_record(path):
            measured = {key: record.get(key) for key in MEASURED}
            notebook.metadata.setdefault("digits", {}).update(measured)
        elif path.exists():
            raise RunnerError(f"{shown(path)} holds no record of a run. Run `digits publish`.")
    if bare := [name for name in found if freshness.lacks_outputs(found[name])]:
        told = f"Not published, or changed since: {', '.join(bare)}."
        raise RunnerError(f"{told}\nRun `digits publish`.")
    return found


def _read_record(path: Path) -> dict[str, Any]:
    """Return what a file in `results/` records; nothing when it is missing or no record."""
    with suppress(OSError, ValueError):
        run = parse_json(read_bytes(path))
        return run if isinstance(run, dict) else {}
    return {}


def number_cells(notebook: Any) -> None:
    """Number the executed code cells 1, 2, 3 in place, as after a fresh run."""
    for count, cell in enumerate(freshness.code_with_outputs(notebook), start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count


def _show_as_published(notebook: Any) -> None:
    """Let the table of `report` show, in place, what is published now, not what was before."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        values = data.get(results.MIME_TYPE)
        if isinstance(values, dict) and data.get("text/markdown", "").startswith(results.TABLE):
            data["text/markdown"] = data["text/plain"] = results.tabulate(values, values)


def machine_traces(notebook: Any, root: Path) -> list[str]:
    """Return one sentence for each output that names a folder of this machine."""
    home, places = Path.home(), {str(root), sys.prefix, "ipykernel_"}
    if home != Path("/"):
        places |= {f"{home}/", f"{home}\\", f"{home.as_posix()}/"}
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            text = json.dumps([output.get("text", ""), data], ensure_ascii=False)
            text = text.replace("\\\\", "\\")  # as it was: JSON writes a backslash twice
            found += [f"cell {number} prints {place}" for place in sorted(places) if place in text]
    return found
