"""The first screen of the report: how good the models are, what to know first, and what they do to footage."""

import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tessera.core.messages import pluralize
from tessera.learning.intervals import LEAST, clopper_pearson, poisson_interval
from tessera.pages.report.pages import TITLES, best_figures, table, write_page
from tessera.records.limits import no_better_than_chance

USELESS = 0.05  # mAP50 below which a detector finds almost nothing
NOTABLE = 0.1  # mAP50 or accuracy that the test split may be below the validation split if nobody knows the interval
# How consistent restored clips are, and what of it is said of clips: lower is steadier.
SHOWN = 2  # clips of each restorer
UNSTEADY = {"flicker": "flicker", "warping": "warping error"}
PER_MINUTE, CLEAN_FRAMES = "false positives per minute of clean footage", "clean frames with a false positive"
Read = Mapping[str, Mapping[str, Any]]  # the metrics or the false positives of a model, by split


class Value(NamedTuple):
    """What a model reaches on a split by one measure."""

    value: float
    ends: Sequence[float] | None = None  # of the 95 % interval
    form: str = ".3f"
    note: str = ""  # what it was counted on

    def __str__(self) -> str:
        return f"{self.value:{self.form}}{_between(self.ends, self.form)}"


class Measure(NamedTuple):
    """A measure of a model, by split, and why splits have no value."""

    name: str
    values: Mapping[str, Value]
    otherwise: str = "not measured"


