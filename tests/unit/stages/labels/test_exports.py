"""Sets as annotation tools export them: the right regions, or the image leaves with the reason."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_sets import HEIGHT, WIDTH, ImportedForTwo, picture, write_folder, write_zip
from PIL import Image

from tessera.core import log
from tessera.core.errors import TesseraError

W, H = 320, 240


def big(*names: str) -> dict[str, bytes | str]:
    return {name: picture(number, W, H) for number, name in enumerate(names)}


def coco(images: Mapping[str, list[Mapping[str, Any]]], **more: Any) -> str:
    rows = [{"id": number, "file_name": name, "width": W, "height": H} for number, name in enumerate(images)]
    entries = [{"image_id": number, **each} for number, given in enumerate(images.values()) for each in given]
    annotations = [{"id": number, "category_id": 1, "iscrowd": 0, **each} for number, each in enumerate(entries)]
    return json.dumps({"images": rows, "annotations": annotations, "categories": [{"id": 1, "name": "nsfw"}], **more})


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Return COCO's uncompressed run lengths, counted pixel by pixel."""
    counts, last = [0], 0
    for value in mask.T.ravel().tolist():
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    return {"counts": counts, "size": list(mask.shape)}


def test_coco_boxes_follow_the_shape_and_a_box_outside_fails(tmp_path: Path) -> None:
    ring = [[100, 100, 200, 100, 200, 200, 100, 200]]
    boxes = {
        "zero": {"segmentation": ring, "bbox": [0, 0, 0, 0]},
        "corners": {"segmentation": ring, "bbox": [100, 100, 200, 200]},
        "right": {"segmentation": ring, "bbox": [100, 100, 100, 100]},
        "outside": {"segmentation": [], "bbox": [400, 10, 50, 50]},
    }
    files = big(*(f"coco/train/{name}.png" for name in boxes))
    files["coco/a.json"] = coco({f"{name}.png": [each] for name, each in boxes.items()})
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "coco")
    assert imported.reasons == {
        "s+coco%2Ftrain%2Fzero": "bbox differs from the shape",
        "s+coco%2Ftrain%2Fcorners": "bbox differs from the shape",
        "s+coco%2Ftrain%2Fright": "ok",
        "s+coco%2Ftrain%2Foutside": "region lost: region outside the image",
    }
    assert {one.box for image in imported.images.values() for one in image.annotations} == {(100, 100, 200, 200)}


def test_a_rotated_box_of_cvat_in_coco_is_turned(tmp_path: Path) -> None:
    box = {"segmentation": [], "area": 4000.0, "bbox": [110.0, 100.0, 100.0, 40.0]}
    box["attributes"] = {"occluded": False, "rotation": 90.0}
    imported = ImportedForTwo(write_folder(tmp_path / "set", {**big("a.png"), "a.json": coco({"a.png": [box]})}), "coco")
    (one,) = imported.images["s+a"].annotations
    assert one.box == pytest.approx((140, 70, 180, 170)) and one.polygons is not None


@pytest.mark.parametrize(
    ("crowd", "objects"), [("", {}), ("objects", {"m1": 1, "m2": 1, "m3": 2}), ("ignore", {"m3": 1})], ids=str
)
def test_masks_marked_as_crowds_mean_what_the_set_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: str, objects: dict[str, int]
) -> None:
    """CVAT writes brush masks as run lengths with iscrowd 1."""
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    mask = np.zeros((H, W), int)
    mask[60:180, 80:240] = 1
    region = {"segmentation": run_lengths(mask), "area": 19200.0, "bbox": [80.0, 60.0, 160.0, 120.0], "iscrowd": 1}
    plain = {"segmentation": [[10, 10, 40, 10, 40, 40, 10, 40]], "bbox": [10, 10, 30, 30]}
    files = big(*(f"images/default/m{number}.png" for number in (1, 2, 3)))
    files["annotations/instances_default.json"] = coco({"m1.png": [region], "m2.png": [region], "m3.png": [region, plain]})
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files), "coco", iscrowd=crowd)
    found = {key.rpartition("%2F")[2]: image.annotations for key, image in imported.images.items()}
    assert {name: len(regions) for name, regions in found.items()} == objects
    assert not any(one.crowd for regions in found.values() for one in regions)
    areas = sorted(np.count_nonzero(one.mask(H, W)) for regions in found.values() for one in regions)
    assert areas == {"": [], "objects": [961, 19200, 19200, 19200], "ignore": [961]}[crowd]
    advice = terminal.getvalue().count("3 images left out, with regions marked as a crowd")
    assert advice == (crowd == "")
    if not crowd:
        assert set(imported.reasons.values()) == {"region lost: crowd region"}
        assert all("iscrowd: objects" in detail for detail in imported.details.values())


