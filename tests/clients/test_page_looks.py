"""The page's accessibility and layout: axe-core, keyboard, dark mode, phones; and the README's screenshot."""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
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


def first_view(page: Page) -> None:
    wait_until_done(page)


def one_image(page: Page) -> None:
    pick_sample(page, "cat")
    page.locator("#model summary").click()


def images_and_an_error(page: Page) -> None:
    page.get_by_text("Templates").first.click()
    page.get_by_label("Label set").select_option("pets")
    choose(page, file("cat.png", sample("cat")), file("broken.png", b"broken"), file("dog.png", sample("dog")))


def one_of_several(page: Page) -> None:
    page.get_by_role("button", name="use all samples").click()
    wait_until_done(page)
    page.get_by_label("Threshold in per cent").fill("40")
    page.locator(".tile button").nth(1).click()


def model_input(page: Page) -> None:
    pick_sample(page, "pizza")
    page.get_by_role("radio", name="Softmax").check()
    page.get_by_role("button", name="Show what the model sees").click()


def stale_scores(page: Page) -> None:
    pick_sample(page, "car")
    page.fill("#labels", "tea, coffee")


def a_problem(page: Page) -> None:
    page.get_by_text("Templates").first.click()
    page.get_by_label("Templates", exact=True).fill("no place")
    page.get_by_role("button", name="Sample cat").click()
    expect(page.locator("#problem")).to_contain_text("The templates cannot be used")


def long_words(page: Page) -> None:
    page.fill("#labels", "\n".join(["W" * 256, "i" * 256, "a small orange cat that walks along a wall in the evening"]))
    choose(page, file("W" * 200 + ".png", sample("cat")))


def filtered_folder(page: Page) -> None:
    page.fill("#labels", "\n".join(["cat", "W" * 256, "a small orange cat that walks along a wall in the evening"]))
    with TemporaryDirectory() as folder:
        images = Path(folder) / "a folder of photos" / ("W" * 150)
        images.mkdir(parents=True)
        for number in range(26):
            (images / f"{number}.png").write_bytes(sample("cat"))
        (images / "broken.png").write_bytes(b"broken")
        page.set_input_files("#folder", images.parent)
        wait_until_done(page, 30_000)
        loaded = "[...document.images].every(image => image.complete)"
        page.wait_for_function(loaded)
        page.get_by_label("Best label").select_option(":cat")
        page.get_by_label("Score at least").fill("0.1")
        page.get_by_label("Sort by").select_option("lowest score")
        page.wait_for_function(loaded)  # later, the folder is gone


