// The page: images and a question in, scores out.

import { ask, classify, pause, Problem, untilReady } from "./api.js";
import { faultOf, grouped } from "./asking.js";
import { Card } from "./cards.js";
import { showDone, takeCopies } from "./done.js";
import { $, counted, problemShown, shown } from "./elements.js";
import { askForKey, takeKeys } from "./key.js";
import { showModel } from "./model.js";
import { takeImages } from "./images.js";
import { asked, offer, takeQuestions, unshown } from "./question.js";

let info;
let starting; // until all is known that a request needs
let running = new AbortController();
let cards = new Map(); // by image

/** Returns once it is known what is served. A start that has failed is tried again by who needs it next. */
function started() {
  starting ??= start().catch((problem) => {
    starting = undefined;
    throw problem;
  });
  return starting;
}

async function start() {
  await untilReady((detail) => {
    $("stage").textContent = `${detail} This page goes on by itself.`;
  });
  $("stage").textContent = "";
  info = (await ask("info")).answer;
  showModel(info);
  offer((await ask("label-sets")).answer.label_sets, info.limits);
}

/** Takes images in the place of those before. */
function choose(images) {
  running.abort();
  for (const card of cards.values()) card.discard();
  cards = new Map(images.map((image) => [image, new Card(image)]));
  $("cards").replaceChildren(...[...cards.values()].map((card) => card.element));
  $("status").textContent = "";
  $("ask").requestSubmit();
}

/** Asks about all images, in the place of what is still being asked. */
async function run() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const fields = asked();
  $("problem").replaceChildren();
  $("status").textContent = cards.size
    ? `Classifying ${counted(cards.size, "image")} …`
    : "Choose an image first: one of yours, or a sample.";
  if (!cards.size) return;
  for (const card of cards.values()) card.wait();
  showDone([], fields, {});
  if ($("status").getBoundingClientRect().top > innerHeight) $("status").scrollIntoView(); // on a phone
  try {
    await started();
    await askAbout([...cards.keys()], fields, signal);
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.error_type === "not_ready") {
      starting = undefined;
      await pause(1000);
      if (!signal.aborted) run();
      return;
    }
    for (const card of cards.values()) card.rest();
    $("status").textContent = "";
    fail(problem);
  } finally {
    if (!signal.aborted) $("progress").hidden = true;
  }
}

async function askAbout(images, fields, signal) {
  const sound = [];
  for (const image of images) {
    const fault = await faultOf(image.file, fields, info.limits);
    signal.throwIfAborted();
    if (fault) cards.get(image).show({ error: fault });
    else sound.push(image);
  }
  const groups = grouped(sound, fields, info.limits);
  const times = {};
  let answered = [];
  for (const group of groups) {
    if (groups.length > 1) showProgress(images.length - sound.length + answered.length, images.length);
    const begun = performance.now();
    const { results, timings } = await classify(group.map(({ file }) => file), fields, signal);
    for (const [name, ms] of Object.entries({ ...timings, here: performance.now() - begun })) {
      times[name] = (times[name] ?? 0) + ms;
    }
    results.forEach((result, index) => cards.get(group[index]).show(result));
    answered = answered.concat(results);
  }
  $("status").textContent = conclusion(images.length, answered);
  showDone(groups, fields, times);
}

function showProgress(done, all) {
  Object.assign($("progress"), { hidden: false, value: done, max: all });
  $("status").textContent = `${done.toLocaleString("en")} of ${counted(all, "image")} …`;
}

/** Returns the answer in a sentence. */
function conclusion(count, results) {
  const good = results.filter(({ error }) => !error);
  if (count > 1) {
    const bad = count - good.length;
    return `${counted(count, "image")}${bad ? `, ${bad.toLocaleString("en")} of them not usable` : ""}.${unshown()}`;
  }
  if (good.length === 0) return "The image cannot be used.";
  const [first] = good[0].scores;
  if (!first) return "No label reaches the threshold.";
  return `Best: ${first.label}. Sigmoid ${shown(first.sigmoid)}, softmax ${shown(first.softmax)}.${unshown()}`;
}

function fail(problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (problem.status === 401) askForKey();
  else $("problem").replaceChildren(problemShown(problem));
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
takeImages(choose, fail);
takeQuestions();
takeCopies();
takeKeys(() => (cards.size ? $("ask").requestSubmit() : started().catch(fail)));
started().catch(fail);
