// What the page shows of one item, and around it. Elements with `data-do` are buttons; review.js knows what they do.

import {
  actions, ask, currentItem, describeDecision, find, hasMarks, isChosen, itemAt, keyLabel, make, marks, media, number, pace, page, readable,
} from "./page.js";
import { drawGrid, endGrid } from "./grid.js";

// Items that are fetched before they are shown. A browser has few connections to one server, and a decision needs one.
const PREFETCHED = { pictures: 5, clips: 3 };
export const SPEEDS = [1, 0.5, 0.25];
const FILTERS = { classifier: "classifier", source: "source", split: "split", reason: "reason", state: "last run" };
// What `classifier` names in some queues.
const titleOf = (name) => name === "classifier" && page.queue.name === "faces" ? "face set" : FILTERS[name];
const NARROW = matchMedia("(max-width: 60rem)");

const main = find("main");

const readableSort = (name) => name.replaceAll("_", " ");

export function drawQueues() {
  find("queues").replaceChildren(...page.state.queues.map((queue) => make("button", {
    type: "button", "data-do": "queue", "data-value": queue.name, "aria-current": queue === page.queue ? "page" : null,
    title: `${number(queue.decided)} of ${number(queue.count)} decided`, text: `${queue.name} ${number(queue.decided)}/${number(queue.count)}`,
  })));
}

export function drawFilters() {
  if (!page.queue) return find("filters").replaceChildren();
  const select = (name, title, options, all = "all") => {
    const choices = options.map(([value, text]) => make("option", { value, text, selected: page.filters[name] === value }));
    return make("label", {}, title, make("select", { name }, make("option", { value: "*", text: all }), ...choices));
  };
  const filters = Object.keys(FILTERS).map((name) => {
    const options = page.queue.choices[name].map(([value, count]) => [value, `${value || "none"} (${number(count)})`]);
    return options.length > 1 || page.filters[name] ? select(name, titleOf(name), options) : null;
  });
  const { sorts } = page.queue;
  if (sorts.length) filters.unshift(select("sort", "sort", sorts.map((name) => [name, readableSort(name)]), "selected first"));
  const values = [["0.75", "0.75 or more"], ["0.5", "0.5 or more"], ["0.25", "0.25 or more"]];
  filters.push(select("least", "usefulness", values));
  filters.push(select("decided", "decided", [["no", "not yet"], ["yes", "decided"], ["disputed", "disputed"]]));
  const text = make("input", { type: "search", name: "find", placeholder: "key or source", value: page.filters.find });
  find("filters").replaceChildren(...filters.filter(Boolean), make("label", {}, "find", text));
}

const duration = (seconds) => seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;

export function draw() {
  const parts = page.ids.length ? [`${number(page.at + 1)} of ${number(page.ids.length)}`] : [];
  if (page.selected.size) parts.push(`${number(page.selected.size)} selected`);
  find("count").textContent = parts.join(", ");
  const known = page.queue && pace();
  find("pace").textContent = known ? `${Math.round(known.aMinute)} a minute, ${duration(known.left)} left` : "";
  find("who").textContent = page.state ? `as ${page.state.who}` : "";
  find("who").title = page.state ? `${page.state.who}: change the name` : "";
  find("view").setAttribute("aria-pressed", page.isGrid);
  find("blur").hidden = !page.state?.has_blurred;
  if (page.state) drawQueues();
  drawBar();
  if (!page.ids.length) {
    endGrid();
    const text = page.queue ? "Nothing here. Choose other filters." : "There is nothing to decide. Run the workflow on some footage first.";
    return main.replaceChildren(make("p", { class: "empty", text }));
  }
  if (page.isGrid) return drawGrid();
  endGrid();
  if (currentItem()) drawOne();
}

// Pictures and clips

const prefetched = new Map(); // what is shown soon, by its address
const mediaAddress = (item) => media(item.id, item.clip ? (page.isOutlined && item.mask ? "outlined" : "clip") : "picture");

