"""Run a detector on the footage to preview."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import PositiveInt

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.messages import did_you_mean
from tessera.core.progress import progress
from tessera.imaging.boxes import overlap
from tessera.imaging.footage import Still, read_footage
from tessera.imaging.masks import encode_patch
from tessera.imaging.outlines import outline_in
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region
from tessera.learning.detection.grids import GridSettings, with_grids
from tessera.learning.detection.settings import InferenceSettings
from tessera.records.annotation.predictions import detect_frames
from tessera.records.frame_keys import frame_key
from tessera.records.label_sets import ANY, class_of, meaning
from tessera.records.stills import read_stills, stills_of


class PreviewDetectionSettings(InferenceSettings):
    """How a detector runs for a preview, and on which frames."""

    every_frames: PositiveInt = 1
    """The detector is run on every n-th frame."""
    max_frames: PositiveInt = 3000
    """Largest number of frames per source. If `every_frames` gives more, that many evenly spaced frames are used."""


class Meant(NamedTuple):
    """What the detections of a detector of others mean for a dataset."""

    stated: Mapping[str, str | None]  # its labels, and the class of the dataset that each means; see `meaning`
    classes: Sequence[str]  # of the dataset; empty: those of the detector, which are kept
    outlines: bool  # whether boxes become outlines

    def refine(self, labels: Sequence[str], iou: float) -> Callable[[np.ndarray, Iterable[Region]], Iterator[Region]]:
        """Return a function that returns what becomes of the regions of a detector with these `labels` in an image.

        Of two that mean the same and overlap by more than `iou`, the better one is kept. Raises `TesseraError` if a label means
        nothing, or if the settings name one that the detector does not have.
        """
        if not self.classes:
            return lambda image, regions: iter(regions)
        for name in self.stated:
            if name != ANY and class_of(name, labels) is None:
                raise TesseraError(
                    f"`preview.classes`: the detector has no label {name!r}{did_you_mean(name, labels)}; it finds"
                    f" {', '.join(labels)}"
                )
        means: dict[str, str | None] = {}
        unknown = []
        for label in labels:
            try:
                means[label] = meaning(label, self.stated, self.classes)
            except KeyError:
                unknown.append(label)
        if unknown:
            raise TesseraError(
                f"the detector finds {', '.join(labels)}, and nothing says what {', '.join(unknown)} means: name in"
                f' `preview.classes` those that you want, such as {{{unknown[0]}: {self.classes[0]}, "*": null}}'
            )

        def refined(image: np.ndarray, regions: Iterable[Region]) -> Iterator[Region]:
            kept: list[Region] = []
            for region in sorted(regions, key=lambda region: -region.score):
                label = means[region.label]
                if label is None or any(each.label == label and overlap(each.box, region.box) > iou for each in kept):
                    continue
                rle = region.rle
                if rle is None and self.outlines:
                    rle = encode_patch(outline_in(image, region.box), *image.shape[:2])
                kept.append(Region(label, region.score, region.box, rle))
            yield from kept

        return refined


def predict_previews(
    sources: Path,
    admission: Path,
    stills: Path,
    weights: Path,
    expected: Path | str,
    wanted: Sequence[str],
    settings: PreviewDetectionSettings,
    meant: Meant,
    mosaics: GridSettings | None,
    frames: Path,
    predictions: Path,
    ledger: Path,
) -> None:
    """Run the detector `weights` over the sources `wanted` of a shard.

    `sources`: `tables.Sources`. `admission`: the ledger of `admit_sources`. `stills`: `tables.SourceFiles`. `expected`: see
    `Detector`. Every `settings.every_frames`-th frame of a source is predicted, fewer if these are more than
    `settings.max_frames`. `meant`: what the labels of the detector mean, and how its regions are outlined. `mosaics`: which
    regions count if they should be mosaics. `frames` gets the predicted frames (`tables.PredictedFrames`), and `predictions`
    the detections (`tables.Annotations`). `ledger` gets one row per frame, and one for each source that was refused or cannot
    be read.
    Raises `TesseraError` if a label of the detector means nothing.
    """
    import polars as pl

    from tessera.records.eligibility import refused
    from tessera.records.tables.annotation import Annotations, PredictedFrames
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_table, types, write_table

    admitted = read_table(sources, Sources).filter(pl.col("source").is_in(list(wanted))).to_dicts()
    held = read_stills(stills)
    detector = Detector(weights, expected, settings) if admitted else None
    refine = meant.refine(detector.labels, settings.iou) if detector else None

    def become(image: np.ndarray, regions: Iterable[Region]) -> Iterator[Region]:
        assert refine is not None
        return refine(image, regions if mosaics is None else _accepted(image, regions, mosaics))

    processed: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    with Ledger(ledger) as writer:
        for row in read_ledger(admission):
            if row["status"] != "ok" and row["key"] in wanted:
                writer.row(row["key"], "dropped", *refused(row))
        for source in admitted:
            assert detector is not None
            of_source = stills_of(Path(source["path"]), held.get(source["source"], []))
            # The positions of images in their folder, where some cannot be used.
            known = range(source["frames"]) if source["kind"] == "video" else [still.index for still in of_source]
            indices = [known[number] for number in _evenly(len(known), settings.every_frames, settings.max_frames)]
            pictures = progress(_pictures(source, indices, of_source, writer), len(indices), f"frames of {source['source']!r}")
            for frame, rows in detect_frames(detector, pictures, writer, become):
                processed.append(frame)
                detections += rows
    write_table(pl.DataFrame(processed, schema=types(PredictedFrames)), PredictedFrames, frames)
    write_table(pl.DataFrame(detections, schema=types(Annotations)), Annotations, predictions)


def _accepted(image: np.ndarray, regions: Iterable[Region], mosaics: GridSettings) -> list[Region]:
    """Return those of `regions` that count as mosaics."""
    import cv2

    measured = with_grids(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), regions)
    return [region for region in measured if mosaics.accept(region.grid, region.score)]


def _evenly(count: int, stride: int, limit: int) -> range:
    """Return at most `limit` indices below `count`, evenly spaced, `stride` or more apart."""
    return range(0, count, max(stride, -(-count // limit)))


def _pictures(
    source: dict[str, Any], indices: Sequence[int], stills: Sequence[Still], writer: Ledger
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the row of `tables.PredictedFrames` and the image, uint8 (H, W, 3), RGB, of each frame that can be decoded.

    `stills`: the admitted images, unless `source` is a video. `writer` gets a row for each frame that cannot be decoded, and
    one for the source if it cannot be read.
    """
    name = source["source"]
    try:
        for frame in read_footage(Path(source["path"]), source["kind"], indices, stills):
            key = frame_key(name, frame)
            try:
                image = frame.square_image()
            except Failed as error:
                writer.row(key, "failed", error.reason, error.detail)
                continue
            height, width = image.shape[:2]
            row = {"key": key, "source": name, "index": frame.index, "name": frame.name, "pts": frame.pts, "time": frame.time}
            yield {**row, "width": width, "height": height}, image
    except Failed as error:
        writer.row(name, "failed", error.reason, error.detail)
