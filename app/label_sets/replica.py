"""This process's copy of a store: every label set, in memory, ready to score images.

Requests read the copy, and do not wait for the store. If the store has lost sets that the copy has, they are put back:
of each set, and of each deletion, the newest version of all copies wins.
"""

import asyncio
import logging
from typing import NamedTuple

import numpy as np

from app.errors import MethodNotAllowed, ServiceError, StoreUnavailable
from app.label_sets.class_embeddings import embeddings_content, read_embeddings
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.definition_text import definition_text, read_definition
from app.label_sets.label_set import LabelSet, LabelSetEncoder
from app.label_sets.store import Embeddings, LabelSetStore, State, Stored, StoreError, Versions
from app.label_sets.tuning import bind

log = logging.getLogger("app")


class Entry(NamedTuple):
    """A set in memory.

    `revision` is 0 if no store has the set. `label_set` is None if this version cannot serve it, and `text` is then
    the definition as the store has it.
    """

    revision: int
    label_set: LabelSet | None
    text: str = ""


NO_ENTRY = Entry(0, None)


class Replica:
    """The copy.

    Args:
        store: The store.
        encoder: Makes label sets of definitions.
        cache_key: The encoder's, for its embeddings in the store.
        embed_dim: E.
    """

    def __init__(self, store: LabelSetStore, encoder: LabelSetEncoder, cache_key: str, embed_dim: int) -> None:
        self.entries: dict[str, Entry] = {}
        self._deleted: dict[str, int] = {}
        self._unused: set[str] = set()  # texts whose embeddings no set uses any more
        self._late: set[str] = set()  # sets that could not be loaded yet
        self._store = store
        self._encoder = encoder
        self._cache_key = cache_key
        self._embed_dim = embed_dim
        self._state: State | None = None  # of the store, when the copy was last the same

    def label_sets(self) -> dict[str, LabelSet]:
        """Returns the sets that can be served, by name."""
        return {name: entry.label_set for name, entry in self.entries.items() if entry.label_set}

    def put(self, name: str, revision: int, label_set: LabelSet) -> None:
        """Takes a set, unless a newer version of it is there."""
        if revision >= self._revision(name):
            self._take(name, Entry(revision, label_set))

    async def write(self, name: str, label_set: LabelSet | None, replaced: Entry) -> None:
        """Stores a set, or deletes it, in the store and then in memory.

        Raises:
            Conflict: The store has another revision of the set than `replaced`.
            StoreUnavailable: The store does not answer.
            StoreError: The store has failed.
        """
        if label_set is None:
            self.delete(name, await self._store.change(name, None, replaced.revision))
            return
        definition, embeddings, old = label_set.definition, label_set.embeddings, replaced.label_set
        is_embedded = old is not None and old.embeddings is embeddings
        text = await asyncio.to_thread(definition_text, definition)
        new = None if is_embedded else await asyncio.to_thread(self._stored_embeddings, definition, embeddings)
        self.put(name, await self._store.change(name, text, replaced.revision, new), label_set)

    def delete(self, name: str, revision: int) -> None:
        """Removes a set, unless a newer version of it is there."""
        if revision > self._revision(name):
            self._remember_texts(name)
            self.entries.pop(name, None)
            self._deleted[name] = revision

    async def refresh(self, *, is_start: bool = False) -> None:
        """Makes the copy the same as the store. `Follower` sees to it that only one call is in progress.

        At the start, a set that cannot be embedded is an error. Later, it is tried again.
        """
        state = await self._store.state()
        if state == self._state:
            self._store.loaded()
            return
        had = dict(self.entries), dict(self._deleted)  # what the store must have, or something newer
        versions = await self._store.versions()
        if lost := missing(*had, versions):
            for name, stored in lost.items():
                await self._store.put_back(name, stored)
            log.warning("the store had lost changes of %d label sets, which were put back", len(lost))
            state, versions = await self._store.state(), await self._store.versions()
        newer = [name for name, revision in versions.sets.items() if revision > self._revision(name)]
        complete = True
        for name, stored in (await self._store.definitions(newer)).items() if newer else ():
            complete &= await self._load(name, stored, is_start)
        for name in self.entries.keys() - versions.sets.keys():
            if self.entries[name].revision:
                self.delete(name, versions.deleted.get(name, versions.forgotten))
        for name, at in versions.deleted.items():
            if name not in self.entries:
                self._deleted[name] = max(at, self._deleted.get(name, 0))
        self._deleted = {name: at for name, at in self._deleted.items() if at > versions.forgotten}
        if self._state is None or self._state.store != state.store:
            await self.renew()
        self._state = state if complete else None
        self._store.loaded()

    async def _load(self, name: str, stored: Stored, is_start: bool) -> bool:
        """Loads a set. Returns False if it must be tried again."""
        text = stored.text or ""
        try:
            definition = await asyncio.to_thread(read_definition, text)
            if definition.is_tuned and not definition.tuned_for:
                log.warning("label set %s was tuned, but has no tuned_for: this model is used", name)
                definition = bind(definition, self._encoder.fingerprint)
            label_set = await self._encoder.assemble(definition, await self.class_embeddings(definition))
        except ValueError as error:
            log.error("label set %s is not served: %s", name, error)  # noqa: TRY400 (a line)
            self._take(name, Entry(stored.revision, None, text))
        except StoreUnavailable:
            raise
        except ServiceError as error:
            if is_start:
                raise
            if name not in self._late:
                log.warning("label set %s is not loaded yet: %s", name, error)
            self._late.add(name)
            return False
        else:
            self.put(name, stored.revision, label_set)
        self._late.discard(name)
        return True

    async def class_embeddings(self, definition: LabelSetDefinition) -> np.ndarray:
        """Returns the class embeddings of a definition [K, E]: those in memory, or the store's, or new ones."""
        texts = definition.texts_digest
        for label_set in self.label_sets().values():
            if label_set.definition.texts_digest == texts:
                return label_set.embeddings
        if content := await self._store.embeddings(self._cache_key, texts):
            size = len(definition.labels), self._embed_dim
            if (stored := await asyncio.to_thread(read_embeddings, content, *size)) is not None:
                return stored
            log.warning("stored embeddings do not match their label set and are computed again")
        embeddings = await self._encoder.embed(definition)
        try:
            await self._store.keep(self._stored_embeddings(definition, embeddings))
        except StoreError as error:
            log.warning("embeddings of a label set were not stored and will be computed again: %s", error)
        return embeddings

    def _stored_embeddings(self, definition: LabelSetDefinition, embeddings: np.ndarray) -> Embeddings:
        """Returns class embeddings as the store keeps them."""
        return Embeddings(self._cache_key, definition.texts_digest, embeddings_content(embeddings))

    async def renew(self) -> None:
        """Keeps the embeddings of all sets in the store, and puts back those that it has lost."""
        sets = {label_set.definition.texts_digest: label_set for label_set in self.label_sets().values()}
        for texts in await self._store.renew(self._cache_key, sets):
            await self._store.keep(self._stored_embeddings(sets[texts].definition, sets[texts].embeddings))

    async def release(self) -> None:
        """Lets the embeddings expire that no set uses any more."""
        for texts in self._unused - {each.definition.texts_digest for each in self.label_sets().values()}:
            await self._store.release(self._cache_key, texts)
        self._unused.clear()

    def _take(self, name: str, entry: Entry) -> None:
        self._remember_texts(name)
        self.entries[name] = entry
        self._deleted.pop(name, None)

    def _remember_texts(self, name: str) -> None:
        if (old := self.entries.get(name)) and old.label_set:
            self._unused.add(old.label_set.definition.texts_digest)

    def _revision(self, name: str) -> int:
        """Returns the revision of a set, or of its deletion, or 0."""
        return self.entries[name].revision if name in self.entries else self._deleted.get(name, 0)


def missing(entries: dict[str, Entry], deleted: dict[str, int], versions: Versions) -> dict[str, Stored]:
    """Returns the sets and the deletions that a store had and has no more."""

    def is_lost(name: str, revision: int) -> bool:
        return revision > max(versions.sets.get(name, 0), versions.deleted.get(name, versions.forgotten))

    sets = {
        name: Stored(entry.revision, definition_text(entry.label_set.definition) if entry.label_set else entry.text)
        for name, entry in entries.items()
        if is_lost(name, entry.revision)
    }
    return sets | {name: Stored(at, None) for name, at in deleted.items() if is_lost(name, at)}


def check_replaceable(entry: Entry) -> None:
    """Raises MethodNotAllowed if a newer version has stored what this version cannot read, and so cannot judge."""
    if entry.revision and entry.label_set is None:
        raise MethodNotAllowed(
            "A newer version of the service has stored a label set under this name, which this version cannot read. "
            "Use another name, or delete the set first.",
            headers={"Allow": "GET, HEAD, DELETE"},
        )
