"""The whole command, with the fake encoder or with a real service that uses it: data, labels and mistakes."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import CommandError
from app.cli.evaluate.command import main
from tests.app.cli.evaluate.colour_folder import LABELS, TEMPLATE, expected_logits, top1
from tests.app.image_files import encoded, plain_image
from tests.fakes import INFO, FakeEncoder


def test_the_numbers_are_those_of_the_scores(folder, run):
    status, out, errors = run(folder, "--json")
    assert status == 0
    result = json.loads(out)
    assert result["labels"] == LABELS
    assert result["data"]["images"] == 18
    assert result["summary"]["top1"]["value"] == pytest.approx(top1([f"This is a photo of {x}." for x in LABELS]))
    assert [label["support"] for label in result["per_label"]] == [6, 6, 6]
    assert result["settings"]["model"] == "FakeSigLIP fake_8"
    assert result["settings"]["templates"] == [TEMPLATE]
    assert errors == "warning: There are only 18 images, so the intervals are wide. Use at least 100.\n"


def test_a_table_is_printed_for_people(folder, run):
    _, out, _ = run(folder)
    lines = out.splitlines()
    assert lines[0] == "images 18, labels 3"
    assert lines[2].split()[-1] == "top-1"
    assert float(lines[2].split()[0]) == pytest.approx(top1([f"This is a photo of {x}." for x in LABELS]), abs=1e-4)


class NoPreprocessor(FakeEncoder):
    """An encoder that can neither decode nor compute an image."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        raise AssertionError("an image was computed")

    def __getattribute__(self, name: str) -> Any:
        if name == "preprocessor" and getattr(self, "_made", False):
            raise AssertionError("an image was decoded")
        return super().__getattribute__(name)

    def __post_init__(self) -> None:
        self._made = True


def test_a_second_run_with_other_labels_and_templates_decodes_and_computes_no_image(folder, run, tmp_path):
    first = FakeEncoder()
    run(folder, encoder=first)
    assert sum(first.image_batches) == 18
    (tmp_path / "names.json").write_text('{"blue": "sea", "green": "grass", "red": "fire"}')
    status, out, _ = run(
        folder, "--names", tmp_path / "names.json", "--template", "a {}", "--json", encoder=NoPreprocessor()
    )
    assert status == 0
    result = json.loads(out)
    assert result["labels"] == ["sea", "grass", "fire"]
    assert result["summary"]["top1"]["value"] == pytest.approx(top1(["a sea", "a grass", "a fire"]))


def test_another_encoder_does_not_take_the_rows_of_the_first_one(folder, run):
    run(folder)
    other = FakeEncoder(info=replace(INFO, sha256="1" * 64))
    run(folder, encoder=other)
    assert sum(other.image_batches) == 18


def test_with_no_cache_nothing_is_kept(folder, run, tmp_path):
    encoder = FakeEncoder()
    run(folder, "--no-cache", encoder=encoder)
    run(folder, "--no-cache", encoder=encoder)
    assert sum(encoder.image_batches) == 36
    assert not (tmp_path / "cache").exists()


def test_a_service_gives_the_same_numbers(folder, run, client):
    _, local, _ = run(folder, "--json", "--no-cache", "--template", "a {}")
    status, remote, _ = run(folder, "--json", "--no-cache", "--template", "a {}", "--server", client.base_url)
    assert status == 0
    ours, theirs = json.loads(local), json.loads(remote)
    assert theirs["settings"]["server"] == str(client.base_url)
    for name in ("labels", "data", "summary", "per_label", "confusions", "model_fingerprint"):
        assert theirs[name] == ours[name]


def test_a_label_set_of_a_service_is_used_by_name(folder, run, client):
    labels = ["nothing", {"label": "Red", "prompts": ["fire"]}, "green", "blue"]
    client.put("/label-sets/colours", json={"labels": labels, "templates": ["a {}"]}).raise_for_status()
    status, out, errors = run(folder, "--label-set", "colours", "--server", client.base_url, "--json")
    assert status == 0
    result = json.loads(out)
    assert result["labels"] == ["nothing", "Red", "green", "blue"]
    assert result["data"]["labels_without_images"] == [0]
    expected = top1(["a nothing", "fire", "a green", "a blue"], [3, 2, 1])
    assert result["summary"]["top1"]["value"] == pytest.approx(expected)
    assert "warning: Labels without images: 1. They are left out of the macro averages. (nothing)" in errors


def test_unreadable_files_leaks_and_files_outside_are_listed_and_counted(folder, run):
    (folder / "red/bad.png").write_bytes(encoded(plain_image((1, 2, 3)))[:60])
    (folder / "red/notes.txt").write_text("hello")
    (folder / "blue/copy.png").write_bytes((folder / "green/0.png").read_bytes())
    (folder / "readme.md").write_text("hello")
    status, out, errors = run(folder, "--json")
    assert status == 1
    result = json.loads(out)
    assert result["data"]["images"] == 19
    assert result["settings"]["different_files"] == 18
    assert [entry["path"] for entry in result["settings"]["unreadable"]] == [
        f"{folder}/red/bad.png",
        f"{folder}/red/notes.txt",
    ]
    assert result["settings"]["leaks"] == [[f"{folder}/blue/copy.png", f"{folder}/green/0.png"]]
    lines = errors.splitlines()
    assert lines[0] == f"{folder}/red/bad.png: The PNG is truncated: the file ends before the image does."
    assert lines[2] == "not used: 2 of 21 files"
    assert [warning["code"] for warning in result["warnings"]] == [
        "few_images",
        "unreadable_files",
        "copies_with_other_labels",
        "files_outside_labels",
    ]