@pytest.mark.parametrize("unannotated", ["unknown", "negative"])
def test_an_image_without_annotations_in_coco_is_a_negative_only_if_that_is_said(tmp_path: Path, unannotated: str) -> None:
    document = json.loads(coco({"no.png": [], "marked.png": [], "both.png": [{"bbox": [1, 1, 9, 9]}]}))
    for row in document["images"][1:]:
        row["negative"] = True
    files = {**big("no.png", "marked.png", "both.png"), "a.json": json.dumps(document)}
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "coco", unannotated=unannotated)
    assert {key for key, image in imported.images.items() if not image.annotations} == (
        {"s+marked", "s+no"} if unannotated == "negative" else {"s+marked"}
    )
    assert imported.reasons["s+both"] == "region lost: broken annotation" and "negative" in imported.details["s+both"]
    assert unannotated == "negative" or "unannotated: negative" in imported.details["s+no"]


def test_pictures_of_a_subset_are_found_in_its_folder(tmp_path: Path) -> None:
    """CVAT and COCO name pictures without the folder of their subset."""
    files = big("images/train2017/a.png", "images/val2017/a.png")
    for number, subset in enumerate(("train2017", "val2017")):
        files[f"annotations/instances_{subset}.json"] = coco({"a.png": [{"bbox": [10 * number, 5, 20, 20]}]})
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files), "coco")
    assert {row["split"]: imported.images[key].annotations[0].box for key, row in imported.rows.items()} == {
        "train": (0, 5, 20, 25),
        "val": (10, 5, 30, 25),
    }


def studio(kind: str = "rectanglelabels", label: str = "nsfw", **more: Any) -> dict[str, Any]:
    shape = {"x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0, kind: [label]}
    size = {"original_width": W, "original_height": H, "image_rotation": 0}
    return {"id": "a", "type": kind, "from_name": "l", "to_name": "image", "value": shape, **size, **more}


def tasks(images: Mapping[str, list[Any]], field: str = "image") -> str:
    rows = [
        {"id": number, "data": {field: address}, "annotations": [{"result": result, "updated_at": f"2024-01-0{number}"}]}
        for number, (address, result) in enumerate(images.items(), 1)
    ]
    return json.dumps(rows)


def test_a_relation_and_a_keypoint_beside_a_box_of_label_studio_are_no_regions(tmp_path: Path) -> None:
    point = {"x": 50, "y": 50, "width": 0.3, "keypointlabels": ["nsfw"]}
    results = {
        "relation": [studio(), {"type": "relation", "from_id": "a", "to_id": "a", "direction": "right"}],
        "keypoint": [studio("keypointlabels", id="k", value=point, is_positive=True), studio()],
        "alone": [studio("keypointlabels", id="k", value=point)],
    }
    files = big(*(f"{name}.png" for name in results))
    files["export.json"] = tasks({f"{name}.png": result for name, result in results.items()})
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "label_studio")
    assert imported.reasons == {
        "s+relation": "ok",
        "s+keypoint": "a keypoint has no area",
        "s+alone": "region lost: a keypoint has no area",
    }
    assert [[one.box for one in image.annotations] for image in imported.images.values()] == [[(80, 60, 240, 180)]] * 2


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/3/0a1b2c3d-a.png", "a.png"),
        ("/data/upload/0a1b2c3d-a.png", "sub/a.png"),
        ("/data/upload/3/0a1b2c3d-a.png", "0a1b2c3d-a.png"),
        ("/data/upload/3/0a1b2c3d-my_picture_1.png", "my picture (1).png"),
        ("/data/upload/3/0a1b2c3d-x__1_.png", "x (1).png"),
        ("/data/upload/3/0a1b2c3d-%C3%A9t%C3%A9.png", "e\u0301te\u0301.png"),
        ("upload/3/0a1b2c3d-a.png", "a.png"),
        ("/data/local-files/?d=work/x/a%20b.png", "x/a b.png"),
        ("/data/local-files/?d=work/x/a+b.png", "x/a+b.png"),
        ("/data/local-files/?d=work/x/a+b.png", "x/a b.png"),
        ("/data/local-files/?d=C%3A%5Cwork%5Cx%5Ca.png", "x/a.png"),
        ("C:\\work\\x\\a.png", "x/a.png"),
        ("file:///C:/data/x/a.png", "x/a.png"),
        ("/data/local-files/?d=work\\x\\a.png", "x/a.png"),
        ("/data/local-files/?d=Users%5Cme%5Cx%5Ca.png", "x/a.png"),
        ("s3://bucket/deep/a.png", "deep/a.png"),
        ("gs://bucket/deep/a#1.png", "deep/a#1.png"),
        ("s3://bucket/100%25.png", "100%.png"),
        ("s3://bucket/100%25.png", "100%25.png"),
        ("https://host:80/x/a.png?X-Sig=a/b", "a.png"),
        ("http://[::1/a.png", "a.png"),
        ("holidays-1.png", None),  # no upload: eight letters, not digits
        ("/data/upload/3/0a1b2c3d-b.png", None),
        ("../../etc/passwd", None),
        ("%2e%2e/a.png", None),
        ("data:image/png;base64,AAAA", None),
        ("", None),
    ],
)
def test_a_picture_is_found_by_whatever_address_label_studio_gives_it(tmp_path: Path, address: str, file: str | None) -> None:
    files = {**big(*([file] if file else ["a.png", "1.png"])), "export.json": tasks({address: [studio()]})}
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "label_studio")
    assert len(imported.images) == (file is not None)
    assert len(imported.reasons) == (1 if file else 3)


