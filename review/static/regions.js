"use strict";

/* Drawing ignored regions over a normal image: polygons of points [x, y] in shares of the image. Everything that the
   mouse does, the keyboard does too: each region and each point takes the focus. */

const STEP = 0.005, FAR = 0.05, DECIMALS = 1e6; /* shares of a side: of an arrow key, with Shift; rounding as the store's */
const NEAR = 10, POINT = 6;                     /* pixels of the screen: where a click meets the first point; a point's radius */
const SVG = "http://www.w3.org/2000/svg";
const $ = id => document.getElementById(id);
const category = document.body.dataset.category;

let polygons = [];      /* what is drawn now */
let loose = null;        /* points of a polygon that is not closed yet */
let saved = { digest: null, polygons: [] };  /* what is in force, as far as this page knows */
let history_ = [];      /* every saved version, newest first */
let undone = [];        /* earlier drawings; the last one is what undo brings back */
let lastMove = null;    /* the point or region that arrow keys are moving: one step to undo */
let crop = null;         /* [left, top, width, height] in shares: all that the model in force sees */
let images = [], at = 0, scale = 1, chosen = null, drag = null, rendering = false;

function tell(text) { $("told").textContent = text; }
function fail(text) { $("failure").textContent = text; $("failure").hidden = !text; }
const copy = value => JSON.parse(JSON.stringify(value));
const clamped = share => Math.round(Math.min(1, Math.max(0, share)) * DECIMALS) / DECIMALS;
const percent = share => `${(100 * share).toFixed(1)} %`;
const isDirty = () => JSON.stringify(polygons) !== JSON.stringify(saved.polygons);

/* Changes */

/* Remember the drawing before a change; a row of moves of one thing is one change. */
function before(move = null) {
  if (move === null || move !== lastMove) undone.push(copy(polygons));
  lastMove = move;
}

function undo() {
  if (loose) { loose.pop(); if (!loose.length) loose = null; show(); return; }
  if (!undone.length) { tell("There is nothing to take back."); return; }
  polygons = undone.pop();
  lastMove = null;
  show();
  tell("Taken back.");
}

function add(points) {
  before();
  polygons.push(points.map(point => point.map(clamped)));
  chosen = [polygons.length - 1, null];
  show(true);
  tell(`Region ${polygons.length} drawn, ${points.length} points.`);
}

const box = (a, b) => [[a[0], a[1]], [b[0], a[1]], [b[0], b[1]], [a[0], b[1]]];
const tool = () => document.querySelector("[name=tool]:checked").value;

function addInMiddle() {
  const half = 0.1, middle = 0.5;
  if (tool() === "box") add(box([middle - half, middle - half], [middle + half, middle + half]));
  else add([[middle, middle - half], [middle + half, middle + half], [middle - half, middle + half]]);
}

function moveBy(region, point, dx, dy) {
  before(`${region} ${point}`);
  const moved = point === null ? polygons[region] : [polygons[region][point]];
  const span = axis => moved.map(one => one[axis]);
  const [x, y] = [[dx, 0], [dy, 1]].map(([by, axis]) => /* the whole of it stays in the image */
    Math.max(-Math.min(...span(axis)), Math.min(1 - Math.max(...span(axis)), by)));
  for (const one of moved) [one[0], one[1]] = [clamped(one[0] + x), clamped(one[1] + y)];
  show(true);
  tell(point === null ? `Region ${region + 1} moved.` : pointWords(region, point));
}

function addPointAfter(region, point) {
  before();
  const [a, b] = [polygons[region][point], polygons[region][(point + 1) % polygons[region].length]];
  polygons[region].splice(point + 1, 0, [clamped((a[0] + b[0]) / 2), clamped((a[1] + b[1]) / 2)]);
  chosen = [region, point + 1];
  show(true);
  tell(`Added: ${pointWords(...chosen)}`);
}

function remove(region, point) {
  before();
  const whole = point === null || polygons[region].length <= 3;
  if (whole) polygons.splice(region, 1);
  else polygons[region].splice(point, 1);
  chosen = whole ? null : [region, Math.min(point, polygons[region].length - 1)];
  show(true);
  if (whole) $("sheet").focus();
  tell(whole ? `Region ${region + 1} removed.` : `Point ${point + 1} of region ${region + 1} removed.`);
}

