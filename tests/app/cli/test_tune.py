"""The whole command, with the fake encoder or with a real service that uses it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli import CommandError
from app.cli.client import Refused
from app.cli.tune import main, make_parser, read_set, store
from app.settings import Settings
from tests.app.cli.evaluate.colour_folder import LABELS, write_folder
from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with three labels of three images each."""
    return write_folder(tmp_path / "data", 3)


def load(_settings: Settings, on_stage: Callable[[str], None]) -> FakeEncoder:
    on_stage("loading")
    return FakeEncoder()


def run(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments], load)


def test_a_folder_becomes_a_file_that_a_service_serves(folder, tmp_path, running, capsys):
    file = tmp_path / "colours.json"
    assert run(folder, "--label-set", file) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert output.splitlines()[0].startswith("top-1 of 9 images, each scored by what was learnt from the others: ")
    assert output.splitlines()[1] == f"{file}: labels 3, examples 9, counterexamples 0"
    encoder = FakeEncoder()
    with running(encoder) as client:
        stored = client.put("/label-sets/colours", json=json.loads(file.read_text()))
        assert (stored.status_code, stored.json()["in_force"]) == (201, True)
        assert encoder.image_batches == []
        labels = client.get("/label-sets/colours").json()["labels"]
    for name, label in zip(LABELS, labels, strict=True):
        digests = [hashlib.sha256((folder / name / f"{index}.png").read_bytes()).hexdigest() for index in range(3)]
        assert label == {"label": name, "examples": [{"digest": digest} for digest in digests]}


def test_the_same_images_again_change_nothing_and_others_are_added(folder, tmp_path, capsys):
    file = tmp_path / "colours.json"
    run(folder, "--label-set", file)
    before = file.read_text()
    run(folder, "--label-set", file)
    assert file.read_text() == before
    (tmp_path / "more/red").mkdir(parents=True)
    (tmp_path / "more/red/9.png").write_bytes(encoded(plain_image((1, 2, 3))))
    (tmp_path / "not/green").mkdir(parents=True)
    (tmp_path / "not/green/9.png").write_bytes(encoded(plain_image((3, 2, 1))))
    capsys.readouterr()
    assert run(tmp_path / "more", "--counterexamples", tmp_path / "not", "--label-set", file) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "how much the examples help cannot be measured: there are too few",
        f"{file}: labels 3, examples 10, counterexamples 1",
    ]


def test_a_set_of_a_service_is_made_and_extended(folder, running, capsys):
    with running() as client:
        server = ("--label-set", "colours", "--server", client.base_url)
        assert run(folder, *server) == 0
        first = client.get("/label-sets/colours").json()
        assert [len(label["examples"]) for label in first["labels"]] == [3, 3, 3]
        (folder / "red/9.png").write_bytes(encoded(plain_image((1, 2, 3))))
        client.patch("/label-sets/colours", json={"threshold": 0.5})
        assert run(folder, *server) == 0
        second = client.get("/label-sets/colours").json()
        assert [len(label["examples"]) for label in second["labels"]] == [3, 3, 4]
        assert second["threshold"] == 0.5
    assert "the thresholds were chosen before these examples" in capsys.readouterr().err


def test_unusable_files_are_named_and_the_status_is_1(folder, tmp_path, capsys):
    (folder / "red/bad.png").write_bytes(b"text")
    assert run(folder, "--label-set", tmp_path / "colours.json") == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith(f"{folder}/red/bad.png: The file is not an image")
    assert errors[1:] == ["not used: 1 of 10 files"]


def test_only_unusable_files_write_nothing(tmp_path):
    (tmp_path / "data/red").mkdir(parents=True)
    (tmp_path / "data/red/bad.png").write_bytes(b"text")
    with pytest.raises(CommandError, match="no file can be used"):
        run(tmp_path / "data", "--label-set", tmp_path / "colours.json")
    assert not (tmp_path / "colours.json").exists()


def test_mistakes_are_found_before_anything_is_embedded(folder, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"labels": ["cat", "dog"]}')
    foreign = {"model_fingerprint": "1" * 64, "texts": "2" * 64}
    tuned = tmp_path / "tuned.json"
    tuned.write_text(json.dumps({"labels": LABELS, "threshold": 0.5, "tuned_for": foreign}))
    empty = tmp_path / "empty"
    (empty / "red").mkdir(parents=True)
    for arguments, message in (
        ((folder, "--label-set", "colours"), "or the name of a set of a --server"),
        ((folder, "--label-set", tmp_path / "no/colours.json"), "there is no folder"),
        ((folder, "--label-set", other), "there is no label for"),
        ((folder, "--label-set", tuned), "tuned for another model"),
        ((empty, "--label-set", other), "there is no label for"),
        ((empty, "--label-set", tmp_path / "new.json"), "there are no files in"),
        ((tmp_path / "none", "--label-set", other), "there is no file or folder"),
    ):
        with pytest.raises(CommandError, match=message) as error:
            run(*arguments)
        assert error.value.status == 2


def test_a_set_that_has_changed_meanwhile_is_not_replaced(folder, running):
    with running() as client:
        client.put("/label-sets/colours", json={"labels": LABELS})
        options = make_parser().parse_args([str(folder), "--label-set", "colours", "--server", str(client.base_url)])
        stored = read_set(options, Settings())
        assert stored.definition is not None
        client.put("/label-sets/colours", json={"labels": ["cat"]})
        with pytest.raises(Refused, match="not the one that If-Match names"):
            store(options, Settings(), stored.definition, stored)
