"""What hostile files and values did once and must not do again; experiments/fuzz.py found most."""

from __future__ import annotations

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
from digits_cli.search_command import load_search
from digits_cli.site import stage_site
from digits_cli.sweep import RECORD, Place
from digits_cli.sweep_file import FORMAT, read_sweep

HUGE = "0x" + "f" * 5000


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
    assert Place(None, tmp_path).runs({"abc": {}})[0].record == record
    path.write_text(json.dumps({**record, **change}))
    assert Place(None, tmp_path).runs({"abc": {}})[0].record == {}


# ---- YAML ----------------------------------------------------------------------------------------

RANGE = "chapter: 01\nrandom: {samples: 3, values: {%s: {low: %s, high: %s}}}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"chapter: {HUGE}\nseeds: [0]\n", "a number of 5,002 characters"),
        ("chapter: 01\nconstants: !!python/object:os.abort {SEED: 1}\n", "expected a plain list"),
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


# ---- Parameters are data -------------------------------------------------------------------------

DECLARED = parse_declarations('SEED: int = 0\nNAME: str = ""\nRATE: float = 0.5\n', "01_first")


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

    check_value("01_first", DECLARED, "NAME", value, "-p")
    assert _assigned({"NAME": value}) == {"NAME": value}


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
        ("_toc.yml", b"root: &a [*a]\n", "site", "_toc.yml, line 1: aliases ('*name') are not"),
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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.csv")
    with pytest.raises(DigitDataError, match=r"train\.csv: found a pipe"):
        load_digits(tmp_path)
    os.mkfifo(tmp_path / "digits.zip")
    with pytest.raises(DigitDataError, match=r"digits\.zip: found a pipe"):
        load_digits(tmp_path / "digits.zip")
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
    assert Place(None, tmp_path).runs({"run": {}})[0].record == {}


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
