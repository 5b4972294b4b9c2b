"""Every chapter, run from top to bottom with the profile `quick`, as `make book` does."""

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
assert CHAPTERS, f"no chapters in {ROOT / 'notebooks'}"

# The budget is 60 s on two free cores. A busy or slower machine may take three times as long; a
# chapter that trains on all the data would take longer still.
MOST_SECONDS = 180
MOST_MEMORY_MB = 4096


@pytest.mark.parametrize("name", [chapter.name for chapter in CHAPTERS])
def test_a_chapter_runs_within_time_and_memory_and_leaves_what_it_should(name):
    """In book order: later chapters read what earlier ones left."""
    (run,) = run_chapters([name], profile="quick", root=ROOT)
    assert run.ok, "\n".join(run.failure or ())
    assert run.seconds <= MOST_SECONDS
    if sys.platform != "win32":  # where nothing tells it
        assert run.record["peak_memory_mb"] <= MOST_MEMORY_MB
    bounds = read_bounds(ROOT / BOUNDS)
    assert name in bounds, f"say in {BOUNDS.as_posix()} what {name} must report"
    assert outside(run.results, bounds[name]) == []
    notebook = read_notebook(run.output)
    assert machine_traces(notebook, ROOT) == []
    code = code_cells(notebook)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert not [output for output in cell.outputs if output.output_type == "error"]
        pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(pictures) <= 1, f"two figures in one cell:\n{cell.source}"
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        assert not pictures or len(alt) >= 20, f"no alt text:\n{cell.source}"


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
