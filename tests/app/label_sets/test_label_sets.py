import asyncio
import json
import logging
import resource
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import InternalError, InvalidRequest, LabelSetNotFound, MethodNotAllowed, PreconditionFailed
from app.label_sets.configured_store import configured_store
from app.label_sets.definition import LabelDefinition, LabelSetDefinition, check_label_set
from app.label_sets.folder import LabelSetFolderError
from app.label_sets.label_set import LabelSet
from app.label_sets.label_sets import LabelSets
from app.label_sets.patch import LabelSetPatch, patched
from app.label_sets.sqlite_tables import FILE
from app.label_sets.store import MAX_LABEL_SETS
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
    """Yields the label sets, started as the service starts it, with the contents of `data_dir`."""
    engine = make_engine(lambda: encoder or FakeEncoder())
    settings = Settings(data_dir=data_dir, max_labels=1_000, **options)
    label_sets = LabelSets(settings, configured_store(settings))
    try:
        await engine.load(label_sets.load)
        yield label_sets
    finally:
        await engine.close()
        await label_sets.close()


def higher(definition: LabelSetDefinition) -> LabelSetDefinition:
    return patched(definition, LabelSetPatch(threshold=0.6), 1_000)


def rows(data_dir: Path, query: str) -> list[tuple]:
    """Returns the rows of a query of the store's file."""
    with closing(sqlite3.connect(data_dir / FILE)) as connection:
        return connection.execute(query).fetchall()


def embedded_texts(data_dir: Path) -> set[str]:
    """Returns the digests of the texts whose embeddings are kept and not about to expire."""
    kept = rows(data_dir, "SELECT texts, expires_s FROM embeddings")
    return {texts for texts, expires_s in kept if expires_s > time.time() + 3600}


def prompt_embedding(*prompts: str) -> np.ndarray:
    encoder = FakeEncoder()
    mean: np.ndarray = encoder.encode_texts(encoder.prepare_text(prompts)).mean(axis=0)
    return mean / np.linalg.norm(mean)


async def test_a_set_is_embedded_from_templates_or_from_a_labels_own_prompts(tmp_path):
    async with opened(tmp_path) as label_sets:
        stored, created = await label_sets.put("dogs", DOG, always, RECORD)
        assert created
        assert (await label_sets.get("dogs")) == stored
        expected = [prompt_embedding("This is a photo of dog."), prompt_embedding("a hound", "ein Hund", "un chien")]
        assert stored.embeddings == pytest.approx(np.array(expected), abs=1e-6)


async def test_a_restart_loads_all_sets_and_encodes_nothing(tmp_path):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        await label_sets.put("cats", CAT, always, RECORD)
        before = await label_sets.all()
    encoder = FakeEncoder()
    async with opened(tmp_path, encoder) as label_sets:
        assert [(name, label_set.etag) for name, label_set in await label_sets.all()] == [
            (name, label_set.etag) for name, label_set in before
        ]
        assert (await label_sets.get("pets")).embeddings == pytest.approx(before[1][1].embeddings)
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
async def test_another_checkpoint_or_text_rule_embeds_again_and_keeps_old_embeddings(tmp_path, info):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
    for texts in (4, 0):  # the second start finds the new embeddings
        encoder = FakeEncoder(info=info)
        async with opened(tmp_path, encoder) as label_sets:
            assert (await label_sets.get("pets")).definition == DOG
        assert sum(encoder.text_batches) == texts
    assert len(rows(tmp_path, "SELECT * FROM embeddings")) == 2


async def test_damaged_embeddings_are_computed_again(tmp_path):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        expected = np.array((await label_sets.get("pets")).embeddings)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE embeddings SET content = ?", [b"damaged"])
    async with opened(tmp_path) as label_sets:
        assert (await label_sets.get("pets")).embeddings == pytest.approx(expected)
    ((content,),) = rows(tmp_path, "SELECT content FROM embeddings")
    assert content == expected.tobytes()


async def test_embeddings_that_no_set_needs_expire_soon(tmp_path):
    async def wait_for(*definitions: LabelSetDefinition) -> None:
        while embedded_texts(tmp_path) != {definition.texts_digest for definition in definitions}:
            await asyncio.sleep(0.02)  # the store is tidied between two of its checks

    async with opened(tmp_path) as label_sets:
        for name in ("a", "b"):
            await label_sets.put(name, CAT, always, RECORD)
        await label_sets.put("a", DOG, always, RECORD)
        await wait_for(CAT, DOG)  # b still needs the embeddings of CAT
        await label_sets.delete("b", always)
        await wait_for(DOG)
        with pytest.raises(LabelSetNotFound):
            await label_sets.get("b")
    async with opened(tmp_path) as label_sets:
        assert [name for name, _ in await label_sets.all()] == ["a"]


async def test_an_equal_definition_is_not_encoded_again(tmp_path):
    encoder = FakeEncoder()
    async with opened(tmp_path, encoder) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        encoder.text_batches.clear()
        stored, created = await label_sets.put("pets", DOG.model_copy(), always, RECORD)
    assert (stored.definition, created) == (DOG, False)
    assert encoder.text_batches == []


@contextmanager
def full_disk() -> Iterator[None]:
    """Lets every write into a file fail."""
    _, hard = soft_hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft_hard)


async def test_if_a_set_cannot_be_written_the_old_one_stays(tmp_path, caplog):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        with full_disk():
            with pytest.raises(InternalError, match="could not be changed"):
                await label_sets.put("pets", DOG, always, RECORD)
            with pytest.raises(InternalError, match="could not be changed"):
                await label_sets.change("pets", higher, always, RECORD)
            with pytest.raises(InternalError, match="could not be changed"):
                await label_sets.delete("pets", always)
        assert (await label_sets.get("pets")).definition == CAT
        assert (await label_sets.get("pets")).in_force is None
        await label_sets.put("more", DOG, always, RECORD)
    assert "label set pets was not changed" in caplog.text
    assert str(tmp_path / FILE) in caplog.text
    async with opened(tmp_path) as label_sets:
        assert {name: each.definition for name, each in await label_sets.all()} == {"pets": CAT, "more": DOG}


async def test_the_limit_on_sets_counts_those_being_stored(tmp_path):
    (tmp_path / "label-sets").mkdir()
    for number in range(MAX_LABEL_SETS - 3):
        (tmp_path / "label-sets" / f"{number}.json").write_text('{"format": 1, "labels": ["cat"]}')
    async with opened(tmp_path) as label_sets:
        outcomes = await asyncio.gather(
            *[label_sets.put(f"set-{i}", CAT, always, RECORD) for i in range(6)], return_exceptions=True
        )
        assert len(await label_sets.all()) == MAX_LABEL_SETS
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
        assert (await label_sets.get("one")) == winner[0]


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
        assert (await label_sets.get("pets")).definition == CAT
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        free.set()
        assert (await label_sets.get("pets")).definition == CAT
        await label_sets.put("pets", DOG, always, RECORD)
    async with opened(tmp_path) as label_sets:
        assert (await label_sets.get("pets")).definition == DOG


@pytest.mark.parametrize("turns", range(40))
async def test_after_a_cancelled_put_memory_and_disk_are_equal(tmp_path, turns):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        writing = asyncio.create_task(label_sets.put("pets", DOG, always, RECORD))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        kept = (await label_sets.get("pets")).definition
        ((on_disk,),) = rows(tmp_path, "SELECT text FROM label_sets")
    assert kept in (CAT, DOG)
    assert json.loads(on_disk) == {"format": 1} | kept.content


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
            assert {name: label_set.definition.names for name, label_set in await label_sets.all()} == {
                "cats": ["cat"],
                "mine": ["cat"],
                "pets": ["dog", "hound"],
            }
        counts.append(sum(encoder.text_batches))
        content = (tmp_path / "data" / FILE).read_bytes()
    assert counts == [2, 0]  # CAT was stored already; the second start finds all embeddings
    async with opened(tmp_path / "data", label_sets_dir=folder):
        assert (tmp_path / "data" / FILE).read_bytes() == content


