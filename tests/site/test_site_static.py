"""The built site, read as files: pages, links, pictures, buttons; and what it is made from."""

import functools
import json
import posixpath
import re
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from facts import read_chapters
from helpers import addresses_in
from site_files import CHAPTERS, ROOT, parse, site_pages, tags_of, toc_files

from digits_cli.bound import MARKER

each_text = pytest.mark.parametrize("page", [f"{name}.html" for name in toc_files()])
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)
SOURCES = sorted((ROOT / "book").glob("*.md")) + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LOADED = {
    "a": ["href"], "img": ["src", "srcset"], "script": ["src"], "link": ["href"], "iframe": ["src"],
    "video": ["src"], "audio": ["src"], "source": ["src"], "object": ["data"], "embed": ["src"],
}  # fmt: skip


def all_pages(html):
    """Every page the site consists of, the theme's own fragments aside."""
    return [p for p in sorted(html.rglob("*.html")) if "_static" not in p.relative_to(html).parts]


def chapter_page(html, chapter):
    return parse(html / "notebooks" / f"{chapter}.html")


def test_every_page_is_in_the_table_of_contents():
    pages = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    assert pages <= set(toc_files()), "a page in book/ that no reader would find"


@functools.cache
def anchors(path) -> set[str]:
    """Every place on a page that a link may name."""
    elements = parse(path).select("[id], a[name]")
    return {e[key] for e in elements for key in ("id", "name") if e.has_attr(key)}


def linked(html):
    """Each page's elements that name an address, with the page and the address."""
    for page in all_pages(html):
        for element in parse(page).find_all(list(LOADED)):
            for attribute in LOADED[element.name]:
                if element.get(attribute):
                    yield page, element.name, element[attribute]


def test_links_and_anchors_lead_somewhere(html):
    broken = []
    for page, _, address in linked(html):
        url = urlsplit(address)
        if url.scheme or url.netloc or address == "#" or page.name == "404.html":
            continue  # what a lost reader sees is opened in a browser
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        if target.is_dir():
            target /= "index.html"
        there = target.is_file()
        if there and url.fragment and target.suffix == ".html":
            there = unquote(url.fragment) in anchors(target)
        broken += [] if there else [f"{page.relative_to(html)}: {address}"]
    assert not broken, "\n".join(broken)


def test_nothing_on_a_page_comes_from_another_host(html):
    found = [link for link in linked(html) if link[1] != "a" and re.match("(https?:)?//", link[2])]
    assert found == []  # what style sheets ask for is seen in a browser


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


@each_chapter
def test_a_chapter_shows_what_its_code_made_and_nothing_else(html, chapter):
    page = chapter_page(html, chapter)
    text = page.find("article").get_text()
    assert "Traceback (most recent call last)" not in text
    assert not page.select(".output.traceback"), "a cell ended in an error"
    assert not page.select(".output.stderr"), "a cell wrote warnings"
    assert not page.select(".tag_colab"), "the Colab cell belongs to Colab"
    assert page.select(".cell_output img"), "no figure"
    for output in page.select(".cell_output"):
        assert "vnd.digits.results" not in output.get_text()
        # What a plotting call returns says nothing to a reader; end the cell with plt.show().
        assert not re.search(r"<Axes|<Figure|<matplotlib|<seaborn", output.get_text())
    found = next(h for h in page.find_all("h2") if h.get_text().startswith("What we found"))
    report = found.parent.select(".cell_output > p, .cell_output > ul, .cell_output table")
    assert report, "the report is not rendered"


@each_chapter
def test_a_chapters_solutions_fold_and_its_words_lead_to_the_glossary_once(html, chapter):
    page = chapter_page(html, chapter)
    solutions = page.select("article details:not(.hide)")
    assert solutions
    for solution in solutions:
        assert solution.find("summary") and not solution.has_attr("open")
        assert solution.find("p") or solution.find(class_="highlight")
    links = page.select("article a.glossary-link")
    targets = [link["href"] for link in links]
    assert len(set(targets)) == len(targets) >= 5
    assert not [link for link in links if link.find_parent(["h1", "h2", "h3", "code", "pre"])]


@each_chapter
def test_a_chapter_opens_on_its_hosts_and_leads_to_its_source(html, repository, chapter):
    page, path = chapter_page(html, chapter), f"notebooks/{chapter}"
    blob = f"{repository['name']}/blob/{repository['branch']}/{path}"
    expected = {
        "btn-launch-colab": f"https://colab.research.google.com/github/{blob}.ipynb",
        "btn-launch-kaggle": f"https://kaggle.com/kernels/welcome?src=https://github.com/{blob}.ipynb",
        "btn-source-file-button": f"https://github.com/{blob}.py",
    }
    found = {name: [a["href"] for a in page.select(f"a.{name}")] for name in expected}
    assert found == {name: [url] for name, url in expected.items()}
    assert (ROOT / f"{path}.py").is_file() and (ROOT / f"{path}.ipynb").is_file()
    notebook = json.loads((html / f"_sources/{path}.ipynb").read_bytes())  # to download
    (cell,) = [c for c in notebook["cells"] if "colab" in c["metadata"].get("tags", [])]
    assert addresses_in("".join(cell["source"])) == [repository["url"]]


