"""Datasets for FiftyOne: what is on the disk is what its importer reads."""

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
from clip_tables import clip, score, write_clips, write_scores
from hypothesis import given
from strategies import HEIGHT, WIDTH, images

from tessera.imaging.polygons import Part, rasterize
from tessera.records.annotation.annotation_tables import Origin, write_annotations
from tessera.records.annotation.formats.fiftyone import image_sample
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table
from tessera.stages.datasets.clips import write_clip_dataset
from tessera.stages.datasets.fiftyone import write_fiftyone_clips, write_fiftyone_images


@given(images(crowd=False))
def test_regions_are_boxes_and_rings_in_fractions_of_the_image(image: ImageAnnotations) -> None:
    sample = json.loads(
        json.dumps(image_sample(image, "a.png", ["val", ""], {"source": "film", "nothing": None}), allow_nan=False)
    )
    assert sample["tags"] == ["val"] and sample["source"] == "film" and "nothing" not in sample
    found = sample["regions"]["detections"]
    assert [(one["label"], one.get("confidence")) for one in found] == [(one.label, one.score) for one in image.annotations]
    for one, expected in zip(found, image.annotations, strict=True):
        x, y, width, height = np.array(one["bounding_box"]) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
        assert (x, y, x + width, y + height) == pytest.approx(expected.box, abs=1e-9)
    drawn = [one for one in image.annotations if one.polygons is not None or one.rle is not None]
    for line, expected in zip(sample["outlines"]["polylines"], drawn, strict=True):
        if expected.rle:
            rings = [np.array(ring) * [WIDTH, HEIGHT] for ring in line["points"]]
            # The rings of the holes are drawn as well.
            covered = rasterize([Part(ring) for ring in rings], HEIGHT, WIDTH)
            assert (covered >= expected.mask(HEIGHT, WIDTH)).all()


def loaded(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    metadata = json.loads((folder / "metadata.json").read_text())
    assert "version" not in metadata, "it would select another importer"
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    for sample in samples:
        # The importer joins the path with the folder, unless it is absolute.
        media = folder / sample["filepath"]
        with av.open(str(media)) as container:
            shown = sum(1 for _ in container.decode(video=0))
        if metadata["media_type"] == "video":
            listed = json.loads((folder / sample["frames"]).read_text())["frames"]
            assert list(listed) == [str(number) for number in range(1, shown + 1)]
    return metadata, samples


def test_images_are_named_where_the_dataset_has_them(tmp_path: Path) -> None:
    region = Annotation("nsfw", None, None, (0, 0, 20, 15), score=0.5)
    origin = Origin("film", "results/frames/a.PNG", 1, "", "CC0")
    write_annotations(
        tmp_path / "annotations", tmp_path / "images", [(ImageAnnotations("a", WIDTH, HEIGHT, (region,)), origin)]
    )
    write_table(pl.DataFrame([("a", "film", "val")], schema=types(Splits), orient="row"), Splits, tmp_path / "splits")
    pictures = tmp_path / "datasets" / "d" / "images"
    (pictures / "val").mkdir(parents=True)
    cv2.imwrite(str(pictures / "val" / "a.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    folder = tmp_path / "fiftyone" / "d"
    folder.mkdir(parents=True)
    made = {"metadata": folder / "metadata.json", "samples": folder / "samples.json"}
    write_fiftyone_images(
        *(tmp_path / "images", tmp_path / "annotations", tmp_path / "splits", pictures), "tessera-d", folder, **made
    )
    metadata, (sample,) = loaded(folder)
    assert metadata == {"name": "tessera-d", "media_type": "image", "info": {}}
    assert sample["filepath"] == "../../datasets/d/images/val/a.png"
    assert (sample["key"], sample["tags"], sample["source"], sample["rights"]) == ("a", ["val"], "film", "CC0")
    assert sample["regions"]["detections"][0]["bounding_box"] == [0, 0, 0.5, 0.5]


def test_clips_are_named_where_their_dataset_has_them_with_their_scores_and_each_of_their_frames(tmp_path: Path) -> None:
    row = clip("film-0000003-000", frames=9)
    dataset, made = tmp_path / "datasets" / "d", tmp_path / "made"
    write_clips(made, [row], {row["key"]: [np.full((64, 64, 3), shade, np.uint8) for shade in range(9)]})
    (made / "masks").mkdir()
    (made / "masks" / f"{row['key']}.mkv").touch()
    write_scores(made / "scores", [score(row["key"], sharpness=2.5)])
    splits = pl.DataFrame([(row["key"], "film", "train")], schema=types(Splits), orient="row")
    write_table(splits, Splits, made / "splits")
    dataset.mkdir(parents=True)
    folders = {split: dataset / split for split in ("train", "val", "test")}
    tables = made / "clips.parquet", made / "scores", made / "splits"
    write_clip_dataset(*tables, [made / "images"], [made / "masks"], folders, dataset / "clips.parquet")
    folder = tmp_path / "fiftyone" / "d"
    folder.mkdir(parents=True)
    outputs = {"metadata": folder / "metadata.json", "samples": folder / "samples.json", "frames": folder / "unfinished"}
    write_fiftyone_clips(dataset / "clips.parquet", made / "scores", dataset, "tessera-d", folder, **outputs)
    # As the job does at its end.
    (folder / "unfinished").rename(folder / "frames")
    metadata, (sample,) = loaded(folder)
    assert metadata["media_type"] == "video"
    assert (sample["sharpness"], "quality" in sample, sample["tags"]) == (2.5, False, ["train"])
    assert sample["label"] == {"_cls": "Classification", "label": row["label"], "confidence": row["score"]}
    frames = json.loads((folder / sample["frames"]).read_text())["frames"]
    assert frames["1"] == {"frame_number": 1, "index": row["first"], "time": row["time"][0]}
