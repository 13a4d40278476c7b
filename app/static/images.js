// The ways to select images: choose files, click samples, paste or drop.

import { sample } from "./api.js";
import { $ } from "./elements.js";

/** Calls `onImages` with the selected images as `{ file, path }`, where only a sample has a path. */
export function enableImageInput(onImages, onProblem) {
  function take(files) {
    if (files.length) onImages([...files].map((file) => ({ file })));
  }

  $("files").addEventListener("change", () => {
    take($("files").files);
    $("files").value = ""; // so that the same file can be chosen again
  });

  for (const button of document.querySelectorAll("#samples button")) {
    const paths = button.value.split(" ").map((name) => `page/samples/${name}.png`);
    button.addEventListener("click", () => {
      Promise.all(paths.map(async (path) => ({ file: await sample(path), path }))).then(onImages, onProblem);
    });
  }

  document.addEventListener("paste", (event) => {
    const { files, types } = event.clipboardData;
    if (files.length === 0 || types.includes("text/plain")) return; // text is pasted into the focused field
    event.preventDefault();
    take(files);
  });

  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dragging");
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    if (entries.some(({ isDirectory }) => isDirectory)) {
      Promise.all(entries.map(filesBelow)).then((files) => take(files.flat()), onProblem);
    } else {
      take(event.dataTransfer.files);
    }
  });
}

/** Returns a dropped file, or all files below a dropped folder except hidden ones. */
async function filesBelow(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // some at a time
    if (entries.length === 0) return files;
    const shown = entries.filter(({ name }) => !name.startsWith("."));
    files.push(...(await Promise.all(shown.map(filesBelow))).flat());
  }
}
