"""Landmarks of faces: found where slow code finds them, in any picture, by models in ONNX and TorchScript and no others."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.core.settings import load
from tessera.imaging.boxes import Box
from tessera.imaging.images import read_image
from tessera.learning.landmark_settings import LandmarkSettings, Turn
from tessera.learning.landmarks import FaceInPicture, LandmarkModel, cut, read_heatmaps, unturned
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.fetch import fetch_weights

SIZE = 64
TURNS: tuple[Turn, ...] = (0, 90, 180, 270)


def opened(path: Path, **settings: Any) -> LandmarkModel:
    return LandmarkModel(path, sha256_file(path), LandmarkSettings(**{"size": SIZE, **settings}))


class Network(torch.nn.Module):
    """A convolution drawn at random, whose output is 68 heatmaps of 16 by 16 cells, or coordinates of the `shape`."""

    def __init__(self, shape: tuple[int, ...] = (), seed: int = 0) -> None:
        super().__init__()
        self.shape = list(shape)
        kernel, channels = (SIZE, math.prod(shape)) if shape else (4, 68)
        self.convolution = torch.nn.Conv2d(3, channels, kernel, kernel)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.convolution.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.convolution(x)
        return y.reshape([-1, *self.shape]) if self.shape else y


def write(network: Network, path: Path, batch: int | str = "n") -> Path:
    """Write `network` to `path` in the format of its suffix, and return the path. `batch`: what ONNX states of its input."""
    if path.suffix != ".onnx":
        torch.jit.trace(network, torch.zeros(2, 3, SIZE, SIZE)).save(path)
        return path
    shape = network.shape or [68, 16, 16]
    kernel = SIZE if network.shape else 4
    weights = dict(network.convolution.named_parameters())
    nodes = [
        helper.make_node("Conv", ["x", "weight", "bias"], ["y"], kernel_shape=[kernel] * 2, strides=[kernel] * 2),
        helper.make_node("Reshape", ["y", "shape"], ["out"]),
    ]
    constants = [numpy_helper.from_array(value.detach().numpy(), name) for name, value in weights.items()]
    constants.append(numpy_helper.from_array(np.array([-1, *shape]), "shape"))
    return save(path, nodes, {"out": [batch, *shape]}, constants, batch)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    outputs: dict[str, list[Any]],
    constants: Sequence[onnx.TensorProto] = (),
    batch: int | str = "n",
    inputs: Sequence[str] = ("x",),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "landmarks",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3, SIZE, SIZE]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def slow_crop(picture: np.ndarray, area: Sequence[int]) -> np.ndarray:
    """Return the pixels of the `area`, black outside of the picture, scaled by OpenCV: float32 (SIZE, SIZE, 3)."""
    x0, y0, x1, y1 = area
    part = np.zeros((y1 - y0, x1 - x0, 3), np.float32)
    for y in range(y0, y1):
        for x in range(x0, x1):
            if 0 <= y < picture.shape[0] and 0 <= x < picture.shape[1]:
                part[y - y0, x - x0] = picture[y, x]
    return cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def slow_fan(picture: np.ndarray, box: Box, network: Network) -> np.ndarray:
    """Return the landmarks that FAN's rules give: its scale has a reference of 195, its transform one of 200."""
    x0, y0, x1, y1 = box
    scale = (x1 - x0 + y1 - y0) / 195
    x, y = (x0 + x1) / 2, (y0 + y1) / 2 - 0.12 * (y1 - y0)

    def to_picture(point: tuple[float, float], resolution: int) -> tuple[float, float]:
        across, down = (coordinate / resolution - 0.5 for coordinate in point)
        return x + across * 200 * scale, y + down * 200 * scale

    area = [int(side) for corner in ((1, 1), (SIZE, SIZE)) for side in to_picture(corner, SIZE)]
    pixels = torch.tensor(slow_crop(picture, area) / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        maps = network(pixels)[0].numpy()
    return np.array([to_picture(slow_point(each), 16) for each in maps])


def slow_point(heatmap: np.ndarray) -> tuple[float, float]:
    """Return where the `heatmap` is highest, x and y in cells."""
    height, width = heatmap.shape
    best = (0, 0)
    for row in range(height):
        for column in range(width):
            if heatmap[row, column] > heatmap[best]:
                best = row, column
    row, column = best
    x, y = column + 0.5, row + 0.5
    if 0 < row < height - 1 and 0 < column < width - 1:
        right, left = heatmap[row, column + 1], heatmap[row, column - 1]
        below, above = heatmap[row + 1, column], heatmap[row - 1, column]
        x += 0.25 if right > left else -0.25 if right < left else 0
        y += 0.25 if below > above else -0.25 if below < above else 0
    return x, y


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


BOXES: list[Box] = [
    (40, 30, 100, 105),
    (20.3, 11.9, 70.7, 66.2),
    (-20, -30.5, 40, 30),
    (100, 80, 190, 160),
    (-50, -50, 300, 200),
]


@pytest.mark.parametrize("batch", [1, 2, 16])
@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_landmarks_are_those_that_slow_code_finds(suffix: str, batch: int, tmp_path: Path) -> None:
    network = Network()
    model = opened(write(network, tmp_path / f"a{suffix}"), batch=batch)
    pictures = [noise(120, 160, seed) for seed in range(len(BOXES))]
    found = list(model.locate(map(FaceInPicture, pictures, BOXES)))
    assert [(each.shape, each.dtype) for each in found] == [((68, 2), np.float64)] * len(BOXES)
    for each, picture, box in zip(found, pictures, BOXES, strict=True):
        np.testing.assert_allclose(each, slow_fan(picture, box, network), atol=1e-9)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (5, 9), (1, 1), (2, 3)])
