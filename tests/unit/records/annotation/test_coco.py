import contextlib
import io
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco
from pycocotools.coco import COCO
from strategies import HEIGHT, WIDTH, images, masks, plain

from tessera.core.errors import TesseraError
from tessera.imaging.masks import encode_rle
from tessera.imaging.polygons import Part, circle, rectangle
from tessera.records.annotation.formats.coco import read_coco, write_coco
from tessera.records.annotation.model import Annotation, ImageAnnotations

CATEGORIES = {90: "watermark", 13: "nsfw"}
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def file(path, *annotations, **more):
    given = {
        "images": [{"id": 7, "file_name": "a/one.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": list(annotations),
        "categories": [{"id": 13, "name": "nsfw"}],
    }
    path.write_text(json.dumps({**given, **more}))
    return path


def entry(**more):
    return {"id": 1, "image_id": 7, "category_id": 13, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0, **more}


@few
@given(images())
def test_written_annotations_are_read_back(tmp_path, image):
    found = [image, ImageAnnotations("empty", 3, 5)]
    assert write_coco(found, tmp_path / "coco.json", CATEGORIES) == []
    again, categories, losses, negatives = read_coco(tmp_path / "coco.json")
    assert (categories, losses) == (CATEGORIES, []) and list(categories) == list(CATEGORIES)
    assert plain(again[1]) == plain(found[1]) and negatives == {each.key for each in found if not each.annotations}
    for one, annotation in zip(again[0].annotations, image.annotations, strict=True):
        assert (one.label, one.crowd, one.score) == (annotation.label, annotation.crowd, annotation.score)
        # The box is that of the shape. Polygons with holes and lines become masks of whole pixels.
        assert one.box == pytest.approx(annotation.box, abs=1 if one.rle and annotation.polygons else 1e-9)
        assert one.rle == annotation.rle or annotation.rle is None
        if annotation.polygons or annotation.rle:
            assert np.array_equal(one.mask(HEIGHT, WIDTH), annotation.mask(HEIGHT, WIDTH))
        if annotation.polygons and all(len(part.outer) > 2 and not part.holes for part in annotation.polygons):
            assert [part.outer.tolist() for part in one.polygons] == [part.outer.tolist() for part in annotation.polygons]


@few
@given(images(box_alone=False))
def test_pycocotools_loads_what_is_written(tmp_path, image):
    write_coco([image], tmp_path / "coco.json", CATEGORIES)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "coco.json"))
    assert sorted(coco.getCatIds()) == sorted(CATEGORIES)
    for one, annotation in zip(coco.loadAnns(coco.getAnnIds()), image.annotations, strict=True):
        assert coco.annToMask(one).shape == (HEIGHT, WIDTH)
        if isinstance(one["segmentation"], dict):
            assert np.array_equal(coco.annToMask(one) * 255, annotation.mask(HEIGHT, WIDTH))


