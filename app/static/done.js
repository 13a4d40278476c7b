// Finished requests: how to send them with curl, Python or JavaScript, and their timings.

import { hasKey } from "./api.js";
import { curlCommands } from "./curl.js";
import { $, counted, rows } from "./elements.js";
import { viewFields } from "./fields.js";
import { javascriptScript, pythonScript } from "./scripts.js";
import { currentView } from "./view.js";

const SHOWN_CHARACTERS = 5_000; // copying takes all characters
const LANGUAGES = {
  curl: { write: curlCommands, needs: "" },
  python: { write: pythonScript, needs: "It needs httpx (pip install httpx)." },
  javascript: { write: javascriptScript, needs: "It is a module (.mjs) for Node.js 20 or later." },
};
const TIMINGS = {
  decode: "Decoding",
  queue: "Waiting for the device",
  image: "Image on the device",
  text: "Labels",
  total: "Total in the service",
  browser: "Total in the browser",
};

let groups = []; // the images of each request
let fields = [];
let script = "";

/** Shows the requests as commands, and their total times in milliseconds by name. */
export function showDone(newGroups, newFields, times) {
  [groups, fields] = [newGroups, newFields];
  $("done").hidden = groups.length === 0;
  refreshCommands();
  const measured = Object.entries(TIMINGS).filter(([name]) => name in times);
  $("timings").replaceChildren(
    ...rows(Object.fromEntries(measured.map(([name, words]) => [words, `${times[name].toFixed(1)} ms`]))),
  );
}

/** Shows the commands, in the chosen language, that answer what the current view shows. */
export function refreshCommands() {
  const shown = [...fields, ...viewFields(currentView())];
  const { write, needs } = LANGUAGES[document.querySelector("[name=language]:checked").value];
  script = write(groups, shown, { base: document.baseURI, withKey: hasKey() });
  const long = script.length > SHOWN_CHARACTERS;
  $("command").textContent = long ? `${script.slice(0, SHOWN_CHARACTERS)} …` : script;
  const hints = [
    needs,
    groups.flat().some(({ path }) => !path) && folderHint(groups.flat().some(({ name }) => name.includes("/"))),
    hasKey() && "It reads the key from the variable API_KEY.",
    long && `The button copies all ${counted(script.length, "character")}.`,
  ];
  $("command-hint").textContent = hints.filter(Boolean).join(" ");
}

function folderHint(inFolders) {
  return inFolders ? "Run it where the folder with your images is." : "Run it in the folder with your images.";
}

/** Makes the languages selectable, and the button copy. Over plain HTTP, `navigator.clipboard` does not exist. */
export function enableCommands() {
  for (const button of document.querySelectorAll("[name=language]")) button.addEventListener("change", refreshCommands);
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
