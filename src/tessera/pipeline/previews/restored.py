"""Restore sources that show mosaics: the restored video, a comparison side by side, and a contact sheet of each."""

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, model_validator

from tessera.core.errors import Failed
from tessera.core.files import file_name, link_or_copy
from tessera.core.job import progress, tell
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.messages import counted
from tessera.core.provenance import digest
from tessera.core.settings import Settings
from tessera.core.store import Store
from tessera.core.weights.declare import TrainedOrDeclaredWeights
from tessera.imaging.crops import CropSettings, Fit, clip_shape, crop_box, pad_of
from tessera.imaging.encode import Preset
from tessera.imaging.frame import BLACK, Matrix, VideoFrame, display_matrix, from_planes, is_turned, rgb, small_planes, upright
from tessera.imaging.images import resize, write_image
from tessera.imaging.paint import paint
from tessera.imaging.sheets import contact_sheet
from tessera.imaging.video import read_frames, read_packets
from tessera.imaging.video_copy import VideoCopy, encodable, suffix_of_copy
from tessera.pipeline.previews.rendering import NO_MOSAIC, RenderSettings, stamp, summarise_previews
from tessera.pipeline.previews.restore import Patch, Region, Restore, restored

if TYPE_CHECKING:
    import av
    import polars as pl

AHEAD = 4  # frames that wait for a thread
DECODERS = 2  # threads of the decoder
GAP = 4  # pixels between the halves of a comparison
# The files of a source in the store. The first two get a suffix.
VIDEO, COMPARISON, SHEET, COUNTS = "restored", "comparison", "sheet.jpg", "frames.json"
NO_REGION = "Frames in which nothing was found"  # the heading of the last band of a contact sheet
RESTORED, NOTHING, LOST = "restored", "nothing found", "cannot be decoded"  # what frames are counted as


class RestoreSettings(Settings):
    """How regions are restored, and how the videos are encoded."""

    weights: TrainedOrDeclaredWeights = "trained"
    window: int = Field(48, ge=2)
    overlap: int = Field(8, ge=0)
    feather: float = Field(0.03, ge=0, le=0.5)
    quantizer: int = Field(18, ge=0, le=51)
    preset: Preset = "ultrafast"

    @model_validator(mode="after")
    def _windows_proceed(self) -> Self:
        if self.overlap > self.window // 2:
            raise ValueError(f"`overlap` is {self.overlap}, which is more than half of `window`, {self.window}")
        return self


def restore_previews(
    sources: Path,
    scenes: Path,
    scene_frames: Path,
    found: Path,
    restore: Restore,
    kept: Path,
    *,
    made_by: Any,
    settings: RestoreSettings,
    crops: CropSettings,
    size: int,
    keep_aspect: bool,
    render: RenderSettings,
    videos: Path,
    comparisons: Path,
    sheets: Path,
    ledger: Path,
) -> None:
    """Restore the `scenes` of the sources of a shard: NAME.mp4 in `videos` and `comparisons`, NAME.jpg in `sheets`.

    `sources`, `scenes`, `scene_frames`: `tables.Sources`, `.Scenes` and `.SceneFrames`. `found`: the ledger of the
    detection. `ledger` gets one row per source; sources in which no mosaic was found are dropped.

    `restore`: gets squares of `size` pixels, see `Fit`. The restored video has the times, the colours, the orientation and the
    sound of the source. Before it is encoded, a pixel equals that of the source unless it belongs to a region or its soft edge.
    The comparison shows the source and the restored video side by side, and is at most `render.max_side` pixels wide.

    Results are kept in the `Store` in the folder `kept`, under a digest of everything that they depend on, which includes
    `made_by`, and linked from there.
    """
    import polars as pl

    from tessera.records.tables.footage import Sources
    from tessera.records.tables.scenes import SceneFrames, Scenes
    from tessera.records.tables.table import read_table

    store = Store(kept, "restored videos")
    shown = read_table(scenes, Scenes)
    # For two hours of video, this table takes most of the memory. So it is held once, and its rows become Python objects scene
    # by scene.
    places = read_table(scene_frames, SceneFrames).sort("key", "index").partition_by("key", as_dict=True)
    used: set[str] = set()
    for folder in (videos, comparisons, sheets):
        folder.mkdir()
    with Ledger(ledger) as book:
        for row in read_ledger(found):
            if row["status"] != "ok":
                book.row(row["key"], row["status"], row["reason"], row["detail"])
            elif row["key"] not in shown["source"]:
                book.row(row["key"], "dropped", NO_MOSAIC)
        for source in read_table(sources, Sources).join(shown, on="source", how="semi").iter_rows(named=True):
            own = shown.filter(pl.col("source") == source["source"])
            where = [places[key,] for key in own["key"]]
            regions = [
                _region(scene, frames, crops, size, keep_aspect)
                for scene, frames in zip(own.iter_rows(named=True), where, strict=True)
            ]
            inputs = [
                source["sha256"],
                own.rows(),
                [digest(frames.rows()) for frames in where],
                made_by,
                settings.model_dump(mode="json", exclude={"weights"}),
            ]
            inputs += [crops.model_dump(mode="json"), size, keep_aspect, render.model_dump(mode="json")]
            name, title = digest(inputs), file_name(source["source"])
            with book.item(source["source"]) as note:
                if not store.holds(name):
                    with store.make(name) as folder:
                        restore_video(source, regions, restore, settings, render, folder)
                for path in store.item(name).iterdir():
                    target = {VIDEO: videos, COMPARISON: comparisons}.get(path.stem, sheets)
                    if path.suffix != ".json":
                        link_or_copy(path, target / f"{title}{path.suffix}")
                counts = json.loads((store.item(name) / COUNTS).read_text(encoding="utf-8"))
                note["detail"] = f"{counted(len(regions), 'regions')}; {describe_frames(counts)}"
                used.add(name)
    store.keep(used)


