"""Every layout holds all pictures and captions, and an epoch drawn as its trainer draws it has the planned shares."""

import re
import sys
import tarfile
import tomllib
from collections import Counter
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_set_readers import KOHYA_DATASET, KOHYA_SUBSET, READERS, SPLITS, Found, digest, epoch
from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.extras.image_sets.layouts.kohya import KohyaDataset, KohyaSettings, KohyaSubset
from tessera.extras.image_sets.layouts.onetrainer import balancing
from tessera.extras.image_sets.layouts.picture import Picture, folders, times
from tessera.extras.image_sets.layouts.webdataset import WebDatasetSettings
from tessera.extras.image_sets.settings import ImageSetSettings, LayoutSettings
from tessera.extras.image_sets.write import WRITERS
from tessera.imaging.images import write_image

# The number of pictures and the repeats of each folder.
FOLDERS = {"1_character/a%20b": (30, 2.0), "1_character/dotted.name": (40, 3.4), "2_characters/a+b": (50, 1.0), "": (60, 0.5)}
EPOCHS = 40
SEED = 7
FRACTIONS = {"everydream2", "onetrainer"}  # layouts whose trainers repeat pictures by real numbers
COPIES = {"plain", "imagefolder", "webdataset"}  # layouts whose readers know no repeats

every_layout = pytest.mark.parametrize("layout", WRITERS)


class Layouts(NamedTuple):
    """The pictures of a set, and what the reader of each layout finds in each split."""

    pictures: list[Picture]
    found: dict[str, dict[str, list[Found]]]


def pictures_of(folder: Path, variants: int = 1) -> list[Picture]:
    """Return the pictures of `FOLDERS`, and one of each other split."""
    folder.mkdir(exist_ok=True)
    rows = [
        (f"film.{group}-{number:07d}", "train", name, repeats)
        for group, (name, (count, repeats)) in enumerate(FOLDERS.items())
        for number in range(count)
    ]
    rows += [(f"{split}-0000000", split, "1_character/a%20b", 1.0) for split in ("val", "test")]
    found = []
    for number, (key, split, name, repeats) in enumerate(rows):
        file = folder / f"{number}.png"
        write_image(file, np.full((4, 6, 3), number, np.uint8))
        texts = tuple(f"caption {variant} of {key}, {{a|b}}" for variant in range(variants))
        columns = {"source": "film", "identities": ["a"] if split == "train" else []}
        found.append(Picture(key, file, split, name, repeats, texts, columns))
    return found


def write(layout: str, pictures: list[Picture], folder: Path, **values: Any) -> Path:
    settings = LayoutSettings(**{layout: values})
    WRITERS[layout](pictures, folder, getattr(settings, layout), SEED)
    return folder


def read(layout: str, folder: Path) -> dict[str, list[Found]]:
    """Return what the reader of `layout` finds in each split."""
    return {split: READERS[layout](folder, split) for split in SPLITS}


@pytest.fixture(scope="module", params=[1, 3], ids=["one caption", "three captions"])
def layouts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    """The same pictures in every layout, and what its reader finds."""
    place = tmp_path_factory.mktemp("layouts")
    pictures = pictures_of(place / "files", request.param)
    found = {layout: read(layout, write(layout, pictures, place / layout)) for layout in WRITERS}
    return Layouts(pictures, found)


@pytest.mark.slow
@every_layout
def test_every_layout_has_the_same_pictures_with_their_captions_and_repeats(layouts: Layouts, layout: str) -> None:
    read_repeats, captions = Counter[str](), dict[str, list[str]]()
    known = {picture.key: picture for picture in layouts.pictures}
    for split, found in layouts.found[layout].items():
        for each in found:
            picture = known[each.key]
            assert (split, each.folder) == (picture.split, picture.folder)
            assert each.pixels == digest(Image.open(picture.file))
            read_repeats[each.key] += each.repeats
            captions.setdefault(each.key, []).extend(each.captions)
    for key, picture in known.items():
        if layout in FRACTIONS:
            assert read_repeats[key] == pytest.approx(picture.repeats)
        else:
            assert read_repeats[key] == times(picture, SEED)
        if layout == "everydream2":
            assert captions[key] == [picture.captions[0]]
        elif layout in COPIES:
            wanted = [picture.captions[number % len(picture.captions)] for number in range(times(picture, SEED))]
            assert sorted(captions.get(key, [])) == sorted(wanted)
        elif key in captions:
            assert captions[key] == list(picture.captions)


@pytest.mark.slow
@every_layout
def test_an_epoch_drawn_as_its_trainer_draws_it_has_the_planned_share_of_each_folder(layouts: Layouts, layout: str) -> None:
    random = np.random.default_rng(0)
    drawn = Counter[str]()
    for number in range(EPOCHS):
        for each, caption in epoch(layout, layouts.found[layout]["train"], number, random):
            assert caption in each.captions
            drawn[each.folder] += 1
    assert drawn.keys() == FOLDERS.keys()
    for name, (count, repeats) in FOLDERS.items():
        # Four standard deviations of the draw. Layouts with whole numbers draw once, when they are written.
        error = 4 * (count * (repeats % 1) * (1 - repeats % 1)) ** 0.5
        if layout == "everydream2":
            error /= EPOCHS**0.5
        elif layout == "onetrainer":
            error = 0.0
        assert abs(drawn[name] / EPOCHS - count * repeats) <= error, name


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
    pictures = [picture for picture in pictures_of(tmp_path / "files") if picture.repeats >= 1]
    folder = write("plain", pictures, tmp_path / "set")
    files = {picture.file.stat().st_ino for picture in pictures}
    assert {path.stat().st_ino for path in folder.rglob("*.png")} == files


