"""The `digits` command. Only what is quick is imported up here: `--help` answers at once."""

import errno
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

from digit_utils.hosts import settle
from digit_utils.provenance import keras_backend
from digits_cli.book import find_checkout, select_chapters, shown, tell_others
from digits_cli.errors import RunnerError, UsageError, did_you_mean
from digits_cli.parser import build_parser

ADVICE = "Install the book's tools: pip install -e '.[book]'."
BACKENDS = ("tensorflow", "jax", "torch")  # of Keras, and able to train
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
KEPT = {
    "run": "finished chapters are kept; --skip-fresh continues with the rest",
    "search": "the finished trials are kept",
    "sweep": "the finished runs are kept",
    "publish": "what was published is kept; the same command continues with the rest",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `digits` command; return its exit code.

    0 when done, 1 when a chapter or a check failed, 2 when the request was wrong and nothing was
    started, 130 after Ctrl-C, 141 when whoever reads the output has closed it.
    """
    parser = build_parser()
    given = sys.argv[1:] if arguments is None else arguments
    options, extra = parser.parse_known_args(_pair_up_parameters(given))
    settle()
    # argparse gives up on chapters that follow an option; they are chapters all the same.
    if extra and ("chapters" not in options or any(text.startswith("-") for text in extra)):
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    options.chapters = [*vars(options).get("chapters", []), *extra]

    def tell(text: object) -> None:
        print(f"digits {options.command}: {text}", file=sys.stderr)

    # Being asked to stop is not a crash: end the kernel, then ourselves.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        backend = keras_backend()
        if options.command in {"run", "sweep", "search"} and backend not in BACKENDS:
            told = f"KERAS_BACKEND is {backend!r:.80}, expected one of {', '.join(BACKENDS)}."
            raise UsageError(told + did_you_mean(backend, BACKENDS))
        code = ACTS[options.command](options)
        sys.stdout.flush()
        return code
    except RunnerError as error:
        tell(error)
        return error.exit_code
    except ModuleNotFoundError as error:
        tell(f"{sys.executable} has no {error.name}. {ADVICE}")
        return 1
    except BrokenPipeError:
        # `digits ... | head` has read enough. Python would complain again as it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what a shell reports of a program that SIGPIPE ended
    except (ImportError, MemoryError, OSError) as error:  # the machine's fault, not the program's
        tell(error if str(error) else "there is not enough memory.")
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in FULL:
            tell("Make room and start the same command again; what is finished is kept.")
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        tell(f"stopped; {KEPT.get(options.command, 'nothing unfinished was kept')}.")
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _pair_up_parameters(arguments: Sequence[str]) -> list[str]:
    """Turn `-p NAME VALUE` into `--parameter=NAME=VALUE`: a VALUE may begin with a minus sign."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*joined, word, *rest]
        if word in {"-p", "--parameter"} and rest and ("=" in rest[0] or len(rest) >= 2):
            pair = rest.pop(0)
            word = f"--parameter={pair if '=' in pair else f'{pair}={rest.pop(0)}'}"
        joined.append(word)
    return joined


def _run(options: Namespace) -> int:
    from digits_cli.execute import run_chapters
    from digits_cli.parameters import parse_command_line_value
    from digits_cli.summary import print_failure, print_summary

    parameters = {}
    for pair in options.parameter:
        name, separator, text = pair.partition("=")
        if not separator:
            raise UsageError(f"-p needs a NAME and a VALUE, found only '{name}'.")
        parameters[name] = parse_command_line_value(text)
    runs = run_chapters(
        options.chapters, options.profile, parameters, options.out, options.keep_going,
        skip_fresh=options.skip_fresh,
    )  # fmt: skip
    for run in runs:
        print_failure(run)
    print_summary(runs)
    return 0 if all(run.ok for run in runs) else 1


def _sweep(options: Namespace) -> int:
    from digits_cli.sweep import run_sweep

    _, runs, place = run_sweep(
        options.file, options.out, options.jobs, only_list=options.list,
        engine=options.engine, address=options.address,
    )  # fmt: skip
    good = sum(run.ok for run in runs)
    if not options.list:
        print(f"{good} of {len(runs)} runs are good. Report: {place.report}")
    return 0 if options.list or good == len(runs) else 1


def _search(options: Namespace) -> int:
    from digits_cli.reports import print_best
    from digits_cli.search_command import search_from_file

    found, folder = search_from_file(
        options.file, options.trials, options.folder, options.seed,
        options.engine, options.jobs, options.address,
    )  # fmt: skip
    return 0 if print_best(found, folder) else 1


def _new(options: Namespace) -> int:
    from digits_cli.new_chapter import new_chapter

    _tell_written(new_chapter(find_checkout(), options.name))
    commands = "; ".join(f"digits {c} {options.name[:2]}" for c in ("run", "references", "publish"))
    print(f"Make it yours (CONTRIBUTING.md, Add a chapter), and then: digits sync; {commands}")
    return 0


def _sync(options: Namespace) -> int:
    from digits_cli.pairing import advise_restoring, check_pairs, sync_pair

    root = find_checkout()
    chapters = select_chapters(root, options.chapters)
    tell_others(root)
    if options.check:
        differences = check_pairs(root, chapters)
        print("\n".join(differences) or "Every .ipynb equals its .py.")
        if differences:
            print("Run `digits sync` (or `make sync`), and commit both halves.", file=sys.stderr)
        return 1 if differences else 0
    notes, errors = [], []
    for chapter in chapters:
        if advice := advise_restoring(chapter):
            notes.append(f"{shown(chapter.notebook)} was gone and has no outputs now{advice}.")
        try:
            done = "wrote" if sync_pair(chapter, options.force) else "as it was"
            print(f"{done}: {shown(chapter.notebook)}", flush=True)
        except RunnerError as error:
            errors.append(str(error))
    for text in [*notes, *errors]:
        print(f"digits sync: {text}", file=sys.stderr)
    return 1 if errors else 0


def _install_cell(options: Namespace) -> int:
    from digits_cli.repository import write_install_cells

    written = write_install_cells(find_checkout(), options.ref)
    _tell_written(written)
    print("Now run `digits sync`." if written else "Every chapter has the cell already.")
    return 0


def _site(options: Namespace) -> int:
    from digits_cli.site import build_site, check_links

    make = check_links if options.check_links else build_site
    return make(None if options.published else options.profile)


def _address(options: Namespace) -> int:
    from digits_cli.repository import configured, rewrite_address

    _tell_written(rewrite_address(options.url))
    print(f"The repository is {configured(find_checkout())[0]}.")
    return 0


def _status(options: Namespace) -> int:
    from digits_cli.summary import print_status

    return 0 if print_status(options.chapters) else 1


def _publish(options: Namespace) -> int:
    from digits_cli.publish import publish

    return 1 if publish(options.chapters, run=not options.no_run) else 0


def _make(options: Namespace) -> int:
    from digits_cli.references import call_maker

    maker = "make_references" if options.command == "references" else "stage_published"
    return _tell_written(call_maker(maker, options.chapters))


def _tell_written(paths: Iterable[Path]) -> int:
    for path in paths:
        print(f"wrote: {shown(path)}")
    return 0


ACTS = {
    "run": _run, "sweep": _sweep, "search": _search, "new": _new, "sync": _sync,
    "install-cell": _install_cell, "site": _site, "status": _status, "address": _address,
    "publish": _publish, "references": _make, "stage-published": _make,
}  # fmt: skip
