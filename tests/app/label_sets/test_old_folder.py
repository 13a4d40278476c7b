import json
from pathlib import Path

import numpy as np
import pytest

from app.label_sets.class_embeddings import embeddings_content
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.old_folder import old_definitions, old_embeddings
from tests.app.label_sets.killed import embeddings

CAT = LabelSetDefinition(labels=["cat"])


def write_old(data_dir: Path, name: str, definition: LabelSetDefinition, encoder: str = "encoder") -> Path:
    """Writes a set as old versions did. Returns the path of its embeddings."""
    (data_dir / "label-sets").mkdir(exist_ok=True)
    (data_dir / "embeddings" / encoder).mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": 2 if definition.is_tuned else 1} | definition.whole, ensure_ascii=False, indent=1)
    (data_dir / "label-sets" / f"{name}.json").write_text(text, encoding="utf-8")
    path = data_dir / "embeddings" / encoder / f"{definition.texts_digest}.npy"
    np.save(path, embeddings(definition))
    return path


def test_sets_and_the_embeddings_of_each_encoder_are_read(tmp_path):
    write_old(tmp_path, "pets", CAT)
    write_old(tmp_path, "pets", CAT, "another")
    (tmp_path / "label-sets" / ".pets.json.0.tmp").write_text("{")
    assert old_definitions(tmp_path) == {"pets": CAT}
    content = embeddings_content(embeddings(CAT))
    assert [(found.encoder, found.content) for found in old_embeddings(tmp_path, CAT)] == [
        ("another", content),
        ("encoder", content),
    ]


def test_without_an_old_folder_there_is_nothing(tmp_path):
    assert old_definitions(tmp_path / "data") == {}
    assert list(old_embeddings(tmp_path / "data", CAT)) == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("zoo.json", b'{"format": 3, "labels": ["cat"]}', 'its field "format" is not 1 or 2'),
        ("Zoo.json", b'{"format": 1, "labels": ["cat"]}', "its name is not valid for a label set"),
    ],
)
def test_a_damaged_file_is_logged_and_kept_and_others_are_read(tmp_path, caplog, name, content, reason):
    write_old(tmp_path, "pets", CAT)
    path = tmp_path / "label-sets" / name
    path.write_bytes(content)
    assert old_definitions(tmp_path) == {"pets": CAT}
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(path) in record.message
    assert reason in record.message
    assert path.read_bytes() == content


def test_a_folder_named_like_a_definition_is_logged_as_an_error(tmp_path, caplog):
    (tmp_path / "label-sets" / "zoo.json").mkdir(parents=True)
    assert old_definitions(tmp_path) == {}
    assert "Is a directory" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"garbage" * 100),
        lambda path: np.save(path, np.float32(1)),
        lambda path: np.save(path, np.zeros_like(embeddings(CAT))),
        lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    ],
)
def test_damaged_embeddings_are_not_read(tmp_path, damage):
    damage(write_old(tmp_path, "pets", CAT))
    assert list(old_embeddings(tmp_path, CAT)) == []