def test_heatmaps_are_read_as_slow_code_does(size: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).integers(0, 50, (3, 68, *size)).astype(np.float32)
    expected = [[slow_point(heatmap) for heatmap in face] for face in maps]
    np.testing.assert_allclose(read_heatmaps(maps) * (size[1], size[0]), expected, atol=1e-12)


@pytest.mark.parametrize("unit", ["fractions", "pixels"])
@pytest.mark.parametrize("shape", [(68, 2), (68, 3), (136,)])
@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_coordinates_refer_to_the_square_around_the_box(suffix: str, shape: tuple[int, ...], unit: str, tmp_path: Path) -> None:
    network = Network(shape)
    colours: dict[str, Any] = {"channels": "BGR", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    model = opened(write(network, tmp_path / f"a{suffix}"), crop="square", factor=2, coordinates=unit, **colours)
    picture = noise(120, 160)
    (found,) = model.locate([FaceInPicture(picture, (50, 40, 90, 80))])
    pixels = (slow_crop(picture, (30, 20, 110, 100)) / 255 - colours["mean"]) / colours["std"]
    with torch.no_grad():
        (stated,) = network(torch.tensor(pixels[..., ::-1].copy(), dtype=torch.float32).permute(2, 0, 1)[None]).numpy()
    expected = [(30, 20) + 80 * np.array(point[:2]) / (SIZE if unit == "pixels" else 1) for point in stated.reshape(68, -1)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("turned", TURNS)
def test_the_turn_of_a_picture_is_undone(turned: Turn) -> None:
    rows, columns = np.mgrid[:5, :8]
    where = np.stack([columns, rows], axis=-1) + 0.5  # the middle of each pixel
    after = np.rot90(where, turned // 90)
    points = np.array([(x + 0.5, y + 0.5) for y in range(after.shape[0]) for x in range(after.shape[1])])
    np.testing.assert_array_equal(unturned(points, turned, 5, 8), after.reshape(-1, 2))


@pytest.mark.parametrize("turned", TURNS)
def test_landmarks_of_a_turned_picture_are_where_the_face_is(turned: Turn, tmp_path: Path) -> None:
    """All 68 heatmaps are highest at the one bright spot of a picture that is not square."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["grey"], axes=[1]),
        helper.make_node("Concat", ["grey"] * 68, ["maps"], axis=1),
    ]
    model = opened(save(tmp_path / "spot.onnx", nodes, {"maps": ["n", 68, SIZE, SIZE]}))
    picture = np.zeros((300, 200, 3), np.uint8)
    picture[212:214, 62:64] = 255
    (found,) = model.locate([FaceInPicture(picture, (40, 190, 80, 240), turned)])
    np.testing.assert_allclose(found, [(63, 213)] * 68, atol=2)


@pytest.mark.parametrize("turned", TURNS)
def test_the_model_gets_the_face_as_the_detector_did(turned: Turn) -> None:
    picture, settings = noise(120, 160), LandmarkSettings(size=SIZE)
    given = np.ascontiguousarray(np.rot90(picture, turned // 90))
    box = (20.0, 30.0, 75.0, 95.0)  # in the picture that the detector got
    corners = unturned(np.array([box[:2], box[2:]]), turned, 120, 160)
    x0, y0, x1, y1 = *corners.min(axis=0), *corners.max(axis=0)
    crop = cut(FaceInPicture(picture, (x0, y0, x1, y1), turned), settings)
    np.testing.assert_array_equal(crop.pixels, cut(FaceInPicture(given, box), settings).pixels)


def test_of_several_outputs_the_heatmaps_of_the_last_stage_count(tmp_path: Path) -> None:
    class Stages(torch.nn.Module):
        def __init__(self, order: str) -> None:
            super().__init__()
            self.order = order
            self.parts = torch.nn.ModuleDict({"p": Network((68, 3)), "a": Network(seed=1), "b": Network(seed=2)})

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [self.parts[name](x) for name in self.order]

    face = FaceInPicture(noise(120, 160), BOXES[0])
    for order, last in [("ab", 2), ("pba", 1), ("abp", 2)]:
        torch.jit.trace(Stages(order), torch.zeros(2, 3, SIZE, SIZE), strict=False).save(tmp_path / "a.pt")
        (found,) = opened(tmp_path / "a.pt").locate([face])
        np.testing.assert_allclose(found, slow_fan(face.picture, face.box, Network(seed=last)), atol=1e-9)


NOTHING: list[Box] = [
    *((10, 10, 10, 40), (10, 10, 40, 10), (30, 30, 10, 10), (50, 50, 50, 50)),  # without an area
    *((500, 10, 560, 60), (-90, 10, 0, 60), (10, 120, 60, 180)),  # outside
    *((math.nan, 0, 50, 50), (0, 0, math.inf, 50), (-math.inf, -math.inf, math.inf, math.inf), (-1e308, -1e308, 1e308, 1e308)),
    (50.3, 50.3, 50.4, 50.4),  # less than a pixel, also with what is around it
]


@pytest.mark.parametrize("crop", ["fan", "square"])
def test_a_box_without_a_face_to_see_has_no_landmarks_and_changes_no_others(crop: str, tmp_path: Path) -> None:
    network, picture = Network(), noise(120, 160)
    model = opened(write(network, tmp_path / "a.onnx"), crop=crop)
    good = FaceInPicture(picture, BOXES[0])
    (alone,) = model.locate([good])
    # A square may be less than a pixel: what is there is seen.
    nothing = NOTHING if crop == "fan" else NOTHING[:-1]
    found = list(model.locate(face for box in nothing for face in (FaceInPicture(picture, box), good)))
    assert len(found) == 2 * len(nothing)
    assert all(np.isnan(each).all() for each in found[::2])
    for each in found[1::2]:
        np.testing.assert_allclose(each, alone, atol=1e-9)
    assert list(model.locate([])) == []


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-1e6, -1e6, 1e6, 1e6), (-1e12, 0, 1e12, 1), (0.2, 0.2, 0.8, 0.8)])
def test_pictures_of_one_pixel_and_huge_boxes_have_an_answer(box: Box, tmp_path: Path) -> None:
    for crop in ("fan", "square"):
        model = opened(write(Network(), tmp_path / "a.onnx"), crop=crop)
        for picture in (np.full((1, 1, 3), 255, np.uint8), noise(1, 300), noise(300, 1)):
            (found,) = model.locate([FaceInPicture(picture, box)])
            assert found.shape == (68, 2) and np.isfinite(found).all() != np.isnan(found).all()


def test_a_grey_file_is_seen_as_it_is(tmp_path: Path) -> None:
    network = Network()
    grey = noise(120, 160)[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    (found,) = opened(write(network, tmp_path / "a.pt")).locate([FaceInPicture(read_image(tmp_path / "a.png"), BOXES[0])])
    np.testing.assert_allclose(found, slow_fan(np.stack([grey] * 3, axis=-1), BOXES[0], network), atol=1e-9)


def test_a_crop_at_the_edge_is_not_moved_into_the_picture() -> None:
    """Its framing is that of other faces, with black beside the picture."""
    picture = np.full((100, 100, 3), 255, np.uint8)
    crop = cut(FaceInPicture(picture, (-20, 30, 20, 70)), LandmarkSettings(size=SIZE, crop="square", factor=2))
    assert (crop.origin.tolist(), crop.side) == ([-40, 10], 80)
    np.testing.assert_array_equal(crop.pixels[:, :, : SIZE // 2 - 1], 0)
    np.testing.assert_array_equal(crop.pixels[:, :, SIZE // 2 + 1 :], 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("shape", [(), (68, 2)])
def test_numbers_that_are_not_finite_are_no_landmarks(shape: tuple[int, ...], value: float, tmp_path: Path) -> None:
    network = Network(shape)
    assert network.convolution.bias is not None
    network.convolution.bias.data[5] = value
    (found,) = opened(write(network, tmp_path / "a.pt")).locate([FaceInPicture(noise(120, 160), BOXES[0])])
    assert np.isnan(found).all()
    # One cell is enough.
    maps = np.zeros((1, 68, 8, 8), np.float32)
    maps[0, 3, 2, 2] = math.nan
    assert np.isnan(read_heatmaps(maps)[0, 3]).all() and np.isfinite(np.delete(read_heatmaps(maps)[0], 3, 0)).all()


def test_a_model_that_takes_one_face_at_a_time_gets_one(tmp_path: Path) -> None:
    network, pictures = Network(), [noise(120, 160, seed) for seed in range(3)]
    model = opened(write(network, tmp_path / "a.onnx", batch=1))
    for found, picture in zip(model.locate(FaceInPicture(each, BOXES[1]) for each in pictures), pictures, strict=True):
        np.testing.assert_allclose(found, slow_fan(picture, BOXES[1], network), atol=1e-9)


EXPECTED = rf"expected is .* \(faces, 3, {SIZE}, {SIZE}\), and returns heatmaps \(faces, 68, height, width\) or coordinates"


@pytest.mark.parametrize(
    ("shape", "stated"),
    [
        ((136, 1), "136, 1"),
        ((98, 2), "98, 2"),
        ((68,), "68"),
        ((68, 4), "68, 4"),
        ((10, 2, 2), "10, 2, 2"),
        ((70, 2, 2), "70, 2, 2"),
    ],
)
def test_other_outputs_are_refused_with_what_is_expected(shape: tuple[int, ...], stated: str, tmp_path: Path) -> None:
    for suffix in (".onnx", ".pt"):
        path = write(Network(shape), tmp_path / f"other{suffix}")
        with pytest.raises(
            TesseraError, match=rf"other{suffix} cannot .* of the shapes \(1, {stated}\)\); {EXPECTED}"
        ) as raised:
            opened(path)
        assert "\n" not in str(raised.value)


def one_row(path: Path) -> Path:
    """A model that returns the landmarks of one face, whatever it gets."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Expand", ["mean", "to"], ["out"]),
    ]
    return save(path, nodes, {"out": [1, 68, 2]}, [numpy_helper.from_array(np.array([1, 68, 2]), "to")])


def test_a_model_that_returns_less_than_a_row_for_each_face_is_named(tmp_path: Path) -> None:
    model = opened(one_row(tmp_path / "one.onnx"))
    face = FaceInPicture(noise(120, 160), BOXES[0])
    assert len(list(model.locate([face]))) == 1
    with pytest.raises(TesseraError, match=r"one\.onnx cannot .* of the shapes \(1, 68, 2\)"):
        list(model.locate([face, face]))


def two_inputs(path: Path) -> Path:
    return save(path, [helper.make_node("Add", ["x", "y"], ["out"])], {"out": ["n", 3, SIZE, SIZE]}, inputs=("x", "y"))


def no_tensor(path: Path) -> Path:
    class Number(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> int:
            return len(x)

    torch.jit.script(Number()).save(path)
    return path


def checkpoint(path: Path) -> Path:
    torch.save(Network().state_dict(), path)
    return path


def damaged(path: Path) -> Path:
    path.write_bytes(write(Network(), path.with_name(f"whole{path.suffix}")).read_bytes()[:-400])
    return path


@pytest.mark.parametrize(
    ("make", "suffix"), [(two_inputs, ".onnx"), (no_tensor, ".pt"), (checkpoint, ".pt"), (damaged, ".onnx"), (damaged, ".pt")]
)
def test_what_is_no_model_of_landmarks_is_refused(make: Callable[[Path], Path], suffix: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=rf"a{suffix}.* declare another") as raised:
        opened(make(tmp_path / f"a{suffix}"))
    assert "\n" not in str(raised.value)


def test_a_model_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"expected is .* 128 by 128 pixels .* set `landmarks.size`"):
        opened(write(Network(), tmp_path / "a.onnx"), size=128)


def test_a_file_of_torchscript_is_fetched_and_verified(tmp_path: Path) -> None:
    source = write(Network(), tmp_path / "2DFAN4.zip")
    weights = WeightsSettings(source=str(source), sha256=sha256_file(source))
    path = tmp_path / Path(weights.file).name
    fetch_weights(weights, path)
    assert list(LandmarkModel(path, weights.sha256, LandmarkSettings(weights=weights, size=SIZE)).locate([])) == []
    with pytest.raises(TesseraError, match="is expected"):
        LandmarkModel(path, "0" * 64, LandmarkSettings(size=SIZE))


@pytest.mark.parametrize("fault", [{"size": 0}, {"std": [1, 0, 1]}, {"factor": 0}, {"crop": "dlib"}, {"channels": "GRB"}])
def test_wrong_settings_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(TesseraError, match=next(iter(fault))):
        load(LandmarkSettings, fault, "settings")
