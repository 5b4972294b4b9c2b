"""Measure how a digit was written, to see what the ones a network fails on have in common."""

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt
from skimage.measure import euler_number, label, moments_central
from skimage.morphology import skeletonize

INK = 64  # of 255: darker than that counts as ink
SPECK = 3  # pixels: fewer are no part of a digit
# Counts have a usual value for each digit, measures a usual range.
COUNTS = ("parts", "loops")


def measure_traits(images: np.ndarray) -> pd.DataFrame:
    """Measure five traits of each image's writing.

    Images are uint8 (n, 28, 28), bright ink on black. ``parts`` are pieces of ink that do not
    touch, ``loops`` holes that ink encloses, ``thickness`` the mean width of the stroke in pixels,
    ``slant`` the degrees it leans to the right, ``proportion`` the ink's width over its height.
    Without ink the counts are 0, the rest NaN. Taught in 10_where_it_fails.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}; expected uint8 (n, 28, 28), as "
            "load_digits returns them"
        )
    columns = [*COUNTS, "thickness", "slant", "proportion"]
    return pd.DataFrame([_traits_of(image) for image in images], columns=columns)


def _traits_of(image: np.ndarray) -> list[float]:
    pieces = label(image > INK, connectivity=2)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0  # the paper
    ink = (sizes >= SPECK)[pieces]
    if not ink.any():
        return [0, 0, np.nan, np.nan, np.nan]
    parts = int((sizes >= SPECK).sum())
    paper = label(~ink, connectivity=1)
    ink |= (np.bincount(paper.ravel()) < SPECK)[paper]  # pinholes
    loops = parts - euler_number(ink, connectivity=2)
    # From the middle of the stroke to the nearest pixel without ink, both ways: a line one pixel
    # wide has distance 1 on either side.
    thickness = 2 * distance_transform_edt(ink)[skeletonize(ink)].mean() - 1
    moments = moments_central(ink.astype(float), order=2)
    slant = np.degrees(np.arctan2(-moments[1, 1], moments[2, 0])) if moments[2, 0] else 0.0
    rows, columns = np.nonzero(ink)
    proportion = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
    return [parts, loops, thickness, slant, proportion]


def find_unusual(
    traits: pd.DataFrame, digits: np.ndarray, usual: pd.DataFrame, usual_digits: np.ndarray
) -> pd.DataFrame:
    """Say which traits are rare among other images of the same digit.

    A count is unusual when it is not that digit's most frequent one, a measure when it is NaN or
    outside the middle 95 %. Both tables are from `measure_traits`, with a digit 0 to 9 for each
    row; returns bools of the shape of ``traits``. Taught in 10_where_it_fails.
    """
    digits, usual_digits = np.asarray(digits), np.asarray(usual_digits)
    unusual = pd.DataFrame(True, index=range(len(traits)), columns=traits.columns)
    for digit in np.unique(digits):
        others = usual[usual_digits == digit]
        if others.empty:
            raise ValueError(
                f"there is no image of a {digit} among {len(usual)} rightly read ones to compare "
                "with; use more images (2,400 are enough) or train for more epochs"
            )
        here = np.flatnonzero(digits == digit)
        for column in traits.columns:
            values = traits[column].to_numpy(float)[here]
            if column in COUNTS:
                normal = values == others[column].mode()[0]
            else:
                low, high = others[column].quantile([0.025, 0.975])
                normal = (values >= low) & (values <= high)
            unusual.iloc[here, unusual.columns.get_loc(column)] = ~normal
    return unusual
