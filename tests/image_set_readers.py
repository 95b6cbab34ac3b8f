"""What a trainer or a reader finds in each layout of an image set, and what it draws from that in an epoch.

Imagefolder and WebDataset are read by the libraries of these names. The trainers cannot be installed here, so obvious code does
what they do.
"""

import json
import os
import tomllib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

# Read by `datasets` when it is imported. Like `webdataset`, it takes seconds to import, so that only their readers do.
os.environ["HF_DATASETS_OFFLINE"] = "1"

SPLITS = ("train", "val", "test")
# What sd-scripts allows, from its documentation. Unknown keys are an error there.
KOHYA_DATASET = {
    "resolution",
    "batch_size",
    "enable_bucket",
    "bucket_no_upscale",
    "bucket_reso_steps",
    "min_bucket_reso",
    "max_bucket_reso",
    "skip_image_resolution",
    "subsets",
}
KOHYA_SUBSET = {
    "image_dir",
    "num_repeats",
    "caption_extension",
    "class_tokens",
    "is_reg",
    "cache_info",
    "keep_tokens",
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


class Found(NamedTuple):
    """A picture of a layout, as its reader sees it."""

    folder: str  # its folder in the set, with `/`
    key: str
    pixels: str  # digest of the decoded picture
    captions: tuple[str, ...]  # those of which the reader draws one each time
    repeats: float  # how often it is drawn in an epoch, on average
    group: str  # what the trainer counts together


def digest(image: Image.Image) -> str:
    """Return a digest of the size and the colours of `image`."""
    pixels = np.asarray(image.convert("RGB"))
    return sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures directly in `folder`."""
    return sorted(path for path in folder.iterdir() if path.suffix in {".png", ".webp", ".jpg"})


def _folders(folder: Path, split: str) -> Iterator[tuple[str, Path]]:
    """Yield each folder of a split, the split itself included: its name in the set, and its path."""
    for place in sorted(path for path in [folder / split, *(folder / split).rglob("*")] if path.is_dir()):
        yield place.relative_to(folder / split).as_posix().removeprefix("."), place


def _lines(file: Path) -> list[str]:
    """Return the lines beside the picture `file`, without empty ones."""
    text = file.with_suffix(".txt").read_text(encoding="utf-8")
    assert text  # trainers take an empty file for a mistake
    return [line.strip() for line in text.split("\n") if line.strip()]


def read_plain(folder: Path, split: str) -> list[Found]:
    """Read one caption beside each picture."""
    found = []
    for name, place in _folders(folder, split):
        for file in _pictures(place):
            (caption,) = _lines(file) or [""]
            found.append(Found(name, file.stem.split("+")[0], digest(Image.open(file)), (caption,), 1.0, name))
    return found


def read_everydream2(folder: Path, split: str) -> list[Found]:
    """Read as EveryDream2 does: `multiply.txt` for its own directory alone; a main prompt and tags between commas."""
    found = []
    for name, place in _folders(folder, split):
        multiply = float(file.read_text().strip()) if (file := place / "multiply.txt").exists() else 1.0
        assert multiply > 0
        for file in _pictures(place):
            prompt, *tags = map(str.strip, file.with_suffix(".txt").read_text(encoding="utf-8").split(","))
            # Without a prompt, the trainer takes the name of the file up to the first underscore.
            caption = ", ".join([prompt or file.stem.split("_")[0], *tags])
            found.append(Found(name, file.stem, digest(Image.open(file)), (caption,), multiply, name))
    return found


def read_kohya(folder: Path, split: str) -> list[Found]:
    """Read as sd-scripts do: each picture directly in `image_dir`, `num_repeats` times.

    Prefix and suffix are put around the whole text. If wildcards are on, a line is drawn after that, and {one|other} of it;
    otherwise the first line is taken. Raises `ValueError` if a key is unknown or a directory is given twice.
    """
    config = tomllib.loads((folder / f"{split}.toml").read_text(encoding="utf-8"))
    found, directories = [], set()
    for dataset in config["datasets"]:
        for subset in dataset["subsets"]:
            unknown = (
                (config.keys() - {"general", "datasets"}) | (dataset.keys() - KOHYA_DATASET) | (subset.keys() - KOHYA_SUBSET)
            )
            if unknown or subset["image_dir"] in directories or type(subset["num_repeats"]) is not int:
                raise ValueError(f"unknown keys {unknown}, or a directory twice, or repeats that are no whole number: {subset}")
            directories.add(subset["image_dir"])
            name = Path(subset["image_dir"]).relative_to(split).as_posix().removeprefix(".").split("~")[0]
            for file in _pictures(folder / subset["image_dir"]):
                assert subset["caption_extension"] == ".txt"
                lines = _lines(file)
                captions = _kohya_captions(lines if subset.get("enable_wildcard") else lines[:1], subset)
                own = Found(
                    "" if name == "all" else name, file.stem, digest(Image.open(file)), captions, subset["num_repeats"], name
                )
                found.append(own)
    return found


def _kohya_captions(lines: list[str], subset: dict[str, Any]) -> tuple[str, ...]:
    text = "\n".join(lines)
    if subset.get("caption_prefix"):
        text = f"{subset['caption_prefix']} {text}"
    if subset.get("caption_suffix"):
        text = f"{text} {subset['caption_suffix']}"
    if not subset.get("enable_wildcard"):
        return (text,)
    held = [line.replace("{{", "\0").replace("}}", "\1") for line in text.split("\n")]
    assert not any("{" in line and "}" in line for line in held)  # nothing is drawn from braces of ours
    return tuple(line.replace("\0", "{").replace("\1", "}") for line in held)


def read_onetrainer(folder: Path, split: str) -> list[Found]:
    """Read as OneTrainer does: an epoch takes the pictures of a concept in turn, `balancing` times their number, cut off."""
    found = []
    for concept in json.loads((folder / "concepts.json").read_text(encoding="utf-8")):
        own, _, name = concept["path"].partition("/")
        assert concept["validation_concept"] == (own == "val") and concept["enabled"] == (own != "test")
        assert concept["balancing_strategy"] == "REPEATS" and not concept["include_subdirectories"]
        assert concept["text"]["prompt_source"] == "sample" and type(concept["balancing"]) is float
        if own == split:
            files = _pictures(folder / concept["path"])
            repeats = int(len(files) * concept["balancing"]) / len(files)
            found += [
                Found(name, file.stem, digest(Image.open(file)), tuple(_lines(file) or [""]), repeats, name) for file in files
            ]
    return found


def read_imagefolder(folder: Path, split: str) -> list[Found]:
    """Read with `datasets`."""
    import datasets

    datasets.disable_progress_bars()
    with TemporaryDirectory() as cache:
        loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)
        splits = {path.name for path in folder.iterdir() if path.is_dir()}
        assert loaded.keys() == splits <= {"train", "validation", "test"}
        return [
            Found(row["folder"], row["key"], digest(row["image"]), (row["text"],), 1.0, row["folder"])
            for row in loaded[{"val": "validation"}.get(split, split)]
        ]


def read_webdataset(folder: Path, split: str) -> list[Found]:
    """Read with `webdataset`."""
    import webdataset

    shards = sorted(str(path) for path in folder.glob(f"{split}-*.tar"))
    found = []
    for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
        members = {name for name in sample if not name.startswith("__")}
        (suffix,) = members - {"txt", "json"}
        known = sample["json"]
        found.append(Found(known["folder"], known["key"], digest(sample[suffix]), (sample["txt"],), 1.0, known["folder"]))
    return found


READERS: dict[str, Callable[[Path, str], list[Found]]] = {
    "plain": read_plain,
    "everydream2": read_everydream2,
    "kohya": read_kohya,
    "onetrainer": read_onetrainer,
    "imagefolder": read_imagefolder,
    "webdataset": read_webdataset,
}


def epoch(layout: str, found: list[Found], number: int, random: np.random.Generator) -> Iterator[tuple[Found, str]]:
    """Yield the pictures and captions that the trainer of `layout` draws in the epoch with this `number`, from 0."""
    groups: dict[str, list[Found]] = {}
    for each in found:
        groups.setdefault(each.group, []).append(each)
    for group in groups.values():
        if layout == "onetrainer":
            count = round(group[0].repeats * len(group))
            drawn = [group[(number * count + place) % len(group)] for place in range(count)]
        else:
            # Only EveryDream2 has fractions here, and draws for each of them.
            drawn = [each for each in group for _ in range(int(each.repeats) + (random.random() < each.repeats % 1))]
        for each in drawn:
            yield each, each.captions[random.integers(len(each.captions))]
