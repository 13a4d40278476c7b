// What the page asks of the service that it came from. Paths are relative: a prefix before them stays.

const KEY = "siglip-key";
const NO_ANSWER = 0; // in the place of a status
const storage = reachable();
let key = storage?.getItem(KEY) ?? "";

/** A failure, in the service's own words where it has said something. */
export class Problem extends Error {
  constructor({ title, detail, status, error_type = "", errors = [], request_id = "" }) {
    super(detail);
    Object.assign(this, { title, detail, status, error_type, errors, request_id });
  }
}

/** Returns the tab's storage; nothing where the reader's browser refuses it. */
function reachable() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** Returns whether requests carry a key. */
export function hasKey() {
  return key !== "";
}

/** Sends this key from now on; "" sends and keeps none. */
export function useKey(given) {
  key = given;
  if (given) storage?.setItem(KEY, given);
  else storage?.removeItem(KEY);
}

/** Returns what a path answers as `{ answer, timings }`, or raises a `Problem`. */
export async function ask(path, { form, signal } = {}) {
  const sent = key;
  const { response, content } = await send(path, { method: form ? "POST" : "GET", body: form, signal }, "text");
  if (response.status === 401 && key && key !== sent) return ask(path, { form, signal }); // one was given meanwhile
  const answer = parsed(content);
  if (!response.ok || answer === undefined) throw new Problem(answer?.detail ? answer : unexplained(response));
  return { answer, timings: timingsOf(response) };
}

/** Returns a sample as the file that a reader would have picked. */
export async function sample(path) {
  const { response, content } = await send(path, {}, "blob");
  if (!response.ok) throw new Problem(unexplained(response));
  return new File([content], path.split("/").pop(), { type: content.type });
}

async function send(path, options, kind) {
  // A header holds bytes, and the service reads a key as UTF-8.
  const bytes = String.fromCharCode(...new TextEncoder().encode(key));
  try {
    const response = await fetch(path, { ...options, headers: key ? { Authorization: `Bearer ${bytes}` } : {} });
    return { response, content: await response[kind]() };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const title = "The service does not answer";
    throw new Problem({ title, detail: "The service, or the network to it, is not there.", status: NO_ANSWER });
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns a problem for an answer that is not the service's, such as a proxy's. */
function unexplained(response) {
  const wait = response.headers.get("Retry-After");
  return {
    title: "The service was not reached",
    detail: `Something before the service has answered ${response.status}.${wait ? ` Try again in ${wait} s.` : ""}`,
    status: response.status,
  };
}

/** Returns `Server-Timing` as milliseconds by name. */
function timingsOf(response) {
  const header = response.headers.get("Server-Timing") ?? "";
  return Object.fromEntries([...header.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, ms]) => [name, Number(ms)]));
}

/** Returns once the model is loaded; `onStage` is told, meanwhile, how far it is. */
export async function untilReady(onStage) {
  for (;;) {
    try {
      await ask("health/startup");
      return;
    } catch (problem) {
      if (![NO_ANSWER, 502, 503, 504].includes(problem.status)) throw problem;
      onStage(problem.detail);
      await pause(1000);
    }
  }
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Returns `{ results, model, timings }` of images, one result each: an image that cannot be used fails alone. */
export async function classify(files, fields, signal) {
  const form = new FormData();
  for (const file of files) form.append(files.length > 1 ? "images" : "image", file);
  for (const [name, value] of fields) form.append(name, value);
  if (files.length > 1) {
    const { answer, timings } = await ask("classify/batch", { form, signal });
    return { ...answer, timings };
  }
  try {
    const { answer, timings } = await ask("classify", { form, signal });
    return { results: [answer], model: answer.model, timings };
  } catch (problem) {
    if (!problem.errors?.some(({ pointer }) => pointer === "/image")) throw problem;
    return { results: [{ error: problem }], timings: {} };
  }
}
