"""What a detector sees: batched, on the GPU where there is one, masks at the full resolution of the image."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, PositiveInt

from tessera.detectors.offline import offline
from tessera.errors import Failed, TesseraError
from tessera.geometry import Box, encode_rle
from tessera.job import ahead, progress
from tessera.ledger import Ledger
from tessera.media.footage import read_footage
from tessera.media.images import read_image
from tessera.provenance import file_name, sha256_file
from tessera.settings import Settings
from tessera.weights import DeclaredWeights, TrainedOrDeclaredWeights, WeightsSettings

if TYPE_CHECKING:
    import polars as pl


class PredictionSettings(Settings):
    """How a detector is run over images."""

    confidence: float = Field(0.1, gt=0, lt=1)
    iou: float = Field(0.7, ge=0, le=1)
    image_size: int | None = Field(None, ge=32, multiple_of=32)
    batch: PositiveInt = 8
    half: bool = True
    max_regions: PositiveInt = 50


class PreviewPredictionSettings(PredictionSettings):
    """How a detector is run for a preview, and on which frames."""

    stride: PositiveInt = 1
    max_frames: PositiveInt = 3000


class FinderSettings(PredictionSettings):
    """A detector that looks at the sampled frames, where its weights are declared."""

    weights: DeclaredWeights = None


class TrainedFinderSettings(PredictionSettings):
    """The same, but that its weights may be those trained here."""

    weights: TrainedOrDeclaredWeights = "trained"


class WatermarkFinderSettings(TrainedFinderSettings):
    """The one of watermarks, shown larger images than it was trained on: marks are small."""

    image_size: int | None = Field(640, ge=32, multiple_of=32)


@dataclass(frozen=True)
class Region:
    """One region that a detector sees in an image.

    `box`: x0, y0, x1, y1 in pixels of the image, half-open. `mask`: uint8 (H, W), 0 or 255, the size of the image;
    None from a detector that knows boxes only. `score`: the confidence in [0, 1].
    """

    label: str
    score: float
    box: Box
    mask: np.ndarray | None


class Predictor:
    """A detector that is loaded once and run over any number of images."""

    def __init__(self, weights: Path, expected: Path | str, settings: PredictionSettings) -> None:
        """Load `weights`, a checkpoint of ultralytics (`.pt`) or what it exported (`.onnx`), of boxes or masks.

        `expected`: the sha256 of the file, or a SHA256SUMS that must list it. Raises `TesseraError` where it is another, or is
        no model. Images are shown at the size that the model was trained at where `settings.image_size` names none, and to an
        ONNX model of a fixed size at that.
        """
        found = sha256_file(weights)
        if isinstance(expected, str):
            if found != expected:
                raise TesseraError(f"{weights}: its sha256 is {found}, not {expected}; delete it and run again")
        elif f"{found}  {weights.name}" not in expected.read_text(encoding="utf-8").splitlines():
            raise TesseraError(f"{weights}: not the file that {expected} lists; delete {weights.parent} and run again")
        offline()
        from ultralytics import YOLO

        declared = getattr(settings, "weights", None)
        self._name = declared.source if isinstance(declared, WeightsSettings) else str(weights)
        try:
            self._model: Any = YOLO(weights)
        except Exception as error:  # what is no checkpoint is met with exceptions of many kinds
            raise self._unusable(error) from error
        self._settings = settings
        # Ultralytics takes the size that a checkpoint was trained at from it.
        self._size = {"imgsz": settings.image_size} if settings.image_size else {}

    @property
    def labels(self) -> list[str]:
        """The names of its classes."""
        return list(self._model.names.values())

    def predict(self, images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        """Yield the regions of each of `images`, surest first, in the order of the images.

        `images`: uint8 (H, W, 3), RGB, of any sizes; no more than a batch of them is held.
        Raises `TesseraError` where the memory of the GPU does not suffice, or the weights are not of such a detector.
        """
        import cv2
        import torch

        for batch in _batches(images, self._settings.batch):
            try:
                results = self._model.predict(
                    [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in batch],
                    conf=self._settings.confidence,
                    iou=self._settings.iou,
                    **self._size,
                    quantize=16 if self._settings.half else None,
                    max_det=self._settings.max_regions,
                    retina_masks=True,
                    verbose=False,
                )
            except torch.OutOfMemoryError as error:
                raise TesseraError(f"the GPU is out of memory: lower `batch` or `image_size` ({error})") from error
            except MemoryError:
                raise
            except Exception as error:  # an ONNX model is opened and tried here
                raise self._unusable(error) from error
            if any(result.boxes is None for result in results):
                raise self._unusable("it sees no upright boxes")
            yield from map(_regions, results)

    def _unusable(self, reason: Exception | str) -> TesseraError:
        said = " ".join(str(reason).split())[:300]
        return TesseraError(f"{self._name} does not run as a detector of boxes or masks ({said}); declare other weights")


def _batches(images: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Yield runs of at most `size` images of one shape: in a mixed batch, the others would change how each is padded."""
    batch: list[np.ndarray] = []
    for image in images:
        if batch and (len(batch) == size or image.shape != batch[0].shape):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _regions(result: Any) -> list[Region]:
    masks = [None] * len(result.boxes) if result.masks is None else result.masks.data.cpu().numpy() * np.uint8(255)
    boxes = result.boxes.cpu().numpy()
    return [
        Region(result.names[int(kind)], float(score), tuple(box.tolist()), mask)
        for kind, score, box, mask in zip(boxes.cls, boxes.conf, boxes.xyxy, masks, strict=True)
    ]


