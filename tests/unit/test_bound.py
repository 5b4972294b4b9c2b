"""Numbers and verdicts in prose: written anew when what they are bound to changes, or told."""

import json

import pytest
from runner_books import add_pages, chapter, edit, make_book, pretend_run

from digits_cli.book import list_chapters, read_notebook
from digits_cli.bound import Values, check_text, write_number
from digits_cli.cli import main
from digits_cli.freshness import why_stale
from digits_cli.pairing import check_pairs
from digits_cli.site import stage_site

PROSE = """# %% [markdown]
# Ours gets **0 %<!--= 01.accuracy .2% -->** of 0<!--= 01.n , --> digits right: it is better than
# the post's 99.00 %<!--= given -->.
#
# | rung | gain |
# | --- | --- |
# | a dense layer | 0<!--= ladder.rungs.drop 0.5.gain.-1 +.2p --> points |

"""
PAGE = "# The book: 0 %<!--= 01.accuracy .1% -->\n\n*12<!--= 01.n ,*\n"
VERDICT = '"it is better than the post\'s 98.00 %": 0.99 < 01.accuracy <= 1\n'
SCRIPT, NOTEBOOK, PAGES = "notebooks/01_net.py", "notebooks/01_net.ipynb", "book/index.md"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A chapter with bound numbers, a page that cites them, a record, and a verdict."""
    script = chapter("print(SEED)").replace("# %% tags", f"{PROSE}# %% tags", 1)
    make_book(tmp_path, c01_net=script)
    add_pages(tmp_path, page=PAGE.replace("01.n ,*", "01.n , -->*"))
    for folder in ("digit_utils/recorded", "verdicts"):
        (tmp_path / folder).mkdir(parents=True)
    record = {"rungs": {"drop 0.5": {"gain": [0.1, 0.0027]}}}
    (tmp_path / "digit_utils/recorded/ladder.json").write_text(json.dumps(record))
    (tmp_path / "verdicts/01_net.yaml").write_text(VERDICT)
    pretend_run(tmp_path, "01_net", "full", accuracy=0.99273, n=33600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prose(book, path=NOTEBOOK):
    return "\n".join(cell.source for cell in read_notebook(book / path).cells)


def test_publishing_writes_them_in_both_halves_and_on_pages(book, capsys):
    assert main(["publish"]) == 0
    wrote = [line for line in capsys.readouterr().out.splitlines() if "the numbers in" in line]
    assert [line.split()[-1] for line in wrote] == [SCRIPT, PAGES, NOTEBOOK]
    for text in (prose(book), (book / SCRIPT).read_text()):
        assert "Ours gets **99.27 %<!--= 01.accuracy .2% -->** of 33,600<!--= 01.n , --> di" in text
        assert "| +0.27<!--= ladder.rungs.drop 0.5.gain.-1 +.2p --> points |" in text
        assert "the post's 99.00 %<!--= given -->." in text
    assert (book / PAGES).read_text().startswith("# The book: 99.3 %<!--= 01.accuracy .1% -->\n")
    (found,) = list_chapters(book)
    assert check_pairs(book) == why_stale(book, found) == []
    assert main(["publish", "--no-run"]) == 0
    assert capsys.readouterr().out == "01_net: fresh\n", "nothing is written twice"
    stage_site(book, None)
    staged = [prose(book, f"_build/site/{NOTEBOOK}"), (book / "_build/site" / PAGES).read_text()]
    assert "gets **99.27 %** of 33,600 digits" in staged[0] and "<!--=" not in "".join(staged)


def test_a_changed_record_is_told_and_written_without_a_run_even_if_interrupted(book, capsys):
    assert main(["publish"]) == 0
    edit(book / "digit_utils/recorded/ladder.json", "0.0027", "-0.0012")
    (told,) = check_text(book / SCRIPT, Values(book))
    assert told.startswith(
        f"{SCRIPT}, line 10: the text says +0.27, ladder.rungs.drop 0.5.gain.-1 "
    )
    assert told.endswith(" is -0.12; `digits publish --no-run` writes it anew")
    before = (book / NOTEBOOK).read_bytes()
    assert main(["publish", "--no-run"]) == 0
    (book / NOTEBOOK).write_bytes(before)  # as if stopped before the second half was written
    assert main(["publish", "--no-run"]) == 0
    assert "-0.12<!--=" in prose(book) and check_pairs(book) == []
    edit(book / SCRIPT, "# Ours gets **99.27 %<", "# A new line: **0 %<")  # and no sync
    assert main(["publish", "--no-run"]) == 0
    assert "A new line: **99.27 %<" in prose(book)


def test_a_false_verdict_fails_and_the_run_stays_published(book, capsys):
    assert main(["publish"]) == 0
    pretend_run(book, "01_net", "full", accuracy=0.985, n=33600)
    assert main(["publish", "01"]) == 1
    told = capsys.readouterr().err
    assert (
        "verdicts/01_net.yaml, line 1: 0.99 < 01.accuracy <= 1 is false now: 01.accuracy is 0.9"
        in told
    )
    assert f'sentence in {SCRIPT}, line 5: "it is better than the post\'s 98.00 %"' in told
    assert "published and kept" in told
    assert "98.50 %<!--=" in prose(book) and json.loads((book / "results/01_net.json").read_text())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("it is best: 01.accuracy > 0", "there is no such sentence in notebooks/01_net.py: 'it is"),
        ("Ours gets 1 %: 01.acuracy > 0", "no 'acuracy'. Did you mean accuracy?), in notebooks/"),
        (
            "Ours gets 1 %: better",
            "better cannot be told (expected a comparison, as 04.gain_",
        ),
        ("Ours gets 1 %: 1 > 2", "it compares nothing that was measured"),
        (
            'Ours gets 1 %: [01.n > 1, 01.accuracy == "x"]',
            '01.accuracy == "x" is false now: 01.acc',
        ),
        (
            "Ours gets 1 %: 01.accuracy < x.y",
            "there is no digit_utils/recorded/x.json or results/x.",
        ),
    ],
)
def test_a_verdict_that_cannot_be_told_says_why(book, capsys, line, says):
    (book / "verdicts/01_net.yaml").write_text(f"# Verdicts\n{line}\n")
    assert main(["publish"]) == 1
    told = capsys.readouterr().err
    assert "verdicts/01_net.yaml, line 2: " in told and says in told


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ("12<!--= 01.nn , -->", "01.nn: there is no 'nn'. Did you mean n?"),
        (
            "12<!--= 02.n , -->",
            "there is no results/02_*.json; expected a chapter (03) or a record",
        ),
        ("12<!--= ladder.rungs.drop 0.5.gain.7 .2f -->", "the list has 2 items, from 0"),
        ("12<!--= ladder.rungs .2f -->", "expected a number, found {'drop 0.5'"),
        ("12<!--= 01.n -->", "expected a source and a format, as 03.n_wrong , or given"),
        ("12<!--= 01.n .2q -->", "expected one such as .2% .3f +.2p or ,"),
        ("12<!--= 01.n >9, -->", "without its end"),
        ("12 <!--= 01.n , -->", "expected a number right before it"),
        ("12,<!--= 01.n , -->", "expected a number right before it"),
        ("`12<!--= 01.n , -->`", "it is within code"),
        ("12<!--= 01.n", "without its end; a marker is on one line"),
        ("\n\n# %%\nx = '12<!--= 01.n , -->'", "found a marker in code"),
    ],
)
def test_a_wrong_marker_is_named_by_its_line_and_no_text_is_written(book, capsys, marker, says):
    edit(book / SCRIPT, "the post's 99.00 %<!--= given -->", marker)
    before = {path: path.read_bytes() for path in (book / SCRIPT, book / PAGES)}
    script = (book / SCRIPT).read_text()
    line = script.count("\n", 0, script.index(marker) + marker.index("<!--=")) + 1
    make_book(book)
    pretend_run(book, "01_net", "full", accuracy=0.99273, n=33600)
    assert main(["publish"]) == 1
    told = capsys.readouterr().err
    assert f"{SCRIPT}, line {line}: " in told and says in told
    assert before == {path: path.read_bytes() for path in before}
    assert (book / "results/01_net.json").is_file(), "the run is published all the same"


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (0.9927, ".2%", "99.27 %"),
        (619786, ",", "619,786"),
        (-0.0027, "+.1p", "-0.3"),
        (0.8, ".0%", "80 %"),
        (1e-3, ".0e", "1e-03"),
    ],
)
def test_numbers_are_written_as_the_book_writes_them(value, spec, text):
    assert write_number(value, spec) == text