function prefetch() {
  const wanted = new Map();
  for (let place = page.at; place <= page.at + (currentItem().clip ? PREFETCHED.clips : PREFETCHED.pictures); place += 1) {
    const item = itemAt(place);
    if (!item) continue;
    wanted.set(mediaAddress(item), prefetched.get(mediaAddress(item)) ?? (item.clip ? video(mediaAddress(item)) : picture(mediaAddress(item), item)));
    shapesOf(item);
    if (item.beside) {
      const other = media(item.id, "beside");
      wanted.set(other, prefetched.get(other) ?? picture(other, item));
    }
  }
  for (const [address, element] of prefetched) {
    if (!wanted.has(address)) {
      element.removeAttribute("src");
      prefetched.delete(address);
    }
  }
  for (const [address, element] of wanted) prefetched.set(address, element);
}

function withErrorHandler(element) {
  element.addEventListener("error", () => showMediaError(element));
  return element;
}

export function video(src) {
  const element = withErrorHandler(make("video", { src, loop: true, playsinline: true, preload: "auto" }));
  element.muted = true;
  return element;
}

export const picture = (src, item) => withErrorHandler(make("img", { src, alt: `${item.reason}: ${readable(item.key)}`, decoding: "async" }));

export function played(element) {
  element.play().catch(() => {});
  return element;
}

async function showMediaError(element) {
  const address = element.getAttribute("src");
  if (!address) return;
  const needed = "Clips are H.264, for which Firefox on Linux needs FFmpeg's libavcodec.";
  // It may not be shown yet.
  element.fault = `This browser cannot show it. ${element.matches("video") ? needed : "The file may be damaged."}`;
  try {
    await ask(address);
  } catch (error) {
    element.fault = error.message;
    if (error.status === 410) main.dispatchEvent(new CustomEvent("stale"));
  }
  element.closest(".frame")?.replaceChildren(elementOrError(element));
}

const elementOrError = (element) => element.fault ? make("p", { class: "empty", text: element.fault }) : element;

// The outlines of the regions of an item, as they are saved, and of its label; null for an item without.
export function shapesOf(item) {
  if (!item.outlines && !item.labelled) return null;
  item.shapes ??= ask(`api/outlines?${new URLSearchParams({ version: item.version, id: item.id })}`).catch(() => null);
  return item.shapes;
}

export function framed(element, item, boxes = []) {
  const parts = [elementOrError(element)];
  const shapes = boxes.length || item.labelled ? shapesOf(item) : null;
  if (boxes.length || shapes) {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawn.setAttribute("aria-hidden", "true");
    // As large as the picture, and centred like it.
    const fill = async () => drawBoxes(drawn, item, boxes, await shapes, element.naturalWidth, element.naturalHeight);
    if (element.naturalWidth) fill();
    else element.addEventListener("load", fill, { once: true });
    parts.push(drawn);
  }
  return make("div", { class: item.is_blurred ? "frame blurred" : "frame" }, ...parts);
}

function drawBoxes(drawn, item, boxes, shapes, width, height) {
  drawn.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const part = (tag, given, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  };
  const line = (rings) => rings.map((ring) => `M${ring.map(([x, y]) => `${x * width} ${y * height}`).join("L")}Z`).join("");
  const numbered = hasMarks(item);
  const size = Math.max(width, height) / 32;
  drawn.replaceChildren(...(shapes?.label ?? []).map((rings) => part("path", { d: line(rings), class: "label" })), ...boxes.flatMap(([x0, y0, x1, y1], place) => {
    const style = (numbered ? marks(item) : item.box_counts)[place] ? "marked" : "unmarked";
    const score = item.box_texts[place]?.split(" ").at(-1) ?? "";
    const rings = shapes?.regions[place] ?? [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]];
    const corner = { x: x0 * width + size / 4, y: y0 * height + size, "font-size": size };
    return [part("path", { d: line(rings), class: `region ${style}` }), part("text", { ...corner, class: style }, numbered ? `${place + 1}: ${score}` : score)];
  }));
}

// One at a time

