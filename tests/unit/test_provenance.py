"""Where, when and with what something was measured."""

import subprocess

from digit_utils.provenance import provenance


def test_a_commit_is_named_and_a_change_since_marked(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.check_output(command, cwd=tmp_path, text=True).strip()

    git("init", "--quiet")
    assert provenance(tmp_path)["commit"] is None
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message=first")
    git("tag", "v1")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "untracked").touch()
    assert provenance(tmp_path)["commit"] == commit
    (tmp_path / "file").write_text("two")
    assert provenance(tmp_path)["commit"] == commit + "+"
