"""Results: one output for readers and programs, and its way back out of a notebook."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from digit_utils import results
from digit_utils.results import MIME_TYPE, ResultsError


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(results, "_latest", None)


def notebook(*outputs, **extra):
    cells = [{"cell_type": "markdown", "source": "# Title"}]
    cells += [{"cell_type": "code", "outputs": [each]} for each in outputs]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells, **extra}


def shown(values):
    data = {"text/markdown": ["A **line**"], "text/plain": ["A"], MIME_TYPE: values}
    return {"output_type": "display_data", "metadata": {}, "data": data}


STREAM = {"output_type": "stream", "name": "stdout", "text": ["hello"]}


# ---------------------------------------------------------------- report and latest


def test_prints_outside_ipython(capsys):
    results.report("Accuracy **98 %**", accuracy=np.float64(0.98), n=np.int64(3))
    assert capsys.readouterr().out == "Accuracy **98 %**\n"
    assert results.latest() == {"accuracy": 0.98, "n": 3}


def test_works_without_ipython_installed():
    code = (
        "import sys; sys.modules['IPython'] = None\n"
        "from digit_utils import results; results.report('hello', a=1)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "hello\n"


def test_one_display_with_all_three_forms():
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        with capture_output() as captured:
            run = shell.run_cell(
                "import numpy as np; from digit_utils import results\n"
                "results.report('A **line**', counts=np.arange(2), markdown='free to use')"
            )
        run.raise_error()
    finally:
        InteractiveShell.clear_instance()
    assert captured.stdout == ""
    assert len(captured.outputs) == 1
    assert captured.outputs[0].data == {
        "text/markdown": "A **line**",
        "text/plain": "A **line**",
        MIME_TYPE: {"counts": [0, 1], "markdown": "free to use"},
    }


def test_last_report_wins_and_copies_are_given(capsys):
    values = [1]
    results.report("one", a=values)
    results.report("two", a=values)
    values.append(2)
    results.latest()["a"].append(3)
    assert results.latest() == {"a": [1]}


def test_latest_before_any_report():
    with pytest.raises(ResultsError, match=r"report\(\) has not been called yet; run"):
        results.latest()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (float("nan"), ValueError, "^accuracy is nan"),
        (np.float32("inf"), ValueError, "^accuracy is inf"),
        ({"low": [1, float("nan")]}, ValueError, r"^accuracy\['low'\]\[1\] is nan"),
        ({1, 2}, TypeError, "^accuracy is of type set"),
    ],
)
def test_bad_values_are_named_and_nothing_is_shown(capsys, value, error, message):
    with pytest.raises(error, match=message):
        results.report("Accuracy", fine=1, accuracy=value)
    assert capsys.readouterr().out == ""
    with pytest.raises(ResultsError):
        results.latest()


def test_markdown_is_text():
    with pytest.raises(TypeError, match="markdown is of type float, expected text"):
        results.report(0.98)


# ---------------------------------------------------------------- read


def write(tmp_path, content):
    path = tmp_path / "03_base_cnn.ipynb"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("stored", [{"a": 1}, '{"a": 1}', ['{"a":', " 1}"]])
def test_reads_what_was_reported(tmp_path, stored):
    path = write(tmp_path, notebook(STREAM, shown(stored)))
    assert results.read(path) == {"a": 1}
    assert results.read(str(path)) == {"a": 1}


def test_reads_an_executed_notebook(tmp_path):
    import nbformat

    book = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("report()")
    data = {"text/markdown": "A", MIME_TYPE: {"a": [1, {"b": "c\nd"}]}}
    cell.outputs = [nbformat.v4.new_output("display_data", data=data)]
    book.cells = [nbformat.v4.new_markdown_cell("# T"), cell]
    path = tmp_path / "n.ipynb"
    nbformat.write(book, path)
    assert results.read(path) == {"a": [1, {"b": "c\nd"}]}


FAILED = {
    "output_type": "error",
    "ename": "ValueError",
    "evalue": "\x1b[31mno digits\x1b[0m\nmore",
    "traceback": [],
}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (notebook(STREAM), ["found no results; expected one output", "execute the notebook"]),
        (notebook(), ["found no results"]),
        (notebook(FAILED), ["found no results (cell 2 failed: ValueError: no digits);"]),
        (notebook(shown({}), STREAM, shown({})), ["found 2 results, in cells 2, 4;", "call"]),
        (notebook(shown("{")), ["cell 2: the results are not JSON", "run the chapter again"]),
        (notebook(shown(3)), ["cell 2: found int as results, expected a dictionary"]),
        ("", ["is not a notebook", "run the chapter again"]),
        ('{"cells": [', ["is not a notebook"]),
        ("[]", ["is not a notebook of format 4"]),
        ({"worksheets": []}, ["is not a notebook of format 4"]),
        ({"cells": [3]}, ["is not a notebook of format 4"]),
        ({"cells": [{"outputs": None}]}, ["cell 1: its outputs are not those of a notebook"]),
        ({"cells": [{"outputs": ["x"]}]}, ["cell 1: its outputs are not those of a notebook"]),
        (notebook({"data": None}), ["cell 2: its outputs are not those of a notebook"]),
        (notebook(shown({"a": float("nan")})), ["is not a notebook (NaN is not a JSON number)"]),
        (notebook(shown('{"a": 1e999}')), ["cell 2: the results are not JSON (1e999 is not"]),
        ("[" * 5000, ["is not a notebook (it is nested too deeply)"]),
    ],
)
def test_unreadable(tmp_path, content, parts):
    path = write(tmp_path, content)
    with pytest.raises(ResultsError) as caught:
        results.read(path)
    assert str(caught.value).startswith(str(path))
    for part in parts:
        assert part in str(caught.value)


def test_no_notebook(tmp_path):
    with pytest.raises(ResultsError, match=r"x\.ipynb: no such notebook; run the chapter first"):
        results.read(tmp_path / "x.ipynb")
    with pytest.raises(ResultsError, match="cannot be read"):
        results.read(tmp_path)
