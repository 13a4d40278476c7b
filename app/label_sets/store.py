"""Named label sets in memory and on disk: embedded once, then used by name, without the tokenizer and the text tower.

In memory a set is one value that is replaced as a whole, so a reader sees the old set or the new one. Writers of one
name take turns, from their precondition to the last byte on the disk; the disk takes one write at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from app.errors import InternalError, InvalidRequest, LabelSetNotFound
from app.inference.acceptance import Tuning
from app.inference.embedder import Embedder
from app.inference.identity import cache_key, model_fingerprint
from app.inference.threads import ThreadPool
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.files import NAME, LabelSetFiles
from app.label_sets.folder import read_folder
from app.label_sets.patch import LabelSetPatch, patched
from app.label_sets.tuning import bind, keep_binding, make_tuning
from app.settings import Settings

T = TypeVar("T")

MAX_LABEL_SETS = 1000

log = logging.getLogger("app")


class LabelSet(NamedTuple):
    """A definition, its class embeddings [K, E], and what was tuned for it."""

    definition: LabelSetDefinition
    embeddings: np.ndarray
    tuning: Tuning | None

    @property
    def in_force(self) -> bool | None:
        """Whether what was tuned is used, or None if nothing was tuned."""
        return None if self.tuning is None else self.tuning.in_force

    @property
    def etag(self) -> str:
        """The strong entity tag of what GET returns; equal definitions have equal tags."""
        return f'"{self.definition.digest}{"-not-in-force" if self.in_force is False else ""}"'


Precondition = Callable[[LabelSet | None], None]


class LabelSets:
    """All label sets of the service.

    Args:
        settings: The folder of the stored sets; an operator's folder, whose sets replace stored ones at the start; the
            most labels of a new set; and what the encoder's identity depends on.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sets: dict[str, LabelSet] = {}
        # A name's lock exists while it is held or waited for.
        self._name_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._disk = ThreadPool(1, "disk")  # a slow disk delays only label sets
        self._writing = asyncio.Lock()

    async def load(self, embedder: Embedder) -> None:
        """Loads the stored sets and the operator's; embeds only those that were not embedded before.

        Raises:
            LabelSetFolderError: The operator's folder, or a file in it, cannot be used.
        """
        self._embedder = embedder
        info, settings, in_thread = embedder.encoder.info, self._settings, self._disk.run
        self._fingerprint = model_fingerprint(info, settings)
        key = await in_thread(cache_key, info, settings)
        self._files = LabelSetFiles(settings.data_dir, key, info.embed_dim)
        folder = settings.label_sets_dir
        given = await in_thread(read_folder, folder, settings.max_labels) if folder else {}
        stored = await in_thread(self._files.definitions, settings.max_labels)
        for name, sent in (stored | given).items():
            definition = keep_binding(sent, stored.get(name))
            if definition.is_tuned and not definition.tuned_for:
                log.warning("label set %s has thresholds or a calibration, but no tuned_for: this model is used", name)
                definition = bind(definition, self._fingerprint)
            embeddings = await in_thread(self._files.embeddings, definition)
            if embeddings is None or name not in stored or stored[name].digest != definition.digest:
                if embeddings is None:
                    embeddings = await self._embed(definition)
                try:
                    embeddings = await in_thread(self._files.write, name, definition, embeddings)
                except OSError as error:
                    log.warning("label set %s will be embedded again at the next start: %s", name, error)
            tuning = await in_thread(make_tuning, definition, self._fingerprint)
            self._sets[name] = LabelSet(definition, embeddings, tuning)
        await self._tidy()
        if old := [name for name, label_set in self.all() if label_set.in_force is False]:
            log.warning(
                "these label sets were tuned for another model or other texts; their thresholds are not in force: %s",
                ", ".join(old),
            )

    def get(self, name: str) -> LabelSet:
        """Returns the set with this name.

        Raises:
            LabelSetNotFound: There is no set with this name.
        """
        if name not in self._sets:
            raise LabelSetNotFound
        return self._sets[name]

    def all(self) -> list[tuple[str, LabelSet]]:
        """Returns names and sets, sorted by name."""
        return sorted(self._sets.items())

    async def put(self, name: str, definition: LabelSetDefinition, precondition: Precondition) -> tuple[LabelSet, bool]:
        """Embeds and stores a set. Returns it, and whether the name is new.

        Args:
            name: A name that `check_name` accepted.
            definition: A definition that `check_label_set` accepted.
            precondition: Called with the current set while no other caller writes this name; may raise.

        Raises:
            InvalidRequest: There are too many sets.
            Overloaded: The queue is full.
            InternalError: The set could not be stored; the old one stays.
        """
        async with self._name_lock(name):
            old = self._sets.get(name)
            precondition(old)
            names = self._sets.keys() | self._name_locks.keys()  # including sets that are being stored
            if old is None and len(names) > MAX_LABEL_SETS:
                raise InvalidRequest(
                    f"There are {MAX_LABEL_SETS:,} label sets, and no more can be stored. Delete one first."
                )
            return await self._replace(name, old, definition), old is None

    async def patch(self, name: str, patch: LabelSetPatch, precondition: Precondition) -> LabelSet:
        """Changes a set; embeds it again only if its texts change. Returns it.

        Raises:
            LabelSetNotFound: There is no set with this name.
            InvalidRequest, InvalidLabels, InvalidTemplate: The change is not possible.
            Overloaded: The queue is full.
            InternalError: The set could not be stored; the old one stays.
        """
        async with self._name_lock(name):
            old = self.get(name)
            precondition(old)
            definition = await asyncio.to_thread(patched, old.definition, patch, self._settings.max_labels)
            return await self._replace(name, old, definition)

    async def delete(self, name: str, precondition: Precondition) -> None:
        """Removes a set.

        Raises:
            LabelSetNotFound: There is no set with this name.
            InternalError: The set could not be removed; it stays.
        """
        async with self._name_lock(name):
            precondition(self.get(name))
            await to_the_end(self._remove(name))

    def close(self) -> None:
        """Ends the thread."""
        self._disk.close()

    async def _replace(self, name: str, old: LabelSet | None, definition: LabelSetDefinition) -> LabelSet:
        definition = await asyncio.to_thread(bind, definition, self._fingerprint)
        tuning = await asyncio.to_thread(make_tuning, definition, self._fingerprint)
        await asyncio.to_thread(getattr, definition, "digest")  # it is kept, and would take long on the event loop
        same = old is not None and old.definition.texts_digest == definition.texts_digest
        embeddings = old.embeddings if old and same else await self._embed(definition)
        return await to_the_end(self._store(name, LabelSet(definition, embeddings, tuning)))

    async def _store(self, name: str, label_set: LabelSet) -> LabelSet:
        async with self._writing:
            try:
                embeddings = await self._disk.run(self._files.write, name, label_set.definition, label_set.embeddings)
            except OSError:
                log.exception("label set %s was not stored", name)
                raise InternalError("The label set could not be written. The log has the reason.") from None
            self._sets[name] = stored = label_set._replace(embeddings=embeddings)
            await self._tidy()
            return stored

    async def _remove(self, name: str) -> None:
        async with self._writing:
            try:
                await self._disk.run(self._files.delete, name)
            except OSError:
                log.exception("label set %s was not deleted", name)
                raise InternalError("The label set could not be deleted. The log has the reason.") from None
            del self._sets[name]
            await self._tidy()

    async def _tidy(self) -> None:
        await self._disk.run(self._files.tidy, {kept.definition.texts_digest for kept in self._sets.values()})

    async def _embed(self, definition: LabelSetDefinition) -> np.ndarray:
        prompts = await asyncio.to_thread(lambda: definition.prompts)  # up to 100,000
        return await self._embedder.embed_prompts(prompts)

    def _name_lock(self, name: str) -> asyncio.Lock:
        return self._name_locks.setdefault(name, asyncio.Lock())


def check_name(name: str) -> str:
    """Returns the name.

    Raises:
        InvalidRequest: The name is not valid for a label set.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            "A label set's name has 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit."
        )
    return name


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Returns the result of the work. If the caller is cancelled, the work still ends before the error is raised."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:  # can happen twice: at the deadline, and when the client disconnects
            cancelled = error
    if cancelled:
        task.exception()  # marks it as retrieved; it is in the log already
        raise cancelled
    return task.result()
