"""Stale outputs: found whenever something that made them has changed, and only then."""

from __future__ import annotations

import ast
import json
import shutil
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from runner_books import chapter, make_book, pretend_run

from digits_cli import execute, freshness, publish
from digits_cli.cli import main
from digits_cli.code_form import cell_form, closure, module_form, short_hash
from digits_cli.execute import ChapterRun, Failure, run_chapters
from digits_cli.freshness import NO_FINGERPRINT, why_run_is_stale, why_stale
from digits_cli.notebooks import code_cells, read_notebook, write_notebook
from digits_cli.pairing import sync_pair
from digits_cli.paths import list_chapters

ROOT = Path(__file__).resolve().parents[2]

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
MODULES = {
    "__init__": '"""Helpers."""\n\n__version__ = "1"\n',
    "shapes": '"""Shapes."""\n\nimport numpy as np\n\nfrom digit_utils.lines import line\n\n\n'
    'def draw(seed, epochs):\n    """Draw."""\n    return np.full(seed, line(epochs))\n',
    "lines": "def line(n):\n    return n\n",
    "unused": "def nothing():\n    return 0\n",
    "artifacts": "def load_json(*a, **b):\n    return {}, ''\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A digit_utils of a few lines in place of our own."""
    folder = tmp_path / "digit_utils"
    (folder / "recorded").mkdir(parents=True)
    (folder / "assets").mkdir()
    for name, source in MODULES.items():
        (folder / f"{name}.py").write_text(source)
    (folder / "recorded/best_parameters.json").write_text("{}\n")
    monkeypatch.setattr(freshness, "PACKAGE", folder)
    return folder


def lock(book, numpy: str) -> None:
    (book / "requirements.lock").write_text(
        f"numpy=={numpy} ; python_full_version < '3.12' \\\n    --hash=sha256:00\npytest==8.0\n"
    )


@pytest.fixture
def book(tmp_path, package, monkeypatch):
    """One chapter, published and fresh."""
    monkeypatch.chdir(make_book(tmp_path, c01_draws=DRAWS))
    lock(tmp_path, version("numpy"))
    pretend_run(tmp_path, "01_draws", "full")
    assert publish.publish(root=tmp_path, run=False) == []
    assert reasons(tmp_path) == []
    return tmp_path


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
        ("notebooks/01_draws.py", "print(shapes", "print(2, shapes", "its code has changed"),
        ("notebooks/01_draws.py", "EPOCHS: int = 3", "EPOCHS: int = 30",
         "parameter EPOCHS is 30, was 3"),
        ("notebooks/01_draws.py", 'ARTIFACTS: str = "artifacts"  # folder\n', "",
         "parameter ARTIFACTS is gone"),
        ("digit_utils/shapes.py", "line(epochs)", "line(-epochs)",
         "digit_utils/shapes.py has changed"),
        ("digit_utils/lines.py", "return n", "return 2 * n", "digit_utils/lines.py has changed"),
        ("digit_utils/lines.py", "return n", "return m", "digit_utils/lines.py has changed"),
        ("digit_utils/lines.py", "return n", "return (", "digit_utils/lines.py has changed"),
        ("digit_utils/lines.py", "def line", "import digit_utils.unused\n\n\ndef line",
         "digit_utils/unused.py is used now"),
        ("requirements.lock", f"numpy=={version('numpy')}", "numpy==99.1",
         f"numpy is 99.1, was {version('numpy')}"),
        ("requirements.lock", "numpy", "other", f"numpy is in no lock, was {version('numpy')}"),
    ],
)  # fmt: skip
def test_a_change_that_counts_is_named(book, file, old, new, told):
    edit(book / file, old, new)
    assert told in reasons(book)
    if "is used now" not in told:
        assert reasons(book) == [told]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("notebooks/01_draws.py", "Some prose.", "Better prose.\n#\n# And more."),
        ("notebooks/01_draws.py", "# A comment.\n", "# Another one,\n# longer.\n\n"),
        ("notebooks/01_draws.py", "(SEED, EPOCHS)", "(\n    SEED,\n    EPOCHS,\n)"),
        ("notebooks/01_draws.py", "# passes", "# passes over the data"),
        ("notebooks/01_draws.py", "from v1", "from v2"),
        ("digit_utils/shapes.py", '"""Draw."""', '"""Draw well."""  # indeed'),
        ("digit_utils/shapes.py", '"""Shapes."""', '"""Shapes, and more of them."""'),
        ("digit_utils/lines.py", "return n", "\n    return (\n        n\n    )"),
        ("digit_utils/unused.py", "return 0", "return 1"),
        ("digit_utils/__init__.py", '"1"', '"2"'),
        ("requirements.lock", "pytest==8.0", "pytest==9.0\nnewtool==1.0"),
        ("requirements.lock", "numpy", "numpy==99.1 ; python_full_version >= '3.12'\nnumpy"),
        ("digit_utils/recorded/best_parameters.json", "{}", '{"a": 1}'),
    ],
)
def test_a_change_that_cannot_count_leaves_outputs_fresh_and_in_place(book, file, old, new):
    edit(book / file, old, new)
    assert reasons(book) == []
    code = code_cells(read_notebook(book / "notebooks/01_draws.ipynb"))
    assert all(cell.outputs and cell.execution_count for cell in code)


