// The image of a card: enlarged on click, and as the pixels that the model sees.

import { $, element } from "./elements.js";

let modelSize = null; // [height, width] that each image is squashed to; null: the model keeps the aspect ratio

/** Sets the size of the model's input, from /info. */
export function useModelSize(size) {
  modelSize = size;
}

/** Loads a file into an image element. The promise is rejected if the browser has no decoder for it. */
export function loadImage(image, file) {
  const url = URL.createObjectURL(file);
  return new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = reject;
    image.src = url;
  }).finally(() => URL.revokeObjectURL(url));
}

/** Returns an element that says that the browser cannot show an image. */
export function noPreview() {
  return element("span", { className: "no-preview" }, "No preview");
}

/** Returns a figure of an image with its name, and the facts about it in `facts`. */
export function imageFigure({ file, name }, facts) {
  const image = element("img", { alt: "" });
  const enlarge = element("button", { type: "button", className: "enlarge" }, image);
  enlarge.ariaLabel = `Enlarge ${name}`;
  enlarge.addEventListener("click", () => {
    loadImage($("enlarged-image"), file).then(
      () => $("enlarged").showModal(),
      () => enlarge.replaceWith(noPreview()), // the file was moved or changed
    );
  });
  const pixels = pixelsButton(image, enlarge);
  loadImage(image, file).then(
    () => { pixels.hidden = modelSize === null; },
    () => enlarge.replaceWith(noPreview()),
  );
  const caption = element("figcaption", { className: "hint" }, element("span", { className: "name" }, name), facts);
  return element("figure", {}, enlarge, caption, pixels);
}

/** Returns a button that replaces the image with the model's input, and back. */
function pixelsButton(image, enlarge) {
  const words = "Show what the model sees";
  const button = element("button", { type: "button", className: "quiet hint", hidden: true }, words);
  let shown = null;
  button.addEventListener("click", () => {
    if (shown) {
      shown.replaceWith(enlarge);
      shown = null;
    } else {
      shown = modelInput(image);
      enlarge.replaceWith(shown);
    }
    button.textContent = shown ? "Show the image" : words;
  });
  return button;
}

/** Returns the image as the model sees it: squashed, on white. The service resizes with Pillow: pixels can differ. */
function modelInput(image) {
  const [height, width] = modelSize;
  const canvas = element("canvas", { width, height, role: "img" });
  canvas.ariaLabel = "The image as the model sees it";
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  const note = `Squashed to ${width} × ${height} pixels. Your browser drew this: single pixels can differ.`;
  return element("div", { className: "model-input" }, canvas, element("p", { className: "hint" }, note));
}
