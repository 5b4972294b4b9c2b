"""Declared parameters, requested values, and the messages when they do not fit."""

import shutil
from pathlib import Path

import pytest
from helpers import ROOT
from runner_books import FIRST, SECOND, make_book, sweep_file

from digits_cli.book import find_checkout, find_root, list_chapters
from digits_cli.errors import RunnerError, UsageError
from digits_cli.pairing import check_pairs, read_script
from digits_cli.parameters import (
    check_value,
    declared_parameters,
    parse_command_line_value,
    parse_declarations,
)
from digits_cli.plan import plan_runs
from digits_cli.sweep_file import read_sweep


@pytest.fixture
def book(tmp_path):
    return make_book(tmp_path / "book", c01_first=FIRST, c02_second=SECOND)


@pytest.fixture
def plan(book):
    def plan(wanted=(), profile="quick", **parameters):
        return plan_runs(wanted, profile, parameters, None, book)

    return plan


def write_profile(book, text, profile="quick"):
    path = book / "profiles" / profile / "01_first.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_declarations_are_read_with_type_default_and_comment():
    declared = parse_declarations(
        "A: int = -3  # apples # and pears\nB: str = '#ö'  # ü\n\nC: bool = True", "01_x"
    )
    assert [(p.type, p.default, p.comment) for p in declared.values()] == [
        ("int", -3, "apples # and pears"), ("str", "#ö", "ü"), ("bool", True, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os", "line 1: found 'import os', expected NAME: type = literal"),
        ("A: int = __import__('os').abort()", "expected NAME: type = literal"),
        ("A: int | None = 1", "types int, float, str, bool"),
        ("A: int = 'three'", "A is int, but its default is 'three'"),
        ("A: int = (", "not Python"),
    ],
)
def test_a_parameters_cell_of_anything_else_is_refused(source, told):
    with pytest.raises(UsageError, match="01_x") as error:
        parse_declarations(source, "01_x")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("declaration", "good", "bad", "told"),
    [
        ("int = 1", [0, -5], [True, 1.0, "1", None, [1], 2**63], r"A of 01_x is int \(default 1\)"),
        ("float = 1.0", [2, 0.5], [True, "a", None, float("nan"), float("inf")], "is float"),
        ("bool = True", [False], [0, "no", None], "is bool"),
        ("str = ''", ["", "a"], [1, None, True, ["a"], {"a": 1}, "\ud800"], "is str"),
        ("int = 3  # passes, at least 2; more take longer", [2], [1, -1], "is at least 2; -p give"),
        ("float = 1.0  # at least 0.5", [0.5], [0], "is at least 0.5; -p gives 0"),
    ],
)
def test_types_and_minima(declaration, good, bad, told):
    declared = parse_declarations(f"A: {declaration}", "01_x")
    for value in good:
        check_value("01_x", declared, "A", value, "-p")
    for value in bad:
        with pytest.raises(UsageError, match=told):
            check_value("01_x", declared, "A", value, "-p")


def test_command_line_values():
    values = {"-2": -2, "1e-3": 0.001, "True": True, '"5"': "5"}
    values |= {text: text for text in ("", "relu", "2020-01-01", "[1, 2]", '"; os.abort() #')}
    found = {text: parse_command_line_value(text) for text in values}
    assert list(map(repr, found.values())) == list(map(repr, values.values()))


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"RAT": 1}, "01_first has no parameter RAT (-p). Did you mean RATE?"),
        ({"SEED": "zero"}, "SEED of 01_first is int (default 0); -p gives 'zero', a text."),
        ({"NAME": 5}, """To pass it as a text, quote it twice: '"5"'."""),
        ({"SEED": 2**31}, "SEED of 01_first is from 0 to 2147483647; -p gives 2147483648."),
        ({"SEED": -1}, "SEED of 01_first is from 0 to 2147483647; -p gives -1."),
    ],
)
def test_what_does_not_fit_is_told_with_the_declarations(plan, parameters, told):
    with pytest.raises(UsageError) as error:
        plan(["01"], **parameters)
    assert told in str(error.value)
    assert "\n01_first declares:\n  SEED: int = 0  # of everything\n  RATE" in str(error.value)
    assert error.value.exit_code == 2


