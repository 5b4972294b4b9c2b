"""Long measurements, and what made the data and the networks; README.md lists them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digit_utils.io import json_bytes, write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
RECORDED = ROOT / "digit_utils" / "recorded"  # what chapters read; the wheel carries it


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole or not at all, and say so."""
    write_atomically(path, json_bytes(record))
    print(f"wrote {path.relative_to(ROOT)}", flush=True)


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files into a folder, by their paths inside it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def refuse_second_opening(record: Path, what: str) -> None:
    """Exit if the record is there: for each model or page, the test labels' seal opens once."""
    if record.exists():
        raise SystemExit(
            f"{record.name} exists: the seal has been opened for this {what}. A new {what} needs a "
            "new record; move the old one to another name, so that its opening stays on record."
        )


def make_book(folder: Path, files: Mapping[str, bytes | str], parameters: str, code: str) -> None:
    """Make a book of one chapter, 01_first, with these cells, and of other files."""
    from digits_cli.book import list_chapters
    from digits_cli.pairing import sync_pair

    cells = f'# %% tags=["parameters"]\n{parameters}\n# %%\n{code}'
    chapter = {"notebooks/01_first.py": f"# %% [markdown]\n# # First\n\n{cells}"}
    write_files(folder, {"jupytext.toml": 'formats = "ipynb,py:percent"\n', **chapter, **files})
    sync_pair(list_chapters(folder)[0])