def test_an_upload_that_may_be_either_of_two_pictures_fails(tmp_path: Path) -> None:
    files = {**big("a b.png", "a_b.png"), "export.json": tasks({"/data/upload/3/0a1b2c3d-a__b.png": [studio()]})}
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "label_studio")
    assert not imported.images and "several images of one name" in imported.reasons.values()


def test_labels_of_a_picture_that_is_missing_do_not_go_to_another_of_its_name(tmp_path: Path) -> None:
    addresses = {"/data/local-files/?d=w/cats/1.png": [studio()], "/data/local-files/?d=w/dogs/1.png": []}
    files = {**big("cats/1.png"), "export.json": tasks(addresses)}
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "label_studio")
    assert imported.reasons == {"s+cats%2F1": "several images for one picture"}
    assert "dogs/1.png" in imported.details["s+cats%2F1"]
    both = {**big("cats/1.png", "dogs/1.png"), "export.json": tasks(addresses)}
    found = ImportedForTwo(write_folder(tmp_path / "both", both), "label_studio")
    assert {key: len(image.annotations) for key, image in found.images.items()} == {"s+cats%2F1": 1, "s+dogs%2F1": 0}


@pytest.mark.parametrize("field", ["image", "photo", "url"])
def test_the_picture_may_be_in_any_field_of_the_data(tmp_path: Path, field: str) -> None:
    files = {**big("a.png"), "export.json": tasks({"s3://bucket/a.png": [studio()]}, field)}
    assert ImportedForTwo(write_folder(tmp_path / "set", files), "label_studio").labels["s+a"] == ["nsfw"]


def test_answers_of_label_studio_are_negatives_only_if_the_set_says_so(tmp_path: Path) -> None:
    chosen = {"type": "choices", "from_name": "q", "to_name": "image", "value": {"choices": ["good"]}}
    predicted = {"id": 9, "data": {"image": "p.png"}, "annotations": [], "predictions": [{"result": [studio()]}]}
    document = json.loads(tasks({"empty.png": [], "chosen.png": [chosen], "box.png": [studio()]}))
    files = {**big("empty.png", "chosen.png", "box.png", "p.png"), "export.json": json.dumps([*document, predicted])}
    for unannotated in ("unknown", "negative"):
        for empty in ("unknown", "negative"):
            path = write_folder(tmp_path / f"{unannotated} {empty}", files)
            imported = ImportedForTwo(path, "label_studio", unannotated=unannotated, empty=empty)
            negatives = {key for key, image in imported.images.items() if not image.annotations}
            means = {"s+empty": empty, "s+chosen": unannotated, "s+p": unannotated}
            assert negatives == {key for key, meant in means.items() if meant == "negative"}
            assert imported.labels["s+box"] == ["nsfw"]


