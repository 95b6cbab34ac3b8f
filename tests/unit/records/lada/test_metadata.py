"""Lada's trainer finds all metadata that it reads."""

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessera.records.lada.metadata import IMAGES, MASKS, METADATA, metadata

CLIP: dict[str, Any] = {
    "key": "a%20b-0000013-3",
    "source": "a b",
    "rate": 30000 / 1001,
    "frames": 40,
    "frame_width": 1920,
    "frame_height": 1080,
    "width": 300,
    "height": 256,
    "pads": [(0, 0, 22, 22)] * 40,
    "crops": [(10, 20, 266, 276)] * 40,
    "block_v1_normal": 12.5,
    "block_v1_bounding": 14.5,
    "block_v2": 20.0,
    "block_v3": 19.0,
}
NOTHING: dict[str, Any] = dict.fromkeys(["watermark", "mosaic", "nsfw", "nsfw_classes", "aesthetic", "technical", "quality"])

Shape = Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=2, max_length=2)]
Pad = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=4, max_length=4)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class BlockSizes(Strict):
    mosaic_size_v3: float
    mosaic_size_v2: float
    mosaic_size_v1_normal: float
    mosaic_size_v1_bounding: float


class Quality(Strict):
    aesthetic: float
    technical: float
    overall: float


class Classes(Strict):
    MALE_GENITALIA_EXPOSED: bool
    FEMALE_GENITALIA_EXPOSED: bool


class Version2(Strict):
    """The keys that Lada's trainer reads from a metadata file, and their types."""

    name: str
    fps: float
    frames_count: int
    orig_shape: Shape
    scene_shape: Shape
    base_mosaic_block_size: BlockSizes
    pad: list[Pad]
    crops: list[Pad]  # which it ignores
    relative_nsfw_video_path: str
    relative_mask_video_path: str
    video_quality: Quality | None = None
    watermark_detected: bool | None = None
    nudenet_nsfw_detected: bool | None = None
    nudenet_nsfw_detected_classes: Classes | None = None
    censoring_detected: bool | None = None
    version: int


def read(clip: dict[str, Any], scores: dict[str, Any] | None = None) -> Version2:
    return Version2.model_validate_json(json.dumps(metadata(clip, scores)))


def test_the_metadata_has_the_keys_that_the_trainer_reads(tmp_path: Path) -> None:
    found = read(CLIP)
    assert (found.version, found.frames_count, found.fps) == (2, 40, 30000 / 1001)
    assert (found.orig_shape, found.scene_shape, found.pad[7]) == ([1080, 1920], [256, 300], [0, 0, 22, 22])
    assert (len(found.crops), found.crops[7]) == (40, [10, 20, 266, 276])
    assert found.base_mosaic_block_size.mosaic_size_v1_normal == 12.5
    for folder, file in ((IMAGES, f"{CLIP['key']}.mp4"), (MASKS, f"{CLIP['key']}.mkv"), (METADATA, "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / (file or "a.json")).touch()
    assert (tmp_path / METADATA / found.relative_nsfw_video_path).is_file()
    assert (tmp_path / METADATA / found.relative_mask_video_path).is_file()


@pytest.mark.parametrize("scores", [None, NOTHING])
def test_scores_that_were_not_measured_are_absent(scores: dict[str, Any] | None) -> None:
    optional = {"video_quality", "watermark_detected", "nudenet_nsfw_detected", "censoring_detected"}
    assert not set(metadata(CLIP, scores)) & (optional | {"nudenet_nsfw_detected_classes"})


def test_scores_are_converted_to_those_of_lada() -> None:
    scores = {"aesthetic": -0.1, "technical": 0.05, "quality": 0.4, "nsfw_classes": ["MALE_GENITALIA_EXPOSED"], "nsfw": 0.9}
    found = read(CLIP, NOTHING | scores)
    assert found.video_quality == Quality(aesthetic=-0.1, technical=0.05, overall=0.4)
    assert found.nudenet_nsfw_detected is True
    assert found.nudenet_nsfw_detected_classes == Classes(MALE_GENITALIA_EXPOSED=True, FEMALE_GENITALIA_EXPOSED=False)
    assert read(CLIP, NOTHING | scores | {"aesthetic": None}).video_quality is None


@pytest.mark.parametrize(
    ("column", "name", "needed"),
    [("watermark", "watermark_detected", 4), ("mosaic", "censoring_detected", 4), ("nsfw", "nudenet_nsfw_detected", 6)],
)
def test_a_detection_counts_if_lada_would_find_it_in_enough_frames(column: str, name: str, needed: int) -> None:
    def seen(fraction: float, frames: int) -> bool:
        return bool(metadata(CLIP | {"frames": frames}, NOTHING | {column: fraction})[name])

    assert seen(needed / 30, 100)
    assert not seen((needed - 1) / 30, 100)
    assert not seen(0.0, 100)
    assert seen(1.0, 10), "Lada checks three frames, and finds it in all of them"
    assert not seen(0.9, 10)


def test_the_reader_is_strict() -> None:
    with pytest.raises(ValidationError):
        read(CLIP | {"frames": "40"})
    with pytest.raises(ValidationError):
        read(CLIP | {"pads": [(0, 0, 22)]})
