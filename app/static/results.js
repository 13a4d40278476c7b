// The results: one image as a card, several as a contact sheet.

import { Card } from "./card.js";
import { $ } from "./elements.js";
import { Sheet } from "./sheet.js";

let shown = null; // the Card or the Sheet

/** Shows these images, without answers yet. */
export function showItems(items) {
  $("detail").close();
  shown = items.length === 1 ? new Card(items[0]) : new Sheet(items);
  $("results").replaceChildren(shown.element);
}

/** Shows the answers that are there, in the current view. */
export function refreshResults() {
  shown?.refresh();
}

/** Makes the dialogs react: arrow keys change the image, and closing releases it. */
export function enableResults() {
  $("enlarged").addEventListener("close", () => $("enlarged-image").removeAttribute("src"));
  $("detail").addEventListener("close", () => {
    $("detail-card").replaceChildren();
    shown?.close?.();
  });
  $("detail").addEventListener("keydown", ({ key }) => {
    const button = { ArrowLeft: "detail-previous", ArrowRight: "detail-next" }[key];
    if (button) $(button).click();
  });
}
