"""Each score measures what its name says, over the whole clip without its padding."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from clip_tables import clip, write_clips
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.masks import encode_rle
from tessera.imaging.sharpness import luma, sharpness
from tessera.imaging.video import read_frames, read_packets
from tessera.records.clips import frames_to_measure
from tessera.records.tables.clips import Scores
from tessera.records.tables.table import read_table
from tessera.stages.clips import scores
from tessera.stages.clips.scoring import score_clips

MEDIA = Path(__file__).parents[5] / "shared" / "media"
needs_footage = pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")
DEFAULTS: dict[str, Any] = {"samples": 16, "threads": 2}


def scene(height: int = 160, width: int = 240, seed: int = 0) -> np.ndarray:
    """Return a picture of soft shapes with fine grain, as footage has them."""
    random = np.random.default_rng(seed)
    coarse = random.integers(30, 220, (height // 20 + 2, width // 20 + 2, 3), np.uint8)
    shapes = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return (shapes + random.normal(0, 3, (height, width, 1))).clip(0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def run(folder: Path, **arguments: Any) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[str, str]]]:
    """Score the clips in `folder`; return the scores and the ledger by key."""
    given = {"detectors": {}, "quality": None, **DEFAULTS, **arguments}
    outputs = folder / "scores.parquet", folder / "scores.jsonl"
    detectors, quality = given.pop("detectors"), given.pop("quality")
    tables = folder / "clips.parquet", folder / "scene_frames.parquet"
    score_clips(*tables, folder / "images", detectors, quality, *outputs, **given)
    rows = {row["key"]: row for row in read_table(outputs[0], Scores).to_dicts()}
    return rows, {row["key"]: (row["status"], row["reason"]) for row in read_ledger(outputs[1])}


def test_a_mask_jumps_as_much_as_its_worst_pair_of_frames() -> None:
    random = np.random.default_rng(0)
    masks = [np.zeros((40, 60), np.uint8) for _ in range(5)]
    for mask in masks:
        x, y = random.integers(0, 20, 2)
        mask[y : y + 15, x : x + 25] = 1
    rles = [encode_rle(mask) for mask in masks]
    overlaps = [(first & second).sum() / (first | second).sum() for first, second in pairwise(masks)]
    assert scores.jump(rles, 40, 60) == pytest.approx(1 - min(overlaps))
    assert scores.jump(rles[:1], 40, 60) == 0 == scores.jump([rles[0]] * 3, 40, 60)


def test_sharpness_equals_its_definition() -> None:
    image = scene(256, 200)
    levels = np.pad(luma(image).astype(int), 1, mode="reflect")
    laplacian = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * levels[1:-1, 1:-1]
    assert sharpness(luma(image)) == pytest.approx(laplacian.var(), rel=1e-6)


def test_blur_lowers_sharpness_and_size_hardly_matters() -> None:
    image = scene(512, 512)
    blurred = [sharpness(luma(cv2.GaussianBlur(image, (0, 0), sigma))) for sigma in (0.5, 1, 2, 4, 8)]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[0] > 8 * blurred[-1]
    smooth = cv2.GaussianBlur(image, (0, 0), 6)
    half = cv2.resize(smooth, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert sharpness(luma(half)) == pytest.approx(sharpness(luma(smooth)), rel=0.1)


def test_brightness_and_what_is_clipped() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, :5], image[:, 5:15] = 255, 128
    assert scores.brightness(luma(image)) == pytest.approx((5 * 255 + 10 * 128) / 20 / 255)
    assert scores.clipped(luma(image)) == 0.5
    assert [scores.clipped(np.full((4, 4), level, np.uint8)) for level in (0, 8, 9, 246, 247, 255)] == [1, 1, 0, 0, 1, 1]


def plain_blockiness(image: np.ndarray) -> float:
    """Return the blockiness by its definition, step by step."""
    sides = []
    for levels in (luma(image).astype(float), luma(image).astype(float).T):
        steps: list[list[float]] = [[] for _ in range(8)]
        for row in levels:
            for x in range(1, len(row) - 2):
                before, step, after = (abs(row[x + i + 1] - row[x + i]) for i in (-1, 0, 1))
                steps[x % 8].append(np.log1p(min(max(0.0, step - (before + after) / 2), 127.5)))
        # The mean over columns does not depend on how many there are at each offset.
        means = [float(np.mean(offset_steps)) for offset_steps in steps]
        sides.append((max(means) + 1e-6) / ((sum(means) - max(means)) / 7 + 1e-6))
    return float(np.mean(sides))


def test_blockiness_equals_its_definition() -> None:
    image = jpeg(scene(40, 51), 30)
    assert scores.blockiness(luma(image)) == pytest.approx(plain_blockiness(image), rel=1e-4)


@pytest.mark.parametrize("offset", [(0, 0), (3, 6), (7, 1)])
def test_a_poorer_jpeg_is_blockier_at_any_offset_of_the_crop(offset: tuple[int, int]) -> None:
    y, x = offset
    image = scene(200, 200)
    values = [scores.blockiness(luma(jpeg(image, quality)[y:, x:])) for quality in (90, 70, 50, 30, 15, 5)]
    assert values == sorted(values)
    assert scores.blockiness(luma(image[y:, x:])) < 1.1 < 2.5 < values[-1]


@needs_footage
@pytest.mark.parametrize("name", ["dog.mp4", "tennis/tennis.mp4"])
def test_poor_jpegs_and_poor_videos_of_real_footage_are_blockier(name: str, tmp_path: Path) -> None:
    from tessera.imaging.encode import write_video

    path = MEDIA / name
    footage = [frame.image() for frame in read_frames(path, read_packets(path), range(4))]

    def h264(quality: int) -> np.ndarray:
        write_video(tmp_path / "poor.mp4", footage, 30, quality=quality)
        return next(read_frames(tmp_path / "poor.mp4", read_packets(tmp_path / "poor.mp4"), [3])).image()

    crop = np.s_[5:230, 5:330]
    for made, settings in ((lambda quality: jpeg(footage[3], quality), (85, 60, 35, 10)), (h264, (18, 30, 38, 46))):
        values = [scores.blockiness(luma(made(setting)[crop])) for setting in settings]
        assert values == sorted(values)
        assert values[-1] > 1.5 * values[0]


def test_pictures_of_one_colour_and_tiny_pictures_have_scores() -> None:
    for shape in ((1, 1), (1, 300), (300, 1), (8, 8), (64, 64)):
        grey = np.full(shape, 128, np.uint8)
        assert scores.blockiness(grey) == 1.0
        assert sharpness(grey) == 0.0
        assert scores.motion(scores.thumbnail(grey), scores.thumbnail(grey), 0.1) == 0.0


@given(shift=st.integers(0, 12), seconds=st.sampled_from([0.04, 0.1, 0.5]))
def test_motion_is_the_distance_that_a_picture_moves_per_second(shift: int, seconds: float) -> None:
    image = scene(200, 240)
    first, second = (scores.thumbnail(luma(image[:, left : left + 200])) for left in (20, 20 + shift))
    assert scores.motion(first, second, seconds) == pytest.approx(shift / 200 / seconds, abs=0.005 / seconds)


@given(st.integers(1, 2000), st.integers(2, 64), st.integers(1, 300))
def test_samples_are_evenly_spaced_but_for_the_first_after_each_keyframe(count: int, samples: int, every: int) -> None:
    indices = frames_to_measure(np.arange(count) % every == 0, samples)
    assert indices == sorted(set(indices))
    assert len(indices) == min(count, samples)
    even = sorted({round(index) for index in np.linspace(0, count - 1, len(indices)).tolist()})
    for number, (index, due) in enumerate(zip(indices, even, strict=True)):
        keyframe = due - due % every
        moves = due > keyframe and (not number or even[number - 1] < keyframe)
        assert index == (keyframe + 1 if moves else due)


def test_each_sample_of_a_long_clip_needs_little_decoding() -> None:
    indices = frames_to_measure(np.arange(240) % 15 == 0, 16)
    assert indices[0] == 0
    assert [index % 15 for index in indices[1:]] == [1] * 15


def moving(count: int, step: int, size: int = 96) -> list[np.ndarray]:
    """Return pictures of a scene that moves by `step` pixels from each to the next."""
    wide = scene(size, size + count * step + 1)
    return [wide[:, step * number : step * number + size] for number in range(count)]


def test_a_clip_gets_every_score(tmp_path: Path) -> None:
    pictures = moving(61, 1)
    write_clips(tmp_path, [clip("a-0000000-1", 61, (96, 96))], {"a-0000000-1": pictures})
    rows, ledger = run(tmp_path)
    assert ledger == {"a-0000000-1": ("ok", "")}
    (row,) = rows.values()
    decoded = [
        f.image()
        for f in read_frames(tmp_path / "images" / "a-0000000-1.mp4", read_packets(tmp_path / "images" / "a-0000000-1.mp4"))
    ]
    measured = decoded[::4]
    assert row["looked"] == len(measured) == 16
    for measure in (sharpness, scores.brightness, scores.clipped, scores.blockiness):
        assert row[measure.__name__] == pytest.approx(np.median([measure(luma(image)) for image in measured]), abs=1e-6)
    assert row["hashes"] == [perceptual_hash(luma(image)) for image in measured]
    assert row["motion"] == pytest.approx(30 / 96, rel=0.1)
    assert all(
        row[name] is None for name in ("watermark", "mosaic", "nsfw", "nsfw_classes", "aesthetic", "technical", "quality")
    )


def test_motion_does_not_depend_on_the_rate(tmp_path: Path) -> None:
    fast = moving(61, 1)
    keys = {"a-0-1": (fast, 60.0), "b-0-1": (fast[::2], 30.0), "c-0-1": (fast[::4], 15.0), "d-0-1": (fast[:1] * 30, 30.0)}
    clips = [clip(key, len(pictures), (96, 96), rate) for key, (pictures, rate) in keys.items()]
    write_clips(tmp_path, clips, {key: pictures for key, (pictures, _) in keys.items()})
    speeds = [row["motion"] for row in run(tmp_path)[0].values()]
    assert speeds[:3] == pytest.approx([60 / 96] * 3, rel=0.12)
    assert speeds[3] < 0.01


@dataclass
class Seen:
    label: str


class Eye:
    """A detector of the colour of pictures that records its inputs."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def predict(self, images: Iterable[np.ndarray]) -> Iterator[Sequence[Seen]]:
        for image in images:
            self.shown.append(image)
            red, _, blue = image.reshape(-1, 3).mean(axis=0)
            yield [Seen("red")] * bool(red > 100) + [Seen("blue")] * bool(blue > 100)


