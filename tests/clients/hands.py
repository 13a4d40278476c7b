"""What a reader does on the page, and sees there."""

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, Route, expect

ROOT = Path(__file__).parent.parent.parent


def file(name: str, content: bytes) -> dict[str, Any]:
    """Returns a file as a reader chooses it."""
    return {"name": name, "mimeType": "image/png", "buffer": content}


def sample(name: str) -> bytes:
    return (ROOT / "samples" / f"{name}.png").read_bytes()


def choose(page: Page, *files: dict[str, Any]) -> None:
    page.set_input_files("#files", list(files))
    finish(page)


def pick(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Sample {name}").click()
    finish(page)


def finish(page: Page) -> None:
    """Waits for all answers."""
    expect(page.locator("#done")).to_be_visible()


def classify(page: Page) -> None:
    page.get_by_role("button", name="Classify").click()
    finish(page)


def paste_labels(page: Page, labels: list[str]) -> None:
    """Pastes as a reader does, in the place of what is there."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("text => navigator.clipboard.writeText(text)", "\n".join(labels))
    page.locator("#labels").press("Control+A")
    page.keyboard.press("Control+V")


def table(page: Page, card: int = 0) -> list[list[str]]:
    """Returns the rows of a card: label, sigmoid, softmax, logit as a reader sees them."""
    rows = page.locator(".card").nth(card).locator("tbody tr").all()
    return [row.locator("th, .value, .logit").all_text_contents() for row in rows]


def forward(page: Page, outside: str, inside: str) -> None:
    """Makes what the page asks of one address an answer of another, as a proxy does."""

    def answer(route: Route) -> None:
        request = route.request
        url = request.url.replace(outside, inside)
        got = httpx.request(request.method, url, headers=request.headers, content=request.post_data_buffer)
        route.fulfill(status=got.status_code, headers=dict(got.headers), body=got.content)

    page.route(f"{outside}**", answer)
