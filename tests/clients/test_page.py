"""The page in a real Chromium, with the real service and the embedded checkpoint.

Tests of errors use a service with the fake encoder.
"""

import json
import re
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Error, Page, Route, expect

from tests.app.conftest import serve
from tests.clients.chromium import Visit
from tests.clients.page_actions import (
    choose,
    classify,
    file,
    forward,
    labels_of_image,
    paste_labels,
    pick_sample,
    run,
    sample,
    table,
    wait_until_done,
    winners,
)
from tests.fakes import FakeEncoder

NAMES = ["cat", "dog", "car", "guitar", "pizza", "rainbow"]
HOSTILE = ["<img src=x onerror=alert(1)>", 'it\'s "quoted" $HOME `id` \\', "@/etc/passwd;type=text/html", "猫", "[cat"]


def percent(value: float) -> str:
    """Returns a score as the page should show it."""
    if value in (0, 1):
        return f"{value:.0%}"
    if value < 0.0001:
        return "<0.01%"
    if value >= 0.9995:
        return ">99.9%"
    return f"{value * 100:.{2 if value < 0.00995 else 1}f}%"


def as_shown(scores: list[dict[str, Any]]) -> list[list[str]]:
    """Returns scores of the service as the page should show them."""

    return [
        [
            score["label"],
            percent(score["sigmoid"]),
            percent(score["softmax"]),
            f"{score['logit']:.2f}".replace("-", "−"),
        ]
        for score in scores
    ]


def ask(service: httpx.Client, name: str, **fields: Any) -> list[dict[str, Any]]:
    """Returns the scores that the service returns for a sample, without the page."""
    response = service.post("/classify", files={"image": sample(name)}, data=fields)
    assert response.status_code == 200, response.text
    scores: list[dict[str, Any]] = response.json()["scores"]
    return scores


# One image, labels and options


def test_a_sample_is_shown_as_bars_with_the_values_of_the_service(page: Page, service: httpx.Client) -> None:
    pick_sample(page, "cat")
    expected = ask(service, "cat", labels=NAMES)
    assert table(page) == as_shown(expected)
    for kind in ("sigmoid", "softmax"):
        page.get_by_role("radio", name=kind.capitalize()).check()
        widths = page.locator(".bars .bar").evaluate_all(
            "bars => bars.map(bar => bar.firstChild.getBoundingClientRect().width / bar.getBoundingClientRect().width)"
        )
        assert widths == pytest.approx([score[kind] for score in expected], abs=0.01)
    best = expected[0]
    summary = f"Best: cat. Sigmoid {percent(best['sigmoid'])}, softmax {percent(best['softmax'])}."
    expect(page.get_by_role("status").filter(has_text="Best")).to_have_text(summary)
    expect(page.locator("#results img")).to_have_js_property("naturalWidth", 256)


def test_the_page_names_the_model_and_says_that_it_is_a_demonstration(page: Page, service: httpx.Client) -> None:
    expect(page.locator("#model-name")).to_have_text("SigLIPTinyP16 pictograms_64")
    expect(page.get_by_text("A demonstration for pictograms.")).to_be_visible()
    expect(page.locator("#limits")).to_have_text("Up to 10,000 labels, 50 MP, 20 MB.")
    page.locator("#model summary").click()
    info = service.get("/info").json()
    for fact in (info["sha256"], info["preprocessing"], info["canonicalisation"], "CPU, tensorflow, float32"):
        expect(page.locator("#model-facts")).to_contain_text(fact)


def test_another_model_is_not_called_a_demonstration(visit: Visit) -> None:
    with serve(FakeEncoder()) as client:
        page = visit(str(client.base_url))
        wait_until_done(page)
        expect(page.locator("#model-name")).to_have_text("FakeSigLIP fake_8")
        expect(page.get_by_text("A demonstration")).to_be_hidden()


