"""Labelled files are read once, and computed once."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from app.batch.files import NotScored
from app.cli import CommandError
from app.cli.evaluate.labelled_files import LabelledFile, embedded, file_digests
from app.cli.evaluate.towers import local_towers
from app.evaluation.embedding_cache import EmbeddingFileCache
from app.evaluation.truth import LabelledImage, Part
from app.settings import Settings
from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image
from tests.fakes import EMBED_DIM, FakeEncoder, MeanColour, embed

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}
SETTINGS = Settings(decode_workers=1, max_batch=1)


def bar() -> tqdm:
    return tqdm(disable=True)


@pytest.fixture
def files(tmp_path) -> dict[str, LabelledImage]:
    """Three images by the SHA-256 of their files."""
    found = {}
    for name, colour in COLOURS.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(encoded(plain_image(colour)))
        found[hashlib.sha256(path.read_bytes()).hexdigest()] = LabelledImage(str(path), path)
    return found


def test_a_part_of_a_tar_file_is_read_like_a_file(tmp_path):
    content = encoded(plain_image())
    (tmp_path / "0.tar").write_bytes(b"head" + content + b"tail")
    image = LabelledImage("0.tar/a.png", tmp_path / "0.tar", part=Part(4, len(content)))
    assert LabelledFile(image).read() == content
    with pytest.raises(NotScored, match="not an image in an accepted format"):
        LabelledFile(image._replace(part=Part(0, 4))).read()
    with pytest.raises(NotScored, match="No such file"):
        LabelledFile(image._replace(file=tmp_path / "no.tar")).read()
    with pytest.raises(NotScored, match="at most 1,000,000,000 are read"):
        LabelledFile(image._replace(part=Part(0, 2_000_000_000))).read()
    with pytest.raises(NotScored, match="no label"):
        LabelledFile(image._replace(fault="The sample has no label.")).read()


def test_each_file_has_a_digest_or_a_reason(files, tmp_path):
    gone = LabelledImage(str(tmp_path / "gone.png"), tmp_path / "gone.png")
    *digests, fault = file_digests([*files.values(), gone], bar())
    assert digests == list(files)
    assert str(fault) == "No such file or directory"


def test_embeddings_are_those_of_the_encoder_and_come_from_the_cache_next_time(files, tmp_path):
    encoder = FakeEncoder()
    with EmbeddingFileCache(tmp_path / "cache", "k", EMBED_DIM) as cache:
        first = embedded(local_towers(encoder, SETTINGS), files, cache, bar())
        again = embedded(local_towers(encoder, SETTINGS), files, cache, bar())
    expected = [embed(MeanColour()(plain_image(colour))) for colour in COLOURS.values()]
    for found in (first, again):
        np.testing.assert_array_equal([found[digest] for digest in files], expected)
    assert sum(encoder.image_batches) == 3


def test_a_file_that_has_changed_or_cannot_be_decoded_has_a_reason(files, tmp_path):
    changed, damaged, _ = files.values()
    Path(changed.name).write_bytes(encoded(plain_image((1, 1, 1))))
    content = encoded(plain_image())[:60]
    Path(damaged.name).write_bytes(content)
    found = embedded(local_towers(FakeEncoder(), SETTINGS), files, None, bar())
    reasons = [str(found[digest]) for digest in list(files)[:2]]
    assert reasons[0] == "The file has changed while it was read."
    assert reasons[1].startswith("The PNG is truncated")


def test_what_was_computed_before_a_failure_is_kept(files, tmp_path):
    encoder = FakeEncoder()

    def fail_at_the_third() -> None:
        if len(encoder.image_batches) == 3:
            raise RuntimeError("out of memory")

    encoder.before_batch = fail_at_the_third
    with EmbeddingFileCache(tmp_path / "cache", "k", EMBED_DIM) as cache:
        with pytest.raises(CommandError, match="out of memory"):
            embedded(local_towers(encoder, SETTINGS), files, cache, bar())
        assert list(cache.get(list(files))) == list(files)[:2] or len(cache.get(list(files))) == 2
