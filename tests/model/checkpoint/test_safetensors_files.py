"""The safetensors files of a checkpoint. test_weights.py tests damaged and missing files."""

from model.checkpoint.safetensors_files import checkpoint_files, fingerprint


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
