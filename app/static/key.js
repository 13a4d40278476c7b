// The API key, once the service asks for one.

import { hasKey, useKey } from "./api.js";
import { $ } from "./elements.js";

/** Asks the reader for a key: there is none, or it is wrong. */
export function askForKey() {
  const problem = hasKey() ? "This API key is not valid." : "This service needs an API key.";
  forget();
  $("key-form").hidden = false;
  $("key-problem").textContent = problem;
  $("key").focus();
}

/** Makes the form work; `onKey` goes on with what the key was needed for. */
export function takeKeys(onKey) {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey($("key").value.trim());
    $("key").value = "";
    $("key-form").hidden = true;
    $("key-in-use").hidden = false;
    $("classify").focus(); // what had the focus is gone
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
