import re

import pytest

from app.cli import CommandError
from app.cli.client import Service
from app.cli.service_info import service_info
from tests.app.cli.stub import StubResponse, stub_server


def test_the_facts_are_those_of_info(client):
    with Service(str(client.base_url), []) as service:
        info = service_info(service)
    shown = client.get("/info").json()
    assert info.model == (shown["model_fingerprint"], "FakeSigLIP fake_8")
    assert (info.embed_dim, info.limits.max_images, info.limits.max_body_bytes) == (32, 64, 20_000_000)


@pytest.mark.parametrize("answer", [b"hello", b'{"variant": "a", "weights": "b", "embed_dim": 8, "limits": {}}'])
def test_another_service_is_an_error(answer):
    with (
        stub_server(StubResponse(200, answer)) as (url, _),
        Service(url, []) as service,
        pytest.raises(CommandError, match=re.escape(f"{url} responds, but is not a SigLIP service")),
    ):
        service_info(service)
