"""The `digits` command.

Only what is quick is imported up here: `digits --help` must answer at once, and nothing in the
runner may load TensorFlow.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from digit_utils import __version__
from digit_utils.hosts import settle
from digit_utils.provenance import keras_backend
from digits_cli.errors import RunnerError, UsageError, did_you_mean
from digits_cli.paths import PROFILES

BACKENDS = ("tensorflow", "jax", "torch")  # of Keras, and able to train


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

Instead of a grid, a list of runs or random draws:

  list: [{EPOCHS: 2, BATCH_SIZE: 32}, {EPOCHS: 4}]
  random: {samples: 8, seed: 0, values: {BATCH_SIZE: [32, 128], EPOCHS: {low: 2, high: 6}}}

A range with fractions draws fractions; add `log: true` for a logarithmic one. The names are those
of the chapter's parameters cell, near its top; a metric that its last run did not report is noted
at the start, with those that it did.

Stop it at any moment, and start it with the same command: finished runs are skipped, and those
that failed are tried again. A failed run keeps its notebook, with the error, and does not stop the
others. A run is named by the notebook's code and its values; when digit_utils has changed, name
another DIR to run all again. A run takes about as long as `digits run` with the same values, half a
minute for most chapters with the quick ones. At the end DIR holds runs.csv, runs.parquet and
report.html. The exit code is 1 when a run has failed.

For s3:// addresses: pip install 'papermill[s3]'. Everything stays in _build/sweeps as well;
notebooks, records and the report are copied to the address. For ray: pip install 'ray[tune]'; a run
takes one processor and no GPU, and the workers need digit_utils with its tools, nothing else."""


