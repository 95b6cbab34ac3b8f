"""A restoration that is killed fifty times gives the same bytes as one that is not."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from clip_shards import ClipShard, ellipse, film, pictures

KILLS = 50
FRAMES = 520
RESTORE = """
import sys
from pathlib import Path
from tessera.core.ledger import Ledger
from tessera.imaging.crops import CropSettings
from tessera.stages.restore import restored
from tessera.stages.restore.methods import ClipModel
from tessera.stages.restore.settings import RestoreSettings

def shade(clip):
    return (clip // 2 + clip.mean(axis=0) / 2).astype("uint8")

folder = Path(sys.argv[1])
out = folder / sys.argv[2]
out.mkdir()
with Ledger(folder / "found.jsonl") as book:
    book.row("film", "ok")
restored.WINDOWS = 1
restored.restore_videos(
    *(folder / name for name in ("sources.parquet", "scenes.parquet", "scene_frames.parquet", "found.jsonl")), ClipModel(shade),
    folder / "cache", cache_key="", settings=RestoreSettings(window=12, overlap=4), crops=CropSettings(), size=64,
    keep_aspect=False, videos=out / "videos", comparisons=out / "comparisons", sheets=out / "sheets",
    ledger=out / "ledger.jsonl",
)
"""


def test_fifty_kills_change_no_byte(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    shard = ClipShard(killed)
    shard.source("film", film(tmp_path / "film.mp4", pictures(FRAMES, 192, 256)))
    shard.scene("film", 5, [ellipse(192, 256, (60 + number % 120, 96), (14, 12)) for number in range(FRAMES - 10)])
    shard.write()
    shutil.copytree(killed, whole)
    wait = random.Random(0)
    parts = []
    for run in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", RESTORE, killed, f"out{run}"], stdout=subprocess.DEVNULL)
        before = len(list(killed.glob("parts/[!.]*")))
        # Some are killed at once after a part, others anywhere in the next one, or before the first one.
        while len(list(killed.glob("parts/[!.]*"))) == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(wait.choice([0, 0.01, 0.03]))
        assert process.poll() is None, "it was done before it was killed fifty times"
        process.kill()
        process.wait()
        parts.append(len(list(killed.glob("parts/[!.]*"))))
    for folder in (killed, whole):
        subprocess.run([sys.executable, "-c", RESTORE, folder, "again"], check=True, stdout=subprocess.DEVNULL, env=os.environ)
    made = [path for path in (whole / "again").rglob("film.*") if path.is_file()]
    print(f"\n{KILLS} kills, after {parts[0]} to {parts[-1]} parts of {-(-FRAMES // 8)}: {len(made)} files compared")
    assert len(made) == 3
    assert all((killed / path.relative_to(whole)).read_bytes() == path.read_bytes() for path in made)
