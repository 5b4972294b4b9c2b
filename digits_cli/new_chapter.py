"""Start a chapter: `digits new` writes a stub with all that the tests ask of one."""

from __future__ import annotations

import re
from pathlib import Path

from digit_utils.files import write_atomically
from digits_cli.errors import RunnerError, UsageError
from digits_cli.pairing import sync_pair
from digits_cli.paths import CHAPTER_NAME, Chapter, list_chapters, shown
from digits_cli.references import BOUNDS
from digits_cli.repository import configured, install_cell

QUESTION = "Which question does this chapter answer?"
TIME = "10 minutes to read; the run takes seconds on a laptop"
STUB = """\
# %% [markdown]
# # {title}
#
# **{question}**

# %% [markdown]
# **You will learn**
#
# - what this chapter shows;
# - how to see it for yourself.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [Meeting the digits](01_eda.ipynb) |
# | Time | {time} |

# %% tags=["colab", "remove-cell"]
{cell}

# %%
from digit_utils.data import load_digits
from digit_utils.results import report

# %% tags=["parameters"]
DATA: str = ""  # folder with Kaggle's train.csv and test.csv; empty: found by itself
ARTIFACTS: str = "artifacts"  # folder where chapters leave results for one another
SEED: int = 0  # of all that is drawn at random

# %% [markdown]
# ## The story
#
# Prose comes before code. The next cell is tagged `nbval-check-output`: what it prints must stay
# the same to the letter.

# %% tags=["nbval-check-output"]
digits = load_digits(DATA)
print(f"labelled images: {{len(digits.images):,}}")

# %% [markdown]
# ## What we found

# %%
report(f"- {{len(digits.images):,}} labelled images.", n_labelled=len(digits.images))

# %% [markdown]
# ## Exercises
#
# **1.** How many test images are there?
#
# <details>
# <summary>Solution</summary>
#
# `len(digits.test_images)`
#
# </details>
#
# **2.** How large is an image?
#
# <details>
# <summary>Solution</summary>
#
# `digits.images.shape[1:]`
#
# </details>
#
# ## What's next
#
# Say where to go from here.
"""


def new_chapter(root: Path, name: str) -> list[Path]:
    """Write a chapter's stub, its profile and bounds, and list it in ``_toc.yml`` and README.md.

    `name` is ``NN_snake_case``; NN is free and comes after some chapter. Returns the files written.
    Raises UsageError for another name, and RunnerError when ``_toc.yml`` or README.md does not list
    the chapter before it; nothing is written then.
    """
    if not CHAPTER_NAME.fullmatch(name):
        raise UsageError(f"{name!r:.80} is no chapter's name, expected one such as 14_my_idea.")
    number, chapter = name[:2], Chapter(name, root / "notebooks")
    taken = {chapter.name[:2]: chapter for chapter in list_chapters(root)}
    before = [taken[each] for each in taken if each < number]
    if number in taken or not before:
        free = min({f"{n:02}" for n in range(1, 100)} - set(taken))
        known = taken.get(number)
        found = f"is the number of {known.name}" if known else "comes before every chapter"
        raise UsageError(f"{number} {found}; {free} is free.")
    last = before[-1]
    title = name[3:].replace("_", " ").capitalize()
    header = last.script.read_text(encoding="utf-8").partition("# %%")[0]
    cell = install_cell(*configured(root))
    row = f"| {int(number)} | [{title}](notebooks/{name}.ipynb) | {QUESTION} | {TIME} |"
    toc, readme, bounds = root / "_toc.yml", root / "README.md", root / BOUNDS
    new = {
        toc: _after(toc, f"file: notebooks/{last.name}", f"      - file: notebooks/{name}"),
        readme: _after(readme, f"(notebooks/{last.name}.ipynb)", row),
        bounds: f"{bounds.read_text(encoding='utf-8').rstrip()}\n{name}:\n  n_labelled: 42000\n",
        root / "profiles" / "quick" / f"{name}.yaml": "# The chapter's own defaults.\n",
        chapter.script: header + STUB.format(title=title, question=QUESTION, time=TIME, cell=cell),
    }
    for path, text in new.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8"))
    sync_pair(chapter)
    return [*new, chapter.notebook]


def _after(path: Path, mark: str, line: str) -> str:
    """Return a file's text with a line added after the one that names the chapter before."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^.*{re.escape(mark)}.*$", text, re.MULTILINE)
    if not found:
        raise RunnerError(f"{shown(path)} does not list {mark}, the chapter before; add it first.")
    return f"{text[: found.end()]}\n{line}{text[found.end() :]}"
