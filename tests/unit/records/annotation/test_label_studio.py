"""Label Studio: what is written is read back, and no export can do harm."""

import base64
import contextlib
import io
import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from strategies import HEIGHT, LABELS, WIDTH, images

from tessera.core.errors import Dropped, Failed
from tessera.imaging.polygons import Part, circle
from tessera.records.annotation.formats.brushes import decode_brush, encode_brush
from tessera.records.annotation.formats.label_studio import (
    Prediction,
    Task,
    labelling_config,
    newest,
    parse_export,
    read_choices,
    read_task,
    write_task,
)
from tessera.records.annotation.model import Annotation, ImageAnnotations

NOBODY = Prediction("detector 1", {})
any_mask = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 255]), fill=st.just(0))
)


def values_of(brush: list[int]) -> list[int]:
    """Return the RGBA values of `brush`, bit by bit: slow, and as the format is documented."""
    bits = "".join(f"{byte:08b}" for byte in brush)

    def take(count: int) -> int:
        nonlocal bits
        number, bits = int(bits[:count], 2), bits[count:]
        return number

    count, word = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        is_run, width = take(1), widths[take(2)]
        length = take(width) + 1
        values += [take(word)] * length if is_run else [take(word) for _ in range(length)]
    return values


def literal(values: list[int]) -> list[int]:
    """Return a brush of `values` without any run, as of an editor that paints in colour."""
    bits = f"{len(values):032b}" + "00111" + "0010001101111111"
    for start in range(0, len(values), 256):
        part = values[start : start + 256]
        bits += f"010{len(part) - 1:08b}" + "".join(f"{value:08b}" for value in part)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


@given(any_mask)
def test_a_brush_has_the_pixels_of_its_mask_in_all_channels(mask: np.ndarray) -> None:
    brush = encode_brush(mask)
    assert values_of(brush) == np.repeat(mask, 4).tolist()
    assert np.array_equal(decode_brush(brush, *mask.shape), mask)


@given(any_mask, st.integers(0, 255))
def test_a_brush_of_single_values_and_of_any_colour_is_read(mask: np.ndarray, colour: int) -> None:
    painted = np.full((*mask.shape, 4), colour, np.uint8)
    painted[:, :, 3] = mask
    assert np.array_equal(decode_brush(literal(painted.ravel().tolist()), *mask.shape), mask)


def test_runs_longer_than_sixteen_bits_are_written_in_pieces() -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[100:250] = 255
    assert np.array_equal(decode_brush(encode_brush(mask), 300, 400), mask)


def export(*results: Any, **more: Any) -> bytes:
    annotations = [
        {"id": number, "result": result, "updated_at": f"2026-01-0{number}"} for number, result in enumerate(results, 1)
    ]
    return json.dumps([{"id": 7, "data": {"image": "/data/upload/1/a.png"}, "annotations": annotations, **more}]).encode()


def read(content: bytes, width: int = WIDTH, height: int = HEIGHT) -> Any:
    (task,) = parse_export(content, "export.json")
    return read_task(task, "one", width, height)


def region(kind: str = "rectanglelabels", labels: tuple[str, ...] = ("nsfw",), **value: Any) -> dict[str, Any]:
    given = value or {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0}
    return {"id": "r", "type": kind, "value": {**given, kind: list(labels)}, "original_width": WIDTH, "original_height": HEIGHT}


@given(images(crowd=False))
def test_written_regions_are_read_back(image: ImageAnnotations) -> None:
    task, losses = write_task(image, "/data/local-files/?d=a.png", NOBODY)
    drawn = [one for one in image.annotations if one.box[2] > one.box[0] or one.polygons]
    result = task["predictions"][0]["result"]
    content = json.dumps([{**task, "annotations": [{"result": result}]}]).encode()
    (parsed,) = parse_export(content, "export.json")
    again, lost = read_task(parsed, "one", WIDTH, HEIGHT)
    assert parsed.key == image.key and [loss for loss in lost if not loss.kept] == []
    kept = [one for number, one in enumerate(drawn) if f"one#{number}" not in {loss.key for loss in losses if not loss.kept}]
    for one, expected in zip(again.annotations, kept, strict=True):
        assert (one.label, one.score) == (expected.label, expected.score)
        if one.rle:
            assert np.array_equal(one.mask(HEIGHT, WIDTH), expected.mask(HEIGHT, WIDTH))
        else:
            assert one.box == pytest.approx(expected.box, abs=1e-6)
        if one.polygons:
            assert np.allclose(one.polygons[0].outer, expected.polygons[0].outer, atol=1e-9)


