"""EveryDream2: folders with captions, and a file that says how often the pictures of a folder are repeated."""

from collections.abc import Sequence
from pathlib import Path

from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.settings import Settings
from tessera.extras.image_sets.layouts.picture import TRAIN, Picture, folders, put, repeats_of


class EveryDream2Settings(Settings):
    """Settings for EveryDream2. `None` writes no file, so that the trainer's own setting applies."""

    shuffle_tags: bool = False
    """Whether `shuffle_tags.txt` is written, for which the trainer shuffles the tags of a caption."""
    cond_dropout: float | None = None
    """Number in `cond_dropout.txt`: the probability that a caption is left out. `null` writes no file, so that the trainer's
    own setting applies.
    """
    flip_p: float | None = None
    """Number in `flip_p.txt`: the probability that a picture is mirrored. `null` writes no file, so that the trainer's own
    setting applies.
    """


def write(pictures: Sequence[Picture], folder: Path, settings: EveryDream2Settings, seed: int) -> None:
    """Write `SPLIT/FOLDER/KEY.EXT` and `SPLIT/FOLDER/KEY.txt` to `folder`, and the files of each folder that the trainer reads.

    `multiply.txt` applies to its own folder alone, so that each folder with pictures has one. Of a fraction, the trainer draws
    anew in each epoch. It reads one caption of each picture, which is the first. If that is empty, it takes the name of
    the file.
    """
    if nameless := sum(not picture.captions[0].split(",")[0].strip() for picture in pictures):
        tell(
            f"{pluralize(nameless, 'pictures')} with a caption that is empty or begins with a comma: EveryDream2 trains on the"
            " name of the file instead; give a caption"
        )
    if any(len(picture.captions) > 1 for picture in pictures):
        tell("EveryDream2 reads one caption of each picture: only the first is written")
    for (split, name), inside in folders(pictures).items():
        subfolder = folder / split / name
        subfolder.mkdir(parents=True, exist_ok=True)
        for picture in inside:
            put(picture, picture.captions[:1], subfolder)
        numbers = {"cond_dropout": settings.cond_dropout, "flip_p": settings.flip_p} if split == TRAIN else {}
        for file, number in {"multiply": repeats_of(inside), **numbers}.items():
            if number is not None:
                (subfolder / f"{file}.txt").write_text(f"{number!r}\n", encoding="utf-8")
        if settings.shuffle_tags and split == TRAIN:
            (subfolder / "shuffle_tags.txt").touch()
