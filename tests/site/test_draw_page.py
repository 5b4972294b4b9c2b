"""The page *Draw a digit* in a real browser: strokes in, answers out, the numbers between."""

from __future__ import annotations

import io
import itertools
import re
import time

import numpy as np
import pytest
from PIL import Image

PAGE = "book/draw_a_digit.html"
SHEET = 280  # the sheet's own pixels on a side
MILLISECONDS = 50  # for the answer, with the processor slowed down to a quarter

# One way to write each digit: corners from 0 to 1, downwards.
DIGITS = {
    0: [[(0.5, 0), (0.2, 0.1), (0.05, 0.5), (0.2, 0.9), (0.5, 1), (0.75, 0.85), (0.85, 0.5),
         (0.75, 0.1), (0.5, 0)]],
    1: [[(0.55, 0), (0.45, 1)]],
    2: [[(0.1, 0.2), (0.3, 0.02), (0.6, 0), (0.8, 0.2), (0.7, 0.5), (0.1, 1), (0.9, 1)]],
    3: [[(0.1, 0.1), (0.5, 0), (0.75, 0.2), (0.6, 0.42), (0.35, 0.48), (0.7, 0.55), (0.85, 0.78),
         (0.6, 1), (0.1, 0.92)]],
    4: [[(0.25, 0), (0.1, 0.6), (0.8, 0.6)], [(0.65, 0.25), (0.6, 1)]],
    5: [[(0.2, 0.03), (0.17, 0.45), (0.5, 0.38), (0.8, 0.55), (0.8, 0.8), (0.5, 1), (0.1, 0.93)],
        [(0.2, 0.03), (0.8, 0)]],
    6: [[(0.7, 0), (0.3, 0.3), (0.15, 0.7), (0.35, 1), (0.7, 0.95), (0.75, 0.65), (0.5, 0.55),
         (0.2, 0.7)]],
    7: [[(0.1, 0.02), (0.85, 0), (0.55, 0.5), (0.4, 1)]],
    8: [[(0.75, 0.15), (0.45, 0), (0.2, 0.2), (0.5, 0.48), (0.8, 0.75), (0.5, 1), (0.2, 0.8),
         (0.45, 0.5), (0.75, 0.15)]],
    9: [[(0.75, 0.2), (0.5, 0), (0.2, 0.15), (0.25, 0.42), (0.55, 0.48), (0.75, 0.2), (0.72, 0.6),
         (0.6, 1)]],
}  # fmt: skip
DASH = [[(0, 0.5), (1, 0.5)]]


SUM_OF_INK = "() => digitsBook.readInk().reduce((a, b) => a + b)"


def placed(strokes, size=0.65, left=0.2, top=0.15):
    """The strokes as points on the sheet, in its own pixels."""
    return [[(SHEET * (left + size * x), SHEET * (top + size * y)) for x, y in s] for s in strokes]


def part(page, name):
    return page.locator(f"[data-draw={name}]")


def on_screen(page, strokes):
    """Where the points of placed strokes lie in the window."""
    part(page, "sheet").scroll_into_view_if_needed()
    left, top, width = part(page, "sheet").evaluate(
        "s => { const f = s.getBoundingClientRect();"
        " return [f.left + s.clientLeft, f.top + s.clientTop, s.clientWidth] }"
    )
    scale = width / SHEET
    return [[(left + x * scale, top + y * scale) for x, y in stroke] for stroke in strokes]


def draw(page, strokes, **where):
    """Draw with the mouse, on the sheet as it is."""
    for stroke in on_screen(page, placed(strokes, **where)):
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


def wait_for_neighbours(page):
    page.wait_for_function("document.querySelector('.draw-nearest span').textContent !== ''")


@pytest.fixture
def open_sheet(open_page):
    """Open the page and wait until its network has come."""

    def open_sheet(path=PAGE, *look, **options):
        page = open_page(path, *look, **options)
        page.wait_for_selector("#draw.ready")
        return page

    return open_sheet


@pytest.fixture(scope="module")
def only_page(new_page):
    page = new_page(PAGE)
    page.wait_for_selector("#draw.ready")
    return page