function closePolygon() {
  if (loose.length < 3) { tell("A region needs three points."); return; }
  const points = loose;
  loose = null;
  add(points);
}

/* Drawing */

function pointWords(region, point) {
  const [x, y] = polygons[region][point];
  return `Region ${region + 1}, point ${point + 1} of ${polygons[region].length}: ${percent(x)} from the left, ${percent(y)} from the top`;
}

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

/* The image without its crop. */
function aroundCrop(width, height) {
  const [left, top, across, down] = [crop[0] * width, crop[1] * height, crop[2] * width, crop[3] * height];
  return `M0,0H${width}V${height}H0Z M${left},${top}v${down}h${across}v${-down}Z`;
}

/* focus: whether the chosen region or point is to have it, wherever it is now. */
function show(focus = false) {
  const drawing = $("drawing"), [width, height] = [$("picture").naturalWidth || 1, $("picture").naturalHeight || 1];
  const held = drawing.contains(document.activeElement) ? document.activeElement.dataset.what : null;
  const pixel = width / Math.max(1, drawing.clientWidth);
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  rendering = true;
  drawing.replaceChildren();
  if (crop) element("path", { class: "crop", "stroke-width": 2 * pixel, d: aroundCrop(width, height) }, drawing);
  const text = points => points.map(([x, y]) => `${x * width},${y * height}`).join(" ");
  polygons.forEach((points, region) => {
    element("polygon", {
      points: text(points), tabindex: 0, role: "button", "data-what": `${region} -`, "stroke-width": 2 * pixel,
      "aria-label": `Region ${region + 1}, ${points.length} points: arrow keys move it, Delete removes it`,
    }, drawing);
    points.forEach(([x, y], point) => element("circle", {
      cx: x * width, cy: y * height, r: POINT * pixel, "stroke-width": 2 * pixel, tabindex: 0, role: "button",
      "data-what": `${region} ${point}`, "aria-label": pointWords(region, point),
    }, drawing));
  });
  if (loose) {
    element("polyline", { points: text(loose), "stroke-width": 2 * pixel, class: "open" }, drawing);
    for (const [x, y] of loose) element("circle", { cx: x * width, cy: y * height, r: POINT * pixel, class: "open" }, drawing);
  }
  if (drag && drag.corner) element("polygon", { points: text(box(drag.from, drag.corner)), "stroke-width": 2 * pixel, class: "open" }, drawing);
  const wanted = focus && chosen ? `${chosen[0]} ${chosen[1] ?? "-"}` : held;
  if (wanted !== null) drawing.querySelector(`[data-what="${wanted}"]`)?.focus();
  rendering = false;
  showState();
}

function showState() {
  const dirty = isDirty(), mask = saved.mask && !polygons.length;
  $("undo").disabled = !undone.length && !loose;
  $("save").disabled = !dirty || Boolean(loose);
  $("nothing").disabled = !polygons.length && !mask;
  $("mask").hidden = !saved.mask || dirty;
  $("state").textContent = loose ? "A polygon is open: Enter closes it, Escape gives it up."
    : dirty ? "Not saved yet." : saved.digest ? "This is the region in force." : "Nothing is ignored.";
  $("count").textContent = mask && !dirty ? "A mask image." : polygons.length === 1 ? "1 region." : `${polygons.length} regions.`;
  if (dirty) sessionStorage.setItem(`regions ${category}`, JSON.stringify({ base: saved.digest, polygons }));
  else sessionStorage.removeItem(`regions ${category}`);
}

/* The mouse, or a finger */

function place(event) {
  const around = $("drawing").getBoundingClientRect();
  return [clamped((event.clientX - around.left) / around.width), clamped((event.clientY - around.top) / around.height)];
}

function pixelsBetween(a, b) {
  const around = $("drawing").getBoundingClientRect();
  return Math.hypot((a[0] - b[0]) * around.width, (a[1] - b[1]) * around.height);
}

function whatOf(target) {
  if (!target.dataset?.what) return null;
  const [region, point] = target.dataset.what.split(" ");
  return [Number(region), point === "-" ? null : Number(point)];
}

