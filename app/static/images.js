// The ways to select images: choose files, take a photo, click samples, paste or drop.

import { sample } from "./api.js";
import { $ } from "./elements.js";

/** Returns samples by their names, as `{ file, path }`. */
export function samples(names) {
  const paths = names.map((name) => `page/samples/${name}.png`);
  return Promise.all(paths.map(async (path) => ({ file: await sample(path), path })));
}

/** Calls `onImages` with the promise of the selected images as `{ file, path }`, where only a sample has a path. */
export function enableImageInput(onImages) {
  function take(files) {
    if (files.length) onImages(Promise.resolve([...files].map((file) => ({ file }))));
  }

  for (const field of [$("files"), $("camera")]) {
    field.addEventListener("change", () => {
      take(field.files);
      field.value = ""; // so that the same file can be chosen again
    });
  }

  for (const button of document.querySelectorAll("#samples button")) {
    button.addEventListener("click", () => onImages(samples(button.value.split(" "))));
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
      onImages(Promise.all(entries.map(filesBelow)).then((files) => files.flat().map((file) => ({ file }))));
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
