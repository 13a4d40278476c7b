import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import InternalError, InvalidRequest, LabelSetNotFound, MethodNotAllowed, PreconditionFailed
from app.label_sets.definition import LabelDefinition, LabelSetDefinition, check_label_set
from app.label_sets.folder import LabelSetFolderError
from app.label_sets.label_set import LabelSet
from app.label_sets.patch import LabelSetPatch, patched
from app.label_sets.store import MAX_LABEL_SETS, LabelSets, check_name, to_the_end
from app.observability.record import RequestRecord
from app.settings import Settings
from tests.app.inference.engines import make_engine
from tests.fakes import INFO, FakeEncoder

pytestmark = pytest.mark.anyio

CAT = LabelSetDefinition(labels=["cat"])
DOG = LabelSetDefinition(labels=["dog", LabelDefinition(label="hound", prompts=["a hound", "ein Hund", "un chien"])])

RECORD = RequestRecord("test")

Opened = Callable[..., AbstractAsyncContextManager[LabelSets]]


def always(_label_set: LabelSet | None) -> None:
    """A precondition that is always met."""


@asynccontextmanager
async def opened(data_dir: Path, encoder: FakeEncoder | None = None, **options: Any) -> AsyncIterator[LabelSets]:
    """Yields the store, started as the service starts it, with the contents of `data_dir`."""
    engine = make_engine(lambda: encoder or FakeEncoder())
    label_sets = LabelSets(Settings(data_dir=data_dir, max_labels=1_000, **options))
    try:
        await engine.load(label_sets.load)
        yield label_sets
    finally:
        await engine.close()
        label_sets.close()


def higher(definition: LabelSetDefinition) -> LabelSetDefinition:
    return patched(definition, LabelSetPatch(threshold=0.6), 1_000)


def prompt_embedding(*prompts: str) -> np.ndarray:
    encoder = FakeEncoder()
    mean: np.ndarray = encoder.encode_texts(encoder.prepare_text(prompts)).mean(axis=0)
    return mean / np.linalg.norm(mean)


async def test_a_set_is_embedded_from_templates_or_from_a_labels_own_prompts(tmp_path):
    async with opened(tmp_path) as label_sets:
        stored, created = await label_sets.put("dogs", DOG, always, RECORD)
        assert created
        assert label_sets.get("dogs") == stored
        expected = [prompt_embedding("This is a photo of dog."), prompt_embedding("a hound", "ein Hund", "un chien")]
        assert stored.embeddings == pytest.approx(np.array(expected), abs=1e-6)


async def test_a_restart_loads_all_sets_and_encodes_nothing(tmp_path):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        await label_sets.put("cats", CAT, always, RECORD)
        before = label_sets.all()
    encoder = FakeEncoder()
    async with opened(tmp_path, encoder) as label_sets:
        assert [(name, label_set.etag) for name, label_set in label_sets.all()] == [
            (name, label_set.etag) for name, label_set in before
        ]
        assert label_sets.get("pets").embeddings == pytest.approx(before[1][1].embeddings)
    assert encoder.text_batches == []


@pytest.mark.parametrize(
    "info",
    [
        replace(INFO, sha256="1" * 64),
        replace(INFO, dtype="bfloat16"),
        replace(INFO, canonicalisation="as it is"),
        replace(INFO, context_length=4),
    ],
)
async def test_another_checkpoint_or_text_rule_embeds_again_and_deletes_old_embeddings(tmp_path, info):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
    for texts in (4, 0):  # the second start finds the new embeddings
        encoder = FakeEncoder(info=info)
        async with opened(tmp_path, encoder) as label_sets:
            assert label_sets.get("pets").definition == DOG
        assert sum(encoder.text_batches) == texts
    assert len(list((tmp_path / "embeddings").iterdir())) == 1


async def test_damaged_embeddings_are_computed_again(tmp_path):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        expected = np.array(label_sets.get("pets").embeddings)
    (path,) = tmp_path.rglob("*.npy")
    path.write_bytes(b"")
    async with opened(tmp_path) as label_sets:
        assert label_sets.get("pets").embeddings == pytest.approx(expected)
    assert np.load(path) == pytest.approx(expected)


