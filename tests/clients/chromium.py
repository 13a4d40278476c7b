"""A real Chromium, and tabs of it that keep what goes wrong in them."""

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
    """Runs a browser."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail(f"chromium {MISSING}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def tabs(browser: Browser) -> Iterator[Visit]:
    """Opens tabs: `visit(url, failures=["422"], viewport=...)`.

    At the end nothing may have gone wrong in one, such as a refusal by the page's policy, but for what is expected: a
    browser complains in its console of each answer that is an error.
    """
    contexts, complaints = [], []

    def visit(url: str, failures: Sequence[str] = (), **options: Any) -> Page:
        context = browser.new_context(**{"reduced_motion": "reduce"} | options)
        contexts.append(context)
        page = context.new_page()

        def hear(message: ConsoleMessage) -> None:
            expected = any(failure in message.text for failure in failures)
            if message.type in ("error", "warning") and not expected:
                complaints.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []
