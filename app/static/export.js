// The answers that are on the page as files. The service is not asked again.

import { winner } from "./view.js";

/** Returns CSV (RFC 4180): a row per image with the sigmoid of each label. Labels are columns, sorted by text. */
export function csvText(items) {
  const scored = items.flatMap(({ answer }) => answer.scores ?? []);
  const labels = [...new Set(scored.map(({ label }) => label))].sort();
  const header = ["file", "best", "error", ...labels].map(textCell);
  const rows = items.map(({ name, answer }) => {
    const { error, scores = [] } = answer;
    const sigmoids = new Map(scores.map(({ label, sigmoid }) => [label, sigmoid]));
    const texts = [name, error ? "" : winner(answer).best.label, error ? `${error.title}: ${error.detail}` : ""];
    return [...texts.map(textCell), ...labels.map((label) => sigmoids.get(label) ?? "")];
  });
  return [header, ...rows].map((cells) => `${cells.join(",")}\r\n`).join("");
}

/** Returns a quoted cell. A spreadsheet runs a text that begins with =, +, - or @ as a formula; after ' it is text. */
function textCell(text) {
  const inert = /^\s*[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
  return `"${inert.replaceAll('"', '""')}"`;
}

/** Returns a JSON array with a line per image: its name, and the result of the service. */
export function jsonText(items) {
  const lines = items.map(({ name, answer: { image, scores, accepted_labels, error } }) =>
    JSON.stringify({ file: name, image, scores, accepted_labels, error }));
  return `[\n${lines.join(",\n")}\n]\n`;
}

/** Makes the browser store a text as a file. */
export function saveFile(text, name, type) {
  const href = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement("a"), { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // some browsers read it after the click
}
