"""The parts of pages that can be played with: they hold what they were given, and nothing else."""

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


def map_html(images, points, labels, predicted):
    return embedding_map_html(points, images, labels, predicted)


PLAYED_WITH = {
    "quiz": lambda images: quiz_html(images, *([each] * len(images) for each in (1, 7, 0.5))),
    "map": lambda images: map_html(images, *([each] * len(images) for each in ([0, 0], 1, 1))),
}


@pytest.mark.parametrize(("name", "columns", "shades"), [("quiz", 10, 16), ("map", 40, 8)])
def test_the_sheet_shows_every_image_in_its_place(images, name, columns, shades):
    images = np.concatenate([images] * 3)
    page = PLAYED_WITH[name](images)
    data = re.search(r"data:image/png;base64,([\w+/=]+)", page)[1]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
    rows = sheet.shape[0] // 28
    assert sheet.shape == (28 * rows, 28 * columns) and rows * columns < len(images) + columns
    shown = sheet.reshape(rows, 28, columns, 28).swapaxes(1, 2).reshape(-1, 28, 28).astype(int)
    expected = 255 - images.astype(int)
    assert np.abs(shown[: len(images)] - expected).max() <= 255 / (shades - 1) / 2 + 1
    assert (shown[len(images) :] == 255).all()
    with pytest.raises(ValueError, match="expected uint8"):
        PLAYED_WITH[name](images.astype(float))


@pytest.mark.parametrize("name", PLAYED_WITH)
def test_it_loads_nothing_and_says_what_to_do_where_no_script_runs(images, name):
    """JupyterLab takes script, style and frames out of a notebook that is not trusted."""
    page = PLAYED_WITH[name](images)
    assert not re.findall(r"@[A-Z]+@", page)
    assert not re.findall(r"""(?:src|href)\s*=|https?:|url\((?!" \+)""", page)
    soup = BeautifulSoup(page, "html.parser")
    assert soup.noscript.extract().get_text().startswith("Without JavaScript, see the ")
    for gone in soup.select("script, style, iframe"):
        gone.decompose()
    assert soup.get_text().strip() == "Run this cell, or trust the notebook, to play."
    assert not soup.select("canvas, button")  # nor leaves an empty space


def test_the_quiz_holds_its_cases(images):
    page = quiz_html(images, [1, 2, 3, 4, 5], [7, 7, 8, 9, 6], [0.5, 0.999, 0.6, 0.42, 1.0])
    cases = json.loads(re.search(r"cases = (\[\[.*?\]\])", page)[1])
    assert cases == [[1, 7, 50], [2, 7, 100], [3, 8, 60], [4, 9, 42], [5, 6, 100]]
    (name,) = set(re.findall(r"quiz-[0-9a-f]{8}", page))
    assert page.count(name) == 2


def test_the_map_holds_its_dots(images):
    points = [[-1, 0], [1, 0], [0, 5], [0, 10], [0.5, 2.5]]
    page = embedding_map_html(points, images, [1, 2, 3, 4, 5], [1, 2, 3, 9, 5])
    dots = json.loads(re.search(r"dots = (\[\[.*?\]\])", page)[1])
    assert dots[0] == [0, 0, 1, 1]
    assert dots[3] == [500, 999, 4, 9]


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (quiz_html, ([1, 2, 3, 4, 5], [7, 2, 8, 9, 6], [0.5] * 5), "right on 1"),
        (quiz_html, ([1, 2, 3, 4], [7, 7, 8, 9, 6], [0.5] * 5), "differ in length"),
        (map_html, ([[0, 0]], [1] * 5, [1] * 5), "differ in length"),
        (map_html, ([[0, np.nan]] * 5, [1] * 5, [1] * 5), "finite"),
        (map_html, ([[0, 1, 2]] * 5, [1] * 5, [1] * 5), "finite"),
    ],
)
def test_what_cannot_be_played_with_is_refused(images, make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(images, *arguments)
