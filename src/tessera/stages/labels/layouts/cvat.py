"""Sets in the format of CVAT's XML for images."""

from collections.abc import Sequence

from tessera.core.archives import MAX_TEXT_BYTES, File
from tessera.core.errors import Failed
from tessera.records.annotation.formats.cvat import parse_cvat
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.layouts.documents import item_of, others
from tessera.stages.labels.layouts.item import Item, Items, Regions, failed
from tessera.stages.labels.pictures import Pictures, is_picture


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> Items[Regions]:
    """XML files, each with the labels of many images, such as `annotations.xml` beside `images/`.

    Images are found by the end of their path, see `Pictures.find`. CVAT also lists images that nobody has labelled, so that one
    without shapes states nothing, see `unannotated`. Raises `TesseraError` if a file has the tracks of a video.
    """
    pictures = Pictures(filter(is_picture, files))
    items: list[Item[Regions]] = []
    stated: dict[str, tuple[int | None, str]] = {}
    for file in files:
        if file.suffix != ".xml":
            continue
        try:
            cvat = parse_cvat(file.read(MAX_TEXT_BYTES), file.shown)
        except Failed as fault:
            items.append(failed(file.name, fault, [file]))
            continue
        stated |= {name: (None, name) for name in cvat.labels}
        items += others(file, cvat.losses)
        fix = "put it into a set of its own"
        items += [item_of(image, lost, file, subset, pictures, label_set, fix) for image, subset, lost in cvat.images]
    return Items(items, stated)
