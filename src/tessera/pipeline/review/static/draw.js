// What the page shows. Elements with `data-do` are buttons; review.js knows what they do.

import { actions, ask, find, hasMarks, isChosen, isDisputed, make, marks, media, number, page, said, shown, told } from "./page.js";

// Items that are fetched before they are shown. A browser has few connections to one server, and a decision needs one.
const AHEAD = { pictures: 5, clips: 2 };
export const SPEEDS = [1, 0.5, 0.25];
const FILTERS = { source: "source", split: "split", reason: "reason", state: "last run" };
const REFUSING = ["drop", "reject"];

const main = find("main");

export function drawQueues() {
  find("queues").replaceChildren(...page.state.queues.map((queue) => make("button", {
    type: "button", "data-do": "queue", "data-value": queue.name, "aria-current": queue === page.queue ? "page" : null,
    title: `${number(queue.decided)} of ${number(queue.count)} decided`, text: `${queue.name} ${number(queue.decided)}/${number(queue.count)}`,
  })));
}

export function drawFilters() {
  if (!page.queue) return find("filters").replaceChildren();
  const select = (name, title, options) => {
    const choices = options.map(([value, text]) => make("option", { value, text, selected: page.filters[name] === value }));
    return make("label", {}, title, make("select", { name }, make("option", { value: "*", text: "all" }), ...choices));
  };
  const filters = Object.entries(FILTERS).map(([name, title]) => {
    const options = page.queue.choices[name].map(([value, count]) => [value, `${value || "none"} (${number(count)})`]);
    return options.length > 1 || page.filters[name] ? select(name, title, options) : null;
  });
  const values = [["0.75", "0.75 or more"], ["0.5", "0.5 or more"], ["0.25", "0.25 or more"]];
  filters.push(select("least", "usefulness", values));
  filters.push(select("decided", "decided", [["no", "not yet"], ["yes", "decided"], ["disputed", "disputed"]]));
  const text = make("input", { type: "search", name: "find", placeholder: "key or source", value: page.filters.find });
  find("filters").replaceChildren(...filters.filter(Boolean), make("label", {}, "find", text));
}

export function draw() {
  const parts = page.items.length ? [`${number(page.at + 1)} of ${number(page.total)}`] : [];
  if (page.selected.size) parts.push(`${number(page.selected.size)} selected`);
  find("count").textContent = parts.join(", ");
  find("who").textContent = page.state ? `as ${page.state.who}` : "";
  find("who").title = page.state?.who ?? "";
  find("view").setAttribute("aria-pressed", page.isGrid);
  find("blur").hidden = !page.state?.has_blurred;
  if (page.state) drawQueues();
  if (!page.items.length) {
    const text = page.queue ? "Nothing here. Choose other filters." : "There is nothing to decide. Run the workflow on some footage first.";
    return main.replaceChildren(make("p", { class: "empty", text }));
  }
  if (page.isGrid) drawGrid();
  else drawOne();
}

// Pictures and clips

const fetched = new Map(); // what is shown soon, by its address
const own = (item) => media(item.id, item.clip ? (page.isOutlined && item.mask ? "outlined" : "clip") : "picture");