def gate_restored(ledgers: Sequence[Path], previewed: Sequence[str], asked: Sequence[str], summary: Path) -> None:
    """Write the summary of all `ledgers` to `summary`; see `summarise_previews`. Print where the restored videos lie.

    `summary` lies beside the shards.
    """
    summarise_previews(ledgers, previewed, asked, summary)
    count = sum(row["status"] == "ok" for path in ledgers for row in read_ledger(path))
    tell(f"{counted(count, 'restored videos')}, with comparisons and contact sheets: {summary.parent}/SHARD")


def describe_frames(counts: Mapping[str, int]) -> str:
    """Return in words of how many frames a region was restored, and in how many nothing was found."""
    total = counted(sum(counts.values()), "frames")
    text = f"restored in {counts.get(RESTORED, 0):,} of {total}, nothing found in {counts.get(NOTHING, 0):,}"
    return f"{text}, {counts[LOST]:,} cannot be decoded" if LOST in counts else text


def restore_video(
    source: dict[str, Any],
    regions: Sequence[Region],
    restore: Restore,
    settings: RestoreSettings,
    render: RenderSettings,
    folder: Path,
) -> None:
    """Write the restored video, the comparison and the contact sheet of `source`, a row of `tables.Sources`, to `folder`.

    The file `COUNTS` gets the number of frames by what was done with them. At least one frame shows one of `regions`. No more
    frames are held than a window has, and a few for the encoders.
    Raises `Failed` if the video cannot be read, or if a frame has another size than its region.
    """
    path = Path(source["path"])
    packets, suffix = read_packets(path), suffix_of_copy(path)
    sheet = _Sheet(regions, len(packets), render)
    counts: Counter[str] = Counter()
    with ExitStack() as opened:
        video, comparison = (
            opened.enter_context(
                VideoCopy(folder / f"{name}{suffix}", path, quantizer=settings.quantizer, preset=settings.preset, **how)
            )
            for name, how in ((VIDEO, {}), (COMPARISON, {"is_upright": True}))
        )

        def pair(
            frame: VideoFrame, picture: "av.VideoFrame", matrix: Matrix, before: Sequence[np.ndarray], is_changed: bool
        ) -> None:
            after = _half(picture, matrix, render.max_side) if is_changed else before
            comparison.write(frame, _pair(before, after))

        encode, compare = (opened.enter_context(_Thread(work)) for work in (video.write, pair))
        frames = read_frames(path, packets, threads=DECODERS)
        marked = restored(frames, regions, restore, window=settings.window, overlap=settings.overlap, feather=settings.feather)
        for frame, patches in progress(marked, len(packets), f"frames of {source['source']!r}"):
            counts[LOST if frame.picture is None else RESTORED if patches else NOTHING] += 1
            if frame.picture is None:
                continue  # The frame before it stays on the screen.
            picture, matrix = encodable(frame.picture), display_matrix(frame.picture)
            before = _half(picture, matrix, render.max_side)
            is_shown = sheet.wants(frame, patches)
            if is_shown:
                sheet.add(frame, patches, rgb(picture, matrix), "before")
            if patches:
                picture.make_writable()
                for patch in patches:
                    paint(picture, matrix, patch.box, patch.image, patch.weight)
            if is_shown and patches:
                sheet.add(frame, patches, rgb(picture, matrix), "after")
            encode(frame, picture)
            compare(frame, picture, matrix, before, bool(patches))
    (folder / COUNTS).write_text(json.dumps(counts), encoding="utf-8")
    write_image(folder / SHEET, sheet.drawn(f"{source['source']}: {describe_frames(counts)}"))


