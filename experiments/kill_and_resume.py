"""Kill a search and a sweep at random moments, resume them, and check that nothing is lost.

After each kill, files finished before must be unchanged and every file readable; the final result
must equal that of an undisturbed run. `make test` does this with fewer kills.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from digit_utils.provenance import provenance
from digits_cli.book import list_chapters
from digits_cli.pairing import sync_pair
from experiments import RESULTS, ROOT, write_record

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

CHAPTER = """# %% [markdown]
# # A chapter that waits

# %% tags=["parameters"]
SEED: int = 0  # of nothing

# %%
import time
from digit_utils.results import report

time.sleep(0.2)
report("done", square=float(SEED**2))
"""
# What is finished of each, and what must not depend on the kills.
FINISHED = {"search": "trial_*.json", "sweep": "*/run.json"}
COMPARED = {
    "search": ("number", "parameters", "seed", "status", "loss"),
    "sweep": ("run", "parameters", "status", "results"),
}


def start(command: list[str], book: Path) -> subprocess.Popen:
    """Start a command in the book's folder, and keep it quiet."""
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=book, stdout=silent, stderr=silent)


def kill(process: subprocess.Popen, done: int) -> None:
    """Kill a process that must still be running."""
    if process.poll() is not None:
        raise SystemExit(f"it came to its end after {done} kills; give it more to do")
    process.kill()
    process.wait()


def is_json(content: bytes) -> bool:
    try:
        return json.loads(content) is not None
    except ValueError:
        return False


def kill_often(kind: str, command: list[str], book: Path, kills: int, chance: Any) -> dict:
    """Start and kill `kills` times, run to the end, and compare with an undisturbed run.

    The delay is drawn from 0 to 1.5 times what the first result takes, so that some kills hit the
    start and others the work.
    """
    killed, whole = book / f"{kind}_killed", book / f"{kind}_whole"

    def finished(folder: Path) -> dict[str, bytes]:
        found = sorted(folder.glob(FINISHED[kind]))
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}

    def outcomes(folder: Path) -> list:
        found = map(json.loads, finished(folder).values())
        return [[values[name] for name in COMPARED[kind]] for values in found]

    started = time.monotonic()
    process = start([*command, str(killed)], book)
    while not finished(killed) and process.poll() is None and time.monotonic() < started + 300:
        time.sleep(0.01)
    longest = 1.5 * (time.monotonic() - started)
    kill(process, 0)
    known = finished(killed)
    if not known:
        raise SystemExit(f"nothing was finished by {' '.join(command)}")
    counts = {"kills_while_it_worked": 0, "lost_or_changed": 0, "unreadable": 0}
    for done in range(kills):
        process = start([*command, str(killed)], book)
        time.sleep(chance.uniform(0, longest))
        kill(process, done)
        found = finished(killed)
        counts["kills_while_it_worked"] += len(found) > len(known)
        counts["lost_or_changed"] += sum(found.get(name) != known[name] for name in known)
        counts["unreadable"] += sum(not is_json(content) for content in found.values())
        print(f"{kind}, kill {done + 1}: {len(found)} finished", file=sys.stderr, flush=True)
        known = found
    for folder in (killed, whole):
        subprocess.run([*command, str(folder)], cwd=book, check=True, capture_output=True)
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
    chance = random.Random(options.seed)
    digits = [sys.executable, "-m", "digits_cli"]
    commands = {
        "search": ["search", "search.py", "--trials", str(20 * options.kills), "--folder"],
        "sweep": ["sweep", "sweep.yaml", "--jobs", "2", "--out"],
    }
    made = provenance(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        book = Path(scratch)
        (book / "notebooks").mkdir()
        (book / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
        (book / "notebooks" / "01_waits.py").write_text(CHAPTER)
        sync_pair(list_chapters(book)[0])
        (book / "search.py").write_text(SEARCH)
        seeds = list(range(2 * options.kills + 4))
        (book / "sweep.yaml").write_text(f"chapter: 01\nseeds: {seeds}\n")
        result = {
            kind: kill_often(kind, [*digits, *command], book, options.kills, chance)
            for kind, command in commands.items()
        }
    record = {**result, "seed": options.seed, "provenance": made}
    write_record(RESULTS / "kill_and_resume.json", record)
    print(json.dumps(result, indent=2))
    good = all(
        kind["kills_while_it_worked"]
        and not kind["lost_or_changed"]
        and not kind["unreadable"]
        and kind["equal_to_the_undisturbed"]
        for kind in result.values()
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
