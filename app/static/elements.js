// Elements, and words in them. Whatever a client or the service has said is shown as text, never read as markup.

/** Returns the element of the page that has this id. */
export function $(id) {
  return document.getElementById(id);
}

/** Returns a new element with these properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Returns the rows of a `dl`. */
export function rows(facts) {
  return Object.entries(facts).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)));
}

/** Returns a failure for the reader. */
export function problemShown({ title, detail, request_id }) {
  const told = element("p", {}, element("strong", {}, title), element("br"), detail);
  const id = request_id ? [element("p", { className: "hint" }, `Request ${request_id}`)] : [];
  return element("div", { className: "problem" }, told, ...id);
}

/** Returns a number and its noun: 1 label, 10,000 labels. */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns a value of 0 to 1 with the digits that a reader compares. */
export function shown(value) {
  return value > 0 && value < 0.0001 ? "<0.0001" : value.toFixed(4);
}
