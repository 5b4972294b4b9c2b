"""Stale outputs: found whenever something that made them has changed, and only then."""

from __future__ import annotations

import ast
import json
import tomllib
from importlib.metadata import version

import pytest
from helpers import ROOT
from runner_books import chapter, make_book, pretend_run

from digits_cli import execute, freshness, publish
from digits_cli.book import code_cells, list_chapters, read_notebook, write_notebook
from digits_cli.cli import main
from digits_cli.code_form import cell_form, module_form, short_hash
from digits_cli.execute import ChapterRun, Failure, run_chapters
from digits_cli.freshness import NO_FINGERPRINT, why_run_is_stale, why_stale
from digits_cli.pairing import sync_pair

DRAWS = """# %% [markdown]
# # A chapter that draws

# %% tags=["colab"]
print("install from v1")

# %% tags=["parameters"]
SEED: int = 0  # of everything
EPOCHS: int = 3  # passes
ARTIFACTS: str = "artifacts"  # folder

# %% [markdown]
# Some prose.

# %%
from digit_utils import shapes

# A comment.
print(shapes.draw(SEED, EPOCHS))
"""
SAVES = chapter(
    "from digit_utils.artifacts import save_json\nsave_json(ARTIFACTS, 'best_parameters', {})"
)
READS = chapter(
    "from digit_utils.artifacts import load_json\n"
    "load_json(ARTIFACTS, 'best_parameters', made_by='02_saves')"
)
ALL = ["01_draws", "02_saves", "03_reads"]
DRAWING, LINES, SHAPES = "notebooks/01_draws.py", "digit_utils/lines.py", "digit_utils/shapes.py"
BEST = "digit_utils/recorded/best_parameters.json"
PACKAGE = {
    "digit_utils/__init__.py": '"""Helpers."""\n\n__version__ = "1"\n',
    SHAPES: '"""Shapes."""\n\nimport numpy as np\n\nfrom digit_utils.lines import line\n\n\n'
    'def draw(seed, epochs):\n    """Draw."""\n    return np.full(seed, line(epochs))\n',
    LINES: "def line(n):\n    return n\n",
    "digit_utils/unused.py": "def nothing():\n    return 0\n",
    "digit_utils/artifacts.py": "def load_json(*a, **b):\n    return {}, ''\n",
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
    lock(tmp_path, version("numpy"))
    monkeypatch.setattr(freshness, "PACKAGE", tmp_path / "digit_utils")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def book(here):
    """One chapter, published and fresh."""
    make_book(here, c01_draws=DRAWS)
    pretend_run(here, "01_draws", "full")
    assert publish.publish(root=here, run=False) == []
    assert reasons(here) == []
    return here


def reasons(book, name="01_draws"):
    (found,) = [c for c in list_chapters(book) if c.name == name]
    return why_stale(book, found)


def stale_runs(book, profile="quick"):
    return [why_run_is_stale(book, found, profile) for found in list_chapters(book)]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if path.parent.name == "notebooks":
        for found in list_chapters(path.parents[1]):
            sync_pair(found)


# --- what makes published outputs stale


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (DRAWING, "print(shapes", "print(2, shapes", "its code has changed"),
        (DRAWING, "EPOCHS: int = 3", "EPOCHS: int = 30", "parameter EPOCHS is 30, was 3"),
        (DRAWING, 'ARTIFACTS: str = "artifacts"  # folder\n', "", "parameter ARTIFACTS is gone"),
        (SHAPES, "line(epochs)", "line(-epochs)", f"{SHAPES} has changed"),
        (LINES, "return n", "return 2 * n", f"{LINES} has changed"),
        (LINES, "return n", "return (", f"{LINES} has changed"),
        (SHAPES, "from digit_utils.lines import", "from digit_utils.unused import nothing as",
         "digit_utils/unused.py is used now"),
        ("requirements.lock", f"numpy=={version('numpy')}", "numpy==99.1",
         f"numpy is 99.1, was {version('numpy')}"),
        ("requirements.lock", "numpy", "other", f"numpy is in no lock, was {version('numpy')}"),
    ],
)  # fmt: skip
def test_a_change_that_counts_is_named(book, file, old, new, told):
    edit(book / file, old, new)
    others = [f"{LINES} is no longer used", f"{SHAPES} has changed"] * told.endswith("used now")
    assert sorted(reasons(book)) == sorted([told, *others])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (DRAWING, "Some prose.", "Better prose.\n#\n# And more."),
        (DRAWING, "# A comment.\n", "# Another one,\n# longer.\n\n"),
        (DRAWING, "(SEED, EPOCHS)", "(\n    SEED,\n    EPOCHS,\n)"),
        (DRAWING, "# passes", "# passes over the data"),
        (DRAWING, "from v1", "from v2"),
        (SHAPES, '"""Draw."""', '"""Draw well."""  # indeed'),
        (SHAPES, '"""Shapes."""', '"""Shapes, and more of them."""'),
        (LINES, "return n", "\n    return (\n        n\n    )"),
        ("digit_utils/unused.py", "return 0", "return 1"),
        ("digit_utils/__init__.py", '"1"', '"2"'),
        ("requirements.lock", "pytest==8.0", "pytest==9.0\nnewtool==1.0"),
        ("requirements.lock", "numpy", "numpy==99.1 ; python_full_version >= '3.12'\nnumpy"),
        (BEST, "{}", '{"a": 1}'),
    ],
)
def test_a_change_that_cannot_count_leaves_outputs_fresh_and_in_place(book, file, old, new):
    edit(book / file, old, new)
    assert reasons(book) == []
    code = code_cells(read_notebook(book / "notebooks/01_draws.ipynb"))
    assert all(cell.outputs and cell.execution_count for cell in code)


