import numpy as np
import pytest

from app.evaluation import answers
from app.evaluation.answers import check_scores, find_answers, row_blocks
from tests.app.evaluation.synthetic import scores

LABELS = ["a", "b", "c"]


def test_answers_are_the_best_labels_and_the_rank_of_the_best_true_label():
    logits = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0], [1.0, 2.0, 3.0]])
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    found = find_answers(logits, truth)
    assert found.best.tolist() == [0, 2, 1, 2]
    assert found.second.tolist() == [1, 1, 0, 1]
    assert found.true.tolist() == [0, 1, 2, -1]
    assert found.rank.tolist() == [0, 1, 2, -1]


def test_of_equal_scores_the_label_with_the_lower_index_comes_first():
    logits = np.ones((3, 3))
    found = find_answers(logits, np.eye(3, dtype=bool))
    assert found.best.tolist() == [0, 0, 0]
    assert found.second.tolist() == [1, 1, 1]
    assert found.rank.tolist() == [0, 1, 2]


def test_a_single_label_is_best_and_second():
    found = find_answers(np.array([[-5.0]]), np.array([[True]]))
    assert (found.best.tolist(), found.second.tolist(), found.rank.tolist()) == ([0], [0], [0])


@pytest.mark.parametrize(("images", "labels"), [(101, 15), (9, 1_000_000)])  # one block of rows, and three
def test_answers_are_those_of_a_stable_sort(images, labels):
    logits, truth, _ = scores(images=images, labels=labels, several=0.3)
    logits = logits.round()  # many ties
    found = find_answers(logits, truth)
    for row, (scored, true) in enumerate(zip(logits, truth, strict=True)):
        order = np.argsort(-scored, kind="stable")
        ranks = np.flatnonzero(true[order])
        assert [found.best[row], found.second[row]] == order[:2].tolist()
        assert found.rank[row] == (ranks[0] if len(ranks) else -1)
        assert found.true[row] == (order[ranks[0]] if len(ranks) else -1)


def test_blocks_cover_all_rows_and_have_at_least_one():
    wide = np.zeros((3, answers.BLOCK + 1), dtype=np.int8)
    assert [(rows.start, rows.stop) for rows in row_blocks(wide)] == [(0, 1), (1, 2), (2, 3)]
    assert list(row_blocks(np.zeros((5, 2)))) == [slice(0, answers.BLOCK // 2)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_must_be_finite(bad):
    logits = np.zeros((4, 3))
    logits[2, 1] = bad
    with pytest.raises(ValueError, match="Image 3 has NaN or infinity"):
        check_scores(logits, np.zeros((4, 3), dtype=bool), LABELS)


@pytest.mark.parametrize(
    ("logits", "truth", "message"),
    [
        (np.zeros(3), np.zeros(3, dtype=bool), "logits must be a float array"),
        (np.zeros((2, 3), dtype=int), np.zeros((2, 3), dtype=bool), "logits must be a float array"),
        (np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), "at least one image and one label"),
        (np.zeros((2, 3)), np.zeros((2, 2), dtype=bool), "truth must be a boolean array"),
        (np.zeros((2, 3)), np.zeros((2, 3)), "truth must be a boolean array"),
        (np.zeros((2, 2)), np.zeros((2, 2), dtype=bool), "one text for each of the 2 labels"),
    ],
)
def test_shapes_and_types_are_checked(logits, truth, message):
    with pytest.raises(ValueError, match=message):
        check_scores(logits, truth, LABELS)
