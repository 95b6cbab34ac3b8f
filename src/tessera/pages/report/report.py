"""The report: all figures in one HTML file that needs nothing else."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import tessera
from tessera.core.errors import TesseraError
from tessera.pages.report.changes import compare_runs
from tessera.pages.report.counts import SPLITS
from tessera.pages.report.pages import STYLE, best_figures, data_uri, part_of
from tessera.pages.report.run import list_sources, tabulate_settings

TEMPLATE = "report.html"
BLUR = "blur.rst"  # what captions say about blurred pictures
KINDS = {".svg": "image/svg+xml", ".jpg": "image/jpeg", ".png": "image/png"}
# The names of splits in labels, in the order of the report.
SPLITS_SHOWN = {
    "worst": "those that gain least",
    "train": "training split",
    "val": "validation split",
    "test": "test split",
}
NUMBER = re.compile(r"(\d+)\. ")
SHOWN = 4  # samples of each dataset on the front page


class Figure(NamedTuple):
    """A file that the report shows, or a folder of such files."""

    path: str
    caption: str  # the name of the file with its caption
    category: str
    subcategory: str
    label: str
    wildcards: Mapping[str, str]
    patterns: Sequence[str]  # of a folder, the names of its files, with wildcards in braces
    rule: str  # that makes it
    place: float = math.inf  # among its neighbours


def write_report(
    figures: Sequence[Mapping[str, Any]],
    summary: Path,
    numbers: Path,
    counts: Mapping[str, Path],
    datasheets: Mapping[str, Path],
    models: Sequence[str],
    decided: Sequence[tuple[str, str, str, int]],
    idle: int,
    run: Path,
    made: str,
    name: str,
    files: Sequence[str],
    changed: Mapping[str, Any],
    defaults: Mapping[str, Any],
    captions: Path,
    context: Mapping[str, Any],
    former: Path,
    runs: Path,
    path: Path,
) -> None:
    """Write the report with all `figures`, the fields of `Figure`, to `path`. Equal files give equal bytes.

    A number before a label or a category, such as `2. Samples`, decides the place of the figure, and is not shown. `summary`,
    `numbers`: the page and the JSON of `write_summary`. `counts`: the JSON of `draw_funnels`, by dataset. `decided`: who
    decided about what, which decision, and how often. `idle`: the number of decisions that match nothing, which are in none
    of these counts. `datasheets`: the JSON of the datasheet of each dataset. `run`: the JSON of `measure_run`. `made`: when
    the report is written, in UTC. `name`: of the project. `files`: those of the settings. `changed`, `defaults`: see
    `changed_settings`. `former`, `runs`: what the last run is compared by, see `compare_runs`. `captions`: the folder of the
    template and the captions, both of Jinja; captions are plain paragraphs with ``code``, and know the wildcards of their
    figure and what `context` holds. Raises `TesseraError` that names a caption that cannot be rendered, and a figure of an
    unknown format.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

    options: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    # Captions become text, which the template escapes like every other text.
    texts = Environment(loader=FileSystemLoader(captions), autoescape=False, **options)
    pages = Environment(loader=FileSystemLoader(captions), autoescape=True, **options)

    def caption(figure: Figure) -> list[list[str]]:
        try:
            # As Snakemake names them, so that `snakemake --report` renders the same captions.
            known = {"wildcards": figure.wildcards, "config": context["config"]}
            blur = texts.get_template(BLUR).render(snakemake=known)
            text = texts.get_template(figure.caption).render(context, snakemake=known, blur=blur)
        except TemplateError as error:
            raise TesseraError(f"the caption {captions / figure.caption} of {figure.path}: {error}; correct it") from error
        return [paragraph.split("``") for paragraph in re.split(r"\n\s*\n", text.strip()) if paragraph]

    given = [_numbered(Figure(**each)) for each in figures]
    sections = _arrange([each for figure in given for each in _files_of(figure)])
    funnels = {dataset: _funnel(file) for dataset, file in counts.items()}
    samples = {dataset: funnel["splits"] for dataset, funnel in funnels.items()}
    decisions = idle + sum(count for *_, count in decided)
    shown = pages.get_template(TEMPLATE).stream(
        style=STYLE,
        sections=sections,
        splits=SPLITS,
        funnels=funnels,
        models=models,
        summary=part_of(summary, 1),
        pictures=list(_samples(given)),
        decided=decided,
        idle=idle,
        run=json.loads(run.read_text(encoding="utf-8")),
        made=made,
        name=name,
        version=tessera.__version__,
        files=files,
        changed=tabulate_settings(changed, defaults),
        since=compare_runs(numbers, samples, changed, decisions, former, runs, made),
        sources=list_sources(datasheets),
        caption=caption,
        content=_content,
    )
    shown.dump(str(path), encoding="utf-8")


