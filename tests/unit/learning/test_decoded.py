"""Detectors that are not of ultralytics: their outputs become regions as slow code reads them, in pictures of any kind."""

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from scipy.ndimage import binary_fill_holes
from scipy.spatial import ConvexHull

from decoded_models import without_memory, write_centerface, write_s3fd, write_text_detector
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.imaging.images import read_image
from tessera.imaging.masks import decode_rle
from tessera.learning.detection import centerface, s3fd, text
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region
from tessera.learning.detection.settings import InferenceSettings


def opened(path: Path, **settings: Any) -> Detector:
    return Detector(path, sha256_file(path), InferenceSettings(**{"confidence": 0.3, "image_size": 128, **settings}))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_centerface(tmp_path_factory.mktemp("faces") / "faces.onnx")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_detector(tmp_path_factory.mktemp("texts") / "texts.onnx")


def slow_faces(outputs: Sequence[np.ndarray], confidence: float) -> list[tuple[float, ...]]:
    """Read the paper: a face at each cell that none of its neighbours exceeds. Return its score, box and landmarks."""
    centres, sides, offsets, marks = outputs
    rows, columns = centres.shape[1:]
    found = []
    for row in range(rows):
        for column in range(columns):
            score = centres[0, row, column]
            around = [(y, x) for y in range(row - 1, row + 2) for x in range(column - 1, column + 2)]
            inside = [centres[0, y, x] for y, x in around if 0 <= y < rows and 0 <= x < columns]
            if score >= confidence and score == max(inside):
                height, width = (4 * math.exp(sides[axis, row, column]) for axis in (0, 1))
                y, x = (4 * (cell + offsets[axis, row, column] + 0.5) for axis, cell in enumerate((row, column)))
                left, top = x - width / 2, y - height / 2
                points = []
                for number in range(5):
                    points.append(left + width * marks[2 * number + 1, row, column])
                    points.append(top + height * marks[2 * number, row, column])
                found.append((score, left, top, left + width, top + height, *points))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_faces_are_those_that_slow_code_reads(seed: int) -> None:
    generator = np.random.default_rng(seed)
    outputs = [generator.random((channels, 9, 14), np.float32) for channels in (1, 2, 2, 10)]
    expected = slow_faces(outputs, 0.6)
    found = [(each.score, *each.box, *each.points.ravel()) for each in centerface.decode(outputs, 0.6)]
    assert len(expected) > 5
    np.testing.assert_allclose(found, expected, atol=1e-4)


