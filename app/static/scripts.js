// The requests that the page has sent, as scripts in Python and JavaScript. A JSON string is a string in both.

const string = JSON.stringify;

/** Returns a Python script that sends each group of images with these fields. */
export function pythonScript(groups, fields, { base, withKey }) {
  const data = [...new Set(fields.map(([name]) => name))].map((name) => {
    const values = fields.filter(([other]) => other === name).map(([, value]) => string(value));
    return `${string(name)}: ${values.length > 1 ? `[${values.join(", ")}]` : values[0]}`;
  });
  const requests = groups.map((images) => {
    const { name, url } = target(images, base);
    const files = images.map(({ path, file, name: chosen }) => {
      const url = path && string(new URL(path, base).href);
      const content = url ? `httpx.get(${url}).content` : `open(${string(chosen)}, "rb")`;
      return `        (${string(name)}, (${string(file.name)}, ${content})),`;
    });
    return [
      "response = httpx.post(",
      `    ${string(url)},`,
      ...(withKey ? ['    headers={"X-API-Key": os.environ["API_KEY"].encode()},'] : []),
      "    files=[",
      ...files,
      "    ],",
      "    data={",
      ...data.map((line) => `        ${line},`),
      "    },",
      "    timeout=60,",
      ")",
      "print(response.text)",
    ].join("\n");
  });
  return [`${withKey ? "import os\n\n" : ""}import httpx`, ...requests].join("\n\n");
}

/** Returns a JavaScript module for Node.js that sends each group of images with these fields. */
export function javascriptScript(groups, fields, { base, withKey }) {
  const reads = groups.flat().some(({ path }) => !path);
  const requests = groups.map((images) => {
    const { name, url } = target(images, base);
    const files = images.map(({ path, file, name: chosen }) => {
      const url = path && string(new URL(path, base).href);
      const blob = url ? `await (await fetch(${url})).blob()` : `await openAsBlob(${string(chosen)})`;
      return `form.append(${string(name)}, ${blob}, ${string(file.name)});`;
    });
    const key = withKey ? '\n  headers: { "X-API-Key": Buffer.from(process.env.API_KEY).toString("latin1") },' : "";
    return [
      "form = new FormData();",
      ...files,
      ...fields.map(([field, value]) => `form.append(${string(field)}, ${string(value)});`),
      `response = await fetch(${string(url)}, {\n  method: "POST",${key}\n  body: form,\n});`,
      "console.log(await response.text());",
    ].join("\n");
  });
  return [...(reads ? ['import { openAsBlob } from "node:fs";'] : []), "let form, response;", ...requests].join("\n\n");
}

/** Returns the field for images and the URL of a request. */
function target(images, base) {
  const [name, path] = images.length > 1 ? ["images", "classify/batch"] : ["image", "classify"];
  return { name, url: new URL(path, base).href };
}
