import json
import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from app.label_sets.definition import LabelDefinition, LabelSetDefinition, check_label_set
from app.label_sets.files import LabelSetFiles
from tests.app.label_sets.killed import ANIMALS, PLANTS, PROCESSES, embeddings, files, write_forever
from tests.fakes import EMBED_DIM

CAT = LabelSetDefinition(labels=["cat", LabelDefinition(label="Kätzchen", prompts=["eine Katze"])])
LONG = LabelSetDefinition(labels=[f"{i:0256}" for i in range(200)])


@contextmanager
def max_file_size(limit_bytes: int) -> Iterator[None]:
    """Limits the size of files, so that a write fails as on a full disk."""
    _, hard = soft_hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft_hard)


def names(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written_can_be_read(tmp_path):
    written = files(tmp_path / "new" / "folder").write("zoo", CAT, embeddings(CAT))
    assert written == pytest.approx(embeddings(CAT))
    store = files(tmp_path / "new" / "folder")
    assert store.definitions(100) == {"zoo": CAT}
    assert store.embeddings(CAT) == pytest.approx(embeddings(CAT))
    assert isinstance(store.embeddings(CAT), np.memmap)


def test_a_definition_file_is_readable_json(tmp_path):
    files(tmp_path).write("zoo", CAT, embeddings(CAT))
    text = (tmp_path / "label-sets" / "zoo.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "format": 1,
        "labels": ["cat", {"label": "Kätzchen", "prompts": ["eine Katze"]}],
        "templates": ["This is a photo of {}."],
    }
    assert "Kätzchen" in text
    assert text.count("\n") > 5


def test_a_tuned_set_is_written_in_format_2_and_read_as_it_was(tmp_path):
    tuned = check_label_set(LabelSetDefinition(labels=[LabelDefinition(label="cat", threshold=None), "dog"]), 2)
    files(tmp_path).write("zoo", tuned, embeddings(tuned))
    text = (tmp_path / "label-sets" / "zoo.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "format": 2,
        "labels": [{"label": "cat", "threshold": None}, "dog"],
        "templates": ["This is a photo of {}."],
    }
    assert files(tmp_path).definitions(100)["zoo"].digest == tuned.digest


def test_a_set_with_other_thresholds_has_the_same_embeddings(tmp_path):
    store = files(tmp_path)
    stored = store.write("zoo", CAT, embeddings(CAT))
    (path,) = (tmp_path / "embeddings").rglob("*.npy")
    written_ns = path.stat().st_mtime_ns
    tuned = LabelSetDefinition(labels=CAT.labels, threshold=0.5)
    assert store.embeddings(tuned) == pytest.approx(embeddings(CAT))
    store.write("zoo", tuned, stored)
    assert path.stat().st_mtime_ns == written_ns
    store.tidy({tuned.texts_digest})
    assert path.exists()


def test_no_folder_is_created_before_the_first_write(tmp_path):
    store = files(tmp_path / "data")
    assert store.definitions(100) == {}
    assert store.embeddings(CAT) is None
    store.delete("zoo")
    store.tidy([])
    assert not (tmp_path / "data").exists()


def test_equal_definitions_share_embeddings_only_within_a_checkpoint(tmp_path):
    store = files(tmp_path)
    store.write("zoo", CAT, embeddings(CAT))
    store.write("pets", CAT, embeddings(CAT))
    assert len(names(tmp_path / "embeddings")) == 1
    assert LabelSetFiles(tmp_path, "another-float32", EMBED_DIM).embeddings(CAT) is None


def test_a_definition_is_deleted(tmp_path):
    store = files(tmp_path)
    store.write("zoo", CAT, embeddings(CAT))
    store.delete("zoo")
    assert store.definitions(100) == {}


def test_unused_embeddings_and_temporary_files_are_deleted(tmp_path):
    store = files(tmp_path)
    LabelSetFiles(tmp_path, "another-float32", EMBED_DIM).write("zoo", CAT, embeddings(CAT))
    for definition in (ANIMALS, CAT):
        store.write("zoo", definition, embeddings(definition))
    (tmp_path / "label-sets" / ".zoo.json.0.tmp").write_text("{")
    (tmp_path / "embeddings" / "checkpoint-float32" / ".x.npy.0.tmp").write_text("")
    (tmp_path / "embeddings" / "notes.txt").write_text("not ours")
    store.tidy({CAT.digest})
    kept = {"label-sets/zoo.json", f"embeddings/checkpoint-float32/{CAT.digest}.npy", "embeddings/notes.txt"}
    assert names(tmp_path) == kept
    assert not (tmp_path / "embeddings" / "another-float32").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("zoo.json", b"", "Expecting value"),
        ("zoo.json", b'{"format": 1, "labels": ["cat"', "Expecting"),
        ("zoo.json", b"\xff", "codec"),
        ("zoo.json", b"[" * 100_000, "nested too deep"),
        ("zoo.json", b"[]", 'its field "format" is not 1 or 2'),
        ("zoo.json", b'{"format": 3, "labels": ["cat"]}', 'its field "format" is not 1 or 2'),
        ("zoo.json", b'{"format": 1, "labels": []}', "There are 0 labels"),
        ("zoo.json", b'{"format": 1, "labels": ["cat"], "more": 1}', "unknown field"),
        ("Zoo.json", b'{"format": 1, "labels": ["cat"]}', "its name is not valid for a label set"),
    ],
)
def test_a_damaged_definition_is_logged_and_kept_and_others_are_served(tmp_path, caplog, name, content, reason):
    files(tmp_path).write("pets", CAT, embeddings(CAT))
    path = tmp_path / "label-sets" / name
    path.write_bytes(content)
    assert files(tmp_path).definitions(100) == {"pets": CAT}
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(path) in record.message
    assert reason in record.message
    assert path.read_bytes() == content