def write_summary(
    metrics: Mapping[str, Path],
    clean: Mapping[str, Path],
    restored: Sequence[Path],
    footage: Path | None,
    figures: Path,
    path: Path,
) -> None:
    """Write the first screen as an HTML page, and its figures by model and measure to `figures`, JSON.

    `metrics`: the JSON of the evaluation of each model, by its name. `clean`: of detectors, that of `count_false_positives`.
    `restored`: of restorers, the folder of the pages of `show_restored`. `footage`: the page of `show_footage`; None if the
    settings name no footage. The best figures of these pages are shown.
    """
    read = {model: json.loads(file.read_text(encoding="utf-8")).get("splits", {}) for model, file in metrics.items()}
    false = {model: json.loads(file.read_text(encoding="utf-8")) for model, file in clean.items()}
    measures = {model: list(_measures(splits, false.get(model, {}))) for model, splits in read.items()}
    numbers = _figures(measures)
    figures.write_text(json.dumps(numbers, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    remarks = [
        *finding_nothing(numbers),
        *(each for model in read for each in _remarks(model, read[model], false.get(model, {}))),
    ]
    parts = (
        ["<h2>What to know first</h2>", f'<ul class="remarks"><li>{"</li><li>".join(map(html.escape, remarks))}</li></ul>']
        if remarks
        else []
    )
    parts += [*_pictures(restored, footage), "<h2>How good the models are</h2>"]
    parts.append(_tabulated(measures) if measures else "<p>No model was trained.</p>")
    write_page(path, "Summary", "\n".join(parts))


def _figures(measures: Mapping[str, Iterable[Measure]]) -> dict[str, Any]:
    """Return the values of `measures` by model and measure, as JSON."""
    return {
        model: {
            measure.name: {
                "form": next(iter(measure.values.values())).form,
                "values": {split: round(found.value, 6) for split, found in measure.values.items()},
            }
            for measure in measures_of_model
            if measure.values
        }
        for model, measures_of_model in measures.items()
    }


def finding_nothing_by_card(model: str, card: Path) -> list[str]:
    """Return what `finding_nothing` says about `model`. `card`: that of the model, JSON."""
    splits = json.loads(card.read_text(encoding="utf-8"))["metrics"].get("splits", {})
    return finding_nothing(_figures({model: _measures(splits, {})}))


def finding_nothing(figures: Mapping[str, Any]) -> list[str]:
    """Return which detectors find almost nothing, and what is likely to be the cause. `figures`: those of `write_summary`."""
    best = {
        model: (max(measures[name]["values"].values()), name)
        for model, measures in figures.items()
        for name in ("box mAP50", "mask mAP50")
        if name in measures
    }
    return [
        f"{model} finds almost nothing ({name} {value:.3f}): there may be too few labels, too few epochs, or too large batches."
        for model, (value, name) in best.items()
        if value < USELESS
    ]


def _pictures(restored: Sequence[Path], footage: Path | None) -> Iterator[str]:
    """Yield the parts of the page with the best pictures of what restorers do to clips and to footage."""
    for folder in restored:
        split = next((split for split in TITLES if (folder / f"{split}.html").exists()), None)
        if split:
            figures = best_figures((folder / f"{split}.html").read_text(encoding="utf-8"), SHOWN)
            yield (
                f"<h2>What restoration gains</h2><p>The clips of the {TITLES[split].lower()} that gain most: mosaicked,"
                f' restored and clean. The model was not trained on them.</p><div class="gallery">{"".join(figures)}</div>'
            )
    shown = best_figures(footage.read_text(encoding="utf-8"), 1) if footage else []
    if shown:
        text = "Of the footage that the settings name, the scene with the largest region, as it was found and restored."
        yield f'<h2>What it does to footage</h2><p>{text}</p><div class="gallery">{shown[0]}</div>'


def _tabulated(measures: Mapping[str, list[Measure]]) -> str:
    """Return an HTML table of `measures` by model."""
    header = ["model", "measure", *(title.lower() for title in TITLES.values())]
    rows = [
        [model if number == 0 else "", measure.name, *(_cell(measure, split) for split in TITLES)]
        for model, measures_of_model in measures.items()
        for number, measure in enumerate(measures_of_model or [Measure("see its metrics", {})])
    ]
    note = (
        f"In brackets are 95 % confidence intervals, most by the bootstrap over sources, which needs {LEAST} sources or more."
        " The validation split chose among the epochs of a training, so the test split decides. Clean footage is what the"
        " manifest states to be free of what a detector finds; it counts to the test split if no dataset has it."
    )
    return f'<div class="values">{table(header, rows)}</div><p class="note">{note}</p>'


def _between(ends: Sequence[float] | None, form: str) -> str:
    return f" ({ends[0]:{form}} to {ends[1]:{form}})" if ends else ""


def _cell(measure: Measure, split: str) -> str:
    value = measure.values.get(split)
    return measure.otherwise if value is None else "\n".join(filter(None, [str(value), value.note]))


def _measures(splits: Read, false: Mapping[str, Read]) -> Iterator[Measure]:
    """Yield the measures that decide for a model, as its metrics and its false positives state them."""
    measured = {split: splits[split] for split in TITLES if split in splits}
    kinds = [kind for kind in ("mask", "box") if any(kind in values for values in measured.values())]
    if kinds:
        yield _of_detector(measured, kinds[0])
        yield from _of_clean(false)
    elif any("all" in values for values in measured.values()):
        yield from _of_restorer(measured)
    elif any("pictures" in values for values in measured.values()):
        yield from _of_classifier(measured)


def _of_detector(measured: Read, kind: str) -> Measure:
    def value(values: Mapping[str, Any]) -> Value:
        found = values["intervals"]
        ends = None if isinstance(found, str) else found.get(kind, {}).get("map50")
        objects, images, sources = (pluralize(values[name], name) for name in ("objects", "images", "sources"))
        return Value(values[kind]["map50"], ends, note=f"{objects} in {images} of {sources}")

    return Measure(f"{kind} mAP50", {split: value(each) for split, each in measured.items() if kind in each})


def _of_clean(false: Mapping[str, Read]) -> Iterator[Measure]:
    """Yield what a detector finds where there is nothing. `false`: of `count_false_positives`."""
    videos = {split: each for split, each in false.get("videos", {}).items() if each["seconds"]}
    no_footage = "not measured: no clean footage"
    per_minute = {}
    for split, each in videos.items():
        minutes = each["seconds"] / 60
        ends = [end / minutes for end in poisson_interval(each["tracks"])]
        note = f"{each['tracks']:,} in {each['seconds']:,.1f} s of {pluralize(each['videos'], 'videos')}"
        per_minute[split] = Value(each["tracks"] / minutes, ends, ",.1f", note)
    yield Measure(PER_MINUTE, per_minute, no_footage)
    frames = {split: _share(each["with_detection"], each["frames"], "frames") for split, each in videos.items()}
    if frames:
        yield Measure(CLEAN_FRAMES, frames, no_footage)
    images = {
        split: _share(each["with_detection"], each["images"], "images")
        for split, each in false.get("images", {}).items()
        if each["images"]
    }
    if images:
        yield Measure("images without an object that have a false positive", images, "not measured: no such image")


def _share(hits: int, count: int, things: str) -> Value:
    return Value(hits / count, clopper_pearson(hits, count), ".0%", f"{hits:,} of {pluralize(count, things)}")


def _of_restorer(measured: Read) -> Iterator[Measure]:
    used = {split: values for split, values in measured.items() if values["all"]["samples"]}
    names = {"psnr": "PSNR of the region, dB", **{name: f"{title}, levels" for name, title in UNSTEADY.items()}}
    for name, title in names.items():
        values = {}
        for split, each in used.items():
            methods = each["intervals"]["methods"]
            restored, mosaicked = (methods[method].get(name) for method in ("restored", "mosaicked"))
            if restored and mosaicked and restored["value"] is not None:
                known = [f"mosaic {mosaicked['value']:.2f}"]
                if clean := methods.get("clean", {}).get(name):
                    known.append(f"clean {clean['value']:.2f}")
                if name == "psnr":
                    clips, sources = (
                        pluralize(each["all"]["samples"], "clips"),
                        pluralize(each["intervals"]["sources"], "sources"),
                    )
                    known.append(f"{clips} of {sources}")
                values[split] = Value(restored["value"], _ends(restored, ""), ".2f", "; ".join(known))
        if values or name == "psnr":
            yield Measure(title, values, "no clip was measured")


def _ends(interval: Mapping[str, float | None], prefix: str) -> list[float] | None:
    """Return the ends of an interval, as a restorer's metrics state them."""
    low, high = interval[f"{prefix}low"], interval[f"{prefix}high"]
    return None if low is None or high is None else [low, high]


def _of_classifier(measured: Read) -> Iterator[Measure]:
    names = {"mae": "mean absolute error", "spearman": "rank correlation", "balanced_accuracy": "balanced accuracy"}
    for name, title in {**names, "average_precision": "average precision"}.items():
        values = {}
        for split, each in measured.items():
            if each.get(name) is None:
                continue
            ends = None if isinstance(each["intervals"], str) else each["intervals"][name]
            guess = each.get("chance", {}).get("guessed", {}).get(name)
            note = "" if guess is None else f"{guess:.3f} by guessing; "
            pictures, sources = (pluralize(each[part], part) for part in ("pictures", "sources"))
            values[split] = Value(each[name], ends, note=f"{note}{pictures} of {sources}")
        if any(name in each for each in measured.values()):
            yield Measure(title, values)


def _remarks(model: str, splits: Read, false: Mapping[str, Read]) -> Iterator[str]:
    """Yield what a reader should know before trusting the best number of a model, as sentences."""
    measures = {each.name: each for each in _measures(splits, false)}
    for name in ("mask mAP50", "box mAP50", "balanced accuracy"):
        val, test = (measures[name].values.get(split) if name in measures else None for split in ("val", "test"))
        if val and test and test.value < (val.ends[0] if val.ends else val.value - NOTABLE):
            yield f"{model} is worse on the test split: {name} {test}, against {val} on the validation split."
    if CLEAN_FRAMES in measures:
        minutes, frames = (measures[name].values for name in (PER_MINUTE, CLEAN_FRAMES))
        for split in [split for split in TITLES if split in minutes and minutes[split].value]:
            yield (
                f"{model} finds {minutes[split]} false positives a minute in clean footage of the {TITLES[split].lower()};"
                f" {frames[split].note} have one."
            )
    for split in splits:
        yield from _of_unsteady(model, TITLES.get(split, split).lower(), splits[split])
    if why := no_better_than_chance({"splits": splits}):
        yield f"{model} is no better than chance ({why}): it filters nothing, unless a limit says even_if_chance."


def _of_unsteady(model: str, split: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield by how much a restorer improves the picture, and what it worsens."""
    if not values.get("all", {}).get("samples"):
        return
    methods = values["intervals"]["methods"]
    given = methods["mosaicked"]["psnr"]
    if given["difference"] is None:
        return
    worse = [
        f"{title} rises by {-each['difference']:.2f} levels"
        f" (from {each['value']:.2f} to {each['value'] - each['difference']:.2f})"
        for name, title in UNSTEADY.items()
        if (each := methods["mosaicked"].get(name)) and (each["difference"] or 0) < 0
    ]
    joint = "but" if given["difference"] < 0 else "and"
    low_and_high = _ends(given, "difference_")
    between = _between(low_and_high and [-end for end in reversed(low_and_high)], "+.2f")
    change = f"{-given['difference']:+.2f} dB{between} over the mosaic on the {split}"
    yield f"{model}: {change}, {joint} {' and '.join(worse)}." if worse else f"{model}: {change}."
