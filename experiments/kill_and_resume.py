"""Kill a search and a sweep at random moments, resume them, and check that nothing is lost.

After each kill, files finished before must be unchanged and every file readable; the final result
must equal that of an undisturbed run.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digit_utils.provenance import provenance
from experiments import RESULTS, ROOT, make_book, write_record

SEARCH = """
import time
from functools import partial
from hyperopt import hp, tpe

SPACE = {"rate": hp.uniform("rate", 0, 1), "units": hp.choice("units", [128, 256, 512])}
ALGORITHM = partial(tpe.suggest, n_startup_jobs=10)

def objective(settings):
    time.sleep(0.05)
    return settings["rate"] + 1 / settings["units"]
"""
CODE = """
import time
from digit_utils.results import report

time.sleep(0.2)
report("done", square=float(SEED**2))
"""
KINDS = {  # the command, the files it leaves, and what in them must not depend on the kills
    "search": (
        "search search.py --trials {trials} --out",
        "trial_*.json",
        ("number", "parameters", "seed", "status", "loss"),
    ),
    "sweep": (
        "sweep sweep.yaml --jobs 2 --out",
        "*/run.json",
        ("run", "parameters", "status", "results"),
    ),
}
GOOD = {"lost_or_changed": 0, "unreadable": 0, "equal_to_the_undisturbed": True}


@contextmanager
def killed_at_the_end(command: list[str], book: Path) -> Iterator[subprocess.Popen]:
    """Run a command quietly during the block; it must still be running at its end."""
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=book, stdout=silent, stderr=silent)
    yield process
    if process.poll() is not None:
        raise SystemExit(f"it ended before it was killed; give it more to do: {command}")
    process.kill()
    process.wait()


def is_json(content: bytes) -> bool:
    try:
        return json.loads(content) is not None
    except ValueError:
        return False


def kill_often(kind: str, book: Path, kills: int, chance: random.Random) -> dict:
    """Start and kill `kills` times, run to the end, and compare with an undisturbed run.

    The delay is drawn from 0 to 1.5 times what the first result takes, so that some kills hit the
    start and others the work.
    """
    arguments, pattern, compared = KINDS[kind]
    killed, whole = book / f"{kind}_killed", book / f"{kind}_whole"
    words = arguments.format(trials=20 * kills).split()
    command = [sys.executable, "-m", "digits_cli", *words, str(killed)]

    def finished(folder: Path) -> dict[str, bytes]:
        found = sorted(folder.glob(pattern))
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}

    def outcomes(folder: Path) -> list:
        found = map(json.loads, finished(folder).values())
        return [[values[name] for name in compared] for values in found]

    started = time.monotonic()
    with killed_at_the_end(command, book) as process:
        while not finished(killed) and process.poll() is None:
            time.sleep(0.01)
    longest = 1.5 * (time.monotonic() - started)
    known = finished(killed)
    counts = {"kills_while_it_worked": 0, "lost_or_changed": 0, "unreadable": 0}
    for done in range(kills):
        with killed_at_the_end(command, book):
            time.sleep(chance.uniform(0, longest))
        found = finished(killed)
        counts["kills_while_it_worked"] += len(found) > len(known)
        counts["lost_or_changed"] += sum(found.get(name) != known[name] for name in known)
        counts["unreadable"] += sum(not is_json(content) for content in found.values())
        print(f"{kind}, kill {done + 1}: {len(found)} finished", file=sys.stderr, flush=True)
        known = found
    for folder in (killed, whole):
        command[-1] = str(folder)
        subprocess.run(command, cwd=book, check=True, capture_output=True)
    return {
        "kills": kills,
        **counts,
        "finished_when_killed_last": len(known),
        "finished_at_the_end": len(finished(killed)),
        "equal_to_the_undisturbed": outcomes(killed) == outcomes(whole),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    chance, made = random.Random(options.seed), provenance(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        book = Path(scratch)
        sweep = f"chapter: 01\nseeds: {list(range(4 * options.kills + 4))}\n"
        files = {"search.py": SEARCH, "sweep.yaml": sweep}
        make_book(book, files, "SEED: int = 0  # to be squared\n", CODE)
        result = {kind: kill_often(kind, book, options.kills, chance) for kind in KINDS}
    record = {**result, "seed": options.seed, "provenance": made}
    write_record(RESULTS / "kill_and_resume.json", record)
    print(json.dumps(result, indent=2))
    good = (found["kills_while_it_worked"] and found | GOOD == found for found in result.values())
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
