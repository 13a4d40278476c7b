"""The API documentation at /docs, in Chromium: from this service alone, and below a path prefix."""

import pytest
from playwright.sync_api import expect

from tests.app.conftest import serve
from tests.clients.chromium import Visit
from tests.fakes import FakeEncoder


@pytest.mark.parametrize("prefix", ["", "/siglip"])
def test_the_documentation_needs_nothing_but_this_service_and_sends_requests_to_it(visit: Visit, prefix: str) -> None:
    with serve(FakeEncoder(), root_path=prefix) as client:
        address = f"{str(client.base_url).rstrip('/')}{prefix}"
        page = visit("about:blank")
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{address}/docs")
        info = page.locator("[id$=info_info_get]")
        info.click()
        info.get_by_role("button", name="Try it out").click()
        info.get_by_role("button", name="Execute").click()
        expect(info.locator(".live-responses-table .response .response-col_status").first).to_contain_text("200")
        expect(info.locator(".request-url")).to_contain_text(f"{address}/info")
    assert [url for url in requested if not url.startswith((f"{address}/", "data:"))] == []
