"""HTML pages of tables, texts and images."""

import base64
import csv
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tessera.core.errors import TesseraError
from tessera.core.markdown import without_front_matter
from tessera.core.messages import format_value
from tessera.imaging.figures import DARK, LIGHT

TITLES = {"val": "Validation split", "test": "Test split"}
NAMES = {"map50": "mAP50", "map50_95": "mAP50-95"}
# Figures whose file is named after them and a split: their headings, and what they show.
FIGURES = {
    "calibration": (
        "reliability",
        "How often predictions of each confidence are right. On the line, the confidence is true; below it, the model is too"
        " sure. The larger a point, the more pictures.",
    ),
    "confusion": (
        "confusion matrix",
        "A row for each true class, a column for each predicted one. The numbers are pictures, the shades their fraction of the"
        " row.",
    ),
    "precision_recall": (
        "precision by recall",
        "Of each class against the others, from the strictest threshold on the left to the loosest on the right. The higher and"
        " the farther to the right, the better.",
    ),
    "scores": ("predicted by true score", "A point for each picture. On the line, the prediction is right."),
}


def _variables(theme: Mapping[str, str]) -> str:
    """Return CSS that names the colours of `theme`."""
    return " ".join(f"--{name}: {colour};" for name, colour in theme.items())


# What pages and the report have in common. Small texts have a contrast of 4.5 or more on every background here.
STYLE = (
    f":root {{ color-scheme: light dark; {_variables(LIGHT)} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n"
    """body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1, h2, h3, h4, h5, h6 { line-height: 1.2; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); }
td { white-space: pre-wrap; min-width: 4.5rem; }
td:first-child { min-width: 8rem; }
.table { overflow-x: auto; margin: 1rem 0; }
img { max-width: 100%; height: auto; }
/* On a narrow screen, the texts in figures remain readable: one scrolls. */
.picture { overflow-x: auto; }
.picture img { display: block; max-width: max(100%, 40rem); border-radius: .3rem; }
.clips { display: flex; flex-wrap: wrap; gap: 1rem; }
.pair { display: flex; gap: 1rem; }
.sheet { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 1rem; margin: .8rem 0; }
.sheet figure { width: auto; }
.sheet img { width: 100%; border-radius: .3rem; }
@media (max-width: 40rem) { .sheet.wide { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; }
.legend span { display: inline-block; width: 1.4rem; height: .6rem; margin-right: .4rem; }
/* An animation shows a still picture where it is paused, or where the reader wants no animations. */
.still, figure:has(:checked) .moving, body:has(#pause:checked) .moving { display: none; }
figure:has(:checked) .still, body:has(#pause:checked) .still { display: inline; }
.pause { font-size: 12px; cursor: pointer; }
@media (prefers-reduced-motion: reduce) { .moving, .pause { display: none; } .still { display: inline; } }
figure { margin: 0; width: 14rem; max-width: 100%; font-size: 12px; overflow-wrap: anywhere; }
.triptychs figure { width: 100%; margin-bottom: 1.5rem; }
.triptychs img { width: 38rem; }
.values { font-size: 13px; }
td.number { text-align: right; font-variant-numeric: tabular-nums; min-width: 0; white-space: nowrap; }
td.fraction { min-width: 8rem; font-variant-numeric: tabular-nums; }
td.fraction div { height: .5rem; background: #56b4e9; }
code, pre { font-size: 13px; background: var(--tint); }
code { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }"""
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
SOURCES_ONCE = "<p>The report lists the sources, their rights and the samples made of each in one table, under Footage.</p>"
FIGURE = re.compile(r"<figure data-rank=.*?</figure>", re.DOTALL)
RANK = re.compile(r'<figure data-rank="([^"]*)"')
PAUSE = '<label class="pause"><input type="checkbox" aria-label="pause {which}"> pause</label>'
BODY = re.compile(r"<body>\s*(?:<h1>.*?</h1>)?(.*)</body>", re.DOTALL)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return an HTML table. The cells are escaped. Without a `header`, the first cell of a row is the name of the others.

    A float is a fraction, which is drawn as a bar.
    """
    lines = ["<tr>" + "".join(_heading(name, "col") for name in header) + "</tr>"] if header else []
    for row in rows:
        first, *others = row
        cells = [_cell(first) if header else _heading(first, "row"), *map(_cell, others)]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return in_box("<table>\n" + "\n".join(lines) + "\n</table>")


def _heading(name: str, scope: str) -> str:
    return f'<th scope="{scope}">{html.escape(name)}</th>' if name else "<td></td>"


def _cell(cell: str | int | float) -> str:
    if isinstance(cell, float):
        return f'<td class="fraction"><div style="width: {100 * cell:.2f}%"></div>{cell:.1%}</td>'
    return f'<td class="number">{cell:,}</td>' if isinstance(cell, int) else f"<td>{html.escape(cell)}</td>"


def in_box(content: str, kind: Literal["table", "picture"] = "table") -> str:
    """Return the HTML `content` in a box that scrolls where the content is wider than the page, also by keyboard."""
    return f'<div class="{kind}" tabindex="0" role="group" aria-label="{kind.capitalize()}">{content}</div>'


def figure(picture: bytes, kind: str, lines: Sequence[str], still: bytes | None = None, rank: float = 0, alt: str = "") -> str:
    """Return an HTML figure of the file `picture`, such as of the `kind` `webp`, with `lines` of text below it, escaped.

    `still`: of the same kind, what is seen instead of an animation where it is paused, also by those who want none. `rank`: the
    first screen shows the figures with the highest, see `best_figures`. `alt`: what stands for the picture; empty: the first
    line.
    """
    text, alt = "<br>".join(map(html.escape, lines)), html.escape(alt or lines[0])

    def image(content: bytes, role: str) -> str:
        return f'<img{role} alt="{alt}" src="{data_uri(content, f"image/{kind}")}">'

    shown = image(picture, "")
    if still:
        shown = image(picture, ' class="moving"') + image(still, ' class="still"')
        text += f"<br>{PAUSE.format(which=alt)}"
    return f'<figure data-rank="{rank:.6g}">{shown}<figcaption>{text}</figcaption></figure>'


def best_figures(page: str, count: int) -> list[str]:
    """Return the `count` figures in an HTML `page` with the highest rank, see `figure`; of equal ones, the first."""
    return sorted(FIGURE.findall(page), key=lambda figure: -float(RANK.match(figure)[1]))[:count]  # type: ignore[index]


def data_uri(content: bytes, kind: str) -> str:
    """Return the address that holds the `content` of a file itself. `kind`: its type, such as `image/png`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def write_page(path: Path, title: str, body: str, heading: bool = True) -> None:
    """Write the HTML `body` as a page with a `title`. If `heading` is true, the title is also its heading."""
    if heading:
        body = f"<h1>{html.escape(title)}</h1>\n{body}"
    Path(path).write_text(PAGE.format(title=html.escape(title), style=STYLE, body=body), encoding="utf-8")


def part_of(path: Path, deeper: int) -> str:
    """Return a page of `write_page` as a part of another: without its title, its headings `deeper` levels down.

    Raises `TesseraError` if it is no such page.
    """
    body = BODY.search(Path(path).read_text(encoding="utf-8"))
    if not body:
        raise TesseraError(f"{path}: not a page of the report; delete it and run again")
    return re.sub(r"(?<=<)(/?)h([1-6])>", lambda tag: f"{tag[1]}h{min(int(tag[2]) + deeper, 6)}>", body[1]).strip()


def tabulate_refused(refused: Path, path: Path) -> None:
    """Write the TSV file `refused` of refused sources as an HTML table."""
    with Path(refused).open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file, delimiter="\t")) or [[]]
    body = table(header, rows) if rows else "<p>No source was refused.</p>"
    write_page(path, "Refused sources", body)