STATES = [
    first_view,
    one_image,
    images_and_an_error,
    one_of_several,
    model_input,
    stale_scores,
    a_problem,
    long_words,
    filtered_folder,
]


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
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const focused = document.activeElement;
              const shown = focused.id === "files" ? focused.closest(".drop") : focused.closest(".folder") ?? focused;
              const { outlineStyle, outlineWidth } = getComputedStyle(shown);
              const text = focused.textContent.trim().split("\\n")[0];
              const described = focused.ariaLabel ?? focused.getAttribute("aria-labelledby");
              const name = focused.id || focused.name || described || focused.querySelector("img")?.alt || text;
              return [name, outlineStyle === "none" ? 0 : parseFloat(outlineWidth)];
            }"""
        )
        assert outline >= 2, name
        reached.append(name)
        if name == "Metrics":
            break
    images = [f"Sample {name}" for name in ("cat", "dog", "car", "guitar", "pizza", "rainbow")]
    assert reached == [
        "skip",
        "Model: SigLIPTinyP16 pictograms_64.",
        "files",
        "folder",
        *images,
        "or use all samples",
        "label-set",
        "labels",
        "Templates",
        "classify",
        "kind",
        "threshold",
        "threshold-percent",
        "top-k",
        "Enlarge cat.png",
        "Show what the model sees",
        "language",
        "copy",
        "command-title",
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
    expect(page.locator(".bars li")).to_have_count(2)
    expect(page.locator("#labels")).to_be_focused()
    page.get_by_role("link", name="Skip to the scores").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Sigmoid")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".bars.softmax li")).to_have_count(2)
    page.locator("#copy").focus()
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

    sigmoid, track = colour(".bars .bar span"), colour(".bars .bar")
    page.get_by_role("radio", name="Softmax").check()
    softmax = colour(".bars .bar span")
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
    page.get_by_label("Top-k").fill("3")  # the bars are not new
    assert page.locator(".bar span").first.evaluate(duration) == "0s"


# Returns the numbers and short words whose characters are on several lines, and the elements that are wider than the
# window. Commands and hashes may break anywhere.
FAULTS = r"""() => {
  const faults = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (node.parentElement.closest("pre, .facts, textarea, option")) continue;
    for (const { 0: part, index } of node.data.matchAll(/(?<![\w.])([−<>-]?\d[\d.,]*%?|[A-Za-z]{2,14})(?![\w.])/g)) {
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + part.length);
      if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1) faults.push(part);
    }
  }
  for (const one of document.querySelectorAll("body *")) {
    const { left, right, width } = one.getBoundingClientRect();
    const clipped = one.closest(".visually-hidden, #files, #folder, pre");
    if (width && !clipped && (right > innerWidth + 0.5 || left < -0.5)) faults.push(one.outerHTML.slice(0, 80));
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
  return faults;
}"""


@pytest.mark.parametrize("width", [320, 390, 900, 1280, 1920])
@pytest.mark.parametrize("state", STATES)
def test_no_number_or_short_word_breaks_and_nothing_is_wider_than_the_window(
    visit: Visit, service: httpx.Client, state: Callable[[Page], None], width: int
) -> None:
    page = visit(str(service.base_url), failures=["415", "422"], viewport={"width": width, "height": 900})
    state(page)
    assert page.evaluate(FAULTS) == []


def test_a_broken_number_and_a_wide_element_are_found(page: Page) -> None:
    page.evaluate(
        """() => {
          const { style } = document.querySelector(".bars .logit");
          Object.assign(style, { width: "3ch", whiteSpace: "normal", overflowWrap: "anywhere" });
          document.querySelector(".card").style.width = "3000px";
        }"""
    )
    faults = page.evaluate(FAULTS)
    assert "−0.02" in faults
    assert faults[-1] == "the page scrolls sideways"
    assert any('class="card"' in fault for fault in faults)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (900, 700), (1280, 800), (1920, 1080)])
def test_at_first_the_drop_zone_is_the_largest_thing_and_a_sample_is_scored(
    visit: Visit, service: httpx.Client, width: int, height: int
) -> None:
    page = visit(str(service.base_url), viewport={"width": width, "height": height})
    wait_until_done(page)
    expect(page.locator(".headline h3")).to_have_text("cat")
    area = """one => {
      const { top, bottom, width } = one.getBoundingClientRect();
      return Math.max(0, Math.min(bottom, innerHeight) - Math.max(top, 0)) * width;
    }"""
    drop_zone = page.locator(".drop").evaluate(area)
    others = page.locator("header, textarea, .enlarge, .bars, #done").evaluate_all(f"all => all.map({area})")
    assert drop_zone > max(others)
    if width > 390:
        expect(page.locator(".headline")).to_be_in_viewport()
    pick_sample(page, "dog")
    assert page.locator(".drop").evaluate(area) < drop_zone


@pytest.mark.parametrize("width", [900, 1280, 1920])
def test_the_model_and_its_limits_are_one_line(visit: Visit, service: httpx.Client, width: int) -> None:
    page = visit(str(service.base_url), viewport={"width": width, "height": 900})
    expect(page.locator("#model")).to_be_visible()
    assert page.locator("#model").evaluate("one => one.clientHeight") < 32


def test_on_a_phone_a_long_label_is_above_its_bar_over_the_full_width(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), viewport=PHONE, has_touch=True)
    page.fill("#labels", "a small orange cat that walks along a wall in the evening, dog")
    pick_sample(page, "cat")
    for item in page.locator(".bars li").all():
        boxes = [one.bounding_box() for one in (item.locator(".label"), item.locator(".bar"), item)]
        label, bar, row = filter(None, boxes)
        assert label["width"] == pytest.approx(row["width"], abs=1)
        assert label["y"] + label["height"] <= bar["y"]


def test_on_a_phone_the_page_scrolls_to_the_scores(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), viewport=PHONE, has_touch=True)
    wait_until_done(page)
    expect(page.locator("#results")).not_to_be_in_viewport()
    pick_sample(page, "cat")
    expect(page.locator(".card .headline")).to_be_in_viewport()


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
    wait_until_done(page)
    screenshot = page.screenshot(full_page=True)
    check_screenshot(SCREENSHOT, screenshot, 200_000)
