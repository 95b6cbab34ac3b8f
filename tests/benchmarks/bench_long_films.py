"""The memory that a film needs hardly grows with its length, up to an hour."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from clip_shards import ClipShard, ellipse, film, pictures

RATE, HEIGHT, WIDTH = 25, 120, 160
MINUTES = 6, 60
MORE = 64  # MiB for the list of the 81,000 frames more
STEPS = {
    "read, all frames decoded": "from tessera.imaging.probe import probe; probe(film, 'all')",
    "looked at by a detector that costs nothing": (
        "from functools import partial; from tessera.stages.clips.detect import every;"
        "from tessera.records.video_detections import detect_video;"
        "detect_video('film', film, frames, lambda images: ([] for _ in images), partial(every, stride=1), 8, threads=2)"
    ),
    "cut into clips": "from clip_shards import run; run(folder)",
    "restored by a function that costs nothing": "from bench_restored import MAKE; sys.argv[1] = str(folder); exec(MAKE)",
}
RUN = """
import sys
from pathlib import Path
folder, frames = Path(sys.argv[1]), int(sys.argv[2])
film = folder / "film.mp4"
{step}
from memory import largest_memory
print(largest_memory())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory is read from /proc, which only Linux has")
def test_an_hour_needs_little_more_memory_than_six_minutes(tmp_path: Path) -> None:
    minute = film(tmp_path / "minute.mp4", pictures(60 * RATE, HEIGHT, WIDTH), crf="30", g=str(2 * RATE))
    peaks: dict[str, list[float]] = {step: [] for step in STEPS}
    python_path = os.pathsep.join(str(folder) for folder in (Path(__file__).parent, Path(__file__).parents[1]))
    for minutes in MINUTES:
        folder, frames = tmp_path / str(minutes), minutes * 60 * RATE
        folder.mkdir()
        join = [get_ffmpeg_exe(), "-v", "error", "-stream_loop", str(minutes - 1), "-i", minute, "-c", "copy"]
        subprocess.run([*join, folder / "film.mp4"], check=True)
        shard = ClipShard(folder)
        shard.source("film", folder / "film.mp4", average_rate=float(RATE), frames=frames)
        mask = ellipse(HEIGHT, WIDTH, (WIDTH // 2, HEIGHT // 2), (30, 25))
        for first in range(0, frames, 20 * RATE):
            shard.scene("film", first, [mask] * 4 * RATE)
        shard.write()
        for name, step in STEPS.items():
            command = [sys.executable, "-c", RUN.format(step=step), folder, str(frames)]
            ran = subprocess.run(
                command, env=os.environ | {"PYTHONPATH": python_path}, capture_output=True, text=True, check=True
            )
            peaks[name].append(int(ran.stdout.split()[-1]) / 2**20)
    print()
    for name, (short, long) in peaks.items():
        print(f"{name}: {short:.0f} MiB for {MINUTES[0]} minutes, {long:.0f} MiB for {MINUTES[1]} (ceiling: {MORE} MiB more)")
    assert all(long <= short + MORE for short, long in peaks.values())
