"""CVAT's XML: every shape is read where it was drawn, what has no area is a loss, and no file can do harm."""

import contextlib
import math
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import HEIGHT, WIDTH, masks

from tessera.core.errors import Failed, TesseraError
from tessera.records.annotation.formats.cvat import CvatImage, parse_cvat

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'


def document(*shapes: str, width: Any = WIDTH, height: Any = HEIGHT, name: str = "a.png") -> bytes:
    image = f'<image id="0" name="{name}" width="{width}" height="{height}">{"".join(shapes)}</image>'
    return f"{HEAD}<annotations><version>1.1</version><meta><task><size>1</size></task></meta>{image}</annotations>".encode()


def read(*shapes: str, **more: Any) -> CvatImage:
    (image,), losses, _ = parse_cvat(document(*shapes, **more), "a.xml")
    assert losses == []
    return image


def element(tag: str, inside: str = "", **attributes: Any) -> str:
    given = {"label": "nsfw", "occluded": "0", "z_order": "0", "source": "manual", **attributes}
    written = " ".join(f"{name}={quoteattr(str(value))}" for name, value in given.items())
    return f"<{tag} {written}>{inside}</{tag}>"


BOX = element("box", '<attribute name="pose">front</attribute>', xtl="1.5", ytl="2", xbr="11.5", ybr="8")


def row_runs(mask: np.ndarray) -> tuple[str, dict[str, int]]:
    """Return the run lengths of the box around the pixels of `mask`, row by row, and the box."""
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    counts, last = [0], 0
    for value in (mask[top:bottom, left:right] > 0).astype(int).ravel().tolist():
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    return ", ".join(map(str, counts)), {"left": left, "top": top, "width": right - left, "height": bottom - top}


def test_boxes_polygons_and_ellipses_are_read_where_they_were_drawn() -> None:
    polygon = element("polygon", points="1.00,1.00;20.00,1.00;20.00,20.00")
    round_one = element("ellipse", cx="20", cy="15", rx="10", ry="5")
    image, subset, losses = read(BOX, polygon, round_one)
    box, drawn, ellipse = image.annotations
    assert losses == [] and subset == "" and image.key == "a.png" and (image.width, image.height) == (WIDTH, HEIGHT)
    assert box.box == (1.5, 2, 11.5, 8) and box.polygons is None
    assert drawn.polygons is not None and drawn.polygons[0].outer.tolist() == [[1, 1], [20, 1], [20, 20]]
    assert ellipse.box == pytest.approx((10, 10, 30, 20), abs=0.2)
    assert ellipse.polygons is not None
    distance = np.hypot(*((ellipse.polygons[0].outer - [20, 15]) / [10, 5]).T)
    assert np.allclose(distance, 1)


@given(st.floats(-360, 360), st.sampled_from(["box", "ellipse"]))
def test_a_rotation_turns_a_shape_clockwise_about_its_centre(degrees: float, kind: str) -> None:
    given = {"xtl": 80, "ytl": 40, "xbr": 120, "ybr": 60} if kind == "box" else {"cx": 100, "cy": 50, "rx": 20, "ry": 10}
    image, _, losses = read(element(kind, rotation=degrees, **given), width=200, height=100)
    (one,) = image.annotations
    assert losses == [] and (one.polygons is not None) == (kind == "ellipse" or degrees % 360 != 0)
    # The point at the end of the half axis along x goes down first.
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across, down = (20 * abs(cos) + 10 * abs(sin), 20 * abs(sin) + 10 * abs(cos))
    if kind == "ellipse":
        across, down = math.hypot(20 * cos, 10 * sin), math.hypot(20 * sin, 10 * cos)
    assert one.box == pytest.approx((100 - across, 50 - down, 100 + across, 50 + down), abs=0.3)
    if one.polygons is not None and kind == "box":
        first = 100 - 20 * cos + 10 * sin, 50 - 20 * sin - 10 * cos
        assert one.polygons[0].outer[0] == pytest.approx(first)


def test_a_box_that_is_turned_at_the_border_is_cut_there() -> None:
    """Its corners, and those of the box before it was turned, may lie far outside."""
    turned = element("box", xtl="172.17", ytl="-67.74", xbr="379.49", ybr="1063.68", rotation="18.50")
    image, _, (loss,) = read(turned, width=1024, height=1024)
    (one,) = image.annotations
    assert loss.reason == "cut at the border of the image" and loss.kept
    assert one.box[1] == 0 and one.box[3] <= 1024 and one.box[2] - one.box[0] > 400


@given(masks)
def test_a_mask_is_read_pixel_by_pixel(mask: np.ndarray) -> None:
    runs, box = row_runs(mask)
    image, _, losses = read(element("mask", rle=runs, **box))
    assert losses == [] and np.array_equal(image.annotations[0].mask(HEIGHT, WIDTH), mask)


def test_a_skeleton_is_the_box_of_its_points_that_are_in_the_image() -> None:
    points = "".join(
        f'<points label="{number}" outside="{outside}" occluded="0" points="{at}"></points>'
        for number, (at, outside) in enumerate((("5,6", 0), ("15,4", 0), ("9,20", 0), ("39,29", 1)))
    )
    image, _, losses = read(element("skeleton", points))
    assert losses == [] and [one.box for one in image.annotations] == [(5, 4, 15, 20)]


