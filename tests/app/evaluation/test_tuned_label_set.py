"""The written label set: what the service reads, and what each label gets."""

import numpy as np
import pytest

from app.evaluation.evaluation import evaluate
from app.evaluation.tuned_label_set import tuned_label_set, untuned
from app.label_sets.definition import LabelDefinition, LabelSetDefinition
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
