// What the page knows: the items of the server, where the person is, and what may be decided about an item.

export const page = {
  state: null, queue: null, filters: {}, ids: [], places: new Map(), items: new Map(), decided: new Set(), at: 0,
  selected: new Set(), anchor: 0, isGrid: false, isOutlined: true, speed: 0, noticesShown: 0,
  version: null, // of the items that the ids are of
  batches: [], // what this tab decided and can take back, the latest last
  decidedHere: new Map(), // what this tab decided about an item, by its id
  conflictsShown: new Set(), // items on which the page said that others disagree
  times: [], // when this tab decided, and how much: seconds and items
};

const who = new URLSearchParams(location.search).get("who") ?? "";

export const find = (id) => document.getElementById(id);

export function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export class RequestError extends Error {
  constructor(status, content) {
    super(content.error ?? `The server answered ${status}.`);
    this.status = status;
    this.content = content;
  }
}

const TIMEOUT = 20000; // milliseconds for an answer
const NO_ANSWER = {
  GET: "The server does not answer. All decisions so far are saved.",
  POST: "The server does not answer, so this was not saved. Earlier decisions are saved.",
};

export async function ask(path, body) {
  const method = body === undefined ? "GET" : "POST";
  const request = body === undefined ? {} : {
    method, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ who, ...body }), signal: AbortSignal.timeout(TIMEOUT),
  };
  const address = body === undefined && who && path.startsWith("api/") ? `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams({ who })}` : path;
  let response;
  try {
    response = await fetch(address, request);
  } catch {
    throw new RequestError(0, { error: `${NO_ANSWER[method]} Start the review again, and open its new address.` });
  }
  let content;
  try {
    content = await response.json();
  } catch {
    content = {};
  }
  if (!response.ok) throw new RequestError(response.status, content);
  return content;
}

export const showMessage = (text) => {
  find("banner").textContent = text;
  find("banner").hidden = !text;
};

export const itemAt = (place) => page.items.get(page.ids[place]);
export const currentItem = () => itemAt(page.at);
export const media = (id, what) => `media/${page.state.version}/${id}/${what}`;
export const number = (value) => value.toLocaleString("en");

