"""What chapters let readers play with: the quiz and the map, in a real browser."""

import itertools
import re

import pytest

QUIZ = "notebooks/10_where_it_fails.html"
MAP = "notebooks/11_looking_inside.html"


def test_the_quiz_is_played_with_buttons_to_its_end_and_again_with_keys(open_page):
    page = open_page(QUIZ, 390, "dark")
    quiz = page.locator(".digits-quiz")
    n_images = int(re.search(r" of (\d+)", quiz.locator(".where").inner_text())[1])
    for _ in range(n_images):
        quiz.get_by_role("button", name="It is a 5").click()
        quiz.get_by_role("button", name=re.compile("Next|See them all")).click()
    texts = quiz.locator(".all li").all_inner_texts()
    assert len(texts) == n_images
    n_correct = sum("label 5" in text for text in texts)
    assert f"on {n_correct} of {n_images}" in quiz.locator(".score").inner_text()
    quiz.get_by_role("button", name="Start again").click()
    assert quiz.locator(".where").inner_text().startswith("Image 1 of ")
    assert not quiz.locator(".all").is_visible()
    quiz.focus()
    page.keyboard.press("3")
    assert quiz.locator(".said").inner_text().startswith("You say 3. The label says ")
    assert re.search("on [01] of 1", quiz.inner_text())
    page.keyboard.press("7")  # answered already: the first answer stands
    assert quiz.locator(".said").inner_text().startswith("You say 3.")
    page.keyboard.press("Enter")
    assert quiz.locator(".where").inner_text().startswith("Image 2 of ")


def test_the_map_shows_the_digit_under_the_pointer_and_steps_through_all(open_page):
    page = open_page(MAP, 390)
    found = page.locator(".digits-map")
    found.scroll_into_view_if_needed()
    one, said = found.locator(".one"), found.locator(".said")
    assert not one.is_visible()
    box = found.locator("canvas").bounding_box()
    for down, across in itertools.product(range(10, 100, 6), repeat=2):
        x, y = box["x"] + box["width"] * across / 100, box["y"] + box["height"] * down / 100
        page.mouse.move(x, y)
        if one.is_visible():
            break
    assert said.inner_text().startswith("Label "), "no dot of the map showed its digit"
    shown = []
    for _ in range(3):
        found.get_by_role("button", name="Next digit").click()
        shown.append(one.evaluate("e => e.style.backgroundPosition"))
    assert len(set(shown)) == 3
    errors = found.get_by_role("button", name="Next error")
    if errors.count():
        errors.click()
        assert said.inner_text().endswith(": an error.")


@pytest.mark.parametrize(("name", "path"), [("quiz", QUIZ), ("map", MAP)])
def test_it_looks_as_the_page_does_in_the_dark(open_page, name, path):
    page = open_page(path, 390, "dark")
    output = page.locator(f".text_html:has(.digits-{name})")
    look = "e => { const s = getComputedStyle(e); return [s.backgroundImage, s.backgroundColor] }"
    colour = "e => getComputedStyle(e).color"
    for forced in ("none", "active"):
        page.emulate_media(forced_colors=forced)
        assert output.evaluate(look) in (["none", "rgba(0, 0, 0, 0)"], ["none", "rgb(0, 0, 0)"])
        if name == "map":  # its colours stand for digits
            white = "e => getComputedStyle(e).backgroundColor"
            assert output.locator("canvas").first.evaluate(white) == "rgb(255, 255, 255)"
        assert output.locator(".said").evaluate(colour) == page.locator("article").evaluate(colour)
