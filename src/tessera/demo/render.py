"""Render the demo footage: short videos and stills with ground truth, made from the photographs in scikit-image.

The cat Chelsea plays the region of interest: an elliptic cut-out of her portrait moves through scenes, over which a camera pans
and zooms. In stills for the image set, other cut-outs play it as well. Labelme files are written from the ground truth, as if a
person had drawn them. A small set of pictures with watermarks, in the layout of public sets, and reference pictures of each
subject are made from the same photographs.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from pycocotools import mask as run_lengths

from tessera.core.files import file_name
from tessera.core.progress import progress
from tessera.core.provenance import sha256_file
from tessera.core.seeds import generator
from tessera.demo.footage import (
    ANGLES,
    CLIPS,
    CUTS,
    LABEL_EVERY,
    MARKED,
    MARKED_CLASSES,
    MIRRORED,
    REFERENCES,
    STILLS,
    Clip,
    Still,
)
from tessera.demo.labels import labelme
from tessera.demo.photographs import CUT_OUTS, cover, disc_logo, overlay_logo, photograph, tiles_logo, watermark
from tessera.demo.stages import Stage, coverage, draw, portrait, set_up
from tessera.imaging.encode import write_video
from tessera.records.frame_keys import picture_key, video_key
from tessera.records.tables.demo import DemoClips, DemoRegions
from tessera.records.tables.table import types, write_table

Draw = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, Sequence[Any]]]


def render_demo_footage(
    folder: Path, seed: int, *, threads: int = 1, clips: Sequence[Clip] = CLIPS, stills: Sequence[Still] = STILLS
) -> None:
    """Render `clips` and `stills` below `folder`.

    videos/ and images/ are the sources of the demo. labels/frames/ has a labelme file for each sampled frame of a
    source, named after the key of the frame. labels/stills/ has images with their labelme files beside them. truth/ has the
    tables `DemoClips` and `DemoRegions`. Equal seeds give equal bytes, whatever the number of `threads`.
    """
    facts: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool:
        rendered = pool.map(lambda clip: _render_clip(folder, clip, seed), clips)
        for fact, visible in progress(rendered, len(clips), "clips"):
            facts.append(fact)
            regions.extend(visible)
    for still in stills:
        _render_still(folder, still, seed)
    (folder / "truth").mkdir(parents=True)
    write_table(pl.DataFrame(facts, schema=types(DemoClips)), DemoClips, folder / "truth" / "clips.parquet")
    write_table(pl.DataFrame(regions, schema=types(DemoRegions)), DemoRegions, folder / "truth" / "regions.parquet")


def render_logos(folder: Path) -> None:
    """Store two logos in `folder`, as PNG files with an alpha channel."""
    folder.mkdir(parents=True)
    disc_logo().save(folder / "disc.png")
    tiles_logo().save(folder / "tiles.png")


def render_references(folder: Path, seed: int) -> None:
    """Store pictures of what plays subjects in `folder`: CUT-OUT/*.png and, mirrored, CUT-OUT/mirrored/*.png."""
    for name, appearance in product(CUT_OUTS, ("", MIRRORED)):
        subfolder = folder / name / appearance
        subfolder.mkdir(parents=True)
        for number, (backdrop, angle) in enumerate(product(REFERENCES, ANGLES), 1):
            stage = portrait(name, backdrop, angle, is_mirrored=appearance == MIRRORED)
            picture = draw(stage, 0, generator(seed, "demo", f"references {name} {appearance} {number}"))
            Image.fromarray(picture.image).save(subfolder / f"{number}.png")


def render_watermark_set(
    path: Path, seed: int, draw: Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, Any]]
) -> None:
    """Write pictures with watermarks to the zip file `path`, in the YOLO layout of public sets, with one folder per split.

    `draw` takes a picture, uint8 (H, W, 3), RGB, and a generator. It returns the picture with marks drawn over it, and the
    marks; each has a `kind`, text or logo, and `boxes`, in pixels. No photograph is in two splits.
    """
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:

        def store(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name), content)  # ZipInfo has a constant date, for equal bytes

        store("data.yaml", f"train: train/images\nval: val/images\nnames: [{', '.join(MARKED_CLASSES)}]\n".encode())
        for split, photographs in MARKED.items():
            for name, number in product(photographs, range(CUTS[split])):
                random = generator(seed, "demo", f"watermarks {name} {number}")
                picture, marks = draw(_cut(photograph(name), 320, 240, random), random)
                height, width = picture.shape[:2]
                file = io.BytesIO()
                Image.fromarray(picture).save(file, "JPEG", quality=92)
                store(f"{split}/images/{name}.{number:02}.jpg", file.getvalue())
                lines = [
                    f"{MARKED_CLASSES.index(mark.kind)} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f}"
                    f" {(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
                    for mark in marks
                    for x0, y0, x1, y1 in mark.boxes
                ]
                store(f"{split}/labels/{name}.{number:02}.txt", "".join(lines).encode())


def _cut(image: np.ndarray, width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Return a random crop of `image`, scaled to `width` x `height` pixels."""
    scale = random.uniform(0.5, 0.9) * min(image.shape[1] / width, image.shape[0] / height)
    w, h = round(width * scale), round(height * scale)
    x, y = int(random.integers(image.shape[1] - w + 1)), int(random.integers(image.shape[0] - h + 1))
    return cover(image[y : y + h, x : x + w], width, height)[:height, :width]


def _render_clip(folder: Path, clip: Clip, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Render `clip` and its labels, and return its row of `DemoClips` and its rows of `DemoRegions`."""
    random = generator(seed, "demo", clip.source)
    lengths = [round(scene.seconds * clip.rate) for scene in clip.scenes]
    stages = [
        set_up(scene, length, clip.width, clip.height, random) for scene, length in zip(clip.scenes, lengths, strict=True)
    ]
    mark = watermark(clip.watermark, clip.width, clip.height) if clip.watermark else None
    size = (clip.width, clip.height)
    regions: list[dict[str, Any]] = []

    def frames() -> Iterator[np.ndarray]:
        shots = ((stage, frame) for stage in stages for frame in range(stage.frames))
        for index, (stage, frame) in enumerate(shots):
            picture = draw(stage, frame, random, mosaic=clip.mosaic)
            if index % LABEL_EVERY == 0:
                key = video_key(clip.source, index)
                document = labelme(picture, stage, frame, f"{key}.jpg")
                _write_json(folder / "labels" / "frames" / file_name(clip.source) / f"{key}.json", document)
            masks = [("subject", coverage(mask, size) >= 0.5) for mask in picture.visible]
            if picture.mosaic is not None:
                masks.append(("mosaic", picture.mosaic))
            if mark is not None:
                masks.append(("watermark", mark[:, :, 3] > 0))
            regions.extend(
                {"source": clip.source, "index": index, "kind": kind, "number": number, "rle": _encode(mask)}
                for number, (kind, mask) in enumerate(masks)
                if mask.any()
            )
            yield picture.image if mark is None else overlay_logo(picture.image, mark)

    path = folder / "videos" / f"{clip.source}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    count = write_video(path, frames(), clip.rate)
    if clip.truncated:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    fact = {
        "source": clip.source,
        "width": clip.width,
        "height": clip.height,
        "rate": float(clip.rate),
        "frames": count,
        "cuts": np.cumsum(lengths)[:-1].tolist(),
    }
    return fact, regions


def _render_still(folder: Path, still: Still, seed: int) -> None:
    """Render `still` and its labels: the frame of its scene that `_moment` returns."""
    width, height = 320, 240
    random = generator(seed, "demo", still.copy_of or still.file)
    stage = set_up(still.scene, 96, width, height, random)
    frame = _moment(stage)
    picture = draw(stage, frame, random)
    scale = still.width / width
    path = folder / still.file
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(picture.image).resize((still.width, round(height * scale)), Image.Resampling.LANCZOS)
    image.save(path, quality=still.quality)
    if still.source:
        key = picture_key(still.source, still.name, sha256_file(path)) if still.name else video_key(still.source, 0)
        labels = folder / "labels" / "frames" / file_name(still.source) / f"{key}.json"
        _write_json(labels, labelme(picture, stage, frame, f"{key}.jpg", scale))
    else:
        _write_json(path.with_suffix(".json"), labelme(picture, stage, frame, path.name, scale))


def _moment(stage: Stage) -> int:
    """Return the frame in which the first subject is horizontally closest to its occluder or, without one, to the middle."""
    subjects = [track for track in stage.tracks if track.role == "subject"]
    occluders = [track for track in stage.tracks if track.role == "occluder"]
    if not subjects:
        return 0
    target = occluders[-1].centre if occluders else np.full((stage.frames, 2), [stage.width / 2, stage.height / 2])
    return int(np.abs(subjects[0].centre - target)[:, 0].argmin())


def _encode(mask: np.ndarray) -> str:
    return str(run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
