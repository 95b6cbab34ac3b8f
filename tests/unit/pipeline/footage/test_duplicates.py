"""Duplicates are those of comparing all pairs, for any division into shards."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.core.ledger import read_ledger
from tessera.pipeline.footage import duplicates
from tessera.pipeline.footage.duplicates import DuplicateSettings, drop_duplicates, find_duplicates
from tessera.records.tables.annotation import Images
from tessera.records.tables.footage import Duplicates, Frames
from tessera.records.tables.table import read_table, types, write_table


def compare_all(hashes: list[int], distance: int) -> tuple[list[int], list[int]]:
    """The definition, in slow and obvious code."""
    kept: list[int] = []
    for place, one in enumerate(hashes):
        if all((one ^ hashes[other]).bit_count() > distance for other in kept):
            kept.append(place)
    nearest = [min(((one ^ hashes[other]).bit_count(), other) for other in kept) for one in hashes]
    return [place for _, place in nearest], [bits for bits, _ in nearest]


def clustered(count: int, centres: int, flips: int, seed: int) -> np.ndarray:
    """Return `count` hashes, each a few flipped bits from one of a few centres."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, centres, np.uint64)[random.integers(0, centres, count)]
    for _ in range(flips):
        hashes ^= np.uint64(1) << random.integers(0, 64, count, np.uint64)
    return hashes


def assert_equal_to_comparing_all(hashes: np.ndarray, distance: int) -> None:
    found = find_duplicates(hashes, distance)
    assert [result.dtype for result in found] == [np.int64, np.int64]
    assert tuple(result.tolist() for result in found) == compare_all(hashes.tolist(), distance)


@settings(deadline=None)
@given(
    count=st.integers(0, 120),
    centres=st.integers(1, 20),
    flips=st.integers(0, 12),
    seed=st.integers(0, 2**32),
    distance=st.integers(0, 16),
    small=st.sampled_from([1, 3, 512]),
)
def test_duplicates_are_those_of_comparing_all_pairs(
    count: int, centres: int, flips: int, seed: int, distance: int, small: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "SMALL", small)
        patch.setattr(duplicates, "PAIRS_AT_ONCE", 7)
        assert_equal_to_comparing_all(clustered(count, centres, flips, seed), distance)


@pytest.mark.parametrize("distance", [0, 1, 4, 8, 16])
def test_duplicates_among_thousands_are_those_of_comparing_all_pairs(distance: int) -> None:
    assert_equal_to_comparing_all(clustered(1500, 60, 5, distance), distance)


def test_the_nearest_kept_image_is_named_or_the_earliest_of_several() -> None:
    hashes = np.array([0b0, 0b1111, 0b0011, 0b0111, 0b1111], np.uint64)
    stays, distances = find_duplicates(hashes, 3)
    assert stays.tolist() == [0, 1, 0, 1, 1]
    assert distances.tolist() == [0, 0, 2, 1, 0]


def test_a_hundred_thousand_black_frames_take_little_time() -> None:
    hashes = clustered(100_000, 1, 4, 0)
    stays, distances = find_duplicates(hashes, 8)
    assert (stays == 0).all()
    assert distances.max() <= 8


def frames(path: Path, rows: list[tuple[str, int, int]]) -> Path:
    data = [
        {"key": f"{source}-{index:07d}", "source": source, "index": index, "pts": index, "time": index / 25}
        | {"file": f"{source}-{index:07d}.jpg", "width": 4, "height": 4, "phash": phash}
        for source, index, phash in rows
    ]
    write_table(pl.DataFrame(data, schema=types(Frames)), Frames, path)
    return path


def images(path: Path, rows: list[tuple[str, str, int]]) -> Path:
    data = [
        {"key": key, "source": source, "path": f"{key}.jpg", "width": 4, "height": 4}
        | {"phash": phash, "split": "", "rights": "CC0"}
        for source, key, phash in rows
    ]
    write_table(pl.DataFrame(data, schema=types(Images)), Images, path)
    return path


def dropped(folder: Path, of_frames: list[Path], labelled: list[Path], distance: int = 2) -> list[tuple[str, str, int]]:
    table, ledger = folder / "duplicates.parquet", folder / "ledger.jsonl"
    drop_duplicates(of_frames, labelled, table, ledger, DuplicateSettings(distance=distance))
    return read_table(table, Duplicates).rows()


def test_every_removal_is_a_row_that_names_what_it_duplicates(tmp_path: Path) -> None:
    table = frames(tmp_path / "a.parquet", [("a", 0, 0b0), ("a", 5, 0b1), ("a", 9, 2**64 - 1), ("b", 0, 2**64 - 4)])
    assert dropped(tmp_path, [table], []) == [("a-0000005", "a-0000000", 1), ("b-0000000", "a-0000009", 2)]
    rows = {row["key"]: (row["status"], row["detail"]) for row in read_ledger(tmp_path / "ledger.jsonl")}
    assert rows == {
        "a-0000000": ("ok", ""),
        "a-0000005": ("dropped", "a-0000000"),
        "a-0000009": ("ok", ""),
        "b-0000000": ("dropped", "a-0000009"),
    }


def test_labelled_images_are_kept(tmp_path: Path) -> None:
    table = frames(tmp_path / "a.parquet", [("a", 0, 0b0), ("a", 5, 0b1), ("a", 9, 0b1)])
    labelled = images(tmp_path / "labelled.parquet", [("a", "a-0000005", 0b1)])
    studio = images(tmp_path / "studio.parquet", [("labels:studio", "studio-1", 0b11)])
    assert dropped(tmp_path, [table], [studio, labelled]) == [
        ("studio-1", "a-0000005", 1),
        ("a-0000000", "a-0000005", 1),
        ("a-0000009", "a-0000005", 0),
    ]


def test_shards_do_not_matter(tmp_path: Path) -> None:
    rows = [(source, index, int(phash)) for source in "abc" for index, phash in enumerate(clustered(20, 8, 2, 1))]
    whole = frames(tmp_path / "whole.parquet", rows)
    parts = [frames(tmp_path / f"{start}.parquet", rows[start : start + 20]) for start in (40, 0, 20)]
    expected = dropped(tmp_path, [whole], [])
    assert expected
    before = (tmp_path / "duplicates.parquet").read_bytes()
    assert dropped(tmp_path, parts, []) == expected
    assert (tmp_path / "duplicates.parquet").read_bytes() == before


def test_no_images_are_no_error(tmp_path: Path) -> None:
    assert dropped(tmp_path, [], []) == []
