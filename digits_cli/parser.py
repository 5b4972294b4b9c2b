"""The options and the help texts of the `digits` command; `cli` acts on them."""

from __future__ import annotations

import argparse

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

Stop it at any moment, and start it with the same command: finished runs are skipped, failed ones
are tried again. A run is named by the notebook's code and its values; when digit_utils has changed,
name another DIR to run all again. At the end DIR holds runs.csv, runs.parquet and report.html; the
exit code is 1 when a run has failed."""

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

Stop it at any moment, and start it with the same command: finished trials are kept. A trial that
fails is kept with its error; five failures in a row end the search. A DIR that holds trials of
another space or objective is refused. At the end DIR holds trials.csv and report.html as well.
With ray, each worker gets the text of FILE and needs digit_utils and whatever FILE imports."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="digits", description="Run, check and publish the chapters of the digits book."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, told: str | None = None) -> argparse.ArgumentParser:
        form = argparse.RawDescriptionHelpFormatter
        return commands.add_parser(name, help=text, description=told or text, formatter_class=form)

    example = "digits run 05 --profile quick -p N_TRIALS 20"
    run = command("run", "execute chapters", f"Execute chapters: {example}")
    _add_chapters(run)
    _add_profile(run)
    text = "set a parameter, whatever the profile says; NAME=VALUE works too; may be repeated"
    name = "NAME VALUE"
    run.add_argument("-p", "--parameter", action="append", default=[], metavar=name, help=text)
    text = "folder for the executed notebooks (default: _build/runs/PROFILE)"
    run.add_argument("--out", metavar="DIR", help=text)
    _add_flag(run, "--keep-going", "run later chapters after one has failed")
    text = "leave chapters alone whose last run would come out the same today: same code, "
    text += "parameters, helpers and versions; a DATA folder of your own is not looked into"
    _add_flag(run, "--skip-fresh", text)

    sweep = command("sweep", "run a chapter for many values of its parameters", SWEEP_HELP)
    sweep.add_argument("file", metavar="FILE", help="the sweep, as YAML")
    text = "for the runs: a folder (default: _build/sweeps/NAME OF FILE), or an address that "
    text += "papermill can write to, s3://BUCKET/NAME; other stores are not tested"
    sweep.add_argument("--out", metavar="DIR", help=text)
    text = "local: processes of this machine (default); ray: workers, here or on a cluster"
    sweep.add_argument("--engine", choices=["local", "ray"], default="local", help=text)
    _add_workers(sweep, "runs at a time (default: 1; with ray as many as there are processors)")
    _add_flag(sweep, "--list", "print what would run, and what is finished; run nothing")

    search = command("search", "search for good settings, resumable", SEARCH_HELP)
    search.add_argument("file", metavar="FILE", help="the search, as a Python file")
    search.add_argument("--trials", type=int, required=True, metavar="N", help="trials in all")
    text = "keeps the trials (default: _build/searches/NAME OF FILE)"
    search.add_argument("--out", "--folder", dest="folder", metavar="DIR", help=text)
    search.add_argument("--seed", type=int, default=0, help="of the proposals (default: 0)")
    text = "hyperopt: one trial after another (default); ray: several at a time"
    search.add_argument("--engine", choices=["hyperopt", "ray"], default="hyperopt", help=text)
    _add_workers(search, "with ray: trials at a time (default: all processors)")

    new = command("new", "start a chapter: a stub with all that the tests ask for")
    new.add_argument("name", metavar="NN_NAME", help="such as 14_my_idea")

    sync = command("sync", "regenerate every .ipynb from its .py")
    _add_chapters(sync)
    _add_flag(sync, "--check", "change nothing; exit 1 when a pair differs")
    _add_flag(sync, "--force", "drop what was typed into an .ipynb and not the .py")

    text = "write the cell that installs the helpers on Colab into every chapter's .py"
    install_cell = command("install-cell", text)
    text = "branch or tag to install from, v0.2.0 in a release (default: the branch in _config.yml)"
    install_cell.add_argument("--ref", metavar="NAME", help=text)

    site = command("site", "build the book from executed chapters")
    _add_profile(site)
    _add_flag(site, "--published", "take the notebooks as published; nothing has to be run")
    _add_flag(site, "--check-links", "instead of building, follow every link that leads elsewhere")

    text = "list the chapters: whether their outputs are fresh, and when they were last run"
    _add_chapters(command("status", text + "; exit 1 when any are stale"))

    address = command("address", "make every file name this repository; once, in a fork")
    text = "https://github.com/OWNER/NAME (default: the git remote origin)"
    address.add_argument("url", nargs="?", metavar="URL", help=text)

    text = "run the chapters that are stale, or named, and publish their outputs"
    publish = command("publish", text)
    _add_chapters(publish)
    text = "publish the full runs there are; name the chapters that need one, and exit with 1"
    _add_flag(publish, "--no-run", text)

    _add_chapters(command("references", "make the regression references from the quick run"))
    text = "lay out the published notebooks for nbval, to run and compare them (nightly)"
    _add_chapters(command("stage-published", text))
    return parser


def _add_flag(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument(name, action="store_true", help=text)


def _add_chapters(parser: argparse.ArgumentParser) -> None:
    text = "full name, number (3) or other unique prefix, or path; none means all, in order"
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help=text)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    text = "which set of parameters (default: quick)"
    parser.add_argument("--profile", default="quick", metavar="|".join(PROFILES), help=text)


def _add_workers(parser: argparse.ArgumentParser, jobs: str) -> None:
    parser.add_argument("--jobs", type=int, metavar="N", help=jobs)
    text = "with ray: of a running cluster (default: one is started here)"
    parser.add_argument("--address", help=text)
