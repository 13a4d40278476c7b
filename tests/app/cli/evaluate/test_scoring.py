"""Several encoders and wordings on the same files."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from app.cli import CommandError
from app.cli.evaluate.scoring import Run, score_files
from app.evaluation.truth import LabelledImage
from app.label_sets.definition import LabelSetDefinition
from app.settings import Settings
from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import INFO, FakeEncoder

SETTINGS = Settings(decode_workers=1)
CATS = LabelSetDefinition(labels=["cat", "dog"], templates=["a {}"])
PETS = LabelSetDefinition(labels=["kitten", "puppy"], templates=["a {}"])


@pytest.fixture
def files(tmp_path) -> dict[str, LabelledImage]:
    """A red image, a damaged one and a blue one."""
    found = {}
    for name, content in (
        ("red.png", encoded(plain_image(RED))),
        ("bad.png", encoded(plain_image(RED))[:60]),
        ("blue.png", encoded(plain_image(BLUE))),
    ):
        (tmp_path / name).write_bytes(content)
        found[hashlib.sha256(content).hexdigest()] = LabelledImage(str(tmp_path / name), Path(tmp_path / name))
    return found


def test_wordings_are_in_their_places_and_a_file_without_an_embedding_has_nan(files, tmp_path):
    encoders = iter([FakeEncoder(), FakeEncoder(info=replace(INFO, weights="other"), scale=20.0)])
    seen = []
    runs = [Run(SETTINGS, None, {0: CATS, 2: PETS}), Run(SETTINGS, None, {1: CATS})]
    scored = score_files(
        runs, files, lambda *_: next(encoders), tmp_path / "cache", tqdm(disable=True), lambda f: seen.append(f.weights)
    )
    assert seen == ["fake_8", "other"]
    assert [facts.weights for facts in scored.facts] == ["fake_8", "other", "fake_8"]
    assert [list(files).index(digest) for digest in scored.faults] == [1]
    for logits, words, scale in zip(scored.logits, (CATS, CATS, PETS), (10.0, 20.0, 10.0), strict=True):
        encoder = FakeEncoder(scale=scale)
        expected = [[encoder.logit(plain_image(colour), f"a {name}") for name in words.names] for colour in (RED, BLUE)]
        np.testing.assert_allclose(logits[[0, 2]], expected, rtol=1e-5)
        assert np.isnan(logits[1]).all()


def test_an_encoder_that_does_not_fit_is_refused_before_images_are_computed(files):
    encoder = FakeEncoder()

    def refuse(_facts: object) -> None:
        raise CommandError("not this one")

    with pytest.raises(CommandError, match="not this one"):
        score_files([Run(SETTINGS, None, {0: CATS})], files, lambda *_: encoder, None, tqdm(disable=True), refuse)
    assert encoder.image_batches == []
