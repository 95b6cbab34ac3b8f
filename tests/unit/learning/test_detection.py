"""Batches, masks, frames and weights in prediction, tested with a real but untrained detector."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnx
import polars as pl
import pytest
import torch
from source_files import write_source_files

from fixed_detector import write_detector
from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.provenance import sha256_file, write_checksums
from tessera.imaging.encode import write_video
from tessera.imaging.frame import VideoFrame
from tessera.imaging.images import write_image
from tessera.imaging.masks import decode_patch, decode_rle, encode_patch, encode_rle
from tessera.imaging.mosaic.extent import whole_mosaic
from tessera.imaging.mosaic.grid import CLEAR, grid_of
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region
from tessera.learning.detection.grids import GridSettings
from tessera.learning.detection.offline import offline
from tessera.learning.detection.settings import DetectionSettings, InferenceSettings
from tessera.learning.detection.suppress import suppress
from tessera.records.tables.annotation import Annotations, PredictedFrames
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.detectors.export import export_detector
from tessera.stages.detectors.predict import Meant, PreviewDetectionSettings, predict_previews
from tessera.stages.detectors.settings import ExportSettings
from tessera.stages.mosaics.find import find_regions

SETTINGS: dict[str, Any] = {"image_size": 64, "batch": 3, "confidence": 0.05, "max_regions": 5}


@pytest.fixture(scope="session")
def detector(weights: Path) -> Detector:
    return Detector(weights, weights.parent / "SHA256SUMS", InferenceSettings(**SETTINGS))


def pictures(count: int, height: int = 90, width: int = 160) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def sources_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the table of those `rows` that are not refused."""
    empty: dict[str, Any] = dict.fromkeys(types(Sources))
    common = {
        "shard": "s",
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "use": [],
        "series": "",
    }
    rest = {"split": "", "sha256": "0", "size": 1}
    write_table(
        pl.DataFrame([{**empty, **common, **rest, **row} for row in rows if "refused" not in row], schema=types(Sources)),
        Sources,
        path,
    )
    return path


AS_IT_IS = Meant({}, (), outlines=False)


def run(
    weights: Path,
    folder: Path,
    rows: list[dict[str, Any]],
    wanted: list[str],
    changed: Path | None = None,
    meant: Meant = AS_IT_IS,
    mosaics: GridSettings | None = None,
    **settings: Any,
) -> tuple[Any, Any, Any]:
    """Run the detector over `rows`; the image `changed` is broken after it was admitted."""
    sources = sources_table(folder / "sources.parquet", rows)
    with Ledger(folder / "admission.jsonl") as entries:
        for row in rows:
            entries.row(row["source"], "dropped" if "refused" in row else "ok", row.get("refused", ""))
    outputs = [folder / "frames.parquet", folder / "predictions.parquet", folder / "ledger.jsonl"]
    both = PreviewDetectionSettings(**SETTINGS, **settings)
    stills = {row["source"]: Path(row["path"]) for row in rows if row["kind"] in {"image", "folder"}}
    files = write_source_files(folder / "stills.parquet", **stills)
    if changed:
        changed.write_bytes(b"broken")
    predict_previews(
        sources,
        folder / "admission.jsonl",
        files,
        weights,
        weights.parent / "SHA256SUMS",
        wanted,
        both,
        meant,
        mosaics,
        *outputs,
    )
    ledger = [json.loads(line) for line in outputs[2].read_text().splitlines()]
    return read_table(outputs[0], PredictedFrames), read_table(outputs[1], Annotations), ledger


def test_of_detected_mosaics_those_count_that_show_blocks_or_are_sure(weights: Path, tmp_path: Path) -> None:
    texture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    texture[:, 64:] = 90
    image = tmp_path / "blocks.png"
    write_image(image, texture)
    rows = [{"source": "blocks", "path": str(image), "kind": "image", "frames": 1}]
    arguments = weights, tmp_path, rows, ["blocks"]
    found = run(*arguments)[1].to_dicts()
    grey = cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY)
    grids = [grid_of(grey, decode_patch(row["rle"], 96, 128)).evidence for row in found]
    least, sure = float(np.mean(grids)), max(row["score"] for row in found)
    assert min(grids) < least < max(grids)
    # A mosaic with a clear grid is outlined as a whole.
    for row, grid in zip(found, grids, strict=True):
        patch = decode_patch(row["rle"], 96, 128)
        if grid >= CLEAR:
            row["rle"] = encode_patch(whole_mosaic(grey, patch, grid_of(grey, patch)), 96, 128)
    expected = [row for row, grid in zip(found, grids, strict=True) if grid >= least or row["score"] >= sure]
    counted = run(*arguments, mosaics=GridSettings(grid=least, sure=sure))[1].drop("number").to_dicts()
    assert counted == [{name: value for name, value in row.items() if name != "number"} for row in expected]
    assert len(run(*arguments, mosaics=GridSettings(grid=0))[1]) == len(found)


