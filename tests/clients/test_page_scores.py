"""How the page shows scores: headline, view, the image, stale scores, and the contact sheet of many images."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.app.conftest import serve
from tests.clients.chromium import Visit
from tests.clients.page_actions import (
    bars,
    choose,
    classify,
    file,
    labels_of_image,
    pick_sample,
    sample,
    wait_until_done,
    winners,
)
from tests.fakes import INFO, FakeEncoder

NAMES = ["cat", "dog", "car", "guitar", "pizza", "rainbow"]


def requests_of(page: Page) -> list[str]:
    """Returns a list that grows with each request of the page to classify."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


def headline(page: Page) -> str:
    return " ".join((page.locator(".headline").inner_text()).split())


# One image


def test_the_headline_is_the_best_label_with_its_percentage(page: Page) -> None:
    pick_sample(page, "cat")
    assert headline(page) == "cat 49.5% sigmoid"
    page.get_by_role("radio", name="Softmax").check()
    assert headline(page) == "cat 97.7% softmax"
    size = page.locator(".headline h3").evaluate("one => parseFloat(getComputedStyle(one).fontSize)")
    assert size >= 24


def test_a_screen_reader_gets_a_heading_and_a_list_with_the_numbers(page: Page) -> None:
    page.fill("#labels", "cat, dog")
    pick_sample(page, "cat")
    expect(page.locator("#results")).to_match_aria_snapshot(
        """
        - article "cat.png":
          - heading "cat" [level=3]
          - paragraph:
            - strong: 49.5%
            - text: sigmoid
          - figure "cat.png 256 × 256 PNG, sample":
            - button "Enlarge cat.png"
            - text: cat.png 256 × 256 PNG, sample
            - button "Show what the model sees"
          - list "Sigmoid of cat.png":
            - listitem: cat logit −0.02 49.5%
            - listitem: dog logit −3.87 2.0%
        """
    )
    expect(page.get_by_role("status").filter(has_text="Best: cat. Sigmoid 49.5%")).to_have_count(1)


def test_the_explanation_is_that_of_the_view(page: Page) -> None:
    sigmoid, softmax = page.get_by_text("How well each label fits"), page.get_by_text("Which of the labels fits best")
    expect(sigmoid).to_be_visible()
    expect(softmax).to_be_hidden()
    page.get_by_role("radio", name="Softmax").check()
    expect(sigmoid).to_be_hidden()
    expect(softmax).to_be_visible()


def test_the_threshold_slider_and_top_k_act_at_once_and_without_a_request(page: Page) -> None:
    pick_sample(page, "dog")
    sent = requests_of(page)
    assert len(bars(page)) == 6
    slider = page.locator("#threshold")
    assert headline(page) == "cat 85.8% sigmoid"
    slider.fill("0.5")
    assert [bar[0] for bar in bars(page)] == ["cat", "dog"]
    assert headline(page) == "cat 85.8% sigmoid accepted"
    expect(page.get_by_label("Threshold in per cent")).to_have_value("13")
    expect(page.locator("#command")).to_contain_text("threshold=0.13")
    slider.press("End")
    assert headline(page) == "cat 85.8% sigmoid none of these"
    expect(page.locator(".answer")).to_have_text("No label reaches the threshold.")
    page.get_by_label("Threshold in per cent").fill("80")
    assert [bar[0] for bar in bars(page)] == ["cat"]
    assert float(slider.input_value()) == pytest.approx(0.8 ** (1 / 3), abs=0.01)
    slider.press("Home")
    page.get_by_label("Top-k").fill("3")
    assert len(bars(page)) == 3
    expect(page.locator("#command")).to_contain_text("top_k=3")
    page.get_by_label("Top-k").fill("1000")  # invalid: nothing changes
    assert len(bars(page)) == 3
    assert sent == []


@pytest.mark.parametrize(
    ("labels", "sample_name", "verdict"),
    [(["cat", "dog"], "cat", "accepted"), (["cat", "dog"], "rainbow", "none of these")],
)
def test_the_headline_says_what_a_label_set_accepts(
    page: Page, service: httpx.Client, labels: list[str], sample_name: str, verdict: str
) -> None:
    body = {"labels": labels, "threshold": 0.2}
    assert service.put("/label-sets/judged", json=body).status_code in (200, 201)
    page.reload()
    wait_until_done(page)
    page.get_by_label("Label set").select_option("judged")
    pick_sample(page, sample_name)
    expect(page.locator(".headline .verdict")).to_have_text(verdict)


def test_the_image_is_large_and_a_click_enlarges_it(page: Page) -> None:
    pick_sample(page, "guitar")
    box = page.locator(".enlarge img").bounding_box()
    assert box
    assert min(box["width"], box["height"]) >= 256
    page.get_by_role("button", name="Enlarge guitar.png").click()
    enlarged = page.get_by_role("dialog", name="Enlarged image")
    expect(enlarged).to_be_visible()
    large = enlarged.locator("img").bounding_box()
    assert large
    assert large["height"] > box["height"]
    page.keyboard.press("Escape")
    expect(enlarged).to_be_hidden()
    expect(page.get_by_role("button", name="Enlarge guitar.png")).to_be_focused()


