import numpy as np
import pytest

from app.inference.scoring import prompt_means, scored_image
from app.schemas import ClassifyOptions, ImageFacts, ScoredImage
from model.zero_shot import Scores

FACTS = ImageFacts(width=1, height=1, format="PNG", notes=[])


def scored(logits: list[float], **options) -> ScoredImage:
    """Returns the scores of labels whose names are their indices."""
    values = np.array(logits, np.float32)
    labels = [str(index) for index in range(len(logits))]
    return scored_image(
        FACTS, labels, Scores(values, 1 / (1 + np.exp(-values)), values), ClassifyOptions(labels=labels, **options)
    )


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, "2031"),
        ({"top_k": 2}, "20"),
        ({"top_k": 9}, "2031"),
        ({"threshold": 0.5}, "203"),
        ({"top_k": 1, "threshold": 0.5}, "2"),
    ],
)
def test_scores_are_sorted_by_falling_logit_with_ties_in_the_order_of_the_labels(options, order):
    assert "".join(score.label for score in scored([0.0, -1.0, 3.0, 0.0], **options).scores) == order


def test_a_thousand_labels_with_equal_logits_keep_their_order():
    order = [int(score.label) for score in scored([0, 1] * 500).scores]
    assert order == [*range(1, 1000, 2), *range(0, 1000, 2)]


def test_a_label_may_be_the_mean_of_any_number_of_prompts():
    embeddings = np.eye(3, dtype=np.float32)
    half = np.sqrt(np.float32(0.5))
    np.testing.assert_allclose(prompt_means(embeddings, [1, 2]), [[1, 0, 0], [0, half, half]], rtol=1e-6)


def test_scores_are_rounded_to_the_digits_of_a_float32():
    (best, _) = scored([0.1, -1]).scores
    assert best.model_dump() == {"label": "0", "logit": 0.1, "sigmoid": 0.5249792, "softmax": 0.1}
