"""Sample frames of sources."""

import json
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tessera.core.errors import Dropped, Failed
from tessera.core.files import file_name, link_or_copy
from tessera.core.ledger import Ledger
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.provenance import digest
from tessera.core.settings import Settings
from tessera.core.store import stored_items
from tessera.imaging.footage import Still
from tessera.imaging.frame import VideoFrame
from tessera.imaging.hashing import scaled_hash
from tessera.imaging.images import SUFFIX, shrink, write_image
from tessera.imaging.video import Packets, read_frames, read_packets
from tessera.records.frame_keys import frame_key
from tessera.records.manifest import RESTORE
from tessera.records.stills import read_stills, stills_of

if TYPE_CHECKING:
    import av

MPDECIMATE = "mpdecimate=hi=64*200:lo=64*50:frac=0.33"
ROWS = "rows.json"  # file in the store, beside the images of a source


class FrameSettings(Settings):
    """Which frames are sampled, and how they are stored."""

    mode: Literal["interval", "every", "keyframes", "decimate", "all"] = "interval"
    """`interval` takes the frame on screen every `interval_seconds`. `every` takes each n-th frame. `keyframes` takes the
    frames that are stored whole, and is by far the fastest. `decimate` takes frames that differ from the last one taken, as
    mpdecimate of FFmpeg does. `all` takes every frame. Images and folders of images are always taken whole.
    """
    interval_seconds: PositiveFloat = 1.0
    """Seconds between two frames. Used by the mode `interval`."""
    every_frames: PositiveInt = 30
    """Every n-th frame is taken. Used by the mode `every`."""
    skip_start_seconds: NonNegativeFloat = 0.0
    """Seconds that are skipped at the start of each video."""
    skip_end_seconds: NonNegativeFloat = 0.0
    """Seconds that are skipped at the end of each video."""
    max_side: PositiveInt | None = None
    """Longest side of a frame in pixels. Larger frames are scaled down. `null` keeps the size."""
    deinterlace: bool = True
    """Whether interlaced frames are deinterlaced: of each, the first field is kept, and the rows between are interpolated."""
    format: Literal["jpeg", "png"] = "jpeg"
    """File format of the frames: `jpeg`, or `png`, which is lossless and takes about five times the space."""
    quality: int = Field(95, ge=1, le=100)
    """Quality of JPEG, from 1 to 100."""


def sample_frames(
    sources: Path,
    files: Path,
    cache: Path,
    settings: FrameSettings,
    *,
    code: str,
    threads: int,
    table: Path,
    images: Path,
    ledger: Path,
) -> None:
    """Sample frames of the admitted `sources` (`tables.Sources`) to the folder `images` and the table `tables.Frames`, `table`.

    A video gives the frames that `settings` select. An image gives one frame, and a folder one per image: exactly the pictures
    that were admitted, of `files` (`tables.SourceFiles`). One that changed since then fails. `ledger` gets one row per selected
    frame, one per file that was not admitted, or one row with the id of the source if it has none. `threads` threads encode;
    the result does not depend on their number.

    The frames of a source are kept in the `Store` in the folder `cache`, under a digest of everything that they depend on,
    including `code`, and linked from there. If one of them failed, all frames of the source are sampled again in the next run.
    """
    import polars as pl

    from tessera.records.tables.footage import Frames, Sources
    from tessera.records.tables.table import read_table, types, write_table

    rows: list[dict[str, Any]] = []
    images.mkdir()
    stills = read_stills(files)
    admitted = read_table(sources, Sources).select("source", "path", "kind", "sha256", "use")
    with stored_items(cache, "sources", ledger) as (entries, stored), ThreadPoolExecutor(threads) as pool:
        for source, path, kind, sha256, use in admitted.rows():
            if use == [RESTORE]:
                entries.row(source, "dropped", "source is only restored")
                continue
            source_files = stills.get(source, [])
            name = digest([source, kind, sha256, source_files, settings.model_dump(mode="json"), code])
            item = stored(name, partial(_sample, source, Path(path), kind, source_files, settings, pool, 2 * threads))
            source_rows = json.loads((item / ROWS).read_text(encoding="utf-8"))
            for row in source_rows:
                link_or_copy(item / row["file"], images / row["file"])
            rows += source_rows
    write_table(pl.DataFrame(rows, schema=types(Frames)), Frames, table)


