"""Make the data of *Draw a digit* readable for a page that is opened from a folder.

Browsers let a page at ``file://`` run scripts but not fetch data. So the build writes beside
every ``.bin`` of ``_static/draw`` a script with the same bytes as text. Git keeps only the
``.bin``.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from sphinx.application import Sphinx


def as_script(name: str, data: bytes) -> str:
    """Return a script that leaves ``data`` in ``digitsBook.offlineData[name]``, in base64."""
    text = base64.b64encode(data).decode("ascii")
    return (
        "(window.digitsBook = window.digitsBook || {}).offlineData = Object.assign("
        f"digitsBook.offlineData || {{}}, {{{json.dumps(name)}: {json.dumps(text)}}});\n"
    )


def write_scripts(app: Sphinx, exception: Exception | None) -> None:
    """Write a script for every data file of the built site."""
    if exception is not None or app.builder.format != "html":
        return
    for path in sorted((Path(app.outdir) / "_static" / "draw").glob("*.bin")):
        script = path.with_name(f"{path.name}.js")
        script.write_text(as_script(path.name, path.read_bytes()), encoding="ascii")


def setup(app: Sphinx) -> dict:
    """Write the scripts when everything else is there."""
    app.connect("build-finished", write_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
