"use strict";

const PAGE = 20, AHEAD = 5, MOST = 100;
const $ = id => document.getElementById(id);
const zoom = new Zoom([$("frame"), $("normal-frame")]);
const WORDS = { normal: "normal", anomalous: "a defect", unsure: "unsure" };

let items = [];      /* rows of the queue, and labelled ones one can go back to */
let at = 0;
let left = 0;        /* to label, as far as the server knows */
let exhausted = false, loading = null;
let undoable = JSON.parse(sessionStorage.getItem("undoable") || "[]");

const outbox = new Outbox({
  saved(act, body) {
    if (!act.undoes) tell(`Kept: ${act.name} is ${WORDS[act.word]}.`);
    else tell(`Taken back: ${act.name}${body.word === "withdrawn" ? "" : `, which is ${body.word} as before`}.`);
  },
  refused(act, message) {
    undoable = undoable.filter(one => one.id !== act.id);
    keepUndoable();
    const item = items.find(one => one.key === act.key);
    if (item && !act.undoes) { item.mine = null; left += 1; }
    fail(`Not kept, ${act.name}: ${message}`);
    show();
  },
  waiting(why, count, seconds) {
    fail(`${count === 1 ? "One label is" : `${count} labels are`} not kept yet: ${why}. Trying again in ${seconds} s; keep this tab open.`);
  },
  nameless() { askName(); },
  clear() { $("failure").hidden = true; },
});

function tell(text) { $("told").textContent = text; }
function fail(text) { $("failure").textContent = text; $("failure").hidden = false; }
function keepUndoable() { sessionStorage.setItem("undoable", JSON.stringify(undoable.slice(-200))); }
function fileName(item) { return item.name.split("/").slice(-2).join("/"); }
function address(path, item) {
  return `${path}?key=${encodeURIComponent(item.key)}&v=${encodeURIComponent(item.etag + item.model)}`;
}

async function get(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `the server answers ${answer.status}`);
  return body;
}

/* The queue */

function load() {
  loading = loading || fetchMore().finally(() => { loading = null; });
  return loading;
}

async function fetchMore() {
  const category = $("category").value;
  /* From the front, and so many that new ones must be among them: labels that the server keeps meanwhile shorten its
     queue, and an offset would skip images. */
  const waiting = items.filter(item => !item.mine).length;
  const asked = Math.min(MOST, waiting + outbox.acts.length + PAGE);
  try {
    const body = await get(`/api/queue?category=${encodeURIComponent(category)}&limit=${asked}&offset=0`);
    if (category !== $("category").value) return;
    const known = new Set(items.map(item => item.key));
    items.push(...body.rows.filter(row => !known.has(row.key)));
    exhausted = body.rows.length < asked;
    left = body.left;
    $("unread").textContent = body.unread.join(" ");
    $("unread").hidden = body.unread.length === 0;
    $("kinds").replaceChildren(...body.kinds.map(kind => new Option(kind, kind)));
  } catch (error) {
    fail(`The queue cannot be read: ${error.message}`);
    exhausted = true;
  }
}

async function begin() {
  items = []; at = 0; exhausted = false;
  await outbox.flush();
  const key = new URLSearchParams(location.search).get("key");
  if (key) {
    try { items.push(await get(`/api/row?key=${encodeURIComponent(key)}`)); } catch (error) { fail(error.message); }
  }
  await load();
  show();
}

async function go(step) {
  if (step > 0 && at + AHEAD >= items.length && !exhausted) await load();
  at = Math.max(0, Math.min(items.length, at + step));
  show();
}

function toNext() {
  const next = items.findIndex((item, i) => i > at && !item.mine);
  const any = next >= 0 ? next : items.findIndex(item => !item.mine);
  if (any < 0 && !exhausted) {
    return load().then(() => (exhausted || items.some(item => !item.mine) ? toNext() : show()));
  }
  at = any < 0 ? items.length : any;
  if (items.length - at < AHEAD && !exhausted) load().then(showLeft);
  return show();
}

/* One image */

