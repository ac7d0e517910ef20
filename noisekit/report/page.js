// The pictures answer to filters, to a click and to arrow keys; the charts say what to use at the budget under the pointer.
"use strict";

// --- filters ---------------------------------------------------------------------------------------------------------

const form = document.querySelector(".filters");
const scenes = [...document.querySelectorAll(".scene")];
const rest = document.querySelector(".rest");

const chosen = (name) => form.elements[name]?.value ?? "";

function fits(scene) {
  const { model, seed, reason, categories } = scene.dataset;
  return (
    scene.querySelector("h3").textContent.toLowerCase().includes(chosen("text").trim().toLowerCase()) &&
    ["", reason].includes(chosen("reason")) &&
    ["", model].includes(chosen("model")) &&
    ["", seed].includes(chosen("seed")) &&
    ["", ...JSON.parse(categories)].includes(chosen("category"))
  );
}

function filter() {
  const methods = new Set([...form.querySelectorAll("[name=method]:checked")].map((box) => box.value));
  for (const cell of document.querySelectorAll(".cell")) cell.hidden = !methods.has(cell.dataset.method);
  let count = 0;
  for (const scene of scenes) {
    scene.hidden = !fits(scene);
    count += !scene.hidden;
  }
  const narrowed = ["text", "reason", "model", "seed", "category"].some(chosen);
  if (rest && narrowed) rest.open = true;
  form.elements.count.value = narrowed ? `${count} of ${scenes.length} prompts and seeds` : "";
}

if (form) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter(); // a browser that comes back to the page fills in what was chosen
}

// --- one picture, large ----------------------------------------------------------------------------------------------

const dialog = document.getElementById("enlarged");
const part = (selector) => dialog.querySelector(selector);
let open = { scene: null, cell: null };

const visible = (elements) => elements.filter((one) => !one.hidden);
const cellsOf = (scene) => visible([...scene.querySelectorAll(".cell")]).filter((cell) => cell.querySelector("img"));
const label = (cell) => cell.dataset.method;

// The thumbnail stands until the image beside the page has come; where the page was sent alone, it stays.
function show(image, cell) {
  const small = cell.querySelector("img");
  image.src = small.src;
  image.alt = small.alt;
  image.className = small.className;
  const file = cell.querySelector("a.picture")?.href;
  if (!file) return;
  const full = new Image();
  full.onload = () => {
    if (image.src === small.src && open.file === file) image.src = file;
  };
  open.file = file;
  full.src = file;
}

function enlarge(scene, cell) {
  open = { scene, cell };
  const [under, over] = [part("[data-side=under]"), part("[data-side=over]")];
  const standard = cellsOf(scene).find((one) => label(one) === "standard");
  const alone = !standard || standard === cell;
  const slider = part("input[type=range]");
  show(over, cell);
  const file = open.file;
  if (!alone) show(under, standard);
  open.file = file;
  under.hidden = slider.disabled = part("[name=changed]").disabled = alone;
  part("[data-name=under]").textContent = alone ? "" : label(standard);
  part("[data-name=over]").textContent = label(cell);
  part("h2").textContent = scene.querySelector("h3").textContent;
  part("#enlarged-about").textContent = scene.querySelector(".about").textContent.replace(/\s+/g, " ").trim();
  part("#enlarged-changes").replaceChildren(...[...cell.querySelectorAll("figcaption > *")].map((one) => one.cloneNode(true)));
  const link = part("[data-name=file]");
  link.hidden = !file;
  if (file) link.href = file;
  blend();
  if (!dialog.open) {
    dialog.showModal();
    part("h2").focus();
  }
}

function blend() {
  const slider = part("input[type=range]");
  const changed = part("[name=changed]");
  part(".stage").classList.toggle("changed", changed.checked && !changed.disabled);
  part("[data-side=over]").style.opacity = slider.disabled ? 1 : slider.value / 100;
}

function next(elements, current, step) {
  return elements[(elements.indexOf(current) + step + elements.length) % elements.length];
}

function go(where) {
  const { scene, cell } = open;
  if (where === "close") return dialog.close();
  if (where === "left" || where === "right") {
    return enlarge(scene, next(cellsOf(scene), cell, where === "left" ? -1 : 1));
  }
  const shown = visible(scenes).filter((one) => cellsOf(one).length && (one === scene || one.checkVisibility()));
  const other = next(shown, scene, where === "up" ? -1 : 1);
  enlarge(other, cellsOf(other).find((one) => label(one) === label(cell)) ?? cellsOf(other)[0]);
}

if (dialog) {
  document.querySelector("#pictures").addEventListener("click", (event) => {
    const link = event.target.closest("a.picture");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    enlarge(link.closest(".scene"), link.closest(".cell"));
  });
  dialog.addEventListener("input", blend);
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("[data-go]");
    if (button) go(button.dataset.go);
    else if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    const where = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" }[event.key];
    if (!where || event.target.type === "range") return; // there the arrows blend
    event.preventDefault();
    go(where);
  });
  dialog.addEventListener("close", () => {
    const link = open.cell?.querySelector("a.picture");
    open.scene?.scrollIntoView({ block: "nearest" });
    link?.focus();
  });
}

// --- what to use at a budget -----------------------------------------------------------------------------------------

for (const chart of document.querySelectorAll("figure.chart")) {
  const ask = chart.querySelector(".ask");
  const steps = JSON.parse(chart.dataset.steps);
  const [low, high] = [Number(chart.dataset.low), Number(chart.dataset.high)];
  const svg = chart.querySelector("svg");
  const line = svg.querySelector(".budget");
  const [left, right] = [Number(svg.dataset.left), Number(svg.dataset.right)];
  const slider = ask.querySelector("input");

  const answer = (share) => {
    const budget = low * (high / low) ** share;
    const fitting = steps.filter(([from]) => from <= budget * 1.0001);
    const said = fitting.length
      ? `${fitting.at(-1)[1]}: ${fitting.at(-1)[2]}`
      : "not even the standard image can be had for that";
    const about = `${Number(budget.toPrecision(2))} ${chart.dataset.unit}`;
    ask.querySelector("output").value = `At ${about}: ${said}.`;
    slider.setAttribute("aria-valuetext", about);
    line.setAttribute("x1", left + share * (right - left));
    line.setAttribute("x2", left + share * (right - left));
    line.setAttribute("visibility", "visible");
  };

  ask.hidden = false;
  slider.addEventListener("input", () => answer(slider.value / 1000));
  const pointed = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const share = Math.min(1, Math.max(0, (x - left) / (right - left)));
    slider.value = Math.round(1000 * share);
    answer(share);
  };
  svg.addEventListener("pointermove", pointed);
  svg.addEventListener("pointerdown", pointed);
  answer(slider.value / 1000);
}
