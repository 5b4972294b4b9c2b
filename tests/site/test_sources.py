"""What the site is made of, before it is built: pages, README, workflows, Sphinx extensions."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from site_files import CHAPTERS, ROOT

PAGES = sorted((ROOT / "book").glob("*.md")) + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

assert PAGES
assert WORKFLOWS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_measured_result_is_typed_by_hand(page):
    """A percentage with decimals is a measurement; only the original post's are typed."""
    typed = []
    for paragraph in re.split(r"\n\s*\n", page.read_text(encoding="utf-8")):
        if "https://github.com/naingthet/mnist" not in paragraph:
            typed += re.findall(r"\b\d\d\.\d+ ?%|\b0\.9\d{2,}\b", paragraph)
    assert typed == []


def test_the_readme_lists_every_chapter_as_it_describes_itself():
    from chapters import read_chapters

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| \d+ \| .*$", text, re.M)
    expected = [
        f"| {int(c.stem[:2])} | [{c.title}](notebooks/{c.stem}.ipynb) | {c.question} | {c.time} |"
        for c in read_chapters(ROOT / "notebooks")
    ]
    message = "the table 'The chapters' in README.md is out of date, expected:\n"
    assert found == expected, message + "\n".join(expected)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_states_what_the_tables_need(chapter):
    from chapters import read_chapter

    missing = read_chapter(ROOT / "notebooks" / f"{chapter}.ipynb").missing
    assert missing == [], (
        "open with '# Title', then '**Its question?**' on a line of its own, and '| Time | ... |' "
        "in the table 'Before you start'; then run `digits sync`"
    )


def test_links_of_the_readme_and_contributing_exist():
    missing = []
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (ROOT / target).exists():
                missing.append(f"{page.name}: {target}")
    assert missing == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_make_and_may_only_read(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        for step in job["steps"]:
            if "run" in step:
                command, target, *_ = step["run"].split()
                assert command == "make"
                assert target in targets


@pytest.mark.parametrize(
    "path", sorted((ROOT / "book/_static").glob("*.svg")), ids=lambda p: p.name
)
def test_drawings_are_well_formed_and_self_contained(path):
    text = path.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("28 \\times 28", "<mn>28</mn><mo>&#x000D7;</mo><mn>28</mn>"),
        ("a < b", "&#x0003C;"),
        ("\\frac{1}{n} \\sum_{i=1}^{n} x_i", "<mfrac>"),
        ("\\mathrm{softmax}(z)", "mathvariant"),
    ],
)
def test_formulas_become_mathml(latex, expected):
    from mathml import to_mathml

    inline, block = to_mathml(latex), to_mathml(latex, "block")
    assert expected in inline
    assert 'display="inline"' in inline
    assert 'display="block"' in block
    ElementTree.fromstring(inline)


@pytest.mark.parametrize("latex", ["\\nosuchcommand + 1", "\\frac{1}", "a & b", "\\frac{1"])
def test_a_formula_that_would_come_out_wrong_is_refused(latex):
    from mathml import UnsupportedMath, to_mathml

    with pytest.raises(UnsupportedMath):
        to_mathml(latex)


def test_timings_show_a_dash_for_what_was_not_recorded():
    from timings import read_versions, timing_cells

    full = {"profile": "quick", "seconds": 41.7, "peak_memory_mb": 1234.5}
    assert timing_cells(full) == ("quick", "42", "1,234")
    assert timing_cells({}) == ("–", "–", "–")
    assert dict(read_versions())["tensorflow"]


def test_stale_outputs_say_why():
    from timings import freshness_cell

    assert freshness_cell({}) == "–"
    assert freshness_cell({"stale": []}) == "fresh"
    reasons = ["digit_utils/a.py has changed", "parameter N is 'a|b', was 'c'", "three", "four"]
    assert freshness_cell({"stale": reasons}) == (
        "stale: digit\\_utils/a.py has changed; parameter N is 'a\\|b', was 'c'; three; and 1 more"
    )


def test_the_makefile_calls_the_tools_of_its_own_environment():
    """`digits` alone is found only where somebody has activated an environment."""
    recipes = re.findall(r"^\t@?(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipes
    tools = {"digits", "python", "pip", "pytest", "ruff", "papermill", "jupyter-book", "jupytext"}
    assert [line for line in recipes if line.split()[0] in tools] == []


def test_spelling():
    """Codespell knows common slips; it says which word, where, and what was meant."""
    texts = [*PAGES, *(ROOT / "notebooks").glob("*.py"), *(ROOT / "digit_utils").rglob("*.py")]
    texts += [*(ROOT / "book/_ext").glob("*.py"), *(ROOT / "scripts").glob("*.py")]
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *texts],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 65}, done.stderr
    assert done.stdout == ""


