"""Swagger UI at /docs: its client from npm, and the page itself in Chromium."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.app.conftest import serve
from tests.app.image_files import encoded, plain_image
from tests.clients.chromium import Visit
from tests.fakes import FakeEncoder

HERE = Path(__file__).parent
IMAGE = encoded(plain_image())


@pytest.fixture(scope="module")
def fake_service() -> Iterator[httpx.Client]:
    with serve(FakeEncoder()) as client:
        yield client


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(IMAGE)
    return path


def ask(service: httpx.Client, path: str, file: Path, **fields: Any) -> dict[str, Any]:
    """Returns the response to a form that swagger-client sends."""
    arguments = ["node", str(HERE / "swagger.mjs"), str(service.base_url), path, str(file), json.dumps(fields)]
    assert (HERE / "node_modules/swagger-client").exists(), "swagger-client is missing; `make clients` sets it up"
    response: dict[str, Any] = json.loads(subprocess.run(arguments, check=True, capture_output=True).stdout)
    assert response["status"] == 200, response
    return response["body"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("labels", "templates"),
    [
        (["cat", "dog"], []),
        (["a cat, asleep", "dog"], ["a, {}", "the {}"]),
        (["a;b", "[c]", "猫"], ["a {}"]),
        (["cat"], []),
    ],
)
def test_the_client_sends_lists_as_repeated_fields(
    fake_service: httpx.Client, image: Path, labels: list[str], templates: list[str]
) -> None:
    options = {"labels": labels, "templates": templates} if templates else {"labels": labels}
    expected = fake_service.post("/classify", files={"image": IMAGE}, data=options).json()
    assert expected["warnings"] == []
    assert ask(fake_service, "/classify", image, image="", **options) == expected


def test_the_client_sends_several_images(fake_service: httpx.Client, image: Path) -> None:
    answer = ask(fake_service, "/classify/batch", image, images=["", ""], labels=["cat", "dog"], top_k=1)
    assert [len(result["scores"]) for result in answer["results"]] == [1, 1]


def test_the_documentation_sends_what_is_filled_in(visit: Visit, fake_service: httpx.Client, image: Path) -> None:
    page = visit(f"{fake_service.base_url}/docs")
    operation = page.locator("[id$='-classify_classify_post']")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    labels = operation.locator(".opblock-section-request-body tr[data-property-name=labels]")
    labels.get_by_role("button", name="Add string item").click()
    for field, label in zip(labels.locator("input[type=text]").all(), ["cat", "a dog, asleep", "bird"], strict=True):
        field.fill(label)
    operation.locator("input[type=file]").set_input_files(image)
    operation.get_by_role("button", name="Execute").click()
    shown = operation.locator(".live-responses-table .highlight-code code").first
    expect(shown).to_contain_text('"scores"')
    answer = json.loads(shown.inner_text())
    data = {"labels": ["cat", "a dog, asleep", "bird"], "top_k": "2"}
    assert answer == fake_service.post("/classify", files={"image": IMAGE}, data=data).json()
