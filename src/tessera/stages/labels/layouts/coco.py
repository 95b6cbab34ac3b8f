"""Sets in the format of COCO."""

from collections import defaultdict
from collections.abc import Sequence

from tessera.core.archives import MAX_TEXT_BYTES, File
from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import pluralize
from tessera.records.annotation.formats.coco import parse_coco
from tessera.records.annotation.model import Loss
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.layouts.documents import item_of, others
from tessera.stages.labels.layouts.item import Item, Items, Regions, failed
from tessera.stages.labels.pictures import Pictures, is_picture


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> Items[Regions]:
    """JSON files, each with the labels of many images. Images are found by the end of their path, see `Pictures.find`.

    An image without annotations shows nothing if its file marks it as negative, see `formats.coco`. Else, see `unannotated`.
    """
    pictures = Pictures(filter(is_picture, files))
    items: list[Item[Regions]] = []
    stated: dict[str, tuple[int | None, str]] = {}
    documents = [file for file in files if file.suffix == ".json"]
    for file in documents:
        try:
            coco = parse_coco(file.read(MAX_TEXT_BYTES), file.shown)
        except Failed as fault:
            items.append(failed(file.name, fault))
            continue
        except TesseraError as error:
            items.append(failed(file.name, Failed("not a COCO file", f"{error}; export it again")))
            continue
        for number, name in coco.categories.items():
            stated.setdefault(name, (number, name))
        losses: dict[str, list[Loss]] = defaultdict(list)
        keys = {image.key for image in coco.images}
        for loss in coco.losses:
            key = loss.key.rpartition("#")[0]
            if key in keys:
                losses[key].append(loss)
        items += others(file, coco.losses)
        lost = [loss for loss in coco.losses if loss.key.startswith("annotation ")]
        if lost:
            detail = f"{file.shown}: {pluralize(len(lost), 'annotations')} of images that are not read, such as {lost[0].key}"
            items.append(failed(f"{file.name}#annotations", Failed("annotations of no image", detail)))
        # COCO and CVAT write the labels of a subset into instances_SUBSET.json.
        subset = file.path.stem.partition("_")[2]
        fix = 'give its entry in the file the field `"negative": true`'
        items += [
            item_of(image, losses[image.key], file, subset, pictures, label_set, "" if image.key in coco.negatives else fix)
            for image in coco.images
        ]
    return Items(items, stated)
