"""Duplicates are those of comparing all pairs, for any division into shards."""

from pathlib import Path

import polars as pl

from tessera.core.ledger import read_ledger
from tessera.records.tables.annotation import Images
from tessera.records.tables.footage import Duplicates, Frames
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.footage.duplicates import DuplicateSettings, drop_duplicates


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
    rows = [(source, index, int(phash)) for source in "abc" for index, phash in enumerate([0, 1, 7, 63, 255, 1 << 40] * 3)]
    single = frames(tmp_path / "whole.parquet", rows)
    parts = [frames(tmp_path / f"{start}.parquet", rows[start : start + 18]) for start in (36, 0, 18)]
    expected = dropped(tmp_path, [single], [])
    assert expected
    before = (tmp_path / "duplicates.parquet").read_bytes()
    assert dropped(tmp_path, parts, []) == expected
    assert (tmp_path / "duplicates.parquet").read_bytes() == before


def test_no_images_are_no_error(tmp_path: Path) -> None:
    assert dropped(tmp_path, [], []) == []
