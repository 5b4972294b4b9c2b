"""Show a page's text before its scripts have come, and fetch its figures when they are near.

Of the theme, ``book/_static/scripts`` leaves out what draws each icon a second time.
"""

import re
from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx

# All scripts of a page's head but the one that its own inline lines build on. Those within the text
# build what stands there: later they would push the rest down.
WAITED_FOR = re.compile(
    r"<script(?![^>]* (?:defer|async)\b)(?![^>]*documentation_options)(?=[^>]* src=)"
)
# The figures of the chapters. Drawings in SVG say their own size.
PICTURE = re.compile(r'<img(?![^>]* loading=)(?=[^>]* src="(?P<path>[^":]*_images/[^"]+\.png)")')


def make_lean(app: Sphinx, exception: Exception | None) -> None:
    """Defer scripts, and give pictures a size, so that the text does not jump when they come."""
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):

        def describe(tag: re.Match, folder: Path = path.parent) -> str:
            with Image.open(folder / tag["path"]) as picture:
                width, height = picture.size
            return f'<img loading="lazy" width="{width}" height="{height}"'

        head, end, body = path.read_text(encoding="utf-8").partition("</head>")
        page = WAITED_FOR.sub("<script defer", head) + end + PICTURE.sub(describe, body)
        path.write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", make_lean)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