def test_outputs_without_a_fingerprint_or_lost_on_the_way_are_stale(book):
    path = book / "notebooks/01_draws.ipynb"
    edit(book / DRAWING, "print(shapes", "print(2, shapes")
    edit(book / DRAWING, "print(2, shapes", "print(shapes")
    assert reasons(book) == ["some of its code has no output"]
    notebook = read_notebook(path)
    del notebook.metadata["digits"]
    write_notebook(path, notebook)
    assert reasons(book) == [NO_FINGERPRINT]
    path.unlink()
    assert reasons(book) == ["not published"]


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ('{"results": {"accuracy": 0.1}}', "{} records other results than its outputs show"),
        ("[]", "its outputs cannot be compared with {}: one cannot be read"),
        ("[", "its outputs cannot be compared with {}: one cannot be read"),
        (None, "{} is missing"),
    ],
)
def test_outputs_and_a_record_that_tell_two_things_are_stale(book, record, told):
    path = book / "results/01_draws.json"
    good = path.read_bytes()
    path.unlink()
    if record:
        path.write_text(record)
    assert reasons(book) == [told.format("results/01_draws.json")]
    assert publish.publish(root=book, run=False) == []  # from the run that is there
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (lambda code: code[-1].outputs.pop(), True),  # the picture
        (lambda code: code[0].outputs[0].update(text="0\n"), True),
        (lambda code: code[0].update(execution_count=7), False),
    ],
)
def test_outputs_changed_by_hand_are_stale_and_stay_so_through_a_sync(book, change, stale):
    path = book / "notebooks/01_draws.ipynb"
    notebook = read_notebook(path)
    change(code_cells(notebook))
    write_notebook(path, notebook)
    assert main(["sync"]) == 0
    assert reasons(book) == ["its outputs are not those that were published"] * stale


def test_a_file_of_the_package_counts_when_it_is_named(book):
    table, other = "digit_utils/assets/table.npz", "digit_utils/assets/other.npz"
    edit(book / LINES, "return n", "return open(HERE / 'table.npz'), n")
    write(book, {table: "1", other: "1"})
    pretend_run(book, "01_draws", "full")
    assert publish.publish(root=book, run=False) == []
    write(book, {other: "2"})
    assert reasons(book) == []
    write(book, {table: "2"})
    assert reasons(book) == [f"{table} has changed"]


