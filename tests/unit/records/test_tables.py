"""Tables are written completely, or an error says why not."""

import errno
from contextlib import nullcontext
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryDirectory

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.records.tables.scenes import VideoDetections, VideoFrames
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import Table, read_table, types, write_table


def test_a_full_disk_is_reported() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as fault:
        write_table(pl.DataFrame(schema=types(Splits)), Splits, full)
    assert fault.value.errno == errno.ENOSPC


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1.0])
def test_a_table_with_invalid_times_is_refused_and_named(time: float, tmp_path: Path) -> None:
    path = tmp_path / "frames.parquet"
    row = {"source": "a", "index": 0, "pts": 0, "time": 0.0, "width": 1, "height": 1, "change": 0.0, "looked": True}
    frames = pl.DataFrame([row], schema=types(VideoFrames))
    write_table(frames, VideoFrames, path)
    assert read_table(path, VideoFrames).equals(frames)
    frames.with_columns(time=time).write_parquet(path)
    with pytest.raises(TesseraError, match=r"(?s)frames\.parquet is not a table of VideoFrames: .*; delete it and run again"):
        read_table(path, VideoFrames)


def test_a_table_with_a_duplicate_row_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "frames.parquet"
    row = {"source": "a", "index": 0, "pts": 0, "time": 0.0, "width": 1, "height": 1, "change": 0.0, "looked": True}
    pl.DataFrame([row, {**row, "time": 1.0}], schema=types(VideoFrames)).write_parquet(path)
    with pytest.raises(TesseraError, match=r"frames\.parquet is not a table of VideoFrames"):
        read_table(path, VideoFrames)


@pytest.mark.parametrize("damage", [{"x1": float("nan")}, {"y0": float("-inf")}, {"rle": 1}, {"rle": None, "more": ""}])
def test_a_table_is_checked_against_its_schema_even_if_a_column_is_left_out(damage: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "detections.parquet"
    box = {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.0}
    row = {"source": "a", "index": 0, "number": 0, "label": "nsfw", "score": 1.0, "rle": "04", **box}
    seen = pl.DataFrame([row], schema=types(VideoDetections))
    seen.write_parquet(path)
    assert read_table(path, VideoDetections, without=["rle"]).equals(seen.drop("rle"))
    seen.with_columns(**{name: pl.lit(value) for name, value in damage.items()}).write_parquet(path)
    with pytest.raises(TesseraError, match=r"detections\.parquet is not a table of VideoDetections"):
        read_table(path, VideoDetections, without=["rle"])


class Pairs(Table):
    """A table whose rows must differ."""

    one: pl.String = pa.Field(nullable=True)
    two: pl.Int64 = pa.Field(nullable=True)

    class Config(Table.Config):
        unique = ("one", "two")


VALUES = st.tuples(st.sampled_from([None, "", "a", "b"]), st.sampled_from([None, 0, 1]))


@given(st.lists(VALUES, max_size=6), st.booleans())
def test_equal_rows_are_refused_in_any_order(rows: list[tuple[str | None, int | None]], is_sorted: bool) -> None:
    rows = sorted(rows, key=lambda row: (row[0] or "", row[1] or -1)) if is_sorted else rows
    frame = pl.DataFrame(rows, schema=types(Pairs), orient="row")
    with TemporaryDirectory() as folder:
        if len(set(rows)) < len(rows):
            with pytest.raises(pa.errors.SchemaErrors):
                write_table(frame, Pairs, Path(folder, "table"))
        else:
            write_table(frame, Pairs, Path(folder, "table"))
            assert read_table(Path(folder, "table"), Pairs).equals(frame)


class Checked(Table):
    """A table with a column for each kind of check."""

    name: pl.String = pa.Field(unique=True)
    kind: pl.String = pa.Field(isin=["a", "b"], nullable=True)
    above: pl.Int64 = pa.Field(gt=0, le=2)
    least: pl.Float64 = pa.Field(ge=0, lt=inf, nullable=True)
    share: pl.Float64 = pa.Field(ge=0)


RIGHT = {"name": "a", "kind": "a", "above": 1, "least": 0.0, "share": 0.0}
VALUES_OF: dict[str, list[object]] = {
    "name": ["a", "b", None],
    "kind": ["a", "b", "c", None],
    "above": [0, 1, 2, 3, None],
    "least": [-1.0, 0.0, 1.0, inf, nan, None],
    "share": [-1.0, 0.0, inf, nan, None],
}


@pytest.mark.parametrize(("column", "value"), [(column, value) for column, values in VALUES_OF.items() for value in values])
def test_a_table_is_refused_exactly_if_pandera_refuses_it(column: str, value: object, tmp_path: Path) -> None:
    frame = pl.DataFrame([RIGHT, RIGHT | {"name": "c"} | {column: value}], schema=types(Checked))
    try:
        Checked.validate(frame, lazy=True)
        expected = nullcontext()
    except pa.errors.SchemaErrors:
        expected = pytest.raises(pa.errors.SchemaErrors)
    with expected:
        write_table(frame, Checked, tmp_path / "table")


def test_a_table_that_is_right_is_not_checked_value_by_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pa.DataFrameSchema, "validate", None)
    write_table(pl.DataFrame([RIGHT], schema=types(Checked)), Checked, tmp_path / "table")
