"""A dataset of clips as the workflow writes it, for tests of restoration."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tessera.imaging.encode import SOUGHT_EVERY, VideoWriter
from tessera.records.lada.metadata import IMAGES, MASKS, METADATA, metadata

Box = tuple[int, int, int, int]


def texture(height: int, width: int) -> np.ndarray:
    """Return a picture of a coarse texture."""
    coarse = np.random.default_rng(1).integers(0, 256, (height // 8 + 8, width // 8 + 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_clip(
    folder: Path,
    key: str,
    frames: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    crops: Sequence[Box],
    values: Mapping[str, Any] | None = None,
    quality: int = 0,
    preset: str = "ultrafast",
) -> None:
    """Cut `crops` out of `frames` and `masks`, and write them as a clip of the dataset `folder`, its metadata with `values`."""
    shape = tuple(max(box[3 - axis] - box[1 - axis] for box in crops) for axis in (0, 1))
    pads = []
    for name in (IMAGES, MASKS, METADATA):
        (folder / name).mkdir(parents=True, exist_ok=True)
    stored: dict[str, Any] = {"quality": quality, "preset": preset, "pixel_format": "yuv444p", "keyframe_every": SOUGHT_EVERY}
    with (
        VideoWriter(folder / IMAGES / f"{key}.mp4", 30, **stored) as images,
        VideoWriter(folder / MASKS / f"{key}.mkv", 30, pixel_format="gray") as regions,
    ):
        for frame, mask, (x0, y0, x1, y1) in zip(frames, masks, crops, strict=True):
            rows, columns = shape[0] - (y1 - y0), shape[1] - (x1 - x0)
            pads.append((rows - rows // 2, rows // 2, columns - columns // 2, columns // 2))
            around = (pads[-1][:2], pads[-1][2:])
            images.write(np.pad(frame[y0:y1, x0:x1], (*around, (0, 0))))
            regions.write(np.pad(mask[y0:y1, x0:x1], around))
    row = {"key": key, "source": key, "rate": 30.0, "frames": len(crops), "height": shape[0], "width": shape[1]}
    row |= {"frame_height": frames[0].shape[0], "frame_width": frames[0].shape[1], "pads": pads, "crops": crops}
    row |= dict.fromkeys(("block_v1_normal", "block_v1_bounding", "block_v2", "block_v3"), 8.0)
    (folder / METADATA / f"{key}.json").write_text(json.dumps(metadata(row) | dict(values or {})))


def write_moving_clip(folder: Path, key: str = "film-0000000-000", count: int = 40, side: int = 96, **values: Any) -> None:
    """Write a clip of a still texture in a frame of 160 by 240 pixels, with a crop that follows a growing region."""
    frame = texture(160, 240)
    crops, masks = [], []
    for number in range(count):
        x, y = 100 + number % 40, 75 + number % 40 // 2
        mask = np.zeros(frame.shape[:2], np.uint8)
        cv2.ellipse(mask, (x, y), (22, 18), 20, 0, 360, 255, -1)
        masks.append(mask)
        crops.append((x - side // 2, y - side // 2, x + side // 2 - number % 3, y + side // 2 - number % 5))
    write_clip(folder, key, [frame] * count, masks, crops, values)