def test_a_label_of_another_detector_becomes_what_it_means_and_a_box_its_outline() -> None:
    image = np.full((40, 60, 3), 30, np.uint8)
    image[10:20, 15:35] = 220
    region = Region("person", 0.7, (12.0, 8.0, 38.0, 22.0), None)
    dog = replace(region, label="dog", score=0.8)
    refine = Meant({"person": "nsfw", "*": None}, ("nsfw",), outlines=True).refine(["person", "dog"], 0.7)
    (refined,) = refine(image, [dog, region])
    assert (refined.label, refined.score, refined.box) == ("nsfw", 0.7, region.box)
    mask = decode_rle(refined.rle, 40, 60) > 0
    assert (mask == (image[..., 0] == 220)).mean() > 0.97
    # A mask is taken as it is, and so is a box if no outlines are asked for.
    assert list(refine(image, [replace(refined, label="person")])) == [refined]
    (box,) = Meant({"*": "nsfw"}, ("nsfw",), outlines=False).refine(["dog"], 0.7)(image, [dog])
    assert (box.label, box.rle) == ("nsfw", None)
    # A detector that is trained here finds classes of the dataset.
    assert list(AS_IT_IS.refine(["person"], 0.7)(image, [region])) == [region]


def test_of_two_labels_that_mean_the_same_at_one_place_the_surer_one_is_kept() -> None:
    there, beside = (2.0, 2.0, 12.0, 12.0), (20.0, 2.0, 30.0, 12.0)
    found = [Region("he", 0.2, there, None), Region("she", 0.8, there, None), Region("he", 0.3, beside, None)]
    refine = Meant({"he": "nsfw", "she": "nsfw"}, ("nsfw",), outlines=False).refine(["he", "she"], 0.7)
    kept = list(refine(np.zeros((20, 40, 3), np.uint8), found))
    assert [(each.label, each.score, each.box) for each in kept] == [("nsfw", 0.8, there), ("nsfw", 0.3, beside)]


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"person": "nsfw"}, r"finds person, dog, nsfw, and nothing says what dog means: .*\{dog: nsfw, \"\*\": null\}"),
        (
            {"persn": "nsfw", "*": None},
            r"the detector has no label 'persn'; did you mean 'person'\?; it finds person, dog, nsfw",
        ),
    ],
)
def test_a_label_that_means_nothing_is_named_with_all_that_the_detector_finds(
    stated: dict[str, str | None], message: str
) -> None:
    with pytest.raises(TesseraError, match=message):
        Meant(stated, ("nsfw",), outlines=True).refine(["person", "dog", "nsfw"], 0.7)


def test_every_image_gets_its_regions_in_order_for_any_sizes_and_batch(detector: Detector, weights: Path) -> None:
    images = [*pictures(4, 40, 160), *pictures(2, 70, 50), *pictures(1)]
    one_by_one = Detector(weights, weights.parent / "SHA256SUMS", InferenceSettings(**{**SETTINGS, "batch": 1}))
    batched, single = list(detector.predict(images)), list(one_by_one.predict(images))
    assert len(batched) == len(images)
    assert all(batched)
    for image, regions, alone in zip(images, batched, single, strict=True):
        assert [region.score for region in regions] == sorted((region.score for region in regions), reverse=True)
        for region, other in zip(regions, alone, strict=True):
            assert region.label == "nsfw"
            assert region.score == pytest.approx(other.score, abs=1e-4)
            assert region.rle is not None
            assert decode_rle(region.rle, *image.shape[:2]).any()
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= image.shape[1]
            assert 0 <= y0 < y1 <= image.shape[0]


