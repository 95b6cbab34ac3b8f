"""The speed of frames and duplicates, compared with a plain loop."""

import itertools
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
from source_files import write_source_files
from timing import seconds

from tessera.imaging.near_hashes import find_duplicates
from tessera.imaging.video import read_frames, read_packets
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import types, write_table
from tessera.stages.footage.sampling import FrameSettings, sample_frames, select_frames

MEDIA = Path(__file__).parents[3] / "shared" / "media"
HEIGHT, WIDTH, RATE, SECONDS = 720, 1280, 30, 180


def decode(path: Path) -> None:
    """Decode all frames, as fast as PyAV does, and leave them as they are."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def decode_and_encode(path: Path) -> None:
    """Decode all frames to RGB and encode them as JPEG."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            image = cv2.cvtColor(frame.to_ndarray(format="rgb24"), cv2.COLOR_RGB2BGR)
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])


@pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")
def test_all_frames_are_stored_at_70_percent_of_the_speed_of_a_bare_loop(tmp_path: Path) -> None:
    path = MEDIA / "dog.mp4"
    values: dict[str, Any] = {name: "" for name, kind in types(Sources).items() if kind == pl.String}
    values |= {"source": "dog", "path": str(path), "kind": "video", "content": "general"}
    values |= {"size": 1, "use": []}
    row = {name: values.get(name) for name in types(Sources)}
    write_table(pl.DataFrame([row], schema=types(Sources)), Sources, tmp_path / "sources.parquet")
    folders = itertools.count()

    def sample() -> None:
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        sample_frames(
            tmp_path / "sources.parquet",
            write_source_files(tmp_path / "stills.parquet"),
            folder / "kept",
            FrameSettings(mode="all"),
            code="code",
            threads=2,
            table=folder / "frames.parquet",
            images=folder / "images",
            ledger=folder / "ledger.jsonl",
        )

    ours, bare = seconds(sample, lambda: decode_and_encode(path), repeats=5)
    print(f"\nall frames of dog.mp4, with images, table and hashes: {bare / ours:.0%} of the speed of a bare loop (floor: 70%)")
    assert bare / ours >= 0.7


def make_video(path: Path, keyframe_every: int) -> Path:
    """Write three minutes of 720p: a texture that moves, under grain as cameras have it."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (45, 320), np.uint8)
    texture = cv2.resize(coarse, (4 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = random.normal(0, 4, (2 * HEIGHT, 2 * WIDTH)).astype(np.int16)
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "g": str(keyframe_every), "keyint_min": str(keyframe_every), "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
        for number in range(SECONDS * RATE):
            left = abs(2 * number % (6 * WIDTH) - 3 * WIDTH)
            y, x = random.integers(0, (HEIGHT, WIDTH))
            light = texture[:, left : left + WIDTH] + grain[y : y + HEIGHT, x : x + WIDTH]
            planes = np.vstack([light.clip(0, 255).astype(np.uint8), chroma])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())
    return path


def read(path: Path, **settings: Any) -> int:
    """Open the file, read the chosen frames as RGB, and return their number."""
    packets = read_packets(path)
    chosen = select_frames(packets, FrameSettings(**settings))
    return sum(frame.image().shape == (HEIGHT, WIDTH, 3) for frame in read_frames(path, packets, chosen))


def test_few_frames_are_read_in_little_time(tmp_path: Path) -> None:
    path = make_video(tmp_path / "often.mp4", 2 * RATE)
    assert read(path, mode="interval", interval_seconds=10) == SECONDS / 10
    assert read(path, mode="keyframes") == SECONDS / 2
    everything, interval, odd, keyframes = seconds(
        lambda: decode(path),
        lambda: read(path, mode="interval", interval_seconds=10),
        lambda: read(path, mode="interval", interval_seconds=10, skip_start_seconds=1.9),
        lambda: read(path, mode="keyframes"),
    )
    path.unlink()  # hundreds of megabytes
    print(
        f"\na keyframe every 2 s, decoding everything: {everything:.2f} s; interval of 10 s: {everything / interval:.1f} times"
        f" as fast (floor: 4), {everything / odd:.1f} where each lies just before a keyframe, the worst case;"
        f" keyframes: {everything / keyframes:.1f} times (floor: 8)"
    )
    assert everything / interval >= 4
    assert everything / keyframes >= 8


def test_rare_keyframes_cost_nothing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "rare.mp4", SECONDS * RATE)
    everything, interval, keyframes = seconds(
        lambda: decode(path),
        lambda: read(path, mode="interval", interval_seconds=10),
        lambda: read(path, mode="keyframes"),
    )
    path.unlink()  # hundreds of megabytes
    print(
        f"\none keyframe only, decoding everything: {everything:.2f} s; interval of 10 s: {everything / interval:.2f} times as"
        f" fast; keyframes: {everything / keyframes:.1f} times (floor: 1, within the 5% that a busy machine is off)"
    )
    assert everything / interval >= 0.95
    assert everything / keyframes >= 1


def compare_all(hashes: list[int], distance: int) -> list[int]:
    """Return the kept hash that represents each of `hashes`, by comparing all pairs."""
    stays = list(range(len(hashes)))
    nearest = [distance + 1] * len(hashes)
    kept = [True] * len(hashes)
    for index, one in enumerate(hashes):
        near = [other for other in range(index) if (one ^ hashes[other]).bit_count() <= distance]
        kept[index] = not any(kept[other] for other in near)
    for index, one in enumerate(hashes):
        for other in itertools.compress(range(len(hashes)), kept):
            bits = (one ^ hashes[other]).bit_count()
            if bits < nearest[index]:
                nearest[index], stays[index] = bits, other
    return stays


def compare_all_at_once(hashes: np.ndarray, distance: int) -> list[int]:
    """Return the same as `compare_all`, but compare each hash with all kept ones at once, which is faster."""
    kept = np.empty(0, np.int64)
    for index, one in enumerate(hashes):
        if not len(kept) or np.bitwise_count(one ^ hashes[kept]).min() > distance:
            kept = np.append(kept, index)
    staying = hashes[kept]
    return [int(kept[np.bitwise_count(one ^ staying).argmin()]) for one in hashes]


def hashes_like_those_of_footage(count: int) -> np.ndarray:
    """Return `count` hashes. About half of them differ in a few bits from another."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, count // 2, np.uint64)[random.integers(0, count // 2, count)]
    for _ in range(2):
        hashes ^= np.uint64(1) << random.integers(0, 64, count, np.uint64)
    return hashes


def test_a_hundred_thousand_hashes_50_times_faster_than_all_pairs() -> None:
    distance = 4
    sample, hashes, million = (hashes_like_those_of_footage(count) for count in (4_000, 100_000, 1_000_000))
    start = time.monotonic()
    expected = compare_all(sample.tolist(), distance)
    plain = (time.monotonic() - start) * (len(hashes) / len(sample)) ** 2
    assert find_duplicates(sample, distance)[0].tolist() == expected == compare_all_at_once(sample, distance)
    (ours,) = seconds(lambda: find_duplicates(hashes, distance))
    assert find_duplicates(hashes, distance)[0].tolist() == compare_all_at_once(hashes, distance)
    (most,) = seconds(lambda: find_duplicates(million, distance), repeats=1)
    print(
        f"\n100,000 hashes: {ours:.2f} s, {plain / ours:.0f} times as fast as all pairs in Python, which is {plain:.0f} s as"
        f" 4,000 tell (floor: 50), with the same result; 1,000,000: {most:.1f} s"
    )
    assert plain / ours >= 50
