// The contact sheet: many images as pages of tiles, each with its best label. A tile opens its card.

import { Card } from "./card.js";
import { $, element } from "./elements.js";
import { csvText, jsonText, saveFile } from "./export.js";
import { Filter } from "./filter.js";
import { Tile } from "./tile.js";

const TILES = 24; // on a page
const BOM = "\ufeff"; // spreadsheets need it to read UTF-8

export class Sheet {
  /** Creates a sheet of items, as those of a `Card`, in this order. */
  constructor(items) {
    this.items = items;
    this.arranged = items; // the items that fit the filter, in its order
    this.first = 0; // the index in `arranged` of this page's first item
    this.current = items[0]; // the item whose tile can be reached with Tab
    this.tiles = [];
    this.list = element("ul", { className: "tiles" });
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.filter = new Filter(() => {
      this.first = 0;
      this.refresh();
    });
    const keys = "Arrow keys move between images, Enter opens one, Escape closes it.";
    this.element = element(
      "div",
      { className: "sheet" },
      this.filter.element,
      this.list,
      this.createPages(),
      this.createExports(),
      element("p", { className: "hint keys" }, keys),
    );
    this.refresh();
  }

  createPages() {
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
    this.pages = element("nav", { className: "row" }, this.previous, this.place, this.next);
    this.pages.ariaLabel = "Pages of images";
    return this.pages;
  }

  createExports() {
    const note = element("span", { className: "hint", role: "status" });
    const button = (format, write) => {
      const created = element("button", { type: "button" }, `Save as ${format}`);
      created.addEventListener("click", () => {
        // Until then, some answers are missing, or for other labels.
        const ready = $("results").ariaBusy !== "true" && this.arranged.every(({ answer }) => answer);
        note.textContent = ready ? "" : "Possible when all images are classified.";
        if (ready) write(this.arranged);
      });
      return created;
    };
    const csv = button("CSV", (items) => saveFile(BOM + csvText(items), "scores.csv", "text/csv"));
    const json = button("JSON", (items) => saveFile(jsonText(items), "scores.json", "application/json"));
    return element("div", { className: "row" }, csv, json, note);
  }

  /** Shows the answers that are there, in the current view. */
  refresh() {
    this.arranged = this.filter.arrange(this.items);
    this.turnTo(Math.min(this.first, pageOf(this.arranged.length - 1)));
    this.card?.refresh();
  }

  /** Shows the page that begins with this index. */
  turnTo(first) {
    this.first = Math.max(first, 0);
    const shown = this.arranged.slice(this.first, this.first + TILES);
    if (shown.length !== this.tiles.length || shown.some((item, index) => item !== this.tiles[index].item)) {
      this.replaceTiles(shown);
    }
    for (const tile of this.tiles) tile.refresh();
    this.setCurrent(shown.includes(this.current) ? this.current : shown[0]);
    const count = this.arranged.length;
    const [from, to, all] = [this.first + 1, this.first + shown.length, count].map((n) => n.toLocaleString("en"));
    this.place.textContent = `${from}–${to} of ${all}`;
    this.previous.disabled = this.first === 0;
    this.next.disabled = this.first + TILES >= count;
    this.pages.hidden = count <= TILES;
  }

  /** Replaces the tiles, except those of items that stay. A focused tile keeps the focus, or the new page's first gets it. */
  replaceTiles(items) {
    const hadFocus = this.list.contains(document.activeElement);
    const before = new Map(this.tiles.map((tile) => [tile.item, tile]));
    this.tiles = items.map((item) => before.get(item) ?? this.createTile(item));
    this.list.replaceChildren(...this.tiles.map((tile) => tile.element));
    if (hadFocus) (this.tileOf(this.current) ?? this.tiles[0])?.button.focus();
  }

  createTile(item) {
    const tile = new Tile(item);
    tile.button.addEventListener("focus", () => this.setCurrent(item));
    tile.button.addEventListener("click", () => this.open(item));
    return tile;
  }

  tileOf(item) {
    return this.tiles.find((tile) => tile.item === item);
  }

  /** Makes Tab reach only the tile of this item. The arrow keys reach the others. */
  setCurrent(item) {
    this.current = item;
    for (const tile of this.tiles) tile.button.tabIndex = tile.item === item ? 0 : -1;
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const last = this.arranged.length - 1;
    const index = this.arranged.indexOf(this.current);
    const target = {
      ArrowLeft: index - 1,
      ArrowRight: index + 1,
      ArrowUp: index - columns,
      ArrowDown: index + columns,
      PageUp: Math.max(index - TILES, 0),
      PageDown: Math.min(index + TILES, last),
      Home: 0,
      End: last,
    }[event.key];
    if (target === undefined || target < 0 || target > last) return;
    event.preventDefault();
    this.focus(this.arranged[target]);
  }

  /** Focuses the tile of an item, and turns to its page. */
  focus(item) {
    const index = this.arranged.indexOf(item);
    if (index < 0) return;
    this.current = item;
    this.turnTo(pageOf(index));
    this.tileOf(item).button.focus();
  }

  /** Opens the card of an item. After the last one comes the first. */
  open(item) {
    this.card = new Card(item);
    $("detail-card").replaceChildren(this.card.element);
    $("detail-previous").onclick = () => this.open(this.neighbour(item, -1));
    $("detail-next").onclick = () => this.open(this.neighbour(item, 1));
    if (!$("detail").open) $("detail").showModal();
    else if (!$("detail").contains(document.activeElement)) $("detail-next").focus(); // it was on the card before
  }

  neighbour(item, step) {
    const count = this.arranged.length;
    return count ? this.arranged[(this.arranged.indexOf(item) + step + count) % count] : item;
  }

  /** Returns from the card to its tile. */
  close() {
    const item = this.card?.item;
    this.card = null;
    if (item) this.focus(item);
  }
}

/** Returns the index of the first item on the page with this item. */
function pageOf(index) {
  return Math.floor(index / TILES) * TILES;
}
