"""The report of an evaluation in Chromium: light, dark, on paper, and on a phone; and its screenshot in the guide."""

import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from app.cli.evaluate import main
from app.evaluation.comparison import compare
from app.evaluation.evaluation import evaluate
from app.evaluation.report import render_report
from tests.app.evaluation.synthetic import scores
from tests.clients.chromium import Visit
from tests.clients.screenshots import check_screenshot
from tests.clients.test_page_looks import serious_violations

ROOT = Path(__file__).parents[2]
SCREENSHOT = ROOT / "docs" / "report.png"
PHONE = {"width": 390, "height": 844}


def write_report(folder: Path, labels: int) -> Path:
    logits, truth, _ = scores(images=600 if labels < 100 else 1600, labels=labels)
    names = [f"label {i} with a rather long name" if i % 7 == 0 else f"label {i}" for i in range(labels - 1)]
    result = evaluate(
        logits,
        truth,
        [*names, "W" * 256],
        model_fingerprint="0123456789abcdef" * 4,
        versions={"siglip-service": "1.0", "numpy": "2.4"},
        settings={"templates": ["This is a photo of {}."], "source": "W" * 300},
        names=[f"{'folder/' * 20}{i}.jpg" for i in range(len(logits))],
        goal=0.9,
        calibrate_by="label",
    )
    result = replace(result, comparisons=[compare(logits, logits * 2, truth, ("float32", "int8"))])
    written = BytesIO()
    Image.new("RGB", (160, 90), "teal").save(written, "JPEG")
    thumbnails = {answer.image: written.getvalue() for answer in result.mistakes + result.doubtful}
    path = folder / f"report-{labels}.html"
    path.write_text(render_report(result, thumbnails, "How good is it?"), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=[15, 200])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), request.param)


@pytest.fixture
def opened(visit: Visit, report: Path) -> Iterator[Page]:
    """The report, and a check at the end that it has asked for nothing but itself."""
    requests: list[str] = []
    page = visit("about:blank")
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    yield page
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def lines(page: Page) -> set[str]:
    """Returns the colours of the plots' first lines and of their texts."""
    found = page.evaluate(
        "[...document.querySelectorAll('.stroke-first')].map(e => getComputedStyle(e).stroke)"
        ".concat([...document.querySelectorAll('svg text')].map(e => getComputedStyle(e).fill))"
    )
    return set(found)


@pytest.mark.parametrize(
    ("scheme", "paper", "colours"),
    [
        ("light", "rgb(250, 249, 246)", {"rgb(18, 94, 168)", "rgb(29, 28, 26)"}),
        ("dark", "rgb(23, 22, 20)", {"rgb(111, 180, 242)", "rgb(235, 232, 225)"}),
    ],
)
def test_a_report_is_readable_in_light_and_dark(opened: Page, scheme: str, paper: str, colours: set[str]) -> None:
    opened.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert background(opened) == paper
    assert lines(opened) == colours
    if opened.locator("tr").count() < 100:  # axe takes minutes for a matrix of 200 labels
        assert serious_violations(opened) == []


def test_a_report_on_paper_is_dark_on_white_even_from_a_dark_screen(opened: Page) -> None:
    opened.emulate_media(media="print", color_scheme="dark")
    assert background(opened) == "rgb(255, 255, 255)"
    assert lines(opened) == {"rgb(18, 94, 168)", "rgb(29, 28, 26)"}
    large = opened.locator(".scroll.wide")
    assert opened.locator(".matrix").count() == 1
    assert large.count() == opened.locator(".paper").count()
    if large.count():
        assert large.is_hidden()
        assert opened.locator(".paper").is_visible()
    pdf = opened.pdf(format="A4")
    assert pdf.startswith(b"%PDF")


def test_nothing_is_wider_than_a_phone_and_tables_scroll_by_themselves(opened: Page) -> None:
    opened.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert opened.evaluate("[...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)")


def test_the_names_of_a_large_matrix_stay_in_sight(opened: Page) -> None:
    matrix = opened.locator(".scroll", has=opened.locator(".matrix"))
    matrix.evaluate("element => element.scrollTo(element.scrollWidth, element.scrollHeight)")
    box, row = matrix.bounding_box(), opened.locator(".matrix tbody tr:last-child th").bounding_box()
    column = opened.locator(".matrix thead th:last-child").bounding_box()
    assert box is not None
    assert row is not None
    assert column is not None
    assert abs(row["x"] - box["x"]) <= 2
    assert abs(column["y"] - box["y"]) <= 2


def test_thumbnails_are_shown(opened: Page) -> None:
    sizes = opened.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(sizes) > 24
    assert set(sizes) == {160}
    if folder := os.environ.get("SCREENSHOT_DIR"):
        for scheme in ("light", "dark"):
            opened.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            opened.screenshot(path=f"{folder}/report-{scheme}.png", full_page=True)


def write_scenes(folder: Path, seed: int, count: int) -> Path:
    """Writes `count` scenes with each sample: turned, of other sizes, on pale grounds. Returns the folder."""
    chance = np.random.default_rng(seed)
    for path in sorted((ROOT / "samples").glob("*.png")):
        (folder / path.stem).mkdir(parents=True)
        with Image.open(path) as sample:
            drawing = sample.convert("RGBA")
        for number in range(count):
            turned = drawing.rotate(chance.uniform(-10, 10), Image.Resampling.BICUBIC, expand=True)
            turned.thumbnail((int(chance.integers(150, 200)),) * 2)
            scene = Image.new("RGB", (220, 200), tuple(chance.integers(215, 256, 3).tolist()))
            left, top = (
                int(chance.integers(0, whole - own + 1)) for whole, own in zip(scene.size, turned.size, strict=True)
            )
            scene.paste(turned, (left, top), turned)
            scene.save(folder / path.stem / f"{number:02}.png")
    return folder


def test_the_screenshot_in_the_guide_shows_a_report(visit: Visit, tmp_path: Path) -> None:
    """Set UPDATE_SCREENSHOT=1 to update the screenshot."""
    old, new = (write_scenes(tmp_path / name, seed, 20) for seed, name in enumerate(("may", "june")))
    report = tmp_path / "report.html"
    options = [
        "--choose-on",
        str(old),
        "--precision",
        "0.9",
        "--calibrate",
        "set",
        "--report",
        str(report),
        "--no-cache",
        "--json",
    ]
    assert main([str(new), *options]) == 0
    text = report.read_text(encoding="utf-8").replace(f"{tmp_path}/", "")
    report.write_text(text, encoding="utf-8")
    page = visit(report.as_uri(), viewport={"width": 1200, "height": 900}, color_scheme="light")
    plots = page.locator(".plots").bounding_box()
    assert plots is not None
    end = {"x": 0, "y": 0, "width": 1200, "height": plots["y"] + plots["height"] + 16}
    screenshot = page.screenshot(full_page=True, clip=end)  # type: ignore[arg-type]
    check_screenshot(SCREENSHOT, screenshot, 300_000)
