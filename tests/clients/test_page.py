"""The page in a real Chromium, before the real service with the embedded checkpoint or, for its faults, a fake one."""

import json
import os
import re
import subprocess
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
from tests.clients.hands import choose, classify, file, finish, forward, paste_labels, pick, sample, table
from tests.fakes import FakeEncoder

NAMES = ["cat", "dog", "car", "guitar", "pizza", "rainbow"]
HOSTILE = ["<img src=x onerror=alert(1)>", 'it\'s "quoted" $HOME `id` \\', "@/etc/passwd;type=text/html", "猫", "[cat"]


def as_shown(scores: list[dict[str, Any]]) -> list[list[str]]:
    """Returns an answer's scores as the page should show them."""

    def shown(value: float) -> str:
        return f"{value:.4f}" if value >= 0.0001 else "<0.0001"

    return [
        [score["label"], shown(score["sigmoid"]), shown(score["softmax"]), f"{score['logit']:.2f}".replace("-", "−")]
        for score in scores
    ]


def ask(service: httpx.Client, name: str, **fields: Any) -> list[dict[str, Any]]:
    """Returns the scores that the service itself answers."""
    answer = service.post("/classify", files={"image": sample(name)}, data=fields)
    assert answer.status_code == 200, answer.text
    scores: list[dict[str, Any]] = answer.json()["scores"]
    return scores