def _sample(
    source: str,
    path: Path,
    kind: str,
    files: list[dict[str, Any]],
    settings: FrameSettings,
    pool: ThreadPoolExecutor,
    count: int,
    folder: Path,
    entries: Ledger,
) -> None:
    """Write the frames of `source` and their rows of `tables.Frames` to `folder`, and a row for each to `entries`.

    `files`: its rows of `tables.SourceFiles`. `count` frames are decoded ahead.
    """
    remarks = {row["index"]: row for row in files if row["status"] == "ok" and row["reason"]}

    def chosen() -> Iterator[tuple[str, VideoFrame | Still | Dropped]]:
        """Yield each frame with its key, or a fault with the id of the source."""
        try:
            yield from ((frame_key(source, frame), frame) for frame in _chosen(path, kind, files, settings))
        except Dropped as fault:
            yield source, fault

    def store(chosen: tuple[str, VideoFrame | Still | Dropped]) -> dict[str, Any]:
        key, frame = chosen
        if isinstance(frame, Dropped):
            raise frame
        return _store(frame, source, key, folder, settings)

    rows: list[dict[str, Any]] = []
    for (key, frame), stored in ahead(pool, store, chosen(), count):
        with entries.item(key) as note:
            rows.append(stored.result())
            if not isinstance(frame, Dropped) and frame.index in remarks:
                note |= {name: remarks[frame.index][name] for name in ("reason", "detail")}
    for row in files:
        if row["status"] != "ok":
            entries.row(f"{file_name(source)}/{row['path']}", row["status"], row["reason"], row["detail"])
    (folder / ROWS).write_text(json.dumps(rows), encoding="utf-8")


def select_frames(packets: Packets, settings: FrameSettings) -> np.ndarray:
    """Return the indices of the frames that `settings` select by time, count or keyframe, ascending.

    Seconds and frames count from the first frame that is not skipped. The frame at a point in time is the one on the screen
    then. The modes `all` and `decimate` select all frames that are not skipped.

    Raises `Dropped` if all frames are skipped.
    """
    left: np.ndarray = np.flatnonzero(
        (packets.time >= settings.skip_start_seconds) & (packets.time <= packets.time[-1] - settings.skip_end_seconds)
    )
    if not len(left):
        raise Dropped("shorter than what is skipped", f"the last frame is at {packets.time[-1]:.3f} s")
    if settings.mode == "interval":
        # The last frame is shown until the next one comes, or the video ends.
        end = packets.time[left[-1] + 1] if left[-1] + 1 < len(packets) else packets.duration
        time = np.append(packets.time[left], max(end, packets.time[left[-1]] + 2e-6)) - packets.time[left[0]]
        passed = np.ceil((time - 1e-6) / settings.interval_seconds)  # with a tolerance for rounding
        left = left[np.diff(passed) > 0]
    elif settings.mode == "every":
        left = left[:: settings.every_frames]
    elif settings.mode == "keyframes":
        left = left[packets.keyframe[left]]
    return left


def decimate(path: Path, packets: Packets, indices: np.ndarray) -> np.ndarray:
    """Return those of the consecutive frames `indices` that FFmpeg's filter mpdecimate keeps.

    The filter gets no earlier frames, and none that cannot be decoded. Raises `Failed` if the video `path` cannot be read.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    fed: list[int] = []

    def feed(pipe: IO[bytes], pictures: Iterable[tuple[int, "av.VideoFrame"]], form: tuple[int, int, str]) -> None:
        with pipe:
            for index, picture in pictures:
                fed.append(index)
                pipe.write(picture.reformat(*form, threads=1).to_ndarray().tobytes())

    frames = read_frames(path, packets, indices)
    pictures = ((frame.index, frame.picture) for frame in frames if frame.picture is not None)
    first = next(pictures, None)
    if first is None:
        raise Failed("no frame can be decoded", f"of {len(indices)}")
    form = first[1].width, first[1].height, "yuv420p"
    # FFmpeg gets the pictures and nothing else, and numbers them.
    command = [get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", form[2], "-s", f"{form[0]}x{form[1]}"]
    command += ["-framerate", "1", "-i", "pipe:0", "-vf", MPDECIMATE, "-fps_mode", "passthrough", "-f", "framecrc", "pipe:1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process, ThreadPoolExecutor(1) as pool:
        assert process.stdin is not None and process.stdout is not None
        feeding = pool.submit(feed, process.stdin, chain([first], pictures), form)
        lines = process.stdout.read().decode().splitlines()
        feeding.result()
    return np.array([fed[int(line.split(",")[2])] for line in lines if not line.startswith("#")], np.int64)


def _chosen(path: Path, kind: str, files: list[dict[str, Any]], settings: FrameSettings) -> Iterator[VideoFrame | Still]:
    if kind != "video":
        yield from progress(stills_of(path, files), unit="images")
        return
    packets = read_packets(path)
    indices = select_frames(packets, settings)
    if settings.mode == "decimate":
        indices = decimate(path, packets, indices)
    if not len(indices):
        raise Dropped("no frame is chosen")
    yield from progress(read_frames(path, packets, indices), total=len(indices), unit="frames")


def _store(frame: VideoFrame | Still, source: str, key: str, images: Path, settings: FrameSettings) -> dict[str, Any]:
    image = frame.square_image(deinterlace=settings.deinterlace)
    if settings.max_side:
        image = shrink(image, settings.max_side)
    file = key + SUFFIX[settings.format]
    write_image(images / file, image, settings.quality)
    return {
        "key": key,
        "source": source,
        "index": frame.index,
        "name": frame.name,
        "pts": frame.pts,
        "time": frame.time,
        "file": file,
        "width": image.shape[1],
        "height": image.shape[0],
        "aspect": frame.aspect,
        "phash": scaled_hash(image),
    }
