import contextlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import HEIGHT, LABELS, WIDTH, images, plain

from tessera.core.errors import Failed
from tessera.imaging.polygons import Part, circle, rectangle, trace
from tessera.records.annotation.formats.yolo import LEAST_SIDE, Shape, parse_yolo, write_yolo
from tessera.records.annotation.model import Annotation, ImageAnnotations

few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path, lines="polygons", width=WIDTH, height=HEIGHT):
    return parse_yolo(path.read_bytes(), str(path), "one", width, height, dict(enumerate(LABELS)).get, Shape(lines))[0]


def ultralytics_mask(path, width, height):
    """The mask that ultralytics 8.4 reads from a label file: single precision, truncated to integers, one line at a time."""
    mask = np.zeros((height, width), np.uint8)
    for line in path.read_text().splitlines():
        ring = np.array(line.split()[1:], dtype=np.float32).reshape(-1, 2) * np.array([width, height], dtype=np.float32)
        cv2.fillPoly(mask, [ring.astype(np.int32)], 255)
    return mask


@few
@given(images(score=False, box_alone=False, crowd=False))
def test_each_region_becomes_one_object_with_its_mask_and_bridges_between_its_parts(tmp_path, image):
    for annotation in image.annotations:
        losses = write_yolo(
            ImageAnnotations("one", WIDTH, HEIGHT, (annotation,)), list(LABELS), "segment", tmp_path / "one.txt"
        )
        mask = annotation.mask(HEIGHT, WIDTH)
        if not mask.any():
            assert [loss.reason for loss in losses] == ["empty region"]
            continue
        assert losses == []
        (found,) = read(tmp_path / "one.txt").annotations
        assert found.label == annotation.label
        drawn = ultralytics_mask(tmp_path / "one.txt", WIDTH, HEIGHT)
        assert np.array_equal(found.mask(HEIGHT, WIDTH), drawn)
        if annotation.rle is not None or len(annotation.polygons) > 1 or not annotation.polygons[0].holes:
            assert not (mask & ~drawn).any()
            bridges = np.argwhere(drawn & ~mask)
            assert len(bridges) == 0 or cv2.connectedComponents(mask, connectivity=8)[0] > 2
            assert cv2.connectedComponents(drawn, connectivity=8)[0] == 2


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 1080), (7680, 4320), (641, 333)])
def test_corners_on_pixel_borders_fall_into_the_same_pixels_in_any_precision(tmp_path, width, height):
    generator = np.random.default_rng(width)
    for nudge in np.repeat([0.0, -1e-9, 1e-9, 0.5], 4):
        ring = np.floor(1 + generator.random((60, 2)) * [width - 2, height - 2]) + nudge
        annotation = Annotation.of_parts("nsfw", (Part(ring),))
        write_yolo(ImageAnnotations("one", width, height, (annotation,)), ["nsfw"], "segment", tmp_path / "one.txt")
        mask = annotation.mask(height, width)
        assert np.array_equal(ultralytics_mask(tmp_path / "one.txt", width, height), mask)
        (found,) = read(tmp_path / "one.txt", width=width, height=height).annotations
        assert np.array_equal(found.mask(height, width), mask)


def test_a_hole_is_kept_by_a_keyhole(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:25, 4:30] = 255
    mask[8:20, 10:15] = 0
    mask[8:20, 18:25] = 0
    image = ImageAnnotations("one", WIDTH, HEIGHT, (Annotation.of_mask("nsfw", mask),))
    assert write_yolo(image, list(LABELS), "segment", tmp_path / "one.txt") == []
    assert len((tmp_path / "one.txt").read_text().splitlines()) == 1
    assert np.array_equal(ultralytics_mask(tmp_path / "one.txt", WIDTH, HEIGHT), mask)


def test_the_smallest_regions_have_enough_corners_for_ultralytics(tmp_path):
    pixel, line = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    pixel[3, 4] = line[9, 5:12] = 255
    for mask in (pixel, line):
        for annotation in (Annotation.of_mask("nsfw", mask), Annotation.of_parts("nsfw", tuple(trace(mask)))):
            image = ImageAnnotations("one", WIDTH, HEIGHT, (annotation,))
            write_yolo(image, list(LABELS), "segment", tmp_path / "one.txt")
            assert len((tmp_path / "one.txt").read_text().split()) == 9
            assert np.array_equal(ultralytics_mask(tmp_path / "one.txt", WIDTH, HEIGHT), mask)