def labelme(image: str, embedded: bytes | None = None, **more: Any) -> str:
    shape = {"label": "nsfw", "points": [[80, 60], [240, 60], [240, 180], [80, 180]], "shape_type": "polygon"}
    data = None if embedded is None else base64.b64encode(embedded).decode()
    size = {"imageHeight": H, "imageWidth": W}
    return json.dumps(
        {"version": "4.5.6", "flags": {}, "shapes": [shape], "imagePath": image, "imageData": data, **size, **more}
    )


GONE = ["image\\1.png", "gone/1.png", "C:\\Users\\me\\1.png", "/home/me/1.png", "\\\\server\\share\\1.png", "../../1.png"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("path", GONE)
def test_a_picture_whose_path_is_gone_is_the_copy_or_the_one_with_the_name_of_its_label_file(
    tmp_path: Path, path: str, packed: bool
) -> None:
    copy, other = picture(1, W, H), picture(2, W, H)
    (tmp_path / "1.png").write_bytes(picture(3, W, H))  # outside the set, where a path may lead
    sets: dict[str, tuple[dict[str, bytes | str], str, bytes | None]] = {
        "embedded": ({"lm/1.json": labelme(path, copy), "lm/1.png": other}, "copy in its label file was taken", copy),
        "beside": ({"lm/1.json": labelme(path), "lm/1.png": other}, "the name of its label file was taken", other),
        "nowhere": ({"lm/1.json": labelme(path), "lm/2.png": other}, "image ", None),
    }
    for name, (files, reason, content) in sets.items():
        place = write_zip(tmp_path / f"{name}.zip", files) if packed else write_folder(tmp_path / name, files)
        imported = ImportedForTwo(place, "labelme")
        assert reason in imported.reasons["s+lm%2F1"], name
        shown = {"image\\1.png": "lm/image/1.png", "gone/1.png": "lm/gone/1.png"}.get(path, path)
        assert shown in imported.details["s+lm%2F1"].replace("\\\\", "\\")
        if content is None:
            assert not imported.images
        else:
            (row,) = imported.rows.values()
            stored = tmp_path / f"out of {place.name}" / "pictures" / Path(row["path"]).name
            read = stored if stored.exists() else Path(row["path"])
            assert read.read_bytes() == content and imported.labels["s+lm%2F1"] == ["nsfw"]


def test_a_rectangle_of_labelme_may_leave_the_picture_by_a_hundredth_and_a_polygon_may_be_cut(tmp_path: Path) -> None:
    kinds = {
        "near": ("rectangle", [[100, 50], [W + 3, 90]]),
        "far": ("rectangle", [[100, 50], [W + 4, 90]]),
        "cut": ("polygon", [[100, 50], [W + 90, 50], [W + 90, 90], [100, 90]]),
        "off": ("polygon", [[W + 1, 50], [W + 90, 50], [W + 90, 90], [W + 1, 90]]),
    }
    shapes = {name: {"label": "nsfw", "shape_type": kind, "points": points} for name, (kind, points) in kinds.items()}
    files = big(*(f"{name}.png" for name in shapes))
    files |= {f"{name}.json": labelme(f"{name}.png", shapes=[shape]) for name, shape in shapes.items()}
    imported = ImportedForTwo(write_folder(tmp_path / "set", files), "labelme")
    assert imported.reasons == {
        "s+near": "cut at the border of the image",
        "s+far": "shape outside the image",
        "s+cut": "cut at the border of the image",
        "s+off": "shape outside the image",
    }
    assert {image.annotations[0].box for image in imported.images.values()} == {(100, 50, W, 90)}


def cvat(images: Mapping[str, str], **more: str) -> str:
    rows = [
        f'<image id="{number}" name="{name}" width="{W}" height="{H}"{more.get(name, "")}>{shapes}</image>'
        for number, (name, shapes) in enumerate(images.items())
    ]
    meta = "<version>1.1</version><meta><task><labels><label><name>nsfw</name></label></labels></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta}{"".join(rows)}</annotations>'


CVAT_BOX = '<box label="nsfw" source="manual" occluded="1" xtl="80.00" ytl="60.00" xbr="240.00" ybr="180.00" z_order="0"></box>'


@pytest.mark.parametrize("unannotated", ["unknown", "negative"])
def test_cvat_for_images_as_it_comes(tmp_path: Path, unannotated: str) -> None:
    line = '<polyline label="nsfw" points="1,1;9,9"/>'
    shapes = {
        "box.png": CVAT_BOX,
        "sub/turned.png": CVAT_BOX.replace("z_order", 'rotation="90.00" z_order'),
        "line.png": CVAT_BOX + line,
        "none.png": "",
        "tag.png": '<tag label="nsfw" source="manual"></tag>',
        "broken.png": CVAT_BOX.replace("240.00", "x"),
        "unknown.png": CVAT_BOX + CVAT_BOX.replace("nsfw", "dog"),
        "gone.png": CVAT_BOX,
    }
    files = big(*(f"images/{name}" for name in shapes if name != "gone.png"), "images/extra.png")
    files["annotations.xml"] = cvat(shapes)
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files), "cvat", unannotated=unannotated)
    nothing = "unlabelled" if unannotated == "unknown" else "no region in 'annotations.xml', taken for a negative"
    assert imported.reasons == {
        "s+images%2Fbox": "ok",
        "s+images%2Fsub%2Fturned": "ok",
        "s+images%2Fline": "region lost: a polyline has no area",
        "s+images%2Fnone": nothing,
        "s+images%2Ftag": nothing,
        "s+images%2Fbroken": "region lost: broken box",
        "s+images%2Funknown": "region lost: unknown label",
        "s+gone": "image missing",
        "s+images%2Fextra": "unlabelled",
    }
    assert imported.images["s+images%2Fbox"].annotations[0].box == (80, 60, 240, 180)
    assert imported.images["s+images%2Fsub%2Fturned"].annotations[0].box == pytest.approx((100, 40, 220, 200))


