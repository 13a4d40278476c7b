"""The page's accessibility and layout: axe-core, keyboard, dark mode, phones; and the README's screenshot."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.app.conftest import serve
from tests.clients.chromium import MISSING, Visit
from tests.clients.page_actions import ROOT, choose, file, forward, pick_sample, sample, table, wait_until_done
from tests.clients.screenshots import check_screenshot
from tests.fakes import FakeEncoder

AXE = ROOT / "tests" / "clients" / "node_modules" / "axe-core" / "axe.min.js"
SCREENSHOT = ROOT / "docs" / "page.png"
PHONE = {"width": 360, "height": 740}
SCHEMES = ["light", "dark"]


def empty_page(page: Page) -> None:
    expect(page.locator("#model")).to_be_visible()


def one_image(page: Page) -> None:
    pick_sample(page, "cat")
    page.locator("#model summary").click()


def images_and_an_error(page: Page) -> None:
    page.get_by_text("Templates, threshold, top-k").click()
    page.get_by_label("Label set").select_option("pets")
    choose(page, file("cat.png", sample("cat")), file("broken.png", b"broken"), file("dog.png", sample("dog")))


def a_problem(page: Page) -> None:
    page.get_by_text("Templates, threshold, top-k").click()
    page.get_by_label("Templates", exact=True).fill("no place")
    page.get_by_role("button", name="Sample cat").click()
    expect(page.locator("#problem")).to_contain_text("The templates cannot be used")


def long_words(page: Page) -> None:
    page.fill("#labels", "W" * 256 + "\n" + "i" * 256)
    choose(page, file("W" * 200 + ".png", sample("cat")))


STATES = [empty_page, one_image, images_and_an_error, a_problem, long_words]


def serious_violations(page: Page) -> list[str]:
    """Returns the violations that axe-core rates as serious or critical."""
    if not AXE.exists():
        pytest.fail(f"axe-core {MISSING}")
    page.evaluate(AXE.read_text(encoding="utf-8"))  # not as a script tag, which the Content Security Policy would block
    found: list[dict[str, Any]] = page.evaluate("axe.run(document)")["violations"]  # type: ignore[call-overload]
    return [
        f"{violation['id']}: {node['html']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious(
    visit: Visit, service: httpx.Client, state: Callable[[Page], None], scheme: str
) -> None:
    page = visit(str(service.base_url), failures=["422"], color_scheme=scheme)
    state(page)
    assert serious_violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_in_the_key_form(visit: Visit, scheme: str) -> None:
    with serve(FakeEncoder(), api_keys="k") as client:
        page = visit(str(client.base_url), failures=["401"], color_scheme=scheme)
        expect(page.get_by_label("API key")).to_be_focused()
        assert serious_violations(page) == []


def test_axe_finds_deliberate_errors(page: Page) -> None:
    page.evaluate("document.getElementById('labels-legend').remove()")
    page.evaluate("document.querySelector('.hint.apart').style.color = '#cccccc'")
    assert {problem.partition(":")[0] for problem in serious_violations(page)} >= {"label-title-only", "color-contrast"}


def test_everything_works_by_keyboard_and_the_focus_is_visible(page: Page) -> None:
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const focused = document.activeElement;
              const { outlineStyle, outlineWidth } = getComputedStyle(focused.closest(".drop") ?? focused);
              const name = focused.id || focused.querySelector("img")?.alt || focused.textContent.trim();
              return [name, outlineStyle === "none" ? 0 : parseFloat(outlineWidth)];
            }"""
        )
        assert outline >= 2, name
        reached.append(name)
        if name == "Metrics":
            break
    images = [f"Sample {name}" for name in ("cat", "dog", "car", "guitar", "pizza", "rainbow")]
    assert reached == [
        "Skip to the scores",
        "Model: SigLIPTinyP16 pictograms_64",
        "files",
        *images,
        "or use all samples",
        "label-set",
        "labels",
        "Templates, threshold, top-k",
        "classify",
        "API",
        "OpenAPI",
        "Info",
        "Metrics",
    ]
    page.get_by_role("button", name="Sample pizza").focus()
    page.keyboard.press("Enter")
    wait_until_done(page)
    assert table(page)[0][0] == "pizza"
    page.locator("#labels").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("tea\npizza")
    page.keyboard.press("Control+Enter")
    expect(page.locator("tbody th")).to_have_count(2)
    expect(page.locator("#labels")).to_be_focused()
    page.get_by_role("link", name="Skip to the scores").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#copy")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#command-hint")).to_have_text("Copied.")


def luminance(colour: str) -> float:
    """Returns the relative luminance of an rgb() colour (WCAG 2.2)."""
    channels = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bars_have_enough_contrast_and_different_colours(visit: Visit, service: httpx.Client, scheme: str) -> None:
    page = visit(str(service.base_url), color_scheme=scheme)
    pick_sample(page, "cat")

    def colour(selector: str) -> str:
        return str(page.locator(selector).first.evaluate("one => getComputedStyle(one).backgroundColor"))

    sigmoid, softmax, track = colour("td.sigmoid .bar span"), colour("td.softmax .bar span"), colour(".bar")
    assert contrast(sigmoid, track) >= 3
    assert contrast(softmax, track) >= 3
    assert sigmoid != softmax
    assert (luminance(colour("body")) < 0.05) == (scheme == "dark")


def test_nothing_moves_with_reduced_motion(page: Page) -> None:
    pick_sample(page, "cat")
    duration = "one => getComputedStyle(one).animationDuration"
    assert page.locator(".bar span").first.evaluate(duration) == "0s"
    page.emulate_media(reduced_motion="no-preference")
    assert page.locator(".bar span").first.evaluate(duration) == "0.3s"


@pytest.mark.parametrize("width", [360, 320])
@pytest.mark.parametrize("state", STATES)
def test_a_phone_never_scrolls_horizontally(
    visit: Visit, service: httpx.Client, state: Callable[[Page], None], width: int
) -> None:
    page = visit(str(service.base_url), failures=["422"], viewport=PHONE | {"width": width}, has_touch=True)
    state(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_page_scrolls_to_the_scores(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), viewport=PHONE, has_touch=True)
    expect(page.locator("#status")).not_to_be_in_viewport()
    pick_sample(page, "cat")
    expect(page.locator("#status")).to_be_in_viewport()
    expect(page.locator(".card")).to_be_in_viewport()


def test_on_a_phone_the_page_scrolls_to_the_key_field_if_a_key_is_required(visit: Visit) -> None:
    with serve(FakeEncoder(), api_keys="k") as client:
        page = visit(str(client.base_url), failures=["401"], viewport=PHONE, has_touch=True)
        expect(page.get_by_label("API key")).to_be_focused()
        page.get_by_role("button", name="Sample rainbow").click()
        expect(page.get_by_label("API key")).to_be_focused()
        expect(page.get_by_label("API key")).to_be_in_viewport()


def test_the_screenshot_in_the_readme_shows_this_page(visit: Visit, service: httpx.Client) -> None:
    """Set UPDATE_SCREENSHOT=1 to update the screenshot, preferably on a machine with the font Cantarell."""
    page = visit("about:blank", viewport={"width": 1200, "height": 900}, color_scheme="light")
    forward(page, "http://localhost:8000/", f"{service.base_url}/")
    page.goto("http://localhost:8000/")
    pick_sample(page, "cat")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    screenshot = page.screenshot(full_page=True)
    check_screenshot(SCREENSHOT, screenshot, 200_000)
