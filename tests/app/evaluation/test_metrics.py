import numpy as np
import pytest

from app.evaluation.answers import find_answers
from app.evaluation.metrics import (
    Data,
    LabelMetrics,
    Summary,
    bootstrap_map_replicates,
    confusions,
    describe_data,
    label_metrics,
    macro_average,
    summarize,
)
from tests.app.evaluation.synthetic import looped_average_precision, scores

# Five images of three labels, the last one of none; their best labels are a, b, b, a, c. Label d has no image.
LABELS = ["a", "b", "c", "d"]
LOGITS = np.array([[2, 1, 0, -1], [1, 2, 0, -1], [1, 3, 2, -1], [2, 1, 0, -1], [-4, -3, -2, -5]], dtype=np.float32)
TRUTH = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)


def measured(logits: np.ndarray, truth: np.ndarray, labels: list[str]) -> tuple[Data, list[LabelMetrics], Summary]:
    answers, data = find_answers(logits, truth), describe_data(truth)
    per_label = label_metrics(logits, truth, labels, answers, data)
    return data, per_label, summarize(logits, truth, per_label, answers, data)


def test_a_tiny_set_has_the_numbers_computed_by_hand():
    data, per_label, summary = measured(LOGITS, TRUTH, LABELS)
    assert data == Data(
        images=5, none_images=1, labels=4, labels_without_images=[3], multi_label=False, decision="top1"
    )
    # a: two images, of which one is found; predicted for images 1 and 4. b: one image, found; predicted for 2 and 3.
    shares = [(label.support, label.predicted, label.precision, label.recall, label.f1) for label in per_label]
    assert shares[:2] == [(2, 2, 0.5, 0.5, 0.5), (1, 2, 0.5, 1.0, pytest.approx(2 / 3))]
    assert shares[2:] == [(1, 0, 0.0, 0.0, 0.0), (0, 0, None, None, None)]
    # a: scores 2 (true), 2 (false) are tied, then 1 (true), 1 (false): 1/2 * 1/2 + 1/2 * 2/4. b: 3 is the highest.
    # c: 2 is another label's image; 0 is a tie of one true and two false, after one: 1 * 1/4.
    precisions = [label.average_precision for label in per_label]
    assert precisions == [pytest.approx(0.5), pytest.approx(1.0), pytest.approx(0.25), None]
    assert summary.top1.value == 0.5
    assert summary.top5 is None
    assert summary.macro_precision.value == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert summary.macro_recall.value == pytest.approx((0.5 + 1 + 0) / 3)
    assert summary.macro_f1.value == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    assert summary.map.value == pytest.approx((0.5 + 1 + 0.25) / 3)
    assert summary.false_accept_rate.value == 0.0


def test_several_labels_an_image_are_predicted_by_a_sigmoid_of_at_least_one_half():
    logits = np.array([[1, 0, -1], [-1, 1, -2], [-1, -1, 2]], dtype=np.float32)
    truth = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    data, per_label, summary = measured(logits, truth, LABELS[:3])
    assert (data.multi_label, data.decision) == (True, "sigmoid_0.5")
    assert [label.predicted for label in per_label] == [1, 2, 1]
    assert [(label.precision, label.recall) for label in per_label] == [(1, 1), (0.5, 1), (0, 0)]
    assert summary.top1.value == 0.5  # the best label of the first image is true; the last image is left out
    assert summary.false_accept_rate.value == 1.0