def tabulate_metrics(files: dict[str, Path], path: Path) -> None:
    """Write the values in the JSON `files`, by title, as an HTML page. Objects with the same keys are rows of one table."""
    write_page(path, "Metrics", "\n".join(tables_of(title, file) for title, file in files.items()))


def tables_of(title: str, file: Path) -> str:
    """Return the values in the JSON `file` as the part of a page with a `title`; see `tabulate_metrics`."""
    parts = [f"<h2>{html.escape(title)}</h2>"]
    tables: dict[tuple[str, ...], list[list[str]]] = {}
    for path_of_record, values in _records(json.loads(Path(file).read_text(encoding="utf-8"))):
        tables.setdefault(tuple(values), []).append([_heading_of(path_of_record), *values.values()])
    for names, rows in tables.items():
        header = [NAMES.get(name, _words(name)) for name in names]
        if rows == [["", *rows[0][1:]]]:
            parts.append(table([], list(zip(header, rows[0][1:], strict=True))))
        else:
            parts.append(table(["", *header], rows))
    return "\n".join(parts)


def render_markdown(text: Path, path: Path) -> None:
    """Write the Markdown file `text`, without its header, as an HTML page. HTML in it is shown as text, images become links.

    The report lists the sources of all datasets once, so that a table of sources and their rights is left out.
    """
    from markdown_it import MarkdownIt

    content = without_front_matter(Path(text).read_text(encoding="utf-8"))
    title = next((line.lstrip("# ") for line in content.splitlines() if line.startswith("#")), Path(text).name)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    # Headings of tables stand above columns. An empty one is none.
    body = re.sub("<th(?=[ >])", '<th scope="col"', re.sub("<th[^>]*></th>", "<td></td>", markdown.render(content)))

    def boxed(match: re.Match[str]) -> str:
        columns = re.findall("<th[^>]*>(.*?)</th>", match[0])
        return SOURCES_ONCE if {"source", "rights"} <= set(columns) else in_box(match[0])

    write_page(path, title, re.sub("<table>.*?</table>", boxed, body, flags=re.DOTALL), heading=False)


