"""The speed and the memory of cutting clips, for any number and length."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from timing import seconds

from clip_shards import ClipShard, ellipse, film
from tessera.learning.detection.found import Region
from tessera.records.video_detections import detect_video
from tessera.stages.clips.detect import every
from tessera.stages.clips.settings import ClipSettings

RATE = 30
CUT = """
import sys
from pathlib import Path
from clip_shards import run
from tessera.stages.clips.settings import ClipSettings
run(Path(sys.argv[1]), ClipSettings())
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def footage(path: Path, height: int, width: int, count: int) -> Path:
    """Write a video of a texture that moves, under grain as cameras have it; frames are made one at a time."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (height // 16, width // 8, 3), np.uint8)
    texture = cv2.resize(coarse, (2 * width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = random.normal(0, 4, (2 * height, 2 * width, 1)).astype(np.int16)

    class Frames(Sequence[np.ndarray]):
        def __len__(self) -> int:
            return count

        def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]
            if number >= count:
                raise IndexError
            left, (y, x) = 4 * number % width, np.random.default_rng(number).integers(0, (height, width))
            picture = texture[:, left : left + width] + grain[y : y + height, x : x + width]
            return picture.clip(0, 255).astype(np.uint8)

    return film(path, Frames(), g=str(2 * RATE), preset="veryfast", crf="20")


def decode(path: Path) -> None:
    """Decode all frames, as fast as PyAV does, and leave them as they are."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def see_nothing(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
    """A detector that takes no time."""
    return ([] for _ in images)


def test_footage_of_1080p_becomes_clips_in_a_fraction_of_real_time(tmp_path: Path) -> None:
    height, width, count = 1080, 1920, 32 * RATE
    shard = ClipShard(tmp_path)
    shard.source("a", path := footage(tmp_path / "a.mp4", height, width, count), average_rate=float(RATE))
    masks = [ellipse(height, width, (width // 3 + n, height // 2), (150, 130)) for n in range(count // 4 - 2)]
    for number in range(4):
        shard.scene("a", 7 + number * len(masks), masks)  # never at a keyframe
    folders = itertools.count()

    def cut() -> None:
        if (tmp_path / "cache").exists():
            (tmp_path / "cache").rename(tmp_path / f"cache {next(folders)}")
        shard.cut(ClipSettings(), out=str(next(folders)))

    detecting, cutting, bare = seconds(
        lambda: detect_video("a", path, count, see_nothing, partial(every, stride=1), 8, threads=2), cut, lambda: decode(path)
    )
    speeds = [count / RATE / duration for duration in (detecting + cutting, detecting, cutting, bare)]
    rate = path.stat().st_size * 8 * RATE / count / 1e6
    print(
        f"\n1080p30 of {rate:.0f} Mbit/s, a region of 300 pixels in every frame: made clips at {speeds[0]:.1f} times real time"
        f" (floor: 3); looked at by a detector that costs nothing at {speeds[1]:.1f}, cut at {speeds[2]:.1f}, decoded and left"
        f" alone at {speeds[3]:.1f}"
    )
    assert speeds[0] >= 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which only Linux has")
@pytest.mark.parametrize(
    ("regions", "axes", "lengths"),
    [(8, (250, 200), (120, 240)), (2, (1910, 1070), (20, 40))],
    ids=["eight regions", "two as large as the frame"],
)
def test_4k_needs_the_same_memory_whatever_the_length(
    tmp_path: Path, regions: int, axes: tuple[int, int], lengths: tuple[int, int]
) -> None:
    height, width = 2160, 3840
    path = footage(tmp_path / "a.mp4", height, width, max(lengths))
    peaks = []
    for count in lengths:
        shard = ClipShard(tmp_path / str(count))
        shard.folder.mkdir()
        shard.source("a", path, average_rate=float(RATE))
        for track in range(regions):
            centre = (width // 2, height // 2) if regions == 2 else (400 + 400 * track, 300 + 180 * track)
            for first in range(0, count, 2 * RATE):
                shard.scene("a", first, [ellipse(height, width, centre, axes)] * min(count, 2 * RATE), track)
        shard.write()
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        ran = subprocess.run(
            [sys.executable, "-c", CUT, shard.folder], env=environment, capture_output=True, text=True, check=True
        )
        peaks.append(int(ran.stdout.split()[-1]) / 2**20)
    print(
        f"\n4K, {regions} regions of {2 * axes[0]} by {2 * axes[1]} pixels at once: "
        + ", ".join(f"{peak:.2f} GiB for {count} frames" for peak, count in zip(peaks, lengths, strict=True))
        + " (ceiling: 1.4, and 10% more for the longer)"
    )
    assert max(peaks) < 1.4
    assert peaks[1] < 1.1 * peaks[0]
