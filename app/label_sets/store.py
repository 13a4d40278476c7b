"""Named label sets in memory and on disk: embedded once, then used by name, without the tokenizer and the text tower.

In memory a set is one value that is replaced as a whole, so a reader sees the old set or the new one. Writers of one
name take turns, from their precondition to the last byte on the disk; the disk takes one write at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from app.errors import InternalError, InvalidRequest, LabelSetNotFound, MethodNotAllowed, ServiceError
from app.inference.embedder import Embedder
from app.inference.identity import cache_key
from app.inference.threads import ThreadPool
from app.label_sets.data_folder import write_fault
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.files import NAME, LabelSetFiles
from app.label_sets.folder import LabelSetFolderError, read_folder
from app.label_sets.label_set import LabelSet, LabelSetEncoder
from app.label_sets.tuning import bind, keep_binding
from app.observability.record import RequestRecord
from app.settings import PREFIX, Settings

T = TypeVar("T")

MAX_LABEL_SETS = 1000

log = logging.getLogger("app")


Precondition = Callable[[LabelSet | None], None]
Change = Callable[[LabelSetDefinition], LabelSetDefinition]


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
        self._read_only = False

    async def load(self, embedder: Embedder) -> None:
        """Loads the stored sets and the operator's; embeds only those that were not embedded before.

        Raises:
            LabelSetFolderError: The operator's folder, or a file in it, cannot be used.
        """
        self._encoder = LabelSetEncoder(embedder, self._settings)
        info, settings, in_thread = embedder.encoder.info, self._settings, self._disk.run
        key = await in_thread(cache_key, info, settings)
        self._files = LabelSetFiles(settings.data_dir, key, info.embed_dim)
        if fault := await in_thread(write_fault, settings.data_dir):
            self._read_only = True
            log.warning("%sDATA_DIR cannot be written, so changes of label sets are refused: %s", PREFIX, fault)
        folder = settings.label_sets_dir
        given = await in_thread(read_folder, folder, settings.max_labels) if folder else {}
        stored = await in_thread(self._files.definitions, settings.max_labels)
        for name, sent in (stored | given).items():
            definition = sent
            if name in given:
                definition = keep_binding(await self._with_examples(name, sent), stored.get(name))
            if definition.is_tuned and not definition.tuned_for:
                log.warning("label set %s was tuned, but has no tuned_for: this model is used", name)
                definition = bind(definition, self._encoder.fingerprint)
            embeddings = await in_thread(self._files.embeddings, definition)
            if embeddings is None or name not in stored or stored[name].digest != definition.digest:
                if embeddings is None:
                    embeddings = await self._encoder.embed(definition)
                try:
                    embeddings = await in_thread(self._files.write, name, definition, embeddings)
                except OSError as error:
                    log.warning("label set %s will be embedded again at the next start: %s", name, error)
            try:
                self._sets[name] = await self._encoder.assemble(definition, embeddings)
            except ValueError as error:
                log.error("label set %s is not served: an example of it %s", name, error)  # noqa: TRY400 (a line)
        await self._tidy()
        if old := [name for name, label_set in self.all() if label_set.in_force is False]:
            log.warning(
                "these label sets were tuned for another model or other texts, and what was tuned is not in force: %s",
                ", ".join(old),
            )

    async def _with_examples(self, name: str, definition: LabelSetDefinition) -> LabelSetDefinition:
        try:
            return await self._encoder.embed_examples(definition, None, RequestRecord("start"))
        except ServiceError as error:
            raise LabelSetFolderError(f"label set {name}: {error}") from None

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

    async def put(
        self, name: str, definition: LabelSetDefinition, precondition: Precondition, record: RequestRecord
    ) -> tuple[LabelSet, bool]:
        """Embeds and stores a set. Returns it, and whether the name is new.

        Args:
            name: A name that `check_name` accepted.
            definition: A definition that `check_label_set` accepted.
            precondition: Called with the current set while no other caller writes this name; may raise.
            record: Gets the times.

        Raises:
            InvalidRequest: There are too many sets.
            ServiceError: An example cannot be used.
            Overloaded: The queue is full.
            InternalError: The set could not be stored; the old one stays.
        """
        self._check_writable()
        async with self._name_lock(name):
            old = self._sets.get(name)
            precondition(old)
            names = self._sets.keys() | self._name_locks.keys()  # including sets that are being stored
            if old is None and len(names) > MAX_LABEL_SETS:
                raise InvalidRequest(
                    f"There are {MAX_LABEL_SETS:,} label sets, and no more can be stored. Delete one first."
                )
            encoded = await self._encoder.encode(definition, old, record)
            return await to_the_end(self._store(name, encoded)), old is None

    async def change(self, name: str, change: Change, precondition: Precondition, record: RequestRecord) -> LabelSet:
        """Changes a set; embeds it again only if its texts change. Returns it.

        Args:
            name: The set's name.
            change: Returns the changed definition, checked; may raise.
            precondition: As of `put`.
            record: Gets the times.

        Raises:
            LabelSetNotFound: There is no set with this name.
            ServiceError: The change is not possible, or as of `put`.
        """
        self._check_writable()
        async with self._name_lock(name):
            old = self.get(name)
            precondition(old)
            definition = await asyncio.to_thread(change, old.definition)
            encoded = await self._encoder.encode(definition, old, record)
            return await to_the_end(self._store(name, encoded))

    async def preview(self, name: str | None, definition: LabelSetDefinition, record: RequestRecord) -> LabelSet:
        """Returns what `put` would store, and stores nothing. Without a name, nothing is replaced.

        Raises:
            LabelSetNotFound: There is no set with this name.
            ServiceError: As of `put`.
        """
        return await self._encoder.encode(definition, None if name is None else self.get(name), record)

    async def delete(self, name: str, precondition: Precondition) -> None:
        """Removes a set.

        Raises:
            LabelSetNotFound: There is no set with this name.
            InternalError: The set could not be removed; it stays.
        """
        self._check_writable()
        async with self._name_lock(name):
            precondition(self.get(name))
            await to_the_end(self._remove(name))

    def close(self) -> None:
        """Ends the thread."""
        self._disk.close()

    def _check_writable(self) -> None:
        """Raises MethodNotAllowed if nothing can be stored."""
        if self._read_only:
            detail = "This service cannot store label sets: its data folder is read-only. Its log has the reason."
            raise MethodNotAllowed(detail, headers={"Allow": "GET, HEAD"})

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
