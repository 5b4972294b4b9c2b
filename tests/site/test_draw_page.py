"""The page *Draw a digit* in a real browser: strokes in, answers out, the numbers between."""

import io
import itertools
import json
import re
import time

import numpy as np
import pytest
from draw_sheet import DIGITS, PAGE, SHEET, answer, draw, on_screen, part, placed, wait_for
from PIL import Image
from site_files import ROOT

MILLISECONDS = 50  # for the answer, with the processor slowed down to a quarter
SUM_OF_INK = "() => digitsBook.readInk().reduce((a, b) => a + b)"
NEIGHBOURS = "document.querySelector('.draw-nearest span').textContent !== ''"


def test_drawn_digits_are_read_and_a_blank_sheet_says_nothing(drawing):
    for digit, strokes in enumerate(DIGITS):
        draw(drawing, strokes)
        assert answer(drawing) == digit
        texts = drawing.locator(".draw-bars .share").all_inner_texts()
        assert len(texts) == 10
        assert all(re.fullmatch(r"(<1|\d+)%", text) for text in texts)
        assert max(range(10), key=lambda i: int(texts[i].strip("<%"))) == digit
        wait_for(drawing, "spoken")  # once, not after each stroke
        assert part(drawing, "spoken").inner_text().startswith(f"{digit}, with ")
        part(drawing, "clear").click()
    drawing.wait_for_timeout(200)
    assert answer(drawing) is None
    assert drawing.locator(".draw-bars .share").all_inner_texts() == [""] * 10
    assert part(drawing, "spoken").inner_text() == part(drawing, "time").inner_text() == ""
    assert "Draw a digit" in part(drawing, "verdict").inner_text()


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
    assert [run(read, placed(strokes)) for strokes in DIGITS] == list(range(10))

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


def test_ink_is_what_the_sheet_shows_and_its_preparation_is_mnist_s(drawing):
    """A canvas bends round ends out of straight pieces; shrunk to what is read, they agree."""
    from skimage.transform import resize_local_mean

    for strokes, size in itertools.product(DIGITS, (0.05, 0.3, 0.8)):
        ink, prepared, shrunk, canvas = drawing.evaluate(
            """strokes => {
              digitsBook.read(strokes);
              const view = document.createElement('canvas').getContext('2d');
              view.canvas.width = view.canvas.height = 280;
              view.drawImage(document.querySelector('[data-draw=sheet]'), 0, 0, 280, 280);
              const drawn = view.getImageData(0, 0, 280, 280).data.filter((_, i) => i % 4 === 3);
              const ink = digitsBook.readInk();
              const found = [digitsBook.prepare(ink, 280), digitsBook.shrinkOnly(ink, 280),
                digitsBook.shrinkOnly(drawn, 280)];
              return [ink.join(), ...found.map((pixels) => Array.from(pixels))];
            }""",
            placed(strokes, size, left=0.07, top=0.11),
        )
        ink, shape = np.fromstring(ink, sep=",").reshape(SHEET, SHEET), (28, 28)
        np.testing.assert_allclose(np.reshape(prepared, shape), prepared_in_python(ink), atol=1e-5)
        expected = resize_local_mean(ink / 255, shape)
        np.testing.assert_allclose(np.reshape(shrunk, shape), expected, atol=1e-5)
        np.testing.assert_allclose(shrunk, canvas, atol=0.03)


def test_the_switch_shows_why_demos_fail(drawing):
    draw(drawing, DIGITS[3], size=0.25, left=0.7, top=0.7)
    assert answer(drawing) == 3
    seen = []
    for _ in range(2):
        drawing.wait_for_timeout(200)  # what the network sees has to be drawn
        pixels = drawing.evaluate(
            "() => Array.from(document.querySelector('[data-draw=seen]').getContext('2d')"
            ".getImageData(0, 0, 28, 28).data).filter((_, i) => i % 4 === 0)"
        )
        seen.append(np.reshape(pixels, (28, 28)))
        part(drawing, "switch").press("Space")
    with_it, without = seen
    assert np.flatnonzero(with_it.any(axis=1)).size == 20
    assert without.any() and not without[:17].any()


@pytest.fixture
def touched(open_sheet):
    """The page on a device with a touch screen; ``page.touch`` sends what fingers do."""
    page = open_sheet(has_touch=True, is_mobile=True)
    page.session = page.context.new_cdp_session(page)
    page.touch = lambda kind, *points: page.session.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]},
    )
    ((page.palm,),) = on_screen(page, [[(1, 1)]], size=0.9, left=0, top=0)
    return page


def test_touch_draws_and_does_not_scroll_and_a_resting_hand_locks_nothing(touched):
    page, send = touched, touched.touch
    send("touchStart", page.palm)
    wait_for(page, "digit")
    part(page, "undo").press("Enter")
    assert answer(page) is None
    send("touchEnd")
    strokes = on_screen(page, DIGITS[4])
    before = page.evaluate("scrollY")
    for stroke in strokes:
        send("touchStart", stroke[0])
        for point in stroke[1:]:
            send("touchMove", point)
        send("touchEnd")
    assert answer(page) == 4
    assert page.evaluate("scrollY") == before


