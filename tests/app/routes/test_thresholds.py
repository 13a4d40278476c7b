"""Label sets with thresholds and calibration over HTTP: what is accepted, and when it is in force."""

import base64
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from tests.app.image_files import BLUE, encoded, plain_image
from tests.app.routes.tuned_sets import LABELS, NOT_IN_FORCE, OTHER_ENCODER, RED_PNG, ask, logit, metric, put, sigmoid
from tests.fakes import INFO, FakeEncoder

ORDER = sorted(LABELS, key=lambda label: -logit(label))  # for the red image


@pytest.fixture
def client(running) -> Iterator[httpx.Client]:
    """A client of a service that is started for each test, because label sets stay until they are deleted."""
    with running() as client:
        yield client


def test_each_label_is_accepted_by_its_own_threshold_or_else_by_the_sets(client):
    """Two labels have their own thresholds: the best accepts nothing, and the worst accepts everything."""
    own = {ORDER[0]: None, ORDER[3]: 0.0}
    labels = [{"label": label, "threshold": own[label]} if label in own else label for label in LABELS]
    put(client, labels=labels, threshold=(sigmoid(logit(ORDER[1])) + sigmoid(logit(ORDER[2]))) / 2)
    answer = ask(client, label_set="pets")
    assert [(score["label"], score["accepted"]) for score in answer["scores"]] == [
        (ORDER[0], False),
        (ORDER[1], True),
        (ORDER[2], False),
        (ORDER[3], True),
    ]
    assert answer["accepted_labels"] == [
        {"index": LABELS.index(ORDER[1]), "label": ORDER[1]},
        {"index": LABELS.index(ORDER[3]), "label": ORDER[3]},
    ]
    assert answer["warnings"] == []


def test_a_label_without_any_threshold_is_neither_accepted_nor_rejected(client):
    put(client, labels=[{"label": "cat", "threshold": 0}, "dog"])
    answer = ask(client, label_set="pets")
    assert {score["label"]: score["accepted"] for score in answer["scores"]} == {"cat": True, "dog": None}
    assert answer["accepted_labels"] == [{"index": 0, "label": "cat"}]


def test_if_no_label_is_accepted_the_list_is_empty(client):
    put(client, threshold=None)
    answer = ask(client, label_set="pets")
    assert [score["accepted"] for score in answer["scores"]] == [False] * 4
    assert answer["accepted_labels"] == []


@pytest.mark.parametrize("options", [{"top_k": 1}, {"threshold": 0.99}, {"threshold": 0, "top_k": 2}])
def test_options_of_a_request_cut_the_scores_and_not_what_is_accepted(client, options):
    put(client, threshold=0.0)
    whole, cut = ask(client, label_set="pets"), ask(client, label_set="pets", **options)
    assert [accepted["label"] for accepted in cut["accepted_labels"]] == ORDER
    assert cut["accepted_labels"] == whole["accepted_labels"]
    assert cut["scores"] == whole["scores"][: options.get("top_k", 0)]


def test_duplicate_labels_are_told_apart_by_their_index(client):
    put(client, labels=["cat", {"label": "cat", "threshold": None}, "cat"], threshold=0)
    answer = ask(client, label_set="pets")
    assert answer["accepted_labels"] == [{"index": 0, "label": "cat"}, {"index": 2, "label": "cat"}]
    assert [score["accepted"] for score in answer["scores"]] == [True, False, True]


def test_calibrated_labels_have_a_probability(client):
    labels = [{"label": "cat", "calibration": {"slope": 0.5, "intercept": -1}}, "dog"]
    put(client, labels=labels, calibration={"slope": 2, "intercept": 1.5})
    answer = ask(client, label_set="pets")
    found = {score["label"]: score["probability"] for score in answer["scores"]}
    expected = {"cat": sigmoid(0.5 * logit("cat") - 1), "dog": sigmoid(2 * logit("dog") + 1.5)}
    assert found == pytest.approx(expected, rel=1e-5)
    assert [score["accepted"] for score in answer["scores"]] == [None, None]
    assert answer["accepted_labels"] is None


def test_only_calibrated_labels_have_a_probability(client):
    put(client, labels=[{"label": "cat", "calibration": {"slope": 1, "intercept": 0}}, "dog"], threshold=0)
    scores = {score["label"]: score for score in ask(client, label_set="pets")["scores"]}
    assert scores["cat"]["probability"] == pytest.approx(scores["cat"]["sigmoid"], rel=1e-5)
    assert "probability" not in scores["dog"]


def test_without_thresholds_responses_have_no_new_members_but_warnings(client):
    put(client)
    for options in ({"label_set": "pets"}, {"labels": LABELS}):
        answer = ask(client, **options)
        assert answer.keys() == {"model", "image", "scores", "warnings"}
        assert answer["scores"][0].keys() == {"label", "logit", "sigmoid", "softmax"}
        assert answer["warnings"] == []