@each_text
def test_no_markup_shows_as_text_and_formulas_are_mathml(html, page):
    article = parse(html / page).find("article")
    skipped = ["pre", "code", "script", "style", "math"]
    prose = "\n".join(
        text
        for text in article.find_all(string=True)
        if type(text).__name__ == "NavigableString" and not text.find_parent(skipped)
    )
    html_tags = r"</?(?:details|summary)"
    myst = r"^\s*:{3,}|\{[a-z][\w:-]*\}`"
    markdown = r"\$\$|\\frac|\*\*\w|\]\((?:https?:|\.\.?/|#)"
    assert re.findall(f"{html_tags}|{myst}|{markdown}", prose, re.M) == []
    for formula in article.select(".mathml"):
        assert formula.find("math"), formula
        assert "\\" not in formula.find("math").get_text()


@pytest.mark.parametrize("page", site_pages())
def test_a_page_waits_for_no_script_and_no_far_figure(html, page):
    soup = parse(html / page)
    waited_for = [s["src"] for s in soup.head.select("script[src]:not([defer])")]
    assert [src for src in waited_for if "documentation_options" not in src] == []
    for figure in soup.select("article img[src*=_images][src$=png]"):
        assert figure["loading"] == "lazy"
        assert figure["width"].isdigit() and figure["height"].isdigit()


@each_text
def test_a_page_tells_what_it_is_and_asks_for_feedback(html, repository, page):
    soup = parse(html / page)
    tags = tags_of(soup)
    assert tags["description"] == tags["og:description"]
    assert 10 < len(tags["description"]) <= 200
    assert tags["og:title"] == soup.h1.find(string=True, recursive=False).strip()
    assert tags["og:site_name"] == "The Digits Book"
    for name in {"og:url", "og:image"} & set(tags):  # there if the site's address is known
        assert tags[name].startswith("https://")
    (line,), (button,) = soup.select("p.feedback a"), soup.select("a.btn-source-issues-button")
    for link in (line, button):
        url = urlsplit(link["href"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"{repository['url']}/issues/new"
        asked = parse_qs(url.query)
        assert tags["og:title"] in asked["title"][0]
        assert page.removesuffix(".html") in asked["body"][0]


def test_a_chapter_is_described_by_its_question_and_the_site_by_its_start(html):
    for facts in read_chapters(ROOT):
        tags = tags_of(chapter_page(html, facts.stem))
        assert tags["og:title"] == facts.title
        assert tags["description"] == re.sub("[*`]", "", facts.question).replace("'", "’")
    assert tags_of(parse(html / "index.html")) == tags_of(parse(html / "book/index.html"))
    lost = parse(html / "404.html").find("meta", attrs={"name": "robots"})
    assert lost["content"] == "noindex"


def test_links_of_the_whole_book_stay_on_its_page(html):
    links = [a["href"] for a in parse(html / "book/whole_book.html").select("article a[href]")]
    assert len([link for link in links if link.startswith("#")]) > 100
    elsewhere = {posixpath.normpath(f"book/{link.partition('#')[0]}") for link in links}
    pages = {f"{name}.html" for name in toc_files()}
    assert elsewhere & pages <= {"book/index.html", "book/draw_a_digit.html"}


def test_the_landing_page_lists_every_chapter(html):
    (table,) = parse(html / "book/index.html").select("table.chapters")
    links = [link["href"] for link in table.select("tbody a")]
    assert links == [f"../notebooks/{name}.html" for name in CHAPTERS]
    assert all(cell.get_text().strip() for cell in table.select("tbody td"))


def test_one_page_alone_loads_what_draws(html):
    pages = [p for p in html.rglob("*.html") if "draw/draw.js" in p.read_text(encoding="utf-8")]
    assert pages == [html / "book/draw_a_digit.html"]


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: page.name)
def test_no_measured_result_is_typed_by_hand(page):
    """A percentage with decimals is a measurement, and bound; only the original post's is not."""
    typed = []
    for paragraph in re.split(r"\n\s*\n", MARKER.sub("", page.read_text(encoding="utf-8"))):
        if "https://github.com/naingthet/mnist" not in paragraph:
            typed += re.findall(r"\b\d\d\.\d+ ?%|\b0\.9\d{2,}\b", paragraph)
    assert typed == []


def test_the_readme_lists_every_chapter_as_it_describes_itself():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| \d+ \| .*$", text, re.M)
    expected = [
        f"| {int(c.stem[:2])} | [{c.title}](notebooks/{c.stem}.ipynb) | {c.question} | {c.time} |"
        for c in read_chapters(ROOT)
    ]
    message = "the table 'The chapters' in README.md is out of date, expected:\n"
    assert found == expected, message + "\n".join(expected)


def test_links_of_the_readme_and_contributing_exist():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        assert [to for to in links if "://" not in to and not (ROOT / to).exists()] == []
