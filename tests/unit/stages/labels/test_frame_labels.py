"""Where labels of frames are searched, and which of them count."""

import io
import json
import os
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from source_files import write_source_files

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, read_ledger
from tessera.imaging.encode import write_video
from tessera.imaging.images import read_image
from tessera.records.annotation.label_files import frame_exports, frame_label_folders, labelled_frames
from tessera.records.decisions import Decision
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.labels.frames import import_frame_labels
from tessera.stages.labels.settings import unclaimed_labels
from video_copies import ffmpeg

HEIGHT, WIDTH = 32, 48


def write_label(path: Path, label: str = "nsfw", factor: float = 1, height: int = HEIGHT) -> None:
    """Write a square, as it is drawn on the frame scaled by `factor`."""
    ring = [[x * factor, y * factor] for x, y in ([2, 2], [20, 2], [20, 20], [2, 20])]
    shape = {"label": label, "points": ring, "shape_type": "polygon", "group_id": None, "flags": {}}
    size = {"imageHeight": round(height * factor), "imageWidth": round(WIDTH * factor)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"shapes": [shape], "flags": {}, "imagePath": "frame.jpg", "imageData": None, **size}))


PLACE = Path("results/unsampled")


def import_labels(
    folder: Path, source: str, reason: str = "", negatives: dict[str, Decision] | None = None, aspect: str = "1/1"
) -> tuple[dict[str, str], pl.DataFrame]:
    """Import the labels in `folder/labels` for frames of the video `source`; return the reasons by key, and the images."""
    write_video(folder / "square.mp4", [np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8) for index in range(8)], 24)
    shape = f"h264_metadata=sample_aspect_ratio={aspect}"
    ffmpeg("-i", folder / "square.mp4", "-c", "copy", "-bsf:v", shape, folder / "film.mp4")
    known = {"source": source, "shard": "film", "path": str(folder / "film.mp4"), "kind": "video"}
    known |= {
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "series": "",
        "use": [],
    }
    known |= {"split": "", "sha256": "", "size": 1}
    rows = [] if reason else [{**dict.fromkeys(types(Sources)), **known}]
    with Ledger(folder / "admission") as entries:
        entries.row(source, "dropped" if reason else "ok", reason)
    write_table(pl.DataFrame(rows, schema=types(Sources)), Sources, folder / "sources")
    write_table(pl.DataFrame(schema=types(Frames)), Frames, folder / "frames")
    outputs = {name: folder / name for name in ("images", "annotations", "unsampled", "ledger")}
    import_frame_labels(
        folder / "frames",
        folder / "sources",
        folder / "admission",
        write_source_files(folder / "stills"),
        folder / "pictures",
        folder / "labels",
        ["nsfw"],
        16,
        negatives or {},
        {},
        PLACE,
        **outputs,
    )
    return {row["key"]: row["reason"] for row in read_ledger(outputs["ledger"])}, read_table(outputs["images"], Images)


def test_a_labelled_frame_is_read_from_its_source(tmp_path: Path) -> None:
    folder = tmp_path / "labels" / "film"
    for index in (3, 99):
        write_label(folder / f"film-{index:07d}.json")
    reasons, images = import_labels(tmp_path, "film")
    assert reasons == {"film-0000003": "", "film-0000099": "no such frame"}
    assert images["path"].to_list() == [(PLACE / "film-0000003.jpg").as_posix()]
    assert abs(float(read_image(tmp_path / "unsampled" / "film-0000003.jpg").mean()) - 60) < 4


def test_a_frame_is_known_to_show_nothing_by_decision_unless_it_has_a_label(tmp_path: Path) -> None:
    write_label(tmp_path / "labels" / "film" / "film-0000003.json")
    keys = ("film-0000003", "film-0000005", "film-0000099", "other-0000001")
    said = {key: Decision(key=key, decision="negative", who="Ada", when="2026-01-31") for key in keys}
    reasons, images = import_labels(tmp_path, "film", negatives=said)
    assert reasons == {"film-0000003": "", "film-0000005": "negative by decision", "film-0000099": "no such frame"}
    assert images["key"].to_list() == ["film-0000003", "film-0000005"]
    assert set(read_table(tmp_path / "annotations", Annotations)["key"]) == {"film-0000003"}


