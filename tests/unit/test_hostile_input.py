"""What hostile files and values did once and must not do again; scripts/fuzz.py found most."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from fuzzing.csv_files import csv_bytes
from fuzzing.harness import time_limit
from fuzzing.yaml_files import BOMB
from runner_books import FIRST, digits, make_book

from digit_utils import results
from digit_utils.artifacts import ArtifactError, load_json
from digit_utils.data import load_digits
from digit_utils.errors import DigitDataError
from digit_utils.kaggle_csv import parse_kaggle_csv
from digit_utils.shipped import ShippedModelError, load_networks
from digit_utils.strict_json import parse_json
from digit_utils.trial_store import SearchError, TrialStore
from digits_cli.errors import ParameterError, UsageError
from digits_cli.notebooks import read_notebook
from digits_cli.parameters import check_value, parse_declarations
from digits_cli.paths import select_chapters
from digits_cli.search_command import load_search
from digits_cli.site import stage_site
from digits_cli.sweep_file import read_sweep
from digits_cli.sweep_place import FORMAT, RECORD, FolderPlace
from digits_cli.values import parse_command_line_value, read_profile

HUGE = "0x" + "f" * 5000
DEEP = "[" * 3000


def named(value):
    """Name a case: some values are too long for a name, one even for Python."""
    try:
        return f"{value!r:.30}"
    except ValueError:
        return "huge"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return make_book(tmp_path_factory.mktemp("book"), c01_first=FIRST)


# ---- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": 1e999}', "1e999 is not a JSON number"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ('{"a": ' + "9" * 5000 + "}", "integer string"),
    ],
    ids=named,
)
def test_json_that_python_would_take_or_choke_on(tmp_path, text, says):
    with pytest.raises(ValueError, match=says):
        parse_json(text.encode())
    (tmp_path / "made.json").write_text(text)
    with pytest.raises(ArtifactError, match=rf"made\.json: is damaged or cut short .*{says}"):
        load_json(tmp_path, "made", "05_hyperopt")


TRIAL = {
    "format": 2, "number": 1, "parameters": {"rate": 0.5}, "seed": 7, "status": "ok", "loss": 0.25,
    "error": None, "seconds": 1.5, "curve": [0.5], "details": {}, "versions": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", []),
        ("status", {}),
        ("seconds", "1.5"),
        ("seconds", None),
        ("seed", "7"),
        ("curve", ["x"]),
        ("curve", [True]),
        ("curve", {"0": 1}),
        ("error", ["x"]),
        ("parameters", [1]),
        ("number", True),
        ("details", None),
        ("format", True),
        ("format", 0),
        ("format", -(10**300)),
        ("format", -(10**4000)),
        ("format", "2"),
        ("loss", 10**400),
        ("seconds", 10**4000),
    ],
    ids=named,
)
def test_a_trial_with_an_entry_of_another_kind_is_refused(tmp_path, name, value):
    path = tmp_path / "trial_0001.json"
    path.write_text(json.dumps({**TRIAL, name: value}))
    (tmp_path / "search.json").write_text(json.dumps({"format": 2, "seed": 0}))
    with TrialStore(tmp_path, {"seed": 0}) as store:
        with pytest.raises(SearchError, match=r"trial_0001\.json.*delete the file"):
            store.read()
        path.write_text(json.dumps(TRIAL))
        assert store.read()[0].loss == 0.25


def test_other_spellings_of_a_number_are_no_trials(tmp_path):
    for name in ("trial_1.json", "trial_٠٠٠١.json", "trial_00001.json"):
        (tmp_path / name).write_text(json.dumps(TRIAL))
    with TrialStore(tmp_path, {"seed": 0}) as store:
        assert store.read() == []


@pytest.mark.parametrize(
    "change",
    [
        {"notebook": "../../secret.ipynb"},
        {"notebook": "javascript:alert(1)"},
        {"notebook": ["x"]},
        {"status": "done"},
        {"status": None},
        {"error": 3},
        {"seconds": "1"},
        {"parameters": None},
        {"commit": {}},
    ],
    ids=named,
)
def test_a_record_that_leads_astray_counts_as_none(tmp_path, change):
    record = {
        "format": FORMAT, "run": "abc", "status": "ok", "notebook": "01_first.ipynb",
        "seconds": 1.0,
        "parameters": {}, "results": {}, "error": None, "commit": None, "peak_memory_mb": None,
    }  # fmt: skip
    (tmp_path / "abc").mkdir()
    path = tmp_path / "abc" / "run.json"
    path.write_text(json.dumps(record))
    assert FolderPlace(tmp_path).read(["abc"]) == {"abc": record}
    path.write_text(json.dumps({**record, **change}))
    assert FolderPlace(tmp_path).read(["abc"]) == {}


# ---- YAML ----------------------------------------------------------------------------------------

LAUGHS = "".join(
    f"  L{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else 'x, y'}]\n" for i in range(8)
)
RANGE = "chapter: 01\nrandom: {samples: 3, values: {%s: {low: %s, high: %s}}}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"chapter: {DEEP}\n", "nested too deeply"),
        (f"chapter: 01\nconstants:\n{LAUGHS}seeds: [0]\n", "more than 200,000 values"),
        (f"chapter: {HUGE}\nseeds: [0]\n", "beyond 64 bits"),
        (f"chapter: 01\nseeds: [{HUGE}]\n", "beyond 64 bits"),
        ("chapter: 01\nseeds: [!!int '']\n", "line 2: cannot be read"),
        ("chapter: 01\nseeds: [!!bool x]\n", "line 2: cannot be read"),
        ("chapter: 01\nseeds: [!!timestamp x]\n", "line 2: cannot be read"),
        ("chapter: 01\nseeds: [0001-01-01 00:00:00 +23:59]\n", "a datetime"),
        ("chapter: 01\nconstants: !!python/object:os.abort {SEED: 1}\n", "expected a plain list"),
        (
            "chapter: 01\nseeds: !!python/tuple [1]\n",
            "line 2: found tag:yaml.org,2002:python/tuple",
        ),
        (
            "chapter: 01\nrandom: {samples: 99999999, values: {RATE: [1]}}\n",
            "asks for 99999999 runs",
        ),
        (
            "chapter: 01\ngrid:\n"
            + "".join(f"  {n}: {list(range(99))}\n" for n in ("SEED", "RATE", "LIMIT")),
            "asks for 970299 runs, expected at most 10,000",
        ),
        (
            f"chapter: 01\ngrid: {{RATE: {list(range(200))}}}\nseeds: {list(range(99))}\n",
            "19800 runs",
        ),
        (RANGE % ("RATE", "-1.0e+308", "1.0e+308"), "low below high"),
        ("chapter: 01\nrandom: {samples: 9999, values: {SEED: [1, 2]}}\n", "2 different runs"),
        ("chapter: 01\nrandom: {samples: 9, values: {SEED: [2024-01-01]}}\n", "a date"),
        (RANGE % ("LIMIT", "0", "0xffffffffffffffffff"), "beyond 64 bits"),
        ("chapter: " + "a" * 300 + ".py\nseeds: [0]\n", "There is no chapter"),
        ("# " + "x" * 1_000_001, "larger than 1 MB"),
    ],
    ids=named,
)
def test_a_sweep_that_would_hang_or_break_is_refused(book, tmp_path, text, says):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_sweep(path, book)
    assert "sweep.yaml" in str(caught.value) and says in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_range_up_to_the_largest_whole_number_can_be_drawn_from(book, tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(RANGE % ("LIMIT", str(-(2**63)), str(2**63 - 1)))
    assert len(read_sweep(path, book).points) == 3


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.abort []",
        "!!python/name:os.system ''",
        "2024-99-99",
        "!!int ''",
        "!!set {a}",
        HUGE,
        DEEP,
        "&a [*a]",
        "{a: 1}",
    ],
    ids=named,
)
def test_a_profile_with_such_a_value_is_refused(tmp_path, value):
    path = tmp_path / "01_first.yaml"
    path.write_text(f"# first\nSEED: {value}\n")
    with pytest.raises(ParameterError, match=r"01_first\.yaml"):
        read_profile(path)


@pytest.mark.parametrize("name", ["!!python/name:os.system SEED", "<<", "=", "2024-99-99", "[a]"])
def test_a_profile_with_such_a_name_is_refused(tmp_path, name):
    path = tmp_path / "01_first.yaml"
    path.write_text(f"# first\n? {name}\n: 1\n")
    with pytest.raises(ParameterError, match=r"01_first\.yaml, line [12]"):
        read_profile(path)


def test_a_profile_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ParameterError, match="cannot be read"):
        read_profile(tmp_path)


@pytest.mark.parametrize(
    "text", ["2024-99-99", "!!int ''", "!!bool x", DEEP, "9" * 5000 + "x"], ids=named
)
def test_odd_texts_on_the_command_line_stay_texts(text):
    assert parse_command_line_value(text) == text


# ---- Parameters are data -------------------------------------------------------------------------

DECLARED = parse_declarations(
    'SEED: int = 0\nNAME: str = ""\nWORDS: list[str] = []\nRATE: float = 0.5\n', "01_first"
)


@pytest.mark.parametrize(
    "value",
    [
        "'",
        '"',
        '"""',
        "'''",
        "\\",
        '\\\\"',
        'x"\n',
        "\r\n",
        "\0",
        "\x1b[31m",
        "{NAME}",
        "{{}}",
        "%s",
        "${HOME}",
        "`id`",
        "__import__('os').abort()",
        '"; import os; os.abort() #',
        "!!python/object/apply:os.abort []",
        "\u2028",
        "\u202e",
        "\N{PILE OF POO}",
        "\\N{BELL}",
        "\\x22",
        "\\u0022",
        "<script>alert(1)</script>",
        "=cmd()",
        "",
        " ",
        "a" * 10_000,
    ],
    ids=named,
)
def test_a_text_that_looks_like_code_comes_out_of_papermill_as_it_went_in(value):
    from fuzzing.yaml_files import _assigned

    for name, given in (("NAME", value), ("WORDS", [value, value])):
        check_value("01_first", DECLARED, name, given, "-p")
        assert _assigned({name: given}) == {name: given}


