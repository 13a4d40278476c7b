"""Label sets with thresholds and calibration over HTTP: how they are stored, read and edited."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.app.routes.tuned_sets import LABELS, NOT_IN_FORCE, ask, put


@pytest.fixture
def client(running) -> Iterator[httpx.Client]:
    """A client of a service that is started for each test, because label sets stay until they are deleted."""
    with running() as client:
        yield client


def test_a_read_edited_and_stored_set_loses_nothing(client):
    labels = ["cat", {"label": "dog", "prompts": ["a dog"], "threshold": None}, {"label": "bird", "threshold": 0.25}]
    calibration = {"slope": 0.5, "intercept": -1}
    etag = put(client, labels=labels, threshold=0.3, calibration=calibration).headers["ETag"]
    read = client.get("/label-sets/pets").json()
    assert read["labels"] == labels
    assert (read["threshold"], read["calibration"], read["in_force"]) == (0.3, calibration, True)
    again = client.put("/label-sets/pets", json=read)
    assert (again.headers["ETag"], again.json()["in_force"]) == (etag, True)
    assert client.get("/label-sets/pets").json() == read
    edited = client.put("/label-sets/pets", json=read | {"threshold": 0.4}, headers={"If-Match": etag})
    assert (edited.status_code, edited.json()["in_force"]) == (200, True)
    assert client.get("/label-sets/pets").json() == read | {"threshold": 0.4}


def test_null_and_left_out_stay_different_through_a_restart(running, tmp_path):
    bodies = {
        "set-null": {"labels": ["cat"], "threshold": None},
        "set-left-out": {"labels": [{"label": "cat", "threshold": None}, "dog"]},
        "label-left-out": {"labels": ["cat", {"label": "dog", "threshold": None}], "threshold": 0.5},
    }
    with running(data_dir=tmp_path) as client:
        etags = {name: put(client, name, **body).headers["ETag"] for name, body in bodies.items()}
        answers = {name: ask(client, label_set=name) for name in bodies}
    with running(data_dir=tmp_path) as client:
        for name, body in bodies.items():
            read = client.get(f"/label-sets/{name}")
            members = {name: value for name, value in read.json().items() if name in ("labels", "threshold")}
            assert (members, read.headers["ETag"]) == (body, etags[name])
            assert ask(client, label_set=name) == answers[name]


def test_edited_texts_put_thresholds_out_of_force_until_they_are_tuned_again(client):
    put(client, threshold=0.2)
    read = client.get("/label-sets/pets").json()
    edited = client.put("/label-sets/pets", json=read | {"labels": [*LABELS, "horse"]})
    assert edited.json()["in_force"] is False
    assert ask(client, label_set="pets")["warnings"] == [NOT_IN_FORCE]
    del read["tuned_for"]
    assert client.put("/label-sets/pets", json=read | {"labels": [*LABELS, "horse"]}).json()["in_force"] is True


def test_the_etag_covers_thresholds_and_what_they_are_for(client):
    bodies: list[dict[str, Any]] = [
        {},
        {"threshold": None},
        {"threshold": 0.2},
        {"threshold": 0.3},
        {"threshold": 0.3, "tuned_for": {"model_fingerprint": "1" * 64, "texts": "2" * 64}},
        {"calibration": {"slope": 1, "intercept": 0}},
        {"labels": ["cat", "dog", "bird", {"label": "fish", "threshold": 0.3}]},
    ]
    etags = [put(client, **body).headers["ETag"] for body in bodies]
    assert len(set(etags)) == len(bodies)
    assert put(client, calibration=None).headers["ETag"] == etags[0]


INVALID: dict[str, tuple[dict[str, Any], str, str]] = {
    "above 1": ({"threshold": 1.5}, "/threshold", "threshold: input should be less than or equal to 1."),
    "text": ({"threshold": "0.5"}, "/threshold", "threshold: input should be a valid number."),
    "of a label": (
        {"labels": ["dog", {"label": "cat", "threshold": -1}]},
        "/labels/1/threshold",
        "labels/1/threshold: input should be greater than or equal to 0.",
    ),
    "half a calibration": (
        {"calibration": {"slope": 1}},
        "/calibration/intercept",
        "calibration/intercept is missing.",
    ),
    "a falling calibration": (
        {"labels": [{"label": "cat", "calibration": {"slope": -1, "intercept": 0}}]},
        "/labels/0/calibration/slope",
        "labels/0/calibration/slope: input should be greater than 0.",
    ),
    "a huge calibration": (
        {"calibration": {"slope": 1, "intercept": 1e300}},
        "/calibration/intercept",
        "calibration/intercept: input should be less than or equal to 1000000.",
    ),
    "no fingerprint": (
        {"tuned_for": {"model_fingerprint": "sha", "texts": "0" * 64}},
        "/tuned_for/model_fingerprint",
        "tuned_for/model_fingerprint: string should match pattern '^[0-9a-f]{64}$'.",
    ),
}


@pytest.mark.parametrize(("members", "pointer", "message"), INVALID.values(), ids=INVALID)
def test_a_mistake_is_reported_with_its_place(client, members, pointer, message):
    response = client.put("/label-sets/pets", json={"labels": LABELS} | members)
    (error,) = response.json()["errors"]
    assert (response.status_code, error) == (400, {"pointer": pointer, "message": message})