def test_a_label_may_be_drawn_on_the_frame_at_another_size(tmp_path: Path) -> None:
    factors = {1: 1, 2: 0.5, 3: 1.33, 4: 40}
    for index, factor in factors.items():
        write_label(tmp_path / "labels" / "film" / f"film-{index:07d}.json", factor=factor)
    write_label(tmp_path / "labels" / "film" / "film-0000005.json", height=HEIGHT + 3)
    reasons, images = import_labels(tmp_path, "film")
    assert reasons == {f"film-{index:07d}": "" for index in factors} | {"film-0000005": "size differs from the image"}
    assert set(images.select("width", "height").iter_rows()) == {(WIDTH, HEIGHT)}
    boxes = read_table(tmp_path / "annotations", Annotations).select("x0", "y0", "x1", "y1").to_numpy()
    assert len(boxes) == len(factors)
    assert np.abs(boxes - [2, 2, 20, 20]).max() <= 1


def test_a_label_that_was_drawn_before_pixels_were_square_keeps_its_place(tmp_path: Path) -> None:
    write_label(tmp_path / "labels" / "film" / "film-0000001.json")
    write_label(tmp_path / "labels" / "film" / "film-0000002.json", factor=0.5)
    reasons, images = import_labels(tmp_path, "film", aspect="3/2")
    assert reasons == {"film-0000001": "", "film-0000002": ""}
    assert set(images.select("width", "height").iter_rows()) == {(round(WIDTH * 1.5), HEIGHT)}
    boxes = read_table(tmp_path / "annotations", Annotations).select("x0", "y0", "x1", "y1").to_numpy()
    assert np.abs(boxes - [3, 2, 30, 20]).max() <= 1


def test_a_folder_of_labels_may_have_the_name_of_its_source_or_of_its_results(tmp_path: Path) -> None:
    for folder, index in (("my film", 3), ("my%20film", 4), ("my%20film", 3)):
        write_label(tmp_path / "labels" / folder / f"my%20film-{index:07d}.json")
    rows, images = import_labels(tmp_path, "my film")
    assert rows == {"my%20film-0000003": "frame is labelled twice", "my%20film-0000004": ""}
    assert sorted(images["key"]) == list(rows)


def test_labels_of_a_shard_of_several_sources_lie_in_one_folder(tmp_path: Path) -> None:
    for name in ("my%20film-0000003", "my%20film-2-0000003", "film-0000003", "notes"):
        write_label(tmp_path / "labels" / "shard-0" / f"{name}.json")
    write_label(tmp_path / "labels" / "shard-1" / "my%20film-0000004.json")
    rows, _ = import_labels(tmp_path, "my film")
    assert rows == {"my%20film-0000003": "", "my%20film-0000004": ""}
    found = unclaimed_labels(tmp_path / "labels", ["my film", "film"], [])
    shard = tmp_path / "labels" / "shard-0"
    assert found == {shard: [shard / "my%20film-2-0000003.json", shard / "notes.json"]}


def answer(key: str, label: str = "nsfw", day: int = 1, **more: object) -> dict[str, object]:
    """Return a task of an export: the square of `write_label`, drawn on the frame at its size."""
    value = {"x": 100 * 2 / WIDTH, "y": 100 * 2 / HEIGHT, "width": 100 * 18 / WIDTH, "height": 100 * 18 / HEIGHT}
    region = {"type": "rectanglelabels", "value": {**value, "rectanglelabels": [label]}}
    region |= {"original_width": WIDTH, "original_height": HEIGHT}
    annotations = [{"result": [region], "updated_at": f"2026-01-0{day}", **more}]
    return {"data": {"image": f"/data/local-files/?d={key}.jpg", "tessera_id": key}, "annotations": annotations}