@pytest.mark.parametrize(
    "name",
    [
        "SEED;x",
        "SEED=1",
        "class",
        "1A",
        "a b",
        "",
        "SEED\n",
        "__name__",
        "seed",
        "x\nimport os",
        "SEED; __import__('os').abort()",
        "NAME: str",
        "ＳＥＥＤ",
    ],
    ids=named,
)
def test_a_name_that_is_not_declared_never_becomes_code(book, tmp_path, name):
    with pytest.raises(ParameterError, match="has no parameter"):
        check_value("01_first", DECLARED, name, 1, "-p")
    path = tmp_path / "sweep.yaml"
    for entry in ("constants", "grid"):
        value = [1] if entry == "grid" else 1
        path.write_text(json.dumps({"chapter": "01", entry: {name: value}, "seeds": [0]}))
        with pytest.raises(UsageError, match="has no parameter"):
            read_sweep(path, book)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SEED", 2**63, "must fit into 64 bits"),
        ("SEED", 10**5000, "a value too large to show"),
        ("RATE", float("nan"), "must be a finite number"),
        ("RATE", float("inf"), "must be a finite number"),
        ("RATE", 10**400, "must fit into 64 bits"),
        ("NAME", "a\ud800", "Its character 2 is not text"),
        ("NAME", "\udcff", "Its character 1 is not text"),  # a byte of a file's name, on Linux
        ("WORDS", ["\ud800"], "is not text"),
        ("NAME", {"a": 1}, "a mapping"),
        ("NAME", b"x", "a bytes"),
    ],
    ids=named,
)
def test_a_value_no_notebook_can_hold_is_refused(name, value, says):
    with pytest.raises(ParameterError, match=says):
        check_value("01_first", DECLARED, name, value, "-p")