def test_a_chosen_image_is_shown_upright_with_its_notes_and_times(page: Page) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    jpeg = BytesIO()
    Image.new("RGB", (60, 40), "teal").save(jpeg, "JPEG", exif=exif)
    choose(page, file("holiday.jpg", jpeg.getvalue()))
    expect(page.locator("figcaption")).to_have_text("holiday.jpg40 × 60 JPEG, EXIF orientation applied")
    assert page.locator(".card img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [40, 60]
    assert page.locator("#timings dt").all_text_contents() == [
        "Decoding",
        "Waiting for the device",
        "Image on the device",
        "Labels",
        "Total in the service",
        "Total in the browser",
    ]
    assert all(re.fullmatch(r"\d+\.\d ms", text) for text in page.locator("#timings dd").all_text_contents())


@pytest.mark.parametrize(
    "text",
    [
        "cat, tortoise , dog,",
        "\ncat\n  tortoise\n\ndog\n",
        "cat; tortoise\ndog",
        "cat, tortoise\ndog",
        ' ["cat", "tortoise", "dog"]',
    ],
)
def test_labels_are_separated_by_commas_semicolons_and_lines_or_a_json_array(
    page: Page, service: httpx.Client, text: str
) -> None:
    page.fill("#labels", text)
    expect(page.locator("#labels-count")).to_have_text("3 labels")
    pick_sample(page, "dog")
    assert table(page) == as_shown(ask(service, "dog", labels=["cat", "tortoise", "dog"]))


def test_in_a_json_array_a_comma_is_part_of_a_label(page: Page) -> None:
    page.fill("#labels", '["a cat, asleep", "dog"]')
    pick_sample(page, "cat")
    assert sorted(row[0] for row in table(page)) == ["a cat, asleep", "dog"]
    page.fill("#labels", '["a cat, asleep')
    page.get_by_role("button", name="Classify").click()
    message = page.locator("#labels").evaluate("field => field.validationMessage")
    assert message == 'Labels that begin with [ are a JSON array: ["a, b", "c"].'


def test_warnings_about_labels_are_shown_until_the_next_request(page: Page) -> None:
    page.fill("#labels", "C++\nC#\n🐱")
    pick_sample(page, "cat")
    texts = page.locator("#warnings li").all_text_contents()
    assert [text[:50] for text in texts] == [
        'The model reads the same tokens for "C++" and "C#"',
        'The model cannot read "🐱": it was not trained on a',
    ]
    page.fill("#labels", "cat, dog")
    pick_sample(page, "dog")
    expect(page.locator("#warnings")).to_be_empty()


def test_labels_are_plain_text_even_if_they_look_like_code(page: Page) -> None:
    page.fill("#labels", json.dumps(HOSTILE))
    pick_sample(page, "cat")
    assert sorted(row[0] for row in table(page)) == sorted(HOSTILE)
    assert page.locator("#results img").count() == 1


def test_without_labels_the_page_says_what_is_missing(page: Page) -> None:
    page.fill("#labels", " , ,")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#labels")).to_be_focused()
    assert page.locator("#labels").evaluate("field => field.validationMessage") == "Type at least one label."


def test_a_label_set_replaces_labels_and_templates(page: Page, service: httpx.Client) -> None:
    page.fill("#labels", "tea, coffee")
    page.get_by_label("Label set").select_option("pets")
    expect(page.locator("#labels")).to_be_disabled()
    expect(page.locator("#templates")).to_be_disabled()
    expect(page.locator("#labels")).to_have_value("cat\ndog\ngoldfish")
    expect(page.locator("#templates")).to_have_value("This is a photo of {}.")
    expect(page.locator("#labels-count")).to_have_text("3 labels")
    pick_sample(page, "cat")
    assert table(page) == as_shown(ask(service, "cat", label_set="pets"))
    page.get_by_label("Label set").select_option("")
    expect(page.locator("#labels")).to_be_enabled()
    expect(page.locator("#labels")).to_have_value("tea, coffee")
    expect(page.locator("#labels-count")).to_have_text("2 labels")


def test_templates_threshold_and_top_k_are_used(page: Page, service: httpx.Client) -> None:
    page.get_by_text("Templates").first.click()
    page.get_by_label("Templates", exact=True).fill("{}\nan icon of {}, flat\n")
    page.get_by_label("Top-k").fill("2")
    pick_sample(page, "dog")
    templates = ["{}", "an icon of {}, flat"]
    assert table(page) == as_shown(ask(service, "dog", labels=NAMES, templates=templates, top_k=2))
    expect(page.locator(".answer")).to_contain_text("2 of 6 labels shown")
    page.get_by_label("Threshold in per cent").fill("100")
    expect(page.locator(".answer")).to_have_text("No label reaches the threshold.")


def test_an_invalid_template_shows_the_error_of_the_service(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["422"])
    page.get_by_text("Templates").first.click()
    page.get_by_label("Templates", exact=True).fill("a photo")
    page.get_by_role("button", name="Sample cat").click()
    alert = page.locator("#problem[role=alert]")
    expect(alert).to_contain_text("The templates cannot be used")
    expect(alert).to_contain_text("Template 1 must contain {} for the label, at most 4 times.")
    expect(page.locator("#done")).to_be_hidden()


def test_ten_thousand_labels_are_one_request_and_the_best_are_shown(page: Page) -> None:
    paste_labels(page, [f"thing {number}" for number in range(10_000)])
    expect(page.locator("#labels-count")).to_have_text("10,000 labels")
    page.get_by_role("button", name="Sample cat").click()
    wait_until_done(page, 120_000)
    assert len(table(page)) == 10
    expect(page.locator(".answer")).to_contain_text("10 of 10,000 labels shown")
    assert len(page.locator("#command").text_content() or "") < 6_000
    page.locator("#labels").press("Control+End")
    page.locator("#labels").press_sequentially("\nand one more")
    expect(page.locator("#labels-count")).to_have_text("10,001 labels; this service accepts at most 10,000")
    assert not page.locator("#labels").evaluate("field => field.checkValidity()")


# Several images


def test_several_images_are_one_request_and_a_grid(page: Page) -> None:
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="use all samples").click()
    wait_until_done(page)
    assert [url.rsplit("/", 2)[-2:] for url in sent] == [["classify", "batch"]]
    assert page.locator(".tile-name").all_text_contents() == [f"{name}.png" for name in NAMES]
    best = winners(page)
    assert [best[index] for index in (0, 2, 3, 4, 5)] == [NAMES[index] for index in (0, 2, 3, 4, 5)]
    expect(page.locator("#status")).to_have_text("6 images.")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0broken", "truncated"),
        ("letter.txt", b"Dear reader", "not an image"),
        ("IMG_1.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ],
)
def test_an_unusable_image_has_the_error_on_its_card(
    visit: Visit, service: httpx.Client, name: str, content: bytes, reason: str
) -> None:
    page = visit(str(service.base_url), failures=["415", "422"])
    choose(page, file(name, content))
    expect(page.locator(".card")).to_contain_text("No preview")
    card_error = page.locator(".card .problem p").first.text_content() or ""
    detail = service.post("/classify", files={"image": content}, data={"labels": ["cat"]}).json()["detail"]
    assert detail in card_error
    expect(page.locator("#status")).to_have_text("The image cannot be used.")
    choose(page, file("cat.png", sample("cat")), file(name, content))
    expect(page.locator("#status")).to_have_text("2 images, 1 cannot be used.")
    assert winners(page) == ["", "cat"]  # errors come first
    page.locator(".tile button").first.click()
    expect(page.locator("#detail .card")).to_contain_text(detail)


