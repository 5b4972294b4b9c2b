"""Feed damaged input to everything that reads what people hand to the book.

Each case is a good example, changed by a seeded random generator. It is accepted, and what was read
is looked at by other means, or it is refused with our own error. Anything else escapes: a stray
exception, a wrong reading, more than two seconds' work, a file half written. What escapes is kept
in `_build/fuzz`, and the exit code is 1. Only a full run of all readers is recorded.
"""

import argparse
import contextlib
import faulthandler
import fnmatch
import math
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from digit_utils.provenance import processors, provenance
from experiments import RESULTS, ROOT, write_files, write_record
from experiments.fuzz_targets import TARGETS, good_files

KEPT = ROOT / "_build" / "fuzz"
CASES, CHUNK = 100_000, 4_000  # of all readers together; what one process tries
SECONDS, MEMORY = 2, 4 << 30  # a case; bytes of addresses, of which pyarrow asks for many
OUTCOMES = ("accepted", "refused", "escapes")
OURS = ("Refused", "ArtifactError", "DigitDataError", "ShippedModelError")


def mutate(chance: random.Random, good: bytes, odd: list[str]) -> bytes:
    """Put in, cut, double, swap or flip some words or bytes."""
    raw, words = good, b"\0" not in good and chance.random() < 0.8
    for _ in range(chance.choice((1, 1, 2, 3))):
        parts = re.findall(rb"\w+|\s+|[^\w\s]" if words else rb"[\s\S]", raw) or [b""]
        at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        end = at + chance.choice((0, 1, 1, 1, 2, other))
        kind = chance.choice(("put", "put", "put", "cut", "end", "double", "swap", "flip"))
        if kind == "put":
            word = chance.choice(odd).replace("~", " ")
            parts[at:end] = [word.encode("utf-8", "surrogateescape")]
        elif kind == "cut":
            del parts[at:end]
        elif kind == "end":
            del parts[at:]
        elif kind == "double":
            parts[at:at] = parts[at:end]
        elif kind == "swap":
            parts[at], parts[other] = parts[other], parts[at]
        elif parts[at]:
            parts[at] = bytes([parts[at][0] ^ 1 << chance.randrange(8)]) + parts[at][1:]
        raw = b"".join(parts)
    return raw


def try_case(read: Callable, path: Path, raw: bytes, seconds: float = SECONDS) -> str:
    """Write bytes to a file, and read it; return ``accepted``, ``refused``, or what escaped."""
    path.write_bytes(raw)
    # Of the processor's time: others may be at work here. What the alarm raises is no Exception,
    # so no reader takes it for its own error. What waits or is outside Python ends the process.
    signal.signal(signal.SIGPROF, signal.default_int_handler)
    faulthandler.dump_traceback_later(60 + seconds, exit=True)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    outcome = "accepted"
    try:
        read(path, raw)
    except KeyboardInterrupt:
        outcome = f"no answer within {seconds} s"
    except (Exception, SystemExit) as error:
        kind, text = type(error).__name__, str(error)
        clear = kind in OURS and 0 < len(text) < 20_000 and "Traceback" not in text
        outcome = "refused" if clear else f"{kind}: {text:.500}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
    left = [each.name for each in Path().rglob("*.tmp")]
    return f"left {left}" if left else outcome


def try_many(name: str, first: int, last: int, seed: int) -> Counter[str]:
    """Try some cases of a target in this process; keep what escapes."""
    warnings.simplefilter("ignore")  # broken Python and strange arrays make Python and NumPy talk
    pattern, read, words, _ = TARGETS[name]
    (file,) = fnmatch.filter(good_files(), pattern)
    # Memory instead of a disk, where there is some: what is tested is reading, not flushing.
    ram = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

    def attempt(raw: bytes, seconds: float) -> str:
        with tempfile.TemporaryDirectory(dir=ram) as temporary, contextlib.chdir(temporary):
            write_files(Path(temporary), good_files())
            return try_case(read, Path(temporary, file), raw, seconds)

    good, counts = good_files()[file], Counter()
    outcome = attempt(good, seconds=60)  # what is imported late is imported now
    assert outcome == "accepted", f"{name}, a good file: {outcome}"
    for number in range(first, last):
        raw = mutate(random.Random(f"{seed} {name} {number}"), good, words.split(" "))
        outcome = attempt(raw, SECONDS)
        if outcome not in OUTCOMES:
            KEPT.mkdir(parents=True, exist_ok=True)
            (KEPT / f"{name}-{seed}-{number}").write_bytes(raw)
            print(f"{name} {number} escaped: {outcome}", file=sys.stderr, flush=True)
            outcome = "escapes"
        counts[outcome] += 1
    return counts


def in_a_process(seed: int, job: tuple[str, int, int]) -> Counter[str]:
    """Try cases in a process of their own, with little memory; TensorFlow asks for more."""
    limit = partial(resource.setrlimit, resource.RLIMIT_AS, (MEMORY, MEMORY))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, None if job[0] == "networks" else limit) as alone:
        return alone.submit(try_many, *job, seed).result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help=f"of: {', '.join(TARGETS)}")
    parser.add_argument("--cases", type=int, default=CASES, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made, table = provenance(ROOT), {}
    jobs = []
    for name in options.targets or TARGETS:
        table[name] = dict.fromkeys(OUTCOMES, 0)
        cases = math.ceil(options.cases * TARGETS[name][3])
        jobs += [(name, first, min(first + CHUNK, cases)) for first in range(0, cases, CHUNK)]
    with ThreadPoolExecutor(processors()) as pool:
        tried = pool.map(partial(in_a_process, options.seed), jobs)
        for (name, *_), counts in zip(jobs, tried, strict=True):
            table[name] = {key: table[name][key] + counts[key] for key in OUTCOMES}
    total = {key: sum(row[key] for row in table.values()) for key in OUTCOMES}
    print(*table.items(), total, sep="\n")
    if options.cases >= CASES and not options.targets:
        total["cases"] = sum(total.values())
        record = {"targets": table, "total": total, "seed": options.seed, "provenance": made}
        write_record(RESULTS / "fuzz.json", record)
    return 1 if total["escapes"] else 0


if __name__ == "__main__":
    sys.exit(main())
