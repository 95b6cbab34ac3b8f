"""Review items for tests: clips with masks that move, pictures, and the settings of the page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from tessera.imaging.encode import VideoWriter, write_video
from tessera.imaging.masks import encode_rle
from tessera.pages.review.gather import USUAL
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.review import ASKED, CLIPS, FRAMES, IDENTITIES, LABELS, REGIONS, ReviewItems
from tessera.records.tables.table import types, write_table

WHO = "Ada"
CLASSES = ["sharp", "soft"]


def item(queue: str, key: str, value: float = 0.5, **more: Any) -> dict[str, Any]:
    """Return a row of `tables.ReviewItems`."""
    defaults = {name: USUAL[kind] for name, kind in types(ReviewItems).items() if kind in USUAL}
    defaults |= {"is_blurred": False, "source": "film", "reason": "why"}
    return {**defaults, "queue": queue, "key": key, "value": value, **more}


def write_review(folder: Path, rows: list[dict[str, Any]], **page: Any) -> Path:
    """Write `rows` and the settings of the page to `folder/results/review`, and return that folder."""
    review = folder / "results" / "review"
    review.mkdir(parents=True, exist_ok=True)
    write_table(pl.DataFrame(rows, schema=types(ReviewItems)), ReviewItems, review / "items.parquet")
    defaults = {"decisions": str(folder / "config" / "decisions.tsv"), "identities": str(folder / "config" / "identities.tsv")}
    defaults |= {"classifiers": {"blur": CLASSES, "noise": {"least": 0.0, "most": 10.0}}, "labels": str(folder / "labels")}
    defaults |= {"keys": {"w": {"decision": "drop", "reason": "watermark"}}, "classes": ["nsfw"]}
    (review / "page.json").write_text(json.dumps({**defaults, "results": str(folder / "results"), **page}))
    return review


def write_media(folder: Path, name: str = "a", frames: int = 6, size: tuple[int, int] = (64, 48)) -> dict[str, str]:
    """Write a picture, a clip and its mask to `folder/results`; return their paths, by the columns of the table.

    `size`: width and height of the pictures, pixels.
    """
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    paths = {"picture": results / f"{name}.jpg", "clip": results / f"{name}.mp4", "mask": results / f"{name}.mkv"}
    random = np.random.default_rng(0)
    width, height = size
    # Coarse noise that moves, which costs what footage does.
    coarse = random.integers(0, 256, (height // 8 + 1, (width + frames) // 8 + 1, 3), np.uint8)
    wide = coarse.repeat(8, 0).repeat(8, 1)
    pictures = [wide[:height, number : number + width] for number in range(frames)]
    Image.fromarray(pictures[0]).save(paths["picture"])
    write_video(paths["clip"], iter(pictures), 24)
    with VideoWriter(paths["mask"], 24, pixel_format="gray") as writer:
        for number in range(frames):
            mask = np.zeros((height, width), np.uint8)
            mask[10:30, 5 + number : 30 + number] = 255
            writer.write(mask)
    return {column: str(path) for column, path in paths.items()}


def write_detections(folder: Path, key: str, moved: int = 0) -> dict[str, Any]:
    """Write a confident and a doubtful detection in the frame `key` of 64 by 48 pixels; return the columns of an item for them.

    `moved`: pixels by which they are moved.
    """
    boxes = {0.9: (8 + moved, 8, 24 + moved, 40), 0.3: (32 + moved, 8, 56 + moved, 24)}
    rows = []
    for number, (value, (x0, y0, x1, y1)) in enumerate(boxes.items()):
        mask = np.zeros((48, 64), np.uint8)
        mask[y0:y1, x0:x1] = 255
        edges = {"x0": float(x0), "y0": float(y0), "x1": float(x1), "y1": float(y1)}
        row = {
            **dict.fromkeys(types(Annotations)),
            "key": key,
            "number": number,
            "label": "nsfw",
            "score": value,
            "crowd": False,
        }
        rows.append({**row, **edges, "rle": encode_rle(mask)})
    write_table(pl.DataFrame(rows, schema=types(Annotations)), Annotations, folder / "results" / "regions.parquet")
    return {
        "outlines": str(folder / "results" / "regions.parquet"),
        "boxes": [[x0 / 64, y0 / 48, x1 / 64, y1 / 48] for x0, y0, x1, y1 in boxes.values()],
        "box_texts": [f"nsfw {value:.2f}" for value in boxes],
        "box_counts": [value > 0.5 for value in boxes],
    }


def write_default_review(folder: Path) -> Path:
    """Write review items: two clips, a frame, a region, two labels, a question, and two crops of an identity."""
    media = write_media(folder, frames=60)
    clip, picture = {"clip": media["clip"], "mask": media["mask"], "frames": 60}, {"picture": media["picture"]}
    detections = write_detections(folder, "film-0000007")
    region = {"boxes": detections["boxes"][1:], "box_texts": detections["box_texts"][1:], "box_counts": [False]}
    rows = [
        item(CLIPS, "film-0000000-1", 0.9, state="kept", **clip),
        item(CLIPS, "film-0000100-1", 0.2, state="dropped", **clip),
        item(FRAMES, "film-0000007", **detections, **picture),
        item(REGIONS, "film-0000007+32-8-56-24", state="dropped", **region, **picture),
        item(LABELS, "set+1", classifier="blur", label="sharp", suggested="soft", **picture),
        item(LABELS, "set+2", classifier="noise", label="3", **picture),
        item(ASKED, "asked+round-001%2Ftrain%2Ffilm-0000007", classifier="blur", suggested="soft", **picture),
        item(IDENTITIES, "film-0000007-person-0", 0.8, label="cluster_a", **picture),
        item(IDENTITIES, "film-0000008-person-0", 0.1, label="cluster_a", **picture),
    ]
    return write_review(folder, rows)
