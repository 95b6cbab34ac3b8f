"""A folder of 1,000 pictures with 200 labels and decisions: 50 are added, 10 removed, 10 renamed, and nothing moves."""

from pathlib import Path

from album import NAME, Album, change, expected_labels
from projects import Project


def test_nothing_moves_in_a_folder_of_1000_pictures_and_what_vanished_is_named(tmp_path: Path) -> None:
    album = Album(Project.create(tmp_path / "project"), 1000)
    album.project.run(f"results/frames/{NAME}/frames.parquet")
    before = dict(album.names)
    labelled, negative, dropped = list(before)[0:800:5], list(before)[1:200:5], list(before)[2:1000:5]
    album.say(labelled, negative, dropped)
    album.run()
    assert dict(album.labels()) == expected_labels(album, labelled, negative, before)
    keys = album.frames()
    removed = [*labelled[:4], *negative[:3], *dropped[:3]]
    renamed = [*labelled[10:14], *negative[10:13], *dropped[10:13]]
    change(album, 50, removed, renamed, [])
    album.run()
    found, right = dict(album.labels()), expected_labels(album, labelled, negative, before)
    moved = sum(found.get(name) != value for name, value in right.items()) + len(found.keys() - right.keys())
    lost = album.lost_labels()
    decided = {key: status for key, (status, _) in album.decisions().items()}
    gone = {key for key, status in decided.items() if status == "dropped"}
    print(f"\n{len(right)} labels and negatives of {len(labelled) + len(negative)}, {moved} moved; labels named: {len(lost)}")
    print(f"{len(decided)} decisions, {len(gone)} on pictures that are gone")
    assert moved == 0 and len(right) == 200 - 7
    assert {keys[name] for name in removed[:7]} <= lost.keys() and gone == {
        keys[name] for name in [*negative[:3], *dropped[:3]]
    }
