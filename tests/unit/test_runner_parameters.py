"""Declared parameters, requested values, and the messages when they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROOT
from runner_books import FIRST, SECOND, make_book, sweep_file

from digits_cli.book import list_chapters
from digits_cli.errors import ParameterError, RunnerError, UsageError
from digits_cli.pairing import read_chapter
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


def write_profile(book, text, chapter="01_first", profile="quick"):
    path = book / "profiles" / profile / f"{chapter}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_declarations_are_read_with_type_default_and_comment():
    declared = parse_declarations(
        "A: int = -3  # apples # and pears\nB: str = '#ö'  # ü\n\nC: bool = True", "01_x"
    )
    assert [(p.name, p.type, p.default, p.comment) for p in declared.values()] == [
        ("A", "int", -3, "apples # and pears"),
        ("B", "str", "#ö", "ü"),
        ("C", "bool", True, ""),
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os", "line 1: found 'import os', expected NAME: type = literal"),
        ("A: int = 1\nA.b = 2", "line 2: found 'A.b = 2'"),
        ("A: int = 2 * 3", "found 'A: int = 2 * 3'"),
        ("A: int = __import__('os').abort()", "expected NAME: type = literal"),
        ("A: int | None = 1", "types int, float, str, bool"),
        ("A = 1", "expected NAME: type = literal"),
        ("A: int", "expected NAME: type = literal"),
        ("A: int = 'three'", "A is int, but its default is 'three'"),
        ("A: int = (", "not Python"),
    ],
)
def test_a_parameters_cell_of_anything_else_is_refused(source, told):
    with pytest.raises(ParameterError, match="01_x") as error:
        parse_declarations(source, "01_x")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int = 1", [0, -5], [True, 1.0, "1", None, [1], 2**63]),
        ("float = 1.0", [2, 0.5, -1e-9], [True, "0.5", None, float("nan"), float("inf")]),
        ("bool = True", [False], [0, "no", None]),
        ("str = ''", ["", "a"], [1, None, True, ["a"], {"a": 1}]),
    ],
)
def test_types(kind, good, bad):
    declared = parse_declarations(f"A: {kind}", "01_x")
    for value in good:
        check_value("01_x", declared, "A", value, "-p")
    for value in bad:
        with pytest.raises(ParameterError):
            check_value("01_x", declared, "A", value, "-p")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-2", -2),
        ("1e-3", 0.001),
        ("True", True),
        ("false", False),
        ('"5"', "5"),
        ("relu", "relu"),
        ("", ""),
        ("a # b", "a # b"),
        ("2020-01-01", "2020-01-01"),
        ("[1, 2]", "[1, 2]"),
        ('"; import os; os.abort() #', '"; import os; os.abort() #'),
    ],
)
def test_command_line_values(text, value):
    found = parse_command_line_value(text)
    assert found == value
    assert type(found) is type(value)


def test_an_unknown_parameter_is_named_with_close_matches_and_the_declarations(plan):
    with pytest.raises(ParameterError) as error:
        plan(["01"], RAT=1)
    told = str(error.value)
    assert "01_first has no parameter RAT (-p). Did you mean RATE?" in told
    assert "RATE: float = 0.5  # per step" in told
    assert error.value.exit_code == 2


def test_a_wrong_type_is_told_with_declared_type_default_and_found_value(plan):
    with pytest.raises(ParameterError) as error:
        plan(["01"], SEED="zero")
    assert "SEED of 01_first is int (default 0); -p gives 'zero', a text." in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [("N", 2, True), ("N", 1, False), ("RATE", 0.5, True), ("RATE", 0, False), ("FREE", -1, True)],
)
def test_a_number_is_not_smaller_than_the_comment_says(name, value, fits):
    declared = parse_declarations(
        "N: int = 3  # passes, at least 2; more take longer\nRATE: float = 1.0  # at least 0.5\n"
        "FREE: int = 0  # the least\n",
        "01_x",
    )
    if fits:
        check_value("01_x", declared, name, value, "-p")
        return
    with pytest.raises(ParameterError, match=rf"{name} of 01_x is at least .*; -p gives"):
        check_value("01_x", declared, name, value, "-p")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_library_takes_is_refused_and_the_largest_is_not(plan, book, seed):
    (run,) = plan(["01"], SEED=2**32 - 1)
    assert run.parameters["SEED"] == 2**32 - 1
    told = rf"SEED of 01_first is from 0 to 4294967295; .* gives {seed}\."
    with pytest.raises(ParameterError, match=told):
        plan(["01"], SEED=seed)
    write_profile(book, f"SEED: {seed}\n")
    with pytest.raises(ParameterError, match=told):
        plan(["01"])


def test_every_chapter_s_own_values_are_as_large_as_it_says():
    seen = 0
    for chapter in list_chapters(ROOT):
        declared = declared_parameters(read_chapter(chapter), chapter.name)
        for parameter in declared.values():
            check_value(chapter.name, declared, parameter.name, parameter.default, "its cell")
            seen += parameter.least is not None
        if "EPOCHS" in declared:
            assert declared["EPOCHS"].least == 1, chapter.name
    assert seen > 30


def test_values_reach_every_chapter_that_declares_them_and_need_one(plan):
    first, second = plan(SEED=7, EPOCHS=1)
    assert first.parameters == {"SEED": 7}
    assert second.parameters == {"SEED": 7, "EPOCHS": 1}
    with pytest.raises(ParameterError, match="None of 01_first, 02_second has a parameter EPOCH "):
        plan(EPOCH=1)
    with pytest.raises(ParameterError, match="01_first has no parameter EPOCHS"):
        plan(["01"], EPOCHS=1)


def test_the_command_line_goes_before_the_profile(plan, book):
    write_profile(book, "SEED: 1\nRATE: 2  # a whole number will do\n")
    (run,) = plan(["01"], SEED=5)
    assert run.parameters == {"SEED": 5, "RATE": 2}
    assert run.output == book / "_build" / "runs" / "quick-changed" / "01_first.ipynb"


@pytest.mark.parametrize("where", ["-p", "profile", "sweep", "a sweep's profile"])
@pytest.mark.parametrize("name", ["DATA", "ARTIFACTS", "TRIALS"])
def test_a_folder_is_meant_from_here_and_a_tilde_is_home(plan, book, monkeypatch, name, where):
    make_book(book, c01_first=FIRST.replace("DATA:", 'TRIALS: str = ""\nDATA:'))
    here = book / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for variable in ("HOME", "USERPROFILE"):  # the second is Windows'
        monkeypatch.setenv(variable, str(book / "home"))

    def given(folder):
        if where == "-p":
            return plan(["01"], **{name: folder})[0].parameters[name]
        if "profile" in where:
            write_profile(book, f"{name}: {folder}\n", profile="mine")
        if where == "profile":
            return plan(["01"], profile="mine")[0].parameters[name]
        entries = "profile: mine" if "profile" in where else f"constants: {{{name}: {folder}}}"
        file = sweep_file(book, f"chapter: 01_first\n{entries}\nseeds: [0]\n")
        return read_sweep(file, book).points[0][name]

    assert given("../mine") == str(here / "../mine")
    assert given("~/my kaggle") == str(book / "home" / "my kaggle")
    assert given("/else") == str(Path("/else").absolute())
    with pytest.raises(UsageError, match=f"{name} is s3://mine, expected a folder on this machine"):
        given("s3://mine")


def test_a_profile_of_comments_alone_means_the_defaults(plan, book):
    write_profile(book, "# the chapter's own defaults\n", profile="full")
    assert plan(["01"], profile="full")[0].parameters == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("RATES: 1\n", "line 1). Did you mean RATE?"),
        ("SEED: 1\nRATE: fast\n", "line 2 gives 'fast', a text"),
        ("RATE: 1e-3\n", "YAML reads it as a text: write 1.0e-03"),
        ("NAME: 5\n", "quote it twice"),
        ("SEED: 1\nRATE: [1\n", "line 3: this is not YAML"),
        ("- SEED\n", "line 1: expected NAME: value"),
        ("just a text\n", "line 1: expected NAME: value"),
        ("# head\nSEED: {a: 1}\n", "line 2 gives {'a': 1}, a mapping"),
        ("SEED: [1]\n", "line 1 gives [1], a list"),
        ("NAME: 2024-01-01\n", "line 1: found a date"),
        ("NAME: !!python/name:os.system ''\n", "line 1: found tag:yaml.org,2002:python/name"),
        ("SEED: 0x%s\n" % ("f" * 40), "a whole number beyond 64 bits"),
        ("<<: {SEED: 1}\n", "line 1: merge keys ('<<') are not read"),
        ("NAME: &a [*a]\n", "line 1: aliases ('*name') are not read"),
        (f"SEED: {'[' * 3000}\n", "this is not YAML"),
        (f"SEED: 1{':1' * 1000}\n", "line 1: cannot be read: a number of 2,001 characters"),
        ("#" * 1_000_001, "larger than 1 MB"),
        ("SEED: 1\n\nSEED: 2\n", "line 3: SEED is set twice, first in line 1"),
        ("? [a]\n: 1\n", "expected a name before the colon"),
        ("DEEP: 1\n", "DEEP of 01_first is bool"),
    ],
)
def test_a_bad_profile_is_told_with_file_and_line(plan, book, text, told):
    write_profile(book, text)
    with pytest.raises(ParameterError, match="01_first.yaml") as error:
        plan()
    assert told in str(error.value)
    assert error.value.exit_code == 2


def test_a_profile_that_is_not_text_or_no_file_is_told(plan, book):
    path = write_profile(book, "")
    path.write_bytes(b"\xff\xfe\x00SEED")
    with pytest.raises(ParameterError, match="01_first.yaml is not a UTF-8 text file"):
        plan(["01"])
    path.unlink()
    path.mkdir()
    with pytest.raises(ParameterError, match="01_first.yaml: cannot be read"):
        plan(["01"])


def test_profiles_are_the_book_s_and_the_reader_s_own(plan, book):
    with pytest.raises(UsageError, match=r"no profile 'quik'. Did you mean quick\?"):
        plan(profile="quik")
    with pytest.raises(UsageError):
        plan(profile="../quick")
    write_profile(book, "SEED: 9\n", profile="mine")
    assert plan(["01"], profile="mine")[0].parameters == {"SEED": 9}


def test_chapters_are_found_by_name_prefix_and_path_in_book_order(plan, book, monkeypatch):
    monkeypatch.chdir(book)

    def names(*wanted):
        return [run.chapter.name for run in plan(wanted)]

    assert names() == ["01_first", "02_second"]
    assert names("02", "01_first", "02") == ["01_first", "02_second"]
    assert names("2") == ["02_second"]
    assert names("notebooks/02_second.py") == ["02_second"]
    for wrong, told in [("03", "no chapter '03'"), ("0", "matches 2"), ("", "no chapter")]:
        with pytest.raises(UsageError, match=told):
            names(wrong)
    with pytest.raises(UsageError, match="Did you mean 02_second"):
        names("02_secnod")
    (book / "other.ipynb").write_text("{}")
    with pytest.raises(UsageError, match="papermill other.ipynb"):
        names("other.ipynb")


def test_a_pair_that_differs_is_not_run(plan, book):
    script = book / "notebooks" / "02_second.py"
    script.write_text(script.read_text() + "\n# %%\nmore = 1\n")
    with pytest.raises(RunnerError, match="digits sync.*make sync") as error:
        plan()
    assert "02_second: the .py has 4 cells, the .ipynb 3" in str(error.value)
    assert [run.chapter.name for run in plan(["01"])] == ["01_first"]
    (book / "notebooks" / "01_first.ipynb").unlink()
    with pytest.raises(RunnerError, match="there is a .py but no .ipynb"):
        plan(["01"])


def test_a_chapter_needs_exactly_one_parameters_cell(plan, book):
    make_book(book, c03_none="# %%\n1\n")
    with pytest.raises(ParameterError, match="03_none has 0 cells tagged 'parameters'"):
        plan(["03"])
