// The page: sends images with labels, and shows their scores.

import { ask, classify, pause, Problem, untilReady } from "./api.js";
import { enableCommands, refreshCommands, showDone } from "./done.js";
import { $, counted, element, formatPercent, problemElement } from "./elements.js";
import { findFault, groupImages } from "./fields.js";
import { useModelSize } from "./figure.js";
import { enableImageInput, samples } from "./images.js";
import { askForKey, enableKeyForm } from "./key.js";
import { enableLink, writeLink } from "./link.js";
import { showModel } from "./model.js";
import { enableForm, formFields, numLabels, showService } from "./question.js";
import { enableResults, refreshResults, showItems } from "./results.js";
import { enableView, MAX_TOP_K, winner } from "./view.js";

let info;
let starting; // the promise of `start`
let running = new AbortController();
let items = []; // the images: `{ file, name, path, answer, numLabels }`
let chosen = false; // whether the user has chosen images
let asked = ""; // the form's fields of the scores that are shown, as JSON

/** Waits for the facts that a request needs. If that failed, the next call tries again. */
function started() {
  starting ??= start().catch((problem) => {
    starting = undefined;
    throw problem;
  });
  return starting;
}

async function start() {
  await untilReady((detail) => {
    $("stage").textContent = `${detail} This page retries automatically.`;
  });
  $("stage").textContent = "";
  info = (await ask("info")).answer;
  useModelSize(info.image_size);
  showModel(info);
  await showService((await ask("label-sets")).answer.label_sets, info.limits);
}

/** Scores a sample, so that the page shows at once what it does. */
async function showFirst() {
  try {
    await started();
    const images = await samples(["cat"]);
    if (!chosen) showAndRun(images);
  } catch (problem) {
    if (!chosen) showProblem(problem);
  }
}

/** Replaces the images by those that are coming, and classifies them. */
async function choose(coming) {
  chosen = true;
  const signal = begin();
  try {
    const images = await coming;
    if (signal.aborted) return;
    document.querySelector("main").classList.remove("first");
    showAndRun(images);
  } catch (problem) {
    if (!signal.aborted) fail(problem);
  }
}

function showAndRun(images) {
  items = images;
  showItems(items);
  $("status").textContent = "";
  if ($("ask").reportValidity()) run();
  else end();
}

/** Cancels the requests before. Returns the signal that will cancel the next ones. */
function begin() {
  running.abort();
  running = new AbortController();
  $("results").ariaBusy = "true";
  return running.signal;
}

function end() {
  $("progress").hidden = true;
  $("results").ariaBusy = "false";
}

function fail(problem) {
  $("status").textContent = "";
  end();
  showProblem(problem);
}

/** Classifies all images. */
async function run() {
  const signal = begin();
  const fields = formFields();
  writeLink();
  $("problem").replaceChildren();
  $("warnings").replaceChildren();
  $("status").textContent = items.length
    ? `Classifying ${counted(items.length, "image")} …`
    : "Choose an image or a sample first.";
  showDone([], fields, {});
  if (!items.length) {
    end();
    return;
  }
  // On a phone the status is below the form.
  if (chosen && $("status").getBoundingClientRect().top > innerHeight) $("status").scrollIntoView();
  try {
    await started();
    await classifyAll(fields, signal);
    end();
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.error_type === "not_ready") {
      starting = undefined;
      await pause(1000);
      if (!signal.aborted) run();
      return;
    }
    clearAnswers();
    fail(problem);
  }
}

/** Removes old scores, because no new ones will come. */
function clearAnswers() {
  for (const item of items) delete item.answer;
  refreshResults();
  asked = "";
  markStale();
}

async function classifyAll(fields, signal) {
  const labels = numLabels();
  const sent = [...fields, ["top_k", String(MAX_TOP_K)]];
  const sendable = [];
  for (const item of items) {
    const fault = await findFault(item.file, sent, info.limits);
    signal.throwIfAborted();
    if (fault) item.answer = { error: fault };
    else sendable.push(item);
  }
  refreshResults();
  const groups = groupImages(sendable, sent, info.limits);
  const times = {};
  const warnings = new Set(); // those about labels are the same for each group
  let done = items.length - sendable.length;
  for (const group of groups) {
    if (groups.length > 1) showProgress(done, items.length);
    const startedMs = performance.now();
    const { results, timings, warnings: found } = await classify(group.map(({ file }) => file), sent, signal);
    for (const { message } of found) warnings.add(message);
    for (const [name, ms] of Object.entries({ ...timings, browser: performance.now() - startedMs })) {
      times[name] = (times[name] ?? 0) + ms;
    }
    results.forEach((answer, index) => Object.assign(group[index], { answer, numLabels: labels }));
    refreshResults();
    done += group.length;
  }
  asked = JSON.stringify(fields);
  markStale();
  $("status").textContent = summary();
  $("warnings").replaceChildren(...[...warnings].map((message) => element("li", {}, message)));
  showDone(groups, fields, times);
}

function showProgress(done, all) {
  Object.assign($("progress"), { hidden: false, value: done, max: all });
  $("status").textContent = `${done.toLocaleString("en")} of ${counted(all, "image")} …`;
}

/** Returns the results in a sentence. */
function summary() {
  const good = items.filter(({ answer }) => !answer.error);
  if (items.length > 1) {
    const bad = items.length - good.length;
    return `${counted(items.length, "image")}${bad ? `, ${bad.toLocaleString("en")} cannot be used` : ""}.`;
  }
  if (good.length === 0) return "The image cannot be used.";
  const { best } = winner(good[0].answer);
  return `Best: ${best.label}. Sigmoid ${formatPercent(best.sigmoid)}, softmax ${formatPercent(best.softmax)}.`;
}

/** Marks the scores if the form has changed since. */
function markStale() {
  const stale = asked !== "" && JSON.stringify(formFields()) !== asked;
  $("results").classList.toggle("stale", stale);
  $("stale").textContent = stale ? "The labels or templates have changed. These scores are for the old ones." : "";
}

function showProblem(problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (problem.status === 401) askForKey();
  else $("problem").replaceChildren(problemElement(problem));
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
enableImageInput(choose);
enableForm(markStale, showProblem);
enableView(() => {
  refreshResults();
  refreshCommands();
});
enableResults();
enableLink();
enableCommands();
enableKeyForm(() => (items.length ? $("ask").requestSubmit() : showFirst()));
showFirst();
