"""Corrupt digits in fifteen ways and at five severities, in the manner of MNIST-C.

The corruptions are those of Mu and Gilmer (2019), arXiv:1906.02337. The code and the severities are
our own, so accuracies here and on their images cannot be compared number by number.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import ndimage
from skimage.draw import line
from skimage.feature import canny

SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(images: np.ndarray, corruption: str, severity: int, seed: int = 0) -> np.ndarray:
    """Return corrupted copies of images, uint8 (n, 28, 28) with bright ink on black.

    ``corruption`` is one of `CORRUPTIONS`, ``severity`` 1 (hardly visible) to 5 (hardly readable).
    Raises ValueError for others. Taught in 13_when_the_world_shifts.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; expected uint8 (n, 28, 28)"
        )
    if corruption not in CORRUPTIONS:
        raise ValueError(f"corruption is {corruption!r}; expected one of {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity!r}; expected 1, 2, 3, 4 or 5")
    function, values = CORRUPTIONS[corruption]
    corrupted = function(images / 255.0, values[severity - 1], np.random.default_rng(seed))
    return np.round(255 * np.clip(corrupted, 0, 1)).astype(np.uint8)


def transform(
    images: np.ndarray,
    rotation: float | np.ndarray = 0.0,
    zoom: float | np.ndarray = 1.0,
    shear: float | np.ndarray = 0.0,
    shift: tuple[float | np.ndarray, float | np.ndarray] = (0.0, 0.0),
) -> np.ndarray:
    """Rotate, zoom, shear and shift images about their middle, in one bilinear resampling.

    ``images`` is (n, height, width), uint8 or float in [0, 1]; the type stays, and what comes from
    outside is 0. Each amount is one number or (n,): ``rotation`` in degrees anticlockwise, ``zoom``
    2 doubles the size, ``shear`` in pixels to the right per pixel of height, ``shift`` in pixels
    (down, right). Taught in 13_when_the_world_shifts.
    """
    images = np.asarray(images)
    n, middle = len(images), (np.array(images.shape[1:]) - 1) / 2
    angle, zoom, shear, down, right = (
        np.broadcast_to(np.asarray(value, float), n)
        for value in (np.radians(rotation), zoom, shear, *shift)
    )
    moved = np.empty_like(images)
    for index, image in enumerate(images):
        cosine, sine = np.cos(angle[index]), np.sin(angle[index])
        # Rows grow downwards: a positive angle turns anticlockwise to the eye.
        turn = np.array([[cosine, -sine], [sine, cosine]])
        forward = turn @ np.array([[1, 0], [-shear[index], 1]]) * zoom[index]
        back = np.linalg.inv(forward)
        offset = middle - back @ (middle + [down[index], right[index]])
        ndimage.affine_transform(image, back, offset, output=moved[index], order=1)
    return moved


def _either_way(rng: np.random.Generator, n: int, size: float) -> np.ndarray:
    return size * rng.choice([-1, 1], n)


def _shot_noise(x, photons, rng):
    return rng.poisson(x * photons) / photons


def _impulse_noise(x, share, rng):
    hit = rng.random(x.shape) < share
    return np.where(hit, rng.integers(0, 2, x.shape), x)


def _glass_blur(x, values, rng):
    reach, sigma = values
    rows, columns = np.mgrid[: x.shape[1], : x.shape[2]]
    offsets = rng.integers(-reach, reach + 1, (2, *x.shape))
    rows = np.clip(rows + offsets[0], 0, x.shape[1] - 1)
    columns = np.clip(columns + offsets[1], 0, x.shape[2] - 1)
    shuffled = x[np.arange(len(x))[:, None, None], rows, columns]
    return ndimage.gaussian_filter(shuffled, (0, sigma, sigma))