def test_the_runner_would_notice_code_in_the_injected_cell():
    """The second line of defence: what was injected is read back, and must be literals."""
    import nbformat

    from digits_cli.child import injected_values

    cell = nbformat.v4.new_code_cell("NAME = __import__('os').getpid()")
    cell.metadata["tags"] = ["injected-parameters"]
    with pytest.raises(ValueError):
        injected_values(nbformat.v4.new_notebook(cells=[cell]))
    cell.source = "NAME = 'x'"
    assert injected_values(nbformat.v4.new_notebook(cells=[cell])) == {"NAME": "x"}


# ---- Python and paths ----------------------------------------------------------------------------


def test_a_search_file_that_leaves_is_told(tmp_path):
    path = tmp_path / "search.py"
    path.write_text("raise SystemExit(0)\n")
    with pytest.raises(UsageError, match=r"search\.py: cannot be loaded \(SystemExit"):
        load_search(path)


def test_a_chapter_with_an_endless_name_is_told(book):
    with pytest.raises(UsageError, match="There is no chapter"):
        select_chapters(book, ["a" * 5000 + ".ipynb"])


# ---- Digits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil", [(b"pixel783", b'"pixel783'), (b"pixel5", b'"pixel"5')], ids=named
)
def test_quotes_in_a_header_must_be_closed(spoil):
    with pytest.raises(DigitDataError, match=r"x\.csv, line 1"):
        parse_kaggle_csv("x.csv", csv_bytes(0, 1, True).replace(*spoil, 1), has_label=True)