function drawOne() {
  prefetch();
  const item = currentItem();
  const element = prefetched.get(mediaAddress(item));
  const texts = hasMarks(item) ? item.box_texts.map((text, place) => make(
    "button", { type: "button", "data-do": "mark", "data-value": place, "aria-pressed": String(marks(item)[place]) }, `${place + 1} `, text,
  )) : [item.beside ? readable(item.key) : item.box_texts.join(", ")];
  if (item.clip) texts.push(make("span", { id: "frame" }));
  if (item.labelled) texts.push(labelText(item));
  const figures = [make("figure", {}, framed(element, item, page.isOutlined ? item.boxes : []), make("figcaption", {}, ...texts))];
  if (item.beside) {
    figures.push(make("figure", {}, framed(prefetched.get(media(item.id, "beside")), item), make("figcaption", { text: readable(item.beside_text) })));
  }
  const around = item.neighbours.map((id, place) => id === null ? null : make(
    "figure", { "data-plays": media(id, "outlined") }, framed(picture(media(id, "poster"), item), { ...item, labelled: false }), make("figcaption", { text: place ? "after it" : "before it" }),
  ));
  const left = make("div", {}, make("div", { class: around.some(Boolean) ? "stage short" : "stage" }, ...figures));
  if (around.some(Boolean)) left.append(make("div", { class: "around" }, ...around.filter(Boolean)));
  main.replaceChildren(make("section", { class: "one", "aria-label": readable(item.key) }, left, side(item)));
  if (item.clip) {
    element.playbackRate = SPEEDS[page.speed];
    element.currentTime = 0;
    played(element);
  }
}

function labelText(item) {
  const text = make("span", { class: "labelled" });
  shapesOf(item).then((shapes) => {
    if (shapes) text.textContent = shapes.label.length ? `label: ${number(shapes.label.length)} drawn in green` : "label: shows no region";
  });
  return text;
}

// Frames of a clip: its small video has each of them, for equally long.
export function frameOf(clip, item) {
  return Math.min(item.frames - 1, Math.floor(clip.currentTime * item.frames / clip.duration + 0.001));
}

export function showFrame(clip, item, to) {
  const frame = Math.max(0, Math.min(item.frames - 1, to));
  clip.currentTime = (frame + 0.5) * clip.duration / item.frames;
  find("frame").textContent = `frame ${number(frame + 1)} of ${number(item.frames)}`;
}

function side(item) {
  const rows = {
    key: readable(item.key), [readableSort(page.filters.sort ?? "")]: item.sorted, why: item.reason, numbers: item.detail, source: item.source,
    split: item.split, [titleOf("classifier")]: item.classifier, label: item.label, suggested: item.suggested === item.label ? "" : item.suggested,
  };
  const facts = Object.entries(rows).filter(([, value]) => value).flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]);
  if (item.state) facts.push(make("dt", { text: "last run" }), make("dd", { class: item.state, text: item.state }));
  return make(
    "aside", { class: "side", "aria-label": "Decision" }, make("dl", {}, ...facts),
    ...item.decisions.map((row) => make("p", { class: "decided", text: describeDecision(row, item) })),
    ...(NARROW.matches ? [] : [make("div", { class: "actions" }, ...buttons(item)), takeBack()]),
  );
}

const keyOf = (key) => key ? make("kbd", { text: keyLabel(key) }) : null;
const takeBack = () => make("button", { type: "button", "data-do": "undo" }, "take back ", keyOf("u"));
const buttons = (item) => actions(item).map((action, place) => make(
  "button", { type: "button", "data-do": "decide", "data-value": place, "aria-pressed": String(!page.isGrid && isChosen(item, action)) },
  `${action.label ? `it is ${action.label}` : action.text} `, keyOf(action.key),
));

// Where fingers reach: below the grid, and below everything on a narrow screen.
function drawBar() {
  const item = currentItem();
  const isShown = Boolean(item) && (page.isGrid || NARROW.matches);
  find("bar").hidden = !isShown;
  if (!isShown) return;
  const button = (what, text) => make("button", { type: "button", "data-do": what, text });
  const more = page.isGrid
    ? [button("view", "open"), button("all", "select all"), button("none", "none")]
    : [button("previous", "←"), button("next", "→")];
  find("bar").replaceChildren(...buttons(item), takeBack(), ...more);
}
NARROW.addEventListener("change", () => { if (page.state) draw(); });
