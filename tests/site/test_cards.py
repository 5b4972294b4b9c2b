"""What a shared link shows, the page for lost readers, and the line that asks for feedback."""

from __future__ import annotations

import functools
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from facts import read_chapters
from site_files import CHAPTERS, ROOT, parse, tags_of, toc_files

each_text = pytest.mark.parametrize("page", [f"{name}.html" for name in toc_files()])


@each_text
def test_every_page_tells_what_it_is(html, page):
    tags = tags_of(parse(html / page))
    assert tags["description"] == tags["og:description"]
    assert 10 < len(tags["description"]) <= 200
    assert tags["og:title"] == parse(html / page).h1.find(string=True, recursive=False).strip()
    assert tags["og:site_name"] == "The Digits Book"
    for name in {"og:url", "og:image"} & set(tags):  # there if the site's address is known
        assert tags[name].startswith("https://")


def test_a_chapter_is_described_by_its_question(html):
    for facts in read_chapters(ROOT / "notebooks"):
        tags = tags_of(parse(html / f"notebooks/{facts.stem}.html"))
        assert tags["og:title"] == facts.title
        assert tags["description"] == re.sub("[*`]", "", facts.question).replace("'", "’")


def test_the_address_of_the_site_itself_has_tags_too(html):
    front, start = (tags_of(parse(html / page)) for page in ("index.html", "book/index.html"))
    assert front == start


@each_text
def test_a_page_asks_for_feedback_and_names_itself(html, repository, page):
    soup = parse(html / page)
    (line,), (button,) = soup.select("p.feedback a"), soup.select("a.btn-source-issues-button")
    for link in (line, button):
        url = urlsplit(link["href"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"{repository['url']}/issues/new"
        asked = parse_qs(url.query)
        assert tags_of(soup)["og:title"] in asked["title"][0]
        assert page.removesuffix(".html") in asked["body"][0]


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


@pytest.fixture(scope="module")
def lost(html):
    """Serve the site in the folder that it was built for."""
    handler = functools.partial(LostReaders, directory=str(html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        search = parse(html / "404.html").select_one("link[rel=search]")["href"]
        server.prefix, server.folder = search.removesuffix("search.html"), html
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{server.prefix}"
        server.shutdown()


@pytest.mark.parametrize("asked", ["notebooks/03_bass_cnn.html", "book/a/b/c.html", "404.html"])
def test_a_lost_reader_finds_back_from_any_depth(browser, lost, asked):
    page = browser.new_page()
    page.goto(lost + asked)
    assert page.locator("article h1").inner_text().startswith("404")
    # In the book's own clothes: its styles, its scripts, its bar with all chapters.
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
