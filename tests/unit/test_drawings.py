"""What measures the page *Draw a digit*; its data are read in a browser, in tests/site."""

import numpy as np
import pytest

from digit_utils.data import load_digits, take_subset
from experiments import measure_draw_page
from experiments.drawings import trace_strokes


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
