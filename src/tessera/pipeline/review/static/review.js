// The review page: what is worth most comes first, one key decides, and a decision counts once the server has it on disk.

const AHEAD = 5; // items that are fetched before they are shown
const NEAR_END = 20; // items left before the next page of them is asked for
const SPEEDS = [1, 0.5, 0.25];
const FILTERS = { source: "source", split: "split", reason: "reason", state: "so far" };
const KEYS = [
  ["→ ←", "next, previous item"], ["1 to 9", "mark a region of a frame, or not"], ["u", "undo your decision"], ["Shift + key", "overrule somebody else"],
  ["v", "grid, or one at a time"], ["Space", "in the grid: select; else play or pause"], [", .", "one frame back, forward"],
  ["s", "slower"], ["o", "outline of the mask"], ["b", "show what is blurred"], ["l", "open in labelme"],
  ["e", "export for Label Studio"], ["p", "what the next run will do"],
];

const find = (id) => document.getElementById(id);
const main = find("main");
const page = {
  state: null, queue: null, filters: {}, items: [], total: 0, complete: false, at: 0, selected: new Set(),
  isGrid: false, isOutlined: true, speed: 0, isBusy: false, last: [],
};

function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, work] of Object.entries(value)) element.addEventListener(event, work);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

class Answer extends Error {
  constructor(status, content) {
    super(content.error ?? `The server answered ${status}.`);
    this.status = status;
    this.content = content;
  }
}

async function ask(path, body) {
  const request = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Answer(0, { error: "The server does not answer, so this was not saved. Everything before it is. Start the review again, and open its new address." });
  }
  let content;
  try {
    content = await response.json();
  } catch {
    content = {};
  }
  if (!response.ok) throw new Answer(response.status, content);
  return content;
}

function tell(text) {
  const banner = find("banner");
  banner.textContent = text;
  banner.hidden = !text;
}

const shown = () => page.items[page.at];
// Actions that are about a whole identity.
const WHOLE = ["rename", "merge"];
const actions = (item) => (page.queue.actions[item.classifier] ?? []).filter((action) => item.actions.includes(action.name));
// Regions that are to be labels: at first, those that the detector is sure enough of.
const marks = (item) => (item.marks ??= [...item.box_counts]);
const hasMarks = (item) => actions(item).some((action) => action.asks === "regions");
const media = (id, what) => `media/${page.state.version}/${id}/${what}`;

// Items

async function start(queue) {
  page.state = await ask("api/state");
  if (page.state.faults.length) tell(page.state.faults.join("\n"));
  const queues = page.state.queues;
  page.queue = queues.find((each) => each.name === queue) ?? queues[0] ?? null;
  drawQueues();
  drawFilters();
  await restart();
}

async function restart() {
  Object.assign(page, { items: [], total: 0, complete: false, at: 0, selected: new Set() });
  asking = null;
  if (page.queue) await more();
  draw();
}

let asking = null;
function more() {
  asking ??= load(page.items).finally(() => { asking = null; });
  return asking;
}

async function load(items) {
  const asked = { queue: page.queue.name, after: items.at(-1)?.id ?? -1, ...page.filters };
  const found = await ask(`api/items?${new URLSearchParams(asked)}`);
  // Meanwhile, other items may have been asked for.
  if (items !== page.items) return;
  if (items.length === 0) page.total = found.total;
  items.push(...found.items);
  page.complete = found.items.length === 0;
}

async function go(to) {
  if (to >= page.items.length - NEAR_END && !page.complete) {
    const loading = more();
    if (to >= page.items.length) await loading;
    else loading.catch(() => {}); // What asks for them when they are needed says what is wrong.
  }
  page.at = Math.max(0, Math.min(to, page.items.length - 1));
  draw();
}

async function next() {
  let to = page.at + 1;
  while (to < page.items.length && page.items[to].decisions.length) to += 1;
  await go(to);
}

// Decisions

