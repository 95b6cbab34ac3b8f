"""The splits that a set already has are kept, and an image in two of them is a fault."""

from pathlib import Path

import pytest
from label_sets import Imported, picture, write_folder

Files = dict[str, bytes | str]
LINE = "0 0.5 0.5 0.5 0.5\n"


def pictured(*names: str) -> Files:
    """Images with labels; `images` in their paths is `labels` in those of the labels."""
    files: Files = {"classes.txt": "nsfw"}
    for number, name in enumerate(names):
        files |= {f"{name}.png": picture(number), f"{name.replace('images', 'labels')}.txt": LINE}
    return files


ABC = pictured("images/a", "images/b", "images/c")
TWO_FOLDERS = pictured("one/images/a", "two/images/b", "more/images/c")


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (TWO_FOLDERS | {"data.yaml": "train: one/images\nval: ./two\ntest: more/images/"}, ("train", "val", "test")),
        (TWO_FOLDERS | {"data.yaml": "train: [one/images, more]\nval: ../two/images"}, ("train", "val", "train")),
        (TWO_FOLDERS | {"data.yaml": "path: ../datasets/ds\ntrain: one/images\nval: two/images"}, ("train", "val", "")),
        (TWO_FOLDERS | {"data.yaml": "train: /content/ds/one/images\nval: C:\\ds\\two\\images"}, ("train", "val", "")),
        # A data.yaml that was moved out of the folder that it describes.
        (
            pictured("ds/train/images/a", "ds/valid/images/b", "ds/x/images/c")
            | {"data.yaml": "path: ./\ntrain: train/images\nval: valid/images"},
            ("train", "val", ""),
        ),
        # `images` alone could be any folder of this name.
        (TWO_FOLDERS | {"data.yaml": "train: ../train/images\nval: /elsewhere/images"}, ("", "", "")),
        (
            ABC
            | {
                "data.yaml": "train: lists/x.txt\nval: y.txt",
                "lists/x.txt": "images/a.png\n./images/b.png",
                "y.txt": "images/c.png",
            },
            ("train", "train", "val"),
        ),
        (
            ABC | {"train.txt": "a.png\n", "valid.txt": "/content/ds/images/b.png\n\n", "test.txt": "c"},
            ("train", "val", "test"),
        ),
        (ABC | {"ImageSets/Main/train.txt": "a  1\nb -1\n", "ImageSets/Main/val.txt": "c\n"}, ("train", "train", "val")),
        (
            ABC
            | {
                "obj.data": "train = data/train2.txt\nvalid = data/val.txt",
                "train2.txt": "data/images/a.png",
                "val.txt": "data/images/b.png",
            },
            ("train", "val", ""),
        ),
        (ABC | {"test.txt": "notes on this set"}, ("", "", "")),
        (pictured("train_images/a", "images_val/b", "images/test2017/c"), ("train", "val", "test")),
        (pictured("train-images/a", "val/deep/images/b", "training/images/c"), ("train", "val", "train")),
        (pictured("images/test_drive/a", "train station/images/b", "images_by_val/c"), ("", "", "")),
        # A list is a statement; the name of a folder is a habit.
        (
            pictured("train/images/a", "train/images/b", "val/images/c") | {"val.txt": "train/images/b.png"},
            ("train", "val", "val"),
        ),
    ],
)
def test_own_splits_are_kept(tmp_path: Path, files: Files, splits: tuple[str, ...]) -> None:
    path = write_folder(tmp_path / "set", files)
    read = Imported(path, "yolo")
    found = {key.split("%2F")[-1][0]: split for key, split in read.splits.items()}
    assert found == dict(zip("abc", splits, strict=True)) and set(read.status.values()) == {"ok"}
    ignored = Imported(path, "yolo", own_splits=False, out=tmp_path / "ignored")
    assert set(ignored.splits.values()) == {""} and ignored.labels == read.labels
    stated = Imported(path, "yolo", split="test", out=tmp_path / "stated")
    assert set(stated.splits.values()) == {"test"}


@pytest.mark.parametrize(
    "files",
    [
        {"train.txt": "images/a.png\nimages/b.png", "val.txt": "images/c.png\nimages/a.png"},
        {"data.yaml": "train: images\nval: images"},
        {"data.yaml": "train: images\nval: val.txt\n", "val.txt": "a.png"},
    ],
)
def test_an_image_in_two_splits_is_a_fault(tmp_path: Path, files: Files) -> None:
    path = write_folder(tmp_path / "set", ABC | files)
    read = Imported(path, "yolo")
    assert read.reasons["s+images%2Fa"] == "image is in several splits" and read.status["s+images%2Fa"] == "failed"
    assert "in train by" in read.details["s+images%2Fa"] and "`own_splits: false`" in read.details["s+images%2Fa"]
    assert set(Imported(path, "yolo", own_splits=False, out=tmp_path / "ignored").status.values()) == {"ok"}


def test_images_of_a_list_that_are_missing_are_one_row(tmp_path: Path) -> None:
    files = ABC | {"train.txt": "images/a.png\nimages/gone.png\nother/b.png\n"}
    read = Imported(write_folder(tmp_path / "set", files), "yolo")
    assert read.reasons["s+train.txt%23images"] == "listed images are missing"
    assert "2 of 3 images are not in the set, such as 'images/gone.png'" in read.details["s+train.txt%23images"]
    assert read.splits == {"s+images%2Fa": "train", "s+images%2Fb": "", "s+images%2Fc": ""}


def test_a_listed_image_for_validation_stays_of_two_equal_ones(tmp_path: Path) -> None:
    files = ABC | {"images/z.png": picture(0), "labels/z.txt": LINE, "train.txt": "images/a.png", "val.txt": "images/z.png"}
    read = Imported(write_folder(tmp_path / "set", files), "yolo")
    assert read.reasons["s+images%2Fz"] == "ok" and read.reasons["s+images%2Fa"] == "the same image twice"


def test_a_label_file_named_like_a_split_is_no_list(tmp_path: Path) -> None:
    files = pictured("images/train", "images/val")
    read = Imported(write_folder(tmp_path / "set", files), "yolo")
    assert read.splits == {"s+images%2Ftrain": "", "s+images%2Fval": ""} and all(read.labels.values())
