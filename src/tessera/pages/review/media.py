"""What the page shows of an item: pictures as they are, and clips as small videos that every browser plays."""

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import IMAGE_SUFFIXES
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.imaging.encode import VideoWriter
from tessera.imaging.images import shrink, write_image
from tessera.imaging.video import read_frames, read_packets
from tessera.records.tables.review import CLIPS, ReviewItems
from tessera.records.tables.table import read_quickly

SIDE = 480  # pixels, the longer side of a proxy
POSTER = 320  # pixels, the longer side of its poster
OUTLINE = (255, 64, 160)  # RGB
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp"}
QUALITY = 23
ENCODED = 2  # clips at a time, so that others are answered meanwhile
SEEKABLE = 0.1  # seconds between keyframes, so that a browser steps through frames quickly
GIGABYTE = 1e9


class NotShown(Exception):
    """A file that is not there, or that the page must not serve. Its text says which and why."""


class Proxy(NamedTuple):
    """A small video of a clip, and its poster, the picture in its middle."""

    video: Path
    poster: Path

    @property
    def size(self) -> int:
        """Its bytes on the disk; 0 if it is not there."""
        return sum(path.stat().st_size for path in self) if self.is_there() else 0

    def is_there(self) -> bool:
        """Return whether both files are there."""
        return self.video.exists() and self.poster.exists()


def inside(path: str, results: Path) -> Path:
    """Return the file `path`. Raises `NotShown` if it is not a regular file inside the folder `results`."""
    try:
        real = Path(path).resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, or a name with a zero
        raise NotShown(f"{path!r} is no path of a file") from None
    if not real.is_relative_to(results.resolve()):
        raise NotShown(f"{path} is not in {results}, and is not shown")
    if not real.is_file():
        raise NotShown(f"{path} is gone: run the workflow again")
    return real


def picture_type(path: Path) -> str:
    """Return the content type of a picture. Raises `NotShown` if it is none that browsers show."""
    suffix = path.suffix.lower()
    if suffix not in TYPES or suffix not in IMAGE_SUFFIXES:
        raise NotShown(f"{path.name}: browsers do not show files of this kind")
    return TYPES[suffix]


