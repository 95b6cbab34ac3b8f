"""Read a dataset of clips from disk, as untrusted input.

The layout is that of Lada 0.11 (https://github.com/ladaapp/lada): `crop_unscaled_meta/KEY.json` names two videos, one with the
images and one with the masks of a clip. Datasets made by Lada can also be read.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from tessera.core.errors import TesseraError
from tessera.core.messages import Message, pluralize, truncate
from tessera.core.settings import complaint
from tessera.records.lada.metadata import METADATA

SHOWN = 10  # faults that are listed

Pixels = Annotated[int, Field(ge=0, le=65535)]
Side = Annotated[int, Field(ge=1, le=65535)]


class _Metadata(BaseModel):
    """The fields that are read from version 2 of the metadata. Shapes are height and width in pixels."""

    model_config = ConfigDict(frozen=True)

    version: Literal[2]
    fps: Annotated[FiniteFloat, Field(gt=0)]
    frames_count: Annotated[int, Field(gt=0)]
    orig_shape: tuple[Side, Side]
    scene_shape: tuple[Side, Side]
    pad: list[tuple[Pixels, Pixels, Pixels, Pixels]]
    crops: list[tuple[Pixels, Pixels, Pixels, Pixels]] | None = None
    relative_nsfw_video_path: str
    relative_mask_video_path: str

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, boxes in (("pad", self.pad), ("crops", self.crops)):
            if boxes is not None and len(boxes) != self.frames_count:
                raise ValueError(f"`{name}` has {pluralize(len(boxes), 'items')} for {pluralize(self.frames_count, 'frames')}")
        height, width = self.scene_shape
        for number, (top, bottom, left, right) in enumerate(self.pad):
            rows, columns = height - top - bottom, width - left - right
            if min(rows, columns) < 1:
                raise ValueError(f"`pad` leaves nothing of frame {number}")
            if self.crops is not None:
                x0, y0, x1, y1 = self.crops[number]
                if (x1 - x0, y1 - y0) != (columns, rows) or x1 > self.orig_shape[1] or y1 > self.orig_shape[0]:
                    raise ValueError(f"`crops` and `pad` differ in frame {number}, or it lies outside `orig_shape`")
        return self


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip of the dataset. Its videos have not been read yet."""

    key: str
    frames: int
    rate: float  # frames per second
    shape: tuple[int, int]  # height and width in pixels, padding included
    frame: tuple[int, int]  # height and width of the footage, pixels
    pads: np.ndarray  # int32 (T, 4): pixels of black at the top, bottom, left and right
    corners: np.ndarray | None  # int32 (T, 2): x and y of the crop in its frame, pixels; None if unknown
    images: Path
    masks: Path


def read_clips(folder: Path) -> list[Clip]:
    """Return the clips in `folder`, one split of the dataset, sorted by key; empty if it has no metadata.

    Raises `TesseraError` if the folder does not exist, or if clips have faults: invalid metadata, or a file that is missing or
    lies outside `folder`. The message lists the first ten.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TesseraError(f"{folder}: there is no such folder; run `snakemake datasets`, or fix the path")
    clips = []
    faults: list[Message] = []
    for path in sorted((folder / METADATA).glob("*.json")):
        try:
            clips.append(_read_clip(path, folder))
        except ValidationError as error:
            fault, *_ = error.errors(include_url=False)
            path_in_file = ".".join(map(str, fault["loc"]))
            faults.append(f"{path}: {path_in_file + ': ' if path_in_file else ''}{complaint(fault)}")
        except (OSError, ValueError) as error:
            faults.append(f"{path}: {error}")
    if faults:
        raise TesseraError(
            "\n  ".join([f"{pluralize(len(faults), 'clips')} of {folder} cannot be used:", *truncate(faults, SHOWN)]) + "\n"
            "restore the files, or remove these clips; if the dataset was made here, delete the folder and run again"
        )
    return clips


def _read_clip(path: Path, folder: Path) -> Clip:
    metadata = _Metadata.model_validate_json(path.read_bytes())
    return Clip(
        key=path.name.removesuffix(".json"),
        frames=metadata.frames_count,
        rate=metadata.fps,
        shape=metadata.scene_shape,
        frame=metadata.orig_shape,
        pads=np.array(metadata.pad, np.int32),
        corners=None if metadata.crops is None else np.array(metadata.crops, np.int32)[:, :2],
        images=_file(metadata.relative_nsfw_video_path, folder),
        masks=_file(metadata.relative_mask_video_path, folder),
    )


def _file(name: str, folder: Path) -> Path:
    """Return the file `name`, relative to the folder of the metadata.

    Raises `ValueError` if the file is missing or lies outside the dataset.
    """
    inside = os.path.normpath(PurePosixPath(METADATA, name))
    if PurePosixPath(name).is_absolute() or PurePath(inside).parts[0] == os.pardir:
        raise ValueError(f"{name!r} lies outside the dataset")
    if not (folder / inside).is_file():
        raise ValueError(f"{name!r} is missing")
    return folder / inside