$("drawing").addEventListener("pointerdown", event => {
  if (event.button !== 0) return;
  const what = loose ? null : whatOf(event.target), from = place(event);
  event.preventDefault();
  $("drawing").setPointerCapture(event.pointerId);
  if (what) { chosen = what; drag = { what, last: from }; lastMove = null; show(true); return; }
  if (tool() === "box") { drag = { from }; $("sheet").focus(); return; }
  $("sheet").focus();
  if (loose && loose.length > 2 && pixelsBetween(loose[0], from) < NEAR) { closePolygon(); return; }
  if (!loose) loose = [];
  if (!loose.length || pixelsBetween(loose[loose.length - 1], from) > 2) loose.push(from);
  show();
});

$("drawing").addEventListener("pointermove", event => {
  if (!drag) return;
  const now = place(event);
  if (drag.what) {
    moveBy(...drag.what, now[0] - drag.last[0], now[1] - drag.last[1]);
    drag.last = now;
  } else {
    drag.corner = now;
    show();
  }
});

for (const name of ["pointerup", "pointercancel"]) $("drawing").addEventListener(name, () => {
  const done = drag;
  drag = null;
  lastMove = null;
  if (done?.corner && pixelsBetween(done.from, done.corner) > NEAR) {
    const [a, b] = [0, 1].map(i => [done.from, done.corner].map(point => point[i]).sort((p, q) => p - q));
    add(box([a[0], b[0]], [a[1], b[1]]));
  } else if (done?.corner) show();
});

$("drawing").addEventListener("dblclick", event => {
  const what = whatOf(event.target);
  if (loose) { if (loose.length > 2) closePolygon(); return; }
  if (!what || what[1] !== null) return;
  const to = place(event), points = polygons[what[0]];
  const detour = i => pixelsBetween(points[i], to) + pixelsBetween(to, points[(i + 1) % points.length])
    - pixelsBetween(points[i], points[(i + 1) % points.length]);
  const edge = points.map((_, i) => i).reduce((best, i) => (detour(i) < detour(best) ? i : best), 0);
  addPointAfter(what[0], edge);
  polygons[what[0]][edge + 1] = to;
  show(true);
});

$("drawing").addEventListener("focusin", event => {
  chosen = whatOf(event.target);
  if (chosen && chosen[1] !== null) tell(pointWords(...chosen));
});

/* The keyboard */

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", event => {
  const inField = event.target.closest("input:not([type=radio]), select, textarea");
  if (event.key.toLowerCase() === "z" && !inField && !event.altKey) { event.preventDefault(); undo(); return; }
  if (!$("sheet").contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  const what = whatOf(event.target);
  if (loose) {
    if (event.key === "Enter") closePolygon();
    else if (event.key === "Escape") { loose = null; show(); tell("The open polygon is given up."); }
    else if (event.key === "Delete" || event.key === "Backspace") undo();
    else return;
  } else if (what && ARROWS[event.key]) {
    const step = event.shiftKey ? FAR : STEP;
    moveBy(...what, ...ARROWS[event.key].map(sign => sign * step));
  } else if (what && (event.key === "Delete" || event.key === "Backspace")) remove(...what);
  else if (what && event.key === "Enter") addPointAfter(what[0], what[1] ?? polygons[what[0]].length - 1);
  else if (event.key === "Escape") {
    if (lastMove) undo(); /* the move that is under way */
    $("sheet").focus();
    chosen = null;
  } else if (!what && event.key === "Enter") addInMiddle();
  else return;
  event.preventDefault();
});
$("drawing").addEventListener("focusout", () => { if (!drag && !rendering) lastMove = null; });

/* The picture below */

function fit() {
  const picture = $("picture"), sheet = $("sheet");
  if (!picture.naturalWidth) return;
  const whole = Math.min(sheet.clientWidth / picture.naturalWidth, sheet.clientHeight / picture.naturalHeight);
  $("canvas").style.width = `${Math.max(1, Math.floor(picture.naturalWidth * whole * scale))}px`;
  show();
}

function zoom(factor) {
  scale = factor ? Math.min(16, Math.max(1, scale * factor)) : 1;
  fit();
}

function showPicture() {
  const mean = $("mean").checked, key = images[at];
  const query = new URLSearchParams({ category, ...(mean ? {} : { key }) });
  const source = `/regions/${mean ? "mean" : "picture"}?${query}`;
  $("gap").hidden = true;
  $("before").disabled = mean || at === 0;
  $("after").disabled = mean || at >= images.length - 1;
  $("name").textContent = mean ? "the mean of normal images" : key;
  $("picture").onload = () => { $("picture").hidden = false; fit(); };
  $("picture").onerror = async () => {
    $("picture").hidden = true;
    const why = await get(source).then(() => "The picture cannot be drawn.", error => error.message);
    if ($("picture").getAttribute("src") !== source) return;
    $("gap").textContent = why;
    $("gap").hidden = false;
  };
  $("picture").src = source;
}

