"""An encoder as `siglip evaluate` uses it: loaded here, or that of a running service."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
from pydantic import JsonValue, ValidationError

from app.batch import BatchMistake
from app.batch.classifiers import classifiers
from app.batch.files import ReadableFile
from app.cli import MISTAKE, as_command_error
from app.cli.client import Service
from app.cli.embedded_files import Embedded, embedded_by_model, embedded_by_service
from app.cli.local import embed_definition
from app.cli.printing import print_warnings
from app.cli.service_info import ServiceInfo, ServiceLimits
from app.evaluation.logits import class_logits
from app.inference.embeddings import EmbedResponse
from app.inference.encoder import Encoder
from app.inference.identity import cache_key, model_fingerprint
from app.inference.label_warnings import prompt_warnings
from app.inference.scoring import prompt_means
from app.label_sets.definition import LabelSetDefinition
from app.settings import Settings

TEXTS_PER_REQUEST = 500  # on a CPU, a base model computes them within the service's deadline of a minute

OnStage = Callable[[str], None]


class EncoderFacts(NamedTuple):
    """What identifies an encoder, and turns its cosines into logits."""

    variant: str
    weights: str
    shown: dict[str, JsonValue]
    """Engine, dtype and device, for the reader of a result."""
    model_fingerprint: str
    cache_key: str
    embed_dim: int
    scale: float
    bias: float

    def logits(self, embeddings: np.ndarray, definition: LabelSetDefinition, texts: np.ndarray) -> np.ndarray:
        """Returns the scores of images [N, E] for K labels, [N, K] float32.

        Args:
            embeddings: The images.
            definition: The labels. If they have examples, the scores are those of what is learnt from them.
            texts: The class embeddings of the labels, [K, E].

        Raises:
            CommandError: An example has no embedding, or is of another model.
        """
        with as_command_error(BatchMistake, status=MISTAKE):
            weights, biases = classifiers(definition, texts, self.model_fingerprint, self.scale, self.bias)
        return class_logits(embeddings, weights, self.scale, biases)


class Towers(NamedTuple):
    """Both towers of an encoder. They keep it in memory; its facts do not."""

    facts: EncoderFacts
    embed_images: Callable[[Iterable[ReadableFile]], Iterator[Embedded]]
    embed_labels: Callable[[LabelSetDefinition, OnStage], np.ndarray]
    """Class embeddings [K, E]."""


def local_towers(encoder: Encoder, settings: Settings) -> Towers:
    """Returns a loaded encoder's."""
    info = encoder.info
    facts = EncoderFacts(
        variant=info.variant,
        weights=info.weights,
        shown={"engine": info.engine, "dtype": info.dtype, "device": info.device, "weights_sha256": info.sha256},
        model_fingerprint=model_fingerprint(info, settings),
        cache_key=cache_key(info, settings),
        embed_dim=info.embed_dim,
        scale=encoder.scale,
        bias=encoder.bias,
    )

    def embed_labels(definition: LabelSetDefinition, on_stage: OnStage) -> np.ndarray:
        print_warnings(prompt_warnings(encoder, definition.names, definition.prompts))
        return embed_definition(encoder, settings, definition, on_stage)

    return Towers(facts, lambda files: embedded_by_model(encoder, settings, files, frame=0), embed_labels)


class TowersLimits(ServiceLimits):
    """The limits that decide how much one request contains."""

    max_labels: int


class TowersInfo(ServiceInfo):
    """A part of the response of `GET /info`."""

    cache_key: str
    engine: str
    dtype: str
    device: str
    sha256: str
    scale: float
    bias: float
    version: str
    limits: TowersLimits


def remote_towers(service: Service, url: str) -> Towers:
    """Returns a running service's.

    Raises:
        CommandError: It does not respond, or it is another kind of service, or an older one.
    """
    try:
        info = TowersInfo.model_validate_json(service.ask("GET", "/info").content)
    except ValidationError:
        raise service.not_ours() from None

    def embed_labels(definition: LabelSetDefinition, on_stage: OnStage) -> np.ndarray:
        prompts = definition.prompts
        texts = list(chain.from_iterable(prompts))
        rows = list(embedded_texts(service, texts, min(TEXTS_PER_REQUEST, info.limits.max_labels), on_stage))
        return prompt_means(np.concatenate(rows), [len(own) for own in prompts])

    shown: dict[str, JsonValue] = {"server": url, "server_version": info.version}
    facts = EncoderFacts(
        variant=info.variant,
        weights=info.weights,
        shown=shown
        | {"engine": info.engine, "dtype": info.dtype, "device": info.device, "weights_sha256": info.sha256},
        model_fingerprint=info.model_fingerprint,
        cache_key=info.cache_key,
        embed_dim=info.embed_dim,
        scale=info.scale,
        bias=info.bias,
    )
    return Towers(facts, lambda files: embedded_by_service(service, info, files, frame=0), embed_labels)


def embedded_texts(service: Service, texts: list[str], size: int, on_stage: OnStage) -> Iterator[np.ndarray]:
    """Yields the embeddings of texts, [N, E] float32, `size` texts at a time.

    Raises:
        CommandError: The service does not respond, or refuses.
    """
    for start in range(0, len(texts), size):
        on_stage(f"labels, {start:,} of {len(texts):,} prompts")
        some = texts[start : start + size]
        response = service.ask("POST", "/embed/text", json={"texts": some})
        try:
            rows = np.array(EmbedResponse.model_validate_json(response.content).embeddings, np.float32)
        except ValueError:  # also Pydantic's
            raise service.not_ours() from None
        if rows.ndim != 2 or len(rows) != len(some):
            raise service.not_ours()
        yield rows
