// The contact sheet: many images as pages of tiles, each with its best label. A tile opens its card.

import { bar, Card, verdictElement } from "./card.js";
import { $, element, formatPercent } from "./elements.js";
import { loadImage, noPreview } from "./figure.js";
import { currentView, winner } from "./view.js";

const TILES = 24; // on a page

export class Sheet {
  /** Creates a sheet of items, as those of a `Card`, in this order. */
  constructor(items) {
    this.items = items;
    this.list = element("ul", { className: "tiles" });
    this.place = element("span", { role: "status" });
    this.previous = element("button", { type: "button" }, "Previous page");
    this.next = element("button", { type: "button" }, "Next page");
    this.previous.addEventListener("click", () => {
      this.turnTo(this.first - TILES);
      if (this.previous.disabled) this.next.focus(); // a disabled button loses the focus
    });
    this.next.addEventListener("click", () => {
      this.turnTo(this.first + TILES);
      if (this.next.disabled) this.previous.focus();
    });
    const pages = element("nav", { className: "row" }, this.previous, this.place, this.next);
    pages.ariaLabel = "Pages of images";
    pages.hidden = items.length <= TILES;
    this.element = element("div", { className: "sheet" }, this.list, pages);
    this.turnTo(0);
  }

  /** Shows the page that begins with this item. */
  turnTo(first) {
    this.first = first;
    const shown = this.items.slice(first, first + TILES);
    this.tiles = shown.map((item, index) => new Tile(item, () => this.open(first + index)));
    this.list.replaceChildren(...this.tiles.map((tile) => tile.element));
    const [from, to, count] = [first + 1, first + shown.length, this.items.length].map((n) => n.toLocaleString("en"));
    this.place.textContent = `${from}–${to} of ${count}`;
    this.previous.disabled = first === 0;
    this.next.disabled = first + TILES >= this.items.length;
  }

  /** Shows the answers that are there, in the current view. */
  refresh() {
    for (const tile of this.tiles) tile.refresh();
    this.card?.refresh();
  }

  /** Opens the card of the item with this index. After the last one comes the first. */
  open(index) {
    this.card = new Card(this.items[index]);
    $("detail-card").replaceChildren(this.card.element);
    const count = this.items.length;
    $("detail-previous").onclick = () => this.open((index - 1 + count) % count);
    $("detail-next").onclick = () => this.open((index + 1) % count);
    if (!$("detail").open) $("detail").showModal();
  }
}

class Tile {
  constructor(item, onOpen) {
    this.item = item;
    const image = element("img", { alt: "", decoding: "async" });
    loadImage(image, item.file).catch(() => image.replaceWith(noPreview()));
    this.answer = element("span", { className: "tile-answer" });
    const button = element(
      "button",
      { type: "button" },
      element("span", { className: "thumbnail" }, image),
      this.answer,
      element("span", { className: "tile-name hint" }, item.file.name),
    );
    button.addEventListener("click", onOpen);
    this.element = element("li", { className: "tile" }, button);
    this.refresh();
  }

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
