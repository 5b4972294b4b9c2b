"""Every chapter, run from top to bottom with the profile `quick`, as `make book` does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from digit_utils import results
from digits_cli.book import list_chapters, read_notebook
from digits_cli.execute import run_chapters
from digits_cli.plan import profile_file
from digits_cli.references import BOUNDS, outside, read_bounds

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = list_chapters(ROOT)
NAMES = [chapter.name for chapter in CHAPTERS]

assert NAMES, f"no chapters in {ROOT / 'notebooks'}"

# The budget is 60 s on two free cores. A busy or slower machine may take three times as long; a
# chapter that trains on all the data would take longer still.
MOST_SECONDS = 180
MOST_MEMORY_MB = 4096


@pytest.fixture(scope="session", params=NAMES)
def run(request):
    """Run one chapter, in book order: later chapters read what earlier ones left."""
    (done,) = run_chapters([request.param], profile="quick", root=ROOT)
    return done


def test_it_runs_to_its_end_within_time_and_memory(run):
    assert run.ok, f"{run.failure.message}\n{run.failure.source}\n{run.failure.traceback}"
    assert run.seconds <= MOST_SECONDS
    if sys.platform == "win32":  # where nothing tells it
        return
    assert run.peak_memory_mb is not None
    assert run.peak_memory_mb <= MOST_MEMORY_MB


def test_it_leaves_its_results_and_no_errors(run):
    assert run.ok
    assert results.read(run.output) == run.results
    bounds = read_bounds(ROOT / BOUNDS)
    assert run.name in bounds, f"say in {BOUNDS.as_posix()} what {run.name} must report"
    assert outside(run.results, bounds[run.name]) == []
    notebook = read_notebook(run.output)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert all(output.output_type != "error" for output in cell.outputs)


def test_nothing_on_the_page_comes_from_this_machine(run):
    from digits_cli.publish import machine_traces

    assert run.ok
    assert machine_traces(read_notebook(run.output), ROOT) == []


def test_each_figure_stands_alone_and_has_alt_text(run):
    assert run.ok
    for cell in read_notebook(run.output).cells:
        pictures = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        assert len(pictures) <= 1, f"two figures in one cell:\n{cell.source}"
        if pictures:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 20, f"no alt text:\n{cell.source}"


def test_plain_papermill_runs_a_chapter_too(tmp_path):
    chapter = CHAPTERS[0]
    output = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(chapter.notebook), str(output)]
    command += ["--cwd", str(tmp_path), "--no-progress-bar"]
    quick = profile_file(ROOT, "quick", chapter.name)
    if quick.is_file():
        command += ["-f", str(quick)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "unknown parameter" not in done.stderr
    assert results.read(output)