def test_a_member_without_a_name_makes_an_archive_damaged(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("train.csv", csv_bytes(0, 1, True))
    raw = buffer.getvalue()
    entry = raw.index(b"PK\x01\x02")  # in the list at the end: the name's length, and the name
    nameless = raw[: entry + 28] + b"\0\0" + raw[entry + 30 :].replace(b"train.csv", b"", 1)
    path = tmp_path / "digit-recognizer.zip"
    path.write_bytes(nameless.replace(b"\x37\0\0\0", b"\x2e\0\0\0"))  # the list is shorter
    with zipfile.ZipFile(path) as archive:
        assert [member.filename for member in archive.infolist()] == [""]
    with pytest.raises(DigitDataError, match=r"digit-recognizer\.zip: "):
        load_digits(path)


def test_memory_that_runs_out_is_no_fault_of_the_file(kaggle_folder, monkeypatch):
    def no_room(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np, "stack", no_room)
    with pytest.raises(DigitDataError, match="do not fit into the memory that is left"):
        load_digits(kaggle_folder)


def test_paths_that_lead_nowhere(tmp_path):
    for path in ("~nobody_of_this_name/x", str(tmp_path / ("a" * 5000)), "\0"):
        with pytest.raises(DigitDataError, match="no such folder|cannot be read"):
            load_digits(path)


CONFIG = "repository:\n  url: https://github.com/some/book\n"
TOC = "root: book/index\nchapters:\n- file: notebooks/01_first\n"


@pytest.fixture
def run_book(tmp_path):
    """A book whose one chapter has been run, and that a site could be made of."""
    book = make_book(tmp_path, c01_first=FIRST)
    (book / "_config.yml").write_text(CONFIG)
    (book / "_toc.yml").write_text(TOC)
    (book / "book").mkdir()
    (book / "book" / "index.md").write_text("# Welcome\n")
    assert digits(book, "run").returncode == 0
    return book


@pytest.mark.parametrize(
    "name, raw, command, told",
    [
        ("_config.yml", b"\xff\xfe\x00", "install-cell", "_config.yml is not a UTF-8 text file"),
        ("_config.yml", b"- 1\n", "install-cell", "_config.yml, line 1: cannot be read"),
        ("_config.yml", b"a: 1\nrepository: x\n", "install-cell", "_config.yml, line 2: cannot be"),
        ("_toc.yml", b"\xff\xfe\x00", "site", "_toc.yml is not a UTF-8 text file"),
        ("_toc.yml", b"root: 3\n", "site", "_toc.yml names 3, expected a page's name"),
        ("_toc.yml", b"root: &a [*a]\n", "site", "_toc.yml, line 1: is nested too deeply"),
        ("tests/regression/bounds.yaml", b"\xff", "references", "is not a UTF-8 text file"),
        ("tests/regression/published.yaml", b"\xff", "stage-published", "is not a UTF-8 text file"),
        ("results/01_first.json", b"{", "site --published", "01_first.json holds no record"),
        ("results/01_first.json", b"[]", "site --published", "01_first.json holds no record"),
    ],
)
def test_a_damaged_file_of_the_book_is_told_in_words(run_book, name, raw, command, told):
    path = run_book / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    done = digits(run_book, *command.split())
    assert done.returncode in {1, 2} and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "found", ["x", {"fingerprint": "x"}, {"fingerprint": {"modules": 3}}, {"parameters": 3}]
)
def test_a_notebook_with_somebody_else_s_record_has_none(run_book, found):
    path = run_book / "_build/runs/quick/01_first.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["digits"] = found
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert "digits" not in read_notebook(path).metadata
    done = digits(run_book, "status")
    assert "01_first" in done.stdout and "Traceback" not in done.stderr
    stage_site(run_book, "quick")  # the code is the same, and nothing says it ran with other values