SEARCH_HELP = """\
Try settings that hyperopt proposes, and keep each trial as a small JSON file in DIR:

  digits search searches/post_space.py --trials 50

FILE is a Python file. A complete one:

  from hyperopt import hp

  SPACE = {"rate": hp.uniform("rate", 0, 0.5), "units": hp.choice("units", [128, 256])}

  def objective(settings):
      accuracy = 1 - settings["rate"] / settings["units"]  # here a network is trained and scored
      return -accuracy  # a loss: the smaller, the better

searches/post_space.py trains a real one, and is a good start for your own. A file holds

  SPACE        the settings to choose from, each expression labelled with its own key; hp.choice
               takes numbers, texts, True, False, None, and tuples and lists of these
  objective    a function of the settings that returns the loss, or a dictionary with it. With a
               second argument (without a default), objective(settings, report), it can call
               report(epoch, loss) after each epoch, from 1 on; these losses are kept as well
  ALGORITHM    who proposes (default: tpe.suggest of hyperopt)
  DEPENDS_ON   a dictionary of what else changes a loss: the number of epochs, say, and the
               functions that the objective calls

and, if you like, for --engine ray (the other engine ignores them)

  ASHA         stop trials early that others outdo at the same epoch; for five epochs a trial:
               {"epochs": 5, "grace_period": 1, "reduction_factor": 3}
  RESOURCES    what a trial needs, {"cpu": 1} for example

The 50 trials of searches/post_space.py take five to ten minutes on two processors.

Stop it at any moment, and start it with the same command: finished trials are kept, and the search
goes on as if it had never stopped; with several workers it goes on with what has ended by then. A
trial that fails is kept with its error; five failures in a row end the search. A DIR that holds
trials of another space or objective is refused, with the difference. At the end DIR holds
trials.csv and report.html as well.

Ray runs several trials at a time, here or on a cluster: pip install 'ray[tune]'. Each worker gets
the text of FILE, and needs digit_utils and whatever FILE imports: on other machines, modules that
lie beside FILE have to be in a folder of the same path, or installed."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; each sets `act`, the function that runs it."""
    parser = argparse.ArgumentParser(
        prog="digits", description="Run, check and publish the chapters of the digits book."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="execute chapters with papermill",
        description="Execute chapters, each in a process of its own. Names and types of all "
        "parameters are checked before anything starts. For example: "
        "digits run 05 --profile quick -p N_TRIALS 20",
    )
    _add_chapters(run)
    _add_profile(run)
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME VALUE",
        help="set a parameter, whatever the profile says; NAME=VALUE works too; may be repeated",
    )
    run.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the executed notebooks (default: _build/runs/PROFILE)",
    )
    run.add_argument(
        "--keep-going", action="store_true", help="run later chapters after one has failed"
    )
    run.add_argument(
        "--skip-fresh",
        action="store_true",
        help="leave chapters alone whose last run would come out the same today: same code, "
        "parameters, helpers and versions; a DATA folder of your own is not looked into",
    )
    run.set_defaults(act=_run)

    sweep = commands.add_parser(
        "sweep",
        help="run a chapter for many values of its parameters",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=SWEEP_HELP,
    )
    sweep.add_argument("file", metavar="FILE", help="the sweep, as YAML")
    sweep.add_argument(
        "--out",
        metavar="DIR",
        help="for the runs: a folder (default: _build/sweeps/NAME OF FILE), or an address that "
        "papermill can write to, s3://BUCKET/NAME; other stores are not tested",
    )
    sweep.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="runs at a time (default: 1; with ray as many as there are processors)",
    )
    sweep.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="local: processes of this machine (default); ray: workers, here or on a cluster",
    )
    sweep.add_argument(
        "--address", help="with ray: of a running cluster (default: one is started here)"
    )
    sweep.add_argument(
        "--list",
        action="store_true",
        help="print what would run, and what is finished; run nothing",
    )
    sweep.set_defaults(act=_sweep)

    search = commands.add_parser(
        "search",
        help="search for good settings, resumable",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=SEARCH_HELP,
    )
    search.add_argument("file", metavar="FILE", help="the search, as a Python file")
    search.add_argument("--trials", type=int, required=True, metavar="N", help="trials in all")
    search.add_argument(
        "--out",
        "--folder",
        dest="folder",
        metavar="DIR",
        help="keeps the trials (default: _build/searches/NAME OF FILE)",
    )
    search.add_argument("--seed", type=int, default=0, help="of the proposals (default: 0)")
    search.add_argument(
        "--engine",
        choices=["hyperopt", "ray"],
        default="hyperopt",
        help="hyperopt: one trial after another (default); ray: several at a time",
    )
    search.add_argument(
        "--jobs", type=int, metavar="N", help="with ray: trials at a time (default: all processors)"
    )
    search.add_argument(
        "--address", help="with ray: of a running cluster (default: one is started here)"
    )
    search.set_defaults(act=_search)

    new = commands.add_parser(
        "new",
        help="start a chapter",
        description="Write a chapter's stub with all that the tests ask for: script and notebook, "
        "profiles and bounds, a line in _toc.yml and a row in README.md.",
    )
    new.add_argument("name", metavar="NN_NAME", help="such as 14_my_idea")
    new.set_defaults(act=_new)

    sync = commands.add_parser("sync", help="regenerate every .ipynb from its .py")
    sync.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 when a pair differs"
    )
    sync.add_argument(
        "--force", action="store_true", help="drop what was typed into an .ipynb and not the .py"
    )
    sync.set_defaults(act=_sync)

    install_cell = commands.add_parser(
        "install-cell",
        help="write the cell that installs the helpers on Colab into every chapter",
        description="Write the first code cell of every chapter's .py anew. It installs the "
        "helpers from the repository that _config.yml names. `digits sync` then carries it to the "
        ".ipynb; outputs stay.",
    )
    install_cell.add_argument(
        "--ref",
        metavar="NAME",
        help="branch or tag to install from, v0.2.0 in a release (default: the branch in "
        "_config.yml)",
    )
    install_cell.set_defaults(act=_install_cell)

    site = commands.add_parser("site", help="build the book from executed chapters")
    _add_profile(site)
    site.add_argument(
        "--published",
        action="store_true",
        help="take the notebooks as they are published; nothing has to be run",
    )
    site.add_argument(
        "--check-links",
        action="store_true",
        help="instead of building, follow every link that leads elsewhere",
    )
    site.set_defaults(act=_site)

    status = commands.add_parser(
        "status",
        help="list the chapters: whether their outputs are fresh, and when they were last run",
        description="List the chapters. Published outputs are stale when what they came from has "
        "changed since: code, parameters, helpers, recorded data or versions; prose and comments "
        "do not count. The exit code is 1 when any are stale. "
        "Stale regression references are listed as well.",
    )
    _add_chapters(status)
    status.set_defaults(act=_status)

    address = commands.add_parser(
        "address",
        help="make every file name this repository; once, in a fork",
        description="Write the repository's address into every file that names it: _config.yml, "
        "the notebooks' install cells, README.md, CITATION.cff and the rest.",
    )
    address.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help="https://github.com/OWNER/NAME (default: the git remote origin)",
    )
    address.set_defaults(act=_address)

    publish = commands.add_parser(
        "publish",
        help="refresh the published outputs that are stale",
        description="Run the chapters whose published outputs are stale with the profile full, "
        "one after the other, and copy the outputs of each into notebooks/ as soon as it is done. "
        "Stop it at any moment: the next call goes on with the rest. A full run of today's code "
        "is taken as it is; a chapter that is named is published from it even when it is fresh.",
    )
    _add_chapters(publish)
    publish.add_argument(
        "--no-run",
        action="store_true",
        help="publish the full runs there are; name the chapters that need one, and exit with 1",
    )
    publish.set_defaults(act=_publish)

    references = commands.add_parser(
        "references", help="make the regression references from the quick run"
    )
    _add_chapters(references)
    references.set_defaults(act=_references)
    staged = commands.add_parser(
        "stage-published",
        help="lay out the published notebooks for nbval, to run and compare them (nightly)",
    )
    staged.add_argument("chapters", nargs="*", metavar="CHAPTER", help="none means all")
    staged.set_defaults(act=_stage_published)
    return parser


