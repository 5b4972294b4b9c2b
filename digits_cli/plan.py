"""Decide what a run will do, and refuse what cannot work, before anything is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digits_cli import book
from digits_cli.book import Chapter, folder_here
from digits_cli.errors import UsageError, did_you_mean
from digits_cli.pairing import read_chapter, refuse_unlike
from digits_cli.parameters import Parameter, check_value, declared_parameters
from digits_cli.yaml_source import YamlSource

# A relative one is meant from where the command runs, but the notebook runs in its build folder.
FOLDER_PARAMETERS = ("DATA", "ARTIFACTS", "TRIALS")


@dataclass(frozen=True)
class PlannedRun:
    """One chapter with everything needed to run it."""

    chapter: Chapter
    profile: str
    parameters: dict[str, Any]  # to inject; empty for a run with the chapter's own defaults
    folder: Path  # where the kernel works and the executed notebook goes
    notebook: Any  # as it was when the run was planned

    @property
    def output(self) -> Path:
        """The executed notebook."""
        return self.folder / f"{self.chapter.name}.ipynb"

    @property
    def failed_output(self) -> Path:
        """What is kept of a run that failed."""
        return self.folder / f"{self.chapter.name}.failed.ipynb"


def plan_runs(
    wanted: Sequence[str],
    profile: str,
    parameters: Mapping[str, Any] | None,
    out: Path | str | None,
    root: Path | str | None,
) -> list[PlannedRun]:
    """Check a request as a whole, and make its folder; see `execute.run_chapters`."""
    root = book.find_root(root)
    profiles = book.list_profiles(root)
    if profile not in profiles:
        told = f"There is no profile '{profile}'.{did_you_mean(profile, profiles)}"
        raise UsageError(f"{told} Profiles: {', '.join(profiles)}.")
    chapters = book.select_chapters(root, wanted)
    refuse_unlike(root, chapters)
    notebooks = {chapter.name: read_chapter(chapter) for chapter in chapters}
    declared = {name: declared_parameters(notebooks[name], name) for name in notebooks}
    requested = {c.name: profile_values(root, profile, c, declared[c.name]) for c in chapters}
    for name, value in with_full_folders(parameters or {}).items():
        takers = [chapter for chapter in declared if name in declared[chapter]]
        if not takers and len(declared) > 1:
            known = sorted({known for chapter in declared.values() for known in chapter})
            told = f"None of {', '.join(declared)} has a parameter {name} (-p)."
            told += f"{did_you_mean(name, known)} They declare {', '.join(known)}."
            raise UsageError(told)
        for chapter in takers or declared:
            check_value(chapter, declared[chapter], name, value, "-p")
            requested[chapter][name] = value
    # Values of one's own go to a folder of their own: the site and the references are made from
    # the profile's, which must hold the profile's values.
    run = f"{profile}-changed" if parameters else profile
    folder = folder_here(out, "--out") if out else book.run_folder(root, run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    return [PlannedRun(c, profile, requested[c.name], folder, notebooks[c.name]) for c in chapters]


def profile_file(root: Path, profile: str, chapter: str) -> Path:
    """Return the path of a chapter's values for a profile; without that file its defaults hold."""
    return root / "profiles" / profile / f"{chapter}.yaml"


def profile_values(
    root: Path, profile: str, chapter: Chapter, declared: Mapping[str, Parameter] | None = None
) -> dict[str, Any]:
    """Read the values a profile gives a chapter, and check them if `declared` is given."""
    path = profile_file(root, profile, chapter.name)
    if not path.exists():
        return {}
    source = YamlSource(path)
    source.need(isinstance(source.values, dict), (), "expected NAME: value, one a line")
    if declared is not None:
        for name, value in source.values.items():
            check_value(chapter.name, declared, name, value, source.where(name))
    return with_full_folders(source.values)


def with_full_folders(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write the folders among a chapter's values (`FOLDER_PARAMETERS`) as full paths."""
    given = {name: values[name] for name in FOLDER_PARAMETERS if values.get(name)}
    full = {n: str(folder_here(v, n)) for n, v in given.items() if isinstance(v, str)}
    return {**values, **full}