async function decide(action, overrule, value = action.label) {
  const items = page.isGrid && page.selected.size ? page.items.filter((item) => page.selected.has(item.id)) : [shown()];
  if (!items[0] || page.isBusy) return;
  if (["label", "to"].includes(action.asks) && !(value = await askFor(action, items[0]))) return;
  page.isBusy = true;
  try {
    for (const item of items) {
      if (action.asks === "regions") value = marks(item).flatMap((isMarked, number) => isMarked ? [number] : []).join();
      const others = item.decisions.map((row) => row.who ?? row.by).filter((who) => who !== page.state.who);
      const given = { version: page.state.version, id: item.id, action: action.name, value, overrules: overrule ? others[0] ?? "" : "" };
      replace(await ask("api/decide", given));
      page.last.push(item.id);
    }
    tell("");
    page.selected.clear();
    page.isBusy = false;
    await next();
  } catch (error) {
    failed(error);
  } finally {
    page.isBusy = false;
  }
}

async function undo() {
  const id = page.isGrid ? shown()?.id : page.last.at(-1) ?? shown()?.id;
  if (id === undefined || page.isBusy) return;
  page.isBusy = true;
  try {
    replace(await ask("api/undo", { version: page.state.version, id }));
    page.last = page.last.filter((each) => each !== id);
    tell("");
    const place = page.items.findIndex((item) => item.id === id);
    if (place >= 0) page.at = place;
    draw();
  } catch (error) {
    page.last = page.last.filter((each) => each !== id);
    failed(error);
  } finally {
    page.isBusy = false;
  }
}

function replace(item) {
  const place = page.items.findIndex((each) => each.id === item.id);
  if (place >= 0) page.items[place] = item;
}

async function failed(error) {
  if (!(error instanceof Answer)) throw error;
  tell(error.message);
  if (error.status === 410) await start(page.queue?.name);
  else if (error.content.others) {
    const who = error.content.others.map((row) => `${row.who ?? row.by}, ${row.when ?? row.date}: ${said(row)}`).join("\n");
    tell(`${error.message}\n${who}\nPress the key with Shift to overrule, or go on.`);
  }
  draw();
}

function said(row) {
  const reason = row.reason || row.note;
  return [row.decision ?? row.action, row.label || row.to, reason ? `(${reason})` : ""].filter(Boolean).join(" ");
}

async function open(how) {
  const item = shown();
  if (!item || page.isBusy) return;
  try {
    tell((await ask("api/open", { version: page.state.version, id: item.id, how })).told);
  } catch (error) {
    await failed(error);
  }
}

// Dialogs

function dialog(title, body, { ok = "Close", cancel = false } = {}) {
  const box = find("dialog");
  find("dialog-title").textContent = title;
  find("dialog-body").replaceChildren(...body);
  find("dialog-ok").textContent = ok;
  find("dialog-cancel").hidden = !cancel;
  box.returnValue = "";
  box.showModal();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue === "ok"), { once: true }));
}

async function askFor(action, item) {
  find("names").replaceChildren(...page.queue.names.map((name) => make("option", { value: name })));
  const input = make("input", { id: "answer", list: action.asks === "to" ? "names" : null, autocomplete: "off", required: true });
  const label = make("label", { for: "answer", text: action.text });
  const about = WHOLE.includes(action.name) ? `: ${item.label}` : "";
  const asked = dialog(`${action.text}${about}`, [label, input], { ok: "Save", cancel: true });
  input.focus();
  return (await asked) ? input.value.trim() : "";
}

function showKeys() {
  const own = shown() ? actions(shown()).filter((action) => action.key).map((action) => [action.key, action.text]) : [];
  const rows = [...own, ...KEYS].flatMap(([key, text]) => [make("dt", {}, make("kbd", { text: key })), make("dd", { text })]);
  return dialog("Keys", [make("dl", { class: "keys" }, ...rows)]);
}

async function showPlan() {
  const lines = await ask("api/plan");
  const text = lines.length ? "With the decisions so far:" : "The decisions so far change nothing.";
  return dialog("What the next run will do", [make("p", { text }), make("ul", {}, ...lines.map((line) => make("li", { text: line })))]);
}