def show_pictures(folder: Path, title: str, path: Path) -> None:
    """Write an HTML page of the SVG files in `folder`, sorted by name, those of a split (see `FIGURES`) last."""
    of_splits = {f"{name}_{split}": (split, name) for split in TITLES for name in FIGURES}
    files = {file.stem: file for file in Path(folder).glob("*.svg")}
    parts = []
    for stem in [*sorted(files.keys() - of_splits), *(stem for stem in of_splits if stem in files)]:
        heading, text = stem.replace("_", " ").capitalize(), ""
        if stem in of_splits:
            split, name = of_splits[stem]
            heading, text = f"{TITLES[split]}: {FIGURES[name][0]}", f"<p>{html.escape(FIGURES[name][1])}</p>\n"
        shown = data_uri(files[stem].read_bytes(), "image/svg+xml")
        picture = in_box(f'<img alt="{html.escape(heading)}" src="{shown}">', "picture")
        parts.append(f"<h2>{html.escape(heading)}</h2>\n{text}{picture}\n")
    write_page(path, title, "".join(parts))


def _number(value: Any) -> str:
    # Four digits, also where they are zeros.
    return f"{value:#.4g}" if isinstance(value, float) else "no value" if value is None else format_value(value)


def _heading_of(names: Sequence[str]) -> str:
    """Return the path of a JSON object as words. The names of classes remain as they are."""
    before = ["", *names]
    named = [TITLES.get(name, name if last == "classes" else _words(name)) for last, name in zip(before, names, strict=False)]
    return ", ".join(text for text, name in zip(named, names, strict=True) if name not in {"splits", "classes"})


def _words(name: str) -> str:
    """Return a key of a JSON object as words, but for the name of a file."""
    return name if "." in name else name.replace("_", " ")


def _records(
    value: dict[str, Any], names: tuple[str, ...] = (), ends: Any = None
) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield the values of a JSON object as text, and those of each object inside it, with the path of the object.

    `ends`: the confidence intervals of the values, by their names. An object may have its own under `intervals`.
    """
    intervals = value.get("intervals", ends)
    ends = intervals if isinstance(intervals, dict) else {}
    inside = {name: inner for name, inner in value.items() if isinstance(inner, dict) and name != "intervals"}
    values = {name: inner for name, inner in value.items() if not isinstance(inner, dict)}
    if values:
        yield names, {name: _number(inner) + _between(ends.get(name)) for name, inner in values.items()}
    for name, inner in inside.items():
        yield from _records(inner, (*names, name), ends.get(name))


def _between(ends: Any) -> str:
    return f" ({_number(ends[0])} to {_number(ends[1])})" if isinstance(ends, list) else ""