def test_what_is_no_region_is_a_loss_or_about_the_whole_image() -> None:
    points = element("points", points="1,1;2,2")
    line = element("polyline", points="1,1;20,20")
    cuboid = element("cuboid", xtl1="1", ytl1="1")
    image, _, losses = read(BOX, points, line, cuboid, element("tag"), element("hologram"))
    assert len(image.annotations) == 1
    assert [(loss.reason, loss.kept, loss.minor) for loss in losses] == [
        ("a point has no area", False, True),
        ("a polyline has no area", False, False),
        ("a cuboid is no region of the image", False, False),
        ("a hologram is not known", False, False),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        element("box", xtl="1", ytl="1", xbr="9"),
        element("box", xtl="1", ytl="1", xbr="9", ybr="nan"),
        element("box", xtl="1", ytl="1", xbr="9", ybr="x"),
        element("box", xtl="9", ytl="1", xbr="1", ybr="9"),
        element("box", xtl="9", ytl="1", xbr="1", ybr="9", rotation="45"),
        element("box", xtl="1", ytl="1", xbr="9", ybr="9", rotation="inf"),
        element("box", label="", xtl="1", ytl="1", xbr="9", ybr="9"),
        element("polygon", points="1,1;2,2"),
        element("polygon", points="1,1;2,2;3"),
        element("polygon", points=""),
        element("polygon", points="1,1;2,2;3,3"),
        element("ellipse", cx="5", cy="5", rx="0", ry="3"),
        element("mask", rle="0, 4", left="0", top="0", width="2", height="3"),
        element("mask", rle="6", left="0", top="0", width="2", height="3"),
        element("mask", rle="0, x", left="0", top="0", width="2", height="3"),
        element("mask", rle="", left="0", top="0", width="2", height="3"),
        element("mask", rle="0, 6", left=WIDTH - 1, top="0", width="2", height="3"),
        element("mask", rle="0, 6", left="-1", top="0", width="2", height="3"),
        element("skeleton", '<points outside="1" points="1,1"/>'),
        element("skeleton", '<points points="1,1"/>'),
    ],
)
def test_a_broken_shape_is_a_failed_loss_and_the_others_are_read(bad: str) -> None:
    image, _, (loss,) = read(bad, BOX)
    assert len(image.annotations) == 1 and (loss.status, loss.kept, loss.minor) == ("failed", False, False)
    assert loss.reason.startswith("broken ")


def test_a_shape_outside_the_image_is_lost() -> None:
    beyond = element("polygon", points=f"1,1;{WIDTH + 9},1;1,20")
    image, _, losses = read(element("box", xtl="1", ytl="1", xbr=WIDTH + 2, ybr="9"), BOX, beyond)
    assert len(image.annotations) == 1
    assert [(loss.reason, loss.status, loss.kept) for loss in losses] == [("region outside the image", "dropped", False)] * 2


@pytest.mark.parametrize(
    "image",
    [{"name": ""}, {"name": "../a.png"}, {"name": "C:\\a.png"}, {"width": "0"}, {"width": "x"}, {"height": "9" * 40}],
)
def test_a_broken_image_is_a_failed_loss(image: dict[str, Any]) -> None:
    images, (loss,), _ = parse_cvat(document(BOX, **image), "a.xml")
    assert images == [] and (loss.key, loss.reason, loss.status) == ("image '0'", "broken image", "failed")


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><annotations>&c;</annotations>'


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "broken XML"),
        (b"<annotations>", "broken XML"),
        (b"<annotations><image></annotations>", "broken XML"),
        (b"\xff\xfe\x00", "broken XML"),
        (b'<?xml version="1.0" encoding="klingon"?><annotations/>', "broken XML"),
        (b"<a>" * 100_000, "broken XML"),
        (b"<annotation/>", "not a CVAT file"),
        (BOMB.encode(), "XML with a document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "XML with a document type"),
    ],
)
def test_a_file_that_is_not_cvat_fails_with_its_name(content: bytes, fault: str) -> None:
    with pytest.raises(Failed, match=rf"{fault}.*a\.xml"):
        parse_cvat(content, "a.xml")


def test_tracks_of_a_video_are_refused_with_advice() -> None:
    track = '<track id="0" label="nsfw"><box frame="0" xtl="1" ytl="1" xbr="9" ybr="9" outside="0"/></track>'
    with pytest.raises(TesseraError, match=r"a\.xml has the tracks of a video; export the task as `CVAT for images 1\.1`"):
        parse_cvat(f"<annotations>{track}</annotations>".encode(), "a.xml")


texts = st.text(st.characters(exclude_categories=["C"]), max_size=6) | st.sampled_from(
    ["nan", "1", "1,1;9,1;9,9", "0, 4", "-5"]
)
names = st.sampled_from(
    ["label", "xtl", "ytl", "xbr", "ybr", "points", "rle", "left", "top", "width", "height", "rotation", "rx"]
)


@given(st.sampled_from(["box", "polygon", "ellipse", "mask", "skeleton", "points", "tag"]), st.dictionaries(names, texts))
def test_no_shape_crashes_the_reader(tag: str, attributes: dict[str, str]) -> None:
    shape = f"<{tag} {' '.join(f'{name}={quoteattr(value)}' for name, value in attributes.items())}/>"
    with contextlib.suppress(Failed):
        image, _, losses = read(shape, BOX)
        assert len(image.annotations) + sum(not loss.kept for loss in losses) == 2 - (tag == "tag")