// Drawing

function drawQueues() {
  const buttons = page.state.queues.map((queue) => make("button", {
    type: "button", "aria-current": queue === page.queue ? "page" : null, text: `${queue.name} ${queue.count.toLocaleString("en")}`,
    on: { click: () => { page.filters = {}; page.last = []; guard(start(queue.name)); } },
  }));
  find("queues").replaceChildren(...buttons);
}

function drawFilters() {
  if (!page.queue) return find("filters").replaceChildren();
  const select = (name, title, options) => {
    const choices = options.map(([value, text]) => make("option", { value, text, selected: page.filters[name] === value }));
    const change = (event) => {
      if (event.target.value === "*") delete page.filters[name];
      else page.filters[name] = event.target.value;
      guard(restart());
      main.focus();
    };
    return make("label", {}, title, make("select", { name, on: { change } }, make("option", { value: "*", text: "all" }), ...choices));
  };
  const filters = Object.entries(FILTERS).map(([name, title]) => {
    const options = page.queue.choices[name].map(([value, count]) => [value, `${value || "none"} (${count.toLocaleString("en")})`]);
    return options.length > 1 || page.filters[name] ? select(name, title, options) : null;
  });
  const values = [["0.75", "0.75 or more"], ["0.5", "0.5 or more"], ["0.25", "0.25 or more"]];
  filters.push(select("least", "value", values), select("decided", "decided", [["no", "not yet"], ["yes", "decided"]]));
  find("filters").replaceChildren(...filters.filter(Boolean));
}

function draw() {
  const at = page.items.length ? `${(page.at + 1).toLocaleString("en")} of ${page.total.toLocaleString("en")}` : "";
  find("count").textContent = page.state ? `${at}${at ? ", " : ""}you are ${page.state.who}` : "";
  find("view").setAttribute("aria-pressed", page.isGrid);
  if (!page.items.length) {
    const text = page.queue ? "Nothing here. Choose other filters." : "There is nothing to decide. Run the workflow on some footage first.";
    return main.replaceChildren(make("p", { class: "empty", text }));
  }
  if (page.isGrid) drawGrid();
  else drawOne();
}

const fetched = new Map(); // what is shown soon, by its address

function fetchAhead() {
  const wanted = new Map();
  for (const item of page.items.slice(page.at, page.at + AHEAD + 1)) {
    const address = media(item.id, item.clip ? (page.isOutlined && item.mask ? "outlined" : "clip") : "picture");
    wanted.set(address, fetched.get(address) ?? (item.clip ? video(address) : picture(address, item)));
    if (item.beside) {
      const other = media(item.id, "beside");
      wanted.set(other, fetched.get(other) ?? picture(other, item));
    }
  }
  for (const [address, element] of fetched) {
    if (!wanted.has(address)) {
      element.removeAttribute("src");
      fetched.delete(address);
    }
  }
  for (const [address, element] of wanted) fetched.set(address, element);
}

function video(address) {
  const element = make("video", { src: address, loop: true, playsinline: true, preload: "auto" });
  element.muted = true;
  element.addEventListener("error", () => gone(element));
  return element;
}

function picture(address, item) {
  const element = make("img", { src: address, alt: `${item.reason}: ${item.key}`, decoding: "async" });
  element.addEventListener("error", () => gone(element));
  return element;
}

async function gone(element) {
  const address = element.getAttribute("src");
  if (!address) return;
  const needed = "Clips are H.264, for which Firefox on Linux needs FFmpeg's libavcodec.";
  // It may not be shown yet.
  element.fault = `This browser cannot show it. ${element.matches("video") ? needed : "The file may be damaged."}`;
  try {
    await ask(address);
  } catch (error) {
    element.fault = error.message;
    if (error.status === 410) await failed(error);
  }
  element.closest(".frame")?.replaceChildren(shownOf(element));
}

const shownOf = (element) => element.fault ? make("p", { class: "empty", text: element.fault }) : element;

