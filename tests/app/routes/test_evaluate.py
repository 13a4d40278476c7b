"""POST /evaluate, and that it returns the numbers of `siglip evaluate`."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from app.cli.evaluate.command import main
from app.evaluation.evaluation import from_json
from tests.app.routes.labelled_images import BROKEN, FILES, LABELS, PER_LABEL, TRUTH, embeddings, evaluated, images


@pytest.fixture(scope="module")
def embedded(client) -> dict[str, Any]:
    return embeddings(client)


@pytest.fixture
def folder(tmp_path) -> Path:
    """The files, in one folder for each label; they sort as in FILES."""
    for label, name in enumerate(LABELS):
        (tmp_path / name).mkdir()
        for index in range(PER_LABEL):
            (tmp_path / name / f"{index:02}.png").write_bytes(FILES[label * PER_LABEL + index])
    return tmp_path


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, []),
        ({"goal": "f1", "calibrate": "set"}, ["--f1", "--calibrate", "set"]),
        ({"goal": 0.8, "calibrate": "label"}, ["--precision", "0.8", "--calibrate", "label"]),
        ({"templates": ["a {}", "the {}"], "goal": "f1"}, ["--template", "a {}", "--template", "the {}", "--f1"]),
    ],
)
def test_the_numbers_and_the_label_set_are_those_of_the_command(client, embedded, folder, capsys, options, flags):
    names = [str(file) for file in sorted(folder.glob("*/*"))]
    written = ["--write-label-set", str(folder / "tuned.json")] if options.get("goal") else []
    arguments = [str(folder), "--json", "--no-cache", "--server", str(client.base_url), *flags, *written]
    assert main(arguments) == 0
    wanted = json.loads(capsys.readouterr().out)
    common = {"labels": LABELS, "truth": TRUTH, "names": names} | options
    for given in (embedded, images(*FILES)):
        answer = evaluated(client, common | given)
        result = answer["evaluation"]
        assert result.keys() == wanted.keys()
        for name in wanted.keys() - {"settings"}:
            assert result[name] == approximately(wanted[name]), name
        shared = result["settings"].keys() & wanted["settings"].keys()
        assert {"model", "engine", "templates", "different_files", "unreadable", "leaks"} <= shared
        assert {name: result["settings"][name] for name in shared} == {
            name: wanted["settings"][name] for name in shared
        }
        assert from_json(json.dumps(result)).data.images == len(FILES)
        assert (answer["failed"], answer["warnings"]) == ([], [])
        if written:
            assert answer["label_set"] == approximately(json.loads((folder / "tuned.json").read_text()))
        else:
            assert "label_set" not in answer


def approximately(value: Any) -> Any:
    """Returns a value that equals one whose numbers are almost the same."""
    if isinstance(value, dict):
        return {name: approximately(member) for name, member in value.items()}
    if isinstance(value, list):
        return [approximately(element) for element in value]
    return pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value


def test_a_form_is_evaluated_as_json_is(client):
    form = {
        "labels": LABELS[:2],
        "truth": "[0, [1], []]",
        "names": '["a", "b", "c"]',
        "goal": "0.8",
        "calibrate": "set",
    }
    answer = client.post("/evaluate", files=[("images", file) for file in FILES[:3]], data=form).json()
    options = {"labels": LABELS[:2], "truth": [0, [1], []], "names": ["a", "b", "c"], "goal": 0.8, "calibrate": "set"}
    assert answer == evaluated(client, images(*FILES[:3]) | options)
    assert answer["evaluation"]["data"] | {"images": 3, "none_images": 1} == answer["evaluation"]["data"]


def test_the_returned_label_set_can_be_stored_and_is_in_force(client, embedded):
    body = embedded | {"truth": TRUTH, "labels": LABELS, "goal": "f1", "calibrate": "label"}
    tuned = evaluated(client, body)["label_set"]
    stored = client.put("/label-sets/evaluated", json=tuned)
    assert stored.json()["in_force"] is True
    scores = client.post("/classify", files={"image": FILES[0]}, data={"label_set": "evaluated"}).json()["scores"]
    assert {"accepted", "probability"} <= scores[0].keys()


def test_what_is_not_chosen_stays_in_a_label_set_that_is_in_force(client, embedded):
    sent = {
        "labels": ["blue", {"label": "green", "prompts": ["a lawn"], "threshold": 0.9}, "red"],
        "templates": ["a {}"],
        "threshold": 0.5,
        "calibration": {"slope": 2.0, "intercept": 1.0},
    }
    client.put("/label-sets/partly", json=sent).raise_for_status()
    tuned = evaluated(client, embedded | {"truth": TRUTH, "label_set": "partly", "goal": "f1"})["label_set"]
    assert tuned["calibration"] == sent["calibration"]
    assert tuned["labels"][1]["prompts"] == ["a lawn"]
    assert tuned["threshold"] != 0.5
    assert tuned["labels"][1]["threshold"] != 0.9
    assert tuned["templates"] == ["a {}"]


def test_what_is_not_in_force_is_left_out_with_a_warning(client, embedded):
    stale = {"model_fingerprint": "0" * 64, "texts": "0" * 64}
    sent = {"labels": LABELS, "calibration": {"slope": 2.0, "intercept": 1.0}, "tuned_for": stale}
    client.put("/label-sets/stale", json=sent).raise_for_status()
    answer = evaluated(client, embedded | {"truth": TRUTH, "label_set": "stale", "goal": "f1"})
    assert [warning["code"] for warning in answer["warnings"]] == ["tuned_not_in_force"]
    assert "calibration" not in answer["label_set"]
    assert answer["label_set"]["tuned_for"]["model_fingerprint"] == answer["model_fingerprint"]


def test_an_image_that_cannot_be_used_is_reported_by_index_and_is_not_in_the_metrics(client):
    files = [FILES[0], BROKEN, FILES[PER_LABEL], FILES[2 * PER_LABEL]]
    answer = evaluated(client, images(*files) | {"labels": LABELS, "truth": [2, 1, 2, 0]})
    (failed,) = answer["failed"]
    assert failed["index"] == 1
    assert failed["error"]["error_type"] == "unsupported_media_type"
    assert failed["error"]["errors"][0]["pointer"] == "/images/1"
    result = answer["evaluation"]
    without = evaluated(client, images(FILES[0], *files[2:]) | {"labels": LABELS, "truth": [2, 2, 0]})["evaluation"]
    assert result["summary"] == without["summary"]
    assert result["data"]["images"] == 3
    assert [(entry["path"], entry["reason"]) for entry in result["settings"]["unreadable"]] == [
        ("image 2", failed["error"]["detail"])
    ]
    assert "unreadable_files" in [warning["code"] for warning in result["warnings"]]
    # Images are numbered as in the request.
    shown = {answer["image"]: answer["name"] for answer in result["mistakes"] + result["doubtful"]}
    assert shown == {0: "image 1", 2: "image 3", 3: "image 4"}


def test_copies_with_other_labels_are_reported(client, embedded):
    rows = [embedded["embeddings"][index] for index in (0, 1, 0)]
    for given in (images(FILES[0], FILES[1], FILES[0]), embedded | {"embeddings": rows}):
        result = evaluated(client, given | {"labels": LABELS, "truth": [0, 1, 2]})["evaluation"]
        assert result["settings"]["different_files"] == 2
        assert result["settings"]["leaks"] == [["image 1", "image 3"]]
        assert "copies_with_other_labels" in [warning["code"] for warning in result["warnings"]]


def test_embeddings_need_no_image_to_be_computed(client, encoder, embedded):
    before = len(encoder.image_batches)
    evaluated(client, embedded | {"truth": TRUTH, "labels": LABELS})
    assert len(encoder.image_batches) == before


def test_the_log_line_counts_images_failures_and_labels(running, caplog):
    with caplog.at_level(logging.INFO, "app"), running() as client:
        evaluated(client, images(FILES[0], BROKEN) | {"truth": [0, 0], "labels": LABELS})
    (facts,) = [record.facts for record in caplog.records if getattr(record, "facts", {}).get("route") == "/evaluate"]
    assert {"images": 2, "failed": 1, "labels": 3}.items() <= facts.items()


def test_the_scores_of_a_label_set_with_examples_are_those_of_its_classifiers(client, embedded):
    blue, green = (
        {"embedding": embedded["embeddings"][row], "model_fingerprint": embedded["model_fingerprint"]}
        for row in (0, PER_LABEL)
    )
    labels = ["red", {"label": "blue", "examples": [blue], "counterexamples": [green]}]
    client.put("/label-sets/learnt", json={"labels": labels}).raise_for_status()
    body = embedded | {"label_set": "learnt"}
    results = client.post("/classify/embeddings", json=body).json()["results"]
    answer = evaluated(client, body | {"truth": [1 - min(label, 1) for label in TRUTH], "goal": "f1"})
    for shown in answer["evaluation"]["doubtful"]:
        best = results[shown["image"]]["scores"][0]
        assert best["label"] == ["red", "blue"][shown["best"]]
        assert best["sigmoid"] == pytest.approx(shown["score"], rel=1e-4)
    (warning,) = [found for found in answer["evaluation"]["warnings"] if found["code"] == "images_in_examples"]
    assert warning["message"].startswith("Images that are examples of the label set: 2 (image 1, image 13).")
    kept = answer["label_set"]["labels"][1]
    assert [len(kept[kind]) for kind in ("examples", "counterexamples")] == [1, 1]
    assert client.put("/label-sets/learnt", json=answer["label_set"]).json()["in_force"] is True
