"""Write an image set in the layout of a trainer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.extras.image_sets.layouts import everydream2, imagefolder, kohya, onetrainer, plain, webdataset
from tessera.extras.image_sets.layouts.picture import TRAIN, Picture, times
from tessera.extras.image_sets.settings import LayoutSettings
from tessera.records.tables.image_sets import Arrangement, Captions, ResizedPictures, SetPictures
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table

WRITERS: Mapping[str, Callable[..., None]] = {
    "plain": plain.write,
    "everydream2": everydream2.write,
    "kohya": kohya.write,
    "onetrainer": onetrainer.write,
    "imagefolder": imagefolder.write,
    "webdataset": webdataset.write,
}


def write_set(
    selected: Path,
    splits: Path,
    resized: Path,
    images: Path,
    captions: Path | None,
    arrangement: Path | None,
    layout: str,
    settings: LayoutSettings,
    seed: int,
    written: Path,
) -> None:
    """Write an image set to the folder `written` in `layout`, one of `WRITERS`.

    `selected`: `tables.SetPictures`. `splits`: `tables.Splits`. `resized`: `tables.ResizedPictures` of the pictures in the
    folder `images`. `captions`: `tables.Captions`; None for empty ones. `arrangement`: `tables.Arrangement`; None for a single
    folder without repeats. Pictures are repeated in the split train alone.
    """
    frame = read_table(selected, SetPictures).drop("split").join(read_table(splits, Splits).select("key", "split"), on="key")
    frame = frame.drop("width", "height").join(read_table(resized, ResizedPictures), on="key")
    texts: dict[str, list[str]] = {}
    if captions is not None:
        for key, caption in read_table(captions, Captions).sort("key", "variant").select("key", "caption").iter_rows():
            texts.setdefault(key, []).append(caption)
    arranged = {} if arrangement is None else {row["key"]: row for row in read_table(arrangement, Arrangement).to_dicts()}
    pictures = [_picture(row, images, texts.get(row["key"], [""]), arranged) for row in frame.sort("key").to_dicts()]
    written.mkdir()
    WRITERS[layout](pictures, written, getattr(settings, layout), seed)
    if arranged and (unused := sum(times(picture, seed) == 0 for picture in pictures)):
        tell(f"{pluralize(unused, 'pictures')} have repeats below 1, and were not drawn for layouts that repeat whole pictures")


def _picture(row: Mapping[str, Any], images: Path, captions: list[str], arranged: Mapping[str, Mapping[str, Any]]) -> Picture:
    arrangement = arranged.get(row["key"], {"folder": "", "repeats": 1.0})
    names = ("source", "series", "frame", "step", "identities", "appearances", "width", "height", "is_regular")
    known = {name: arrangement[name] for name in ("n_characters", "character", "fh_ratio") if name in arrangement}
    return Picture(
        key=row["key"],
        file=images / row["file"],
        split=row["split"],
        folder=arrangement["folder"],
        repeats=arrangement["repeats"] if row["split"] == TRAIN else 1.0,
        captions=tuple(captions),
        columns={**{name: row[name] for name in names}, **known},
    )