@pytest.fixture
def drawing(only_page):
    """The page, ready to draw on, with a blank sheet: one for all who leave nothing behind."""
    part(only_page, "clear").click()
    yield only_page
    assert only_page.problems == []


def test_drawn_digits_are_read(drawing):
    for digit, strokes in DIGITS.items():
        draw(drawing, strokes)
        assert answer(drawing) == digit
        texts = drawing.locator(".draw-bars .share").all_inner_texts()
        assert len(texts) == 10
        assert all(re.fullmatch(r"(<1|\d+)%", text) for text in texts)
        assert max(range(10), key=lambda i: int(texts[i].strip("<%"))) == digit
        wait_for(drawing, "spoken")  # once, not after each stroke
        assert part(drawing, "spoken").inner_text().startswith(f"{digit}, with ")
        part(drawing, "clear").click()


def test_firefox_with_fingerprint_protection_reads_digits(firefox, address):
    def run(script, *arguments):
        return firefox("WebDriver:ExecuteScript", script=script, args=arguments)["value"]

    firefox("WebDriver:Navigate", url=address + PAGE)
    firefox("WebDriver:ExecuteAsyncScript", script="digitsBook.ready.then(arguments[0])", args=[])
    hidden = (
        "const view = document.createElement('canvas').getContext('2d'); view.fillRect(0, 0, 9, 9);"
        " return Array.from(view.getImageData(0, 0, 9, 9).data.filter((_, i) => i % 4 < 3))"
    )
    assert any(run(hidden)), "this Firefox hides nothing"
    read = "return digitsBook.read(arguments[0]).digit ?? null"
    assert run(read, []) is None
    assert [run(read, placed(strokes)) for strokes in DIGITS.values()] == list(DIGITS)

    left, top, scale = run(
        "digitsBook.read([]); const sheet = document.querySelector('[data-draw=sheet]');"
        "sheet.scrollIntoView({ block: 'center' }); const frame = sheet.getBoundingClientRect();"
        f"return [frame.left + 1, frame.top + 1, sheet.clientWidth / {SHEET}]"
    )
    for kind in ("mouse", "touch"):
        for stroke in placed(DIGITS[7]):
            steps = [
                {"type": "pointerMove", "x": round(left + x * scale), "y": round(top + y * scale)}
                for x, y in stroke
            ]
            steps.insert(1, {"type": "pointerDown", "button": 0})
            steps.append({"type": "pointerUp", "button": 0})
            pointer = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}}
            firefox("WebDriver:PerformActions", actions=[{**pointer, "actions": steps}])
        assert run("return document.querySelector('[data-draw=digit]').textContent") == "7"
        run("document.querySelector('[data-draw=clear]').click()")


