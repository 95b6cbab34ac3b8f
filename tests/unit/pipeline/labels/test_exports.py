"""Sets as annotation tools export them: the right regions, or the image leaves with the reason."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_sets import Imported, picture, write_folder, write_zip

from tessera.core import job

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
    imported = Imported(write_folder(tmp_path / "set", files), "coco")
    assert imported.reasons == {
        "s+coco%2Ftrain%2Fzero": "bbox differs from the shape",
        "s+coco%2Ftrain%2Fcorners": "bbox differs from the shape",
        "s+coco%2Ftrain%2Fright": "ok",
        "s+coco%2Ftrain%2Foutside": "region lost: broken annotation",
    }
    assert {one.box for image in imported.images.values() for one in image.annotations} == {(100, 100, 200, 200)}


def test_a_rotated_box_of_cvat_in_coco_is_turned(tmp_path: Path) -> None:
    box = {"segmentation": [], "area": 4000.0, "bbox": [110.0, 100.0, 100.0, 40.0]}
    box["attributes"] = {"occluded": False, "rotation": 90.0}
    imported = Imported(write_folder(tmp_path / "set", {**big("a.png"), "a.json": coco({"a.png": [box]})}), "coco")
    (one,) = imported.images["s+a"].annotations
    assert one.box == pytest.approx((140, 70, 180, 170)) and one.polygons is not None


@pytest.mark.parametrize(
    ("crowd", "objects"), [("", {}), ("objects", {"m1": 1, "m2": 1, "m3": 2}), ("ignore", {"m3": 1})], ids=str
)
def test_masks_marked_as_crowds_mean_what_the_set_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: str, objects: dict[str, int]
) -> None:
    """CVAT writes brush masks as run lengths with iscrowd 1."""
    monkeypatch.setattr(job, "_terminal", terminal := io.StringIO())
    mask = np.zeros((H, W), int)
    mask[60:180, 80:240] = 1
    region = {"segmentation": run_lengths(mask), "area": 19200.0, "bbox": [80.0, 60.0, 160.0, 120.0], "iscrowd": 1}
    plain = {"segmentation": [[10, 10, 40, 10, 40, 40, 10, 40]], "bbox": [10, 10, 30, 30]}
    files = big(*(f"images/default/m{number}.png" for number in (1, 2, 3)))
    files["annotations/instances_default.json"] = coco({"m1.png": [region], "m2.png": [region], "m3.png": [region, plain]})
    imported = Imported(write_zip(tmp_path / "set.zip", files), "coco", iscrowd=crowd)
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
    imported = Imported(write_folder(tmp_path / "set", files), "coco", unannotated=unannotated)
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
    imported = Imported(write_zip(tmp_path / "set.zip", files), "coco")
    assert {row["split"]: imported.images[key].annotations[0].box for key, row in imported.rows.items()} == {
        "train": (0, 5, 20, 25),
        "val": (10, 5, 30, 25),
    }