def test_a_batch_says_for_each_image_what_is_accepted(client):
    put(client, threshold=sigmoid(logit(ORDER[0])) - 1e-4)
    images = [base64.b64encode(image).decode() for image in (RED_PNG, b"no image", encoded(plain_image(BLUE)))]
    answer = client.post("/classify/batch", json={"images": images, "label_set": "pets"}).json()
    red, failed, blue = answer["results"]
    assert [accepted["label"] for accepted in red["accepted_labels"]] == [ORDER[0]]
    assert failed.keys() == {"error"}
    accepted = [score["label"] for score in blue["scores"] if score["accepted"]]
    assert [label["label"] for label in blue["accepted_labels"]] == accepted
    expected = {label for label in LABELS if logit(label, BLUE) >= logit(ORDER[0])}
    assert set(accepted) == expected
    assert answer["warnings"] == []


def test_predictions_for_vertex_ai_say_what_is_accepted(running):
    with running(aip_predict_route="/predict") as client:
        put(client, threshold=0.0)
        put(client, "none", threshold=None)
        instances = [{"image": base64.b64encode(RED_PNG).decode()}] * 2
        answers = {}
        for name in ("pets", "none"):
            body = {"instances": instances, "parameters": {"label_set": name, "top_k": 1}}
            answers[name] = client.post("/predict", json=body).json()["predictions"]
        assert [label["label"] for label in answers["pets"][1]["accepted_labels"]] == ORDER
        assert [prediction["accepted_labels"] for prediction in answers["none"]] == [[], []]
        assert answers["none"][0]["scores"][0]["accepted"] is False
        assert metric(client, "siglip_none_accepted") == {"none": 2}


def test_with_another_model_nothing_that_was_tuned_is_used(running, tmp_path):
    with running(data_dir=tmp_path) as client:
        etag = put(client, threshold=0.0, calibration={"slope": 2, "intercept": 1}).headers["ETag"]
        before = ask(client, label_set="pets")
        assert client.get("/label-sets/pets").json()["in_force"] is True
    with running(FakeEncoder(info=OTHER_ENCODER), data_dir=tmp_path) as client:
        response = client.get("/label-sets/pets")
        assert response.json()["in_force"] is False
        assert response.headers["ETag"] != etag  # the response has changed
        assert client.get("/label-sets").json()["label_sets"][0]["in_force"] is False
        answer = ask(client, label_set="pets")
        assert answer["accepted_labels"] is None
        for score, old in zip(answer["scores"], before["scores"], strict=True):
            numbers = {name: old[name] for name in ("label", "logit", "sigmoid", "softmax")}
            assert score == numbers | {"accepted": None}
        assert answer["warnings"] == [NOT_IN_FORCE]
        batch = {"images": [base64.b64encode(RED_PNG).decode()], "label_set": "pets"}
        assert client.post("/classify/batch", json=batch).json()["warnings"] == [NOT_IN_FORCE]
        assert metric(client, "siglip_not_in_force") == {"pets": 2}
        assert metric(client, "siglip_none_accepted") == {}
    with running(data_dir=tmp_path) as client:
        assert ask(client, label_set="pets") == before


@pytest.mark.parametrize("dtype", ["float16", "tf32"])
def test_with_a_type_within_the_tolerance_thresholds_are_in_force(running, tmp_path, dtype):
    with running(data_dir=tmp_path) as client:
        put(client, threshold=0.0)
    with running(FakeEncoder(info=replace(INFO, dtype=dtype, engine="openvino")), data_dir=tmp_path) as client:
        assert len(ask(client, label_set="pets")["accepted_labels"]) == 4


def test_images_without_an_accepted_label_are_counted(client):
    put(client, threshold=None)
    put(client, "all", threshold=0)
    images = [base64.b64encode(RED_PNG).decode()] * 3
    for name in ("pets", "all"):
        ask(client, label_set=name)
        client.post("/classify/batch", json={"images": images, "label_set": name})
    assert metric(client, "siglip_none_accepted") == {"pets": 4}
    assert metric(client, "siglip_not_in_force") == {}


def test_ten_thousand_labels_with_thresholds(client):
    labels = [{"label": f"label {index}", "threshold": index % 2} for index in range(10_000)]
    summary = put(client, labels=labels).json()
    assert (summary["size"], summary["in_force"]) == (10_000, True)
    assert client.get("/label-sets/pets").json()["labels"] == labels
    answer = ask(client, label_set="pets", top_k=5)
    assert len(answer["scores"]) == 5
    accepted = [label["index"] for label in answer["accepted_labels"]]
    assert sorted(accepted) == list(range(0, 10_000, 2))
    logits = [logit(f"label {index}") for index in accepted[:20]]
    assert logits == sorted(logits, reverse=True)
    changed = client.patch("/label-sets/pets", json={"labels": {str(index): {"threshold": None} for index in accepted}})
    assert changed.status_code == 200
    assert ask(client, label_set="pets")["accepted_labels"] == []