def test_a_task_states_what_it_needs_to_be_shown() -> None:
    annotation = Annotation("nsfw", None, None, (4, 3, 24, 18), score=0.25)
    image = ImageAnnotations("film-3", WIDTH, HEIGHT, (annotation, Annotation("nsfw", None, None, (0, 0, 4, 3), score=0.75)))
    task, _ = write_task(image, "/data/local-files/?d=a.png", Prediction("model 7", {"quality": "good"}))
    assert task["data"] == {"image": "/data/local-files/?d=a.png", "tessera_id": "film-3"}
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("model 7", 0.25)
    first, _, chosen = prediction["result"]
    assert {name: first[name] for name in ("type", "from_name", "to_name", "original_width", "original_height")} == {
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
    }
    assert first["value"] == {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["nsfw"]}
    assert (chosen["from_name"], chosen["value"]) == ("quality", {"choices": ["good"]})
    config = ElementTree.fromstring(labelling_config(["nsfw", 'a "b" & <c>'], {"quality": ["good", "bad"]}))
    names = {element.get("name"): element.tag for element in config if element.get("name") != "image"}
    assert names == {"brush": "BrushLabels", "polygon": "PolygonLabels", "box": "RectangleLabels", "quality": "Choices"}
    assert {item["from_name"] for item in prediction["result"]} <= names.keys()
    assert [label.get("value") for label in config.find("BrushLabels")] == ["nsfw", 'a "b" & <c>']


def test_rotated_rectangles_and_ellipses_become_polygons() -> None:
    turned = region(x=50, y=20, width=25, height=20, rotation=90)
    round_one = region("ellipselabels", x=50, y=50, radiusX=25, radiusY=20)
    image, losses = read(export([turned, round_one]))
    assert losses == []
    # Turned clockwise about its corner at 20, 6: to the left and down.
    assert image.annotations[0].box == pytest.approx((14, 6, 20, 16))
    assert image.annotations[1].box == pytest.approx((10, 9, 30, 21), abs=0.2)


def test_the_newest_annotation_counts_and_the_others_are_remarked() -> None:
    old, new = [region(labels=("old",))], [region(labels=("new",))]
    image, (loss,) = read(export(old, new))
    assert [one.label for one in image.annotations] == ["new"]
    differ = "they differ much: of what one of them labels 'new', both share 0%"
    assert loss.kept and loss.detail == f"2 annotations of one picture, the newest was kept; {differ}"
    tasks = [Task(str(day), "a.png", "", f"2026-01-0{day}", []) for day in (3, 9, 4)]
    assert newest(tasks).where == "9" and newest(tasks).remark == "2 other tasks of the same picture, the newest was kept"
    undone = Task("none", "a.png", "", "2027", None)
    assert newest([undone, tasks[0]]).where == "3"


def test_ground_truth_goes_before_what_is_newer() -> None:
    true = {"id": 1, "result": [region(labels=("true",))], "updated_at": "2026-01-01", "ground_truth": True}
    new = {"id": 2, "result": [region(labels=("new",))], "updated_at": "2026-02-01", "ground_truth": False}
    image, (loss,) = read(export(annotations=[true, new]))
    assert [one.label for one in image.annotations] == [
        "true"
    ] and "2 annotations of one picture, the ground truth" in loss.detail
    tasks = [parse_export(export(annotations=[each]), "e")[0] for each in (new, true, {**new, "updated_at": "2027"})]
    assert newest(tasks).result == true["result"] and "the ground truth was kept" in newest(tasks).remark
    cancelled = {**true, "was_cancelled": True}
    assert [one.label for one in read(export(annotations=[cancelled, new]))[0].annotations] == ["new"]


def test_the_remark_on_several_annotations_says_whether_they_differ_much() -> None:
    one = region(x=10, y=10, width=40, height=40)
    near = region(x=12, y=10, width=40, height=40)
    far = region(x=50, y=50, width=40, height=40)
    for other, said in (([near], "they are alike"), ([far], "both share 0%"), ([], "both share 0%"), ([{}], "cannot be read")):
        image, (loss,) = read(export(other, [one]))
        assert len(image.annotations) == 1 and said in loss.detail
    _, (loss,) = read(export([one], [one], [far]))
    assert "3 annotations" in loss.detail and "both share 0%" in loss.detail
    # Half of each in both: a third of what either has.
    image, (loss,) = read(export([region(x=10, y=10, width=40, height=40)], [region(x=30, y=10, width=40, height=40)]))
    assert "both share 33%" in loss.detail


