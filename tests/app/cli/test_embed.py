"""The whole command, with the fake encoder or with a real service that uses it."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import CommandError
from app.cli.embed import main
from app.inference.identity import model_fingerprint
from app.settings import Settings
from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import INFO, FakeEncoder, embed

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


def load(_settings: Settings, on_stage: Callable[[str], None]) -> FakeEncoder:
    on_stage("loading")
    return FakeEncoder()


def run(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments], load)


def test_a_folder_becomes_a_file_and_skipped_files_are_named_and_the_status_is_1(folder, tmp_path, capsys):
    out = tmp_path / "photos.npz"
    assert run(folder, "--out", out) == 1
    with np.load(out, allow_pickle=False) as stored:
        names = ("more/blue.png", "red.png")
        assert stored["paths"].tolist() == [f"{folder}/{name}" for name in names]
        digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
        assert stored["sha256"].tolist() == digests
        rows = [embed(FakeEncoder().preprocessor(plain_image(colour))) for colour in (BLUE, RED)]
        np.testing.assert_array_equal(stored["embeddings"], rows)
        fingerprint = str(stored["model_fingerprint"])
        assert str(stored["model"]) == "FakeSigLIP fake_8"
    assert fingerprint == model_fingerprint(INFO, Settings())
    output, errors = capsys.readouterr()
    assert output == f"{out}: 2 embeddings of FakeSigLIP fake_8, model_fingerprint {fingerprint}\n"
    lines = errors.splitlines()
    assert lines[0] == f"{folder}/more/bad.png: The PNG is truncated: the file ends before the image does."
    assert lines[1].startswith(f"{folder}/notes.txt: The file is not an image in an accepted format.")
    assert lines[2:] == ["without an embedding: 2 of 4"]


def test_if_all_files_are_good_the_status_is_0_and_stderr_is_empty(folder, tmp_path, capsys):
    assert run(folder / "red.png", "--out", tmp_path / "red.npz") == 0
    assert capsys.readouterr().err == ""


def test_a_service_gives_exactly_the_same_file(folder, tmp_path, client, capsys):
    assert run(folder, "--out", tmp_path / "local.npz") == 1
    local = capsys.readouterr()
    assert run(folder, "--out", tmp_path / "remote.npz", "--server", client.base_url) == 1
    remote = capsys.readouterr()
    assert remote.err == local.err
    with np.load(tmp_path / "local.npz") as one, np.load(tmp_path / "remote.npz") as other:
        for name in ("paths", "sha256", "embeddings", "model_fingerprint", "model"):
            np.testing.assert_array_equal(one[name], other[name])


def test_without_any_embedding_no_file_is_written(folder, tmp_path, capsys):
    out = tmp_path / "none.npz"
    with pytest.raises(CommandError, match=r"^no file has an embedding, so .*none\.npz is not written$") as error:
        run(folder / "notes.txt", "--out", out)
    assert error.value.status == 1
    assert "without an embedding: 1 of 1" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png", "--out", "a.npz"], "there is no file or folder nowhere.png"),
        ([".", "--out", "a.csv"], "a.csv: the name of a file of embeddings ends in .npz or .parquet"),
        ([".", "--out", "no/a.npz"], "there is no folder no"),
        ([".", "--out", "a.npz", "--frame", "-1"], "--frame counts from 0"),
        ([".", "--out", "a.npz", "--device", "tpu"], "--device: Input should be 'auto', 'gpu' or 'cpu'"),
        ([".", "--out", "a.npz", "--weights", "google_1"], "unknown weights 'google_1'. Known: "),
        ([".", "--out", "a.npz", "--server", "127.0.0.1"], "a URL begins with http:// or https://"),
        ([".", "--out", "a.npz", "--server", "http://127.0.0.1:1", "--dtype", "int8"], "leave out --dtype"),
    ],
)
def test_a_users_mistake_is_reported_before_anything_is_loaded(arguments, message, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(CommandError) as error:
        main(arguments, lambda *_: pytest.fail("loaded"))
    assert message in str(error.value)
    assert error.value.status == 2


def test_an_interrupted_run_leaves_no_file(folder, tmp_path):
    code = """if True:
        import signal, sys
        from app.cli.embed import main
        from tests.fakes import FakeEncoder
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def wait():
            print("computing", flush=True)
            signal.pause()

        main(sys.argv[1:], lambda *_: FakeEncoder(before_batch=wait))
    """
    command = [sys.executable, "-c", code, str(folder), "--out", str(tmp_path / "photos.npz")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "computing\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
