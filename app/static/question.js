// The question that is typed: labels or a label set, templates, threshold, top-k.

import { fieldsOf, labelsOf, templatesOf } from "./asking.js";
import { $, counted } from "./elements.js";

let maxLabels = Infinity;

/** Returns the question as the fields of a request. */
export function asked() {
  return fieldsOf({
    labels: labelsOf($("labels").value),
    labelSet: $("label-set").value,
    templates: templatesOf($("templates").value),
    threshold: $("threshold").value,
    topK: $("top-k").value,
  });
}

/** Returns what to say of the labels that are not shown. */
export function unshown() {
  const [topK, count] = [Number($("top-k").value), labelsOf($("labels").value).length];
  return !$("label-set").value && count > topK ? ` The best ${topK} of ${counted(count, "label")} are shown.` : "";
}

/** Offers the label sets, and heeds how many labels the service takes. */
export function offer(sets, limits) {
  maxLabels = limits.max_labels;
  countLabels();
  const chosen = $("label-set").value;
  const options = sets.map(({ name, size }) => new Option(`${name}: ${counted(size, "label")}`, name));
  $("label-set").replaceChildren($("label-set").options[0], ...options);
  $("label-set").value = sets.some(({ name }) => name === chosen) ? chosen : "";
  $("set-field").hidden = sets.length === 0;
  chooseSet();
}

/** Makes the form answer to what is typed. */
export function takeQuestions() {
  $("labels").addEventListener("input", countLabels);
  $("labels").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit();
  });
  $("label-set").addEventListener("change", chooseSet);
  // What is wrong must be seen to be put right.
  $("ask").addEventListener("invalid", (event) => event.target.closest("details")?.setAttribute("open", ""), true);
  countLabels();
}

function countLabels() {
  const count = labelsOf($("labels").value).length;
  const excess = count > maxLabels ? `, and this service takes ${maxLabels.toLocaleString("en")}` : "";
  $("labels-count").textContent = counted(count, "label") + excess;
  const problem = count ? "" : "Type at least one label.";
  $("labels").setCustomValidity(excess ? `There are ${counted(count, "label")}${excess}.` : problem);
}

/** A label set brings its own labels and templates. */
function chooseSet() {
  $("labels").disabled = $("templates").disabled = $("label-set").value !== "";
}