def bitmask(mask: np.ndarray, mode: str = "RGBA", kind: str = "PNG") -> str:
    ground = np.zeros((*mask.shape, 4), np.uint8)
    ground[mask > 0, 3] = 255
    image, file = Image.fromarray(ground, "RGBA"), io.BytesIO()
    (image if mode == "RGBA" else image.convert(mode)).save(file, format=kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


@given(any_mask.filter(np.any))
def test_a_bitmask_is_the_pixels_that_are_not_transparent(mask: np.ndarray) -> None:
    height, width = mask.shape
    for mode in ("RGBA", "LA"):
        url = bitmask(mask, mode)
        drawn = region("bitmasklabels", imageDataURL=url) | {"original_width": width, "original_height": height}
        image, losses = read(export([drawn]), width, height)
        assert losses == [] and np.array_equal(image.annotations[0].mask(height, width), mask)


BITS = np.eye(HEIGHT, WIDTH, dtype=np.uint8)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (bitmask(np.zeros((HEIGHT, WIDTH), np.uint8)), "empty"),
        (bitmask(BITS[:-1]), "the bitmask has 40 by 29 pixels"),
        (bitmask(BITS, "RGB"), "no transparent ground"),
        (bitmask(BITS, "RGB", "JPEG"), "no PNG picture in base64"),
        (bitmask(BITS)[:-200], "no PNG picture|truncated|padding"),
        ("data:image/png;base64,!!", "base64|PNG"),
        ("http://host/mask.png", "no PNG picture in base64"),
        (7, "no PNG picture in base64"),
    ],
)
def test_a_bitmask_that_cannot_be_read_fails_its_picture(url: Any, fault: str) -> None:
    with pytest.raises(Failed, match=f"region 1: .*({fault})"):
        read(export([region(), region("bitmasklabels", imageDataURL=url)]))


def test_keypoints_are_minor_and_relations_and_answers_are_no_regions() -> None:
    point = region("keypointlabels", x=50, y=50, width=0.3) | {"id": "k"}
    parts = [
        {"id": "p", "type": "keypoint", "value": {"x": 5, "y": 5, "width": 0.3}},
        {"id": "p", "type": "labels", "value": {"x": 5, "y": 5, "width": 0.3, "labels": ["nsfw"]}},
    ]
    relation = {"type": "relation", "from_id": "r", "to_id": "r", "direction": "right"}
    answers = [
        {"id": "r", "type": kind, "value": {name: value}}
        for kind, name, value in (("number", "number", 3), ("textarea", "text", ["x"]), ("datetime", "datetime", "2026-01-01"))
    ]
    image, losses = read(export([region(), relation, point, *parts, *answers]))
    assert len(image.annotations) == 1
    assert [(loss.reason, loss.minor) for loss in losses] == [("a keypoint has no area", True)] * 3


@pytest.mark.parametrize(
    "lost",
    [
        {"type": "rectanglelabels", "value": {"rectanglelabels": ["nsfw"]}},
        {"type": "vectorlabels", "value": {"vertices": [{"x": 1, "y": 1}], "vectorlabels": ["nsfw"]}},
        {"type": "videorectangle", "value": {"sequence": [], "labels": ["nsfw"]}},
        region("rectanglelabels", ()) | {"id": "s"},
    ],
)
def test_a_region_without_a_readable_shape_or_label_is_lost(lost: dict[str, Any]) -> None:
    _, (loss,) = read(export([region(), lost]))
    assert not loss.kept and not loss.minor


def test_answers_about_the_whole_picture_alone_are_no_statement_that_it_shows_nothing() -> None:
    chosen = {"type": "choices", "value": {"choices": ["blurred"]}}
    for result in ([chosen], [{"type": "relation"}], [chosen, {"type": "rating", "value": {"rating": 3}}]):
        (task,) = parse_export(export(result), "e")
        with pytest.raises(Dropped, match=r"unlabelled.*unannotated: negative"):
            read_task(task, "one", WIDTH, HEIGHT)
        image, (loss,) = read_task(task, "one", WIDTH, HEIGHT, unannotated="negative")
        assert image.annotations == () and loss.kept
    (task,) = parse_export(export([]), "e")
    with pytest.raises(Dropped, match="empty label"):
        read_task(task, "one", WIDTH, HEIGHT, empty="unknown")


