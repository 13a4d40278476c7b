"""What every store of label sets does: the tests of `LabelSetStore`, for each kind of store."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from app.errors import InvalidRequest
from app.label_sets.store import MAX_DELETED, MAX_LABEL_SETS, Conflict, Embeddings, LabelSetStore, Stored

Opened = Callable[[], Awaitable[LabelSetStore]]

CAT, DOG = '{"format": 1, "labels": ["cat"]}', '{"format": 1, "labels": ["Dögge"]}'
BYTES = bytes(range(256)) * 4
EMBEDDINGS = Embeddings("encoder", "texts", BYTES)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.02)


class StoreContract:
    """The tests. A class for a kind of store has the fixture `opened`: each call opens the same store once more."""

    async def test_a_new_store_is_empty_and_keeps_its_id(self, opened: Opened):
        one, other = await opened(), await opened()
        state = await one.state()
        assert state.store
        assert await other.state() == state
        versions = await one.versions()
        assert (versions.sets, versions.deleted) == ({}, {})
        assert await one.definitions(["cat"]) == {}

    async def test_a_change_is_seen_by_all_and_has_a_higher_revision(self, opened: Opened):
        one, other = await opened(), await opened()
        before = await other.state()
        other.loaded()
        assert not other.changed()
        revision = await one.change("pets", DOG, 0)
        assert (await other.definitions(["pets", "none"])) == {"pets": Stored(revision, DOG)}
        assert await other.state() == before._replace(revision=revision)
        other.loaded()
        assert not other.changed()
        second = await other.change("pets", CAT, revision)
        assert second > revision > before.revision
        assert (await one.versions()).sets == {"pets": second}

    async def test_a_revision_is_a_time_in_microseconds(self, opened: Opened):
        before = time.time_ns() // 1000
        revision = await (await opened()).change("pets", CAT, 0)
        assert before - 1e6 < revision < time.time_ns() // 1000 + 1e6

    async def test_another_revision_than_expected_is_a_conflict_and_changes_nothing(self, opened: Opened):
        store = await opened()
        with pytest.raises(Conflict):
            await store.change("pets", CAT, 1)
        first = await store.change("pets", CAT, 0)
        for expected in (0, first - 1, first + 1):
            with pytest.raises(Conflict):
                await store.change("pets", DOG, expected, EMBEDDINGS)
            with pytest.raises(Conflict):
                await store.change("pets", None, expected)
        assert await store.definitions(["pets"]) == {"pets": Stored(first, CAT)}

    async def test_of_changes_at_the_same_time_one_wins(self, opened: Opened):
        stores = [await opened() for _ in range(4)]
        revision = 0
        for _ in range(20):
            outcomes = await asyncio.gather(
                *(store.change("pets", CAT, revision) for store in stores), return_exceptions=True
            )
            (revision,) = [outcome for outcome in outcomes if isinstance(outcome, int)]
            assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 3

    async def test_a_deleted_set_leaves_the_revision_of_its_deletion(self, opened: Opened):
        store = await opened()
        revision = await store.change("pets", CAT, 0)
        deletion = await store.change("pets", None, revision)
        versions = await store.versions()
        assert (versions.sets, versions.deleted) == ({}, {"pets": deletion})
        assert await store.definitions(["pets"]) == {}
        with pytest.raises(Conflict):
            await store.change("pets", CAT, revision)
        again = await store.change("pets", CAT, 0)
        versions = await store.versions()
        assert (versions.sets, versions.deleted) == ({"pets": again}, {})

    async def test_the_oldest_deletions_are_forgotten(self, opened: Opened):
        store = await opened()
        for revision in range(1, MAX_DELETED + 4):
            await store.put_back(f"set-{revision}", Stored(revision, None))
        versions = await store.versions()
        assert len(versions.deleted) == MAX_DELETED
        assert versions.forgotten == 3
        assert min(versions.deleted.values()) == 4

    async def test_the_number_of_sets_is_limited(self, opened: Opened):
        store = await opened()
        for number in range(MAX_LABEL_SETS - 1):
            await store.put_back(f"set-{number}", Stored(number + 1, CAT))
        revision = await store.change("last", CAT, 0)
        with pytest.raises(InvalidRequest, match="no more can be stored"):
            await store.change("more", CAT, 0)
        revision = await store.change("last", DOG, revision)
        await store.change("last", None, revision)
        await store.change("more", CAT, 0)

    async def test_only_what_is_newer_is_put_back(self, opened: Opened):
        store = await opened()
        revision = await store.change("pets", CAT, 0)
        await store.put_back("pets", Stored(revision - 1, DOG))
        await store.put_back("pets", Stored(revision, DOG))
        await store.put_back("other", Stored(7, DOG))
        assert await store.definitions(["pets", "other"]) == {"pets": Stored(revision, CAT), "other": Stored(7, DOG)}
        await store.put_back("other", Stored(8, None))
        await store.put_back("other", Stored(7, DOG))
        versions = await store.versions()
        assert (versions.sets, versions.deleted) == ({"pets": revision}, {"other": 8})

    async def test_after_a_newer_set_was_put_back_changes_have_still_higher_revisions(self, opened: Opened):
        store = await opened()
        future = time.time_ns() // 1000 + 3_600_000_000
        await store.put_back("pets", Stored(future, CAT))
        assert await store.change("other", CAT, 0) > future

    async def test_embeddings_are_kept_for_each_encoder_and_texts(self, opened: Opened):
        one, other = await opened(), await opened()
        await one.keep(EMBEDDINGS)
        await one.change("pets", CAT, 0, EMBEDDINGS._replace(texts="others", content=b"\0"))
        assert await other.embeddings("encoder", "texts") == BYTES
        assert await other.embeddings("encoder", "others") == b"\0"
        assert await other.embeddings("another", "texts") is None

    async def test_embeddings_that_are_released_expire_unless_they_are_renewed(self, opened: Opened):
        store = await opened()
        await store.keep(EMBEDDINGS)
        await store.keep(EMBEDDINGS._replace(texts="others"))
        assert await store.renew("encoder", ["texts", "missing"]) == {"missing"}
        for texts in ("texts", "others"):
            await store.release("encoder", texts)
        await store.renew("encoder", ["others"])
        await self.pass_time(3600)
        await store.change("pets", CAT, 0)  # the file is tidied at a change
        assert await store.embeddings("encoder", "texts") is None
        assert await store.embeddings("encoder", "others") == BYTES

    async def pass_time(self, seconds: float) -> None:
        """Lets everything expire that expires within this time."""
        raise NotImplementedError

    async def test_a_waiting_process_learns_of_a_change(self, opened: Opened):
        one, other = await opened(), await opened()
        before = await other.state()
        await other.wait(0.01)
        await one.change("pets", CAT, 0)

        async def is_told() -> bool:
            await other.wait(0.1)
            return await other.state() != before

        await until(is_told)

    async def test_a_closed_store_can_be_opened_again_by_another_process(self, opened: Opened):
        one = await opened()
        revision = await one.change("pets", DOG, 0)
        await one.close()
        assert await (await opened()).definitions(["pets"]) == {"pets": Stored(revision, DOG)}