async def test_embeddings_that_no_set_needs_are_deleted(tmp_path):
    async with opened(tmp_path) as label_sets:
        for name in ("a", "b"):
            await label_sets.put(name, CAT, always, RECORD)
        await label_sets.put("a", DOG, always, RECORD)
        assert len(list(tmp_path.rglob("*.npy"))) == 2  # b still needs the embeddings of CAT
        await label_sets.delete("b", always)
        assert len(list(tmp_path.rglob("*.npy"))) == 1
        with pytest.raises(LabelSetNotFound):
            label_sets.get("b")
    async with opened(tmp_path) as label_sets:
        assert [name for name, _ in label_sets.all()] == ["a"]


async def test_an_equal_definition_is_not_encoded_again(tmp_path):
    encoder = FakeEncoder()
    async with opened(tmp_path, encoder) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        encoder.text_batches.clear()
        stored, created = await label_sets.put("pets", DOG.model_copy(), always, RECORD)
    assert (stored.definition, created) == (DOG, False)
    assert encoder.text_batches == []


async def test_if_a_set_cannot_be_written_the_old_one_stays(tmp_path, caplog):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        (tmp_path / "label-sets").rename(tmp_path / "moved")
        (tmp_path / "label-sets").touch()
        with pytest.raises(InternalError, match="could not be written"):
            await label_sets.put("pets", DOG, always, RECORD)
        with pytest.raises(InternalError, match="could not be deleted"):
            await label_sets.delete("pets", always)
        assert label_sets.get("pets").definition == CAT
        (tmp_path / "label-sets").unlink()
        (tmp_path / "moved").rename(tmp_path / "label-sets")
    assert "Not a directory" in caplog.text
    async with opened(tmp_path) as label_sets:
        assert label_sets.get("pets").definition == CAT


async def test_the_limit_on_sets_counts_those_being_stored(tmp_path):
    (tmp_path / "label-sets").mkdir()
    for number in range(MAX_LABEL_SETS - 3):
        (tmp_path / "label-sets" / f"{number}.json").write_text('{"format": 1, "labels": ["cat"]}')
    async with opened(tmp_path) as label_sets:
        outcomes = await asyncio.gather(
            *[label_sets.put(f"set-{i}", CAT, always, RECORD) for i in range(6)], return_exceptions=True
        )
        assert len(label_sets.all()) == MAX_LABEL_SETS
        rejected = [outcome for outcome in outcomes if isinstance(outcome, InvalidRequest)]
        assert len(rejected) == 3
        assert "no more can be stored" in rejected[0].detail
        await label_sets.put("0", DOG, always, RECORD)


async def test_writers_of_one_name_take_turns_and_see_the_last_state(tmp_path):
    def expecting_nothing(label_set: LabelSet | None) -> None:
        if label_set is not None:
            raise PreconditionFailed("there is one")

    definitions = [LabelSetDefinition(labels=[f"label {i}"]) for i in range(8)]
    async with opened(tmp_path) as label_sets:
        outcomes = await asyncio.gather(
            *[label_sets.put("one", definition, expecting_nothing, RECORD) for definition in definitions],
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, PreconditionFailed) for outcome in outcomes) == 7
        (winner,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert label_sets.get("one") == winner[0]


async def test_a_put_cancelled_during_embedding_leaves_the_old_set(tmp_path):
    entered, free = threading.Event(), threading.Event()
    encoder = FakeEncoder()

    def before_batch() -> None:
        entered.set()
        free.wait()

    async with opened(tmp_path, encoder) as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        encoder.before_batch = before_batch
        writing = asyncio.create_task(label_sets.put("pets", DOG, always, RECORD))
        await asyncio.get_running_loop().run_in_executor(None, entered.wait)
        assert label_sets.get("pets").definition == CAT
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        free.set()
        assert label_sets.get("pets").definition == CAT
        await label_sets.put("pets", DOG, always, RECORD)
    async with opened(tmp_path) as label_sets:
        assert label_sets.get("pets").definition == DOG


async def test_a_started_write_is_awaited_even_if_cancelled_repeatedly():
    done = asyncio.Event()
    over = []

    async def work() -> None:
        await done.wait()
        over.append(True)
        raise InternalError("nobody reads this")

    waiting = asyncio.create_task(to_the_end(work()))
    for _ in range(3):  # at the deadline, when the client disconnects, when the service stops
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    done.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert over == [True]


@pytest.mark.parametrize("turns", range(40))
async def test_after_a_cancelled_put_memory_and_disk_are_equal(tmp_path, turns):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        writing = asyncio.create_task(label_sets.put("pets", DOG, always, RECORD))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        kept = label_sets.get("pets").definition
        on_disk = json.loads((tmp_path / "label-sets" / "pets.json").read_text(encoding="utf-8"))
    assert kept in (CAT, DOG)
    assert on_disk == {"format": 1} | kept.content


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "given"
    path.mkdir()
    (path / "pets.txt").write_text("dog\nhound\n")
    (path / "cats.json").write_text('["cat"]')
    return path


async def test_preloaded_sets_replace_stored_ones_and_are_embedded_once(tmp_path, folder):
    async with opened(tmp_path / "data") as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        await label_sets.put("mine", CAT, always, RECORD)
    counts = []
    for _ in range(2):
        encoder = FakeEncoder()
        async with opened(tmp_path / "data", encoder, label_sets_dir=folder) as label_sets:
            assert {name: label_set.definition.names for name, label_set in label_sets.all()} == {
                "cats": ["cat"],
                "mine": ["cat"],
                "pets": ["dog", "hound"],
            }
        counts.append(sum(encoder.text_batches))
        files = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.*")}
    assert counts == [2, 0]  # CAT was stored already; the second start finds all embeddings
    async with opened(tmp_path / "data", label_sets_dir=folder):
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.*")} == files


async def test_an_operators_thresholds_stay_bound_to_the_encoder_that_first_loaded_them(tmp_path, folder, caplog):
    (folder / "cats.json").write_text('{"labels": ["cat"], "threshold": 0.5}')
    async with opened(tmp_path / "data", label_sets_dir=folder) as label_sets:
        assert label_sets.get("cats").in_force
    assert "label set cats was tuned, but has no tuned_for" in caplog.text
    caplog.clear()
    other = FakeEncoder(info=replace(INFO, sha256="1" * 64))
    async with opened(tmp_path / "data", other, label_sets_dir=folder) as label_sets:
        assert label_sets.get("cats").in_force is False
    assert "what was tuned is not in force: cats" in caplog.text
    (folder / "cats.json").write_text('{"labels": ["cat"], "threshold": 0.6}')
    async with opened(tmp_path / "data", other, label_sets_dir=folder) as label_sets:
        assert label_sets.get("cats").in_force


async def test_thresholds_change_without_embedding_and_without_writing_embeddings(tmp_path):
    encoder = FakeEncoder()
    async with opened(tmp_path, encoder) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        (path,) = tmp_path.rglob("*.npy")
        before, written_ns = list(encoder.text_batches), path.stat().st_mtime_ns
        tuned = check_label_set(LabelSetDefinition(labels=DOG.labels, threshold=0.5), 10)
        await label_sets.put("pets", tuned, always, RECORD)
        await label_sets.change("pets", higher, always, RECORD)
        assert label_sets.get("pets").definition.threshold == 0.6
        assert (encoder.text_batches, path.stat().st_mtime_ns) == (before, written_ns)
    async with opened(tmp_path) as label_sets:
        assert label_sets.get("pets").definition.threshold == 0.6
        assert label_sets.get("pets").in_force


async def test_if_a_patch_cannot_be_written_the_old_set_stays(tmp_path):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        (tmp_path / "label-sets").rename(tmp_path / "moved")
        (tmp_path / "label-sets").touch()
        with pytest.raises(InternalError, match="could not be written"):
            await label_sets.change("pets", higher, always, RECORD)
        assert label_sets.get("pets").definition == CAT
        assert label_sets.get("pets").in_force is None


async def test_preloaded_sets_are_served_without_a_writable_folder(tmp_path, folder, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "app"):
        async with opened(tmp_path / "file" / "data", label_sets_dir=folder) as label_sets:
            assert label_sets.get("pets").definition.names == ["dog", "hound"]
            with pytest.raises(MethodNotAllowed, match="its data folder is read-only"):
                await label_sets.put("pets", DOG, always, RECORD)
    assert "label set pets will be embedded again at the next start: [Errno 17]" in caplog.text


async def test_a_mistake_in_the_preload_folder_ends_the_start(tmp_path, folder):
    (folder / "bad.txt").write_text("")
    with pytest.raises(LabelSetFolderError, match=r"bad\.txt: There are 0 labels"):
        async with opened(tmp_path / "data", label_sets_dir=folder):
            pass


@pytest.mark.parametrize("name", ["a", "0", "zoo.v1", "a..b", "a-b_c", "x" * 64])
async def test_a_name_has_lower_case_letters_digits_and_some_punctuation(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "-a", "_a", "A", "é", "a b", "a/b", "a\n", "a\0", "x" * 65, "١"])
async def test_other_names_are_rejected(name):
    with pytest.raises(InvalidRequest, match="begins with a letter or a digit"):
        check_name(name)
