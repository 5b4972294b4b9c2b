"""Kill a search and a sweep at random moments, resume them, and check that nothing is lost.

    python scripts/kill_and_resume.py            # 30 kills each, five to ten minutes

After each kill, files finished before must be unchanged and every file readable; the final result
must equal that of an undisturbed run. `make test` does this with fewer kills; this script writes
results/kill_and_resume.json.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from digit_utils.io import json_bytes, write_atomically
from digit_utils.provenance import provenance
from digits_cli.book import list_chapters
from digits_cli.pairing import sync_pair

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "results" / "kill_and_resume.json"

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


def seconds_to_the_first(
    command: list[str], cwd: Path, finished: Callable[[], dict[str, bytes]]
) -> float:
    """Start, kill as soon as something is finished, and return the seconds until then."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not finished():
        if process.poll() is not None or time.monotonic() - start > 300:
            process.kill()
            raise SystemExit(f"nothing was finished by {' '.join(command)}")
        time.sleep(0.01)
    seconds = time.monotonic() - start
    process.kill()
    process.wait()
    return seconds


def kill_often(
    command: list[str],
    cwd: Path,
    finished: Callable[[], dict[str, bytes]],
    kills: int,
    chance,
) -> dict:
    """Start, kill and check `kills` times, then let it run to its end.

    The delay is drawn from 0 to 1.5 times what the first result takes, so that some kills hit the
    start and others the work.
    """
    longest = 1.5 * seconds_to_the_first(command, cwd, finished)
    known = finished()
    lost = unreadable = done = between = 0
    while done < kills:
        process = subprocess.Popen(
            command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0, longest))
        if process.poll() is not None:
            raise SystemExit(f"it came to its end after {done} kills; give it more to do")
        process.kill()
        process.wait()
        done += 1
        found = finished()
        lost += sum(found.get(name) != content for name, content in known.items())
        for content in found.values():
            try:
                json.loads(content)
            except ValueError:
                unreadable += 1
        between += len(found) > len(known)
        print(f"kill {done}: {len(found)} finished", file=sys.stderr, flush=True)
        known = found
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    return {
        "kills": done,
        "kills_while_it_worked": between,
        "finished_when_killed_last": len(known),
        "finished_at_the_end": len(finished()),
        "lost_or_changed": lost,
        "unreadable": unreadable,
    }


def outcomes(folder: Path, pattern: str, names: tuple[str, ...]) -> list:
    """Return what must not depend on the kills, of all files that match."""
    found = [json.loads(path.read_bytes()) for path in sorted(folder.glob(pattern))]
    return [[values[name] for name in names] for values in found]


def main() -> int:
    """Disturb both, and record the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    digits = [sys.executable, "-m", "digits_cli"]
    made = provenance(ROOT)
    result = {}
    with tempfile.TemporaryDirectory() as scratch:
        book = Path(scratch)
        (book / "notebooks").mkdir()
        (book / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
        (book / "notebooks" / "01_waits.py").write_text(CHAPTER)
        sync_pair(list_chapters(book)[0])
        (book / "search.py").write_text(SEARCH)
        seeds = ", ".join(str(seed) for seed in range(2 * options.kills + 4))
        (book / "sweep.yaml").write_text(f"chapter: 01\nseeds: [{seeds}]\n")
        for kind, pattern, names, arguments in (
            (
                "search",
                "trial_*.json",
                ("number", "parameters", "seed", "status", "loss"),
                ["search", "search.py", "--trials", str(20 * options.kills), "--folder"],
            ),
            (
                "sweep",
                "*/run.json",
                ("run", "parameters", "status", "results"),
                ["sweep", "sweep.yaml", "--jobs", "2", "--out"],
            ),
        ):
            killed, whole = book / f"{kind}_killed", book / f"{kind}_whole"

            def finished(folder: Path = killed, pattern: str = pattern) -> dict[str, bytes]:
                return {
                    str(path.relative_to(folder)): path.read_bytes()
                    for path in folder.glob(pattern)
                }

            command = [*digits, *arguments]
            result[kind] = kill_often(
                [*command, str(killed)], book, finished, options.kills, chance
            )
            subprocess.run([*command, str(whole)], cwd=book, check=True, capture_output=True)
            result[kind]["equal_to_the_undisturbed"] = outcomes(killed, pattern, names) == outcomes(
                whole, pattern, names
            )
    record = {**result, "seed": options.seed, "provenance": made}
    write_atomically(RECORD, json_bytes(record))
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
