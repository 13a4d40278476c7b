// The controls of the contact sheet: which images it shows, and in which order.

import { counted, element } from "./elements.js";
import { currentView, NONE, winner } from "./view.js";

const compareNames = new Intl.Collator("en", { numeric: true }).compare; // 2.png before 10.png
const ORDERS = {
  "as chosen": () => 0,
  "name": (one, other) => compareNames(one.item.name, other.item.name),
  "highest score": (one, other) => other.score - one.score,
  "lowest score": (one, other) => one.score - other.score,
};
const ERROR = "cannot be used";

export class Filter {
  /** Creates the controls. Calls `onChange` whenever they change. */
  constructor(onChange) {
    this.minimum = 0;
    this.group = element("select");
    this.order = element("select", {}, ...Object.keys(ORDERS).map((name) => new Option(name)));
    this.field = element("input", { type: "number", min: "0", max: "100", step: "any", value: "0" });
    this.unit = element("span", { className: "hint" });
    this.count = element("p", { className: "hint", role: "status" });
    for (const select of [this.group, this.order]) select.addEventListener("change", onChange);
    this.field.addEventListener("input", () => {
      if (!this.field.checkValidity()) return;
      this.minimum = Number((Number(this.field.value) / 100).toPrecision(12));
      onChange();
    });
    this.element = element(
      "div",
      { className: "view filter", role: "group", ariaLabel: "Images to show" },
      element("label", { className: "option" }, "Best label ", this.group),
      element("label", { className: "option" }, "Score at least ", this.field, this.unit),
      element("label", { className: "option" }, "Sort by ", this.order),
      this.count,
    );
  }

  /** Returns the images to show, in order. Images with an error come first. */
  arrange(items) {
    const { kind } = currentView();
    this.unit.textContent = `% ${kind}`;
    const entries = items.map((item) => ({ item, ...judge(item.answer, kind) }));
    this.showGroups(entries);
    const wanted = this.group.value;
    const fitting = entries.filter(({ group, score }) =>
      (!wanted || group === wanted) && (!this.minimum || score >= this.minimum));
    const compare = ORDERS[this.order.value];
    fitting.sort((one, other) => (other.group === ERROR) - (one.group === ERROR) || compare(one, other));
    const all = counted(items.length, "image");
    const text = fitting.length ? `${fitting.length.toLocaleString("en")} of ${all}` : `None of ${all}`;
    this.count.textContent = wanted || this.minimum ? text : "";
    return fitting.map(({ item }) => item);
  }

  /** Lists the groups with their sizes, the largest first. The chosen one stays, even if it is empty now. */
  showGroups(entries) {
    const sizes = new Map();
    for (const { group } of entries) if (group) sizes.set(group, (sizes.get(group) ?? 0) + 1);
    const chosen = this.group.value;
    if (chosen && !sizes.has(chosen)) sizes.set(chosen, 0);
    const groups = [...sizes].sort(([one, count], [other, otherCount]) =>
      isLabel(one) - isLabel(other) || otherCount - count || compareNames(one, other));
    const options = [["", "any"], ...groups.map(([group, size]) => [group, `${nameOf(group)} (${size.toLocaleString("en")})`])];
    const shown = JSON.stringify(options);
    if (shown === this.shownGroups) return; // replacing options closes an open list
    this.shownGroups = shown;
    this.group.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
  }
}

/** Returns the group and the best score of an answer. Without a score, it is below all scores. */
function judge(answer, kind) {
  if (!answer) return { group: "", score: -1 };
  if (answer.error) return { group: ERROR, score: -1 };
  const { best, verdict } = winner(answer);
  return { group: verdict === NONE ? NONE : `:${best.label}`, score: best[kind] };
}

// A label begins with a colon in a group's value, because it may be any text.
function isLabel(group) {
  return group.startsWith(":");
}

function nameOf(group) {
  return isLabel(group) ? group.slice(1) : group;
}
