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

from tessera.core.errors import Failed
from tessera.core.files import link_or_copy, readable_name
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import digest
from tessera.core.store import Store
from tessera.imaging.containers import GUESSED_RATE
from tessera.imaging.crops import CropSettings, Fit, clip_shape, crop_box, pad_of
from tessera.imaging.encodable import encodable
from tessera.imaging.frame import (
    UPRIGHT,
    Matrix,
    VideoFrame,
    display_matrix,
    is_turned,
    rgb,
    small_planes,
    upright,
)
from tessera.imaging.images import write_image
from tessera.imaging.paint import paint
from tessera.imaging.side_by_side import half_scale, pair
from tessera.imaging.spans import parse_spans
from tessera.imaging.tracks import Moves, plan_tracks
from tessera.imaging.video import Packets, read_frames, read_packets
from tessera.imaging.video_copy import (
    PART,
    Encoding,
    Form,
    PictureWriter,
    assemble,
    exact_rate,
    form_of,
    moves_of,
    stamps_of,
)
from tessera.records.previews import summarise_sources
from tessera.stages.restore.restore import Method, Patch, Region, restart, restored
from tessera.stages.restore.restored_sheet import Tiles, choose_frames, crops_of, draw_sheet
from tessera.stages.restore.settings import RestoreSettings

if TYPE_CHECKING:
    import av
    import polars as pl

AHEAD = 4  # frames that wait for a thread
WINDOWS = 10  # in a part of a film, which is what a restoration that was stopped loses at most
DECODERS = 2  # threads of the decoder
# The files of a source in the store. The first two get a suffix.
VIDEO, COMPARISON, SHEET, COUNTS = "restored", "comparison", "sheet.jpg", "frames.json"
TILES = "tiles.npz"  # a file of a part in the store
NO_MOSAIC = "no mosaic found"  # the reason for a source that is not restored
SHOWN = 10  # most sources that a message lists
# What people have to know of the starter models, by what each is.
STARTERS = {
    "detector": "look at the sheets for mosaics that the detector missed, and for what it took for one",
    "restorer": "the restorer knows edges, and no things: faces do not come back",
}
# What frames are counted as. Those of a mosaic whose grid is unclear are left as they are by a model of blocks.
RESTORED, LEFT, NOTHING, LOST = "restored", "left as they are", "nothing found", "cannot be decoded"