def test_more_images_than_a_request_may_have_are_sent_in_several(visit: Visit, tmp_path: Path) -> None:
    with serve(FakeEncoder(), max_images=2) as client:
        page = visit(str(client.base_url), failures=["422"])
        wait_until_done(page)
        sent = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        names = [*NAMES[:4], "empty"]
        choose(page, *(file(f"{name}.png", sample(name) if name != "empty" else b"") for name in names))
        expect(page.locator("#status")).to_have_text("5 images, 1 cannot be used.")
        assert [url.removeprefix(str(client.base_url)) for url in sent] == ["/classify/batch"] * 2 + ["/classify"]
        assert [len(labels_of_image(page, index)) for index in range(5)] == [0, 6, 6, 6, 6]
        expect(page.locator("#progress")).to_be_hidden()
        for name in names:
            (tmp_path / f"{name}.png").write_bytes(sample(name) if name != "empty" else b"")
        first, second, third = run(page, tmp_path)
        results = first["results"] + second["results"]
        shown = [labels_of_image(page, index) for index in range(1, 5)]
        assert [[score["label"] for score in result["scores"]] for result in results] == shown
        assert third["error_type"] == "invalid_image"


def test_large_images_are_sent_in_several_requests_and_a_too_large_one_is_not_sent(visit: Visit) -> None:
    with serve(FakeEncoder(), max_body_bytes=30_000) as client:
        page = visit(str(client.base_url))
        wait_until_done(page)
        sent = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        big = file("big.png", sample("cat") + bytes(40_000))
        middle = [file(f"{name}.png", sample(name) + bytes(10_000)) for name in ("cat", "dog", "car")]
        choose(page, big, *middle)
        assert [url.removeprefix(str(client.base_url)) for url in sent] == ["/classify"] * 3
        assert all(winners(page)[1:])
        expect(page.locator("#status")).to_have_text("4 images, 1 cannot be used.")


