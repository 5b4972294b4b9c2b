"""Each number and verdict in the book's prose is what was measured (CONTRIBUTING.md, Bind)."""

import json
import re
from pathlib import Path

import pytest
from helpers import ROOT

from digits_cli.bound import MARKER, Values, check_text, check_verdicts, list_texts

# Chapters and pages whose measured numbers are all bound; in the end, all of them.
BOUND: set[str] = {
    "01_eda", "02_preprocessing", "09_is_it_really_better", "10_where_it_fails",
    "11_looking_inside", "how_to_run_advanced",
}  # fmt: skip

VALUES, TEXTS = Values(ROOT), list_texts(ROOT)
# A share with decimals or close to all, an accuracy as a fraction, a difference, in points or not.
MEASURED = re.compile(
    r"(?<![\d.,])(?:\d+\.\d+(?= to [+−-]?\d)|\d+\.\d+ ?%|9[6-9] ?%|0\.9\d{2,}\b"
    r"|(?<!\w)[+−-]\d+\.\d+|\d+(?:\.\d+)? (?:\w+ )?points?\b)"
)
CODE = re.compile(r"^(```+|~~~+).*?^\1|`[^`\n]+`", re.M | re.S)


def unbound(path: Path, text: str) -> list[str]:
    """List what looks measured and has no marker; code and block quotations are exempt."""
    if path.suffix == ".py":
        text = re.sub(r"^(?!#).*|^# ?", "", text, flags=re.M)
    text = CODE.sub(lambda found: "\n" * found[0].count("\n"), text)
    text = MARKER.sub(lambda found: found["closing"] if found["number"] else found[0], text)
    advice = "bind it to its source, or say <!--= given --> after what is quoted or chosen"
    return [
        f"{path.name}, line {number}: {found}: {advice}"
        for number, line in enumerate(text.split("\n"), start=1)
        if not line.startswith(">")
        for found in MEASURED.findall(line)
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_what_it_says_is_what_was_measured(path):
    assert check_text(path, VALUES) == []


def test_every_verdict_holds():
    assert check_verdicts(ROOT, VALUES) == []


def test_bound_texts_type_no_measured_number():
    named = {path.stem: path for path in TEXTS}
    assert named.keys() >= BOUND, "name the files of chapters and pages, without suffix"
    texts = {named[name]: named[name].read_text(encoding="utf-8") for name in BOUND}
    assert [told for path, text in texts.items() for told in unbound(path, text)] == []


def test_what_looks_measured_is_seen():
    text = (
        "# 99.2 %, 0.993, `0.998` and 0.27 points; 80 %, a 95 % interval\n# > 99.5 %\nx = 0.999\n"
    )
    text += "# 98 %: 12 percentage points, +0.05 to 0.4 points"
    found = [told.rsplit(": ", 1)[0] for told in unbound(Path("a.py"), text)]
    assert found == [
        "a.py, line 1: 99.2 %", "a.py, line 1: 0.993", "a.py, line 1: 0.27 points",
        "a.py, line 4: 98 %", "a.py, line 4: 12 percentage points", "a.py, line 4: +0.05",
        "a.py, line 4: 0.4 points",
    ]  # fmt: skip
    text = "99.2 %<!--= 03.a .1% -->, **0.993**<!--= given -->, 0.27<!--= 04.a +.2p --> points"
    assert unbound(Path("a.md"), text) == []


def test_what_was_published_is_known_by_its_names():
    """`report` looks for the chapter that reported the very names it is given."""
    records = [json.loads(path.read_bytes()) for path in ROOT.glob("results/[0-9][0-9]_*.json")]
    assert len({frozenset(record["results"]) for record in records}) == len(records) > 10