def restore_videos(
    sources: Path,
    scenes: Path,
    scene_frames: Path,
    detection_ledger: Path,
    method: Method[Any, Any],
    cache: Path,
    *,
    cache_key: Any,
    settings: RestoreSettings,
    crops: CropSettings,
    size: int,
    keep_aspect: bool,
    videos: Path,
    comparisons: Path,
    sheets: Path,
    ledger: Path,
) -> None:
    """Restore the `scenes` of the sources of a shard: NAME.mp4 in `videos` and `comparisons`, NAME.jpg in `sheets`.

    `sources`, `scenes`, `scene_frames`: `tables.Sources`, `.Scenes` and `.SceneFrames`. `detection_ledger`: the ledger of the
    detection. `ledger` gets one row per source; sources in which no mosaic was found are dropped.

    `method`: restores regions; a model gets squares of `size` pixels, see `Fit`. The restored video has the times, the
    colours, the orientation and the sound of the source. Before it is encoded, a pixel equals that of the source unless it
    belongs to a region or its soft edge. The comparison shows the source and the restored video side by side, each under
    its caption, and is at most `settings.render.max_side` pixels wide.

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
            inputs += [crops.model_dump(mode="json"), size, keep_aspect]
            name, title = digest(inputs), readable_name(source["source"])
            with writer.item(source["source"]) as note:
                if not store.holds(name):
                    with store.make(name) as folder:
                        restore_video(source, regions, method, settings, folder, parts, name)
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


def gate_restored(
    ledgers: Sequence[Path],
    videos: Sequence[Path],
    detections: Sequence[Path],
    sources: Sequence[str],
    starters: Sequence[str],
    max_regions: int,
    *,
    summary: Path,
) -> None:
    """Write the summary of all `ledgers` to `summary`, and print what was restored and where it lies, and which show no mosaic.

    `videos`: the folder of restored videos of each shard. `detections`: its `tables.VideoDetections`. `sources`: the ids of the
    sources to restore. `starters`: which of `STARTERS` were used. `max_regions`: the most that are detected in a frame.
    `summary` lies beside the shards.
    Raises `TesseraError`, naming each of them, if a source failed, was refused or is no video.
    """
    rows = {row["key"]: row for path in ledgers for row in read_ledger(path)}
    plain = [key for key, row in rows.items() if row["reason"] == NO_MOSAIC]
    found = _detected(detections)
    most = {source: highest["len"] for source, highest in found.items()}
    if unsure := [
        f"{key} (confidence at most {found[key]['score']:.2f}, grid at most {found[key]['grid'] or 0:.1f})"
        for key in plain
        if key in found
    ]:
        tell(
            f"{NO_MOSAIC} in {', '.join(truncate(unsure, SHOWN))}; if there is one, lower `restore.choose.confidence`,"
            " `restore.track.high` and `restore.track.new` or, if its blocks are not sharp, `restore.track.grid`; what is"
            " detected in fewer than `restore.track.fewest` frames does not count"
        )
    if unseen := [key for key in plain if key not in found]:
        tell(
            f"{NO_MOSAIC} in {', '.join(truncate(unseen, SHOWN))}: nothing at all was detected, so that lower limits do not"
            " help; if there is one, train the detector on more footage like it, or declare another in `restore.detect.weights`"
        )
    if full := [key for key in rows if most.get(key, 0) >= max_regions]:
        tell(
            f"{', '.join(truncate(full, SHOWN))}: in a frame, {max_regions} regions were detected, the most that"
            " `restore.detect.max_regions` allows; if there are more mosaics, raise it"
        )
    files = {file.stem: file for folder in videos for file in folder.iterdir()}
    folders = {row["key"]: path.with_name("videos") for path in ledgers for row in read_ledger(path)}
    made = [
        f"{key!r}: {files[name]} ({row['detail']})"
        if (name := readable_name(key)) in files
        else f"{key!r}: moved or deleted; to get it back, delete the folder {folders[key]} and run again"
        for key, row in rows.items()
        if row["status"] == "ok"
    ]
    beside = "; the folders `comparisons` and `sheets` lie beside `videos`" if made else ""
    tell("\n  ".join([f"{pluralize(len(made), 'restored videos')}{beside}", *truncate(made, SHOWN)]))
    if starters and made:
        tell(
            f"the starter {' and '.join(starters)} learned from photographs alone:"
            f" {'; '.join(STARTERS[name] for name in starters)} (docs/restore.md#models)"
        )
    fix = "fix these, or take `restore` out of their column `use`"
    summarise_sources(ledgers, sources, set(sources) - set(plain), summary, done="restored", fix=fix)


def _detected(detections: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the highest `score` and `grid` of a detection, and the most detections in a frame, `len`, of each source that has
    one.
    """
    import polars as pl

    from tessera.records.tables.scenes import VideoDetections
    from tessera.records.tables.table import read_table

    found = (read_table(path, VideoDetections, without=["rle"]) for path in detections)
    frames = [table.group_by("source", "index").agg(pl.max("score", "grid"), pl.len()) for table in found]
    highest = [table.group_by("source").agg(pl.max("score", "grid", "len")) for table in frames]
    return {row["source"]: row for table in highest for row in table.iter_rows(named=True)}


def describe_frames(counts: Mapping[str, int]) -> str:
    """Return in words of how many frames a region was restored, and in how many nothing was found."""
    total = pluralize(sum(counts.values()), "frames")
    text = f"restored in {counts.get(RESTORED, 0):,} of {total}, nothing found in {counts.get(NOTHING, 0):,}"
    if LEFT in counts:
        text += f", {counts[LEFT]:,} left as they are: no grid of blocks is clear"
    return f"{text}, {counts[LOST]:,} cannot be decoded" if LOST in counts else text