def colours(*parts: tuple[tuple[int, int, int], int]) -> list[np.ndarray]:
    return [np.full((64, 64, 3), colour, np.uint8) for colour, count in parts for _ in range(count)]


def test_detectors_are_loaded_once_and_score_the_fraction_of_frames_with_a_detection(tmp_path: Path) -> None:
    red, blue, black = (250, 0, 0), (0, 0, 250), (0, 0, 0)
    keys = {"a-0-1": colours((red, 15), (black, 15)), "b-0-1": colours((black, 29), (blue, 1))}
    write_clips(tmp_path, [clip(key) for key in keys], keys)
    eyes: list[Eye] = []

    def load() -> Eye:
        eyes.append(Eye())
        return eyes[-1]

    rows, _ = run(tmp_path, detectors={"watermark": load, "nsfw": load}, samples=10)
    assert len(eyes) == 2
    assert [len(eye.shown) for eye in eyes] == [20, 20]
    assert [row["watermark"] for row in rows.values()] == [0.5, 0.1]
    # The last frame is measured.
    assert [row["mosaic"] for row in rows.values()] == [None, None]
    assert [(row["nsfw"], row["nsfw_classes"]) for row in rows.values()] == [(0.5, ["red"]), (0.1, ["blue"])]


def test_no_model_is_loaded_if_there_is_no_clip(tmp_path: Path) -> None:
    def fail() -> Any:
        raise AssertionError

    write_clips(tmp_path, [], {})
    assert run(tmp_path, detectors={"nsfw": fail}, quality=tmp_path / "none.onnx") == ({}, {})


