"""A folder of pictures that grows, shrinks or is renamed moves no label and no decision to another picture."""

import csv

import numpy as np
import polars as pl
import pytest
from album import NAME, Album, change, expected_labels
from PIL import Image
from projects import Project

from tessera.records.moved_keys import read_moved_keys

pytestmark = pytest.mark.workflow


def test_what_people_said_stays_with_the_picture_and_what_vanished_is_named(project: Project) -> None:
    album = Album(project, 24)
    project.run(f"results/frames/{NAME}/frames.parquet")
    before = dict(album.names)
    labelled, negative, dropped = list(before)[:12], list(before)[12:16], list(before)[16:20]
    album.say(labelled, negative, dropped)
    album.run()
    assert dict(album.labels()) == expected_labels(album, labelled, negative, before)
    keys = album.frames()
    removed, renamed, edited = [labelled[0], dropped[0]], [labelled[1], negative[0], dropped[1]], [labelled[2], dropped[2]]
    change(album, 6, removed, renamed, edited)
    output = album.run()
    assert dict(album.labels()) == expected_labels(album, labelled, negative, before)
    lost = album.lost_labels()
    assert lost.keys() == {keys[labelled[0]], keys[labelled[2]]}
    assert "the picture is gone" in lost[keys[labelled[0]]]
    assert "the picture has changed since" in lost[keys[labelled[2]]] and album.frames()[labelled[2]] in lost[keys[labelled[2]]]
    decided = album.decisions()
    assert {key for key, (status, _) in decided.items() if status == "dropped"} == {keys[dropped[0]], keys[dropped[2]]}
    assert "the picture is now" in decided[keys[dropped[1]]][1]
    assert "2 decisions on pictures that are gone, have changed or are decided anew" in output


def test_keys_by_position_become_those_of_the_pictures_that_they_meant(project: Project) -> None:
    """The results are those of version 0.1: keys are positions, and the table of frames has no names."""
    album = Album(project, 12)
    project.run(f"results/frames/{NAME}/frames.parquet")
    before = dict(album.names)
    labelled, negative = list(before)[:6], list(before)[6:8]
    album.say(labelled, negative, [])
    now = album.frames()
    position = {key: f"{NAME}-{place:07d}" for place, key in enumerate(now.values())}
    folder = project.results / "frames" / NAME
    table = pl.read_parquet(folder / "frames.parquet")
    old = table.drop("name").with_columns(
        key=pl.col("key").replace_strict(position), file=pl.col("key").replace_strict(position) + pl.lit(".png")
    )
    old.write_parquet(folder / "frames.parquet")
    for key, at in position.items():
        (folder / "images" / f"{key}.png").rename(folder / "images" / f"{at}.png")
    for file in (project.folder / "labels" / NAME).iterdir():
        file.rename(file.with_name(f"{position[file.stem]}.json"))
    decisions = project.folder / "config" / "decisions.tsv"
    for key, at in position.items():
        decisions.write_text(decisions.read_text().replace(key, at))
    # The folder has changed since: positions alone would be wrong.
    change(album, 5, [labelled[0]], [labelled[1]], [])
    twin = Image.fromarray(np.asarray(Image.open(album.folder / labelled[3])))
    twin.save(album.folder / "copy of another.png", compress_level=0)
    output = project.run("results/labels/frames/" + NAME + "/images.parquet").output
    expected = expected_labels(album, labelled, negative, before)
    del expected[labelled[3]]
    assert dict(album.labels()) == expected
    moved = read_moved_keys(project.folder / "config" / "moved_keys.tsv")
    assert moved.keys() == {position[now[name]] for name in [*labelled, *negative]}
    with (project.folder / "config" / "moved_keys.tsv").open(encoding="utf-8", newline="") as file:
        why = {row["key"]: row["why"] for row in csv.DictReader(file, delimiter="\t") if not row["now"]}
    assert why == {
        position[now[labelled[0]]]: "no picture of the folder looks like it",
        position[now[labelled[3]]]: "2 pictures look like it",
    }
    assert "6 of 8 pictures that labels or decisions know by a position were found" in output
    # Once: the table is read from now on, and the labels stay where they are.
    assert "were found" not in project.run("results/labels/frames/" + NAME + "/images.parquet").output
    assert dict(album.labels()) == expected