@pytest.mark.parametrize("then", ["rests", "touchCancel", "touchEnd"])
def test_the_pen_takes_over_from_the_palm(touched, then):
    """The palm rests all the time, the system has the page forget it, or it lifts and returns."""
    touched.touch("touchStart", touched.palm)
    if then != "rests":
        touched.touch(then)
    for stroke in on_screen(touched, DIGITS[4]):
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
    (stroke,) = on_screen(drawing, [[(0, 0), (0.3, 0), (0.6, 1), (1, 1)]])
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
    all_ink = drawing.evaluate(SUM_OF_INK)
    drawing.keyboard.press("Control+z")  # right after drawing the sheet has the focus
    assert 0 < drawing.evaluate(SUM_OF_INK) < all_ink
    drawing.keyboard.press("Tab")
    focused, ring = part(drawing, "undo").evaluate(
        "b => [b === document.activeElement,"
        " getComputedStyle(b).outlineStyle + getComputedStyle(b).outlineWidth]"
    )
    assert focused and ring == "solid3px", "the focus cannot be seen"
    drawing.keyboard.press("Enter")
    assert answer(drawing) is None
    for key in ("Backspace", "Delete"):
        draw(drawing, DIGITS[1])
        assert answer(drawing) is not None
        for _ in range(2):  # the second time there is nothing to do
            drawing.keyboard.press(key)
            assert answer(drawing) is None


def test_a_dot_is_ink_and_a_dash_is_doubted(drawing):
    draw(drawing, [[(0.5, 0.5)]])
    assert drawing.evaluate("() => digitsBook.readInk().some((value) => value === 255)")
    assert answer(drawing) is not None
    part(drawing, "clear").click()
    draw(drawing, [[(0, 0.5), (1, 0.5)]])
    assert "Not a digit?" in part(drawing, "verdict").inner_text()
    wait_for(drawing, "spoken", ".startsWith('Perhaps')")
    below = drawing.evaluate("digitsBook.network.header.hint_below")
    record = json.loads((ROOT / "results/draw_page_hint.json").read_bytes())
    assert below == pytest.approx(record["threshold"], abs=1e-3)
    part(drawing, "clear").click()
    draw(drawing, DIGITS[0])
    assert "Not a digit?" not in part(drawing, "verdict").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_maps_and_neighbours_are_shown_and_everything_fits(open_sheet, width):
    page = open_sheet(PAGE, width)
    loaded = "() => performance.getEntriesByType('resource').map((e) => e.name).join()"
    assert "neighbours" not in page.evaluate(loaded), "loaded before anyone draws"
    draw(page, DIGITS[6])
    page.wait_for_function(NEIGHBOURS)
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
    assert page.evaluate("(e => e.clientWidth - e.scrollWidth)(document.scrollingElement)") >= -1
    sheet = part(page, "sheet").bounding_box()
    assert min(sheet["width"], sheet["height"]) >= 280
    for button in page.locator(".draw-buttons button").all():
        assert button.bounding_box()["height"] >= 44


def test_in_forced_colours_examples_switch_and_bars_are_seen(open_sheet):
    page = open_sheet(forced_colors="active", reduced_motion="reduce")
    seen = set()
    for _ in range(11):  # ten digits and a heart
        part(page, "example").press("Enter")
        seen.add(answer(page))  # at once: nothing moves
    assert seen == set(range(10))
    part(page, "clear").click()
    draw(page, DIGITS[9])
    switch, bars = part(page, "switch"), page.locator(".draw-bars .bar")
    pictures = [switch.screenshot(), bars.nth(9).screenshot(), bars.nth(0).screenshot()]
    switch.press("Space")
    pictures.append(switch.screenshot())
    for picture in pictures:
        assert len(Image.open(io.BytesIO(picture)).convert("L").getcolors()) > 1, "cannot be seen"
    assert len({pictures[0], pictures[3]}) == len({pictures[1], pictures[2]}) == 2


def test_the_example_draws_by_itself(drawing):
    wait_for(drawing, "spoken", "=== ''")
    part(drawing, "example").click()
    wait_for(drawing, "spoken")


def test_the_answer_comes_at_once_on_a_slow_machine(open_sheet):
    page = open_sheet(locale="en-US")  # in a window of its own, to be slowed down
    slow = page.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    for _ in range(3):  # a busy machine may need another try; a slow page fails them all
        took = []
        for digit in (2, 7, 3):
            part(page, "clear").click()
            draw(page, DIGITS[digit])
            assert answer(page) == digit
            took.append(int(re.search(r"\d+", part(page, "time").inner_text())[0]))
        # The middle one: another process of the machine may have been in the way of a single one.
        if sorted(took)[1] <= MILLISECONDS:
            return
        time.sleep(1)
    pytest.fail(f"answers after {took} ms")


def test_it_works_from_a_folder(open_sheet, html):
    page = open_sheet((html / PAGE).as_uri())
    draw(page, DIGITS[5])
    assert answer(page) == 5
    page.wait_for_function(NEIGHBOURS)


def test_without_javascript_a_sentence_says_what_is_missing(new_page):
    page = new_page(PAGE, java_script_enabled=False)
    assert page.locator(".draw-noscript").is_visible()
    assert not page.locator("#draw").is_visible()