function framed(element, item, boxes = []) {
  const parts = [shownOf(element)];
  if (boxes.length) {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawn.setAttribute("aria-hidden", "true");
    // As large as the picture, and centred like it.
    const fill = () => {
      const [width, height] = [element.naturalWidth, element.naturalHeight];
      drawn.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const part = (tag, given, text = "") => {
        const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
        for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
        made.textContent = text;
        return made;
      };
      const numbered = hasMarks(item);
      drawn.replaceChildren(...boxes.flatMap(([x0, y0, x1, y1], number) => {
        const style = numbered && !marks(item)[number] ? "unmarked" : "marked";
        const sides = { x: x0 * width, y: y0 * height, width: (x1 - x0) * width, height: (y1 - y0) * height };
        const size = Math.max(width, height) / 28;
        const place = { x: x0 * width + size / 4, y: y0 * height + size, "font-size": size };
        return [part("rect", { ...sides, class: style }), ...(numbered ? [part("text", { ...place, class: style }, number + 1)] : [])];
      }));
    };
    if (element.naturalWidth) fill();
    else element.addEventListener("load", fill, { once: true });
    parts.push(drawn);
  }
  return make("div", { class: item.is_blurred ? "frame blurred" : "frame" }, ...parts);
}

function drawOne() {
  fetchAhead();
  const item = shown();
  const address = media(item.id, item.clip ? (page.isOutlined && item.mask ? "outlined" : "clip") : "picture");
  const element = fetched.get(address);
  const texts = hasMarks(item) ? item.box_texts.map((text, number) => make(
    "button", { type: "button", "aria-pressed": String(marks(item)[number]), on: { click: () => mark(number) } }, `${number + 1} `, text,
  )) : [item.box_texts.join(", ")];
  const figures = [make("figure", {}, framed(element, item, page.isOutlined ? item.boxes : []), make("figcaption", {}, ...texts))];
  if (item.beside) {
    figures.push(make("figure", {}, framed(fetched.get(media(item.id, "beside")), item), make("figcaption", { text: item.beside_text })));
  }
  const around = item.neighbours.map((id, number) => id === null ? null : make(
    "figure", {}, framed(played(video(media(id, "clip"))), item), make("figcaption", { text: number ? "after it" : "before it" }),
  ));
  const left = make("div", {}, make("div", { class: "stage" }, ...figures));
  if (around.some(Boolean)) left.append(make("div", { class: "around" }, ...around));
  main.replaceChildren(make("section", { class: "one", "aria-label": item.key }, left, side(item)));
  if (item.clip) {
    element.playbackRate = SPEEDS[page.speed];
    element.currentTime = 0;
    played(element);
  }
}

function played(element) {
  element.play().catch(() => {});
  return element;
}

function side(item) {
  const rows = {
    key: item.key, why: item.reason, numbers: item.detail, source: item.source, split: item.split,
    classifier: item.classifier, label: item.label, suggested: item.suggested,
  };
  const facts = Object.entries(rows).filter(([, value]) => value).flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]);
  if (item.state) facts.push(make("dt", { text: "so far" }), make("dd", { class: item.state, text: item.state }));
  const buttons = actions(item).map((action) => make(
    "button", { type: "button", on: { click: (event) => guard(decide(action, event.shiftKey)) } },
    action.label ? `it is ${action.label}` : action.text, action.key ? make("kbd", { text: action.key }) : null,
  ));
  const decided = item.decisions.map((row) => make("p", { class: "decided", text: `${row.who ?? row.by}, ${row.when ?? row.date}: ${said(row)}` }));
  return make(
    "aside", { class: "side", "aria-label": "Decision" }, make("dl", {}, ...facts), ...decided,
    make("div", { class: "actions" }, ...buttons),
    make("button", { type: "button", on: { click: () => guard(undo()) } }, "undo ", make("kbd", { text: "u" })),
  );
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.getAttribute("src")) target.setAttribute("src", target.dataset.src);
  }
}, { rootMargin: "200px" });

