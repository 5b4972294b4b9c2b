"""A sweep may keep its runs at an address, and have them run by the workers of Ray."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import boto3
import pytest
from moto.server import ThreadedMotoServer
from papermill import iorw
from runner_books import SQUARE, digits, make_book, sweep_file

from digits_cli.errors import RunnerError
from digits_cli.sweep import Place

TEXT = "chapter: 01\ngrid: {EPOCHS: [1, 99]}\nseeds: [2, 3]\nmetric: square\n"


@pytest.fixture(scope="module")
def s3():
    """A server that speaks S3, and a bucket on it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        client = boto3.client("s3")
        client.create_bucket(Bucket="digits")
        yield client
    server.stop()


@pytest.fixture
def root(tmp_path):
    sweep_file(make_book(tmp_path, c01_square=SQUARE), TEXT)
    return tmp_path


def keys(client, prefix):
    listed = client.list_objects_v2(Bucket="digits", Prefix=prefix).get("Contents", [])
    return {entry["Key"].removeprefix(prefix): entry["LastModified"] for entry in listed}


def text_of(client, key):
    return client.get_object(Bucket="digits", Key=key)["Body"].read().decode()


def test_runs_are_kept_in_s3_and_skipped_when_they_are_there(s3, root):
    command = ("sweep", "sweep.yaml", "--out", "s3://digits/first")
    done = digits(root, *command, "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs are good" in done.stdout
    assert "s3://digits/first/report.html" in done.stdout
    found = keys(s3, "first/")
    ends = sorted(name.partition("/")[2] for name in found if "/" in name)
    notebooks = 2 * ["01_square.failed.ipynb"] + 2 * ["01_square.ipynb"]
    assert ends == notebooks + 4 * ["run.json"]
    for link in re.findall('href="([^"#]+)"', text_of(s3, "first/report.html")):
        assert link in found
    assert text_of(s3, "first/runs.csv").splitlines()[0].startswith("run,status,")
    shutil.rmtree(root / "_build")  # as on another machine
    again = digits(root, *command)  # the failed ones alone
    assert "2 of 4 runs are finished already" in again.stderr
    later = keys(s3, "first/")
    assert later.keys() == found.keys()
    good = [name for name in found if name.endswith("/01_square.ipynb")]
    assert [later[name] for name in good] == [found[name] for name in good]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--out", "s3://nobody/x"), 1, r"s3://nobody/x cannot be written \(.*check the name"),
        (("--out", "ftp://digits/x"), 1, "cannot be written"),
        (("--out", "https://digits/x"), 2, "a web server keeps no folders"),
        (("--address", "127.0.0.1:1"), 2, "--address is for --engine ray"),
        (("--jobs", "0"), 2, "--jobs is 0, expected at least 1"),
        (
            ("--engine", "ray", "--address", "127.0.0.1:1"),
            1,
            "the cluster at 127.0.0.1:1 cannot be used",
        ),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_runs(s3, root, arguments, code, says):
    done = digits(root, "sweep", "sweep.yaml", *arguments)
    assert done.returncode == code
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr and "[1/4]" not in done.stderr


def test_without_its_package_the_line_to_install_it_is_shown(root):
    code = (
        "import sys; sys.modules['boto3'] = None; from digits_cli.cli import main; "
        "sys.exit(main(['sweep', 'sweep.yaml', '--out', 's3://digits/x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'papermill[s3]'" in done.stderr


def test_a_run_that_could_not_be_copied_is_copied_later_and_not_run_again(s3, root):
    sweep_file(root, "chapter: 01\nconstants: {EPOCHS: 1}\nseeds: [0, 1, 2]\n")
    code = """
import sys
from papermill import iorw
write, calls = iorw.S3Handler.write, []

def failing(buf, path):
    calls.append(path)
    if len(calls) > 3:  # the network is there for the first run and never again
        raise ConnectionError("the network is gone")
    return write(buf, path)

iorw.S3Handler.write = failing
from digits_cli.cli import main
sys.exit(main(["sweep", "sweep.yaml", "--out", "s3://digits/later"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is not copied yet" in done.stderr and "Traceback" not in done.stderr
    assert "[3/3]" in done.stderr  # the others are not ended
    done = digits(root, "sweep", "sweep.yaml", "--out", "s3://digits/later")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 runs are finished already" in done.stderr
    found = keys(s3, "later/")
    for name in ("/run.json", "/01_square.ipynb"):
        assert sum(key.endswith(name) for key in found) == 3


@pytest.mark.parametrize("good", ["here", "there"])
def test_a_good_record_wins_from_whichever_side(s3, tmp_path, good):
    place = Place(f"s3://digits/{good}", tmp_path / "sweep")
    assert place.folder != Place("s3://digits/another", tmp_path / "sweep").folder
    record = {"format": 1, "run": "abc", "notebook": None, "seconds": 1.5, "parameters": {}}
    succeeded, failed = ({**record, "status": status} for status in ("ok", "failed"))
    ours, theirs = (succeeded, failed) if good == "here" else (failed, succeeded)
    (place.start("abc") / "run.json").write_text(json.dumps(ours))
    body = json.dumps(theirs).encode()
    s3.put_object(Bucket="digits", Key=f"{good}/abc/run.json", Body=body)
    (run,) = place.runs({"abc": {}})
    assert run.record == succeeded
    place.copy([run])
    assert json.loads(text_of(s3, f"{good}/abc/run.json")) == succeeded


def test_a_record_that_cannot_be_read_is_not_taken_for_missing(s3, tmp_path, monkeypatch):
    place = Place("s3://digits/unread", tmp_path)
    s3.put_object(Bucket="digits", Key="unread/abc/run.json", Body=b"{}")
    s3.put_object(Bucket="digits", Key="unread/def/01_square.ipynb", Body=b"{}")
    damaged_without_or_not_there = place.runs({"abc": {}, "def": {}, "ghi": {}})
    assert [run.record for run in damaged_without_or_not_there] == [{}, {}, {}]

    def failing(path):
        raise ConnectionError("the network is gone")

    monkeypatch.setattr(iorw.S3Handler, "read", failing)
    assert [run.record for run in place.runs({"def": {}, "ghi": {}})] == [{}, {}]
    with pytest.raises(RunnerError, match="abc/run.json cannot be read .*the network is gone"):
        place.runs({"abc": {}})


def test_workers_of_ray_bring_back_what_a_run_leaves(root):
    done = digits(root, "sweep", "sweep.yaml", "--engine", "ray", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs are good" in done.stdout
    assert "ninety-nine" in done.stderr
    found = sorted(path.name for path in (root / "_build/sweeps/sweep").glob("*/*.ipynb"))
    assert found == 2 * ["01_square.failed.ipynb"] + 2 * ["01_square.ipynb"]
    # What one engine has finished, the other takes for finished.
    again = digits(root, "sweep", "sweep.yaml")
    assert "2 of 4 runs are finished already" in again.stderr
