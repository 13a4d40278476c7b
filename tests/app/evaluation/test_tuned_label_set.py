"""The written label set: what the service reads, and what each label gets."""

import numpy as np
import pytest

from app.evaluation.evaluation import evaluate
from app.evaluation.tuned_label_set import tuned_label_set, untuned
from app.label_sets.definition import Calibration, LabelDefinition, LabelSetDefinition
from app.label_sets.examples import stored_example
from app.label_sets.tuning import make_tuning

FINGERPRINT = "ab" * 32
DEFINITION = LabelSetDefinition(
    labels=["clear", LabelDefinition(label="mixed", prompts=["a mix"]), "rare"], templates=["a {}"]
)


def scores() -> tuple[np.ndarray, np.ndarray]:
    """Returns 90 images: the first label is found always, the second one never reliably, the third has 6 images."""
    chance = np.random.default_rng(0)
    truth = np.zeros((90, 3), bool)
    truth[:42, 0] = truth[42:84, 1] = truth[84:, 2] = True
    logits = chance.normal(-6, 0.1, (90, 3))
    logits[:42, 0] += 8
    logits[84:, 2] += 8
    logits[:, 1] = chance.normal(0, 1, 90)
    return logits.astype(np.float32), truth


def test_labels_get_their_own_threshold_the_sets_or_null():
    logits, truth = scores()
    result = evaluate(logits, truth, DEFINITION.names, model_fingerprint=FINGERPRINT, versions={}, goal=0.9)
    content = tuned_label_set(DEFINITION, result).content
    clear, mixed, rare = content["labels"]
    assert result.thresholds
    assert clear == {"label": "clear", "threshold": result.thresholds.per_label[0].threshold}
    assert clear["threshold"] is not None
    assert mixed == {"label": "mixed", "prompts": ["a mix"], "threshold": None}
    assert rare == "rare"
    assert content["templates"] == ["a {}"]
    assert content["threshold"] == result.thresholds.threshold
    assert "calibration" not in content


def test_the_set_is_in_force_for_this_encoder_and_these_texts_only():
    logits, truth = scores()
    result = evaluate(
        logits, truth, DEFINITION.names, model_fingerprint=FINGERPRINT, versions={}, goal="f1", calibrate_by="label"
    )
    tuned = LabelSetDefinition.model_validate(tuned_label_set(DEFINITION, result).content, strict=True)
    tuning, other = make_tuning(tuned, FINGERPRINT), make_tuning(tuned, "cd" * 32)
    assert tuning
    assert other
    assert (tuning.in_force, other.in_force) == (True, False)
    assert result.calibration
    assert tuned.calibration
    assert tuned.calibration.slope == pytest.approx(result.calibration.slope)
    assert untuned(tuned) == DEFINITION


def test_examples_stay_and_so_does_what_was_not_chosen():
    logits, truth = scores()
    result = evaluate(logits, truth, DEFINITION.names, model_fingerprint=FINGERPRINT, versions={}, goal="f1")
    line, own_line = Calibration(slope=2, intercept=1), Calibration(slope=3, intercept=0)
    example = stored_example(np.array([1.0, 0.0], np.float32), FINGERPRINT)
    before = LabelSetDefinition(
        labels=[
            LabelDefinition(label="clear", examples=[example], threshold=0.1, calibration=own_line),
            LabelDefinition(label="mixed", prompts=["a mix"], threshold=None),
            LabelDefinition(label="rare", threshold=0.2),
        ],
        templates=["a {}"],
        threshold=0.3,
        calibration=line,
    )
    clear, mixed, rare = tuned_label_set(before, result).labels
    assert result.thresholds
    chosen = [label.threshold for label in result.thresholds.per_label]
    assert clear == LabelDefinition(label="clear", examples=[example], threshold=chosen[0], calibration=own_line)
    assert mixed == LabelDefinition(label="mixed", prompts=["a mix"], threshold=chosen[1])
    assert rare == "rare"
    tuned = tuned_label_set(before, result)
    assert (tuned.threshold, tuned.calibration) == (result.thresholds.threshold, line)
