"""Results: one output for readers and programs, and its way back out of a notebook."""

import json
import subprocess
import sys

import pytest

from digit_utils import results
from digit_utils.results import MIME_TYPE, ResultsError

VALUES = {"accuracy": 0.992738, "n": 33600, "best": "a | b", "curve": [1, 2]}


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(results, "_latest", None)


def notebook(*outputs):
    cells = [{"cell_type": "markdown", "source": "# Title"}]
    return {"cells": cells + [{"cell_type": "code", "outputs": [each]} for each in outputs]}


def shown(values):
    data = {"text/markdown": ["A **line**"], "text/plain": ["A"], MIME_TYPE: values}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def write(tmp_path, content):
    path = tmp_path / "03_base_cnn.ipynb"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_prints_outside_ipython_even_where_it_is_not_installed():
    code = (
        "import sys; sys.modules['IPython'] = None\nimport numpy as np\n"
        "from digit_utils import results; results.report('hello', a=np.float64(0.5), n=np.int64(3))"
        "\nprint(results.latest())"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "hello\n{'a': 0.5, 'n': 3}\n"


def test_values_are_shown_beside_the_published_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "PUBLISHED", (tmp_path / "none", tmp_path))
    (tmp_path / "01_bad.json").write_text("{")
    for name, published in (("02_other", {"accuracy": 0.5}), ("03_net", {**VALUES, "n": 60000})):
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": published}))
    results.report(**VALUES)
    assert capsys.readouterr().out == (
        "| result | this run | as published |\n| --- | --- | --- |\n"
        "| accuracy | 0.9927 | 0.9927 |\n| n | 33,600 | 60,000 |\n| best | a \\| b | a \\| b |\n"
    )
    assert results.latest() == VALUES
    results.report(accuracy=0.5, n=1)  # of no chapter that is published
    assert capsys.readouterr().out.endswith("| accuracy | 0.5 | – |\n| n | 1 | – |\n")


def test_last_report_wins_and_copies_are_given(capsys):
    with pytest.raises(ResultsError, match=r"report\(\) has not been called yet; run"):
        results.latest()
    values = [1]
    results.report("one", a=[])
    results.report("two", a=values)
    values.append(2)
    results.latest()["a"].append(3)
    assert results.latest() == {"a": [1]}


def test_bad_values_are_named_and_nothing_is_shown(capsys):
    with pytest.raises(ValueError, match=r"^accuracy\['low'\]\[1\] is nan"):
        results.report("Accuracy", fine=1, accuracy={"low": [1, float("nan")]})
    with pytest.raises(TypeError, match="markdown is of type float, expected text"):
        results.report(0.98)
    assert capsys.readouterr().out == ""
    with pytest.raises(ResultsError):
        results.latest()


STREAM = {"output_type": "stream", "name": "stdout", "text": ["hello"]}
FAILED = {
    "output_type": "error",
    "ename": "ValueError",
    "evalue": "\x1b[31mno digits\x1b[0m\nmore",
    "traceback": [],
}


def test_reads_what_was_reported(tmp_path):
    path = write(tmp_path, notebook(STREAM, shown({"a": [1, "é"]})))
    assert results.read(path) == results.read(str(path)) == {"a": [1, "é"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (notebook(STREAM), "found no results; expected one output made by .*; execute the"),
        (notebook(FAILED), r"found no results \(cell 2 failed: ValueError: no digits\);"),
        (notebook(shown({}), STREAM, shown({})), "found 2 results, in cells 2, 4; expected one"),
        (notebook(shown(3)), "found no results"),
        (notebook(shown({"a": float("nan")})), r"is not a notebook \(.*float values are not JSON"),
        ("", "is not a notebook .*expected the JSON of an .ipynb file; run the chapter again"),
        ({"worksheets": []}, "is not a notebook"),
        ({"cells": [{"outputs": ["x"]}]}, "is not a notebook"),
    ],
)
def test_unreadable(tmp_path, content, says):
    path = write(tmp_path, content)
    with pytest.raises(ResultsError, match=says) as caught:
        results.read(path)
    assert str(caught.value).startswith(str(path))


def test_no_notebook(tmp_path):
    with pytest.raises(ResultsError, match=r"x\.ipynb: no such notebook; run the chapter first"):
        results.read(tmp_path / "x.ipynb")