def test_outputs_without_a_fingerprint_or_lost_on_the_way_are_stale(book):
    path = book / "notebooks/01_draws.ipynb"
    edit(book / "notebooks/01_draws.py", "print(shapes", "print(2, shapes")
    edit(book / "notebooks/01_draws.py", "print(2, shapes", "print(shapes")
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


def test_a_file_of_the_package_counts_when_it_is_named(book, package):
    edit(book / "digit_utils/lines.py", "return n", "return open(HERE / 'table.npz'), n")
    (package / "assets/table.npz").write_text("1")
    (package / "assets/other.npz").write_text("1")
    pretend_run(book, "01_draws", "full")
    assert publish.publish(root=book, run=False) == []
    (package / "assets/other.npz").write_text("2")
    assert reasons(book) == []
    (package / "assets/table.npz").write_text("22")
    assert reasons(book) == ["digit_utils/assets/table.npz has changed"]


def test_status_names_the_reason_and_its_exit_code_says_stale(book, capsys):
    assert main(["status"]) == 0
    assert "fresh" in capsys.readouterr().out
    edit(book / "digit_utils/lines.py", "return n", "return -n")
    assert main(["status", "01"]) == 1
    out = capsys.readouterr().out
    assert "stale: digit_utils/lines.py has changed\n  01_draws\n" in out
    assert "digits publish" in out and "digits sync" not in out


def test_status_names_the_notebooks_that_lag_behind(book, capsys):
    script = book / "notebooks/01_draws.py"
    script.write_text(script.read_text() + "\n# %% [markdown]\n# A new sentence.\n")
    assert main(["status"]) == 0, "prose makes nothing stale"
    assert "`digits sync` makes the .ipynb anew:\n  01_draws\n" in capsys.readouterr().out


# --- refreshing


@pytest.fixture
def chain(tmp_path, package, monkeypatch):
    """Three stale chapters; the third reads what the second saves. Runs are pretended."""
    monkeypatch.chdir(make_book(tmp_path, c01_draws=DRAWS, c02_saves=SAVES, c03_reads=READS))
    lock(tmp_path, version("numpy"))
    return tmp_path


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
            made = root / "_build/runs/full/artifacts/best_parameters.json"
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(json.dumps(self.best))
        pretend_run(root, name, profile)
        if trouble == "changes":
            edit(self.book / "digit_utils/lines.py", "return n", "return 7 * n")
        return [ChapterRun(name, profile, output, 1.0)]


ALL = ["01_draws", "02_saves", "03_reads"]


def test_an_interrupted_publish_goes_on_with_the_rest(chain, monkeypatch, capsys):
    runner = Runner(chain, monkeypatch)
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
    shutil.rmtree(chain / "_build")
    assert main(["publish"]) == 0
    assert len(runner.ran) == 5, "all is fresh"