def test_answers_of_label_studio_are_labels_of_the_frames_that_they_state(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    write_label(labels / "film" / "film-0000005.json")
    tasks = [answer("film-0000001"), answer("film-0000002", was_cancelled=True), answer("film-0000003", "cat")]
    tasks += [answer("film-0000099"), answer("film-0000005"), answer("film-2-0000001"), answer("other"), answer("film-0000004")]
    (labels / "first.json").write_text(json.dumps(tasks))
    (labels / "second.json").write_text(json.dumps([{**answer("film-0000004", day=2), "annotations": [{"result": []}]}]))
    assert labelled_frames(labels, "film") == {f"film-000000{index}" for index in (1, 3, 4, 5)} | {"film-0000099"}
    reasons, images = import_labels(tmp_path, "film")
    assert reasons == {
        "film-0000001": "",
        "film-0000002": "unlabelled",
        "film-0000003": "region lost: unknown label",
        "film-0000004": "several annotations",
        "film-0000005": "frame is labelled twice",
        "film-0000099": "no such frame",
    }
    assert images["key"].to_list() == ["film-0000005", "film-0000001", "film-0000004"]
    boxes = read_table(tmp_path / "annotations", Annotations).filter(pl.col("key") == "film-0000001")
    assert boxes.select("x0", "y0", "x1", "y1").row(0) == pytest.approx((2, 2, 20, 20))
    assert unclaimed_labels(labels, ["film"], frame_exports(labels)) == {}


def test_an_export_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_label(tmp_path / "labels" / "film" / "film-0000005.json")
    (tmp_path / "labels" / "export.json").write_text('[{"data": {}, ')
    with pytest.raises(TesseraError, match=r"annotations\.frame_labels: broken JSON: .*export\.json.*; export it again"):
        import_labels(tmp_path, "film")


@pytest.mark.parametrize(
    ("source", "folders"),
    [
        ("film", ["film"]),
        ("my film", ["my%20film", "my film"]),
        ("my%20film", ["my%2520film"]),  # that of the source `my film`
        ("100% film", ["100%25%20film", "100% film"]),
        ("a/../b", ["a%2F..%2Fb"]),
        ("..", ["%2E."]),
    ],
)
def test_no_folder_of_labels_belongs_to_two_sources(source: str, folders: list[str]) -> None:
    assert frame_label_folders(source) == folders


def test_labels_that_belong_to_no_source_are_found(tmp_path: Path) -> None:
    for file in (
        "film/a.json",
        "my film/b.json",
        "flim/c.json",
        "flim/deep/d.JSON",
        "e.json",
        "proposed/film/f.json",
        ".g/h.json",
    ):
        write_label(tmp_path / file)
    (tmp_path / "empty").mkdir()
    found = unclaimed_labels(tmp_path, ["film", "my film"], [tmp_path / "proposed"])
    assert {entry: len(files) for entry, files in found.items()} == {tmp_path / "e.json": 1, tmp_path / "flim": 2}


def test_a_label_that_is_a_pipe_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "labels" / "film").mkdir(parents=True)
    os.mkfifo(tmp_path / "labels" / "film" / "film-0000003.json")

    def give_up(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(10)
    assert import_labels(tmp_path, "film")[0] == {"film-0000003": "not a regular file"}
    signal.alarm(0)


def test_a_link_to_a_label_that_is_gone_fails(tmp_path: Path) -> None:
    (tmp_path / "labels" / "film").mkdir(parents=True)
    (tmp_path / "labels" / "film" / "film-0000003.json").symlink_to("gone.json")
    assert import_labels(tmp_path, "film")[0] == {"film-0000003": "missing"}


def test_a_label_of_a_refused_source_says_so(tmp_path: Path) -> None:
    write_label(tmp_path / "labels" / "film" / "film-0000003.json")
    assert import_labels(tmp_path, "film", "no rights")[0] == {"film-0000003": "source refused"}


def test_an_accepted_proposal_without_regions_is_told_to_need_the_flag_sfw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    label = tmp_path / "labels" / "film" / "film-0000003.json"
    write_label(label)
    label.write_text(json.dumps({**json.loads(label.read_text()), "shapes": [], "flags": {"sfw": False, "accept": True}}))
    assert import_labels(tmp_path, "film")[0] == {"film-0000003": "unlabelled"}
    assert (
        "1 label file with neither a shape nor the flag `sfw` left out: draw the regions, or set `sfw`" in terminal.getvalue()
    )
    assert str(label) in terminal.getvalue()


def test_unknown_labels_are_counted_and_named_with_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    for index, label in enumerate(("Nsfw ", "nfsw", "nfsw", "cat")):
        write_label(tmp_path / "labels" / "film" / f"film-{index:07d}.json", label)
    reasons, _ = import_labels(tmp_path, "film")
    assert list(reasons.values()) == ["", *["region lost: unknown label"] * 3]
    message = terminal.getvalue()
    assert "3 label files left out, with 3 shapes of unknown labels:" in message
    assert f"\n  '{tmp_path}/labels/film/film-0000001.json': 'nfsw' (1)\n" in message
    assert "\nknown are 'nsfw': rename the shapes, or add the label to annotations.classes\n" in message
