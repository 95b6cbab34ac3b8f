"""Every layout holds all pictures and captions, and an epoch drawn as its trainer draws it has the planned shares."""

import io
import json
import tarfile
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.imaging.images import write_image
from tessera.pipeline.image_sets.layouts.kohya import KohyaDataset, KohyaSettings, KohyaSubset
from tessera.pipeline.image_sets.layouts.picture import Picture, folders, times
from tessera.pipeline.image_sets.layouts.webdataset import WebDatasetSettings
from tessera.pipeline.image_sets.settings import LayoutSettings
from tessera.pipeline.image_sets.write import WRITERS

# The number of pictures and the repeats of each folder.
FOLDERS = {"1_character/a%20b": (30, 2.0), "1_character/dotted.name": (40, 3.4), "2_characters/a+b": (50, 1.0), "": (60, 0.5)}
EPOCHS = 40
# What sd-scripts allows, from its documentation. Unknown keys are an error there.
DATASET_KEYS = {"resolution", "batch_size", "enable_bucket", "bucket_no_upscale", "bucket_reso_steps", "min_bucket_reso"} | {
    "max_bucket_reso",
    "skip_image_resolution",
    "subsets",
}
SUBSET_KEYS = {"image_dir", "num_repeats", "caption_extension", "class_tokens", "is_reg", "cache_info", "keep_tokens"} | {
    "keep_tokens_separator",
    "secondary_separator",
    "shuffle_caption",
    "caption_prefix",
    "caption_suffix",
    "caption_separator",
    "enable_wildcard",
    "flip_aug",
    "caption_dropout_rate",
    "caption_dropout_every_n_epochs",
    "caption_tag_dropout_rate",
}

every_layout = pytest.mark.parametrize("layout", WRITERS)


