// The form's values as the fields of a request, and images in groups that fit into one request.

const PART_BYTES = 1000; // more than the headers and boundary of a form part need

// As `app/labels.py` splits a lone text: commas and semicolons, those of other scripts too, and line breaks.
const SEPARATOR = /[,;\r\n\x85\u2028\u2029，、；،؛]/;

/** Returns labels: the elements of a JSON array, or else the parts of the text. Returns null for an invalid array. */
export function parseLabels(text) {
  return text.trim().startsWith("[") ? parseArray(text) : splitTrimmed(text, SEPARATOR);
}

function parseArray(text) {
  try {
    const labels = JSON.parse(text);
    return labels.every((label) => typeof label === "string") ? labels : null;
  } catch {
    return null;
  }
}

/** Returns templates, one per line. */
export function parseTemplates(text) {
  return splitTrimmed(text, "\n");
}

function splitTrimmed(text, separator) {
  return text.split(separator).map((part) => part.trim()).filter(Boolean);
}

/** Returns the fields of a request as [name, value]. Labels are JSON, because a single label may begin with [. */
export function requestFields({ labels, labelSet, templates }) {
  return labelSet
    ? [["label_set", labelSet]]
    : [["labels", JSON.stringify(labels)], ...templates.map((template) => ["templates", template])];
}

/** Returns the fields that make the service answer what a view shows. */
export function viewFields({ threshold, topK }) {
  return [...(threshold ? [["threshold", String(threshold)]] : []), ["top_k", String(topK)]];
}

/** Returns why a file cannot be sent, or null if it can. */
export async function findFault(file, fields, limits) {
  if (file.size + PART_BYTES > bytesForImages(fields, limits)) {
    const [bytes, maxBytes] = [file.size, limits.max_body_bytes].map((count) => count.toLocaleString("en"));
    return {
      title: "The image is too large",
      detail: `It has ${bytes} bytes; a request may have at most ${maxBytes}. It was not sent.`,
    };
  }
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    const detail = "It is a folder, or it was moved or changed. It was not sent.";
    return { title: "The image cannot be read", detail };
  }
  return null;
}

/** Returns the images in groups, each small enough for one request. */
export function groupImages(images, fields, limits) {
  const groups = [];
  let bytesLeft = 0;
  for (const image of images) {
    const bytes = image.file.size + PART_BYTES;
    if (!groups.length || bytes > bytesLeft || groups.at(-1).length === limits.max_images) {
      groups.push([]);
      bytesLeft = bytesForImages(fields, limits);
    }
    groups.at(-1).push(image);
    bytesLeft -= bytes;
  }
  return groups;
}

/** Returns how many bytes the images of one request may have together. */
function bytesForImages(fields, limits) {
  const bytes = fields.map(([, value]) => new Blob([value]).size + PART_BYTES);
  return bytes.reduce((left, field) => left - field, limits.max_body_bytes);
}
