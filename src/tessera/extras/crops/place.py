"""Where crops lie: around detections, with the rules of their size, and under names that no two share."""

from collections.abc import Collection
from math import ceil, floor
from typing import NamedTuple, TypeAlias

from tessera.core.errors import Dropped
from tessera.extras.crops.settings import CropStepSettings
from tessera.imaging.boxes import Box, clip_box

Rectangle: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the frame, half-open
WIDENED = "widened to its parent"


class Placed(NamedTuple):
    """Where a crop lies in its frame, and the remark of its row in the ledger; empty if there is none."""

    box: Rectangle
    remark: str


def place(
    region: Box, parent: Rectangle, frame: tuple[int, int], others: Collection[Rectangle], step: CropStepSettings
) -> Placed:
    """Return the crop around the box `region`, which lies in the crop or the frame `parent`.

    All boxes are in pixels of the frame, whose height and width are `frame`. `others` are the crops of this step in the same
    parent so far. The box gets whole pixels. With `step.square`, it becomes a square around its middle, whose side is
    `step.square` times the longer side of the box, and the parts outside the frame are cut off. Raises `Dropped` if the
    crop is smaller than `step.min_side`, larger than the fraction `step.max_area` of its parent, or equal to one of `others`.
    """
    x0, y0, x1, y1 = clip_box(region, frame[1], frame[0])
    if step.square is not None:
        half = step.square * max(x1 - x0, y1 - y0) / 2
        middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
        x0, y0, x1, y1 = clip_box((middle_x - half, middle_y - half, middle_x + half, middle_y + half), frame[1], frame[0])
    box = floor(x0), floor(y0), ceil(x1), ceil(y1)
    width, height = box[2] - box[0], box[3] - box[1]
    remark = ""
    if min(width, height) < max(step.min_side, 1):
        raise Dropped("too small", f"{width} by {height} pixels, and `min_side` is {step.min_side}")
    if step.max_area is not None and (fraction := width * height / _area(parent)) > step.max_area:
        if step.larger == "drop":
            raise Dropped("too large a part of its parent", f"{fraction:.2f} of its area, and `max_area` is {step.max_area:g}")
        box, remark = parent, WIDENED
    if box in others:
        raise Dropped("same crop as another", f"both are {box}")
    return Placed(box, remark)


def holder(box: Box, parents: Collection[Rectangle]) -> Rectangle | None:
    """Return that of `parents` which holds most of `box`, the first of several; None if none holds more than half of it."""
    x0, y0, x1, y1 = box

    def held(parent: Rectangle) -> float:
        width, height = min(x1, parent[2]) - max(x0, parent[0]), min(y1, parent[3]) - max(y0, parent[1])
        return max(width, 0.0) * max(height, 0.0)

    best = max(parents, key=held, default=None)
    return best if best is not None and held(best) > (x1 - x0) * (y1 - y0) / 2 else None


def _area(box: Rectangle) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
