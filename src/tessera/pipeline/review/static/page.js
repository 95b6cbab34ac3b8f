// What the page knows: the items of the server, where the person is, and what may be decided about an item.

export const page = {
  state: null, queue: null, filters: {}, items: [], total: 0, complete: false, at: 0,
  selected: new Set(), anchor: 0, batches: [], isGrid: false, isOutlined: true, speed: 0, isBusy: false,
};

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

export class Answer extends Error {
  constructor(status, content) {
    super(content.error ?? `The server answered ${status}.`);
    this.status = status;
    this.content = content;
  }
}

const PATIENCE = 20000; // milliseconds for an answer

export async function ask(path, body) {
  const request = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE),
  };
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Answer(0, { error: "The server does not answer, so this was not saved. Earlier decisions are saved. Start the review again, and open its new address." });
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

export const tell = (text) => {
  find("banner").textContent = text;
  find("banner").hidden = !text;
};

export const shown = () => page.items[page.at];
export const media = (id, what) => `media/${page.state.version}/${id}/${what}`;
export const number = (value) => value.toLocaleString("en");

// Actions that are about a whole identity.
export const WHOLE = ["rename", "merge"];
export const actions = (item) => (page.queue.actions[item.classifier] ?? []).filter((action) => item.actions.includes(action.name));

// Regions that are to be labels: at first, those that the detector is sure enough of.
export const marks = (item) => (item.marks ??= [...item.box_counts]);
export const hasMarks = (item) => actions(item).some((action) => action.asks === "regions");

const verdict = (row) => [row.decision ?? row.action, row.label || row.to].filter(Boolean).join(" ");
export const by = (row) => row.who ?? row.by;
export const said = (row) => [verdict(row), row.reason || row.note ? `(${row.reason || row.note})` : ""].filter(Boolean).join(" ");
export const told = (row, item) => `${by(row)}, ${row.when ?? row.date}: ${said(row)}${row.key && row.key !== item.key ? `, as ${row.key}` : ""}`;
export const own = (item) => item.decisions.find((row) => by(row) === page.state.who);
export const isDisputed = (item) => new Set(item.decisions.map(verdict)).size > 1 && !("target" in item.decisions[0]);
export const isChosen = (item, action) => {
  const row = own(item);
  return Boolean(row) && (row.decision ?? row.action) === action.name && (row.label ?? "") === action.label && (row.reason ?? "") === action.reason;
};

// Items

let asking = null;

export async function restart() {
  Object.assign(page, { items: [], total: 0, complete: false, at: 0, selected: new Set(), anchor: 0 });
  asking = null;
  if (page.queue) await more();
}

export function more() {
  asking ??= load(page.items).finally(() => { asking = null; });
  return asking;
}

async function load(items) {
  const found = await ask(`api/items?${new URLSearchParams({ queue: page.queue.name, after: items.at(-1)?.id ?? -1, ...page.filters })}`);
  // Meanwhile, other items may have been asked for.
  if (items !== page.items) return;
  if (items.length === 0) page.total = found.total;
  // What is decided about an item is said of the results that it is of.
  items.push(...found.items.map((item) => ({ ...item, version: found.version })));
  page.complete = found.items.length === 0;
}

export function replace(item) {
  const place = page.items.findIndex((each) => each.id === item.id);
  if (place < 0) return;
  page.queue.decided += Boolean(item.decisions.length) - Boolean(page.items[place].decisions.length);
  page.items[place] = { ...item, version: page.items[place].version };
}

// Load again as much as was loaded, and stay where the person is.
export async function reload() {
  const [before, id, selected] = [page.items.length, shown()?.id, page.selected];
  await restart();
  while (page.items.length < before && !page.complete) await more();
  page.at = Math.max(0, page.items.findIndex((item) => item.id === id));
  page.selected = new Set(page.items.map((item) => item.id).filter((each) => selected.has(each)));
}

// The first item after `place` that nobody decided, or else the first of all; -1 if there is none.
export async function undecidedAfter(place) {
  for (let to = place + 1; ; to += 1) {
    if (to >= page.items.length && !page.complete) await more();
    if (to >= page.items.length) return page.items.findIndex((item) => !item.decisions.length);
    if (!page.items[to].decisions.length) return to;
  }
}
