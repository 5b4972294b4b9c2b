"""The data of the page *Draw a digit*, and the strokes its measurement draws."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from digit_utils.data import load_digits, prepare_images, take_subset
from digit_utils.shipped import FINAL_MODEL, load_final_model

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "book" / "_static" / "draw"


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return load_script("make_draw_page")


@pytest.fixture(scope="module")
def trace():
    return load_script("trace_strokes").trace_strokes


# The files of the page


def test_the_committed_network_is_the_shipped_one(script):
    data = (FOLDER / "network.bin").read_bytes()
    assert data == script.network_bytes(), "run scripts/make_draw_page.py"
    assert len(data) <= 300_000


def test_no_weight_is_lost(script):
    header, arrays = script.unpack((FOLDER / "network.bin").read_bytes())
    with np.load(FINAL_MODEL) as file:
        shipped = [file[f"network_0_weight_{i}"] for i in range(len(arrays))]
    assert len(arrays) == 12
    for array, weight in zip(arrays.values(), shipped, strict=True):
        assert array.dtype == np.float16
        np.testing.assert_array_equal(array, weight)
    hint = json.loads((ROOT / "results" / "draw_page_hint.json").read_bytes())
    assert header["hint_below"] == hint["threshold"]
    assert 0.1 < hint["threshold"] < 1


def test_the_neighbours_are_labelled_digits_as_this_network_sees_them(script):
    import keras
    from PIL import Image

    header, arrays = script.unpack((FOLDER / "neighbours.bin").read_bytes())
    digits = load_digits("")
    images, labels = take_subset(digits.images, digits.labels, script.N_NEIGHBOURS, script.SEED)
    order = np.random.RandomState(script.SEED).permutation(len(images))
    images, labels = images[order], labels[order]
    np.testing.assert_array_equal(arrays["labels"], labels)

    sheet = np.array(Image.open(io.BytesIO((FOLDER / "neighbours.png").read_bytes())).convert("L"))
    tiles = sheet.reshape(-1, 28, header["columns"], 28).swapaxes(1, 2).reshape(-1, 28, 28)
    assert np.abs(tiles.astype(int) - images).max() <= 8  # half a shade of 16

    network = load_final_model()[0][0]
    last_maps = keras.Model(network.inputs, network.layers[-3].output)
    features = last_maps.predict(prepare_images(images[:200]), batch_size=200, verbose=0)
    points = features @ arrays["components"].astype(np.float32) - arrays["offset"]
    np.testing.assert_allclose(
        points, header["scale"] * arrays["points"][:200], atol=0.51 * header["scale"]
    )


def test_pack_and_unpack(script):
    arrays = {
        "odd": np.arange(3, dtype=np.uint8),
        "half": np.array([[0.5, -2.0]], np.float16),
        "signed": np.array([-1, 1], np.int8),
    }
    data = script.pack({"what": "ä"}, arrays)
    header, found = script.unpack(data)
    assert header["what"] == "ä"
    assert all((4 + offset) % 4 == 0 for offset in (a["offset"] for a in header["arrays"]))
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(ValueError, match="wide is of type float64"):
        script.pack({}, {"wide": np.zeros(2)})


# Strokes


def picture(*lines, width=1.5):
    """An image of straight lines, each from (x, y) to (x, y), as thick as twice the width."""
    y, x = np.mgrid[:28, :28] + 0.5
    ink = np.zeros((28, 28))
    for (x0, y0), (x1, y1) in lines:
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
        along = along.clip(0, 1)
        away = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        ink = np.maximum(ink, (width + 0.5 - away).clip(0, 1))
    return (255 * ink).astype(np.uint8)


def test_a_line_is_one_stroke(trace):
    (stroke,) = trace(picture(((8, 5), (18, 22))))
    ends = stroke[[0, -1]][np.argsort(stroke[[0, -1], 1])]
    np.testing.assert_allclose(ends, [(8, 5), (18, 22)], atol=2)
    steps = np.hypot(*np.diff(stroke, axis=0).T)
    assert steps.max() < 1.2


def test_a_cross_is_two_strokes_that_go_straight_on(trace):
    strokes = trace(picture(((14, 4), (14, 24)), ((5, 14), (23, 14))))
    assert len(strokes) == 2
    for stroke in strokes:
        assert np.ptp(stroke, axis=0).max() > 14
        assert np.ptp(stroke, axis=0).min() < 2


def test_a_ring_is_one_closed_stroke(trace):
    y, x = np.mgrid[:28, :28] - 13.5
    ring = 255 * (np.abs(np.hypot(x, y) - 8) < 1.5)
    (stroke,) = trace(ring.astype(np.uint8))
    np.testing.assert_allclose(stroke[0], stroke[-1], atol=0.5)
    np.testing.assert_allclose(np.hypot(*(stroke - 14).T), 8, atol=1)


def test_a_dot_is_a_point_and_no_ink_is_refused(trace):
    blot = np.zeros((28, 28), np.uint8)
    blot[12:15, 12:15] = 255
    strokes = trace(blot)
    assert all(np.abs(stroke - 13.5).max() < 1.5 for stroke in strokes)
    with pytest.raises(ValueError, match="no ink"):
        trace(np.zeros((28, 28), np.uint8))


def test_strokes_cover_real_digits_and_stay_on_them(trace):
    """A pen that follows the strokes leaves out little ink and adds little."""
    digits = load_digits("")
    images, _ = take_subset(digits.images, digits.labels, 60, seed=3)
    for image in images:
        points = np.concatenate(trace(image))
        inked = np.argwhere(image > 127)[:, ::-1] + 0.5
        to_strokes = np.hypot(*(inked[:, None] - points[None]).transpose(2, 0, 1))
        assert (to_strokes.min(axis=1) < 3.5).mean() > 0.97
        assert (to_strokes.min(axis=0) < 1.5).mean() > 0.97


# Measuring


@pytest.fixture(scope="module")
def measuring():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return load_script("measure_draw_page")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def test_drawings_fit_the_sheet(measuring):
    drawings, _ = measuring.labelled_drawings(20, seed=0)
    drawings += [strokes for _, strokes in measuring.figure_drawings(0)]
    for strokes in drawings:
        points = np.concatenate(strokes)
        assert points.min() >= measuring.MARGIN - 1e-6
        assert points.max() <= measuring.SHEET - measuring.MARGIN + 1e-6
        share = np.ptp(points, axis=0).max() / measuring.SHEET
        assert measuring.SIZES[0] - 1e-6 <= share <= measuring.SIZES[1] + 1e-6


def test_tablet_digits_stand_upright(measuring, tmp_path):
    path = tmp_path / "pen.dat"
    # A 7 as the tablet gives it: y grows upwards.
    row = "0, 100, 30, 100, 70, 100, 100, 100, 80, 70, 60, 40, 50, 20, 40, 0, 7"
    path.write_text(f"@relation pens\n{row}\n{row}\n")
    drawings, labels = measuring.tablet_drawings(path, 2, seed=0)
    assert labels.tolist() == [7, 7]
    (stroke,) = drawings[0]
    assert stroke.shape == (8, 2)
    assert stroke[0, 1] < stroke[-1, 1], "upside down"
    with pytest.raises(SystemExit, match="expected 17 columns"):
        measuring.tablet_drawings(path, 3, seed=0)


def test_the_seal_is_not_opened_twice(measuring, tmp_path, monkeypatch):
    record = tmp_path / "draw_page.json"
    record.write_text("{}")
    monkeypatch.setattr(measuring, "RECORD", record)
    with pytest.raises(SystemExit, match="the seal has been opened"):
        measuring.record(10)
    assert record.read_text() == "{}"