def proxy_of(folder: Path, clip: Path, mask: Path | None) -> Proxy:
    """Return where in `folder` the proxy of the video `clip` lies, with the outline of its `mask` if it is given.

    Raises `OSError` if one of the two is not there.
    """
    state = [(file.parent.name, file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in (clip, mask) if file]
    name = hashlib.sha256(repr((SIDE, POSTER, state)).encode()).hexdigest()[:24]
    return Proxy(folder / f"{name}.mp4", folder / f"{name}.jpg")


def make_proxies(items: Path, budget: float, threads: int, *, folder: Path, ledger: Path) -> None:
    """Make the proxies of the clips in `items` (`tables.ReviewItems`), with outlines, in `folder`, where they are kept.

    Those whose decision is worth most come first, until they take `budget` gigabytes; the page makes others when it shows them.
    What is there already is not made again, and what no clip needs is deleted. `ledger` gets a row for each clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clips = read_quickly(items, ReviewItems).filter(queue=CLIPS).select("key", "clip", "mask").rows()
    needed: set[Path] = set()
    counts: Counter[str] = Counter()
    used = 0

    def make(clip: tuple[str, str, str]) -> Proxy:
        _, video, mask = clip
        proxy = proxy_of(folder, Path(video), Path(mask) if mask else None)
        # Those that are asked for ahead may leave the budget by one for each thread.
        if not proxy.is_there() and used < budget * GIGABYTE:
            write_proxy(Path(video), Path(mask) if mask else None, proxy)
            counts["made"] += 1
        return proxy

    with Ledger(ledger) as entries, ThreadPoolExecutor(threads) as pool:
        for (key, *_), made in progress(ahead(pool, make, clips, threads), len(clips), "clips"):
            with entries.item(key) as note:
                proxy = made.result()
                size = proxy.size
                if size and used + size <= budget * GIGABYTE:
                    used += size
                    needed.update(proxy)
                    counts["there"] += 1
                else:
                    note["reason"] = "beyond the budget"
    for path in folder.iterdir():
        if path not in needed:
            path.unlink()
    left = len(clips) - counts["there"]
    rest = f"; {pluralize(left, 'clips')} have none, and are played later: raise `review.proxies`" if left else ""
    there, new = pluralize(counts["there"], "proxies"), f"{counts['made']:,} of them new"
    tell(f"{there}, {new}, take {used / GIGABYTE:.3f} of {budget:g} GB{rest}")


class Proxies:
    """Proxies in a folder, those that are not there made when they are asked for. Threads that ask for the same one wait."""

    def __init__(self, folder: Path, budget: float = float("inf")) -> None:
        """Use the `folder`, which is made. `budget`: gigabytes; the oldest proxies that were made here give way."""
        self.folder, self.budget = folder, budget
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._encoders = threading.Semaphore(ENCODED)
        self._made: list[Proxy] = []
        self._used = sum(path.stat().st_size for path in folder.iterdir())

    def of(self, clip: Path, mask: Path | None) -> Proxy:
        """Return the proxy of the video `clip`, with the outline of its `mask` if it is given.

        Raises `NotShown` if the clip cannot be read, and `OSError` if the disk is full.
        """
        proxy = proxy_of(self.folder, clip, mask)
        if proxy.is_there():
            return proxy
        with self._lock:
            lock = self._making.setdefault(proxy.video.name, threading.Lock())
        with lock:
            if not proxy.is_there():
                with self._encoders:
                    try:
                        write_proxy(clip, mask, proxy)
                    except Failed as error:
                        raise NotShown(f"{clip.name}: {error}") from None
                self._free_space(proxy)
        return proxy

    def _free_space(self, proxy: Proxy) -> None:
        with self._lock:
            self._made.append(proxy)
            self._used += proxy.size
            while self._used > self.budget * GIGABYTE and len(self._made) > ENCODED:
                oldest = self._made.pop(0)
                self._used -= oldest.size
                for path in oldest:
                    path.unlink(missing_ok=True)


def write_proxy(clip: Path, mask: Path | None, proxy: Proxy) -> None:
    """Write the video `clip` as H.264 in yuv420p, at most `SIDE` pixels a side, with the outline of `mask`, and its poster.

    Raises `Failed` if the clip or the mask cannot be read.
    """
    unfinished = Proxy(*(path.with_name(f".{os.getpid()}.{threading.get_ident()}.{path.name}") for path in proxy))
    try:
        time = read_packets(clip).time
        rate = (len(time) - 1) / (time[-1] - time[0]) if len(time) > 1 else 1.0
        with VideoWriter(unfinished.video, rate, quality=QUALITY, preset="veryfast", keyframe_every=SEEKABLE) as writer:
            for number, (image, drawn) in enumerate(zip_longest(_images(clip), _images(mask) if mask else ())):
                if image is None:
                    break
                shown = _shown(image, drawn)
                writer.write(shown)
                if number == len(time) // 2:
                    write_image(unfinished.poster, shrink(shown, POSTER), quality=85)
        # Both are there, or neither counts.
        unfinished.poster.replace(proxy.poster)
        unfinished.video.replace(proxy.video)
    finally:
        for path in unfinished:
            path.unlink(missing_ok=True)


def _images(path: Path) -> Iterator[np.ndarray]:
    for frame in read_frames(path, read_packets(path)):
        yield frame.image()


def _shown(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    small: np.ndarray = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if mask is not None:
        levels = cv2.resize(np.ascontiguousarray(mask[:, :, 0]), size, interpolation=cv2.INTER_LINEAR)
        contours, _ = cv2.findContours((levels > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, contours, -1, OUTLINE, 1, cv2.LINE_AA)
    return small
