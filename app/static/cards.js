// A card shows one image and its scores.

import { counted, element, formatScore, problemElement } from "./elements.js";

const MAX_NAMES = 20; // in a sentence

const NOTES = {
  exif_orientation_applied: "EXIF orientation applied",
  alpha_composited_on_white: "transparency shown on white",
  reduced_from_16_bit: "reduced from 16 bits",
  converted_from_cmyk: "converted from CMYK",
  converted_from_icc: "colours converted to sRGB",
  converted_from_cicp: "colours converted to sRGB",
  tone_mapped: "HDR: the brightest parts are white",
  colour_profile_ignored: "unusable colour profile ignored",
  blank_frame: "the frame is blank",
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
      element("div", { className: "card-text" }, element("h3", {}, this.name), this.facts, this.answer),
    );
  }

  /** Dims the old scores until the new ones arrive. */
  wait() {
    this.element.ariaBusy = "true";
  }

  /** Clears the card if it still waits, because no scores will arrive. */
  stopWaiting() {
    if (this.element.ariaBusy === "true") this.show({});
  }

  /** Removes the card from the page. */
  discard() {
    URL.revokeObjectURL(this.url);
    this.element.remove();
  }

  /** Shows one result of the service. */
  show({ image, scores, accepted_labels, error }) {
    this.element.ariaBusy = "false";
    const facts = image ? [`${image.width} × ${image.height} ${image.format}`, ...image.notes.map(noteText)] : [];
    this.facts.textContent = facts.join(", ");
    this.answer.replaceChildren();
    if (accepted_labels !== undefined) this.answer.append(element("p", {}, acceptedText(accepted_labels)));
    if (error) this.answer.append(problemElement(error));
    else if (scores?.length) this.answer.append(table(this.name, scores));
    else if (scores) this.answer.append(element("p", {}, "No label reaches the threshold."));
  }
}

function noteText(note) {
  const frames = /^first_frame_of_(\d+)$/.exec(note);
  return frames ? `first of ${frames[1]} frames` : (NOTES[note] ?? note.replaceAll("_", " "));
}

/** Returns in a sentence what a label set with thresholds accepts; `null`: its thresholds are not in force. */
function acceptedText(accepted) {
  if (!accepted) return "This label set has no thresholds in force.";
  if (!accepted.length) return "None of these labels is accepted.";
  const names = accepted.slice(0, MAX_NAMES).map(({ label }) => label);
  const more = accepted.length - names.length;
  return `Accepted: ${names.join(", ")}${more ? `, and ${counted(more, "other label")}` : ""}.`;
}

function table(name, scores) {
  const heads = ["Label", "Sigmoid", "Softmax", "Logit"].map((head) =>
    element("th", { scope: "col", className: head.toLowerCase() }, head));
  const lines = scores.map(({ label, logit, sigmoid, softmax, accepted }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, label, ...(accepted ? [element("span", { className: "hint" }, " accepted")] : [])),
      bar("sigmoid", sigmoid),
      bar("softmax", softmax),
      element("td", { className: "logit" }, logit.toFixed(2).replace("-", "−")),
    ));
  return element(
    "table",
    {},
    element("caption", { className: "visually-hidden" }, `Scores of ${name}`),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...lines),
  );
}

function bar(className, value) {
  const filled = element("span");
  filled.style.inlineSize = `${value * 100}%`;
  const text = element("span", { className: "value" }, formatScore(value));
  const score = element("div", { className: "score" }, element("span", { className: "bar" }, filled), text);
  return element("td", { className }, score);
}
