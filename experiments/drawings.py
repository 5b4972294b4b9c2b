"""Drawings for the page *Draw a digit*: traced images, a tablet's digits, figures that are none.

To trace a picture, it is enlarged, cut at half ink and thinned to lines one pixel wide. Lines meet
at *knots*; between knots run *pieces*. At each knot the two pieces that bend least are joined into
one stroke.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d, label, zoom
from skimage.morphology import skeletonize

from digit_utils.data import load_digits, take_subset

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

ENLARGE = 4  # lines of an enlarged picture bend more smoothly
SPUR = 2.0  # loose ends shorter than this come from thinning, not from the pen; in pixels of 28
SMOOTH = 0.8  # width of the smoothing along a stroke; in pixels of 28
STEP = 1.0  # between the points of a stroke; in pixels of 28
AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


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


def trace_strokes(image: np.ndarray) -> list[np.ndarray]:
    """Trace the strokes of one digit.

    `image` is uint8 (28, 28), 255 for full ink. Each stroke is (n_points, 2), x and y in pixels of
    the image; one point is a dot. Raises ValueError if no ink is above half.
    """
    large = zoom(
        np.pad(image, 1).astype(np.float32), ENLARGE, order=1, grid_mode=True, mode="grid-constant"
    )
    lines = skeletonize(large > 127)
    if not lines.any():
        raise ValueError("the image holds no ink above half; expected a digit")
    pieces = _join(_without_spurs(_pieces(lines)))
    pieces.sort(key=lambda piece: (piece[:, 1].min(), piece[0, 0]))
    return [_smooth(piece) for piece in pieces]


def _pieces(lines: np.ndarray) -> list[np.ndarray]:
    """Cut the lines at their knots; return each piece as points (x, y) of the enlarged picture."""
    padded = np.pad(lines, 1)
    n_around = sum(np.roll(padded, shift, (0, 1)) for shift in AROUND) * padded
    knots, n_knots = label(padded & (n_around > 2), np.ones((3, 3)))
    centres = [np.argwhere(knots == number + 1).mean(axis=0) for number in range(n_knots)]
    runs, n_runs = label(padded & (knots == 0), np.ones((3, 3)))

    def knots_at(y: int, x: int) -> list[np.ndarray]:
        return [centres[n - 1] for n in np.unique(knots[y - 1 : y + 2, x - 1 : x + 2]) if n]

    found = []
    for number in range(n_runs):
        path = _walk([tuple(point) for point in np.argwhere(runs == number + 1)])
        before, after = knots_at(*path[0]), knots_at(*path[-1])
        gap = np.abs(np.subtract(path[0], path[-1])).max()
        if len(path) == 1:  # one pixel, perhaps between two knots
            after = before[1:]
        elif len(path) > 2 and gap <= 1 and not before and not after:  # closed
            path.append(path[0])
        found.append(np.array([*before[:1], *path, *after[:1]], float)[:, ::-1] - 1)
    # Without any, there is nothing but a knot: a blot.
    return found or [np.array(centres, float)[:, ::-1] - 1]


def _walk(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Order the points of a run, from a loose end if there is one, else from the topmost point."""
    left = set(points)

    def near(here: tuple[int, int]) -> list[tuple[int, tuple[int, int]]]:
        # Straight neighbours before diagonal ones, or a corner would be cut and left behind.
        found = [(dy * dy + dx * dx, (here[0] + dy, here[1] + dx)) for dy, dx in AROUND]
        return sorted(entry for entry in found if entry[1] in left)

    path = [min(points, key=lambda point: (len(near(point)) > 1, point))]
    left.remove(path[0])
    while found := near(path[-1]):
        path.append(found[0][1])
        left.remove(path[-1])
    return path


def _ends(pieces: list[np.ndarray]) -> dict[tuple[float, float], list[tuple[int, int]]]:
    """Return, for each place where a piece begins (0) or stops (-1), the pieces and sides there."""
    places: dict[tuple[float, float], list[tuple[int, int]]] = {}
    for number, piece in enumerate(pieces):
        for side in (0, -1):
            places.setdefault(tuple(piece[side]), []).append((number, side))
    return places


def _without_spurs(pieces: list[np.ndarray]) -> list[np.ndarray]:
    """Leave out short loose ends, the shortest first, unless nothing else meets there."""
    while len(pieces) > 1:
        places = _ends(pieces)
        loose = []
        for number, piece in enumerate(pieces):
            fewer, more = sorted(len(places[tuple(piece[side])]) for side in (0, -1))
            if fewer == 1 and more > 2:
                loose.append((np.hypot(*np.diff(piece, axis=0).T).sum(), number))
        if not loose or min(loose)[0] > SPUR * ENLARGE:
            return pieces
        del pieces[min(loose)[1]]
    return pieces


def _join(pieces: list[np.ndarray]) -> list[np.ndarray]:
    """Join pieces that meet, two at a time, those first that bend least."""
    while True:
        bends = [
            (float(_leaving(pieces[a], side_a) @ _leaving(pieces[b], side_b)), a, side_a, b, side_b)
            for meeting in _ends(pieces).values()
            for (a, side_a), (b, side_b) in combinations(meeting, 2)
            if a != b and min(len(pieces[a]), len(pieces[b])) >= 2
        ]
        bend, a, side_a, b, side_b = min(bends, key=lambda each: each[0], default=(1, 0, 0, 0, 0))
        if bend > 0.5:  # sharper turns are made by lifting the pen
            return pieces
        first = pieces[a] if side_a == -1 else pieces[a][::-1]
        second = pieces[b] if side_b == 0 else pieces[b][::-1]
        joined = np.concatenate([first, second[1:]])
        pieces = [p for number, p in enumerate(pieces) if number not in (a, b)] + [joined]


def _leaving(piece: np.ndarray, side: int) -> np.ndarray:
    """Return the direction in which a piece leaves one of its ends, of length one."""
    reach = min(len(piece) - 1, 2 * ENLARGE)
    direction = piece[reach if side == 0 else -1 - reach] - piece[side]
    return direction / max(np.hypot(*direction), 1e-9)


def _smooth(piece: np.ndarray) -> np.ndarray:
    """Smooth a stroke, resample it at even steps, and return it in pixels of the image."""
    points = (piece + 0.5) / ENLARGE - 1
    if len(points) < 3:
        return points
    if np.allclose(points[0], points[-1]):
        smoothed = gaussian_filter1d(points[:-1], SMOOTH * ENLARGE, axis=0, mode="wrap")
        smoothed = np.concatenate([smoothed, smoothed[:1]])
    else:  # smoothing draws loose ends in
        smoothed = gaussian_filter1d(points, SMOOTH * ENLARGE, axis=0, mode="nearest")
        smoothed[0], smoothed[-1] = points[0], points[-1]
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(smoothed, axis=0).T))])
    at = np.linspace(0, along[-1], max(2, round(along[-1] / STEP) + 1))
    return np.stack([np.interp(at, along, smoothed[:, axis]) for axis in (0, 1)], axis=1)