async def test_an_operators_thresholds_stay_bound_to_the_encoder_that_first_loaded_them(tmp_path, folder, caplog):
    (folder / "cats.json").write_text('{"labels": ["cat"], "threshold": 0.5}')
    async with opened(tmp_path / "data", label_sets_dir=folder) as label_sets:
        assert (await label_sets.get("cats")).in_force
    assert "label set cats was tuned, but has no tuned_for" in caplog.text
    caplog.clear()
    other = FakeEncoder(info=replace(INFO, sha256="1" * 64))
    async with opened(tmp_path / "data", other, label_sets_dir=folder) as label_sets:
        assert (await label_sets.get("cats")).in_force is False
    assert "what was tuned is not in force: cats" in caplog.text
    (folder / "cats.json").write_text('{"labels": ["cat"], "threshold": 0.6}')
    async with opened(tmp_path / "data", other, label_sets_dir=folder) as label_sets:
        assert (await label_sets.get("cats")).in_force


async def test_thresholds_change_without_embedding_and_without_writing_embeddings(tmp_path):
    encoder = FakeEncoder()
    async with opened(tmp_path, encoder) as label_sets:
        await label_sets.put("pets", DOG, always, RECORD)
        before, written = list(encoder.text_batches), rows(tmp_path, "SELECT rowid, expires_s FROM embeddings")
        tuned = check_label_set(LabelSetDefinition(labels=DOG.labels, threshold=0.5), 10)
        await label_sets.put("pets", tuned, always, RECORD)
        await label_sets.change("pets", higher, always, RECORD)
        assert (await label_sets.get("pets")).definition.threshold == 0.6
        assert encoder.text_batches == before
        assert rows(tmp_path, "SELECT rowid, expires_s FROM embeddings") == written
    async with opened(tmp_path) as label_sets:
        assert (await label_sets.get("pets")).definition.threshold == 0.6
        assert (await label_sets.get("pets")).in_force


async def test_preloaded_sets_are_served_without_a_writable_folder(tmp_path, folder, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "app"):
        async with opened(tmp_path / "file" / "data", label_sets_dir=folder) as label_sets:
            assert (await label_sets.get("pets")).definition.names == ["dog", "hound"]
            with pytest.raises(MethodNotAllowed, match="its data folder is read-only"):
                await label_sets.put("pets", DOG, always, RECORD)
    assert "label set pets is served, but not stored: [Errno 20]" in caplog.text


async def test_a_mistake_in_the_preload_folder_ends_the_start(tmp_path, folder):
    (folder / "bad.txt").write_text("")
    with pytest.raises(LabelSetFolderError, match=r"bad\.txt: There are 0 labels"):
        async with opened(tmp_path / "data", label_sets_dir=folder):
            pass


async def test_a_change_of_another_process_is_seen_by_the_next_reader(tmp_path):
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        for number in range(30):
            definition = LabelSetDefinition(labels=[f"label {number}"])
            writer, reader = (one, other) if number % 2 else (other, one)
            await writer.put("pets", definition, always, RECORD)
            assert (await reader.get("pets")).definition == definition
        await one.delete("pets", always)
        assert await other.all() == []


async def test_of_two_processes_that_replace_one_set_exactly_one_wins(tmp_path):
    def expecting(etag: str) -> Callable[[LabelSet | None], None]:
        def check(label_set: LabelSet | None) -> None:
            if label_set is None or label_set.etag != etag:
                raise PreconditionFailed("another one")

        return check

    async with opened(tmp_path) as one, opened(tmp_path) as other:
        stored, _ = await one.put("pets", CAT, always, RECORD)
        for number in range(50):
            outcomes = await asyncio.gather(
                *(
                    each.put(
                        "pets", LabelSetDefinition(labels=[f"{number} {id(each)}"]), expecting(stored.etag), RECORD
                    )
                    for each in (one, other)
                ),
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, PreconditionFailed) for outcome in outcomes) == 1
            ((stored, _),) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


async def test_changes_of_two_processes_without_a_precondition_are_all_made(tmp_path):
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.put("pets", LabelSetDefinition(labels=["cat"]), always, RECORD)

        def longer(definition: LabelSetDefinition) -> LabelSetDefinition:
            return LabelSetDefinition(labels=[*definition.labels, "more"])

        await asyncio.gather(*(each.change("pets", longer, always, RECORD) for each in [one, other] * 10))
        assert len((await one.get("pets")).definition.labels) == 21
        assert len((await other.get("pets")).definition.labels) == 21
