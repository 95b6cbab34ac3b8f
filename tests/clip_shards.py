"""A shard of footage with scenes and the clips that are cut out of them, for tests of clips."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl

from tessera.core.ledger import read_ledger
from tessera.imaging.boxes import mask_box
from tessera.imaging.masks import encode_rle
from tessera.imaging.mosaic.drawing import block_sizes
from tessera.imaging.video import Packets, read_packets
from tessera.records.tables.clips import Clips
from tessera.records.tables.footage import Sources
from tessera.records.tables.scenes import SceneFrames, Scenes
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.clips.cut import cut_clips
from tessera.stages.clips.settings import ClipSettings

TABLES: dict[str, Any] = {"scenes": Scenes, "scene_frames": SceneFrames, "sources": Sources}
LOSSLESS = ClipSettings(crf=0, preset="ultrafast")


def pictures(count: int, height: int, width: int) -> list[np.ndarray]:
    """Return pictures of a coarse texture that moves."""
    coarse = np.random.default_rng(1).integers(0, 256, (height // 8 + 8, width // 8 + 8, 3), np.uint8)
    texture = cv2.resize(coarse, (width + 64, height + 64), interpolation=cv2.INTER_CUBIC)
    return [texture[n % 64 : n % 64 + height, 2 * n % 64 : 2 * n % 64 + width].copy() for n in range(count)]


def film(
    path: Path, images: Sequence[np.ndarray], *, pts: Sequence[int] | None = None, pixel_format: str = "yuv420p", **options: str
) -> Path:
    """Write a video of `images` with a keyframe every ten frames; `pts` are milliseconds."""
    base = Fraction(1, 1000) if pts else Fraction(1, 25)
    codec = "libx265" if "10" in pixel_format else "libx264"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "10", "preset": "ultrafast", "crf": "10", **options})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = base
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = (pts[number] if pts else number), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def ellipse(height: int, width: int, centre: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, centre, axes, 20, 0, 360, 255, -1)
    return mask


def moving(height: int, width: int, count: int, start: int = 0) -> list[np.ndarray]:
    """Return masks of a region that moves to the right and grows."""
    return [
        ellipse(height, width, (width // 4 + 2 * n, height // 2), (width // 12 + n, height // 10 + n // 2))
        for n in range(start, start + count)
    ]


def run(folder: Path, settings: ClipSettings = LOSSLESS, threads: int = 2, out: str = "out") -> None:
    """Cut the clips that the tables in `folder` ask for, as the workflow does, into `out` in it."""
    outputs = folder / out
    outputs.mkdir()
    cut_clips(
        *(folder / f"{name}.parquet" for name in TABLES),
        folder / "cache",
        settings,
        block_sizes,
        detector="0" * 64,
        scene_settings={"stride": 1},
        seed=0,
        code="code",
        threads=threads,
        clips=outputs / "clips.parquet",
        images=outputs / "images",
        masks=outputs / "masks",
        ledger=outputs / "ledger.jsonl",
    )


@dataclass
class ClipShard:
    """The inputs and outputs of `cut_clips` for one shard, in a folder."""

    folder: Path
    sources: list[dict[str, Any]] = field(default_factory=list)
    scenes: list[dict[str, Any]] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    packets: dict[str, Packets] = field(default_factory=dict)

    def source(self, name: str, path: Path, **values: Any) -> str:
        """Add admitted footage."""
        defaults: dict[str, Any] = {column: "" for column, kind in types(Sources).items() if kind == pl.String}
        defaults |= {"content": "general", "kind": "video", "size": 1, "use": [], "rights": "CC0"}
        defaults |= {"average_rate": 25.0, "variable_rate": False, "sha256": name.ljust(64, "0")}
        row = {column: defaults.get(column) for column in types(Sources)}
        self.sources.append({**row, "source": name, "path": str(path), **values})
        return name

    def scene(self, source: str, first: int, masks: Sequence[np.ndarray], track: int = 0, **values: Any) -> str:
        """Add a scene of `source` that shows `masks` from the frame `first` on."""
        if source not in self.packets:
            self.packets[source] = read_packets(Path(next(row["path"] for row in self.sources if row["source"] == source)))
        packets = self.packets[source]
        height, width = masks[0].shape
        key = f"{source}-{first:07d}-{track}"
        row = {"key": key, "source": source, "track": track, "label": "nsfw", "first": first, "frames": len(masks)}
        row |= {"width": width, "height": height, "score": 0.9, "detected": len(masks), "extension": 0}
        self.scenes.append(row | values)
        for index, mask in enumerate(masks, first):
            box = dict(zip(("x0", "y0", "x1", "y1"), map(int, mask_box(mask)), strict=True))
            pts = int(packets.pts[index]) if packets.timed else None
            self.frames.append(
                {"key": key, "index": index, "pts": pts, "time": float(packets.time[index]), "rle": encode_rle(mask), **box}
            )
        return key

    def cut(self, settings: ClipSettings = LOSSLESS, threads: int = 2, out: str = "out") -> dict[str, dict[str, Any]]:
        """Cut into the folder `out`, and return the rows of the clips by their keys."""
        self.write()
        run(self.folder, settings, threads, out)
        return {row["key"]: row for row in read_table(self.folder / out / "clips.parquet", Clips).to_dicts()}

    def write(self) -> None:
        for (name, schema), rows in zip(TABLES.items(), (self.scenes, self.frames, self.sources), strict=True):
            write_table(pl.DataFrame(rows, schema=types(schema)), schema, self.folder / f"{name}.parquet")

    def cached(self) -> dict[str, tuple[int, int]]:
        """Return the inode and the time of each file of the cache. A file that was made again has others."""
        statuses = {path: path.stat() for path in (self.folder / "cache").glob("[!.]*/*.m*")}
        return {str(path): (status.st_ino, status.st_mtime_ns) for path, status in statuses.items()}

    def ledger(self, out: str = "out") -> dict[str, tuple[str, str]]:
        return {row["key"]: (row["status"], row["reason"]) for row in read_ledger(self.folder / out / "ledger.jsonl")}

    def bytes(self, out: str = "out") -> dict[str, bytes]:
        files = [path for path in (self.folder / out).rglob("*.m*") if path.is_file()]
        return {str(path.relative_to(self.folder / out)): path.read_bytes() for path in files}