def test_only_the_stale_are_run_and_what_they_hand_on_is_followed(chain, monkeypatch):
    runner = Runner(chain, monkeypatch)
    assert publish.publish(root=chain) == []
    runner.ran.clear()
    edit(chain / "notebooks/02_saves.py", "{})", "dict())")
    assert publish.publish(root=chain) == []
    assert runner.ran == ["02_saves"], "it found the same again"
    edit(chain / "notebooks/02_saves.py", "dict())", "{})")
    runner.ran.clear()
    runner.best = {"a": 2}
    assert reasons(chain, "03_reads") == []
    assert publish.publish(root=chain) == []
    assert runner.ran == ["02_saves", "03_reads"]
    assert json.loads((chain / "digit_utils/recorded/best_parameters.json").read_text()) == {"a": 2}


def test_a_run_made_by_hand_is_taken_and_not_made_again(chain, monkeypatch, capsys):
    runner = Runner(chain, monkeypatch)
    pretend_run(chain, "01_draws", "full")
    assert main(["publish", "--no-run"]) == 1
    out = capsys.readouterr().out
    assert "01_draws: wrote notebooks/01_draws.ipynb" in out
    assert "02_saves: needs a run (not published: it holds no fingerprint" in out
    assert runner.ran == []
    assert main(["publish", "01", "02"]) == 0
    assert runner.ran == ["02_saves"]


def test_what_an_unpublished_run_left_is_not_read(chain, monkeypatch):
    """03 is refreshed alone: the book's own copy counts, not what some run of 02 has left."""
    runner = Runner(chain, monkeypatch)
    left = chain / "_build/runs/full/artifacts/best_parameters.json"
    left.parent.mkdir(parents=True)
    left.write_text('{"a": "of a run that was never published"}')
    assert publish.publish(["03"], root=chain) == []
    assert runner.ran == ["03_reads"]
    recorded = chain / "digit_utils/recorded/best_parameters.json"
    assert left.read_bytes() == recorded.read_bytes()


def test_nothing_is_published_of_other_versions_or_of_code_that_changed_meanwhile(
    chain, monkeypatch, capsys
):
    runner = Runner(chain, monkeypatch)
    lock(chain, "99.1")
    assert main(["publish", "01"]) == 1
    told = capsys.readouterr().err
    assert f"numpy is 99.1, was {version('numpy')}" in told and "make venv" in told
    assert runner.ran == []
    lock(chain, version("numpy"))
    runner.trouble = {"01_draws": "changes"}
    assert main(["publish", "01"]) == 1
    assert "it changed while it ran (digit_utils/lines.py has changed)" in capsys.readouterr().err
    assert reasons(chain) == [NO_FINGERPRINT]


# --- runs


def test_fresh_runs_are_skipped_when_asked_and_only_then(chain, monkeypatch):
    """What 02 leaves is seen when the turn of 03 comes."""
    ran = []

    def run_one(plan, show):
        ran.append(plan.chapter.name)
        if plan.chapter.name == "02_saves":
            made = plan.folder / "artifacts/best_parameters.json"
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(json.dumps(plan.parameters))
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
    profile = chain / "profiles/quick/02_saves.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("SEED: 7\n")
    assert run("--skip-fresh") == ["02_saves", "03_reads"], "03 is given another result"
    (chain / "_build/runs/quick/artifacts/best_parameters.json").unlink()
    assert run("--skip-fresh", "02") == ["02_saves"], "what it leaves is gone"
    assert run("02") == ["02_saves"], "whoever names a chapter wants it run"


