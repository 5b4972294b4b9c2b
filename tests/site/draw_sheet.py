"""Drawing on the page *Draw a digit*, for its tests."""

import json
import re

from site_files import ROOT

PAGE = "book/draw_a_digit.html"
SHEET = 280  # the sheet's own pixels on a side

# The page's examples, one of each digit, with corners from 0 to 1, downwards.
EXAMPLES = (ROOT / "book/_static/draw/examples.js").read_text(encoding="utf-8")
DIGITS = [
    [[((x - 56) / 168, (y - 56) / 168) for x, y in stroke] for stroke in json.loads(example)]
    for example in re.findall(r"^ +(\[\[\[.*\]\]\]),", EXAMPLES, re.M)[:10]
]


def placed(strokes, size=0.65, left=0.2, top=0.15):
    """The strokes as points on the sheet, in its own pixels."""
    return [[(SHEET * (left + size * x), SHEET * (top + size * y)) for x, y in s] for s in strokes]


def part(page, name):
    return page.locator(f"[data-draw={name}]")


def on_screen(page, strokes, **where):
    """Where the points of strokes lie in the window."""
    part(page, "sheet").scroll_into_view_if_needed()
    left, top, width = part(page, "sheet").evaluate(
        "s => { const f = s.getBoundingClientRect();"
        " return [f.left + s.clientLeft, f.top + s.clientTop, s.clientWidth] }"
    )
    scale = width / SHEET
    return [
        [(left + x * scale, top + y * scale) for x, y in stroke]
        for stroke in placed(strokes, **where)
    ]


def draw(page, strokes, **where):
    """Draw with the mouse, on the sheet as it is."""
    for stroke in on_screen(page, strokes, **where):
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*point, steps=3)
        page.mouse.up()


def answer(page):
    """The digit the page shows, or None."""
    text = part(page, "digit").inner_text()
    return int(text) if text else None


def wait_for(page, name, condition="!== ''"):
    page.wait_for_function(f"document.querySelector('[data-draw={name}]').textContent {condition}")
