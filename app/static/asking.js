// What the reader has typed, as the fields of a request; and images in requests that the service takes.

const PART_BYTES = 1000; // more than a part of a form needs around its content

/** Returns labels: one a line or, on a single line, between commas. */
export function labelsOf(text) {
  return trimmed(text, text.trim().includes("\n") ? "\n" : ",");
}

/** Returns templates, one a line. */
export function templatesOf(text) {
  return trimmed(text, "\n");
}

function trimmed(text, separator) {
  return text.split(separator).map((part) => part.trim()).filter(Boolean);
}

/** Returns the fields of a request as [name, value]. Labels go as JSON, which one label that begins with [ needs. */
export function fieldsOf({ labels, labelSet, templates, threshold, topK }) {
  const fields = labelSet
    ? [["label_set", labelSet]]
    : [["labels", JSON.stringify(labels)], ...templates.map((template) => ["templates", template])];
  if (threshold !== "") fields.push(["threshold", threshold]);
  return [...fields, ["top_k", topK]];
}

/** Returns what is wrong with a file before it is sent, if something is. */
export async function faultOf(file, fields, limits) {
  const room = roomFor(fields, limits);
  if (file.size + PART_BYTES > room) {
    const bytes = file.size.toLocaleString("en");
    return {
      title: "The image is too large",
      detail: `It has ${bytes} bytes, and a request ${limits.max_body_bytes.toLocaleString("en")} at most. Not sent.`,
    };
  }
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    return { title: "The image cannot be read", detail: "It is a folder, or it has gone or changed. Not sent." };
  }
  return null;
}

/** Returns the images in groups, each small enough for one request. */
export function grouped(images, fields, limits) {
  const groups = [];
  let room = 0;
  for (const image of images) {
    const bytes = image.file.size + PART_BYTES;
    if (!groups.length || bytes > room || groups.at(-1).length === limits.max_images) {
      groups.push([]);
      room = roomFor(fields, limits);
    }
    groups.at(-1).push(image);
    room -= bytes;
  }
  return groups;
}

function roomFor(fields, limits) {
  const bytes = fields.map(([, value]) => new Blob([value]).size + PART_BYTES);
  return bytes.reduce((room, field) => room - field, limits.max_body_bytes);
}
