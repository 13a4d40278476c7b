"""Fixtures: a browser, and the real service."""

import os
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.clients.chromium import Visit, chromium, tabs
from tests.clients.page_actions import wait_until_done
from tests.test_start import served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with tabs(browser) as visit:
        yield visit


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the real service, with the embedded checkpoint and one label set."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "sets").mkdir()
    (folder / "sets" / "pets.txt").write_text("cat\ndog\ngoldfish\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    environment |= {"SIGLIP_LABEL_SETS_DIR": str(folder / "sets"), "SIGLIP_LOG_FORMAT": "text"}
    with served(folder / "log", environment) as client:
        while client.get("/health/ready").status_code != 200:
            time.sleep(0.1)
        yield client


@pytest.fixture
def page(visit: Visit, service: httpx.Client) -> Page:
    """The page of the real service, after it has scored its first sample."""
    page = visit(str(service.base_url))
    wait_until_done(page)
    return page
