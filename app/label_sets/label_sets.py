"""Named label sets: embedded once, then used by name, without the tokenizer and the text tower.

A set is one value that is replaced as a whole, so a reader sees the old set or the new one. Writers of one name take
turns within this process. A writer of another process is noticed by the store, which refuses to replace another set
than the one that was checked; the check is then done again with the new one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from app.errors import InternalError, LabelSetNotFound, LabelSetsReadOnly, MethodNotAllowed, NotReady, StoreUnavailable
from app.inference.embedder import Embedder
from app.inference.identity import cache_key
from app.label_sets.completion import to_the_end
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.folder import read_folder
from app.label_sets.follower import Follower
from app.label_sets.label_set import LabelSet, LabelSetEncoder
from app.label_sets.preloading import log_warnings, take_over
from app.label_sets.replica import NO_ENTRY, Entry, Replica, check_replaceable
from app.label_sets.store import MAX_LABEL_SETS, Conflict, LabelSetStore, StoreError, too_many_sets
from app.observability.record import RequestRecord
from app.settings import Settings

T = TypeVar("T")

MAX_CONFLICTS, CONFLICT_S = 100, 0.005  # attempts to change a set that others change too, and the pause between them

log = logging.getLogger("app")

Precondition = Callable[[LabelSet | None], None]
Change = Callable[[LabelSetDefinition], LabelSetDefinition]


class LabelSets:
    """All label sets of the service.

    Args:
        settings: An operator's folder, whose sets replace stored ones at the start; the most labels of a new set; and
            what the encoder's identity depends on.
        store: Where they are kept.
        on_store_failure: Called when the store has not answered.
    """

    def __init__(
        self, settings: Settings, store: LabelSetStore, on_store_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._settings = settings
        self._store = store
        self._on_store_failure = on_store_failure
        self.read_only_reason: str | None = None  # of changes that other replicas would not see
        self._follower: Follower | None = None
        # A name's lock exists while it is held or waited for.
        self._name_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def _copy(self) -> Follower:
        """This process's copy of the store.

        Raises:
            NotReady: It is not loaded yet.
        """
        if self._follower is None:
            raise NotReady("The label sets are not loaded yet.")
        return self._follower

    @property
    def count(self) -> int:
        """The number of sets."""
        return len(self._follower.replica.label_sets()) if self._follower else 0

    @property
    def store_up(self) -> bool:
        """Whether the store has answered the last time."""
        return self._follower is not None and self._follower.up

    async def load(self, embedder: Embedder, on_stage: Callable[[str], None] = lambda stage: None) -> None:
        """Loads the stored sets and the operator's; embeds only those that were not embedded before.

        Waits for a store that does not answer.

        Args:
            embedder: The loaded model.
            on_stage: Called if the store does not answer.

        Raises:
            LabelSetFolderError: The operator's folder, or a file in it, cannot be used.
            StoreError: The store can never be used as it is configured.
        """
        settings, info = self._settings, embedder.encoder.info
        folder = settings.label_sets_dir
        given = await asyncio.to_thread(read_folder, folder, settings.max_labels) if folder else {}
        self._encoder = encoder = LabelSetEncoder(embedder, settings)
        key = await asyncio.to_thread(cache_key, info, settings)
        replica = Replica(self._store, encoder, key, info.embed_dim)
        self._follower = follower = Follower(replica, self._store, self._on_store_failure)
        await follower.open(lambda: take_over(given, replica, encoder, self._store.fault), on_stage)
        follower.start()
        log_warnings(replica.label_sets(), settings.max_labels)

    async def get(self, name: str) -> LabelSet:
        """Returns the set with this name.

        Raises:
            LabelSetNotFound: There is no set with this name.
        """
        await self._copy.fresh()
        return self._found(name)

    def _found(self, name: str) -> LabelSet:
        label_set = self._copy.replica.entries.get(name, NO_ENTRY).label_set
        if label_set is None:
            raise LabelSetNotFound
        return label_set

    async def all(self) -> list[tuple[str, LabelSet]]:
        """Returns names and sets, sorted by name."""
        await self._copy.fresh()
        return sorted(self._copy.replica.label_sets().items())

    async def put(
        self, name: str, definition: LabelSetDefinition, precondition: Precondition, record: RequestRecord
    ) -> tuple[LabelSet, bool]:
        """Embeds and stores a set. Returns it, and whether the name is new.

        Args:
            name: A name that `check_name` accepted.
            definition: A definition that `check_label_set` accepted.
            precondition: Called with the current set; may raise. If another process replaces the set meanwhile, it is
                called again with that one.
            record: Gets the times.

        Raises:
            InvalidRequest: There are too many sets.
            ServiceError: An example cannot be used.
            Overloaded: The queue is full.
            StoreUnavailable: The store does not answer; the old set stays.
            InternalError: The set could not be stored; the old one stays.
        """

        async def attempt() -> tuple[LabelSet, bool]:
            entry = self._copy.replica.entries.get(name, NO_ENTRY)
            precondition(entry.label_set)
            check_replaceable(entry)
            if not entry.revision and len(self._copy.replica.entries) >= MAX_LABEL_SETS:
                raise too_many_sets()
            encoded = await self._encoder.encode(definition, entry.label_set, record)
            await self._write(name, encoded, entry)
            return encoded, entry.label_set is None

        return await self._changed(name, attempt)

    async def change(self, name: str, change: Change, precondition: Precondition, record: RequestRecord) -> LabelSet:
        """Changes a set; embeds it again only if its texts change. Returns it.

        Args:
            name: The set's name.
            change: Returns the changed definition, checked; may raise. It may be called again, as `precondition`.
            precondition: As of `put`.
            record: Gets the times.

        Raises:
            LabelSetNotFound: There is no set with this name.
            ServiceError: The change is not possible, or as of `put`.
        """

        async def attempt() -> LabelSet:
            old, entry = self._found(name), self._copy.replica.entries[name]
            precondition(old)
            definition = await asyncio.to_thread(change, old.definition)
            encoded = await self._encoder.encode(definition, old, record)
            await self._write(name, encoded, entry)
            return encoded

        return await self._changed(name, attempt)

    async def preview(self, name: str | None, definition: LabelSetDefinition, record: RequestRecord) -> LabelSet:
        """Returns what `put` would store, and stores nothing. Without a name, nothing is replaced.

        Raises:
            LabelSetNotFound: There is no set with this name.
            ServiceError: As of `put`.
        """
        return await self._encoder.encode(definition, None if name is None else await self.get(name), record)

    async def delete(self, name: str, precondition: Precondition) -> None:
        """Removes a set.

        Raises:
            LabelSetNotFound: There is no set with this name.
            StoreUnavailable: The store does not answer; the set stays.
            InternalError: The set could not be removed; it stays.
        """

        async def attempt() -> None:
            entry = self._copy.replica.entries.get(name)
            if entry is None:
                raise LabelSetNotFound
            precondition(entry.label_set)
            await self._write(name, None, entry)

        await self._changed(name, attempt)

    async def close(self) -> None:
        """Ends connections and threads."""
        if self._follower:
            await self._follower.close()
        await self._store.close()

    async def _changed(self, name: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Returns the result of an attempt to change a set, with the newest version of it in memory.

        If another process changes the set at the same time, the attempt is repeated.
        """
        if self.read_only_reason:
            raise LabelSetsReadOnly(self.read_only_reason)
        if self._store.fault:
            detail = "This service cannot store label sets: its data folder is read-only. Its log has the reason."
            raise MethodNotAllowed(detail, headers={"Allow": "GET, HEAD"})
        async with self._name_locks.setdefault(name, asyncio.Lock()):
            for _ in range(MAX_CONFLICTS):
                try:
                    await self._copy.refresh()
                    return await attempt()
                except Conflict:
                    await asyncio.sleep(CONFLICT_S)
                except StoreError:
                    log.exception("label set %s was not changed", name)
                    raise InternalError("The label set could not be changed. The log has the reason.") from None
            raise StoreUnavailable  # this process cannot load what the others store

    async def _write(self, name: str, label_set: LabelSet | None, replaced: Entry) -> None:
        try:
            await to_the_end(self._copy.replica.write(name, label_set, replaced))
        except (StoreUnavailable, StoreError) as error:
            self._copy.report(error)
            raise
