"""The built site, read as files: pages, links, pictures, buttons, and nothing from elsewhere."""

from __future__ import annotations

import functools
import json
import posixpath
import re
from urllib.parse import unquote, urlsplit

import pytest
from helpers import addresses_in
from site_files import CHAPTERS, ROOT, parse, site_pages, toc_files

each_page = pytest.mark.parametrize("page", site_pages())
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def all_pages(html):
    """Every page the site consists of, the theme's own fragments aside."""
    return [p for p in sorted(html.rglob("*.html")) if "_static" not in p.relative_to(html).parts]


def prose(page) -> str:
    """The text of a page's article, code and hidden comments left out."""
    article = parse(page).find("article")
    skipped = {"pre", "code", "script", "style", "math"}
    return "\n".join(
        text
        for text in article.find_all(string=True)
        if type(text).__name__ == "NavigableString"
        and not skipped & {parent.name for parent in text.parents}
    )


@each_page
def test_every_listed_page_was_made(html, page):
    assert (html / page).is_file()
    assert parse(html / page).find("h1"), "a page without a title"


def test_every_chapter_is_in_the_table_of_contents():
    listed = [name for name in toc_files() if name.startswith("notebooks/")]
    assert listed == [f"notebooks/{name}" for name in CHAPTERS], "put _toc.yml right"


def test_no_page_is_left_out_of_the_table_of_contents():
    pages = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    assert pages <= set(toc_files()), "a page in book/ that no reader would find"


@functools.cache
def anchors(path) -> set[str]:
    """Every place on a page that a link may name."""
    elements = parse(path).find_all(
        lambda e: e.has_attr("id") or (e.name == "a" and e.has_attr("name"))
    )
    return {e[key] for e in elements for key in ("id", "name") if e.has_attr(key)}


def test_links_and_anchors_lead_somewhere(html):
    broken = []
    search = parse(html / "404.html").select_one("link[rel=search]")["href"]
    root = search.removesuffix("search.html")
    for page in all_pages(html):
        for tag, attribute in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")):
            for element in parse(page).find_all(tag, attrs={attribute: True}):
                url = urlsplit(element[attribute])
                if url.scheme or url.netloc or element[attribute] in {"", "#"}:
                    continue
                target = (page.parent / unquote(url.path)).resolve() if url.path else page
                if page.name == "404.html" and url.path:  # they start at the site's address
                    inside = url.path.removeprefix(root)
                    target = html / unquote(inside) if inside != url.path else page / "lost"
                if target.is_dir():
                    target /= "index.html"
                where = f"{page.relative_to(html)}: {element[attribute]}"
                if not target.is_file() or (
                    url.fragment
                    and target.suffix == ".html"
                    and unquote(url.fragment) not in anchors(target)
                ):
                    broken.append(where)
    assert not broken, "\n".join(broken)


def test_nothing_on_a_page_comes_from_another_host(html):
    foreign = []
    for page in all_pages(html):
        soup = parse(page)
        loaded = [(tag, "src") for tag in ("script", "img", "iframe", "video", "audio", "source")]
        loaded += [("link", "href"), ("object", "data"), ("embed", "src"), ("img", "srcset")]
        for tag, attribute in loaded:
            for element in soup.find_all(tag, attrs={attribute: True}):
                if re.match(r"(https?:)?//", element[attribute]):
                    foreign.append(f"{page.relative_to(html)}: <{tag} {element[attribute]}>")
        for style in soup.find_all("style"):
            foreign += foreign_in_css(style.get_text(), page.relative_to(html))
    for path in html.rglob("*.css"):
        foreign += foreign_in_css(path.read_text(encoding="utf-8"), path.relative_to(html))
    assert not foreign, "\n".join(foreign)


def foreign_in_css(text: str, where) -> list[str]:
    pattern = r"""(?:@import\s+|url\(\s*)["']?(?:https?:)?//[^"')\s]+"""
    return [f"{where}: {found}" for found in re.findall(pattern, text)]


