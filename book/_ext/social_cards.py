"""What a shared link to a page shows: title, question, and a card drawn for the page.

Every page gets a description for search engines and Open Graph tags for whoever unfolds a link.
The card, 1200 by 630 pixels, shows the page's title and question above a row of digits.

Open Graph knows absolute addresses only, so the tags that name one (``og:url``, ``og:image``) are
written when the site's own address is known: from ``DIGITS_BOOK_URL`` in the environment, or
``html_baseurl`` in the configuration. Without it the cards are drawn but no tag names them.
"""

from __future__ import annotations

import functools
import hashlib
import html
import os
import re
import shutil
import textwrap
import zlib
from pathlib import Path

from chapters import read_chapter
from docutils import nodes
from sphinx.application import Sphinx

CARD_SIZE = 1200, 630  # pixels
NIGHT, AMBER, PAPER, MIST = "#101b2d", "#ffa51f", "#ffffff", "#c6d3e6"
LONGEST_DESCRIPTION = 200  # letters; whoever unfolds a link cuts off more
SHORT_SENTENCE = 40  # letters
NAMELESS = {"search": "Search", "genindex": "Index"}  # their templates name them
BEFORE_THE_THEME = 400


def first_sentence(doctree: nodes.document | None) -> str:
    """Return the first whole sentence of a page's prose, or nothing.

    A very short sentence takes the next one along.
    """
    for paragraph in doctree.findall(nodes.paragraph) if doctree is not None else ():
        text = " ".join(paragraph.astext().split())
        if isinstance(paragraph.parent, nodes.section) and re.search(r"[.!?]$", text):
            sentences = re.split(r"(?<=[.!?])\s+", text)
            found = sentences.pop(0)
            while sentences and len(found) < SHORT_SENTENCE:
                found += " " + sentences.pop(0)
            return found
    return ""


def shorten(text: str, longest: int = LONGEST_DESCRIPTION) -> str:
    """Cut a text after a whole word."""
    return textwrap.shorten(text, longest, placeholder=" …")


def page_facts(app: Sphinx, pagename: str, context: dict, doctree) -> tuple[str, str]:
    """Return a page's title, and its question or first sentence."""
    book = app.config.html_title
    title = re.sub(r"<[^>]+>", "", html.unescape(context.get("title") or ""))
    title = title or NAMELESS.get(pagename, book)
    description = ""
    if pagename.startswith("notebooks/"):
        description = read_chapter(Path(app.srcdir) / f"{pagename}.ipynb").question
    # Some pages, such as the search, have no text of their own.
    description = description or first_sentence(doctree) or f"A page of {book}."
    return title, shorten(re.sub(r"[*`]", "", description))


def card_name(pagename: str) -> str:
    """Return a card's file name in ``_static/cards``."""
    return pagename.replace("/", "-") + ".png"


def meta_tags(facts: dict[str, str], address: str, card: str) -> str:
    """Write the tags of one page.

    Parameters
    ----------
    facts : dict
        ``title``, ``description``, ``site`` (the book's title), ``kind`` (``article`` or
        ``website``) and ``page`` (its path from the site's root).
    address : str
        The site's, absolute, or empty when nobody knows it.
    card : str
        Path of the card from the site's root.
    """
    alt = f"{facts['title']}: {facts['description']} Below, a row of handwritten digits."
    tags = [
        ("name", "description", facts["description"]),
        ("property", "og:title", facts["title"]),
        ("property", "og:description", facts["description"]),
        ("property", "og:type", facts["kind"]),
        ("property", "og:site_name", facts["site"]),
    ]
    if address:
        root = address.rstrip("/") + "/"
        tags += [
            ("property", "og:url", root + facts["page"]),
            ("property", "og:image", root + card),
            ("property", "og:image:type", "image/png"),
            ("property", "og:image:width", str(CARD_SIZE[0])),
            ("property", "og:image:height", str(CARD_SIZE[1])),
            ("property", "og:image:alt", alt),
            ("name", "twitter:card", "summary_large_image"),
        ]
    else:
        tags.append(("name", "twitter:card", "summary"))
    return "".join(
        f'<meta {key}="{name}" content="{html.escape(content)}" />\n' for key, name, content in tags
    )


