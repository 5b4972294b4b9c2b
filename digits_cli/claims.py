"""One at a time: two runs of a chapter, or two builds of the site, would mix their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from digit_utils.io import FolderUnavailable, claim_folder
from digits_cli.book import shown
from digits_cli.errors import RunnerError
from digits_cli.plan import PlannedRun


@contextmanager
def hold_runs(planned: Sequence[PlannedRun]) -> Iterator[None]:
    """Hold each planned run's place; other chapters may run beside them in the same folder.

    Raises RunnerError, before anything starts, if another process runs one of them there or the
    folder cannot be written.
    """
    with ExitStack() as held:
        for plan in planned:
            name = plan.chapter.name
            _claim(held, plan.folder / ".claims" / name, f"{name} is being run", plan.folder)
        yield


@contextmanager
def hold_site(root: Path) -> Iterator[None]:
    """Hold the place where the site of the checkout `root` is built.

    Raises RunnerError if another process builds it or the folder cannot be written.
    """
    with ExitStack() as held:
        folder = root / "_build"
        _claim(held, folder / ".claims" / "site", "the site is being built", folder)
        yield


def _claim(held: ExitStack, claim: Path, what: str, folder: Path) -> None:
    try:
        held.enter_context(claim_folder(claim))
    except FolderUnavailable as error:
        if error.owner:
            text = f"{what} in {shown(folder)} by {error.owner}; wait for it to end."
        else:
            text = str(error)
        raise RunnerError(text) from error
