"""The options and the help texts of the `digits` command; `cli` acts on them."""

import argparse
from typing import Any

from digit_utils import __version__
from digits_cli.book import PROFILES

SWEEP_HELP = """\
Run a chapter once for each combination of values, each run in a process of its own:

  digits sweep sweeps/batch_size.yaml --jobs 2

Every name and type in FILE is checked before anything starts:

  chapter: 03_base_cnn
  profile: quick                      # the values that are not named below; this is the default
  constants: {N_TRAIN: 3000}
  grid: {BATCH_SIZE: [32, 128], EPOCHS: [2, 4]}
  seeds: [0, 1, 2]                    # SEED of each combination
  metric: validation_accuracy         # what the report draws

Instead of a grid, a list of runs or random draws (`log: true` makes a range logarithmic):

  list: [{EPOCHS: 2, BATCH_SIZE: 32}, {EPOCHS: 4}]
  random: {samples: 8, seed: 0, values: {BATCH_SIZE: [32, 128], EPOCHS: {low: 2, high: 6}}}

Started again, it skips finished runs and tries failed ones anew. A run is named by the notebook's
code and its values; when digit_utils has changed, name another DIR to run all again. At the end DIR
holds runs.csv, runs.parquet and report.html; the exit code is 1 when a run has failed.

`record: NAME` keeps finished runs in digit_utils/recorded/NAME.json as well, whatever the code was:
a run with the same values is not made again while it is there."""

SEARCH_HELP = """\
Try settings that hyperopt proposes, and keep each trial as a small JSON file in DIR:

  digits search searches/post_space.py --trials 50

FILE is a Python file. A complete one:

  from hyperopt import hp

  SPACE = {"rate": hp.uniform("rate", 0, 0.5), "units": hp.choice("units", [128, 256])}

  def objective(settings):
      accuracy = 1 - settings["rate"] / settings["units"]  # here a network is trained and scored
      return -accuracy  # a loss: the smaller, the better

searches/post_space.py trains a real one. A file holds

  SPACE        the settings to choose from, each expression labelled with its own key
  objective    a function of the settings that returns the loss, or a dictionary with it; as
               objective(settings, report) it can call report(epoch, loss) after each epoch
  ALGORITHM    who proposes (default: tpe.suggest of hyperopt)
  DEPENDS_ON   a dictionary of what else changes a loss: epochs, say, and functions that are called
  ASHA         with ray: stop trials early that others outdo at the same epoch:
               {"epochs": 5, "grace_period": 1, "reduction_factor": 3}
  RESOURCES    with ray: what a trial needs, {"cpu": 1} for example

Started again, it goes on from the trials in DIR; those of another space or objective are refused. A
trial that fails is kept with its error; five failures in a row end the search. At the end DIR holds
trials.csv and report.html as well. With ray, each worker gets the text of FILE and needs
digit_utils and whatever FILE imports."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = current = argparse.ArgumentParser(
        prog="digits", description="Run, check and publish the chapters of the digits book."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, told: str = "") -> None:
        nonlocal current
        form = argparse.RawDescriptionHelpFormatter
        current = commands.add_parser(
            name, help=text, description=told or text, formatter_class=form
        )

    def add(names: str, text: str, **settings: Any) -> None:
        """Add an argument to the last command; an option without settings is a flag."""
        current.add_argument(*names.split(), help=text, **settings or {"action": "store_true"})

    which = "full name, number (3) or other unique prefix, or path; none means all, in order"
    chapters: Any = {"names": "chapters", "text": which, "nargs": "*", "metavar": "CHAPTER"}
    profile: Any = {"default": "quick", "metavar": "|".join(PROFILES)}
    address = "with ray: of a running cluster (default: one is started here)"

    command("run", "execute chapters", "Execute chapters: digits run 05 -p N_TRIALS 20")
    add(**chapters)
    add("--profile", "which set of parameters (default: quick)", **profile)
    text = "set a parameter, whatever the profile says; NAME=VALUE works too; may be repeated"
    add("-p --parameter", text, action="append", default=[], metavar="NAME VALUE")
    add("--out", "folder for the executed notebooks (default: _build/runs/PROFILE)", metavar="DIR")
    add("--keep-going", "run later chapters after one has failed")
    text = "leave chapters alone whose last run would come out the same today: same code, "
    text += "parameters, helpers and versions; a DATA folder of your own is not looked into"
    add("--skip-fresh", text)

    command("sweep", "run a chapter for many values of its parameters", SWEEP_HELP)
    add("file", "the sweep, as YAML", metavar="FILE")
    text = "for the runs: a folder (default: _build/sweeps/NAME OF FILE), or an address that "
    text += "papermill can write to, s3://BUCKET/NAME; other stores are not tested"
    add("--out", text, metavar="DIR")
    add("--engine", "where runs go (default: local)", choices=["local", "ray"], default="local")
    add("--jobs", "runs at a time (default: 1; with ray one a processor)", type=int, metavar="N")
    add("--address", address, metavar="ADDRESS")
    add("--list", "print what would run, and what is finished; run nothing")

    command("search", "search for good settings, resumable", SEARCH_HELP)
    add("file", "the search, as a Python file", metavar="FILE")
    add("--trials", "trials in all", type=int, required=True, metavar="N")
    text = "keeps the trials (default: _build/searches/NAME OF FILE)"
    add("--out --folder", text, dest="folder", metavar="DIR")
    add("--seed", "of the proposals (default: 0)", type=int, default=0)
    text = "hyperopt: one trial after another (default); ray: several at a time"
    add("--engine", text, choices=["hyperopt", "ray"], default="hyperopt")
    add("--jobs", "with ray: trials at a time (default: all processors)", type=int, metavar="N")
    add("--address", address, metavar="ADDRESS")

    command("new", "start a chapter: a stub with all that the tests ask for")
    add("name", "such as 14_my_idea", metavar="NN_NAME")
    command("sync", "regenerate every .ipynb from its .py")
    add(**chapters)
    add("--check", "change nothing; exit 1 when a pair differs")
    add("--force", "drop what was typed into an .ipynb and not the .py")
    command("install-cell", "write the cell that installs the helpers on Colab into every .py")
    add("--ref", "branch or tag to install from (default: _config.yml's branch)", metavar="NAME")
    command("address", "make every file name this repository; once, in a fork")
    add("url", "https://github.com/OWNER/NAME (default: origin's)", nargs="?", metavar="URL")
    command("site", "build the book from executed chapters")
    add("--profile", "which set of parameters (default: quick)", **profile)
    add("--published", "take the notebooks as published; nothing has to be run")
    add("--check-links", "instead of building, follow every link that leads elsewhere")
    command("status", "say which published outputs are stale, and why; exit 1 when any are")
    add(**chapters)
    text = "run the chapters that are stale, or named, and publish their outputs"
    command("publish", text, f"{text}. Then write every number in prose anew that is bound to one.")
    add(**chapters)
    add("--no-run", "publish the full runs there are; name what needs one, and exit with 1")
    command("references", "make the regression references from the quick run")
    add(**chapters)
    command("stage-published", "lay out the published notebooks for nbval to run and compare")
    add(**chapters)
    return parser
