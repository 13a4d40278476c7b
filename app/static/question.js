// The form: labels or a label set, and templates.

import { ask } from "./api.js";
import { $, counted } from "./elements.js";
import { parseLabels, parseTemplates, requestFields } from "./fields.js";

let maxLabels = Infinity;
let typed = null; // what the user typed into labels and templates, while a label set is shown there
let setSizes = new Map(); // by name

/** Returns the form's values as the fields of a request. */
export function formFields() {
  return requestFields({
    labels: parseLabels($("labels").value),
    labelSet: $("label-set").value,
    templates: parseTemplates($("templates").value),
  });
}

/** Returns how many labels the form has. */
export function numLabels() {
  return setSizes.get($("label-set").value) ?? (parseLabels($("labels").value)?.length ?? 0);
}

/** Shows the service's label sets and limits, and applies its limit on labels. Waits for the set of a link. */
export async function showService(sets, limits) {
  maxLabels = limits.max_labels;
  const [labels, megabytes, megapixels] = [maxLabels, limits.max_body_bytes / 1e6, limits.max_image_pixels / 1e6]
    .map((limit) => limit.toLocaleString("en", { maximumFractionDigits: 2 }));
  $("limits").textContent = `Up to ${labels} labels, ${megapixels} MP, ${megabytes} MB.`;
  setSizes = new Map(sets.map(({ name, size }) => [name, size]));
  const chosen = $("label-set").value;
  const options = sets.map(({ name, size }) => new Option(`${name}: ${counted(size, "label")}`, name));
  $("label-set").replaceChildren($("label-set").options[0], ...options);
  $("label-set").value = setSizes.has(chosen) ? chosen : "";
  $("set-field").hidden = sets.length === 0;
  countLabels();
  if (chosen && !typed) await chooseSet();
}

/** Makes the form react to input. Calls `onChange` after each change, and `onProblem` if a set cannot be shown. */
export function enableForm(onChange, onProblem) {
  $("labels").addEventListener("input", countLabels);
  $("labels").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit();
  });
  $("label-set").addEventListener("change", () => chooseSet().then(onChange, onProblem));
  $("ask").addEventListener("input", onChange);
  countLabels();
}

function countLabels() {
  const inSet = $("label-set").value !== "";
  const labels = inSet ? [] : parseLabels($("labels").value);
  const count = numLabels();
  const excess = !inSet && count > maxLabels ? `; this service accepts at most ${maxLabels.toLocaleString("en")}` : "";
  $("labels-count").textContent = counted(count, "label") + excess;
  const missing = labels ? "Type at least one label." : 'Labels that begin with [ are a JSON array: ["a, b", "c"].';
  const problem = count ? "" : missing;
  $("labels").setCustomValidity(excess ? `There are ${counted(count, "label")}${excess}.` : problem);
}

/** Shows the labels and templates of the chosen set, which cannot be edited, or else what the user typed before. */
async function chooseSet() {
  const name = $("label-set").value;
  typed ??= { labels: $("labels").value, templates: $("templates").value };
  $("labels").disabled = $("templates").disabled = name !== "";
  if (name) {
    show({ labels: "", templates: "" });
    const { labels, templates } = (await ask(`label-sets/${encodeURIComponent(name)}`)).answer;
    if ($("label-set").value !== name) return; // another one was chosen in the meantime
    show({ labels: labels.map((label) => label.label ?? label).join("\n"), templates: templates.join("\n") });
  } else {
    show(typed);
    typed = null;
  }
}

function show({ labels, templates }) {
  [$("labels").value, $("templates").value] = [labels, templates];
  countLabels();
}
