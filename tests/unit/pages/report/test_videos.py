"""The part of a report about videos states what follows from the tables, and says where there is nothing to state."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tessera.core.ledger import Ledger
from tessera.pages.report.videos import SHOWN, describe_videos
from tessera.records.tables.evaluation import Objects, WatchedVideos
from tessera.records.tables.table import types, write_table


def watched(source: str, known_free: bool = False, **values: int) -> dict[str, Any]:
    counts = {"frames": 100, "with_detection": 0, "detections": 0, "tracks": 0, "spanned": 0, "missed": 0, "interruptions": 0}
    return {"model": "mine", "source": source, "split": "val", "known_free": known_free, "seconds": 30.0, **counts, **values}


def describe(folder: Path, rows: list[dict[str, Any]], free: list[str], scores: dict[str, list[float | None]]) -> str:
    """Return the page of `rows`; `scores`: of the objects of each source, None for a missed one."""
    write_table(pl.DataFrame(rows, schema=types(WatchedVideos)), WatchedVideos, folder / "videos.parquet")
    with Ledger(folder / "videos.jsonl") as ledger:
        for row in rows:
            ledger.row(row["source"], "ok")
        ledger.row("photo", "dropped", "not a video")
    objects = [
        {**dict.fromkeys(types(Objects)), "source": source, "score": score} for source, each in scores.items() for score in each
    ]
    table = pl.DataFrame(objects, schema=types(Objects))
    return describe_videos(folder / "videos.parquet", folder / "videos.jsonl", table, 0.5, "mosaic", free)


def cells(page: str, name: str) -> list[str]:
    """Return the other cells of the row that begins with `name`."""
    rows = [re.findall("<t[dh].*?>(.*?)</t[dh]>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    return next(others for first, *others in rows if first == name)


def test_false_positives_are_counted_per_minute_of_known_free_footage_alone(tmp_path: Path) -> None:
    rows = [
        watched("free", True, tracks=3, spanned=5, missed=1, detections=4, with_detection=4),
        watched("also free", True, seconds=15, frames=60),
        watched("other", tracks=50, spanned=90, detections=90, with_detection=90),
    ]
    page = describe(tmp_path, rows, ["free", "also free"], {})
    assert cells(page, "footage") == ["45.0 seconds of 2 videos"]
    assert cells(page, "false positives, each track counted once") == ["3"]
    assert cells(page, "false positives per minute") == ["4.00 (95 % interval 0.82 to 11.69)"]
    assert cells(page, "false detections per minute") == ["5.33"]
    assert cells(page, "frames with a false detection") == ["4 of 160 (2.5%)"]
    assert "Watched: 3 of 4 sources. dropped: not a video (1)" in page


def test_each_video_has_what_was_found_missed_and_interrupted(tmp_path: Path) -> None:
    rows = [
        watched("calm", tracks=1, spanned=100, detections=100, with_detection=100),
        watched("restless", tracks=2, spanned=80, missed=20, interruptions=8, detections=60, with_detection=60),
        watched("empty"),
    ]
    page = describe(tmp_path, rows, [], {"calm": [0.9, 0.4, None], "photo": [0.9]})
    assert cells(page, "restless") == ["val", "30.0", "2", "120.0", "25.0%", "16.0"]
    assert cells(page, "calm") == ["val", "30.0", "1", "200.0", "0.0%", "0.0"]
    assert cells(page, "empty") == ["val", "30.0", "0", "0.0", "no track", "0.0"]
    assert cells(page, "all") == ["", "90.0", "3", "106.7", "11.1%", "5.3"]
    assert page.index("<td>restless</td>") < page.index("<td>calm</td>") < page.index("<td>empty</td>")
    # The objects in samples have a table of their own, of the videos that have some.
    _, labelled = page.split("<h3>Found and missed")
    assert cells(labelled, "all") == ["", "3", "1", "2", "0.333 (0.01 to 0.91)"]
    assert cells(labelled, "calm") == ["val", "3", "1", "2", "0.333 (0.01 to 0.91)"]
    assert "restless" not in labelled


def test_many_videos_are_shown_as_others_and_add_up(tmp_path: Path) -> None:
    rows = [watched(f"video {number}", tracks=1, spanned=10, missed=number % 7, detections=5) for number in range(SHOWN + 30)]
    page = describe(tmp_path, rows, [], {})
    assert page.count("<td>video ") == SHOWN
    assert cells(page, "30 others")[2] == "30"
    assert cells(page, "all")[2] == str(SHOWN + 30)
    assert "No object is labelled in samples of these videos." in page


@pytest.mark.parametrize(("free", "told"), [([], "No source of the manifest is"), (["gone"], "none of them was watched")])
def test_footage_that_is_missing_is_said_in_words(free: list[str], told: str, tmp_path: Path) -> None:
    assert told in describe(tmp_path, [watched("other", tracks=1, spanned=1, detections=1)], free, {})
    assert told in describe(tmp_path, [], free, {})
    # A single frame has no length.
    assert told in describe(tmp_path, [watched("other", seconds=0)], free, {})