def test_logits_are_those_of_keras(drawing):
    import keras

    from digit_utils.data import load_digits, prepare_images
    from digit_utils.shipped import load_final_model

    images = prepare_images(load_digits("").images[:100])
    network = load_final_model()[0][0]
    logits = keras.Model(network.inputs, network.layers[-2].output)
    expected = logits.predict(images, batch_size=100, verbose=0)
    found = drawing.evaluate(
        "images => images.map((image) => Array.from(digitsBook.network.run(image).logits))",
        images.reshape(100, 784).tolist(),
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


def prepared_in_python(ink):
    """MNIST's procedure once more, with scikit-image's averaging of areas."""
    from skimage.transform import resize_local_mean

    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255
    shape = np.floor(np.array(cut.shape) * 20 / max(cut.shape) + 0.5).astype(int).clip(1)
    small = resize_local_mean(cut, shape)
    y, x = (
        (small.sum(axis=axis) * (np.arange(n) + 0.5)).sum() / small.sum()
        for axis, n in ((1, shape[0]), (0, shape[1]))
    )
    roomy = np.zeros((88, 88))  # what would stick out of 28 x 28 is cut off at the end
    top, left = 30 + 14 - int(y), 30 + 14 - int(x)
    roomy[top : top + shape[0], left : left + shape[1]] = small
    return roomy[30:58, 30:58]


def test_ink_and_preparation_are_those_of_a_canvas_and_of_mnist(drawing):
    """A canvas bends round ends out of straight pieces; shrunk to what is read, they agree."""
    from skimage.transform import resize_local_mean

    for digit, size in itertools.product(DIGITS, (0.05, 0.3, 0.8)):
        ink, prepared, shrunk, canvas = drawing.evaluate(
            """strokes => {
              digitsBook.read(strokes);
              const view = document.createElement('canvas').getContext('2d');
              view.canvas.width = view.canvas.height = 280;
              Object.assign(view, { lineWidth: 18, lineCap: 'round', lineJoin: 'round' });
              view.beginPath();
              for (const [first, ...rest] of strokes) {
                view.moveTo(...first);
                for (const point of rest) view.lineTo(...point);
              }
              view.stroke();
              const drawn = view.getImageData(0, 0, 280, 280).data.filter((_, i) => i % 4 === 3);
              const ink = digitsBook.readInk();
              const found = [digitsBook.prepare(ink, 280), digitsBook.shrinkOnly(ink, 280),
                digitsBook.shrinkOnly(drawn, 280)];
              return [ink.join(), ...found.map((pixels) => Array.from(pixels))];
            }""",
            placed(DIGITS[digit], size, left=0.07, top=0.11),
        )
        ink, shape = np.fromstring(ink, sep=",").reshape(SHEET, SHEET), (28, 28)
        np.testing.assert_allclose(np.reshape(prepared, shape), prepared_in_python(ink), atol=1e-5)
        expected = resize_local_mean(ink / 255, shape)
        np.testing.assert_allclose(np.reshape(shrunk, shape), expected, atol=1e-5)
        np.testing.assert_allclose(shrunk, canvas, atol=0.03)


def test_the_switch_shows_why_demos_fail(open_sheet):
    page = open_sheet()
    draw(page, DIGITS[3], size=0.25, left=0.7, top=0.7)
    assert answer(page) == 3

    def seen():
        """What the network sees, once it is drawn."""
        page.wait_for_timeout(200)
        return page.evaluate(
            "() => Array.from(document.querySelector('[data-draw=seen]').getContext('2d')"
            ".getImageData(0, 0, 28, 28).data).filter((_, i) => i % 4 === 0)"
        )

    with_it = np.reshape(seen(), (28, 28))
    part(page, "switch").press("Space")
    without = np.reshape(seen(), (28, 28))
    assert np.flatnonzero(with_it.any(axis=1)).size == 20
    assert not without[:17].any()
    assert without.any()


@pytest.fixture
def touched(open_sheet):
    """The page on a device with a touch screen; ``page.touch`` sends what fingers do."""
    page = open_sheet(has_touch=True, is_mobile=True)
    page.session = page.context.new_cdp_session(page)
    page.touch = lambda kind, *points: page.session.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]},
    )
    ((page.palm,),) = on_screen(page, placed([[(1, 1)]], size=0.9, left=0, top=0))
    return page


def test_touch_draws_and_does_not_scroll(touched):
    page, send = touched, touched.touch
    strokes = on_screen(page, placed(DIGITS[4]))
    before = page.evaluate("scrollY")
    for stroke in strokes:
        send("touchStart", stroke[0])
        for (x, y), (to_x, to_y) in itertools.pairwise(stroke):
            for step in (0.25, 0.5, 0.75, 1):
                send("touchMove", (x + step * (to_x - x), y + step * (to_y - y)))
        send("touchEnd")
    assert answer(page) == 4
    assert page.evaluate("scrollY") == before


@pytest.mark.parametrize("then", ["rests", "touchCancel", "touchEnd"])
def test_the_pen_takes_over_from_the_palm(touched, then):
    """The palm rests all the time, the system has the page forget it, or it lifts and returns."""
    touched.touch("touchStart", touched.palm)
    if then != "rests":
        touched.touch(then)
    for stroke in on_screen(touched, placed(DIGITS[4])):
        for kind, (x, y) in [
            ("mousePressed", stroke[0]),
            *(("mouseMoved", point) for point in stroke[1:]),
            ("mouseReleased", stroke[-1]),
        ]:
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            event |= {"pointerType": "pen", "buttons": int(kind != "mouseReleased")}
            touched.session.send("Input.dispatchMouseEvent", event)
    if then == "touchEnd":
        touched.touch("touchStart", touched.palm)
        touched.touch("touchEnd")
    assert answer(touched) == 4
    assert touched.evaluate("() => digitsBook.readInk()[250 * 280 + 250]") == 0, "the palm's mark"
    if then == "rests":
        touched.touch("touchEnd")
    part(touched, "clear").press("Enter")
    assert answer(touched) is None


