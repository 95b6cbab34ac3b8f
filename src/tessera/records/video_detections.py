"""Run a detector on the frames of a video, and measure the change from each frame to the next."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tessera.core.errors import Failed
from tessera.core.messages import pluralize
from tessera.core.progress import progress
from tessera.core.store import Store
from tessera.imaging.frame import VideoFrame
from tessera.imaging.video import THREADS, parts, read_frames, read_packets
from tessera.learning.detection.found import Region

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")
Tables = tuple["pl.DataFrame", "pl.DataFrame"]  # `tables.VideoFrames` and `tables.VideoDetections`
Look = Callable[[Iterable[Any]], Iterable[list[Region]]]

SMALL = 256, 144  # pixels; width and height to which frames are scaled before they are compared
PARTS = 8  # the largest number of parts of a video that are decoded in parallel
FRAMES, DETECTIONS = "frames.parquet", "detections.parquet"  # files in the store, for each video
BATCH_BYTES = 2**26  # of the images of a batch: eleven of 1920 by 1080 pixels, three of 4K, one of 8K


def from_store(store: Store, name: str, detect: Callable[[], Tables]) -> Tables:
    """Return the frames and the detections of a video, the item `name` of `store`. `detect` makes them if it is not there."""
    from tessera.records.tables.scenes import VideoDetections, VideoFrames
    from tessera.records.tables.table import read_table, write_table

    if not store.holds(name):
        with store.make(name) as folder:
            frames, detections = detect()
            write_table(frames, VideoFrames, folder / FRAMES)
            write_table(detections, VideoDetections, folder / DETECTIONS)
    item = store.item(name)
    return read_table(item / FRAMES, VideoFrames), read_table(item / DETECTIONS, VideoDetections)


def detect_video(
    source: str,
    path: Path,
    frames: int,
    detect: Look,
    chosen: Callable[[np.ndarray], np.ndarray],
    batch: int,
    *,
    threads: int,
    scale: Callable[[VideoFrame], Any] = VideoFrame.image,
) -> Tables:
    """Return all frames of the video `path` as `tables.VideoFrames`, and the detections in them as `tables.VideoDetections`.

    `detect`: a detector. It gets batches of images as `scale` returns them for frames, and yields the regions of each, by
    descending confidence. `scale` is called by several threads at a time. `chosen` gets the seconds of all
    frames, float64 (n,), and returns the frames that the detector runs on if they can be decoded: bool (n,), one or more.
    Frames after the last of these are not decoded, nor are those before the keyframe that the first one needs; they have no
    size. `batch`: the number of images in a batch, of which there are fewer if they are large. The content of a batch depends
    only on the video, `chosen` and `batch`, not on `threads` or on the speed of `detect`. Damaged frames count as frames that
    cannot be decoded: those that the decoder lost or made up, and those after them up to the next keyframe, which show ghosts.

    The video is decoded once, in `threads` parts at a time, while `detect` runs. The memory does not grow with the length of
    the video: it holds the batch that `detect` works on, one batch of each part that is decoded, both scaled, and a few frames.

    Raises `Failed` if the video cannot be opened, has fewer frames than the `frames` that were counted when it was admitted, or
    none that can be decoded.
    """
    import polars as pl

    from tessera.records.tables.scenes import VideoDetections, VideoFrames
    from tessera.records.tables.table import types

    packets = read_packets(path)
    count = len(packets)
    if count < frames:
        raise Failed("video breaks off", f"{count:,} of {pluralize(frames, 'frames')} found; copy it again")
    table = {
        "source": np.full(count, source, object),
        "index": np.arange(count),
        "pts": packets.pts if packets.timed else np.full(count, None),
        "time": packets.time,
        "width": np.zeros(count, np.int64),
        "height": np.zeros(count, np.int64),
        "change": np.zeros(count),
        "looked": np.zeros(count, bool),
    }
    wanted = chosen(packets.time)
    first, last = np.flatnonzero(wanted)[[0, -1]].tolist()
    detections: list[tuple[Any, ...]] = []
    edges: dict[int, np.ndarray] = {}
    # Decoding begins at a keyframe before the first wanted frame: damage in between would show there as ghosts.
    start = max(np.flatnonzero(packets.keyframe[: first + 1]).tolist(), default=0)
    divided = [range(max(part.start, start), min(part.stop, last + 1)) for part in parts(packets, PARTS)]
    divided = [part for part in divided if part]
    decoders = max(1, THREADS // len(divided))

    def detected() -> Iterator[tuple[int, list[Region]]]:
        read = (read_frames(path, packets, part, threads=decoders) for part in divided)
        makers = (_batches(_pictures(part, packets.keyframe, wanted, table, edges, scale), batch) for part in read)
        for pictures in _side_by_side(makers, threads):
            yield from zip((index for index, _ in pictures), detect(image for _, image in pictures), strict=True)

    for index, regions in progress(detected(), int(wanted.sum()), f"frames of {source!r}"):
        detections += [(source, index, number, *_row(region)) for number, region in enumerate(regions)]
    _join(divided, edges, table["change"])
    detections.sort(key=lambda row: row[1:3])
    if not table["width"].any():
        raise Failed("no frame can be decoded", f"of {count}")
    return pl.DataFrame(table, schema=types(VideoFrames)), pl.DataFrame(detections, schema=types(VideoDetections), orient="row")


def difference(picture: np.ndarray, other: np.ndarray) -> float:
    """Return the mean absolute difference of hue, saturation and value of two images, uint8 (H, W, 3), HSV of OpenCV.

    This is `content_val` of the ContentDetector of PySceneDetect with its default weights, where 27 and more is a cut. But here
    hue, which has 180 steps, is a circle, so that two reds are never far apart. PySceneDetect itself is not used because it
    would decode the video a second time.
    """
    import cv2

    change = cv2.absdiff(picture, other)
    hue = change[..., 0]
    np.minimum(hue, 180 - hue, out=hue)
    return float(change.mean())


def _pictures(
    frames: Iterable[VideoFrame],
    keyframe: np.ndarray,
    wanted: np.ndarray,
    table: dict[str, np.ndarray],
    edges: dict[int, np.ndarray],
    scale: Callable[[VideoFrame], T],
) -> Iterator[tuple[int, T, int]]:
    """Yield the index, the image and its bytes of each undamaged one of the `wanted` `frames` of a part.

    The image is what `scale` makes of the frame; the bytes are those of the whole frame in RGB. `table`
    gets the values of all frames.

    `edges` gets the first and the last frame, scaled down, to compare the part with its neighbours.
    """
    import cv2

    last = None
    damaged = False
    for frame in frames:
        index = frame.index
        # The errors of a damaged frame propagate to the frames after it, up to the next keyframe.
        damaged = frame.is_damaged or (damaged and not keyframe[index])
        if damaged or frame.picture is None:
            continue
        table["width"][index], table["height"][index] = frame.size
        small = cv2.cvtColor(frame.thumbnail(*SMALL), cv2.COLOR_RGB2HSV)
        if last is None:
            edges[index] = small
        else:
            table["change"][index] = round(difference(last[1], small), 3)
        last = index, small
        if wanted[index]:
            table["looked"][index] = True
            yield index, scale(frame), 3 * frame.size[0] * frame.size[1]
    if last is not None:
        edges[last[0]] = last[1]


def _join(divided: Iterable[range], edges: dict[int, np.ndarray], change: np.ndarray) -> None:
    """Set the `change` from each part of a video to the next; see `_pictures`."""
    before = None
    for part in divided:
        if ends := sorted(index for index in edges if index in part):
            if before is not None:
                change[ends[0]] = round(difference(edges[before], edges[ends[0]]), 3)
            before = ends[-1]


def _batches(pictures: Iterable[tuple[int, T, int]], size: int) -> Iterator[list[tuple[int, T]]]:
    """Yield batches of `size` of the `pictures`, or of fewer if they are large. See `_pictures`."""
    batch: list[tuple[int, T]] = []
    total = 0
    for index, image, nbytes in pictures:
        batch.append((index, image))
        total += nbytes
        if len(batch) == size or total >= BATCH_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def _side_by_side(makers: Iterable[Iterator[T]], threads: int) -> Iterator[T]:
    """Yield all items of the iterators `makers` as they become ready; `threads` of them run at a time, each one item ahead."""
    coming = iter(makers)
    with ThreadPoolExecutor(threads) as pool:
        working = {pool.submit(next, maker, None): maker for maker in islice(coming, threads)}
        while working:
            for future in wait(working, return_when=FIRST_COMPLETED).done:
                maker, made = working.pop(future), future.result()
                following = next(coming, None) if made is None else maker
                if following is not None:
                    working[pool.submit(next, following, None)] = following
                if made is not None:
                    yield made


def _row(region: Region) -> tuple[Any, ...]:
    grid = None if region.grid is None else round(region.grid, 2)
    return region.label, round(region.score, 4), region.rle, *(round(edge, 2) for edge in region.box), grid
