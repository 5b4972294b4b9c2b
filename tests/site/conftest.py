"""The built site, for the tests that read it or open it. It is built beforehand: `digits site`."""

import functools
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import pytest
from draw_sheet import PAGE as SHEET_PAGE
from draw_sheet import part
from playwright.sync_api import sync_playwright
from site_files import HTML, ROOT, parse

from digits_cli.repository import configured, find_address

# The site's own Sphinx extensions, tested here without Sphinx around them.
sys.path.append(str(ROOT / "book" / "_ext"))


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the built site."""
    if not (HTML / "index.html").is_file():
        pytest.fail("_build/html holds no site to test; run `make book`", pytrace=False)
    return HTML


@pytest.fixture(scope="session")
def repository() -> dict[str, str]:
    """Where the site's links lead: ``url``, ``name`` (owner/name) and ``branch``."""
    url, _ = find_address(ROOT)  # in a fork its own
    name = url.removeprefix("https://github.com/")
    return {"url": url, "name": name, "branch": configured(ROOT)[1]}


class Pages(SimpleHTTPRequestHandler):
    """Like GitHub Pages: 404.html is shown for what is not there."""

    protocol_version = "HTTP/1.1"  # one connection for many files

    def send_error(self, code, *_):
        body = (HTML / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def address(html, tmp_path_factory):
    """Serve the site in the folder that it was built for, on this machine only."""
    search = parse(html / "404.html").select_one("link[rel=search]")["href"]
    path = search.removesuffix("search.html")
    folder = tmp_path_factory.mktemp("pages") / "root"
    inside = folder / path.strip("/")
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.symlink_to(html)
    handler = functools.partial(Pages, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{path}"
        server.shutdown()


def find_browser(*names: str) -> str:
    """Path of a browser. Missing is a failure: a skipped check looks like a passed one."""
    path = next(filter(None, map(shutil.which, names)), None)
    return path or pytest.fail(f"no {names[0]} on PATH: apt-get install {names[0]}", pytrace=False)


@pytest.fixture(scope="session")
def firefox(tmp_path_factory):
    """Firefox, protecting against fingerprints, as a function that sends a Marionette command.

    Playwright drives only a build of its own.
    """
    profile = tmp_path_factory.mktemp("firefox")
    (profile / "user.js").write_text(
        'user_pref("marionette.port", 0); user_pref("privacy.resistFingerprinting", true);'
    )
    command = [find_browser("firefox-esr", "firefox"), "-headless", "-marionette", "-no-remote"]
    process = subprocess.Popen([*command, "-profile", profile])
    port = profile / "MarionetteActivePort"
    try:
        until = time.monotonic() + 120
        while not (port.is_file() and port.read_text()):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        with (
            socket.create_connection(("127.0.0.1", int(port.read_text())), 120) as connection,
            connection.makefile("rb") as replies,
        ):

            def receive():
                length = b"".join(iter(lambda: replies.read(1), b":"))
                return json.loads(replies.read(int(length)))

            def send(name, **parameters):
                message = json.dumps([0, 1, name, parameters]).encode()
                connection.sendall(b"%d:%s" % (len(message), message))
                _, _, error, result = receive()
                assert error is None, f"{name}: {error}"
                return result

            receive()  # its greeting
            send("WebDriver:NewSession")
            yield send
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests."""
    path = find_browser("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def new_page(browser, address):
    """Open pages, in windows that are kept so that scripts are loaded once.

    What goes wrong on a page is listed in its ``problems``. With options of Playwright's the window
    is a new one.
    """
    windows = {}

    def new_page(path, width=1280, scheme="light", **options):
        key = (width, scheme) if not options else object()
        if key not in windows:
            size = {"width": width, "height": 900}
            windows[key] = browser.new_context(viewport=size, color_scheme=scheme, **options)
        page = windows[key].new_page()
        page.problems = problems = []
        own = (address, "data:", "blob:", "file:")
        page.on("console", lambda m: m.type == "error" and problems.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("response", lambda r: r.status >= 400 and problems.append(f"{r.status}: {r.url}"))
        page.on("request", lambda r: r.url.startswith(own) or problems.append(f"foreign: {r.url}"))
        # What a reader who goes on to the next page leaves unread is aborted.
        page.on(
            "requestfailed",
            lambda r: r.failure == "net::ERR_ABORTED" or problems.append(f"{r.url} {r.failure}"),
        )
        page.goto(urljoin(address, path))
        return page

    return new_page


@pytest.fixture
def open_page(new_page):
    """Open pages for one test, which fails when anything went wrong on one of them."""
    pages = []

    def open_page(*where, **options):
        pages.append(new_page(*where, **options))
        return pages[-1]

    yield open_page
    problems = [problem for page in pages for problem in page.problems]
    for page in pages:
        page.close()
    assert not problems, "\n".join(problems)


@pytest.fixture
def open_sheet(open_page):
    """Open *Draw a digit* and wait until its network has come."""

    def open_sheet(path=SHEET_PAGE, *look, **options):
        page = open_page(path, *look, **options)
        page.wait_for_selector("#draw.ready")
        return page

    return open_sheet


@pytest.fixture(scope="session")
def only_page(new_page):
    page = new_page(SHEET_PAGE)
    page.wait_for_selector("#draw.ready")
    return page


@pytest.fixture
def drawing(only_page):
    """The page, ready to draw on, with a blank sheet: one for all who leave nothing behind."""
    part(only_page, "clear").click()
    yield only_page
    assert only_page.problems == []
