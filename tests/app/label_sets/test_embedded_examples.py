"""What learns from examples, and how many images a definition contains."""

import numpy as np

from app.label_sets.definition import LabelDefinition, LabelSetDefinition
from app.label_sets.embedded_examples import learnt, num_images
from app.label_sets.examples import Example, stored_example

OURS = "1" * 64
CLASSES = np.eye(3, dtype=np.float32)
SCALE, BIAS = 10.0, -5.0


def unit(*values: float) -> np.ndarray:
    row = np.array(values, np.float32)
    return row / np.linalg.norm(row)


def test_only_images_count_as_images():
    cat = LabelDefinition(label="cat", examples=["aGk=", Example(digest="2" * 64)], counterexamples=[b"file"])
    assert num_images(LabelSetDefinition(labels=["dog", cat])) == 2


def test_labels_with_examples_learn_and_the_others_keep_their_text():
    cat = LabelDefinition(
        label="cat",
        examples=[stored_example(unit(0.5, 0.5, 0.1), OURS)],
        counterexamples=[stored_example(unit(0.6, 0.1, 0.6), OURS)],
    )
    definition = LabelSetDefinition(labels=["dog", cat, "bird"])
    weights, biases = learnt(definition, CLASSES, SCALE, BIAS)
    assert np.array_equal(weights[[0, 2]], CLASSES[[0, 2]])
    assert np.array_equal(biases[[0, 2]], np.full(2, BIAS, np.float32))
    before, after = CLASSES[1], weights[1]
    shown, other = unit(0.5, 0.5, 0.1), unit(0.6, 0.1, 0.6)
    assert after @ shown - after @ other > before @ shown - before @ other
