import hashlib
import json
import re

import numpy as np
import pytest

from app.batch.files import ImageFile, NotScored
from app.cli import CommandError
from app.cli.client import Service
from app.cli.embedded_files import Embedded, embedded_by_model, embedded_by_service, grouped
from app.cli.embedding_files import EmbeddedFile
from app.cli.service_info import service_info
from app.settings import Settings
from tests.app.cli.stub import StubResponse, stub_server
from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder, embed

COLOURS = [(number * 12, 40, 90) for number in range(20)]
BAD, MISSING = 3, 7


@pytest.fixture
def files(tmp_path) -> list[ImageFile]:
    """Twenty images; one is truncated, and one is missing."""
    for number, colour in enumerate(COLOURS):
        if number != MISSING:
            content = encoded(plain_image(colour))
            (tmp_path / f"{number}.png").write_bytes(content[:60] if number == BAD else content)
    return [ImageFile(str(tmp_path / f"{number}.png")) for number in range(len(COLOURS))]


def check(results: list[Embedded], files: list[ImageFile]) -> None:
    """Compares results with what the fake encoder must give."""
    assert [path for path, _ in results] == [file.path for file in files]
    for number, (path, result) in enumerate(results):
        if number == BAD:
            assert str(result) == "The PNG is truncated: the file ends before the image does."
        elif number == MISSING:
            assert str(result) == "No such file or directory"
        else:
            assert isinstance(result, EmbeddedFile)
            content = encoded(plain_image(COLOURS[number]))
            assert (result.path, result.sha256) == (path, hashlib.sha256(content).hexdigest())
            expected = embed(FakeEncoder().preprocessor(plain_image(COLOURS[number])))
            np.testing.assert_array_equal(result.row, expected)


def test_a_model_embeds_every_file_in_order_and_names_the_others(files):
    encoder = FakeEncoder()
    check(list(embedded_by_model(encoder, Settings(max_batch=4), files, 0)), files)
    assert max(encoder.image_batches) <= 4
    assert sum(encoder.image_batches) == len(COLOURS) - 2


def embedded(client, files: list[ImageFile], frame: int = 0) -> list[Embedded]:
    with Service(str(client.base_url), []) as service:
        return list(embedded_by_service(service, service_info(service), files, frame))


def test_a_service_embeds_every_file_in_order_and_names_the_others(client, files):
    check(embedded(client, files), files)


def test_a_service_with_small_limits_gets_more_requests(running, files):
    with running(max_images=3, max_body_bytes=2_500) as client:
        check(embedded(client, files), files)


def test_only_the_file_that_is_too_large_for_the_service_has_no_embedding(running, files, tmp_path):
    (tmp_path / "0.png").write_bytes(encoded(plain_image(side=200), "BMP"))
    with running(max_body_bytes=10_000) as client:
        results = [result for _, result in embedded(client, files)]
    assert str(results[0]) == "The body is larger than the 10,000 bytes that this service accepts."
    assert isinstance(results[1], EmbeddedFile)


def test_an_image_for_which_the_device_fails_costs_no_other_image(running, files):
    def before_batch() -> None:
        if len(encoder.image_batches) == 1:  # the first batch
            raise RuntimeError

    encoder = FakeEncoder(before_batch)
    with running(encoder, canary_s=600) as client:
        results = [result for _, result in embedded(client, files[10:])]
    assert sum(isinstance(result, EmbeddedFile) for result in results) >= len(results) - 1


def test_an_error_that_is_not_about_one_image_ends_the_command(client, files):
    with pytest.raises(CommandError, match="frame"):
        embedded(client, files, frame=-1)


ANSWER = {"model": {"variant": "a", "weights": "b"}, "model_fingerprint": "0" * 64, "results": []}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"ok": true}', "responds, but is not a SigLIP service"),
        (json.dumps(ANSWER).encode(), "responds, but is not a SigLIP service"),
    ],
)
def test_a_response_of_another_service_is_an_error(client, files, answer, message):
    with Service(str(client.base_url), []) as service:
        info = service_info(service)
    with (
        stub_server(StubResponse(200, answer)) as (url, _),
        Service(url, []) as service,
        pytest.raises(CommandError, match=re.escape(message)),
    ):
        list(embedded_by_service(service, info.model_copy(update={"model_fingerprint": "0" * 64}), files, 0))


def test_a_service_that_changes_its_model_is_an_error(client, files):
    with Service(str(client.base_url), []) as service:
        other = service_info(service).model_copy(update={"model_fingerprint": "0" * 64})
        with pytest.raises(CommandError, match="the service has changed its model"):
            list(embedded_by_service(service, other, files, 0))


@pytest.mark.parametrize(
    ("max_images", "max_body_bytes", "expected"),
    [(10, 1_000_000, [3]), (2, 1_000_000, [2, 1]), (10, 2_500, [2, 1]), (10, 10, [1, 1, 1])],
)
def test_files_are_grouped_by_number_and_bytes(tmp_path, max_images, max_body_bytes, expected):
    content = encoded(plain_image())
    assert 50 < len(content) < 200
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        path.write_bytes(content)
    groups = list(grouped([ImageFile(str(path)) for path in paths], max_images, max_body_bytes))
    assert [len(group) for group in groups] == expected
    assert [path for group in groups for path, _ in group] == [str(path) for path in paths]


def test_files_that_cannot_be_read_take_no_room_in_a_request():
    (group,) = grouped([ImageFile("/nowhere.png")] * 5, 10, 10)
    assert [type(content) for _, content in group] == [NotScored] * 5