function drawGrid() {
  watcher.disconnect();
  const tiles = page.items.map((item, number) => {
    const element = item.clip
      ? make("video", { "data-src": media(item.id, "clip"), loop: true, playsinline: true, preload: "metadata" })
      : make("img", { "data-src": media(item.id, "picture"), alt: item.key });
    element.muted = true;
    element.addEventListener("error", () => gone(element));
    watcher.observe(element);
    const text = item.decisions[0] ? said(item.decisions[0]) : item.reason;
    const tile = make("button", {
      type: "button", class: "tile", role: "option", "aria-selected": page.selected.has(item.id), title: item.key,
      on: {
        click: () => { page.at = number; select(item); },
        focus: () => { page.at = number; if (item.clip) played(element); },
        mouseenter: () => { if (item.clip) played(element); },
        mouseleave: () => { if (item.clip) element.pause(); },
      },
    }, framed(element, item, item.boxes), make("p", { class: item.decisions.length ? "decided" : item.state || null, text }));
    return make("li", { role: "presentation" }, tile);
  });
  main.replaceChildren(make("ul", { class: "grid", role: "listbox", "aria-multiselectable": "true", "aria-label": page.queue.name }, ...tiles));
  main.querySelectorAll(".tile")[page.at]?.focus();
}

function select(item) {
  if (!page.selected.delete(item.id)) page.selected.add(item.id);
  const tile = main.querySelectorAll(".tile")[page.items.indexOf(item)];
  tile?.setAttribute("aria-selected", page.selected.has(item.id));
}

// Keys

function mark(number) {
  const item = shown();
  if (number >= item.boxes.length) return;
  marks(item)[number] = !marks(item)[number];
  draw();
}

function step(direction) {
  const element = main.querySelector("video");
  if (!element) return;
  element.pause();
  element.currentTime = Math.max(0, element.currentTime + direction / 25);
}

const CONTROLS = {
  ArrowRight: () => go(page.at + 1),
  ArrowLeft: () => go(page.at - 1),
  u: undo,
  v: () => { page.isGrid = !page.isGrid; draw(); },
  o: () => { page.isOutlined = !page.isOutlined; draw(); },
  b: () => find("blur").setAttribute("aria-pressed", document.body.classList.toggle("shown")),
  s: () => { page.speed = (page.speed + 1) % SPEEDS.length; const element = main.querySelector("video"); if (element) element.playbackRate = SPEEDS[page.speed]; },
  ",": () => step(-1),
  ".": () => step(1),
  l: () => open("labelme"),
  e: () => open("label_studio"),
  p: showPlan,
  "?": showKeys,
  " ": () => {
    if (page.isGrid) return select(shown());
    const element = main.querySelector("video");
    if (element) (element.paused ? played(element) : element.pause());
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("dialog").open || event.target.matches("input, select, textarea")) return;
  if ((event.key === " " || event.key === "Enter") && event.target.matches("button:not(.tile)")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const item = shown();
  const action = item && actions(item).find((each) => each.key && (each.key === key || event.code === `Digit${each.key}`));
  const toMark = item && hasMarks(item) && !page.isGrid && /^Digit[1-9]$/.test(event.code) ? () => mark(Number(event.code.at(-1)) - 1) : null;
  const work = action ? () => decide(action, event.shiftKey) : toMark ?? CONTROLS[key];
  if (!work || (event.repeat && action)) return;
  event.preventDefault();
  guard(work());
});

function guard(work) {
  Promise.resolve(work).catch((error) => {
    tell(error instanceof Answer ? error.message : `The page failed: ${error.message}. Load it again; all decisions before are saved.`);
  });
}

find("view").addEventListener("click", () => CONTROLS.v());
find("blur").addEventListener("click", () => CONTROLS.b());
find("plan").addEventListener("click", () => guard(showPlan()));
find("help").addEventListener("click", () => guard(showKeys()));
find("filters").addEventListener("submit", (event) => event.preventDefault());
// Another tab, or another person, may have decided meanwhile.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && page.queue && !page.isBusy) {
    const at = page.at;
    guard(start(page.queue.name).then(() => go(at)));
  }
});

guard(start());
