"""What a shared link to a page shows: title, question, and a card drawn for the page.

sphinxext-opengraph writes the tags and the cards; here it gets one sentence and a drawing to fill.
Open Graph knows absolute addresses only, so cards and the tags that name one need the site's own,
from ``DIGITS_BOOK_URL`` in the environment or ``html_baseurl`` in the configuration. From there
sphinx-notfound-page also knows where the links of 404.html start, which is shown at any depth.
"""

import os
import re
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from docutils import nodes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinxext import opengraph

WIDTH, HEIGHT = 1146, 600  # pixels: sphinxext-opengraph's tags say so
NIGHT, AMBER, PAPER, MIST = "#101b2d", "#ffa51f", "#ffffff", "#c6d3e6"
SHORT_SENTENCE = 40  # letters
TAG = re.compile(r'^<meta (?:property="og:|name="(?:description|twitter:)).*/>\n', re.MULTILINE)
RELATIVE = re.compile(r'^<meta property="og:url" content="(?!https?:).*/>\n', re.MULTILINE)


def first_sentence(doctree: nodes.document, longest: int, titles: set[str]) -> str:
    """Return the first whole sentence of a page's prose: of a chapter, its question.

    A very short sentence takes the next one along.
    """
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if isinstance(paragraph.parent, nodes.section) and re.search(r"[.!?]$", text):
            found, *more = re.split(r"(?<=[.!?])\s+", text)
            while more and len(found) < SHORT_SENTENCE:
                found += " " + more.pop(0)
            return textwrap.shorten(found, longest, placeholder=" …")
    return ""


def line_width() -> float:
    return 0.88 * WIDTH


def draw_card() -> tuple:
    """Return a figure, and its texts for the site, the page, the question and the address."""
    from digit_utils.data import read_bundled_mnist

    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor=NIGHT)
    texts = [
        figure.text(0.06, y, "", va=va, size=size, color=color, weight=weight, wrap=True)
        for y, va, size, color, weight in (
            (0.94, "top", 19, AMBER, "bold"),
            (0.55, "bottom", 38, PAPER, "bold"),
            (0.51, "top", 26, MIST, "normal"),
            (0, "bottom", 0, NIGHT, "normal"),  # the address, which stands beside the card anyway
        )
    ]
    for text in texts:
        text.set_parse_math(False)
        text._get_wrap_line_width = line_width  # else only the figure's edge ends a line
    images, labels = read_bundled_mnist()
    row = figure.add_axes((0.06, 0.05, 0.88, 0.17))
    row.imshow(
        np.hstack([images[labels == digit][0] for digit in range(10)]),
        cmap=LinearSegmentedColormap.from_list("ink", [NIGHT, AMBER]),
    )
    row.set_axis_off()
    return figure, *texts


def tell_address(app: Sphinx, config) -> None:
    """Tell both extensions where the site will be."""
    address = (os.environ.get("DIGITS_BOOK_URL") or config.html_baseurl).rstrip("/")
    config.ogp_site_url = f"{address}/" if address else ""
    config.ogp_site_name = config.html_title
    # The image is not drawn; without one it would say of each page that the logo is an SVG.
    config.ogp_social_cards = {"enable": bool(address), "image": "."}
    config.notfound_urls_prefix = f"{urlsplit(address).path}/"


def hold_card(app: Sphinx, env) -> None:
    """Leave the drawing where sphinxext-opengraph looks for one before it makes its own."""
    if app.config.ogp_site_url:
        env.ogp_social_card_plt_objects = draw_card()


def drop_relative_address(app, pagename, templatename, context, doctree) -> None:
    """Take out the one tag that needs an address and is written without."""
    context["metatags"] = RELATIVE.sub("", context.get("metatags", ""))


def tag_index(app: Sphinx, error: Exception | None) -> None:
    """Give the page at the site's own address, which only leads on, the tags of the start page."""
    index = Path(app.outdir) / "index.html"
    if error is None and app.builder.format == "html" and index.is_file():
        start = Path(app.outdir) / f"{app.config.root_doc}.html"
        tags = "".join(TAG.findall(start.read_text(encoding="utf-8")))
        text = index.read_text(encoding="utf-8")
        index.write_text(text.replace("</head>", f"{tags}</head>", 1), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.setup_extension("notfound.extension")
    app.setup_extension("sphinxext.opengraph")
    opengraph.get_description = first_sentence  # its own runs on over headings and lists
    app.connect("config-inited", tell_address)
    app.connect("env-updated", hold_card)
    app.connect("html-page-context", drop_relative_address, priority=900)
    app.connect("build-finished", tag_index)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
