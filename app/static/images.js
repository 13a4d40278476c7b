// The ways to select images: choose files, take a photo, click samples, paste or drop.

import { sample } from "./api.js";
import { $ } from "./elements.js";

/** Returns samples by their names, as `{ file, name, path }`. */
export function samples(names) {
  const paths = names.map((name) => `page/samples/${name}.png`);
  return Promise.all(paths.map(async (path) => {
    const file = await sample(path);
    return { file, name: file.name, path };
  }));
}

/**
 * Calls `onImages` with the promise of the selected images as `{ file, name, path }`. A name includes the folders below
 * the selected one, and that one. Only a sample has a path.
 */
export function enableImageInput(onImages) {
  function take(files) {
    const images = [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
    const shown = images.filter(({ file, name }) => name === file.name || !/(^|\/)\./.test(name));
    if (shown.length) onImages(Promise.resolve(shown));
  }

  for (const field of [$("files"), $("folder"), $("camera")]) {
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
      onImages(Promise.all(entries.map(filesBelow)).then((images) => images.flat()));
    } else {
      take(event.dataTransfer.files);
    }
  });
}

/** Returns a dropped file as an image, or all files below a dropped folder except hidden ones. */
async function filesBelow(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, name: entry.fullPath.slice(1) }];
  }
  const reader = entry.createReader();
  const images = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // some at a time
    if (entries.length === 0) return images;
    const shown = entries.filter(({ name }) => !name.startsWith("."));
    images.push(...(await Promise.all(shown.map(filesBelow))).flat());
  }
}
