// The page: sends images with labels, and shows their scores.

import { ask, classify, pause, Problem, untilReady } from "./api.js";
import { Card } from "./cards.js";
import { enableCopyButton, showDone } from "./done.js";
import { $, counted, element, formatScore, problemElement } from "./elements.js";
import { findFault, groupImages } from "./fields.js";
import { enableImageInput } from "./images.js";
import { askForKey, enableKeyForm } from "./key.js";
import { showModel } from "./model.js";
import { enableForm, formFields, hiddenLabelsText, showService } from "./question.js";

let info;
let starting; // the promise of `start`
let running = new AbortController();
let cards = new Map(); // image -> card

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
  showModel(info);
  showService((await ask("label-sets")).answer.label_sets, info.limits);
}

/** Replaces the images, and classifies the new ones. */
function choose(images) {
  running.abort();
  for (const card of cards.values()) card.discard();
  cards = new Map(images.map((image) => [image, new Card(image)]));
  $("cards").replaceChildren(...[...cards.values()].map((card) => card.element));
  $("status").textContent = "";
  $("ask").requestSubmit();
}

/** Classifies all images. Cancels the requests before. */
async function run() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const fields = formFields();
  $("problem").replaceChildren();
  $("warnings").replaceChildren();
  $("status").textContent = cards.size
    ? `Classifying ${counted(cards.size, "image")} …`
    : "Choose an image or a sample first.";
  if (!cards.size) return;
  for (const card of cards.values()) card.wait();
  showDone([], fields, {});
  // On a phone the status is below the form.
  if ($("status").getBoundingClientRect().top > innerHeight) $("status").scrollIntoView();
  try {
    await started();
    await classifyAll([...cards.keys()], fields, signal);
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.error_type === "not_ready") {
      starting = undefined;
      await pause(1000);
      if (!signal.aborted) run();
      return;
    }
    for (const card of cards.values()) card.stopWaiting();
    $("status").textContent = "";
    showProblem(problem);
  } finally {
    if (!signal.aborted) $("progress").hidden = true;
  }
}

async function classifyAll(images, fields, signal) {
  const sendable = [];
  for (const image of images) {
    const fault = await findFault(image.file, fields, info.limits);
    signal.throwIfAborted();
    if (fault) cards.get(image).show({ error: fault });
    else sendable.push(image);
  }
  const groups = groupImages(sendable, fields, info.limits);
  const times = {};
  const warnings = new Set(); // those about labels are the same for each group
  let answered = [];
  for (const group of groups) {
    if (groups.length > 1) showProgress(images.length - sendable.length + answered.length, images.length);
    const startedMs = performance.now();
    const { results, timings, warnings: found } = await classify(group.map(({ file }) => file), fields, signal);
    for (const { message } of found) warnings.add(message);
    for (const [name, ms] of Object.entries({ ...timings, browser: performance.now() - startedMs })) {
      times[name] = (times[name] ?? 0) + ms;
    }
    results.forEach((result, index) => cards.get(group[index]).show(result));
    answered = answered.concat(results);
  }
  $("status").textContent = summary(images.length, answered);
  $("warnings").replaceChildren(...[...warnings].map((message) => element("li", {}, message)));
  showDone(groups, fields, times);
}

function showProgress(done, all) {
  Object.assign($("progress"), { hidden: false, value: done, max: all });
  $("status").textContent = `${done.toLocaleString("en")} of ${counted(all, "image")} …`;
}

/** Returns the results in a sentence. */
function summary(count, results) {
  const good = results.filter(({ error }) => !error);
  if (count > 1) {
    const bad = count - good.length;
    const unusable = bad ? `, ${bad.toLocaleString("en")} cannot be used` : "";
    return `${counted(count, "image")}${unusable}.${hiddenLabelsText()}`;
  }
  if (good.length === 0) return "The image cannot be used.";
  const [first] = good[0].scores;
  if (!first) return "No label reaches the threshold.";
  const [sigmoid, softmax] = [formatScore(first.sigmoid), formatScore(first.softmax)];
  return `Best: ${first.label}. Sigmoid ${sigmoid}, softmax ${softmax}.${hiddenLabelsText()}`;
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
enableImageInput(choose, showProblem);
enableForm();
enableCopyButton();
enableKeyForm(() => (cards.size ? $("ask").requestSubmit() : started().catch(showProblem)));
started().catch(showProblem);
