"""Tiny books for the tests of the runner: real files, real kernels, nothing to download."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import nbformat

from digits_cli.book import code_cells, list_chapters, read_notebook, write_notebook
from digits_cli.freshness import take_fingerprint
from digits_cli.notebook_process import make_ready
from digits_cli.pairing import read_script, sync_pair
from digits_cli.plan import profile_values

HEED_CTRL_C = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)

FIRST = """# %% [markdown]
# # A first chapter
#
# **Is one more than zero?**

# %% tags=["parameters"]
SEED: int = 0  # of everything
RATE: float = 0.5  # per step
NAME: str = "x"  # anything
DEEP: bool = False  # or wide
LIMIT: int = 0  # 0: no limit
DATA: str = ""  # folder
ARTIFACTS: str = "artifacts"  # folder

# %% mystnb={"image": {"alt": "Nothing to see"}}
import os
from pathlib import Path

print(SEED, RATE, repr(NAME), DEEP, LIMIT)

# %% tags=["nbval-check-output"]
1 + 1

# %%
from digit_utils.results import report

Path("stray.txt").write_text("x")
Path(ARTIFACTS).mkdir(parents=True, exist_ok=True)
Path(ARTIFACTS, "made.json").write_text("{}")
report(f"The seed was {SEED}.", seed=SEED, rate=RATE, name=NAME)
"""

SECOND = """# %% [markdown]
# # A second chapter

# %% tags=["parameters"]
SEED: int = 0  # of everything
EPOCHS: int = 3  # passes

# %%
print("second", SEED)
"""


def chapter(body: str) -> str:
    """Return a script with a title, a SEED and the given code in its last cell."""
    head = SECOND.split("# %%\n")[0]
    return f"{head}# %%\n{body}\n"


# Squares its SEED; with 99 EPOCHS it fails.
SQUARE = chapter(
    """
import time
from digit_utils.results import report
if EPOCHS == 99:
    raise RuntimeError("<i>ninety-nine</i>")
time.sleep(EPOCHS / 10)
report("x", square=float(SEED**2), epochs=EPOCHS, nested={"a": {"b": 1}}, many=[1, 2])
"""
)


def sweep_file(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that a file must hold."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def change(root: Path, file: str, old: str, new: str) -> None:
    """Edit a file of a book, and synchronise its chapters."""
    edit(root / file, old, new)
    make_book(root)


def make_book(root: Path, **scripts: str) -> Path:
    """Write scripts as chapters (``c01_first=...``) and pair them with notebooks."""
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    (root / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
    for name, text in scripts.items():
        (root / "notebooks" / f"{name.removeprefix('c')}.py").write_text(text)
    for found in list_chapters(root):
        sync_pair(found)
    return root


def add_pages(root: Path, url: str = "https://github.com/some/book", page: str = "") -> None:
    """Add what a site needs beside chapters: a configuration, a table of contents, a start page."""
    (root / "_config.yml").write_text(
        f"title: Tiny\nexecute:\n  execute_notebooks: 'off'\nrepository:\n  url: {url}\n"
    )
    listed = "".join(f"  - file: notebooks/{found.name}\n" for found in list_chapters(root))
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n{listed}")
    (root / "book").mkdir()
    (root / "book" / "index.md").write_text(page or "# Welcome\n")


def pretend_run(
    root: Path, name: str, profile: str = "quick", parameters: dict | None = None, **values: object
) -> Path:
    """Leave what an executed chapter would leave, without a kernel."""
    (asked,) = [found for found in list_chapters(root) if found.name == name]
    parameters = {**profile_values(root, profile, asked), **(parameters or {})}
    notebook = read_script(asked.script)
    make_ready(notebook, parameters)
    for count, cell in enumerate(code_cells(notebook), start=1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{count}\n")]
    report = {"text/plain": "found", "application/vnd.digits.results+json": values or {"seed": 0}}
    for data in (report, {"image/png": "aGVsbG8=", "text/plain": "Fig"}):
        notebook.cells[-1].outputs.append(nbformat.v4.new_output("display_data", data))
    path = root / "_build" / "runs" / profile / f"{name}.ipynb"
    notebook.metadata["digits"] = {
        "profile": profile, "parameters": parameters, "seconds": 1.0,
        "provenance": {"commit": "abc"},
        "fingerprint": take_fingerprint(notebook, name, parameters, path.parent),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_notebook(path, notebook)
    return path


def start_digits(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command as a reader would, in the book's folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "digits_cli", *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # Under a shell's `&` the tests would inherit an ignored Ctrl-C.
        preexec_fn=None if os.name == "nt" else HEED_CTRL_C,
    )


def digits(root: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    process = start_digits(root, *arguments)
    out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def printed(path: Path) -> str:
    """All text a notebook printed."""
    return "".join(
        output.get("text", "")
        for cell in read_notebook(path).cells
        for output in cell.get("outputs", [])
    )
