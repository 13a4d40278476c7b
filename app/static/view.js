// How scores are shown: as sigmoid or softmax, above a threshold, the best k. Changing it asks the service for nothing.

import { $, formatPercent } from "./elements.js";

export const MAX_TOP_K = 100; // so many scores of each image are requested

export const NONE = "none of these"; // the verdict if no label is accepted

let topK = 10;
let threshold = 0;

/** Returns the view: `kind` is sigmoid or softmax, `threshold` a sigmoid of 0 to 1. */
export function currentView() {
  return { kind: document.querySelector("[name=kind]:checked").value, threshold, topK };
}

/** Returns the scores that are shown, the best first. */
export function shownScores(scores) {
  return scores.filter(({ sigmoid }) => sigmoid >= threshold).slice(0, topK);
}

/** Returns the label of the headline, and whether it is accepted if there are thresholds. */
export function winner({ scores, accepted_labels }) {
  const best = scores.find(({ accepted }) => accepted) ?? scores[0];
  if (accepted_labels) return { best, verdict: accepted_labels.length ? "accepted" : NONE };
  if (!threshold) return { best, verdict: "" };
  return { best, verdict: best.sigmoid >= threshold ? "accepted" : NONE };
}

/** Calls `onChange` whenever the view changes. An invalid number changes nothing. */
export function enableView(onChange) {
  function changeThreshold(value) {
    threshold = value;
    $("threshold").ariaValueText = value ? formatPercent(value) : "none";
    onChange();
  }

  for (const button of document.querySelectorAll("[name=kind]")) button.addEventListener("change", onChange);
  $("threshold").addEventListener("input", () => {
    // Cubed, because a right label often has a sigmoid below 5%.
    const value = Number((Number($("threshold").value) ** 3).toPrecision(2));
    $("threshold-percent").value = percent(value);
    changeThreshold(value);
  });
  $("threshold-percent").addEventListener("input", () => {
    const field = $("threshold-percent");
    if (!field.checkValidity()) return;
    const value = Number((Number(field.value) / 100).toPrecision(12));
    $("threshold").value = Math.cbrt(value);
    changeThreshold(value);
  });
  $("top-k").addEventListener("input", () => {
    if (!$("top-k").value || !$("top-k").checkValidity()) return;
    topK = Number($("top-k").value);
    onChange();
  });
}

function percent(value) {
  return Number((value * 100).toPrecision(12));
}