def test_subsets_of_a_cvat_project_are_found_in_their_folders(tmp_path: Path) -> None:
    files = big("images/train/a.png", "images/val/a.png")
    document = cvat({"a.png": CVAT_BOX}, **{"a.png": ' subset="train" task_id="1"'})
    other = document.replace("train", "val").replace("80.00", "90.00")
    rows = document.replace("</annotations>", other[other.index("<image ") : other.index("</annotations>")] + "</annotations>")
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files | {"annotations.xml": rows}), "cvat")
    assert {row["split"]: imported.images[key].annotations[0].box[0] for key, row in imported.rows.items()} == {
        "train": 80,
        "val": 90,
    }


@pytest.mark.parametrize("layout", ["cvat", "voc"])
def test_hostile_xml_is_a_row_and_a_video_of_cvat_is_refused(tmp_path: Path, layout: str) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "&#98;"><!ENTITY c "&b;&b;">]><annotations>&c;</annotations>'
    imported = ImportedForTwo(write_folder(tmp_path / "bomb", {**big("a.png"), "a.xml": bomb}), layout)
    assert "XML with a document type" in imported.reasons.values() and not imported.images
    video = '<annotations><track id="0" label="nsfw"><box frame="0" xtl="1" ytl="1" xbr="9" ybr="9"/></track></annotations>'
    if layout == "cvat":
        with pytest.raises(TesseraError, match=r"export the task as `CVAT for images 1\.1`"):
            ImportedForTwo(write_folder(tmp_path / "video", {**big("a.png"), "a.xml": video}), layout)


def painted(*boxes: tuple[tuple[int, int, int, int], tuple[int, int, int]], palette: bool = False) -> bytes:
    colours = np.zeros((H, W, 3), np.uint8)
    for (x0, y0, x1, y1), colour in boxes:
        colours[y0:y1, x0:x1] = colour
    file = io.BytesIO()
    image = Image.fromarray(colours)
    (image.quantize() if palette else image).save(file, format="PNG")
    return file.getvalue()


LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nnsfw:250,50,83::\ndog:61,245,61::\n"
NSFW, DOG, ONE, TWO = (250, 50, 83), (61, 245, 61), (128, 0, 0), (0, 128, 0)
LEFT, RIGHT = (20, 20, 60, 80), (60, 20, 100, 80)