@pytest.mark.skipif(sys.platform == "win32", reason="links take a right of their own there")
def test_what_stands_in_a_profile_s_place_is_not_taken_for_none(run_book):
    path = run_book / "profiles/quick/01_first.yaml"
    path.parent.mkdir(parents=True)
    path.symlink_to("nowhere.yaml")
    done = digits(run_book, "run")
    assert done.returncode == 2 and "nowhere.yaml: there is no such file" in done.stderr
    path.unlink()
    path.mkdir()
    done = digits(run_book, "run")
    assert done.returncode == 2 and "01_first.yaml: cannot be read (Is a dir" in done.stderr
    loop = run_book / "loop.yaml"
    loop.symlink_to("loop.yaml")
    done = digits(run_book, "sweep", "loop.yaml")
    assert done.returncode == 2 and "loop.yaml: cannot be read" in done.stderr


def test_a_few_letters_on_the_command_line_do_not_become_a_thousand_million_values():
    assert parse_command_line_value(BOMB) == BOMB
    assert parse_command_line_value("[1, '*a']") == [1, "*a"]


def test_a_hundred_thousand_brackets_on_the_command_line_are_told_at_once():
    with time_limit(10):  # a tenth of a second; PyYAML alone takes minutes
        assert parse_command_line_value("[" * 100_000) == "[" * 100_000


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.csv")
    with pytest.raises(DigitDataError, match=r"train\.csv: found a pipe"):
        load_digits(tmp_path)
    os.mkfifo(tmp_path / "digits.zip")
    with pytest.raises(DigitDataError, match=r"digits\.zip: found a pipe"):
        load_digits(tmp_path / "digits.zip")
    os.mkfifo(tmp_path / "sweep.yaml")
    with pytest.raises(ParameterError, match=r"sweep\.yaml is a pipe"):
        read_profile(tmp_path / "sweep.yaml")
    os.mkfifo(tmp_path / "trial_0001.json")
    os.mkfifo(tmp_path / "search.json")
    with pytest.raises(SearchError, match=r"search\.json: cannot be read \(it is a pipe"):
        TrialStore(tmp_path, {}).__enter__()
    with pytest.raises(SearchError, match=r"trial_0001\.json: cannot be read \(it is a pipe"):
        TrialStore(tmp_path, {}).read()
    with pytest.raises(ArtifactError, match=r"search\.json: cannot be read \(it is a pipe"):
        load_json(tmp_path, "search", "05_hyperopt")
    with pytest.raises(results.ResultsError, match="cannot be read .it is a pipe"):
        results.read(tmp_path / "search.json")
    with pytest.raises(ShippedModelError, match="it is a pipe"):
        load_networks(tmp_path / "search.json")
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / RECORD)
    assert FolderPlace(tmp_path).read(["run"]) == {}