def plain(path: Path, images: list[np.ndarray], **settings: Any) -> list[list[tuple[Any, ...]]]:
    """Return the label, the score, the box and the mask of each region as ultralytics returns them, image by image."""
    from ultralytics import YOLO

    model = YOLO(path)
    found = []
    for image in images:
        (result,) = model.predict(image[..., ::-1], verbose=False, retina_masks=True, **settings)
        masks = [None] * len(result.boxes) if result.masks is None else [encode_rle(mask) for mask in result.masks.data.numpy()]
        boxes = result.boxes
        rows = zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxy.tolist(), masks, strict=True)
        found.append([(result.names[int(kind)], score, tuple(box), rle) for kind, score, box, rle in rows])
    return found


def rows_of(path: Path, images: list[np.ndarray], **settings: Any) -> list[list[tuple[Any, ...]]]:
    detector = Detector(path, sha256_file(path), DetectionSettings(batch=1, **settings))
    return [[(each.label, each.score, each.box, each.rle) for each in regions] for regions in detector.predict(images)]


# Single and several classes; masks and boxes; with and without suppression of boxes that overlap.
ARCHITECTURES = "yolo11n", "yolov8n-seg", "yolov10n", "yolo26n-seg", "yolo11n-pose", "rtdetr-resnet50"


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_detector_of_ultralytics_gives_the_results_of_ultralytics(name: str, tmp_path: Path) -> None:
    offline(tmp_path)
    import torch
    from ultralytics import RTDETR, YOLO

    torch.manual_seed(0)
    kind = RTDETR if name.startswith("rtdetr") else YOLO
    model = kind(f"{name}.yaml")
    for norm in (module for module in model.model.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.momentum = None
    heads = [getattr(model.model.model[-1], name, None) or () for name in ("cv3", "one2one_cv3")]
    for branch in (branch for head in heads for branch in head):
        branch[-1].bias.data.fill_(-3.0)
    model.save(tmp_path / "any.pt")
    images = [*pictures(1, 90, 160), *pictures(2, 130, 70), np.zeros((60, 60, 3), np.uint8)]
    common = {"max_regions": 5, "image_size": 64}
    expected = plain(tmp_path / "any.pt", images, max_det=5, imgsz=64, conf=0.01, iou=0.7)
    assert any(expected)
    assert rows_of(tmp_path / "any.pt", images, **common, confidence=0.01) == expected
    # A class that counts may be the most confident one nowhere, so that other classes would take its places.
    names = model.names
    found = {label for regions in expected for label, *_ in regions}
    for is_found in (True, False):
        number = next(number for number, name in names.items() if (name in found) == is_found)
        counted = plain(tmp_path / "any.pt", images, max_det=5, imgsz=64, conf=0.01, iou=0.7, classes=[number])
        assert rows_of(tmp_path / "any.pt", images, **common, confidence=0.01, classes=(names[number],)) == counted
    assert counted != expected


@pytest.mark.parametrize(("height", "width"), [(90, 160), (721, 83), (16, 1000), (64, 64), (300, 301)])
def test_masks_and_boxes_are_those_of_ultralytics_at_any_shape(height: int, width: int, weights: Path) -> None:
    (image,) = pictures(1, height, width)
    expected = plain(weights, [image], max_det=20, imgsz=96, conf=0.05, iou=0.7)
    assert any(rle for _, _, _, rle in expected[0])
    assert rows_of(weights, [image], max_regions=20, image_size=96, confidence=0.05) == expected


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (718, 400), (256, 900), (64, 64), (301, 300), (2160, 90)])
def test_a_frame_is_scaled_as_its_whole_image(height: int, width: int, detector: Detector) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
    frame = VideoFrame(0, None, 0.0, picture)
    whole, scaled = detector.scale(frame.image()), detector.scale_frame(frame)
    assert np.array_equal(scaled.image, whole.image)
    assert scaled.shape == whole.shape == (height, width)


@pytest.mark.parametrize("count", [0, 1, 2, 30, 400])
@pytest.mark.parametrize("grid", [0.01, 10])  # pixels; on a coarse one, many boxes are alike or have no area
def test_boxes_that_overlap_are_left_out_as_by_torchvision(count: int, grid: float) -> None:
    from torchvision.ops import nms

    random = np.random.default_rng(count)
    corners = random.uniform(0, 100, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0, 40, (count, 2))], axis=1)
    found = torch.tensor((boxes / grid).round() * grid, dtype=torch.float32)
    scores = torch.tensor(random.integers(0, 20, count) / 20, dtype=torch.float32)  # some are equal
    for most in (0.1, 1 / 3, 0.7):
        assert suppress(found, scores, most).tolist() == nms(found, scores, most).tolist()


