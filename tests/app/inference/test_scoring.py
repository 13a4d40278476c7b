import numpy as np
import pytest

from app.inference.scoring import Classification, prompt_means, scored_image
from app.schemas import ClassifyOptions, ImageFacts
from model.zero_shot import Scores


@pytest.mark.parametrize(
    ("top_k", "threshold", "order"),
    [(None, None, [2, 0, 3, 1]), (2, None, [2, 0]), (9, None, [2, 0, 3, 1]), (None, 0.5, [2, 0, 3]), (1, 0.5, [2])],
)
def test_labels_are_ordered_by_falling_logit_with_ties_in_order(top_k, threshold, order):
    logits = np.array([0.0, -1.0, 3.0, 0.0], np.float32)
    scores = Scores(logits, 1 / (1 + np.exp(-logits)), logits)
    assert Classification(scores).order(top_k, threshold).tolist() == order


def test_a_thousand_equal_labels_keep_their_order():
    logits = np.array([0, 1] * 500, np.float32)
    order = Classification(Scores(logits, logits, logits)).order().tolist()
    assert order == [*range(1, 1000, 2), *range(0, 1000, 2)]


def test_a_label_may_be_the_mean_of_any_number_of_prompts():
    embeddings = np.eye(3, dtype=np.float32)
    half = np.sqrt(np.float32(0.5))
    np.testing.assert_allclose(prompt_means(embeddings, [1, 2]), [[1, 0, 0], [0, half, half]], rtol=1e-6)


def test_scores_are_told_with_the_digits_that_they_have_and_cut_as_asked():
    logits = np.array([-1, 0.1], np.float32)
    classification = Classification(Scores(logits, logits, logits))
    facts = ImageFacts(width=1, height=1, format="PNG", notes=[])
    scored = scored_image(facts, ["cat", "dog"], classification, ClassifyOptions(labels=["cat", "dog"], top_k=1))
    assert [score.model_dump() for score in scored.scores] == [
        {"label": "dog", "logit": 0.1, "sigmoid": 0.1, "softmax": 0.1}
    ]
