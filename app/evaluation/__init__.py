"""How good are the scores on labelled images? Metrics, thresholds, calibration, comparison and a report.

Everything here computes on arrays: logits [N, K], truth [N, K], and the K label texts. Labels are known by their index,
because two labels may have the same text. `evaluation.evaluate` puts all numbers into one result.
"""
