"""Feed hostile input to everything that reads a file, and record the outcome.

    python scripts/fuzz.py                        # every reader, about a quarter of an hour
    python scripts/fuzz.py csv zip --cases 20000  # only these; the record keeps the others
    python scripts/fuzz.py csv --cases 500        # fewer than a record takes: nothing is written

`tests/fuzzing` makes the cases and defines what is right. Each reader runs in its own process with
a time limit a case and, without TensorFlow, a memory limit. A case that escapes is shrunk and kept
in `_build/fuzz`; the exit code is then 1. Writes results/fuzz.json, but not with fewer than the
default 10,000 cases.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

from digit_utils.files import json_bytes, write_atomically
from digit_utils.provenance import processors, provenance

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "results" / "fuzz.json"
KEPT = ROOT / "_build" / "fuzz"
CASES = 10_000  # of each reader; slow ones get fewer
MEMORY = 4 << 30  # bytes of addresses; pyarrow and its threads ask for far more than they use
READERS = ("hypothesis", "pyyaml", "pyarrow", "nbformat")
sys.path.insert(0, str(ROOT / "tests"))


def fuzz(target: Any, cases: int, seed: int, kept: Path) -> dict[str, Any]:
    """Try cases of one target; write those that escape to the folder `kept`.

    Returns ``cases``, ``accepted``, ``refused``, ``escapes`` (different ones; hypothesis stops at
    the first few), ``seconds``, ``slowest_ms`` and ``limit_s``.
    """
    import hypothesis
    from fuzzing import Escape, try_case

    counts: Counter[str] = Counter()
    slowest = 0.0
    escaped: dict[str, str] = {}

    # Memory instead of a disk, where there is some: what is tested is reading, not flushing.
    ram = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=ram) as temporary:
        folder = Path(temporary) / "work"
        folder.mkdir()

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=cases,
            database=None,
            deadline=None,
            report_multiple_bugs=True,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(target.cases)
        def attempt(case: Any) -> None:
            nonlocal slowest
            started = time.perf_counter()
            try:
                outcome = try_case(target, case, folder)
            except Escape as error:
                # Shrinking comes by here as well: the smallest case of a kind is written last.
                where = traceback.extract_tb((error.__cause__ or error).__traceback__)[-1]
                kind = f"{type(error.__cause__ or error).__name__}-{where.name}-{where.lineno}"
                kind = re.sub(r"[^\w-]", "", kind)  # <lambda>
                escaped[kind] = f"{error!s:.500}"
                kept.mkdir(parents=True, exist_ok=True)
                text = f"{error}\n\n{_written(case)}\n".encode("utf-8", "backslashreplace")
                (kept / f"{target.name}-{kind}.txt").write_bytes(text)
                raise
            counts[outcome] += 1
            slowest = max(slowest, time.perf_counter() - started)

        started = time.perf_counter()
        try:
            attempt()
        except Exception as error:  # hypothesis gathers several in a group of its own
            if not escaped:
                raise
            print(f"{target.name}: {error}", file=sys.stderr)
    for text in escaped.values():
        print(f"{target.name} escaped: {text}", file=sys.stderr)
    return {
        "cases": sum(counts.values()) + len(escaped),
        "accepted": counts["accepted"],
        "refused": counts["refused"],
        "escapes": len(escaped),
        "seconds": round(time.perf_counter() - started, 1),
        "slowest_ms": round(1000 * slowest),
        "limit_s": target.seconds,
    }


def _written(case: Any) -> str:
    """Return the repr of a case, whose numbers may have more digits than Python writes."""
    most = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return repr(case)
    finally:
        sys.set_int_max_str_digits(most)


def _in_this_process(name: str, cases: int, seed: int) -> int:
    """Fuzz one target, and print the outcome as JSON."""
    from fuzzing import all_targets

    warnings.simplefilter("ignore")  # broken Python and strange arrays make Python and NumPy talk
    target = all_targets()[name]
    if target.memory_limit:
        try:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        except (ImportError, ValueError):
            pass  # Windows has none
    print(json.dumps(fuzz(target, cases, seed, KEPT)))
    return 0


def main() -> int:
    """Fuzz the requested targets, and record the counts."""
    from fuzzing import all_targets

    targets = all_targets()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(targets)}")
    parser.add_argument("--cases", type=int, default=CASES, help="of each; slow ones get fewer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=processors(), help="readers at a time")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.targets) - set(targets)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if options.inside:
        return _in_this_process(options.targets[0], options.cases, options.seed)
    made = provenance(ROOT)
    made["versions"] |= {name: version(name) for name in READERS}
    record = json.loads(RECORD.read_bytes()) if RECORD.is_file() else {"targets": {}}
    bad = False
    seed = options.seed
    with ThreadPoolExecutor(options.jobs) as pool:
        asked = {
            pool.submit(_in_a_process, name, round(options.cases * targets[name].share), seed):
                name
            for name in options.targets or targets
        }  # fmt: skip
        for done in as_completed(asked):
            name, found = asked[done], done.result()
            print(f"{name}: {json.dumps(found)}", flush=True)
            bad = bad or found["escapes"] > 0
            found |= {"seed": seed, "commit": made["commit"], "date": made["date"]}
            record["targets"][name] = found
            if options.cases >= CASES:
                _write(record, list(targets), made)
    if options.cases < CASES:
        print(f"Not recorded: fewer than {CASES:,} cases.")
    else:
        print(f"total: {json.dumps(record['total'])}")
    return 1 if bad else 0


def _in_a_process(name: str, cases: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, __file__, name, "--cases", str(max(1, cases)), "--inside"]
    done = subprocess.run(
        [*command, "--seed", str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:  # killed by its own watch: a reader that never came back
        raise SystemExit(f"{name}: ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _write(record: dict[str, Any], names: list[str], made: dict[str, Any]) -> None:
    """Write the record with targets in their own order, sums and provenance."""
    record["targets"] = {
        name: record["targets"][name] for name in names if name in record["targets"]
    }
    record["total"] = {
        key: sum(found[key] for found in record["targets"].values())
        for key in ("cases", "accepted", "refused", "escapes")
    }
    record["provenance"] = made
    write_atomically(RECORD, json_bytes(record))


if __name__ == "__main__":
    sys.exit(main())
