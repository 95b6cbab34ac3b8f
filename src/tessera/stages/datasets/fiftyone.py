"""Write datasets for FiftyOne, beside their own files, to look through them there."""

import os
from pathlib import Path

from tessera.core.progress import progress
from tessera.records.annotation.annotation_tables import read_annotations
from tessera.records.annotation.formats.fiftyone import image_sample, video_sample, write_frames, write_samples
from tessera.records.lada.metadata import IMAGES
from tessera.records.tables.annotation import Images
from tessera.records.tables.clips import Clips, Scores, measurements
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table

FRAMES = "frames"  # the folder of the frames of clips, beside the samples


def write_fiftyone_images(
    images: Path, annotations: Path, splits: Path, pictures: Path, name: str, final_folder: Path, metadata: Path, samples: Path
) -> None:
    """Write the images of the dataset `name` as a dataset for FiftyOne: the files `metadata` and `samples`.

    `images`, `annotations`, `splits`: the tables of the samples. `pictures`: the folder of the dataset with a folder of images
    for each split. `final_folder`: the final folder of the two files; images are named relative to it. The split and the source
    are tags.
    """
    split_of = dict(read_table(splits, Splits).select("key", "split").iter_rows())
    rows = {row["key"]: row for row in read_table(images, Images).iter_rows(named=True)}
    made = []
    for image in progress(read_annotations(annotations, images), len(rows), "images"):
        row, split = rows[image.key], split_of[image.key]
        file = pictures / split / f"{image.key}{Path(row['path']).suffix.lower()}"
        fields = {"source": row["source"], "rights": row["rights"]}
        made.append(image_sample(image, _relative(file, final_folder), [split], fields))
    write_samples(made, name, "image", metadata, samples)


def write_fiftyone_clips(
    clips: Path, scores: Path, folder: Path, name: str, final_folder: Path, metadata: Path, samples: Path, frames: Path
) -> None:
    """Write the clips of the dataset `name` as a dataset for FiftyOne: the files `metadata` and `samples`.

    `clips`: `tables.Clips` of the dataset, with their splits. `scores`: `tables.Scores`. `folder`: the dataset, with a folder
    for each split. `final_folder`: the final folder of the two files; clips are named relative to it. The folder `frames`,
    which becomes `FRAMES` there, gets a file for each clip, which says which frame of the source each of its frames is.
    """
    frames.mkdir()
    score_of = {row["key"]: row for row in read_table(scores, Scores).iter_rows(named=True)}
    table = read_table(clips, Clips).sort("key")
    made = []
    for row in progress(table.iter_rows(named=True), table.height, "clips"):
        key = row["key"]
        media = _relative(folder / row["split"] / IMAGES / f"{key}.mp4", final_folder)
        measured = {score: score_of.get(key, {}).get(score) for score in measurements()}
        fields = {"key": key, "source": row["source"], "rights": row["rights"], "first": row["first"], **measured}
        listed = f"{FRAMES}/{key}.json"
        made.append(video_sample(media, [row["split"]], fields, row["label"], row["score"], listed))
        numbered = ({"index": row["first"] + number, "time": time} for number, time in enumerate(row["time"]))
        write_frames(numbered, frames / f"{key}.json")
    write_samples(made, name, "video", metadata, samples)


def _relative(file: Path, final_folder: Path) -> str:
    return Path(os.path.relpath(file, final_folder)).as_posix()
