// The question and the view in the URL's hash, so that a link can be shared and a reload keeps them. Never images.

import { $ } from "./elements.js";

const MAX_CHARACTERS = 30_000; // of a hash; longer URLs are cut off by other programs

// Of a new page. Not the current values, because some browsers keep what was typed when a page is reloaded.
const DEFAULTS = {
  labels: $("labels").defaultValue,
  templates: "",
  label_set: "",
  score: "sigmoid",
  threshold: $("threshold-percent").defaultValue,
  top_k: $("top-k").defaultValue,
};

/** Fills the form from the hash, and keeps the hash up to date from now on. Call it after the form reacts to input. */
export function enableLink() {
  readLink();
  // "change" comes when a field is left, not with each key.
  $("ask").addEventListener("change", writeLink);
  $("view").addEventListener("change", writeLink);
  addEventListener("hashchange", () => {
    location.reload(); // a link was pasted into this tab
  });
  // Following it would replace the hash.
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("scores").focus();
  });
}

/** Writes what differs from a new page into the hash. */
export function writeLink() {
  const changed = Object.entries(values()).filter(([name, value]) => value !== DEFAULTS[name]);
  const hash = new URLSearchParams(changed).toString();
  const { pathname, search } = location;
  history.replaceState(null, "", pathname + search + (hash && hash.length <= MAX_CHARACTERS ? `#${hash}` : ""));
}

/** Returns the state by name. A label set has its own labels and templates. */
function values() {
  const question = $("label-set").value
    ? { ...DEFAULTS, label_set: $("label-set").value }
    : { labels: $("labels").value, templates: $("templates").value, label_set: "" };
  return {
    ...question,
    score: document.querySelector("[name=kind]:checked").value,
    threshold: $("threshold-percent").value,
    top_k: $("top-k").value,
  };
}

function readLink() {
  const state = { ...DEFAULTS, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
  $("labels").value = state.labels;
  $("templates").value = state.templates;
  // Until the service's sets are known, the one of the link is the only one.
  if (state.label_set) $("label-set").append(new Option(state.label_set, state.label_set, true, true));
  $("threshold-percent").value = state.threshold;
  $("top-k").value = state.top_k;
  for (const id of ["labels", "threshold-percent", "top-k"]) $(id).dispatchEvent(new Event("input"));
  const kind = document.querySelector(`[name=kind][value=${state.score === "softmax" ? "softmax" : "sigmoid"}]`);
  kind.checked = true;
  kind.dispatchEvent(new Event("change"));
}
