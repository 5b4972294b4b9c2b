"""The built site, for the tests that read it. It is built beforehand: `digits site`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from site_files import HTML, ROOT

# The site's own Sphinx extensions, tested here without Sphinx around them.
sys.path.append(str(ROOT / "book" / "_ext"))


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the built site."""
    if not (HTML / "index.html").is_file():
        pytest.fail(
            "_build/html holds no site to test; run `make book` (or `digits site`)", pytrace=False
        )
    return HTML


@pytest.fixture(scope="session")
def repository() -> dict[str, str]:
    """Where the repository is, by _config.yml: ``url``, ``name`` (owner/name) and ``branch``."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    url = config["repository"]["url"]
    name = url.removeprefix("https://github.com/")
    return {"url": url, "name": name, "branch": config["repository"]["branch"]}
