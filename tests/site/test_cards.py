"""What a shared link shows, the page for lost readers, and the line that asks for feedback."""

from __future__ import annotations

import functools
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import BeautifulSoup
from docutils.core import publish_doctree
from PIL import Image
from site_files import CHAPTERS, ROOT, parse, site_pages

ADDRESS = "https://example.org/digits-book"
FACTS = {
    "title": 'A "first" <network>',
    "description": "How far?",
    "site": "The Book",
    "kind": "article",
    "page": "notebooks/03.html",
}

each_page = pytest.mark.parametrize("page", site_pages())


def tags_of(markup) -> dict[str, str]:
    """Meta tags by name; a tag that is there twice is an error."""
    soup = BeautifulSoup(markup, "html.parser") if isinstance(markup, str) else markup
    found = [
        (tag.get("name") or tag.get("property"), tag.get("content"))
        for tag in soup.find_all("meta")
        if tag.get("name") == "description"
        or (tag.get("name") or tag.get("property") or "").startswith(("og:", "twitter:"))
    ]
    assert len(found) == len(dict(found)), "a tag is there twice"
    return dict(found)


# ---- the built site ----


@each_page
def test_every_page_tells_what_it_is(html, page):
    tags = tags_of(parse(html / page))
    assert tags["description"] == tags["og:description"]
    assert 10 < len(tags["description"]) <= 200
    assert tags["og:title"].strip()
    assert tags["og:type"] == ("article" if page.startswith("notebooks/") else "website")
    assert tags["og:site_name"] == "The Digits Book"
    assert tags["twitter:card"] in {"summary", "summary_large_image"}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_is_described_by_its_question(html, chapter):
    from chapters import read_chapter

    facts = read_chapter(ROOT / "notebooks" / f"{chapter}.ipynb")
    tags = tags_of(parse(html / f"notebooks/{chapter}.html"))
    assert tags["og:title"] == facts.title
    assert tags["description"].rstrip(" …") in facts.question


@each_page
def test_every_page_has_a_card_of_the_right_size(html, page):
    from social_cards import card_name

    path = html / "_static" / "cards" / card_name(page.removesuffix(".html"))
    with Image.open(path) as card:
        assert card.size == (1200, 630)
        assert card.format == "PNG"
    assert path.stat().st_size <= 60_000


def test_the_address_of_the_site_itself_has_tags_too(html):
    front, start = (tags_of(parse(html / page)) for page in ("index.html", "book/index.html"))
    assert front == start


