"""The pip part of environment.yml, installed with pip itself as conda would.

With ``DIGITS_RECORD=1`` what was measured goes to ``results/environment.json``.
"""

import os
import re
import sys
import time

import yaml
from helpers import ROOT, keep_in_record, must


def test_the_pip_part_installs_and_the_chapters_are_found(tmp_path):
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    (lines,) = [d["pip"] for d in yaml.safe_load(text)["dependencies"] if isinstance(d, dict)]
    # Conda puts these lines into a file beside environment.yml, and gives that to pip.
    listed = ROOT / f".environment-{os.getpid()}.txt"
    own = re.search(r"^#   (pip install .*)$", text, re.M)[1].split()
    must([sys.executable, "-m", "venv", tmp_path / "venv"])
    bin_ = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, start = bin_ / "python", time.monotonic()
    try:
        listed.write_text("\n".join(lines) + "\n")
        must([python, "-m", "pip", "install", "-q", "-U", "-r", listed])
    finally:
        listed.unlink()
    seconds = time.monotonic() - start
    must([python, "-m", *own])
    must([python, "-m", "pip", "check"])
    assert "Every .ipynb equals its .py." in must([bin_ / "digits", "sync", "--check"])
    frozen = must([python, "-m", "pip", "freeze", "--exclude-editable"])
    installed = {
        f"{re.sub('[._]', '-', name.lower())}=={version}"
        for name, version in re.findall(r"^([^=\s]+)==(.+)$", frozen, re.M)
    }
    lock = (ROOT / "requirements.lock").read_text()
    locked = re.findall(r"^([a-z0-9][^\s;\[]*)(?:\[.*\])?(==[^\s;\\]+)", lock, re.M)
    assert installed <= {f"{name}{pin}" for name, pin in locked}
    keep_in_record(
        "environment.json",
        command=f"pip install {' '.join(lines)}",
        exit_code=0,
        packages=len(installed),
        seconds=round(seconds, 1),
    )
