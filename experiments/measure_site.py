"""Measure the built site with Lighthouse: performance, accessibility, best practices, SEO.

Each page is measured three times, as scores vary with the machine's load; the median counts. Pages
are served locally, compressed, with Lighthouse's defaults (a phone on a slow network).
"""

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from digit_utils.provenance import provenance
from experiments import RESULTS, ROOT, write_record

SITE = ROOT / "_build" / "html"
PAGES = ("book/index", "book/draw_a_digit", "notebooks/03_base_cnn", "notebooks/05_hyperopt")
RUNS = 3
COMPRESSED = (".html", ".css", ".js", ".json", ".svg")


class Compressing(SimpleHTTPRequestHandler):
    """Serve files as GitHub Pages would: text compressed, cached for ten minutes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Cache-Control", "max-age=600")
        if path.suffix in COMPRESSED:
            content = gzip.compress(content, 6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serve_site() -> Iterator[str]:
    """Serve the built site on this machine; yield its address."""
    if not SITE.is_dir():
        sys.exit("_build/html is missing: run `make site` first")
    handler = partial(Compressing, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def judge(address: str) -> tuple[dict[str, float], str]:
    """Run Lighthouse once; return its scores, 0 to 100, and its version."""
    browser = find_chromium()
    command = [shutil.which("npx") or "npx", "--yes", "lighthouse", address, "--quiet"]
    command += ["--output=json", "--chrome-flags=--headless --no-sandbox"]
    environment = {**os.environ, **({"CHROME_PATH": browser} if browser else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout)
    scores = {name: 100 * part["score"] for name, part in found["categories"].items()}
    return scores, found["lighthouseVersion"]


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    record = {"provenance": provenance(ROOT), "runs": RUNS, "pages": {}}
    with serve_site() as address:
        for page in PAGES:
            judged = [judge(f"{address}/{page}.html") for _ in range(RUNS)]
            runs, versions = zip(*judged, strict=True)
            record["lighthouse"] = versions[0]
            scores = {name: round(statistics.median(r[name] for r in runs)) for name in runs[0]}
            record["pages"][page] = scores
            print(page, scores, flush=True)
    write_record(RESULTS / "lighthouse.json", record)


if __name__ == "__main__":
    main()
