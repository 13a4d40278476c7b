// Finished requests: their curl commands and their timings.

import { hasKey } from "./api.js";
import { commands } from "./curl.js";
import { $, counted, rows } from "./elements.js";

const SHOWN_CHARACTERS = 5_000; // copying takes all characters
const TIMINGS = {
  decode: "Decoding",
  queue: "Waiting for the device",
  image: "Image on the device",
  text: "Labels",
  total: "Total in the service",
  browser: "Total in the browser",
};

let script = "";

/** Shows the requests as commands, and their total times in milliseconds by name. */
export function showDone(groups, fields, times) {
  $("done").hidden = groups.length === 0;
  script = groups.map((group) => commands(group, fields, { base: document.baseURI, withKey: hasKey() })).join("\n");
  const long = script.length > SHOWN_CHARACTERS;
  $("command").textContent = long ? `${script.slice(0, SHOWN_CHARACTERS)} …` : script;
  const hints = [
    groups.flat().some(({ path }) => !path) && "Run it in the folder with your images.",
    hasKey() && "It reads the key from the variable API_KEY.",
    long && `The button copies all ${counted(script.length, "character")}.`,
  ];
  $("command-hint").textContent = hints.filter(Boolean).join(" ");
  const measured = Object.entries(TIMINGS).filter(([name]) => name in times);
  $("timings").replaceChildren(
    ...rows(Object.fromEntries(measured.map(([name, words]) => [words, `${times[name].toFixed(1)} ms`]))),
  );
}

/** Makes the button copy the commands. `navigator.clipboard` does not exist over plain HTTP, so it is not used. */
export function enableCopyButton() {
  $("copy").addEventListener("click", () => {
    document.addEventListener(
      "copy",
      (event) => {
        event.clipboardData.setData("text/plain", script);
        event.preventDefault();
      },
      { once: true },
    );
    getSelection().selectAllChildren($("command"));
    $("command-hint").textContent = document.execCommand("copy")
      ? "Copied."
      : "Copying failed. The commands are selected: copy them with the keyboard.";
  });
}