function show() {
  const item = items[at];
  $("item").hidden = !item;
  $("nothing").hidden = Boolean(item);
  for (const button of document.querySelectorAll("[data-word]")) {
    button.disabled = !item;
    button.setAttribute("aria-pressed", String(Boolean(item) && item.mine === button.dataset.word));
  }
  $("undo").disabled = undoable.length === 0;
  $("back").disabled = at === 0;
  $("forward").disabled = !item;
  showLeft();
  if (!item) return showNothing();
  $("name").textContent = item.name;
  $("state").textContent = item.flagged ? "flagged" : "borderline";
  $("state").className = `state ${item.flagged ? "bad" : "warn"}`;
  showFacts(item);
  $("kind").value = "";
  zoom.whole();
  draw($("picture"), address("/picture", item), `${item.name}`, $("picture-gap"));
  draw($("overlay"), address("/overlay", item), "", null);
  showNormal(item);
  for (const next of items.slice(at + 1, at + 3)) {
    for (const path of ["/picture", "/overlay"]) new Image().src = address(path, next);
  }
  return undefined;
}

function showLeft() {
  const waiting = Math.max(0, left - outbox.acts.filter(act => !act.undoes).length);
  $("left").textContent = waiting === 1 ? "1 image to label" : `${waiting.toLocaleString("en")} images to label`;
}

function showNothing() {
  $("nothing-title").textContent = items.length || !exhausted ? "Done" : "Nothing to label";
  $("nothing-text").textContent = items.length
    ? "You have seen all flagged and borderline images. Undo, or the left arrow, brings one back."
    : "No sealed image is flagged or borderline, or you have labelled them all.";
}

function showFacts(item) {
  const facts = [
    ["Score", item.score, item.flagged ? "bad" : ""], ["Threshold", item.threshold, ""], ["p-value", item.p_value, ""],
    ["Area above", item.area, ""], ["Day", item.day, ""], ["Category", item.category, ""],
    ["Size", `${item.width} × ${item.height}`, ""], ["Model", item.model, ""],
  ];
  $("facts").replaceChildren(...facts.map(([name, value, mark]) => {
    const box = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    text.className = mark;
    box.append(term, text);
    return box;
  }));
  /* Folded: who sees what others said is no second opinion. */
  $("before").open = false;
  $("before").hidden = item.words.length === 0;
  $("before").firstElementChild.textContent =
    item.words.length === 1 ? "1 earlier word on it" : `${item.words.length} earlier words on it`;
  $("before-words").replaceChildren(...item.words.map(word => {
    const line = document.createElement("li");
    line.textContent = `${word.when}: ${word.who} said ${word.word}`;
    return line;
  }));
}

function draw(image, source, text, gap) {
  if (gap) gap.hidden = true;
  image.hidden = true;
  image.alt = text;
  image.onload = () => { image.hidden = false; };
  image.onerror = async () => {
    if (!gap) return;
    gap.textContent = await get(source).then(() => "The picture cannot be drawn.", error => error.message);
    gap.hidden = false;
  };
  image.src = source;
}

async function showNormal(item) {
  $("normal").hidden = true;
  $("normal-name").textContent = "";
  $("normal-gap").textContent = "Looking for the nearest normal image…";
  $("normal-gap").hidden = false;
  let found = null, why = "No normal image is known: no model is in force for this category.";
  try { found = (await get(address("/api/nearest", item))).nearest; } catch (error) { why = error.message; }
  if (items[at] !== item) return;
  if (!found) { $("normal-gap").textContent = why; return; }
  $("normal-name").textContent = found.name;
  draw($("normal"), address("/nearest", item), `Normal image ${found.name}`, $("normal-gap"));
}

/* What one says */

function say(word) {
  const item = items[at];
  if (!item || $("naming").open) return;
  if (!document.body.dataset.reviewer) { askName(() => say(word)); return; }
  const id = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
  const kind = word === "anomalous" ? $("kind").value.trim() : "";
  if (item.mine) left += 1;
  item.mine = word;
  left = Math.max(0, left - 1);
  undoable.push({ id, key: item.key, name: fileName(item) });
  keepUndoable();
  outbox.add({ id, key: item.key, etag: item.etag, word, kind, name: fileName(item) });
  toNext();
}