def test_a_skipped_run_is_told_and_shown_with_its_results(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(make_book(tmp_path, c01_draws=DRAWS))
    pretend_run(tmp_path, "01_draws", accuracy=0.5)
    assert main(["run", "--skip-fresh"]) == 0
    shown = capsys.readouterr()
    assert "[1/1] 01_draws: fresh, not run again" in shown.err
    assert "01_draws (as it was)" in shown.out and "accuracy 0.5" in shown.out
    (run,) = run_chapters(root=tmp_path, skip_fresh=True)
    assert run.skipped and run.ok and run.results == {"accuracy": 0.5}


def test_a_run_with_other_installed_versions_is_stale(tmp_path, package, monkeypatch):
    make_book(tmp_path, c01_draws=DRAWS)
    pretend_run(tmp_path, "01_draws")
    lock(tmp_path, "99.1")
    assert stale_runs(tmp_path) == [[]], "the lock is for what is published"
    monkeypatch.setattr(freshness, "installed_version", lambda name: "99.2")
    assert stale_runs(tmp_path) == [[f"numpy is 99.2, was {version('numpy')}"]]
    assert stale_runs(tmp_path, "full") == [["not run yet"]]


def test_what_an_earlier_chapter_left_stands_in_for_the_recorded_file(chain):
    for name in ALL:
        pretend_run(chain, name)
    made = chain / "_build/runs/quick/artifacts/best_parameters.json"
    made.parent.mkdir(parents=True)
    made.write_text('{"made": "here"}')
    changed = ["digit_utils/recorded/best_parameters.json has changed"]
    assert stale_runs(chain) == [[], [], changed]


def test_a_run_with_another_backend_is_no_run_of_this_one(book, monkeypatch):
    edit(book / "digit_utils/lines.py", "def line", "import keras\n\n\ndef line")
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


@pytest.mark.parametrize(
    "rest",
    [
        "%time f()", "if x:\n    %time f()", "took = %timeit -o f()", "!ls",
        "_ = (\n    '%s'\n    % 1\n)",  # plain Python
    ],
)  # fmt: skip
def test_imports_are_seen_beside_lines_that_begin_with_a_percent_sign(tmp_path, package, rest):
    book = make_book(tmp_path, c01_draws=chapter(f"from digit_utils import lines\n{rest}"))
    pretend_run(book, "01_draws")
    edit(package / "lines.py", "return n", "return -n")
    assert stale_runs(book) == [["digit_utils/lines.py has changed"]]


def test_the_form_of_a_module_is_the_same_under_every_python():
    """`type_params` and empty pieces of f-strings are there in some versions and not in others."""
    source = "def f(x: int = 3, *, y=None):\n    'Doc.'\n    return f'{x:<{y}} {x!r}' + '' + u'b'\n"
    assert short_hash(module_form(ast.parse(source)).encode()) == "a7184877e7c0de3f"


def test_the_closure_follows_imports_of_every_kind_through_sub_packages(package):
    for name, source in {
        "deep/__init__.py": "", "deep/one.py": "from . import two\nfrom .. import lines\n",
        "deep/two.py": "def f():\n    from digit_utils.shapes import draw\n",
        "search/__init__.py": "from digit_utils.search.run import Search, run_search\n",
        "search/run.py": "from .trials import Trial\n\nSearch = Trial\n",
        "search/trials.py": "Trial = 1\n", "search/ray.py": "import ray\n",
    }.items():  # fmt: skip
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(source)
    two = ["__init__.py", "deep/__init__.py", "deep/two.py", "lines.py", "shapes.py"]
    assert list(closure(package, {"digit_utils.deep.two"})) == two
    assert list(closure(package, {"digit_utils.deep.one"})) == sorted([*two, "deep/one.py"])
    search = [f"search/{name}.py" for name in ("__init__", "run", "trials")]
    for name in ("digit_utils.search.run_search", "digit_utils.search", "digit_utils.search.run"):
        assert list(closure(package, {name})) == ["__init__.py", *search]


def test_a_change_below_what_a_sub_package_re_exports_counts(book, package):
    (package / "search").mkdir()
    (package / "search/__init__.py").write_text("from digit_utils.search.run import run_search\n")
    (package / "search/run.py").write_text("def run_search():\n    return 1\n")
    (package / "search/ray.py").write_text("ANOTHER = 1\n")
    edit(
        book / "notebooks/01_draws.py", "# A comment.", "from digit_utils.search import run_search"
    )
    pretend_run(book, "01_draws")
    edit(package / "search/ray.py", "1", "2")
    assert stale_runs(book) == [[]]
    edit(package / "search/run.py", "return 1", "return 2")
    assert stale_runs(book) == [["digit_utils/search/run.py has changed"]]


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
    assert counted <= freshness.locked_versions(ROOT).keys()