// Keys of items are names of files, in which other characters are written as %20.
export function readable(key) {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

// Actions that are about a whole identity.
export const WHOLE_IDENTITY = ["rename", "merge"];
export const actions = (item) => (page.queue.actions[item.classifier] ?? []).filter((action) => item.actions.includes(action.name));

// Regions that are to be labels: at first, those that the detector is sure enough of.
export const marks = (item) => (item.marks ??= [...item.box_counts]);
export const hasMarks = (item) => actions(item).some((action) => action.asks === "regions");

const decisionOf = (row) => [row.decision ?? row.action, row.label || row.to].filter(Boolean).join(" ");
export const by = (row) => row.who ?? row.by;
export const decisionText = (row) => [decisionOf(row), row.reason || row.note ? `(${row.reason || row.note})` : ""].filter(Boolean).join(" ");
const isAbout = (row, item) => !row.key || row.key === item.key || row.key.startsWith(`${item.key}+`);
export const describeDecision = (row, item) => `${by(row)}, ${row.when ?? row.date}: ${decisionText(row)}${isAbout(row, item) ? "" : `, as ${readable(row.key)}`}`;
export const ownDecision = (item) => item.decisions.find((row) => by(row) === page.state.who);
export const isDisputed = (item) => new Set(item.decisions.map(decisionOf)).size > 1 && !("target" in item.decisions[0]);
export const isChosen = (item, action) => {
  const row = ownDecision(item);
  return Boolean(row) && (row.decision ?? row.action) === action.name && (row.label ?? "") === action.label && (row.reason ?? "") === action.reason;
};

// Keys that the person chose: what is pressed stands for what the page calls the key.

export const mappedKey = (pressed) => page.state?.keys[pressed] ?? pressed;

// What a key types, in lower case. A letter of another script stands for the Latin one at its place, unless the person chose it.
export function typedKey({ key, code }) {
  if (key.length > 1) return key;
  const letter = key.toLowerCase();
  const isForeign = /[^\p{Script=Latin}\P{L}]/u.test(letter) && !(letter in (page.state?.keys ?? {}));
  return isForeign && /^Key[A-Z]$/.test(code) ? code.at(-1).toLowerCase() : letter;
}
export const keyLabel = (key) => Object.entries(page.state?.keys ?? {}).find(([, to]) => to === key)?.[0] ?? key;

// The two keys change places, so that none is lost.
export async function rekey(key, pressed) {
  const keys = { ...page.state.keys };
  const before = keyLabel(key);
  [keys[pressed], keys[before]] = [key, mappedKey(pressed)];
  for (const [one, other] of Object.entries(keys)) if (one === other) delete keys[one];
  page.state.keys = (await ask("api/keys", { keys })).keys;
}

// Items

const REQUEST_SIZE = 200; // items that are asked for at a time
let asked = new Map(); // requests for items that are on their way, by id

export async function restart() {
  const ids = page.queue ? await ask(`api/ids?${new URLSearchParams({ queue: page.queue.name, ...page.filters })}`) : { ids: [], decided: [] };
  asked = new Map();
  Object.assign(page, { ids: ids.ids, decided: new Set(ids.decided), items: new Map(), at: 0, selected: new Set(), anchor: 0 });
  // After another run, the ids are those of other items.
  if (ids.version !== page.version) Object.assign(page, { version: ids.version, decidedHere: new Map(), conflictsShown: new Set() });
  page.places = new Map(page.ids.map((id, place) => [id, place]));
}

// Have the items of these places, which are loaded if they are not there.
export async function ensureLoaded(from, to) {
  const wanted = page.ids.slice(Math.max(0, from), to).filter((id) => !page.items.has(id));
  const missing = wanted.filter((id) => !asked.has(id));
  for (let start = 0; start < missing.length; start += REQUEST_SIZE) {
    const part = missing.slice(start, start + REQUEST_SIZE);
    const request = load(part, page.items);
    for (const id of part) asked.set(id, request);
  }
  await Promise.all(new Set(wanted.map((id) => asked.get(id))));
}

async function load(ids, items) {
  const version = page.state.version;
  try {
    const found = await ask(`api/items?${new URLSearchParams({ version, ids: ids.join(), sort: page.filters.sort ?? "" })}`);
    // What is decided about an item is said of the results that it is of.
    for (const item of found.items) items.set(item.id, { ...item, version: found.version });
  } finally {
    for (const id of ids) asked.delete(id);
  }
}

// Take over what the server says has changed.
export function apply({ changed = [], decided, tables }) {
  for (const { id, decisions } of changed) {
    const item = page.items.get(id);
    if (item) item.decisions = decisions;
    if (page.places.has(id)) page.decided[decisions.length ? "add" : "delete"](id);
  }
  if (decided) for (const queue of page.state.queues) queue.decided = decided[queue.name] ?? 0;
  if (tables) page.state.tables = tables;
}

// Load again what was loaded, and stay where the person is.
export async function reload() {
  const [id, selected] = [page.ids[page.at], page.selected];
  await restart();
  page.at = page.places.get(id) ?? 0;
  page.selected = new Set([...selected].filter((each) => page.places.has(each)));
  await ensureLoaded(page.at, page.at + 1);
}

// The first item after `place` that nobody decided, or else the first of all; -1 if there is none.
export function undecidedAfter(place) {
  const isOpen = (id) => !page.decided.has(id);
  const after = page.ids.findIndex((id, each) => each > place && isOpen(id));
  return after >= 0 ? after : page.ids.findIndex(isOpen);
}

// How fast this tab decides, and how long the rest of the queue takes; null as long as it is not known.

const BREAK = 120; // seconds without a decision that are a break
const PACE_WINDOW = 600; // seconds that count
const PACE_NEEDS = { seconds: 20, items: 5 };

export function count(items) {
  const now = Date.now() / 1000;
  if (now - (page.times.at(-1)?.[0] ?? now) > BREAK) page.times = [];
  page.times = [...page.times.filter(([at]) => now - at < PACE_WINDOW), [now, items]];
}

export function pace() {
  const seconds = (page.times.at(-1)?.[0] ?? 0) - (page.times[0]?.[0] ?? 0);
  const items = page.times.slice(1).reduce((sum, [, each]) => sum + each, 0);
  if (seconds < PACE_NEEDS.seconds || items < PACE_NEEDS.items) return null;
  return { aMinute: items / seconds * 60, left: (page.queue.count - page.queue.decided) * seconds / items };
}

// What a page that is loaded again knows. The address cannot say it: browsers slow down a page that changes it with each key.

const REMEMBERED = 500; // batches

export function remember() {
  const { filters, batches, times } = page;
  sessionStorage.setItem("here", JSON.stringify({ who, queue: page.queue?.name, filters, key: currentItem()?.key, batches: batches.slice(-REMEMBERED), times }));
}

export function remembered() {
  const found = JSON.parse(sessionStorage.getItem("here") ?? "{}");
  return found.who === who ? found : {};
}
