"""Sets of labelled images in every format: what they state is imported, and every fault is a row."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_sets import HEIGHT, WIDTH, ImportedForTwo, picture, write_folder, write_zip
from PIL import Image
from strategies import LABELS, masks

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.records.annotation.formats.brushes import encode_brush
from tessera.records.annotation.formats.coco import write_coco
from tessera.records.annotation.formats.label_studio import Prediction, write_task
from tessera.records.annotation.formats.labelme import write_labelme
from tessera.records.annotation.formats.yolo import write_yolo
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.stages.labels.sets import usable_regions

Files = Mapping[str, bytes | str]


def mask_file(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, format="PNG")
    return file.getvalue()


def square(value: int = 1, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    values = np.zeros((height, width), np.uint8)
    values[5:15, 10:30] = value
    return values


SQUARE = (10, 5, 30, 15)


def coco(*annotations: Mapping[str, Any], names: tuple[str, ...] = ("a.png",), **more: Any) -> str:
    rows = [{"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT} for number, name in enumerate(names)]
    boxes = [{"id": number, "category_id": 1, "image_id": 0, **each} for number, each in enumerate(annotations)]
    return json.dumps({"images": rows, "annotations": boxes, "categories": [{"id": 1, "name": "nsfw"}], **more})


def studio(*results: list[Any], image: str = "/data/upload/3/0a1b2c3d-a.png", **more: Any) -> str:
    annotations = [{"result": result, "updated_at": f"2026-01-0{day}"} for day, result in enumerate(results, 1)]
    return json.dumps([{"id": 1, "data": {"image": image}, "annotations": annotations, **more}])


def brush(values: np.ndarray, label: str = "nsfw") -> dict[str, Any]:
    height, width = values.shape
    size = {"original_width": width, "original_height": height}
    return {"type": "brushlabels", "value": {"rle": encode_brush(values), "brushlabels": [label]}, **size}


BOX = {"bbox": [10, 5, 20, 10]}
SAME: dict[str, Files] = {
    "coco": {"images/a.png": picture(0), "annotations/all.json": coco(BOX)},
    "yolo": {"images/a.png": picture(0), "labels/a.txt": f"0 0.5 {1 / 3} 0.5 {1 / 3}", "labels/classes.txt": "nsfw"},
    "masks": {"images/a.png": picture(0), "masks/a.png": mask_file(square()), "labelmap.txt": "background\nnsfw:9,9,9::"},
    "label_studio": {"images/a.png": picture(0), "export.json": studio([brush(square())])},
    "labelme": {
        "images/a.png": picture(0),
        "images/a.json": json.dumps(
            {"imagePath": "a.png", "shapes": [{"label": "nsfw", "points": [[10, 5], [30, 15]], "shape_type": "rectangle"}]}
        ),
    },
}


@pytest.mark.parametrize("layout", SAME)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_is_read_from_a_folder_and_from_a_zip_file(tmp_path: Path, layout: str, packed: bool) -> None:
    path = write_zip(tmp_path / "set.zip", SAME[layout]) if packed else write_folder(tmp_path / "set", SAME[layout])
    imported = ImportedForTwo(path, layout)
    ((key, image),) = imported.images.items()
    assert [one.label for one in image.annotations] == ["nsfw"]
    assert image.annotations[0].box == pytest.approx(SQUARE)
    row = imported.rows[key]
    stored = (path.parent / f"out of {path.name}" / "pictures") / Path(row["path"]).name if packed else Path(row["path"])
    assert stored.read_bytes() == picture(0) and row["source"] == "labels:s"


few = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write_regions(folder: Path, layout: str, image: ImageAnnotations) -> None:
    if layout == "coco":
        write_coco([image], folder / "all.json", {1: LABELS[0], 2: LABELS[1]})
    elif layout == "yolo":
        write_yolo(image, list(LABELS), "segment", folder / "a.txt")
        (folder / "classes.txt").write_text("\n".join(LABELS))
    elif layout == "labelme":
        write_labelme(image, folder / "a.json", "a.png")
    else:
        task, _ = write_task(image, "a.png", Prediction("m", {}))
        result = task["predictions"][0]["result"]
        (folder / "e.json").write_text(json.dumps([{"data": task["data"], "annotations": [{"result": result}]}]))


@few
@given(regions=st.lists(st.tuples(st.sampled_from(LABELS), masks), min_size=1, max_size=3))
@pytest.mark.parametrize("layout", ["coco", "yolo", "label_studio", "labelme"])
def test_masks_that_are_written_in_a_format_are_imported_again(
    tmp_path_factory: pytest.TempPathFactory, layout: str, regions: list[tuple[str, np.ndarray]]
) -> None:
    image = ImageAnnotations("a.png", WIDTH, HEIGHT, tuple(Annotation.of_mask(label, mask) for label, mask in regions))
    folder = write_folder(tmp_path_factory.mktemp(layout) / "set", {"a.png": picture(0)})
    write_regions(folder, layout, image)
    # A YOLO polygon of one line of pixels has no area.
    found = ImportedForTwo(folder, layout, min_area=0).images["s+a"].annotations
    assert [one.label for one in found] == [label for label, _ in regions]
    for one, (_, mask) in zip(found, regions, strict=True):
        read = one.mask(HEIGHT, WIDTH)
        # Bridges join the parts of a region in YOLO.
        assert (read >= mask).all() if layout == "yolo" else np.array_equal(read, mask)


@pytest.mark.parametrize("layout", ["coco", "yolo", "masks", "label_studio", "labelme"])
def test_an_image_that_is_known_to_show_nothing_is_a_background(tmp_path: Path, layout: str) -> None:
    nothing = {
        "coco": {"all.json": coco().replace('"a.png"', '"a.png", "negative": true')},
        "yolo": {"a.txt": ""},
        "masks": {"a_mask.png": mask_file(square(0))},
        "label_studio": {"all.json": studio([])},
        "labelme": {"a.json": json.dumps({"imagePath": "a.png", "shapes": [], "flags": {"sfw": True}})},
    }[layout]
    imported = ImportedForTwo(write_folder(tmp_path / "set", {"a.png": picture(0), **nothing}), layout)
    assert imported.images["s+a"].annotations == ()


@pytest.mark.parametrize("layout", ["yolo", "masks"])
def test_images_without_labels_and_with_empty_ones_mean_what_the_settings_say(tmp_path: Path, layout: str) -> None:
    empty, full = {"yolo": ("", "0 0.5 0.5 0.5 0.5"), "masks": (mask_file(square(0)), mask_file(square(1)))}[layout]
    end = {"yolo": ".txt", "masks": "_mask.png"}[layout]
    files = {f"{name}.png": picture(number) for number, name in enumerate(("empty", "full", "none"))}
    path = write_folder(tmp_path / "set", files | {f"empty{end}": empty, f"full{end}": full})
    lacks = {"yolo": "no label file", "masks": "no mask"}[layout]
    used = {"yolo": 0, "masks": 1}[layout]
    for number, (unannotated, none) in enumerate((("unknown", "unlabelled"), ("negative", f"{lacks}, taken for a negative"))):
        for meant, reason in (("negative", "ok"), ("unknown", "empty label")):
            path = path.rename(tmp_path / f"{meant} {number}")
            imported = ImportedForTwo(path, layout, classes={used: "nsfw"}, unannotated=unannotated, empty=meant)
            assert imported.reasons == {"s+empty": reason, "s+full": "ok", "s+none": none}
            negatives = {key for key, image in imported.images.items() if not image.annotations}
            stated = {"s+empty": meant, "s+none": unannotated}
            assert negatives == {key for key, means in stated.items() if means == "negative"}


def test_labels_mean_what_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    shapes = [brush(square(), label) for label in ("NSFW ", "body", "dog", "cat", "logo")]
    folder = write_folder(tmp_path / "set", {"a.png": picture(0), "all.json": studio(shapes)})
    classes = {"body": "nsfw", "dog": None, "logo": "watermark"}
    known = ImportedForTwo(folder, "label_studio", classes={**classes, "cat": None})
    assert known.labels["s+a"] == ["nsfw", "nsfw", "watermark"] and known.reasons == {"s+a": "ok"}
    folder = folder.rename(tmp_path / "again")
    assert ImportedForTwo(folder, "label_studio", classes=classes).reasons == {"s+a": "region lost: unknown label"}
    message = terminal.getvalue()
    assert "1 image left out, with 1 shape of unknown labels:" in message and "'cat' (1)" in message
    assert "known are 'nsfw', 'watermark': rename the labels, or say in `classes` of the set what they mean" in message
    folder.rename(tmp_path / "every")
    every = ImportedForTwo(tmp_path / "every", "label_studio", classes={"*": "nsfw"})
    assert every.labels["s+a"] == ["nsfw"] * 5


def test_an_image_with_unknown_labels_alone_is_no_background_and_one_with_unwanted_ones_is(tmp_path: Path) -> None:
    files = {"a.png": picture(0), "all.json": studio([brush(square(), "dog")])}
    assert ImportedForTwo(write_folder(tmp_path / "one", files), "label_studio").reasons == {
        "s+a": "region lost: unknown label"
    }
    imported = ImportedForTwo(write_folder(tmp_path / "two", files), "label_studio", classes={"dog": None})
    assert imported.reasons == {"s+a": "ok"} and imported.labels["s+a"] == []


def test_numbers_are_those_of_the_set_or_of_the_settings(tmp_path: Path) -> None:
    line = "{} 0.5 0.5 0.5 0.5"
    files = {"a.png": picture(0), "a.txt": "\n".join(line.format(number) for number in range(2))}
    stated = ImportedForTwo(write_folder(tmp_path / "stated", files), "yolo", classes={0: "watermark", 1: None})
    assert stated.labels["s+a"] == ["watermark"]
    named = write_folder(tmp_path / "named", {**files, "data.yaml": "names: {0: watermark, 1: dog}"})
    assert ImportedForTwo(named, "yolo", classes={"dog": "nsfw"}).labels["s+a"] == ["watermark", "nsfw"]


def test_masks_state_classes_by_their_values(tmp_path: Path) -> None:
    both = square(1)
    both[20:25, 10:30] = 2
    files = {name: picture(number) for number, name in enumerate(("a.jpg.png", "b.png", "c.png", "d.png", "e.png"))}
    files |= {"a.jpg-masklabel.png": mask_file(square(255)), "b.mask.png": mask_file(both), "c_mask.png": mask_file(square(9))}
    files |= {"d_mask.png": mask_file(square(1, 20, 20)), "lost_mask.png": mask_file(square())}
    files["labelmap.txt"] = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nnsfw:9,9,9::\nwatermark:1,1,1::\n"
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "masks", classes={255: "nsfw"})
    assert imported.reasons == {
        "s+a.jpg": "ok",
        "s+b": "ok",
        "s+c": "unknown value in mask",
        "s+d": "size differs from the image",
        "s+e": "unlabelled",
        "s+lost_mask": "mask without an image",
    }
    assert imported.labels["s+a.jpg"] == ["nsfw"] and imported.labels["s+b"] == ["nsfw", "watermark"]


def test_colour_is_no_mask(tmp_path: Path) -> None:
    imported = ImportedForTwo(write_folder(tmp_path / "set", {"a.png": picture(0), "a_mask.png": picture(1)}), "masks")
    assert imported.reasons == {"s+a": "mask in colour"} and "a_mask.png" in imported.details["s+a"]


def test_coco_images_are_found_by_the_end_of_their_path_nearest_to_their_labels(tmp_path: Path) -> None:
    files = {f"{split}/a.png": picture(number) for number, split in enumerate(("train", "val"))}
    files |= {f"{split}/_annotations.coco.json": coco(BOX) for split in ("train", "val")}
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files), "coco")
    assert imported.reasons == {"s+train%2Fa": "ok", "s+val%2Fa": "ok"}
    assert {(row["source"], row["split"]) for row in imported.rows.values()} == {
        ("labels:s/train", "train"),
        ("labels:s/val", "val"),
    }


def test_faults_of_coco_are_rows(tmp_path: Path) -> None:
    names = ("a.png", "b.png", "../c.png", "gone.png", "d.png")
    other = json.dumps({"captions": []})
    files = {"a.png": picture(0), "b.png": picture(1), "c.png": picture(2), "d.png": b"<!DOCTYPE html>", "e.png": picture(3)}
    bad = {"image_id": 1, "segmentation": [[1, 2, 3]]}
    files |= {
        "all.json": coco(BOX, bad, {**BOX, "image_id": 4}, {"image_id": 99}, names=names),
        "captions.json": other,
        "broken.json": "{",
    }
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "coco")
    assert imported.reasons == {
        "s+a": "ok",
        "s+b": "region lost: broken annotation",
        "s+all.json%23image%202": "broken image",
        "s+all.json%23annotations": "annotations of no image",
        "s+broken.json": "not a COCO file",
        "s+c": "unlabelled",
        "s+captions.json": "not a COCO file",
        "s+d": "image is HTML",
        "s+e": "unlabelled",
        "s+gone": "image missing",
    }


def test_coco_labels_for_an_image_of_another_size_fail(tmp_path: Path) -> None:
    files = {"a.png": picture(0, WIDTH + 8), "all.json": coco(BOX)}
    assert ImportedForTwo(write_folder(tmp_path / "set", files), "coco").reasons == {"s+a": "size differs from the image"}


def test_faults_of_label_studio_are_rows(tmp_path: Path) -> None:
    tasks = [
        *json.loads(studio([brush(square())], [brush(square(), "watermark")], image="a.png")),
        *json.loads(studio([brush(square())], image="s3://bucket/deep/a.png")),
        *json.loads(studio([], [], image="b.png", annotations=[{"result": [brush(square())], "was_cancelled": True}])),
        *json.loads(studio([brush(square(1, 80, 50))], image="/data/local-files/?d=x/c%20c.png")),
        *json.loads(studio([], image="../../etc/passwd")),
        *json.loads(studio([], image="gone.png")),
        {"id": 9, "data": {"text": "no picture"}},
    ]
    files = {f"{name}.png": picture(number) for number, name in enumerate(("deep/a", "b", "c c", "d"))}
    files |= {"export.json": json.dumps(tasks), "min.json": '[{"image": "a.png"}]'}
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "label_studio")
    assert sorted(imported.reasons.items()) == [
        ("s+b", "unlabelled"),
        ("s+c%20c", "broken region"),
        ("s+d", "unlabelled"),
        ("s+deep%2Fa", "several annotations"),
        ("s+export.json%235", "no image"),
        ("s+export.json%236", "image missing"),
        ("s+export.json%237", "no image"),
        ("s+min.json", "not a Label Studio export"),
    ]
    assert imported.labels["s+deep%2Fa"] == ["watermark"]
    assert "1 cancelled annotation left out" in imported.details["s+b"]
    assert "newest was kept" in imported.details["s+deep%2Fa"]


def test_a_set_without_labels_of_its_format_is_an_error_with_its_name(tmp_path: Path) -> None:
    for layout, fault in (
        ("coco", "no JSON file"),
        ("label_studio", "no JSON file"),
        ("masks", "none of its 1 image has a mask"),
    ):
        with pytest.raises(TesseraError, match=rf"annotations\.labels: 's'.*{fault}"):
            ImportedForTwo(write_folder(tmp_path / layout, {"a.png": picture(0)}), layout)


def test_a_hash_divides_a_set_only_if_its_settings_say_so(tmp_path: Path) -> None:
    files = {"a.png": picture(0), "b.png": picture(1), "val/c.png": picture(2)}
    files |= {"a.txt": "", "b.txt": "", "val/c.txt": ""}
    path = write_folder(tmp_path / "set", files)
    whole = ImportedForTwo(path, "yolo", name="whole")
    assert {row["source"] for row in whole.rows.values()} == {"labels:s", "labels:s/val"}
    path.rename(tmp_path / "other")
    each = ImportedForTwo(tmp_path / "other", "yolo", split_by="image")
    assert {(row["source"], row["split"]) for row in each.rows.values()} == {
        ("labels:s/a.png", ""),
        ("labels:s/b.png", ""),
        ("labels:s/val", "val"),
    }


def test_regions_below_the_smallest_area_are_left_out(tmp_path: Path) -> None:
    values = square()
    values[20:22, 2:4] = 1
    files = {"a.png": picture(0), "a_mask.png": mask_file(values)}
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "masks", min_area=16, classes={1: "nsfw"})
    assert imported.reasons == {"s+a": "smaller than min_area"} and imported.labels["s+a"] == ["nsfw"]


def test_boxes_that_are_equal_count_once() -> None:
    box = Annotation("nsfw", None, None, (1, 1, 9, 9))
    image = ImageAnnotations("a", WIDTH, HEIGHT, (box, box, Annotation("watermark", None, None, (1, 1, 9, 9))))
    unknown: dict[str, list[str]] = {}
    used, losses = usable_regions(image, [], {}, LABELS, 16, "a.png", unknown)
    assert [one.label for one in used.annotations] == ["nsfw", "watermark"] and losses == [] and unknown == {}
