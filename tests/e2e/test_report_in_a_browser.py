"""The page about a run in a real browser: Debian's Chromium, one session for all that is claimed here."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_core_python
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from sketchmigrate.report.page.page import comparison_of, page_of
from tests.unit.report.stories import STORY, long_story

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium and chromium-driver"
)

AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
SCHEMES = ("light", "dark")
WIDTHS = (320, 768, 1280)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """The browser, without a network: any address but a file's is refused."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        driver.get("about:blank")
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of pages: of a long run with all that can be on one, of one that is bare, and of two compared."""
    folder = tmp_path_factory.mktemp("pages")
    story = long_story()
    other = replace(story, run=replace(story.run, name="other"), samples=story.samples[:60])
    made = {
        "long": page_of(story),
        "bare": page_of(replace(STORY, run=replace(STORY.run, account=None, outcomes={}))),
        "compared": comparison_of([story, other, STORY]),
    }
    for name, page in made.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in made}


def _log(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """Return what was logged since this was last asked for."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]  # selenium gives no types
    return entries


def _show(browser: webdriver.Chrome, address: str, *, width: int = 1280, scheme: str = "light") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)


@pytest.mark.parametrize("name", ["long", "bare", "compared"])
def test_it_loads_from_a_file_and_nothing_else(browser: webdriver.Chrome, pages: dict[str, str], name: str) -> None:
    _log(browser, "performance")
    _show(browser, pages[name])
    assert _log(browser, "browser") == [], "no error, and no warning"
    told = [json.loads(entry["message"])["message"] for entry in _log(browser, "performance")]
    asked = [each["params"]["request"]["url"] for each in told if each["method"] == "Network.requestWillBeSent"]
    assert {each for each in asked if not each.startswith(("data:", "chrome:"))} == {pages[name]}
    assert browser.find_element(By.TAG_NAME, "h1").text


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["long", "bare", "compared"])
def test_contrast_labels_and_order_are_right(
    browser: webdriver.Chrome, pages: dict[str, str], name: str, scheme: str
) -> None:
    _show(browser, pages[name], scheme=scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = browser.execute_async_script(
        "const only = arguments[0] ? {runOnly: ['color-contrast']} : {};"
        "axe.run(document, {resultTypes: ['violations'], ...only}).then(arguments[1])",
        scheme != SCHEMES[0],  # all else is the same in other colours
    )
    wrong = {each["id"]: [node["html"][:200] for node in each["nodes"]][:3] for each in found["violations"]}
    assert wrong == {}
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == (scheme == "dark")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["long", "bare", "compared"])
def test_nothing_stands_out_at_any_width(
    browser: webdriver.Chrome, pages: dict[str, str], name: str, width: int
) -> None:
    """The page itself never scrolls sideways, and no text is so small that it cannot be read."""
    _show(browser, pages[name], width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('h1, p, td, th, dd, dt, li, text')]"
        ".map(each => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(sizes) >= 12
    outside = browser.execute_script(
        "return [...document.querySelectorAll('svg.chart text')].filter(each => {"
        " const box = each.getBoundingClientRect(); return box.left < 0 || box.right > innerWidth; })"
        ".map(each => each.textContent)"
    )
    assert outside == []


def test_all_is_reached_by_keyboard_alone(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    _show(browser, pages["long"])
    webdriver.ActionChains(browser).send_keys(Keys.TAB).perform()
    first = browser.switch_to.active_element
    assert (first.text, first.get_attribute("class")) == ("To the report", "skip")
    assert first.rect["x"] >= 0, "it is seen once it has the focus"
    reached: list[str] = []
    outlines = set()
    for _ in range(200):
        focused = browser.switch_to.active_element
        if focused.tag_name == "body":
            break
        reached.append(focused.tag_name)
        outlines.add(browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focused))
        if focused.tag_name == "summary" and reached.count("summary") == 1:
            focused.send_keys(Keys.ENTER)
            assert browser.execute_script("return arguments[0].parentElement.open", focused)
            table = focused.find_element(By.XPATH, "following-sibling::div//table")
            assert table.is_displayed()
        focused.send_keys(Keys.TAB)
    expected = browser.execute_script("return document.querySelectorAll('a, summary').length")
    assert len([each for each in reached if each in {"a", "summary"}]) == expected
    assert outlines == {"solid"}, "it is seen where the focus is"


def test_a_screen_reader_is_told_what_a_chart_shows(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    _show(browser, pages["long"])
    charts = browser.find_elements(By.CSS_SELECTOR, "svg.chart")
    assert len(charts) >= 8
    names = [chart.accessible_name for chart in charts]
    assert names[0].startswith("Rows, rows a second At most ")
    assert len(set(names)) == len(names)
    assert {chart.aria_role for chart in charts} <= {"image", "img"}


def test_it_is_printed_on_white_with_all_that_is_not_a_table_behind_a_chart(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    _show(browser, pages["long"], scheme="dark")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    assert browser.find_element(By.ID, "problems").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    paper = base64.b64decode(printed["data"])
    assert paper.startswith(b"%PDF")
    assert 3 <= paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page/") <= 12