def test_what_the_model_sees_is_the_image_squashed_to_its_size(page: Page) -> None:
    wide = np.zeros((40, 400, 3), np.uint8)
    wide[:, :200] = (200, 0, 0)
    wide[:, 200:] = (0, 0, 200)
    png = BytesIO()
    Image.fromarray(wide).save(png, "PNG")
    choose(page, file("wide.png", png.getvalue()))
    page.get_by_role("button", name="Show what the model sees").click()
    canvas = page.get_by_role("img", name="The image as the model sees it")
    assert canvas.evaluate("one => [one.width, one.height]") == [64, 64]
    row = canvas.evaluate("one => [...one.getContext('2d').getImageData(0, 60, 64, 1).data]")
    assert row[40:44] == pytest.approx([200, 0, 0, 255], abs=2)
    assert row[216:220] == pytest.approx([0, 0, 200, 255], abs=2)
    expect(page.locator(".model-input")).to_contain_text("Squashed to 64 × 64 pixels.")
    page.get_by_role("button", name="Show the image").click()
    expect(page.locator(".enlarge img")).to_be_visible()


def test_a_model_that_keeps_the_aspect_ratio_has_no_button_for_its_input(visit: Visit) -> None:
    with serve(FakeEncoder(info=replace(INFO, image_size=None, max_num_patches=256))) as client:
        page = visit(str(client.base_url))
        wait_until_done(page)
        expect(page.locator(".enlarge img")).to_have_js_property("complete", True)
        expect(page.get_by_role("button", name="Enlarge cat.png")).to_be_visible()
        expect(page.get_by_role("button", name="Show what the model sees")).to_be_hidden()


def test_edited_labels_mark_the_scores_as_old_until_they_are_asked_for(page: Page) -> None:
    pick_sample(page, "cat")
    stale = page.get_by_text("These scores are for the old ones.")
    expect(stale).to_be_hidden()
    before = page.locator("#labels").input_value()
    page.fill("#labels", "tea, coffee")
    expect(stale).to_be_visible()
    page.fill("#labels", before)
    expect(stale).to_be_hidden()
    page.get_by_label("Label set").select_option("pets")
    expect(stale).to_be_visible()
    classify(page)
    expect(stale).to_be_hidden()
    assert len(bars(page)) == 3
    page.get_by_label("Label set").select_option("")
    expect(stale).to_be_visible()


# Many images


def test_three_hundred_images_are_pages_of_tiles_and_the_page_stays_short(page: Page) -> None:
    images = [file(f"{index:03}.png", sample(NAMES[index % 6])) for index in range(300)]
    page.set_input_files("#files", images)
    wait_until_done(page, 120_000)
    expect(page.locator("#status")).to_have_text("300 images.")
    assert page.evaluate("document.documentElement.scrollHeight") < 3_000
    pages = page.get_by_role("navigation", name="Pages of images")
    expect(pages).to_contain_text("1–24 of 300")
    expect(page.get_by_role("button", name="Previous page")).to_be_disabled()
    assert len(winners(page)) == 24
    assert winners(page)[2:6] == NAMES[2:]
    for _ in range(12):
        page.get_by_role("button", name="Next page").click()
    expect(pages).to_contain_text("289–300 of 300")
    expect(page.get_by_role("button", name="Next page")).to_be_disabled()
    expect(page.get_by_role("button", name="Previous page")).to_be_focused()
    names = page.locator(".tile-name").all_text_contents()
    assert names == [f"{index}.png" for index in range(288, 300)]
    assert labels_of_image(page, 5)[0] == "rainbow"


def test_a_tile_opens_the_card_of_its_image_and_the_next_ones(page: Page) -> None:
    page.get_by_role("button", name="use all samples").click()
    wait_until_done(page)
    expect(page.get_by_role("navigation", name="Pages of images")).to_be_hidden()
    opener = page.locator(".tile button").nth(4)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail .name")).to_have_text("pizza.png")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#detail .name")).to_have_text("rainbow.png")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#detail .name")).to_have_text("cat.png")
    page.get_by_role("button", name="Previous").click()
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#detail .name")).to_have_text("pizza.png")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_the_view_applies_to_tiles(page: Page) -> None:
    page.get_by_role("button", name="use all samples").click()
    wait_until_done(page)
    sent = requests_of(page)
    tile = page.locator(".tile").first
    expect(tile.locator(".value")).to_have_text("49.5%")
    page.get_by_role("radio", name="Softmax").check()
    expect(tile.locator(".value")).to_have_text("97.7%")
    page.get_by_label("Threshold in per cent").fill("60")
    expect(tile).to_contain_text("none of these")
    expect(page.locator(".tile").nth(1)).to_contain_text("accepted")
    assert sent == []


def test_the_first_sample_gives_way_to_images_that_are_chosen_before_it_is_scored(visit: Visit) -> None:
    with serve(FakeEncoder()) as client:
        page = visit("about:blank")
        held: list[Any] = []
        page.route("**/page/samples/cat.png", lambda route: held.append(route))  # noqa: PLW0108 (it marks what it calls)
        page.goto(str(client.base_url), wait_until="domcontentloaded")
        expect(page.locator("#model")).to_be_visible()
        choose(page, file("mine.png", sample("dog")))
        for route in held:
            route.continue_()
        page.wait_for_load_state("load")
        expect(page.locator(".card .name")).to_have_text("mine.png")
