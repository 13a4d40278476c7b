"""The files of a checkpoint; what is wrong with one is tested by test_weights.py, through loading."""

from model.checkpoint.safetensors_files import checkpoint_files, fingerprint


def test_the_fingerprint_of_shards_depends_on_each(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "a", "y": "b"}}')
    (tmp_path / "a").write_bytes(b"1")
    digests = []
    for content in (b"2", b"3"):
        (tmp_path / "b").write_bytes(content)
        digests.append(fingerprint(tmp_path))
    assert digests[0] != digests[1]


def test_shards_are_named_in_order_whatever_the_index_says_first(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "b", "y": "a", "z": "b"}}')
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert checkpoint_files(tmp_path) == [tmp_path / "a", tmp_path / "b"]
