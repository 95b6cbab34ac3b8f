"""Cut crops out of the sampled frames, step by step: what a step finds in the crops of the step before."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import Dropped
from tessera.core.files import link_or_copy
from tessera.core.ledger import Ledger
from tessera.core.provenance import digest, sha256_file, sha256_if_readable
from tessera.core.store import stored_items
from tessera.extras.crops.place import Rectangle, holder, place
from tessera.extras.crops.settings import CropSettings, CropStepSettings
from tessera.imaging.boxes import Box
from tessera.imaging.hashing import scaled_hash
from tessera.imaging.images import write_image
from tessera.imaging.sharpness import luma, sharpness
from tessera.learning.detection.detector import Detector
from tessera.records.frame_keys import crop_key
from tessera.records.frames import read_sampled
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.crops import Crops
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, read_tables, types, write_table

ROWS = "rows.json"  # file in the store, beside the crops of a source
DIGITS = 6  # decimals of the sharpness


class Region(NamedTuple):
    """A region that a step found in a picture: its box in pixels of the frame, and its confidence."""

    box: Box
    confidence: float


@dataclass
class Piece:
    """A frame or a crop, in which the next step looks: its key, its frame, its place there, and what became of it."""

    key: str
    frame: "Picture"
    box: Rectangle
    outcome: dict[str, str]

    @property
    def image(self) -> np.ndarray:
        """Its pixels, uint8 (H, W, 3), RGB."""
        x0, y0, x1, y1 = self.box
        return self.frame.image[y0:y1, x0:x1]


@dataclass
class Picture:
    """A frame that was read: its row in `tables.Frames`, its pixels, and the regions that people drew in it, by label."""

    row: Mapping[str, Any]
    image: np.ndarray
    drawn: Mapping[str, Sequence[Box]]
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)  # of each candidate: a row of the ledger, by its key
    crops: list[dict[str, Any]] = field(default_factory=list)  # rows of `tables.Crops`


class StepDetector:
    """What finds the regions of a step. A detector is loaded when it is needed first."""

    def __init__(self, settings: CropStepSettings, weights: Path | None, expected: Path | str) -> None:
        """`weights`: the file of the detector, None for regions that people drew. `expected`: see `Detector`."""
        self.settings = settings
        self._weights = weights
        self._expected = expected

    def find(self, pieces: Sequence[Piece]) -> list[list[Region]]:
        """Return what is found in each of `pieces`, the most confident first, and of several of these the leftmost."""
        if not pieces:
            return []
        regions = self._drawn(pieces) if self._detector is None else self._detected(pieces, self._detector)
        return [sorted(each, key=lambda region: (-region.confidence, region.box)) for each in regions]

    @cached_property
    def cache_key(self) -> list[Any]:
        """Everything that its results depend on besides the pictures: values for a digest."""
        return [
            self._weights and sha256_file(self._weights),
            self.settings.model_dump(mode="json", exclude={"weights", "detector"}),
        ]

    @cached_property
    def _detector(self) -> Detector | None:
        if self._weights is None:
            return None
        return Detector(self._weights, self._expected, self.settings)

    def _detected(self, pieces: Sequence[Piece], detector: Detector) -> Iterator[list[Region]]:
        for piece, regions in zip(pieces, detector.predict(piece.image for piece in pieces), strict=True):
            x, y = piece.box[:2]
            shift = np.array([x, y, x, y])
            yield [
                # Two decimals as in the tables of detections: the last digits depend on the machine.
                Region(tuple((np.round(region.box, 2) + shift).tolist()), round(region.score, 4))
                for region in regions
            ]

    def _drawn(self, pieces: Sequence[Piece]) -> list[list[Region]]:
        regions: list[list[Region]] = [[] for _ in pieces]
        of_frame: dict[str, dict[Rectangle, tuple[Piece, list[Region]]]] = defaultdict(dict)
        for piece, of_piece in zip(pieces, regions, strict=True):
            of_frame[piece.frame.row["key"]].setdefault(piece.box, (piece, of_piece))
        for parents in of_frame.values():
            drawn = next(iter(parents.values()))[0].frame.drawn
            for box in (box for label in self.settings.labels for box in drawn.get(label, ())):
                if (parent := holder(box, parents)) is not None:
                    parents[parent][1].append(Region(box, 1.0))
        return regions


def crop_frames(
    frames: Path,
    images: Path,
    labels: Sequence[Path],
    weights: Sequence[Path | None],
    expected: Sequence[Path | str],
    settings: CropSettings,
    suffix: str,
    quality: int,
    cache: Path,
    *,
    code: str,
    threads: int,
    table: Path,
    pictures: Path,
    ledger: Path,
) -> None:
    """Cut crops out of the sampled frames of a shard, to the folder `pictures` and the `table` (`tables.Crops`).

    `frames`: `tables.Frames`, with their files in the folder `images`. `labels`: files of `tables.Annotations` with the regions
    that people drew in frames. `weights`, `expected`: for each step of `settings` the file of its detector and what verifies
    it, see `Detector`; None and an empty text for a step that takes what people drew. `suffix`, `quality`: see `write_image`.

    The first step looks in frames, and each other step in the crops of the step before. A crop is cut out of its frame. Its
    number counts what was found in its parent, the most confident first, and includes what was dropped, so that a smaller
    confidence or minimum side changes no key.

    `ledger` gets one row for each region that a step found, with the key of the crop, and one row for each frame in which the
    first step found none. A row that is `ok` is a crop. It has a remark if the next step found nothing in it.

    The crops of a source are stored in the folder `cache` of a `Store`, under a digest of everything that they depend on,
    including `code`, and linked from there. The detectors are loaded only if some are missing there. If a frame of a source
    failed, its crops are made again in the next run. `threads` threads read, hash and write; they change no byte.
    """
    drawn = _regions(read_tables(list(labels), Annotations))
    detectors = [StepDetector(*each) for each in zip(settings.steps, weights, expected, strict=True)]
    rows: list[dict[str, Any]] = []
    pictures.mkdir()

    def cut(sampled: Sequence[dict[str, Any]], folder: Path, made: Ledger) -> None:
        read = read_sampled(sampled, images, pool, 2 * threads, made)
        pieces = (Picture(row, image, drawn.get(row["key"], {})) for row, image in read)
        crops = list(_cut(pieces, detectors, folder, suffix, quality, pool, made))
        (folder / ROWS).write_text(json.dumps(crops), encoding="utf-8")

    with stored_items(cache, "sources", ledger) as (_, stored), ThreadPoolExecutor(threads) as pool:
        for _, of_source in read_table(frames, Frames).group_by("source", maintain_order=True):
            sampled = of_source.to_dicts()
            known = [[row, drawn.get(row["key"], {}), sha256_if_readable(images / row["file"])] for row in sampled]
            name = digest([[detector.cache_key for detector in detectors], suffix, quality, code, known])
            item = stored(name, partial(cut, sampled))
            crops = json.loads((item / ROWS).read_text(encoding="utf-8"))
            for row in crops:
                link_or_copy(item / row["file"], pictures / row["file"])
            rows += crops
    write_table(pl.DataFrame(rows, schema=types(Crops)), Crops, table)


def _regions(annotations: pl.DataFrame) -> dict[str, dict[str, list[Box]]]:
    """Return the boxes of `annotations` (`tables.Annotations`), by key and by label."""
    regions: dict[str, dict[str, list[Box]]] = {}
    columns = "key", "label", "x0", "y0", "x1", "y1"
    for key, label, *box in annotations.filter(~annotations["crowd"]).sort("key", "number").select(columns).iter_rows():
        regions.setdefault(key, {}).setdefault(label, []).append(tuple(box))
    return regions


def _cut(
    frames: Iterable[Picture],
    detectors: Sequence[StepDetector],
    folder: Path,
    suffix: str,
    quality: int,
    pool: ThreadPoolExecutor,
    ledger: Ledger,
) -> Iterator[dict[str, Any]]:
    """Write the crops of `frames` to `folder`, and yield their rows of `tables.Crops`."""

    def store(piece: tuple[Piece, dict[str, Any]]) -> dict[str, Any]:
        image = np.ascontiguousarray(piece[0].image)
        write_image(folder / piece[1]["file"], image, quality)
        return {**piece[1], "phash": scaled_hash(image), "sharpness": round(sharpness(luma(image)), DIGITS)}

    # So many frames are held in memory, that a batch of the detectors is full.
    count = max(detector.settings.batch for detector in detectors)
    waiting = iter(frames)
    while together := list(islice(waiting, count)):
        cut = _crops(together, detectors, suffix)
        for frame in together:
            for key, outcome in frame.outcomes.items():
                ledger.row(key, **outcome)  # type: ignore[arg-type]
        yield from pool.map(store, cut)


def _crops(frames: Sequence[Picture], detectors: Sequence[StepDetector], suffix: str) -> list[tuple[Piece, dict[str, Any]]]:
    """Return the crops of `frames`, by frame, each with its row of `tables.Crops` but for what its pixels decide."""
    crops: dict[str, list[tuple[Piece, dict[str, Any]]]] = {frame.row["key"]: [] for frame in frames}
    parents = [Piece(frame.row["key"], frame, (0, 0, frame.row["width"], frame.row["height"]), {}) for frame in frames]
    for detector in detectors:
        step = detector.settings
        pieces: list[Piece] = []
        for parent, regions in zip(parents, detector.find(parents), strict=True):
            if not regions:
                _note_nothing(parent, step.name)
            taken: list[Rectangle] = []
            frame = parent.frame
            for number, region in enumerate(regions):
                key = crop_key(parent.key, step.name, number)
                try:
                    box, remark = place(region.box, parent.box, frame.image.shape[:2], taken, step)
                except Dropped as error:
                    frame.outcomes[key] = {"status": "dropped", "reason": error.reason, "detail": error.detail}
                    continue
                taken.append(box)
                frame.outcomes[key] = {"status": "ok", "reason": remark, "detail": ""}
                piece = Piece(key, frame, box, frame.outcomes[key])
                pieces.append(piece)
                crops[frame.row["key"]].append((piece, _row(piece, parent, step.name, region, suffix)))
        parents = pieces
    return [each for pieces in crops.values() for each in pieces]


def _note_nothing(parent: Piece, step: str) -> None:
    """Write to the ledger that the `step` found nothing in `parent`."""
    reason = f"no {step} in it"
    if parent.outcome:
        parent.outcome["reason"] = "; ".join(filter(None, [parent.outcome["reason"], reason]))
    else:
        parent.frame.outcomes[parent.key] = {"status": "dropped", "reason": reason, "detail": ""}


def _row(piece: Piece, parent: Piece, step: str, region: Region, suffix: str) -> dict[str, Any]:
    x0, y0, x1, y1 = piece.box
    frame = piece.frame.row
    return {
        "key": piece.key,
        "source": frame["source"],
        "frame": frame["key"],
        "index": frame["index"],
        "pts": frame["pts"],
        "parent": parent.key,
        "step": step,
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "found_height": region.box[3] - region.box[1],
        "confidence": region.confidence,
        "file": f"{piece.key}{suffix}",
        "width": x1 - x0,
        "height": y1 - y0,
    }
