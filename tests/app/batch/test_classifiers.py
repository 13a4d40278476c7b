"""The same classifiers as the service's are tested with whole commands: tests/app/cli/test_classifiers.py."""

import numpy as np
import pytest

from app.batch import BatchMistake
from app.batch.classifiers import classifiers, embedded_classifiers
from app.label_sets.definition import LabelDefinition, LabelSetDefinition
from app.settings import Settings
from tests.fakes import BIAS, SCALE, FakeEncoder


def test_labels_without_examples_have_their_texts_and_the_models_bias():
    encoder = FakeEncoder()
    weights, biases = embedded_classifiers(
        encoder, Settings(), LabelSetDefinition(labels=["cat", "dog"]), lambda _: None
    )
    expected = encoder.encode_texts(encoder.prepare_text(["This is a photo of cat.", "This is a photo of dog."]))
    np.testing.assert_array_equal(weights, expected)
    assert biases.tolist() == [BIAS, BIAS]


def test_an_example_without_an_embedding_cannot_be_used():
    definition = LabelSetDefinition(labels=[LabelDefinition(label="cat", examples=["1" * 64])])
    with pytest.raises(BatchMistake, match="examples without embeddings"):
        classifiers(definition, np.zeros((1, 32)), "0" * 64, SCALE, BIAS)
