// A tile of the contact sheet: a small image with its best label. It is a button that opens the card.

import { bar, verdictElement } from "./card.js";
import { element, formatPercent } from "./elements.js";
import { loadImage, noPreview } from "./figure.js";
import { currentView, winner } from "./view.js";

export class Tile {
  /** Creates a tile of an item, as that of a `Card`. */
  constructor(item) {
    this.item = item;
    const image = element("img", { alt: "", decoding: "async" });
    loadImage(image, item.file).catch(() => image.replaceWith(noPreview()));
    this.answer = element("span", { className: "tile-answer" });
    const folder = item.name.slice(0, -item.file.name.length);
    this.button = element(
      "button",
      { type: "button", title: item.name },
      element("span", { className: "thumbnail" }, image),
      this.answer,
      element("span", { className: "tile-name hint" }, item.file.name),
      ...(folder ? [element("span", { className: "tile-folder hint" }, folder)] : []),
    );
    this.element = element("li", { className: "tile" }, this.button);
  }

  /** Shows the answer in the current view. */
  refresh() {
    this.answer.replaceChildren(...tileAnswer(this.item.answer));
  }
}

function tileAnswer(answer) {
  if (!answer) return [];
  if (answer.error) return [element("strong", { className: "fault" }, answer.error.title)];
  const { kind } = currentView();
  const { best, verdict } = winner(answer);
  return [
    element("strong", { className: "label" }, best.label),
    element("span", { className: kind }, bar(best[kind])),
    element("span", { className: `value number ${kind}` }, formatPercent(best[kind])),
    ...(verdict ? [verdictElement(verdict)] : []),
  ];
}
