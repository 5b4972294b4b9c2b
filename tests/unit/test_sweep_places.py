"""A sweep may keep its runs at an address, and have them run by the workers of Ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

import boto3
import pytest
from moto.server import ThreadedMotoServer
from runner_books import SQUARE, digits, make_book, start_digits, sweep_file

from digits_cli.errors import RunnerError, UsageError
from digits_cli.sweep import Place

TEXT = "chapter: 01\ngrid: {EPOCHS: [1, 99]}\nseeds: [2, 3]\nmetric: square\n"


@pytest.fixture(scope="module")
def s3():
    """A server that speaks S3, and a bucket on it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    before = dict(os.environ)
    os.environ.update(names)
    client = boto3.client("s3")
    client.create_bucket(Bucket="digits")
    yield client
    os.environ.clear()
    os.environ.update(before)
    server.stop()


def keys(client, prefix):
    listed = client.list_objects_v2(Bucket="digits", Prefix=prefix).get("Contents", [])
    return {entry["Key"].removeprefix(prefix): entry["LastModified"] for entry in listed}


def text_of(client, key):
    return client.get_object(Bucket="digits", Key=key)["Body"].read().decode()


def test_runs_can_be_kept_in_s3_and_gone_on_with(s3, tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, TEXT)
    command = ("sweep", "sweep.yaml", "--out", "s3://digits/first")
    done = digits(root, *command, "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs are good" in done.stdout
    assert "s3://digits/first/report.html" in done.stdout
    found = keys(s3, "first/")
    assert sum(name.endswith("/run.json") for name in found) == 4
    assert sum(name.endswith("/01_square.ipynb") for name in found) == 2
    assert sum(name.endswith("/01_square.failed.ipynb") for name in found) == 2
    report = text_of(s3, "first/report.html")
    for link in re.findall('href="([^"#]+)"', report):
        assert link in found
    assert text_of(s3, "first/runs.csv").splitlines()[0].startswith("run,status,")

    again = digits(root, *command)  # the failed ones alone
    assert "2 of 4 runs are finished already" in again.stderr
    later = keys(s3, "first/")
    assert later.keys() == found.keys()
    for name in found:
        if name.endswith("/01_square.ipynb"):
            assert later[name] == found[name]


def test_killed_while_it_writes_to_s3_it_goes_on(s3, tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, "chapter: 01\nconstants: {EPOCHS: 1}\nseeds: [0, 1, 2, 3]\n")
    command = ("sweep", "sweep.yaml", "--out", "s3://digits/killed")
    process = start_digits(root, *command)

    def records():
        names = [name for name in keys(s3, "killed/") if name.endswith("/run.json")]
        return {name: text_of(s3, f"killed/{name}") for name in names}

    while len(records()) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    before = records()
    done = digits(root, *command)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} of 4 runs are finished already" in done.stderr
    after = records()
    assert before.items() <= after.items()
    results = sorted(json.loads(text)["results"]["square"] for text in after.values())
    assert results == [0, 1, 4, 9]


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("s3://nobody/sweep", "s3://nobody/sweep cannot be written (.*check the name"),
        ("gs://digits/sweep", "cannot be written"),
        ("ftp://digits/sweep", "cannot be written"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_before_anything_runs(s3, tmp_path, out, says):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, TEXT)
    done = digits(root, "sweep", "sweep.yaml", "--out", out)
    assert done.returncode == 1
    assert re.search(says.replace("(", r"\("), done.stderr), done.stderr
    assert "Traceback" not in done.stderr and "[1/4]" not in done.stderr


def test_a_run_that_could_not_be_copied_is_copied_later_and_not_run_again(s3, tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
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
    (local,) = (root / "_build/sweeps").iterdir()
    kept = {path: path.stat().st_mtime_ns for path in local.glob("*/run.json")}
    assert len(kept) == 3
    done = digits(root, "sweep", "sweep.yaml", "--out", "s3://digits/later")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 runs are finished already" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    found = keys(s3, "later/")
    assert sum(name.endswith("/run.json") for name in found) == 3
    assert sum(name.endswith("/01_square.ipynb") for name in found) == 3


RECORDS = {
    status: {
        "format": 1, "run": "abc", "status": status, "notebook": None, "seconds": 1.5,
        "parameters": {}, "results": {},
    }
    for status in ("ok", "failed")
}  # fmt: skip


@pytest.mark.parametrize("good", ["here", "there"])
def test_a_good_record_wins_from_whichever_side(s3, tmp_path, good):
    place = Place(f"s3://digits/{good}", tmp_path / "sweep")
    ours, theirs = ("ok", "failed") if good == "here" else ("failed", "ok")
    (place.start("abc") / "run.json").write_text(json.dumps(RECORDS[ours]))
    body = json.dumps(RECORDS[theirs]).encode()
    s3.put_object(Bucket="digits", Key=f"{good}/abc/run.json", Body=body)
    (run,) = place.runs({"abc": {}})
    assert run.record == RECORDS["ok"]
    for name in ("runs.csv", "report.html"):
        (place.folder / name).write_text("x")
    place.copy([run], "runs.csv", "report.html")
    assert json.loads(text_of(s3, f"{good}/abc/run.json")) == RECORDS["ok"]


def test_two_addresses_do_not_share_their_runs(tmp_path):
    places = [Place(f"s3://digits/{name}", tmp_path / "sweep") for name in "ab"]
    assert len({place.folder for place in places} | {tmp_path / "sweep"}) == 3
    with pytest.raises(UsageError, match="a web server keeps no folders"):
        Place("https://example.org/sweep", tmp_path)


def test_a_record_that_cannot_be_read_is_not_taken_for_missing(s3, tmp_path, monkeypatch):
    from papermill import iorw

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


def test_without_its_package_the_line_to_install_it_is_shown(tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, TEXT)
    code = (
        "import sys; sys.modules['boto3'] = None; from digits_cli.cli import main; "
        "sys.exit(main(['sweep', 'sweep.yaml', '--out', 's3://digits/x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'papermill[s3]'" in done.stderr


def test_workers_of_ray_bring_back_what_a_run_leaves(tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, TEXT)
    done = digits(root, "sweep", "sweep.yaml", "--engine", "ray", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs are good" in done.stdout
    assert "ninety-nine" in done.stderr
    out = root / "_build/sweeps/sweep"
    assert len(list(out.glob("*/01_square.ipynb"))) == 2
    assert len(list(out.glob("*/01_square.failed.ipynb"))) == 2
    # What one engine has finished, the other takes for finished.
    again = digits(root, "sweep", "sweep.yaml")
    assert "2 of 4 runs are finished already" in again.stderr


def test_an_address_needs_the_ray_engine(tmp_path):
    root = make_book(tmp_path, c01_square=SQUARE)
    sweep_file(root, TEXT)
    done = digits(root, "sweep", "sweep.yaml", "--address", "127.0.0.1:1")
    assert done.returncode == 2
    done = digits(root, "sweep", "sweep.yaml", "--engine", "ray", "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert "the cluster at 127.0.0.1:1 cannot be used" in done.stderr