def run(page: Page, folder: Path, **variables: str) -> list[dict[str, Any]]:
    """Copies the command that the page shows, runs it in a shell, and returns its answers."""
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#command-hint")).to_have_text("Copied.")
    page.context.grant_permissions(["clipboard-read"])
    command = page.evaluate("navigator.clipboard.readText()")
    (folder / "again.sh").write_text(command)
    done = subprocess.run(
        ["/bin/bash", "again.sh"], cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    decoder, answers, rest = json.JSONDecoder(), [], done.stdout
    while rest.strip():
        answer, end = decoder.raw_decode(rest.strip())
        answers.append(answer)
        rest = rest.strip()[end:]
    return answers


# Asking


def test_a_sample_is_shown_as_bars_with_the_values_of_the_service(page: Page, service: httpx.Client) -> None:
    pick(page, "cat")
    expected = ask(service, "cat", labels=NAMES)
    assert table(page) == as_shown(expected)
    for kind in ("sigmoid", "softmax"):
        widths = page.locator(f"td.{kind} .bar").evaluate_all(
            "bars => bars.map(bar => bar.firstChild.getBoundingClientRect().width / bar.getBoundingClientRect().width)"
        )
        assert widths == pytest.approx([score[kind] for score in expected], abs=0.01)
    best = expected[0]
    said = f"Best: cat. Sigmoid {best['sigmoid']:.4f}, softmax {best['softmax']:.4f}."
    expect(page.get_by_role("status").filter(has_text="Best")).to_have_text(said)
    expect(page.locator("#cards img")).to_have_js_property("naturalWidth", 256)


def test_it_says_which_model_this_is_and_that_it_is_a_demonstration(page: Page, service: httpx.Client) -> None:
    expect(page.locator("#model summary")).to_have_text("Model: SigLIPTinyP16 pictograms_64")
    expect(page.get_by_text("This is a demonstration.")).to_be_visible()
    page.locator("#model summary").click()
    info = service.get("/info").json()
    for fact in (info["sha256"], info["preprocessing"], info["canonicalisation"], "CPU, tensorflow, float32"):
        expect(page.locator("#model-facts")).to_contain_text(fact)


def test_a_model_that_is_no_demonstration_is_not_called_one(visit: Visit) -> None:
    with serve(FakeEncoder()) as client:
        page = visit(str(client.base_url))
        expect(page.locator("#model summary")).to_have_text("Model: FakeSigLIP fake_8")
        expect(page.get_by_text("This is a demonstration.")).to_be_hidden()


def test_a_chosen_image_is_shown_upright_with_its_notes_and_times(page: Page) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    jpeg = BytesIO()
    Image.new("RGB", (60, 40), "teal").save(jpeg, "JPEG", exif=exif)
    choose(page, file("holiday.jpg", jpeg.getvalue()))
    expect(page.locator(".card h3")).to_have_text("holiday.jpg")
    expect(page.locator(".card .hint")).to_have_text("40 × 60 JPEG, turned upright by EXIF")
    assert page.locator(".card img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [40, 60]
    assert page.locator("#timings dt").all_text_contents() == [
        "Decoding",
        "Waiting for the device",
        "Image, on the device",
        "Labels",
        "In the service",
        "Seen from here",
    ]
    assert all(re.fullmatch(r"\d+\.\d ms", text) for text in page.locator("#timings dd").all_text_contents())


@pytest.mark.parametrize("text", ["cat, tortoise , dog,", "\ncat\n  tortoise\n\ndog\n"])
def test_labels_are_one_a_line_or_between_commas(page: Page, service: httpx.Client, text: str) -> None:
    page.fill("#labels", text)
    expect(page.locator("#labels-count")).to_have_text("3 labels")
    pick(page, "dog")
    assert table(page) == as_shown(ask(service, "dog", labels=["cat", "tortoise", "dog"]))


def test_a_comma_is_part_of_a_label_on_a_line_of_its_own(page: Page) -> None:
    page.fill("#labels", "a cat, asleep\ndog")
    pick(page, "cat")
    assert sorted(row[0] for row in table(page)) == ["a cat, asleep", "dog"]


def test_labels_are_text_whatever_they_look_like(page: Page) -> None:
    page.fill("#labels", "\n".join(HOSTILE))
    pick(page, "cat")
    assert sorted(row[0] for row in table(page)) == sorted(HOSTILE)
    assert page.locator("#cards img").count() == 1


def test_without_labels_or_a_image_the_page_says_what_is_missing(page: Page) -> None:
    classify_button = page.get_by_role("button", name="Classify")
    classify_button.click()
    expect(page.locator("#status")).to_have_text("Choose an image first: one of yours, or a sample.")
    page.fill("#labels", " , ,")
    classify_button.click()
    expect(page.locator("#labels")).to_be_focused()
    assert page.locator("#labels").evaluate("field => field.validationMessage") == "Type at least one label."


def test_a_label_set_takes_the_place_of_labels_and_templates(page: Page, service: httpx.Client) -> None:
    page.get_by_label("Label set").select_option("pets")
    expect(page.locator("#labels")).to_be_disabled()
    expect(page.locator("#templates")).to_be_disabled()
    pick(page, "cat")
    assert table(page) == as_shown(ask(service, "cat", label_set="pets"))
    page.get_by_label("Label set").select_option("")
    expect(page.locator("#labels")).to_be_enabled()


def test_templates_threshold_and_top_k_are_heeded(page: Page, service: httpx.Client) -> None:
    page.get_by_text("Templates, threshold, top-k").click()
    page.get_by_label("Templates", exact=True).fill("{}\nan icon of {}, flat\n")
    page.get_by_label("Top-k").fill("2")
    pick(page, "dog")
    templates = ["{}", "an icon of {}, flat"]
    assert table(page) == as_shown(ask(service, "dog", labels=NAMES, templates=templates, top_k=2))
    expect(page.locator("#status")).to_contain_text("The best 2 of 6 labels are shown.")
    page.get_by_label("Threshold").fill("1")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#status")).to_have_text("No label reaches the threshold.")
    expect(page.locator(".answer")).to_have_text("No label reaches the threshold: none of them fits.")


def test_an_option_that_cannot_be_used_is_shown_even_where_it_was_folded_away(page: Page) -> None:
    page.get_by_text("Templates, threshold, top-k").click()
    page.get_by_label("Top-k").fill("1000")
    page.get_by_text("Templates, threshold, top-k").click()
    expect(page.get_by_label("Top-k")).to_be_hidden()
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_label("Top-k")).to_be_focused()


def test_a_template_without_a_place_is_told_in_the_words_of_the_service(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["422"])
    page.get_by_text("Templates, threshold, top-k").click()
    page.get_by_label("Templates", exact=True).fill("a photo")
    page.get_by_role("button", name="Sample cat").click()
    alert = page.locator("#problem[role=alert]")
    expect(alert).to_contain_text("The templates cannot be used")
    expect(alert).to_contain_text("Template 1 must contain {} for the label, at most 4 times.")
    expect(page.locator("#done")).to_be_hidden()


def test_ten_thousand_labels_are_one_request_and_the_best_of_them_are_shown(page: Page) -> None:
    paste_labels(page, [f"thing {number}" for number in range(10_000)])
    expect(page.locator("#labels-count")).to_have_text("10,000 labels")
    page.get_by_role("button", name="Sample cat").click()
    page.wait_for_selector("#done:not([hidden])", timeout=120_000)
    assert len(table(page)) == 10
    expect(page.locator("#status")).to_contain_text("The best 10 of 10,000 labels are shown.")
    assert len(page.locator("#command").text_content() or "") < 6_000
    page.locator("#labels").press("Control+End")
    page.locator("#labels").press_sequentially("\nand one more")
    expect(page.locator("#labels-count")).to_have_text("10,001 labels, and this service takes 10,000")
    assert not page.locator("#labels").evaluate("field => field.checkValidity()")


# Several images


def test_several_images_are_a_grid_in_one_request(page: Page) -> None:
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="all of these samples").click()
    finish(page)
    assert [url.rsplit("/", 2)[-2:] for url in sent] == [["classify", "batch"]]
    assert page.locator(".card h3").all_text_contents() == [f"{name}.png" for name in NAMES]
    best = [table(page, card)[0][0] for card in range(6)]
    assert [best[index] for index in (0, 2, 3, 4, 5)] == [NAMES[index] for index in (0, 2, 3, 4, 5)]
    expect(page.locator("#status")).to_have_text("6 images.")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0broken", "truncated"),
        ("letter.txt", b"Dear reader", "not an image"),
        ("IMG_1.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ],
)
def test_a_image_that_cannot_be_used_is_told_on_its_card(
    visit: Visit, service: httpx.Client, name: str, content: bytes, told: str
) -> None:
    page = visit(str(service.base_url), failures=["415", "422"])
    choose(page, file(name, content))
    expect(page.locator(".card")).to_contain_text("No preview")
    alone = page.locator(".card .problem p").first.text_content() or ""
    detail = service.post("/classify", files={"image": content}, data={"labels": ["cat"]}).json()["detail"]
    assert detail in alone
    expect(page.locator("#status")).to_have_text("The image cannot be used.")
    choose(page, file("cat.png", sample("cat")), file(name, content))
    expect(page.locator("#status")).to_have_text("2 images, 1 of them not usable.")
    assert table(page, 0)[0][0] == "cat"
    expect(page.locator(".card").nth(1)).to_contain_text(detail)