def restore_video(
    source: dict[str, Any],
    regions: Sequence[Region],
    method: Method[Any, Any],
    settings: RestoreSettings,
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
    film = _film(source["source"], path, settings)
    names = [f"{name}-{number:05}" for number in range(len(film.parts))]
    crops = crops_of(regions)
    shown = [index for part in film.parts for index in part if len(film.stamps[index])]
    chosen = choose_frames(shown, crops, settings.render.columns)
    tiles = [Tiles(part, chosen, crops, settings.render.tile) for part in film.parts]
    _write_parts(film, regions, method, settings, store, names, tiles)
    items = [store.item(each) for each in names]
    outcomes = [Counter[str](json.loads((item / COUNTS).read_text(encoding="utf-8"))) for item in items]
    counts = sum(outcomes, Counter[str]())
    if not counts[RESTORED] + counts[LEFT]:
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
    write_image(folder / SHEET, draw_sheet(title, [item / TILES for item in items], film.packets.time, settings.render))
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


def _film(source: str, path: Path, settings: RestoreSettings) -> _Film:
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
    half = _half(encodable(first, form.pixel_format), form.matrix, settings.render.max_side)
    picture = pair(half, half)
    # A comparison is upright, progressive and not in HDR.
    comparison = replace(
        form,
        width=picture.width,
        height=picture.height,
        pixel_format=picture.format.name,
        aspect=1 / form.aspect if is_turned(form.matrix) else form.aspect,
        matrix=UPRIGHT,
        colours=(picture.color_range, picture.colorspace, picture.color_primaries, picture.color_trc),
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
    method: Method[Any, Any],
    settings: RestoreSettings,
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
        # Of the frames that are read: those of a window are restored all at once, the first ones while the model is loaded.
        frames = progress(frames, stop - begin, f"frames of {film.source!r}")
        marked = restored(frames, regions, method, window=settings.window, overlap=settings.overlap, feather=settings.feather)
        deque(islice(marked, first - begin), 0)
        for number in numbers:
            with store.make(names[number]) as item:
                _write_part(islice(marked, len(film.parts[number])), film, settings, item, tiles[number])


def plain(encoding: Encoding) -> Encoding:
    """Return how comparisons are encoded: so that they play everywhere."""
    return Encoding(quantizer=encoding.quantizer, preset=encoding.preset)


def _write_part(
    marked: Iterable[tuple[VideoFrame, list[Patch]]],
    film: _Film,
    settings: RestoreSettings,
    item: Path,
    tiles: Tiles,
) -> None:
    """Write the frames `marked`, blended with their patches, as a part to the folder `item`, their comparison and `tiles`."""
    counts: Counter[str] = Counter()
    with ExitStack() as opened:
        video = opened.enter_context(PictureWriter(item / f"{VIDEO}{PART}", film.form, settings.encoding))
        comparison = opened.enter_context(
            PictureWriter(item / f"{COMPARISON}{PART}", film.comparison, plain(settings.encoding))
        )

        def write(picture: "av.VideoFrame", stamps: Iterable[int]) -> None:
            for pts in stamps:
                video.write(picture, pts)

        def write_pair(before: Sequence[np.ndarray], after: Sequence[np.ndarray], stamps: Iterable[int]) -> None:
            for pts in stamps:
                comparison.write(pair(before, after), pts)

        encode, compare = (opened.enter_context(_Thread(work)) for work in (write, write_pair))
        last: tuple[Any, ...] | None = None
        missing: list[int] = []
        for frame, patches in marked:
            changed = any(patch.weight.any() for patch in patches)
            counts[LOST if frame.picture is None else RESTORED if changed else LEFT if patches else NOTHING] += 1
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
            before = after = _half(picture, matrix, settings.render.max_side)
            if patches:
                picture.make_writable()
                for patch in patches:
                    paint(picture, matrix, patch.box, patch.image, patch.weight)
                after = _half(picture, matrix, settings.render.max_side)
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
    """Return `picture` upright, scaled to a half of a comparison of at most `side` pixels; see `small_planes`."""
    width, height = picture.width, picture.height
    scale = half_scale(height, width, side) if is_turned(matrix) else half_scale(width, height, side)
    size = (max(2, int(length * scale) // 2 * 2) for length in (width, height))
    return [upright(plane, matrix) for plane in small_planes(picture, *size)]


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
