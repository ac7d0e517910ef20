// Shows a ballot, takes its answers by mouse, touch or keys, and hands them to `source`, which another script defines:
// source.begin(voter) and source.vote(voter, ballot, answers, seconds) give {ballot, done, of}, and throw {wait} or a sentence.
// Where votes do not go to a server, source.file(voter, link) puts them behind a link, and source.thanks says what to do with it.
"use strict";

const ANSWERS = [["left", "Left"], ["tie", "No difference"], ["both_bad", "Both bad"], ["right", "Right"]];
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "both_bad" };
const SMALL = 128; // pixels below which a picture shows its pixels

const $ = (id) => document.getElementById(id);
let voter = "", ballot = null, answers = {}, since = 0, sending = false;

function show(id) {
  for (const part of ["who", "ballot", "end"]) $(part).hidden = part !== id;
}

function loaded(image, place) {
  return new Promise((resolve, reject) => {
    image.onload = () => {
      image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) < SMALL);
      resolve();
    };
    image.onerror = () => reject({ wait: true });
    image.src = place;
  });
}

function button(question, answer, label) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.dataset.answer = answer;
  made.setAttribute("aria-pressed", "false");
  made.addEventListener("click", () => choose(question, answer));
  return made;
}

function asked({ name, text }) {
  const field = document.createElement("fieldset");
  field.dataset.question = name;
  const legend = document.createElement("legend");
  legend.textContent = text;
  const row = document.createElement("div");
  row.className = "answers";
  row.append(...ANSWERS.map(([answer, label]) => button(name, answer, label)));
  field.append(legend, row);
  return field;
}

function current() {
  return ballot.questions.findIndex(({ name }) => !(name in answers));
}

function mark() {
  for (const [place, { name }] of ballot.questions.entries()) {
    const field = document.querySelector(`fieldset[data-question="${name}"]`);
    field.classList.toggle("current", place === current());
    for (const one of field.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one.dataset.answer === answers[name]));
  }
}

function choose(question, answer) {
  if (sending || !ballot) return;
  answers[question] = answer;
  mark();
  if (current() < 0) send();
}

async function patiently(task) {
  for (let pause = 500; ; pause = Math.min(2 * pause, 8000)) {
    try {
      const found = await task();
      $("problem").textContent = "";
      return found;
    } catch (error) {
      if (!error.wait) throw error;
      $("problem").textContent = "There is no answer just now; your vote is not lost. Trying again …";
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

async function send() {
  sending = true;
  const seconds = Math.round((performance.now() - since) / 10) / 100;
  try {
    await next(() => source.vote(voter, ballot, answers, seconds));
  } catch (error) {
    $("problem").textContent = String(error.message || error);
  }
  sending = false;
}

async function next(task) {
  const found = await patiently(task);
  const of = found.of ? ` of ${found.of}` : "";
  $("status").textContent = found.done ? `Voted on ${found.done}${of} so far.` : "";
  if (source.file) source.file(voter, $("file"));
  if (!found.ballot) {
    ballot = null;
    show("end");
    return;
  }
  await patiently(() => Promise.all([loaded($("left"), found.ballot.left), loaded($("right"), found.ballot.right)]));
  ballot = found.ballot;
  answers = {};
  $("prompt").textContent = ballot.prompt;
  $("questions").replaceChildren(...ballot.questions.map(asked));
  mark();
  show("ballot");
  document.body.dataset.ballot = ballot.id;
  since = performance.now();
}

document.addEventListener("keydown", (event) => {
  if (!ballot || $("ballot").hidden || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (event.key in KEYS && current() >= 0) {
    event.preventDefault();
    choose(ballot.questions[current()].name, KEYS[event.key]);
  } else if (event.key === "Backspace" && !sending) {
    event.preventDefault();
    const given = ballot.questions.filter(({ name }) => name in answers);
    if (given.length) delete answers[given[given.length - 1].name];
    mark();
  }
});

async function begin(code) {
  voter = code;
  try {
    await next(() => source.begin(voter));
    sessionStorage.setItem("voter", voter);
  } catch (error) {
    show("who");
    $("problem").textContent = String(error.message || error);
  }
}

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  begin($("code").value);
});
if (source.thanks) $("end-text").textContent = source.thanks;
const known = new URLSearchParams(location.search).get("voter") || sessionStorage.getItem("voter");
if (known) {
  $("code").value = known;
  begin(known);
} else {
  $("code").focus();
}
