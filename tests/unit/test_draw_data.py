"""The data of the page *Draw a digit*, and the strokes its measurement draws."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from helpers import ROOT

from digit_utils.data import load_digits, prepare_images, take_subset
from digit_utils.shipped import FINAL_MODEL, load_final_model
from experiments import drawings, make_draw_page, measure_draw_page
from experiments.drawings import trace_strokes

FOLDER = ROOT / "book" / "_static" / "draw"
CHOSEN = make_draw_page.N_NEIGHBOURS, make_draw_page.SEED


def unpack(data):
    """Read a file as the page does; return header and arrays."""
    start = 4 + int.from_bytes(data[:4], "little")
    header, arrays = json.loads(data[4:start]), {}
    for listed in header["arrays"]:
        kind, shape = np.dtype(listed["type"]).newbyteorder("<"), listed["shape"]
        assert (start + listed["offset"]) % 4 == 0
        flat = np.frombuffer(data, kind, int(np.prod(shape)), start + listed["offset"])
        arrays[listed["name"]] = flat.reshape(shape)
    return header, arrays


# The files of the page


def test_the_committed_network_is_the_shipped_one_and_no_weight_is_lost():
    data = (FOLDER / "network.bin").read_bytes()
    assert data == make_draw_page.network_bytes(), "run experiments/make_draw_page.py"
    assert len(data) <= 300_000
    header, arrays = unpack(data)
    assert len(arrays) == 12
    with np.load(FINAL_MODEL) as file:
        for index, array in enumerate(arrays.values()):
            assert array.dtype == np.float16
            np.testing.assert_array_equal(array, file[f"network_0_weight_{index}"])
    hint = json.loads((ROOT / "results" / "draw_page_hint.json").read_bytes())
    assert header["hint_below"] == hint["threshold"]
    assert 0.1 < hint["threshold"] < 1


def test_the_neighbours_are_labelled_digits_as_this_network_sees_them():
    import keras
    from PIL import Image

    header, arrays = unpack((FOLDER / "neighbours.bin").read_bytes())
    digits = load_digits("")
    images, labels = take_subset(
        digits.images, digits.labels, make_draw_page.N_NEIGHBOURS, make_draw_page.SEED
    )
    order = np.random.RandomState(CHOSEN[1]).permutation(len(images))
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


# Strokes


def test_a_dot_is_a_point_and_no_ink_is_refused():
    blot = np.zeros((28, 28), np.uint8)
    blot[12:15, 12:15] = 255
    strokes = trace_strokes(blot)
    assert all(np.abs(stroke - 13.5).max() < 1.5 for stroke in strokes)
    with pytest.raises(ValueError, match="no ink"):
        trace_strokes(np.zeros((28, 28), np.uint8))


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


# Measuring


def test_drawings_fit_the_sheet():
    drawn, _ = drawings.labelled_drawings(20, seed=0)
    for strokes in [*drawn, *(strokes for _, strokes in drawings.figure_drawings(0))]:
        points = np.concatenate(strokes)
        assert points.min() >= drawings.MARGIN - 1e-6
        assert points.max() <= drawings.SHEET - drawings.MARGIN + 1e-6
        share = np.ptp(points, axis=0).max() / drawings.SHEET
        assert drawings.SIZES[0] - 1e-6 <= share <= drawings.SIZES[1] + 1e-6


def test_tablet_digits_stand_upright(tmp_path):
    path = tmp_path / "pen.dat"
    # A 7 as the tablet gives it: y grows upwards.
    row = "0, 100, 30, 100, 70, 100, 100, 100, 80, 70, 60, 40, 50, 20, 40, 0, 7"
    path.write_text(f"@relation pens\n{row}\n{row}\n")
    drawn, labels = drawings.tablet_drawings(path, 2, seed=0)
    assert labels.tolist() == [7, 7]
    (stroke,) = drawn[0]
    assert stroke.shape == (8, 2)
    assert stroke[0, 1] < stroke[-1, 1], "upside down"
    with pytest.raises(SystemExit, match="expected 17 columns"):
        drawings.tablet_drawings(path, 3, seed=0)


def test_the_seal_is_not_opened_twice(tmp_path, monkeypatch):
    record = tmp_path / "draw_page.json"
    record.write_text("{}")
    monkeypatch.setattr(measure_draw_page, "RECORD", record)
    with pytest.raises(SystemExit, match="the seal has been opened"):
        measure_draw_page.read_test_images(10, {})
    assert record.read_text() == "{}"
