"""The report in a real browser: quiet, self-contained, readable on a phone, and inert."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from report_records import good, hostile

from harness import report

CHROMIUM = Path("/usr/bin/chromium")
MILLISECONDS = 60_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM} (Debian package chromium)"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs user namespaces, which containers often lack; what it opens here is ours.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=MILLISECONDS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of a report like a real one and of a hostile one."""
    folder = tmp_path_factory.mktemp("reports")
    records = {"good": good(), "hostile": hostile(1000)}
    for name, record in records.items():
        (folder / f"{name}.html").write_text(report.html(record), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in records}


class Watched:
    """A page, with everything it said and asked for since it was opened."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(MILLISECONDS)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    width, scheme = getattr(request, "param", (1200, "light"))
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    yield Watched(page)
    page.close()


@pytest.mark.parametrize("name", ["good", "hostile"])
def test_no_error_no_dialog_and_no_request(open_page: Watched, pages: dict[str, str], name: str) -> None:
    open_page.page.goto(pages[name])
    open_page.page.wait_for_timeout(300)
    assert open_page.said == []
    assert open_page.asked == [pages[name]]


@pytest.mark.parametrize("open_page", [(360, "light"), (360, "dark"), (768, "light"), (1400, "dark")], indirect=True)
@pytest.mark.parametrize("name", ["good", "hostile"])
def test_the_page_never_scrolls_sideways(open_page: Watched, pages: dict[str, str], name: str) -> None:
    open_page.page.goto(pages[name])
    width = open_page.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0


def test_hostile_text_is_shown_and_does_nothing(open_page: Watched, pages: dict[str, str]) -> None:
    page = open_page.page
    page.goto(pages["hostile"])
    assert page.locator("script, iframe, img, object, embed, form, link").count() == 0
    assert "<script>alert(1)</script>" in page.locator("#incident .paper").first.inner_text()
    handlers = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
        ".filter(a => a.name.startsWith('on')).length"
    )
    assert handlers == 0
    links = page.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)


def test_everything_can_be_reached_by_keyboard(open_page: Watched, pages: dict[str, str]) -> None:
    page = open_page.page
    page.goto(pages["good"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the result"
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("submitted", exact=True).is_visible()
    unreachable = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0"
        " && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).length"
    )
    assert unreachable == 0


def test_headings_do_not_skip_a_level(open_page: Watched, pages: dict[str, str]) -> None:
    open_page.page.goto(pages["good"])
    levels = open_page.page.eval_on_selector_all("h1,h2,h3,h4", "all => all.map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_colour_scheme_follows_the_reader(browser: Browser, pages: dict[str, str]) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(pages["good"])
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert len(set(grounds)) == 2


def test_it_prints(open_page: Watched, pages: dict[str, str], tmp_path: Path) -> None:
    open_page.page.goto(pages["good"])
    path = tmp_path / "report.pdf"
    open_page.page.pdf(path=path, format="A4")
    assert path.stat().st_size > 10_000
