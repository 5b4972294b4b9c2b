"""Measure how well the page *Draw a digit* reads what is drawn on it, and how fast.

``calibrate`` finds when to give the hint "not a digit?". ``develop`` rehearses on labelled digits;
nothing is recorded. ``record`` draws traced test images and figures that are no digits, and opens
the seal of the test labels; it refuses while its record is there. ``tablet`` draws UCI's pen
digits. ``time`` measures how long an answer takes; nothing else should run. Chromium receives the
pointer events of each drawing, point by point.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import CDPSession, Page, async_playwright

from digit_utils.data import load_digits
from digit_utils.evaluate import accuracy, accuracy_interval, score_sealed_test
from digit_utils.io import json_bytes
from digit_utils.provenance import provenance
from experiments import RESULTS, ROOT, refuse_second_opening, write_record
from experiments import drawings as drawn
from experiments.measure_site import find_chromium, serve_site

RECORD = RESULTS / "draw_page.json"
SOURCE = "UCI Pen-Based Recognition of Handwritten Digits, CC BY 4.0, doi 10.24432/C5MG6K"
SLOWDOWN = 4  # the processor is slowed down that many times while the answers are timed
PACE = 0.008  # seconds between the events of a mouse, while the answers are timed
DOUBTED = 0.01  # share of the calibration digits that the hint is to doubt
SEED = 0

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
  const digit = () => Number(find('digit').textContent || -1);
  const on = digit();
  const doubted = document.querySelector('#draw').classList.contains('unsure');
  find('switch').click();
  const off = digit();
  find('switch').click();
  find('clear').click();
  return [on, doubted, off];
}
"""
FRAME = """(sheet) => {
  const { left, top } = sheet.getBoundingClientRect();
  return [left + sheet.clientLeft, top + sheet.clientTop, sheet.clientWidth];
}"""


@asynccontextmanager
async def open_page() -> AsyncIterator[tuple[Page, CDPSession]]:
    """Serve the built site on this machine and open the page in Chromium."""
    options = {"executable_path": find_chromium(), "args": ["--no-sandbox"]}
    with serve_site() as address:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(**options)
            page = await browser.new_page(viewport={"width": 1280, "height": 900})
            await page.goto(f"{address}/book/draw_a_digit.html")
            await page.wait_for_selector("#draw.ready")
            await page.locator("[data-draw=sheet]").scroll_into_view_if_needed()
            await page.evaluate("() => digitsBook.loadNeighbours().then(() => null)")
            yield page, await page.context.new_cdp_session(page)
            await browser.close()


async def draw(page: Page, session: CDPSession, strokes: drawn.Strokes, pace: float = 0.0) -> None:
    """Draw strokes with the mouse, point by point.

    The events are sent `pace` seconds apart without waiting for the page, as by a real mouse:
    several may reach the page in one frame.
    """
    left, top, width = await page.locator("[data-draw=sheet]").evaluate(FRAME)
    for stroke in strokes:
        points = ([left, top] + stroke * width / drawn.SHEET).tolist()
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 1), "mouseReleased"]
        sent = []
        for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            event["buttons"] = int(kind != "mouseReleased")
            sent.append(asyncio.ensure_future(session.send("Input.dispatchMouseEvent", event)))
            await asyncio.sleep(pace)
        await asyncio.gather(*sent)


async def read(drawings: Sequence[drawn.Strokes]) -> dict[str, Any]:
    """Draw each; return the page's answers, preparation on and off (-1: none), and doubts."""
    rows = []
    async with open_page() as (page, session):
        for number, strokes in enumerate(drawings, start=1):
            await draw(page, session, strokes)
            rows.append(await page.evaluate(ANSWERS))
            if number % 50 == 0:
                print(f"{number} of {len(drawings)} drawings", flush=True)
        on, doubted, off = np.array(rows).T
        browser = f"Chromium {page.context.browser.version.split('.')[0]}"
        return {"on": on, "off": off, "doubted": doubted.astype(bool), "browser": browser}


async def calibrate() -> dict[str, Any]:
    """Find the probability below which the page doubts that it sees a digit."""
    drawings, _ = drawn.labelled_drawings(2000, seed=SEED + 1)
    plain = [[stroke.tolist() for stroke in strokes] for strokes in drawings]
    script = "strokes => digitsBook.read(strokes).share"
    async with open_page() as (page, _):
        highest = [await page.evaluate(script, strokes) for strokes in plain]
    return {
        "threshold": round(float(np.quantile(highest, DOUBTED)), 2),
        "doubted": DOUBTED,
        "n": len(plain),
        "source": "labelled MNIST digits, traced and redrawn; the network knows their images",
        "sizes": drawn.SIZES,
        "seed": SEED + 1,
    }


