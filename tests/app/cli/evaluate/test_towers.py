"""An encoder here and the same one behind a service."""

import httpx
import numpy as np
import pytest

from app.cli import CommandError
from app.cli.client import Service
from app.cli.evaluate.towers import EncoderFacts, embedded_texts, local_towers, remote_towers
from app.inference.identity import cache_key, model_fingerprint
from app.label_sets.definition import LabelDefinition, LabelSetDefinition
from app.settings import Settings
from tests.app.cli.stub import StubResponse, stub_server
from tests.fakes import INFO, FakeEncoder

DEFINITION = LabelSetDefinition(
    labels=["cat", LabelDefinition(label="dog", prompts=["a hound"])], templates=["a {}", "the {}"]
)


def test_both_have_the_same_facts_and_class_embeddings(client: httpx.Client):
    stages: list[str] = []
    here = local_towers(FakeEncoder(), Settings())
    with Service(str(client.base_url), []) as service:
        there = remote_towers(service, "http://a")
        rows = there.embed_labels(DEFINITION, stages.append)
    np.testing.assert_allclose(rows, here.embed_labels(DEFINITION, stages.append), atol=1e-6)
    assert here.facts.model_fingerprint == there.facts.model_fingerprint == model_fingerprint(INFO, Settings())
    assert here.facts.cache_key == there.facts.cache_key == cache_key(INFO, Settings())
    assert there.facts.shown["server"] == "http://a"
    assert here.facts._replace(shown={}) == there.facts._replace(shown={})
    assert stages == ["labels, 0 of 3 prompts"] * 2


def test_many_texts_are_sent_in_parts(client: httpx.Client):
    texts = [f"text {number}" for number in range(5)]
    with Service(str(client.base_url), []) as service:
        parts = list(embedded_texts(service, texts, 2, lambda stage: None))
    assert [len(part) for part in parts] == [2, 2, 1]


def test_equal_labels_get_equal_logits():
    chance = np.random.default_rng(0)
    rows, classes = chance.standard_normal((50, 32)), chance.standard_normal((300, 32))
    classes[[7, 150, 299]] = classes[3]
    facts = EncoderFacts("", "", {}, "", "", 32, 10.0, -5.0)
    definition = LabelSetDefinition(labels=["a"] * 300)
    logits = facts.logits(rows.astype(np.float32), definition, classes.astype(np.float32))
    np.testing.assert_allclose(logits, 10 * rows @ classes.T - 5, rtol=1e-4, atol=1e-3)
    for place in (7, 150, 299):
        np.testing.assert_array_equal(logits[:, place], logits[:, 3])


@pytest.mark.parametrize("body", [b"{}", b'{"embeddings": []}', b"hello"])
def test_another_kind_of_service_is_refused(body):
    with stub_server(StubResponse(200, body)) as (url, _), Service(url, []) as service:
        with pytest.raises(CommandError, match="is not a SigLIP service"):
            remote_towers(service, url)
        with pytest.raises(CommandError, match="is not a SigLIP service"):
            list(embedded_texts(service, ["a"], 1, lambda stage: None))