def predict_previews(
    sources: Path,
    weights: Path,
    expected: Path | str,
    wanted: Sequence[str],
    settings: PreviewPredictionSettings,
    frames: Path,
    predictions: Path,
    ledger: Path,
) -> None:
    """Run the detector `weights` over the sources `wanted` of a shard.

    `sources`: `tables.Sources`; `expected`: see `Predictor`. Of each source every `settings.stride`-th frame is predicted or,
    where these are more than `settings.max_frames`, so many evenly spaced ones. `frames` gets them as `tables.PredictedFrames`,
    `predictions` what was seen as `tables.Annotations`, and `ledger` a row per frame, or one for a source that was refused or
    cannot be opened.
    """
    import polars as pl

    from tessera.tables import Annotations, PredictedFrames, Sources, read_table, types, write_table

    asked = read_table(sources, Sources).filter(pl.col("source").is_in(list(wanted)))
    admitted = asked.filter(pl.col("status") == "admitted").to_dicts()
    predictor = Predictor(weights, expected, settings) if admitted else None
    looked: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    with Ledger(ledger) as book:
        for source, reason in asked.filter(pl.col("status") == "refused").select("source", "reason").iter_rows():
            book.row(source, "dropped", "source refused", reason)
        for source in admitted:
            assert predictor is not None
            indices = _evenly(source["frames"], settings.stride, settings.max_frames)
            pictures = progress(_pictures(source, indices, book), len(indices), f"frames of {source['source']!r}")
            for frame, rows in _look(predictor, pictures, book):
                looked.append(frame)
                seen += rows
    write_table(pl.DataFrame(looked, schema=types(PredictedFrames)), PredictedFrames, frames)
    write_table(pl.DataFrame(seen, schema=types(Annotations)), Annotations, predictions)


