"""The contact sheet of many images: filters, orders, folders, export and keyboard."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.app.conftest import serve
from tests.clients.chromium import Visit
from tests.clients.page_actions import choose, file, run, sample, wait_until_done, winners
from tests.fakes import FakeEncoder

LABELS = ["cat", "dog", "car", "guitar", "pizza", "rainbow"]
TITLES = "all => all.map(one => one.title)"
BROKEN = "photos/more/broken.png"


def image(number: int) -> bytes:
    """Returns a small image of one colour. The fake encoder's scores depend on the colour."""
    png = BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(png, "PNG")
    return png.getvalue()


def write_folder(folder: Path, count: int = 30) -> dict[str, bytes]:
    """Writes images into two folders, one that is broken, and a hidden file. Returns the images by path."""
    images = {f"photos/{'more/' * (number % 2)}{number}.png": image(number) for number in range(count)}
    for name, content in {**images, BROKEN: b"\xff\xd8\xff\xe0broken", "photos/.hidden.png": image(0)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return images


@pytest.fixture(scope="module")
def fake() -> Iterator[httpx.Client]:
    with serve(FakeEncoder()) as client:
        yield client


@pytest.fixture
def images(tmp_path: Path) -> dict[str, bytes]:
    return write_folder(tmp_path)


@pytest.fixture
def sheet(visit: Visit, fake: httpx.Client, tmp_path: Path, images: dict[str, bytes]) -> Page:
    """The page after a folder was chosen: 30 images, and one that is broken."""
    page = visit(str(fake.base_url), failures=["422"], accept_downloads=True)
    page.set_input_files("#folder", tmp_path / "photos")
    wait_until_done(page, 30_000)
    expect(page.locator("#status")).to_have_text(f"{len(images) + 1} images, 1 cannot be used.")
    return page


@pytest.fixture
def answers(fake: httpx.Client, images: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """The service's results by path, without the page."""
    uploads = [("images", (name, content, "image/png")) for name, content in images.items()]
    response = fake.post("/classify/batch", files=uploads, data={"labels": LABELS})
    return dict(zip(images, response.json()["results"], strict=True))


def best(answer: dict[str, Any], kind: str = "sigmoid") -> float:
    return float(answer["scores"][0][kind])


def shown(page: Page) -> list[str]:
    """Returns the paths on all pages of the sheet."""
    back, following = (page.get_by_role("button", name=f"{name} page") for name in ("Previous", "Next"))
    while back.is_visible() and back.is_enabled():
        back.click()
    paths = page.locator(".tile button").evaluate_all(TITLES)
    while following.is_visible() and following.is_enabled():
        following.click()
        paths += page.locator(".tile button").evaluate_all(TITLES)
    return list(paths)


def saved(page: Page, form: str) -> tuple[str, bytes]:
    """Saves the sheet as CSV or JSON. Returns the name and the bytes of the file."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save as {form}").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def saved_csv(page: Page) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(saved(page, "CSV")[1].decode("utf-8-sig"), newline=""), strict=True))


def count_posts(page: Page) -> list[str]:
    """Returns a list that grows with each request to classify."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


def label_with_most(answers: dict[str, dict[str, Any]]) -> str:
    return Counter(answer["scores"][0]["label"] for answer in answers.values()).most_common(1)[0][0]


# Folders and order


def test_a_chosen_folder_keeps_its_folder_names_and_hidden_files_are_left_out(
    sheet: Page, images: dict[str, bytes]
) -> None:
    assert sorted(shown(sheet)) == sorted([*images, BROKEN])
    sheet.get_by_label("Sort by").select_option("name")
    first = sheet.locator(".tile").first
    expect(first.locator(".tile-name")).to_have_text("broken.png")
    expect(first.locator(".tile-folder")).to_have_text("photos/more/")
    first.get_by_role("button").click()
    expect(sheet.get_by_role("article", name=BROKEN).locator(".name")).to_have_text(BROKEN)
    sheet.get_by_role("button", name="Close").click()
    expect(sheet.locator("#command")).to_contain_text("images=@photos/more/")
    expect(sheet.locator("#command-hint")).to_contain_text("Run it where the folder with your images is.")


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_the_same_request_reads_the_images_of_the_folder(sheet: Page, tmp_path: Path, language: str) -> None:
    (response,) = run(sheet, tmp_path, language)
    labels = sorted(result["scores"][0]["label"] for result in response["results"] if "scores" in result)
    assert labels == sorted(row["best"] for row in saved_csv(sheet) if row["best"])
    assert len(labels) == 30


def test_errors_are_first_in_each_order(sheet: Page, answers: dict[str, dict[str, Any]]) -> None:
    assert shown(sheet)[0] == BROKEN
    sheet.get_by_label("Sort by").select_option("name")
    numbers = [f"photos/{number}.png" for number in range(0, 30, 2)]
    assert shown(sheet) == [BROKEN, *numbers, *(f"photos/more/{number}.png" for number in range(1, 30, 2))]
    for kind in ("sigmoid", "softmax"):
        sheet.get_by_role("radio", name=kind.capitalize()).check()
        for order, sign in (("highest score", -1), ("lowest score", 1)):
            sheet.get_by_label("Sort by").select_option(order)
            error, *rest = shown(sheet)
            assert error == BROKEN
            assert [best(answers[path], kind) for path in rest] == sorted(
                (best(answer, kind) for answer in answers.values()), key=lambda score: sign * score
            )


# Filters


def test_images_are_filtered_by_their_best_label_and_its_score_without_a_request(
    sheet: Page, answers: dict[str, dict[str, Any]]
) -> None:
    sent = count_posts(sheet)
    label = label_with_most(answers)
    with_label = {path for path, answer in answers.items() if answer["scores"][0]["label"] == label}
    assert 1 < len(with_label) < 30
    sheet.get_by_label("Best label").select_option(f":{label}")
    expect(sheet.locator(".filter option:checked").first).to_have_text(f"{label} ({len(with_label)})")
    assert set(shown(sheet)) == with_label
    expect(sheet.locator(".filter [role=status]")).to_have_text(f"{len(with_label)} of 31 images")
    middle = sorted(best(answers[path]) for path in with_label)[len(with_label) // 2]
    sheet.get_by_label("Score at least").fill(str(middle * 100))
    high = {path for path in with_label if best(answers[path]) >= float(f"{middle:.12g}")}
    assert set(shown(sheet)) == high
    sheet.get_by_label("Best label").select_option("")
    assert set(shown(sheet)) == {path for path, answer in answers.items() if best(answer) >= float(f"{middle:.12g}")}
    sheet.get_by_label("Score at least").fill("100")
    assert shown(sheet) == []
    expect(sheet.locator(".filter [role=status]")).to_have_text("None of 31 images")
    sheet.get_by_label("Score at least").fill("500")  # invalid: nothing changes
    assert shown(sheet) == []
    sheet.get_by_label("Score at least").fill("0")
    assert len(shown(sheet)) == 31
    sheet.get_by_label("Best label").select_option("cannot be used")
    assert shown(sheet) == [BROKEN]
    assert sent == []


def test_a_threshold_makes_a_group_of_images_with_none_of_the_labels(
    sheet: Page, answers: dict[str, dict[str, Any]]
) -> None:
    middle = sorted(best(answer) for answer in answers.values())[15]
    sheet.get_by_label("Threshold in per cent").fill(f"{middle * 100:.6f}")
    threshold = float(f"{middle * 100:.6f}") / 100
    low = {path for path, answer in answers.items() if best(answer) < threshold}
    sheet.get_by_label("Best label").select_option("none of these")
    assert set(shown(sheet)) == low
    assert set(winners(sheet)) <= set(LABELS)
    sheet.get_by_label("Threshold in per cent").fill("0")
    expect(sheet.locator(".filter option:checked").first).to_have_text("none of these (0)")
    assert shown(sheet) == []


# Export


def test_csv_has_a_row_per_image_with_the_sigmoid_of_each_label(
    sheet: Page, answers: dict[str, dict[str, Any]]
) -> None:
    sent = count_posts(sheet)
    name, content = saved(sheet, "CSV")
    assert name == "scores.csv"
    assert content.startswith(b'\xef\xbb\xbf"file","best","error","car","cat","dog","guitar","pizza","rainbow"\r\n')
    error, *rows = saved_csv(sheet)
    assert (error["file"], error["best"], error["cat"]) == (BROKEN, "", "")
    assert error["error"].startswith("The image cannot be decoded: The JPEG is truncated")
    for row in rows:
        scores = answers.pop(row["file"])["scores"]
        assert (row["best"], row["error"]) == (scores[0]["label"], "")
        assert {label: float(row[label]) for label in LABELS} == {score["label"]: score["sigmoid"] for score in scores}
    assert answers == {}
    assert sent == []


def test_json_has_the_results_of_the_service(sheet: Page, answers: dict[str, dict[str, Any]]) -> None:
    name, content = saved(sheet, "JSON")
    assert name == "scores.json"
    error, *results = json.loads(content)
    assert error["file"] == BROKEN
    assert error["error"]["error_type"] == "invalid_image"
    assert {result.pop("file"): result for result in results} == answers


def test_what_is_shown_is_saved_in_its_order(sheet: Page, answers: dict[str, dict[str, Any]]) -> None:
    sheet.get_by_label("Best label").select_option(f":{label_with_most(answers)}")
    sheet.get_by_label("Sort by").select_option("lowest score")
    paths = shown(sheet)
    assert [row["file"] for row in saved_csv(sheet)] == paths
    assert [result["file"] for result in json.loads(saved(sheet, "JSON")[1])] == paths


def test_in_csv_any_name_and_label_is_one_cell_and_a_formula_is_text(visit: Visit, fake: httpx.Client) -> None:
    formulas = ["=1+1.png", "+1.png", "-1.png", "@SUM(A1).png", " =1.png", "＝1.png"]
    others = ['a "b", c.png', "a;=b.png", "猫\n.png", "a=1.png"]
    page = visit(str(fake.base_url))
    page.fill("#labels", json.dumps(["-a", 'b "c", d', "猫"]))
    choose(page, *(file(name, image(number)) for number, name in enumerate([*formulas, *others])))
    rows = saved_csv(page)
    assert [row["file"] for row in rows] == [*(f"'{name}" for name in formulas), *others]
    assert list(rows[0]) == ["file", "best", "error", "'-a", 'b "c", d', "猫"]
    assert {row["best"] for row in rows} <= {"'-a", 'b "c", d', "猫"}
    assert [result["file"] for result in json.loads(saved(page, "JSON")[1])] == [*formulas, *others]


def test_nothing_is_saved_while_images_are_classified(visit: Visit, fake: httpx.Client) -> None:
    page = visit(str(fake.base_url))
    wait_until_done(page)
    held: list[Route] = []
    page.route("**/classify/batch", lambda route: held.append(route))  # noqa: PLW0108 (it marks what it calls)
    with page.expect_request("**/classify/batch"):
        page.set_input_files("#files", [file("1.png", image(1)), file("2.png", image(2))])  # type: ignore[list-item]
    page.get_by_role("button", name="Save as CSV").click()
    expect(page.get_by_text("Possible when all images are classified.")).to_be_visible()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    for route in held:
        route.continue_()
    wait_until_done(page)
    assert [row["file"] for row in saved_csv(page)] == ["1.png", "2.png"]
    expect(page.get_by_text("Possible when all images are classified.")).to_be_hidden()


# Keyboard


def test_arrow_keys_move_between_images_enter_opens_one_and_escape_returns(sheet: Page) -> None:
    paths = shown(sheet)

    def focused() -> Any:
        return sheet.evaluate("document.activeElement.title")

    sheet.get_by_role("button", name="Previous page").click()
    sheet.get_by_label("Sort by").focus()
    sheet.keyboard.press("Tab")
    assert focused() == paths[0]
    columns = sheet.locator(".tiles").evaluate("one => getComputedStyle(one).gridTemplateColumns.split(' ').length")
    place = 0
    for key, step in [("ArrowRight", 1), ("ArrowRight", 1), ("ArrowDown", columns), ("ArrowLeft", -1)]:
        sheet.keyboard.press(key)
        place += step
        assert focused() == paths[place]
    outline = sheet.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
    assert outline >= 2
    sheet.keyboard.press("ArrowUp")
    sheet.keyboard.press("ArrowUp")  # the first row stays
    assert focused() == paths[1]
    sheet.keyboard.press("End")
    assert focused() == paths[-1]
    expect(sheet.get_by_role("navigation", name="Pages of images")).to_contain_text("25–31 of 31")
    sheet.keyboard.press("ArrowRight")  # the last image stays
    assert focused() == paths[-1]
    sheet.keyboard.press("PageUp")
    assert focused() == paths[30 - 24]
    sheet.keyboard.press("PageDown")
    assert focused() == paths[30]
    sheet.keyboard.press("Home")
    sheet.keyboard.press("ArrowRight")
    sheet.keyboard.press("Enter")
    name = sheet.locator("#detail .name")
    expect(name).to_have_text(paths[1])
    for key, index in [("ArrowRight", 2), ("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowLeft", 30)]:
        sheet.keyboard.press(key)
        expect(name).to_have_text(paths[index])
    sheet.keyboard.press("Escape")
    expect(sheet.get_by_role("dialog")).to_be_hidden()
    expect(sheet.locator(f".tile button[title='{paths[30]}']")).to_be_focused()
    sheet.keyboard.press("Tab")
    expect(sheet.get_by_role("button", name="Previous page")).to_be_focused()


# A thousand images


def test_a_thousand_images_stay_a_short_page_with_few_elements(visit: Visit, fake: httpx.Client) -> None:
    page = visit(str(fake.base_url), viewport={"width": 1280, "height": 900})
    choose(page, file("1.png", image(1)), file("2.png", image(2)))
    count = "document.getElementsByTagName('*').length"
    few = page.evaluate(count)
    images = [file(f"{number}.png", image(number)) for number in range(1_000)]
    page.set_input_files("#files", images)  # type: ignore[arg-type]
    wait_until_done(page, 120_000)
    expect(page.locator("#status")).to_have_text("1,000 images.")
    sent = count_posts(page)

    def check() -> None:
        assert page.locator(".tile").count() <= 24
        assert page.evaluate(count) < few + 300
        assert page.evaluate("document.documentElement.scrollHeight") < 3_000

    check()
    page.get_by_label("Sort by").select_option("lowest score")
    check()
    expect(page.locator(".filter option", has_text="cat (")).to_have_count(1)
    page.get_by_label("Best label").select_option(":cat")
    # The filter has acted when the event is over: no await is needed.
    text = page.locator(".filter [role=status]").text_content() or ""
    assert 24 < int(text.split()[0]) < 1_000
    assert set(winners(page)) == {"cat"}
    check()
    page.locator(".tile button").first.focus()
    page.keyboard.press("End")
    check()
    assert len(saved_csv(page)) == int(text.split()[0])
    assert sent == []


def test_samples_are_a_sheet_too(page: Page) -> None:
    page.get_by_role("button", name="use all samples").click()
    wait_until_done(page)
    page.get_by_label("Best label").select_option(":pizza")
    assert winners(page) == ["pizza"]
    choose(page, file("a.png", sample("cat")), file("b.png", sample("dog")))
    assert len(winners(page)) == 2
    expect(page.get_by_label("Best label")).to_have_value("")