def test_more_images_than_a_request_takes_go_in_several(visit: Visit, tmp_path: Path) -> None:
    with serve(FakeEncoder(), max_images=2) as client:
        page = visit(str(client.base_url), failures=["422"])
        sent = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        names = [*NAMES[:4], "empty"]
        choose(page, *(file(f"{name}.png", sample(name) if name != "empty" else b"") for name in names))
        expect(page.locator("#status")).to_have_text("5 images, 1 of them not usable.")
        assert [url.removeprefix(str(client.base_url)) for url in sent] == ["/classify/batch"] * 2 + ["/classify"]
        assert [len(table(page, card)) for card in range(5)] == [6, 6, 6, 6, 0]
        expect(page.locator("#progress")).to_be_hidden()
        for name in names:
            (tmp_path / f"{name}.png").write_bytes(sample(name) if name != "empty" else b"")
        first, second, third = run(page, tmp_path)
        results = first["results"] + second["results"]
        assert [as_shown(result["scores"]) for result in results] == [table(page, card) for card in range(4)]
        assert third["error_type"] == "invalid_image"


def test_bytes_too_make_several_requests_and_a_image_too_large_for_one_is_not_sent(visit: Visit) -> None:
    with serve(FakeEncoder(), max_body_bytes=30_000) as client:
        page = visit(str(client.base_url))
        sent = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        big = file("big.png", sample("cat") + bytes(40_000))
        middle = [file(f"{name}.png", sample(name) + bytes(10_000)) for name in ("cat", "dog", "car")]
        choose(page, big, *middle)
        assert [url.removeprefix(str(client.base_url)) for url in sent] == ["/classify"] * 3
        expect(page.locator(".card").first).to_contain_text("and a request 30,000 at most. Not sent.")
        assert [row[0][0] for row in (table(page, card) for card in (1, 2, 3))]
        expect(page.locator("#status")).to_have_text("4 images, 1 of them not usable.")


