"""The built site in a real browser: Debian's Chromium, driven by Playwright."""

import gzip
import re
from urllib.parse import quote, unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from site_files import CHAPTERS, site_pages

WHOLE_BOOK = "book/whole_book.html"
TEXT = {".html", ".css", ".js", ".json", ".svg"}  # what hosts compress on the way
MAX_KB = {"book/index.html": 600}
MAX_KB_OF_A_PAGE = 1500
# Every page is checked by axe in the look that most easily goes wrong, narrow and dark, and one of
# each kind in the other: contrast depends on the scheme, layout on the width.
WIDE_TOO = ("book/index.html", "book/draw_a_digit.html", f"notebooks/{CHAPTERS[1]}.html")


def look_at(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        f"document.documentElement.dataset.theme === '{scheme}'"
        " && document.getAnimations().every(a => a.playState !== 'running')"  # colours fade over
    )
    assert page.locator("main h1:visible").count() == 1
    scroll, client = page.evaluate(
        "[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]"
    )
    assert scroll <= client + 1, f"the page scrolls sideways: {scroll} px wide in {client} px"


# Axe takes a minute for the thousands of tokens in a chapter's code, which look the same wherever
# they stand: one of each kind is left to it.
ONE_TOKEN_OF_A_KIND = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll('.highlight span')) {
    if (seen.has(token.className)) token.replaceWith(...token.childNodes);
    else seen.add(token.className);
  }
  document.body.normalize();
}"""


def check_that_nothing_keeps_readers_out(page):
    page.evaluate(ONE_TOKEN_OF_A_KIND)
    options = {"resultTypes": ["violations"], "preload": False}  # it looks for style sheets amiss
    serious = [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in Axe().run(page, options=options).response["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]
    assert not serious, "\n".join(serious)


@pytest.mark.parametrize("path", [*site_pages(), WHOLE_BOOK])
def test_a_page_is_light_and_for_everyone_on_every_screen(open_page, html, address, path):
    page = open_page(path)
    if path != WHOLE_BOOK:
        sizes = weigh(page, html, address)
        assert len(sizes) > 5
        largest = sorted(sizes.items(), key=lambda item: item[1])[-5:]
        assert sum(sizes.values()) <= MAX_KB.get(path, MAX_KB_OF_A_PAGE), largest
    for width, schemes in ((1280, ("dark", "light")), (320, ("light", "dark"))):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(600)  # after 300 the theme looks for what now scrolls
        for scheme in schemes:
            look_at(page, scheme)
        if path != WHOLE_BOOK and (width == 320 or path in WIDE_TOO):
            check_that_nothing_keeps_readers_out(page)


def weigh(page, html, address):
    """KB of what a first visit loads, as it travels, pictures far down included."""
    loaded = page.evaluate(
        "[location.href, ...performance.getEntriesByType('resource').map(e => e.name),"
        " ...[...document.images].map(i => i.src)]"
    )
    sizes = {}
    for url in {name.split("#")[0].split("?")[0] for name in loaded if name.startswith(address)}:
        file = html / unquote(urlsplit(url.removeprefix(address)).path)
        content = file.read_bytes()
        sizes[url] = len(gzip.compress(content) if file.suffix in TEXT else content) / 1000
    return sizes


def test_the_whole_book_is_on_one_page_and_on_paper(open_page):
    page = open_page(WHOLE_BOOK, 390)
    assert page.locator("h1").count() == 1
    for chapter in CHAPTERS:
        part = page.locator(f"#notebooks-{chapter}")
        assert part.locator("h2").count() >= 1
        assert part.locator("img").count() >= 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids)), "two places of the same name"
    assert page.locator(".digits-quiz, .digits-map, p.feedback, img[loading]").count() == 0
    page.emulate_media(media="print")
    assert page.locator("h1").inner_text() == "The Digits Book"
    assert page.locator(".book-title").evaluate("e => getComputedStyle(e).breakAfter") == "page"
    # A frame that may break where the code in it may not is left empty at a page's end.
    breaks = page.eval_on_selector_all(
        ".cell_input, .cell_input div",
        "all => all.map(e => [e.matches('.cell_input'), getComputedStyle(e).breakInside])",
    )
    assert {tuple(pair) for pair in breaks} == {(True, "avoid"), (False, "auto")}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (320, "light")])
def test_the_keyboard_s_place_is_seen_on_every_button(open_page, width, scheme):
    page = open_page(f"notebooks/{CHAPTERS[2]}.html", width, scheme)
    seen = {}
    accent = page.evaluate(
        """() => { const e = document.body.appendChild(document.createElement('i'));
        e.style.color = 'var(--pst-color-accent)'; return getComputedStyle(e).color }"""
    )
    for _ in range(45):
        page.keyboard.press("Tab")
        name, ring = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
                return [e.matches('.btn') && (e.ariaLabel || e.title || e.innerText).trim(),
                  [s.outlineStyle, s.outlineColor, s.outlineWidth]] }"""
        )
        if name:
            seen[name] = ring
    assert {"Colab", "Source repositories", "Color mode", "Search"} <= set(seen), seen
    assert all(ring == ["solid", accent, "3px"] for ring in seen.values()), seen


