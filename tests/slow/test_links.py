"""`digits site --check-links` follows links: a good one, a missing page, a missing anchor."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from runner_books import chapter, digits, make_book, pretend_run


class Answers(BaseHTTPRequestHandler):
    """Knows the page /good, with one anchor."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/good" else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path == "/good":
            self.wfile.write(b"<html><body><p id='here'>Good.</p></body></html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_good_links_pass_and_each_bad_one_is_named(tmp_path, elsewhere):
    link = f"chapter\n#\n# See [this]({elsewhere}/good#here)."
    make_book(tmp_path, c01_first=chapter("1").replace("chapter", link, 1))
    pretend_run(tmp_path, "01_first")
    (tmp_path / "_config.yml").write_text("title: Tiny\nexecute:\n  execute_notebooks: 'off'\n")
    toc = "format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/01_first\n"
    (tmp_path / "_toc.yml").write_text(toc)
    page = tmp_path / "book" / "index.md"
    page.parent.mkdir()
    for links, code, told in (
        (f"[that]({elsewhere}/good)", 0, "0 broken links"),
        (f"[a]({elsewhere}/gone) [b]({elsewhere}/good#nowhere)", 1, "2 broken links"),
    ):
        page.write_text(f"# Welcome\n\n{links}\n")
        done = digits(tmp_path, "site", "--check-links")
        assert done.returncode == code and told in done.stdout, done.stdout + done.stderr
    told = (tmp_path / "_build" / "linkcheck" / "output.txt").read_text()
    assert f"{elsewhere}/gone" in told and "nowhere" in told
