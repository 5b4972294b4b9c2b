"""Every chapter, run from top to bottom with the profile `quick`, as `make book` does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers import ROOT

from digit_utils import results
from digits_cli.book import code_cells, list_chapters, read_notebook
from digits_cli.execute import run_chapters
from digits_cli.plan import profile_file
from digits_cli.publish import machine_traces
from digits_cli.references import BOUNDS, outside, read_bounds

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
    if sys.platform != "win32":  # where nothing tells it
        assert run.peak_memory_mb <= MOST_MEMORY_MB


def test_it_leaves_its_results_no_errors_and_nothing_of_this_machine(run):
    assert run.ok
    assert results.read(run.output) == run.results
    bounds = read_bounds(ROOT / BOUNDS)
    assert run.name in bounds, f"say in {BOUNDS.as_posix()} what {run.name} must report"
    assert outside(run.results, bounds[run.name]) == []
    notebook = read_notebook(run.output)
    code = code_cells(notebook)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert machine_traces(notebook, ROOT) == []


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
