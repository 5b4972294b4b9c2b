"""Trainings that `digits sweep` has recorded, and what one way to train saves against another.

Taught in 04_augmentation.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from digit_utils import artifacts
from digit_utils.comparing import difference_over_seeds

N_VALIDATION = 8_400  # images that a recorded training was scored on


def load_trainings(name: str, by: Sequence[str]) -> dict[tuple, pd.DataFrame]:
    """Load a sweep's record, and group its trainings by the values of some parameters.

    A table has a row a training, by SEED: parameters, what was reported, ``seconds``, and the
    number of mistakes, ``n_mistakes``. Nothing is recorded until the sweep has begun to run the
    chapter. Raises ArtifactError for a damaged record.
    """
    exists = (artifacts.RECORDED_FOLDER / f"{name}.json").exists()
    rows = [
        {**run["parameters"], **run["results"], "seconds": run["seconds"]}
        for run in (artifacts.load_recorded(name)["runs"] if exists else [])
    ]
    table = pd.DataFrame(rows, columns=None if rows else ["SEED", "mistakes", *by])
    table["n_mistakes"] = table["mistakes"].map(len)
    return dict(list(table.sort_values("SEED").groupby([*by])))


def read_correctly(trainings: pd.DataFrame) -> np.ndarray:
    """Tell which validation images each training read correctly, bool (n_trainings, 8400)."""
    return np.array([~np.isin(np.arange(N_VALIDATION), each) for each in trainings["mistakes"]])


def mistakes_saved(
    trainings: Mapping[tuple, pd.DataFrame], pairs: Mapping[str, tuple[tuple, tuple]]
) -> pd.DataFrame:
    """Compare pairs of ways to train, the new one and the old, each a key of the trainings.

    Returns a row a pair: ``saved``, by how many mistakes the new way makes fewer, on average, and
    ``low`` and ``high``, the ends of the 95 % interval of `difference_over_seeds`. Pairs of which
    one has not two trainings are left out.
    """
    rows = {}
    for name, pair in pairs.items():
        n_seeds = min(len(trainings.get(way, ())) for way in pair)
        if n_seeds >= 2:
            new, old = (read_correctly(trainings[way][:n_seeds]) for way in pair)
            gain = difference_over_seeds(new, old)
            rows[name] = [N_VALIDATION * value for value in (gain.mean, gain.low, gain.high)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["saved", "low", "high"])
