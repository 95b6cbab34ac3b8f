// Dialogs: what is asked, the keys, the history, and what the next run will do.

import { WHOLE_IDENTITY, actions, ask, currentItem, find, hasMarks, keyLabel, make, number, page, readable, rekey, showMessage } from "./page.js";

const isAbout = { grid: () => page.isGrid, clip: () => currentItem()?.clip && !page.isGrid, picture: () => currentItem()?.picture, frame: () => currentItem()?.boxes.length };
const KEYS = [
  ["→ ←", "next, previous item"], ["↑ ↓ Home End", "other rows of the grid", isAbout.grid], ["PageUp PageDown", "other screens of the grid", isAbout.grid],
  ["q", "next queue; with Shift, the previous one"], ["f", "filters; Enter leads back"], ["/", "find a part of a key or a source"],
  ["u", "take back what you decided last: what was before counts again"], ["h", "what you decided, to take it back"],
  ["Shift + key", "overrule somebody else"], ["1 to 9", "mark a region, or not", () => currentItem() && hasMarks(currentItem())],
  ["v", "grid, or one at a time"], ["Enter", "open the item", isAbout.grid], ["Space", "select; with Shift, all up to here", isAbout.grid],
  ["Ctrl + a", "select all", isAbout.grid], ["Esc", "select nothing", isAbout.grid], ["Space", "play or pause", isAbout.clip],
  [",", "one frame back", isAbout.clip], [".", "one frame forward", isAbout.clip], ["s", "speed: 1, ½, ¼", isAbout.clip], ["o", "outlines, or none"],
  ["b", "show what is blurred, or not", () => page.state?.has_blurred], ["z", "as large as the screen, or not", () => !page.isGrid],
  ["l", "open in labelme", isAbout.frame], ["e", "export for Label Studio", isAbout.picture], ["p", "what the next run will do"],
];

export async function dialog(title, body, { ok = "Close", cancel = false } = {}) {
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

async function answer(title, label, names = [], value = "") {
  find("names").replaceChildren(...names.map((name) => make("option", { value: name })));
  const input = make("input", { id: "answer", list: names.length ? "names" : null, autocomplete: "off", required: true, value });
  const asked = dialog(title, [make("label", { for: "answer", text: label }), input], { ok: "Save", cancel: true });
  input.focus();
  input.select();
  return (await asked) ? input.value.trim() : "";
}

export function askFor(action, item) {
  const isName = action.asks === "to";
  const about = WHOLE_IDENTITY.includes(action.name) ? `${item.label}: ` : "";
  const value = action.name === "move" && !item.label ? item.suggested : "";
  return answer(`${about}${action.text}`, isName ? "name" : "score", isName ? page.queue.names : [], value);
}

// Each person who uses the server has a name, which the address says.
export async function askName() {
  const name = await answer("Who decides in this tab?", "your name", [], page.state.who);
  if (name && name !== page.state.who) location.search = new URLSearchParams({ who: name });
}

// Keys

function keyRows() {
  const decisions = currentItem() ? actions(currentItem()).filter((action) => action.key).map((action) => [action.key, action.text]) : [];
  const taken = decisions.map(([key]) => key);
  return [...decisions, ...KEYS.filter(([key, , applies]) => !taken.includes(key) && (applies?.() ?? true))];
}

const canChange = (key) => key.length === 1 && !/[0-9→←]/.test(key);

function keyList() {
  const list = keyRows().flatMap(([key, text]) => [
    make("dt", {}, make("kbd", { text: keyLabel(key) })),
    make("dd", {}, text, canChange(key) ? make("button", { type: "button", "data-do": "rekey", "data-value": key, "aria-label": `change the key of: ${text}`, text: "change" }) : null),
  ]);
  return [make("p", { id: "rekey", role: "status" }), make("dl", { class: "keys" }, ...list)];
}

export const showKeys = () => dialog("Keys", keyList());

let changing = null; // the key that the next one replaces

export function startRekey(key) {
  changing = key;
  find("rekey").textContent = `Press the key to use in place of ${keyLabel(key)}. The two change places. Esc keeps it.`;
}

// Whether the dialog waited for this key.
export function endRekey(event) {
  if (changing === null) return false;
  event.preventDefault();
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "Escape") {
    find("rekey").textContent = "";
    changing = null;
  } else if (!canChange(key) || key === " ") {
    find("rekey").textContent = "Digits, Space and keys without a character stay as they are. Press another one, or Esc.";
  } else {
    const before = changing;
    changing = null;
    rekey(before, key).then(() => find("dialog-body").replaceChildren(...keyList())).catch((error) => showMessage(error.message));
  }
  return true;
}
find("dialog").addEventListener("close", () => { changing = null; });

// The history

const clock = (at) => new Date(at * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" });

async function historyList() {
  const batches = await ask("api/history");
  if (!batches.length) return [make("p", { text: "You have decided nothing that can be taken back." })];
  return [make("ol", { class: "history" }, ...batches.map(({ batch, at, text, count, item }) => make(
    "li", {}, make("span", { text: `${clock(at)}: ${text}` }),
    make("span", { class: "about", text: count > 1 ? `${number(count)} ${item.queue}, ${readable(item.key)} …` : readable(item.key) }),
    make("button", { type: "button", "data-do": "back", "data-value": batch, text: "take back" }),
  )))];
}

export const showHistory = async () => dialog("What you decided, the latest first", await historyList());

export async function drawHistory() {
  if (find("dialog").open) find("dialog-body").replaceChildren(...await historyList());
}

// The next run

const SHOWN = 12; // rules that are listed

export async function showPlan() {
  const { changes, unmatched } = await ask("api/plan");
  const list = (lines) => make("ul", {}, ...lines.map((line) => make("li", { text: line })));
  const body = [make("p", { text: changes.length ? "With the decisions so far:" : "The decisions so far change nothing." }), list(changes)];
  if (unmatched.length) body.push(make("p", { text: "These match nothing any more, and count nowhere:" }), list(unmatched.map(readable)));
  const run = make("p", { id: "run", text: "Asking Snakemake what it would run …" });
  const closed = dialog("What the next run will do", [...body, run]);
  ask("api/run").then(({ jobs }) => {
    const all = jobs.reduce((sum, [, count]) => sum + count, 0);
    const trained = jobs.filter(([rule]) => rule.startsWith("train_"));
    const others = jobs.filter(([rule]) => !rule.startsWith("train_"));
    const listed = [...trained, ...others].slice(0, SHOWN).map(([rule, count]) => `${rule.replaceAll("_", " ")}${count > 1 ? ` × ${number(count)}` : ""}`);
    const more = jobs.length > SHOWN ? `, and ${number(jobs.length - SHOWN)} more rules` : "";
    run.textContent = jobs.length ? `Snakemake would run ${number(all)} ${all > 1 ? "jobs" : "job"}: ${listed.join(", ")}${more}.` : "Snakemake would run nothing.";
  }).catch((error) => { run.textContent = error.message; });
  return closed;
}

