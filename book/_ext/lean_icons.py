"""Ship the dozen icons that the pages show, not the two thousand of the theme's icon set.

The theme loads all of Font Awesome twice: as a script of half a megabyte (compressed), and as
fonts of a quarter. The fonts alone draw the same icons, and cut down to those in use they weigh a
few kilobytes. Both are replaced when the site is written, so nothing of it is in the repository.
"""

from __future__ import annotations

import re
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

FONTS = Path("_static/vendor/fontawesome/webfonts")
STYLES = Path("_static/styles")
SCRIPTS = Path("_static/scripts")
ICON_SCRIPT = SCRIPTS / "fontawesome.js"
# ".fa-search:before,.fa-magnifying-glass:before{content:"\f002"}"
RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"(\\?[^"]+)"\}')
# Icons that the theme's own rules draw: "--pst-icon-angle-right:"\f105""
VARIABLE = re.compile(r'--pst-icon-[\w-]+:\s*"\\([0-9a-f]+)"')


def codepoint(content: str) -> int:
    r"""Return the character a CSS ``content`` names: ``\f002`` or the character itself."""
    return int(content[1:], 16) if content.startswith("\\") else ord(content[0])


def icons_in_use(css: str, texts: list[str]) -> set[int]:
    """Find the characters that pages or the theme's own rules draw.

    Parameters
    ----------
    css : str
        The theme's style sheets.
    texts : list of str
        Pages and scripts, which name icons as classes (``fa-github``).

    Returns
    -------
    set of int
        Unicode codepoints in Font Awesome's fonts.
    """
    named = set().union(*(re.findall(r"\bfa-[a-z0-9-]+", text) for text in texts))
    found = {int(code, 16) for code in VARIABLE.findall(css)}
    for selectors, content in RULE.findall(css):
        if named & set(re.findall(r"fa-[\w-]+", selectors)):
            found.add(codepoint(content))
    return found


def shrink_font(path: Path, characters: set[int]) -> None:
    """Rewrite a font with these characters alone."""
    flavor = "woff2" if path.suffix == ".woff2" else None
    options = subset.Options(flavor=flavor, layout_features=[], notdef_outline=True)
    font = subset.load_font(str(path), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    subset.save_font(font, str(path), options)


def shrink_icons(app: Sphinx, exception: Exception | None) -> None:
    """Replace the icon script by nothing, and the fonts by what is in use."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [path for path in out.rglob("*.html") if "_static" not in path.relative_to(out).parts]
    scripts = [path for path in (out / SCRIPTS).glob("*.js") if path.name != ICON_SCRIPT.name]
    texts = [path.read_text(encoding="utf-8") for path in pages + scripts]
    css = "".join(path.read_text(encoding="utf-8") for path in (out / STYLES).glob("*.css"))
    characters = icons_in_use(css, texts)
    fonts = sorted((out / FONTS).glob("fa-*"))
    if not characters or not fonts or not (out / ICON_SCRIPT).is_file():
        logger.warning("lean_icons: the theme keeps its icons elsewhere now; they were left alone")
        return
    for font in fonts:
        shrink_font(font, characters)
    (out / ICON_SCRIPT).write_text("// The icons are drawn by fonts; see book/_ext/lean_icons.py\n")
    (out / ICON_SCRIPT).with_suffix(".js.map").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("build-finished", shrink_icons)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
