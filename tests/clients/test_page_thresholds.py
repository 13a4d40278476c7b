"""The page in a real Chromium, with label sets that have thresholds."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.clients.chromium import Visit
from tests.clients.page_actions import pick_sample, table, wait_until_done

ELSEWHERE = {"model_fingerprint": "0" * 64, "texts": "1" * 64}


@pytest.mark.parametrize(
    ("definition", "sample", "sentence", "accepted"),
    [
        ({"threshold": 0.2}, "cat", "Accepted: cat.", ["cat"]),
        ({"threshold": 0.0}, "cat", "Accepted: cat, dog, car.", ["cat", "dog", "car"]),
        ({"threshold": 0.2}, "rainbow", "None of these labels is accepted.", []),
        ({"threshold": 0.2, "tuned_for": ELSEWHERE}, "cat", "This label set has no thresholds in force.", []),
    ],
)
def test_a_card_says_which_labels_are_accepted(
    visit: Visit, service: httpx.Client, definition: dict[str, object], sample: str, sentence: str, accepted: list[str]
) -> None:
    body = {"labels": ["cat", "dog", "car"], **definition}
    assert service.put("/label-sets/goods", json=body).status_code in (200, 201)
    page = visit(str(service.base_url))
    wait_until_done(page)
    page.get_by_label("Label set").select_option("goods")
    pick_sample(page, sample)
    expect(page.locator(".answer .accepted")).to_have_text(sentence)
    marked = [row[0].removesuffix(" accepted") for row in table(page) if row[0].endswith(" accepted")]
    assert marked == accepted