def test_status_names_what_is_stale_or_lags_behind_and_its_exit_code_says_stale(book, capsys):
    with (book / DRAWING).open("a") as script:
        script.write("\n# %% [markdown]\n# A new sentence.\n")
    assert main(["status"]) == 0, "prose makes nothing stale"
    out = capsys.readouterr().out
    assert "fresh" in out and "`digits sync` makes the .ipynb anew:\n  01_draws\n" in out
    edit(book / LINES, "return n", "return -n")
    assert main(["status", "01"]) == 1
    out = capsys.readouterr().out
    assert f"stale: {LINES} has changed\n  01_draws\n" in out and "digits publish" in out


# --- refreshing


class Runner:
    """Stands in for `run_chapters`: leaves runs, and notes them; may be told to fail or stop."""

    def __init__(self, book, patch):
        self.book, self.ran, self.trouble, self.best = book, [], {}, {"a": 1}
        patch.setattr(publish, "run_chapters", self)

    def __call__(self, wanted, profile, root):
        (name,) = wanted
        self.ran.append(name)
        trouble = self.trouble.pop(name, None)
        output = root / f"_build/runs/{profile}/{name}.ipynb"
        if isinstance(trouble, type):
            raise trouble
        if trouble == "fails":
            return [ChapterRun(name, profile, output, 1.0, failure=Failure("it failed"))]
        if name == "02_saves":
            write(output.parent, {"artifacts/best_parameters.json": json.dumps(self.best)})
        pretend_run(root, name, profile)
        if trouble == "changes":
            edit(self.book / LINES, "return n", "return 7 * n")
        return [ChapterRun(name, profile, output, 1.0)]


@pytest.fixture
def chain(here):
    """Three stale chapters; the third reads what the second saves."""
    return make_book(here, c01_draws=DRAWS, c02_saves=SAVES, c03_reads=READS)


@pytest.fixture
def runner(chain, monkeypatch):
    return Runner(chain, monkeypatch)


def test_an_interrupted_publish_goes_on_with_the_rest(chain, runner, capsys):
    runner.trouble = {"02_saves": KeyboardInterrupt}
    assert main(["publish"]) == 130
    assert "what was published is kept" in capsys.readouterr().err
    assert [bool(reasons(chain, name)) for name in ALL] == [False, True, True]
    runner.trouble = {"03_reads": "fails"}
    assert main(["publish"]) == 1
    assert "it failed" in capsys.readouterr().err
    assert main(["publish"]) == 0
    assert runner.ran == ["01_draws", "02_saves", "02_saves", "03_reads", "03_reads"]
    assert [reasons(chain, name) for name in ALL] == [[], [], []]
    (chain / "_build").rename(chain / "_gone")
    assert main(["publish"]) == 0
    assert len(runner.ran) == 5, "all is fresh"


def test_only_the_stale_are_run_and_what_they_hand_on_is_followed(chain, runner):
    assert publish.publish(root=chain) == []
    edit(chain / "notebooks/02_saves.py", "{})", "dict())")
    assert publish.publish(root=chain) == []
    assert runner.ran == [*ALL, "02_saves"], "it found the same again"
    edit(chain / "notebooks/02_saves.py", "dict())", "{})")
    runner.best = {"a": 2}
    assert reasons(chain, "03_reads") == []
    assert publish.publish(root=chain) == []
    assert runner.ran[4:] == ["02_saves", "03_reads"]
    assert json.loads((chain / BEST).read_text()) == {"a": 2}


def test_a_run_made_by_hand_is_taken_and_not_made_again(chain, runner, capsys):
    pretend_run(chain, "01_draws", "full")
    assert main(["publish", "--no-run"]) == 1
    out = capsys.readouterr().out
    assert "01_draws: wrote notebooks/01_draws.ipynb" in out
    assert "02_saves: needs a run (not published: it holds no fingerprint" in out
    assert runner.ran == []
    assert main(["publish", "01", "02"]) == 0
    assert runner.ran == ["02_saves"]


