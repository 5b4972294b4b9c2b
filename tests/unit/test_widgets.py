"""The pieces of pages that can be played with: they hold what they were given, and nothing else."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from digit_utils.widgets import embedding_map_html, quiz_html


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


def decode(address):
    head, data = address.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))


@pytest.mark.parametrize("levels", [2, 8, 16])
def test_a_sheet_shows_every_image_in_its_place(images, levels):
    sheet = decode(sprite_sheet(images, columns=3, levels=levels))
    assert sheet.shape == (56, 84)
    for index, image in enumerate(images):
        row, column = 28 * (index // 3), 28 * (index % 3)
        shown = sheet[row : row + 28, column : column + 28].astype(int)
        assert np.abs(shown - (255 - image.astype(int))).max() <= 255 / (levels - 1) / 2 + 1
    assert (sheet[28:, 56:] == 255).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(np.zeros((2, 28, 28)), "uint8"), (np.zeros((0, 28, 28), np.uint8), "uint8")],
)
def test_a_sheet_of_other_images_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        sprite_sheet(wrong, 3)


def test_the_quiz_holds_its_cases_and_loads_nothing(images):
    page = quiz_html(images, [1, 2, 3, 4, 5], [7, 7, 8, 9, 6], [0.5, 0.999, 0.6, 0.42, 1.0])
    cases = json.loads(re.search(r"cases = (\[\[.*?\]\])", page)[1])
    assert cases == [[1, 7, 50], [2, 7, 100], [3, 8, 60], [4, 9, 42], [5, 6, 100]]
    assert not re.findall(r"@[A-Z]+@", page)
    assert not re.findall(r"""(?:src|href)\s*=|https?:|url\((?!" \+)""", page)
    (name,) = set(re.findall(r"quiz-[0-9a-f]{8}", page))
    assert page.count(name) == 2


def test_a_quiz_of_rightly_read_images_is_refused(images):
    with pytest.raises(ValueError, match="right on 1"):
        quiz_html(images, [1, 2, 3, 4, 5], [7, 2, 8, 9, 6], [0.5] * 5)
    with pytest.raises(ValueError, match="no image to ask about"):
        quiz_html(images[:0], [], [], [])
    with pytest.raises(ValueError, match="differ in length"):
        quiz_html(images, [1, 2, 3, 4], [7, 7, 8, 9, 6], [0.5] * 5)


def test_the_map_holds_its_dots_and_loads_nothing(images):
    points = [[-1, 0], [1, 0], [0, 5], [0, 10], [0.5, 2.5]]
    page = embedding_map_html(points, images, [1, 2, 3, 4, 5], [1, 2, 3, 9, 5])
    dots = json.loads(re.search(r"dots = (\[\[.*?\]\])", page)[1])
    assert dots[0] == [0, 0, 1, 1]
    assert dots[3] == [500, 999, 4, 9]
    assert not re.findall(r"@[A-Z]+@", page)
    assert not re.findall(r"""(?:src|href)\s*=|https?:|url\((?!" \+)""", page)


def test_where_no_script_runs_it_says_what_to_do(images):
    """JupyterLab takes script, style and frames out of a notebook that is not trusted."""
    errors = quiz_html(images, [1, 2, 3, 4, 5], [7, 7, 8, 9, 6], [0.5] * 5)
    for page in (errors, embedding_map_html([[0, 0]] * 5, images, [1] * 5, [2] * 5)):
        soup = BeautifulSoup(page, "html.parser")
        assert soup.noscript.extract().get_text().startswith("Without JavaScript, see the ")
        for gone in soup.select("script, style, iframe"):
            gone.decompose()
        assert soup.get_text().strip() == "Run this cell, or trust the notebook, to play."
        assert not soup.select("canvas, button")  # nor leaves an empty space


@pytest.mark.parametrize(
    ("points", "said"),
    [([[0, 0]], "differ in length"), ([[0, np.nan]] * 5, "finite"), ([[0, 1, 2]] * 5, "finite")],
)
def test_a_map_of_other_points_is_refused(images, points, said):
    with pytest.raises(ValueError, match=said):
        embedding_map_html(points, images, [1] * 5, [1] * 5)
