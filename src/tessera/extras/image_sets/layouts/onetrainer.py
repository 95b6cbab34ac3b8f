"""OneTrainer: folders with captions, and a list of concepts."""

import json
from collections.abc import Sequence
from math import inf, nextafter
from pathlib import Path

from pydantic import Field, NonNegativeInt

from tessera.core.seeds import fraction
from tessera.core.settings import Settings
from tessera.extras.image_sets.layouts.picture import TRAIN, Picture, folders, put, repeats_of


class OneTrainerSettings(Settings):
    """What the concepts say besides where the pictures are."""

    root: str = ""
    """Folder that precedes the paths of folders in the file. Empty: they are relative."""
    enable_tag_shuffling: bool = False
    """Whether the tags of a caption are shuffled."""
    tag_delimiter: str = Field(",", min_length=1)
    """Separator of the tags of a caption."""
    keep_tags_count: NonNegativeInt = 1
    """Number of tags at the start of a caption that stay in their place."""


def balancing(repeats: float, count: int) -> float:
    """Return the number by which the trainer multiplies a folder of `count` pictures, so that each appears `repeats` times.

    The trainer takes the product from the folder in each epoch, its pictures in turn, and rounds the product down: of one
    picture with 1.9 repeats it would take 1. So this is the number nearest to `repeats` whose product is whole and positive.
    """
    copies = max(1, round(repeats * count))
    # A product of the rounded quotient can be less than `whole`.
    return copies / count if count * (copies / count) >= copies else nextafter(copies / count, inf)


def write(pictures: Sequence[Picture], folder: Path, settings: OneTrainerSettings, seed: int) -> None:
    """Write `SPLIT/FOLDER/KEY.EXT` and `SPLIT/FOLDER/KEY.txt` to `folder`, and `concepts.json`, one concept for each folder.

    Repeats are real numbers there, see `balancing`. A picture with several captions has one per line, of which the trainer
    draws one. The pictures of the split val are concepts to validate on; those of the split test are switched off.
    """
    concepts = []
    for (split, name), inside in sorted(folders(pictures).items(), key=lambda each: each[0]):
        subfolder = Path(split, name)
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        for picture in inside:
            put(picture, picture.captions, folder / subfolder)
        concepts.append(
            {
                "name": subfolder.as_posix(),
                "path": Path(settings.root, subfolder).as_posix(),
                # The trainer's draws in this concept start from it.
                "seed": int(fraction(f"OneTrainer {seed}", subfolder.as_posix()) * 2**31),
                "enabled": split != "test",
                "validation_concept": split == "val",
                "include_subdirectories": False,
                "image_variations": 1,
                "text_variations": 1,
                "balancing": balancing(repeats_of(inside), len(inside)),
                "balancing_strategy": "REPEATS",
                "loss_weight": 1.0,
                "text": {
                    "prompt_source": "sample",
                    "enable_tag_shuffling": settings.enable_tag_shuffling and split == TRAIN,
                    "tag_delimiter": settings.tag_delimiter,
                    "keep_tags_count": settings.keep_tags_count,
                },
            }
        )
    (folder / "concepts.json").write_text(json.dumps(concepts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