def test_padding_does_not_change_scores(tmp_path: Path) -> None:
    pictures = [picture[: 90 - number % 7, : 96 - number % 5] for number, picture in enumerate(moving(30, 1))]
    rows = []
    for background in (0, 255):
        padded, pads = [], []
        for picture in pictures:
            height, width = picture.shape[:2]
            top, left = (128 - height) // 2, (144 - width) // 3
            canvas = np.full((128, 144, 3), background, np.uint8)
            canvas[top : top + height, left : left + width] = picture
            padded.append(canvas)
            pads.append([top, 128 - top - height, left, 144 - left - width])
        folder = tmp_path / str(background)
        # Lossless, because a codec would smear the padding into the picture.
        write_clips(folder, [clip("a-0-1", 30, (144, 128), pads=pads)], {})
        lossless(folder / "images" / "a-0-1.mp4", padded)
        eye = Eye()
        rows.append((run(folder, detectors={"nsfw": lambda eye=eye: eye})[0]["a-0-1"], eye))
    (black, saw_black), (white, saw_white) = rows
    assert black == white
    for on_black, on_white, index in zip(
        saw_black.shown, saw_white.shown, frames_to_measure(np.arange(30) == 0, 16), strict=True
    ):
        assert on_black.shape == pictures[index].shape
        np.testing.assert_array_equal(on_black, on_white)