def test_the_progress_is_shown(visit: Visit) -> None:
    with serve(FakeEncoder(), max_images=2) as client:
        page = visit(str(client.base_url))
        wait_until_done(page)
        held: list[Any] = []
        page.route("**/classify", lambda route: held.append(route))  # noqa: PLW0108 (it marks what it calls)
        page.set_input_files("#files", [file(f"{name}.png", sample(name)) for name in NAMES[:3]])
        expect(page.locator("#status")).to_have_text("2 of 3 images …")
        expect(page.get_by_role("progressbar", name="Images classified")).to_have_js_property("value", 2)
        assert [name != "" for name in winners(page)] == [True, True, False]
        held[0].continue_()
        wait_until_done(page)
        expect(page.locator("#status")).to_have_text("3 images.")


# The command


def test_the_command_gives_the_same_scores_in_a_shell(page: Page, tmp_path: Path) -> None:
    pick_sample(page, "cat")
    (response,) = run(page, tmp_path)
    assert as_shown(response["scores"]) == table(page)
    assert (tmp_path / "samples" / "cat.png").read_bytes() == sample("cat")


@pytest.mark.parametrize("name", ["plain.png", "-", 'it\'s; a "cat", $(id) \\.png', " 猫 & dog?.png", "a=b@c.png"])
def test_the_command_is_correct_for_any_characters_in_names_and_labels(page: Page, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(sample("cat"))
    page.fill("#labels", json.dumps(HOSTILE))
    page.get_by_text("Templates").first.click()
    page.get_by_label("Templates", exact=True).fill('@it\'s {}; "$PATH"\n<{}>')
    page.get_by_label("Threshold in per cent").fill("1e-7")
    choose(page, file(name, sample("cat")))
    (response,) = run(page, tmp_path)
    assert as_shown(response["scores"]) == table(page)
    assert {score["label"] for score in response["scores"]} == set(HOSTILE)


@pytest.mark.parametrize("label", ["[cat", '["cat"]'])
def test_the_command_sends_a_label_that_looks_like_json_as_it_is(page: Page, tmp_path: Path, label: str) -> None:
    page.fill("#labels", json.dumps([label]))
    pick_sample(page, "cat")
    (response,) = run(page, tmp_path)
    assert [row[0] for row in table(page)] == [score["label"] for score in response["scores"]] == [label]


@pytest.mark.parametrize(("label", "count"), [("a rather long label's number", 6_000), ("猫" * 100, 440)])
def test_a_command_too_long_for_an_argument_is_copied_completely_and_runs(
    visit: Visit, tmp_path: Path, label: str, count: int
) -> None:
    with serve(FakeEncoder()) as client:
        page = visit(str(client.base_url))
        paste_labels(page, [f"{label} {number}" for number in range(count)])
        pick_sample(page, "cat")
        expect(page.locator("#command-hint")).to_contain_text("The button copies all")
        (response,) = run(page, tmp_path)
        assert as_shown(response["scores"]) == table(page)


# Paste and drop


def test_an_image_can_be_pasted(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        "async () => navigator.clipboard.write([new ClipboardItem({'image/png': "
        "(await fetch('page/samples/pizza.png')).blob()})])"
    )
    page.get_by_role("button", name="Classify").focus()
    page.keyboard.press("Control+V")
    wait_until_done(page)
    assert table(page)[0][0] == "pizza"


def test_text_is_pasted_into_the_focused_field(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('tea, coffee')")
    page.fill("#labels", "")
    page.locator("#labels").press("Control+V")
    expect(page.locator("#labels")).to_have_value("tea, coffee")


def test_images_can_be_dropped_anywhere(page: Page) -> None:
    page.evaluate(
        """async () => {
          const dataTransfer = new DataTransfer();
          for (const name of ["guitar", "car"]) {
            const image = await (await fetch(`page/samples/${name}.png`)).blob();
            dataTransfer.items.add(new File([image], `${name}.png`, { type: "image/png" }));
          }
          const options = { dataTransfer, bubbles: true, cancelable: true };
          const footer = document.querySelector("footer");
          footer.dispatchEvent(new DragEvent("dragover", options));
          if (!document.body.matches(".dragging")) throw new Error("the page does not show that files can be dropped");
          footer.dispatchEvent(new DragEvent("drop", options));
        }"""
    )
    wait_until_done(page)
    assert winners(page) == ["guitar", "car"]
    expect(page.locator(".dragging")).to_have_count(0)


def test_a_dropped_folder_shows_every_file_in_it_and_says_which_is_not_an_image(page: Page, tmp_path: Path) -> None:
    for name, content in {"cat.png": sample("cat"), "more/car.png": sample("car"), "more/notes.txt": b"hello"}.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    (tmp_path / "photos/.hidden.png").write_bytes(sample("dog"))
    browser = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(tmp_path / "photos")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})
    wait_until_done(page)
    names = page.locator(".tile-name").all_text_contents()
    assert sorted(names) == ["car.png", "cat.png", "notes.txt"]
    folders = dict(zip(names, page.locator(".tile-folder").all_text_contents(), strict=True))
    assert folders == {"car.png": "photos/more/", "cat.png": "photos/", "notes.txt": "photos/more/"}
    assert len(labels_of_image(page, names.index("cat.png"))) == 6
    page.locator(".tile", has_text="notes.txt").get_by_role("button").click()
    expect(page.locator("#detail .card")).to_contain_text("not an image in an accepted format")