def test_every_picture_has_alt_text(html):
    poor = []
    for page in all_pages(html):
        article = parse(page).find("article")
        for image in parse(page).find_all("img"):
            words = (image.get("alt") or "").split()
            is_figure = article is not None and article in image.parents
            # A file name is what Sphinx writes when nobody wrote anything.
            if len(words) < (4 if is_figure else 1) or "_images/" in image.get("alt", ""):
                poor.append(f"{page.relative_to(html)}: {image['src']} alt={image.get('alt')!r}")
    assert not poor, "\n".join(poor)


def test_there_are_figures_at_all(html):
    for chapter in CHAPTERS:
        page = parse(html / "notebooks" / f"{chapter}.html")
        assert page.select(".cell_output img"), f"{chapter} shows no figure"


@each_chapter
def test_a_chapter_shows_no_error_and_no_hidden_cell(html, chapter):
    page = parse(html / "notebooks" / f"{chapter}.html")
    text = page.find("article").get_text()
    assert "Traceback (most recent call last)" not in text
    assert not page.select(".output.traceback"), "a cell ended in an error"
    assert not page.select(".output.stderr"), "a cell wrote warnings"
    assert not page.select(".tag_colab"), "the Colab cell belongs to Colab"
    outputs = page.select(".cell_output")
    assert outputs, "the notebook was not executed"
    for output in outputs:
        assert "vnd.digits.results" not in output.get_text()
        # What a plotting call returns says nothing to a reader; end the cell with plt.show().
        assert not re.search(r"<Axes|<Figure|<matplotlib|<seaborn", output.get_text())


@each_chapter
def test_a_chapter_says_what_it_found(html, chapter):
    page = parse(html / "notebooks" / f"{chapter}.html")
    found = next(h for h in page.find_all("h2") if h.get_text().startswith("What we found"))
    report = found.parent.select(".cell_output > p, .cell_output > ul, .cell_output > ol")
    assert report, "the report is not rendered as text"


@each_chapter
def test_a_chapters_solutions_fold_and_are_rendered(html, chapter):
    page = parse(html / "notebooks" / f"{chapter}.html")
    solutions = page.select("article details:not(.hide)")
    assert solutions
    for solution in solutions:
        assert solution.find("summary")
        assert not solution.has_attr("open")
        assert solution.find("p") or solution.find(class_="highlight")


@each_page
def test_no_markup_shows_as_text(html, page):
    if page in {"search.html", "genindex.html"}:
        return
    html_tags = r"</?(?:details|summary)"
    myst = r"^\s*:{3,}|\{[a-z][\w:-]*\}`"
    markdown = r"\$\$|\\frac|\*\*\w|\]\((?:https?:|\.\.?/|#)"
    marks = f"{html_tags}|{myst}|{markdown}"
    found = re.findall(marks, prose(html / page), re.M)
    assert not found, f"shown as text: {', '.join(found)}"


@each_page
def test_formulas_are_mathml(html, page):
    soup = parse(html / page)
    for formula in soup.select(".mathml"):
        assert formula.find("math"), formula
        assert "\\" not in formula.find("math").get_text()
    assert "mathjax" not in " ".join(s.get("src", "").lower() for s in soup.find_all("script"))


def test_formulas_are_there(html):
    """Inline and displayed, in a page and in a notebook: the renderer is on."""
    assert parse(html / "book/glossary.html").select(".mathml math[display=inline]")
    notebooks = [parse(html / f"notebooks/{name}.html") for name in CHAPTERS]
    assert any(page.select(".mathml math") for page in notebooks)


@each_chapter
def test_words_of_the_glossary_lead_there_once(html, chapter):
    links = parse(html / f"notebooks/{chapter}.html").select("article a.glossary-link")
    targets = [link["href"] for link in links]
    assert len(targets) >= 5
    assert len(set(targets)) == len(targets)
    assert not [link for link in links if link.find_parent(["h1", "h2", "h3", "code", "pre"])]


