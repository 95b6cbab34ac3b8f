// The review page: the most useful decisions come first, one key decides, and a decision counts once the server has it on disk.

import { askFor, askName, drawHistory, endRekey, showHistory, showKeys, showPlan, startRekey } from "./dialogs.js";
import { SPEEDS, draw, drawFilters, frameOf, played, showFrame, video as made } from "./draw.js";
import { columns, rows } from "./grid.js";
import {
  RequestError, WHOLE_IDENTITY, actions, apply, ask, count, currentItem, describeDecision, ensureLoaded, find, hasMarks, isDisputed, keyLabel,
  mappedKey, marks, number, ownDecision, page, readable, reload, remember, remembered, restart, showMessage, typedKey, undecidedAfter,
} from "./page.js";

const SLOW_SAVE = 700; // milliseconds after which the page says that it waits
const MANY_DECIDED = 200; // decided items; if there are more, the page begins with those that are not decided
const NEAR_END = 20; // items left before the next of them are asked for
const LOADING = 2000; // milliseconds that a clip has to load before a key that needs it does nothing
const LISTED = 5; // items that a message names
const LONGEST_WAIT = 30; // held keys that wait
const CHECK_INTERVAL = 3000; // milliseconds between looks at what others do
const main = find("main");

// Where the person is

async function start(queue, key) {
  page.state = await ask("api/state");
  if (page.state.faults.length) showMessage(page.state.faults.join("\n"));
  page.queue = page.state.queues.find((each) => each.name === queue) ?? page.state.queues[0] ?? null;
  if (page.queue?.decided > MANY_DECIDED && !key) page.filters.decided ??= "no";
  drawFilters();
  await restart();
  await goTo(await placeOf(key));
}

// The place of the item with this key, of this classifier if it is given, or else of the first that is to be decided.
async function placeOf(key, classifier) {
  if (!key) return Math.max(0, undecidedAfter(-1));
  const { ids } = await ask(`api/ids?${new URLSearchParams({ queue: page.queue.name, find: key })}`);
  const places = ids.map((id) => page.places.get(id)).filter((place) => place !== undefined);
  for (const place of places) {
    await ensureLoaded(place, place + 1);
    const item = page.items.get(page.ids[place]);
    if (item.key === key && (classifier === undefined || item.classifier === classifier)) return place;
  }
  return Math.max(0, undecidedAfter(-1));
}

const openQueue = (queue, key) => {
  page.filters = {};
  showMessage("");
  return start(queue, key);
};

function changeQueue(step) {
  if (!page.queue) return;
  const names = page.state.queues.map((queue) => queue.name);
  return openQueue(names.at((names.indexOf(page.queue.name) + step) % names.length));
}

async function goTo(to) {
  page.at = Math.max(0, Math.min(to, page.ids.length - 1));
  await ensureLoaded(page.at, page.at + 1);
  draw();
  remember();
  ensureLoaded(page.at, page.at + NEAR_END).then(() => {}).catch(() => {}); // What asks for them when they are needed says what is wrong.
}

async function next(done = "") {
  const to = undecidedAfter(page.at);
  showMessage([done, to < 0 ? `All of these are decided. ${keyLabel("q")} shows the next queue.` : ""].filter(Boolean).join("\n"));
  await goTo(to < 0 ? page.at : to);
}

// Decisions

const selectedIds = () => page.isGrid && page.selected.size ? page.ids.filter((id) => page.selected.has(id)) : [currentItem()?.id].filter((id) => id !== undefined);

async function decide(action, overrule, value = action.label) {
  const ids = selectedIds();
  if (!ids.length) return;
  if (["label", "to"].includes(action.asks) && !(value = await askFor(action, currentItem()))) return;
  const { version } = currentItem();
  let values;
  if (action.asks === "regions") {
    const places = ids.map((id) => page.places.get(id));
    await ensureLoaded(Math.min(...places), Math.max(...places) + 1);
    values = ids.map((id) => marks(page.items.get(id)).flatMap((isMarked, place) => isMarked ? [place] : []).join());
  }
  // A key that is pressed twice decides once.
  const says = JSON.stringify([action.name, values ?? value, action.reason]);
  if (ids.length === 1 && !overrule && page.decidedHere.get(ids[0]) === says && ownDecision(currentItem())) return next();
  const whole = WHOLE_IDENTITY.includes(action.name) ? ` ${currentItem().label} to` : "";
  const text = action.asks === "label" || action.asks === "to" ? `${action.name}${whole} ${value}` : action.label ? `it is ${action.label}` : action.text;
  const answer = await saving(ask("api/decide", { version, ids, action: action.name, value, values, reason: action.reason, overrule, text }));
  apply(answer);
  if (answer.batch !== null) page.batches.push(answer.batch);
  for (const id of ids) page.decidedHere.set(id, says);
  count(answer.saved);
  page.selected = new Set(answer.failed.map(({ id }) => id));
  if (answer.failed.length) return showPartialSave(ids.length, answer);
  await next(ids.length > 1 ? `${number(ids.length)} items: ${text}. ${keyLabel("u")} takes this back.` : "");
}