def test_a_region_is_found_if_its_score_exceeds_the_confidence(weights: Path) -> None:
    images = pictures(1)
    best = plain(weights, images, imgsz=64, conf=0.05)[0][0][1]
    for confidence, count in ((best - 1e-6, 1), (best + 1e-6, 0), (best + 0.05, 0)):
        assert len(rows_of(weights, images, image_size=64, confidence=confidence)[0]) == count


def test_the_detector_gets_the_colour_order_of_its_training(detector: Detector, weights: Path) -> None:
    """Ultralytics reads files as BGR and expects arrays in BGR. An RGB array must give the same result as its file."""
    from ultralytics import YOLO

    (image,) = pictures(1)
    file = weights.parent / "picture.png"
    write_image(file, image)
    ours = [region.score for region in next(detector.predict([image]))]
    theirs = YOLO(weights).predict(file, imgsz=64, conf=0.05, max_det=5, verbose=False)[0].boxes.conf.tolist()
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_no_more_than_a_batch_of_images_is_held(detector: Detector) -> None:
    taken = 0

    def images() -> Any:
        nonlocal taken
        for image in pictures(20):
            taken += 1
            yield image

    next(detector.predict(images()))
    assert taken <= SETTINGS["batch"] + 1


def test_weights_with_another_checksum_are_never_unpickled(weights: Path, tmp_path: Path) -> None:
    changed = tmp_path / weights.name
    changed.write_bytes(b"not " + weights.read_bytes())
    (tmp_path / "SHA256SUMS").write_bytes((weights.parent / "SHA256SUMS").read_bytes())
    with pytest.raises(TesseraError, match="differs from the file listed in"):
        Detector(changed, tmp_path / "SHA256SUMS", InferenceSettings())
    with pytest.raises(TesseraError, match=f"its sha256 is {sha256_file(changed)}, but {sha256_file(weights)}"):
        Detector(changed, sha256_file(weights), InferenceSettings())