async function undo() {
  const last = undoable.pop();
  if (!last) { tell("There is nothing to take back."); return; }
  keepUndoable();
  if (!outbox.recall(last.id)) outbox.add({ id: `undo-${last.id}`, undoes: last.id, key: last.key, name: last.name });
  let place = items.findIndex(item => item.key === last.key);
  if (place < 0) {
    try {
      items.splice(at, 0, await get(`/api/row?key=${encodeURIComponent(last.key)}`));
      place = at;
    } catch (error) { fail(error.message); return; }
  }
  items[place].mine = null;
  left += 1;
  at = place;
  show();
}

/* Who is looking */

let afterNaming = null;
function askName(then = null) {
  afterNaming = then;
  $("naming-name").value = document.body.dataset.reviewer;
  $("naming-error").textContent = "";
  if (!$("naming").open) $("naming").showModal();
}

async function named() {
  const answer = await fetch("/api/reviewer", {
    method: "POST", headers: { "Content-Type": "application/json" }, credentials: "same-origin",
    body: JSON.stringify({ name: $("naming-name").value }),
  }).catch(() => null);
  const body = answer ? await answer.json().catch(() => ({})) : {};
  if (!answer || !answer.ok) {
    $("naming-error").textContent = body.error || "The server cannot be reached. Try again.";
    return;
  }
  const changed = document.body.dataset.reviewer !== body.reviewer;
  document.body.dataset.reviewer = body.reviewer;
  $("who").textContent = body.reviewer;
  $("naming").close();
  if (changed) { undoable = []; keepUndoable(); await begin(); }
  if (afterNaming) { afterNaming(); afterNaming = null; }
}

/* Keys and buttons */

const KEYS = {
  n: () => say("normal"), d: () => say("anomalous"), u: () => say("unsure"), z: undo,
  ArrowLeft: () => go(-1), ArrowRight: () => go(1),
  "+": () => zoom.by(1.5), "=": () => zoom.by(1.5), "-": () => zoom.by(1 / 1.5), 0: () => zoom.whole(),
};

document.addEventListener("keydown", event => {
  const field = event.target.closest("input, select, textarea");
  if (field === $("kind") && event.key === "Enter") { field.blur(); say("anomalous"); return; }
  if (field === $("kind") && event.key === "Escape") { field.blur(); return; }
  if (field === $("naming-name") && event.key === "Enter") { named(); return; }
  if (field || $("naming").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (event.repeat && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  act();
});
for (const button of document.querySelectorAll("[data-word]")) button.onclick = () => say(button.dataset.word);
$("undo").onclick = undo;
$("back").onclick = () => go(-1);
$("forward").onclick = () => go(1);
$("zoom-in").onclick = () => zoom.by(1.5);
$("zoom-out").onclick = () => zoom.by(1 / 1.5);
$("zoom-whole").onclick = () => zoom.whole();
$("rename").onclick = () => askName();
$("naming-done").onclick = named;
$("naming").addEventListener("cancel", event => { if (!document.body.dataset.reviewer) event.preventDefault(); });
$("category").onchange = () => {
  history.replaceState(null, "", "/");
  sessionStorage.setItem("category", $("category").value);
  begin();
};
function fade() {
  $("overlay").style.opacity = $("opacity").value / 100;
  localStorage.setItem("opacity", $("opacity").value);
}
$("opacity").oninput = fade;
$("opacity").value = localStorage.getItem("opacity") || "70";
$("category").value = sessionStorage.getItem("category") || "";
if ($("category").selectedIndex < 0) $("category").selectedIndex = 0;
addEventListener("beforeunload", event => { if (outbox.acts.length && outbox.tries) event.preventDefault(); });
fade();
if (document.body.dataset.reviewer) begin(); else askName();
