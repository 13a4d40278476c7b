"""The cache on disk: the same rows back, per encoder, and one-line errors."""

import numpy as np
import pytest

from app.evaluation.embedding_cache import CacheError, EmbeddingFileCache

ROWS = np.random.default_rng(0).standard_normal((1200, 8)).astype(np.float32)
DIGESTS = [f"{number:064x}" for number in range(1200)]


def test_rows_come_back_exactly_in_another_run_and_unknown_ones_are_left_out(tmp_path):
    with EmbeddingFileCache(tmp_path / "new", "k", 8) as cache:
        cache.put(zip(DIGESTS[:1100], ROWS, strict=False))
    with EmbeddingFileCache(tmp_path / "new", "k", 8) as cache:
        found = cache.get(DIGESTS)
    assert list(found) == DIGESTS[:1100]
    np.testing.assert_array_equal(np.stack(list(found.values())), ROWS[:1100])


def test_each_encoder_has_its_own_rows_and_a_row_can_be_replaced(tmp_path):
    with EmbeddingFileCache(tmp_path, "one", 8) as one, EmbeddingFileCache(tmp_path, "two", 8) as two:
        one.put([(DIGESTS[0], ROWS[0])])
        one.put([(DIGESTS[0], ROWS[1])])
        assert two.get(DIGESTS) == {}
        np.testing.assert_array_equal(one.get(DIGESTS)[DIGESTS[0]], ROWS[1])


def test_two_runs_can_use_it_at_once(tmp_path):
    with EmbeddingFileCache(tmp_path, "k", 8) as one, EmbeddingFileCache(tmp_path, "k", 8) as two:
        one.put([(DIGESTS[0], ROWS[0])])
        two.put([(DIGESTS[1], ROWS[1])])
        assert set(one.get(DIGESTS)) == set(two.get(DIGESTS)) == set(DIGESTS[:2])


def test_a_damaged_file_or_a_wrong_folder_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "k.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(CacheError, match=r"k\.sqlite cannot be used: .*Delete it, choose another folder with --cache"):
        EmbeddingFileCache(tmp_path, "k", 8)
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be used"):
        EmbeddingFileCache(tmp_path / "file", "k", 8)


def test_rows_of_another_width_are_an_error(tmp_path):
    with EmbeddingFileCache(tmp_path, "k", 8) as cache:
        cache.put([(DIGESTS[0], ROWS[0])])
    with EmbeddingFileCache(tmp_path, "k", 4) as cache, pytest.raises(CacheError, match="another width"):
        cache.get(DIGESTS)
