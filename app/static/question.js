// The form: labels or a label set, templates, threshold, top-k.

import { $, counted } from "./elements.js";
import { parseLabels, parseTemplates, requestFields } from "./fields.js";

let maxLabels = Infinity;

/** Returns the form's values as the fields of a request. */
export function formFields() {
  return requestFields({
    labels: parseLabels($("labels").value),
    labelSet: $("label-set").value,
    templates: parseTemplates($("templates").value),
    threshold: $("threshold").value,
    topK: $("top-k").value,
  });
}

/** Returns a sentence about labels that are not shown, or "" if all are shown. */
export function hiddenLabelsText() {
  const [topK, count] = [Number($("top-k").value), parseLabels($("labels").value)?.length ?? 0];
  return !$("label-set").value && count > topK ? ` The best ${topK} of ${counted(count, "label")} are shown.` : "";
}

/** Shows the service's label sets, and applies its limit on labels. */
export function showService(sets, limits) {
  maxLabels = limits.max_labels;
  countLabels();
  const chosen = $("label-set").value;
  const options = sets.map(({ name, size }) => new Option(`${name}: ${counted(size, "label")}`, name));
  $("label-set").replaceChildren($("label-set").options[0], ...options);
  $("label-set").value = sets.some(({ name }) => name === chosen) ? chosen : "";
  $("set-field").hidden = sets.length === 0;
  chooseSet();
}

/** Makes the form react to input. */
export function enableForm() {
  $("labels").addEventListener("input", countLabels);
  $("labels").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit();
  });
  $("label-set").addEventListener("change", chooseSet);
  // An invalid field must be visible to be corrected.
  $("ask").addEventListener("invalid", (event) => event.target.closest("details")?.setAttribute("open", ""), true);
  countLabels();
}

function countLabels() {
  const labels = parseLabels($("labels").value);
  const count = labels?.length ?? 0;
  const excess = count > maxLabels ? `; this service accepts at most ${maxLabels.toLocaleString("en")}` : "";
  $("labels-count").textContent = counted(count, "label") + excess;
  const missing = labels ? "Type at least one label." : 'Labels that begin with [ are a JSON array: ["a, b", "c"].';
  const problem = count ? "" : missing;
  $("labels").setCustomValidity(excess ? `There are ${counted(count, "label")}${excess}.` : problem);
}

/** Disables labels and templates while a label set, which has both, is chosen. */
function chooseSet() {
  $("labels").disabled = $("templates").disabled = $("label-set").value !== "";
}