@given(masks)
def test_uncompressed_run_lengths_are_read(tmp_path_factory, mask):
    flat = np.concatenate([[0], mask.T.ravel() // 255])
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff([0, *edges, mask.size]).tolist()
    assert np.array_equal(
        pycoco.decode(pycoco.frPyObjects({"size": [HEIGHT, WIDTH], "counts": counts}, HEIGHT, WIDTH)) * 255, mask
    )
    segmentation = {"size": [HEIGHT, WIDTH], "counts": counts}
    path = tmp_path_factory.getbasetemp() / "coco.json"
    (image,), _, losses, _ = read_coco(file(path, entry(segmentation=segmentation, iscrowd=1)))
    assert losses == [] and image.annotations[0].crowd
    assert np.array_equal(image.annotations[0].mask(HEIGHT, WIDTH), mask)


def test_ids_of_91_classes_are_kept():
    from tempfile import NamedTemporaryFile

    categories = {1: "person", 13: "stop sign", 90: "toothbrush", 0: "zero", -4: "below"}
    with NamedTemporaryFile() as temporary:
        write_coco([], temporary.name, categories)
        assert read_coco(temporary.name).categories == categories


def test_a_hole_becomes_run_lengths_and_keeps_its_mask(tmp_path):
    annotation = Annotation.of_parts("nsfw", (Part(rectangle((1, 1, 25, 25)), (circle((10, 10), (14, 10)),)),))
    write_coco([ImageAnnotations("one", WIDTH, HEIGHT, (annotation,))], tmp_path / "coco.json", CATEGORIES)
    (image,), *_ = read_coco(tmp_path / "coco.json")
    assert image.annotations[0].rle == encode_rle(annotation.mask(HEIGHT, WIDTH))


def test_a_label_without_a_category_is_a_loss(tmp_path):
    annotation = Annotation("face", None, None, (0, 0, 1, 1))
    (loss,) = write_coco([ImageAnnotations("one", 5, 5, (annotation,))], tmp_path / "coco.json", CATEGORIES)
    assert (loss.key, loss.reason, loss.detail) == ("one#0", "unknown label", "face")


def test_results_are_read_with_their_scores(tmp_path):
    results = [{"image_id": 7, "category_id": 13, "bbox": [1, 2, 3, 4], "score": 0.25}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    (image,), _, losses, _ = read_coco(file(tmp_path / "coco.json", entry()), tmp_path / "results.json")
    assert [(one.score, one.box) for one in image.annotations] == [(0.25, (1, 2, 4, 6))] and losses == []


@pytest.mark.parametrize(
    "more", [{"segmentation": [[30, 5, 41, 5, 41, 9, 30, 9]]}, {"segmentation": [], "bbox": [30, 5, 11, 4]}]
)
def test_a_region_that_leaves_the_image_by_a_pixel_is_cut_and_noted(tmp_path, more):
    (image,), _, (loss,), _ = read_coco(file(tmp_path / "coco.json", entry(**more)))
    assert WIDTH == 40 and loss.reason == "cut at the border of the image" and loss.kept
    assert image.annotations[0].box == (30, 5, WIDTH, 9)


@pytest.mark.parametrize("edge", [1.000001, 1.0099, 1.011])
def test_a_box_may_leave_the_image_by_a_hundredth_of_its_side(tmp_path, edge):
    width = 1000
    rows = [{"id": 7, "file_name": "a.jpg", "width": width, "height": HEIGHT}]
    box = [10, 5, edge * width - 10, 4]
    (image,), _, losses, _ = read_coco(file(tmp_path / "coco.json", entry(segmentation=[], bbox=box), images=rows))
    assert [one.box for one in image.annotations] == ([(10, 5, width, 9)] if edge < 1.01 else [])
    assert [loss.reason for loss in losses] == {
        1.000001: [],
        1.0099: ["cut at the border of the image"],
        1.011: ["region outside the image"],
    }[edge]


@pytest.mark.parametrize(
    "more",
    [
        {"segmentation": [[-9, -9, -1, -9, -1, -1]]},
        {"segmentation": [[30, 5, 60, 5, 60, 9, 30, 9]]},
        {"segmentation": [], "bbox": [30, 5, 30, 4]},
        {"segmentation": [], "bbox": [WIDTH + 5, 5, 10, 4]},
    ],
)
def test_a_region_outside_the_image_is_lost_and_the_others_are_kept(tmp_path, more):
    (image,), _, (loss,), _ = read_coco(file(tmp_path / "coco.json", entry(**more), entry(id=2)))
    assert (loss.reason, loss.status, loss.kept, loss.minor) == ("region outside the image", "dropped", False, False)
    assert len(image.annotations) == 1


@pytest.mark.parametrize("bbox", [[0, 0, 0, 0], [1, 1, 9, 9], [-99, 1, 8, 8], [1, 2], "text", [5, 5, 1, 1]])
def test_the_box_is_that_of_the_shape_and_another_bbox_a_remark(tmp_path, bbox):
    ring = [[1, 1, 29, 1, 29, 21, 1, 21]]
    (image,), _, (loss,), _ = read_coco(file(tmp_path / "coco.json", entry(segmentation=ring, bbox=bbox)))
    assert image.annotations[0].box == (1, 1, 29, 21)
    assert (loss.reason, loss.kept) == ("bbox differs from the shape", True)
    for same in ([1, 1, 28, 20], [1.4, 0, 27.2, 21.3], None, []):
        found = read_coco(file(tmp_path / "coco.json", entry(segmentation=ring, bbox=same)))
        assert found.losses == [] and found.images[0].annotations[0].box == (1, 1, 29, 21)


@given(st.floats(-720, 720), st.floats(2, 20), st.floats(2, 20))
def test_a_rotation_turns_the_box_clockwise_about_its_centre(tmp_path_factory, degrees, w, h):
    box = [100 - w / 2, 50 - h / 2, w, h]
    rows = [{"id": 7, "file_name": "a.jpg", "width": 200, "height": 100}]
    path = tmp_path_factory.getbasetemp() / "turned.json"
    turned = entry(segmentation=[], bbox=box, attributes={"rotation": degrees, "occluded": False})
    (image,), _, losses, _ = read_coco(file(path, turned, images=rows))
    (one,) = image.annotations
    corners = [] if one.polygons is None else one.polygons[0].outer.tolist()
    for corner, (dx, dy) in zip(corners, ((-w, -h), (w, -h), (w, h), (-w, h)), strict=bool(corners)):
        # A point on the right of the centre goes down first.
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        assert corner == pytest.approx([100 + (dx * cos - dy * sin) / 2, 50 + (dx * sin + dy * cos) / 2])
    assert corners or degrees % 360 == 0
    across = (w * abs(math.cos(math.radians(degrees))) + h * abs(math.sin(math.radians(degrees)))) / 2
    assert losses == [] and one.box[0] == pytest.approx(100 - across) and one.box[2] == pytest.approx(100 + across)


def test_a_name_of_an_attribute_that_is_no_angle_is_ignored(tmp_path):
    for attributes in ({"rotation": "left"}, {"rotation": True}, {"rotation": 360.0}, ["rotation"], None):
        box = entry(segmentation=[], bbox=[1, 2, 3, 4], attributes=attributes)
        (image,), _, losses, _ = read_coco(file(tmp_path / "coco.json", box))
        assert losses == [] and image.annotations[0].polygons is None


def test_two_categories_of_one_name_are_one_class(tmp_path):
    """As Roboflow writes them: the name of the project is category 0."""
    categories = [{"id": 0, "name": "nsfw", "supercategory": "none"}, {"id": 1, "name": "nsfw", "supercategory": "nsfw"}]
    entries = [entry(id=number, category_id=number) for number in range(2)]
    (image,), read, losses, _ = read_coco(file(tmp_path / "coco.json", *entries, categories=categories))
    assert [one.label for one in image.annotations] == ["nsfw", "nsfw"] and read == {0: "nsfw", 1: "nsfw"} and not losses


def test_only_an_image_that_is_marked_is_negative_and_then_has_no_annotations(tmp_path):
    row = {"id": 7, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    for mark in (False, None, 1, "true", {}):
        assert read_coco(file(tmp_path / "coco.json", images=[{**row, "negative": mark}])).negatives == set()
    assert read_coco(file(tmp_path / "coco.json", images=[{**row, "negative": True}])).negatives == {"a.jpg"}
    (image,), _, (loss,), _ = read_coco(file(tmp_path / "coco.json", entry(), images=[{**row, "negative": True}]))
    assert image.annotations == () and (loss.reason, loss.status, loss.kept) == ("broken annotation", "failed", False)
    assert loss.detail == "its image is marked as negative"


def test_compressed_run_lengths_that_python_wrote_as_bytes_are_read(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:28, ::3] = 255
    rle = encode_rle(mask)
    for counts in (rle, str(rle.encode())):
        segmentation = {"size": [HEIGHT, WIDTH], "counts": counts}
        (image,), _, losses, _ = read_coco(file(tmp_path / "coco.json", entry(segmentation=segmentation)))
        assert losses == [] and np.array_equal(image.annotations[0].mask(HEIGHT, WIDTH), mask)


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../one.jpg", "a/../../b.jpg", "C:\\b.jpg", "..\\b.jpg", "", None, 3, "a\0b"]
)
def test_a_hostile_file_name_fails_the_image_and_its_annotations(tmp_path, name):
    rows = [{"id": 7, "file_name": name, "width": WIDTH, "height": HEIGHT}]
    found, _, losses, _ = read_coco(file(tmp_path / "coco.json", entry(), images=rows))
    assert found == ()
    assert [(loss.reason, loss.status) for loss in losses] == [("broken image", "failed"), ("broken annotation", "failed")]


@pytest.mark.parametrize(
    "image",
    [
        {"id": 7, "file_name": "b.jpg", "width": 5, "height": 5},
        {"id": 8, "file_name": "a/one.jpg", "width": 5, "height": 5},
        {"id": 8, "file_name": "b.jpg", "width": 0, "height": 5},
        {"id": 8, "file_name": "b.jpg", "width": 10**9, "height": 10**9},
        {"id": 8, "file_name": "b.jpg", "width": True, "height": 5.0},
        {"id": [8], "file_name": "b.jpg", "width": 5, "height": 5},
        {},
    ],
)
def test_a_broken_image_is_a_failed_row(tmp_path, image):
    good = {"id": 7, "file_name": "a/one.jpg", "width": WIDTH, "height": HEIGHT}
    found, _, losses, _ = read_coco(file(tmp_path / "coco.json", images=[good, image]))
    assert [one.key for one in found] == ["a/one.jpg"]
    assert [(loss.reason, loss.status) for loss in losses] == [("broken image", "failed")]


@pytest.mark.parametrize(
    "more",
    [
        {"image_id": 8},
        {"image_id": [7]},
        {"category_id": 1},
        {"category_id": True},
        {"iscrowd": 2},
        {"score": float("nan")},
        {"score": "high"},
        {"segmentation": [[1, 1, 9, 9]]},
        {"segmentation": [[1, 1, 9, 1, 9]]},
        {"segmentation": [[1, 1, 9, 1, 9, float("nan")]]},
        {"segmentation": [[1, 1, 9, 1, 9, 10**400]]},
        {"segmentation": [[[1, 1], [9, 1], [9, 9]]]},
        {"segmentation": "text"},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "text"}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "oooooooooooooooo"}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "0"}, "bbox": [1, 2, 3, 4]},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [5]}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [2**63, 2**63]}},
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}},
        {"segmentation": {}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}},
        {"segmentation": [[1, 1, 9, 1, 9, 9], [1, 1, 9, 9]]},
        {"segmentation": [], "bbox": [1, 2, 0, 4]},
        {"segmentation": [], "bbox": [1, 2, 3, 4], "attributes": {"rotation": float("nan")}},
        {"segmentation": [], "bbox": [1, 2, 3]},
        {"segmentation": [], "bbox": [1, 2, 3, 4, 45.0]},
        {"segmentation": [], "bbox": [1, 2, -3, 4]},
        {"segmentation": [], "bbox": [1, 2, float("inf"), 4]},
    ],
)
def test_a_broken_annotation_is_a_failed_row_and_the_others_are_kept(tmp_path, more):
    (image,), _, losses, _ = read_coco(file(tmp_path / "coco.json", entry(**more), entry(id=2)))
    key = "annotation 1" if "image_id" in more else "a/one.jpg#1"
    assert [(loss.key, loss.reason, loss.status) for loss in losses] == [(key, "broken annotation", "failed")]
    assert len(image.annotations) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "broken JSON"),
        ("[" * 200_000, "broken JSON"),
        ("[]", "not a COCO file"),
        ('{"images": [], "annotations": []}', "no list of categories"),
        ('{"images": [3], "annotations": [], "categories": []}', "no list of images"),
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "category"),
        ('{"categories": [{"id": 1, "name": 3}]}', "category"),
    ],
)
def test_a_file_that_is_not_coco_is_an_error_that_names_it(tmp_path, text, fault):
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(TesseraError, match=rf"coco\.json: .*{fault}"):
        read_coco(tmp_path / "coco.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["image_id", "category_id", "segmentation", "bbox", "score", "iscrowd"]), JSON))
def test_no_annotation_crashes_the_reader(tmp_path, more):
    found = read_coco(file(tmp_path / "coco.json", entry(**more)))
    assert len(found.images) == 1