def test_the_bytes_of_images_are_released_after_they_are_shown(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["ERR_FILE_NOT_FOUND"])
    pick_sample(page, "cat")
    address = page.locator(".card img").get_attribute("src") or ""
    assert address.startswith("blob:")
    expect(page.locator(".card img")).to_have_js_property("complete", True)
    # Loaded as an image, because the Content Security Policy does not allow a fetch of it.
    assert (
        page.evaluate(
            "address => new Promise(done => Object.assign(new Image(), "
            "{ src: address, onload: () => done('kept'), onerror: () => done('released') }))",
            address,
        )
        == "released"
    )


# Keys, loading, overload


def test_a_key_leaves_the_authorization_header_to_a_proxy(visit: Visit) -> None:
    with serve(FakeEncoder(), api_keys="key") as client:
        page = visit(str(client.base_url), failures=["401"])
        page.get_by_label("API key").fill("key")
        with page.expect_request("**/label-sets") as sent:
            page.get_by_label("API key").press("Enter")
        headers = sent.value.all_headers()
        wait_until_done(page)
    assert headers["x-api-key"] == "key"
    assert "authorization" not in headers


def test_a_late_401_response_does_not_ask_for_the_key_again(visit: Visit) -> None:
    with serve(FakeEncoder(), api_keys="right") as client:
        page = visit(str(client.base_url), failures=["401"])
        expect(page.get_by_label("API key")).to_be_focused()
        held: list[Route] = []
        page.route("**/label-sets", lambda route: held.append(route), times=1)  # noqa: PLW0108 (Playwright wants one)
        with page.expect_request("**/label-sets"):
            page.get_by_role("button", name="Sample cat").click()
        page.get_by_label("API key").fill("right")
        page.get_by_label("API key").press("Enter")
        held[0].continue_()
        wait_until_done(page)
        expect(page.locator("#key-form")).to_be_hidden()


