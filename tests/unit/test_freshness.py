"""Stale outputs: found whenever something that made them has changed, and only then."""

import json
import re
from importlib.metadata import version

import pytest
from runner_books import change, chapter, edit, make_book, pretend_run

from digits_cli import execute, freshness, publish
from digits_cli.book import code_cells, list_chapters, read_notebook, write_notebook
from digits_cli.cli import main
from digits_cli.execute import ChapterRun
from digits_cli.freshness import NO_FINGERPRINT, why_run_is_stale, why_stale

DRAWS = chapter(
    """from digit_utils import shapes

# A comment.
print(shapes.draw(SEED, EPOCHS))

# %% tags=["colab"]
print("install from v1")"""
)
SAVES = chapter(
    "from digit_utils.artifacts import save_json\nsave_json(ARTIFACTS, 'best_parameters', {})"
)
READS = chapter(
    "from digit_utils.artifacts import load_json\n"
    "load_json(ARTIFACTS, 'best_parameters', made_by='02_saves')"
)
ALL = ["01_draws", "02_saves", "03_reads"]
DRAWING, PUBLISHED = "notebooks/01_draws.py", "notebooks/01_draws.ipynb"
LINES, SHAPES = "digit_utils/lines.py", "digit_utils/shapes.py"
NUMPY = version("numpy")
BEST = "digit_utils/recorded/best_parameters.json"
PACKAGE = {
    "digit_utils/__init__.py": '"""Helpers."""\n\n__version__ = "1"\n',
    SHAPES: '"""Shapes."""\n\nimport numpy as np\n\nfrom digit_utils.lines import line\n\n\n'
    'def draw(seed, epochs):\n    """Draw."""\n    return np.full(seed, line(epochs))\n',
    LINES: "def line(n):\n    return n\n",
    "digit_utils/unused.py": "def nothing():\n    return 0\n",
    BEST: "{}\n",
}