def _region(scene: dict[str, Any], frames: "pl.DataFrame", crops: CropSettings, size: int, keep_aspect: bool) -> Region:
    """Return the region of `scene`, a row of `tables.Scenes`, whose rows of `tables.SceneFrames` are `frames`."""
    whole = scene["height"], scene["width"]
    boxes = [crop_box(box, whole, crops) for box in frames.select("x0", "y0", "x1", "y1").rows()]
    shape = clip_shape(boxes, is_even=False)
    pads = [pad_of(box, shape) for box in boxes]
    return Region(scene["first"], boxes, pads, Fit(shape, size, keep_aspect), frames["rle"], whole)


def _half(picture: "av.VideoFrame", matrix: Matrix, side: int) -> list[np.ndarray]:
    """Return `picture` upright, scaled down to a half of a comparison of at most `side` pixels; see `small_planes`."""
    width = picture.height if is_turned(matrix) else picture.width
    scale = min(1, (side - GAP) / 2 / width, side / max(picture.width, picture.height))
    size = (max(2, int(length * scale) // 2 * 2) for length in (picture.width, picture.height))
    return [upright(plane, matrix) for plane in small_planes(picture, *size)]


def _pair(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> "av.VideoFrame":
    """Return the picture of `before` and `after`, results of `_half`, side by side with a black gap."""
    gaps = [
        np.full((len(plane), gap), level, np.uint8)
        for plane, gap, level in zip(before, (GAP, GAP // 2, GAP // 2), BLACK, strict=True)
    ]
    return from_planes([np.concatenate(each, axis=1) for each in zip(before, gaps, after, strict=True)])


class _Sheet:
    """The contact sheet of a source, of evenly spaced frames.

    Of those that show a region, it has the frame and the region before and after; then come some in which nothing was found.
    """

    def __init__(self, regions: Sequence[Region], count: int, render: RenderSettings) -> None:
        """`count`: of the frames of the video."""
        shown = np.zeros(count, bool)
        for region in regions:
            shown[region.first : region.stop] = True
        self._coming = {has: _middles(np.flatnonzero(shown == has), render.columns) for has in (True, False)}
        self._render = render
        headings = "Frames before", "Frames after", "Regions before", "Regions after", NO_REGION
        self._bands: dict[str, list[tuple[np.ndarray, str]]] = {heading: [] for heading in headings}

    def wants(self, frame: VideoFrame, patches: Sequence[Patch]) -> bool:
        """Return whether `frame`, which shows `patches`, is one of the sheet; frames come in order."""
        coming = self._coming[bool(patches)]
        is_wanted = bool(coming and frame.index >= coming[0])
        if is_wanted:
            coming.popleft()
        return is_wanted

    def add(self, frame: VideoFrame, patches: Sequence[Patch], image: np.ndarray, when: str) -> None:
        """Add `image`, the picture of `frame`, uint8 (H, W, 3), RGB, to the bands for `when`: before or after."""
        parts = {NO_REGION: image}
        if patches:
            x0, y0, x1, y1 = max((patch.crop for patch in patches), key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
            parts = {f"Frames {when}": image, f"Regions {when}": image[y0:y1, x0:x1]}
        for heading, part in parts.items():
            scale = self._render.tile / max(part.shape[:2])
            tile = resize(part, *(max(1, round(side * scale)) for side in part.shape[:2]))
            self._bands[heading].append((tile, stamp(frame.index, frame.time)))

    def drawn(self, title: str) -> np.ndarray:
        """Return the sheet, uint8 (H, W, 3), RGB. Raises `Failed` if no frame with a region was added."""
        if not self._bands["Frames before"]:
            raise Failed("no frame with a region can be decoded")
        bands = {heading: tiles for heading, tiles in self._bands.items() if tiles}
        return contact_sheet(title, bands, self._render.tile, self._render.columns)


def _middles(indices: np.ndarray, count: int) -> deque[int]:
    """Return the middle of each of at most `count` equal parts of `indices`."""
    return deque(int(part[len(part) // 2]) for part in np.array_split(indices, min(count, len(indices)) or 1) if len(part))


class _Thread:
    """Calls a function in a thread of its own, in order, inside a `with` block; at most `AHEAD` calls wait."""

    def __init__(self, work: Callable[..., None]) -> None:
        self._work = work
        self._waiting: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        while kind is None and self._waiting:
            self._waiting.popleft().result()

    def __call__(self, *arguments: Any) -> None:
        if len(self._waiting) == AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._work, *arguments))