def test_a_required_key_is_asked_for_and_kept_for_the_tab(visit: Visit, tmp_path: Path) -> None:
    key = "schlüssel-鍵"
    with serve(FakeEncoder(), api_keys=f"other,{key}") as client:
        page = visit(str(client.base_url), failures=["401"])
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        expect(page.locator("#key-problem[role=alert]")).to_have_text("This service needs an API key.")
        expect(page.locator("#key-form")).to_contain_text("Stored for this tab until it is closed (sessionStorage)")
        page.get_by_role("button", name="Sample cat").click()  # sent after the key is entered
        field.fill("wrong")
        field.press("Enter")
        expect(page.locator("#key-problem")).to_have_text("This API key is not valid.")
        field.fill(key)
        field.press("Enter")
        wait_until_done(page)
        expect(page.locator("#key-form")).to_be_hidden()
        assert len(table(page)) == 6
        assert key not in page.content()
        expect(page.locator("#command-hint")).to_have_text("It reads the key from the variable API_KEY.")
        (response,) = run(page, tmp_path, API_KEY=key)
        assert as_shown(response["scores"]) == table(page)
        page.reload()
        expect(page.locator("#key-in-use")).to_be_visible()
        expect(page.locator("#key-form")).to_be_hidden()
        assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
        page.get_by_role("button", name="Forget key").click()
        assert page.evaluate("sessionStorage.length") == 0
        page.get_by_role("button", name="Sample cat").click()
        expect(page.locator("#key-problem")).to_have_text("This service needs an API key.")


def test_no_key_is_asked_for_if_none_is_required(page: Page) -> None:
    pick_sample(page, "cat")
    expect(page.get_by_label("API key")).to_be_hidden()
    expect(page.locator("#key-in-use")).to_be_hidden()
    assert "API_KEY" not in (page.locator("#command").text_content() or "")


def test_while_the_model_loads_the_page_shows_the_stage_and_then_continues(visit: Visit) -> None:
    loaded = threading.Event()
    with serve(FakeEncoder(before_warm_up=loaded.wait), wait=False) as client:
        page = visit(str(client.base_url), failures=["503"])
        stage = page.locator("#stage[role=status]")
        expect(stage).to_have_text("The model is not ready: compiling. This page retries automatically.")
        page.get_by_role("button", name="Classify").click()
        expect(page.locator("#status")).to_have_text("Choose an image or a sample first.")
        expect(page.locator("#model")).to_be_hidden()
        page.get_by_role("button", name="Sample cat").click()
        expect(page.locator("#status")).to_have_text("Classifying 1 image …")
        loaded.set()
        wait_until_done(page)
        expect(stage).to_be_hidden()
        assert len(table(page)) == 6


def test_a_request_is_repeated_if_the_service_has_restarted_and_is_loading(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["503"])
    wait_until_done(page)
    problem = {"title": "The service is not ready", "detail": "The model is not ready: loading.", "status": 503}
    problems = [problem | {"error_type": "not_ready", "errors": []}]

    def not_ready_once(route: Any) -> None:
        if problems:
            route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(problems.pop()))
        else:
            route.continue_()

    page.route("**/classify", not_ready_once)
    pick_sample(page, "cat")
    assert table(page) == as_shown(ask(service, "cat", labels=NAMES))


