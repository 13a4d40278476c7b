// The form for the API key.

import { hasKey, useKey } from "./api.js";
import { $ } from "./elements.js";

/** Asks for a key, because there is none or it is not valid. */
export function askForKey() {
  const problem = hasKey() ? "This API key is not valid." : "This service needs an API key.";
  forget();
  $("key-form").hidden = false;
  $("key-problem").textContent = problem;
  $("key").focus();
}

/** Enables the form. Calls `onKey` when a key was entered. */
export function enableKeyForm(onKey) {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey($("key").value.trim());
    $("key").value = "";
    $("key-form").hidden = true;
    $("key-in-use").hidden = false;
    $("classify").focus(); // the focused button is hidden now
    onKey();
  });
  $("forget-key").addEventListener("click", () => {
    forget();
    $("classify").focus();
  });
  $("key-in-use").hidden = !hasKey();
}

function forget() {
  useKey("");
  $("key-in-use").hidden = true;
}
