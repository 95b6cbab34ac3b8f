"""Count what the labels of a set state, and what they mean in the dataset: read before a model is trained on them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.ledger import read_ledger, summarise
from tessera.core.messages import pluralize, truncate
from tessera.records.annotation.model import ImageAnnotations, Loss
from tessera.records.label_sets import meaning
from tessera.records.tables.labels import LabelCounts
from tessera.records.tables.table import types, write_table
from tessera.stages.labels.layouts.item import TAKEN

SHOWN = 40  # labels that the log lists


class Counts:
    """The labels of a set. `stated`: those that its files name, used or not, each with its number and its name."""

    def __init__(self, stated: Mapping[str, tuple[int | None, str]]) -> None:
        self._stated = stated
        self._seen = Counter[str]()  # images, by label
        self._objects = Counter[str]()
        self._images = Counter[str]()
        self._negatives = Counter[str]()
        self.read = 0  # images whose labels were read

    @property
    def labels(self) -> set[str]:
        """The labels that occur or are named."""
        return {*self._stated, *self._seen, *(name for _, name in self._stated.values() if name)}

    def see(self, image: ImageAnnotations) -> None:
        """Note the labels of an image, which may still be left out."""
        self.read += 1
        self._seen.update({each.label for each in image.annotations})

    def use(
        self, image: ImageAnnotations, used: ImageAnnotations, losses: Sequence[Loss], left_out: Sequence[str] = ()
    ) -> None:
        """Note the labels of an `image` that is used with the regions of `used`. `left_out`: those of regions that are not."""
        labels = [each.label for each in image.annotations]
        for label in left_out:
            labels.remove(label)
        self._objects.update(labels)
        self._images.update(set(labels))
        if not used.annotations:
            taken = [loss.reason for loss in losses if loss.reason.endswith(TAKEN)]
            self._negatives[(taken or ["only labels that are not wanted" if labels else "labels state no region"])[0]] += 1

    def rows(
        self, source: str, classes: Mapping[str, str | None], of_dataset: Sequence[str], ledger: Path
    ) -> list[dict[str, Any]]:
        """Return the rows of `tables.LabelCounts` of the set `source`, whose rows are in `ledger`. `classes`: see `meaning`."""
        rows = []
        for label in {*self._stated, *self._seen}:
            number, name = self._stated.get(label, (None, label))
            try:
                meant: str | None = meaning(label, classes, of_dataset) or ""
            except KeyError:
                meant = None
            rows.append(
                {
                    "kind": "label",
                    "number": number,
                    "name": name,
                    "label": meant,
                    "objects": self._objects[label],
                    "images": self._images[label],
                    "left_out": self._seen[label] - self._images[label],
                }
            )
        rows.sort(key=lambda row: (row["number"] is None, row["number"] or 0, row["name"]))
        summary = summarise(read_ledger(ledger))
        for kind, counts in (("negative", self._negatives), ("left out", summary["dropped"] | summary["failed"])):
            nothing = {"kind": kind, "number": None, "label": None, "objects": 0, "left_out": 0}
            rows += [{**nothing, "name": reason, "images": count} for reason, count in sorted(counts.items())]
        return [{"set": source, **row} for row in rows]


def write_counts(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write `rows` as the table `LabelCounts`."""
    write_table(pl.DataFrame(rows, schema=types(LabelCounts)), LabelCounts, path)


def described_counts(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return `rows` of `tables.LabelCounts` as a table for the log: the labels that are used first if there are many."""
    labels = [row for row in rows if row["kind"] == "label"]
    if len(labels) > SHOWN:
        labels.sort(key=lambda row: -row["objects"])
    cells = [["number", "name", "class here", "objects", "images", "left out"]]
    for row in labels:
        number = "" if row["number"] is None else str(row["number"])
        counts = (f"{row[name]:,}" for name in ("objects", "images", "left_out"))
        cells.append([number, f"{row['name'] or '(no name)':.40}", class_here(row["label"]), *counts])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    form = "  ".join(f"{{:{'<' if column in (1, 2) else '>'}{width}}}" for column, width in enumerate(widths))
    lines = [form.format(*line) for line in cells]
    others = [f"{row['kind']}: {pluralize(row['images'], 'images')}: {row['name']}" for row in rows if row["kind"] != "label"]
    return "\n  ".join([*truncate(lines, SHOWN + 1, " labels, in the table of the counts"), *others])


def class_here(label: str | None) -> str:
    """Return how tables call the class of the dataset that a label means."""
    return "unknown" if label is None else label or "not wanted"
