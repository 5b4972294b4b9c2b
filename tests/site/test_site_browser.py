"""The built site in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import pytest
from site_files import CHAPTERS, site_pages

WIDTHS = {"wide": 1280, "narrow": 390}
SCHEMES = ("light", "dark")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("path", site_pages())
def test_a_page_opens_cleanly(open_page, path, width, scheme):
    page = open_page(path, width, scheme)
    assert page.locator("main h1:visible").count() == 1
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    scroll, client = page.evaluate(
        "[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]"
    )
    open_page.check()
    assert scroll <= client + 1, f"the page scrolls sideways: {scroll} px wide in {client} px"


def test_the_address_without_a_page_leads_to_the_landing_page(open_page):
    page = open_page("")
    page.wait_for_url("**/book/index.html")
    assert page.locator("img.hero").is_visible()
    open_page.check()


def test_the_switch_turns_the_page_dark(open_page):
    page = open_page("book/index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator(".theme-switch-button:visible").click()
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert page.evaluate(background) != light
    page.evaluate("localStorage.clear()")  # the window is shared with other tests
    open_page.check()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_figures_are_loaded_on_a_white_card(open_page, scheme):
    page = open_page(f"notebooks/{CHAPTERS[0]}.html", scheme=scheme)
    looks = page.eval_on_selector_all(
        ".cell_output img",
        "all => all.map(i => { const s = getComputedStyle(i);"
        " return [s.backgroundColor, s.filter, i.naturalWidth > 0 && i.clientWidth > 0] })",
    )
    assert looks
    assert all(look == ["rgb(255, 255, 255)", "none", True] for look in looks), looks


def test_search_finds_a_chapter(open_page):
    page = open_page("search.html?q=convolution")
    page.wait_for_selector("#search-results li a")
    links = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any("/notebooks/" in link for link in links)
    open_page.check()


def test_the_menu_opens_on_a_phone(open_page):
    page = open_page(f"notebooks/{CHAPTERS[0]}.html", width=390)
    link = page.locator(f".bd-sidebar-primary a[href$='{CHAPTERS[1]}.html']").first
    assert not link.is_visible()
    page.locator(".primary-toggle:visible").first.click()
    link.wait_for(state="visible")
    link.click()
    page.wait_for_url(f"**/notebooks/{CHAPTERS[1]}.html")
    open_page.check()


def test_a_solution_opens(open_page):
    page = open_page(f"notebooks/{CHAPTERS[0]}.html", width=390)
    solution = page.locator("article details:not(.hide)").first
    inside = solution.locator(":scope > :not(summary)").first
    assert not inside.is_visible()
    solution.locator("summary").click()
    assert inside.is_visible()