async function showPartialSave(all, { saved, failed }) {
  for (const { id, others } of failed) {
    page.decidedHere.delete(id);
    if (others) page.conflictsShown.add(id);
  }
  await Promise.all(failed.slice(0, LISTED).map(({ id }) => ensureLoaded(page.places.get(id), page.places.get(id) + 1)));
  const lines = failed.slice(0, LISTED).map(({ id, error, others = [] }) => {
    const item = page.items.get(id);
    return [readable(item.key), error, ...others.map((row) => describeDecision(row, item))].join(": ");
  });
  const more = failed.length > LISTED ? [`and ${number(failed.length - LISTED)} more`] : [];
  showMessage([`${number(saved)} of ${number(all)} are saved. These are not, and stay selected:`, ...lines, ...more].join("\n"));
  await goTo(page.at);
}

async function undo(batch = page.batches.at(-1)) {
  const item = currentItem();
  if (batch === undefined && !(item && ownDecision(item))) return showMessage("There is nothing of yours to take back here.");
  const isGone = () => { page.batches = page.batches.filter((each) => each !== batch); };
  let answer;
  try {
    answer = await saving(ask("api/undo", batch === undefined ? { version: item.version, ids: [item.id] } : { batch }));
  } catch (error) {
    if (error.status === 409) isGone(); // nothing of it is left
    throw error;
  }
  isGone();
  apply(answer);
  page.decidedHere.clear();
  const isSelected = page.isGrid && answer.taken > 1; // so that one key decides the same items again
  const lines = answer.taken > 1 ? [`${number(answer.taken)} are taken back${isSelected ? ", and selected" : ""}.`] : [];
  if (answer.later) lines.push(`${answer.later > 1 ? `${number(answer.later)} were` : "It was"} decided again in another tab, and that stays.`);
  lines.push(...answer.failed.slice(0, LISTED));
  if (answer.item.queue !== page.queue.name) await openQueue(answer.item.queue, answer.item.key);
  if (isSelected) page.selected = new Set(answer.changed.map(({ id }) => id).filter((id) => page.places.has(id)));
  const place = await placeOf(answer.item.key, answer.item.classifier);
  const now = page.ids.length ? page.items.get(page.ids[place]) : null;
  if (now && isDisputed(now)) lines.push("Others disagree about it, and the next run stops until one of them gives way.");
  showMessage(lines.join("\n"));
  await goTo(now?.key === answer.item.key ? place : page.at);
}

async function saving(request) {
  const slow = setTimeout(() => showMessage("Saving …"), SLOW_SAVE);
  try {
    return await request;
  } finally {
    clearTimeout(slow);
    if (find("banner").textContent === "Saving …") showMessage("");
  }
}

// Keys that are pressed while one is worked on wait for it: one thing at a time, and none is lost.
let pendingWork = Promise.resolve();
let waiting = 0;
let isBusy = false; // what is shown may be about to change
let generation = 0;

function queue(work) {
  const started = generation;
  waiting += 1;
  pendingWork = pendingWork.then(async () => {
    waiting -= 1;
    if (started !== generation) return;
    isBusy = true;
    try {
      await work();
    } catch (error) {
      // What was pressed meanwhile was meant for what would have been shown.
      generation += 1;
      await failed(error, waiting).catch((another) => showMessage(another.message));
    }
    isBusy = false;
  });
}

async function failed(error, left) {
  const lines = [];
  if (error instanceof RequestError) {
    if (error.status === 410) await start(page.queue?.name);
    apply(error.content);
    const others = error.content.others?.map((row) => describeDecision(row, currentItem())) ?? [];
    lines.push(error.message, ...others);
    if (others.length) {
      page.conflictsShown.add(currentItem().id);
      lines.push("Press the key with Shift to overrule, or go on.");
    }
  } else {
    console.error(error);
    lines.push(`The page failed: ${error.message}. Load it again; earlier decisions are saved.`);
  }
  if (left) lines.push(`${number(left)} ${left > 1 ? "keys that were" : "key that was"} pressed meanwhile did nothing.`);
  showMessage(lines.join("\n"));
  draw();
}

