"""Feed damaged input to everything that reads what people hand to the book.

Each case is a good file, damaged at random. It is accepted, and what was read holds by other means,
or it is refused with our own error. Anything else escapes, and is kept in `_build/fuzz`: a stray
exception, a wrong reading, more than two seconds' work, a file half written.
"""

import argparse
import contextlib
import faulthandler
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
from pathlib import Path

from digit_utils.provenance import processors, provenance
from experiments import RESULTS, ROOT, write_files, write_record
from experiments.fuzz_targets import TARGETS, good_files

CASES, CHUNK = 100_000, 4_000  # of all readers together; what one process tries
SECONDS, MEMORY = 2, 4 << 30  # a case; bytes of addresses, of which pyarrow asks for many
OUTCOMES = ("accepted", "refused", "escapes")
OURS = ("Refused", "ArtifactError", "DigitDataError", "ShippedModelError")


def mutate(chance: random.Random, good: bytes, odd: str) -> bytes:
    """Replace some words or bytes by odd ones, others, flipped ones, none or two; or cut off."""
    raw, words = good, b"\0" not in good and chance.random() < 0.8
    for _ in range(chance.choice((1, 1, 2, 3))):
        parts = re.findall(rb"\w+|\s+|[^\w\s]" if words else rb"[\s\S]", raw) or [b""]
        at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        end = at + chance.choice((0, 1, 1, 1, 2, other))
        here, first = parts[at:end], parts[at]
        word = chance.choice(odd.split(" ")).replace("~", " ").encode("utf-8", "surrogateescape")
        flipped = bytes(byte ^ 1 << chance.randrange(8) for byte in first[:1]) + first[1:]
        parts[at:end] = chance.choice(([word],) * 3 + ([], [flipped], [parts[other]], 2 * here))
        raw = b"".join(parts[: at if chance.random() < 0.1 else None])
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
    ending, read, odd, _ = TARGETS[name]
    (file,) = (path for path in good_files() if path.endswith(ending))
    # Memory instead of a disk, where there is some: what is tested is reading, not flushing.
    ram = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

    def attempt(raw: bytes, seconds: float) -> str:
        with tempfile.TemporaryDirectory(dir=ram) as temporary, contextlib.chdir(temporary):
            write_files(Path(temporary), good_files())
            return try_case(read, Path(temporary, file), raw, seconds)

    good, counts = good_files()[file], Counter(dict.fromkeys(OUTCOMES, 0))
    outcome = attempt(good, seconds=60)  # what is imported late is imported now
    assert outcome == "accepted", f"{name}, a good file: {outcome}"
    for number in range(first, last):
        raw = mutate(random.Random(f"{seed} {name} {number}"), good, odd)
        outcome = attempt(raw, SECONDS)
        if outcome not in OUTCOMES:
            write_files(ROOT / "_build" / "fuzz", {f"{name}-{seed}-{number}": raw})
            print(f"{name} {number} escaped: {outcome}", file=sys.stderr, flush=True)
            outcome = "escapes"
        counts[outcome] += 1
    return counts


def in_a_process(job: tuple[str, int, int, int]) -> Counter[str]:
    """Try cases in a process of their own, with little memory; TensorFlow asks for more."""
    limit = None if job[0] == "networks" else resource.setrlimit
    spawn, memory = multiprocessing.get_context("spawn"), (resource.RLIMIT_AS, (MEMORY, MEMORY))
    with ProcessPoolExecutor(1, spawn, limit, memory) as alone:
        return alone.submit(try_many, *job).result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help=f"of: {', '.join(TARGETS)}")
    parser.add_argument("--cases", type=int, default=CASES, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made, jobs, table, total = provenance(ROOT), [], {}, Counter()
    for name in options.targets or TARGETS:
        cases = max(1, round(options.cases * TARGETS[name][3]))
        for first in range(0, cases, CHUNK):
            jobs.append((name, first, min(first + CHUNK, cases), options.seed))
    with ThreadPoolExecutor(processors()) as pool:
        for (name, *_), counts in zip(jobs, pool.map(in_a_process, jobs), strict=True):
            table.setdefault(name, Counter()).update(counts)
            total.update(counts)
    print(*table.items(), total, sep="\n")
    if options.cases >= CASES and not options.targets:
        total["cases"] = sum(total.values())
        record = {"targets": table, "total": total, "seed": options.seed, "provenance": made}
        write_record(RESULTS / "fuzz.json", record)
    return 1 if total["escapes"] else 0


if __name__ == "__main__":
    sys.exit(main())