def test_images_of_none_of_the_labels_have_no_true_label(folder, run):
    (folder / "green").rename(folder / "background")
    _, out, _ = run(folder, "--none-folder", "background", "--json")
    result = json.loads(out)
    assert result["labels"] == ["blue", "red"]
    assert result["data"]["none_images"] == 6
    logits = expected_logits([f"This is a photo of {name}." for name in ("blue", "red")])
    accepted = float((logits[6:12].max(axis=1) >= 0).mean())
    assert result["summary"]["false_accept_rate"]["value"] == pytest.approx(accepted)


def test_a_table_may_give_an_image_several_labels(folder, run, tmp_path):
    rows = ["path,label", "data/red/0.png,red", "data/red/0.png,blue", "data/green/0.png,green", "data/no.png,red"]
    (tmp_path / "truth.csv").write_text("\n".join(rows))
    status, out, errors = run(tmp_path / "truth.csv", "--json")
    result = json.loads(out)
    assert status == 1
    assert result["data"] == result["data"] | {"images": 2, "labels": 3, "multi_label": True}
    assert errors.splitlines()[0] == f"{tmp_path}/data/no.png: No such file or directory"


def test_tar_files_are_read_without_unpacking_and_numbers_need_names(folder, run, tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for label, name in enumerate(LABELS):
            (tmp_path / "cls").write_text(str(label))
            for file in sorted((folder / name).iterdir()):
                archive.add(file, f"{name}{file.stem}.png")
                archive.add(tmp_path / "cls", f"{name}{file.stem}.cls")
    with pytest.raises(CommandError, match="the labels of these images are class numbers: give their texts"):
        run(tmp_path / "0.tar")
    (tmp_path / "names.txt").write_text("\n".join(LABELS))
    _, packed, _ = run(tmp_path / "0.tar", "--names", tmp_path / "names.txt", "--json")
    _, unpacked, _ = run(folder, "--json", encoder=NoPreprocessor())
    for name in ("labels", "summary", "confusions"):
        assert json.loads(packed)[name] == json.loads(unpacked)[name]


def test_one_label_one_image_a_label_and_ten_thousand_labels_work(folder, run, tmp_path):
    (tmp_path / "one.csv").write_text("path,label\ndata/red/0.png,red\n")
    _, out, _ = run(tmp_path / "one.csv", "--json", "--f1")
    assert json.loads(out)["summary"]["top1"]["value"] == 1
    (tmp_path / "labels.txt").write_text("\n".join(["red", *(f"label {number}" for number in range(9_999))]))
    status, out, _ = run(tmp_path / "one.csv", "--labels-file", tmp_path / "labels.txt", "--json")
    assert status == 0
    assert json.loads(out)["data"]["labels"] == 10_000


def test_without_a_usable_file_the_status_is_1(tmp_path, run):
    (tmp_path / "data/red").mkdir(parents=True)
    with pytest.raises(CommandError, match="there are no files in") as error:
        run(tmp_path / "data")
    assert error.value.status == 2
    (tmp_path / "data/red/a.png").write_text("no image")
    with pytest.raises(CommandError, match="no file can be used") as error:
        run(tmp_path / "data")
    assert error.value.status == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no file or folder nowhere"),
        (["readme.md"], "readme.md is not a folder, and not a .csv, .jsonl or .tar file"),
        (["data", "--labels-file", "few.txt"], "there is no label for blue, green. The 1 labels are red"),
        (["data", "--names", "no.json"], "no.json: No such file or directory"),
        (["data", "--template", "a cat"], "Template 1 must contain {}"),
        (["data", "--label-set", "pets"], "--label-set needs a running service"),
        (["data", "--server", "http://127.0.0.1:1", "--dtype", "int8"], "leave out --dtype"),
        (["data", "--server", "http://127.0.0.1:1", "--compare", "dtype=int8"], "a service has its own model"),
        (["data", "--compare", "color=red"], "--compare takes KEY=VALUE"),
        (["data", "--compare", "labels=few.txt"], "--compare labels=few.txt: there are 1 labels instead of 3"),
        (["data", "--compare", "weights=google_1"], "unknown weights 'google_1'"),
        (["data", "--fail-under", "top2=0.9"], "a condition is METRIC=NUMBER"),
        (["data", "--precision", "2"], "goal must be"),
        (["data", "--write-label-set", "a.json"], "--write-label-set needs --precision, --f1 or --calibrate"),
        (["data", "--choose-on", "data"], "--choose-on needs --precision, --f1 or --calibrate"),
        (["data", "--choose-on", "nowhere", "--f1"], "there is no file or folder nowhere"),
        (["data", "--report", "no/r.html"], "there is no folder no"),
        (["data", "--baseline", "readme.md"], "readme.md: This is not the result of an evaluation"),
        (["data", "--preset", "stl10"], "--preset needs the published texts"),
        (["data", "--none-folder", "black"], "data has no sub-folder black"),
    ],
)
def test_a_users_mistake_is_reported_before_anything_is_loaded(arguments, message, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    Path("readme.md").write_text("hello")
    Path("few.txt").write_text("red\n")
    with pytest.raises(CommandError) as error:
        main([*arguments, "--no-cache"], lambda *_: pytest.fail("loaded"))
    assert message in str(error.value)
    assert error.value.status == 2
