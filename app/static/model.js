// The facts about the model, from /info.

import { $, rows } from "./elements.js";

/** Shows the facts about the model, and a notice if it is the demonstration. */
export function showModel(info) {
  const bias = `${info.bias < 0 ? "−" : "+"} ${Math.abs(info.bias).toPrecision(5)}`;
  $("model-name").textContent = `${info.variant} ${info.weights}`;
  $("model-facts").replaceChildren(
    ...rows({
      "Revision": info.revision ?? "none",
      "SHA-256": info.sha256,
      "Runs on": `${info.device}, ${info.engine}, ${info.dtype}`,
      "Image": info.preprocessing,
      "Text": `${info.canonicalisation}; ${info.context_length} tokens of ${info.vocab_size.toLocaleString("en")}`,
      "Logit": `${info.scale.toPrecision(5)} × cosine ${bias}`,
      "Formats": info.limits.image_formats.join(", "),
      "Service": `version ${info.version}`,
    }),
  );
  $("model").hidden = false;
  $("demonstration").hidden = !info.demonstration;
}
