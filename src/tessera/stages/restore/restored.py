"""Restore sources that show mosaics: the restored video, a comparison side by side, and a contact sheet of each."""

import json
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, model_validator

from tessera.core.errors import Failed
from tessera.core.files import file_name, link_or_copy
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.progress import progress
from tessera.core.provenance import digest
from tessera.core.settings import Settings
from tessera.core.store import Store
from tessera.imaging.containers import GUESSED_RATE
from tessera.imaging.crops import CropSettings, Fit, clip_shape, crop_box, pad_of
from tessera.imaging.encodable import encodable, formats_of
from tessera.imaging.encode import Preset
from tessera.imaging.frame import (
    BLACK,
    UPRIGHT,
    Matrix,
    VideoFrame,
    display_matrix,
    is_turned,
    new_picture,
    planes_of,
    rgb,
    small_planes,
    upright,
)
from tessera.imaging.images import write_image
from tessera.imaging.paint import paint
from tessera.imaging.sheets import RenderSettings
from tessera.imaging.spans import parse_spans
from tessera.imaging.tracks import Moves, plan_tracks
from tessera.imaging.video import Packets, read_frames, read_packets
from tessera.imaging.video_copy import (
    ENCODERS,
    PART,
    Codec,
    Encoding,
    Form,
    PictureWriter,
    assemble,
    exact_rate,
    form_of,
    moves_of,
    stamps_of,
)
from tessera.learning.weights.declare import TrainedOrDeclaredWeights
from tessera.records.previews import NO_MOSAIC, summarise_previews
from tessera.stages.restore.restore import Patch, Region, Restore, restart, restored
from tessera.stages.restore.restored_sheet import Tiles, choose_frames, crops_of, draw_sheet

if TYPE_CHECKING:
    import av
    import polars as pl

AHEAD = 4  # frames that wait for a thread
WINDOWS = 10  # in a part of a film, which is what a restoration that was stopped loses at most
DECODERS = 2  # threads of the decoder
GAP = 4  # pixels between the halves of a comparison
# The files of a source in the store. The first two get a suffix.
VIDEO, COMPARISON, SHEET, COUNTS = "restored", "comparison", "sheet.jpg", "frames.json"
TILES = "tiles.npz"  # a file of a part in the store
RESTORED, NOTHING, LOST = "restored", "nothing found", "cannot be decoded"  # what frames are counted as


