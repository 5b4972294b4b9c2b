"""Turn the picture of a digit back into the strokes of a pen.

The picture is enlarged, cut at half ink and thinned to lines one pixel wide. Lines meet at *knots*;
between knots run *pieces*. At each knot the two pieces that bend least are joined into one stroke.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter1d, label, zoom
from skimage.morphology import skeletonize

ENLARGE = 4  # lines of an enlarged picture bend more smoothly
SPUR = 2.0  # loose ends shorter than this come from thinning, not from the pen; in pixels of 28
SMOOTH = 0.8  # width of the smoothing along a stroke; in pixels of 28
STEP = 1.0  # between the points of a stroke; in pixels of 28
AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


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
    found = []
    for number in range(n_runs):
        points = [tuple(point) for point in np.argwhere(runs == number + 1)]
        path = _walk(points)
        ends = [_knots_at(knots, path[0]), _knots_at(knots, path[-1])]
        closed = len(path) > 2 and np.abs(np.subtract(path[0], path[-1])).max() <= 1
        if len(path) == 1 and len(ends[0]) > 1:  # one pixel between two knots
            first, last = ends[0][:2]
        elif closed and not ends[0] and not ends[1]:
            path, first, last = [*path, path[0]], None, None
        else:
            first = ends[0][0] if ends[0] else None
            last = ends[1][0] if ends[1] and len(path) > 1 else None
        before = [] if first is None else [centres[first - 1]]
        after = [] if last is None else [centres[last - 1]]
        path = [*before, *path, *after]
        found.append(np.array(path, float)[:, ::-1] - 1)
    if not found:  # nothing but a knot: a blot
        found = [np.array(centres, float)[:, ::-1] - 1]
    return found


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


def _knots_at(knots: np.ndarray, point: tuple[int, int]) -> list[int]:
    y, x = point
    return sorted(set(knots[y - 1 : y + 2, x - 1 : x + 2].ravel().tolist()) - {0})


def _length(piece: np.ndarray) -> float:
    return float(np.hypot(*np.diff(piece, axis=0).T).sum()) if len(piece) > 1 else 0.0


def _ends(pieces: list[np.ndarray]) -> dict[tuple[float, float], list[tuple[int, int]]]:
    """Return, for each place where a piece begins (0) or stops (-1), the pieces and sides there."""
    places: dict[tuple[float, float], list[tuple[int, int]]] = {}
    for number, piece in enumerate(pieces):
        for side in (0, -1):
            places.setdefault(tuple(piece[side]), []).append((number, side))
    return places


def _without_spurs(pieces: list[np.ndarray]) -> list[np.ndarray]:
    """Leave out short loose ends, the shortest first, unless nothing else meets there."""
    pieces = list(pieces)
    while len(pieces) > 1:
        places = _ends(pieces)
        loose = []
        for number, piece in enumerate(pieces):
            fewer, more = sorted(len(places[tuple(piece[side])]) for side in (0, -1))
            if fewer == 1 and more > 2:
                loose.append((_length(piece), number))
        if not loose or min(loose)[0] > SPUR * ENLARGE:
            return pieces
        del pieces[min(loose)[1]]
    return pieces


def _join(pieces: list[np.ndarray]) -> list[np.ndarray]:
    """Join pieces that meet, two at a time, those first that bend least."""
    pieces = list(pieces)
    while True:
        bends = [
            (float(_leaving(pieces[a], side_a) @ _leaving(pieces[b], side_b)), a, side_a, b, side_b)
            for meeting in _ends(pieces).values()
            for (a, side_a), (b, side_b) in combinations(meeting, 2)
            if a != b and min(len(pieces[a]), len(pieces[b])) >= 2
        ]
        best = min(bends, key=lambda bend: bend[0], default=None)
        if best is None or best[0] > 0.5:  # sharper turns are made by lifting the pen
            return pieces
        _, a, side_a, b, side_b = best
        first = pieces[a] if side_a == -1 else pieces[a][::-1]
        second = pieces[b] if side_b == 0 else pieces[b][::-1]
        joined = np.concatenate([first, second[1:]])
        pieces = [p for number, p in enumerate(pieces) if number not in (a, b)] + [joined]


def _leaving(piece: np.ndarray, side: int) -> np.ndarray:
    """Return the direction in which a piece leaves one of its ends, of length one."""
    ordered = piece if side == 0 else piece[::-1]
    reach = min(len(ordered) - 1, 2 * ENLARGE)
    direction = ordered[reach] - ordered[0]
    return direction / max(np.hypot(*direction), 1e-9)


def _smooth(piece: np.ndarray) -> np.ndarray:
    """Smooth a stroke, resample it at even steps, and return it in pixels of the image."""
    points = (piece + 0.5) / ENLARGE - 1
    if len(points) < 3:
        return points
    closed = np.allclose(points[0], points[-1])
    mode = "wrap" if closed else "nearest"
    body = points[:-1] if closed else points
    smoothed = gaussian_filter1d(body, SMOOTH * ENLARGE, axis=0, mode=mode)
    if closed:
        smoothed = np.concatenate([smoothed, smoothed[:1]])
    else:  # smoothing draws loose ends in
        smoothed[0], smoothed[-1] = points[0], points[-1]
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(smoothed, axis=0).T))])
    n_points = max(2, round(along[-1] / STEP) + 1)
    at = np.linspace(0, along[-1], n_points)
    return np.stack([np.interp(at, along, smoothed[:, axis]) for axis in (0, 1)], axis=1)
