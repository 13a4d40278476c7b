"""The whole command with the local runner and the fake encoder. tests/acceptance has kills, Ray and S3."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow.parquet import read_table

from app.cli import CommandError
from app.cli.batch import main
from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import FakeEncoder

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with two images, a damaged image and a text file."""
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    (photos / "red.png").write_bytes(encoded(plain_image(RED)))
    (photos / "more/blue.png").write_bytes(encoded(plain_image(BLUE)))
    (photos / "more/bad.png").write_bytes(encoded(plain_image(RED))[:60])
    (photos / "notes.txt").write_text("hello")
    return photos


def run(*arguments: Any, encoder: FakeEncoder | None = None) -> int:
    return main([str(argument) for argument in arguments], lambda *_: encoder or FakeEncoder())


def test_a_folder_becomes_rows_in_parts_and_files_without_scores_are_named_and_counted(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(folder, "--out", out, "--labels", "cat", "dog", "--images-per-part", 3) == 0
    output, errors = capsys.readouterr()
    assert output == f"{out}: 4 images in 2 parts; 2 of 4 computed now without scores\n"
    lines = errors.splitlines()
    assert lines[0] == f"{folder}/more/bad.png: The PNG is truncated: the file ends before the image does."
    assert lines[1].startswith(f"{folder}/notes.txt: The file is not an image in an accepted format.")
    assert len(lines) == 2
    names = ("more/bad.png", "more/blue.png", "notes.txt", "red.png")
    assert read_table(out).column("path").to_pylist() == [f"{folder}/{name}" for name in names]
    assert sorted(os.listdir(out)) == ["_SUCCESS", "_job", "part-000000.parquet", "part-000001.parquet"]


def test_the_second_run_of_a_finished_job_loads_no_model_and_changes_no_part(folder, tmp_path, capsys):
    arguments = [str(folder), "--out", str(tmp_path / "out"), "--labels", "cat", "dog"]
    assert run(*arguments) == 0
    before = (tmp_path / "out/part-000000.parquet").stat()
    capsys.readouterr()
    assert main(arguments, lambda *_: pytest.fail("loaded")) == 0
    output, errors = capsys.readouterr()
    assert output == f"{tmp_path}/out: complete before, 4 images in 1 parts\n"
    assert errors == ""
    assert (tmp_path / "out/part-000000.parquet").stat() == before


def test_only_what_is_missing_is_computed(folder, tmp_path, capsys):
    arguments = [folder, "--out", tmp_path / "out", "--labels", "cat", "dog", "--images-per-part", 1]
    run(*arguments)
    (tmp_path / "out/part-000001.parquet").unlink()
    encoder = FakeEncoder()
    run(*arguments, encoder=encoder)
    assert encoder.image_batches == [1]
    assert capsys.readouterr().out.endswith("4 images in 4 parts; 0 of 1 computed now without scores\n")


def test_another_job_is_refused_with_the_difference_before_anything_is_loaded(folder, tmp_path):
    run(folder, "--out", tmp_path / "out", "--labels", "cat", "dog")
    arguments = [str(folder), "--out", str(tmp_path / "out"), "--labels", "cat", "bird", "--top-k", "2"]
    with pytest.raises(CommandError) as error:
        main(arguments, lambda *_: pytest.fail("loaded"))
    assert error.value.status == 2
    assert 'another job: labels, number 2: "dog" before, "bird" now; top_k: 1 before, 2 now. ' in str(error.value)


def test_a_changed_input_is_refused_unless_the_job_is_to_be_finished_as_listed(folder, tmp_path):
    arguments = [folder, "--out", tmp_path / "out", "--labels", "cat", "dog"]
    run(*arguments)
    (folder / "new.png").touch()
    with pytest.raises(CommandError, match=r"new\.png"):
        run(*arguments)
    assert run(*arguments, "--as-listed") == 0


def test_a_label_set_of_a_service_applies_with_its_thresholds_and_examples(folder, tmp_path, running, capsys):
    red = {"label": "red", "threshold": 0.0, "examples": [(folder / "red.png").read_bytes()]}
    blue = {"label": "blue", "threshold": None, "examples": [(folder / "more/blue.png").read_bytes()]}
    out = tmp_path / "out"
    with running() as client:
        labels = [label | {"examples": [base64.b64encode(*label["examples"]).decode()]} for label in (red, blue)]
        client.put("/label-sets/colours", json={"labels": labels}).raise_for_status()
        arguments = [folder, "--out", out, "--label-set", "colours", "--server", client.base_url, "--top-k", 2]
        assert run(*arguments) == 0
        rows = {(row["path"], row["label"]): row for row in read_table(out).to_pylist() if row["label"]}
        for name in ("red.png", "more/blue.png"):
            form = {"label_set": "colours"}
            answer = client.post("/classify", files={"image": (folder / name).read_bytes()}, data=form).json()
            for score in answer["scores"]:
                row = rows[f"{folder}/{name}", score["label"]]
                assert row["logit"] == pytest.approx(score["logit"], rel=1e-6)
                assert row["accepted"] == score["accepted"]
        client.put("/label-sets/colours", json={"labels": ["red", "blue"]}).raise_for_status()
        with pytest.raises(CommandError, match="another job: label_set_version: "):
            run(*arguments)
    assert "warning" not in capsys.readouterr().err


def test_a_label_set_in_a_file_applies(folder, tmp_path):
    (tmp_path / "set.json").write_text(json.dumps({"labels": ["cat", "dog"], "threshold": 0.0}))
    assert run(folder, "--out", tmp_path / "out", "--labels-file", tmp_path / "set.json") == 0
    assert {row["accepted"] for row in read_table(tmp_path / "out").to_pylist() if row["label"]} == {True}


def test_a_warning_about_labels_is_printed(folder, tmp_path, capsys):
    run(folder, "--out", tmp_path / "out", "--labels", "cat", "Cat")
    assert "warning: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--labels", "cat"], "there is no file or folder nowhere"),
        ([".", "--labels", "cat", "--top-k", "0"], "top_k"),
        ([".", "--labels", "cat", "--images-per-part", "0"], "--images-per-part is at least 1"),
        ([".", "--label-set", "pets"], "--label-set and --server belong together"),
        ([".", "--labels", "cat", "--server", "http://127.0.0.1:1"], "--label-set and --server belong together"),
        ([".", "--labels", "cat", "--actors", "2"], "--actors is for --runner ray"),
        ([".", "--labels", "cat", "--weights", "google_1"], "unknown weights 'google_1'. Known: "),
        ([".", "--labels", "cat", "--column", "x", "--template", "no place"], "Template 1 must contain {}"),
        ([".", "--labels", "cat", "--out", "nosuch://a"], "nosuch://a cannot be opened"),
        ([".", "--labels", "cat", "--out", "photos"], "photos is inside the input"),
    ],
)
def test_a_users_mistake_is_reported_before_anything_is_loaded(arguments, message, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "photos").mkdir()
    with pytest.raises(CommandError) as error:
        main(["--out", "../out", *arguments], lambda *_: pytest.fail("loaded"))
    assert message in str(error.value)
    assert error.value.status == 2


def test_a_folder_without_files_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="there are no files in the input"):
        run(tmp_path / "empty", "--out", tmp_path / "out", "--labels", "cat")
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_says_how_it_is_resumed(folder, tmp_path):
    code = """if True:
        import signal, sys, time
        from app.cli.batch import main
        from tests.fakes import FakeEncoder
        signal.signal(signal.SIGINT, signal.default_int_handler)
        batches = []

        def wait():
            batches.append(1)
            if len(batches) == 3:  # the labels, one image, and this one
                print("computing", flush=True)
                time.sleep(60)

        main(sys.argv[1:], lambda *_: FakeEncoder(before_batch=wait))
    """
    arguments = [folder / "red.png", folder / "more/blue.png", "--out", tmp_path / "out", "--labels", "cat"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments), "--images-per-part", "1"],
        cwd=ROOT,
        env=os.environ | {"SIGLIP_MAX_BATCH": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "computing\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "stopped: 1 of 2 images are stored. The same command resumes the job\n" in errors
    assert run(*arguments, "--images-per-part", 1) == 0
    assert len(read_table(tmp_path / "out")) == 2
