"""Pascal VOC: boxes as its development kit means them, masks in colours, and no file can do harm."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from strategies import HEIGHT, WIDTH

from tessera.core.errors import Failed
from tessera.records.annotation.formats.voc import (
    boxes_beside,
    colour_map,
    load_colours,
    parse_labelmap,
    read_boxes,
    read_colours,
    standard_labels,
)
from tessera.records.annotation.model import Annotation, ImageAnnotations


def xml(*objects: str, width: Any = WIDTH, height: Any = HEIGHT, name: str = "a.jpg") -> bytes:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>f</folder><filename>{name}</filename>{size}{''.join(objects)}</annotation>".encode()


def thing(x0: Any, y0: Any, x1: Any, y1: Any, name: str = "nsfw", more: str = "") -> str:
    box = f"<bndbox><ymax>{y1}</ymax><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax></bndbox>"
    return f"<object><name>{name}</name><difficult>1</difficult><truncated>1</truncated>{more}{box}</object>"


def read(*objects: str, **more: Any) -> tuple[list[tuple[str, Any]], list[Any]]:
    image, losses, _ = read_boxes(xml(*objects, **more), "a.xml", "a", WIDTH, HEIGHT)
    return [(one.label, one.box) for one in image.annotations], losses


def test_coordinates_count_pixels_from_one_and_the_last_belongs_to_the_box() -> None:
    """A box of one pixel has equal corners, and the whole image is 1, 1, width, height: `xmax - xmin + 1` wide."""
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    found, losses = read(thing(1, 1, WIDTH, HEIGHT), thing(5, 7, 5, 7, "dog"), thing(2, 3, 9, 9, more=part))
    assert found == [("nsfw", (0, 0, WIDTH, HEIGHT)), ("dog", (4, 6, 5, 7)), ("nsfw", (1, 2, 9, 9))] and losses == []


def test_coordinates_that_cannot_count_pixels_from_one_are_edges() -> None:
    """As CVAT writes them: x, y, x + width, y + height, with a decimal point."""
    assert read(thing("3.0", "4.0", "9.0", "9.0"))[0] == [("nsfw", (3, 4, 9, 9))]
    assert read(thing(0, 0, 8, 8), thing(3, 4, 9, 9))[0] == [("nsfw", (0, 0, 8, 8)), ("nsfw", (3, 4, 9, 9))]
    assert read(thing("3.25", "4.0", "9.0", "9.5"))[0] == [("nsfw", (3.25, 4, 9, 9.5))]


@pytest.mark.parametrize(
    "bad",
    [
        "<object><name>nsfw</name></object>",
        thing(1, 1, 9, 9, ""),
        thing(1, 1, "x", 9),
        thing(1, 1, "nan", 9),
        thing(9, 1, 3, 9),
        "<object><name>nsfw</name><robndbox><cx>5</cx></robndbox></object>",
    ],
)
def test_a_broken_object_is_a_failed_loss_and_the_others_are_read(bad: str) -> None:
    found, (loss,) = read(bad, thing(2, 2, 9, 9))
    assert found == [("nsfw", (1, 1, 9, 9))] and (loss.reason, loss.status, loss.kept) == ("broken object", "failed", False)


def test_an_object_outside_the_image_is_lost() -> None:
    found, losses = read(thing(1, 1, WIDTH + 2, 9), thing(2, 2, 9, 9), thing(WIDTH + 9, 1, WIDTH + 20, 9))
    assert found == [("nsfw", (1, 1, 9, 9))]
    assert [(loss.reason, loss.status, loss.kept) for loss in losses] == [("region outside the image", "dropped", False)] * 2


def test_labels_for_an_image_of_another_size_fail_and_a_size_of_zero_is_none() -> None:
    with pytest.raises(Failed, match="size differs"):
        read(thing(2, 2, 9, 9), width=WIDTH + 1)
    assert len(read(thing(2, 2, 9, 9), width=0, height=0)[0]) == 1
    assert len(read(thing(2, 2, 9, 9), width="", height="")[0]) == 1


@pytest.mark.parametrize("content", [b"", b"<annotation>", b"<annotations/>", b'<!DOCTYPE a [<!ENTITY b "b">]><annotation/>'])
def test_a_file_that_is_not_voc_fails_with_its_name(content: bytes) -> None:
    with pytest.raises(Failed, match=r"a\.xml"):
        read_boxes(content, "a.xml", "a", 9, 9)


def test_the_colours_are_those_of_the_development_kit() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0), 15: (192, 128, 128)}
    known |= {20: (0, 64, 128), 255: (224, 224, 192)}
    assert {number: colour_map(number) for number in known} == known
    assert len({colour_map(number) for number in range(256)}) == 256
    labels = standard_labels()
    assert (labels[192, 128, 128], labels[0, 0, 0], labels[224, 224, 192]) == ("person", "background", "void")


def test_a_labelmap_of_cvat_is_read() -> None:
    text = "# label:color_rgb:parts:actions\r\nbackground:0,0,0::\na b: c:250,50,83:head,foot:run\n\nBackground:1,2,3::\n"
    labels = parse_labelmap(text.encode(), "labelmap.txt")
    assert labels == {(224, 224, 192): "void", (0, 0, 0): "background", (250, 50, 83): "a b: c", (1, 2, 3): "Background"}
    for line in ("dog", "dog:1,2::", "dog:1,2,x::", "dog:1,2,300::", "dog:1,2,3::\ncat:1,2,3::"):
        with pytest.raises(Failed, match=r"broken labelmap: labelmap\.txt, line [12]"):
            parse_labelmap(line.encode(), "labelmap.txt")


LABELS = {(0, 0, 0): "background", (250, 50, 83): "nsfw", (10, 20, 30): "dog", (224, 224, 192): "void"}
palette = st.sampled_from(list(LABELS))


@given(st.lists(st.lists(palette, min_size=6, max_size=6), min_size=5, max_size=5), st.booleans())
def test_regions_are_the_pixels_of_each_class_and_object(rows: list[list[Any]], has_objects: bool) -> None:
    colours = np.array(rows, np.uint8)
    numbers = np.arange(30).reshape(5, 6) % 3 + 1  # of three objects
    objects = np.array([[colour_map(number) for number in row] for row in numbers], np.uint8)
    image, losses = read_colours(colours, objects if has_objects else None, "a", LABELS)
    for label in ("nsfw", "dog"):
        found = [one.mask(5, 6) > 0 for one in image.annotations if one.label == label]
        wanted = np.array([[LABELS[colour] == label for colour in row] for row in rows])
        assert np.array_equal(np.any(found, axis=0) if found else np.zeros((5, 6), bool), wanted)
        assert np.sum(found) == np.count_nonzero(wanted)  # no pixel is in two regions
        if has_objects:
            assert {tuple(np.unique(numbers[one])) for one in found} == {(number,) for number in np.unique(numbers[wanted])}
    voids = sum(LABELS[colour] == "void" for row in rows for colour in row)
    assert [(loss.detail, loss.minor, loss.kept) for loss in losses] == ([(str(voids), True, False)] if voids else [])


def test_an_unknown_colour_and_a_pixel_without_an_object_fail_the_image() -> None:
    colours = np.zeros((5, 6, 3), np.uint8)
    colours[1:3, 1:4] = 250, 50, 83
    with pytest.raises(Failed, match="masks differ"):
        read_colours(colours, np.zeros_like(colours), "a", LABELS)
    colours[4, 4] = 250, 50, 84  # as JPEG leaves it
    with pytest.raises(Failed, match="unknown colour in mask: 1 pixels of 1 colours, such as 250,50,84"):
        read_colours(colours, None, "a", LABELS)


def png(image: Image.Image, **more: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, **{"format": "PNG", **more})
    file.seek(0)
    return file


def test_colours_are_read_from_palettes_and_from_rgb() -> None:
    numbers = np.array([[0, 1], [15, 255]], np.uint8)
    palette = Image.fromarray(numbers, "L").convert("P")
    palette.putpalette([part for number in range(256) for part in colour_map(number)])
    wanted = np.array([[colour_map(number) for number in row] for row in numbers.tolist()], np.uint8)
    assert np.array_equal(load_colours(png(palette)), wanted)
    assert np.array_equal(load_colours(png(Image.fromarray(wanted))), wanted)
    for bad in (png(Image.fromarray(wanted), format="JPEG"), io.BytesIO(b"x"), png(Image.fromarray(numbers.astype(np.uint16)))):
        with pytest.raises(Failed):
            load_colours(bad)


def test_boxes_count_where_the_mask_has_no_region_of_their_label() -> None:
    def at(x: int, label: str = "nsfw") -> Annotation:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[5:15, x : x + 8] = 255
        return Annotation.of_mask(label, mask)

    def boxed(*boxes: Any) -> ImageAnnotations:
        return ImageAnnotations("a", WIDTH, HEIGHT, tuple(Annotation(label, None, None, box) for label, box in boxes))

    masks = ImageAnnotations("a", WIDTH, HEIGHT, (at(2), at(20)))
    near, far, dog = ("nsfw", (1, 4, 11, 16)), ("nsfw", (30, 20, 39, 29)), ("dog", (1, 4, 11, 16))
    for has_objects in (False, True):
        alone = boxes_beside(masks, boxed(near, far, dog, ("nsfw", (20, 5, 28, 15))), has_objects)
        assert [(one.label, one.box) for one in alone] == [far, dog]
        with pytest.raises(Failed, match="labels differ"):
            boxes_beside(masks, boxed(("nsfw", (8, 13, 39, 29))), has_objects)
    # One region in two parts is one object, if the mask does not say which are.
    assert boxes_beside(masks, boxed(("nsfw", (2, 5, 28, 15))), has_objects=False) == ()


@given(st.lists(st.text(st.characters(exclude_characters="<&", exclude_categories=["C"]), max_size=5), min_size=4, max_size=4))
def test_no_object_crashes_the_reader(corners: list[str]) -> None:
    with contextlib.suppress(Failed):
        found, losses = read(thing(*corners), thing(2, 2, 9, 9))
        assert len(found) + len(losses) == 2
