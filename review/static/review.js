"use strict";

const PAGE = 20, AHEAD = 5, MOST = 100;
const $ = id => document.getElementById(id);
const zoom = new Zoom([$("frame"), $("normal-frame")]);
const WORDS = { normal: "normal", anomalous: "anomalous", unsure: "unsure" };
const PURPOSES = {
  "": "The next model may be trained on images labelled normal. Images set aside for evaluation stay so.",
  training: "The next model may be trained on images labelled normal.",
  evaluation: "The image is kept to evaluate models and is never trained on.",
};

/* Which list, as its address says; the image that is looked at is no part of it. */
const list = new URLSearchParams(location.search), linked = list.get("key");
list.delete("key");

let items = [];      /* rows of the list, and others that one came to by a link or by undo */
let at = 0;
let first = 0;       /* where in the list items[0] stands, if labels take none out */
let shrinks = true, countsDown = true, exhausted = false, loading = null;
let acts = 0;        /* labels and undos so far: a count that was asked for before one is out of date */
let undoable = JSON.parse(sessionStorage.getItem("undoable") || "[]");
const count = new Count(String(list));

const outbox = new Outbox({
  saved(act, body) {
    if (body.row) renew(body.row);
    if (!act.undoes) tell(`Kept: ${act.name} is ${WORDS[act.word]}${act.word === "unsure" ? "" : `, for ${body.purpose}`}.`);
    else tell(`Taken back: ${act.name}${body.word === "withdrawn" ? "" : `, which is ${body.word} as before`}.`);
  },
  refused(act, message) {
    undoable = undoable.filter(one => one.id !== act.id);
    keepUndoable();
    const item = items.find(one => one.key === act.key);
    if (item && !act.undoes) { item.said = item.mine = null; count.again(act.key); }
    fail(`Not kept, ${act.name}: ${message}`);
    show();
  },
  waiting(why, number, seconds) {
    fail(`${number === 1 ? "One label is" : `${number} labels are`} not kept yet: ${why}. Trying again in ${seconds} s; keep this tab open.`);
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

/* The list */

function load() {
  loading = loading || fetchMore().finally(() => { loading = null; });
  return loading;
}

async function fetchPage(offset, limit, key) {
  const asked = new URLSearchParams(list);
  for (const [name, value] of Object.entries({ offset, limit, at: key || "" })) asked.set(name, value);
  return get(`/api/list?${asked}`);
}

async function fetchMore() {
  /* From the front, and so many that new ones must be among them: labels that the server keeps meanwhile shorten the
     list, and an offset would skip images. A list that stays as it is goes on where it ended. */
  const waiting = items.filter(item => item.listed && !item.said).length;
  const asked = shrinks ? Math.min(MOST, waiting + outbox.acts.length + PAGE) : PAGE;
  const before = acts, quiet = outbox.acts.length === 0;
  try {
    const body = await fetchPage(shrinks ? 0 : first + items.length, asked);
    take(body, quiet && before === acts && outbox.acts.length === 0);
    exhausted = shrinks ? body.rows.length < asked : first + items.length >= count.images;
  } catch (error) {
    fail(`The list cannot be read: ${error.message}`);
    exhausted = true;
  }
}

function take(body, quiet) {
  for (const row of body.rows) {
    const there = items.find(item => item.key === row.key);
    if (there) there.listed = true;
    else items.push({ ...row, listed: true });
  }
  const waiting = outbox.acts.filter(act => !act.undoes).map(act => act.key);
  count.told(body.count, quiet, waiting);
  $("unread").textContent = body.unread.join(" ");
  $("unread").hidden = body.unread.length === 0;
  $("kinds").replaceChildren(...body.kinds.map(kind => new Option(kind, kind)));
}

async function begin() {
  items = []; at = first = 0; exhausted = false;
  let lost = false;
  count.forget();
  await outbox.flush();
  const key = new URLSearchParams(location.search).get("key");
  try {
    const body = await fetchPage(0, PAGE, key);
    [shrinks, countsDown] = [body.shrinks, body.counts_down];
    const place = body.rows.findIndex(row => row.key === key);
    if (key && (shrinks || place < 0)) {
      try {
        items.push({ ...await get(`/api/row?key=${encodeURIComponent(key)}`), listed: place >= 0 });
      } catch (error) { fail(error.message); lost = true; }
    }
    if (place >= 0 && !shrinks) first = body.offset;
    take(shrinks && body.offset ? await fetchPage(0, PAGE) : body, outbox.acts.length === 0);
    if (place >= 0 && !shrinks) at = place;
    if (lost) at = -1;  // another image in its place would be taken for it, and labelled
    exhausted = shrinks ? body.rows.length < PAGE : first + items.length >= count.images;
  } catch (error) {
    fail(`The list cannot be read: ${error.message}`);
    exhausted = true;
  }
  show();
}

async function go(step) {
  if (step > 0 && at + AHEAD >= items.length && !exhausted) await load();
  if (step < 0 && at === 0 && first > 0) await loadBefore();
  at = Math.max(0, Math.min(items.length, at + step));
  show();
}

async function loadBefore() {
  const limit = Math.min(PAGE, first);
  try {
    const body = await fetchPage(first - limit, limit);
    items.unshift(...body.rows.map(row => ({ ...row, listed: true })));
    first -= limit;
    at += body.rows.length;
  } catch (error) { fail(`The list cannot be read: ${error.message}`); }
}

function isOpen(item) { return !item.said && !item.error && !(countsDown && item.mine); }

function toNext() {
  const next = items.findIndex((item, i) => i > at && isOpen(item));
  const any = next >= 0 || !shrinks ? next : items.findIndex(isOpen);
  if (any < 0 && !exhausted) {
    return load().then(() => (exhausted || items.some((item, i) => i > at && isOpen(item)) ? toNext() : show()));
  }
  at = any < 0 ? items.length : any;
  if (items.length - at < AHEAD && !exhausted) load().then(showCount);
  return show();
}

/* One image */

function show() {
  const item = items[at];
  $("item").hidden = !item;
  $("nothing").hidden = Boolean(item);
  for (const button of document.querySelectorAll("[data-word]")) {
    button.disabled = !item || Boolean(item.error);
    button.setAttribute("aria-pressed", String(Boolean(item) && (item.said || item.mine) === button.dataset.word));
  }
  $("undo").disabled = undoable.length === 0;
  $("back").disabled = at <= 0 && first === 0;
  $("forward").disabled = !item;
  showCount();
  showPurpose();
  showAddress(item);
  if (!item) return showNothing();
  $("name").textContent = item.name;
  $("link").href = `/?key=${encodeURIComponent(item.key)}`;
  $("full").href = `/full?key=${encodeURIComponent(item.key)}`;
  $("state").textContent = item.state;
  $("state").className = `state ${item.flagged || item.error ? "bad" : item.state === "not flagged" ? "" : "warn"}`;
  showFacts(item);
  $("kind").value = "";
  zoom.whole();
  draw($("picture"), address("/picture", item), `${item.name}`, $("picture-gap"));
  $("map-gap").hidden = true;
  if (item.error) $("overlay").hidden = true;
  else draw($("overlay"), address("/overlay", item), "", $("map-gap"));
  showNormal(item);
  for (const next of items.slice(at + 1, at + 3).filter(one => !one.error)) {
    for (const path of ["/picture", "/overlay"]) new Image().src = address(path, next);
  }
  return undefined;
}

/* So that what stands there leads back here: into the list, or to the image that was asked for. */
function showAddress(item) {
  const address = new URLSearchParams(list);
  if (item && (!shrinks || item.key === linked)) address.set("key", item.key);
  history.replaceState(null, "", String(address) ? `/?${address}` : "/");
}

function showCount() {
  const images = count.images === 1 ? "1 image" : `${count.images.toLocaleString("en")} images`;
  if (countsDown) $("left").textContent = `${images} to label`;
  else if (shrinks || at >= items.length) $("left").textContent = images;
  else $("left").textContent = `${(first + at + 1).toLocaleString("en")} of ${images}`;
}

function showPurpose() {
  const item = items[at], chosen = $("purpose").value;
  let text = PURPOSES[chosen];
  if (item && item.words.length && chosen && chosen !== item.purpose) text += ` This image was for ${item.purpose} so far.`;
  else if (item && !chosen && item.purpose === "evaluation") text = "This image is set aside for evaluation and is never trained on.";
  if (item && item.error) text = "This file has no picture, so it cannot be labelled.";
  $("for-what").textContent = text;
}

function showNothing() {
  if (at < 0) {
    $("nothing-title").textContent = "No such image";
    $("nothing-text").textContent = "The link names an image that is not in the store. The right arrow starts the list.";
    return;
  }
  $("nothing-title").textContent = items.length ? "Done" : countsDown ? "Nothing to label" : "No such images";
  $("nothing-text").textContent = items.length
    ? "You have seen the whole list. The left arrow shows the previous image; undo takes your last label back."
    : "noNights" in document.body.dataset ? "No day is complete yet. Inspect one first: rd-inspect inspect"
    : `This list is empty: ${$("chosen").textContent}.`;
}

/* What the server says of an image after a label, or one that was taken back. */
function renew(row) {
  const item = items.find(one => one.key === row.key);
  if (!item) return;
  Object.assign(item, { words: row.words, purpose: row.purpose });
  if (items[at] === item) { showWords(item); showPurpose(); }
}

function showFacts(item) {
  const facts = [
    ["Score", item.score, item.flagged ? "bad" : ""], ["Threshold", item.threshold, ""], ["p-value", item.p_value, ""],
    ["Anomalous area", item.area, ""], ["Day", item.day, ""], ["Category", item.category, ""],
    ["Size", item.width ? `${item.width} × ${item.height}` : "unknown", ""], ["Model", [item.model, item.method].filter(Boolean).join(", "), ""],
  ];
  $("facts").replaceChildren(...facts.map(([name, value, mark]) => {
    const box = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    text.className = mark;
    box.append(term, text);
    return box;
  }));
  $("before").open = false;
  showWords(item);
}

/* Folded, so that the reviewer judges before seeing the labels of others. */
function showWords(item) {
  $("before").hidden = item.words.length === 0;
  $("before").firstElementChild.textContent =
    item.words.length === 1 ? "Label history: 1 label" : `Label history: ${item.words.length} labels`;
  $("before-words").replaceChildren(...item.words.map(word => {
    const line = document.createElement("li");
    line.textContent = `${word}.`;
    return line;
  }));
}

function draw(image, source, text, gap) {
  gap.hidden = true;
  image.hidden = true;
  image.alt = text;
  image.onload = () => { image.hidden = false; };
  image.onerror = async () => {
    gap.textContent = await get(source).then(() => "The picture cannot be drawn.", error => error.message);
    if (image.getAttribute("src") !== source) return;
    gap.hidden = false;
    if (!$("picture-gap").hidden) $("map-gap").hidden = true;  /* without the image nobody misses its map */
  };
  image.src = source;
}

async function showNormal(item) {
  $("normal").hidden = true;
  $("normal-name").textContent = "";
  $("normal-gap").textContent = "Looking for the nearest normal image…";
  $("normal-gap").hidden = false;
  if (item.error) { $("normal-gap").textContent = "Nothing to compare: this file has no picture."; return; }
  let found = null, why = "No normal image is known: no model is in force for this category.";
  try { found = (await get(address("/api/nearest", item))).nearest; } catch (error) { why = error.message; }
  if (items[at] !== item) return;
  if (!found) { $("normal-gap").textContent = why; return; }
  $("normal-name").textContent = found.name;
  draw($("normal"), address("/nearest", item), `Normal image ${found.name}`, $("normal-gap"));
}

/* Labels */

function say(word) {
  const item = items[at];
  if (!item || $("naming").open) return;
  if (item.error) { tell("This file has no picture, so it cannot be labelled."); return; }
  if (!document.body.dataset.reviewer) { askName(() => say(word)); return; }
  const id = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
  const kind = word === "anomalous" ? $("kind").value.trim() : "";
  acts += 1;
  if (countsDown && item.listed) count.out(item.key);
  item.said = item.mine = word;
  undoable.push({ id, key: item.key, name: fileName(item) });
  keepUndoable();
  outbox.add({ id, key: item.key, etag: item.etag, word, kind, purpose: $("purpose").value, name: fileName(item) });
  toNext();
}

async function undo() {
  const last = undoable.pop();
  if (!last) { tell("There is nothing to take back."); return; }
  keepUndoable();
  acts += 1;
  if (!outbox.recall(last.id)) outbox.add({ id: `undo-${last.id}`, undoes: last.id, key: last.key, name: last.name });
  else tell(`Taken back: ${last.name}.`);
  let place = items.findIndex(item => item.key === last.key);
  if (place < 0) {
    try {
      items.splice(at, 0, await get(`/api/row?key=${encodeURIComponent(last.key)}`));
      place = at;
    } catch (error) { fail(error.message); return; }
  }
  items[place].said = items[place].mine = null;
  if (count.again(last.key)) items[place].listed = true;
  at = place;
  show();
}

/* The reviewer's name */

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
  list.set("category", $("category").value);
  location.assign(`/?${list}`);
};
$("purpose").value = sessionStorage.getItem("purpose") || "";
$("purpose").onchange = () => {
  sessionStorage.setItem("purpose", $("purpose").value);
  $("purpose").blur();
  showPurpose();
};
function fade() {
  $("overlay").style.opacity = $("opacity").value / 100;
  localStorage.setItem("opacity", $("opacity").value);
}
$("opacity").oninput = fade;
$("opacity").value = localStorage.getItem("opacity") || "70";
addEventListener("beforeunload", event => { if (outbox.acts.length && outbox.tries) event.preventDefault(); });
fade();
if (document.body.dataset.reviewer) begin(); else askName();
