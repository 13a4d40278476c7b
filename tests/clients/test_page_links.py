"""Links to the page: the URL's hash has the question and the view. And photos from a phone's camera."""

from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.sync_api import Page, expect

from tests.clients.chromium import Visit
from tests.clients.page_actions import (
    bars,
    choose,
    classify,
    file,
    paste_labels,
    sample,
    table,
    wait_until_done,
)


def state(page: Page) -> dict[str, str]:
    """Returns what the URL's hash has."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).fragment, strict_parsing=True).items()}


def test_a_link_has_labels_templates_and_the_view_and_shows_the_same_scores(visit: Visit, page: Page) -> None:
    assert "#" not in page.url
    page.fill("#labels", "an orange cat & more, 猫\ndog")
    page.get_by_text("Templates").first.click()
    page.get_by_label("Templates", exact=True).fill("{}\nan icon of {}, flat")
    page.get_by_label("Threshold in per cent").fill("0.1")
    page.get_by_label("Top-k").fill("2")
    page.get_by_role("radio", name="Softmax").check()
    classify(page)
    assert state(page) == {
        "labels": "an orange cat & more, 猫\ndog",
        "templates": "{}\nan icon of {}, flat",
        "score": "softmax",
        "threshold": "0.1",
        "top_k": "2",
    }
    other = visit(page.url)
    wait_until_done(other)
    expect(other.get_by_role("radio", name="Softmax")).to_be_checked()
    assert bars(other) == bars(page) != []


def test_a_link_has_a_label_set_and_a_reload_keeps_it(page: Page) -> None:
    page.get_by_label("Label set").select_option("pets")
    expect(page.locator("#labels")).to_have_value("cat\ndog\ngoldfish")
    assert state(page) == {"label_set": "pets"}
    page.reload()
    wait_until_done(page)
    expect(page.locator("#labels")).to_have_value("cat\ndog\ngoldfish")
    expect(page.locator("#labels")).to_be_disabled()
    assert [row[0] for row in table(page)] == ["cat", "dog", "goldfish"]
    page.get_by_label("Label set").select_option("")
    expect(page.locator("#labels")).to_have_value("cat\ndog\ncar\nguitar\npizza\nrainbow")
    assert "#" not in page.url


def test_a_reload_keeps_labels_and_a_link_never_has_images(page: Page) -> None:
    page.fill("#labels", "tea, pizza")
    choose(page, file("secret name.png", sample("pizza")))
    assert state(page) == {"labels": "tea, pizza"}
    page.reload()
    wait_until_done(page)
    expect(page.locator("#labels")).to_have_value("tea, pizza")
    expect(page.locator(".card .name")).to_have_text("cat.png")


def test_the_skip_link_keeps_the_state_and_a_link_pasted_into_the_tab_is_followed(page: Page) -> None:
    page.fill("#labels", "tea")
    classify(page)
    page.get_by_role("link", name="Skip to the scores").press("Enter")
    expect(page.locator("#scores")).to_be_focused()
    assert state(page) == {"labels": "tea"}
    page.evaluate("location.hash = 'labels=coffee'")
    expect(page.locator("#labels")).to_have_value("coffee")
    wait_until_done(page)
    assert [row[0] for row in table(page)] == ["coffee"]


def test_a_link_with_nonsense_is_plain_text_or_ignored(visit: Visit, service: httpx.Client) -> None:
    hash_ = "labels=<img src=x onerror=alert(1)>&label_set=unknown&threshold=500&top_k=-1&score=<b>&other=1"
    page = visit(f"{service.base_url}/#{hash_}")
    wait_until_done(page)
    assert [bar[0] for bar in bars(page)] == ["<img src=x onerror=alert(1)>"]
    expect(page.get_by_role("radio", name="Sigmoid")).to_be_checked()
    expect(page.get_by_label("Label set")).to_have_value("")


def test_labels_too_long_for_a_link_are_left_out(page: Page) -> None:
    page.fill("#labels", "tea")
    page.locator("#labels").blur()
    assert state(page) == {"labels": "tea"}
    paste_labels(page, [f"thing {number}" for number in range(3000)])
    page.locator("#labels").blur()
    assert "#" not in page.url


def test_a_phone_has_a_button_for_its_camera(visit: Visit, service: httpx.Client, page: Page) -> None:
    expect(page.get_by_text("take a photo")).to_be_hidden()
    phone = visit(str(service.base_url), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    wait_until_done(phone)
    expect(phone.get_by_text("take a photo")).to_be_visible()
    camera = phone.locator("#camera")
    expect(camera).to_have_attribute("capture", "environment")
    camera.set_input_files([file("photo.jpg", sample("car"))])
    wait_until_done(phone)
    assert table(phone)[0][0] == "car"