def pictures_of(folder: Path, variants: int = 1) -> list[Picture]:
    """Return the pictures of `FOLDERS`, and one of each other split. All share three files."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        write_image(file, np.full((4, 6, 3), 40 * number, np.uint8))
    found = []
    for group, (name, (count, repeats)) in enumerate(FOLDERS.items()):
        for number in range(count):
            key = f"film.{group}-{number:07d}"
            texts = tuple(f"caption {variant} of {key}, {{a|b}}" for variant in range(variants))
            found.append(
                Picture(key, files[number % 3], "train", name, repeats, texts, {"source": "film", "identities": ["a"]})
            )
    for split in ("val", "test"):
        found += [
            Picture(
                f"{split}-0000000",
                files[0],
                split,
                "1_character/a%20b",
                1.0,
                ("held out",),
                {"source": split, "identities": []},
            )
        ]
    return found


def write(layout: str, pictures: list[Picture], folder: Path, **values: Any) -> Path:
    settings = LayoutSettings(**{layout: values})
    WRITERS[layout](pictures, folder, getattr(settings, layout), 7)
    return folder


def captions_beside(file: Path) -> list[str]:
    return file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


Sample = tuple[str, str, str]  # the folder, the key and the caption of what is drawn


def images_in(folder: Path, *, deep: bool = True) -> list[Path]:
    return sorted(folder.rglob("*.png") if deep else folder.glob("*.png"))


def draw_plain(folder: Path, split: str, random: np.random.Generator) -> list[Sample]:
    return [
        (file.parent.relative_to(folder / split).as_posix().strip("."), file.stem.split("+")[0], captions_beside(file)[0])
        for file in images_in(folder / split)
    ]


def draw_everydream2(folder: Path, split: str, random: np.random.Generator) -> list[Sample]:
    """The whole part of `multiply.txt` always, the fraction at random in each epoch; the file is not inherited."""
    drawn = []
    for file in images_in(folder / split):
        own = file.parent / "multiply.txt"
        multiply = float(own.read_text()) if own.exists() else 1.0
        count = int(multiply) + (random.random() < multiply % 1)
        (caption,) = captions_beside(file)
        drawn += [(file.parent.relative_to(folder / split).as_posix().strip("."), file.stem, caption)] * count
    return drawn


def draw_kohya(folder: Path, split: str, random: np.random.Generator) -> list[Sample]:
    """Each picture directly in `image_dir`, `num_repeats` times, with one line of its captions if wildcards are on."""
    config = tomllib.loads((folder / f"{split}.toml").read_text(encoding="utf-8"))
    assert config.keys() == {"datasets"}
    drawn = []
    directories = [subset["image_dir"] for dataset in config["datasets"] for subset in dataset["subsets"]]
    assert len(directories) == len(set(directories))
    for dataset in config["datasets"]:
        assert dataset.keys() <= DATASET_KEYS
        for subset in dataset["subsets"]:
            assert subset.keys() <= SUBSET_KEYS
            assert type(subset["num_repeats"]) is int and subset["num_repeats"] > 0
            for file in images_in(folder / subset["image_dir"], deep=False):
                lines = file.with_suffix(subset["caption_extension"]).read_text(encoding="utf-8").splitlines()
                caption = lines[0]
                if subset.get("enable_wildcard"):
                    caption = lines[random.integers(len(lines))].replace("{{", "{").replace("}}", "}")
                else:
                    assert len(lines) == 1
                name = file.parent.relative_to(folder / split).as_posix().strip(".").split("~")[0]
                drawn += [("" if name == "all" else name, file.stem, caption)] * subset["num_repeats"]
    return drawn


def draw_onetrainer(folder: Path, split: str, random: np.random.Generator) -> list[Sample]:
    """The whole part of the repeats of a concept, and a random part of its pictures once more; one line of the captions."""
    drawn = []
    for concept in json.loads((folder / "concepts.json").read_text(encoding="utf-8")):
        assert concept["validation_concept"] == concept["path"].startswith("val/")
        assert concept["enabled"] != concept["path"].startswith("test/")
        assert concept["balancing_strategy"] == "REPEATS" and not concept["include_subdirectories"]
        if Path(concept["path"]).parts[0] != split:
            continue
        files = images_in(folder / concept["path"], deep=False)
        whole = int(concept["balancing"])
        chosen = files * whole + list(random.permutation(files)[: round((concept["balancing"] - whole) * len(files))])
        for file in chosen:
            name = file.parent.relative_to(folder / split).as_posix().strip(".")
            drawn.append((name, file.stem, str(random.choice(captions_beside(file)))))
    return drawn


def draw_imagefolder(folder: Path, split: str, random: np.random.Generator) -> list[Sample]:
    """Each line of `metadata.jsonl`; every picture has exactly one."""
    place = folder / {"val": "validation"}.get(split, split)
    rows = [json.loads(line) for line in (place / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(row["file_name"] for row in rows) == [file.relative_to(place).as_posix() for file in images_in(place)]
    return [(row["folder"], row["key"], row["text"]) for row in rows]


def draw_webdataset(folder: Path, split: str, random: np.random.Generator) -> list[Sample]:
    """Adjacent members that share their names up to the first dot are a sample."""
    drawn = []
    for path in sorted(folder.glob(f"{split}-*.tar")):
        samples: list[tuple[str, dict[str, bytes]]] = []
        with tarfile.open(path) as tar:
            for member in tar:
                stem, _, suffix = member.name.partition(".")
                if not samples or samples[-1][0] != stem:
                    samples.append((stem, {}))
                samples[-1][1][suffix] = tar.extractfile(member).read()  # type: ignore[union-attr]
        assert len({stem for stem, _ in samples}) == len(samples)
        for _, parts in samples:
            assert parts.keys() == {"png", "txt", "json"}
            Image.open(io.BytesIO(parts["png"])).load()
            known = json.loads(parts["json"])
            drawn.append((known["folder"], known["key"], parts["txt"].decode()))
    return drawn


READERS: dict[str, Callable[[Path, str, np.random.Generator], list[Sample]]] = {
    "plain": draw_plain,
    "everydream2": draw_everydream2,
    "kohya": draw_kohya,
    "onetrainer": draw_onetrainer,
    "imagefolder": draw_imagefolder,
    "webdataset": draw_webdataset,
}


@every_layout
def test_an_epoch_has_the_planned_share_of_each_folder(tmp_path: Path, layout: str) -> None:
    folder = write(layout, pictures_of(tmp_path / "files"), tmp_path / "set")
    random = np.random.default_rng(0)
    drawn = Counter(name for _ in range(EPOCHS) for name, *_ in READERS[layout](folder, "train", random))
    assert drawn.keys() == FOLDERS.keys()
    for name, (count, repeats) in FOLDERS.items():
        # Layouts with whole numbers draw once, when they are written: four standard deviations of that draw.
        error = 4 * (count * (repeats % 1) * (1 - repeats % 1)) ** 0.5
        assert abs(drawn[name] / EPOCHS - count * repeats) <= error, name


@every_layout
@pytest.mark.parametrize("variants", [1, 3])
def test_pictures_keep_their_folders_and_captions(tmp_path: Path, layout: str, variants: int) -> None:
    pictures = pictures_of(tmp_path / "files", variants)
    folder = write(layout, pictures, tmp_path / "set")
    known = {picture.key: picture for picture in pictures}
    random = np.random.default_rng(0)
    seen = set()
    for split in ("train", "val", "test"):
        drawn = [sample for _ in range(10) for sample in READERS[layout](folder, split, random)]
        for name, key, caption in drawn:
            assert known[key].split == split and known[key].folder == name and caption in known[key].captions
        seen |= set(drawn)
    assert {key for _, key, _ in seen} >= {key for key, picture in known.items() if picture.repeats >= 1}
    if variants > 1 and layout != "everydream2":
        # A picture that is there several times has several captions.
        captions = Counter(key for _, key, _ in seen)
        assert all(captions[key] >= 2 for key, picture in known.items() if picture.repeats >= 2)


@every_layout
def test_equal_pictures_give_equal_bytes_in_any_order(tmp_path: Path, layout: str) -> None:
    pictures = pictures_of(tmp_path / "files", 2)

    def digests(folder: Path) -> dict[str, str]:
        return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}

    first = digests(write(layout, pictures, tmp_path / "first"))
    assert first == digests(write(layout, pictures, tmp_path / "second"))
    if layout != "imagefolder":  # whose table has the order of the pictures
        assert first == digests(write(layout, pictures[::-1], tmp_path / "third"))


def test_a_fraction_is_drawn_for_each_picture_whatever_the_others_are(tmp_path: Path) -> None:
    (picture, *_) = pictures_of(tmp_path)
    several = [picture._replace(key=f"a-{number}", repeats=2.25) for number in range(2000)]
    counts = [times(each, 0) for each in several]
    assert set(counts) == {2, 3}
    assert abs(np.mean(counts) - 2.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5
    assert counts != [times(each, 1) for each in several]


def test_pictures_are_linked_and_not_written(tmp_path: Path) -> None:
    folder = write("plain", pictures_of(tmp_path / "files"), tmp_path / "set")
    assert {path.stat().st_ino for path in images_in(folder)} == {path.stat().st_ino for path in images_in(tmp_path / "files")}


@pytest.mark.parametrize("name", ["../out", "/out", "a/../b", "a//b", ".hidden"])
def test_a_folder_outside_the_set_is_refused(tmp_path: Path, name: str) -> None:
    (picture, *_) = pictures_of(tmp_path)
    with pytest.raises(TesseraError, match="cannot be a folder"):
        folders([picture._replace(folder=name)])


def test_the_keys_for_kohya_are_those_that_it_knows_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    assert set(KohyaDataset.model_fields) | {"subsets"} == DATASET_KEYS
    own = {"image_dir", "num_repeats", "caption_extension", "enable_wildcard", "is_reg"}
    assert set(KohyaSubset.model_fields) | own == SUBSET_KEYS
    with pytest.raises(ValueError, match="keep_token"):
        KohyaSettings(subset={"keep_token": 1})  # type: ignore[arg-type]
    odd = 'a "quoted"\\\n\x7f separator'
    given = {"root": "/data/my set", "subset": {"keep_tokens_separator": odd}, "dataset": {"resolution": [768, 512]}}
    folder = write("kohya", pictures_of(tmp_path / "files"), tmp_path / "set", **given)
    (dataset,) = tomllib.loads((folder / "train.toml").read_text(encoding="utf-8"))["datasets"]
    assert dataset["resolution"] == [768, 512]
    assert {subset["keep_tokens_separator"] for subset in dataset["subsets"]} == {odd}
    assert all(subset["image_dir"].startswith("/data/my set/train") for subset in dataset["subsets"])


def test_a_tar_file_has_at_most_as_many_samples_as_asked(tmp_path: Path) -> None:
    folder = write("webdataset", pictures_of(tmp_path / "files"), tmp_path / "set", samples=100)
    counts = []
    for path in sorted(folder.glob("train-*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        counts.append(len(members) // 3)
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in members} == {(0, 0, "", 0o644)}
    assert set(counts[:-1]) == {100} and 0 < counts[-1] <= 100
    assert WebDatasetSettings().samples == 1000


def test_a_set_needs_a_layout() -> None:
    with pytest.raises(ValueError, match="should name a layout: plain, everydream2"):
        LayoutSettings()
