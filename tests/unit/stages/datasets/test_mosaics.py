"""A datasheet counts the mosaics of its samples."""

import polars as pl

from tessera.records.tables.mosaics import Mosaics
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types
from tessera.stages.datasets.mosaics import describe_mosaics, render_mosaics

USUAL = {"type": "squa_avg", "block_height": 8.0, "fine": False, "feather": 0.0, "scale": 1.0, "blur": 0.0, "brightness": 1.0}


def test_mosaics_are_counted_by_split_property_and_block_height() -> None:
    rows = [
        ("a", {}),
        ("a", {"fine": True, "block_height": 2.0}),
        ("b", {"scale": 0.5, "block_height": 3.99}),
        ("b", {"blur": 1.5, "brightness": 0.5, "block_height": 30.0}),
        ("c", {"type": "bar", "block_height": None}),
        ("left out", {"fine": True}),
    ]
    mosaics = pl.DataFrame(
        [dict.fromkeys(types(Mosaics)) | {"key": key} | USUAL | differs for key, differs in rows], schema=types(Mosaics)
    )
    splits = pl.DataFrame([("a", "x", "train"), ("b", "x", "train"), ("c", "y", "val")], schema=types(Splits), orient="row")
    counts = describe_mosaics(mosaics, splits)
    assert {name: count for name, count in counts["train"].items() if count} == {
        "all": 4,
        "fine blocks": 1,
        "rescaled": 1,
        "blurred": 1,
        "darkened": 1,
        "blocks from 2 px to below 3 px": 1,
        "blocks from 3 px to below 4 px": 1,
        "blocks from 8 px to below 12 px": 1,
        "blocks from 24 px": 1,
    }
    assert {name: count for name, count in counts["val"].items() if count} == {"all": 1, "bar": 1}
    assert not any(counts["test"].values())
    page = "".join(render_mosaics(counts))
    assert "| all | 4 | 1 | 0 |\n" in page
    assert "| bar | 0 | 1 | 0 |\n" in page
