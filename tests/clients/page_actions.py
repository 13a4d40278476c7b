"""What a user does on the page, and what the page shows."""

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, Route, expect

ROOT = Path(__file__).parent.parent.parent


def file(name: str, content: bytes) -> dict[str, Any]:
    """Returns a file for Playwright's `set_input_files`."""
    return {"name": name, "mimeType": "image/png", "buffer": content}


def sample(name: str) -> bytes:
    return (ROOT / "samples" / f"{name}.png").read_bytes()


def choose(page: Page, *files: dict[str, Any]) -> None:
    page.set_input_files("#files", list(files))
    wait_until_done(page)


def pick_sample(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Sample {name}").click()
    wait_until_done(page)


def wait_until_done(page: Page) -> None:
    """Waits until all responses are shown."""
    expect(page.locator("#done")).to_be_visible()


def classify(page: Page) -> None:
    page.get_by_role("button", name="Classify").click()
    wait_until_done(page)


def paste_labels(page: Page, labels: list[str]) -> None:
    """Replaces the labels by pasting from the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("text => navigator.clipboard.writeText(text)", "\n".join(labels))
    page.locator("#labels").press("Control+A")
    page.keyboard.press("Control+V")


def table(page: Page, card: int = 0) -> list[list[str]]:
    """Returns the rows of a card as shown: label, sigmoid, softmax, logit."""
    rows = page.locator(".card").nth(card).locator("tbody tr").all()
    return [row.locator("th, .value, .logit").all_text_contents() for row in rows]


def forward(page: Page, outside: str, inside: str) -> None:
    """Forwards the page's requests from the URL prefix `outside` to `inside`, as a reverse proxy does."""

    def handle(route: Route) -> None:
        request = route.request
        url = request.url.replace(outside, inside)
        response = httpx.request(request.method, url, headers=request.headers, content=request.post_data_buffer)
        route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)

    page.route(f"{outside}**", handle)
