"""The safetensors files of a checkpoint. test_weights.py tests damaged and missing files."""

import numpy as np
import pytest

from model.checkpoint.safetensors_files import checkpoint_files, fingerprint, float32_bytes
from tests.model.conftest import small_weights, split_into_shards, write_checkpoint


def test_the_fingerprint_depends_on_every_shard(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "a", "y": "b"}}')
    (tmp_path / "a").write_bytes(b"1")
    digests = []
    for content in (b"2", b"3"):
        (tmp_path / "b").write_bytes(content)
        digests.append(fingerprint(tmp_path))
    assert digests[0] != digests[1]


def test_shards_are_sorted_by_name_and_listed_once(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "b", "y": "a", "z": "b"}}')
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert checkpoint_files(tmp_path) == [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_bytes_in_float32_are_those_of_all_shards(dtype, tmp_path):
    write_checkpoint(tmp_path)
    expected = sum(4 * tensor.size for tensor in small_weights().values())
    assert float32_bytes(tmp_path) == expected
    split_into_shards(tmp_path, dtype)
    assert float32_bytes(tmp_path) == expected
