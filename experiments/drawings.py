"""Drawings for the page *Draw a digit*: traced images, a tablet's digits, figures that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from digit_utils.data import load_digits, take_subset
from experiments.trace_strokes import trace_strokes

SHEET = 280  # the page's sheet has that many of its own pixels on a side
MARGIN = 12  # left free around, so that the pen stays on the sheet
SIZES = (0.3, 0.85)  # of a drawing's longer side, as a share of the sheet

Strokes = list[np.ndarray]

# Corners of figures that are no digits, from 0 to 1, downwards. Letters that could be read as a
# digit (B, G, I, L, O, Q, S, Z and the like) are left out.
FIGURES = {
    "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.2, 0.6), (0.8, 0.6)]],
    "E": [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, 0.5), (0.8, 0.5)]],
    "F": [[(1, 0), (0, 0), (0, 1)], [(0, 0.5), (0.8, 0.5)]],
    "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0.5), (1, 0.5)]],
    "K": [[(0, 0), (0, 1)], [(1, 0), (0, 0.5), (1, 1)]],
    "M": [[(0, 1), (0, 0), (0.5, 0.6), (1, 0), (1, 1)]],
    "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
    "R": [[(0, 1), (0, 0), (0.8, 0.05), (0.9, 0.3), (0, 0.5), (1, 1)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "W": [[(0, 0), (0.25, 1), (0.5, 0.4), (0.75, 1), (1, 0)]],
    "X": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
    "plus": [[(0, 0.5), (1, 0.5)], [(0.5, 0), (0.5, 1)]],
    "triangle": [[(0.5, 0), (1, 1), (0, 1), (0.5, 0)]],
    "tick": [[(0, 0.5), (0.3, 1), (1, 0)]],
    "heart": [[(0.5, 1), (0, 0.4), (0.1, 0), (0.5, 0.25), (0.9, 0), (1, 0.4), (0.5, 1)]],
    "star": [[(0.5, 0), (0.8, 1), (0, 0.35), (1, 0.35), (0.2, 1), (0.5, 0)]],
    "arrow": [[(0, 0.5), (1, 0.5)], [(0.6, 0.1), (1, 0.5), (0.6, 0.9)]],
    "house": [[(0, 1), (0, 0.4), (0.5, 0), (1, 0.4), (1, 1), (0, 1)]],
    "dash": [[(0, 0.5), (1, 0.5)]],
    "wave": [[(0, 0.5), (0.2, 0), (0.4, 0.5), (0.6, 1), (0.8, 0.5), (1, 0)]],
}
COPIES = 10  # of each figure, each turned, squeezed and jittered a little


def place(strokes: Strokes, random: np.random.RandomState) -> Strokes:
    """Scale a drawing to a random size and put it at a random place on the sheet."""
    points = np.concatenate(strokes)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = random.uniform(*SIZES) * SHEET / max(extent.max(), 1e-6)
    room = SHEET - 2 * MARGIN - extent * scale
    corner = MARGIN + random.uniform(size=2) * np.maximum(room, 0)
    return [(stroke - low) * scale + corner for stroke in strokes]


def labelled_drawings(n: int, seed: int) -> tuple[list[Strokes], np.ndarray]:
    """Trace labelled digits; the network was trained on them, so no score on them counts."""
    digits = load_digits("")
    images, labels = take_subset(digits.images, digits.labels, n, seed=seed)
    random = np.random.RandomState(seed)
    return [place(trace_strokes(image), random) for image in images], labels


def tablet_drawings(path: Path, n: int, seed: int) -> tuple[list[Strokes], np.ndarray]:
    """Read digits of UCI's pen digits: eight points each, x and y from 0 to 100, upwards."""
    table = np.loadtxt(path, delimiter=",", comments="@")
    if table.shape[1] != 17 or len(table) < n:
        raise SystemExit(
            f"{path}: found a table of {table.shape}, expected 17 columns, {n} rows or more"
        )
    random = np.random.RandomState(seed)
    rows = table[np.sort(random.permutation(len(table))[:n])]
    points = rows[:, :16].reshape(n, 8, 2) * [1, -1]
    return [place([stroke], random) for stroke in points], rows[:, 16].astype(int)


def figure_drawings(seed: int) -> list[tuple[str, Strokes]]:
    """Return each of `FIGURES` `COPIES` times, each time slightly changed."""
    random = np.random.RandomState(seed)
    found = []
    for name, strokes in FIGURES.items():
        for _ in range(COPIES):
            turn, squeeze, shear = random.uniform([-0.15, 0.6, -0.2], [0.15, 1, 0.2])
            matrix = [
                [squeeze * np.cos(turn), shear - np.sin(turn)],
                [squeeze * np.sin(turn), np.cos(turn)],
            ]
            changed = [np.array(stroke) @ np.transpose(matrix) for stroke in strokes]
            changed = [stroke + random.normal(0, 0.02, stroke.shape) for stroke in changed]
            found.append((name, place(changed, random)))
    return found