def test_every_whole_number_of_a_chapter_says_its_minimum():
    for chapter in list_chapters(ROOT):
        declared = declared_parameters(read_script(chapter.script), chapter.name)
        for name, parameter in declared.items():
            check_value(chapter.name, declared, name, parameter.default, "its cell")
            if parameter.type == "int" and name != "SEED":
                with pytest.raises(UsageError, match=f"{name} of {chapter.name} is at least"):
                    check_value(chapter.name, declared, name, -1, "-p")


def test_values_reach_every_chapter_that_declares_them_and_need_one(plan):
    first, second = plan(SEED=2**31 - 1, EPOCHS=1)
    assert first.parameters == {"SEED": 2**31 - 1}
    assert second.parameters == {"SEED": 2**31 - 1, "EPOCHS": 1}
    with pytest.raises(UsageError, match="None of 01_first, 02_second has a parameter EPOCH "):
        plan(EPOCH=1)


@pytest.mark.parametrize("where", ["-p", "profile", "sweep"])
def test_a_folder_is_meant_from_here_and_a_tilde_is_home(plan, book, monkeypatch, where):
    make_book(book, c01_first=FIRST.replace("DATA:", 'TRIALS: str = ""\nDATA:'))
    here = book / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for variable in ("HOME", "USERPROFILE"):  # the second is Windows'
        monkeypatch.setenv(variable, str(book / "home"))

    def given(name, folder):
        if where == "-p":
            return plan(["01"], **{name: folder})[0].parameters[name]
        if where == "profile":
            write_profile(book, f"{name}: {folder}\n")
            return plan(["01"])[0].parameters[name]
        entries = f"constants: {{{name}: {folder}}}\nseeds: [0]\n"
        return read_sweep(sweep_file(book, f"chapter: 01\n{entries}"), book).points[0][name]

    for name in ("DATA", "ARTIFACTS", "TRIALS"):
        assert given(name, "../mine") == str(here / "../mine")
    assert given("DATA", "~/my kaggle") == str(book / "home" / "my kaggle")
    assert given("DATA", "/else") == str(Path("/else").absolute())
    with pytest.raises(UsageError, match="DATA is s3://mine, expected a folder on this machine"):
        given("DATA", "s3://mine")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("RATES: 1\n", "line 1). Did you mean RATE?"),
        ("SEED: 1\nRATE: fast\n", "line 2 gives 'fast', a text"),
        ("RATE: 1e-3\n", "YAML reads it as a text: write 1.0e-03"),
        ("SEED: 1\nRATE: [1\n", "line 3: this is not YAML"),
        ("- SEED\n", "line 1: expected NAME: value"),
        ("NAME: 2024-01-01\n", "line 1: found a date"),
        ("NAME: !!python/name:os.system ''\n", "line 1: found tag:yaml.org,2002:python/name"),
        ("NAME: &a [*a]\n", "line 1: aliases ('*name') are not read"),
        ("SEED: 1\n<<: {NAME: x}\n", "line 2: merge keys ('<<') are not read"),
        ("#" * 1_000_001, "larger than 1 MB"),
        ("SEED: 1\n\nSEED: 2\n", "line 3: SEED is set twice, first in line 1"),
        (b"\xff\xfe\x00SEED", "01_first.yaml is not a UTF-8 text file"),
    ],
)
def test_a_bad_profile_is_told_with_file_and_line(plan, book, text, told):
    path = write_profile(book, "")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match="01_first.yaml") as error:
        plan()
    assert told in str(error.value)