def slow_s3fd(outputs: Sequence[np.ndarray], softmax: bool, confidence: float) -> list[tuple[float, ...]]:
    """Read the paper: an anchor, four cells wide, around the middle of each cell. Return the scores and the boxes."""
    found = []
    for scale in range(6):
        scores, differences = outputs[2 * scale].astype(float), outputs[2 * scale + 1].astype(float)
        stride = 4 * 2**scale
        anchor = 4 * stride
        for row in range(scores.shape[1]):
            for column in range(scores.shape[2]):
                background, face = scores[:, row, column]
                if not softmax:
                    face = math.exp(face) / (math.exp(face) + math.exp(background))
                if face >= confidence:
                    dx, dy, wide, tall = differences[:, row, column]
                    x, y = column * stride + stride / 2 + dx * 0.1 * anchor, row * stride + stride / 2 + dy * 0.1 * anchor
                    width, height = anchor * math.exp(wide * 0.2), anchor * math.exp(tall * 0.2)
                    found.append((face, x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return found


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_faces_of_s3fd_are_those_that_slow_code_reads(seed: int, softmax: bool) -> None:
    generator = np.random.default_rng(seed)
    outputs = []
    for height, width in [(32, 24), (16, 12), (8, 6), (8, 7), (4, 4), (2, 2)]:
        face = generator.random((height, width), np.float32)
        rest = 1 - face if softmax else generator.normal(0, 2, (height, width)).astype(np.float32)
        outputs += [np.stack([rest, face]), generator.normal(0, 3, (4, height, width)).astype(np.float32)]
    expected = slow_s3fd(outputs, softmax, 0.7)
    found = [(each.score, *each.box) for each in s3fd.decode(outputs, 0.7)]
    assert len(expected) > 100
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    # A value that is no number is no face, and hides none.
    outputs[0][:, 0, 0] = np.nan
    without = [each for each in s3fd.decode(outputs, 0.7) if not math.isnan(each.score)]
    assert len(without) == len(slow_s3fd(outputs, softmax, 0.7)) >= len(found) - 1


def slow_texts(probabilities: np.ndarray, confidence: float) -> list[tuple[float, float]]:
    """Return the score and the area of each text.

    Parts are found by a search, and have no holes. Of their rectangles in all directions, the smallest counts.
    """
    left = {(int(y), int(x)) for y, x in np.argwhere(binary_fill_holes(probabilities > 0.3))}
    found = []
    while left:
        part, waiting = set(), deque([left.pop()])
        while waiting:
            y, x = waiting.popleft()
            part.add((y, x))
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= around
            waiting.extend(around)
        points = np.array([(x, y) for y, x in part], np.float64)
        if np.ptp(points, axis=0).min() == 0:
            continue
        corners = points[ConvexHull(points).vertices]
        sides = []
        for start, stop in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            along = (stop - start) / np.linalg.norm(stop - start)
            sides.append(tuple(np.ptp(corners @ axis) for axis in (along, (-along[1], along[0]))))
        width, height = min(sides, key=math.prod)
        score = np.mean([probabilities[cell] for cell in part])
        if min(width, height) >= 3 and score >= confidence:
            grown = 2 * (width * height * 1.5 / (2 * (width + height)))
            found.append((score, (width + grown) * (height + grown)))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_texts_are_those_that_slow_code_reads(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = np.zeros((120, 160), np.float32)
    for _ in range(12):
        centre, size, angle = generator.uniform((0, 0), (160, 120)), generator.uniform(1, 40, 2), generator.uniform(0, 180)
        corners = cv2.boxPoints((centre.tolist(), size.tolist(), angle))
        cv2.fillPoly(probabilities, [corners.astype(np.int32)], generator.uniform(0.35, 1))
    expected = sorted(slow_texts(probabilities, 0.5))
    found = list(text.decode([probabilities[None]], 0.5))
    areas = sorted((each.score, cv2.contourArea(each.outline.astype(np.float32))) for each in found if each.outline is not None)
    assert len(found) == len(areas) > 1
    np.testing.assert_allclose(areas, expected, rtol=1e-3)


def with_face(height: int, width: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return a picture of 128 pixels in which the network sees one face, and the box of the face."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[40:44, 60:64] = 230, 64, 32
    tall, wide = (4 * math.exp(level / 32) for level in (64, 32))
    return picture, (62 - wide / 2, 42 - tall / 2, 62 + wide / 2, 42 + tall / 2)


def close(region: Region, box: Sequence[float], tolerance: float = 0.01) -> bool:
    return bool(np.abs(np.array(region.box) - box).max() <= tolerance)


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("size", [(128, 128), (100, 128), (128, 72)])
def test_a_face_is_found_where_it_is_in_the_picture(faces: Path, size: tuple[int, int], factor: int) -> None:
    picture, box = with_face(*size)
    # Of the enlarged picture, the network gets back each pixel.
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    detector = opened(faces)
    (regions,) = detector.predict([picture])
    assert detector.labels == ["face"]
    assert [(region.label, region.rle) for region in regions] == [("face", None)]
    assert regions[0].score == pytest.approx(230 / 255, abs=1e-4)
    assert close(regions[0], [factor * side for side in box])
    # For each landmark, the network of the test states the levels of green and of blue.
    left, top, right, bottom = (factor * side for side in box)
    np.testing.assert_allclose(regions[0].points, [(left + 32 * (right - left), top + 64 * (bottom - top))] * 5, rtol=1e-5)


def test_each_picture_of_a_batch_gets_its_own_faces_in_any_order_and_size(faces: Path) -> None:
    seen, box = with_face(128, 128)
    pictures = [seen, np.zeros_like(seen), seen[:96], np.zeros((1, 1, 3), np.uint8), seen]
    found = list(opened(faces, batch=2).predict(pictures))
    assert [len(regions) for regions in found] == [1, 0, 1, 0, 1]
    assert all(close(regions[0], box) for regions in found if regions)


def test_a_box_ends_at_the_edge_of_the_picture(faces: Path) -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:4, 124:] = 255, 128, 128
    ((region,),) = opened(faces).predict([picture])
    side = 4 * math.exp(4) / 2
    assert close(region, (126 - side, 0, 128, 2 + side))


def test_faces_that_overlap_a_better_one_and_those_beyond_the_limit_are_left_out(faces: Path) -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    for number, (row, column) in enumerate([(40, 40), (40, 48), (40, 100), (100, 40), (100, 100)]):
        picture[row : row + 4, column : column + 4] = 250 - 10 * number, 64, 64
    ((*regions,),) = opened(faces, iou=0.3).predict([picture])
    assert [round(region.score * 255) for region in regions] == [250, 230, 220, 210]
    ((*regions,),) = opened(faces, iou=0.9, max_regions=3).predict([picture])
    assert [round(region.score * 255) for region in regions] == [250, 240, 230]


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("size", [(128, 128), (100, 128), (128, 72)])
def test_s3fd_finds_a_face_where_it_is_in_the_picture(size: tuple[int, int], softmax: bool, tmp_path: Path) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    picture[40:44, 60:64] = 123 + 64, 117 + 32, 104 + 112
    detector = opened(write_s3fd(tmp_path / "s3fd.onnx", softmax=softmax), confidence=0.6)
    assert detector.labels == ["face"]
    ((*regions,),) = detector.predict([picture.repeat(3, 0).repeat(3, 1)])
    x, y, half = 62 + 1.6, 42 + 1.6, 8 * math.exp(0.4)
    assert [(region.label, region.rle, region.points) for region in regions] == [("face", None, ())]
    assert close(regions[0], [3 * side for side in (x - half, y - half, min(x + half, size[1]), y + half)])
    likely = 112 / 128
    assert regions[0].score == pytest.approx(likely if softmax else 1 / (1 + math.exp(-2 * likely)), abs=1e-4)


@pytest.mark.parametrize("size", [32, 64, 96, 640])
def test_s3fd_is_recognised_however_it_pads(size: int) -> None:
    padded = [math.ceil(size / stride) for stride in (4, 8, 16)] + [size // 32 + 4]
    padded += [math.ceil(padded[3] / 2), math.ceil(math.ceil(padded[3] / 2) / 2)]
    bare = [math.ceil(size / stride) for stride in (4, 8, 16, 32, 64, 128)]
    for sides in (padded, bare):
        shapes = [(1, channels, side, side) for side in sides for channels in (2, 4)]
        assert s3fd.S3FD.returns(shapes, size)
        assert not s3fd.S3FD.returns(shapes[:-1], size)
        assert not s3fd.S3FD.returns([*shapes[1:], shapes[0]], size)
        assert not s3fd.S3FD.returns([*shapes[:-1], shapes[-1][:3]], size)
        for first in [
            (1, 2, 3 * size, 3 * size),
            (1, 3, *shapes[0][2:]),
            (1, 2, size // 4 - 1, size // 4),
            (2, *shapes[0][1:]),
        ]:
            assert not s3fd.S3FD.returns([first, *shapes[1:]], size)
    assert shapes == s3fd.S3FD.shapes(size)


def test_a_lack_of_memory_is_no_other_fault_of_the_model(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"^the GPU is out of memory: lower `batch` or `image_size` \(.*Failed to allocate"):
        list(opened(without_memory(write_centerface(tmp_path / "f.onnx"))).predict([np.zeros((64, 64, 3), np.uint8)]))


def test_a_box_that_is_no_number_is_no_face(tmp_path: Path) -> None:
    picture = np.full((64, 64, 3), 255, np.uint8)
    for path in (write_centerface(tmp_path / "a.onnx", math.nan), write_s3fd(tmp_path / "b.onnx", softmax=True, side=math.nan)):
        assert list(opened(path).predict([picture])) == [[]]


@pytest.mark.parametrize("shape", [(1, 1), (20, 20_000), (20_000, 20), (1, 5000), (7, 3)])
@pytest.mark.parametrize("level", [0, 255])
def test_pictures_of_any_shape_have_an_answer(
    faces: Path, texts: Path, shape: tuple[int, int], level: int, tmp_path: Path
) -> None:
    picture = np.full((*shape, 3), level, np.uint8)
    for path in (faces, texts, write_s3fd(tmp_path / "s3fd.onnx", softmax=True)):
        ((*regions,),) = opened(path).predict([picture])
        for region in regions:
            x0, y0, x1, y1 = region.box
            assert level and 0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]


@pytest.mark.parametrize("kind", ["grey", "CMYK", "EXIF"])
def test_grey_cmyk_and_turned_pictures_are_read_as_people_see_them(kind: str, faces: Path, texts: Path, tmp_path: Path) -> None:
    picture, box = with_face(100, 128)
    if kind == "grey":
        # Red, green and blue are equal, so that only the network of texts sees something of a known size.
        picture[:] = 0
        picture[40:60, 30:90] = 255
        Image.fromarray(picture[..., 0]).save(tmp_path / "a.png")
        ((region,),) = opened(texts).predict([read_image(tmp_path / "a.png")])
        assert close(region, (18.5, 28.5, 101.5, 71.5), 2)
        return
    if kind == "CMYK":
        Image.fromarray(picture).convert("CMYK").save(tmp_path / "a.tif")
    else:
        exif = Image.Exif()
        exif[274] = 6  # the top of the scene is at the right
        Image.fromarray(np.rot90(picture)).save(tmp_path / "a.tif", exif=exif)
    ((region,),) = opened(faces).predict([read_image(tmp_path / "a.tif")])
    assert close(region, box, 0.5)


def test_a_rotated_text_has_a_rotated_outline(texts: Path) -> None:
    picture = np.zeros((100, 128, 3), np.uint8)
    rectangle = ((64.0, 50.0), (60.0, 12.0), 30.0)
    blue = np.zeros((100, 128), np.uint8)
    cv2.fillPoly(blue, [np.round(cv2.boxPoints(rectangle)).astype(np.int32)], 255)
    picture[..., 2] = blue
    ((region,),) = opened(texts).predict([picture.repeat(2, 0).repeat(2, 1)])
    grown = 2 * 1.5 * 60 * 12 / (2 * 72)
    mask = decode_rle(str(region.rle), 200, 256)
    turn = math.radians(30)
    expected = np.zeros_like(mask)
    for y in range(200):
        for x in range(256):
            across, down = (x + 0.5) / 2 - 64.5, (y + 0.5) / 2 - 50.5
            along, beside = across * math.cos(turn) + down * math.sin(turn), down * math.cos(turn) - across * math.sin(turn)
            expected[y, x] = 255 * (abs(along) <= 30 + grown / 2 and abs(beside) <= 6 + grown / 2)
    assert (mask & expected).sum() / (mask | expected).sum() > 0.9
    rows, columns = np.nonzero(mask)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((2 * 64.5, 2 * 50.5), abs=0.2)
    assert region.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert region.label == "text" and region.score == 1


def other_model(path: Path, channels: int, inputs: int = 1) -> Path:
    names = [f"x{number}" for number in range(inputs)]
    nodes = [helper.make_node("Concat", ["x0"] * channels, ["out"], axis=1)]
    shape = ["n", 3, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3 * channels, "h", "w"])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("inputs", "has"), [(1, r"\(1, 6, 32, 32\)"), (2, "that need other inputs")])
def test_a_model_of_another_kind_is_refused_with_what_is_expected(inputs: int, has: str, tmp_path: Path) -> None:
    path = other_model(tmp_path / "other.onnx", 2, inputs)
    expected = r"\(1, 1, 8, 8\), \(1, 2, 8, 8\), \(1, 2, 8, 8\), \(1, 10, 8, 8\) as CenterFace; or \(1, 1, 32, 32\) as"
    with pytest.raises(TesseraError, match=rf"other\.onnx: .* outputs of the shapes {has}; expected are {expected}") as raised:
        opened(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07"])
def test_a_damaged_model_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(TesseraError, match=r"a\.onnx"):
        opened(tmp_path / "a.onnx")