def test_numbers_are_those_of_plain_loops():
    logits, truth, labels = scores(images=200, labels=8)
    logits = logits.round(1)
    _, per_label, summary = measured(logits, truth, labels)
    best = [max(range(8), key=lambda label: (row[label], -label)) for row in logits]
    known = [image for image in range(200) if truth[image].any()]
    right = [image for image in known if truth[image, best[image]]]
    among_five = [image for image in known if truth[image, sorted(range(8), key=lambda i: -logits[image, i])[:5]].any()]
    assert summary.top1.value == len(right) / len(known)
    assert summary.top5.value == len(among_five) / len(known)
    for label in per_label:
        true = {image for image in known if truth[image, label.index]}
        predicted = {image for image in known if best[image] == label.index}
        assert (label.support, label.predicted) == (len(true), len(predicted))
        assert label.precision == pytest.approx(len(true & predicted) / len(predicted))
        assert label.recall == pytest.approx(len(true & predicted) / len(true))
        assert label.f1 == pytest.approx(2 * len(true & predicted) / (len(true) + len(predicted)))
        expected = looped_average_precision(logits[:, label.index], truth[:, label.index])
        assert label.average_precision == pytest.approx(expected)
    for name in ("macro_precision", "macro_recall", "macro_f1", "map", "top1", "top5", "false_accept_rate"):
        estimate = getattr(summary, name)
        assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize(
    ("logits", "truth", "top1", "f1"),
    [
        ([[0.5]], [[True]], 1.0, 1.0),  # one label, one image
        ([[0.5], [-1.0]], [[True], [False]], 1.0, 1.0),  # one label: what has it is right
        ([[1.0, 2.0]], [[True, False]], 0.0, 0.0),  # one image
        (np.eye(4).tolist(), np.eye(4, dtype=bool).tolist(), 1.0, 1.0),  # one image a label
        ([[1.0, 1.0], [1.0, 1.0]], [[True, False], [False, True]], 0.5, 1 / 3),  # ties
    ],
)
def test_degenerate_sets_have_numbers(logits, truth, top1, f1):
    logits, truth = np.array(logits), np.array(truth)
    _, _, summary = measured(logits, truth, [f"label {i}" for i in range(logits.shape[1])])
    assert summary.top1.value == top1
    assert summary.macro_f1.value == pytest.approx(f1)


def test_images_of_none_alone_have_no_accuracy():
    data, per_label, summary = measured(np.array([[1.0, -1.0], [-1.0, -1.0]]), np.zeros((2, 2), dtype=bool), ["a", "b"])
    assert (data.none_images, data.labels_without_images) == (2, [0, 1])
    assert summary.false_accept_rate.value == 0.5
    assert (summary.top1, summary.macro_f1, summary.map) == (None, None, None)
    assert [label.average_precision for label in per_label] == [None, None]


def test_confusions_are_counted_the_most_frequent_first():
    best, true = [1, 1, 1, 0, 2, 2], [0, 0, 1, 2, 2, 0]
    logits = np.eye(3)[best]
    listed, left_out = confusions(find_answers(logits, np.eye(3, dtype=bool)[true]), 3)
    assert [(each.true, each.predicted, each.images) for each in listed] == [(0, 1, 2), (0, 2, 1), (2, 0, 1)]
    assert left_out == 0


def test_rare_confusions_are_left_out_and_counted():
    logits, truth, _ = scores(images=12_000, labels=600, true=0.0, none=0)
    answers = find_answers(logits, truth)
    listed, left_out = confusions(answers, 600)
    pairs = {pair for pair in zip(answers.true.tolist(), answers.best.tolist(), strict=True) if pair[0] != pair[1]}
    assert (len(listed), left_out) == (10_000, len(pairs) - 10_000)
    counts = [each.images for each in listed]
    assert counts == sorted(counts, reverse=True)


def test_a_macro_average_leaves_out_what_is_unknown():
    assert macro_average([1.0, None, 0.0]) == 0.5
    assert macro_average([None]) is None


def test_the_bootstrap_of_average_precision_is_bounded_by_its_work():
    truth = np.ones((10_000, 1), dtype=bool)
    assert bootstrap_map_replicates(truth) == 1000
    assert bootstrap_map_replicates(np.broadcast_to(truth, (10_000, 250))) == 400
    assert bootstrap_map_replicates(np.broadcast_to(truth, (10_000, 1000))) == 0