def test_profiles_are_the_book_s_and_the_reader_s_own_and_the_command_line_goes_first(plan, book):
    for wrong in ("quik", "../quick"):
        with pytest.raises(UsageError, match=rf"no profile '{wrong}'. Did you mean quick\?"):
            plan(profile=wrong)
    write_profile(book, "# comments alone mean the chapter's own defaults\n", profile="mine")
    assert plan(["01"], profile="mine")[0].parameters == {}
    write_profile(book, "SEED: 1\nRATE: 2  # a whole number will do\n", profile="mine")
    (run,) = plan(["01"], profile="mine", SEED=5)
    assert run.parameters == {"SEED": 5, "RATE": 2}
    assert run.output == book / "_build" / "runs" / "mine-changed" / "01_first.ipynb"


def test_chapters_are_found_by_name_prefix_and_path_in_book_order(plan, book, monkeypatch):
    monkeypatch.chdir(book)

    def names(*wanted):
        return [run.chapter.name for run in plan(wanted)]

    assert names() == ["01_first", "02_second"]
    assert names("02", "01_first", "02") == ["01_first", "02_second"]
    for text in ("2", "02_second.ipynb", "notebooks/02_second.py", "./notebooks/02_second.ipynb"):
        assert names(text) == ["02_second"]
    (book / "other.ipynb").write_text("{}")
    for wrong, told in {
        "03": "no chapter '03'",
        "0": "matches 2",
        "": "no chapter",
        "02_secnod": "Did you mean 02_second",
        "other.ipynb": "papermill other.ipynb",
        "nope/02_second.ipynb": "There is no such file. Did you mean 02_second",
    }.items():
        with pytest.raises(UsageError, match=told):
            names(wrong)


def test_a_pair_that_differs_or_has_no_parameters_cell_is_not_run(plan, book):
    make_book(book, c03_none="# %%\n1\n")
    with pytest.raises(UsageError, match="03_none has 0 cells tagged 'parameters'"):
        plan(["03"])
    with (book / "notebooks" / "02_second.py").open("a") as script:
        script.write("\n# %%\nmore = 1\n")
    (book / "notebooks" / "03_none.ipynb").unlink()
    with pytest.raises(RunnerError, match="(?s)digits sync.*make sync") as error:
        plan()
    assert "02_second: the .py has 4 cells, the .ipynb 3" in str(error.value)
    assert "03_none: there is a .py but no .ipynb" in str(error.value)
    assert [run.chapter.name for run in plan(["01"])] == ["01_first"]


# --- chapters that came with the package; tests/slow does it for real


def test_runs_are_planned_from_the_script_and_what_needs_a_checkout_says_so(tmp_path, monkeypatch):
    installed = make_book(tmp_path / "site-packages" / "digits_cli" / "installed", c01_first=FIRST)
    (installed / "jupytext.toml").unlink()
    (installed / "notebooks" / "01_first.ipynb").unlink()
    (installed / "profiles" / "quick").mkdir(parents=True)
    (installed / "profiles" / "quick" / "01_first.yaml").write_text("SEED: 3\n")
    monkeypatch.setattr("digits_cli.book.INSTALLED_BOOK", installed)
    monkeypatch.setattr("digits_cli.book.__file__", str(installed.parent / "book.py"))
    monkeypatch.chdir(tmp_path)
    before = sorted(installed.rglob("*"))
    (plan,) = plan_runs(["01"], "quick", {"RATE": 0.25}, None, None)
    assert plan.parameters == {"SEED": 3, "RATE": 0.25}
    assert plan.folder == tmp_path / "_build/runs/quick-changed"
    assert check_pairs(installed) == []
    assert sorted(installed.rglob("*")) == before
    with pytest.raises(UsageError, match="not inside a checkout of the book, which this command"):
        find_checkout()
    checkout = make_book(tmp_path / "checkout", c01_first=FIRST)
    assert find_checkout(checkout) == find_root(checkout) == checkout, "it goes first"
    shutil.rmtree(installed)
    with pytest.raises(UsageError, match="no folder above it holds both"):
        find_root()