@pytest.mark.parametrize("name", ["../out", "/out", "a/../b", "a//b", ".hidden"])
def test_a_folder_outside_the_set_is_refused(tmp_path: Path, name: str) -> None:
    (picture, *_) = pictures_of(tmp_path)
    with pytest.raises(TesseraError, match="cannot be a folder"):
        folders([picture._replace(folder=name)])


def test_the_keys_for_kohya_are_those_that_it_knows_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    assert set(KohyaDataset.model_fields) | {"subsets"} == KOHYA_DATASET
    own = {"image_dir", "num_repeats", "caption_extension", "enable_wildcard", "is_reg"}
    assert set(KohyaSubset.model_fields) | own == KOHYA_SUBSET
    with pytest.raises(ValueError, match="keep_token"):
        KohyaSettings(subset={"keep_token": 1})  # type: ignore[arg-type]
    odd = 'a "quoted"\\\n\x7f separator'
    given = {"root": "/data/my set", "subset": {"keep_tokens_separator": odd}, "dataset": {"resolution": [768, 512]}}
    folder = write("kohya", pictures_of(tmp_path / "files"), tmp_path / "set", **given)
    (dataset,) = tomllib.loads((folder / "train.toml").read_text(encoding="utf-8"))["datasets"]
    assert dataset["resolution"] == [768, 512]
    assert {subset["keep_tokens_separator"] for subset in dataset["subsets"]} == {odd}
    assert all(subset["image_dir"].startswith("/data/my set/train") for subset in dataset["subsets"])


@pytest.mark.parametrize(
    ("name", "text", "key"), [("keep", " ||| ", "keep_tokens_separator"), ("tag", " | ", "caption_separator")]
)
def test_captions_that_kohya_would_not_part_are_refused(name: str, text: str, key: str) -> None:
    def settings(**subset: str) -> ImageSetSettings:
        return ImageSetSettings(captions={"separators": {name: text}}, layouts={"kohya": {"subset": subset}})  # type: ignore[arg-type]

    settings(**{key: text.strip()})
    for wrong in ({}, {key: "§"}):
        with pytest.raises(ValueError, match=f"`layouts.kohya.subset.{key}` should be '{re.escape(text.strip())}'"):
            settings(**wrong)
    # Captions of people may have any separators.
    ImageSetSettings(captions={}, layouts={"kohya": {"subset": {key: "§"}}})  # type: ignore[arg-type]


@pytest.mark.parametrize("variants", [1, 3])
def test_kohya_puts_the_prefix_and_the_suffix_around_every_caption(tmp_path: Path, variants: int) -> None:
    pictures = pictures_of(tmp_path / "files", variants)
    around = {"caption_prefix": "a {photo} of", "caption_suffix": "in colour"}
    folder = write("kohya", pictures, tmp_path / "set", subset=around)
    known = {picture.key: picture.captions for picture in pictures}
    for each in READERS["kohya"](folder, "train"):
        assert each.captions == tuple(f"a {{photo}} of {caption} in colour" for caption in known[each.key])
    (held_out,) = READERS["kohya"](folder, "val")
    assert held_out.captions == known[held_out.key]
    with pytest.raises(ValueError, match="caption_prefix"):
        KohyaSettings(subset={"caption_prefix": "one\nother"})  # type: ignore[arg-type]


@given(st.floats(0.01, 100), st.integers(1, 10_000))
def test_the_product_that_onetrainer_rounds_down_is_the_nearest_number(repeats: float, count: int) -> None:
    taken = floor(count * balancing(repeats, count))
    assert taken == max(1, round(repeats * count))
    assert abs(balancing(repeats, count) - taken / count) <= 1e-9


def test_an_epoch_of_onetrainer_has_half_a_picture_more_or_less_of_each_folder(tmp_path: Path) -> None:
    (picture, *_) = pictures_of(tmp_path / "files")
    planned = {"1": (1, 1.9), "2": (2, 1.4), "49": (49, 1 / 49), "3": (3, 2.1)}
    pictures = [
        picture._replace(key=f"{name}-{number}", folder=name, repeats=repeats)
        for name, (count, repeats) in planned.items()
        for number in range(count)
    ]
    found = READERS["onetrainer"](write("onetrainer", pictures, tmp_path / "set"), "train")
    epochs = [each.key for number in range(49) for each, _ in epoch("onetrainer", found, number, np.random.default_rng(0))]
    assert set(epochs) == {picture.key for picture in pictures}
    for name, (count, repeats) in planned.items():
        assert abs(sum(key.startswith(f"{name}-") for key in epochs) / 49 - count * repeats) <= 0.5 + 1e-9


def test_captions_that_everydream2_takes_from_names_of_files_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_terminal", sys.stdout)
    (first, second, *_) = pictures_of(tmp_path / "files")
    folder = write("everydream2", [first._replace(captions=("",)), second], tmp_path / "set")
    assert [each.captions for each in READERS["everydream2"](folder, "train")] == [(first.key,), second.captions]
    assert "1 picture with a caption that is empty" in capsys.readouterr().out


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