def _motion_blur(x, length, rng):
    blurred = np.empty_like(x)
    directions = rng.integers(0, 8, len(x))
    for direction in range(8):
        angle = np.pi * direction / 8
        half = (length - 1) / 2
        end = np.round(half * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        kernel = np.zeros((1, 2 * length + 1, 2 * length + 1))
        rows, columns = line(*(length - end), *(length + end))
        kernel[0, rows, columns] = 1 / len(rows)
        of_direction = directions == direction
        blurred[of_direction] = ndimage.convolve(x[of_direction], kernel, mode="constant")
    return blurred


def _translate(x, pixels, rng):
    n = len(x)
    return transform(x, shift=(_either_way(rng, n, pixels), _either_way(rng, n, pixels)))


def _stripe(x, width, rng):
    first = (x.shape[2] - width) // 2
    corrupted = x.copy()
    corrupted[:, :, first : first + width] = 1 - corrupted[:, :, first : first + width]
    return corrupted


def _fog(x, thickness, rng):
    """Add random smooth clouds from 0 to 1, finer and fainter detail on coarser."""
    clouds = np.zeros_like(x)
    for scale in (8, 4, 2):
        noise = rng.normal(size=x.shape)
        clouds += scale * ndimage.gaussian_filter(noise, (0, scale, scale), mode="wrap") * scale
    least, most = clouds.min(axis=(1, 2), keepdims=True), clouds.max(axis=(1, 2), keepdims=True)
    clouds = (clouds - least) / (most - least)
    return (x + thickness * clouds) / (1 + 0.5 * thickness)


def _spatter(x, share, rng):
    drops = ndimage.gaussian_filter(rng.normal(size=x.shape), (0, 1, 1))
    edge = np.quantile(drops, 1 - share, axis=(1, 2), keepdims=True)
    return np.where(drops > edge, 0.8, x)


def _with_lines(x, n_lines, rng, bends, every):
    """Draw lines from the left edge to the right, with bends, or of dots."""
    corrupted = x.copy()
    side = x.shape[1]
    columns = np.linspace(0, side - 1, bends + 2).round().astype(int)
    for image in corrupted:
        for _ in range(n_lines):
            rows = rng.integers(2, side - 2, bends + 2)
            for start in range(bends + 1):
                ends = rows[start], columns[start], rows[start + 1], columns[start + 1]
                path = np.array(line(*ends))[:, ::every]
                image[tuple(path)] = 1
    return corrupted


def _canny_edges(x, share, rng):
    edges = np.stack([canny(image, sigma=1.0) for image in x])
    return (1 - share) * x + share * edges


# What each severity means: photons a white pixel, shares of pixels, pixels, degrees, zoom, lines.
CORRUPTIONS: dict[str, tuple[Callable, tuple]] = {
    "shot noise": (_shot_noise, (30, 12, 6, 3, 1.5)),
    "impulse noise": (_impulse_noise, (0.03, 0.07, 0.13, 0.22, 0.35)),
    "glass blur": (_glass_blur, ((1, 0.4), (1, 0.8), (2, 0.5), (2, 1.0), (3, 1.0))),
    "motion blur": (_motion_blur, (3, 5, 7, 9, 12)),
    "shear": (
        lambda x, amount, rng: transform(x, shear=_either_way(rng, len(x), amount)),
        (0.2, 0.35, 0.5, 0.65, 0.8),
    ),
    "scale": (lambda x, zoom, rng: transform(x, zoom=zoom), (0.85, 0.72, 0.6, 0.5, 0.4)),
    "rotate": (
        lambda x, angle, rng: transform(x, rotation=_either_way(rng, len(x), angle)),
        (10, 20, 30, 40, 55),
    ),
    "brightness": (lambda x, added, rng: x + added, (0.1, 0.25, 0.4, 0.55, 0.7)),
    "translate": (_translate, (1, 2, 3, 4, 6)),
    "stripe": (_stripe, (1, 2, 4, 6, 9)),
    "fog": (_fog, (0.3, 0.6, 0.9, 1.3, 2.0)),
    "spatter": (_spatter, (0.02, 0.05, 0.1, 0.16, 0.25)),
    "dotted line": (partial(_with_lines, bends=0, every=3), (1, 2, 3, 5, 8)),
    "zigzag": (partial(_with_lines, bends=4, every=1), (1, 2, 3, 4, 6)),
    "Canny edges": (_canny_edges, (0.4, 0.6, 0.8, 0.9, 1.0)),
}
