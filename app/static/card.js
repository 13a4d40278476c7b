// A card shows one image and its scores: a headline with the best label, and bars.

import { counted, element, formatPercent, problemElement } from "./elements.js";
import { imageFigure } from "./figure.js";
import { currentView, shownScores, winner } from "./view.js";

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
  /** Creates a card for `{ file, name, path, answer, numLabels }`. `answer` is a result of the service, when there is one. */
  constructor(item) {
    this.item = item;
    this.facts = element("span");
    this.headline = element("div", { className: "headline" });
    this.answer = element("div", { className: "answer" });
    this.element = element(
      "article",
      { className: "card", ariaLabel: item.name },
      this.headline,
      imageFigure(item, this.facts),
      this.answer,
    );
    this.refresh();
  }

  /** Shows the answer in the current view. */
  refresh() {
    const { name, path, answer, numLabels } = this.item;
    this.headline.replaceChildren();
    this.answer.replaceChildren();
    if (!answer) return;
    const { image, scores, accepted_labels, error } = answer;
    if (image) {
      const facts = [`${image.width} × ${image.height} ${image.format}`, ...image.notes.map(noteText)];
      this.facts.textContent = [...facts, ...(path ? ["sample"] : [])].join(", ");
    }
    if (error) {
      this.answer.append(problemElement(error));
      return;
    }
    const shown = shownScores(scores);
    const { kind } = currentView();
    this.headline.append(...headline(answer, kind));
    if (accepted_labels !== undefined) {
      this.answer.append(element("p", { className: "accepted" }, acceptedText(accepted_labels)));
    }
    if (shown.length) this.answer.append(bars(name, shown, kind, answer !== this.shownBefore));
    this.answer.append(element("p", { className: "hint" }, shownText(shown.length, numLabels)));
    this.shownBefore = answer;
  }
}

/** Returns the best label with its score, and whether it is accepted if there are thresholds. */
function headline(answer, kind) {
  const { best, verdict } = winner(answer);
  return [
    element("h3", {}, best.label),
    element("p", { className: kind }, number("strong", "", formatPercent(best[kind])), ` ${kind}`),
    ...(verdict ? [verdictElement(verdict)] : []),
  ];
}

/** Returns a mark that says "accepted" or "none of these". */
export function verdictElement(verdict) {
  return element("span", { className: verdict === "accepted" ? "verdict accepted" : "verdict" }, verdict);
}

function shownText(shown, all) {
  if (!shown) return "No label reaches the threshold.";
  return shown < all ? `${shown} of ${counted(all, "label")} shown` : "";
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

/** Returns scores as bars, which grow if they are new. */
function bars(name, scores, kind, areNew) {
  const lines = scores.map((score) => {
    const mark = score.accepted ? [element("span", { className: "hint" }, " accepted")] : [];
    return element(
      "li",
      {},
      element("span", { className: "label" }, score.label, ...mark),
      number("span", "logit hint", `logit ${score.logit.toFixed(2).replace("-", "−")}`),
      number("span", "value", formatPercent(score[kind])),
      bar(score[kind]),
    );
  });
  const title = `${kind === "sigmoid" ? "Sigmoid" : "Softmax"} of ${name}`;
  return element("ol", { className: `bars ${kind}${areNew ? " new" : ""}`, ariaLabel: title }, ...lines);
}

/** Returns an element whose text is never broken over two lines. */
function number(tag, className, text) {
  return element(tag, { className: `number ${className}` }, text);
}

/** Returns a bar that is filled to this score of 0 to 1. */
export function bar(value) {
  const filled = element("span");
  filled.style.inlineSize = `${value * 100}%`;
  return element("span", { className: "bar" }, filled);
}