def test_a_resting_hand_does_not_lock_the_buttons(touched):
    touched.touch("touchStart", touched.palm)
    wait_for(touched, "digit")
    part(touched, "undo").press("Enter")
    assert answer(touched) is None


@pytest.mark.parametrize(
    "lost",
    [
        "sheet.releasePointerCapture(1)",
        "sheet.dispatchEvent(new PointerEvent('pointercancel', { pointerId: 1 }))",
        "window.dispatchEvent(new Event('blur'))",
        "document.querySelector('[data-draw=clear]').click()",
    ],
)
def test_a_lost_pointer_ends_the_stroke(drawing, lost):
    (stroke,) = on_screen(drawing, placed([[(0, 0), (0.3, 0), (0.6, 1), (1, 1)]]))
    drawing.mouse.move(*stroke[0])
    drawing.mouse.down()
    drawing.mouse.move(*stroke[1])
    drawing.evaluate(
        f"() => {{ const sheet = document.querySelector('[data-draw=sheet]'); {lost} }}"
    )
    drawing.mouse.move(*stroke[2])  # here the browser reports a capture that was lost
    before = drawing.evaluate(SUM_OF_INK)
    drawing.mouse.move(*stroke[3])
    assert drawing.evaluate(SUM_OF_INK) == before
    drawing.mouse.move(5, 5)
    drawing.mouse.up()
    drawing.keyboard.press("Delete")
    assert answer(drawing) is None
    draw(drawing, DIGITS[3])
    assert answer(drawing) == 3


def test_undo_and_clear_by_key(drawing):
    draw(drawing, DIGITS[4])
    assert answer(drawing) == 4
    all_ink = drawing.evaluate(SUM_OF_INK)
    drawing.keyboard.press("Control+z")  # right after drawing the sheet has the focus
    assert 0 < drawing.evaluate(SUM_OF_INK) < all_ink
    assert answer(drawing) is not None

    drawing.keyboard.press("Tab")
    focused, ring = part(drawing, "undo").evaluate(
        "b => [b === document.activeElement,"
        " getComputedStyle(b).outlineStyle + getComputedStyle(b).outlineWidth]"
    )
    assert focused
    assert ring == "solid3px", "the focus cannot be seen"
    drawing.keyboard.press("Enter")
    assert answer(drawing) is None

    draw(drawing, DIGITS[7])
    assert answer(drawing) == 7
    part(drawing, "clear").focus()
    drawing.keyboard.press("Space")
    assert answer(drawing) is None

    for keys in (["Backspace", "Backspace"], ["Delete"]):  # of the two, one has nothing to do
        draw(drawing, DIGITS[1])
        assert answer(drawing) is not None
        for key in keys:
            drawing.keyboard.press(key)
            assert answer(drawing) is None


def test_a_blank_sheet_says_nothing(drawing):
    draw(drawing, DIGITS[8])
    assert answer(drawing) == 8
    part(drawing, "clear").click()
    drawing.wait_for_timeout(200)
    assert answer(drawing) is None
    assert drawing.locator(".draw-bars .share").all_inner_texts() == [""] * 10
    assert part(drawing, "spoken").inner_text() == part(drawing, "time").inner_text() == ""
    assert "Draw a digit" in part(drawing, "verdict").inner_text()