@few
@given(images(score=False, crowd=False))
def test_the_task_detect_writes_boxes(tmp_path, image):
    write_yolo(image, list(LABELS), "detect", tmp_path / "one.txt")
    found = read(tmp_path / "one.txt", "boxes").annotations
    boxes = [
        one
        for one in image.annotations
        if (one.box[2] - one.box[0]) / WIDTH >= LEAST_SIDE and (one.box[3] - one.box[1]) / HEIGHT >= LEAST_SIDE
    ]
    assert [one.label for one in found] == [one.label for one in boxes]
    for one, expected in zip(found, boxes, strict=True):
        assert one.box == pytest.approx(expected.box, abs=1e-6)


def test_equal_regions_are_written_once_and_an_image_without_regions_has_an_empty_file(tmp_path):
    image = ImageAnnotations("one", WIDTH, HEIGHT, (Annotation.of_parts("nsfw", (Part(rectangle((1, 1, 5, 5))),)),))
    for _ in range(2):
        write_yolo(image, ["nsfw"], "segment", tmp_path / "one.txt")
    assert len((tmp_path / "one.txt").read_text().splitlines()) == 1
    assert write_yolo(ImageAnnotations("one", WIDTH, HEIGHT), ["nsfw"], "segment", tmp_path / "one.txt") == []
    assert (tmp_path / "one.txt").read_bytes() == b""
    assert plain(read(tmp_path / "one.txt")) == ("one", WIDTH, HEIGHT, [])


def test_what_yolo_cannot_represent_is_a_loss(tmp_path):
    part = Part(circle((10, 10), (14, 10)))
    regions = (
        Annotation.of_parts("face", (part,)),
        Annotation.of_parts("nsfw", (part,), crowd=True),
        Annotation("nsfw", None, None, (1, 1, 5, 5)),
        Annotation.of_parts("nsfw", (part, Part(rectangle((20, 20, 25, 25)))), score=0.5),
        Annotation.of_parts("nsfw", (Part(rectangle((-20, -20, -5, -5))),)),
    )
    losses = write_yolo(ImageAnnotations("one", WIDTH, HEIGHT, regions), ["nsfw"], "segment", tmp_path / "one.txt")
    assert [(loss.key, loss.reason) for loss in losses] == [
        ("one#0", "unknown label"),
        ("one#1", "YOLO has no crowd regions"),
        ("one#4", "empty region"),
        ("one#2", "a box became a rectangle"),
        ("one#3", "YOLO labels have no score"),
    ]


@pytest.mark.parametrize(
    ("line", "lines", "fault"),
    [
        ("-1 0 0 1 0 1 1", "polygons", "class '-1'"),
        ("0.0 0 0 1 0 1 1", "polygons", "class '0.0'"),
        ("0 0 0 1 0 1", "polygons", "5 numbers"),
        ("0 0 0 1 0", "polygons", "4 numbers"),
        ("0 0 0 1 0 1 1.011", "polygons", "outside"),
        ("0 0 0 1 0 1 nan", "polygons", "outside"),
        ("0 0 0 1 0 1 inf", "polygons", "outside"),
        ("0 0 0 1 0 1 x", "polygons", "could not convert"),
        ("0 0.5 0.5 1", "boxes", "3 numbers"),
        ("0 0.5 0.5 1 -0.1", "boxes", "outside"),
        ("9" * 5000 + " 0 0 1 0 1 1", "polygons", "limit"),
    ],
)
def test_an_invalid_line_is_refused_with_its_number(tmp_path, line, lines, fault):
    (tmp_path / "one.txt").write_text(f"\n{line}\n")
    with pytest.raises(Failed, match=f"one.txt:2: .*{fault}"):
        read(tmp_path / "one.txt", lines)


@few
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_crash_the_reader(tmp_path, data):
    (tmp_path / "one.txt").write_bytes(data)
    with contextlib.suppress(Failed):
        read(tmp_path / "one.txt")
