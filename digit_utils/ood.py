"""Out-of-distribution images, uint8 (n, 28, 28), which show no digit, in the shape of digits.

Letters and shapes are made the way MNIST's digits were: drawn large, scaled into a box of 20 by 20
pixels, and moved so that their centre of mass is in the middle of the image.
Taught in 12_can_you_trust_its_confidence.
"""

from functools import cache
from pathlib import Path
from string import ascii_letters

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# These look like a digit in one of the fonts, or nearly so.
LOOK_ALIKE = "BDGIOQSZbgiloqsz"
LETTERS = "".join(letter for letter in ascii_letters if letter not in LOOK_ALIKE)
FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
)  # fmt: skip


def printed_letters(n: int, seed: int = 0) -> np.ndarray:
    """Print letters at random, none that looks like a digit, in Matplotlib's own fonts."""
    generator = np.random.default_rng(seed)
    letters = [LETTERS[index] for index in generator.integers(len(LETTERS), size=n)]
    fonts = [FONTS[index] for index in generator.integers(len(FONTS), size=n)]
    return np.stack([_letter(letter, font) for letter, font in zip(letters, fonts, strict=True)])


def drawn_shapes(n: int, seed: int = 0) -> np.ndarray:
    """Draw outlines of triangles, squares, stars and crosses, turned at random."""
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(n):
        kind, turn = generator.integers(4), generator.uniform(0, 2 * np.pi)
        canvas = Image.new("L", (200, 200))
        draw = ImageDraw.Draw(canvas)
        width = int(generator.integers(14, 26))
        if kind == 3:
            for half_turn in (0, np.pi / 2):
                points = _corners(2, turn + half_turn)
                draw.line(points, fill=255, width=width)
        else:
            corners = _corners((3, 4, 5)[kind], turn)
            if kind == 2:  # every second corner of five makes a star
                corners = corners[::2] + corners[1::2]
            draw.line([*corners, *corners[:2]], fill=255, width=width, joint="curve")
        images.append(_as_mnist(np.asarray(canvas)))
    return np.stack(images)


def two_at_once(images: np.ndarray, labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Write two different digits, drawn at random from ``images``, over one another."""
    labels = np.asarray(labels)
    generator = np.random.default_rng(seed)
    first = generator.integers(len(labels), size=n)
    second = [generator.choice(np.flatnonzero(labels != labels[row])) for row in first]
    return np.maximum(images[first], images[second])


def shuffled_pixels(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Move the pixels of each image to random places: the same ink, and no shape."""
    flat = np.asarray(images).reshape(len(images), -1)
    return np.random.default_rng(seed).permuted(flat, axis=1).reshape(np.shape(images))


def noise(n: int, seed: int = 0) -> np.ndarray:
    """Return images in which every pixel has a random value."""
    return np.random.default_rng(seed).integers(0, 256, size=(n, 28, 28), dtype=np.uint8)


def _corners(n: int, turn: float) -> list[tuple[float, float]]:
    angles = turn + 2 * np.pi * np.arange(n) / n
    return [(100 + 70 * float(np.cos(one)), 100 + 70 * float(np.sin(one))) for one in angles]


@cache
def _letter(letter: str, font: str) -> np.ndarray:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    canvas = Image.new("L", (220, 220))
    draw = ImageDraw.Draw(canvas)
    draw.text((110, 110), letter, fill=255, font=ImageFont.truetype(str(path), 130), anchor="mm")
    return _as_mnist(np.asarray(canvas))


def _as_mnist(drawing: np.ndarray) -> np.ndarray:
    """Scale ink into a box of 20 by 20 pixels and centre its mass in 28 by 28."""
    rows, columns = np.flatnonzero(drawing.any(axis=1)), np.flatnonzero(drawing.any(axis=0))
    ink = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    small = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))
    middle = [
        np.average(np.arange(side), weights=small.sum(axis=axis, dtype=float) + 1e-9)
        for side, axis in ((height, 1), (width, 0))
    ]
    image = np.zeros((28, 28), np.uint8)
    # MNIST's digits were moved by whole pixels, too; their middle is 13.5 to 14.5 from 0.
    top = int(np.clip(14 - int(middle[0] + 0.5), 0, 28 - height))
    left = int(np.clip(14 - int(middle[1] + 0.5), 0, 28 - width))
    image[top : top + height, left : left + width] = small
    return image