async function open(how) {
  const ids = how === "label_studio" ? selectedIds() : [currentItem()?.id].filter((id) => id !== undefined);
  for (const id of ids) showMessage((await saving(ask("api/open", { version: page.state.version, ids: [id], how }))).message);
}

function mark(place) {
  const item = currentItem();
  if (place >= item.boxes.length) return;
  marks(item)[place] = !marks(item)[place];
  draw();
}

function select(place, isRange) {
  const [from, to] = isRange ? [page.anchor, place].sort((one, other) => one - other) : [place, place];
  for (const id of page.ids.slice(from, to + 1)) if (isRange || !page.selected.delete(id)) page.selected.add(id);
  page.anchor = place;
  return goTo(place);
}

function selectAll(isAll) {
  page.selected = new Set(isAll ? page.ids : []);
  draw();
}

// Keys and buttons

const video = () => main.querySelector(".stage video");

async function step(direction) {
  const clip = video();
  if (!clip || clip.error) return;
  clip.pause();
  if (!clip.duration) await new Promise((done) => {
    clip.addEventListener("loadedmetadata", done, { once: true });
    setTimeout(done, LOADING);
  });
  if (!clip.duration) return;
  showFrame(clip, currentItem(), frameOf(clip, currentItem()) + direction);
}

function enlarge() {
  if (document.fullscreenElement) return document.exitFullscreen();
  return main.querySelector(".stage")?.requestFullscreen();
}

function play() {
  find("frame")?.replaceChildren();
  if (video()?.paused) played(video());
  else video()?.pause();
}

const CONTROLS = {
  ArrowRight: () => goTo(page.at + 1),
  ArrowLeft: () => goTo(page.at - 1),
  q: (event) => changeQueue(event.shiftKey ? -1 : 1),
  f: () => find("filters").querySelector("select, input")?.focus(),
  "/": () => find("filters").querySelector("[name=find]")?.focus(),
  u: () => undo(),
  h: showHistory,
  v: () => { page.isGrid = !page.isGrid; draw(); },
  o: () => { page.isOutlined = !page.isOutlined; draw(); },
  b: () => find("blur").setAttribute("aria-pressed", document.body.classList.toggle("shown")),
  s: () => { page.speed = (page.speed + 1) % SPEEDS.length; if (video()) video().playbackRate = SPEEDS[page.speed]; },
  z: enlarge,
  ",": () => step(-1),
  ".": () => step(1),
  l: () => open("labelme"),
  e: () => open("label_studio"),
  p: showPlan,
  "?": showKeys,
  " ": play,
};
const OF_GRID = {
  ArrowDown: () => goTo(page.at + columns()),
  ArrowUp: () => goTo(page.at - columns()),
  PageDown: () => goTo(page.at + columns() * rows()),
  PageUp: () => goTo(page.at - columns() * rows()),
  Home: () => goTo(0),
  End: () => goTo(page.ids.length - 1),
  Enter: CONTROLS.v,
  Escape: () => selectAll(false),
  " ": (event) => select(page.at, event.shiftKey),
};
const BUTTONS = {
  queue: (value) => openQueue(value),
  decide: (value, event) => decide(actions(currentItem())[value], event.shiftKey),
  undo: () => undo(),
  mark: (value) => mark(Number(value)),
  select: (value, event) => select(Number(value), event.shiftKey),
  view: CONTROLS.v,
  all: () => selectAll(true),
  none: () => selectAll(false),
  next: CONTROLS.ArrowRight,
  previous: CONTROLS.ArrowLeft,
};
// These are in a dialog, for which other keys wait.
const IN_DIALOG = { rekey: startRekey, back: async (value) => { await undo(Number(value)); await drawHistory(); } };

