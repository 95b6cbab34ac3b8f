"""What the page shows of an item: pictures as they are, and clips as small videos that every browser plays."""

import hashlib
import os
import threading
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import IMAGE_SUFFIXES
from tessera.imaging.encode import VideoWriter
from tessera.imaging.video import read_frames, read_packets

SIDE = 480  # pixels, the longer side of a proxy
OUTLINE = (255, 64, 160)  # RGB
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp"}
QUALITY = 23
ENCODED = 2  # clips at a time, so that others are answered meanwhile
SEEKABLE = 0.1  # seconds between keyframes, so that a browser steps through frames quickly


class NotShown(Exception):
    """A file that is not there, or that the page must not serve. Its text says which and why."""


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


class Proxies:
    """Small H.264 videos of clips, in a folder, made when they are asked for. Threads that ask for the same one wait."""

    def __init__(self, folder: Path) -> None:
        """Use the `folder`, which is made."""
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._room = threading.Semaphore(ENCODED)

    def of(self, clip: Path, mask: Path | None) -> Path:
        """Return the proxy of the video `clip`, with the outline of its `mask` if it is given.

        Raises `NotShown` if the clip cannot be read, and `OSError` if the disk is full.
        """
        state = [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in (clip, mask) if file]
        proxy = self.folder / f"{hashlib.sha256(repr((SIDE, state)).encode()).hexdigest()[:24]}.mp4"
        with self._lock:
            own = self._making.setdefault(proxy.name, threading.Lock())
        with own:
            if proxy.exists():
                return proxy
            with self._room:
                unfinished = proxy.with_name(f".{os.getpid()}.{threading.get_ident()}.{proxy.name}")
                try:
                    write_proxy(clip, mask, unfinished)
                    unfinished.replace(proxy)
                except Failed as error:
                    raise NotShown(f"{clip.name}: {error}") from None
                finally:
                    unfinished.unlink(missing_ok=True)
        return proxy


def write_proxy(clip: Path, mask: Path | None, path: Path) -> None:
    """Write the video `clip` to `path` as H.264 in yuv420p, at most `SIDE` pixels a side, with the outline of `mask`.

    Raises `Failed` if the clip or the mask cannot be read.
    """
    time = read_packets(clip).time
    rate = (len(time) - 1) / (time[-1] - time[0]) if len(time) > 1 else 1.0
    with VideoWriter(path, rate, quality=QUALITY, preset="veryfast", keyframe_every=SEEKABLE) as writer:
        for image, drawn in zip_longest(_images(clip), _images(mask) if mask else ()):
            if image is None:
                break
            writer.write(_shown(image, drawn))


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
