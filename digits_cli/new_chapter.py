"""Start a chapter: `digits new` writes a stub with all that the tests ask of one."""

from __future__ import annotations

import re
from pathlib import Path

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
    """Write a chapter's stub, its profiles and bounds, and list it in ``_toc.yml`` and README.md.

    `name` is ``NN_snake_case``; NN is free and comes after some chapter. Returns the files written.
    Raises UsageError for another name, and RunnerError when ``_toc.yml`` or README.md does not list
    the chapter before it; nothing is written then.
    """
    from digit_utils.files import write_atomically

    if not CHAPTER_NAME.fullmatch(name):
        raise UsageError(f"{name!r:.80} is no chapter's name, expected one such as 14_my_idea.")
    chapters = list_chapters(root)
    before = [chapter for chapter in chapters if chapter.name[:2] < name[:2]]
    taken = [chapter.name for chapter in chapters if chapter.name[:2] == name[:2]]
    if taken or not before:
        free = min({f"{n:02}" for n in range(1, 100)} - {chapter.name[:2] for chapter in chapters})
        found = f"is the number of {taken[0]}" if taken else "comes before every chapter"
        raise UsageError(f"{name[:2]} {found}; {free} is free.")
    last, chapter = before[-1], Chapter(name, root / "notebooks")
    title = name[3:].replace("_", " ").capitalize()
    header = last.script.read_text(encoding="utf-8").partition("# %%")[0]
    stub = STUB.format(
        title=title, question=QUESTION, time=TIME, cell=install_cell(*configured(root))
    )
    row = f"| {int(name[:2])} | [{title}](notebooks/{name}.ipynb) | {QUESTION} | {TIME} |"
    bounds = (root / BOUNDS).read_text(encoding="utf-8").rstrip("\n")
    toc, readme = root / "_toc.yml", root / "README.md"
    new = {
        toc: _after(toc, f"file: notebooks/{last.name}", f"      - file: notebooks/{name}"),
        readme: _after(readme, f"(notebooks/{last.name}.ipynb)", row),
        root / BOUNDS: f"{bounds}\n{name}:\n  n_labelled: 42000\n",
        chapter.script: header + stub,
    }
    new[root / "profiles" / "quick" / f"{name}.yaml"] = "# The chapter's own defaults.\n"
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
