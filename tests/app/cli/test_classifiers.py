"""Labels with examples on the command line: the same scores as with a service, and clear errors."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import CommandError, embed, evaluate
from app.cli.classify import main
from tests.app.cli.evaluate.colour_folder import LABELS, write_folder
from tests.fakes import FakeEncoder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with three labels of four images each."""
    return write_folder(tmp_path / "data", 4)


def image(folder: Path, name: str, index: int) -> str:
    """Returns an image as base64."""
    return base64.b64encode((folder / name / f"{index}.png").read_bytes()).decode()


@pytest.fixture
def client(running, folder) -> Iterator[httpx.Client]:
    """A client of a service whose set `colours` has two examples a label, and a counterexample."""
    with running() as client:
        images = [
            [base64.b64encode((folder / name / f"{i}.png").read_bytes()).decode() for i in (0, 1)] for name in LABELS
        ]
        labels = [{"label": name, "examples": own} for name, own in zip(LABELS, images, strict=True)]
        labels[0]["counterexamples"] = [base64.b64encode((folder / "red/2.png").read_bytes()).decode()]
        client.put("/label-sets/colours", json={"labels": labels}).raise_for_status()
        yield client


@pytest.fixture
def file(client, tmp_path) -> Path:
    """The set of the service as a file."""
    path = tmp_path / "colours.json"
    path.write_text(client.get("/label-sets/colours", params={"embeddings": "true"}).text)
    return path


def run(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments], lambda *_: FakeEncoder())


def test_scores_are_those_of_the_service_for_images_and_for_embeddings(folder, file, client, tmp_path, capsys):
    stored = tmp_path / "images.npz"
    embed.main([str(folder), "--out", str(stored)], lambda *_: FakeEncoder())
    capsys.readouterr()
    for source in ([folder], ["--embeddings", stored]):
        assert run(*source, "--labels-file", file, "--json") == 0
        here = capsys.readouterr()
        assert run(*source, "--label-set", "colours", "--server", client.base_url, "--json") == 0
        assert capsys.readouterr() == here


def test_with_another_template_the_texts_alone_are_used(folder, file, capsys):
    assert run(folder, "--labels-file", file, "--template", "a {}", "--json") == 0
    with_examples, errors = capsys.readouterr()
    assert "is not used" in errors
    (file.parent / "plain.json").write_text(json.dumps({"labels": LABELS, "templates": ["a {}"]}))
    assert run(folder, "--labels-file", file.parent / "plain.json", "--json") == 0
    plain = [json.loads(line)["scores"] for line in capsys.readouterr().out.splitlines()]
    found = [json.loads(line)["scores"] for line in with_examples.splitlines()]
    assert [[score["logit"] for score in one] for one in found] == [[score["logit"] for score in one] for one in plain]


def test_an_evaluation_is_of_what_was_learnt_and_names_images_that_were_learnt_from(folder, file, client, capsys):
    assert (
        evaluate.main([str(folder), "--labels-file", str(file), "--no-cache", "--json"], lambda *_: FakeEncoder()) == 0
    )
    here = json.loads(capsys.readouterr().out)
    images = [(folder / name / f"{index}.png").read_bytes() for name in LABELS for index in range(4)]
    there = client.post(
        "/evaluate",
        files=[("images", image) for image in images],
        data={"label_set": "colours", "truth": json.dumps([[label] for label in range(3) for _ in range(4)])},
    ).json()["evaluation"]
    for name, value in there["summary"].items():
        assert here["summary"][name] == (value if value is None else pytest.approx(value)), name
    (warning,) = (warning for warning in here["warnings"] if warning["code"] == "images_in_examples")
    assert warning["message"].startswith("Images that are examples of the label set: 7 ")


def test_thresholds_for_a_set_with_examples_are_written_with_them(folder, file, client, tmp_path, capsys):
    written = tmp_path / "tuned.json"
    arguments = [folder, "--labels-file", file, "--f1", "--write-label-set", written, "--no-cache"]
    evaluate.main([str(argument) for argument in arguments], lambda *_: FakeEncoder())
    capsys.readouterr()
    stored = client.put("/label-sets/tuned", json=json.loads(written.read_text()))
    assert (stored.status_code, stored.json()["in_force"]) == (201, True)
    read = client.get("/label-sets/tuned").json()
    assert [len(label["examples"]) for label in read["labels"]] == [2, 2, 2]
    assert "threshold" in read


MISTAKES = {
    "an image": ({"examples": ["aGk="]}, "examples without embeddings"),
    "a digest": ({"examples": [{"digest": "1" * 64}]}, "examples without embeddings"),
    "another model": (
        {"examples": [{"embedding": "AAAA", "model_fingerprint": "1" * 64}]},
        "examples of another model",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_examples_that_cannot_be_used_are_an_error(folder, tmp_path, name):
    members, message = MISTAKES[name]
    (tmp_path / "set.json").write_text(json.dumps({"labels": [{"label": "blue"} | members, "green", "red"]}))
    for arguments in ([str(folder), "--labels-file", str(tmp_path / "set.json")],):
        for command in (main, evaluate.main):
            with pytest.raises(CommandError, match=message) as error:
                command(arguments, lambda *_: FakeEncoder())
            assert error.value.status == 2