def write(root, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def lock(root, numpy: str) -> None:
    pins = f"numpy=={numpy} ; python_full_version < '3.12' \\\n    --hash=sha256:00\npytest==8.0\n"
    write(root, {"requirements.lock": pins})


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to stand in, with a lock and a digit_utils of a few lines in place of our own."""
    write(tmp_path, PACKAGE)
    lock(tmp_path, NUMPY)
    monkeypatch.setattr(freshness, "PACKAGE", tmp_path / "digit_utils")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def book(here):
    """One chapter, published and fresh."""
    make_book(here, c01_draws=DRAWS)
    pretend_run(here, "01_draws", "full")
    assert publish.publish(run=False) == []
    assert reasons(here) == []
    return here


def reasons(book, name="01_draws"):
    return {found.name: why_stale(book, found) for found in list_chapters(book)}[name]


def stale_runs(book, profile="quick"):
    return [why_run_is_stale(book, found, profile) for found in list_chapters(book)]


# --- what makes published outputs stale


def test_a_change_that_counts_is_named(book):
    changed, draws = [f"{LINES} has changed"], "print(shapes.draw(SEED, EPOCHS))"
    used = "from digit_utils.unused import nothing as"
    for file, old, new, told in (
        (DRAWING, "print(shapes", "print(2, shapes", ["its code has changed"]),
        (DRAWING, draws, f"{draws};", ["its code has changed"]),
        (DRAWING, "EPOCHS: int = 3", "EPOCHS: int = 30", ["parameter EPOCHS is 30, was 3"]),
        (DRAWING, "EPOCHS: int = 3  # passes\n", "", ["parameter EPOCHS is gone"]),
        (LINES, "return n", "return 2 * n", changed),
        (LINES, "return n", "return (", changed),
        (SHAPES, "from digit_utils.lines import", used,
         [f"{LINES} is no longer used", f"{SHAPES} has changed",
          "digit_utils/unused.py is used now"]),
        ("requirements.lock", f"numpy=={NUMPY}", "numpy==99.1", [f"numpy is 99.1, was {NUMPY}"]),
        ("requirements.lock", "numpy", "other", [f"numpy is in no lock, was {NUMPY}"]),
    ):  # fmt: skip
        before = {half: half.read_bytes() for half in (book / file, book / PUBLISHED)}
        change(book, file, old, new)
        assert reasons(book) == told
        for half, content in before.items():
            half.write_bytes(content)


def test_changes_that_cannot_count_leave_outputs_fresh_and_in_place(book):
    for file, old, new in (
        (DRAWING, "A second chapter", "Better prose.\n#\n# And more."),
        (DRAWING, "# A comment.\n", "# Another one,\n# longer.\n\n"),
        (DRAWING, "(SEED, EPOCHS)", "(\n    SEED,\n    EPOCHS,\n)"),
        (DRAWING, "# passes", "# passes over the data"),
        (DRAWING, "from v1", "from v2"),
        (SHAPES, '"""Draw."""', '"""Draw well."""  # indeed'),
        (SHAPES, '"""Shapes."""', '"""Shapes, and more of them."""'),
        ("digit_utils/unused.py", "return 0", "return 1"),
        ("digit_utils/__init__.py", '"1"', '"2"'),
        ("requirements.lock", "pytest==8.0", "pytest==9.0\nnewtool==1.0"),
        ("requirements.lock", "numpy", "numpy==99.1 ; python_full_version >= '3.12'\nnumpy"),
        (BEST, "{}", '{"a": 1}'),
    ):
        change(book, file, old, new)
        assert reasons(book) == [], (file, new)
    code = code_cells(read_notebook(book / PUBLISHED))
    assert all(cell.outputs and cell.execution_count for cell in code)


def test_outputs_that_are_lost_or_changed_by_hand_are_stale_and_stay_so_through_a_sync(book):
    path = book / PUBLISHED
    good = path.read_bytes()
    for alter, told in (
        (lambda notebook: notebook.cells[2].update(execution_count=7), []),
        (lambda notebook: notebook.cells[-1].outputs.pop(),  # the picture
         ["its outputs are not those that were published"]),
        (lambda notebook: notebook.metadata.pop("digits"), [NO_FINGERPRINT]),
    ):  # fmt: skip
        path.write_bytes(good)
        notebook = read_notebook(path)
        alter(notebook)
        write_notebook(path, notebook)
        assert main(["sync"]) == 0
        assert reasons(book) == told
    path.write_bytes(good)
    change(book, DRAWING, "print(shapes", "print(2, shapes")
    change(book, DRAWING, "print(2, shapes", "print(shapes")
    assert reasons(book) == ["some of its code has no output"]
    path.unlink()
    assert reasons(book) == ["not published"]


def test_outputs_and_a_record_that_tell_two_things_are_stale(book):
    path = book / "results/01_draws.json"
    good = path.read_bytes()
    for record, told in (
        ('{"results": {"accuracy": 0.1}}', "{} records other results than its outputs show"),
        ("[]", "its outputs cannot be compared with {}: one cannot be read"),
        (None, "{} is missing"),
    ):
        path.unlink()
        if record:
            path.write_text(record)
        assert reasons(book) == [told.format("results/01_draws.json")]
        assert publish.publish(run=False) == []  # from the run that is there
        assert path.read_bytes() == good


def test_a_file_of_the_package_counts_when_it_is_named(book):
    table, other = "digit_utils/assets/table.npz", "digit_utils/assets/other.npz"
    edit(book / LINES, "return n", "return open(HERE / 'table.npz'), n")
    write(book, {table: "1", other: "1"})
    pretend_run(book, "01_draws", "full")
    assert publish.publish(run=False) == []
    write(book, {other: "2"})
    assert reasons(book) == []
    write(book, {table: "2"})
    assert reasons(book) == [f"{table} has changed"]


def test_status_names_what_is_stale_or_lags_behind_and_its_exit_code_says_stale(book, capsys):
    with (book / DRAWING).open("a") as script:
        script.write("\n# %% [markdown]\n# A new sentence.\n")
    assert main(["status"]) == 0, "prose makes nothing stale"
    out = capsys.readouterr().out
    head, row = out.splitlines()[:2]
    assert head.split() == ["chapter", "title", "published", "quick", "full", "seed"]
    assert re.match(r"01_draws +A second chapter +fresh +never +1\.0 s on \S+ \S+ +never", row)
    assert "`digits sync` makes the .ipynb anew:\n  01_draws\n" in out
    edit(book / LINES, "return n", "return -n")
    assert main(["status", "01"]) == 1
    out = capsys.readouterr().out
    assert f"stale: {LINES} has changed\n  01_draws\n" in out and "digits publish" in out


# --- refreshing


class Runner:
    """Stands in for `run_one`: leaves runs, and notes them; may be told to fail or stop."""

    def __init__(self, book):
        self.book, self.ran, self.trouble, self.best = book, [], {}, {"a": 1}

    def __call__(self, plan, show):
        name = plan.chapter.name
        self.ran.append(name)
        trouble = self.trouble.pop(name, None)
        if isinstance(trouble, type):
            raise trouble
        if trouble == "fails":
            return ChapterRun(name, plan.output, 1.0, ("it failed", "", ""))
        if name == "02_saves":
            found = json.dumps({**self.best, **plan.parameters})
            write(plan.folder, {"artifacts/best_parameters.json": found})
        pretend_run(self.book, name, plan.profile, accuracy=0.5)
        if trouble == "changes":
            edit(self.book / LINES, "return n", "return 7 * n")
        return ChapterRun(name, plan.output, 1.0)


@pytest.fixture
def runner(here, monkeypatch):
    """Three stale chapters, the third reads what the second saves; and what runs them."""
    make_book(here, c01_draws=DRAWS, c02_saves=SAVES, c03_reads=READS)
    monkeypatch.setattr(execute, "run_one", Runner(here))
    return execute.run_one


def test_an_interrupted_publish_goes_on_with_the_rest(here, runner, capsys):
    runner.trouble = {"02_saves": KeyboardInterrupt}
    assert main(["publish"]) == 130
    assert "what was published is kept" in capsys.readouterr().err
    assert [bool(reasons(here, name)) for name in ALL] == [False, True, True]
    runner.trouble = {"03_reads": "fails"}
    assert main(["publish"]) == 1
    assert "it failed" in capsys.readouterr().err
    assert main(["publish"]) == 0
    assert runner.ran == ["01_draws", "02_saves", "02_saves", "03_reads", "03_reads"]
    assert [reasons(here, name) for name in ALL] == [[], [], []]
    (here / "_build").rename(here / "_gone")
    assert main(["publish"]) == 0
    assert len(runner.ran) == 5, "all is fresh"

    # Only what is stale runs again, and what it hands on is followed.
    change(here, "notebooks/02_saves.py", "{})", "dict())")
    assert main(["publish"]) == 0
    assert runner.ran[5:] == ["02_saves"], "it found the same again"
    change(here, "notebooks/02_saves.py", "dict())", "{})")
    runner.best = {"a": 2}
    assert reasons(here, "03_reads") == []
    assert main(["publish"]) == 0
    assert runner.ran[6:] == ["02_saves", "03_reads"]
    assert json.loads((here / BEST).read_text()) == {"a": 2}


def test_a_run_made_by_hand_is_taken_and_what_an_unpublished_one_left_is_not_read(
    here, runner, capsys
):
    pretend_run(here, "01_draws", "full")
    assert main(["publish", "--no-run"]) == 1
    out = capsys.readouterr().out
    assert "01_draws: wrote notebooks/01_draws.ipynb" in out
    assert "02_saves: needs a run (not published: it holds no fingerprint" in out
    assert runner.ran == []
    # 03 is refreshed alone: the book's own copy counts, not what some run of 02 has left.
    left = "_build/runs/full/artifacts/best_parameters.json"
    write(here, {left: '{"a": "of a run that was never published"}'})
    assert main(["publish", "01", "03"]) == 0
    assert runner.ran == ["03_reads"]
    assert (here / left).read_bytes() == (here / BEST).read_bytes()


def test_nothing_is_published_of_other_versions_or_of_code_that_changed_meanwhile(
    here, runner, capsys
):
    lock(here, "99.1")
    assert main(["publish", "01"]) == 1
    told = capsys.readouterr().err
    assert f"numpy is 99.1, was {NUMPY}" in told and "make venv" in told
    assert runner.ran == []
    lock(here, NUMPY)
    runner.trouble = {"01_draws": "changes"}
    assert main(["publish", "01"]) == 1
    assert f"it changed while it ran ({LINES} has changed)" in capsys.readouterr().err
    assert reasons(here) == [NO_FINGERPRINT]


# --- runs


def test_fresh_runs_are_skipped_and_told_when_asked_and_only_then(here, runner, capsys):
    """What 02 leaves is seen when the turn of 03 comes."""

    def run(*arguments):
        runner.ran.clear()
        capsys.readouterr()
        assert main(["run", *arguments]) == 0
        return runner.ran

    assert run("--skip-fresh") == ALL
    assert run("--skip-fresh") == []
    shown = capsys.readouterr()
    assert "[1/3] 01_draws: fresh, not run again" in shown.err
    assert re.search(r"01_draws \(as it was\) .* accuracy 0\.5", shown.out)
    change(here, "notebooks/02_saves.py", "A second", "Another")
    assert run("--skip-fresh") == [], "prose does not count"
    write(here, {"profiles/quick/02_saves.yaml": "SEED: 7\n"})
    assert run("--skip-fresh") == ["02_saves", "03_reads"], "03 is given another result"
    (here / "_build/runs/quick/artifacts/best_parameters.json").unlink()
    assert run("--skip-fresh", "02") == ["02_saves"], "what it leaves is gone"
    assert run("02") == ["02_saves"], "whoever names a chapter wants it run"


def test_a_run_with_other_installed_versions_or_another_backend_is_stale(book, monkeypatch):
    edit(book / LINES, "def line", "import keras\n\n\ndef line")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pretend_run(book, "01_draws")
    lock(book, "99.1")
    assert stale_runs(book) == [[]], "the lock is for what is published"
    told = ["jax is no longer used", f"tensorflow is {version('tensorflow')}, was not used"]
    for backend in ("tensorflow", ""):  # to Keras empty is the same as not set
        monkeypatch.setenv("KERAS_BACKEND", backend)
        assert stale_runs(book) == [told]
    monkeypatch.setattr(freshness, "installed_version", lambda name: "99.2")
    assert f"numpy is 99.2, was {NUMPY}" in stale_runs(book)[0]
    (book / "_build").rename(book / "_gone")
    assert stale_runs(book) == [["not run yet"]]
