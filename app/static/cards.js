// One image, and what was answered about it.

import { element, problemShown, shown } from "./elements.js";

const NOTES = {
  exif_orientation_applied: "turned upright by EXIF",
  alpha_composited_on_white: "transparency shown on white",
  reduced_from_16_bit: "reduced from 16 bits",
  converted_from_cmyk: "converted from CMYK",
};

export class Card {
  constructor({ file }) {
    this.name = file.name;
    this.url = URL.createObjectURL(file);
    const image = element("img", { alt: "", decoding: "async" });
    image.onload = () => URL.revokeObjectURL(this.url);
    image.onerror = () => {
      URL.revokeObjectURL(this.url);
      image.replaceWith(element("span", {}, "No preview"));
    };
    image.src = this.url;
    this.facts = element("p", { className: "hint" });
    this.answer = element("div", { className: "answer" });
    this.element = element(
      "article",
      { className: "card" },
      element("div", { className: "preview" }, image),
      element("div", { className: "told" }, element("h3", {}, this.name), this.facts, this.answer),
    );
  }

  /** Keeps what it shows, dimmed: a new answer is on its way. */
  wait() {
    this.element.ariaBusy = "true";
  }

  /** Shows nothing if it still waits: there will be no answer. */
  rest() {
    if (this.element.ariaBusy === "true") this.show({});
  }

  /** Leaves the page. */
  discard() {
    URL.revokeObjectURL(this.url);
    this.element.remove();
  }

  /** Shows one result of the service. */
  show({ image, scores, error }) {
    this.element.ariaBusy = "false";
    const facts = image ? [`${image.width} × ${image.height} ${image.format}`, ...image.notes.map(noteShown)] : [];
    this.facts.textContent = facts.join(", ");
    this.answer.replaceChildren();
    if (error) this.answer.append(problemShown(error));
    else if (scores?.length) this.answer.append(table(this.name, scores));
    else if (scores) this.answer.append(element("p", {}, "No label reaches the threshold: none of them fits."));
  }
}

function noteShown(note) {
  const frames = /^first_frame_of_(\d+)$/.exec(note);
  return frames ? `the first of ${frames[1]} frames` : (NOTES[note] ?? note.replaceAll("_", " "));
}

function table(name, scores) {
  const heads = ["Label", "Sigmoid", "Softmax", "Logit"].map((head) =>
    element("th", { scope: "col", className: head.toLowerCase() }, head));
  const lines = scores.map(({ label, logit, sigmoid, softmax }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, label),
      bar("sigmoid", sigmoid),
      bar("softmax", softmax),
      element("td", { className: "logit" }, logit.toFixed(2).replace("-", "−")),
    ));
  return element(
    "table",
    {},
    element("caption", { className: "unseen" }, `Scores of ${name}`),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...lines),
  );
}

function bar(className, value) {
  const filled = element("span");
  filled.style.inlineSize = `${value * 100}%`;
  const text = element("span", { className: "value" }, shown(value));
  const score = element("div", { className: "score" }, element("span", { className: "bar" }, filled), text);
  return element("td", { className }, score);
}
