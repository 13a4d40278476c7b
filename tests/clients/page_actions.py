"""What a user does on the page, and what the page shows."""

import json
import os
import subprocess
import sys
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


def wait_until_done(page: Page, timeout: float = 5_000) -> None:
    """Waits until all responses are shown. The page itself scores a sample first. `timeout` is in ms."""
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false", timeout=timeout)
    expect(page.locator("#done")).to_be_visible(timeout=timeout)


def classify(page: Page) -> None:
    page.get_by_role("button", name="Classify").click()
    wait_until_done(page)


def paste_labels(page: Page, labels: list[str]) -> None:
    """Replaces the labels by pasting from the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("text => navigator.clipboard.writeText(text)", "\n".join(labels))
    page.locator("#labels").press("Control+A")
    page.keyboard.press("Control+V")


def bars(page: Page) -> list[list[str]]:
    """Returns the bars of the card as shown: label, logit, score."""
    return [bar.locator(".label, .logit, .value").all_text_contents() for bar in page.locator(".card .bars li").all()]


def table(page: Page) -> list[list[str]]:
    """Returns what the card shows in its two views: label, sigmoid, softmax, logit."""
    page.get_by_role("radio", name="Softmax").check()
    softmax = [score for _, _, score in bars(page)]
    page.get_by_role("radio", name="Sigmoid").check()
    rows = zip(bars(page), softmax, strict=True)
    return [[label, sigmoid, score, logit.removeprefix("logit ")] for (label, logit, sigmoid), score in rows]


def labels_of_image(page: Page, index: int) -> list[str]:
    """Opens the card of one of several images, and returns its labels, the best first."""
    page.locator(".tile button").nth(index).click()
    labels = [bar[0] for bar in bars(page)]
    page.get_by_role("button", name="Close").click()
    return labels


def winners(page: Page) -> list[str]:
    """Returns the best label of each image on this page of the contact sheet, "" if it has none."""
    return [" ".join(tile.locator(".label").all_text_contents()) for tile in page.locator(".tile").all()]


INTERPRETERS = {
    "curl": ["/bin/bash", "again"],
    "Python": [sys.executable, "again"],
    "JavaScript": ["node", "again.mjs"],
}


def run(page: Page, folder: Path, language: str = "curl", **variables: str) -> list[dict[str, Any]]:
    """Copies what the page shows in this language, runs it in the folder, and returns the responses."""
    page.get_by_role("radio", name=language, exact=True).check()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#command-hint")).to_have_text("Copied.")
    page.context.grant_permissions(["clipboard-read"])
    program = page.evaluate("navigator.clipboard.readText()")
    command = INTERPRETERS[language]
    (folder / command[1]).write_text(program, encoding="utf-8")
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    decoder, responses, rest = json.JSONDecoder(), [], done.stdout
    while rest.strip():
        response, end = decoder.raw_decode(rest.strip())
        responses.append(response)
        rest = rest.strip()[end:]
    return responses


def forward(page: Page, outside: str, inside: str) -> None:
    """Forwards the page's requests from the URL prefix `outside` to `inside`, as a reverse proxy does."""

    def handle(route: Route) -> None:
        request = route.request
        url = request.url.replace(outside, inside)
        response = httpx.request(request.method, url, headers=request.headers, content=request.post_data_buffer)
        route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)

    page.route(f"{outside}**", handle)