@pytest.mark.parametrize("palette", [False, True])
def test_segmentation_masks_of_cvat_as_they_come(tmp_path: Path, palette: bool) -> None:
    files = big(
        "JPEGImages/touching.png", "JPEGImages/void.png", "JPEGImages/empty.png", "JPEGImages/odd.png", "JPEGImages/no.png"
    )
    files |= {
        "labelmap.txt": LABELMAP,
        "ImageSets/Segmentation/default.txt": "touching\n",
        "SegmentationClass/touching.png": painted((LEFT, NSFW), (RIGHT, NSFW), palette=palette),
        "SegmentationObject/touching.png": painted((LEFT, ONE), (RIGHT, TWO), palette=palette),
        "SegmentationClass/void.png": painted((LEFT, (224, 224, 192)), palette=palette),
        "SegmentationClass/empty.png": painted(palette=palette),
        "SegmentationClass/odd.png": painted((LEFT, NSFW), (RIGHT, (250, 50, 84)), palette=palette),
        "SegmentationClass/lost.png": painted((LEFT, NSFW), palette=palette),
    }
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files), "voc")
    assert imported.reasons == {
        "s+JPEGImages%2Ftouching": "ok",
        "s+JPEGImages%2Fvoid": "region lost: void pixels",
        "s+JPEGImages%2Fempty": "ok",
        "s+JPEGImages%2Fodd": "unknown colour in mask",
        "s+JPEGImages%2Fno": "unlabelled",
        "s+SegmentationClass%2Flost.png": "image missing",
    }
    assert {one.box for one in imported.images["s+JPEGImages%2Ftouching"].annotations} == {LEFT, RIGHT}
    assert imported.labels["s+JPEGImages%2Fempty"] == []
    unknown = ImportedForTwo(write_zip(tmp_path / "again.zip", files), "voc", empty="unknown")
    assert unknown.reasons["s+JPEGImages%2Fempty"] == "empty label"


def voc(name: str, *boxes: tuple[str, tuple[int, int, int, int]], first: float = 1) -> str:
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{x0 + first}</xmin><ymin>{y0 + first}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for label, (x0, y0, x1, y1) in boxes
    )
    size = f"<size><width>{W}</width><height>{H}</height><depth>3</depth></size>"
    return f"<annotation><folder>VOC</folder><filename>{name}</filename>{size}{objects}</annotation>"


@pytest.mark.parametrize("unannotated", ["unknown", "negative"])
def test_boxes_of_voc_as_they_come(tmp_path: Path, unannotated: str) -> None:
    files = big(*(f"VOC/JPEGImages/{name}.png" for name in ("a", "empty", "renamed", "swapped", "other", "mixed", "no")))
    files |= {
        "VOC/Annotations/a.xml": voc("a.png", ("nsfw", LEFT)),
        "VOC/Annotations/empty.xml": voc("empty.png"),
        "VOC/Annotations/renamed.xml": voc("IMG_1.png", ("nsfw", LEFT)),
        "VOC/Annotations/swapped.xml": voc("other.png", ("nsfw", LEFT)),
        "VOC/Annotations/other.xml": voc("other.png", ("dog", LEFT)),
        # CVAT writes rectangles as boxes, and polygons as masks.
        "VOC/Annotations/mixed.xml": voc("mixed.png", ("nsfw", LEFT), first=0.0),
        "VOC/SegmentationClass/mixed.png": painted((RIGHT, NSFW)),
        "VOC/Annotations/gone.xml": voc("gone.png", ("nsfw", LEFT)),
        "VOC/labelmap.txt": LABELMAP,
    }
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files), "voc", unannotated=unannotated)
    empty, no = "no object in 'VOC/Annotations/empty.xml'", "neither a mask nor an XML file"
    assert {key.rpartition("%2F")[2]: reason for key, reason in imported.reasons.items()} == {
        "a": "ok",
        "empty": "unlabelled" if unannotated == "unknown" else f"{empty}, taken for a negative",
        "renamed": "another name in the XML file",
        "swapped": "labels of another image",
        "other": "region lost: unknown label",
        "mixed": "ok",
        "no": "unlabelled" if unannotated == "unknown" else f"{no}, taken for a negative",
        "gone.xml": "image missing",
    }
    assert imported.images["s+VOC%2FJPEGImages%2Fa"].annotations[0].box == LEFT
    assert {one.box for one in imported.images["s+VOC%2FJPEGImages%2Fmixed"].annotations} == {LEFT, RIGHT}


