"""Make the data of *Draw a digit* readable for a page that is opened from a folder.

Browsers let a page at ``file://`` run scripts but not fetch data. So beside every ``.bin`` of
``_static/draw`` the site has a script with the same bytes in base64. Git keeps only the ``.bin``.
"""

import base64
import json
from pathlib import Path

from sphinx.application import Sphinx


def write_scripts(app: Sphinx, exception: Exception | None) -> None:
    """Write scripts that leave a file's bytes in ``digitsBook.offlineData[name]``."""
    if exception is not None or app.builder.format != "html":
        return
    for path in sorted((Path(app.outdir) / "_static" / "draw").glob("*.bin")):
        text = base64.b64encode(path.read_bytes()).decode("ascii")
        path.with_name(f"{path.name}.js").write_text(
            "(window.digitsBook = window.digitsBook || {}).offlineData = Object.assign("
            f"digitsBook.offlineData || {{}}, {json.dumps({path.name: text})});\n",
            encoding="ascii",
        )


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