def test_a_dot_is_ink_and_a_dash_is_doubted(drawing):
    draw(drawing, [[(0.5, 0.5)]])
    assert drawing.evaluate("() => digitsBook.readInk().some((value) => value === 255)")
    assert answer(drawing) is not None
    part(drawing, "clear").click()
    draw(drawing, DASH)
    assert "Not a digit?" in part(drawing, "verdict").inner_text()
    wait_for(drawing, "spoken", ".startsWith('Perhaps')")
    part(drawing, "clear").click()
    draw(drawing, DIGITS[0])
    assert "Not a digit?" not in part(drawing, "verdict").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_maps_and_neighbours_are_shown_and_everything_fits(open_sheet, width):
    page = open_sheet(PAGE, width)
    loaded = "() => performance.getEntriesByType('resource').map((e) => e.name).join()"
    assert "neighbours" not in page.evaluate(loaded), "loaded before anyone draws"
    draw(page, DIGITS[6])
    wait_for_neighbours(page)
    assert "neighbours.bin" in page.evaluate(loaded)
    labels = page.locator(".draw-nearest span").all_inner_texts()
    assert len(labels) == 8
    assert labels.count("6") >= 6
    ink = page.eval_on_selector_all(
        ".draw-nearest canvas, .draw-maps canvas",
        "all => all.map((c) => { const { data } = c.getContext('2d').getImageData(0, 0, c.width,"
        " c.height); return new Set(data).size })",
    )
    assert len(ink) == 8 + 5
    assert all(values > 3 for values in ink), "an empty picture"
    scroll, client = page.evaluate(
        "[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]"
    )
    assert scroll <= client + 1
    sheet = part(page, "sheet").bounding_box()
    assert min(sheet["width"], sheet["height"]) >= 280
    for button in page.locator(".draw-buttons button").all():
        assert button.bounding_box()["height"] >= 44


def test_the_example_draws_by_itself(open_sheet):
    page = open_sheet(reduced_motion="reduce")
    seen = set()
    for _ in range(11):  # ten digits and a heart
        part(page, "example").press("Enter")
        seen.add(answer(page))  # at once: nothing moves
    assert seen == set(range(10))
    moving = open_sheet()
    part(moving, "example").click()
    wait_for(moving, "spoken")


def test_the_answer_comes_at_once_on_a_slow_machine(open_sheet):
    page = open_sheet(locale="en-US")  # in a window of its own, to be slowed down
    page.evaluate(
        """() => {
          const sheet = document.querySelector('[data-draw=sheet]');
          window.took = [];
          let lifted = null;
          sheet.addEventListener('pointerup', (e) => { lifted = e.timeStamp; }, { capture: true });
          new MutationObserver(() => {
            if (lifted !== null) took.push(performance.now() - lifted);
            lifted = null;
          }).observe(document.querySelector('[data-draw=time]'), { childList: true });
        }"""
    )
    slow = page.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    for attempt in range(3):  # a busy machine may need another try; a slow page fails them all
        for digit in (2, 7, 3):
            part(page, "clear").click()
            draw(page, DIGITS[digit])
            assert answer(page) == digit
        took = page.evaluate("took.splice(0)")
        assert len(took) == 3
        # The middle one: another process of the machine may have been in the way of a single one.
        if sorted(took)[1] <= MILLISECONDS:
            break
        time.sleep(attempt + 1)
    assert sorted(took)[1] <= MILLISECONDS, f"answers after {took} ms"


def test_it_works_from_a_folder(open_sheet, html):
    page = open_sheet((html / PAGE).as_uri())
    draw(page, DIGITS[5])
    assert answer(page) == 5
    wait_for_neighbours(page)


def test_without_javascript_a_sentence_says_what_is_missing(new_page):
    page = new_page(PAGE, java_script_enabled=False)
    assert page.locator(".draw-noscript").is_visible()
    assert not page.locator("#draw").is_visible()


def test_the_switch_and_the_bars_are_seen_in_forced_colours(open_sheet):
    page = open_sheet(forced_colors="active", reduced_motion="reduce")
    draw(page, DIGITS[9])
    switch, bars = part(page, "switch"), page.locator(".draw-bars .bar")
    pictures = [switch.screenshot(), bars.nth(9).screenshot(), bars.nth(0).screenshot()]
    switch.press("Space")
    pictures.append(switch.screenshot())
    for picture in pictures:
        assert len(Image.open(io.BytesIO(picture)).convert("L").getcolors()) > 1, "cannot be seen"
    assert len({pictures[0], pictures[3]}) == len({pictures[1], pictures[2]}) == 2


def test_only_this_page_loads_the_scripts(html):
    others = [p for p in html.rglob("*.html") if "draw/draw.js" in p.read_text(encoding="utf-8")]
    assert others == [html / PAGE]