@each_chapter
def test_a_chapter_opens_on_colab_with_one_click(html, repository, chapter):
    (button,) = parse(html / f"notebooks/{chapter}.html").select("a.btn-launch-colab")
    path = f"notebooks/{chapter}.ipynb"
    blob = f"{repository['name']}/blob/{repository['branch']}"
    assert button["href"] == f"https://colab.research.google.com/github/{blob}/{path}"
    assert (ROOT / path).is_file()


@each_chapter
def test_a_chapter_opens_on_kaggle_with_one_click(html, repository, chapter):
    (button,) = parse(html / f"notebooks/{chapter}.html").select("a.btn-launch-kaggle")
    notebook = f"{repository['url']}/blob/{repository['branch']}/notebooks/{chapter}.ipynb"
    assert button["href"] == f"https://kaggle.com/kernels/welcome?src={notebook}"


def test_a_page_that_can_be_downloaded_installs_from_this_repository(html, repository):
    for chapter in CHAPTERS:
        notebook = json.loads((html / f"_sources/notebooks/{chapter}.ipynb").read_bytes())
        (cell,) = [c for c in notebook["cells"] if "colab" in c["metadata"].get("tags", [])]
        assert addresses_in("".join(cell["source"])) == [repository["url"]]


@each_chapter
def test_a_chapter_leads_to_its_source(html, repository, chapter):
    (button,) = parse(html / f"notebooks/{chapter}.html").select("a.btn-source-file-button")
    path = f"notebooks/{chapter}.py"
    assert button["href"] == f"{repository['url']}/blob/{repository['branch']}/{path}"
    assert (ROOT / path).is_file()


@each_page
def test_search_and_dark_mode_are_on_every_page(html, page):
    soup = parse(html / page)
    assert soup.select("button.theme-switch-button")
    assert soup.select(".search-button__button, .search-button-field, form.bd-search")
    assert soup.html.get("lang") == "en"


@each_page
def test_a_page_shows_its_text_before_scripts_and_far_figures(html, page):
    soup = parse(html / page)
    waited_for = [s["src"] for s in soup.head.select("script[src]:not([defer])")]
    assert [src for src in waited_for if "documentation_options" not in src] == []
    for figure in soup.select("article img[src*=_images][src$=png]"):
        assert figure["loading"] == "lazy"
        assert figure["width"].isdigit()
        assert figure["height"].isdigit()


def test_links_of_the_whole_book_stay_on_its_page(html):
    links = [a["href"] for a in parse(html / "book/whole_book.html").select("article a[href]")]
    assert len([link for link in links if link.startswith("#")]) > 100
    elsewhere = {posixpath.normpath(f"book/{link.partition('#')[0]}") for link in links}
    pages = {f"{name}.html" for name in toc_files()}
    assert elsewhere & pages <= {"book/index.html", "book/draw_a_digit.html"}


def test_the_search_index_knows_the_chapters(html):
    script = (html / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.search(r"Search\.setIndex\((.*)\)\s*;?\s*$", script, re.S).group(1))
    assert {f"notebooks/{name}" for name in CHAPTERS} <= set(index["docnames"])


def test_the_landing_page_lists_every_chapter(html):
    (table,) = parse(html / "book/index.html").select("table.chapters")
    links = [link["href"] for link in table.select("tbody a")]
    assert links == [f"../notebooks/{name}.html" for name in CHAPTERS]
    assert all(cell.get_text().strip() for cell in table.select("tbody td"))


def test_the_timings_page_tells_how_each_chapter_ran(html):
    tables = parse(html / "book/versions.html").select("article table")
    timings = [
        [c.get_text().strip() for c in row.select("td")] for row in tables[0].select("tbody tr")
    ]
    assert len(timings) == len(CHAPTERS)
    for _, profile, seconds, memory, outputs in timings:
        assert outputs == "fresh" or outputs.startswith("stale: ")
        assert profile in {"quick", "full", "seed"}
        assert float(seconds) > 0
        assert float(memory.replace(",", "")) > 0
    assert "tensorflow" in tables[1].get_text()
