import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tessera.core.errors import Failed
from tessera.imaging.polygons import Part, rectangle
from tessera.records.annotation.formats.mask_images import load_mask, read_mask, write_mask
from tessera.records.annotation.model import Annotation, ImageAnnotations

VALUES = {255: "nsfw", 7: "watermark"}
LABELS = {label: value for value, label in VALUES.items()}


@given(arrays(np.uint8, (12, 15), elements=st.sampled_from([0, 7, 255]), fill=st.just(0)))
def test_a_mask_is_read_back_with_its_8_connected_pieces_as_instances(mask):
    image, losses = read_mask(mask, "one", VALUES)
    again, lost = write_mask(image, LABELS)
    assert np.array_equal(again, mask)
    assert losses == lost == []
    expected = sum(cv2.connectedComponents((mask == value).astype(np.uint8), connectivity=8)[0] - 1 for value in VALUES)
    assert len(image.annotations) == expected


def test_values_are_exact_and_an_unknown_value_is_an_error():
    mask = np.full((4, 4), 254, np.uint8)
    with pytest.raises(Failed, match=r"unknown value in mask: \[254\]"):
        read_mask(mask, "one", VALUES)


def test_holes_are_kept_and_specks_are_losses():
    mask = np.zeros((20, 20), np.uint8)
    mask[2:12, 2:12] = 255
    mask[5:8, 5:8] = 0
    mask[15, 15:17] = 255
    image, losses = read_mask(mask, "one", VALUES, min_area=3)
    assert [(loss.reason, loss.detail) for loss in losses] == [("smaller than min_area", "2 of 3 pixels at 15, 15")]
    (region,) = image.annotations
    assert region.box == (2, 2, 12, 12)
    assert np.array_equal(region.mask(20, 20), mask * (np.arange(20) < 14)[:, None])


def test_what_a_mask_image_cannot_represent_is_a_loss():
    def square(x: float, label: str = "nsfw", **more: object) -> Annotation:
        return Annotation.of_parts(label, (Part(rectangle((x, 2.5, x + 2, 4.5))),), **more)

    two = Annotation.of_parts("nsfw", (*square(20).polygons, *square(25).polygons))
    regions = (square(2.5), square(5.5), square(6.5, "watermark"), square(14, "face"), square(15, score=0.5), two)
    regions += (Annotation("nsfw", None, None, (0, 0, 2, 2)),)
    _, losses = write_mask(ImageAnnotations("one", 40, 10, regions), LABELS)
    assert [(loss.key, loss.reason) for loss in losses] == [
        ("one#1", "touches another region of its label"),
        ("one#2", "covers another region"),
        ("one#3", "unknown label"),
        ("one#4", "mask images have neither crowd nor score"),
        ("one#5", "mask images have no parts"),
        ("one#6", "a box alone has no mask"),
    ]


def test_a_file_gives_its_values_whatever_its_mode(tmp_path):
    values = np.array([[0, 1], [1, 0]], np.uint8)
    palette = Image.fromarray(values).convert("P")
    palette.putdata(values.ravel().tolist())
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(values * 255).save(tmp_path / "grey.png")
    Image.fromarray(values.astype(bool)).save(tmp_path / "two.png")
    Image.fromarray(values.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    assert np.array_equal(load_mask(tmp_path / "palette.png"), values)
    assert np.array_equal(load_mask(tmp_path / "grey.png"), values * 255)
    assert np.array_equal(load_mask(tmp_path / "two.png"), values * 255)
    assert np.array_equal(load_mask(tmp_path / "deep.png"), values.astype(np.uint16) * 1000)


def test_values_beyond_a_byte_survive():
    mask = np.array([[0, 1000]], np.uint16)
    image, _ = read_mask(mask, "one", {1000: "nsfw"})
    again, _ = write_mask(image, {"nsfw": 1000})
    assert again.dtype == np.uint16 and np.array_equal(again, mask)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"text", b"GIF89a"])
def test_a_file_that_is_not_a_mask_is_refused(tmp_path, data):
    (tmp_path / "mask.png").write_bytes(data)
    with pytest.raises(Failed, match="not a PNG"):
        load_mask(tmp_path / "mask.png")


def test_a_mask_in_colour_is_refused(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "mask.png")
    with pytest.raises(Failed, match="mask in colour"):
        load_mask(tmp_path / "mask.png")
