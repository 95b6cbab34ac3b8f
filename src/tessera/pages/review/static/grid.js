// The grid: only the tiles that are in view, or nearly, are in the page, however many items there are.

import { decisionText, ensureLoaded, find, isDisputed, itemAt, keyLabel, make, media, page, readable } from "./page.js";
import { framed, picture } from "./draw.js";

const TILE_WIDTH = 176; // pixels, the width of a tile
const GAP = 12;
const TEXT_HEIGHT = 46; // pixels, the height of the text below the picture
const SPARE_ROWS = 1; // rows above and below those in view
const REFUSING = ["drop", "reject"];

const main = find("main");
let grid = null;
let columnCount = 1; // tiles in a row
let rowHeight = 1; // pixels of a row, with the gap
let tilesOf = null; // what the tiles show
let tiles = new Map(); // by id

export const columns = () => columnCount;
export const rows = () => Math.max(1, Math.floor(visibleArea().height / rowHeight));

export function endGrid() {
  grid = null;
}

// What is not covered by the header and the buttons below.
function visibleArea() {
  const header = document.querySelector("header");
  const top = getComputedStyle(header).position === "sticky" ? header.offsetHeight : 0;
  return { top, height: innerHeight - top - find("foot").offsetHeight };
}

export function drawGrid() {
  if (!grid?.isConnected || tilesOf !== page.ids) {
    [tiles, tilesOf] = [new Map(), page.ids];
    grid = make("ul", { class: "grid", role: "listbox", "aria-multiselectable": "true", "aria-label": page.queue.name });
    main.replaceChildren(grid);
  }
  measure();
  reveal();
  fill();
  const isElsewhere = find("filters").contains(document.activeElement) || find("dialog").open;
  if (!isElsewhere) tiles.get(page.ids[page.at])?.firstChild.focus({ preventScroll: true });
}

function measure() {
  const width = grid.clientWidth;
  columnCount = Math.max(1, Math.floor((width + GAP) / (TILE_WIDTH + GAP)));
  rowHeight = Math.round((width - GAP * (columnCount - 1)) / columnCount * 0.75) + TEXT_HEIGHT + GAP;
  grid.style.setProperty("--wide", columnCount);
  grid.style.setProperty("--tall", `${rowHeight - GAP}px`);
}

// Scroll so that the row of the item is in view.
function reveal() {
  const { top, height } = visibleArea();
  grid.style.height = `${Math.ceil(page.ids.length / columnCount) * rowHeight}px`;
  const place = grid.getBoundingClientRect().top + Math.floor(page.at / columnCount) * rowHeight;
  if (place < top) scrollBy({ top: place - top - GAP, behavior: "instant" });
  else if (place + rowHeight > top + height) scrollBy({ top: place + rowHeight - top - height, behavior: "instant" });
}

function fill() {
  const above = -grid.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(above / rowHeight) - SPARE_ROWS);
  const last = Math.max(first, Math.floor((above + innerHeight) / rowHeight) + SPARE_ROWS);
  const [from, to] = [first * columnCount, Math.min(page.ids.length, (last + 1) * columnCount)];
  const wanted = new Map();
  let isWhole = true;
  for (let place = from; place < to; place += 1) {
    const [id, item] = [page.ids[place], itemAt(place)];
    isWhole &&= Boolean(item);
    const known = tiles.get(id);
    wanted.set(id, item && !known?.hasItem ? tile(item, place) : known ?? empty(place));
    if (item) describe(wanted.get(id).firstChild, item);
  }
  grid.style.paddingTop = `${first * rowHeight}px`;
  const elements = [...wanted.values()];
  // What has the focus stays where it is, or it would lose it.
  if (elements.length !== grid.children.length || elements.some((each, place) => grid.children[place] !== each)) grid.replaceChildren(...elements);
  tiles = wanted;
  if (isWhole) return;
  const ids = page.ids;
  ensureLoaded(from, to).then(() => {
    if (grid?.isConnected && ids === page.ids) drawGrid();
  }).catch(() => {}); // What asks for them when they are needed says what is wrong.
}

function described(item) {
  const row = item.decisions[0];
  const result = row ? (REFUSING.includes(row.decision ?? row.action) ? "dropped" : "kept") : item.state;
  const known = item.sorted ? [item.sorted, item.state === "dropped" ? item.reason : ""].filter(Boolean).join(": ") : item.label || item.detail || item.reason;
  const text = isDisputed(item) ? "disputed" : row ? decisionText(row) : known;
  return { name: `${result} ${row ? "decided" : ""}`, text: `${{ kept: "✓ ", dropped: "✗ " }[result] ?? ""}${text}` };
}

function describe(button, item) {
  const { name, text } = described(item);
  button.setAttribute("aria-selected", page.selected.has(item.id));
  button.lastChild.className = name;
  button.lastChild.textContent = text;
}

function tile(item, place) {
  // What is beside a picture with a label is only an example of that label.
  const isPair = item.beside && !item.label;
  const own = picture(media(item.id, item.clip ? "poster" : "picture"), item);
  const pictures = [framed(own, item, item.boxes)];
  if (isPair) pictures.push(framed(picture(media(item.id, "beside"), item), { ...item, labelled: false }));
  const button = placed(place, { title: readable(item.key), "data-plays": item.clip ? media(item.id, item.mask ? "outlined" : "clip") : null });
  button.append(make("div", { class: "pictures" }, ...pictures), make("p"));
  const made = make("li", { role: "presentation" }, button);
  made.hasItem = true;
  return made;
}

const empty = (place) => make("li", { role: "presentation" }, placed(place, { title: "…" }));
const placed = (place, given) => make("button", {
  type: "button", class: "tile", role: "option", "aria-selected": "false", "data-do": "select", "data-value": place,
  "aria-setsize": page.ids.length, "aria-posinset": place + 1, "aria-keyshortcuts": keyLabel(" "), ...given,
});

for (const name of ["scroll", "resize"]) {
  addEventListener(name, () => requestAnimationFrame(() => {
    if (!grid?.isConnected || tilesOf !== page.ids) return;
    if (name === "resize") measure();
    fill();
  }), { passive: true });
}