def test_the_address_alone_leads_to_the_landing_page_and_its_switch_turns_it_dark(open_page):
    page = open_page("")
    page.wait_for_url("**/book/index.html")
    assert page.locator("img.hero").is_visible()
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator(".theme-switch-button:visible").click()
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert page.evaluate(background) != light
    page.evaluate("localStorage.clear()")  # the window is shared with other tests


def test_figures_are_loaded_on_a_white_card_and_icons_are_drawn_by_fonts(open_page):
    """The theme's script that draws them too is replaced by nothing: book/_static/scripts."""
    page = open_page(f"notebooks/{CHAPTERS[0]}.html")
    for figure in page.locator(".cell_output img").all():
        figure.scroll_into_view_if_needed()  # they are fetched when they are near
        figure.evaluate("figure => figure.decode()")  # waits for it; fails if it does not load
    for scheme in ("light", "dark"):
        look_at(page, scheme)
        looks = page.eval_on_selector_all(
            ".cell_output img",
            "all => all.map(i => { const s = getComputedStyle(i);"
            " return [s.backgroundColor, s.filter, i.naturalWidth > 0 && i.clientWidth > 0] })",
        )
        assert looks
        assert all(look == ["rgb(255, 255, 255)", "none", True] for look in looks), looks
    drawn = page.eval_on_selector_all(
        "i[class*='fa-']",
        "all => all.filter(i => i.offsetParent).map(i => getComputedStyle(i, '::before'))"
        ".map(s => [s.content, s.fontFamily])",
    )
    assert len(drawn) > 4
    assert all(len(content) == 3 and "Awesome" in font for content, font in drawn), drawn
    fonts = page.evaluate("[...document.fonts].map(font => font.family + font.status)")
    assert any("Awesome" in font and font.endswith("loaded") for font in fonts), fonts


OF_THE_GLOSSARY = """
TTA|k-NN|KNN|nearest neighbors|validation set|holdout|one-hot|overfitting|regularization|CNN|recall
learning rate schedule|saliency map|adversarial|ensembling|softmax|OOD|anomaly|batchnorm|minibatch
cross-validation|ECE|AUC|XAI|backpropagation|Bayesian optimization
"""
WORDS = {
    "notebooks/": ["convolution"],
    "book/data.html": ["license", "citation"],
    "book/how_to_run.html": ["Docker"],
    "book/index.html": ["PDF"],
    "book/glossary.html": re.findall(r"[^|\n]+", OF_THE_GLOSSARY),
}


def test_search_finds_pages_by_other_words_for_it_too(open_page):
    page, missing = open_page("search.html"), []
    for found, word in [(found, word) for found, words in WORDS.items() for word in words]:
        page.goto(page.url.partition("?")[0] + f"?q={quote(word)}")
        page.wait_for_function(
            "/finished|did not match/.test(document.querySelector('.search-summary')?.innerText)"
        )
        links = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
        if not any(f"/{found}" in link for link in links[:5]):
            missing.append((word, links))
    assert not missing, missing


def test_a_solution_and_the_menu_open_on_a_phone(open_page):
    page = open_page(f"notebooks/{CHAPTERS[0]}.html", 390)
    solution = page.locator("article details:not(.hide)").first
    inside = solution.locator(":scope > :not(summary)").first
    assert not inside.is_visible()
    solution.locator("summary").click()
    assert inside.is_visible()
    link = page.locator(f".bd-sidebar-primary a[href$='{CHAPTERS[1]}.html']").first
    assert not link.is_visible()
    page.locator(".primary-toggle:visible").first.click()
    link.wait_for(state="visible")
    link.click()
    page.wait_for_url(f"**/notebooks/{CHAPTERS[1]}.html")


@pytest.mark.parametrize("asked", ["notebooks/03_bass_cnn.html", "book/a/b/c.html", "404.html"])
def test_a_lost_reader_finds_back_from_any_depth(new_page, address, asked):
    page = new_page(asked)
    assert page.locator("article h1").inner_text().startswith("404")
    # In the book's own clothes: its styles, its scripts, its bar with all chapters.
    styles = page.evaluate("Array.from(document.styleSheets, s => [s.href, s.cssRules.length])")
    assert len(styles) > 3
    assert [href for href, rules in styles if not rules] == [], "a style sheet was not found"
    assert page.evaluate("typeof DOCUMENTATION_OPTIONS") == "object", "a script was not found"
    assert page.locator(".bd-sidebar-primary a").count() > len(CHAPTERS)
    page.locator("article a", has_text="start page").click()
    assert page.url == f"{address}book/index.html"
