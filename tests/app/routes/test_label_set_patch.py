"""PATCH /label-sets/{name} over HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.fakes import INFO, FakeEncoder

URL = "/label-sets/pets"
PETS = {
    "labels": ["cat", {"label": "dog", "prompts": ["a dog"], "threshold": 0.4}, "bird"],
    "templates": ["a {}"],
    "threshold": 0.2,
}


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def client(running, encoder) -> Iterator[httpx.Client]:
    """A client of a service that has the set `PETS`."""
    with running(encoder) as client:
        assert client.put(URL, json=PETS).status_code == 201
        yield client


def read(client: httpx.Client) -> dict[str, Any]:
    """Returns the stored set without what follows from the rest."""
    stored: dict[str, Any] = client.get(URL).json()
    return {
        name: value for name, value in stored.items() if name in ("labels", "templates", "threshold", "calibration")
    }


LINE = {"slope": 0.5, "intercept": -1.0}
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, PETS),
    "the set's threshold": ({"threshold": 0.3}, PETS | {"threshold": 0.3}),
    "the set accepts nothing": ({"threshold": None}, PETS | {"threshold": None}),
    "no threshold of the set": (
        {"remove": ["threshold"]},
        {name: value for name, value in PETS.items() if name != "threshold"},
    ),
    "a calibration": ({"calibration": LINE}, PETS | {"calibration": LINE}),
    "one label": (
        {"labels": {"0": {"threshold": 0.1, "calibration": LINE}}},
        PETS | {"labels": [{"label": "cat", "threshold": 0.1, "calibration": LINE}, *PETS["labels"][1:]]},
    ),
    "a label with prompts, and another one": (
        {"labels": {"1": {"threshold": None}, "2": {"threshold": 0.9}}},
        PETS
        | {
            "labels": [
                "cat",
                {"label": "dog", "prompts": ["a dog"], "threshold": None},
                {"label": "bird", "threshold": 0.9},
            ]
        },
    ),
    "a label has the set's threshold again": (
        {"labels": {"1": {"remove": ["threshold"]}}},
        PETS | {"labels": ["cat", {"label": "dog", "prompts": ["a dog"]}, "bird"]},
    ),
    "the templates": ({"templates": ["the {}"]}, PETS | {"templates": ["the {}"]}),
    "the default template": ({"templates": None}, PETS | {"templates": ["This is a photo of {}."]}),
}


@pytest.mark.parametrize(("patch", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_patch_changes_what_it_names_and_nothing_else(client, patch, expected):
    response = client.patch(URL, json=patch)
    stored = client.get(URL)
    assert (response.status_code, response.json()["size"]) == (200, 3)
    assert read(client) == expected
    assert response.headers["ETag"] == response.json()["etag"] == stored.headers["ETag"]
    assert response.json()["in_force"] is stored.json()["in_force"] is ("templates" not in patch)


def test_a_calibration_is_removed_by_null_or_by_name(client):
    for patch in ({"calibration": None}, {"remove": ["calibration"]}):
        client.patch(URL, json={"calibration": LINE})
        client.patch(URL, json=patch)
        assert read(client) == PETS


def test_only_changed_texts_are_embedded_again(client, encoder):
    encoder.text_batches.clear()
    client.patch(URL, json={"threshold": 0.5, "labels": {"0": {"threshold": 0.1}}})
    assert encoder.text_batches == []
    client.patch(URL, json={"templates": ["the {}"]})
    assert sum(encoder.text_batches) == 2  # the dog has its own prompt, which is in the cache


def test_a_set_without_thresholds_gets_them_for_the_serving_model(client):
    client.put(URL, json={"labels": ["cat"]})
    response = client.patch(URL, json={"threshold": 0.5})
    tuned_for = client.get(URL).json()["tuned_for"]
    assert response.json()["in_force"] is True
    assert tuned_for["model_fingerprint"] == client.get("/info").json()["model_fingerprint"]
    assert client.patch(URL, json={"remove": ["threshold"]}).json().keys() == {"name", "size", "etag", "warnings"}
    assert client.get(URL).json().keys() == {"name", "labels", "templates", "warnings"}


def test_a_patch_does_not_bring_old_thresholds_into_force(running, tmp_path):
    with running(data_dir=tmp_path) as client:
        client.put(URL, json=PETS)
    with running(FakeEncoder(info=replace(INFO, sha256="1" * 64)), data_dir=tmp_path) as client:
        assert client.patch(URL, json={"threshold": 0.3}).json()["in_force"] is False
        assert client.patch(URL, json={"threshold": 0.3, "tuned_for": None}).json()["in_force"] is True


def test_a_patch_survives_a_restart(running, tmp_path):
    with running(data_dir=tmp_path) as client:
        client.put(URL, json=PETS)
        etag = client.patch(URL, json={"threshold": None}).headers["ETag"]
    encoder = FakeEncoder()
    with running(encoder, data_dir=tmp_path) as client:
        assert client.get(URL).headers["ETag"] == etag
        assert read(client) == PETS | {"threshold": None}
    assert encoder.text_batches == []


def test_if_match_is_respected(client):
    etag = client.get(URL).headers["ETag"]
    for other in ('"other"', 'W/"other"', ""):
        refused = client.patch(URL, json={"threshold": 0.9}, headers={"If-Match": other})
        assert (refused.status_code, refused.json()["error_type"]) == (412, "precondition_failed")
    assert client.get(URL).headers["ETag"] == etag
    assert client.patch(URL, json={"threshold": 0.9}, headers={"If-Match": etag}).status_code == 200
    assert client.patch(URL, json={"threshold": 0.9}, headers={"If-Match": "*"}).status_code == 200
    assert client.patch(URL, json={"threshold": 0.1}, headers={"If-Match": etag}).status_code == 412


def test_of_concurrent_patches_none_is_lost(client):
    def change(index: int) -> int:
        return client.patch(URL, json={"labels": {str(index): {"threshold": index / 10}}}).status_code

    with ThreadPoolExecutor(3) as clients:
        assert list(clients.map(change, range(3))) == [200] * 3
    assert [label["threshold"] for label in read(client)["labels"]] == [0, 0.1, 0.2]


def test_an_unknown_set_is_404(client):
    response = client.patch("/label-sets/other", json={})
    assert (response.status_code, response.json()["error_type"]) == (404, "label_set_not_found")


INVALID: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "no such label": (
        {"labels": {"3": {"threshold": 0.1}}},
        422,
        "/labels/3",
        "There is no label with this index; they are 0 to 2.",
    ),
    "a name instead of an index": (
        {"labels": {"cat": {"threshold": 0.1}}},
        400,
        "/labels",
        'labels: the names are the indices of labels, counted from 0, such as "0".',
    ),
    "a list": ({"labels": [{"threshold": 0.1}]}, 400, "/labels", "labels: input should be a valid dictionary."),
    "prompts": ({"labels": {"0": {"prompts": ["x"]}}}, 400, "/labels/0", "labels/0: unknown field."),
    "a wrong threshold": (
        {"labels": {"0": {"threshold": 2}}},
        400,
        "/labels/0/threshold",
        "labels/0/threshold: input should be less than or equal to 1.",
    ),
    "changed and removed": (
        {"labels": {"0": {"threshold": 0.2, "remove": ["threshold"]}}},
        400,
        "/labels/0/remove",
        "threshold is changed and removed. Send one or the other.",
    ),
    "the set's, changed and removed": (
        {"calibration": None, "remove": ["calibration"]},
        400,
        "/remove",
        "calibration is changed and removed. Send one or the other.",
    ),
    "a bad template": (
        {"templates": ["a"]},
        422,
        "/templates/0",
        "Template 1 must contain {} for the label, at most 4 times.",
    ),
}


@pytest.mark.parametrize(("patch", "status", "pointer", "message"), INVALID.values(), ids=INVALID)
def test_a_mistake_is_reported_with_its_place_and_changes_nothing(client, patch, status, pointer, message):
    etag = client.get(URL).headers["ETag"]
    response = client.patch(URL, json=patch)
    (error,) = response.json()["errors"]
    assert (response.status_code, error) == (status, {"pointer": pointer, "message": message})
    assert client.get(URL).headers["ETag"] == etag