def lossless(path: Path, pictures: Sequence[np.ndarray]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=30, options={"qp": "0"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "rgb24"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def test_an_unreadable_clip_is_a_row_and_the_others_are_measured(tmp_path: Path) -> None:
    good = colours(((90, 90, 90), 30))
    clips = [clip("gone-0-1"), clip("short-0-1", 31), clip("small-0-1", 30, (66, 64)), clip("text-0-1"), clip("good-0-1")]
    clips.append(clip("padding-0-1", pads=[[32, 32, 0, 0]] * 30))
    write_clips(tmp_path, clips, dict.fromkeys(("short-0-1", "small-0-1", "good-0-1", "padding-0-1"), good))
    (tmp_path / "images" / "text-0-1.mp4").write_text("no video")
    rows, ledger = run(tmp_path)
    assert list(rows) == ["good-0-1"]
    assert ledger == {
        "gone-0-1": ("failed", "missing"),
        "short-0-1": ("failed", "clip is not as its table says"),
        "small-0-1": ("failed", "clip is not as its table says"),
        "text-0-1": ("failed", "not a media file"),
        "good-0-1": ("ok", ""),
        "padding-0-1": ("failed", "clip is not as its table says"),
    }


def test_a_clip_of_one_frame_of_odd_size_is_measured(tmp_path: Path) -> None:
    write_clips(tmp_path, [clip("a-0-1", 1, (33, 21))], {"a-0-1": [scene(21, 33)]})
    rows, _ = run(tmp_path)
    assert rows["a-0-1"]["looked"] == 1
    assert rows["a-0-1"]["motion"] == 0.0


def tiny_dover(path: Path, edit: Callable[[dict[str, Any]], None] = lambda parts: None) -> Path:
    """Write a model with the inputs and outputs of DOVER. Its scores are the mean of its input, the aesthetic one negated."""
    import onnx
    from onnx import TensorProto, helper

    parts: dict[str, Any] = {
        "aes_view": [1, 3, 4, 224, 224],
        "tech_view": [2, 3, "frames", 224, 224],
        "type": TensorProto.FLOAT,
        "outputs": ["a", "t"],
    }
    edit(parts)
    kind, outputs = parts.pop("type"), parts.pop("outputs")
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name, shape in parts.items()]
    first, *_, last = parts
    nodes = [
        helper.make_node("ReduceMean", [first], ["mean"], keepdims=0),
        helper.make_node("Neg", ["mean"], ["a"]),
        helper.make_node("ReduceMean", [last], ["t"], keepdims=0),
    ]
    results = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    graph = helper.make_graph(nodes, "dover", inputs, results)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def test_quality_is_that_of_the_model_fused_as_published(tmp_path: Path) -> None:
    black, grey = (0, 0, 0), (128, 128, 128)
    keys = {"a-0-1": colours((grey, 30)), "b-0-1": colours((black, 3))}
    write_clips(tmp_path, [clip("a-0-1"), clip("b-0-1", 3)], keys)
    rows, _ = run(tmp_path, quality=tiny_dover(tmp_path / "dover.onnx"))
    mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    for key, level in (("a-0-1", 128), ("b-0-1", 0)):
        due = float(((level - mean) / deviation).mean())
        row = rows[key]
        assert row["aesthetic"] == pytest.approx(-due, abs=0.03)
        assert row["technical"] == pytest.approx(due, abs=0.03)
        t, a = (row["technical"] - 0.1107) / 0.07355, (row["aesthetic"] + 0.08285) / 0.03774
        assert row["quality"] == pytest.approx(1 / (1 + np.exp(-(0.6104 * t + 0.3896 * a))), abs=1e-4)


def test_each_input_of_the_quality_model_gets_its_view(tmp_path: Path) -> None:
    inside = np.arange(476) % 68
    # White in the middle of each of 7 by 7 cells, which the patches consist of.
    white = (inside >= 14) & (inside < 54)
    picture = np.repeat((white & white[:, None])[..., None] * np.uint8(255), 3, axis=2)
    write_clips(tmp_path, [clip("a-0-1", 3, (476, 476))], {"a-0-1": [picture] * 3})
    row = run(tmp_path, quality=tiny_dover(tmp_path / "dover.onnx"))[0]["a-0-1"]
    mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    assert row["technical"] == pytest.approx(((255 - mean) / deviation).mean(), abs=0.05)
    assert row["aesthetic"] == pytest.approx(-((picture.mean() - mean) / deviation).mean(), abs=0.05)


def test_the_technical_view_keeps_pixels_as_they_are() -> None:
    from tessera.stages.clips.quality import patches

    picture = np.dstack([*np.indices((240, 255)), np.zeros((240, 255))]).astype(np.uint8)
    view = patches(picture)
    assert view.shape == (224, 224, 3)
    # Cells are 34 by 36 pixels; a patch is the middle of its cell.
    np.testing.assert_array_equal(view[32:64, 64:96], picture[35:67, 74:106])
    assert patches(picture[:20, :50]).shape == (224, 224, 3)


def rename(parts: dict[str, Any]) -> None:
    parts["other"] = parts.pop("tech_view")


def shrink(parts: dict[str, Any]) -> None:
    parts["aes_view"] = [1, 3, 4, 112, 112]


def flatten(parts: dict[str, Any]) -> None:
    parts["aes_view"] = [3, 224, 224]


def halve(parts: dict[str, Any]) -> None:
    parts["type"] = 10


def silence(parts: dict[str, Any]) -> None:
    parts["outputs"].pop()


@pytest.mark.parametrize("edit", [rename, shrink, flatten, halve, silence])
def test_a_model_of_another_kind_is_refused_with_the_expected_one(
    edit: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    from tessera.stages.clips.quality import QualityModel

    with pytest.raises(TesseraError, match=r"expected is what `convert_to_onnx.py` of DOVER writes"):
        QualityModel(tiny_dover(tmp_path / "model.onnx", edit))


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    from tessera.stages.clips.quality import QualityModel

    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(TesseraError, match="not an ONNX model that can be loaded"):
        QualityModel(tmp_path / "text.onnx")


def test_scores_do_not_depend_on_threads_or_neighbours(tmp_path: Path) -> None:
    keys = {f"{name}-0-1": moving(30, step) for step, name in enumerate("abc")}
    clips = [clip(key, 30, (96, 96)) for key in keys]
    write_clips(tmp_path, clips, keys)
    all_of_them = run(tmp_path, threads=1)[0]
    content = (tmp_path / "scores.parquet").read_bytes()
    assert run(tmp_path, threads=4)[0] == all_of_them
    assert (tmp_path / "scores.parquet").read_bytes() == content
    write_clips(tmp_path, clips[1:2], {})
    assert run(tmp_path)[0] == {"b-0-1": all_of_them["b-0-1"]}
    assert pl.read_parquet(tmp_path / "scores.parquet").height == 1
