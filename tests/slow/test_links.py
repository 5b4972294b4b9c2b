"""`digits site --check-links` follows links: a good one, a missing page, a missing anchor."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from digits_cli.book import list_chapters, read_notebook, write_notebook
from digits_cli.pairing import sync_pair


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


def make_site(book: Path, link: str) -> None:
    (book / "notebooks").mkdir(parents=True)
    (book / "book").mkdir()
    (book / "jupytext.toml").touch()
    (book / "_config.yml").write_text("title: Tiny\nexecute:\n  execute_notebooks: 'off'\n")
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/01_first\n"
    )
    (book / "book" / "index.md").write_text(f"# Welcome\n\nSee [that]({link}/good).\n")
    (book / "notebooks" / "01_first.py").write_text(
        f"# %% [markdown]\n# # First\n#\n# See [this]({link}/good#here).\n\n"
        '# %% tags=["parameters"]\nSEED: int = 0  # of everything\n\n# %%\n1 + 1\n'
    )
    (chapter,) = list_chapters(book)
    sync_pair(chapter)
    notebook = read_notebook(chapter.notebook)
    for count, cell in enumerate(notebook.cells[1:], start=1):
        cell.execution_count = count
    write_notebook(chapter.notebook, notebook)


def check(book: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "digits_cli", "site", "--published", "--check-links"],
        cwd=book,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )


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
