"""Measure the built site with Lighthouse: performance, accessibility, best practices, SEO.

    make site
    python scripts/measure_site.py              # about five minutes; needs npx (Node) and Chromium

Each page is measured three times and the median kept, as performance scores vary with the machine's
load. Pages are served locally, compressed, with Lighthouse's defaults (a phone on a slow network).
Writes ``results/lighthouse.json``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from digit_utils.io import json_bytes, write_atomically
from digit_utils.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
RECORD = ROOT / "results" / "lighthouse.json"
PAGES = ("book/index", "book/draw_a_digit", "notebooks/03_base_cnn", "notebooks/05_hyperopt")
RUNS = 3
COMPRESSED = (".html", ".css", ".js", ".json", ".svg")


class Compressing(SimpleHTTPRequestHandler):
    """Serve files as GitHub Pages would: text compressed, cached for ten minutes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Log nothing."""

    def do_GET(self):
        """Send a file, or 404."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
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


def judge(address: str) -> tuple[dict[str, float], str]:
    """Run Lighthouse once; return its scores, 0 to 100, and its version."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    command = [
        shutil.which("npx") or "npx",
        "--yes",
        "lighthouse",
        address,
        "--quiet",
        "--output=json",
    ]
    command += ["--chrome-flags=--headless --no-sandbox"]
    environment = {**os.environ, **({"CHROME_PATH": browser} if browser else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout)
    scores = {name: 100 * part["score"] for name, part in found["categories"].items()}
    return scores, found["lighthouseVersion"]


def main() -> int:
    """Measure the pages and write the record."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    if not SITE.is_dir():
        sys.exit("_build/html is missing: run `make site` first")
    record = {"provenance": provenance(ROOT), "runs": RUNS, "pages": {}}
    handler = partial(Compressing, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for page in PAGES:
            address = f"http://127.0.0.1:{server.server_port}/{page}.html"
            runs, versions = zip(*(judge(address) for _ in range(RUNS)), strict=True)
            record["lighthouse"] = versions[0]
            scores = {name: round(statistics.median(r[name] for r in runs)) for name in runs[0]}
            record["pages"][page] = scores
            print(page, scores, flush=True)
        server.shutdown()
    write_atomically(RECORD, json_bytes(record))
    print(f"wrote {RECORD.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
