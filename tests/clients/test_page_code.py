"""The scripts in Python and JavaScript that the page shows, run as they are. `test_page.py` runs the curl commands."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app.conftest import serve
from tests.clients.chromium import Visit
from tests.clients.page_actions import bars, choose, file, labels_of_image, pick_sample, run, sample, wait_until_done
from tests.fakes import FakeEncoder

HOSTILE = ["<img src=x>", 'it\'s "quoted" $HOME `id` \\ {} ${1}', "猫\u2028", "line\nbreak", "[cat"]


@pytest.mark.parametrize("language", ["Python", "JavaScript"])
def test_the_script_gives_the_same_scores(page: Page, tmp_path: Path, language: str) -> None:
    page.get_by_label("Top-k").fill("2")
    pick_sample(page, "cat")
    (response,) = run(page, tmp_path, language)
    assert [score["label"] for score in response["scores"]] == [bar[0] for bar in bars(page)]
    assert response["image"]["width"] == 256


@pytest.mark.parametrize("language", ["Python", "JavaScript"])
@pytest.mark.parametrize("name", ["plain.png", 'it\'s; a "cat", $(id) \\.png', " 猫 & dog?.png"])
def test_the_script_is_correct_for_any_characters(page: Page, tmp_path: Path, language: str, name: str) -> None:
    (tmp_path / name).write_bytes(sample("cat"))
    page.fill("#labels", json.dumps(HOSTILE))
    page.get_by_text("Templates").first.click()
    page.get_by_label("Templates", exact=True).fill('@it\'s {}; "$PATH"\n<{}> \\n')
    choose(page, file(name, sample("cat")))
    (response,) = run(page, tmp_path, language)
    assert {score["label"] for score in response["scores"]} == {label.strip() for label in HOSTILE}
    assert [score["label"] for score in response["scores"]] == [bar[0] for bar in bars(page)]


@pytest.mark.parametrize("language", ["Python", "JavaScript"])
def test_the_script_sends_several_requests_with_a_key(visit: Visit, tmp_path: Path, language: str) -> None:
    key = "schlüssel-鍵"
    with serve(FakeEncoder(), api_keys=key, max_images=2) as client:
        page = visit(str(client.base_url), failures=["401"])
        page.get_by_label("API key").fill(key)
        page.get_by_label("API key").press("Enter")
        wait_until_done(page)
        names = ["cat", "dog", "car"]
        choose(page, *(file(f"{name}.png", sample(name)) for name in names))
        page.get_by_role("radio", name=language, exact=True).check()
        expect(page.locator("#command-hint")).to_contain_text("It reads the key from the variable API_KEY.")
        expect(page.locator("#command")).not_to_contain_text(key)
        for name in names:
            (tmp_path / f"{name}.png").write_bytes(sample(name))
        first, second = run(page, tmp_path, language, API_KEY=key)
        shown = [labels_of_image(page, index) for index in range(3)]
        results = [*first["results"], second]
        assert [[score["label"] for score in result["scores"]] for result in results] == shown