const HELD = ["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "PageUp", "PageDown", ",", "."]; // they work as long as they are held

// What a key does is known when its turn comes: then another item may be shown.
function workOf(event, key) {
  const control = (page.isGrid ? OF_GRID[key] : null) ?? CONTROLS[key];
  const item = currentItem();
  // With Shift, the key of a digit types something else, which may be a control.
  const digit = control ? null : /^Digit([1-9])$/.exec(event.code)?.[1];
  const action = item && (actions(item).find((each) => each.key === key) ?? actions(item).find((each) => digit && each.key === digit));
  // Where digits need Shift, as on French keyboards, it overrules nobody whose decision the page has not shown as the obstacle.
  const isMeant = () => !/^\d$/.test(event.key) || selectedIds().every((id) => page.conflictsShown.has(id));
  if (action) return () => decide(action, event.shiftKey && isMeant());
  if (digit && item && hasMarks(item) && !page.isGrid) return () => mark(digit - 1);
  return control && (() => control(event));
}

document.addEventListener("keydown", (event) => {
  if (find("dialog").open) {
    if (!endRekey(event) && event.key === "?" && !event.target.matches("input")) find("dialog").close();
    return;
  }
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Enter" || event.key === "Escape") main.focus();
    return;
  }
  if (page.isGrid && typedKey(event) === "a" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    return queue(() => selectAll(true));
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !page.state) return;
  if ((event.key === " " || event.key === "Enter") && event.target.matches("button:not(.tile)")) return;
  const key = mappedKey(typedKey(event));
  if (event.repeat && (!HELD.includes(key) || waiting > LONGEST_WAIT)) return;
  if (!waiting && !isBusy && !workOf(event, key)) return;
  event.preventDefault();
  queue(() => workOf(event, key)?.());
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const { do: name, value } = button.dataset;
  const work = IN_DIALOG[name];
  if (work) Promise.resolve(work(value)).catch((error) => showMessage(error.message));
  else queue(() => BUTTONS[name](value, event));
});

// A clip plays where one points at its picture.
const HOVER_DELAY = 120; // milliseconds, so that nothing is loaded where one only passes
let hovered = null;
let delay = 0;

function playHovered(figure) {
  if (figure === hovered) return;
  clearTimeout(delay);
  hovered?.querySelector("video")?.remove();
  hovered = figure;
  if (figure) delay = setTimeout(() => figure.querySelector(".frame")?.append(played(made(figure.dataset.plays))), HOVER_DELAY);
}
for (const name of ["mouseover", "focusin"]) {
  main.addEventListener(name, (event) => {
    playHovered(event.target.closest("[data-plays]"));
    if (name === "focusin" && event.target.matches(".tile")) page.at = Number(event.target.dataset.value);
  });
}
main.addEventListener("mouseleave", () => playHovered(null));

// Whoever types in a list chooses in it, and decides nothing: the focus stays there. After a click, it leads back to the item.
let isClicked = false;
find("filters").addEventListener("pointerdown", () => { isClicked = true; });
find("filters").addEventListener("keydown", () => { isClicked = false; });
find("filters").addEventListener("submit", (event) => event.preventDefault());
find("filters").addEventListener("change", ({ target }) => {
  if (target.value === "*" || target.value === "" && target.name === "find") delete page.filters[target.name];
  else page.filters[target.name] = target.value;
  if (isClicked && target.matches("select")) main.focus();
  queue(() => restart().then(() => goTo(0)));
});

main.addEventListener("stale", () => queue(() => start(page.queue?.name)));
for (const [id, key] of Object.entries({ view: "v", blur: "b", history: "h", plan: "p", help: "?" })) {
  find(id).addEventListener("click", (event) => queue(() => CONTROLS[key](event)));
}
find("who").addEventListener("click", () => queue(askName));

// Another tab, another person or another program may have changed something meanwhile.
const compare = () => { if (!document.hidden && page.state && !waiting && !find("dialog").open) queue(checkForChanges); };
document.addEventListener("visibilitychange", compare);
setInterval(compare, CHECK_INTERVAL);

async function checkForChanges() {
  let found;
  try {
    found = await ask("api/pulse");
  } catch {
    return; // Whoever decides something hears of it.
  }
  const before = page.state;
  if (found.version !== before.version) {
    await start(page.queue?.name, currentItem()?.key);
  } else if (String(found.tables) !== String(before.tables) || String(found.faults) !== String(before.faults)) {
    const name = page.queue?.name;
    page.state = await ask("api/state");
    page.queue = page.state.queues.find((each) => each.name === name) ?? null;
    await reload();
    draw();
  }
  const fresh = [...found.notices.slice(page.noticesShown), ...found.faults.filter((text) => !before.faults.includes(text))];
  page.noticesShown = found.notices.length;
  if (fresh.length) showMessage(fresh.join("\n"));
}

const { queue: name, filters = {}, key, batches = [], times = [] } = remembered();
Object.assign(page, { filters, batches, times });
queue(() => start(name, key));