@each_page
def test_a_page_asks_for_feedback_and_names_itself(html, repository, page):
    soup = parse(html / page)
    title = tags_of(soup)["og:title"]
    lines = soup.select("article p.feedback a")
    if page in {"search.html", "genindex.html"}:
        assert lines == []
        return
    buttons = soup.select("a.btn-source-issues-button")
    assert len(lines) == len(buttons) == 1
    for link in (*lines, *buttons):
        url = urlsplit(link["href"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"{repository['url']}/issues/new"
        asked = parse_qs(url.query)
        assert title in asked["title"][0]
        assert page.removesuffix(".html") in asked["body"][0]


# ---- the page for lost readers ----


class LostReaders(SimpleHTTPRequestHandler):
    """Like GitHub Pages: the site lies in a folder, and 404.html is shown for what is not there."""

    def do_GET(self):
        prefix = self.server.prefix
        path = urlsplit(self.path).path
        inside = path.startswith(prefix)
        self.path = path[len(prefix) - 1 :] if inside else "/nothing-here"
        target = self.translate_path(self.path)
        if inside and re.search(r"\.\w+$", target):
            try:
                with open(target, "rb"):
                    return super().do_GET()
            except OSError:
                pass
        body = (self.server.folder / "404.html").read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(params=["/", "/digits-book/"])
def lost(request, html):
    """Serve the site at the root of a host, or in a folder of it."""
    handler = functools.partial(LostReaders, directory=str(html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.prefix, server.folder = request.param, html
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{request.param}"
        server.shutdown()


@pytest.mark.parametrize(
    "asked", ["notebooks/03_bass_cnn.html", "book/a/b/c.html", "notebooks/nothing", "404.html"]
)
def test_a_lost_reader_finds_back_from_any_depth(browser, lost, asked):
    page = browser.new_page()
    page.goto(lost + asked)
    assert page.locator("article h1").inner_text().startswith("404")
    # In the book's own clothes: its styles, its scripts, its bar with all chapters. (A browser may
    # ask for some files ahead, before the script has told it where they are. It asks again.)
    styles = page.evaluate("Array.from(document.styleSheets, s => [s.href, s.cssRules.length])")
    assert len(styles) > 3
    assert [href for href, rules in styles if not rules] == [], "a style sheet was not found"
    assert page.evaluate("typeof DOCUMENTATION_OPTIONS") == "object", "a script was not found"
    assert page.locator(".bd-sidebar-primary a").count() > len(CHAPTERS)
    page.locator("article a", has_text="start page").click()
    assert page.url == f"{lost}book/index.html"
    page.close()


def test_the_lost_page_stays_out_of_search_engines(html):
    assert parse(html / "404.html").find("meta", attrs={"name": "robots"})["content"] == "noindex"


# ---- how it is made ----


def test_an_image_is_named_only_by_an_absolute_address():
    from social_cards import meta_tags

    without = tags_of(meta_tags(FACTS, "", "_static/cards/x.png"))
    assert not {"og:image", "og:image:alt", "og:url"} & set(without)
    assert without["og:title"] == FACTS["title"]
    for address in (ADDRESS, f"{ADDRESS}/"):
        tags = tags_of(meta_tags(FACTS, address, "_static/cards/x.png"))
        assert tags["og:image"] == f"{ADDRESS}/_static/cards/x.png"
        assert tags["og:url"] == f"{ADDRESS}/notebooks/03.html"
        assert len(tags["og:image:alt"].split()) >= 4
        assert tags["twitter:card"] == "summary_large_image"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "One sentence, as long as it needs to be. End.",
            "One sentence, as long as it needs to be.",
        ),
        (
            "Read it. Run it. Break it, and mend it again. End.",
            "Read it. Run it. Break it, and mend it again.",
        ),
        ("no sentence\n\n- in a list, which is not prose at all.", ""),
    ],
)
def test_a_page_without_a_question_is_described_by_its_first_sentence(text, expected):
    from social_cards import first_sentence

    # Two headings: docutils makes a lone one the title of the document, with no section.
    page = f"A page\n======\n\n{text}\n\nThe end\n=======\n\nfin\n"
    assert first_sentence(publish_doctree(page)) == expected
    assert first_sentence(None) == ""


def test_a_long_title_and_question_stay_on_the_card(tmp_path):
    from social_cards import NIGHT, draw_card

    draw_card(tmp_path / "card.png", "Many long words " * 12, "And a question " * 60, "The Book")
    with Image.open(tmp_path / "card.png") as card:
        pixels = card.convert("RGB")
        night = tuple(int(NIGHT[at : at + 2], 16) for at in (1, 3, 5))
        for x in (*range(20), *range(1180, 1200)):
            column = {pixels.getpixel((x, y)) for y in range(630)}
            assert all(abs(a - b) < 12 for c in column for a, b in zip(c, night, strict=True))
    assert (tmp_path / "card.png").stat().st_size <= 60_000


def test_a_card_is_drawn_once_and_anew_when_its_words_change(tmp_path, monkeypatch):
    import social_cards

    drawn = []
    draw = social_cards.draw_card
    monkeypatch.setattr(
        social_cards, "draw_card", lambda path, *words: (drawn.append(words), draw(path, *words))
    )
    for question in ("How far?", "How far?", "How fast?"):
        target = tmp_path / "site" / "card.png"
        social_cards.keep_card(tmp_path / "cache", target, "Title", question, "The Book")
        assert target.is_file()
    assert [words[1] for words in drawn] == ["How far?", "How fast?"]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_cards_outlive_a_build_of_the_book(tmp_path):
    from social_cards import cache_folder

    in_book = SimpleNamespace(srcdir=tmp_path / "_build" / "site", doctreedir=tmp_path / "trees")
    assert cache_folder(in_book) == tmp_path / "_build" / ".cards"
    elsewhere = SimpleNamespace(srcdir=tmp_path / "docs", doctreedir=tmp_path / "trees")
    assert cache_folder(elsewhere) == tmp_path / "trees" / "cards"


def test_the_lost_page_knows_the_sites_path_if_anybody_does():
    from not_found import base_tags

    for address, path in ((ADDRESS, "/digits-book/"), ("https://digits.example.org", "/")):
        tags = base_tags(address)
        assert f'known = "{path}"' in tags
        assert f'<base href="{path}404.html" />' in tags
    assert "<base" not in base_tags("")


def test_an_issue_carries_the_title_whatever_is_in_it():
    from feedback import issue_link

    link = issue_link("https://github.com/a/b/", "R&D: is 50 % “enough”?", "book/x")
    url = urlsplit(link)
    assert url.path == "/a/b/issues/new"
    assert "R&D: is 50 % “enough”?" in parse_qs(url.query)["title"][0]
