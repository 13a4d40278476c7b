// Helpers for elements and text. Text of users and of the service is shown as text, never as markup.

/** Returns the element with this id. */
export function $(id) {
  return document.getElementById(id);
}

/** Returns a new element with these properties and children. */
export function element(tag, properties = {}, ...children) {
  const created = Object.assign(document.createElement(tag), properties);
  created.append(...children);
  return created;
}

/** Returns the rows of a `dl`. */
export function rows(facts) {
  return Object.entries(facts).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)));
}

/** Returns an element that shows a failure. */
export function problemElement({ title, detail, request_id }) {
  const text = element("p", {}, element("strong", {}, title), element("br"), detail);
  const id = request_id ? [element("p", { className: "hint" }, `Request ${request_id}`)] : [];
  return element("div", { className: "problem" }, text, ...id);
}

/** Returns a number with a noun: 1 label, 10,000 labels. */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns a score of 0 to 1 in per cent: 98.3%, 0.25%. Only 0 is shown as 0%, and only 1 as 100%. */
export function formatPercent(value) {
  const percent = value * 100;
  if (percent === 0 || percent === 100) return `${percent}%`;
  if (percent < 0.01) return "<0.01%";
  if (percent >= 99.95) return ">99.9%";
  return `${percent.toFixed(percent < 0.995 ? 2 : 1)}%`;
}
