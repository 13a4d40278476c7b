// The ways in which a reader gives images: by choosing, as samples, by pasting, by dropping.

import { sample } from "./api.js";
import { $ } from "./elements.js";

/** Hands on what the reader gives, as `{ file, path }`, the path of a sample alone; and what went wrong. */
export function takeImages(onImages, onProblem) {
  function take(files) {
    if (files.length) onImages([...files].map((file) => ({ file })));
  }

  $("files").addEventListener("change", () => {
    take($("files").files);
    $("files").value = ""; // the same file may be chosen again
  });

  for (const button of document.querySelectorAll("#samples button")) {
    const paths = button.value.split(" ").map((name) => `page/samples/${name}.png`);
    button.addEventListener("click", () => {
      Promise.all(paths.map(async (path) => ({ file: await sample(path), path }))).then(onImages, onProblem);
    });
  }

  document.addEventListener("paste", (event) => {
    const { files, types } = event.clipboardData;
    if (files.length === 0 || types.includes("text/plain")) return; // text goes where the reader types
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
    take(event.dataTransfer.files);
  });
}