/* The store */

function know(state) {
  saved = { polygons: [], mask: false, ...(state.region || { digest: null }) };
  history_ = state.versions;
  $("mask").hidden = !saved.mask;
  if (saved.mask) $("mask").src = `/regions/mask?${new URLSearchParams({ category, v: saved.digest })}`;
  else $("mask").removeAttribute("src");
  crop = state.crop;
  $("champion").textContent = state.champion + (crop ? " It sees the bright rectangle alone." : "");
  $("versions").replaceChildren(...history_.map((version, number) => {
    const line = document.createElement("li"), button = document.createElement("button");
    line.textContent = `${version.words} `;
    button.type = "button";
    button.className = "quiet";
    button.textContent = "Draw this one";
    button.setAttribute("aria-label", `Draw the version ${version.words}`);
    button.onclick = () => { before(); polygons = copy(version.polygons); show(); tell("Drawn, and not saved yet."); };
    if (!version.mask && number > 0) line.append(button);
    return line;
  }));
  $("history").hidden = history_.length === 0;
}

async function begin() {
  try {
    const state = await get(`/api/regions?${new URLSearchParams({ category })}`);
    images = state.images;
    know(state);
  } catch (error) { fail(error.message); return; }
  const kept = JSON.parse(sessionStorage.getItem(`regions ${category}`) || "null");
  polygons = copy(saved.polygons);
  if (kept) {
    undone = [copy(polygons)];
    polygons = kept.polygons;
    if (kept.base !== saved.digest) fail("Another region was saved since yours was drawn. Undo shows it.");
  }
  const wanted = images.indexOf(new URLSearchParams(location.search).get("key"));
  at = Math.max(0, wanted);
  $("tools").disabled = images.length === 0;
  if (images.length) showPicture();
  else { $("gap").hidden = false; $("gap").textContent = "No normal image is known: label some images normal first."; }
  show();
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, credentials: "same-origin", body: JSON.stringify(body),
  }).catch(() => null);
  if (!answer) throw new Error("The server cannot be reached. Nothing was saved, and nothing is lost: try again.");
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.error || `The server answers ${answer.status}.`), { said });
  return said;
}

async function save() {
  fail("");
  $("save").disabled = true;
  try {
    await post("/api/reviewer", { name: $("who").value });
    const sent = { category, polygons, expected: saved.digest, key: $("mean").checked ? null : images[at] };
    const state = await post("/api/regions", sent);
    know(state);
    polygons = copy(saved.polygons);
    $("next").replaceChildren(...state.next.map(words => Object.assign(document.createElement("li"), { textContent: words })));
    $("saved").hidden = false;
    $("saved").scrollIntoView({ block: "nearest" });
    tell("Saved.");
  } catch (error) {
    fail(error.message);
    if (error.said?.region !== undefined) { /* somebody was first: undo brings this drawing back */
      know(error.said);
      undone.push(copy(polygons));
      polygons = copy(saved.polygons);
      tell("The saved region is shown. Undo brings yours back.");
    }
  }
  show();
}

$("undo").onclick = undo;
$("add").onclick = addInMiddle;
$("save").onclick = save;
$("nothing").onclick = () => {
  before();
  polygons = [];
  if (saved.mask) saved.polygons = null; /* so that saving it is offered */
  show();
  tell("Nothing is drawn; save it to ignore nothing.");
};
$("before").onclick = () => { at -= 1; showPicture(); };
$("after").onclick = () => { at += 1; showPicture(); };
$("mean").onchange = showPicture;
$("zoom-in").onclick = () => zoom(1.5);
$("zoom-out").onclick = () => zoom(1 / 1.5);
$("zoom-whole").onclick = () => zoom(0);
$("category").onchange = () => location.assign(`/regions?${new URLSearchParams({ category: $("category").value })}`);
addEventListener("resize", fit);
addEventListener("beforeunload", event => { if (isDirty()) event.preventDefault(); });
if (category) begin();
