// Requests to the service that serves this page. Paths are relative, so the page works behind a prefix.

const KEY = "siglip-key";
const NO_RESPONSE = 0; // instead of a status
const storage = sessionStorageOrNull();
let key = storage?.getItem(KEY) ?? "";

/** A failure: the service's problem response, or one made here if there is none. */
export class Problem extends Error {
  constructor({ title, detail, status, error_type = "", errors = [], request_id = "" }) {
    super(detail);
    Object.assign(this, { title, detail, status, error_type, errors, request_id });
  }
}

/** Returns the tab's storage, or null if the browser blocks it. */
function sessionStorageOrNull() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** Returns whether requests are sent with a key. */
export function hasKey() {
  return key !== "";
}

/** Stores this key and sends it from now on; "" removes the key. */
export function useKey(newKey) {
  key = newKey;
  if (newKey) storage?.setItem(KEY, newKey);
  else storage?.removeItem(KEY);
}

/** Requests a path. Returns the response as `{ answer, timings }`, or throws a `Problem`. */
export async function ask(path, { form, signal } = {}) {
  const sentKey = key;
  const { response, content } = await send(path, { method: form ? "POST" : "GET", body: form, signal }, "text");
  // The user may have entered a key in the meantime.
  if (response.status === 401 && key && key !== sentKey) return ask(path, { form, signal });
  const answer = parsed(content);
  if (!response.ok || answer === undefined) throw new Problem(answer?.detail ? answer : foreignProblem(response));
  return { answer, timings: timingsOf(response) };
}

/** Returns a sample as a file, as if the user had chosen it. */
export async function sample(path) {
  const { response, content } = await send(path, {}, "blob");
  if (!response.ok) throw new Problem(foreignProblem(response));
  return new File([content], path.split("/").pop(), { type: content.type });
}

async function send(path, options, kind) {
  // fetch takes one character per byte of a header, and the service reads the key as UTF-8.
  const bytes = String.fromCharCode(...new TextEncoder().encode(key));
  try {
    // Not Authorization, which belongs to the browser if a proxy asks for Basic authentication.
    const response = await fetch(path, { ...options, headers: key ? { "X-API-Key": bytes } : {} });
    return { response, content: await response[kind]() };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const title = "The service does not respond";
    throw new Problem({ title, detail: "The connection to the service failed.", status: NO_RESPONSE });
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns a problem for a response that does not come from the service, but for example from a proxy. */
function foreignProblem(response) {
  const wait = response.headers.get("Retry-After");
  return {
    title: "The service was not reached",
    detail: `A proxy before the service responded with ${response.status}.${wait ? ` Try again in ${wait} s.` : ""}`,
    status: response.status,
  };
}

/** Returns `Server-Timing` as milliseconds by name. */
function timingsOf(response) {
  const header = response.headers.get("Server-Timing") ?? "";
  return Object.fromEntries([...header.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, ms]) => [name, Number(ms)]));
}

/** Waits until the model is loaded. Calls `onStage` with the reason while it is not. */
export async function untilReady(onStage) {
  for (;;) {
    try {
      await ask("health/startup");
      return;
    } catch (problem) {
      if (![NO_RESPONSE, 502, 503, 504].includes(problem.status)) throw problem;
      onStage(problem.detail);
      await pause(1000);
    }
  }
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Returns `{ results, warnings, model, timings }`, with one result per image. An unusable image does not affect the others. */
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
    return { results: [answer], warnings: answer.warnings, model: answer.model, timings };
  } catch (problem) {
    if (!problem.errors?.some(({ pointer }) => pointer === "/image")) throw problem;
    return { results: [{ error: problem }], warnings: [], timings: {} };
  }
}
