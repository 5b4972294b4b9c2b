"""The data of the page *Draw a digit*, and what measures the page."""

import json

import numpy as np
import pytest
from helpers import ROOT

from digit_utils.data import load_digits, take_subset
from experiments import make_draw_page, measure_draw_page
from experiments.drawings import trace_strokes


def test_the_committed_network_is_the_shipped_one():
    """Whether the page reads its weights rightly is seen in a browser, in tests/site."""
    data = (ROOT / "book/_static/draw/network.bin").read_bytes()
    assert data == make_draw_page.network_bytes(), "run experiments/make_draw_page.py"
    assert len(data) <= 300_000
    hint = json.loads((ROOT / "results" / "draw_page_hint.json").read_bytes())
    assert 0.1 < hint["threshold"] < 1


def test_the_neighbours_are_labelled_digits():
    data = (ROOT / "book/_static/draw/neighbours.bin").read_bytes()
    header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    (labels,) = (each for each in header["arrays"] if each["name"] == "labels")
    n, seed = make_draw_page.N_NEIGHBOURS, make_draw_page.SEED
    digits = load_digits("")
    _, expected = take_subset(digits.images, digits.labels, n, seed)
    start = 4 + int.from_bytes(data[:4], "little") + labels["offset"]
    found = np.frombuffer(data, np.uint8, n, start)
    np.testing.assert_array_equal(found, expected[np.random.RandomState(seed).permutation(n)])


def test_strokes_cover_real_digits_and_stay_on_them():
    """A pen that follows the strokes leaves out little ink and adds little."""
    digits = load_digits("")
    images, _ = take_subset(digits.images, digits.labels, 60, seed=3)
    for image in images:
        points = np.concatenate(trace_strokes(image))
        inked = np.argwhere(image > 127)[:, ::-1] + 0.5
        to_strokes = np.hypot(*(inked[:, None] - points[None]).transpose(2, 0, 1))
        assert (to_strokes.min(axis=1) < 3.5).mean() > 0.97
        assert (to_strokes.min(axis=0) < 1.5).mean() > 0.97


def test_the_seal_is_not_opened_twice(tmp_path, monkeypatch):
    record = tmp_path / "draw_page.json"
    record.write_text("{}")
    monkeypatch.setattr(measure_draw_page, "RECORD", record)
    with pytest.raises(SystemExit, match="the seal has been opened"):
        measure_draw_page.read_test_images(10, {})
    assert record.read_text() == "{}"
