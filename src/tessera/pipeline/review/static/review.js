// The review page: the most useful decisions come first, one key decides, and a decision counts once the server has it on disk.

import { SPEEDS, columns, draw, drawFilters, played } from "./draw.js";
import {
  Answer, WHOLE, actions, ask, find, hasMarks, isDisputed, make, marks, more, number, own, page, reload, replace, restart, shown,
  tell, told, undecidedAfter,
} from "./page.js";

const SLOW = 700; // milliseconds after which the page says that it waits
const MANY = 200; // decided items; if there are more, the page begins with those that are not decided
const NEAR_END = 20; // items left before the next page of them is asked for
const isOf = { grid: () => page.isGrid, clip: () => shown()?.clip && !page.isGrid, picture: () => shown()?.picture, frame: () => shown()?.boxes.length };
const KEYS = [
  ["→ ←", "next, previous item"], ["↑ ↓ Home End", "other rows of the grid", isOf.grid], ["q Q", "next, previous queue"],
  ["f", "filters; Enter leads back"], ["/", "find a part of a key or a source"], ["u", "take back what you decided last"],
  ["Shift + key", "overrule somebody else"], ["1 to 9", "mark a region, or not", () => shown() && hasMarks(shown())],
  ["v", "grid, or one at a time"], ["Enter", "open the item", isOf.grid], ["Space", "select; with Shift, all up to here", isOf.grid],
  ["Ctrl + a", "select all that are loaded", isOf.grid], ["Esc", "select nothing", isOf.grid], ["Space", "play or pause", isOf.clip],
  [", .", "one frame back, forward", isOf.clip], ["s", "speed: 1, ½, ¼", isOf.clip], ["o", "outlines, or none"],
  ["b", "show what is blurred, or not", () => page.state?.has_blurred], ["z", "as large as the screen, or not", () => !page.isGrid],
  ["l", "open in labelme", isOf.frame], ["e", "export for Label Studio", isOf.picture], ["p", "what the next run will do"],
];
const main = find("main");

// Where the person is

async function start(queue, key) {
  const before = page.state?.version;
  page.state = await ask("api/state");
  if (before !== page.state.version) page.batches = [];
  if (page.state.faults.length) tell(page.state.faults.join("\n"));
  page.queue = page.state.queues.find((each) => each.name === queue) ?? page.state.queues[0] ?? null;
  if (page.queue?.decided > MANY && !key) page.filters.decided ??= "no";
  drawFilters();
  await restart();
  const known = page.items.findIndex((item) => item.key === key);
  await go(known >= 0 ? known : page.items.length ? await undecidedAfter(-1) : 0);
}

const other = (queue) => {
  Object.assign(page, { filters: {}, batches: [] });
  tell("");
  return start(queue);
};

function turn(step) {
  if (!page.queue) return;
  const names = page.state.queues.map((queue) => queue.name);
  return other(names.at((names.indexOf(page.queue.name) + step) % names.length));
}

async function go(to) {
  if (to >= page.items.length - NEAR_END && !page.complete && page.queue) {
    const loading = more();
    if (to >= page.items.length) await loading;
    else loading.catch(() => {}); // What asks for them when they are needed says what is wrong.
  }
  page.at = Math.max(0, Math.min(to, page.items.length - 1));
  // A page that is loaded again shows the same. The address cannot say it: browsers slow down a page that changes it with each key.
  sessionStorage.setItem("here", JSON.stringify({ queue: page.queue?.name, filters: page.filters, key: shown()?.key }));
  draw();
}

async function next() {
  const to = await undecidedAfter(page.at);
  if (to < 0) tell("All of these are decided. q shows the next queue.");
  await go(to < 0 ? page.at : to);
}

// Decisions

async function decide(action, overrule, value = action.label) {
  const items = page.isGrid && page.selected.size ? page.items.filter((item) => page.selected.has(item.id)) : [shown()];
  if (!items[0] || page.isBusy) return;
  if (["label", "to"].includes(action.asks) && !(value = await askFor(action, items[0]))) return;
  const batch = [];
  await busy(async () => {
    try {
      for (const { version, id, ...item } of items) {
        if (action.asks === "regions") value = marks(item).flatMap((isMarked, place) => isMarked ? [place] : []).join();
        replace(await ask("api/decide", { version, id, action: action.name, value, reason: action.reason, overrule }));
        batch.push({ version, id });
        if (items.length > 1) tell(`${number(batch.length)} of ${number(items.length)} are saved …`);
      }
    } finally {
      if (batch.length) page.batches.push(batch);
    }
    tell(batch.length > 1 ? `${number(batch.length)} items: ${action.text}. u takes this back.` : "");
    page.selected.clear();
    await next();
  });
}

async function undo() {
  if (page.isBusy) return;
  const batch = page.batches.at(-1) ?? (shown() && own(shown()) ? [shown()] : []);
  if (!batch.length) return tell("There is nothing of yours to take back here.");
  const first = batch[0].id;
  await busy(async () => {
    try {
      while (batch.length) {
        const { version, id } = batch.at(-1);
        replace(await ask("api/undo", { version, id }));
        batch.pop();
      }
    } catch (error) {
      if (error.status === 409) batch.pop(); // nothing of it is left
      throw error;
    } finally {
      if (!batch.length && page.batches.at(-1) === batch) page.batches.pop();
    }
    const place = page.items.findIndex((item) => item.id === first);
    tell(isDisputed(page.items[place] ?? { decisions: [] }) ? "Others disagree about it, and the next run stops until one of them gives way." : "");
    await go(place >= 0 ? place : page.at);
  });
}

// One request that changes something at a time, so that a key that is held decides once.
async function busy(work) {
  if (page.isBusy) return;
  page.isBusy = true;
  const slow = setTimeout(() => tell("Saving …"), SLOW);
  try {
    await work();
    if (find("banner").textContent === "Saving …") tell("");
  } catch (error) {
    await failed(error);
  } finally {
    clearTimeout(slow);
    page.isBusy = false;
  }
}

async function failed(error) {
  if (!(error instanceof Answer)) throw error;
  if (error.status === 410) await start(page.queue?.name);
  if (error.content.item) replace(error.content.item);
  const others = error.content.others?.map((row) => told(row, shown())) ?? [];
  tell([error.message, ...others, ...(others.length ? ["Press the key with Shift to overrule, or go on."] : [])].join("\n"));
  draw();
}

async function open(how) {
  const items = how === "label_studio" && page.selected.size ? page.items.filter((item) => page.selected.has(item.id)) : [shown()];
  if (!items[0]) return;
  await busy(async () => {
    for (const { version, id } of items) tell((await ask("api/open", { version, id, how })).told);
  });
}

function mark(place) {
  const item = shown();
  if (place >= item.boxes.length) return;
  marks(item)[place] = !marks(item)[place];
  draw();
}

function select(place, isRange) {
  const [from, to] = isRange ? [page.anchor, place].sort((one, other) => one - other) : [place, place];
  for (const { id } of page.items.slice(from, to + 1)) if (isRange || !page.selected.delete(id)) page.selected.add(id);
  page.anchor = page.at = place;
  draw();
}

// Dialogs

async function dialog(title, body, { ok = "Close", cancel = false } = {}) {
  const box = find("dialog");
  if (box.open) return false;
  find("dialog-title").textContent = title;
  find("dialog-body").replaceChildren(...body);
  find("dialog-ok").textContent = ok;
  find("dialog-ok").value = cancel ? "ok" : "close";
  find("dialog-cancel").hidden = !cancel;
  box.returnValue = "";
  box.showModal();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue === "ok"), { once: true }));
}

async function askFor(action, item) {
  find("names").replaceChildren(...page.queue.names.map((name) => make("option", { value: name })));
  const isName = action.asks === "to";
  const input = make("input", { id: "answer", list: isName ? "names" : null, autocomplete: "off", required: true });
  const about = WHOLE.includes(action.name) ? `${item.label}: ` : "";
  const asked = dialog(`${about}${action.text}`, [make("label", { for: "answer", text: isName ? "name" : "score" }), input], { ok: "Save", cancel: true });
  input.focus();
  return (await asked) ? input.value.trim() : "";
}

function showKeys() {
  const decisions = shown() ? actions(shown()).filter((action) => action.key).map((action) => [action.key, action.text]) : [];
  const taken = decisions.map(([key]) => key);
  const rows = [...decisions, ...KEYS.filter(([key, , applies]) => !taken.includes(key) && (applies?.() ?? true))];
  const list = rows.flatMap(([key, text]) => [make("dt", {}, make("kbd", { text: key })), make("dd", { text })]);
  return dialog("Keys", [make("dl", { class: "keys" }, ...list)]);
}

async function showPlan() {
  const lines = await ask("api/plan");
  const text = lines.length ? "With the decisions so far:" : "The decisions so far change nothing.";
  return dialog("What the next run will do", [make("p", { text }), make("ul", {}, ...lines.map((line) => make("li", { text: line })))]);
}

// Keys and buttons

const video = () => main.querySelector("video");

function step(direction) {
  video()?.pause();
  if (video()) video().currentTime = Math.max(0, video().currentTime + direction / 25);
}