def _add_chapters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "chapters",
        nargs="*",
        metavar="CHAPTER",
        help="full name, number (3) or other unique prefix, or path; none means all, in order",
    )


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        default="quick",
        metavar="|".join(PROFILES),
        help="which set of parameters (default: quick)",
    )


def _check_backend() -> None:
    """Refuse a backend that no chapter could train with; Keras would do so in a traceback."""
    backend = keras_backend()
    if backend not in BACKENDS:
        raise UsageError(
            f"KERAS_BACKEND is {backend!r:.80}, expected one of {', '.join(BACKENDS)}."
            + did_you_mean(backend, BACKENDS)
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `digits` command and return its exit code.

    `arguments` come without the program's name; None takes those of the process. The code is 0 when
    done, 1 when a chapter or a check failed, 2 when the request was wrong and nothing was started,
    130 after Ctrl-C, and 141 when whoever reads the output has closed it.
    """
    parser = build_parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    options, extra = parser.parse_known_args(_pair_up_parameters(given))
    settle()
    # argparse gives up on chapters that follow an option; they are chapters all the same.
    if extra and (options.command != "run" or any(text.startswith("-") for text in extra)):
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    if extra:
        options.chapters += extra
    # Being asked to stop is not a crash: end the kernel, then ourselves.
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.command in {"run", "sweep", "search"}:
            _check_backend()
        code = options.act(options)
        sys.stdout.flush()
        return code
    except RunnerError as error:
        print(f"digits {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        print(
            f"digits {options.command}: {sys.executable} has no {error.name}. "
            "Install the book's tools: pip install -e '.[book]'.",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:
        # `digits ... | head` has read enough. Python would complain again as it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what a shell reports of a program that SIGPIPE ended
    except ImportError as error:  # damaged, or too little memory to load it
        print(f"digits {options.command}: a package cannot be loaded: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"digits {options.command}: {error}", file=sys.stderr)
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            print(
                "Make room and start the same command again; what is finished is kept.",
                file=sys.stderr,
            )
        return 1
    except MemoryError:
        print(
            f"digits {options.command}: there is not enough memory; end other programs and start "
            "the same command again, what is finished is kept.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        kept = {"search": "the finished trials are kept", "sweep": "the finished runs are kept"}
        kept["publish"] = "what was published is kept; the same command goes on with the rest"
        what = kept.get(options.command, "nothing unfinished was kept")
        print(f"\ndigits {options.command}: stopped; {what}.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _pair_up_parameters(arguments: list[str]) -> list[str]:
    """Turn `-p NAME VALUE` into `--parameter=NAME=VALUE`: a VALUE may begin with a minus sign."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*joined, word, *rest]
        if word in {"-p", "--parameter"} and rest and ("=" in rest[0] or len(rest) >= 2):
            pair = rest.pop(0)
            joined.append(f"--parameter={pair if '=' in pair else f'{pair}={rest.pop(0)}'}")
        else:
            joined.append(word)
    return joined


def _run(options: argparse.Namespace) -> int:
    from digits_cli.execute import check_can_run, run_chapters
    from digits_cli.report import print_failure, print_summary
    from digits_cli.values import parse_command_line_value

    parameters = {}
    for pair in options.parameter:
        name, separator, text = pair.partition("=")
        if not separator:
            raise UsageError(f"-p needs a NAME and a VALUE, found only '{name}'.")
        parameters[name] = parse_command_line_value(text)
    check_can_run()
    runs = run_chapters(
        options.chapters, options.profile, parameters, options.out, options.keep_going,
        skip_fresh=options.skip_fresh,
    )  # fmt: skip
    for run in runs:
        if run.failure:
            print_failure(run)
    print_summary(runs)
    return 0 if all(run.ok for run in runs) else 1


def _sweep(options: argparse.Namespace) -> int:
    from digits_cli.execute import check_can_run
    from digits_cli.sweep import run_sweep
    from digits_cli.sweep_report import write_report

    check_can_run()
    _, runs, place = run_sweep(
        options.file, options.out, options.jobs, only_list=options.list, report=write_report,
        engine=options.engine, address=options.address,
    )  # fmt: skip
    if options.list:
        return 0
    failed = sum(not run.ok for run in runs)
    print(f"{len(runs) - failed} of {len(runs)} runs are good. Report: {place.report}")
    return 1 if failed else 0


def _search(options: argparse.Namespace) -> int:
    from digits_cli.search_command import search_from_file
    from digits_cli.search_report import print_best

    found, folder = search_from_file(
        options.file, options.trials, options.folder, options.seed,
        options.engine, options.jobs, options.address,
    )  # fmt: skip
    return 0 if print_best(found, folder) else 1


def _new(options: argparse.Namespace) -> int:
    from digits_cli.new_chapter import new_chapter
    from digits_cli.paths import find_checkout, shown

    for path in new_chapter(find_checkout(), options.name):
        print(f"wrote: {shown(path)}")
    commands = "; ".join(f"digits {c} {options.name[:2]}" for c in ("run", "references", "publish"))
    print(f"Make it yours (CONTRIBUTING.md, Write a chapter), and then: {commands}")
    return 0


def _sync(options: argparse.Namespace) -> int:
    from digits_cli.pairing import check_pairs, sync_pair
    from digits_cli.paths import find_checkout, list_chapters, shown, tell_others

    root = find_checkout()
    tell_others(root)
    if options.check:
        differences = check_pairs(root)
        for difference in differences:
            print(difference)
        if differences:
            print("Run `digits sync` (or `make sync`), and commit both halves.", file=sys.stderr)
            return 1
        print("Every .ipynb equals its .py.")
        return 0
    refused = 0
    for chapter in list_chapters(root):
        try:
            changed = sync_pair(chapter, options.force)
        except RunnerError as error:
            refused += 1
            print(f"digits sync: {error}", file=sys.stderr)
            continue
        print(f"{'wrote' if changed else 'as it was'}: {shown(chapter.notebook)}")
    return 1 if refused else 0


def _install_cell(options: argparse.Namespace) -> int:
    from digits_cli.paths import find_checkout, shown
    from digits_cli.repository import write_install_cells

    written = write_install_cells(find_checkout(), options.ref)
    for path in written:
        print(f"wrote: {shown(path)}")
    print("Now run `digits sync`." if written else "Every chapter has the cell already.")
    return 0


def _site(options: argparse.Namespace) -> int:
    from digits_cli.site import build_site, check_links

    make = check_links if options.check_links else build_site
    return make(None if options.published else options.profile)


def _address(options: argparse.Namespace) -> int:
    from digits_cli.paths import find_checkout, shown
    from digits_cli.repository import configured_address, rewrite_address

    written = rewrite_address(options.url)
    for path in written:
        print(f"wrote: {shown(path)}")
    print(f"The repository is {configured_address(find_checkout())}.")
    return 0


def _status(options: argparse.Namespace) -> int:
    from digits_cli.report import print_status

    return 0 if print_status(options.chapters) else 1


def _publish(options: argparse.Namespace) -> int:
    from digits_cli.execute import ChapterRun
    from digits_cli.publish import publish
    from digits_cli.report import print_failure

    left = publish(options.chapters, run=not options.no_run)
    for run in left:
        if isinstance(run, ChapterRun):
            print_failure(run)
    return 1 if left else 0


def _references(options: argparse.Namespace) -> int:
    from digits_cli.paths import shown
    from digits_cli.references import make_references

    for path in make_references(wanted=options.chapters):
        print(f"wrote: {shown(path)}")
    return 0


def _stage_published(options: argparse.Namespace) -> int:
    from digits_cli.paths import shown
    from digits_cli.references import stage_published

    for path in stage_published(options.chapters):
        print(f"wrote: {shown(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