def test_a_number_that_takes_a_minute_to_read_is_refused_unread(tmp_path):
    (tmp_path / "quick.yaml").write_text("SEED: 1" + ":1" * 450_000)
    with time_limit(10), pytest.raises(ParameterError, match="line 1: found a number of 900,001"):
        read_profile(tmp_path / "quick.yaml")


def test_a_long_text_is_not_kept_once_a_run(book, tmp_path):
    path = tmp_path / "sweep.yaml"
    seeds = list(range(2000))
    path.write_text(f"chapter: 01\nconstants: {{NAME: {'x' * 100_000}}}\nseeds: {seeds}\n")
    tracemalloc.start()
    try:
        assert len(read_sweep(path, book).points) == 2000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000  # and not the 200 MB of two thousand copies


def test_names_without_end_do_not_make_messages_without_end(tmp_path):
    name = "x" * 30_000 + "/train.csv"
    packed = tmp_path / "digits.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "label\n")
    # The name that stands before the content, and no longer the one in the table at the end.
    packed.write_bytes(packed.read_bytes().replace(b"xx/train", b"xy/train", 1))
    with pytest.raises(DigitDataError, match="File name in directory") as caught:
        load_digits(packed)
    assert len(str(caught.value)) < 1000
    trial = json.dumps({"format": 2, "x" * 30_000: 1})
    (tmp_path / "trial_0001.json").write_text(trial)
    with pytest.raises(SearchError, match="found the entries") as told:
        TrialStore(tmp_path, {}).read()
    assert len(str(told.value)) < 1000


def test_json_says_each_thing_once_and_is_not_deep():
    assert parse_json(b"[" * 100 + b"]" * 100)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(b"[" * 101 + b"]" * 101)
    with pytest.raises(ValueError, match="it names 'a' twice"):
        parse_json(b'[{"a": 1, "b": 2, "a": 1}]')
    names = ",".join(f'"{number}":0' for number in range(200_000))
    with time_limit(10), pytest.raises(ValueError, match="it names 'last' twice"):
        parse_json(f'{{{names},"last":0,"last":0}}'.encode())


@pytest.mark.parametrize("format", [0, -1])
def test_a_search_of_a_format_that_never_was_is_refused(tmp_path, format):
    (tmp_path / "trial_0001.json").write_text(json.dumps(TRIAL))
    (tmp_path / "search.json").write_text(json.dumps({"format": format}))
    with pytest.raises(SearchError, match=rf"search\.json: found format {format}, expected 1 to"):
        TrialStore(tmp_path, {}).__enter__()


@pytest.mark.parametrize("levels", [450, 600, 900, 5000])
def test_a_search_whose_definition_is_nested_deeply_is_refused(tmp_path, levels):
    (tmp_path / "trial_0001.json").touch()
    definition = '{"format": 2, "a": ' + '{"a": ' * levels + "1" + "}" * levels + "}"
    (tmp_path / "search.json").write_text(definition)
    with pytest.raises(SearchError, match=r"search\.json: .*nested too deeply"):
        TrialStore(tmp_path, {}).__enter__()