def test_a_newest_annotation_that_cannot_be_read_is_none() -> None:
    (task,) = parse_export(export([], "x"), "e")
    assert task.result is None and "its result cannot be read" in task.remark


@pytest.mark.parametrize(
    ("data", "result", "image"),
    [
        ({"image": "a"}, [region()], "a"),
        ({"photo": "s3://b/a.jpg", "title": "a cat"}, [], "s3://b/a.jpg"),
        ({"url": "/data/local-files/?d=x/a.PNG", "size": 3}, [region()], "/data/local-files/?d=x/a.PNG"),
        ({"img": "http://h/a.png?sig=1", "image": "no picture"}, [], "http://h/a.png?sig=1"),
        ({"image": "a.png", "mask": "b.png"}, [region() | {"to_name": "mask"}], "b.png"),
        ({"image": "a.png", "mask": "b.png"}, None, "a.png"),
        ({"image": "a.png", "mask": "b.png"}, [], None),
        ({"image": "a.png", "mask": "b.png"}, [region() | {"to_name": "picture"}], None),
        ({"image": ["a.png", "b.png"]}, [region()], ""),
        ({}, [region()], ""),
    ],
)
def test_the_picture_is_in_the_field_that_the_regions_are_about_or_in_the_only_one(data: Any, result: Any, image: Any) -> None:
    annotations = [] if result is None else [{"result": result}]
    (task,) = parse_export(json.dumps([{"id": 1, "data": data, "annotations": annotations}]).encode(), "e")
    assert task.image == (image or "") and bool(task.fault) == (image is None)


def test_regions_of_two_pictures_in_one_task_fail() -> None:
    with pytest.raises(Failed, match=r"regions of several pictures.*'left', 'right'"):
        read(export([region() | {"to_name": "left"}, region() | {"to_name": "right"}]))


def test_a_box_may_leave_the_picture_by_a_hundredth_and_a_turned_one_may_leave_it() -> None:
    size = {"original_width": 1000, "original_height": 1000}
    for across, reasons in ((50.5, ["cut at the border of the image"]), (50.0000001, [])):
        image, losses = read(export([region(x=50, y=10, width=across, height=10) | size]), 1000, 1000)
        assert image.annotations[0].box == (500, 100, 1000, 200) and [loss.reason for loss in losses] == reasons
    for bad in (region(x=50, y=10, width=52, height=10), region("polygonlabels", points=[[1, 1], [102, 1], [1, 9]])):
        with pytest.raises(Failed, match="2% of a side"):
            read(export([bad | size]), 1000, 1000)
    turned = region(x=90, y=50, width=20, height=20, rotation=45) | size
    image, (loss,) = read(export([turned]), 1000, 1000)
    assert loss.reason == "cut at the border of the image" and image.annotations[0].box[2] == 1000


def test_cancelled_annotations_do_not_count_and_an_empty_one_says_that_there_is_nothing() -> None:
    cancelled = {"result": [region()], "was_cancelled": True, "updated_at": "2027"}
    (task,) = parse_export(export(annotations=[cancelled]), "e")
    assert task.result is None and task.remark == "1 cancelled annotation left out"
    image, (loss,) = read(export([]))
    assert image.annotations == () and loss.kept and loss.reason == "empty annotation"
    for nothing in ({}, {"annotations": None}, {"annotations": "x"}, {"annotations": [{"result": "x"}]}):
        (task,) = parse_export(json.dumps([{"data": {}, **nothing}]).encode(), "e")
        assert task.result is None


def test_labels_that_are_exported_beside_their_regions_are_read_once() -> None:
    shape = {"id": "r", "type": "rectangle", "value": {"x": 0, "y": 0, "width": 10, "height": 10}}
    labelled = {"id": "r", "type": "labels", "value": {**shape["value"], "labels": ["nsfw", "other"]}}
    image, losses = read(export([shape, labelled, {**shape, "id": "s"}]))
    assert [one.label for one in image.annotations] == ["nsfw", "other"]
    assert [(loss.reason, loss.kept) for loss in losses] == [("region without a label", False)]