def test_what_an_unpublished_run_left_is_not_read(chain, runner):
    """03 is refreshed alone: the book's own copy counts, not what some run of 02 has left."""
    left = "_build/runs/full/artifacts/best_parameters.json"
    write(chain, {left: '{"a": "of a run that was never published"}'})
    assert publish.publish(["03"], root=chain) == []
    assert runner.ran == ["03_reads"]
    assert (chain / left).read_bytes() == (chain / BEST).read_bytes()


def test_nothing_is_published_of_other_versions_or_of_code_that_changed_meanwhile(
    chain, runner, capsys
):
    lock(chain, "99.1")
    assert main(["publish", "01"]) == 1
    told = capsys.readouterr().err
    assert f"numpy is 99.1, was {version('numpy')}" in told and "make venv" in told
    assert runner.ran == []
    lock(chain, version("numpy"))
    runner.trouble = {"01_draws": "changes"}
    assert main(["publish", "01"]) == 1
    assert f"it changed while it ran ({LINES} has changed)" in capsys.readouterr().err
    assert reasons(chain) == [NO_FINGERPRINT]


# --- runs


def test_fresh_runs_are_skipped_when_asked_and_only_then(chain, monkeypatch):
    """What 02 leaves is seen when the turn of 03 comes."""
    ran = []

    def run_one(plan, show):
        ran.append(plan.chapter.name)
        if plan.chapter.name == "02_saves":
            write(plan.folder, {"artifacts/best_parameters.json": json.dumps(plan.parameters)})
        pretend_run(chain, plan.chapter.name)
        return ChapterRun(plan.chapter.name, plan.profile, plan.output, 1.0)

    monkeypatch.setattr(execute, "run_one", run_one)

    def run(*arguments):
        ran.clear()
        assert main(["run", *arguments]) == 0
        return ran

    assert run("--skip-fresh") == ALL
    assert run("--skip-fresh") == []
    edit(chain / "notebooks/02_saves.py", "A second", "Another")
    assert run("--skip-fresh") == [], "prose does not count"
    write(chain, {"profiles/quick/02_saves.yaml": "SEED: 7\n"})
    assert run("--skip-fresh") == ["02_saves", "03_reads"], "03 is given another result"
    (chain / "_build/runs/quick/artifacts/best_parameters.json").unlink()
    assert run("--skip-fresh", "02") == ["02_saves"], "what it leaves is gone"
    assert run("02") == ["02_saves"], "whoever names a chapter wants it run"


def test_a_skipped_run_is_told_and_shown_with_its_results(here, capsys):
    make_book(here, c01_draws=DRAWS)
    pretend_run(here, "01_draws", accuracy=0.5)
    assert main(["run", "--skip-fresh"]) == 0
    shown = capsys.readouterr()
    assert "[1/1] 01_draws: fresh, not run again" in shown.err
    assert "01_draws (as it was)" in shown.out and "accuracy 0.5" in shown.out
    (run,) = run_chapters(skip_fresh=True)
    assert run.skipped and run.ok and run.results == {"accuracy": 0.5}


def test_a_run_with_other_installed_versions_is_stale(here, monkeypatch):
    make_book(here, c01_draws=DRAWS)
    pretend_run(here, "01_draws")
    lock(here, "99.1")
    assert stale_runs(here) == [[]], "the lock is for what is published"
    monkeypatch.setattr(freshness, "installed_version", lambda name: "99.2")
    assert stale_runs(here) == [[f"numpy is 99.2, was {version('numpy')}"]]
    assert stale_runs(here, "full") == [["not run yet"]]


def test_what_an_earlier_chapter_left_stands_in_for_the_recorded_file(chain):
    for name in ALL:
        pretend_run(chain, name)
    write(chain, {"_build/runs/quick/artifacts/best_parameters.json": '{"made": "here"}'})
    assert stale_runs(chain) == [[], [], [f"{BEST} has changed"]]


