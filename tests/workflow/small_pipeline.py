"""A pipeline small enough for tests: two tiny videos, their labels, three trainings of one epoch, clips, and two stages."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from projects import REPOSITORY, Project

from tessera.catalogue import DATASETS
from tessera.core.seeds import generator
from tessera.imaging.encode import write_video
from tessera.records.manifest import RESTORE

EVERY = 4
FRAMES = 16
HEIGHT, WIDTH = 64, 96
TRAINING = {"epochs": 1, "imgsz": 32, "batch": 4}


def pictures(source: str) -> list[np.ndarray]:
    """Return the frames of `source`: a bright disc that moves over a texture."""
    noise = generator(0, "journey", source).integers(0, 160, (8, 12, 3), dtype=np.uint8)
    texture = cv2.resize(noise, (WIDTH + FRAMES, HEIGHT), interpolation=cv2.INTER_CUBIC)
    frames = []
    for index in range(FRAMES):
        frame = np.ascontiguousarray(texture[:, index : index + WIDTH])
        cv2.circle(frame, (16 + 4 * index, 32), 12, (250, 220, 60), -1)
        frames.append(frame)
    return frames


def label(index: int) -> dict[str, object]:
    """Return the labelme file of frame `index`; the last sampled frame has the flag that it shows nothing."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([16 + 4 * index + 12 * np.cos(angles), 32 + 12 * np.sin(angles)], axis=1).clip(0, [WIDTH, HEIGHT])
    shape = {"label": "nsfw", "points": ring.round(2).tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
    nothing = index == FRAMES - EVERY
    return {
        "version": "5.5.0",
        "flags": {"sfw": nothing},
        "shapes": [] if nothing else [shape],
        "imagePath": "frame.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def add_source(project: Project, source: str) -> dict[str, str]:
    """Write the video and the labels of `source`; return its row for the manifest."""
    folder = project.folder
    (folder / "footage").mkdir(exist_ok=True)
    write_video(folder / "footage" / f"{source}.mp4", pictures(source), 24)
    labels = folder / "labels" / source
    labels.mkdir(parents=True)
    for index in range(0, FRAMES, EVERY):
        (labels / f"{source}-{index:07d}.json").write_text(json.dumps(label(index)))
    row = {"source": source, "path": f"footage/{source}.mp4"}
    if source != "clay":
        return row | {"split": "train"}
    return row | {"split": "val", "use": ",".join([*(dataset.name for dataset in DATASETS), RESTORE])}


def begin(project: Project) -> list[dict[str, str]]:
    """Fill `project` with the footage and the settings of the pipeline; return the rows of its manifest."""
    rows = [add_source(project, source) for source in ("amber", "clay")]
    project.write_manifest(rows)
    project.settings = {
        "frames": {"mode": "every", "every_frames": EVERY},
        "duplicates": {"distance": 0},
        "annotations": {"frame_labels": "labels"},
        **models(),
    }
    project.settings["restore"]["shown"] = ["clay"]
    return rows


def models() -> dict[str, Any]:
    """Return settings of models that are trained in seconds, and of what is made with models that have learned nothing."""
    return {
        "watermarks": {"draw": {"clean": 0, "tiled": 0, "text_size": [0.3, 0.4], "length": [2, 4]}},
        # After one epoch, a detector has low confidences, and detections everywhere.
        "regions": {
            "detectors": {"nsfw": {"confidence": 0.001, "max_regions": 4}, "watermark": {"image_size": 32}},
            "choose": {"confidence": {"nsfw": 0.001, "watermark": 0.9}, "extension": [2]},
        },
        "mosaics": {"min_side": 4, "min_block": 2, "types": {"squa_avg": 1, "squa_mid": 0, "rect_avg": 0}},
        # Its detections differ in each frame, so the tracker must link over any distance.
        "scenes": {
            "detect": {"confidence": 0.001, "max_regions": 1},
            "track": {"high": 0, "low": 0, "new": 0, "match": 1, "speed": 1000},
            "choose": {"confidence": 0, "min_seconds": 0.1, "max_seconds": 0.4},
        },
        "scores": {"samples": 2, "detectors": {"watermark": {"image_size": 32, "confidence": 0.9}}},
        "models": {
            "nsfw_detection": {"architecture": "yolo11n-seg.yaml", "training": dict(TRAINING)},
            "watermark_detection": {
                "architecture": "yolo11n.yaml",
                "training": dict(TRAINING),
                "export": {"image_size": 32},
            },
            "mosaic_detection": {"architecture": "yolo11n-seg.yaml", "training": dict(TRAINING)},
        },
        "restoration": {
            "data": {"size": 32},
            "generator": {"channels": 8, "blocks": 1},
            "discriminator": {"channels": 4},
            "stages": stages(adversarial=0.05),
            "metrics": {"frames": 2, "pictures": 1},
            "export": {"samples": 1, "frames": 2},
        },
        "restore": {
            "window": 8,
            "overlap": 2,
            "detect": {"confidence": 0.001, "max_regions": 1},
            "track": {"high": 0, "low": 0, "new": 0, "match": 1, "speed": 1000, "grid": 0, "fewest": 1},
            "choose": {"confidence": 0},
        },
    }


def stages(**losses: float) -> list[dict[str, object]]:
    """Return two tiny stages to train a restoration model in, the second with these weights of `losses`."""
    tiny = {"iterations": 2, "frames": 2, "batch": 1, "validate_every": 2}
    return [{"name": "stage1", **tiny}, {"name": "stage2", "base": "stage1", **tiny, "ema": 0.5, "losses": losses}]


def copy_of_workflow(folder: Path) -> Path:
    """Copy the workflow to `folder`, where tests can change it; return its Snakefile."""
    for name in ("src", "workflow", "envs", "resources"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(REPOSITORY / "Snakefile", folder)
    return folder / "Snakefile"
