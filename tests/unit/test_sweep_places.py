"""A sweep may keep its runs at an address, and have them run by the workers of Ray."""

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


def test_workers_of_ray_fill_a_place_in_s3_and_what_is_there_is_skipped(s3, root):
    command = ("sweep", "sweep.yaml", "--out", "s3://digits/first")
    done = digits(root, *command, "--engine", "ray", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs are good" in done.stdout and "ninety-nine" in done.stderr
    assert "s3://digits/first/report.html" in done.stdout
    found = keys(s3, "first/")
    ends = sorted(name.partition("/")[2] for name in found if "/" in name)
    notebooks = 2 * ["01_square.failed.ipynb"] + 2 * ["01_square.ipynb"]
    assert ends == notebooks + 4 * ["run.json"]
    for link in re.findall('href="([^"#]+)"', text_of(s3, "first/report.html")):
        assert link in found
    assert text_of(s3, "first/runs.csv").splitlines()[0].startswith("run,status,")
    shutil.rmtree(root / "_build")  # as on another machine
    again = digits(root, *command)  # with the other engine
    assert "2 of 4 runs are finished already" in again.stderr
    later = keys(s3, "first/")
    assert later.keys() == found.keys()
    good = [name for name in found if name.endswith("/01_square.ipynb")]
    assert [later[name] for name in good] == [found[name] for name in good]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("sweeep.yaml", 2, "sweeep.yaml: there is no such file. Did you mean sweep.yaml"),
        ("mine.py", 2, "That is a search: digits search mine.py"),
        ("sweep.yaml --out s3://nobody/x", 1, r"nobody/x cannot be written \(.*check the name"),
        ("sweep.yaml --out https://digits/x", 2, "a web server keeps no folders"),
        ("sweep.yaml --address 127.0.0.1:1", 2, "--address is for --engine ray"),
        ("sweep.yaml --jobs 0", 2, "--jobs is 0, expected at least 1"),
        ("sweep.yaml --engine ray --address 127.0.0.1:1", 1, "cluster at 127.0.0.1:1 cannot be"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_runs(s3, root, arguments, code, says):
    (root / "mine.py").touch()
    done = digits(root, "sweep", *arguments.split())
    assert done.returncode == code
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr and "[1/4]" not in done.stderr


def sweep_after(code, root, out):
    """Sweep in a process in which some code has been run before."""
    code += "\nfrom digits_cli.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", f"import sys\n{code}", "sweep", "sweep.yaml", "--out", out]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def test_without_its_package_the_line_to_install_it_is_shown(root):
    told = sweep_after("sys.modules['boto3'] = None", root, "s3://digits/x")
    assert "pip install 'papermill[s3]'" in told


def test_a_run_that_could_not_be_copied_is_copied_later_and_not_run_again(s3, root):
    sweep_file(root, "chapter: 01\nconstants: {EPOCHS: 1}\nseeds: [0, 1, 2]\n")
    code = """
from papermill import iorw
write, calls = iorw.S3Handler.write, []

def failing(buf, path):
    calls.append(path)
    if len(calls) > 3:  # the network is there for the first run and never again
        raise ConnectionError("the network is gone")
    return write(buf, path)

iorw.S3Handler.write = failing
"""
    told = sweep_after(code, root, "s3://digits/later")
    assert "is not copied yet" in told and "Traceback" not in told
    assert "[3/3]" in told  # the others are not ended
    done = digits(root, "sweep", "sweep.yaml", "--out", "s3://digits/later")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 runs are finished already" in done.stderr
    found = keys(s3, "later/")
    for name in ("/run.json", "/01_square.ipynb"):
        assert sum(key.endswith(name) for key in found) == 3


def test_a_good_record_wins_and_one_that_cannot_be_read_is_not_taken_for_missing(
    s3, tmp_path, monkeypatch
):
    place = Place("s3://digits/both", tmp_path / "sweep")
    assert place.folder != Place("s3://digits/another", tmp_path / "sweep").folder

    def record(key, status):
        values = {"format": 1, "run": key, "notebook": None, "seconds": 1.5, "parameters": {}}
        return json.dumps({**values, "status": status})

    objects = {"damaged/run.json": "{}", "begun/01_square.ipynb": "{}"}
    for key, here, there in (("ours", "ok", "failed"), ("theirs", "failed", "ok")):
        (place.start(key) / "run.json").write_text(record(key, here))
        objects[f"{key}/run.json"] = record(key, there)
    for name, text in objects.items():
        s3.put_object(Bucket="digits", Key=f"both/{name}", Body=text.encode())
    runs = place.runs(dict.fromkeys(["ours", "theirs", "damaged", "begun", "unheard"], {}))
    assert [run.record.get("status") for run in runs] == ["ok", "ok", None, None, None]
    place.copy(runs)
    for key in ("ours", "theirs"):
        assert json.loads(text_of(s3, f"both/{key}/run.json")) == json.loads(record(key, "ok"))

    def failing(path):
        raise ConnectionError("the network is gone")

    monkeypatch.setattr(iorw.S3Handler, "read", failing)
    assert [run.record for run in place.runs({"begun": {}, "unheard": {}})] == [{}, {}]
    with pytest.raises(RunnerError, match="ours/run.json cannot be read .*the network is gone"):
        place.runs({"ours": {}})