def _numbered(figure: Figure) -> Figure:
    """Return `figure` with the number before its label as its place. Without a number, it comes last."""
    number = NUMBER.match(figure.label)
    return figure._replace(label=figure.label[number.end() :], place=int(number[1])) if number else figure


def _files_of(figure: Figure) -> list[Figure]:
    """Return the files of `figure`: itself or, of a folder, those that match its patterns, each with their wildcards."""
    if not figure.patterns:
        return [figure]
    figures = []
    for pattern in figure.patterns:
        expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(pattern))
        for file in sorted(Path(figure.path).iterdir()):
            # Snakemake writes a hidden file into folders.
            if not file.name.startswith(".") and (match := re.fullmatch(expression, file.name)):
                names = match.groupdict()
                words = {key: SPLITS_SHOWN.get(name, name) if key == "split" else unquote(name) for key, name in names.items()}
                label = figure.label.format(**words)
                figures.append(figure._replace(path=str(file), label=label, wildcards={**figure.wildcards, **names}))
    return figures


def _arrange(figures: Sequence[Figure]) -> dict[str, dict[str, dict[str, list[Figure]]]]:
    """Return `figures` by category, subcategory and label. Subcategories are in the order of their first figures."""
    splits, subcategories = list(SPLITS_SHOWN), list(dict.fromkeys(figure.subcategory for figure in figures))

    def place(figure: Figure) -> tuple[str, int, float, int, str]:
        split = splits.index(name) if (name := figure.wildcards.get("split")) in splits else -1
        return figure.category, subcategories.index(figure.subcategory), figure.place, split, figure.label

    categories: dict[str, dict[str, dict[str, list[Figure]]]] = {}
    for figure in sorted(figures, key=place):
        category = categories.setdefault(NUMBER.sub("", figure.category), {})
        category.setdefault(figure.subcategory, {}).setdefault(figure.label, []).append(figure)
    return categories


def _content(figure: Figure) -> dict[str, str]:
    """Return the `page` in the file of a figure, as `pictures` if it has some, or the address of the `picture` in it."""
    file = Path(figure.path)
    if file.suffix == ".html":
        page = part_of(file, 3)
        # What people would rather look at than read is not folded.
        return {"pictures" if "<figure " in page else "page": page}
    if file.suffix not in KINDS:
        raise TesseraError(f"{file}: the report shows {', '.join(KINDS)} and .html; correct the rule {figure.rule}")
    return {"picture": data_uri(file.read_bytes(), KINDS[file.suffix])}


def _funnel(counts: Path) -> dict[str, Any]:
    """Return what `draw_funnels` counted, the `total` of the splits, and the last step of each unit: what `passed`."""
    content: dict[str, Any] = json.loads(Path(counts).read_text(encoding="utf-8"))
    last = {step["unit"]: step for step in content["steps"] if step["rows"]}
    return content | {"total": sum(content["splits"].values()), "passed": list(last.values())}


def _samples(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    """Yield the subcategory and the first pictures, in HTML, of each folder of samples."""
    for figure in figures:
        pages = [file.path for file in _files_of(figure)] if figure.patterns and figure.category.endswith("Samples") else []
        if pages:
            # The training split has most samples.
            page = part_of(Path(next((file for file in pages if file.endswith("train.html")), pages[0])), 0)
            yield figure.subcategory, "\n".join(best_figures(page, SHOWN))
