"""Labels to classifiers without a service: their texts, or what is learnt from their examples."""

from collections.abc import Callable

import numpy as np

from app.batch import BatchMistake
from app.batch.embedding import embed_labels
from app.inference.encoder import Encoder
from app.inference.identity import model_fingerprint
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.embedded_examples import learnt
from app.label_sets.examples import Example
from app.label_sets.tuning import is_in_force
from app.settings import Settings
from model.few_shot import Classifiers


def text_classifiers(class_embeddings: np.ndarray, bias: float) -> Classifiers:
    """Returns the classifiers of labels without examples, from class embeddings [K, E]."""
    return Classifiers(class_embeddings, np.full(len(class_embeddings), bias, np.float32))


def embedded_examples(definition: LabelSetDefinition) -> list[Example]:
    """Returns all examples of a label set.

    Raises:
        BatchMistake: One has no embedding.
    """
    found = [example for example in definition.examples if isinstance(example, Example) and example.embedding]
    if len(found) < len(definition.examples):
        raise BatchMistake(
            "the label set has examples without embeddings: add images with `siglip tune`, and read a service's "
            "set with `siglip label-sets export`"
        )
    return found


def classifiers(
    definition: LabelSetDefinition, class_embeddings: np.ndarray, fingerprint: str, scale: float, bias: float
) -> Classifiers:
    """Returns the classifiers of K labels.

    Args:
        definition: The labels. Their examples must have embeddings.
        class_embeddings: [K, E].
        fingerprint: The encoder's `model_fingerprint`.
        scale: The model's temperature.
        bias: The model's bias.

    Raises:
        BatchMistake: An example has no embedding, or is of another model.
    """
    if not definition.examples:
        return text_classifiers(class_embeddings, bias)
    if any(example.model_fingerprint != fingerprint for example in embedded_examples(definition)):
        raise BatchMistake("the label set has examples of another model")
    try:
        return learnt(definition, class_embeddings, scale, bias)
    except ValueError as error:
        raise BatchMistake(f"an example of the label set {error}") from None


def embedded_classifiers(
    encoder: Encoder, settings: Settings, definition: LabelSetDefinition, on_stage: Callable[[str], None]
) -> Classifiers:
    """Returns the classifiers of the labels, as the service would use them.

    Raises:
        BatchError: The device failed.
        BatchMistake: An example has no embedding, or is of another model.
    """
    fingerprint = model_fingerprint(encoder.info, settings)
    texts = embed_labels(encoder, definition, settings.max_batch, on_stage)
    if is_in_force(definition, fingerprint):
        return classifiers(definition, texts, fingerprint, encoder.scale, encoder.bias)
    return text_classifiers(texts, encoder.bias)
