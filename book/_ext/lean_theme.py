"""Send readers what a page needs of the theme, and that first.

The theme loads all of Font Awesome twice: as a script of half a megabyte (compressed), and as
fonts of a quarter. The fonts alone draw the same icons, and cut down to those in use they weigh a
few kilobytes. And its scripts, the whole search index among them, keep a page blank until they
have arrived; they can as well run when the text is there. All of it is changed in the site as it
is written, so nothing of the theme is in the repository.
"""

from __future__ import annotations

import re
from pathlib import Path

from fontTools import subset
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

FONTS = Path("_static/vendor/fontawesome/webfonts")
STYLES = Path("_static/styles")
SCRIPTS = Path("_static/scripts")
ICON_SCRIPT = SCRIPTS / "fontawesome.js"
# ".fa-search:before,.fa-magnifying-glass:before{content:"\f002"}"
RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"(\\?[^"]+)"\}')
# Any other rule that draws a letter of the fonts, by itself or through a variable such as
# --pst-icon-angle-right. Private-use characters are icons; they stand there escaped or not.
DRAWN = re.compile(r'"(\\f[0-9a-f]{3}|\\e[0-9a-f]{3}|[\ue000-\uf8ff])"')

# All but the one script that the page's own inline lines build on.
WAITED_FOR = re.compile(
    r"<script(?![^>]* (?:defer|async)\b)(?![^>]*documentation_options)([^>]* src=\"(?!https?:|//))"
)
# The figures of the chapters. Drawings in SVG say their own size.
PICTURE = re.compile(r'<img(?![^>]* loading=)[^>]* src="(?P<path>[^":]*_images/[^"]+\.png)"[^>]*>')


def codepoint(content: str) -> int:
    r"""Return the character a CSS ``content`` names: ``\f002`` or the character itself."""
    escaped = re.fullmatch(r"\\([0-9a-f]+)", content)
    return int(escaped[1], 16) if escaped else ord(content[-1])


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
    found = {codepoint(content) for content in DRAWN.findall(RULE.sub("", css))}
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


def drop_rules(css: str, characters: set[int]) -> str:
    """Take the rules of other icons out of a style sheet."""
    return RULE.sub(lambda rule: rule[0] if codepoint(rule[2]) in characters else "", css)


def defer_scripts(page: str) -> str:
    """Let the scripts in a page's head wait for its text; their order stays.

    Those within the text build what stands there, and are left to do it while the page is read:
    later it would push the rest down.
    """
    head, end, body = page.partition("</head>")
    return WAITED_FOR.sub(r"<script defer\1", head) + end + body


def describe_pictures(page: str, folder: Path) -> str:
    """Give pictures their size, so that text does not jump, and fetch them when they are near.

    Parameters
    ----------
    page : str
        HTML.
    folder : Path
        Where the page lies; its pictures are named from there.

    Returns
    -------
    str
    """

    def described(tag: re.Match) -> str:
        with Image.open(folder / tag["path"]) as picture:
            width, height = picture.size
        size = "" if " width=" in tag[0] else f' width="{width}" height="{height}"'
        return f'<img{size} loading="lazy"{tag[0][4:]}'

    return PICTURE.sub(described, page)


def make_lean(app: Sphinx, exception: Exception | None) -> None:
    """Shrink icons, defer scripts and describe pictures in what was built."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [path for path in out.rglob("*.html") if "_static" not in path.relative_to(out).parts]
    for path in pages:
        page = defer_scripts(path.read_text(encoding="utf-8"))
        path.write_text(describe_pictures(page, path.parent), encoding="utf-8")
    shrink_icons(out, pages)


def shrink_icons(out: Path, pages: list[Path]) -> None:
    """Replace the icon script by nothing, the fonts and rules by what is in use."""
    scripts = [path for path in (out / SCRIPTS).glob("*.js") if path.name != ICON_SCRIPT.name]
    texts = [path.read_text(encoding="utf-8") for path in pages + scripts]
    styles = {path: path.read_text(encoding="utf-8") for path in (out / STYLES).glob("*.css")}
    characters = icons_in_use("".join(styles.values()), texts)
    fonts = sorted((out / FONTS).glob("fa-*"))
    if not characters or not fonts or not (out / ICON_SCRIPT).is_file():
        logger.warning("lean_theme: the theme keeps its icons elsewhere now; they were left alone")
        return
    for font in fonts:
        shrink_font(font, characters)
    for path, css in styles.items():
        path.write_text(drop_rules(css, characters), encoding="utf-8")
    (out / ICON_SCRIPT).write_text("// The icons are drawn by fonts; see book/_ext/lean_theme.py\n")
    (out / ICON_SCRIPT).with_suffix(".js.map").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.connect("build-finished", make_lean)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