function enlarge() {
  if (document.fullscreenElement) return document.exitFullscreen();
  return main.querySelector(".stage")?.requestFullscreen();
}

const CONTROLS = {
  ArrowRight: () => go(page.at + 1),
  ArrowLeft: () => go(page.at - 1),
  q: (event) => turn(event.shiftKey ? -1 : 1),
  f: () => find("filters").querySelector("select, input")?.focus(),
  "/": () => find("filters").querySelector("[name=find]")?.focus(),
  u: undo,
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
  " ": () => (video()?.paused ? played(video()) : video()?.pause()),
};
const OF_GRID = {
  ArrowDown: () => go(page.at + columns()),
  ArrowUp: () => go(page.at - columns()),
  Home: () => go(0),
  End: () => go(page.items.length - 1),
  Enter: CONTROLS.v,
  Escape: () => { page.selected.clear(); draw(); },
  " ": (event) => select(page.at, event.shiftKey),
};
const BUTTONS = {
  queue: (value) => other(value),
  decide: (value, event) => decide(actions(shown())[value], event.shiftKey),
  undo,
  mark: (value) => mark(Number(value)),
  select: (value, event) => select(Number(value), event.shiftKey),
};

const HELD = ["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", ",", "."]; // keys that work as long as they are held

function workOf(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.repeat && !HELD.includes(key)) return null;
  const control = (page.isGrid ? OF_GRID[key] : null) ?? CONTROLS[key];
  const item = shown();
  // With Shift, the key of a digit types something else, which may be a control.
  const digit = control ? null : /^Digit([1-9])$/.exec(event.code)?.[1];
  const action = item && (actions(item).find((each) => each.key === key) ?? actions(item).find((each) => digit && each.key === digit));
  if (action) return () => decide(action, event.shiftKey);
  if (digit && item && hasMarks(item) && !page.isGrid) return () => mark(digit - 1);
  return control;
}

document.addEventListener("keydown", (event) => {
  if (find("dialog").open) {
    if (event.key === "?") find("dialog").close();
    return;
  }
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Enter" || event.key === "Escape") main.focus();
    return;
  }
  if (page.isGrid && event.key === "a" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    page.selected = new Set(page.items.map((item) => item.id));
    return draw();
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if ((event.key === " " || event.key === "Enter") && event.target.matches("button:not(.tile)")) return;
  const work = workOf(event);
  if (!work) return;
  event.preventDefault();
  guard(work(event));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) guard(BUTTONS[button.dataset.do](button.dataset.value, event));
});

// Clips of the grid play where one points at them.
for (const [name, isOver] of [["mouseover", true], ["focusin", true], ["mouseout", false]]) {
  main.addEventListener(name, (event) => {
    const clip = event.target.closest(".tile")?.querySelector("video");
    if (clip) (isOver ? played(clip) : clip.pause());
    if (name === "focusin" && event.target.matches(".tile")) page.at = Number(event.target.dataset.value);
  });
}

// Whoever types in a list chooses in it, and decides nothing: the focus stays there. After a click, it leads back to the item.
let isClicked = false;
find("filters").addEventListener("pointerdown", () => { isClicked = true; });
find("filters").addEventListener("keydown", () => { isClicked = false; });
find("filters").addEventListener("submit", (event) => event.preventDefault());
find("filters").addEventListener("change", ({ target }) => {
  if (target.value === "*" || target.value === "" && target.name === "find") delete page.filters[target.name];
  else page.filters[target.name] = target.value;
  if (isClicked && target.matches("select")) main.focus();
  guard(restart().then(() => go(0)));
});

function guard(work) {
  Promise.resolve(work).catch((error) => {
    tell(error instanceof Answer ? error.message : `The page failed: ${error.message}. Load it again; earlier decisions are saved.`);
  });
}

main.addEventListener("stale", () => guard(start(page.queue?.name)));
for (const [id, key] of Object.entries({ view: "v", blur: "b", plan: "p", help: "?" })) {
  find(id).addEventListener("click", (event) => guard(CONTROLS[key](event)));
}
// Another tab, or another person, may have decided meanwhile.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && page.queue && !page.isBusy && !find("dialog").open) guard(compare());
});

async function compare() {
  const { version, tables } = page.state;
  const state = await ask("api/state");
  if (state.version !== version) return start(page.queue.name, shown()?.key);
  if (String(state.tables) === String(tables)) return;
  page.state = state;
  page.queue = state.queues.find((each) => each.name === page.queue.name);
  await reload();
  draw();
}

const { queue, filters = {}, key } = JSON.parse(sessionStorage.getItem("here") ?? "{}");
page.filters = filters;
guard(start(queue, key));