def test_an_exported_detector_finds_in_wide_images_what_the_trained_one_finds(weights: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "exported.onnx"
    export_detector(weights, tmp_path / "exported.pt", onnx, ExportSettings(image_size=64))
    for image in pictures(4, 30, 90):
        trained, exported = (plain(file, [image], max_det=5, conf=0.05, imgsz=64)[0] for file in (weights, onnx))
        assert len(trained) == len(exported) == 5
        for one, other in zip(trained, exported, strict=True):
            assert one[1] == pytest.approx(other[1], abs=1e-3) and one[2] == pytest.approx(other[2], abs=0.1)


def test_an_exported_detector_finds_the_same_as_the_trained_one(detector: Detector, weights: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "exported.onnx"
    export_detector(weights, tmp_path / "exported.pt", onnx, ExportSettings(image_size=64, dynamic=False))
    # A size other than that of the model is requested, but the model gets its own.
    exported = Detector(onnx, sha256_file(onnx), InferenceSettings(**{**SETTINGS, "image_size": 96}))
    images = pictures(4, 90, 90)
    expected = plain(onnx, images, max_det=5, conf=0.05)
    assert rows_of(onnx, images, max_regions=5, confidence=0.05) == expected
    for ours, theirs in zip(detector.predict(images), exported.predict(images), strict=True):
        assert len(ours) == SETTINGS["max_regions"]
        for one, other in zip(ours, theirs, strict=True):
            assert one.label == other.label
            assert one.score == pytest.approx(other.score, abs=1e-3)
            assert one.box == pytest.approx(other.box, abs=0.1)
            assert one.rle is not None and other.rle is not None
            apart = decode_rle(one.rle, 90, 90) != decode_rle(other.rle, 90, 90)
            assert np.count_nonzero(apart) < 0.01 * apart.size


def test_frames_and_regions_of_a_video_and_a_folder_are_written_to_tables(weights: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "a video.mp4", pictures(7), 10)
    folder = tmp_path / "stills"
    folder.mkdir()
    for number, image in enumerate(pictures(4, 40, 60)):
        write_image(folder / f"{number}.png", image)
    (folder / "1.png").write_bytes(b"broken")
    rows = [
        {"source": "a video", "path": str(tmp_path / "a video.mp4"), "kind": "video", "frames": 7},
        {"source": "stills", "path": str(folder), "kind": "folder", "frames": 2},
        {"source": "unasked", "path": str(folder), "kind": "folder", "frames": 2},
        {"source": "no", "path": "no", "refused": "no rights", "kind": ""},
    ]
    frames, predictions, ledger = run(weights, tmp_path, rows, ["a video", "stills", "no"], every_frames=2)
    names = [f"stills-{name}~{sha256_file(folder / name)[:12]}" for name in frames["name"].drop_nulls()]
    assert frames["key"].to_list() == [f"a%20video-{index:07d}" for index in (0, 2, 4, 6)] + names
    assert frames["index"].to_list()[4:] == [0, 3]
    assert frames["time"].to_list() == pytest.approx([0, 0.2, 0.4, 0.6, None, None])
    assert frames.select("width", "height").rows() == [(160, 90)] * 4 + [(60, 40)] * 2
    sizes = {key: (height, width) for key, width, height in frames.select("key", "width", "height").iter_rows()}
    assert set(predictions["key"]) == set(sizes)
    for row in predictions.iter_rows(named=True):
        mask = decode_rle(row["rle"], *sizes[row["key"]])
        ys, xs = np.nonzero(mask)
        assert row["x0"] - 1 <= xs.min()
        assert xs.max() <= row["x1"]
        assert row["y0"] - 1 <= ys.min()
        assert ys.max() <= row["y1"]
    statuses = {row["key"]: (row["status"], row["reason"], row["detail"]) for row in ledger}
    assert statuses.pop("no") == ("dropped", "source refused", "no rights")
    assert statuses == dict.fromkeys(sizes, ("ok", "", ""))


def test_a_broken_image_is_a_row_and_the_others_are_predicted(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for number in range(2):
        write_image(folder / f"{number}.png", pictures(1)[0])
    rows = [
        {"source": "stills", "path": str(folder), "kind": "folder", "frames": 2},
        {"source": "gone", "path": str(tmp_path / "gone.mp4"), "kind": "video", "frames": 2},
    ]
    first, second = (f"stills-{name}~{sha256_file(folder / name)[:12]}" for name in ("0.png", "1.png"))
    frames, _, ledger = run(weights, tmp_path, rows, ["stills", "gone"], changed=folder / "0.png")
    assert frames["key"].to_list() == [second]
    assert [(row["key"], row["status"]) for row in ledger] == [
        (first, "failed"),
        (second, "ok"),
        ("gone", "failed"),
    ]


def test_a_long_video_is_thinned_evenly(weights: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", pictures(11), 10)
    rows = [{"source": "long", "path": str(tmp_path / "long.mp4"), "kind": "video", "frames": 11}]
    frames, _, _ = run(weights, tmp_path, rows, ["long"], max_frames=4)
    assert frames["index"].to_list() == [0, 3, 6, 9]


def test_the_predictions_of_a_source_do_not_depend_on_others_in_its_shard(weights: Path, tmp_path: Path) -> None:
    rows = []
    for name in ("one", "two"):
        write_video(tmp_path / f"{name}.mp4", pictures(4), 10)
        rows.append({"source": name, "path": str(tmp_path / f"{name}.mp4"), "kind": "video", "frames": 4})
    _, both, _ = run(weights, tmp_path, rows, ["one", "two"])
    _, alone, _ = run(weights, tmp_path, rows, ["two"])
    assert not alone.is_empty()
    assert both.filter(pl.col("key").str.starts_with("two")).equals(alone)


def sampled(folder: Path, sources: dict[str, list[str]], broken: tuple[str, ...] = ()) -> tuple[Path, Path, Path]:
    """Write a shard of sampled frames, three of each of `sources` (id: use): frames, images, sources."""
    images = folder / "images"
    images.mkdir(parents=True)
    rows = []
    for source in sources:
        for index, image in enumerate(pictures(3)):
            key = f"{source}-{index:07d}"
            write_image(images / f"{key}.png", np.roll(image, len(source), axis=0))
            frame = {"key": key, "source": source, "index": index, "pts": None, "time": None, "file": f"{key}.png"}
            rows.append({**frame, "width": 160, "height": 90, "phash": 0})
    for key in broken:
        (images / f"{key}.png").write_bytes(b"broken")
    write_table(pl.DataFrame(rows, schema=types(Frames)), Frames, folder / "frames.parquet")
    admitted = [{"source": source, "path": "", "kind": "folder", "use": use} for source, use in sources.items()]
    return folder / "frames.parquet", images, sources_table(folder / "sources.parquet", admitted)


def find(
    weights: Path, shard: tuple[Path, Path, Path], code: str = "code", **settings: Any
) -> tuple[pl.DataFrame, dict[str, tuple[str, str]]]:
    folder = shard[0].parent
    find_regions(
        *shard,
        weights,
        weights.parent / "SHA256SUMS",
        ["mosaic_detection"],
        InferenceSettings(**{**SETTINGS, **settings}),
        folder / "kept",
        code=code,
        threads=2,
        table=folder / "found.parquet",
        ledger=folder / "found.jsonl",
    )
    ledger = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(folder / "found.jsonl")}
    return read_table(folder / "found.parquet", Annotations), ledger


def test_the_detector_runs_on_frames_of_sources_that_may_feed_the_dataset(weights: Path, tmp_path: Path) -> None:
    sources = {"any": [], "this": ["nsfw_detection", "mosaic_detection"], "other": ["nsfw_detection"]}
    shard = sampled(tmp_path, sources, broken=("any-0000001",))
    write_image(shard[1] / "this-0000002.png", pictures(1, 40, 40)[0])
    found, ledger = find(weights, shard)
    assert ledger == {
        "any-0000000": ("ok", ""),
        "any-0000001": ("failed", "image cannot be decoded"),
        "any-0000002": ("ok", ""),
        "this-0000000": ("ok", ""),
        "this-0000001": ("ok", ""),
        "this-0000002": ("failed", "image is not the frame"),
        **{f"other-000000{index}": ("dropped", "source not for mosaic_detection") for index in range(3)},
    }
    assert found["key"].unique(maintain_order=True).to_list() == [key for key, row in ledger.items() if row[0] == "ok"]
    assert set(found["label"]) == {"nsfw"}
    for row in found.iter_rows(named=True):
        assert decode_rle(row["rle"], 90, 160).any()


def test_the_detections_of_a_source_do_not_depend_on_its_shard(weights: Path, tmp_path: Path) -> None:
    both, _ = find(weights, sampled(tmp_path / "both", {"one": [], "three": []}))
    alone, _ = find(weights, sampled(tmp_path / "alone", {"three": []}))
    assert not alone.is_empty()
    assert both.filter(pl.col("key").str.starts_with("three")).equals(alone)


def test_frames_are_detected_again_only_if_something_that_they_depend_on_changed(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights.parent, folder)
    weights = folder / weights.name
    shard = sampled(tmp_path / "shard", {"one": [], "three": []})
    items = shard[0].parent / "kept"
    found = find(weights, shard)
    before = {path.name for path in items.iterdir()}
    assert len(before) == 2
    assert same(find(weights, shard), found)

    def made(**changes: Any) -> int:
        """Return the number of sources that were detected again."""
        find(weights, shard, **changes)
        return len({path.name for path in items.iterdir()} - before)

    assert made() == 0
    for changes in ({"code": "another"}, {"confidence": 0.1}, {"half": False}):
        assert made(**changes) == 2, changes
        assert made() == 0
    write_image(shard[1] / "one-0000001.png", pictures(1)[0])
    assert made() == 1
    weights.write_bytes(weights.read_bytes() + b"\0")
    write_checksums([weights], folder, folder / "SHA256SUMS")
    assert made() == 2

    find(weights, shard)
    (folder / "SHA256SUMS").unlink()
    find(weights, shard)  # nothing is missing, and no detector is loaded
    (shard[1] / "one-0000001.png").write_bytes(b"broken")
    write_checksums([weights], folder, folder / "SHA256SUMS")
    find(weights, shard)
    assert len(list(items.iterdir())) == 1, "if a frame failed, the source is detected again"


def same(one: tuple[pl.DataFrame, Any], other: tuple[pl.DataFrame, Any]) -> bool:
    return one[0].equals(other[0]) and one[1] == other[1]


def test_a_shard_without_frames_needs_no_weights(tmp_path: Path) -> None:
    found, ledger = find(tmp_path / "none.pt", sampled(tmp_path, {}))
    assert found.is_empty()
    assert ledger == {}


def test_weights_that_are_not_a_detector_are_named(weights: Path, tmp_path: Path) -> None:
    from ultralytics import YOLO
    from ultralytics.utils.checks import check_yaml

    (tmp_path / "page.pt").write_text("<html>")
    (tmp_path / "page.onnx").write_text("<html>")
    (tmp_path / "yolo11n-cls.yaml").write_text(Path(check_yaml("yolo11-cls.yaml")).read_text())
    YOLO(tmp_path / "yolo11n-cls.yaml").save(tmp_path / "classifier.pt")
    for name in ("page.pt", "page.onnx", "classifier.pt"):
        path = tmp_path / name
        with pytest.raises(TesseraError, match=f"{name} cannot be used as a detector of boxes or masks"):
            list(Detector(path, sha256_file(path), InferenceSettings(**SETTINGS)).predict(pictures(1)))
        declared = DetectionSettings(**SETTINGS, weights={"source": f"my/{name}", "sha256": sha256_file(path)})
        with pytest.raises(TesseraError, match=f"^my/{name} cannot be used as"):
            list(Detector(path, sha256_file(path), declared).predict(pictures(1)))


@pytest.mark.parametrize("name", ["ultralytics.nn.modules.block", "C3k2"])
def test_weights_of_another_version_of_ultralytics_are_named_with_what_helps(name: str, weights: Path, tmp_path: Path) -> None:
    import ultralytics

    newer = tmp_path / "newer.pt"
    with zipfile.ZipFile(weights) as original, zipfile.ZipFile(newer, "w") as archive:
        for item in original.namelist():
            content = original.read(item)
            # A module or a class that this version does not have, with a name of the same length.
            archive.writestr(
                item, content.replace(name.encode(), name[:-1].encode() + b"9") if item.endswith(".pkl") else content
            )
    helps = rf"if another version of ultralytics than {ultralytics.__version__} made them, their export \(\.onnx\)$"
    with pytest.raises(TesseraError, match=rf"newer\.pt cannot be used as a detector .*{helps}") as raised:
        Detector(newer, sha256_file(newer), InferenceSettings(**SETTINGS))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "value", "reason"),
    [
        ((2, 3, 7), 0.5, r"for 2 images, its output has the shape \(2, 3, 7\); expected are boxes with confidences"),
        ((2, 5), 0.5, r"for 2 images, its output has the shape \(2, 5\)"),
        ((1, 5, 7), 0.5, r"for 2 images, its output has the shape \(1, 5, 7\)"),
        ((2, 5, 7), 7.5, r"its confidences reach 7\.5, and should be at most 1"),
        ((2, 5, 7), np.inf, "its confidences reach inf"),
        ((2, 5, 0), 0, ""),
        ((2, 5, 7), np.nan, ""),
    ],
)
def test_an_output_that_is_no_detections_is_named_and_one_without_detections_is_none(
    shape: tuple[int, ...], value: float, reason: str, tmp_path: Path
) -> None:
    model = onnx.load(write_detector(tmp_path / "boxes.onnx", ["nsfw"]))
    output = onnx.numpy_helper.from_array(np.full(shape, value, np.float32))
    del model.graph.node[:], model.graph.initializer[:], model.graph.output[:]
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["output0"], value=output))
    model.graph.output.append(onnx.helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, shape))
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    found = Detector(path, sha256_file(path), InferenceSettings(**SETTINGS)).predict(pictures(2))
    if not reason:
        assert list(found) == [[], []]
        return
    with pytest.raises(TesseraError, match=rf"other\.onnx cannot be used as .*\({reason}.*\); declare other weights$"):
        list(found)


def test_a_class_that_a_detector_does_not_know_is_named(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "parts.onnx", ["face", "hand"])
    with pytest.raises(
        TesseraError, match=r"does not know the class 'faces'; did you mean 'face'\?; it finds face, hand; name some"
    ):
        Detector(path, sha256_file(path), DetectionSettings(classes=("hand", "faces")))


def test_the_default_image_size_is_that_of_the_training(weights: Path, tmp_path: Path) -> None:
    import torch

    checkpoint = torch.load(weights, weights_only=False)  # made by this very run
    checkpoint["train_args"] = {**checkpoint.get("train_args", {}), "imgsz": 64}
    trained = tmp_path / "trained.pt"
    torch.save(checkpoint, trained)
    images = pictures(2)

    def scores(**settings: Any) -> list[float]:
        found = Detector(trained, sha256_file(trained), InferenceSettings(**{**SETTINGS, **settings})).predict(images)
        return [round(region.score, 5) for regions in found for region in regions]

    assert scores(image_size=None) == scores(image_size=64) != scores(image_size=96)
