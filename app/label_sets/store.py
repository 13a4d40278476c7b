"""Where label sets are kept, so that several processes and machines share them.

A store keeps two kinds of things:

    a definition   JSON text by the set's name, with the revision at which it was written. Nothing else has it.
    embeddings     bytes by encoder and texts. They can be computed again, so they expire if nobody renews them.

Revisions grow with every change of a store, and are also times in microseconds. So the newer of two versions of a set
is the one with the higher revision, even if the store has lost its content in between. A deleted set leaves its name
and the revision of its deletion.

A change names the revision that it replaces. If the store has another one, nothing is changed.
"""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from app.errors import InvalidRequest

SCHEMA = 1  # of the tables and keys. A store with a higher one cannot be used by this version.
MAX_LABEL_SETS = 1000
MAX_DELETED = 1000  # names of deleted sets that are kept
KEPT_S = 30 * 24 * 3600  # embeddings, since somebody renewed them
RELEASED_S = 60  # embeddings that no set of their encoder uses any more


class StoreError(Exception):
    """The store cannot be used, or has failed. The message says why, without secrets."""


class Conflict(Exception):
    """The store has another revision of the set than the one to be replaced."""


class State(NamedTuple):
    """What differs after every change: the store's id, made with the store, and its revision."""

    store: str
    revision: int


class Versions(NamedTuple):
    """The revisions of all sets. Deletions up to `forgotten` may be missing in `deleted`."""

    sets: dict[str, int]
    deleted: dict[str, int]
    forgotten: int


class Stored(NamedTuple):
    """A definition and its revision. The text None means deleted."""

    revision: int
    text: str | None


class Embeddings(NamedTuple):
    """Class embeddings: the encoder's `cache_key`, the definition's `texts_digest`, and the bytes."""

    encoder: str
    texts: str
    content: bytes


class LabelSetStore(Protocol):
    """A store. Every method that waits raises `StoreUnavailable` if the store does not answer soon."""

    @property
    def fault(self) -> str | None:
        """Why nothing can be changed, or None. Known after `open`."""

    async def open(self) -> None:
        """Connects, and makes the store if there is none. May be called again.

        Raises:
            StoreError: The store can never be used as it is configured.
        """

    def changed(self) -> bool:
        """Returns at once whether there is a change that is not loaded, as far as is known without waiting."""

    def loaded(self) -> None:
        """Says that what the last `state` named is loaded."""

    async def wait(self, seconds: float) -> None:
        """Waits this long, or until there is a change. Raises nothing."""

    async def state(self) -> State:
        """Returns the state; makes the store if it is empty."""

    async def versions(self) -> Versions:
        """Returns the revisions of all sets."""

    async def definitions(self, names: Collection[str]) -> dict[str, Stored]:
        """Returns the sets with these names that exist."""

    async def change(self, name: str, text: str | None, expected: int, embeddings: Embeddings | None = None) -> int:
        """Replaces a set, and keeps its embeddings if given, in one step. Returns the new revision.

        Args:
            name: The set's name.
            text: The definition; None deletes the set.
            expected: The revision of the set that is replaced, or 0 if there is none.
            embeddings: New class embeddings for the definition.

        Raises:
            Conflict: The set has another revision.
            InvalidRequest: There are too many sets.
            StoreError: The store has failed.
        """

    async def put_back(self, name: str, stored: Stored) -> None:
        """Stores what an emptied store has lost, unless it has the same revision or a newer one."""

    async def embeddings(self, encoder: str, texts: str) -> bytes | None:
        """Returns embeddings."""

    async def keep(self, embeddings: Embeddings) -> None:
        """Stores embeddings for `KEPT_S`."""

    async def renew(self, encoder: str, texts: Collection[str]) -> set[str]:
        """Keeps embeddings for another `KEPT_S`. Returns the texts without embeddings."""

    async def release(self, encoder: str, texts: str) -> None:
        """Lets embeddings expire soon, unless somebody renews them."""

    async def close(self) -> None:
        """Ends connections and threads."""


def too_many_sets() -> InvalidRequest:
    """Returns the error for a new set when there are as many as a store takes."""
    return InvalidRequest(f"There are {MAX_LABEL_SETS:,} label sets, and no more can be stored. Delete one first.")
