"""HTML pages of tables, texts and images."""

import base64
import csv
import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TITLES = {"val": "Validation split", "test": "Test split"}
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
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.2; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #e6e6e6; }}
td {{ overflow-wrap: anywhere; white-space: pre-wrap; min-width: 4.5rem; }}
td:first-child {{ min-width: 8rem; }}
img {{ max-width: 100%; }}
.clips {{ display: flex; flex-wrap: wrap; gap: 1rem; }}
.pair {{ display: flex; gap: 1rem; }}
.triptychs figure {{ width: 100%; margin-bottom: 1.5rem; }}
.triptychs img {{ width: 38rem; }}
figure {{ margin: 0; width: 14rem; font-size: 12px; overflow-wrap: anywhere; }}
.values {{ font-size: 13px; }}
.values td {{ overflow-wrap: break-word; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; min-width: 0; white-space: nowrap; }}
td.fraction {{ min-width: 8rem; font-variant-numeric: tabular-nums; }}
td.fraction div {{ height: .5rem; background: #56b4e9; }}
code, pre {{ font-size: 13px; background: #f5f5f5; overflow-x: auto; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return an HTML table. The cells are escaped. A float is a fraction, which is drawn as a bar."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in header) + "</tr>"]
    lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _cell(value: str | int | float) -> str:
    if isinstance(value, float):
        return f'<td class="fraction"><div style="width: {100 * value:.2f}%"></div>{value:.1%}</td>'
    return f'<td class="number">{value:,}</td>' if isinstance(value, int) else f"<td>{html.escape(value)}</td>"


def figure(picture: bytes, kind: str, lines: Sequence[str]) -> str:
    """Return an HTML figure of the file `picture`, such as of the `kind` `webp`, with `lines` of text below it, escaped."""
    data = base64.b64encode(picture).decode("ascii")
    text = "<br>".join(map(html.escape, lines))
    return f'<figure><img alt="" src="data:image/{kind};base64,{data}"><figcaption>{text}</figcaption></figure>'


def write_page(path: Path, title: str, body: str, heading: bool = True) -> None:
    """Write the HTML `body` as a page with a `title`. If `heading` is true, the title is also its heading."""
    if heading:
        body = f"<h1>{html.escape(title)}</h1>\n{body}"
    Path(path).write_text(PAGE.format(title=html.escape(title), body=body), encoding="utf-8")


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
    for place, values in _records(json.loads(Path(file).read_text(encoding="utf-8"))):
        tables.setdefault(tuple(values), []).append([place, *map(_number, values.values())])
    for names, rows in tables.items():
        if rows == [["", *rows[0][1:]]]:
            parts.append(table([], list(zip(names, rows[0][1:], strict=True))))
        else:
            parts.append(table(["", *names], rows))
    return "\n".join(parts)


def render_markdown(text: Path, path: Path) -> None:
    """Write the Markdown file `text` as an HTML page. HTML in it is shown as text, and images become links."""
    from markdown_it import MarkdownIt

    content = Path(text).read_text(encoding="utf-8")
    title = next((line.lstrip("# ") for line in content.splitlines() if line.startswith("#")), Path(text).name)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    write_page(path, title, markdown.render(content), heading=False)


def show_pictures(folder: Path, title: str, path: Path) -> None:
    """Write an HTML page of the PNG files in `folder`, sorted by name, those of a split (see `FIGURES`) last."""
    of_splits = {f"{name}_{split}": (split, name) for split in TITLES for name in FIGURES}
    files = {file.stem: file for file in Path(folder).glob("*.png")}
    parts = []
    for stem in [*sorted(files.keys() - of_splits), *(stem for stem in of_splits if stem in files)]:
        heading, text = stem.replace("_", " ").capitalize(), ""
        if stem in of_splits:
            split, name = of_splits[stem]
            heading, text = f"{TITLES[split]}: {FIGURES[name][0]}", f"<p>{html.escape(FIGURES[name][1])}</p>\n"
        data = base64.b64encode(files[stem].read_bytes()).decode("ascii")
        parts.append(f'<h2>{html.escape(heading)}</h2>\n{text}<img alt="" src="data:image/png;base64,{data}">\n')
    write_page(path, title, "".join(parts))


def _number(value: Any) -> str:
    # Four digits, also where they are zeros.
    return f"{value:#.4g}" if isinstance(value, float) else "no value" if value is None else str(value)


def _records(value: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the scalar values of a JSON object, and of each object inside it, with the path of the object."""
    values = {name: inner for name, inner in value.items() if not isinstance(inner, dict)}
    if values:
        yield place, values
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _records(inner, f"{place} · {name}" if place else name)
