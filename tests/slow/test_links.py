"""`digits site --check-links` follows links: a good one, a missing page, a missing anchor."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from runner_books import digits, make_book

from digits_cli.book import read_notebook, write_notebook


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


CHAPTER = """# %% [markdown]
# # First
#
# See [this](LINK/good#here).

# %% tags=["parameters"]
SEED: int = 0  # of everything
"""


def make_site(root: Path, link: str) -> None:
    make_book(root, c01_first=CHAPTER.replace("LINK", link))
    (root / "book").mkdir()
    (root / "_config.yml").write_text("title: Tiny\nexecute:\n  execute_notebooks: 'off'\n")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/01_first\n"
    )
    (root / "book" / "index.md").write_text(f"# Welcome\n\nSee [that]({link}/good).\n")
    path = root / "notebooks" / "01_first.ipynb"
    notebook = read_notebook(path)
    notebook.cells[1].execution_count = 1
    write_notebook(path, notebook)


def check(book: Path) -> subprocess.CompletedProcess[str]:
    return digits(book, "site", "--published", "--check-links")


def test_good_links_pass_and_each_bad_one_is_named(tmp_path, elsewhere):
    make_site(tmp_path, elsewhere)
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken links" in done.stdout
    page = tmp_path / "book" / "index.md"
    page.write_text(f"# Welcome\n\n[a]({elsewhere}/gone) [b]({elsewhere}/good#nowhere)\n")
    done = check(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 broken links" in done.stdout
    told = (tmp_path / "_build" / "linkcheck" / "output.txt").read_text()
    assert f"{elsewhere}/gone" in told and "nowhere" in told
