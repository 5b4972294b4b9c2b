"""The page for addresses that lead nowhere: ``404.html``.

GitHub Pages shows it at whatever address was asked for, so its relative links would start from
there. A ``<base>`` element makes them start from the site's root. It is written where the site's
address is known (see ``social_cards``). A few lines of script put it right where that is not so:
while the site is read on another host, say. They know the root by the site's own folders.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from sphinx.application import Sphinx

TITLE = "404: misclassified"
BODY = """<section id="misclassified">
<h1>404: misclassified</h1>
<p><strong>There is no page at this address.</strong></p>
<p>It was predicted to be a page of the book. Its true label is: nothing. It happens to
good classifiers. Perhaps a letter was shifted, or a 6 stood on its head and became a 9. We file
it with our most confident mistakes.</p>
<p>Try again with more training data:</p>
<ul>
<li>the <a href="book/index.html">start page</a>, which lists all chapters;</li>
<li>the <a href="search.html">search</a>;</li>
<li>and <a href="{issue}">tell us</a> if a link of ours brought you here.</li>
</ul>
</section>
"""
# The base names this page and not its folder: links to a place on the page then stay on it.
SCRIPT = """<script>
(function () {{
  var known = {known}, path = location.pathname, root = "/";
  var inside = path.search(/\\/(book|notebooks|_static|_sources|_images)(\\/|$)/);
  if (known && path.indexOf(known) === 0) root = known;
  else if (inside >= 0) root = path.slice(0, inside + 1);
  else if (/\\/404\\.html$/.test(path)) root = path.slice(0, -8);
  else if (/\\.github\\.io$/.test(location.hostname)) root = "/" + path.split("/")[1] + "/";
  var base = document.querySelector("base") || document.createElement("base");
  if (location.protocol === "file:") return base.remove();
  base.href = root + "404.html";
  document.head.insertBefore(base, document.head.firstChild);
}})();
</script>
<meta name="robots" content="noindex" />
"""


def base_tags(address: str) -> str:
    """Return what makes relative links start from the site's root; ``address`` may be empty."""
    known = urlsplit(address).path.rstrip("/") + "/" if address else ""
    base = f'<base href="{html.escape(known)}404.html" />\n' if known else ""
    return base + SCRIPT.format(known=json.dumps(known).replace("<", "\\u003c"))


def collect(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """Give Sphinx one page more, in the book's own clothes."""
    if app.builder.format != "html":
        return
    repository = app.config.html_theme_options.get("repository_url", "").rstrip("/")
    address = app.config.digits_book_url or app.config.html_baseurl
    context = {
        "title": TITLE,
        "body": BODY.format(issue=f"{repository}/issues/new"),
        "metatags": base_tags(address),
    }
    yield "404", context, "page.html"


def setup(app: Sphinx) -> dict:
    """Connect the handler."""
    app.setup_extension("social_cards")  # for the site's address
    app.connect("html-collect-pages", collect)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
