// What has been done: the commands that do it again, and how long it took.

import { hasKey } from "./api.js";
import { commands } from "./curl.js";
import { $, counted, rows } from "./elements.js";

const SHOWN_CHARACTERS = 5_000; // all are copied
const TIMINGS = {
  decode: "Decoding",
  queue: "Waiting for the device",
  image: "Image, on the device",
  text: "Labels",
  total: "In the service",
  here: "Seen from here",
};

let script = "";

/** Shows requests as commands, and their times, in milliseconds by name, added up. */
export function showDone(groups, fields, times) {
  $("done").hidden = groups.length === 0;
  script = groups.map((group) => commands(group, fields, { base: document.baseURI, keyed: hasKey() })).join("\n");
  const long = script.length > SHOWN_CHARACTERS;
  $("command").textContent = long ? `${script.slice(0, SHOWN_CHARACTERS)} …` : script;
  const hints = [
    groups.flat().some(({ path }) => !path) && "Run it in the folder of your images.",
    hasKey() && "It takes the key from API_KEY.",
    long && `Copying takes all of its ${counted(script.length, "character")}.`,
  ];
  $("command-hint").textContent = hints.filter(Boolean).join(" ");
  const told = Object.entries(TIMINGS).filter(([name]) => name in times);
  $("timings").replaceChildren(
    ...rows(Object.fromEntries(told.map(([name, words]) => [words, `${times[name].toFixed(1)} ms`]))),
  );
}

/** Makes the button copy. This way works over plain HTTP too, where the newer one does not exist. */
export function takeCopies() {
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
    $("command-hint").textContent = document.execCommand("copy") ? "Copied." : "Copy it by hand: it is selected.";
  });
}