def test_codespell_finds_a_slip(tmp_path):
    (tmp_path / "page.md").write_text("The netwrok recieves an image.")
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "recieves ==> receives" in done.stdout


def test_a_word_of_the_glossary_is_linked_once_and_whole():
    from glossary_links import pattern_of, spellings, split

    used = set()
    term_of = spellings(["batch", "batch size", "filter", "Probability"])
    pattern = pattern_of(term_of)
    text = "A Batch size, two batches, no filtering, no filter-like; filters. Probabilities."
    first = list(split(text, term_of, pattern, used))
    assert [piece for piece in first if piece[1]] == [
        ("Batch size", "batch size"),
        ("batches", "batch"),
        ("filters", "filter"),
        ("Probabilities", "probability"),
    ]
    assert "".join(piece for piece, _ in first) == text
    assert list(split("Another batch.", term_of, pattern, used)) == [("Another batch.", None)]


def test_names_of_rows_stand_in_the_corner_and_a_minus_is_one():
    from typography import set_table

    def table(*rows):
        head = "\n".join(["<thead>", *rows, "</thead>"])
        return f"<table>{head}<tbody><tr><th>{{}}</th>{{}}</tr></tbody></table>"

    above = "<tr><th></th><th>a</th><th>b</th></tr>"
    named = "<tr><th>seed</th><th></th><th></th></tr>"
    cells = "<td>-0.5 to -.2</td><td>2026-11-25, 1e-05, F-1, 3-4</td>"
    assert set_table(table(above, named).format("-1", cells)) == table(
        above.replace("<th></th>", "<th>seed</th>"), ""
    ).format("−1", cells.replace("-0.5", "−0.5").replace("-.2", "−.2"))
    corner = '<tr class="x"><th></th><th></th><th>a</th></tr>'
    both, second = (
        "<tr><th>m</th><th>n</th><th></th></tr>",
        "<tr><th></th><th>n</th><th></th></tr>",
    )
    assert "<th>m</th><th>n</th><th>a</th>" in set_table(table(corner, both))
    assert "<th> </th><th>n</th><th>a</th>" in set_table(table(corner, second))
    taken = "<tr><th>loss</th><th>a</th><th>b</th></tr>"
    for kept in ((above,), (taken, named), (above, above.replace("<th></th>", "<th>c</th>"))):
        assert set_table(table(*kept)) == table(*kept)


def test_a_minus_in_prose_is_one_and_a_hyphen_stays():
    from docutils.core import publish_doctree
    from typography import set_page

    kept = "``-1`` and *top*-5, ``F``-1, F-1, 2026-11-25, 0-9"
    page = publish_doctree(
        f"-1 to -.5 (-2) *of* -3, **-4 points**; {kept} :math:`-6`\n\n::\n\n  -7"
    )
    set_page(None, page, "page")
    prose, code = page.astext().split("\n\n")
    assert prose == f"−1 to −.5 (−2) of −3, −4 points; {re.sub(r'[`*]', '', kept)} -6"
    assert code == "-7"


def test_icons_are_those_that_pages_and_the_theme_draw():
    from lean_theme import drop_rules, icons_in_use

    css = (
        '.fa-search:before,.fa-glass:before{content:"\\f002"}.fa-cat:before{content:"\\f6be"}'
        '.fa-at:before{content:"\\@"}html{--pst-icon-next: "\\f105"; --pst-icon-note: "\uf071"}'
    )
    found = icons_in_use(css, ['<i class="fa-solid fa-glass">', "fa-at"])
    assert found == {0xF002, 0x40, 0xF105, 0xF071}
    assert drop_rules(css, found) == css.replace('.fa-cat:before{content:"\\f6be"}', "")


def test_scripts_wait_but_for_the_one_that_inline_lines_need():
    from lean_theme import defer_scripts

    page = (
        '<script src="documentation_options.js"></script><script>A.b = 1</script>'
        '<script src="x.js"></script><script defer src="y.js"></script>'
        '<script data-z="1" src="z.js"></script></head><body><script src="part.js"></script>'
    )
    assert defer_scripts(page) == page.replace('<script src="x', '<script defer src="x').replace(
        "<script data-z", "<script defer data-z"
    )


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("#the-network", "#notebooks-03_base_cnn--the-network"),
        ("02_preprocessing.html", "#notebooks-02_preprocessing"),
        ("../book/glossary.html#term-batch", "#book-glossary--term-batch"),
        ("../book/elsewhere.html#x", "elsewhere.html#x"),
        ("../_images/a.png", "../_images/a.png"),
        ("https://example.org/a.html", "https://example.org/a.html"),
    ],
)
def test_links_of_the_whole_book_stay_on_its_page(link, leads_to):
    from whole_book import resolve

    pages = ["notebooks/02_preprocessing", "notebooks/03_base_cnn", "book/glossary"]
    assert resolve(link, "notebooks/03_base_cnn", pages) == leads_to
