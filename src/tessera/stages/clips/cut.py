"""Cut clips: the region of each scene and its mask, as two small videos."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from threading import Semaphore
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from tessera.core.errors import Failed
from tessera.core.files import link_or_copy
from tessera.core.ledger import Ledger
from tessera.core.progress import progress
from tessera.core.provenance import digest
from tessera.core.store import Store
from tessera.imaging.containers import GUESSED_RATE
from tessera.imaging.crops import Crop, Pad, clip_shape, crop_box, pad_of
from tessera.imaging.encode import SOUGHT_EVERY, VideoWriter
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import decode_patch, decode_rle
from tessera.imaging.video import Packets, read_frames, read_packets, span
from tessera.records.tables.clips import Clips
from tessera.records.tables.footage import Sources
from tessera.records.tables.scenes import SceneFrames, Scenes
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.clips.settings import ClipSettings

# The largest sum of the pixels of one frame of all clips that are cut at a time. x264 needs about 100 bytes per pixel. A single
# clip may be larger.
PIXELS = 4_000_000
TWICE = 0.05  # the largest fraction of a run of clips that the next run may decode again
IMAGE, MASK = "image.mp4", "mask.mkv"  # files of a clip in the store

BlockSizes: TypeAlias = Callable[[np.ndarray], tuple[float, float, float, float]]


@dataclass(frozen=True, eq=False)
class _Plan:
    """A clip to cut: its frames, its crop of each, and the digest that it is stored under."""

    key: str
    source: str
    first: int
    pts: pl.Series
    rles: pl.Series
    frame: tuple[int, int]  # height and width
    crops: list[Crop]
    pads: list[Pad]
    shape: tuple[int, int]
    rate: Fraction
    digest: str

    @property
    def indices(self) -> range:
        return range(self.first, self.first + len(self.crops))

    @property
    def pixels(self) -> int:
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class _Run:
    """Clips of one video, ordered by their first frames, that are cut in one pass of the decoder."""

    path: Path
    packets: Packets
    plans: Sequence[_Plan]


@dataclass(frozen=True)
class _Threads:
    """A pool of threads, and the number of them that are idle."""

    pool: ThreadPoolExecutor
    idle: Semaphore

    def do(self, work: Callable[[VideoFrame], None], frame: VideoFrame) -> Future[None]:
        """Call `work(frame)` in an idle thread or, if there is none, in this thread instead of waiting."""
        if self.idle.acquire(blocking=False):
            doing = self.pool.submit(work, frame)
            doing.add_done_callback(lambda _: self.idle.release())
            return doing
        done: Future[None] = Future()
        try:
            work(frame)
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)
        return done


def cut_clips(
    scenes: Path,
    scene_frames: Path,
    sources: Path,
    cache: Path,
    settings: ClipSettings,
    block_sizes: BlockSizes,
    *,
    detector: str,
    scene_settings: Any,
    seed: int,
    code: str,
    threads: int,
    clips: Path,
    images: Path,
    masks: Path,
    ledger: Path,
) -> None:
    """Cut a clip for each of the `scenes` of a shard: `KEY.mp4` in the folder `images`, `KEY.mkv` in `masks`, a row in `clips`.

    `scenes`, `scene_frames`, `sources`: `tables.Scenes`, `.SceneFrames` and `.Sources`. `clips`: `tables.Clips`. `crop_box`
    decides the crop of each frame; smaller crops are padded with black to the size of the clip. Images are encoded as H.264
    with `settings`, and masks as FFV1, 0 or 255. Both have a constant rate: that of the video or, if it varies, its mean over
    the clip.

    `block_sizes` returns Lada's sizes v1 by area, v1 by box, v2 and v3 of the blocks of a mosaic on a mask, uint8 (H, W), 0 or
    255. `clips` has these sizes for the frame whose box has the median area. It also has `detector`, the sha256 of the weights,
    a digest of `settings` and of `scene_settings`, and `seed`, the global seed. `ledger` gets one row per scene.

    Each frame of a video is decoded once, however many scenes overlap in it, with two exceptions: scenes that do not fit into
    memory together, and a few frames where a video is divided for parallel decoding. `threads` threads decode, and as many
    encode. Only a few frames are in memory at a time. The result does not depend on `threads`.

    Clips are kept in the `Store` in the folder `cache`, under a digest of everything that they depend on, including `code`, and
    linked from there. A later run uses them again, after it was killed or if their scenes did not change.
    """
    admitted = {row["source"]: row for row in read_table(sources, Sources).to_dicts()}
    frames_of = read_table(scene_frames, SceneFrames).sort("key", "index").partition_by("key", as_dict=True, include_key=False)
    scene_table = read_table(scenes, Scenes)
    plans: dict[str, _Plan] = {}
    faults: dict[str, BaseException] = {}
    for scene in scene_table.iter_rows(named=True):
        key = scene["key"]
        try:
            plans[key] = _plan(scene, frames_of.get((key,)), admitted.get(scene["source"]), settings, code)
        except Failed as unusable:
            faults[key] = unusable
    store = Store(cache, "clips")
    missing = [plan for plan in plans.values() if not store.holds(plan.digest)]
    faults |= _cut(missing, {name: Path(row["path"]) for name, row in admitted.items()}, store, settings, threads)
    rows = []
    images.mkdir()
    masks.mkdir()
    settings_digest = digest([scene_settings, settings.model_dump(mode="json")])
    with Ledger(ledger) as entries:
        for scene in scene_table.iter_rows(named=True):
            with entries.item(scene["key"]):
                if fault := faults.get(scene["key"]):
                    raise fault
                plan = plans[scene["key"]]
                row = _row(scene, plan, frames_of[scene["key"],], admitted[scene["source"]], block_sizes)
                link_or_copy(store.item(plan.digest) / IMAGE, images / f"{plan.key}.mp4")
                link_or_copy(store.item(plan.digest) / MASK, masks / f"{plan.key}.mkv")
                rows.append({**row, "detector": detector, "settings": settings_digest, "seed": seed})
    write_table(pl.DataFrame(rows, schema=types(Clips)), Clips, clips)
    store.keep({plan.digest for plan in plans.values()})


def _plan(
    scene: dict[str, Any], frames: pl.DataFrame | None, source: dict[str, Any] | None, settings: ClipSettings, code: str
) -> _Plan:
    """Return the clip to cut for `scene`. Raises `Failed` if the tables contradict each other."""
    import av

    if source is None:
        raise Failed("source is not admitted", scene["source"])
    indices = range(scene["first"], scene["first"] + scene["frames"])
    # The length is compared first: a number in a damaged table could make a list that exhausts the memory.
    if frames is None or len(frames) != len(indices) or frames["index"].to_list() != list(indices):
        raise Failed("scene without its frames", f"{scene['frames']} from {scene['first']} on are needed")
    frame = height, width = scene["height"], scene["width"]
    boxes = frames.select("x0", "y0", "x1", "y1").rows()
    if not all(x0 < x1 <= width and y0 < y1 <= height for x0, y0, x1, y1 in boxes):
        raise Failed("region does not match its frame", f"a box is empty or not within {width} by {height} pixels")
    crops = [crop_box(box, frame, settings) for box in boxes]
    shape = clip_shape(crops, is_even=settings.pixel_format == "yuv420p")
    rate = _rate(frames["time"], source)
    cache_key = {
        "key": scene["key"],
        "source": source["sha256"],
        "frames": [indices.start, indices.stop, *frame],
        "crops": crops,
        "masks": frames["rle"].to_list(),
        "shape": shape,
        "rate": str(rate),
        "settings": settings.model_dump(mode="json"),
        "code": code,
        "av": [av.__version__, av.library_versions],
    }
    pads = [pad_of(crop, shape) for crop in crops]
    identity = scene["key"], scene["source"], indices.start
    return _Plan(*identity, frames["pts"], frames["rle"], frame, crops, pads, shape, rate, digest(cache_key))


def _rate(time: pl.Series, source: dict[str, Any]) -> Fraction:
    """Return the rate of a clip with frames at `time` in frames per second: that of the video, or the mean if it varies."""
    average = source["average_rate"] or GUESSED_RATE
    varies = source["variable_rate"] and time[-1] > time[0]
    rate = Fraction((len(time) - 1) / (time[-1] - time[0]) if varies else average).limit_denominator(1001)
    return max(rate, Fraction(1, 1001))


def _row(
    scene: dict[str, Any], plan: _Plan, frames: pl.DataFrame, source: dict[str, Any], block_sizes: BlockSizes
) -> dict[str, Any]:
    """Return the row of `tables.Clips` of a clip that was cut, without the columns that are the same for all clips."""
    areas = ((frames["x1"] - frames["x0"]) * (frames["y1"] - frames["y0"])).to_numpy()
    median = int(np.argsort(areas, kind="stable")[len(areas) // 2])
    sizes = block_sizes(decode_rle(plan.rles[median], *plan.frame))
    names = "block_v1_normal", "block_v1_bounding", "block_v2", "block_v3"
    same = "key", "source", "track", "label", "score", "detected", "extension", "first", "frames"
    return {
        **{name: scene[name] for name in same},
        **{name: source[name] for name in ("sha256", "split", "rights")},
        "rate": float(plan.rate),
        "pts": None if plan.pts.null_count() else plan.pts.to_list(),
        "time": frames["time"].to_list(),
        "frame_height": plan.frame[0],
        "frame_width": plan.frame[1],
        "height": plan.shape[0],
        "width": plan.shape[1],
        "crops": plan.crops,
        "pads": plan.pads,
        **dict(zip(names, map(float, sizes), strict=True)),
    }


def _cut(
    plans: Iterable[_Plan], paths: dict[str, Path], store: Store, settings: ClipSettings, threads: int
) -> dict[str, BaseException]:
    """Cut the clips `plans` out of the videos at `paths` into `store`; return the errors by the keys of the clips."""
    faults: dict[str, BaseException] = {}
    working: dict[Future[dict[str, BaseException]], int] = {}
    with ThreadPoolExecutor(threads) as readers, ThreadPoolExecutor(threads) as encoders:
        helpers = _Threads(encoders, Semaphore(threads))

        def finish(when: str) -> None:
            for future in wait(working, return_when=when).done:
                del working[future]
                faults.update(future.result())

        ordered = sorted(plans, key=lambda plan: (plan.source, plan.first))
        for source, source_plans in groupby(ordered, lambda plan: plan.source):
            for run in _runs(paths[source], list(source_plans), faults):
                pixels = max(_pixels(run.plans, plan.first) for plan in run.plans)
                while working and (len(working) == threads or sum(working.values()) + pixels > PIXELS):
                    finish(FIRST_COMPLETED)
                working[readers.submit(_cut_run, run, store, settings, helpers)] = pixels
        finish(ALL_COMPLETED)
    return faults


def _runs(path: Path, plans: Sequence[_Plan], faults: dict[str, BaseException]) -> list[_Run]:
    """Divide the clips `plans` of the video `path`, ordered by their first frames, into runs that are cut in parallel.

    Few frames are decoded in two runs, unless the clips at one point in time do not fit into memory together. `faults` gets the
    errors of clips that are in no run.
    """
    try:
        packets = read_packets(path)
    except Failed as fault:
        faults.update({plan.key: fault for plan in plans})
        return []
    changed = Failed("not the footage that was looked at", "its frames have other times")
    faults.update({plan.key: changed for plan in plans if not _is_known(plan, packets)})
    runs: list[list[_Plan]] = []
    begin = end = 0
    for plan in plans:
        if plan.key in faults:
            continue
        first, stop = span(packets, plan.indices)
        if not runs or end - first <= TWICE * (end - begin):
            runs.append([])
            begin = first
        end = max(end, stop)
        runs[-1].append(plan)
    return [_Run(path, packets, each) for run in runs for each in _passes(run)]


def _passes(plans: Iterable[_Plan]) -> list[list[_Plan]]:
    """Divide `plans` of one video into few lists, such that the clips of a list that overlap fit into memory together."""
    passes: list[list[_Plan]] = []
    for plan in sorted(plans, key=lambda plan: plan.first):
        for others in passes:
            at_once = _pixels(others, plan.first)
            if not at_once or at_once + plan.pixels <= PIXELS:
                others.append(plan)
                break
        else:
            passes.append([plan])
    return passes


def _pixels(plans: Iterable[_Plan], index: int) -> int:
    """Return how many pixels the clips `plans` cut out of the frame `index`."""
    return sum(plan.pixels for plan in plans if index in plan.indices)


def _is_known(plan: _Plan, packets: Packets) -> bool:
    """Return whether the frames of `plan` still have the time stamps that they had when the scene was found."""
    if plan.indices.stop > len(packets):
        return False
    if plan.pts.null_count():
        return not packets.timed
    return packets.timed and np.array_equal(packets.pts[plan.first : plan.indices.stop], plan.pts.to_numpy())


def _cut_run(run: _Run, store: Store, settings: ClipSettings, threads: _Threads) -> dict[str, BaseException]:
    """Cut the clips of `run` out of its video; return the errors of single clips by their keys.

    An error that concerns more than one clip, such as a full disk, is raised at once. If a thread is idle, a frame is converted
    and encoded while the next one is decoded.
    """
    indices = np.unique(np.concatenate([plan.indices for plan in run.plans]))
    unit = f"frames of {run.plans[0].source!r} from {indices[0]} on"
    coming = deque(run.plans)
    making: dict[_Plan, Generator[None, VideoFrame, None]] = {}
    working: dict[_Plan, Future[None]] = {}
    with threads.idle:
        for frame in progress(read_frames(run.path, run.packets, indices, threads=1), len(indices), unit):
            while coming and coming[0].first == frame.index:
                plan = coming.popleft()
                making[plan] = _make(plan, store, settings)
                next(making[plan])
            for plan, maker in list(making.items()):
                fault = working[plan].exception() if plan in working else None
                if fault and not isinstance(fault, Failed):
                    raise fault
                if frame.index in plan.indices and not fault:
                    working[plan] = threads.do(maker.send, frame)
                else:
                    del making[plan]
    return {plan.key: fault for plan, work in working.items() if (fault := work.exception())}


def _make(plan: _Plan, store: Store, settings: ClipSettings) -> Generator[None, VideoFrame, None]:
    """Make the clip `plan` from the frames that are sent to this generator; after the last one, it is complete in `store`."""
    with (
        store.make(plan.digest) as folder,
        VideoWriter(
            folder / IMAGE,
            plan.rate,
            quality=settings.crf,
            preset=settings.preset,
            pixel_format=settings.pixel_format,
            keyframe_every=SOUGHT_EVERY,
        ) as images,
        VideoWriter(folder / MASK, plan.rate, pixel_format="gray") as masks,
    ):
        for crop, pad, rle in zip(plan.crops, plan.pads, plan.rles, strict=True):
            frame = yield
            if frame.picture is None:
                raise Failed("frame cannot be decoded", f"number {frame.index}")
            if frame.size[::-1] != plan.frame:
                raise Failed("frame of another size", f"{frame.size[::-1]} pixels, the scene has {plan.frame}")
            images.write_planes(frame.planes(crop), pad)
            try:
                mask = decode_patch(rle, *plan.frame).inside(crop)
            except ValueError as error:
                raise Failed("region does not match its frame", str(error)) from None
            masks.write_planes(mask[None], pad)
    yield