def test_how_far_it_is_shows_while_it_goes_on(visit: Visit) -> None:
    with serve(FakeEncoder(), max_images=2) as client:
        page = visit(str(client.base_url))
        held: list[Any] = []
        page.route("**/classify", lambda route: held.append(route))  # noqa: PLW0108 (it marks what it calls)
        page.set_input_files("#files", [file(f"{name}.png", sample(name)) for name in NAMES[:3]])
        expect(page.locator("#status")).to_have_text("2 of 3 images …")
        expect(page.get_by_role("progressbar", name="Images classified")).to_have_js_property("value", 2)
        assert [len(table(page, card)) for card in range(3)] == [6, 6, 0]
        held[0].continue_()
        finish(page)
        expect(page.locator("#status")).to_have_text("3 images.")


# The command


def test_the_command_gives_the_same_answer_in_a_shell(page: Page, tmp_path: Path) -> None:
    pick(page, "cat")
    (answer,) = run(page, tmp_path)
    assert as_shown(answer["scores"]) == table(page)
    assert (tmp_path / "samples" / "cat.png").read_bytes() == sample("cat")


@pytest.mark.parametrize("name", ["plain.png", "-", 'it\'s; a "cat", $(id) \\.png', " 猫 & dog?.png", "a=b@c.png"])
def test_the_command_survives_what_names_and_labels_may_hold(page: Page, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(sample("cat"))
    page.fill("#labels", "\n".join(HOSTILE))
    page.get_by_text("Templates, threshold, top-k").click()
    page.get_by_label("Templates", exact=True).fill('@it\'s {}; "$PATH"\n<{}>')
    page.get_by_label("Threshold").fill("1e-9")
    choose(page, file(name, sample("cat")))
    (answer,) = run(page, tmp_path)
    assert as_shown(answer["scores"]) == table(page)
    assert {score["label"] for score in answer["scores"]} == set(HOSTILE)


@pytest.mark.parametrize("label", ["[cat", '["cat"]'])
def test_a_label_alone_is_not_taken_for_json(page: Page, tmp_path: Path, label: str) -> None:
    page.fill("#labels", label)
    pick(page, "cat")
    (answer,) = run(page, tmp_path)
    assert [row[0] for row in table(page)] == [score["label"] for score in answer["scores"]] == [label]


@pytest.mark.parametrize(("label", "count"), [("a rather long label's number", 6_000), ("猫" * 100, 440)])
def test_a_command_too_long_for_an_argument_is_copied_whole_and_runs(
    visit: Visit, tmp_path: Path, label: str, count: int
) -> None:
    with serve(FakeEncoder()) as client:
        page = visit(str(client.base_url))
        paste_labels(page, [f"{label} {number}" for number in range(count)])
        pick(page, "cat")
        expect(page.locator("#command-hint")).to_contain_text("Copying takes all of its")
        (answer,) = run(page, tmp_path)
        assert as_shown(answer["scores"]) == table(page)


# Images by hand


def test_a_image_is_pasted(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        "async () => navigator.clipboard.write([new ClipboardItem({'image/png': "
        "(await fetch('page/samples/pizza.png')).blob()})])"
    )
    page.get_by_role("button", name="Classify").focus()
    page.keyboard.press("Control+V")
    finish(page)
    assert table(page)[0][0] == "pizza"


def test_text_is_pasted_where_the_reader_types(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('tea, coffee')")
    page.fill("#labels", "")
    page.locator("#labels").press("Control+V")
    expect(page.locator("#labels")).to_have_value("tea, coffee")


def test_images_are_dropped_anywhere(page: Page) -> None:
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
          if (!document.body.matches(".dragging")) throw new Error("nothing shows that it may be dropped");
          footer.dispatchEvent(new DragEvent("drop", options));
        }"""
    )
    finish(page)
    assert [table(page, card)[0][0] for card in (0, 1)] == ["guitar", "car"]
    expect(page.locator(".dragging")).to_have_count(0)


def test_the_bytes_of_images_are_let_go_once_they_are_shown(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["ERR_FILE_NOT_FOUND"])
    pick(page, "cat")
    address = page.locator(".card img").get_attribute("src") or ""
    assert address.startswith("blob:")
    expect(page.locator(".card img")).to_have_js_property("complete", True)
    # Asked of an image: a fetch of it is what the policy forbids.
    assert (
        page.evaluate(
            "address => new Promise(done => Object.assign(new Image(), "
            "{ src: address, onload: () => done('kept'), onerror: () => done('let go') }))",
            address,
        )
        == "let go"
    )


# Keys, loading, overload


def test_a_late_answer_to_a_request_without_the_key_does_not_ask_for_it_again(visit: Visit) -> None:
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
        finish(page)
        expect(page.locator("#key-form")).to_be_hidden()


def test_a_key_is_asked_for_where_one_is_needed_and_kept_for_the_tab(visit: Visit, tmp_path: Path) -> None:
    key = "schlüssel-鍵"
    with serve(FakeEncoder(), api_keys=f"other,{key}") as client:
        page = visit(str(client.base_url), failures=["401"])
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        expect(page.locator("#key-problem[role=alert]")).to_have_text("This service needs an API key.")
        expect(page.locator("#key-form")).to_contain_text("Kept for this tab until it is closed (sessionStorage)")
        page.get_by_role("button", name="Sample cat").click()  # is asked about once there is a key
        field.fill("wrong")
        field.press("Enter")
        expect(page.locator("#key-problem")).to_have_text("This API key is not valid.")
        field.fill(key)
        field.press("Enter")
        finish(page)
        expect(page.locator("#key-form")).to_be_hidden()
        assert len(table(page)) == 6
        assert key not in page.content()
        expect(page.locator("#command-hint")).to_have_text("It takes the key from API_KEY.")
        (answer,) = run(page, tmp_path, API_KEY=key)
        assert as_shown(answer["scores"]) == table(page)
        page.reload()
        expect(page.locator("#key-in-use")).to_be_visible()
        expect(page.locator("#key-form")).to_be_hidden()
        assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
        page.get_by_role("button", name="Forget it").click()
        assert page.evaluate("sessionStorage.length") == 0
        page.get_by_role("button", name="Sample cat").click()
        expect(page.locator("#key-problem")).to_have_text("This service needs an API key.")


def test_no_key_is_asked_for_where_none_is_needed(page: Page) -> None:
    pick(page, "cat")
    expect(page.get_by_label("API key")).to_be_hidden()
    expect(page.locator("#key-in-use")).to_be_hidden()
    assert "Authorization" not in (page.locator("#command").text_content() or "")


def test_while_the_model_loads_the_page_says_the_stage_and_goes_on_by_itself(visit: Visit) -> None:
    loaded = threading.Event()
    with serve(FakeEncoder(before_warm_up=loaded.wait), wait=False) as client:
        page = visit(str(client.base_url), failures=["503"])
        stage = page.locator("#stage[role=status]")
        expect(stage).to_have_text("The model is not ready: compiling. This page goes on by itself.")
        expect(page.locator("#model")).to_be_hidden()
        page.get_by_role("button", name="Sample cat").click()
        expect(page.locator("#status")).to_have_text("Classifying 1 image …")
        loaded.set()
        finish(page)
        expect(stage).to_be_hidden()
        assert len(table(page)) == 6


def test_a_service_that_has_come_back_and_loads_is_waited_for(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["503"])
    problem = {"title": "The service is not ready", "detail": "The model is not ready: loading.", "status": 503}
    answers = [problem | {"error_type": "not_ready", "errors": []}]

    def not_ready_once(route: Any) -> None:
        if answers:
            route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(answers.pop()))
        else:
            route.continue_()

    page.route("**/classify", not_ready_once)
    pick(page, "cat")
    assert table(page) == as_shown(ask(service, "cat", labels=NAMES))


def test_a_full_service_says_when_to_try_again(visit: Visit) -> None:
    free = threading.Event()
    encoder = FakeEncoder(before_batch=free.wait)
    with serve(encoder, max_queue_items=1) as client:
        page = visit(str(client.base_url), failures=["429"])
        expect(page.locator("#model")).to_be_visible()
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


def test_a_newer_question_takes_the_place_of_an_older_one(visit: Visit) -> None:
    free = threading.Event()
    with serve(FakeEncoder(before_batch=free.wait)) as client:
        page = visit(str(client.base_url))
        left = []
        page.on("requestfailed", lambda request: left.append(request.url))
        with page.expect_request("**/classify"):
            page.get_by_role("button", name="Sample cat").click()
        expect(page.locator(".card h3")).to_have_text("cat.png")
        page.fill("#labels", "this, that")
        with page.expect_event("requestfailed"), page.expect_request("**/classify"):
            page.get_by_role("button", name="Sample dog").click()
        free.set()
        finish(page)
        assert [row[0] for row in table(page)] in (["this", "that"], ["that", "this"])
        expect(page.locator(".card h3")).to_have_text("dog.png")
        assert left == [f"{client.base_url}/classify"]


def test_what_is_before_the_service_is_told_apart_from_it(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["502", "429", "ERR_FAILED"])
    expect(page.locator("#model")).to_be_visible()
    page.route("**/classify", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    page.get_by_role("button", name="Sample cat").click()
    expect(page.locator("#problem")).to_contain_text("The service was not reached")
    expect(page.locator("#problem")).to_contain_text("Something before the service has answered 502.")
    page.route("**/classify", lambda route: route.fulfill(status=429, headers={"Retry-After": "7"}, body=""))
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#problem")).to_contain_text("Something before the service has answered 429. Try again in 7 s.")
    page.route("**/classify", lambda route: route.abort())
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#problem")).to_contain_text("The service does not answer")
    page.unroute("**/classify")
    classify(page)
    expect(page.locator("#problem")).to_be_hidden()


def test_the_page_works_behind_a_prefix(visit: Visit, service: httpx.Client) -> None:
    page = visit("about:blank")
    outside = f"{service.base_url}/tools/siglip/"

    forward(page, outside, f"{service.base_url}/")
    page.goto(outside)
    expect(page.locator("#model summary")).to_have_text("Model: SigLIPTinyP16 pictograms_64")
    assert page.locator("#samples img").first.evaluate("image => image.complete && image.naturalWidth") == 256
    page.get_by_role("button", name="Sample cat").click()
    expect(page.locator("#command")).to_contain_text(f"{outside}classify")


def test_a_service_that_is_gone_is_waited_for_by_a_page_that_is_there(visit: Visit) -> None:
    with serve(FakeEncoder()) as client:
        page = visit("about:blank", failures=["ERR_CONNECTION_REFUSED", "502"])
        page.route("**/health/startup", lambda route: route.abort("connectionrefused"))
        page.goto(str(client.base_url))
        expect(page.locator("#stage")).to_contain_text("is not there. This page goes on by itself.")
        page.route("**/health/startup", lambda route: route.fulfill(status=502))
        expect(page.locator("#stage")).to_contain_text("Something before the service has answered 502.")
        page.unroute("**/health/startup")
        expect(page.locator("#model")).to_be_visible()


def test_the_policy_holds_in_the_browser(visit: Visit, service: httpx.Client) -> None:
    page = visit(str(service.base_url), failures=["TrustedHTML", "Content Security Policy"])
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>bold</b>'")
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:1/')")