def test_if_the_queue_is_full_the_page_says_when_to_try_again(visit: Visit) -> None:
    free = threading.Event()
    free.set()
    encoder = FakeEncoder(before_batch=free.wait)
    with serve(encoder, max_queue_items=1) as client:
        page = visit(str(client.base_url), failures=["429"])
        wait_until_done(page)
        free.clear()
        first = threading.Thread(
            target=client.post, args=("/classify",), kwargs={"files": {"image": sample("cat")}, "data": {"labels": "x"}}
        )
        first.start()
        while "siglip_queue_depth 1.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        page.get_by_role("button", name="Sample dog").click()
        expect(page.locator("#problem")).to_contain_text(re.compile(r"The queue is full\. Try again in \d+ s\."))
        free.set()
        first.join()
        classify(page)
        expect(page.locator("#problem")).to_be_hidden()
        assert len(table(page)) == 6


def test_a_new_request_cancels_the_previous_one(visit: Visit) -> None:
    free = threading.Event()
    with serve(FakeEncoder(before_batch=free.wait)) as client:
        page = visit("about:blank")
        aborted = []
        page.on("requestfailed", lambda request: aborted.append(request.url))
        with page.expect_request("**/classify"):
            page.goto(str(client.base_url))
        expect(page.locator(".card .name")).to_have_text("cat.png")
        page.fill("#labels", "this, that")
        with page.expect_event("requestfailed"), page.expect_request("**/classify"):
            page.get_by_role("button", name="Sample dog").click()
        free.set()
        wait_until_done(page)
        assert [row[0] for row in table(page)] in (["this", "that"], ["that", "this"])
        expect(page.locator(".card .name")).to_have_text("dog.png")
        assert aborted == [f"{client.base_url}/classify"]


def test_errors_of_a_proxy_and_of_the_service_are_distinguished(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["502", "429", "ERR_FAILED"])
    wait_until_done(page)
    page.route("**/classify", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    page.get_by_role("button", name="Sample cat").click()
    expect(page.locator("#problem")).to_contain_text("The service was not reached")
    expect(page.locator("#problem")).to_contain_text("A proxy before the service responded with 502.")
    page.route("**/classify", lambda route: route.fulfill(status=429, headers={"Retry-After": "7"}, body=""))
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#problem")).to_contain_text("A proxy before the service responded with 429. Try again in 7 s.")
    page.route("**/classify", lambda route: route.abort())
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#problem")).to_contain_text("The service does not respond")
    page.unroute("**/classify")
    classify(page)
    expect(page.locator("#problem")).to_be_hidden()


def test_the_page_works_behind_a_prefix(visit: Visit, service: httpx.Client) -> None:
    page = visit("about:blank")
    outside = f"{service.base_url}/tools/siglip/"

    forward(page, outside, f"{service.base_url}/")
    page.goto(outside)
    expect(page.locator("#model-name")).to_have_text("SigLIPTinyP16 pictograms_64")
    assert page.locator("#samples img").first.evaluate("image => image.complete && image.naturalWidth") == 256
    page.get_by_role("button", name="Sample cat").click()
    expect(page.locator("#command")).to_contain_text(f"{outside}classify")


def test_an_open_page_waits_for_a_service_that_is_down(visit: Visit) -> None:
    with serve(FakeEncoder()) as client:
        page = visit("about:blank", failures=["ERR_CONNECTION_REFUSED", "502"])
        page.route("**/health/startup", lambda route: route.abort("connectionrefused"))
        page.goto(str(client.base_url))
        expect(page.locator("#stage")).to_contain_text(
            "The connection to the service failed. This page retries automatically."
        )
        page.route("**/health/startup", lambda route: route.fulfill(status=502))
        expect(page.locator("#stage")).to_contain_text("A proxy before the service responded with 502.")
        page.unroute("**/health/startup")
        wait_until_done(page)


def test_the_browser_enforces_the_content_security_policy(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["TrustedHTML", "Content Security Policy"])
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>bold</b>'")
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:1/')")
