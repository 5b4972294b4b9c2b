"""`digits site --check-links` follows links: a good one, a missing page, a missing anchor."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from runner_books import add_pages, chapter, digits, make_book, pretend_run


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "good.html").write_text("<html><body><p id='here'>Good.</p></body></html>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_good_links_pass_and_each_bad_one_is_named(tmp_path, elsewhere):
    book = tmp_path / "book"
    link = f"chapter\n#\n# See [this]({elsewhere}/good.html#here)."
    make_book(book, c01_first=chapter("1").replace("chapter", link, 1))
    pretend_run(book, "01_first")
    add_pages(book)
    for links, code, told in (
        (f"[that]({elsewhere}/good.html)", 0, "0 broken links"),
        (f"[a]({elsewhere}/gone) [b]({elsewhere}/good.html#nowhere)", 1, "2 broken links"),
    ):
        (book / "book" / "index.md").write_text(f"# Welcome\n\n{links}\n")
        done = digits(book, "site", "--check-links")
        assert done.returncode == code and told in done.stdout, done.stdout + done.stderr
    told = (book / "_build" / "linkcheck" / "output.txt").read_text()
    assert f"{elsewhere}/gone" in told and "nowhere" in told
