"""A real Chromium, and tabs that record errors and warnings."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "is not installed: `make clients` sets up what it can, and says what it cannot"

Visit = Callable[..., Page]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yields a running browser."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail(f"chromium {MISSING}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def tabs(browser: Browser) -> Iterator[Visit]:
    """Yields a function that opens tabs: `visit(url, failures=["422"], viewport=...)`.

    At the end, fails if the console of a tab has an error or a warning, such as a violation of the page's Content
    Security Policy. Messages that contain one of `failures` are expected: a browser logs each error response.
    """
    contexts, unexpected = [], []

    def visit(url: str, failures: Sequence[str] = (), **options: Any) -> Page:
        context = browser.new_context(**{"reduced_motion": "reduce"} | options)
        contexts.append(context)
        page = context.new_page()

        def record(message: ConsoleMessage) -> None:
            expected = any(failure in message.text for failure in failures)
            if message.type in ("error", "warning") and not expected:
                unexpected.append(message.text)

        page.on("console", record)
        page.on("pageerror", lambda error: unexpected.append(str(error)))
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert unexpected == []
