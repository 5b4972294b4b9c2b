"""Two directives for the page *Versions and timings*.

``{timings}`` lists how each chapter on this site was run and whether its outputs are fresh, from
the ``digits`` metadata that the runner leaves in an executed notebook. ``{versions}`` lists the
packages the site was built with. Nothing on that page is typed by hand, so nothing on it can go
stale.
"""

from __future__ import annotations

import platform
import re

from chapters import GeneratedTable
from docutils import nodes
from sphinx.application import Sphinx

from digit_utils.provenance import package_versions

NOT_RECORDED = "–"
MAIN_PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "scikit-learn",
    "hyperopt",
    "matplotlib",
    "seaborn",
    "papermill",
    "jupytext",
    "nbval",
    "jupyter-book",
)


def timing_cells(run: dict) -> tuple[str, str, str]:
    """Format one run record as profile, seconds and peak memory.

    A value the runner did not record is a dash: a site may be built from notebooks that were
    run by other means.
    """
    seconds, memory = run.get("seconds"), run.get("peak_memory_mb")
    return (
        str(run.get("profile", NOT_RECORDED)),
        NOT_RECORDED if seconds is None else f"{seconds:.0f}",
        NOT_RECORDED if memory is None else f"{memory:,.0f}",
    )


def read_versions() -> list[tuple[str, str]]:
    """Return ``(name, version)`` of Python and of each main package that is installed."""
    return [("Python", platform.python_version()), *package_versions(MAIN_PACKAGES).items()]


def freshness_cell(run: dict, most: int = 3) -> str:
    """Say whether a chapter's outputs are those of the code beside them, and why not.

    What the runner could not tell is a dash, as for `timing_cells`.
    """
    reasons = run.get("stale")
    if reasons is None:
        return NOT_RECORDED
    if not reasons:
        return "fresh"
    more = [f"and {len(reasons) - most} more"] if len(reasons) > most else []
    text = "; ".join([*reasons[:most], *more])
    # Names of modules have underscores, values of parameters perhaps bars.
    return "stale: " + re.sub(r"([\\`*_|<\[])", r"\\\1", text)


class Timings(GeneratedTable):
    """``{timings}``: chapter, profile, seconds, memory, fresh or stale."""

    def run(self) -> list[nodes.Node]:
        """Build the table from the staged notebooks."""
        rows = [
            (
                f"[{chapter.title}](/notebooks/{chapter.stem}.ipynb)",
                *timing_cells(chapter.run),
                freshness_cell(chapter.run),
            )
            for chapter in self.staged_chapters()
        ]
        header = ("Chapter", "Profile", "Run time (s)", "Peak memory (MB)", "Outputs")
        return self.render(header, ("---", "---", "---:", "---:", "---"), rows)


class Versions(GeneratedTable):
    """``{versions}``: package, version."""

    def run(self) -> list[nodes.Node]:
        """Build the table from the installed packages."""
        return self.render(("Package", "Version"), ("---", "---"), read_versions())


def setup(app: Sphinx) -> dict:
    """Register both directives."""
    app.add_directive("timings", Timings)
    app.add_directive("versions", Versions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
