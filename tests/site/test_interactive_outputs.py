"""What chapters let readers play with: the quiz and the map, in a real browser."""

from __future__ import annotations

import pytest

QUIZ = "notebooks/10_where_it_fails.html"
MAP = "notebooks/11_looking_inside.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_quiz_is_played_with_keys(open_page, width):
    page = open_page(QUIZ, width)
    quiz = page.locator(".digits-quiz")
    quiz.focus()
    page.keyboard.press("3")
    assert quiz.locator(".said").inner_text().startswith("You say 3. The label says ")
    assert "on 0 of 1" in quiz.inner_text() or "on 1 of 1" in quiz.inner_text()
    page.keyboard.press("7")  # answered already: the first answer stands
    assert quiz.locator(".said").inner_text().startswith("You say 3.")
    page.keyboard.press("Enter")
    assert quiz.locator(".where").inner_text().startswith("Image 2 of ")
    open_page.check()


def test_the_quiz_is_played_with_buttons_to_its_end(open_page):
    page = open_page(QUIZ, 390, "dark")
    quiz = page.locator(".digits-quiz")
    n_images = int(quiz.locator(".where").inner_text().split(" of ")[1].split(":")[0])
    for _ in range(n_images):
        quiz.get_by_role("button", name="It is a 5").click()
        quiz.get_by_role("button", name="Next").or_(
            quiz.get_by_role("button", name="See them all")
        ).click()
    assert quiz.locator(".all li").count() == n_images
    labels = [text.count("label 5") for text in quiz.locator(".all li").all_inner_texts()]
    assert f"on {sum(labels)} of {n_images}" in quiz.locator(".score").inner_text()
    quiz.get_by_role("button", name="Start again").click()
    assert quiz.locator(".where").inner_text().startswith("Image 1 of ")
    assert not quiz.locator(".all").is_visible()
    open_page.check()


def test_the_map_shows_the_digit_under_the_pointer(open_page):
    page = open_page(MAP)
    found = page.locator(".digits-map")
    found.scroll_into_view_if_needed()
    assert not found.locator(".one").is_visible()
    box = found.locator("canvas").bounding_box()
    for down in range(10, 100, 6):
        for across in range(10, 100, 6):
            x, y = box["x"] + box["width"] * across / 100, box["y"] + box["height"] * down / 100
            page.mouse.move(x, y)
            if found.locator(".one").is_visible():
                assert found.locator(".said").inner_text().startswith("Label ")
                open_page.check()
                return
    pytest.fail("no dot of the map showed its digit")


def test_the_map_steps_through_its_digits(open_page):
    page = open_page(MAP, 390)
    found = page.locator(".digits-map")
    said = []
    for _ in range(3):
        found.get_by_role("button", name="Next digit").click()
        said.append(found.locator(".one").evaluate("e => e.style.backgroundPosition"))
    assert len(set(said)) == 3
    errors = found.get_by_role("button", name="Next error")
    if errors.count():
        errors.click()
        assert found.locator(".said").inner_text().endswith(": an error.")
    open_page.check()