class RestoreSettings(Settings):
    """How regions are restored, and how the videos are encoded."""

    weights: TrainedOrDeclaredWeights = "trained"
    """Weights of the restoration model. `trained` uses the model that is trained here. {source: a path or https://…, sha256: …}
    uses a .safetensors or .pth file of Tessera or of Lada, of any size, which is fetched once and verified. `null` restores
    nothing.
    """
    window: int = Field(48, ge=2)
    """Frames that are restored together. At 4K, a frame that waits takes 12 to 25 MB."""
    overlap: int = Field(8, ge=0)
    """Frames that a window shares with the next. The results of both are blended there. At most half of the window."""
    feather: float = Field(0.03, ge=0, le=0.5)
    """Width of the soft edge around a region, outside it, as a fraction of the longer side of its crop."""
    codec: Codec = "h264"
    """Codec of the restored videos: `h264`, which plays everywhere, `hevc` or `av1`. Comparisons are always H.264."""
    quantizer: int = Field(18, ge=0, le=51)
    """Quality of the videos, from 0 to 51; lower is better. For H.264, the constant quantizer, where 0 is lossless up to 8
    bits; for HEVC and AV1, the constant rate factor, where 0 is lossless in HEVC.
    """
    preset: Preset = "ultrafast"
    """Speed preset, by the names of x264. With H.264, `veryfast` takes four times as long, for files that are a fifth to a half
    smaller.
    """
    pixel_format: str = "source"
    """Pixel format of the restored videos, such as `yuv420p`, which plays everywhere, or `yuv420p10le`. `source`: that of the
    source or, if the codec does not have it, the closest.
    """
    rate: float | None = Field(None, gt=0, le=1000)
    """Constant frame rate of the restored videos; frames are repeated or left out. `null`: the times of the source."""
    spans: dict[str, list[str]] = Field(default_factory=dict)
    """Time spans by source, such as {my video: [0:10-0:25, 1:02:00-1:03:30.5]}. Of these sources, the restored video has these
    spans alone, one after the other.
    """

    @property
    def encoding(self) -> Encoding:
        """How the pictures are encoded."""
        pixel_format = None if self.pixel_format == "source" else self.pixel_format
        return Encoding(self.codec, self.quantizer, self.preset, pixel_format)

    @model_validator(mode="after")
    def _pixels_are_encodable(self) -> Self:
        if self.pixel_format == "source":
            return self  # without loading FFmpeg
        known = "source", *formats_of(ENCODERS[self.codec])
        if self.pixel_format not in known:
            raise ValueError(f"`pixel_format` is {self.pixel_format!r}; with {self.codec}, it can be {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _spans_are_times(self) -> Self:
        for texts in self.spans.values():
            parse_spans(texts)
        return self

    @model_validator(mode="after")
    def _windows_proceed(self) -> Self:
        if self.overlap > self.window // 2:
            raise ValueError(f"`overlap` is {self.overlap}, which is more than half of `window`, {self.window}")
        return self


def restore_previews(
    sources: Path,
    scenes: Path,
    scene_frames: Path,
    detection_ledger: Path,
    restore: Restore,
    cache: Path,
    *,
    cache_key: Any,
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

    `sources`, `scenes`, `scene_frames`: `tables.Sources`, `.Scenes` and `.SceneFrames`. `detection_ledger`: the ledger of the
    detection. `ledger` gets one row per source; sources in which no mosaic was found are dropped.

    `restore`: gets squares of `size` pixels, see `Fit`. The restored video has the times, the colours, the orientation and the
    sound of the source. Before it is encoded, a pixel equals that of the source unless it belongs to a region or its soft edge.
    The comparison shows the source and the restored video side by side, and is at most `render.max_side` pixels wide.

    Results are kept in the `Store` in the folder `cache`, under a digest of everything that they depend on, which includes
    `cache_key`, and linked from there.
    """
    import polars as pl

    from tessera.records.tables.footage import Sources
    from tessera.records.tables.scenes import SceneFrames, Scenes
    from tessera.records.tables.table import read_table

    store, parts = Store(cache, "restored videos"), Store(cache.with_name("parts"), "parts")
    scene_table = read_table(scenes, Scenes)
    # For two hours of video, this table takes most of the memory. So it is held once, and its rows become Python objects scene
    # by scene.
    frames_of_scene = read_table(scene_frames, SceneFrames).sort("key", "index").partition_by("key", as_dict=True)
    used: set[str] = set()
    for folder in (videos, comparisons, sheets):
        folder.mkdir()
    with Ledger(ledger) as writer:
        for row in read_ledger(detection_ledger):
            if row["status"] != "ok":
                writer.row(row["key"], row["status"], row["reason"], row["detail"])
            elif row["key"] not in scene_table["source"]:
                writer.row(row["key"], "dropped", NO_MOSAIC)
        for source in read_table(sources, Sources).join(scene_table, on="source", how="semi").iter_rows(named=True):
            scenes_of_source = scene_table.filter(pl.col("source") == source["source"])
            where = [frames_of_scene[key,] for key in scenes_of_source["key"]]
            regions = [
                _region(scene, frames, crops, size, keep_aspect)
                for scene, frames in zip(scenes_of_source.iter_rows(named=True), where, strict=True)
            ]
            inputs = [
                source["sha256"],
                scenes_of_source.rows(),
                [digest(frames.rows()) for frames in where],
                cache_key,
                settings.model_dump(mode="json", exclude={"weights", "spans"}),
                settings.spans.get(source["source"], []),
            ]
            inputs += [crops.model_dump(mode="json"), size, keep_aspect, render.model_dump(mode="json")]
            name, title = digest(inputs), file_name(source["source"])
            with writer.item(source["source"]) as note:
                if not store.holds(name):
                    with store.make(name) as folder:
                        restore_video(source, regions, restore, settings, render, folder, parts, name)
                for path in store.item(name).iterdir():
                    target = {VIDEO: videos, COMPARISON: comparisons}.get(path.stem, sheets)
                    if path.suffix != ".json":
                        link_or_copy(path, target / f"{title}{path.suffix}")
                outcome = json.loads((store.item(name) / COUNTS).read_text(encoding="utf-8"))
                said = pluralize(len(regions), "regions"), describe_frames(outcome["counts"]), *outcome["remarks"]
                note["detail"] = "; ".join(said)
                used.add(name)
    store.keep(used)
    parts.keep(())


def gate_restored(ledgers: Sequence[Path], previewed: Sequence[str], asked: Sequence[str], summary: Path) -> None:
    """Write the summary of all `ledgers` to `summary`; see `summarise_previews`. Print where the restored videos lie.

    `summary` lies beside the shards.
    """
    summarise_previews(ledgers, previewed, asked, summary)
    count = sum(row["status"] == "ok" for path in ledgers for row in read_ledger(path))
    tell(f"{pluralize(count, 'restored videos')}, with comparisons and contact sheets: {summary.parent}/SHARD")


def describe_frames(counts: Mapping[str, int]) -> str:
    """Return in words of how many frames a region was restored, and in how many nothing was found."""
    total = pluralize(sum(counts.values()), "frames")
    text = f"restored in {counts.get(RESTORED, 0):,} of {total}, nothing found in {counts.get(NOTHING, 0):,}"
    return f"{text}, {counts[LOST]:,} cannot be decoded" if LOST in counts else text


def restore_video(
    source: dict[str, Any],
    regions: Sequence[Region],
    restore: Restore,
    settings: RestoreSettings,
    render: RenderSettings,
    folder: Path,
    parts: Store | None = None,
    name: str = "part",
) -> list[str]:
    """Write the restored video, the comparison and the contact sheet of `source`, a row of `tables.Sources`, to `folder`.

    Return in words what differs from the original. The file `COUNTS` gets the number of frames by what was done with them. At
    least one frame shows one of `regions`. No more frames are held than a window has, and a few for the encoders.

    The pictures are encoded in parts, the items of `parts` whose names begin with `name`. Parts that are there are used, so
    that a restoration goes on where it stopped, with the same bytes. Raises `Failed` if the video cannot be read, or if a frame
    has another size than its region.
    """
    path = Path(source["path"])
    store = parts or Store(folder / "parts", "parts")
    tracks = plan_tracks(path)
    film = _film(source["source"], path, settings, render)
    names = [f"{name}-{number:05}" for number in range(len(film.parts))]
    crops = crops_of(regions)
    shown = [index for part in film.parts for index in part if len(film.stamps[index])]
    chosen = choose_frames(shown, crops, render.columns)
    tiles = [Tiles(part, chosen, crops, render.tile) for part in film.parts]
    _write_parts(film, regions, restore, settings, render, store, names, tiles)
    items = [store.item(each) for each in names]
    outcomes = [Counter[str](json.loads((item / COUNTS).read_text(encoding="utf-8"))) for item in items]
    counts = sum(outcomes, Counter[str]())
    if not counts[RESTORED]:
        raise Failed("no frame with a region can be decoded")
    readable = [item for item, each in zip(items, outcomes, strict=True) if each.keys() - {LOST}]
    videos, comparisons = ([item / f"{kind}{PART}" for item in readable] for kind in (VIDEO, COMPARISON))
    remarks = [
        *tracks.remarks,
        *film.remarks,
        *assemble(videos, film.form, settings.encoding, path, tracks, film.moves, folder / f"{VIDEO}{tracks.suffix}"),
    ]
    assemble(
        comparisons,
        film.comparison,
        plain(settings.encoding),
        path,
        tracks.only_sound(),
        film.moves,
        folder / f"{COMPARISON}{tracks.suffix}",
    )
    (folder / COUNTS).write_text(json.dumps({"counts": counts, "remarks": remarks}), encoding="utf-8")
    title = f"{source['source']}: {describe_frames(counts)}"
    write_image(folder / SHEET, draw_sheet(title, [item / TILES for item in items], film.packets.time, render))
    if parts is None:
        shutil.rmtree(store.folder)
    return remarks


@dataclass(frozen=True)
class _Film:
    """A film to restore.

    `parts`: its frames, consecutive in each. `starts`: the first frame of each span, by part. `stamps`: those of each frame in
    the copy. `form`, `comparison`: of the pictures of the restored film and of the comparison. `remarks`: what differs from the
    original, in words.
    """

    source: str
    path: Path
    packets: Packets
    parts: list[range]
    starts: list[int]
    moves: Moves
    stamps: list[range]
    form: Form
    comparison: Form
    remarks: list[str]


def _film(source: str, path: Path, settings: RestoreSettings, render: RenderSettings) -> _Film:
    """Return the film `path` as `settings` want it. Raises `Failed` if no frame in its spans can be decoded."""
    packets = read_packets(path)
    spans = parse_spans(settings.spans.get(source, ()))
    moves = moves_of(path, packets, spans)
    base = packets.time_base
    wanted = np.array([at for at, pts in enumerate(packets.pts.tolist()) if moves.offset(pts * base) is not None], np.int64)
    runs = [
        range(int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1) if len(run)
    ]
    length = WINDOWS * (settings.window - settings.overlap)
    pieces = [(run.start, run[at : at + length]) for run in runs for at in range(0, len(run), length)]
    first = next((frame.picture for frame in read_frames(path, packets, wanted) if frame.picture is not None), None)
    if first is None:
        raise Failed("no frame can be decoded", f"of {len(wanted)} in {settings.spans.get(source) or 'the video'}")
    rate = None if settings.rate is None else exact_rate(settings.rate)
    base, stamps = stamps_of(packets, moves, rate)
    usual = rate or Fraction(len(packets) / packets.duration if packets.duration else GUESSED_RATE).limit_denominator(1001)
    form = form_of(path, packets, first, settings.encoding, base, usual)
    half = _half(encodable(first, form.pixel_format), form.matrix, render.max_side)
    pair = _pair(half, half)
    # A comparison is upright, progressive and not in HDR.
    comparison = replace(
        form,
        width=pair.width,
        height=pair.height,
        pixel_format=pair.format.name,
        aspect=1 / form.aspect if is_turned(form.matrix) else form.aspect,
        matrix=UPRIGHT,
        colours=(pair.color_range, pair.colorspace, pair.color_primaries, pair.color_trc),
        fields=None,
        mastering=b"",
        light=b"",
    )
    starts, parts = [start for start, _ in pieces], [part for _, part in pieces]
    remarks = []
    if first.interlaced_frame and not form.fields:
        remarks.append("fields are written as whole frames: this codec, or x264 at this height, does not take them")
    if form.pixel_format != first.format.name:
        remarks.append(f"pictures are {form.pixel_format} instead of {first.format.name}")
    return _Film(source, path, packets, parts, starts, moves, stamps, form, comparison, remarks)


def _write_parts(
    film: _Film,
    regions: Sequence[Region],
    restore: Restore,
    settings: RestoreSettings,
    render: RenderSettings,
    store: Store,
    names: Sequence[str],
    tiles: Sequence[Tiles],
) -> None:
    """Restore the parts of `film` from the first one on that is no item of `store`; `names`, `tiles`: of each part."""
    done = next((number for number, name in enumerate(names) if not store.holds(name)), len(names))
    if done == len(names):
        return
    if done:
        tell(f"{film.source!r}: goes on at frame {film.parts[done].start:,} of {len(film.packets):,}")
    for start in dict.fromkeys(film.starts[done:]):
        numbers = [number for number in range(done, len(names)) if film.starts[number] == start]
        first, stop = film.parts[numbers[0]].start, film.parts[numbers[-1]].stop
        begin = start + restart(first - start, settings.window, settings.overlap)
        frames = read_frames(film.path, film.packets, range(begin, stop), threads=DECODERS)
        marked = restored(frames, regions, restore, window=settings.window, overlap=settings.overlap, feather=settings.feather)
        marked = progress(marked, stop - begin, f"frames of {film.source!r}")
        deque(islice(marked, first - begin), 0)
        for number in numbers:
            with store.make(names[number]) as item:
                _write_part(islice(marked, len(film.parts[number])), film, settings.encoding, render, item, tiles[number])


def plain(encoding: Encoding) -> Encoding:
    """Return how comparisons are encoded: so that they play everywhere."""
    return Encoding(quantizer=encoding.quantizer, preset=encoding.preset)


def _write_part(
    marked: Iterable[tuple[VideoFrame, list[Patch]]],
    film: _Film,
    encoding: Encoding,
    render: RenderSettings,
    item: Path,
    tiles: Tiles,
) -> None:
    """Write the frames `marked`, blended with their patches, as a part to the folder `item`, their comparison and `tiles`."""
    counts: Counter[str] = Counter()
    with ExitStack() as opened:
        video = opened.enter_context(PictureWriter(item / f"{VIDEO}{PART}", film.form, encoding))
        comparison = opened.enter_context(PictureWriter(item / f"{COMPARISON}{PART}", film.comparison, plain(encoding)))

        def write(picture: "av.VideoFrame", stamps: Iterable[int]) -> None:
            for pts in stamps:
                video.write(picture, pts)

        def pair(before: Sequence[np.ndarray], after: Sequence[np.ndarray], stamps: Iterable[int]) -> None:
            for pts in stamps:
                comparison.write(_pair(before, after), pts)

        encode, compare = (opened.enter_context(_Thread(work)) for work in (write, pair))
        last: tuple[Any, ...] | None = None
        missing: list[int] = []
        for frame, patches in marked:
            counts[LOST if frame.picture is None else RESTORED if patches else NOTHING] += 1
            stamps = [*missing, *film.stamps[frame.index]]
            missing = []
            if frame.picture is None:
                # The frame before it is shown again or, at the beginning of a part, the next one earlier.
                if last is None:
                    missing = stamps
                else:
                    picture, before, after = last
                    encode(picture, stamps)
                    compare(before, after, stamps)
                continue
            is_on_sheet = len(stamps) > 0 and tiles.asks_for(frame.index)
            if is_on_sheet:
                tiles.add("before", frame.index, frame.image())
            picture, matrix = encodable(frame.picture, film.form.pixel_format), display_matrix(frame.picture)
            before = after = _half(picture, matrix, render.max_side)
            if patches:
                picture.make_writable()
                for patch in patches:
                    paint(picture, matrix, patch.box, patch.image, patch.weight)
                after = _half(picture, matrix, render.max_side)
            if is_on_sheet:
                tiles.add("after", frame.index, rgb(picture, matrix))
            # From here on, the thread of the encoder alone has the picture: it writes the time stamp to it.
            encode(picture, stamps)
            compare(before, after, stamps)
            last = picture, before, after
    tiles.write(item / TILES)
    (item / COUNTS).write_text(json.dumps(counts), encoding="utf-8")


def _region(scene: dict[str, Any], frames: "pl.DataFrame", crops: CropSettings, size: int, keep_aspect: bool) -> Region:
    """Return the region of `scene`, a row of `tables.Scenes`, whose rows of `tables.SceneFrames` are `frames`."""
    frame_size = scene["height"], scene["width"]
    boxes = [crop_box(box, frame_size, crops) for box in frames.select("x0", "y0", "x1", "y1").rows()]
    shape = clip_shape(boxes, is_even=False)
    pads = [pad_of(box, shape) for box in boxes]
    return Region(scene["first"], boxes, pads, Fit(shape, size, keep_aspect), frames["rle"], frame_size)


def _half(picture: "av.VideoFrame", matrix: Matrix, side: int) -> list[np.ndarray]:
    """Return `picture` upright, scaled down to a half of a comparison of at most `side` pixels; see `small_planes`."""
    width = picture.height if is_turned(matrix) else picture.width
    scale = min(1, (side - GAP) / 2 / width, side / max(picture.width, picture.height))
    size = (max(2, int(length * scale) // 2 * 2) for length in (picture.width, picture.height))
    return [upright(plane, matrix) for plane in small_planes(picture, *size)]


def _pair(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> "av.VideoFrame":
    """Return the picture of `before` and `after`, results of `_half`, side by side with a black gap."""
    height, width = before[0].shape
    picture = new_picture(2 * width + GAP, height)
    for plane, left, right, level in zip(planes_of(picture), before, after, BLACK, strict=True):
        side = left.shape[1]
        plane[:, :side], plane[:, side:-side], plane[:, -side:] = left, level, right
    return picture


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
