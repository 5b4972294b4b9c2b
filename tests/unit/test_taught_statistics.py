"""What chapter 9 defines in its cells is what its helpers compute, and what other formulas give."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT
from scipy import stats
from statsmodels.stats import proportion
from statsmodels.stats.contingency_tables import mcnemar

from digit_utils.comparing import contingency_table, difference_over_seeds, mean_squares
from digit_utils.evaluate import interval_of_share
from digits_cli.book import code_sources
from digits_cli.pairing import read_script

CELLS = code_sources(read_script(ROOT / "notebooks" / "09_is_it_really_better.py"))


def run_cell(line: str, **names: Any) -> dict[str, Any]:
    """Run the chapter's cell that has this line, with these names; return all names."""
    [cell] = [cell for cell in CELLS if f"\n{line}" in f"\n{cell}"]
    names |= {"np": np, "pd": pd, "stats": stats, "mcnemar": mcnemar, **vars(proportion)}
    exec(cell, names)
    return names


@pytest.fixture
def networks() -> np.ndarray:
    """Right and wrong of ten wide and ten narrow networks: (2, seeds, images)."""
    generator = np.random.default_rng(0)
    hardness = generator.beta(0.02, 4.4, size=8400) * np.array([1.0, 1.3])[:, None, None]
    luck = generator.normal(1, 0.1, size=(2, 10, 1))
    return generator.random((2, 10, 8400)) >= np.clip(hardness * luck, 0, 1)


def test_the_cells_components_are_the_helpers(networks):
    wide, narrow = networks
    difference, found = wide.astype(int) - narrow, difference_over_seeds(wide, narrow)
    taught = run_cell("def mean_squares(table):", difference=difference)
    assert taught["mean_squares"](difference) == pytest.approx(mean_squares(difference))
    taught = run_cell("n_seeds, n_images = difference.shape", **taught)
    assert taught["variance"] == pytest.approx(found.error**2)
    for name in ("freedom", "low", "high"):
        assert taught[name] == pytest.approx(getattr(found, name))
    names = {"both": found, "wide": wide, "N_IMAGES": 8400}
    taught = run_cell("def standard_error(n_seeds, n_images):", **names)
    assert taught["standard_error"](10, 8400) == pytest.approx(found.error)


def test_the_interval_of_one_pair_is_that_of_the_formula(networks):
    wide, narrow = networks
    taught = run_cell(
        "generator = np.random.default_rng(SEED)", wide=wide, narrow=narrow, SEED=0,
        one_wide=wide[3], one_narrow=narrow[3], N_IMAGES=8400,
        boxes=contingency_table(wide[3], narrow[3]),
        right_wide=wide[3].sum(), right_narrow=narrow[3].sum(),
    )  # fmt: skip
    gain = wide[3].astype(int) - narrow[3]
    reach = 1.96 * gain.std() / np.sqrt(8400) * np.array([-1, 1])
    assert taught["paired"] == pytest.approx(gain.mean() + reach, abs=1e-4)


def test_the_intervals_cover_what_exams_drawn_at_random_say():
    coverage = run_cell("def coverage(method, size, truth=0.995):")["coverage"]
    right = np.random.default_rng(0).binomial(500, 0.995, size=100_000)
    for method in ("normal", "wilson"):
        low, high = proportion.proportion_confint(right, 500, method=method)
        drawn = np.mean((low <= 0.995) & (high >= 0.995))
        assert coverage(method, 500) == pytest.approx(drawn, abs=0.004)
    for n_right in (8362, 8400, 0):
        expected = proportion.proportion_confint(n_right, 8400, method="wilson")
        assert interval_of_share(n_right / 8400, 8400) == pytest.approx(expected, abs=1e-12)