def find_regions(
    frames: Path,
    images: Path,
    sources: Path,
    weights: Path,
    expected: Path | str,
    dataset: str,
    settings: PredictionSettings,
    table: Path,
    ledger: Path,
    *,
    threads: int,
) -> None:
    """Run the detector `weights` over the sampled frames of the sources of a shard that may feed `dataset`.

    `frames`: `tables.Frames`, their files in the folder `images`; `sources`: `tables.Sources`; `expected`: see `Predictor`.
    `table` gets what was seen as `tables.Annotations`, masks at the size of the frame, labels as the weights name them.
    `ledger` gets a row per frame: ok is one that was looked at, whether something was seen in it or not.
    Images are read ahead by `threads`.
    """
    import polars as pl

    from tessera.tables import Annotations, Frames, Sources, read_table, types, write_table

    admitted = read_table(sources, Sources).filter(pl.col("status") == "admitted")
    feeds = {source for source, use in admitted.select("source", "use").iter_rows() if not use or dataset in use}
    sampled = read_table(frames, Frames)
    predictor = Predictor(weights, expected, settings) if feeds & set(sampled["source"]) else None
    seen: list[dict[str, Any]] = []
    with Ledger(ledger) as book, ThreadPoolExecutor(threads) as pool:
        for (source,), own in sampled.group_by("source", maintain_order=True):
            if source not in feeds:
                for key in own["key"]:
                    book.row(key, "dropped", f"source not for {dataset}")
                continue
            assert predictor is not None
            pictures = progress(_stored(own, images, pool, threads, book), own.height, f"frames of {source!r}")
            for _, rows in _look(predictor, pictures, book):
                seen += rows
    write_table(pl.DataFrame(seen, schema=types(Annotations)), Annotations, table)


def _look(
    predictor: Predictor, pictures: Iterable[tuple[dict[str, Any], np.ndarray]], book: Ledger
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each of the frames `pictures` of one source, and the rows of what is seen in it; `book` gets a row for it.

    Of one source, because no batch may hold two: what one shows must not depend on its shard.
    """
    frames_of, images_of = tee(pictures)  # each frame waits here for its batch
    for (frame, _), regions in zip(frames_of, predictor.predict(image for _, image in images_of), strict=True):
        book.row(frame["key"], "ok")
        yield frame, [_row(frame["key"], number, region) for number, region in enumerate(regions)]


def _stored(
    frames: "pl.DataFrame", images: Path, pool: ThreadPoolExecutor, threads: int, book: Ledger
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the row and the image of each of the sampled `frames` that can be read; `book` gets a row for each that cannot."""
    for row, reading in ahead(pool, lambda row: read_image(images / row["file"]), frames.iter_rows(named=True), 2 * threads):
        try:
            image = reading.result()
            size = image.shape[1], image.shape[0]
            if size != (row["width"], row["height"]):
                raise Failed("image is not the frame", f"{size} pixels, sampled were {(row['width'], row['height'])}")
        except Failed as error:
            book.row(row["key"], "failed", error.reason, error.detail)
            continue
        yield row, image


def _evenly(count: int, stride: int, limit: int) -> range:
    """Return at most `limit` of `count` places, evenly spaced, `stride` or more apart."""
    return range(0, count, max(stride, -(-count // limit)))


def _pictures(source: dict[str, Any], indices: range, book: Ledger) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the row and the image of each frame that can be decoded; `book` gets a row for each that cannot."""
    name = source["source"]
    try:
        for frame in read_footage(Path(source["path"]), source["kind"], indices):
            key = f"{file_name(name)}-{frame.index:07d}"
            try:
                image = frame.image()
            except Failed as error:
                book.row(key, "failed", error.reason, error.detail)
                continue
            height, width = image.shape[:2]
            row = {"key": key, "source": name, "index": frame.index, "pts": frame.pts, "time": frame.time}
            yield {**row, "width": width, "height": height}, image
    except Failed as error:
        book.row(name, "failed", error.reason, error.detail)


def _row(key: str, number: int, region: Region) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(edge, 2) for edge in region.box)
    return {
        "key": key,
        "number": number,
        "label": region.label,
        "polygons": None,
        "rle": None if region.mask is None else encode_rle(region.mask),
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "crowd": False,
        "score": round(region.score, 4),
    }
