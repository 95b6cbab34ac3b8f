"""Labels and decisions on positions in a folder go to the picture that was meant, or to none."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tessera.core.provenance import digest, sha256_file
from tessera.imaging.hashing import scaled_hash
from tessera.imaging.images import read_image, resize, write_image
from tessera.records.frame_keys import picture_key
from tessera.records.moved_keys import MovedKey, keys_by_position, moved_key, read_moved_keys, write_moved_keys
from tessera.stages.footage.moving import move_keys, report_moved


def smooth(seed: int) -> np.ndarray:
    return resize(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8), 90, 120)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of four pictures, two of them equal, and what version 0.1 left of it in results."""
    folder, images = tmp_path / "album", tmp_path / "results" / "frames" / "shard-0" / "images"
    folder.mkdir()
    images.mkdir(parents=True)
    seeds = {"a.png": 1, "b.png": 2, "c.png": 1, "d.jpg": 4}
    for name, seed in seeds.items():
        write_image(folder / name, smooth(seed))
    rows = []
    for index, name in enumerate(seeds):
        image = read_image(folder / name)
        write_image(images / f"my%20album-{index:07d}.jpg", image)
        known = {"key": f"my%20album-{index:07d}", "source": "my album", "index": index, "file": f"my%20album-{index:07d}.jpg"}
        rows.append({**known, "phash": scaled_hash(image)})
    pl.DataFrame(rows).write_parquet(images.parent / "frames.parquet")
    sums = digest([[name, sha256_file(folder / name)] for name in seeds])
    sources = tmp_path / "results" / "sources" / "shards" / "shard-0"
    sources.mkdir(parents=True)
    pl.DataFrame({"source": ["my album"], "sha256": [sums]}).write_parquet(sources / "sources.parquet")
    return folder


def moved(folder: Path, *indices: int) -> dict[str, tuple[str, str]]:
    keys = [f"my%20album-{index:07d}" for index in indices]
    rows = move_keys(keys, {"my%20album": folder}, folder.parent / "results")
    assert [row.key for row in rows] == sorted(keys)
    return {row.key: (row.now, row.why) for row in rows}


def key_of(folder: Path, name: str) -> str:
    return picture_key("my album", name, sha256_file(folder / name))


def test_in_a_folder_that_is_as_it_was_the_positions_hold_for_equal_pictures_too(album: Path) -> None:
    assert moved(album, 0, 2, 3, 9) == {
        "my%20album-0000000": (key_of(album, "a.png"), "the folder is as it was"),
        "my%20album-0000002": (key_of(album, "c.png"), "the folder is as it was"),
        "my%20album-0000003": (key_of(album, "d.jpg"), "the folder is as it was"),
        "my%20album-0000009": ("", "version 0.1 had no such frame"),
    }


def test_in_a_folder_that_changed_a_picture_is_found_by_its_look_if_it_is_the_only_one(album: Path) -> None:
    (album / "b.png").rename(album / "z.png")
    write_image(album / "0.png", smooth(9))
    (album / "d.jpg").unlink()
    assert moved(album, 0, 1, 3) == {
        "my%20album-0000000": ("", "2 pictures look like it"),
        "my%20album-0000001": (key_of(album, "z.png"), "it alone looks like the stored frame"),
        "my%20album-0000003": ("", "no picture of the folder looks like it"),
    }


def test_without_results_nothing_is_guessed(album: Path, tmp_path: Path) -> None:
    (row,) = move_keys(["my%20album-0000001"], {"my%20album": album}, tmp_path / "nowhere")
    assert row.now == "" and "write into `now`" in row.why
    assert report_moved([row]).startswith("0 of 1 picture that labels or decisions know by a position were found")


def test_only_positions_in_folders_are_looked_up() -> None:
    keys = ["a-0000001", "a-0000002+1-2-3-4", "a-0000003-head-0", "b-0000001", "a-x.jpg~000000000001", "a-0000001-001", "a"]
    assert keys_by_position(keys, {"a": Path("a")}) == {"a-0000001", "a-0000002", "a-0000003"}


def test_frames_regions_and_crops_follow_and_the_table_is_only_added_to(tmp_path: Path) -> None:
    path = tmp_path / "config" / "moved_keys.tsv"
    assert read_moved_keys(path) == {}
    write_moved_keys([MovedKey(key="a-0000001", now="a-x.jpg~000000000001", why="seen")], path)
    write_moved_keys([MovedKey(key="a-0000002", why="gone")], path)
    moved = read_moved_keys(path)
    assert moved == {"a-0000001": "a-x.jpg~000000000001", "a-0000002": "a-0000002"}
    assert moved_key("a-0000001", moved) == "a-x.jpg~000000000001"
    assert moved_key("a-0000001+1-2-3-4", moved) == "a-x.jpg~000000000001+1-2-3-4"
    assert moved_key("a-0000001-head-0", moved) == "a-x%2Ejpg~000000000001-head-0"
    assert [moved_key(key, moved) for key in ("a-0000002", "b-0000001", "a-0000001-001")] == [
        "a-0000002",
        "b-0000001",
        "a-0000001-001",
    ]
