"""The table for people, on a result with known numbers."""

from dataclasses import replace

import numpy as np

from app.cli.evaluate.table import evaluation_table
from app.evaluation.comparison import compare
from app.evaluation.evaluation import evaluate

LABELS = ["cat", "dog\x1b[31m", *(f"label {number}" for number in range(12))]


def test_the_table_has_every_block_and_escapes_control_characters():
    truth = np.eye(14, dtype=bool).repeat(10, axis=0)
    logits = np.where(truth, 2, -2).astype(np.float32)
    logits[:5, 1] = 3  # half of the cats are taken for dogs
    result = evaluate(logits, truth, LABELS, model_fingerprint="", versions={}, goal=0.8, calibrate_by="set")
    other = compare(logits, np.where(truth, 2, -2).astype(np.float32), truth, ("this", "that"))
    text = evaluation_table(replace(result, comparisons=[other]))
    lines = text.splitlines()
    assert lines[0] == "images 140, labels 14"
    assert lines[2].split() == [f"{135 / 140:.4f}", "0.9191", "to", "0.9847", "top-1"]
    (cat,) = [line for line in lines if line.endswith("  cat")]
    assert cat.split() == [f"{2 / 3:.4f}", "1.0000", "0.5000", "10", "cat"]
    assert "and 4 more labels" in lines
    assert "      5  cat -> dog\\x1b[31m" in lines
    assert any(line.startswith("Chosen on 140 images. Measured on the same images in at most five") for line in lines)
    assert any(line.startswith("thresholds for a precision of 0.8; for the set: 0.") for line in lines)
    assert "labels with their own threshold: 0; labels that accept nothing: 0" in lines
    assert any(line.startswith("calibration: slope") for line in lines)
    assert "that compared with this:" in lines
    assert f"top-1: 1.0000 instead of {135 / 140:.4f}" in text
    assert "\x1b" not in text
