"""The contact sheet of a restored film, of frames that are taken as they pass."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from tessera.imaging.crops import Crop
from tessera.imaging.images import resize
from tessera.imaging.sheets import contact_sheet, stamp
from tessera.stages.restore.restore import Region
from tessera.stages.restore.settings import ComparisonSettings

NO_REGION = "Frames in which nothing was found"  # the heading of the last band
BANDS = "Frames before", "Frames after", "Regions before", "Regions after", NO_REGION


class Tiles:
    """Takes the tiles of a contact sheet from the frames of a part of a film."""

    def __init__(self, part: range, chosen: Sequence[int], crops: Mapping[int, Crop], tile: int) -> None:
        """Take those of the frames `chosen` that lie in `part`.

        `crops`: see `crops_of`. `tile`: the longer side of a tile, pixels.
        """
        self._asked = {has: [index for index in chosen if index in part and (index in crops) == has] for has in (True, False)}
        self._crops, self._side = crops, tile
        self._tiles: dict[str, np.ndarray] = {}

    def asks_for(self, index: int) -> bool:
        """Return whether the sheet shows frame `index`, the next one that could be decoded.

        In place of a chosen frame that is lost, it shows the next one of the part that also shows a region, or also shows none.
        """
        asked = self._asked[index in self._crops]
        passed = bisect_right(asked, index)
        del asked[:passed]
        return passed > 0

    def add(self, when: Literal["before", "after"], index: int, image: np.ndarray) -> None:
        """Take `image`, uint8 (H, W, 3), RGB: frame `index` before or after it was restored."""
        parts = {NO_REGION: image} if when == "before" else {}
        if index in self._crops:
            x0, y0, x1, y1 = self._crops[index]
            parts = {f"Frames {when}": image, f"Regions {when}": image[y0:y1, x0:x1]}
        for heading, part in parts.items():
            if part.size:
                scale = self._side / max(part.shape[:2])
                self._tiles[f"{index} {heading}"] = resize(part, *(max(1, round(side * scale)) for side in part.shape[:2]))

    def write(self, path: Path) -> None:
        """Write the tiles to `path`, a file of NumPy with the suffix `.npz`."""
        np.savez(path, allow_pickle=False, **self._tiles)


def crops_of(regions: Sequence[Region]) -> dict[int, Crop]:
    """Return the crop of the largest of `regions` in each frame that shows one."""
    crops: dict[int, Crop] = {}
    for region in sorted(regions, key=lambda region: region.fit.shape[0] * region.fit.shape[1]):
        crops |= dict(zip(range(region.first, region.stop), region.crops, strict=True))
    return crops


def choose_frames(shown: Sequence[int], crops: Mapping[int, Crop], count: int) -> list[int]:
    """Return evenly spaced ones of the frames `shown`: at most `count` of those that show a region, and of the others."""
    kinds = ([index for index in shown if (index in crops) == has] for has in (True, False))
    divided = (part for kind in kinds for part in np.array_split(kind, min(count, len(kind)) or 1) if len(part))
    return sorted(int(part[len(part) // 2]) for part in divided)


def draw_sheet(title: str, parts: Iterable[Path], time: np.ndarray, render: ComparisonSettings) -> np.ndarray:
    """Return the contact sheet of a film: uint8 (H, W, 3), RGB.

    Of frames that show a region, it has the frame and the region before and after; then come some in which nothing was found.
    `parts`: what `Tiles` wrote, by part of the film. `time`: the seconds of each frame.
    """
    bands: dict[str, list[tuple[np.ndarray, str]]] = {heading: [] for heading in BANDS}
    for path in parts:
        with np.load(path) as tiles:
            for name, tile in tiles.items():
                index, heading = name.split(" ", 1)
                bands[heading].append((tile, stamp(int(index), float(time[int(index)]))))
    shown = {heading: tiles for heading, tiles in bands.items() if tiles}
    return contact_sheet(title, shown, render.tile, render.columns)
