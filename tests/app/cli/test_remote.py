import re

import pytest

from app.batch.files import ImageFile, NotScored
from app.cli import CommandError
from app.cli.client import Service
from app.cli.remote import results_of_service
from app.schemas import ClassifyOptions, ScoredImage
from tests.app.cli.stub import StubResponse, stub_server
from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image


@pytest.fixture
def files(tmp_path) -> list[ImageFile]:
    """A red image, a truncated one, a green one and a blue one."""
    contents = [encoded(plain_image(colour)) for colour in (RED, BLUE, GREEN, BLUE)]
    contents[1] = contents[1][:60]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.png").write_bytes(content)
    return [ImageFile(str(tmp_path / f"{number}.png")) for number in range(4)]


def test_each_file_gets_its_own_result_in_order_and_only_a_bad_file_fails(files, client, encoder):
    options = ClassifyOptions(labels=["cat", "[dog"], templates=["a {}"], top_k=1)
    with Service(str(client.base_url), []) as service:
        results = list(results_of_service(service, files, options))
    assert [path for path, _ in results] == [file.path for file in files]
    for (_, result), colour in zip(results, (RED, None, GREEN, BLUE), strict=True):
        if colour is None:
            assert isinstance(result, NotScored)
            assert str(result) == "The PNG is truncated: the file ends before the image does."
        else:
            assert isinstance(result, ScoredImage)
            logits = {label: encoder.logit(plain_image(colour), f"a {label}") for label in ("cat", "[dog")}
            best = max(logits, key=logits.__getitem__)
            assert [(score.label, score.logit) for score in result.scores] == [
                (best, pytest.approx(logits[best], abs=1e-4))
            ]


def test_an_error_that_is_not_about_one_image_ends_the_command(files, client):
    with (
        Service(str(client.base_url), []) as service,
        pytest.raises(CommandError, match="There is no label set with this name"),
    ):
        list(results_of_service(service, files[:1], ClassifyOptions(label_set="nothing")))


def test_a_response_of_another_service_is_an_error(files):
    with (
        stub_server(StubResponse(200, b'{"ok": true}')) as (url, _),
        Service(url, []) as service,
        pytest.raises(CommandError, match=re.escape(f"{url} responds, but is not a SigLIP service")),
    ):
        list(results_of_service(service, files[:1], ClassifyOptions(labels=["cat"])))


def test_only_the_file_that_is_too_large_for_the_service_fails(files, running, tmp_path):
    (tmp_path / "1.png").write_bytes(encoded(plain_image(RED, 1000), "BMP"))
    with running(max_body_bytes=10_000) as client, Service(str(client.base_url), []) as service:
        results = [result for _, result in results_of_service(service, files, ClassifyOptions(labels=["cat"]))]
    assert str(results.pop(1)) == "The body is larger than the 10,000 bytes that this service accepts."
    assert [type(result) for result in results] == [ScoredImage] * 3
