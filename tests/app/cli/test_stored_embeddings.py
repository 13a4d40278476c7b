"""`siglip classify --embeddings`, with the fake encoder or with a real service that uses it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import CommandError, classify, embed
from app.cli.client import Service
from app.cli.embedding_files import EmbeddedFile, StoredModel, create, open_file
from app.cli.service_info import service_info
from app.cli.stored_embeddings import rows_per_request, scores_of_service
from app.schemas import ClassifyOptions
from tests.app.cli.stub import StubResponse, stub_server
from tests.app.image_files import encoded, plain_image
from tests.fakes import EMBED_DIM, INFO, FakeEncoder

ROOT = Path(__file__).parents[3]
COLOURS = [(number * 12, 40, 90) for number in range(20)]
LABELS = ["--labels", "cat", "dog", "a [b", "cat"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twenty images."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, colour in enumerate(COLOURS):
        (photos / f"{number:02}.png").write_bytes(encoded(plain_image(colour)))
    return photos


@pytest.fixture(params=[".npz", ".parquet"])
def stored(request, folder, tmp_path, capsys) -> Path:
    """The embeddings of these images."""
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"photos{request.param}"
    assert embed.main([str(folder), "--out", str(path)], lambda *_: FakeEncoder()) == 0
    capsys.readouterr()
    return path


def run(*arguments: Any, encoder: FakeEncoder | None = None) -> int:
    return classify.main([str(argument) for argument in arguments], lambda *_: encoder or FakeEncoder())


def without_facts(lines: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in json.loads(line).items() if name != "image"} for line in lines.splitlines()]


def test_stored_embeddings_have_the_scores_of_their_images(folder, stored, capsys):
    encoder = FakeEncoder()
    for output in (["--json"], ["--csv"], [], ["--json", "--top-k", "2", "--threshold", "0.01", "--template", "a {}"]):
        assert run(folder, *LABELS, *output) == 0
        expected, warnings = capsys.readouterr()
        assert run("--embeddings", stored, *LABELS, *output, encoder=encoder) == 0
        found, errors = capsys.readouterr()
        if "--json" in output:
            assert [json.loads(line) for line in found.splitlines()] == without_facts(expected)
        else:
            assert found == expected
        assert errors == warnings
    assert encoder.image_batches == []


def test_a_service_gives_the_same_scores(stored, client, capsys):
    for output in (["--json"], ["--csv", "--top-k", "3"], ["--threshold", "0.01"]):
        assert run("--embeddings", stored, *LABELS, *output) == 0
        expected = capsys.readouterr().out
        assert run("--embeddings", stored, *LABELS, *output, "--server", client.base_url) == 0
        assert capsys.readouterr().out == expected


def test_a_label_set_of_a_service_is_used_by_name(stored, client, capsys):
    client.put("/label-sets/pets", json={"labels": ["cat", "dog"]})
    assert run("--embeddings", stored, "--label-set", "pets", "--json", "--server", client.base_url) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 20
    assert {score["label"] for line in lines for score in line["scores"]} == {"cat", "dog"}


def test_a_label_set_with_thresholds_says_what_is_accepted(stored, client, capsys):
    client.put("/label-sets/tuned", json={"labels": ["cat", "dog"], "threshold": 0.0}).raise_for_status()
    assert run("--embeddings", stored, "--label-set", "tuned", "--json", "--server", client.base_url) == 0
    for line in capsys.readouterr().out.splitlines():
        result = json.loads(line)
        assert [score["accepted"] for score in result["scores"]] == [True, True]
        assert [one["label"] for one in result["accepted_labels"]] == [score["label"] for score in result["scores"]]


def test_a_label_set_that_is_not_there_is_an_error(stored, client):
    with pytest.raises(CommandError, match="There is no label set with this name"):
        run("--embeddings", stored, "--label-set", "nothing", "--server", client.base_url)


OTHER = FakeEncoder(info=replace(INFO, sha256="1" * 64, weights="fake_16"))
REFUSAL = r"^the embeddings were computed by another encoder: FakeSigLIP fake_8, model_fingerprint \w{64}\. "


def test_embeddings_of_another_encoder_are_refused(stored, running):
    with pytest.raises(CommandError, match=REFUSAL + r"This is FakeSigLIP fake_16, model_fingerprint \w{64}$") as error:
        run("--embeddings", stored, *LABELS, encoder=OTHER)
    assert error.value.status == 2
    with running(OTHER) as client, pytest.raises(CommandError, match=REFUSAL):
        run("--embeddings", stored, *LABELS, "--server", client.base_url)


def test_a_service_that_changes_its_model_refuses_the_rest(stored, client, running):
    with Service(str(client.base_url), []) as service:
        info = service_info(service)
    with (
        running(OTHER) as other,
        Service(str(other.base_url), []) as service,
        open_file(stored) as file,
        pytest.raises(CommandError, match="computed by another encoder: their model_fingerprint"),
    ):
        list(scores_of_service(service, info, file, ClassifyOptions(labels=["cat"])))


def test_a_response_of_another_service_is_an_error(stored, client):
    with Service(str(client.base_url), []) as service:
        info = service_info(service)
    with (
        stub_server(StubResponse(200, b'{"model": {"variant": "a", "weights": "b"}, "results": []}')) as (url, _),
        Service(url, []) as service,
        open_file(stored) as file,
        pytest.raises(CommandError, match="responds, but is not a SigLIP service"),
    ):
        list(scores_of_service(service, info, file, ClassifyOptions(labels=["cat"])))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name image files or folders, or one file with --embeddings"),
        ([".", "--embeddings", "a.npz"], "name image files or folders, or one file with --embeddings"),
        (["--embeddings", "a.npz", "--frame", "1"], "--frame is for image files"),
        (["--embeddings", "a.txt"], "a.txt: the name of a file of embeddings ends in .npz or .parquet"),
        (["--embeddings", "a.npz"], "a.npz: No such file or directory"),
    ],
)
def test_a_users_mistake_is_reported_before_anything_is_loaded(arguments, message):
    with pytest.raises(CommandError) as error:
        classify.main([*arguments, "--labels", "cat"], lambda *_: pytest.fail("loaded"))
    assert message in str(error.value)
    assert error.value.status == 2


def test_a_file_that_claims_another_width_is_refused(tmp_path, client):
    with Service(str(client.base_url), []) as service:
        model = service_info(service).model
    np.savez(tmp_path / "wide.npz", embeddings=np.eye(2, 2 * EMBED_DIM), paths=["a", "b"], **model._asdict())
    for server in ([], ["--server", client.base_url]):
        with pytest.raises(CommandError, match="the embeddings have 64 numbers, this model's 32"):
            run("--embeddings", tmp_path / "wide.npz", *LABELS, *server)


@pytest.mark.parametrize(
    ("max_body_bytes", "labels", "top_k", "expected"),
    [
        (20_000_000, 10, None, 1_000),
        (20_000_000, 1_000, None, 100),
        (20_000_000, 1_000, 5, 1_000),
        (20_000_000, 1_000_000, None, 1),
        (10_000, 10, None, 45),  # of 175 characters each: 128 bytes as base64, quotes and a comma
        (10, 10, None, 1),
    ],
)
def test_requests_are_small_for_the_service_and_for_the_client(client, max_body_bytes, labels, top_k, expected):
    with Service(str(client.base_url), []) as service:
        info = service_info(service)
    limits = info.limits.model_copy(update={"max_body_bytes": max_body_bytes})
    assert rows_per_request(info.model_copy(update={"limits": limits}), labels, top_k) == expected


def random_file(path: Path, model: StoredModel, count: int) -> Path:
    """Writes random embeddings of length 1."""
    chance = np.random.default_rng(0)
    with create(path, model, EMBED_DIM) as add:
        for number in range(count):
            row = chance.standard_normal(EMBED_DIM).astype(np.float32)
            add(EmbeddedFile(f"photos/{number:06}.jpg", f"{number:064x}", row / np.linalg.norm(row)))
    return path


def peak_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return 1024 * int(found[1])


@pytest.mark.slow
def test_a_hundred_thousand_embeddings_and_a_thousand_labels_take_little_memory(spawn, tmp_path):
    server = spawn()
    with Service(str(server.client.base_url), []) as service:
        model = service_info(service).model
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"label {number}" for number in range(1_000)))
    options = ["--labels-file", str(labels), "--csv", "--top-k", "3", "--server", str(server.client.base_url)]
    counts, peaks = (1_000, 100_000), {}
    for count in counts:
        stored = random_file(tmp_path / f"{count}.npz", model, count)
        with (tmp_path / f"{count}.csv").open("w") as output:
            client = subprocess.Popen(
                [sys.executable, "-m", "app", "classify", "--embeddings", str(stored), *options],
                cwd=ROOT,
                stdout=output,
            )
            _, status, usage = os.wait4(client.pid, 0)
            client.returncode = os.waitstatus_to_exitcode(status)
        assert client.returncode == 0
        peaks[count] = usage.ru_maxrss * 1024, peak_bytes(server.popen.pid)
    with (tmp_path / "100000.csv").open() as output:
        lines = sum(1 for _ in output)
    assert lines == 1 + 3 * 100_000
    # All scores would be 9 GB of JSON. A hundred times as many embeddings may take only a little more memory.
    for few, many in zip(peaks[counts[0]], peaks[counts[1]], strict=True):
        assert many - few < 100_000_000
