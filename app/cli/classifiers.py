"""Labels to classifiers without a service: their texts, or what is learnt from their examples."""

from collections.abc import Callable

import numpy as np

from app.cli import MISTAKE, CommandError
from app.cli.local import embed_definition
from app.cli.printing import print_warnings
from app.inference.acceptance import NOT_IN_FORCE, Tuning
from app.inference.encoder import Encoder
from app.inference.identity import model_fingerprint
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.embedded_examples import learnt
from app.label_sets.examples import Example
from app.label_sets.tuning import is_in_force, make_tuning
from app.settings import Settings
from model.few_shot import Classifiers


def text_classifiers(class_embeddings: np.ndarray, bias: float) -> Classifiers:
    """Returns the classifiers of labels without examples, from class embeddings [K, E]."""
    return Classifiers(class_embeddings, np.full(len(class_embeddings), bias, np.float32))


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
        CommandError: An example has no embedding, or is of another model.
    """
    if not definition.examples:
        return text_classifiers(class_embeddings, bias)
    for example in definition.examples:
        if not isinstance(example, Example) or example.embedding is None:
            raise CommandError(
                "the label set has examples without embeddings: add images with `siglip tune`, and read a service's "
                "set with `siglip label-sets export`",
                MISTAKE,
            )
        if example.model_fingerprint != fingerprint:
            raise CommandError("the label set has examples of another model", MISTAKE)
    try:
        return learnt(definition, class_embeddings, scale, bias)
    except ValueError as error:
        raise CommandError(f"an example of the label set {error}", MISTAKE) from None


def local_tuning(encoder: Encoder, settings: Settings, definition: LabelSetDefinition) -> Tuning | None:
    """Returns what was tuned for the labels, as the service would use it. Prints a warning if it is not in force."""
    tuning = make_tuning(definition, model_fingerprint(encoder.info, settings))
    if tuning and not tuning.in_force:
        print_warnings([NOT_IN_FORCE])
    return tuning


def local_classifiers(
    encoder: Encoder, settings: Settings, definition: LabelSetDefinition, on_stage: Callable[[str], None]
) -> Classifiers:
    """Returns the classifiers of the labels, as the service would use them."""
    fingerprint = model_fingerprint(encoder.info, settings)
    texts = embed_definition(encoder, settings, definition, on_stage)
    if is_in_force(definition, fingerprint):
        return classifiers(definition, texts, fingerprint, encoder.scale, encoder.bias)
    return text_classifiers(texts, encoder.bias)