def test_sets_stored_with_a_higher_limit_are_served_with_one_warning(tmp_path, caplog):
    store = files(tmp_path)
    for name, definition in (("zoo", ANIMALS), ("long", LONG), ("pets", CAT)):
        store.write(name, definition, embeddings(definition))
    before = names(tmp_path)
    store = files(tmp_path)
    assert store.definitions(2) == {"zoo": ANIMALS, "long": LONG, "pets": CAT}
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "more than SIGLIP_MAX_LABELS (2) labels" in record.message
    assert record.message.endswith(f"long (200), zoo ({len(ANIMALS.labels)})")
    store.tidy({ANIMALS.digest, LONG.digest, CAT.digest})
    assert names(tmp_path) == before


def test_no_embeddings_are_deleted_while_a_definition_is_unreadable(tmp_path):
    files(tmp_path).write("zoo", ANIMALS, embeddings(ANIMALS))
    path = tmp_path / "label-sets" / "zoo.json"
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    store = files(tmp_path)
    assert store.definitions(100) == {}
    store.tidy([])
    path.write_bytes(content)
    assert files(tmp_path).embeddings(ANIMALS) == pytest.approx(embeddings(ANIMALS))


def test_a_folder_named_like_a_definition_is_logged_as_an_error(tmp_path, caplog):
    (tmp_path / "label-sets" / "zoo.json").mkdir(parents=True)
    assert files(tmp_path).definitions(100) == {}
    assert "Is a directory" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_bytes(b"garbage" * 100),
        lambda path: np.save(path, embeddings(CAT)[:1]),
        lambda path: np.save(path, embeddings(CAT).astype(np.float64)),
        lambda path: np.save(path, np.zeros_like(embeddings(CAT))),
        lambda path: np.save(path, np.full_like(embeddings(CAT), np.nan)),
        lambda path: np.save(path, np.array([{}, {}], object), allow_pickle=True),
    ],
)
def test_damaged_embeddings_are_not_used(tmp_path, caplog, damage):
    store = files(tmp_path)
    store.write("zoo", CAT, embeddings(CAT))
    path = tmp_path / "embeddings" / "checkpoint-float32" / f"{CAT.digest}.npy"
    damage(path)
    assert store.embeddings(CAT) is None
    assert str(path) in caplog.text


def test_a_full_disk_leaves_only_the_old_set(tmp_path):
    store = files(tmp_path)
    store.write("zoo", CAT, embeddings(CAT))
    before = names(tmp_path)
    # The first write fails in the embeddings, the second one in the definition.
    for limit_bytes in (1_000, embeddings(ANIMALS).nbytes + 500):
        with max_file_size(limit_bytes), pytest.raises(OSError, match="File too large"):
            store.write("zoo", LONG, embeddings(LONG))
        assert store.definitions(1_000) == {"zoo": CAT}
        store.tidy({CAT.digest})
        assert names(tmp_path) == before


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_set(tmp_path, caplog):
    chance = random.Random(0)
    found = []
    files(tmp_path).write("zoo", ANIMALS, embeddings(ANIMALS))
    for _ in range(100):
        written, child_end = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=write_forever, args=(tmp_path, child_end))
        process.start()
        for _ in range(chance.randint(1, 3)):
            written.recv_bytes()
        time.sleep(chance.uniform(0, 0.01))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        store = files(tmp_path)
        (definition,) = store.definitions(1_000).values()
        assert definition in (ANIMALS, PLANTS)
        assert np.array_equal(store.embeddings(definition), embeddings(definition))
        found.append(definition)
    assert ANIMALS in found
    assert PLANTS in found
    assert caplog.records == []
    store.tidy({definition.digest})
    assert len(names(tmp_path)) == 2