def test_choices_are_read_and_have_no_area() -> None:
    chosen = {"type": "choices", "value": {"choices": ["blurred", "dark", "blurred", 7]}}
    (task,) = parse_export(export([chosen, region()]), "e")
    assert read_choices(task) == ["blurred", "dark"]
    assert len(read_task(task, "one", WIDTH, HEIGHT)[0].annotations) == 1


def test_a_region_that_was_drawn_on_a_copy_of_another_size_is_scaled() -> None:
    mask = np.zeros((2 * HEIGHT, 2 * WIDTH), np.uint8)
    mask[10:20, 10:30] = 255
    large = {"original_width": 2 * WIDTH, "original_height": 2 * HEIGHT}
    brush = region("brushlabels", format="rle", rle=encode_brush(mask)) | large
    image, _ = read(export([brush, region() | large]))
    assert [one.box for one in image.annotations] == [(5, 5, 15, 10), (4, 3, 24, 18)]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (region("brushlabels", rle=encode_brush(np.full((3, 3), 255, np.uint8))), "the brush has 9 pixels"),
        (region("brushlabels", rle=encode_brush(np.zeros((HEIGHT, WIDTH), np.uint8))), "the brush is empty"),
        (region("brushlabels", rle=encode_brush(np.eye(HEIGHT, WIDTH, dtype=np.uint8))[:-4]), "end early|fill"),
        (region("brushlabels", rle=[300]), "list of bytes"),
        (region("brushlabels", rle="x"), "list of bytes"),
        (region("brushlabels", rle=[]), "no header"),
        (region() | {"original_width": WIDTH + 9}, "was drawn on a picture of"),
        (region() | {"original_width": 10**9, "original_height": 10**9}, "was drawn on a picture of"),
        (region() | {"original_width": "wide"}, "was drawn on a picture of"),
        (region() | {"image_rotation": 90}, "rotated"),
        (region(x=0, y=0, width=-5, height=5), "no area"),
        (region(x=0, y=0, width=float("nan"), height=5), "not percentages"),
        (region(x=0, y=0, width=10**400, height=5), "too large|not percentages"),
        (region("polygonlabels", points=[[1, 1], [2, 2]]), "no area"),
        (region("polygonlabels", points=[[1, 1], [2, "x"], [3, 3]]), "could not convert"),
        (region("polygonlabels", points=7), "not percentages"),
        (region(x=200, y=200, width=5, height=5), "outside the image"),
        ({"type": "rectanglelabels", "value": None}, "no type or value"),
    ],
)
def test_a_region_that_cannot_be_read_fails_its_picture_with_the_task(bad: dict[str, Any], fault: str) -> None:
    with pytest.raises(Failed, match=rf"export.json: task 7: region 1.*({fault})|({fault}).*export.json: task 7: region 1"):
        read(export([region(), bad]))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"[1]", b'[{"id": 1, "image": "a.png"}]', b'{"data": 3}'])
def test_a_file_that_is_no_export_fails_with_its_name(content: bytes) -> None:
    with pytest.raises(Failed, match=r"export\.json"):
        parse_export(content, "export.json")


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3) | st.sampled_from(["rle", "nsfw"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["points", "rle", "labels", "x", "type"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["value", "type", "id", "original_width", "score"]), anything), anything)
def test_no_export_crashes_the_reader(item: Any, value: Any) -> None:
    result = [item, {"type": "labels", "value": {"labels": ["a"], "points": value, "rle": value}}]
    for task in parse_export(json.dumps([{"data": {}, "annotations": [{"result": result}]}]).encode(), "e"):
        read_choices(task)
        with contextlib.suppress(Dropped):
            read_task(task, "one", WIDTH, HEIGHT)


def test_holes_become_a_brush() -> None:
    hole = Annotation.of_parts(LABELS[0], (Part(circle((20, 15), (30, 15)), (circle((20, 15), (24, 15)),)),))
    task, losses = write_task(ImageAnnotations("one", WIDTH, HEIGHT, (hole,)), "a.png", NOBODY)
    (result,) = task["predictions"][0]["result"]
    assert losses == [] and result["type"] == "brushlabels"
    assert np.array_equal(decode_brush(result["value"]["rle"], HEIGHT, WIDTH), hole.mask(HEIGHT, WIDTH))