function fetchAhead() {
  const wanted = new Map();
  for (const item of page.items.slice(page.at, page.at + 1 + (shown().clip ? AHEAD.clips : AHEAD.pictures))) {
    wanted.set(own(item), fetched.get(own(item)) ?? (item.clip ? video(own(item)) : picture(own(item), item)));
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

function watched(element) {
  element.addEventListener("error", () => gone(element));
  return element;
}

function video(src, preload = "auto") {
  const element = watched(make("video", { src, loop: true, playsinline: true, preload }));
  element.muted = true;
  return element;
}

const picture = (src, item) => watched(make("img", { src, alt: `${item.reason}: ${item.key}`, decoding: "async" }));

export function played(element) {
  element.play().catch(() => {});
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
    if (error.status === 410) main.dispatchEvent(new CustomEvent("stale"));
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
    const fill = () => drawBoxes(drawn, item, boxes, element.naturalWidth, element.naturalHeight);
    if (element.naturalWidth) fill();
    else element.addEventListener("load", fill, { once: true });
    parts.push(drawn);
  }
  return make("div", { class: item.is_blurred ? "frame blurred" : "frame" }, ...parts);
}

function drawBoxes(drawn, item, boxes, width, height) {
  drawn.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const part = (tag, given, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  };
  const numbered = hasMarks(item);
  const size = Math.max(width, height) / 32;
  drawn.replaceChildren(...boxes.flatMap(([x0, y0, x1, y1], place) => {
    const style = (numbered ? marks(item) : item.box_counts)[place] ? "marked" : "unmarked";
    const score = item.box_texts[place]?.split(" ").at(-1) ?? "";
    const sides = { x: x0 * width, y: y0 * height, width: (x1 - x0) * width, height: (y1 - y0) * height };
    const corner = { x: x0 * width + size / 4, y: y0 * height + size, "font-size": size };
    return [part("rect", { ...sides, class: style }), part("text", { ...corner, class: style }, numbered ? `${place + 1}: ${score}` : score)];
  }));
}

// One at a time

function drawOne() {
  fetchAhead();
  const item = shown();
  const element = fetched.get(own(item));
  const texts = hasMarks(item) ? item.box_texts.map((text, place) => make(
    "button", { type: "button", "data-do": "mark", "data-value": place, "aria-pressed": String(marks(item)[place]) }, `${place + 1} `, text,
  )) : [item.beside ? item.key : item.box_texts.join(", ")];
  const figures = [make("figure", {}, framed(element, item, page.isOutlined ? item.boxes : []), make("figcaption", {}, ...texts))];
  if (item.beside) {
    figures.push(make("figure", {}, framed(fetched.get(media(item.id, "beside")), item), make("figcaption", { text: item.beside_text })));
  }
  const around = item.neighbours.map((id, place) => id === null ? null : make(
    "figure", {}, framed(played(video(media(id, "clip"))), item), make("figcaption", { text: place ? "after it" : "before it" }),
  ));
  const left = make("div", {}, make("div", { class: around.some(Boolean) ? "stage short" : "stage" }, ...figures));
  if (around.some(Boolean)) left.append(make("div", { class: "around" }, ...around));
  main.replaceChildren(make("section", { class: "one", "aria-label": item.key }, left, side(item)));
  if (item.clip) {
    element.playbackRate = SPEEDS[page.speed];
    element.currentTime = 0;
    played(element);
  }
}

function side(item) {
  const rows = {
    key: item.key, why: item.reason, numbers: item.detail, source: item.source, split: item.split, classifier: item.classifier,
    label: item.label, suggested: item.suggested === item.label ? "" : item.suggested,
  };
  const facts = Object.entries(rows).filter(([, value]) => value).flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]);
  if (item.state) facts.push(make("dt", { text: "last run" }), make("dd", { class: item.state, text: item.state }));
  const buttons = actions(item).map((action, place) => make(
    "button", { type: "button", "data-do": "decide", "data-value": place, "aria-pressed": String(isChosen(item, action)) },
    action.label ? `it is ${action.label}` : action.text, action.key ? make("kbd", { text: action.key }) : null,
  ));
  return make(
    "aside", { class: "side", "aria-label": "Decision" }, make("dl", {}, ...facts),
    ...item.decisions.map((row) => make("p", { class: "decided", text: told(row, item) })),
    make("div", { class: "actions" }, ...buttons),
    make("button", { type: "button", "data-do": "undo" }, "take back ", make("kbd", { text: "u" })),
  );
}

// The grid

let tiles = [];
let tilesOf = null;

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.getAttribute("src")) target.setAttribute("src", target.dataset.src);
  }
}, { rootMargin: "200px" });

function drawGrid() {
  let grid = main.querySelector("ul.grid");
  if (!grid || tilesOf !== page.items) {
    watcher.disconnect();
    [tiles, tilesOf] = [[], page.items];
    grid = make("ul", { class: "grid", role: "listbox", "aria-multiselectable": "true", "aria-label": page.queue.name });
    main.replaceChildren(grid);
  }
  for (const item of page.items.slice(tiles.length)) {
    tiles.push(tile(item, tiles.length));
    grid.append(make("li", { role: "presentation" }, tiles.at(-1)));
  }
  for (const [place, item] of page.items.entries()) {
    const row = item.decisions[0];
    const result = row ? (REFUSING.includes(row.decision ?? row.action) ? "dropped" : "kept") : item.state;
    const text = isDisputed(item) ? "disputed" : row ? said(row) : item.label || item.detail || item.reason;
    tiles[place].setAttribute("aria-selected", page.selected.has(item.id));
    tiles[place].lastChild.className = `${result} ${row ? "decided" : ""}`;
    tiles[place].lastChild.textContent = `${{ kept: "✓ ", dropped: "✗ " }[result] ?? ""}${text}`;
  }
  if (!find("filters").contains(document.activeElement)) tiles[page.at]?.focus();
}

function tile(item, place) {
  // What is beside a picture with a label is only an example of that label.
  const isPair = item.beside && !item.label;
  const pictures = [own(item), ...(isPair ? [media(item.id, "beside")] : [])].map((address) => {
    const element = item.clip ? video(null, "metadata") : picture(null, item);
    element.dataset.src = address;
    watcher.observe(element);
    return framed(element, item, item.boxes);
  });
  return make(
    "button", { type: "button", class: "tile", role: "option", "data-do": "select", "data-value": place, title: item.key },
    make("div", { class: "pictures" }, ...pictures), make("p"),
  );
}

export function columns() {
  const next = tiles.findIndex((each) => each.offsetTop > tiles[0].offsetTop);
  return next < 0 ? tiles.length : next;
}