def test_a_run_with_another_backend_is_no_run_of_this_one(book, monkeypatch):
    edit(book / LINES, "def line", "import keras\n\n\ndef line")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pretend_run(book, "01_draws", "full")
    assert stale_runs(book, "full") == [[]]
    (book / "requirements.lock").unlink()  # versions count as they are installed
    assert stale_runs(book, "full") == [[]]
    told = ["jax is no longer used", f"tensorflow is {version('tensorflow')}, was not used"]
    for backend in ("tensorflow", ""):  # to Keras empty is the same as not set
        monkeypatch.setenv("KERAS_BACKEND", backend)
        assert stale_runs(book, "full") == [told]


# --- how it is computed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 'a'", 'x = "a"  # b', True),
        ("plt.plot()", "plt.plot();", False),
        ("plt.plot();", "plt.plot();  # quiet\n# indeed\n", True),
        ("x = 1", "x = 1.0", False),
        ("f('', 1)", "f(1)", False),
        ("x = None", "x = 0", False),
        ("%time f()", "%time g()", False),
        ("def f():\n    'a'", "def f():\n    'b'", False),  # a cell's texts may be shown
    ],
)
def test_the_form_of_a_cell(one, other, same):
    assert (cell_form(one) == cell_form(other)) is same


def test_the_form_of_a_module_is_the_same_under_every_python():
    """`type_params` and empty pieces of f-strings are there in some versions and not in others."""
    source = "def f(x: int = 3, *, y=None):\n    'Doc.'\n    return f'{x:<{y}} {x!r}' + '' + u'b'\n"
    assert short_hash(module_form(ast.parse(source)).encode()) == "a7184877e7c0de3f"


@pytest.mark.parametrize(
    "source",
    [
        "from digit_utils import lines\n%time f()", "import digit_utils.lines\n!ls",
        "if x:\n    from digit_utils.lines import line\n    %time f()",
        "from digit_utils.lines import line as l\ntook = %timeit -o f()",
        "import digit_utils.lines as l\n_ = (\n    '%s'\n    % 1\n)",  # plain Python
        "from digit_utils.deep.one import f", "from digit_utils.deep import two",
        "from digit_utils.search import run_search", "import digit_utils.search",
    ],
)  # fmt: skip
def test_imports_of_every_kind_are_followed_through_modules_and_sub_packages(here, source):
    write(here, {
        "digit_utils/deep/__init__.py": "", "digit_utils/deep/one.py": "from . import two\n",
        "digit_utils/deep/two.py": "def f():\n    from ..shapes import draw\n",
        "digit_utils/search/__init__.py": "from digit_utils.search.run import run_search\n",
        "digit_utils/search/run.py": "from .trials import Trial\n",
        "digit_utils/search/trials.py": "from .. import lines\n",
        "digit_utils/search/ray.py": "import ray\n",
    })  # fmt: skip
    make_book(here, c01_draws=chapter(source))
    pretend_run(here, "01_draws")
    edit(here / "digit_utils/search/ray.py", "import ray", "import ray as r")
    assert stale_runs(here) == [[]]
    edit(here / LINES, "return n", "return -n")
    assert stale_runs(here) == [[f"{LINES} has changed"]]


# Runtime packages that run the chapters, and hand on what was computed.
HANDS_ON = {
    "filelock", "ipykernel", "ipython", "jupytext", "nbclient", "nbformat", "packaging",
    "papermill", "pyarrow", "pyyaml", "rich",
}  # fmt: skip


def test_every_runtime_package_counts_or_is_said_not_to():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {text.partition(">")[0] for text in project["dependencies"]}
    counted = set(freshness.PACKAGES.values())
    assert counted == named - HANDS_ON
    assert counted <= dict(freshness.PIN.findall((ROOT / "requirements.lock").read_text())).keys()
