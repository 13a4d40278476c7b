"""A label set that images can be scored with, and how a definition becomes one."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.inference.acceptance import NOT_IN_FORCE, Tuning
from app.inference.embedder import Embedder
from app.inference.identity import model_fingerprint
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.embedded_examples import embed_examples, learnt
from app.label_sets.examples import Example
from app.label_sets.tuning import bind, is_in_force, make_tuning
from app.observability.record import RequestRecord
from app.schemas import ResponseWarning
from app.settings import Settings
from model.few_shot import Classifiers


class LabelSet(NamedTuple):
    """A definition, its class embeddings [K, E], and what was tuned for it.

    `in_force` says whether what was tuned is used; None if nothing was tuned. `learnt` are the classifiers if labels
    have examples, and these are in force.
    """

    definition: LabelSetDefinition
    embeddings: np.ndarray
    tuning: Tuning | None
    in_force: bool | None
    learnt: Classifiers | None
    label_warnings: Sequence[ResponseWarning]

    @property
    def weights(self) -> np.ndarray:
        """What image embeddings are multiplied by, [K, E]."""
        return self.learnt.weights if self.learnt else self.embeddings

    @property
    def biases(self) -> np.ndarray | None:
        """The biases of learnt classifiers, [K], or None: the model's bias."""
        return self.learnt.biases if self.learnt else None

    @property
    def etag(self) -> str:
        """The strong entity tag of what GET returns; equal definitions have equal tags."""
        return f'"{self.definition.digest}{"-not-in-force" if self.in_force is False else ""}"'

    @property
    def untuned(self) -> "LabelSet":
        """The same labels without anything that was tuned."""
        return self._replace(tuning=None, in_force=None, learnt=None)

    @property
    def warnings(self) -> list[ResponseWarning]:
        """What a reader of the set or of its scores must know."""
        return [*self.label_warnings, *([NOT_IN_FORCE] if self.in_force is False else [])]


class LabelSetEncoder:
    """Turns definitions into label sets.

    Args:
        embedder: Embeds texts and images.
        settings: The limits, and what the encoder's identity depends on.
    """

    def __init__(self, embedder: Embedder, settings: Settings) -> None:
        self._embedder = embedder
        self._settings = settings
        self.fingerprint = model_fingerprint(embedder.encoder.info, settings)

    async def encode(self, definition: LabelSetDefinition, old: LabelSet | None, record: RequestRecord) -> LabelSet:
        """Returns the label set of a definition as a client sends it. What `old` has already is not embedded again.

        Args:
            definition: A definition that `check_label_set` accepted. Its examples may be images.
            old: The set that it replaces.
            record: Gets the times.

        Raises:
            ServiceError: An example cannot be used; see `embed_examples`.
            Overloaded: The queue is full.
            InternalError: The device failed.
        """
        definition = await self.embed_examples(definition, old, record)
        definition = await asyncio.to_thread(bind, definition, self.fingerprint)
        same = old is not None and old.definition.texts_digest == definition.texts_digest
        embeddings = old.embeddings if old and same else await self.embed(definition)
        return await self.assemble(definition, embeddings)

    async def embed_examples(
        self, definition: LabelSetDefinition, old: LabelSet | None, record: RequestRecord
    ) -> LabelSetDefinition:
        """Returns the definition with all examples as they are stored; see `embedded_examples.embed_examples`."""
        known = [example for example in old.definition.examples if isinstance(example, Example)] if old else []
        of_set = definition.tuned_for.model_fingerprint if definition.tuned_for else self.fingerprint
        fingerprints = of_set, self.fingerprint
        return await embed_examples(definition, known, fingerprints, self._embedder, self._settings, record)

    async def embed(self, definition: LabelSetDefinition) -> np.ndarray:
        """Returns the class embeddings of a definition, [K, E]."""
        prompts = await asyncio.to_thread(lambda: definition.prompts)  # up to 100,000
        return await self._embedder.embed_prompts(prompts)

    async def assemble(self, definition: LabelSetDefinition, embeddings: np.ndarray) -> LabelSet:
        """Returns the label set of a definition and its class embeddings.

        Raises:
            ValueError: A stored example is damaged.
        """
        warnings = await self._embedder.label_warnings(
            definition.names, await asyncio.to_thread(lambda: definition.prompts)
        )
        return await asyncio.to_thread(self._assembled, definition, embeddings, warnings)

    def _assembled(
        self, definition: LabelSetDefinition, embeddings: np.ndarray, warnings: Sequence[ResponseWarning]
    ) -> LabelSet:
        in_force = is_in_force(definition, self.fingerprint)
        label_set = LabelSet(
            definition,
            embeddings,
            make_tuning(definition, self.fingerprint),
            in_force,
            self._learnt(definition, embeddings) if in_force and definition.examples else None,
            warnings,
        )
        _ = label_set.etag  # its digest is kept, and would take long on the event loop
        return label_set

    def _learnt(self, definition: LabelSetDefinition, embeddings: np.ndarray) -> Classifiers:
        encoder = self._embedder.encoder
        try:
            return learnt(definition, embeddings, encoder.scale, encoder.bias)
        except ValueError as error:
            raise ValueError(f"an example of it {error}") from None