def draw_card(path: Path, title: str, question: str, book: str) -> None:
    """Draw a card and save it as PNG.

    Parameters
    ----------
    path : Path
    title, question : str
        The question may be any sentence; what does not fit is cut off.
    book : str
        The book's name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    width, height = CARD_SIZE
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=NIGHT)
    canvas = FigureCanvasAgg(figure)
    edge = 0.06 * width
    _write(figure, book, edge, 60, width - 2 * edge, 1, (26,), AMBER, "bold")
    bottom = _write(figure, title, edge, 118, width - 2 * edge, 2, (64, 54, 46, 38), PAPER, "bold")
    _write(figure, question, edge, bottom + 28, width - 2 * edge, 3, (40, 34, 28), MIST, "normal")
    for number, image in enumerate(_digits(title)):
        side = 84
        left = edge + number * (width - 2 * edge - side) / 11
        ax = figure.add_axes((left / width, 44 / height, side / width, side / height))
        ax.imshow(image, cmap=_ink(), vmin=0, vmax=255, interpolation="nearest")
        ax.set_axis_off()
    canvas.draw()
    picture = Image.fromarray(_pixels(canvas)).convert("RGB")
    # Few colours are in it. With a palette the file is a third as large.
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(48).save(path, optimize=True)


def _pixels(canvas):
    import numpy as np

    return np.asarray(canvas.buffer_rgba())


def _ink():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ink", [NIGHT, AMBER])


def _write(figure, text, left, top, room, lines, sizes, colour, weight) -> float:
    """Write a text in the largest size in which it takes so many lines; return its lower end."""
    for size in sizes:  # matplotlib's own font: every machine has it
        broken = _break(figure, text, size, weight, room)
        if len(broken) <= lines:
            break
    if len(broken) > lines:
        broken = [*broken[: lines - 1], broken[lines - 1].rstrip(".,") + " …"]
    width, height = CARD_SIZE
    for number, line in enumerate(broken):
        figure.text(left / width, 1 - (top + number * 1.25 * size) / height, line, va="top",
                    color=colour, weight=weight, size=size * 0.72, parse_math=False)  # fmt: skip
    return top + len(broken) * 1.25 * size


def _break(figure, text, size, weight, room) -> list[str]:
    """Break a text into lines that fit the room."""
    lines = []
    probe = figure.text(0, 0, "", size=size * 0.72, weight=weight, parse_math=False)
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        probe.set_text(longer)
        if lines and probe.get_window_extent().width <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    probe.remove()
    return lines


@functools.cache
def _all_digits():
    from digit_utils.mnist import read_bundled_mnist

    return read_bundled_mnist()[0]


def _digits(title: str):
    """Return twelve digits of the book's data, others for every title."""
    import numpy as np

    images = _all_digits()
    return images[np.random.default_rng(zlib.crc32(title.encode())).integers(len(images), size=12)]


def keep_card(cache: Path, target: Path, title: str, question: str, book: str) -> None:
    """Put a page's card in its place; draw it only if no earlier build has.

    Parameters
    ----------
    cache : Path
        Folder of cards named by what is on them and by the code that draws.
    target : Path
        Where the site wants it.
    title, question, book : str
        As of `draw_card`.
    """
    drawn_by = Path(__file__).read_bytes()
    told = "\0".join((title, question, book)).encode()
    kept = cache / f"{hashlib.sha256(drawn_by + told).hexdigest()[:24]}.png"
    if not kept.is_file():
        half = kept.with_suffix(
            f".{os.getpid()}.png"
        )  # a build that is stopped leaves no half card
        draw_card(half, title, question, book)
        half.replace(kept)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, target)


def cache_folder(app: Sphinx) -> Path:
    """Return a folder that outlives the build: `digits site` starts with an empty one each time."""
    build = Path(app.srcdir).parent
    return build / ".cards" if build.name == "_build" else Path(app.doctreedir) / "cards"


def add_tags(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Add a page's tags, and its card."""
    if app.builder.format != "html" or pagename == "404":
        return
    title, description = page_facts(app, pagename, context, doctree)
    card = f"_static/cards/{card_name(pagename)}"
    facts = {
        "title": title,
        "description": description,
        "site": app.config.html_title,
        "kind": "article" if pagename.startswith("notebooks/") else "website",
        "page": f"{pagename}.html",
    }
    tags = meta_tags(facts, app.config.digits_book_url or app.config.html_baseurl, card)
    context["metatags"] = context.get("metatags", "") + "\n" + tags
    keep_card(cache_folder(app), Path(app.outdir) / card, title, description, app.config.html_title)
    if pagename == app.config.root_doc:
        app.env.digits_front_tags = tags


def tag_the_front_door(app: Sphinx, error: Exception | None) -> None:
    """Give the page at the site's own address, which only leads on, the tags of the start page."""
    door = Path(app.outdir) / "index.html"
    tags = getattr(app.env, "digits_front_tags", "")
    if error is None and tags and door.is_file():
        text = door.read_text(encoding="utf-8")
        if "og:title" not in text:
            door.write_text(text.replace("</head>", f"{tags}</head>", 1), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Connect the handlers."""
    app.add_config_value("digits_book_url", os.environ.get("DIGITS_BOOK_URL", ""), "html", str)
    app.connect("html-page-context", add_tags, priority=BEFORE_THE_THEME)
    app.connect("build-finished", tag_the_front_door)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
