"""kohya's sd-scripts: folders with captions, and a configuration of the dataset in TOML for each split."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from tessera.core.settings import Fraction, Settings
from tessera.extras.image_sets.caption_settings import Line
from tessera.extras.image_sets.layouts.picture import TRAIN, Picture, folders, put, times

EXTENSION = ".txt"


class KohyaDataset(Settings):
    """Keys of `[[datasets]]`."""

    resolution: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Size to train at in pixels: a number, or [width, height]."""
    batch_size: PositiveInt | None = None
    """Pictures per step."""
    enable_bucket: bool | None = True
    """Whether pictures of other proportions are trained on in buckets of their own, without being cut to one shape."""
    bucket_no_upscale: bool | None = True
    """Whether no picture is enlarged to the size of its bucket."""
    bucket_reso_steps: PositiveInt | None = None
    """Pixels that the sides of buckets are multiples of."""
    min_bucket_reso: PositiveInt | None = None
    """Shortest side of a bucket in pixels."""
    max_bucket_reso: PositiveInt | None = None
    """Longest side of a bucket in pixels."""
    skip_image_resolution: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Size in pixels, a number or [width, height]: pictures of at most this area are skipped."""


class KohyaSubset(Settings):
    """Keys of each `[[datasets.subsets]]`."""

    class_tokens: str | None = None
    """Caption of pictures without a caption."""
    cache_info: bool | None = None
    """Whether captions and sizes are cached in a file."""
    keep_tokens: NonNegativeInt | None = None
    """Number of tags at the start of a caption that are neither shuffled nor left out."""
    keep_tokens_separator: str | None = None
    """Text up to which tags are neither shuffled nor left out."""
    secondary_separator: str | None = None
    """Separator of tags that are shuffled and left out together."""
    shuffle_caption: bool | None = None
    """Whether the tags of a caption are shuffled."""
    caption_prefix: Line | None = None
    """Text before each caption."""
    caption_suffix: Line | None = None
    """Text after each caption."""
    caption_separator: str | None = None
    """Separator of the tags of a caption."""
    flip_aug: bool | None = None
    """Whether pictures are mirrored at random."""
    caption_dropout_rate: Fraction | None = None
    """Probability that a caption is left out."""
    caption_dropout_every_n_epochs: NonNegativeInt | None = None
    """Number of epochs between two that have no captions."""
    caption_tag_dropout_rate: Fraction | None = None
    """Probability that a tag is left out."""


class KohyaSettings(Settings):
    """What the configuration says besides where the pictures are."""

    root: str = ""
    """Folder that precedes the paths of folders in the file. Empty: they are relative."""
    dataset: KohyaDataset = KohyaDataset()
    """Keys of `[[datasets]]` in the file for sd-scripts. One that is `null` is not written, so that the default of the trainer
    applies.
    """
    subset: KohyaSubset = KohyaSubset()
    """Keys of each `[[datasets.subsets]]` of the training split. One that is `null` is not written."""


def write(pictures: Sequence[Picture], folder: Path, settings: KohyaSettings, seed: int) -> None:
    """Write `SPLIT/FOLDER/KEY.EXT` and `SPLIT/FOLDER/KEY.txt` to `folder`, and `SPLIT.toml` for the option `--dataset_config`.

    The trainer repeats all pictures of a folder a whole number of times. Of a folder with a fraction, the pictures that appear
    once more lie in a folder of their own, whose name ends in `~1`; those that do not appear at all are left out. A picture
    with several captions has one per line, of which the trainer draws one in each epoch (`enable_wildcard`). It would put
    `caption_prefix` before the first line alone and `caption_suffix` behind the last, so that they are written into the lines.
    """
    subsets: dict[str, list[dict[str, Any]]] = {}
    for (split, name), inside in folders(pictures).items():
        by_times: dict[int, list[Picture]] = {}
        for picture in inside:
            by_times.setdefault(times(picture, seed), []).append(picture)
        for count, some in sorted(by_times.items()):
            if count == 0:
                continue
            more = count - min(by_times)
            subfolder = Path(split, f"{name or 'all'}~{more}" if more else name)
            (folder / subfolder).mkdir(parents=True, exist_ok=True)
            varied = any(len(picture.captions) > 1 for picture in some)
            options = settings.subset.model_dump(exclude_none=True) if split == TRAIN else {}
            around = [options.pop(key, "") for key in ("caption_prefix", "caption_suffix")] if varied else []
            for picture in some:
                texts = [_line(caption, *around) for caption in picture.captions] if varied else picture.captions
                put(picture, texts, folder / subfolder)
            subset = {"image_dir": Path(settings.root, subfolder).as_posix(), "num_repeats": count}
            subset |= {"caption_extension": EXTENSION} | ({"enable_wildcard": True} if varied else {})
            subsets.setdefault(split, []).append({**subset, **options})
    for split, pictures_of_split in subsets.items():
        lines = ["[[datasets]]", *_lines(settings.dataset.model_dump(exclude_none=True))]
        for subset in sorted(pictures_of_split, key=lambda each: each["image_dir"]):
            lines += ["", "  [[datasets.subsets]]", *(f"  {line}" for line in _lines(subset))]
        (folder / f"{split}.toml").write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")


def _line(caption: str, prefix: str, suffix: str) -> str:
    # Where captions are drawn, the trainer also draws from {one|other}.
    return " ".join(part for part in (prefix, caption, suffix) if part).replace("{", "{{").replace("}", "}}")


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of TOML that state `values`. A JSON text is one of TOML, which also forbids the character DEL."""
    for key, value in values.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