def test_masks_of_voc_itself_and_of_labelme_have_its_colours(tmp_path: Path) -> None:
    files = {**big("JPEGImages/a.png"), "SegmentationClass/a.png": painted((LEFT, (192, 128, 128)))}
    imported = ImportedForTwo(write_folder(tmp_path / "voc", files), "voc", classes={"person": "nsfw"})
    assert imported.labels["s+JPEGImages%2Fa"] == ["nsfw"]
    files = {**big("JPEGImages/a.png"), "SegmentationClassPNG/a.png": painted((LEFT, ONE))}
    files["class_names.txt"] = "_background_\nnsfw\n"
    assert ImportedForTwo(write_folder(tmp_path / "labelme", files), "voc").labels["s+JPEGImages%2Fa"] == ["nsfw"]
    with pytest.raises(TesseraError, match=r"labelmap\.txt.*line 1"):
        ImportedForTwo(write_folder(tmp_path / "bad", files | {"labelmap.txt": "nsfw\n"}), "voc")


def test_yolo_of_cvat_has_images_beside_their_labels(tmp_path: Path) -> None:
    files = big("obj_train_data/a.png", "obj_train_data/sub/b.png")
    files |= {
        "obj.data": "classes = 1\nnames = data/obj.names\n",
        "obj.names": "nsfw\n",
        "train.txt": "data/obj_train_data/a.png\n",
    }
    files |= {"obj_train_data/a.txt": "0 0.5 0.5 0.5 0.5\n", "obj_train_data/sub/b.txt": ""}
    imported = ImportedForTwo(write_zip(tmp_path / "set.zip", files), "yolo")
    assert {key: imported.labels[key] for key in imported.images} == {
        "s+obj_train_data%2Fa": ["nsfw"],
        "s+obj_train_data%2Fsub%2Fb": [],
    }


@pytest.mark.parametrize(
    ("layout", "fault"), [("cvat", "contains no XML file"), ("voc", "in Annotations or SegmentationClass")]
)
def test_a_set_without_labels_of_its_format_is_refused(tmp_path: Path, layout: str, fault: str) -> None:
    with pytest.raises(TesseraError, match=fault):
        ImportedForTwo(write_folder(tmp_path / "set", big("a.png")), layout)


@pytest.mark.parametrize("layout", ["coco", "cvat", "voc"])
def test_a_class_that_the_files_name_may_be_in_the_settings_though_no_region_has_it(tmp_path: Path, layout: str) -> None:
    region = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [4, 4, 20, 20], "segmentation": [], "iscrowd": 0}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 3, "name": "nsfw"}, {"id": 7, "name": "dog"}],
        "annotations": [region],
    }
    named = "<meta><task><labels><label><name>nsfw</name></label><label><name>dog</name></label></labels></task></meta>"
    box = '<image id="0" name="a.png" width="40" height="30"><box label="nsfw" xtl="4" ytl="4" xbr="24" ybr="24"/></image>'
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    edges = "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>24</xmax><ymax>24</ymax></bndbox>"
    files: dict[str, dict[str, bytes | str]] = {
        "coco": {"a.png": picture(0), "a.json": json.dumps(document)},
        "cvat": {"a.png": picture(0), "a.xml": f"<annotations><version>1.1</version>{named}{box}</annotations>"},
        "voc": {
            "JPEGImages/a.png": picture(0),
            "Annotations/a.xml": f"<annotation>{size}<object><name>nsfw</name>{edges}</object></annotation>",
            "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nnsfw:9,9,9::\ndog:8,8,8::\n",
        },
    }
    path = write_folder(tmp_path / "set", files[layout])
    imported = ImportedForTwo(path, layout, classes={"dog": None})
    assert [one.label for image in imported.images.values() for one in image.annotations] == ["nsfw"]
    assert [(name, here, objects) for _, name, here, objects, *_ in imported.counts if name == "dog"] == [("dog", "", 0)]
    with pytest.raises(TesseraError, match=r"'dgo'.*did you mean 'dog'"):
        ImportedForTwo(path.rename(tmp_path / "again"), layout, classes={"dgo": None})
