"""Each decision on a picture of a folder is a row, which says whether it counts, and why not."""

from pathlib import Path

import polars as pl

from tessera.core.ledger import read_ledger
from tessera.records.decisions import Decision
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import types, write_table
from tessera.stages.footage.decided import match_decisions

A, B, C = "s-a.jpg~000000000001", "s-b.jpg~000000000002", "s-c.jpg~000000000003"


def test_of_decisions_under_several_names_of_a_picture_the_last_counts_and_the_others_say_so(tmp_path: Path) -> None:
    known = {**dict.fromkeys(types(Frames), 1), "source": "s", "file": "f", "name": "n", "pts": None, "time": None}
    frames = pl.DataFrame([{**known, "key": key} for key in (A, B, C)], schema=types(Frames))
    write_table(frames, Frames, tmp_path / "frames")
    keys = ["s-old.jpg~000000000001", "s-a.jpg", "s-old.jpg~000000000002", "s-c.jpg~000000000009", "s-x.jpg~000000000007", C]
    keys += [f"{key}+1-2-3-4" for key in ("s-old.jpg~000000000001", "s-x.jpg~000000000007")]
    said = {key: Decision(key=key, decision="drop", who="Ada", when="2026-01-31") for key in keys}
    match_decisions([tmp_path / "frames"], said, tmp_path / "ledger")
    rows = {
        row["key"]: (row["status"], row["reason"], row["detail"].partition(";")[0]) for row in read_ledger(tmp_path / "ledger")
    }
    assert rows == {
        keys[0]: (
            "dropped",
            "another decision on the picture",
            "the decision on 's-a.jpg' is on the same picture, and comes later",
        ),
        "s-a.jpg": ("ok", "known by another name", f"the picture is now {A!r}"),
        keys[2]: ("ok", "known by another name", f"the picture is now {B!r}"),
        keys[3]: ("dropped", "decision on no picture", f"the picture has changed since, and is now {C!r}"),
        keys[4]: ("dropped", "decision on no picture", "the picture is gone"),
        C: ("ok", "", ""),
        keys[6]: ("ok", "known by another name", f"the picture is now {A!r}"),
        keys[7]: ("dropped", "decision on no picture", "the picture is gone"),
    }
