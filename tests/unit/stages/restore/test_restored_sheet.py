from pathlib import Path

import numpy as np

from tessera.stages.restore.restored_sheet import BANDS, NO_REGION, Tiles, choose_frames, draw_sheet
from tessera.stages.restore.settings import ComparisonSettings

CROPS = dict.fromkeys(range(10, 20), (40, 20, 80, 60))


def written(path: Path, lost: set[int]) -> dict[str, np.ndarray]:
    """Write the tiles of a part of 30 frames, of the level of their number, which restoring makes lighter by 100."""
    tiles = Tiles(range(30), choose_frames(range(30), CROPS, 2), CROPS, 200)
    for index in range(30):
        if index not in lost and tiles.asks_for(index):
            for when, level in (("before", index), ("after", index + 100)):
                tiles.add(when, index, np.full((100, 120, 3), level, np.uint8))  # type: ignore[arg-type]
    tiles.write(path)
    with np.load(path) as made:
        return dict(made)


def test_the_sheet_shows_evenly_spaced_frames_before_and_after(tmp_path: Path) -> None:
    made = written(tmp_path / "tiles.npz", set())
    assert list(made) == [f"5 {NO_REGION}", *(f"{at} {band}" for at in (12, 17) for band in ordered()), f"25 {NO_REGION}"]
    assert {name: int(tile.max()) for name, tile in made.items() if name.startswith("12")} == {
        f"12 {band}": 112 if "after" in band else 12 for band in ordered()
    }
    assert made["12 Frames after"].shape == (167, 200, 3) and made["12 Regions after"].shape == (200, 200, 3)
    sheet = draw_sheet("film", [tmp_path / "tiles.npz"], np.arange(30) / 25, ComparisonSettings(tile=200, columns=2))
    assert [int((sheet == level).all(axis=2).sum()) > 60_000 for level in (12, 112, 17, 117, 5)] == [True] * 4 + [False]
    assert (sheet == 5).all(axis=2).sum() > 30_000  # without a region, once


def test_a_frame_that_is_lost_is_replaced_by_the_next_one_of_its_kind(tmp_path: Path) -> None:
    made = written(tmp_path / "tiles.npz", {*range(5, 10), 12, 13})
    assert sorted({int(name.split()[0]) for name in made}) == [14, 17, 20, 25]


def test_a_film_without_any_frame_for_its_sheet_has_its_title_alone(tmp_path: Path) -> None:
    written(tmp_path / "tiles.npz", set(range(30)))
    sheet = draw_sheet("film", [tmp_path / "tiles.npz"], np.arange(30) / 25, ComparisonSettings(tile=200))
    assert sheet.shape[:2] == (44, 216) and sheet.max() == 255


def ordered() -> list[str]:
    return [BANDS[at] for at in (0, 2, 1, 3)]