HEADER = csv_bytes(seed=0, n_rows=0, labelled=True).rstrip()


def refuse_in_little_memory(raw, says):
    tracemalloc.start()
    try:
        with time_limit(10), pytest.raises(DigitDataError, match=says):
            parse_kaggle_csv("train.csv", raw, has_label=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(raw) + 5_000_000


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (b"\n" * 3_000_000 + b"1", "line 2: found a blank line between rows"),
        (b"\r\n" * 3_000_000 + b"1", "line 2: found a blank line between rows"),
        (b"\n" * 3_000_000, "line 2: found the end of the file after the header"),
    ],
    ids=["between rows", "of Windows", "at the end"],
)
def test_blank_lines_do_not_take_the_memory(monkeypatch, rows, says):
    # Arrow makes 785 values of each: 16 GB of twenty million, which pack into 20 kB.
    monkeypatch.setattr("pyarrow.csv.read_csv", None)
    refuse_in_little_memory(HEADER + rows, says)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (HEADER + b"\n" + b"," * 3_000_000, "line 2: the row is too long, found 3000001 values"),
        (b"a," * 600_000, r"line 1: found 1,200,000 bytes before the first line end"),
    ],
    ids=["row", "header"],
)
def test_a_line_without_end_does_not_take_the_memory(raw, says):
    refuse_in_little_memory(raw, says)


def _change_networks(arrays, change):
    layers = json.loads(bytes(arrays["layers"]))
    if change == "no networks":
        arrays["n_networks"] = np.array(0)
    elif change == "networks without end":
        layers["layers"] = [["Flatten", {}]]
        arrays["n_networks"] = np.array(10**18)
    elif change == "all the memory":
        layers["layers"][0][1]["filters"] = 10**9
    elif change == "an input without end":
        layers["input_shape"] = [10**9, 10**9, 1]
    elif change == "no number":
        arrays["network_0_weight_1"] = arrays["network_0_weight_1"] * np.float16("nan")
    elif change == "info that is none":
        arrays["info"] = np.frombuffer(b"[1]", np.uint8)
    arrays["layers"] = np.frombuffer(json.dumps(layers).encode(), np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        "no networks",
        "networks without end",
        "all the memory",
        "an input without end",
        "no number",
        "info that is none",
    ],
    ids=named,
)
def test_a_damaged_file_of_networks_is_refused_before_it_asks_for_memory(tmp_path, change):
    from fuzzing.npz_files import _good_networks, _npz

    from digit_utils.shipped import ShippedModelError, load_networks

    arrays = dict(_good_networks())
    path = tmp_path / "x.npz"
    path.write_bytes(_npz(arrays))
    assert len(load_networks(path)[0]) == 2
    _change_networks(arrays, change)
    path.write_bytes(_npz(arrays))
    with pytest.raises(ShippedModelError, match="damaged"):
        load_networks(path)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("A: int = " + "-" * 100_000 + "1", "nested too deeply"),
        ("A: int = " + "-" * 3000 + "1", "nested too deeply"),
        ("A: list = " + "[" * 150 + "]" * 150, "but its default is"),
        ("A: list = " + "[" * 5000, "is not Python"),
        ("A: list = {[]: 1}", "expected a literal"),
        ("A: int = " + "9" * 5000, "is not Python"),
        ("A: int = 0x" + "f" * 5000, "but its default is"),
        ("A = 1\0", "is not Python"),
    ],
    ids=named,
)
def test_a_cell_that_python_itself_cannot_read_is_refused(source, says):
    with pytest.raises(ParameterError, match=says):
        parse_declarations(source, "01_first")


def test_the_literals_of_a_cell_are_read_and_not_executed():
    with pytest.raises(ParameterError, match="expected a literal"):
        parse_declarations("A: int = __import__('os').abort()\n", "01_first")
    assert ast.literal_eval("1") == 1
