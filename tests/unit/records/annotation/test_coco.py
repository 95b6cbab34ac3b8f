import contextlib
import io
import json

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
    again, categories, losses = read_coco(tmp_path / "coco.json")
    assert (categories, losses) == (CATEGORIES, []) and list(categories) == list(CATEGORIES)
    assert plain(again[1]) == plain(found[1])
    for one, annotation in zip(again[0].annotations, image.annotations, strict=True):
        assert (one.label, one.crowd, one.score) == (annotation.label, annotation.crowd, annotation.score)
        assert one.box == pytest.approx(annotation.box)
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
    (image,), _, losses = read_coco(file(path, entry(segmentation=segmentation, iscrowd=1)))
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
    (image,), _, _ = read_coco(tmp_path / "coco.json")
    assert image.annotations[0].rle == encode_rle(annotation.mask(HEIGHT, WIDTH))


def test_a_label_without_a_category_is_a_loss(tmp_path):
    annotation = Annotation("face", None, None, (0, 0, 1, 1))
    (loss,) = write_coco([ImageAnnotations("one", 5, 5, (annotation,))], tmp_path / "coco.json", CATEGORIES)
    assert (loss.key, loss.reason, loss.detail) == ("one#0", "unknown label", "face")


def test_results_are_read_with_their_scores(tmp_path):
    results = [{"image_id": 7, "category_id": 13, "bbox": [1, 2, 3, 4], "score": 0.25}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    (image,), _, losses = read_coco(file(tmp_path / "coco.json", entry()), tmp_path / "results.json")
    assert [(one.score, one.box) for one in image.annotations] == [(0.25, (1, 2, 4, 6))] and losses == []


def test_a_region_outside_the_image_is_clipped_and_noted(tmp_path):
    (image,), _, (loss,) = read_coco(
        file(tmp_path / "coco.json", entry(segmentation=[[30, 5, 60, 5, 60, 9, 30, 9]], bbox=[30, 5, 30, 4]))
    )
    assert loss.reason == "cut at the border of the image" and loss.kept
    assert image.annotations[0].box == (30, 5, WIDTH, 9)


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../one.jpg", "a/../../b.jpg", "C:\\b.jpg", "..\\b.jpg", "", None, 3, "a\0b"]
)
def test_a_hostile_file_name_fails_the_image_and_its_annotations(tmp_path, name):
    rows = [{"id": 7, "file_name": name, "width": WIDTH, "height": HEIGHT}]
    found, _, losses = read_coco(file(tmp_path / "coco.json", entry(), images=rows))
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
    found, _, losses = read_coco(file(tmp_path / "coco.json", images=[good, image]))
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
        {"segmentation": [[-9, -9, -1, -9, -1, -1]]},
        {"segmentation": "text"},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "text"}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "oooooooooooooooo"}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "0"}, "bbox": [1, 2, 3, 4]},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [5]}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [2**63, 2**63]}},
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}},
        {"segmentation": {}},
        {"segmentation": [], "bbox": [1, 2, 3]},
        {"segmentation": [], "bbox": [1, 2, -3, 4]},
        {"segmentation": [], "bbox": [1, 2, float("inf"), 4]},
    ],
)
def test_a_broken_annotation_is_a_failed_row_and_the_others_are_kept(tmp_path, more):
    (image,), _, losses = read_coco(file(tmp_path / "coco.json", entry(**more), entry(id=2)))
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
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}', "category"),
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