async def read_known(drawings: list, labels: np.ndarray, **about: Any) -> dict[str, Any]:
    """Measure on drawings whose labels are known."""
    found = await read(drawings)
    scores = {}
    for name in ("on", "off"):
        interval = accuracy_interval(labels, found[name])
        scores[name] = {"accuracy": accuracy(labels, found[name]), "interval": interval}
    each = [accuracy(labels[labels == k], found["on"][labels == k]) for k in range(10)]
    *others, last = [f"{k} ({each[k]:.0%})" for k in np.argsort(each)[:3]]
    return {
        "n": len(labels),
        **about,
        **scores,
        "doubted": found["doubted"].mean(),
        "on_each": dict(enumerate(each)),
        "worst": f"{', '.join(others)} and {last}",
        "sizes": drawn.SIZES,
        "browser": found["browser"],
    }


async def time_answers(n: int) -> dict[str, Any]:
    """Time the answers to labelled digits from pen-up, with the processor slowed down."""
    drawings, _ = drawn.labelled_drawings(n, seed=SEED + 3)
    load = os.getloadavg()[0]  # above 1 or so, other programs have taken part in what is measured
    times = []
    async with open_page() as (page, session):
        await page.evaluate(WATCH)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
        for strokes in drawings:
            await draw(page, session, strokes, PACE)
            await page.wait_for_function(f"answerTimes.length === {len(strokes)}")
            times.append((await page.evaluate("answerTimes.splice(0)"))[-1])
            await page.evaluate(ANSWERS)
        found = {"load_before": load, "n": n, "slowdown": SLOWDOWN, "pace_s": PACE}
        found["browser"] = f"Chromium {page.context.browser.version.split('.')[0]}"
        for name, measured in zip(("written", "painted"), np.array(times).T, strict=True):
            found[f"{name}_median_ms"] = np.median(measured)
            found[f"{name}_worst_ms"] = measured.max()
        return found


def read_test_images(n: int, made: dict[str, Any]) -> dict[str, Any]:
    """Measure traced test images and figures, and open the seal."""
    refuse_second_opening(RECORD, "page")
    digits = load_digits("")
    random = np.random.RandomState(SEED)
    rows = np.sort(random.permutation(len(digits.test_images))[:n])
    traced = [drawn.place(drawn.trace_strokes(digits.test_images[row]), random) for row in rows]
    names, figures = zip(*drawn.figure_drawings(SEED), strict=True)
    digit, figure = asyncio.run(read(traced)), asyncio.run(read(figures))
    each = {}
    for name in drawn.FIGURES:
        here = np.array(names) == name
        answers = np.bincount(figure["on"][here], minlength=10)
        each[name] = {"answers": answers, "doubted": figure["doubted"][here].mean()}
    found = {
        "traced": {
            "n": n,
            "source": "test images of MNIST, traced; chosen at random",
            "seed": SEED,
            "doubted": digit["doubted"].mean(),
            "sealed_test_opened": None,
        },
        "figures": {"n": len(figures), "doubted": figure["doubted"].mean(), "each": each},
        "sizes": drawn.SIZES,
        "browser": digit["browser"],
        "provenance": made,
    }
    # On record before it happens: whatever goes wrong below, the seal counts as opened.
    write_record(RECORD, found)
    on = score_sealed_test(digits, digit["on"], versus=digit["off"], rows=rows)
    off = score_sealed_test(digits, digit["off"], rows=rows)
    for name, score in (("on", on), ("off", off)):
        found["traced"][name] = {"accuracy": score.accuracy, "interval": (score.low, score.high)}
    found["traced"]["paired"] = asdict(on.paired)
    found["traced"]["sealed_test_opened"] = f"on {made['date']}, for these {n} images"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["calibrate", "develop", "record", "tablet", "time"])
    parser.add_argument("pen_digits", type=Path, nargs="?", help="penbased.dat, for the tablet")
    parser.add_argument("--n", type=int, default=400, help="digits to draw")
    options = parser.parse_args()
    n, step, made = options.n, options.step, provenance(ROOT)
    if step == "calibrate":
        path, found = RESULTS / "draw_page_hint.json", asyncio.run(calibrate())
    elif step == "develop":
        drawings, labels = drawn.labelled_drawings(n, SEED + 2)
        print(json_bytes(asyncio.run(read_known(drawings, labels))).decode())
        return
    elif step == "record":
        path, found = RECORD, read_test_images(n, made)
    elif step == "time":
        path, found = RESULTS / "draw_page_time.json", asyncio.run(time_answers(min(n, 100)))
    elif options.pen_digits is None:
        parser.error("tablet needs the path of penbased.dat")
    else:
        tablet = drawn.tablet_drawings(options.pen_digits, n, SEED)
        path = RESULTS / "draw_page_tablet.json"
        found = asyncio.run(read_known(*tablet, source=SOURCE, seed=SEED))
    write_record(path, {**found, "provenance": made})


if __name__ == "__main__":
    main()
